/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Consumers that Compete
 *
 * Invariant, for each lane: low <= next <= tail <= low + capacity. All items below `low` are done;
 * none in [low, next) may be taken, as far as we know: others hold them, or they are done. What is
 * given back there is found because news of it sets `next` back to `low`.
 *
 * A word that makes no sense is taken for one that somebody holds: its slot is skipped, by us and
 * in the end by the producer, who waits for it. Who may write it has the items of this region in
 * his hands anyway.
 */

#include <string.h>

#include "memory/group-older.h"
#include "memory/group.h"

/*
 * Seats and lanes
 */

/* The epoch in our place says to others that the older objects of the lane are of the past. */
static void group_open(ShmbGroupLane *lane) {
        lane->open = true;
        /* release: what was done in an older one, or abandoned there, comes before; pairs with
         * acquire in shmb_group_may_open() */
        shmb_store_release(&lane->place->epoch, lane->epoch);
}

/* @drained: all items of the object before are done. */
static void group_enter_lane(ShmbGroupMember *member, uint32_t index, const ShmbMapped *mapped,
                             const ShmbSlots *slots, bool drained) {
        const ShmbLane *memory = mapped->memory;
        ShmbPlace *place = &member->seat->places[index];
        ShmbGroupLane *lane = &member->lanes[index];
        /* acquire: as in group_read_tail() */
        uint64_t tail = shmb_load_acquire(&memory->tail);
        bool fits = shmb_slots_fit(slots, tail, false);

        *lane = (ShmbGroupLane){
                .slots = *slots,
                .lane = memory,
                .newest = mapped->newest,
                .place = place,
                .low = tail > member->capacity ? tail - member->capacity : 0,
                .epoch = mapped->epoch,
                .poisoned = !fits,
        };
        member->n_poison_unsaid += !fits;
        lane->next = lane->tail = lane->low;
        shmb_waker_set_peer(&member->waker, index, &memory->sleep);

        /* Counted for display: of this lane alone. Our predecessor was in it: it is open.
         * relaxed, all: only we write them; the broker ordered our predecessor before us */
        if (shmb_load_relaxed(&place->epoch) == mapped->epoch) {
                lane->n_done = shmb_load_relaxed(&place->done);
                drained = true;
        } else {
                shmb_store_relaxed(&place->epoch, 0);
        }
        shmb_store_relaxed(&place->done, lane->n_done);
        if (drained || mapped->epoch == 1 || lane->low > 0)
                group_open(lane);
}

static void group_enter_seat(ShmbGroupMember *member, uint32_t index, const ShmbMapped *seat) {
        const ShmbSeat *memory = seat->memory;

        member->seats[index] = memory;
        shmb_waker_set_peer(&member->next, index, &memory->sleep);
}

static bool group_fits(const ShmbGroupParams *params) {
        const ShmbGeometry *geometry = params->geometry;
        uint64_t lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE);
        uint64_t seat_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT);
        uint64_t group_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_GROUP);
        uint32_t i;

        if (!shmb_geometry_competes(geometry) || params->index >= geometry->n_seats ||
            !shmb_mapped_fits(params->group, group_size))
                return false;
        for (i = 0; i < geometry->n_lanes; i++)
                if (!shmb_mapped_fits(&params->lanes[i], lane_size))
                        return false;
        for (i = 0; i < geometry->n_seats; i++)
                if (!shmb_mapped_fits(&params->seats[i], seat_size))
                        return false;
        return true;
}

int shmb_group_init(ShmbGroupMember *member, const ShmbGroupParams *params) {
        const ShmbGeometry *geometry = params->geometry;
        ShmbSlots slots;
        uint32_t i;

        if (!group_fits(params))
                return -EINVAL;
        *member = (ShmbGroupMember){
                .seat = params->seats[params->index].memory,
                .parties = params->parties,
                .newest = params->group->newest,
                .epoch = params->group->epoch,
                .capacity = geometry->capacity,
                .me = (uint32_t)(params->lease & SHMB_SLOT_LEASE_MASK),
                .index = params->index,
                .n_lanes = geometry->n_lanes,
                .n_seats = geometry->n_seats,
                .stride = geometry->stride,
                .item_size = geometry->item_size,
                .lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE),
                .seat_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT),
                .group_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_GROUP),
        };
        shmb_waker_init(&member->waker, &member->seat->bell, &member->seat->counters.n_wakes,
                        params->fence_always);
        shmb_waker_init(&member->next, &member->seat->bell, &member->seat->counters.n_wakes,
                        params->fence_always);
        shmb_waker_set_bells(&member->next, member->seat->bells);
        for (i = 0; i < geometry->n_lanes; i++) {
                slots = shmb_slots_of(geometry, params->group->memory, i,
                                      params->lanes[i].epoch);
                group_enter_lane(member, i, &params->lanes[i], &slots, false);
        }
        for (i = 0; i < geometry->n_seats; i++)
                if (i != params->index)
                        group_enter_seat(member, i, &params->seats[i]);
        shmb_group_repair(member);
        return 0;
}

