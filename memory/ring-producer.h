/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Producer's End of a Ring
 *
 * Owns one lane. `tail` is written by nobody else, so the private copy is the truth; `limit` is how
 * far it may go by the newest head that was believed. Room is looked for only when the limit is
 * reached.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory/atomics.h"
#include "memory/geometry.h"
#include "memory/layout.h"
#include "memory/mapped.h"
#include "memory/ring.h"
#include "memory/sleep.h"
#include "memory/slots.h"

/* One seat as this producer sees it. */
typedef struct ShmbRingSeat {
        const ShmbPlace *place; /* of our lane */
        const _Atomic uint32_t *newest;
        const ShmbBell *bell;
        uint64_t head;  /* newest `head` that was believed; never goes back */
        uint64_t freed; /* newest `head` or `done` that was; items below are not needed any more */
        uint64_t lease; /* broadcast: of whom we count; 0: of nobody */
        uint32_t epoch;
        bool lost; /* broadcast: its holder lied, and holds back nothing any more */
} ShmbRingSeat;

typedef struct ShmbRingProducer {
        uint64_t tail;
        uint64_t limit;
        uint64_t mask; /* capacity - 1 */
        uint64_t warm_mask; /* items between two calls of shmb_ring_producer_warm(), less one */
        uint8_t *slots;
        ShmbLane *lane;
        uint32_t stride, item_size;
        uint64_t n_wanted;  /* slots that are room enough; stream: those of a frame */
        uint32_t n_claimed; /* slots of the span that the caller holds */
        uint32_t n_seats;
        uint32_t lane_index, epoch;
        bool admits; /* broadcast: a seat counts from its admission on */
        const _Atomic uint32_t *newest; /* epoch of our lane, by the broker */
        uint64_t seat_size;
        bool poisoned;
        /* queue: items below have memory behind them; NULL: all have */
        const _Atomic uint64_t *backed;
        uint64_t ahead;  /* so many before that, more is to be asked for */
        uint64_t hungry; /* at which `backed` more is wanted; 0: it is not */
        /* consumers compete: what is done stands in the group; words is NULL where they do not */
        ShmbSlots group;
        const _Atomic uint32_t *group_newest;
        uint32_t group_epoch;
        uint64_t group_freed;
        ShmbWaker waker; /* who may sleep until we publish: one peer a seat */
        ShmbRingSeat seats[SHMB_SEATS_MAX];
} ShmbRingProducer;

/**
 * shmb_ring_producer_init() - take over a lane that nobody else writes
 * @producer: to fill in
 * @geometry: sealed, as the broker said it
 * @lane_index: which lane
 * @lane: it, mapped read-write; @lane->epoch is taken as the lane's epoch
 * @seats: geometry->n_seats of them, mapped read-only; all outlive the handle
 * @fence_always: see shmb_waker_init()
 *
 * A predecessor's tail is adopted if it agrees with what the seats say.
 *
 * Return: 0; -EINVAL (geometry is no ring, an index, length or alignment does not fit it); -EBADMSG
 * (the tail that stands there is out of bounds: have the broker replace the lane). Nothing is
 * written to the lane on failure.
 */
int shmb_ring_producer_init(ShmbRingProducer *producer, const ShmbGeometry *geometry,
                            uint32_t lane_index, const ShmbMapped *lane, const ShmbMapped *seats,
                            bool fence_always);

/**
 * shmb_ring_producer_set_backed() - the lane is one of a queue
 * @producer: fresh
 * @backed: word of the broker in control, as ShmbParty has it
 *
 * No slot beyond it is touched. When the last @ahead items below it are begun, `hungry` says so,
 * and who called asks the broker.
 *
 * Return: 0; -EBADMSG (our tail is beyond it).
 */
int shmb_ring_producer_set_backed(ShmbRingProducer *producer, const _Atomic uint64_t *backed,
                                  uint64_t ahead);

/**
 * shmb_ring_producer_admit() - reliable broadcast: who is on a seat now
 * @index: which seat
 * @lease: of its holder, as the broker says; 0: nobody, who holds back nothing
 * @resume: we have just taken the lane over: who was admitted by our predecessor goes on
 *
 * A new holder counts from the next item on, and finds that said in our lane (joins). One whose
 * head is out of bounds holds back nothing; said once, as -EBADMSG of the operation that found it.
 */
void shmb_ring_producer_admit(ShmbRingProducer *producer, uint32_t index, uint64_t lease,
                             bool resume);

/**
 * shmb_ring_producer_set_group() - consumers compete; again when the group was replaced
 * @producer: fresh, or one that had another group
 * @group: mapped read-only
 *
 * Return: 0; -EINVAL (too short, or not aligned); fresh: -EBADMSG (our tail fits no words there).
 */
int shmb_ring_producer_set_group(ShmbRingProducer *producer, const ShmbGeometry *geometry,
                                 const ShmbMapped *group);

/**
 * shmb_ring_producer_switch_seat() - go on with the object that replaced a seat
 * @index: which seat
 * @seat: its newest object, mapped read-only; the old one may be unmapped afterwards
 *
 * Return: 0; -EINVAL (too short, or not aligned). Lifts the poison that the old object brought.
 */
