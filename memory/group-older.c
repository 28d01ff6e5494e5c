/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the Dead and Older Objects leave in a Group
 *
 * Where the last producer of an older object goes on though his lease is over, not all members
 * believe the same of his tails: who read the newest epoch behind an earlier one is in the new
 * object while another one takes items that came later. Such an item is his who takes it, as long
 * as he lives; nobody else waits for one that is not taken.
 */

#include "memory/group-older.h"

bool shmb_group_is_dead(const ShmbGroupMember *member, uint32_t lease) {
        const ShmbParty *party;
        uint32_t i, occupancy;

        for (i = 0; i < member->n_seats; i++) {
                party = &member->parties[i];
                /* acquire: the lease that goes with it, or a later one; pairs with release in
                 * control_set_party(). Who holds the slot was published before he could claim. */
                occupancy = shmb_load_acquire(&party->occupancy);
                /* relaxed: ordered by the above */
                if (occupancy != SHMB_PARTY_VACANT &&
                    (shmb_load_relaxed(&party->lease) & SHMB_SLOT_LEASE_MASK) == lease)
                        return false;
        }
        return true;
}

/*
 * An item of an older object that somebody took who lives stays his: he may have believed the last
 * of that one's producer when we had stopped to.
 */
static bool group_is_kept(const ShmbGroupMember *member, const ShmbGroupLane *lane,
                          uint64_t word) {
        return shmb_slots_is_older(&lane->slots, word) && (word & 3) == SHMB_SLOT_HELD &&
               !shmb_group_is_dead(member, shmb_slots_lease(word));
}

void shmb_group_abandon(const ShmbGroupMember *member, const ShmbGroupLane *lane) {
        const ShmbSlots *slots = &lane->slots;
        _Atomic uint64_t *slot;
        uint64_t item, word, free;

        for (item = 0; item <= slots->mask; item++) {
                slot = shmb_slots_at(slots, item);
                /* acquire: as in group_repair_slot() */
                word = shmb_load_acquire(slot);
                if (group_is_kept(member, lane, word))
                        continue;
                free = shmb_slots_abandoned(slots, word, lane->newest, lane->epoch,
                                            &lane->lane->tail);
                /* acq_rel: orders as group_take() and shmb_slots_settle(), and pairs with them; if
                 * it fails, another one did the same, or took it */
                if (free != word)
                        (void)atomic_compare_exchange_strong_explicit(
                                        slot, &word, free, memory_order_acq_rel,
                                        memory_order_relaxed);
        }
}

bool shmb_group_may_open(const ShmbGroupMember *member, const ShmbGroupLane *lane) {
        size_t index = (size_t)(lane - member->lanes);
        uint32_t i, epoch;
        bool alone = true;

        for (i = 0; i < member->n_seats; i++) {
                /* acquire, both: what he did in an older one is behind us; pair with release in
                 * control_set_party() and group_open() */
                if (i == member->index ||
                    shmb_load_acquire(&member->parties[i].occupancy) == SHMB_PARTY_VACANT)
                        continue;
                epoch = shmb_load_acquire(&member->seats[i]->places[index].epoch);
                if (epoch == lane->epoch)
                        return true;
                alone = alone && epoch == 0;
        }
        return alone;
}
