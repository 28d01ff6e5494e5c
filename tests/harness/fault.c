/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fault Injection
 *
 * A countdown for the whole process: tests are single-threaded where faults are armed.
 */

#include <signal.h>
#include "tests/harness/fault.h"

static unsigned fault_countdown;
static int fault_error;
static bool fault_happened;
static const char *fault_last = "";

void fault_arm(unsigned nth, int error) {
        fault_countdown = nth;
        fault_error = error;
        fault_happened = false;
        fault_last = "";
}

bool fault_disarm(void) {
        fault_countdown = 0;
        return fault_happened;
}

bool fault_step(const char *name) {
        if (fault_countdown == 0 || --fault_countdown > 0)
                return false;

        if (fault_error == FAULT_KILL)
                raise(SIGKILL);
        fault_happened = true;
        fault_last = name;
        errno = fault_error;
        return true;
}

const char *fault_name(void) {
        return fault_last;
}