int shmb_group_switch_seat(ShmbGroupMember *member, uint32_t index, const ShmbMapped *seat) {
        if (index >= member->n_seats || index == member->index ||
            !shmb_mapped_fits(seat, member->seat_size))
                return -EINVAL;
        group_enter_seat(member, index, seat);
        return 0;
}

/*
 * Looking
 */

static int group_poison(ShmbGroupMember *member, ShmbGroupLane *lane) {
        lane->poisoned = true;
        lane->next = lane->tail;
        member->n_poison_unsaid++;
        return -EBADMSG;
}

/* What others did while we were away; at most a lap behind @tail anything is left of it. */
void shmb_group_skip_past(ShmbGroupLane *lane, uint64_t tail) {
        uint64_t capacity = lane->slots.mask + 1;

        while (lane->low < tail &&
               /* acquire: as in shmb_slots_done_below() */
               shmb_slots_is_past(&lane->slots, lane->low,
                                  shmb_load_acquire(shmb_slots_at(&lane->slots, lane->low)))) {
                lane->low++;
                if (tail - lane->low > 2 * capacity)
                        lane->low = tail - 2 * capacity;
        }
}

/* Believes the lane's tail, or finds out that it cannot. */
static int group_read_tail(ShmbGroupMember *member, ShmbGroupLane *lane) {
        uint64_t tail, backed = UINT64_MAX;

        if (lane->last || lane->poisoned)
                return 0;
        /* acquire: makes the items below tail visible; pairs with release of tail in
         * shmb_ring_producer_publish() */
        tail = shmb_load_acquire(&lane->lane->tail);
        /* acquire: behind tail and before newest, as in consumer_read_tail() */
        if (lane->backed)
                backed = shmb_load_acquire(lane->backed);
        /* acquire: ordered after both by theirs; and before the tail that is the last one, lest
         * what was published in between is lost; pairs with release in control_set_party() */
        if (shmb_load_acquire(lane->newest) != lane->epoch) {
                lane->last = true;
                /* acquire: as above */
                tail = shmb_load_acquire(&lane->lane->tail);
        } else if (tail > backed) {
                return group_poison(member, lane);
        }
        if (tail < lane->tail)
                return group_poison(member, lane);
        /* Others may have gone far ahead of us; but over nothing that was not done. */
        if (tail - lane->low > member->capacity)
                shmb_group_skip_past(lane, tail);
        if (tail - lane->low > member->capacity)
                return group_poison(member, lane);
        if (lane->next < lane->low)
                lane->next = lane->low;
        lane->tail = tail;
        return 0;
}

/* Moves on to the first item that may be taken; false if there is none. */
static bool group_find(ShmbGroupLane *lane) {
        uint64_t word;

        for (; lane->next < lane->tail; lane->next++) {
                /* relaxed: a hint; what is taken is taken by the exchange of group_take() */
                word = shmb_load_relaxed(shmb_slots_at(&lane->slots, lane->next));
                if (shmb_slots_is_free(&lane->slots, lane->next, word))
                        return true;
                if (lane->next == lane->low && shmb_slots_is_past(&lane->slots, lane->low, word))
                        lane->low++;
        }
        return false;
}

static bool group_try_open(const ShmbGroupMember *member, ShmbGroupLane *lane) {
        if (!lane->open && shmb_group_may_open(member, lane)) {
                shmb_group_abandon(member, lane);
                group_open(lane);
        }
        return lane->open;
}

static bool group_look_at(ShmbGroupMember *member, ShmbGroupLane *lane) {
        if (!lane->open && !group_try_open(member, lane))
                return false;
        if (!lane->poisoned && group_find(lane))
                return true;
        if (group_read_tail(member, lane) != 0 || lane->poisoned)
                return false;
        /* Who lets go of an item of an older object is no news. */
        if (shmb_group_is_behind_others(lane))
                lane->next = lane->low;
        return group_find(lane);
}

