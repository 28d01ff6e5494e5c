/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Waiting and Waking: the system calls around memory/sleep.h
 */

#include "client/region.h"

/**
 * shmb__wait() - until the ring has what its user needs, or something is to be said
 * @r:          producer (needs room) or consumer (needs items) that found nothing
 * @timeout_ns: 0 looks once more and closer, negative waits for ever; what is left of it comes back
 *
 * Spins for as long as that was worth it lately, then sleeps in slices of at most 100 ms, after
 * each of which everything is looked at again: a wake-up that a hostile reader of the region stole
 * costs time, never the item (FACTS 5). System calls that a signal interrupts are taken up again.
 *
 * Return: 0, and the operation will find what it needs; -EAGAIN (@timeout_ns 0 only); -ETIMEDOUT;
 * -EOWNERDEAD, -EPIPE, -ESTALE, -EIDRM, -ESHUTDOWN, -EBADMSG: see <shmbroker.h>.
 */
int shmb__wait(struct shmb_region *r, int64_t *timeout_ns);

/**
 * shmb__wait_room() - shmb__wait() of a producer, as the region's overflow says
 * @n:          how many items or messages find no room
 *
 * Return: 0 (there is room); 1 (all @n are thrown away, and counted); else as shmb__wait().
 */
int shmb__wait_room(struct shmb_region *r, uint32_t n, int64_t *timeout_ns);

/* S3 of memory/sleep.h: membarrier(2), or a fence where our wakers fence. */
void shmb__wait_barrier(struct shmb_region *r);

/* What shmb__wait() would say now, -EAGAIN if it would wait. */
int shmb__judge(struct shmb_region *r);

/* W5: wake up to @n of those who sleep on a bell that was changed before. Return: how many. */
int shmb__ring(const _Atomic uint32_t *bell, int n);

/*
 * After items were published or released: ring for who sleeps and was not rung for yet. Return: 0,
 * or, to a consumer, -EBADMSG: what it read was lost, and was no items.
 */
int shmb__wake(struct shmb_region *r);

/* shmb__wake() of a ring with one consumer, without a call as long as nobody sleeps. */
static inline int shmb__wake_consumers(struct shmb_region *r) {
        uint32_t i, any = 0;

        for (i = 0; i < r->n_seats; i++)
                any |= shmb_waker_read(&r->producer.waker, i);
        any |= shmb__has_lost(r);
        return shmb_unlikely(any & 1) ? shmb__wake(r) : 0;
}

/* The same for the consumer: the producer of the lane whose turn it was. */
static inline int shmb__wake_producer(struct shmb_region *r) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);
        uint32_t seq = shmb_waker_read(&r->consumer.waker, lane);

        return shmb_unlikely((seq | shmb__has_lost(r)) & 1) ? shmb__wake(r) : 0;
}
