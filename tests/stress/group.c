/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Competing Consumers under Stress
 *
 * Members of a group take runs of random length, release some of them, and now and then leave: with
 * what they hold given back, or dead with it in their hands. Then they are members again, by
 * another lease, on the same seat, or never again: somebody else has to find what was left. What
 * the broker does in between is done here. The producers are those of a ring.
 *
 * Whoever has something for others wakes one of them, as in client/engine-group.c: a lost chain of
 * wake-ups is a sleeper whom nobody wakes.
 */

#include <errno.h>

#include "memory/atomics.h"
#include "memory/group.h"
#include "memory/ring-producer.h"
#include "tests/stress/region.h"
#include "tests/stress/ring.h"

enum {
        N_MOVES_A_LIFE = 50, /* of a member, on the average */
        N_LIVES = 4,         /* of a seat, if another one stays: on the average, too */
};

typedef struct Member {
        ShmbGroupMember group;
        uint32_t news; /* heard so far */
        bool slept;    /* as that of a client's region */
} Member;

/*
 * The broker's part
 */

static void *group_create(StressShape *shape) {
        Region *region;

        if (shape->n_consumers == 1)
                shape->n_consumers++;
        region = region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_RING});
        /* 0 is nobody. */
        atomic_store(&region->n_leases, 1);
        atomic_store(&region->n_staying, shape->n_consumers);
        return region;
}

static void group_destroy(void *data) {
        Region *region = data;
        uint64_t n_redelivered = 0, n_abandoned = atomic_load(&region->n_abandoned);
        uint32_t i;

        for (i = 0; i < region->geometry.n_seats; i++)
                n_redelivered += atomic_load(
                                &((ShmbSeat *)region->seats[i].memory)->counters.n_redelivered);
        if (n_redelivered != n_abandoned)
                stress_fail("redelivered were others than the dead held",
                            (int64_t)(n_redelivered - n_abandoned));
        region_free(region);
}

/* As control_set_party(), and the news behind it. */
static void tell(StressEnd *end, uint64_t lease, ShmbOccupancy occupancy) {
        ShmbParty *party = &((Region *)end->stress->region)->parties[end->index];

        /* release, both: as there */
        shmb_store_release(&party->lease, lease);
        shmb_store_release(&party->occupancy, (uint32_t)occupancy);
        atomic_fetch_add(&end->stress->news, 1);
}

static void join(StressEnd *end) {
        Region *region = end->stress->region;
        uint64_t lease = atomic_fetch_add(&region->n_leases, 1);
        Member *member = end->handle;
        const ShmbGroupParams params = {
                .geometry = &region->geometry,
                .index = end->index,
                .lease = lease,
                .group = &region->group,
                .seats = region->seats,
                .lanes = region->lanes,
                .parties = region->parties,
        };
        int r;

        tell(end, lease, SHMB_PARTY_HELD);
        /* acquire: as in hear() */
        member->news = shmb_load_acquire(&end->stress->news);
        r = shmb_group_init(&member->group, &params);
        if (r < 0)
                stress_fail("no member", r);
        shmb_sleeper_init(&end->sleeper, &member->group.seat->sleep, true);
}

/* Somebody always stays, and looks once more behind the end of the last producer. */
static bool may_go(StressEnd *end) {
        Region *region = end->stress->region;

        if (stress_random(end, N_LIVES) > 0 ||
            atomic_load(&end->stress->n_ended) == end->stress->shape.n_producers)
                return false;
        if (atomic_fetch_sub(&region->n_staying, 1) > 1)
                return true;
        atomic_fetch_add(&region->n_staying, 1);
        return false;
}

/* Whoever dies asks nobody to wake others: the broker's news does. Return: 0, or -ESHUTDOWN. */
static int leave(StressEnd *end) {
        Region *region = end->stress->region;
        Member *member = end->handle;

        if (stress_random(end, 2))
                atomic_fetch_add(&region->n_abandoned, member->group.n_held);
        else
                shmb_group_give_back(&member->group);
        tell(end, 0, SHMB_PARTY_VACANT);
        if (may_go(end))
                return -ESHUTDOWN;
        join(end);
        return 0;
}

/*
 * Waking one
 */