static int group_nothing(ShmbGroupMember *member) {
        uint32_t i;

        if (member->n_poison_unsaid > 0) {
                member->n_poison_unsaid--;
                return -EBADMSG;
        }
        for (i = 0; i < member->n_lanes; i++)
                if (!member->lanes[i].poisoned)
                        return -EAGAIN;
        return -EBADMSG;
}

int shmb_group_look(ShmbGroupMember *member) {
        uint32_t i;

        if (member->n_held > 0)
                return 0;
        for (i = 0; i < member->n_lanes; i++)
                if (group_look_at(member, &member->lanes[(member->turn + i) % member->n_lanes]))
                        return 0;
        return group_nothing(member);
}

bool shmb_group_has_more(ShmbGroupMember *member, bool exact) {
        uint32_t i;

        for (i = 0; i < member->n_lanes; i++)
                /* What we let go of an older object is in the way of somebody else. */
                if (member->lanes[i].last ||
                    (exact ? group_look_at(member, &member->lanes[i])
                           : member->lanes[i].next < member->lanes[i].tail))
                        return true;
        return false;
}

/*
 * Claim and release
 */

static bool group_is_newest(const ShmbGroupMember *member) {
        /* seq_cst fence: what was exchanged is seen by the broker's copy, or we see the new epoch;
         * pairs with the fence between the two in objects_copy() (Dekker: words against epoch) */
        shmb_fence_full();
        /* relaxed: ordered by the fence */
        return shmb_load_relaxed(member->newest) == member->epoch;
}

/* CAS of what may be taken to HELD by us. */
static bool group_take(const ShmbGroupMember *member, ShmbGroupLane *lane, uint64_t item) {
        _Atomic uint64_t *slot = shmb_slots_at(&lane->slots, item);
        /* relaxed: compared again by the exchange */
        uint64_t word = shmb_load_relaxed(slot);

        if (!shmb_slots_is_free(&lane->slots, item, word))
                return false;
        /* acquire: what a member read who gave it back is behind us; pairs with the exchange that
         * made it READY; release on success: nothing hangs on it. The item itself is ordered by
         * tail. */
        return atomic_compare_exchange_strong_explicit(
                        slot, &word,
                        shmb_slots_word(&lane->slots, item, member->me, SHMB_SLOT_HELD),
                        memory_order_acq_rel, memory_order_relaxed);
}

/* A run of items from `next` on. Return: how many. */
static uint32_t group_take_run(ShmbGroupMember *member, ShmbGroupLane *lane, uint32_t n) {
        uint32_t n_taken = 0;

        while (n_taken == 0 && group_find(lane)) {
                member->held = lane->next;
                while (n_taken < n && lane->next < lane->tail &&
                       (n_taken == 0 || (lane->next & lane->slots.mask) != 0) &&
                       group_take(member, lane, lane->next)) {
                        lane->next++;
                        n_taken++;
                }
        }
        return n_taken;
}

static int group_claim_new(ShmbGroupMember *member, uint32_t n) {
        uint32_t i, index;

        /* relaxed: looked at again behind the exchange */
        if (shmb_load_relaxed(member->newest) != member->epoch)
                return -EAGAIN;
        for (i = 0; i < member->n_lanes; i++) {
                index = (member->turn + i) % member->n_lanes;
                if (!group_look_at(member, &member->lanes[index]))
                        continue;
                member->n_held = group_take_run(member, &member->lanes[index], n);
                if (member->n_held == 0)
                        continue;
                member->held_lane = index;
                member->turn = (index + 1) % member->n_lanes;
                /* In a group that is no more, they are found again or they are not ours. */
                if (!group_is_newest(member))
                        break;
                return 0;
        }
        if (i < member->n_lanes) {
                member->n_held = 0;
                return -EAGAIN;
        }
        return group_nothing(member);
}

