/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rate Limit
 *
 * How many lines of the journal one uid may cause, or of what else costs others something: a token
 * bucket for each, so that a client that fails in a loop hides nobody else's failures, and one for
 * all uids together. Bounded: where more
 * uids are noisy at once than there are buckets, the one that was quiet longest makes room, and the
 * bucket of all together holds the rest. Pure: the clock is an argument.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct Ratelimit Ratelimit;
typedef struct RatelimitBucket RatelimitBucket;
typedef struct RatelimitRates RatelimitRates;

enum {
        RATELIMIT_UIDS_MAX = 64,
        RATELIMIT_BURST = 20,        /* lines at once of one uid, ... */
        RATELIMIT_BURST_TOTAL = 200, /* ... and of all */
};

/* One line is earned back in this time. */
#define RATELIMIT_REFILL_NS UINT64_C(500000000)
#define RATELIMIT_REFILL_TOTAL_NS UINT64_C(50000000)

struct RatelimitBucket {
        uint32_t uid;
        uint32_t n_tokens;
        uint64_t since_ns;      /* up to here tokens were earned */
        uint64_t last_ns;       /* when it was last asked; 0 = never */
        uint64_t n_suppressed;  /* since the last line that was let through */
};

/* What a bucket of one uid holds and in which time it earns one; the same of all together. */
struct RatelimitRates {
        uint32_t burst, burst_total;
        uint64_t refill_ns, refill_total_ns;
};

struct Ratelimit {
        RatelimitBucket total;
        RatelimitBucket uids[RATELIMIT_UIDS_MAX];
};

/**
 * ratelimit_admit() - whether @uid may cause one more line now
 * @limit:              limiter; zeroed is a fresh one
 * @uid:                who causes it
 * @now_ns:             a clock that does not go back; greater than 0
 * @ret_n_suppressed:   how many lines of this uid were suppressed before; set only if admitted
 *
 * Return: true to write it.
 */
bool ratelimit_admit(Ratelimit *limit, uint32_t uid, uint64_t now_ns, uint64_t *ret_n_suppressed);

/** ratelimit_admit_at() - the same of something else than lines; always with the same @rates */
bool ratelimit_admit_at(Ratelimit *limit, const RatelimitRates *rates, uint32_t uid,
                        uint64_t now_ns, uint64_t *ret_n_suppressed);
