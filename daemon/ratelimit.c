/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rate Limit
 *
 * A line costs a token of its uid and one of all together; it is written if both had one. What one
 * uid was refused is counted with it until its next line goes through.
 */

#include "daemon/ratelimit.h"

static void ratelimit_refill(RatelimitBucket *bucket, uint64_t now_ns, uint32_t n_tokens_max,
                             uint64_t refill_ns) {
        uint64_t n_earned;

        if (bucket->last_ns == 0) {
                bucket->n_tokens = n_tokens_max;
                bucket->since_ns = now_ns;
        }
        bucket->last_ns = now_ns;

        n_earned = (now_ns - bucket->since_ns) / refill_ns;
        if (n_earned >= n_tokens_max - bucket->n_tokens) {
                bucket->n_tokens = n_tokens_max;
                bucket->since_ns = now_ns;
        } else {
                bucket->n_tokens += (uint32_t)n_earned;
                bucket->since_ns += n_earned * refill_ns;
        }
}

/* The bucket of @uid, where need be that of somebody who was quiet longest. */
static RatelimitBucket *ratelimit_find(Ratelimit *limit, uint32_t uid) {
        RatelimitBucket *bucket, *oldest = &limit->uids[0];
        unsigned i;

        for (i = 0; i < RATELIMIT_UIDS_MAX; i++) {
                bucket = &limit->uids[i];
                if (bucket->last_ns != 0 && bucket->uid == uid)
                        return bucket;
                if (bucket->last_ns < oldest->last_ns)
                        oldest = bucket;
        }

        *oldest = (RatelimitBucket){ .uid = uid };
        return oldest;
}

bool ratelimit_admit_at(Ratelimit *limit, const RatelimitRates *rates, uint32_t uid,
                        uint64_t now_ns, uint64_t *ret_n_suppressed) {
        RatelimitBucket *bucket = ratelimit_find(limit, uid);

        ratelimit_refill(bucket, now_ns, rates->burst, rates->refill_ns);
        ratelimit_refill(&limit->total, now_ns, rates->burst_total, rates->refill_total_ns);
        if (bucket->n_tokens == 0 || limit->total.n_tokens == 0) {
                bucket->n_suppressed++;
                return false;
        }

        bucket->n_tokens--;
        limit->total.n_tokens--;
        *ret_n_suppressed = bucket->n_suppressed;
        bucket->n_suppressed = 0;
        return true;
}

bool ratelimit_admit(Ratelimit *limit, uint32_t uid, uint64_t now_ns,
                     uint64_t *ret_n_suppressed) {
        static const RatelimitRates lines = { RATELIMIT_BURST, RATELIMIT_BURST_TOTAL,
                                              RATELIMIT_REFILL_NS, RATELIMIT_REFILL_TOTAL_NS };

        return ratelimit_admit_at(limit, &lines, uid, now_ns, ret_n_suppressed);
}