int shmb_group_claim(ShmbGroupMember *member, uint32_t n, ShmbRingSpan *ret_span) {
        const ShmbGroupLane *lane;
        uint64_t slot;
        int r;

        if (n == 0) {
                *ret_span = (ShmbRingSpan){};
                return 0;
        }
        if (n > INT32_MAX)
                n = INT32_MAX;
        if (member->n_held == 0) {
                r = group_claim_new(member, n);
                if (r < 0)
                        return r;
        }
        lane = &member->lanes[member->held_lane];
        slot = member->held & lane->slots.mask;
        member->n_peeked = n < member->n_held ? n : member->n_held;
        /* The span is shared with the writable kind; the mapping itself is read-only. */
        *ret_span = (ShmbRingSpan){(uint8_t *)lane->lane->slots + slot * member->stride,
                                   member->n_peeked};
        return (int)member->n_peeked;
}

static void group_count(ShmbGroupMember *member, ShmbGroupLane *lane, uint32_t n) {
        ShmbCounters *counters = &member->seat->counters;

        lane->n_done += n;
        /* relaxed, both: for display, only we write them */
        shmb_store_relaxed(&lane->place->done, lane->n_done);
        shmb_store_relaxed(&counters->n_items, shmb_load_relaxed(&counters->n_items) + n);
}

int shmb_group_release(ShmbGroupMember *member, uint32_t n) {
        ShmbGroupLane *lane = &member->lanes[member->held_lane];
        uint32_t i;

        if (n > member->n_peeked)
                return -EINVAL;
        member->n_peeked = 0;
        for (i = 0; i < n; i++)
                if (!shmb_slots_settle(&lane->slots, member->me, member->held + i, SHMB_SLOT_DONE))
                        return -ESHUTDOWN;
        member->held += n;
        member->n_held -= n;
        /* What the copy has not seen is done once more. */
        if (n > 0 && !group_is_newest(member))
                member->n_redo += n;
        if (lane->low == member->held - n)
                lane->low = member->held;
        group_count(member, lane, n);
        return 0;
}

void shmb_group_give_back(ShmbGroupMember *member) {
        ShmbGroupLane *lane = &member->lanes[member->held_lane];
        uint32_t i;

        for (i = 0; i < member->n_held; i++)
                (void)shmb_slots_settle(&lane->slots, member->me, member->held + i,
                                        SHMB_SLOT_READY);
        member->n_held = member->n_peeked = 0;
}

int shmb_group_pop(ShmbGroupMember *member, void *ret_items, uint32_t n) {
        ShmbRingSpan span;
        int r;

        if (member->n_peeked > 0)
                return -EBUSY;
        r = shmb_group_claim(member, n, &span);
        if (r <= 0)
                return r;
        shmb_ring_copy(ret_items, member->item_size, span.data, member->stride, member->item_size,
                       span.n);
        r = shmb_group_release(member, span.n);
        return r < 0 ? r : (int)span.n;
}

/*
 * Death
 */

/* Return: whether we gave it back. */
static bool group_repair_slot(ShmbGroupMember *member, const ShmbGroupLane *lane, uint64_t item) {
        _Atomic uint64_t *slot = shmb_slots_at(&lane->slots, item);
        /* acquire: whoever stands there had been published in control; pairs with group_take() */
        uint64_t word = shmb_load_acquire(slot);
        uint32_t lease = shmb_slots_lease(word);

        if (word != shmb_slots_word(&lane->slots, item, lease, SHMB_SLOT_HELD) ||
            lease == member->me ||
            !shmb_group_is_dead(member, lease))
                return false;
        /* acq_rel: orders as group_take() and shmb_slots_settle(), and pairs with them */
        return atomic_compare_exchange_strong_explicit(
                        slot, &word, shmb_slots_word(&lane->slots, item, 0, SHMB_SLOT_READY),
                        memory_order_acq_rel, memory_order_relaxed);
}

void shmb_group_repair(ShmbGroupMember *member) {
        _Atomic uint64_t *n_redelivered = &member->seat->counters.n_redelivered;
        uint64_t item;
        uint32_t i;

        for (i = 0; i < member->n_lanes; i++) {
                ShmbGroupLane *lane = &member->lanes[i];

                (void)group_read_tail(member, lane);
                if (shmb_group_is_behind_others(lane))
                        shmb_group_abandon(member, lane);
                for (item = lane->low; item < lane->tail; item++)
                        if (group_repair_slot(member, lane, item))
                                /* relaxed: for display, only we write it */
                                shmb_store_relaxed(n_redelivered,
                                                   shmb_load_relaxed(n_redelivered) + 1);
                lane->next = lane->poisoned ? lane->tail : lane->low;
        }
}

/*
 * Replaced objects
 */

