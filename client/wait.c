/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting
 *
 *     judge: look closely; what was heard from the broker      -> done, or
 *     spin:  look again and again, without a system call        -> judge, or
 *     doze:  S1-S6 of memory/sleep.h, at most 100 ms            -> judge
 *
 * How long to spin is learned: a spin that ends in sleep halves the next one, one that finds
 * something doubles it. So a fast peer is met without a system call, and a slow one, of some
 * thousand items a second, costs next to no CPU. On one CPU the peer cannot run while we spin, so
 * we do not.
 */

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/deadline.h"
#include "client/news.h"
#include "client/wait.h"

/* The kernel's own types are 64 bits wide everywhere; so is this call, where there is an older
 * one. */
#ifdef SYS_futex_time64
#define SYS_FUTEX SYS_futex_time64
#else
#define SYS_FUTEX SYS_futex
#endif

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* the same on every architecture: Linux 5.16 */
#endif

enum {
        DOZE_MAX_MS = 100,
        /* Without futex_waitv one word alone can be waited for; the others are looked at so
         * often. */
        DOZE_ONE_BELL_MAX_MS = 10,
        DOZE_NEWS_ONLY_MAX_MS = 1,
        /* Looks between two looks at the clock. */
        SPIN_ROUND = 32,
};

int shmb__ring(const _Atomic uint32_t *bell, int n) {
        return (int)syscall(SYS_FUTEX, bell, FUTEX_WAKE, n, NULL, NULL, 0);
}

int shmb__wake(struct shmb_region *r) {
        int result;

        r->engine->wake(r);
        if (!shmb__has_lost(r))
                return 0;
        result = shmb__lose(r);
        /* To a producer the next call will say so: these items are published, and not to be pushed
         * again. */
        return r->role == SHMB_PRODUCE ? 0 : result;
}

static int look(struct shmb_region *r, ShmbRingLook how) {
        int result = r->engine->look(r, how);

        if (!shmb_unlikely(shmb__has_lost(r)))
                return result;
        /* Zeros were looked at, which may mean anything. */
        if (shmb__lose(r) < 0 || result == -EBADMSG)
                return -EBADMSG;
        return r->engine->look(r, how);
}

int shmb__judge(struct shmb_region *r) {
        int result;

        /* relaxed: as in shmb__enter() */
        if (shmb_load_relaxed(r->news) != r->news_heard) {
                result = shmb__hear(r);
                if (result < 0)
                        return result;
        }
        result = look(r, SHMB_RING_EXACT);
        if (result != -EAGAIN)
                return result;

        /* relaxed: a thread that reconnects may store it at any time, and a slice later will do */
        if (shmb_load_relaxed(&r->end) != 0)
                return -(int)shmb_load_relaxed(&r->end);
        if (r->n_unsaid > 0) {
                r->n_unsaid--;
                return -EOWNERDEAD;
        }
        if ((r->flags & SHMB_NEED_PEER) && !shmb__peer_lives(r))
                return -EPIPE;
        return -EAGAIN;
}

/* What a look finds is returned as it is: some results are given only once. */
static int spin_for(struct shmb_region *r, int64_t n_ns, int64_t deadline) {
        int64_t end = shmb__earlier(shmb__now() + n_ns, deadline);
        int i, result;

        do {
                for (i = 0; i < SPIN_ROUND; i++) {
                        result = look(r, SHMB_RING_LAZY);
                        if (result != -EAGAIN)
                                return result;
                        shmb_cpu_relax();
                }
        } while (shmb__now() < end);
        return -EAGAIN;
}

static int spin(struct shmb_region *r, int64_t deadline) {
        int result;

        if (r->spin_ns < 0)
                r->spin_ns = shmb__process_may_spin() ? SHMB__SPIN_MAX_NS : 0;
        if (r->spin_ns == 0)
                return -EAGAIN;

        result = spin_for(r, r->spin_ns, deadline);
        if (result != -EAGAIN)
                r->spin_ns = shmb__earlier(2 * r->spin_ns, SHMB__SPIN_MAX_NS);
        else if (r->spin_ns > SHMB__SPIN_MIN_NS)
                r->spin_ns /= 2;
        return result;
}

