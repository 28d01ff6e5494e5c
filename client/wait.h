/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Waiting and Waking: the system calls around memory/sleep.h
 */

#include "client/region.h"

/**
 * shmb__wait() - until the ring has what its user needs, or something is to be said
 * @r:          producer (needs room) or consumer (needs items) that found nothing
 * @timeout_ns: 0 looks once more and closer, negative waits for ever
 *
 * Spins for as long as that was worth it lately, then sleeps in slices of at most 100 ms, after
 * each of which everything is looked at again: a wake-up that a hostile reader of the region stole
 * costs time, never the item (FACTS 5). System calls that a signal interrupts are taken up again.
 *
 * Return: 0, and the operation will find what it needs; -EAGAIN (@timeout_ns 0 only); -ETIMEDOUT;
 * -EOWNERDEAD, -EPIPE, -ESTALE, -EIDRM, -ESHUTDOWN, -EBADMSG: see <shmbroker.h>.
 */
int shmb__wait(struct shmb_region *r, int64_t timeout_ns);

/* What shmb__wait() would say now, -EAGAIN if it would wait. */
int shmb__judge(struct shmb_region *r);

/* W5 of memory/sleep.h: everybody who sleeps on our bell. */
void shmb__ring_bell(ShmbBell *bell);

/* After items were published: whoever may sleep for them. One load a seat while nobody does. */
static inline void shmb__wake_consumers(struct shmb_region *r) {
        bool wake = false;
        uint32_t i;

        for (i = 0; i < r->n_seats; i++)
                wake |= shmb_waker_look(&r->producer.waker, i);
        if (shmb_unlikely(wake))
                shmb__ring_bell(r->producer.waker.own);
}

/* After items were released: the producer of the lane whose turn it was. */
static inline void shmb__wake_producer(struct shmb_region *r) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        if (shmb_unlikely(shmb_waker_look(&r->consumer.waker, lane)))
                shmb__ring_bell(r->consumer.waker.own);
}
