/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clocks
 *
 * clock_gettime(2) with a clock that exists cannot fail (EFAULT and EINVAL are the caller's
 * mistakes), so there is no error to hand on.
 */

#include <assert.h>
#include <time.h>
#include <unistd.h>
#include "daemon/sys/clock.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t clock_ns(clockid_t clock) {
        struct timespec now;
        int r;

        r = clock_gettime(clock, &now);
        assert(r == 0);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_boottime_ns(void) {
        return clock_ns(CLOCK_BOOTTIME);
}

uint64_t clock_monotonic_ns(void) {
        return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_ticks_to_ns(uint64_t ticks) {
        uint64_t n_per_s = (uint64_t)sysconf(_SC_CLK_TCK);

        return ticks / n_per_s * NS_PER_S + ticks % n_per_s * NS_PER_S / n_per_s;
}
