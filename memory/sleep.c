/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sleeping and Waking, the pure half
 *
 * The steps S1-S6 and W1-W5 of memory/sleep.h. Nothing here waits: the caller makes the system
 * calls. A peer's seq is only compared, so no value of it can do harm; the worst that a hostile
 * peer gets is one wake-up call for each time that it changes it.
 */

#include "memory/sleep.h"

void shmb_sleeper_init(ShmbSleeper *sleeper, ShmbSleep *own, bool fence) {
        /* relaxed: only we write it; the broker ordered our predecessor before us */
        uint32_t seq = shmb_load_relaxed(&own->seq);

        *sleeper = (ShmbSleeper){.own = own, .seq = seq + (seq & 1)};
        /* relaxed: a waker that misses it once, misses it for the microseconds in which its store
         * buffer drains, and our wait is bounded */
        shmb_store_relaxed(&own->flags, fence ? (uint32_t)SHMB_SLEEP_FENCE : 0);
        /* release: the flag stands before any seq of ours; pairs with nothing stronger than W3 */
        shmb_store_release(&own->seq, sleeper->seq);
}

void shmb_sleeper_poll(ShmbSleeper *sleeper) {
        _Atomic uint32_t *flags = &sleeper->own->flags;

        /* release: stands before any seq that makes a waker look at it; relaxed load: only we
         * write it */
        shmb_store_release(flags, shmb_load_relaxed(flags) | SHMB_SLEEP_POLL);
}

void shmb_sleep_enter(ShmbSleeper *sleeper) {
        sleeper->seq += 1 + (sleeper->seq & 1);
        /* release: S1 stays above; S3, the caller's barrier, orders it before S4 */
        shmb_store_release(&sleeper->own->seq, sleeper->seq);
}

void shmb_sleep_leave(ShmbSleeper *sleeper) {
        if (!(sleeper->seq & 1))
                return;
        sleeper->seq++;
        /* relaxed: whoever still sees the odd one rings once too often */
        shmb_store_relaxed(&sleeper->own->seq, sleeper->seq);
}

void shmb_waker_init(ShmbWaker *waker, ShmbBell *own, _Atomic uint64_t *n_wakes,
                     bool fence_always) {
        *waker = (ShmbWaker){.own = own, .n_wakes = n_wakes, .fence_always = fence_always};
}

void shmb_waker_set_bells(ShmbWaker *waker, _Atomic uint32_t *bells) {
        waker->bells = bells;
}

void shmb_waker_set_peer(ShmbWaker *waker, uint32_t index, const ShmbSleep *peer) {
        waker->peers[index] = peer;
        /* even: equal to no seq that is rung for */
        waker->woken[index] = 0;
}

bool shmb_waker_ring(ShmbWaker *waker, uint32_t index, uint32_t seq) {
        _Atomic uint32_t *bell = waker->bells ? &waker->bells[index] : &waker->own->bell;

        if (seq == waker->woken[index])
                return false;
        waker->woken[index] = seq;
        /* release: whoever wakes by it sees what was published before; relaxed load: only we write
         * it */
        shmb_store_release(bell, shmb_load_relaxed(bell) + 1);
        /* relaxed: for display */
        shmb_store_relaxed(waker->n_wakes, shmb_load_relaxed(waker->n_wakes) + 1);
        return true;
}
