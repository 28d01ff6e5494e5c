/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the Dead and Older Objects leave in a Group, for memory/group.c
 */

#include "memory/group.h"

/* shmb_group_is_dead() - a lease that is over, and of which nobody can write any more */
bool shmb_group_is_dead(const ShmbGroupMember *member, uint32_t lease);

/* shmb_group_abandon() - what is left of older objects of the lane ends, where nobody holds it */
void shmb_group_abandon(const ShmbGroupMember *member, const ShmbGroupLane *lane);

/* Whether items of an older object may still stand in the way of this one's: in its first lap. */
static inline bool shmb_group_is_behind_others(const ShmbGroupLane *lane) {
        return lane->open && lane->epoch > 1 && lane->low <= lane->slots.mask;
}

/*
 * shmb_group_may_open() - whether the words of this lane are ours to use
 *
 * Those of an older object are of use to members only who are in it. Others are in none, or are
 * there already, behind the last item of it that they believe.
 */
bool shmb_group_may_open(const ShmbGroupMember *member, const ShmbGroupLane *lane);
