/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engine of a Ring whose Consumers compete
 *
 * Whoever has something for others wakes one of them, by a bell that he alone waits on: a producer
 * for what he published, a member for what he leaves behind. So a burst of items wakes as many as
 * there is work for, one by the other, and a single item wakes one.
 */

#include <errno.h>

#include "client/engine-group.h"
#include "client/engine-ring.h"
#include "client/region.h"
#include "client/wait.h"

/*
 * The first that sleeps and was not rung for in that sleep. One who is on his way to sleep or from
 * it is not woken by the call, and may have looked already: then the next one, too.
 */
static void wake_one(struct shmb_region *r, ShmbWaker *waker, uint32_t skip) {
        bool woken;
        uint32_t i;

        for (i = 0; i < r->geometry.n_seats; i++) {
                /* Whoever died asleep says for ever that he sleeps; who is missed here hears of it
                 * by news. */
                if (i == skip || !shmb__seat_is_held(r, i) || !shmb_waker_look(waker, i))
                        continue;
                woken = shmb__ring(&waker->bells[i], 1) > 0;
                if (shmb__poke(r, waker->peers[i], SHMB_OBJECT_SEAT, i) || woken)
                        return;
        }
}

/*
 * Producer
 */

int shmb__group_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                              ShmbRingResume resume) {
        int result = shmb__ring_producer_init(r, mapped, resume);

        if (result < 0)
                return result;
        return shmb_ring_producer_set_group(&r->producer, &r->geometry, &mapped->group);
}

void shmb__group_producer_wake(struct shmb_region *r) {
        wake_one(r, &r->producer.waker, UINT32_MAX);
}

int shmb__group_producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                     const ShmbMapped *mapped) {
        if (kind == SHMB_OBJECT_GROUP)
                return shmb_ring_producer_set_group(&r->producer, &r->geometry, mapped);
        return shmb__ring_producer_switch_peer(r, kind, index, mapped);
}

const ShmbEngine shmb__engine_group_producer = {
        .gate = SHMB__GATE_MOVE,
        .init = shmb__group_producer_init,
        .look = shmb__ring_producer_look,
        .words = shmb__ring_producer_words,
        .wake = shmb__group_producer_wake,
        .switch_peer = shmb__group_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .push = shmb__ring_producer_push,
        .claim = shmb__ring_producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

/*
 * Member
 */

int shmb__group_member_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                            ShmbRingResume resume) {
        const ShmbGroupParams params = {
                .geometry = &r->geometry,
                .index = r->index,
                .lease = r->lease,
                .group = &mapped->group,
                .seats = mapped->seats,
                .lanes = mapped->lanes,
                .parties = shmb__party(r, SHMB_OBJECT_SEAT, 0),
                .fence_always = !r->registered,
        };

        return shmb_group_init(&r->member, &params);
}

int shmb__group_member_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_group_look(&r->member);
}

uint32_t shmb__group_member_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_group_sleep_words(&r->member, ret_words);
}

/* Items are left: one of those who sleep shall have them. */
static void pass_on(struct shmb_region *r) {
        bool slept = r->slept;

        r->slept = false;
        if (slept)
                shmb__wait_barrier(r);
        if (shmb_group_has_more(&r->member, slept))
                wake_one(r, &r->member.next, r->index);
}

void shmb__group_member_wake(struct shmb_region *r) {
        uint32_t lane = r->member.held_lane;

        if (shmb_waker_look(&r->member.waker, lane)) {
                shmb__ring(&r->member.waker.own->bell, INT32_MAX);
                shmb__poke(r, r->member.waker.peers[lane], SHMB_OBJECT_LANE, lane);
        }
        pass_on(r);
}

int shmb__group_member_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                   const ShmbMapped *mapped) {
        switch (kind) {
        case SHMB_OBJECT_LANE:
                return shmb_group_switch_lane(&r->member, index, mapped);
        case SHMB_OBJECT_SEAT:
                return shmb_group_switch_seat(&r->member, index, mapped);
        case SHMB_OBJECT_GROUP:
                return shmb_group_switch_group(&r->member, &r->geometry, mapped);
        case SHMB_OBJECT_NONE:
        case SHMB_OBJECT_CONTROL:
        case SHMB_OBJECT_DATA:
        case _SHMB_OBJECT_N:
                break;
        }
        return -EINVAL;
}

/* Without the group no lane is of any use; of another seat only its bell is. */
int shmb__group_member_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        uint32_t i;
        int result = 0;

        if (kind == SHMB_OBJECT_LANE)
                return shmb_group_lose(&r->member, index);
        for (i = 0; kind == SHMB_OBJECT_GROUP && i < r->geometry.n_lanes; i++)
                if (shmb_group_lose(&r->member, i) < 0)
                        result = -EBADMSG;
        return result;
}

int shmb__group_member_trust(struct shmb_region *r, uint32_t index) {
        return shmb_group_trust_lane(&r->member, index);
}

/* News that was heard before has been repaired by. */
void shmb__group_member_hear(struct shmb_region *r) {
        if (r->news_repaired == r->news_seen)
                return;
        r->news_repaired = r->news_seen;
        shmb_group_repair(&r->member);
}

void shmb__group_member_leave(struct shmb_region *r) {
        shmb_group_give_back(&r->member);
}

static int robbed(struct shmb_region *r, int result) {
        if (result == -ESHUTDOWN)
                shmb__region_end(r, ESHUTDOWN);
        return result;
}

int shmb__group_member_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        return robbed(r, shmb_group_pop(&r->member, ret_items, n));
}

int shmb__group_member_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        int result = shmb_group_claim(&r->member, n, ret_span);

        /* Not with the release, which may be a long time from now. */
        if (result > 0)
                pass_on(r);
        return result;
}

int shmb__group_member_release(struct shmb_region *r, uint32_t n) {
        return robbed(r, shmb_group_release(&r->member, n));
}

const ShmbEngine shmb__engine_group_member = {
        .gate = SHMB__GATE_MOVE,
        .init = shmb__group_member_init,
        .look = shmb__group_member_look,
        .words = shmb__group_member_words,
        .wake = shmb__group_member_wake,
        .switch_peer = shmb__group_member_switch_peer,
        .lose = shmb__group_member_lose,
        .trust = shmb__group_member_trust,
        .hear = shmb__group_member_hear,
        .leave = shmb__group_member_leave,
        .pop = shmb__group_member_pop,
        .peek = shmb__group_member_peek,
        .release = shmb__group_member_release,
};
