/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Consumer's End of a Ring
 *
 * Owns one seat, and a place in each lane. Lanes take turns, each a bounded number of items that
 * were there when it was looked at: order is kept within a lane, and no lane starves.
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

/* Our place in one lane. */
typedef struct ShmbRingCursor {
        uint64_t next; /* first item not yet released: `done` in our seat */
        uint64_t edge; /* items below may be handed out in this turn; tail, or less */
        uint64_t tail; /* newest that was believed; never goes back */
        uint64_t head; /* as it stands in our seat */
        uint64_t taken;
        const uint8_t *slots;
        ShmbPlace *place;
        const ShmbLane *lane;
        const _Atomic uint32_t *newest;
        const _Atomic uint64_t *backed; /* queue: no item lies beyond it; NULL: no such bound */
        uint32_t epoch;
        bool last;     /* the lane was replaced: `tail` is the last that is believed */
        bool poisoned; /* its producer broke the protocol */
        bool joined;   /* reliable broadcast: admitted; elsewhere always */
        bool patient;  /* batches form while we wait a little: shmb_ring_consumer_look() */
        uint32_t n_small;   /* looks that found few items, since the last try to be patient */
        uint32_t small_max; /* as many are worth a try */
        uint32_t n_pauses;  /* in which a batch forms */
} ShmbRingCursor;

typedef struct ShmbRingConsumer {
        ShmbRingCursor *cursor; /* whose turn it is; one of `cursors`, so a handle stays in place */
        uint64_t mask;          /* capacity - 1 */
        uint64_t head_every;    /* items between two stores of head */
        ShmbSeat *seat;
        uint32_t stride, item_size;
        uint32_t n_peeked;  /* items of the span that the caller holds */
        uint32_t batch_min; /* items that are worth a look at tail */
        uint32_t n_lanes, n_poisoned, n_poison_unsaid;
        bool counts_bytes;  /* stream */
        uint64_t turn_max, lane_size; /* items of one turn; bytes */
        uint64_t lease; /* broadcast: ours, by which producers admit us */
        uint32_t index; /* broadcast: our seat */
        bool joins;     /* broadcast: begins where each producer says */
        ShmbWaker waker; /* who may sleep until we release: one peer a lane */
        ShmbRingCursor cursors[SHMB_LANES_MAX];
} ShmbRingConsumer;

/* What to do about a place in our own seat that does not fit what its lane says. */
typedef enum ShmbRingResume {
        SHMB_RING_STRICT, /* -EBADMSG */
        SHMB_RING_RESYNC, /* go on at the lane's tail; what was in flight counts as missed */
} ShmbRingResume;

/**
 * shmb_ring_consumer_init() - take over a seat that nobody else writes
 * @consumer: to fill in
 * @geometry: sealed, as the broker said it
 * @seat: it, mapped read-write
 * @lanes: geometry->n_lanes of them, mapped read-only; all outlive the handle
 * @resume: what to do about bounds
 * @fence_always: see shmb_waker_init()
 *
 * Goes on at `done` of each place that belongs to its lane's epoch, else at 0. What a predecessor
 * took and did not release comes again and is counted (n_redelivered).
 *
 * Return: 0; -EINVAL (geometry is no ring, a length or alignment does not fit it); -EBADMSG (a
 * place is out of bounds and @resume is strict; nothing was written).
 */
int shmb_ring_consumer_init(ShmbRingConsumer *consumer, const ShmbGeometry *geometry,
                            const ShmbMapped *seat, const ShmbMapped *lanes, ShmbRingResume resume,
                            bool fence_always);

/**
 * shmb_ring_consumer_switch_lane() - go on with the object that replaced a lane
 * @index: which lane
 * @lane: its newest object, mapped read-only; the old one may be unmapped after success
 *
 * The old object is drained first, up to the tail that was read last.
 *
 * Return: 0; -EAGAIN (items are left in it: pop, then call again); -EBUSY (a span of it is held);
 * -EINVAL (too short, or not aligned). Lifts the poison that the old object brought.
 */
int shmb_ring_consumer_switch_lane(ShmbRingConsumer *consumer, uint32_t index,
                                   const ShmbMapped *lane);

/* Reliable broadcast, before anything else is done: who we are. */
void shmb_ring_consumer_set_lease(ShmbRingConsumer *consumer, uint32_t index, uint64_t lease);

/*
 * A lane is one of a queue, anew after each switch: @backed is the word in control, and a turn ends
 * after @turn_max items, so that memory can be given back.
 */
void shmb_ring_consumer_set_backed(ShmbRingConsumer *consumer, uint32_t index,
                                   const _Atomic uint64_t *backed, uint64_t turn_max);

/* The broker gave a lane to another holder: forget what the last one said, look anew from our
 * `done`. Return: 0; -EBUSY (a span of it is held); -EINVAL. */
int shmb_ring_consumer_trust_lane(ShmbRingConsumer *consumer, uint32_t index);

/**
 * shmb_ring_consumer_look() - find a lane with items, and give it the turn
 *
 * The only lane is asked for more than what is known of it; several take turns, and one that has
 * items left keeps its turn. Publishes `head` where it lags when there is none, so nothing more is
 * needed before sleeping. May wait some pauses, so that a batch forms.
 *
 * Return: 0; -EAGAIN (nothing there); -EBADMSG (a producer broke the protocol: said once for each
 * lane while others are sound, always when none is).
 */
int shmb_ring_consumer_look(ShmbRingConsumer *consumer);