/* A kernel before 5.16: FUTEX_WAIT on the only bell, or on news, in short slices. */
static void wait_on_one(const ShmbSleepWord *words, uint32_t n, int64_t n_ns) {
        bool one_bell = n == 2;
        const ShmbSleepWord *word = one_bell ? &words[0] : &words[n - 1];
        int64_t most = (one_bell ? DOZE_ONE_BELL_MAX_MS : DOZE_NEWS_ONLY_MAX_MS) * SHMB__MS;
        struct __kernel_timespec timeout;

        n_ns = shmb__earlier(n_ns, most);
        timeout.tv_sec = n_ns / SHMB__SECOND;
        timeout.tv_nsec = n_ns % SHMB__SECOND;
        syscall(SYS_FUTEX, word->word, FUTEX_WAIT, word->value, &timeout, NULL, 0);
}

/* S5. Comes back for any reason or none; who called looks for himself. */
static void wait_on(const ShmbSleepWord *words, uint32_t n, int64_t deadline) {
        struct futex_waitv waiters[SHMB_SLEEP_WORDS_MAX];
        int64_t now = shmb__now();
        int64_t until = shmb__earlier(now + DOZE_MAX_MS * SHMB__MS, deadline);
        struct __kernel_timespec at = { until / SHMB__SECOND, until % SHMB__SECOND };
        uint32_t i;

        for (i = 0; i < n; i++)
                waiters[i] = (struct futex_waitv){ .val = words[i].value,
                                                   .uaddr = (uintptr_t)words[i].word,
                                                   .flags = FUTEX_32 };
        if (syscall(SYS_futex_waitv, waiters, n, 0, &at, CLOCK_MONOTONIC) < 0 && errno == ENOSYS &&
            until > now)
                wait_on_one(words, n, until - now);
}

void shmb__wait_barrier(struct shmb_region *r) {
        if (r->registered)
                shmb__process_membarrier();
        else
                /* seq_cst: S3 for who may not call membarrier; our wakers fence, as our flag says
                 * (Dekker: sleep.seq against tail, memory/sleep.h) */
                shmb_fence_full();
}

/* Return: what the look after S3 found; -EAGAIN after having slept. */
static int doze(struct shmb_region *r, int64_t deadline) {
        _Atomic uint64_t *n_waits = &r->counters->n_waits;
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        uint32_t n;
        int result;

        n = r->engine->words(r, words);
        words[n++] = (ShmbSleepWord){ r->news, r->news_seen };

        shmb_sleep_enter(&r->sleeper);
        shmb__wait_barrier(r);
        /* relaxed: S4; ordered behind the odd seq by S3, and the kernel compares news again */
        result = look(r, SHMB_RING_EXACT);
        if (result == -EAGAIN && shmb_load_relaxed(r->news) == r->news_seen) {
                /* relaxed: for display, only we write it */
                shmb_store_relaxed(n_waits, shmb_load_relaxed(n_waits) + 1);
                wait_on(words, n, deadline);
        }
        shmb_sleep_leave(&r->sleeper);
        r->slept = true;
        return result;
}

static int wait_until(struct shmb_region *r, int64_t deadline) {
        int result;

        for (;;) {
                result = spin(r, deadline);
                if (result == -EAGAIN)
                        result = doze(r, deadline);
                if (result == -EAGAIN)
                        result = shmb__judge(r);
                if (result != -EAGAIN)
                        return result;
                if (deadline != SHMB__NEVER && shmb__now() >= deadline)
                        return -ETIMEDOUT;
        }
}

int shmb__wait(struct shmb_region *r, int64_t *timeout_ns) {
        int64_t begin = *timeout_ns > 0 ? shmb__now() : 0;
        int result = shmb__judge(r);

        if (result == -EAGAIN && *timeout_ns != 0)
                result = wait_until(r, shmb__deadline(*timeout_ns));
        if (shmb_unlikely(r->poll)) {
                if (result == -EAGAIN || result == -ETIMEDOUT)
                        return shmb__poll_arm(r, result);
                shmb__poll_found(r);
        }
        /* Who competes may find it gone, and waits for what is left of his time. */
        if (result == 0 && *timeout_ns > 0) {
                *timeout_ns -= shmb__now() - begin;
                if (*timeout_ns < 1)
                        *timeout_ns = 1;
        }
        return result;
}

int shmb__wait_room(struct shmb_region *r, uint32_t n, int64_t *timeout_ns) {
        _Atomic uint64_t *n_dropped = &r->counters->n_dropped;

        if (r->overflow == SHMB_OVERFLOW_DROP_NEWEST) {
                /* relaxed: for display, only we write it */
                shmb_store_relaxed(n_dropped, shmb_load_relaxed(n_dropped) + n);
                return 1;
        }
        if (r->overflow == SHMB_OVERFLOW_FAIL)
                *timeout_ns = 0;
        return shmb__wait(r, timeout_ns);
}
