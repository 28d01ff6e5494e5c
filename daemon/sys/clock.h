/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Clocks
 *
 * Time for the layers that take it as an argument. Never CLOCK_REALTIME: nothing in the broker may
 * change because somebody set the clock.
 */

#include <stdint.h>

/** clock_boottime_ns() - CLOCK_BOOTTIME: goes on while the machine is suspended; for `since` */
uint64_t clock_boottime_ns(void);

/** clock_monotonic_ns() - CLOCK_MONOTONIC: for RELOADING and rate limits */
uint64_t clock_monotonic_ns(void);

/** clock_ticks_to_ns() - a time of /proc/PID/stat (clock ticks since boot), rounded down */
uint64_t clock_ticks_to_ns(uint64_t ticks);