int shmb_group_switch_lane(ShmbGroupMember *member, uint32_t index, const ShmbMapped *mapped) {
        ShmbGroupLane *lane;
        ShmbSlots slots;
        bool drained;

        if (index >= member->n_lanes || !shmb_mapped_fits(mapped, member->lane_size))
                return -EINVAL;
        lane = &member->lanes[index];
        if (member->n_held > 0 && member->held_lane == index)
                return -EBUSY;
        (void)group_read_tail(member, lane);
        lane->last = true;
        /* Drained by all of us: who goes first would take words of the next lap for his own. */
        shmb_group_skip_past(lane, lane->tail);
        drained = lane->open && !lane->poisoned && lane->low == lane->tail;
        if (!drained && lane->open && !lane->poisoned)
                return -EAGAIN;
        slots = lane->slots;
        slots.epoch = mapped->epoch & 0xff;
        group_enter_lane(member, index, mapped, &slots, drained);
        /* News of who died holding items of this one may have been heard in the other. */
        shmb_group_repair(member);
        return 0;
}

/* What we hold or have released since the copy: HELD by us there. */
int shmb_group_switch_group(ShmbGroupMember *member, const ShmbGeometry *geometry,
                            const ShmbMapped *group) {
        uint64_t item, first = member->held - member->n_redo;
        ShmbGroupLane *lane;
        uint32_t i;

        if (!shmb_mapped_fits(group, member->group_size))
                return -EINVAL;
        member->epoch = group->epoch;
        for (i = 0; i < member->n_lanes; i++) {
                lane = &member->lanes[i];
                lane->slots = shmb_slots_of(geometry, group->memory, i, lane->epoch);
                /* What was done after the copy is not done here, if who did it died since. */
                lane->low = lane->tail > member->capacity ? lane->tail - member->capacity : 0;
        }
        lane = &member->lanes[member->held_lane];
        for (item = first; item < member->held; item++)
                (void)shmb_slots_settle(&lane->slots, member->me, item, SHMB_SLOT_DONE);
        member->n_redo = 0;
        /* Claimed in the old one and not counted, but copied: nobody's. */
        for (i = 0; i < member->n_lanes; i++) {
                lane = &member->lanes[i];
                for (item = lane->low; item < lane->tail; item++)
                        if (i != member->held_lane || item - member->held >= member->n_held)
                                (void)shmb_slots_settle(&lane->slots, member->me, item,
                                                        SHMB_SLOT_READY);
        }
        shmb_group_repair(member);
        return 0;
}

int shmb_group_lose(ShmbGroupMember *member, uint32_t index) {
        ShmbGroupLane *lane = &member->lanes[index];

        if (lane->poisoned)
                return 0;
        (void)group_poison(member, lane);
        if (index != member->held_lane || member->n_held == 0)
                return 0;
        member->n_poison_unsaid--;
        member->n_held = member->n_peeked = 0;
        return -EBADMSG;
}

int shmb_group_trust_lane(ShmbGroupMember *member, uint32_t index) {
        ShmbGroupLane *lane;

        if (index >= member->n_lanes)
                return -EINVAL;
        lane = &member->lanes[index];
        /* relaxed: who calls has seen the broker's news of the holder, and with them the epoch */
        if (!lane->poisoned || lane->last || shmb_load_relaxed(lane->newest) != lane->epoch)
                return 0;
        lane->poisoned = false;
        lane->next = lane->tail = lane->low;
        return 0;
}

uint32_t shmb_group_sleep_words(const ShmbGroupMember *member, ShmbSleepWord *ret_words) {
        const _Atomic uint32_t *bell;
        uint32_t i, n = 0;

        for (i = 0; i < member->n_lanes; i++) {
                /* Where the memory was lost nobody can wait. */
                if (member->lanes[i].poisoned)
                        continue;
                bell = &member->lanes[i].lane->bells[member->index];
                /* relaxed: stays before the release of seq in shmb_sleep_enter() */
                ret_words[n++] = (ShmbSleepWord){bell, shmb_load_relaxed(bell)};
        }
        for (i = 0; i < member->n_seats; i++) {
                if (i == member->index)
                        continue;
                bell = &member->seats[i]->bells[member->index];
                /* relaxed: as above */
                ret_words[n++] = (ShmbSleepWord){bell, shmb_load_relaxed(bell)};
        }
        return n;
}
