/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sleeping and Waking, the pure half
 *
 * Two words. The sleeper publishes an odd `sleep.seq` in its own object and waits on the `bell` of
 * each peer that may wake it, and on `news` in control; a waker changes its own `bell` and wakes
 * whoever waits on it. Each word has one writer, each futex is mapped read-only by the one who
 * waits on it.
 *
 *     sleeper                                     waker
 *     S1 load bells and news                      W1 store tail (or done), release
 *     S2 seq++ (odd)                              W2 compiler barrier
 *     S3 membarrier(GLOBAL_EXPEDITED)             W3 load seq; even, or the one last woken: return
 *     S4 look at ring and control again           W4 bell++
 *     S5 futex_waitv(words == values of S1)       W5 futex_wake(bell)
 *     S6 seq++ (even)
 *
 * Dekker, sleep.seq against tail: if S4 does not see W1, then W1 was not visible at S3; the barrier
 * of S3 runs on the waker's processor after S2, so W3, which follows W1, comes after it and sees
 * the odd seq. Then W4 changes a value of S1: either S5 sees that and returns at once, or it
 * already waits and W5 ends it. A bell that already rang for this seq cannot be lost either: W4
 * came after S2, so after S1.
 *
 * Where the sleeper may not call membarrier it says so (SHMB_SLEEP_FENCE) and its wakers put a full
 * fence for W2; the sleeper's S3 is then a full fence as well. A waker whose process is not
 * registered for membarrier fences always.
 *
 * Every wait is bounded (100 ms) all the same: a hostile reader can steal a wake-up, FACTS 5.
 *
 * System calls are made by the caller: client/wait.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/atomics.h"
#include "memory/layout.h"
#include "protocol/limits.h"

/* One word to wait on and the value with which it says that nothing happened. */
typedef struct ShmbSleepWord {
        const _Atomic uint32_t *word;
        uint32_t value;
} ShmbSleepWord;

enum {
        SHMB_SLEEP_PEERS_MAX = SHMB_LANES_MAX > SHMB_SEATS_MAX ? SHMB_LANES_MAX : SHMB_SEATS_MAX,
        /* Bells of all lanes and of all other seats, and news: just FUTEX_WAITV_MAX. */
        SHMB_SLEEP_WORDS_MAX = SHMB_LANES_MAX + SHMB_SEATS_MAX,
};

typedef struct ShmbSleeper {
        ShmbSleep *own;
        uint32_t seq; /* what stands in own->seq */
} ShmbSleeper;

/* One waker and all who may wait for it. */
typedef struct ShmbWaker {
        ShmbBell *own;
        _Atomic uint32_t *bells;   /* where each peer has one of its own: by index; or NULL */
        _Atomic uint64_t *n_wakes; /* our counter of it */
        bool fence_always;         /* our process is not registered for membarrier */
        const ShmbSleep *peers[SHMB_SLEEP_PEERS_MAX];
        uint32_t woken[SHMB_SLEEP_PEERS_MAX]; /* seq of each peer that we last rang for */
} ShmbWaker;

/**
 * shmb_sleeper_init() - take over the sleep words of our own object
 * @sleeper: to fill in
 * @own: in our own object, mapped writable; a dead predecessor's values may stand there
 * @fence: we may not call membarrier(2), our wakers shall fence
 *
 * Goes on from the seq that stands there, made even: a waker that remembers the predecessor's last
 * sleep does not take our first one for it.
 */
void shmb_sleeper_init(ShmbSleeper *sleeper, ShmbSleep *own, bool fence);

/*
 * shmb_sleeper_poll() - we poll a descriptor: who wakes us writes to it as well (client/poll.h).
 * From now on; there is no way back.
 */
void shmb_sleeper_poll(ShmbSleeper *sleeper);

/**
 * shmb_sleep_enter() - S2: say that we are about to sleep
 *
 * Call with the words of S1 already loaded (shmb_ring_producer_words(), shmb_ring_consumer_words(),
 * news). The caller then puts S3: membarrier(2), or shmb_fence_full() if it passed @fence above.
 */
void shmb_sleep_enter(ShmbSleeper *sleeper);

/* shmb_sleep_leave() - S6: awake; harmless where shmb_sleep_enter() was not called. */
void shmb_sleep_leave(ShmbSleeper *sleeper);

/**
 * shmb_waker_init() - a waker without peers
 * @own: bell of our own object; it goes on from the value that stands there
 * @n_wakes: counter in our own object
 * @fence_always: our process is not registered with MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
 */
void shmb_waker_init(ShmbWaker *waker, ShmbBell *own, _Atomic uint64_t *n_wakes,
                     bool fence_always);

/*
 * shmb_waker_set_bells() - one bell for each peer, in our own object: whoever is rung for is woken
 * alone
 */
void shmb_waker_set_bells(ShmbWaker *waker, _Atomic uint32_t *bells);

/* shmb_waker_set_peer() - who sleeps at @index from now on; nothing was rung for it yet. */
void shmb_waker_set_peer(ShmbWaker *waker, uint32_t index, const ShmbSleep *peer);

/* The part of W3 and W4 that is taken only when the peer does sleep. */
bool shmb_waker_ring(ShmbWaker *waker, uint32_t index, uint32_t seq);

/**
 * shmb_waker_read() - W2 and W3: the seq of a peer, read behind what was just stored
 * @index: of the peer that may wait for it
 *
 * Costs one load of a line that nobody writes as long as nobody sleeps. Odd: shmb_waker_look().
 */
static inline uint32_t shmb_waker_read(const ShmbWaker *waker, uint32_t index) {
        const ShmbSleep *peer = waker->peers[index];

        /* compiler: keeps the publishing store before the load of seq; the processor's own
         * reordering is undone by S3 (Dekker: sleep.seq against tail, above) */
        shmb_fence_compiler();
        /* relaxed: constant while its owner lives, decides only who pays for the fence */
        if (shmb_unlikely(waker->fence_always ||
                          (shmb_load_relaxed(&peer->flags) & SHMB_SLEEP_FENCE)))
                shmb_fence_full();
        /* relaxed: ordered after the publishing store by the above; nothing is read through it */
        return shmb_load_relaxed(&peer->seq);
}

/**
 * shmb_waker_look() - W2 to W4, after each commit or release
 * @index: of the peer that may wait for what was just stored
 *
 * Return: true if the caller must now FUTEX_WAKE (all) our bell; false if nobody needs it.
 */
static inline bool shmb_waker_look(ShmbWaker *waker, uint32_t index) {
        uint32_t seq = shmb_waker_read(waker, index);

        return shmb_unlikely(seq & 1) && shmb_waker_ring(waker, index, seq);
}
