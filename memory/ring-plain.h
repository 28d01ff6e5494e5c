/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One Item, Plainly
 *
 * The part of an operation that needs no look at the peer and calls nobody, so that a function
 * which does nothing else has no registers to save. Where it is not so plain nothing is done, and
 * the operation of memory/ring-producer.h or memory/ring-consumer.h does all of it.
 */

#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

/**
 * shmb_ring_push_plain() - copy one item in
 *
 * Return: true if the item was published; false, and nothing was done: shmb_ring_push_n().
 */
static inline bool shmb_ring_push_plain(ShmbRingProducer *producer, const void *item) {
        uint8_t *slot = producer->slots + (producer->tail & producer->mask) * producer->stride;

        if (shmb_unlikely(producer->limit == producer->tail || producer->n_claimed != 0 ||
                          ((producer->tail + 1) & producer->warm_mask) == 0 ||
                          !shmb_ring_is_words(producer->item_size)))
                return false;
        shmb_ring_copy_words(slot, item, producer->item_size);
        shmb_ring_producer_publish(producer, 1);
        return true;
}

/* shmb_ring_claim_plain() - the slot; NULL, and nothing was done: shmb_ring_claim_n(). */
static inline void *shmb_ring_claim_plain(ShmbRingProducer *producer) {
        if (shmb_unlikely(producer->limit == producer->tail))
                return NULL;
        producer->n_claimed = 1;
        return producer->slots + (producer->tail & producer->mask) * producer->stride;
}

/**
 * shmb_ring_pop_plain() - copy one item out, and release it
 *
 * Return: true if the item was taken; false, and nothing was done: shmb_ring_pop_n().
 */
static inline bool shmb_ring_pop_plain(ShmbRingConsumer *consumer, void *ret_item) {
        ShmbRingCursor *cursor = consumer->cursor;

        if (shmb_unlikely(cursor->edge == cursor->next || consumer->n_peeked != 0 ||
                          !shmb_ring_is_words(consumer->item_size)))
                return false;
        shmb_ring_consumer_take(cursor, 1);
        shmb_ring_copy_words(ret_item,
                             cursor->slots + (cursor->next & consumer->mask) * consumer->stride,
                             consumer->item_size);
        shmb_ring_consumer_done(consumer, cursor, 1);
        return true;
}

/* shmb_ring_peek_plain() - the item; NULL, and nothing was done: shmb_ring_peek_n(). */
static inline const void *shmb_ring_peek_plain(ShmbRingConsumer *consumer) {
        ShmbRingCursor *cursor = consumer->cursor;

        if (shmb_unlikely(cursor->edge == cursor->next))
                return NULL;
        shmb_ring_consumer_take(cursor, 1);
        consumer->n_peeked = 1;
        return cursor->slots + (cursor->next & consumer->mask) * consumer->stride;
}
