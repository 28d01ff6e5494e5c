/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Broadcast without Regard for the Slow, and the Latest Value
 *
 * One producer writes a lane, any number of consumers read it, and none of them holds him back. So
 * an item may be overwritten while it is read, which is found out afterwards:
 *
 *     producer                                  consumer
 *     P1 store claimed = tail + n (relaxed)     C1 load tail (acquire)
 *     P2 release fence                          C2 copy item i, i < tail
 *     P3 fill the slots                         C3 acquire fence
 *     P4 store tail + n (release)               C4 load claimed (relaxed)
 *                                               C5 whole if claimed - i <= capacity
 *
 * If C2 saw anything of P3, then C4 sees P1 (the fences pair), and C5 says no. What is copied at
 * the same time as it is written is copied in relaxed atomic words (memory/copy.h).
 *
 * `broadcast` shows every item that is still there, and counts what is not; `latest` shows the
 * newest, and its capacity need not be a power of two. A consumer's place is for display only.
 * Killed at any instruction a producer leaves `claimed` ahead of `tail`: what those slots held is
 * gone, and nothing half written is ever taken for whole.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory/atomics.h"
#include "memory/geometry.h"
#include "memory/layout.h"
#include "memory/mapped.h"
#include "memory/ring-consumer.h"
#include "memory/ring.h"
#include "memory/sleep.h"

typedef struct ShmbCastProducer {
        ShmbLane *lane;
        uint64_t tail, claimed;
        uint64_t capacity;
        uint32_t stride, item_size;
        uint32_t n_claimed; /* slots of the span that the caller holds */
        ShmbWaker waker;
} ShmbCastProducer;

typedef struct ShmbCastCursor {
        const ShmbLane *lane;
        const _Atomic uint32_t *newest;
        ShmbPlace *place;
        uint64_t next; /* the first item that was not taken */
        uint64_t tail; /* newest that was believed; never goes back */
        uint32_t epoch;
        bool last, poisoned;
} ShmbCastCursor;

typedef struct ShmbCastConsumer {
        ShmbSeat *seat;
        uint8_t *copies; /* the caller's: room for n_copies_max items, stride apart */
        uint64_t capacity;
        uint64_t n_missed; /* items that this consumer did not get */
        uint32_t n_copies_max;
        uint32_t stride, item_size;
        uint32_t n_lanes, turn; /* the lane to look at first */
        uint32_t n_peeked, n_copied; /* of what is in copies */
        uint32_t n_poison_unsaid;
        bool newest_only; /* latest */
        uint64_t lane_size;
        ShmbCastCursor cursors[SHMB_LANES_MAX];
} ShmbCastConsumer;

/**
 * shmb_cast_producer_init() - take over a lane that nobody else writes
 *
 * Return: 0; -EINVAL (geometry is neither lossy broadcast nor latest, a length does not fit);
 * -EBADMSG (what stands there is out of bounds).
 */
int shmb_cast_producer_init(ShmbCastProducer *producer, const ShmbGeometry *geometry,
                            const ShmbMapped *lane, const ShmbMapped *seats, bool fence_always);

/* shmb_cast_publish() - copy @n items in; always all of them. Return: @n */
int shmb_cast_publish(ShmbCastProducer *producer, const void *items, uint32_t n);

/* shmb_cast_claim() - slots to fill in place, 1 to @n; what they held is gone. Return: how many */
int shmb_cast_claim(ShmbCastProducer *producer, uint32_t n, ShmbRingSpan *ret_span);

/* shmb_cast_commit() - publish the first @n of them, none for 0. 0; -EINVAL (more than claimed) */
int shmb_cast_commit(ShmbCastProducer *producer, uint32_t n);

/**
 * shmb_cast_consumer_init() - take over a seat
 * @copies: room for @n_copies_max items, stride apart, for shmb_cast_peek(); outlives the handle
 *
 * Begins behind what is there; with `latest`, at the value that there is.
 *
 * Return: 0; -EINVAL.
 */
int shmb_cast_consumer_init(ShmbCastConsumer *consumer, const ShmbGeometry *geometry,
                            const ShmbMapped *seat, const ShmbMapped *lanes, uint8_t *copies,
                            uint32_t n_copies_max);

/* 0; -EAGAIN; -EBADMSG (a producer broke the protocol: once for each lane, always where all did) */
int shmb_cast_look(ShmbCastConsumer *consumer);

/* shmb_cast_read() - copy up to @n items of one lane out, and count them as taken. As pop. */
int shmb_cast_read(ShmbCastConsumer *consumer, void *ret_items, uint32_t n);

/* shmb_cast_peek() - the same into `copies`; taken with shmb_cast_release() */
int shmb_cast_peek(ShmbCastConsumer *consumer, uint32_t n, ShmbRingSpan *ret_span);
int shmb_cast_release(ShmbCastConsumer *consumer, uint32_t n);

/* As the functions of memory/ring-consumer.h. */
int shmb_cast_switch_lane(ShmbCastConsumer *consumer, uint32_t index, const ShmbMapped *lane);
int shmb_cast_trust_lane(ShmbCastConsumer *consumer, uint32_t index);
int shmb_cast_lose(ShmbCastConsumer *consumer, uint32_t index);
uint32_t shmb_cast_words(const ShmbCastConsumer *consumer, ShmbSleepWord *ret_words);
