/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Words of Slots
 *
 * What stands in the group object for each slot: memory/group.h has the meaning, memory/layout.h
 * the bits. The lap of an item tells it from those that were in its slot before: the lower 32 bits
 * count laps, the upper 8 are the epoch of the lane, which begins at 0 again with each new object.
 */

#include <stdbool.h>
#include <stdint.h>

#include "memory/atomics.h"
#include "memory/geometry.h"
#include "memory/layout.h"

#define SHMB_SLOT_LEASE_MASK ((UINT64_C(1) << SHMB_SLOT_LEASE_BITS) - 1)

/* The words of one lane in one epoch of it. */
typedef struct ShmbSlots {
        _Atomic uint64_t *words;
        uint64_t mask;  /* capacity - 1 */
        uint32_t shift; /* capacity is 1 << shift */
        uint32_t epoch; /* of the lane */
} ShmbSlots;

/* The words of lane @index in a group that is mapped at @memory, or, NULL, is not. */
static inline ShmbSlots shmb_slots_of(const ShmbGeometry *geometry, void *memory, uint32_t index,
                                      uint32_t epoch) {
        ShmbGroup *group = memory;
        ShmbSlots slots = {
                .words = group ? group->words + index * geometry->capacity : NULL,
                .mask = geometry->capacity - 1,
                .epoch = epoch & 0xff,
        };

        while (UINT64_C(1) << slots.shift < geometry->capacity)
                slots.shift++;
        return slots;
}

static inline _Atomic uint64_t *shmb_slots_at(const ShmbSlots *slots, uint64_t item) {
        return &slots->words[item & slots->mask];
}

/* What stands there for @item in this state; READY and DONE are nobody's. */
static inline uint64_t shmb_slots_word(const ShmbSlots *slots, uint64_t item, uint32_t lease,
                                       uint64_t state) {
        uint64_t lap = (uint64_t)slots->epoch << 32 | (item >> slots->shift & UINT32_MAX);

        return lap << (SHMB_SLOT_LEASE_BITS + SHMB_SLOT_STATE_BITS) |
               (uint64_t)lease << SHMB_SLOT_STATE_BITS | state;
}

/* What stands in @word, with another state. */
static inline uint64_t shmb_slots_as(uint64_t word, uint32_t lease, uint64_t state) {
        uint64_t low = (UINT64_C(1) << (SHMB_SLOT_LEASE_BITS + SHMB_SLOT_STATE_BITS)) - 1;

        return (word & ~low) | (uint64_t)lease << SHMB_SLOT_STATE_BITS | state;
}

/* The lane's, of whatever item stands in @word. */
static inline uint32_t shmb_slots_epoch(uint64_t word) {
        return (uint32_t)(word >> (64 - 8));
}

/* Whose it is, if somebody holds it. */
static inline uint32_t shmb_slots_lease(uint64_t word) {
        return (uint32_t)(word >> SHMB_SLOT_STATE_BITS & SHMB_SLOT_LEASE_MASK);
}

static inline bool shmb_slots_is_done(const ShmbSlots *slots, uint64_t item, uint64_t word) {
        return word == shmb_slots_word(slots, item, 0, SHMB_SLOT_DONE);
}

/* Of an object of the lane before this one. */
static inline bool shmb_slots_is_older(const ShmbSlots *slots, uint64_t word) {
        return (uint8_t)(shmb_slots_epoch(word) - slots->epoch) > UINT8_MAX / 2;
}

/* Done, or its slot belongs to a later item already, for which it had to be. */
static inline bool shmb_slots_is_past(const ShmbSlots *slots, uint64_t item, uint64_t word) {
        uint32_t laps = (uint32_t)(word >> (SHMB_SLOT_LEASE_BITS + SHMB_SLOT_STATE_BITS)) -
                        (uint32_t)(item >> slots->shift);

        if (shmb_slots_epoch(word) != slots->epoch)
                return word != 0 && !shmb_slots_is_older(slots, word);
        return shmb_slots_is_done(slots, item, word) || laps - 1 < UINT32_MAX / 2;
}

/*
 * Given back, or done in the lap before. In the first lap: never used, or done in whatever epoch
 * was before, whose lane was drained before anybody came here.
 */
static inline bool shmb_slots_is_free(const ShmbSlots *slots, uint64_t item, uint64_t word) {
        if (word == shmb_slots_word(slots, item, 0, SHMB_SLOT_READY))
                return true;
        if (item > slots->mask)
                return shmb_slots_is_done(slots, item - slots->mask - 1, word);
        return word == 0 || (shmb_slots_is_older(slots, word) && shmb_slots_lease(word) == 0 &&
                             (word & 3) == SHMB_SLOT_DONE);
}