static void wake_one(StressEnd *end, ShmbWaker *waker, uint32_t skip) {
        Region *region = end->stress->region;
        uint32_t i;

        for (i = 0; i < region->geometry.n_seats; i++)
                /* acquire: as shmb__seat_is_held(); pairs with release in tell() */
                if (i != skip &&
                    shmb_load_acquire(&region->parties[i].occupancy) == SHMB_PARTY_HELD &&
                    shmb_waker_look(waker, i))
                        return;
}

static void pass_on(StressEnd *end) {
        Member *member = end->handle;
        bool slept = member->slept;

        member->slept = false;
        if (slept)
                /* full: our seq before the look at what is left; pairs with W2 of a producer */
                shmb_fence_full();
        if (shmb_group_has_more(&member->group, slept))
                wake_one(end, &member->group.next, end->index);
}

/*
 * Producers
 */

static void group_produce(StressEnd *end) {
        Region *region = end->stress->region;
        int r;

        ring_produce(end);
        r = shmb_ring_producer_set_group(end->handle, &region->geometry, &region->group);
        if (r < 0)
                stress_fail("no group", r);
}

static int group_push(StressEnd *end, uint32_t n_max) {
        ShmbRingProducer *producer = end->handle;
        int r = ring_push_quietly(end, n_max);

        if (r > 0)
                wake_one(end, &producer->waker, UINT32_MAX);
        return r;
}

/*
 * Members
 */

static void group_consume(StressEnd *end) {
        (void)region_handle_new(end, sizeof(Member));
        join(end);
}

/* As shmb__group_member_hear(). */
static void hear(StressEnd *end) {
        Member *member = end->handle;
        /* acquire: the parties are as new; pairs with the increment in tell() */
        uint32_t news = shmb_load_acquire(&end->stress->news);

        if (member->news == news)
                return;
        member->news = news;
        shmb_group_repair(&member->group);
}

static void see(StressEnd *end, const uint8_t *items, uint32_t stride, uint32_t n) {
        uint32_t i;

        for (i = 0; i < n; i++)
                stress_see(end, items + (size_t)i * stride, end->stress->shape.item_size);
}

static int pop_in_place(StressEnd *end, uint32_t n_max) {
        Member *member = end->handle;
        ShmbRingSpan span;
        uint32_t n;
        int r;

        r = shmb_group_claim(&member->group, n_max, &span);
        if (r < 0)
                return r;
        pass_on(end);
        n = (uint32_t)stress_random(end, span.n + 1);
        see(end, span.data, member->group.stride, n);
        r = shmb_group_release(&member->group, n);
        return r < 0 ? r : (int)n;
}

static int pop_copies(StressEnd *end, uint32_t n_max) {
        uint64_t items[STRESS_BATCH_MAX * STRESS_ITEM_MAX / 8];
        Member *member = end->handle;
        int r = shmb_group_pop(&member->group, items, n_max);

        if (r > 0)
                see(end, (uint8_t *)items, member->group.item_size, (uint32_t)r);
        return r;
}

static int group_pop(StressEnd *end) {
        uint32_t n = 1 + (uint32_t)stress_random(end, STRESS_BATCH_MAX);
        Member *member = end->handle;
        int r;

        hear(end);
        r = stress_random(end, 2) ? pop_in_place(end, n) : pop_copies(end, n);
        if (r < 0)
                return r;
        /* Not for want of items: who joins looks everywhere, and finds what others overlook. */
        if (stress_random(end, N_MOVES_A_LIFE) == 0)
                return leave(end);
        shmb_waker_look(&member->group.waker, member->group.held_lane);
        pass_on(end);
        return r;
}

static uint32_t group_words(StressEnd *end, ShmbSleepWord *ret_words) {
        Member *member = end->handle;

        member->slept = true;
        return shmb_group_sleep_words(&member->group, ret_words);
}

static int group_look(StressEnd *end) {
        Member *member = end->handle;

        hear(end);
        return shmb_group_look(&member->group);
}

const StressKind stress_group = {
        .name = "group",
        .delivery = STRESS_EACH_TO_ANY,
        .n_producers_max = 3,
        .n_consumers_max = 4,
        .create = group_create,
        .destroy = group_destroy,
        .produce = group_produce,
        .consume = group_consume,
        .detach = region_handle_free,
        .push = group_push,
        .pop = group_pop,
        .producer_words = ring_producer_words,
        .consumer_words = group_words,
        .producer_look = ring_producer_look,
        .consumer_look = group_look,
};