int shmb_ring_producer_switch_seat(ShmbRingProducer *producer, uint32_t index,
                                   const ShmbMapped *seat);

/**
 * shmb_ring_producer_look() - look for room beyond the limit
 * @look: how closely
 *
 * Return: 0 (there is room for an item at least); -EAGAIN (full, or a seat was replaced and its new
 * object must be fetched first); -EBADMSG (a consumer broke the protocol; from now on always).
 */
int shmb_ring_producer_look(ShmbRingProducer *producer, ShmbRingLook look);

/**
 * shmb_ring_producer_lose() - the memory of a seat is not what it was
 *
 * As if its consumer had broken the protocol. Harmless if that was known.
 *
 * Return: -EBADMSG.
 */
int shmb_ring_producer_lose(ShmbRingProducer *producer);

/* Push of more items than the limit allows, or than stand before the end of the slots. */
int shmb_ring_push_slow(ShmbRingProducer *producer, const void *items, uint32_t n,
                        ShmbRingLook look);

/* S1 of memory/sleep.h: bells that ring when there may be room; the caller adds news. How many. */
uint32_t shmb_ring_producer_words(const ShmbRingProducer *producer, ShmbSleepWord *ret_words);

/**
 * shmb_ring_producer_warm() - fetch the lines of the slots that come after the next ones
 *
 * Their consumer has read them last, so each must be taken back from his processor before it can be
 * written. Stores to one line after the other overlap these moves; items published one by one have
 * a store of tail in between, and then they do not. So now and then the first word of each line of
 * a whole block is written in advance, in slots that are free: whatever stands there means nothing.
 */
void shmb_ring_producer_warm(ShmbRingProducer *producer);

/* Publishes what stands in slots [tail, tail + n). */
static inline void shmb_ring_producer_publish(ShmbRingProducer *producer, uint32_t n) {
        ShmbCounters *counters = &producer->lane->counters;

        producer->tail += n;
        /* release: publishes the items below tail; pairs with acquire of tail in
         * consumer_read_tail() */
        shmb_store_release(&producer->lane->tail, producer->tail);
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(&counters->n_items, shmb_load_relaxed(&counters->n_items) + n);
}

/**
 * shmb_ring_claim_n() - slots to fill in place
 * @n: how many are wanted
 * @ret_span: 1 to @n contiguous slots, fewer at the end of the slots or where there is less room
 *
 * Nobody sees them before shmb_ring_commit_n(). A second claim gives the same slots again.
 *
 * Return: how many (0 only for @n 0); -EAGAIN (full); -EBADMSG.
 */
static inline int shmb_ring_claim_n(ShmbRingProducer *producer, uint32_t n, ShmbRingLook look,
                                    ShmbRingSpan *ret_span) {
        uint64_t index = producer->tail & producer->mask;
        uint64_t room, straight = producer->mask + 1 - index;
        int r;

        if (shmb_unlikely(producer->limit - producer->tail < n)) {
                r = shmb_ring_producer_look(producer, look);
                if (r < 0)
                        return r;
        }
        room = producer->limit - producer->tail;
        if (n > INT32_MAX)
                n = INT32_MAX;
        if (n > room)
                n = (uint32_t)room;
        if (n > straight)
                n = (uint32_t)straight;
        producer->n_claimed = n;
        *ret_span = (ShmbRingSpan){producer->slots + index * producer->stride, n};
        return (int)n;
}

/**
 * shmb_ring_commit_n() - publish the first @n slots of the span that is held, and give back the
 * rest
 *
 * Then shmb_waker_look(&producer->waker, seat) for each seat.
 *
 * Return: 0; -EINVAL (more than were claimed; the span stays held).
 */
static inline int shmb_ring_commit_n(ShmbRingProducer *producer, uint32_t n) {
        if (n > producer->n_claimed)
                return -EINVAL;
        producer->n_claimed = 0;
        if (n > 0)
                shmb_ring_producer_publish(producer, n);
        return 0;
}

/* shmb_ring_abort() - give back all slots of the span that is held; nobody ever sees them. */
static inline void shmb_ring_abort(ShmbRingProducer *producer) {
        producer->n_claimed = 0;
}

/**
 * shmb_ring_push_n() - copy items in
 * @items: @n of them, item_size apart
 *
 * Then shmb_waker_look(&producer->waker, seat) for each seat.
 *
 * Return: how many were published (less than @n where there is less room, 0 only for @n 0); -EAGAIN
 * (full); -EBADMSG; -EBUSY (a claimed span is held).
 */
static inline int shmb_ring_push_n(ShmbRingProducer *producer, const void *items, uint32_t n,
                                   ShmbRingLook look) {
        uint8_t *slot = producer->slots + (producer->tail & producer->mask) * producer->stride;

        if (shmb_unlikely(n != 1 || producer->limit == producer->tail || producer->n_claimed != 0))
                return shmb_ring_push_slow(producer, items, n, look);
        shmb_ring_copy_item(slot, items, producer->item_size);
        shmb_ring_producer_publish(producer, 1);
        if (shmb_unlikely((producer->tail & producer->warm_mask) == 0))
                shmb_ring_producer_warm(producer);
        return 1;
}