/* The memory of a lane is not what it was: poison it. Return: -EBADMSG (it was its turn: hereby it
 * is said); 0 (a look will say it, or has said it). */
int shmb_ring_consumer_lose(ShmbRingConsumer *consumer, uint32_t index);

/* Pop of other than one item. */
int shmb_ring_pop_slow(ShmbRingConsumer *consumer, void *ret_items, uint32_t n);

/* S1 of memory/sleep.h: the bells that ring when there may be items; the caller adds news. Return:
 * how many words. */
uint32_t shmb_ring_consumer_words(const ShmbRingConsumer *consumer, ShmbSleepWord *ret_words);

/* shmb_ring_consumer_lane() - whose turn it is: the peer to wake after a release, by its index. */
static inline uint32_t shmb_ring_consumer_lane(const ShmbRingConsumer *consumer) {
        return (uint32_t)(consumer->cursor - consumer->cursors);
}

/* Says that the next @n items are about to be looked at. */
static inline void shmb_ring_consumer_take(ShmbRingCursor *cursor, uint32_t n) {
        if (n > cursor->taken - cursor->next) {
                cursor->taken = cursor->next + n;
                /* relaxed: read by a successor only, whom the broker orders after our death */
                shmb_store_relaxed(&cursor->place->taken, cursor->taken);
        }
        /* compiler: a kill between two instructions must not find the item read and not taken */
        shmb_fence_compiler();
}

/* Gives the next @n items back to the producer. */
static inline void shmb_ring_consumer_done(ShmbRingConsumer *consumer, ShmbRingCursor *cursor,
                                           uint32_t n) {
        ShmbCounters *counters = &consumer->seat->counters;

        cursor->next += n;
        /* release: our reads of the items come before; pairs with acquire of done in
         * producer_read_head() */
        shmb_store_release(&cursor->place->done, cursor->next);
        if (cursor->next - cursor->head >= consumer->head_every) {
                cursor->head = cursor->next;
                /* release: as done; pairs with acquire of head in producer_read_head() */
                shmb_store_release(&cursor->place->head, cursor->head);
        }
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(&counters->n_items, shmb_load_relaxed(&counters->n_items) + n);
}

/**
 * shmb_ring_peek_n() - items to read in place
 * @n: how many are wanted
 * @ret_span: 1 to @n contiguous items of one lane
 *
 * They stay where they are until shmb_ring_release_n(); a second peek gives the same items again.
 *
 * Return: how many (0 only for @n 0); -EAGAIN (nothing there); -EBADMSG.
 */
static inline int shmb_ring_peek_n(ShmbRingConsumer *consumer, uint32_t n, ShmbRingSpan *ret_span) {
        ShmbRingCursor *cursor = consumer->cursor;
        uint64_t index, straight;
        int r;

        if (shmb_unlikely(cursor->edge - cursor->next < n)) {
                r = shmb_ring_consumer_look(consumer);
                if (r < 0)
                        return r;
                cursor = consumer->cursor;
        }
        index = cursor->next & consumer->mask;
        straight = consumer->mask + 1 - index;
        if (n > INT32_MAX)
                n = INT32_MAX;
        if (n > cursor->edge - cursor->next)
                n = (uint32_t)(cursor->edge - cursor->next);
        if (n > straight)
                n = (uint32_t)straight;
        shmb_ring_consumer_take(cursor, n);
        consumer->n_peeked = n;
        /* The span is shared with the writable kind; the mapping itself is read-only. */
        *ret_span = (ShmbRingSpan){(uint8_t *)cursor->slots + index * consumer->stride, n};
        return (int)n;
}

/**
 * shmb_ring_release_n() - give the first @n items of the span that is held back to the producer
 *
 * The rest is no longer held; the next peek shows it again. Then
 * shmb_waker_look(&consumer->waker, shmb_ring_consumer_lane(consumer)).
 *
 * Return: 0; -EINVAL (more than were peeked; the span stays held).
 */
static inline int shmb_ring_release_n(ShmbRingConsumer *consumer, uint32_t n) {
        if (n > consumer->n_peeked)
                return -EINVAL;
        consumer->n_peeked = 0;
        if (n > 0)
                shmb_ring_consumer_done(consumer, consumer->cursor, n);
        return 0;
}

/**
 * shmb_ring_pop_n() - copy items out, and release them
 * @ret_items: room for @n items, item_size apart
 *
 * Then shmb_waker_look(&consumer->waker, shmb_ring_consumer_lane(consumer)).
 *
 * Return: how many (all of one lane, 0 only for @n 0); -EAGAIN (nothing there); -EBADMSG; -EBUSY (a
 * peeked span is held).
 */
static inline int shmb_ring_pop_n(ShmbRingConsumer *consumer, void *ret_items, uint32_t n) {
        ShmbRingCursor *cursor = consumer->cursor;
        int r;

        if (shmb_unlikely(n != 1 || consumer->n_peeked != 0))
                return shmb_ring_pop_slow(consumer, ret_items, n);
        if (shmb_unlikely(cursor->edge == cursor->next)) {
                r = shmb_ring_consumer_look(consumer);
                if (r < 0)
                        return r;
                cursor = consumer->cursor;
        }
        shmb_ring_consumer_take(cursor, 1);
        shmb_ring_copy_item(ret_items,
                            cursor->slots + (cursor->next & consumer->mask) * consumer->stride,
                            consumer->item_size);
        shmb_ring_consumer_done(consumer, cursor, 1);
        return 1;
}
