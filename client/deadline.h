/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Deadlines
 *
 * A time-out of the API becomes a point of CLOCK_MONOTONIC once, at the start of a call, so that it
 * does not grow with each interruption. Nobody's wall clock counts.
 */

#include <errno.h>
#include <stdint.h>
#include <time.h>

#define SHMB__NEVER INT64_MAX
#define SHMB__MS INT64_C(1000000)
#define SHMB__SECOND INT64_C(1000000000)

static inline int64_t shmb__now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * SHMB__SECOND + now.tv_nsec;
}

/* @timeout_ns of the API: negative is for ever, and so is what would lie beyond the clock. */
static inline int64_t shmb__deadline(int64_t timeout_ns) {
        int64_t now;

        if (timeout_ns < 0)
                return SHMB__NEVER;
        now = shmb__now();
        return timeout_ns < SHMB__NEVER - now ? now + timeout_ns : SHMB__NEVER;
}

static inline int64_t shmb__earlier(int64_t a, int64_t b) {
        return a < b ? a : b;
}

static inline struct timespec shmb__timespec(int64_t ns) {
        return (struct timespec){ .tv_sec = ns / SHMB__SECOND, .tv_nsec = ns % SHMB__SECOND };
}

/* Doubles *@delay_ns up to @max_ns and gives it with a quarter of jitter, so that a herd
 * spreads. */
static inline int64_t shmb__backoff(int64_t *delay_ns, int64_t max_ns) {
        int64_t delay = *delay_ns;
        uint64_t spread = (uint64_t)shmb__now() * UINT64_C(0x9e3779b97f4a7c15) >> 33;

        *delay_ns = shmb__earlier(2 * delay, max_ns);
        return delay - delay / 4 + (int64_t)(spread % (uint64_t)(delay / 2 + 1));
}

static inline void shmb__sleep_until(int64_t when) {
        const struct timespec at = shmb__timespec(when);

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
                ;
}