/*
 * Whether @word may stand there while @item is published and its slot not used again: it is the
 * item's own, or its slot waits for who takes it, which is free but for what others still hold of
 * an older object.
 */
static inline bool shmb_slots_is_due(const ShmbSlots *slots, uint64_t item, uint64_t word) {
        return word == shmb_slots_word(slots, item, shmb_slots_lease(word), word & 3) ||
               shmb_slots_is_free(slots, item, word) ||
               (item <= slots->mask && shmb_slots_is_older(slots, word));
}

/**
 * shmb_slots_fit() - may @tail be what an honest producer published
 * @exact: he has published nothing since; else the slots of his items may be in use again
 *
 * Looks at no more than a lap. What a liar leaves behind as tail fits no words, and nobody would
 * ever finish its items.
 */
static inline bool shmb_slots_fit(const ShmbSlots *slots, uint64_t tail, bool exact) {
        uint64_t item = tail > slots->mask ? tail - slots->mask - 1 : 0, word;

        for (; item < tail; item++) {
                /* relaxed: whatever stood there at some time since */
                word = shmb_load_relaxed(shmb_slots_at(slots, item));
                if (!shmb_slots_is_due(slots, item, word) &&
                    (exact || !shmb_slots_is_past(slots, item, word)))
                        return false;
        }
        return true;
}

/* Items below @tail that are not done, for display. */
static inline uint64_t shmb_slots_count_left(const ShmbSlots *slots, uint64_t tail) {
        uint64_t item = tail > slots->mask ? tail - slots->mask - 1 : 0, n = 0;

        for (; item < tail; item++)
                /* relaxed: for display */
                n += !shmb_slots_is_done(slots, item,
                                         shmb_load_relaxed(shmb_slots_at(slots, item)));
        return n;
}

/**
 * shmb_slots_done_below() - how far all items are done: what a producer may fill again
 * @from: all below are done
 * @to: no item of this or a later index exists
 *
 * Looks at no more than a lap, whatever stands there. Return: the first item in [@from, @to) that
 * is not done, or @to.
 */
static inline uint64_t shmb_slots_done_below(const ShmbSlots *slots, uint64_t from, uint64_t to) {
        /* acquire: the member has read the item; pairs with the exchange of shmb_slots_settle() */
        while (from < to && shmb_slots_is_done(slots, from,
                                               shmb_load_acquire(shmb_slots_at(slots, from))))
                from++;
        return from;
}

/* HELD by @lease to @state; false where it is not his any more. */
static inline bool shmb_slots_settle(const ShmbSlots *slots, uint32_t lease, uint64_t item,
                                     uint64_t state) {
        uint64_t word = shmb_slots_word(slots, item, lease, SHMB_SLOT_HELD);

        /* release: his reads of the item come before; pairs with acquire in
         * shmb_slots_done_below(), or in group_take() of whoever gets it next */
        return atomic_compare_exchange_strong_explicit(
                        shmb_slots_at(slots, item), &word,
                        shmb_slots_word(slots, item, 0, state), memory_order_release,
                        memory_order_relaxed);
}

/*
 * What can only be the work of a member that writes anything anywhere: words of objects that are to
 * come, or of laps that are. Judged behind the load of @word, so that one of whoever is ahead of us
 * is not taken for it: he saw a newer epoch, or a later tail, before he wrote it.
 */
static inline bool shmb_slots_is_noise(const ShmbSlots *slots, uint64_t word,
                                       const _Atomic uint32_t *newest, uint32_t epoch,
                                       const _Atomic uint64_t *tail) {
        /* acquire, both: behind the word by its acquire; pair with release in control_set_party()
         * and of tail in shmb_ring_producer_publish() */
        if (shmb_load_acquire(newest) != epoch)
                return false;
        if (shmb_slots_epoch(word) != slots->epoch)
                return !shmb_slots_is_older(slots, word);
        return shmb_load_acquire(tail) <= slots->mask + 1 &&
               shmb_slots_as(word, 0, 0) != shmb_slots_word(slots, 0, 0, 0);
}

/*
 * In a new object of the lane: what shall stand instead of @word, which nobody holds who lives.
 * DONE for an item that is left of an older object, and 0 for what a liar left.
 */
static inline uint64_t shmb_slots_abandoned(const ShmbSlots *slots, uint64_t word,
                                            const _Atomic uint32_t *newest, uint32_t epoch,
                                            const _Atomic uint64_t *tail) {
        if (word == 0)
                return 0;
        if (shmb_slots_is_older(slots, word))
                return shmb_slots_as(word, 0, SHMB_SLOT_DONE);
        return shmb_slots_is_noise(slots, word, newest, epoch, tail) ? 0 : word;
}
