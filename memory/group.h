/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Consumers that Compete
 *
 * Several consumers of one region, each item to one of them. What becomes of a slot stands in the
 * group object, a word a slot, {lap:40, lease:22, state:2}: the one memory with several writers,
 * and every word of it changes by compare-and-swap only. Item i of a lane, in lap i / capacity:
 *
 *     DONE(lap - 1) --producer fills it--> may be taken --claim--> HELD(lap, lease) --release-->
 *     DONE(lap) --> ...                        ^                        |
 *                                              +------ READY(lap) <-----+
 *                                                      given back, or its holder is proven dead
 *
 * A word of zero is READY of lap 0. The producer never writes here: that an item may be taken is
 * said by his `tail`. He goes on over what is DONE in the right lap.
 *
 * Whether a holder is dead is the broker's word alone: a lease that no seat in control is held by,
 * nor waits to be proven of. Who is only slow is never robbed; who was robbed all the same finds
 * out when he releases, and changes nothing.
 *
 * The broker replaces the group where somebody may still write it who must not. He names the new
 * object in control before he copies the words (EPOCHS in shmbroker-memory(7)): so what was done to
 * the old one counts only if behind it the old one was still the newest.
 *
 * A new object of a lane uses the words of the one before. A member enters it when all items of
 * that one are done; who joins later waits until one of those did, or until none of them lives:
 * then what they left is lost with the lane, and its slots are DONE. But for what one of them holds
 * who lives: a producer of that one who cannot be stopped may have published it since.
 *
 * The rest is as in a ring: memory/ring.h.
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
#include "memory/slots.h"

/* One lane as a member sees it. */
typedef struct ShmbGroupLane {
        ShmbSlots slots;
        const ShmbLane *lane;
        const _Atomic uint32_t *newest;
        const _Atomic uint64_t *backed; /* queue: as in ShmbRingCursor */
        ShmbPlace *place;
        uint64_t low;  /* first item that is not known to be done */
        uint64_t next; /* where to look first; nothing below may be taken, as far as we know */
        uint64_t tail; /* newest that was believed; never goes back */
        uint64_t n_done; /* items that we released here */
        uint32_t epoch;
        bool last, poisoned;
        bool open; /* none of us is in an older object of the lane */
} ShmbGroupLane;

typedef struct ShmbGroupMember {
        ShmbSeat *seat;
        const ShmbParty *parties; /* of the seats, in control */
        const _Atomic uint32_t *newest; /* epoch of the group, by the broker */
        uint64_t capacity;
        uint32_t epoch; /* of the group that is used */
        uint32_t me;    /* our lease, as it stands in a word */
        uint32_t index; /* our seat */
        uint32_t n_lanes, n_seats, n_poison_unsaid;
        uint32_t stride, item_size;
        uint32_t turn;      /* the lane to look at first */
        uint32_t held_lane; /* of the run that we hold */
        uint32_t n_held;    /* items of it */
        uint32_t n_peeked;  /* of them shown last */
        uint32_t n_redo;    /* released in a group that was replaced meanwhile, before `held` */
        uint64_t held;      /* its first item */
        uint64_t lane_size, seat_size, group_size;
        const ShmbSeat *seats[SHMB_SEATS_MAX]; /* of all; ours is written through `seat` */
        ShmbWaker waker; /* producers who may sleep until we release: one peer a lane */
        ShmbWaker next;  /* other members who may sleep: one peer a seat */
        ShmbGroupLane lanes[SHMB_LANES_MAX];
} ShmbGroupMember;

/* What a member needs besides what a consumer of a ring gets. */
typedef struct ShmbGroupParams {
        const ShmbGeometry *geometry; /* sealed */
        uint32_t index;               /* our seat */
        uint64_t lease;
        const ShmbMapped *group; /* mapped read-write */
        const ShmbMapped *seats; /* ours read-write, the others read-only */
        const ShmbMapped *lanes; /* mapped read-only */
        const ShmbParty *parties; /* of the seats, in control */
        bool fence_always;
} ShmbGroupParams;

/**
 * shmb_group_init() - become a member
 *
 * Return: 0; -EINVAL (geometry has no group, an object is too short or not aligned).
 */
int shmb_group_init(ShmbGroupMember *member, const ShmbGroupParams *params);

/* shmb_group_look() - is there anything to take? Takes nothing. 0; -EAGAIN; -EBADMSG, as
 * shmb_ring_consumer_look() */
int shmb_group_look(ShmbGroupMember *member);

/**
 * shmb_group_claim() - take items, and show them
 * @n: how many are wanted
 * @ret_span: 1 to @n contiguous items of one lane, which are ours until they are released
 *
 * What is left of an earlier run is shown first.
 *
 * Return: how many; -EAGAIN (nothing there, or the group was replaced: fetch it); -EBADMSG.
 */
int shmb_group_claim(ShmbGroupMember *member, uint32_t n, ShmbRingSpan *ret_span);

/**
 * shmb_group_release() - the first @n items that were shown are done
 *
 * Return: 0; -EINVAL (more than were shown); -ESHUTDOWN (somebody else has them: the broker
 * declared us dead).
 */
int shmb_group_release(ShmbGroupMember *member, uint32_t n);

/* shmb_group_give_back() - what is held may be taken by others again; before leaving */
void shmb_group_give_back(ShmbGroupMember *member);

/* Claims, copies out and releases; returns as shmb_ring_pop_n(). */
int shmb_group_pop(ShmbGroupMember *member, void *ret_items, uint32_t n);

/**
 * shmb_group_repair() - who is attached has changed: give back what members held who are dead
 *
 * Harmless at any time, by any number of members at once. The one who gave an item back counts it
 * (n_redelivered), unless he dies before he could.
 */
void shmb_group_repair(ShmbGroupMember *member);

/* shmb_group_skip_past() - let `low` catch up with what others have done below @item */
void shmb_group_skip_past(ShmbGroupLane *lane, uint64_t item);

/*
 * shmb_group_has_more() - items are left for others: wake one of them
 *
 * As far as we know; @exact looks anew. Who has slept must: a producer who saw him asleep when he
 * was awake already has rung for nobody else. That takes a barrier between our `seq` and this look
 * (tests/model/wake.pml).
 */
bool shmb_group_has_more(ShmbGroupMember *member, bool exact);

/* shmb_group_switch_lane() - as shmb_ring_consumer_switch_lane() */
int shmb_group_switch_lane(ShmbGroupMember *member, uint32_t index, const ShmbMapped *lane);

/* shmb_group_switch_seat() - another member's seat was replaced. 0, -EINVAL */
int shmb_group_switch_seat(ShmbGroupMember *member, uint32_t index, const ShmbMapped *seat);

/* shmb_group_switch_group() - the group was replaced; what we hold, we hold there. 0, -EINVAL */
int shmb_group_switch_group(ShmbGroupMember *member, const ShmbGeometry *geometry,
                            const ShmbMapped *group);

/* As shmb_ring_consumer_lose() and _trust_lane(). */
int shmb_group_lose(ShmbGroupMember *member, uint32_t index);
int shmb_group_trust_lane(ShmbGroupMember *member, uint32_t index);

/* S1: our bell in each lane and in each other seat; the caller adds news. Return: how many. */
uint32_t shmb_group_sleep_words(const ShmbGroupMember *member, ShmbSleepWord *ret_words);
