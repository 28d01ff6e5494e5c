/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Realtime Clock that a Test Sets
 *
 * Preloaded into a program, clock-step.so tells it another time of day than the machine's: whatever
 * it reads, and whatever it sets a timer by. Looks at other clocks are counted too, so that a test
 * can see that the program looked at a clock at all. The page is a file of which both have a map.
 */

#include <stdatomic.h>
#include <stdint.h>

/* Path of that file, in the environment of the program. */
#define CLOCK_STEP_VARIABLE "SHMBROKER_CLOCK_STEP"

typedef struct ClockStep {
        _Atomic int64_t offset_s;  /* set by the test */
        _Atomic uint64_t n_loaded; /* programs */
        _Atomic uint64_t n_real;   /* looks at the time of day, or timers by it */
        _Atomic uint64_t n_other;  /* looks at clocks that nobody sets */
} ClockStep;
