/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Consumers that Compete, on memory alone
 *
 * Members of one group, step by step in one thread: what each word may become, who gets what, and
 * what a word that somebody made up does.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "memory/group.h"
#include "memory/ring-producer.h"

enum {
        CAPACITY = 4,
        MEMBERS = 3,
        LEASE = 0x700000, /* of member 0; its lowest bits are those of no other */
};

static ShmbGeometry geometry;
static ShmbMapped lane, seats[MEMBERS], group;
static _Atomic uint32_t epochs[2 + MEMBERS];
static ShmbParty parties[MEMBERS];
static ShmbRingProducer producer;
static ShmbGroupMember members[MEMBERS];

static ShmbMapped object(ShmbObjectKind kind, _Atomic uint32_t *newest) {
        ShmbMapped mapped = {.newest = newest, .epoch = 1};

        mapped.n_bytes = (size_t)shmb_geometry_object_size(&geometry, kind);
        mapped.memory = aligned_alloc(SHMB_PAGE, mapped.n_bytes);
        assert_non_null(mapped.memory);
        memset(mapped.memory, 0, mapped.n_bytes);
        atomic_store(newest, 1);
        return mapped;
}

static void join(unsigned i) {
        const ShmbGroupParams params = {
                .geometry = &geometry,
                .index = i,
                .lease = LEASE + i,
                .group = &group,
                .seats = seats,
                .lanes = &lane,
                .parties = parties,
        };

        atomic_store(&parties[i].lease, LEASE + i);
        atomic_store(&parties[i].occupancy, SHMB_PARTY_HELD);
        assert_int_equal(shmb_group_init(&members[i], &params), 0);
}

static int setup(void **state) {
        unsigned i;

        geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = MEMBERS,
                .item_size = 8,
                .item_align = 8,
                .capacity = CAPACITY,
        };
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        lane = object(SHMB_OBJECT_LANE, &epochs[0]);
        group = object(SHMB_OBJECT_GROUP, &epochs[1]);
        for (i = 0; i < MEMBERS; i++)
                seats[i] = object(SHMB_OBJECT_SEAT, &epochs[2 + i]);
        memset(parties, 0, sizeof(parties));
        assert_int_equal(shmb_ring_producer_init(&producer, &geometry, 0, &lane, seats, false), 0);
        assert_int_equal(shmb_ring_producer_set_group(&producer, &geometry, &group), 0);
        for (i = 0; i < MEMBERS; i++)
                join(i);
        return 0;
}

static int teardown(void **state) {
        unsigned i;

        free(lane.memory);
        free(group.memory);
        for (i = 0; i < MEMBERS; i++)
                free(seats[i].memory);
        return 0;
}

static int push(uint64_t number) {
        return shmb_ring_push_n(&producer, &number, 1, SHMB_RING_EXACT);
}

/* The number of the first item of a span of @n; fails where there is less. */
static uint64_t claim(unsigned i, uint32_t n) {
        ShmbRingSpan span = {};
        uint64_t number;

        assert_int_equal(shmb_group_claim(&members[i], n, &span), n);
        memcpy(&number, span.data, sizeof(number));
        return number;
}

static int try_claim(unsigned i) {
        ShmbRingSpan span;

        return shmb_group_claim(&members[i], 1, &span);
}

static _Atomic uint64_t *word(uint64_t item) {
        return &((ShmbGroup *)group.memory)->words[item % CAPACITY];
}

static uint64_t state_of(uint64_t item) {
        return atomic_load(word(item)) & 3;
}

static void test_each_item_goes_to_one_member_over_many_laps(void **state) {
        uint64_t number, got[MEMBERS] = {};
        unsigned i;

        for (number = 0; number < 20 * CAPACITY; number++) {
                i = (unsigned)(number % MEMBERS);
                assert_int_equal(push(number), 1);
                assert_int_equal(claim(i, 1), number);
                assert_int_equal(try_claim((i + 1) % MEMBERS), -EAGAIN);
                assert_int_equal(shmb_group_release(&members[i], 1), 0);
                got[i]++;
        }
        assert_int_equal(got[0] + got[1] + got[2], 20 * CAPACITY);
}

static void test_producer_waits_for_the_oldest_that_is_held(void **state) {
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 1), 0);
        assert_int_equal(claim(1, 3), 1);
        assert_int_equal(shmb_group_release(&members[1], 3), 0);
        assert_int_equal(push(CAPACITY), -EAGAIN);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        for (; number < 2 * CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(push(number), -EAGAIN);
}

static void test_rest_of_a_span_stays_with_its_holder_and_comes_first(void **state) {
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 3), 0);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        assert_int_equal(claim(1, 1), 3);
        assert_int_equal(claim(0, 2), 1);
        assert_int_equal(shmb_group_release(&members[0], 3), -EINVAL);
        assert_int_equal(shmb_group_release(&members[0], 2), 0);
}

static void test_what_is_given_back_goes_to_others(void **state) {
        assert_int_equal(push(0), 1);
        assert_int_equal(push(1), 1);
        assert_int_equal(claim(0, 2), 0);
        assert_int_equal(try_claim(1), -EAGAIN);
        shmb_group_give_back(&members[0]);
        shmb_group_repair(&members[1]);
        assert_int_equal(claim(1, 2), 0);
        /* nobody died: nothing is redelivered */
        assert_int_equal(((ShmbSeat *)seats[1].memory)->counters.n_redelivered, 0);
}

static void test_only_the_proven_dead_are_robbed(void **state) {
        assert_int_equal(push(0), 1);
        assert_int_equal(claim(0, 1), 0);
        shmb_group_repair(&members[1]);
        assert_int_equal(try_claim(1), -EAGAIN);
        atomic_store(&parties[0].occupancy, SHMB_PARTY_UNPROVEN);
        shmb_group_repair(&members[1]);
        assert_int_equal(try_claim(1), -EAGAIN);

        atomic_store(&parties[0].occupancy, SHMB_PARTY_VACANT);
        atomic_store(&parties[0].lease, 0);
        shmb_group_repair(&members[1]);
        shmb_group_repair(&members[2]);
        assert_int_equal(claim(2, 1), 0);
        assert_int_equal(try_claim(1), -EAGAIN);
        assert_int_equal(((ShmbSeat *)seats[1].memory)->counters.n_redelivered, 1);
        assert_int_equal(((ShmbSeat *)seats[2].memory)->counters.n_redelivered, 0);

        /* He was not dead after all, and changes nothing. */
        assert_int_equal(shmb_group_release(&members[0], 1), -ESHUTDOWN);
        assert_int_equal(state_of(0), SHMB_SLOT_HELD);
        assert_int_equal(shmb_group_release(&members[2], 1), 0);
}

static void test_next_holder_of_a_seat_is_another_one(void **state) {
        assert_int_equal(push(0), 1);
        assert_int_equal(claim(0, 1), 0);
        atomic_store(&parties[0].lease, LEASE + 77);
        shmb_group_repair(&members[1]);
        assert_int_equal(claim(1, 1), 0);
}

static void test_late_member_begins_where_nothing_is_done(void **state) {
        uint64_t number;

        for (number = 0; number < 3 * CAPACITY; number++) {
                assert_int_equal(push(number), 1);
                if (number >= 2 * CAPACITY + 1)
                        continue;
                assert_int_equal(claim(0, 1), number);
                assert_int_equal(shmb_group_release(&members[0], 1), 0);
        }
        join(2);
        assert_int_equal(claim(2, 1), 2 * CAPACITY + 1);
        /* one that slept meanwhile, likewise */
        assert_int_equal(claim(1, 1), 2 * CAPACITY + 2);
}

static void test_replaced_group_keeps_what_is_held_and_done(void **state) {
        ShmbMapped old = group, fresh;
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 1), 0);
        assert_int_equal(claim(1, 1), 1);

        /* The broker: the epoch, then the copy. */
        atomic_store(&epochs[1], 2);
        fresh = object(SHMB_OBJECT_GROUP, &epochs[1]);
        atomic_store(&epochs[1], 2);
        memcpy(fresh.memory, old.memory, fresh.n_bytes);
        fresh.epoch = 2;
        /* Released behind the copy, and claimed behind it. */
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        assert_int_equal(try_claim(2), -EAGAIN);
        assert_int_equal(push(CAPACITY), -EAGAIN);

        group = fresh;
        for (number = 0; number < MEMBERS; number++)
                assert_int_equal(shmb_group_switch_group(&members[number], &geometry, &group), 0);
        assert_int_equal(shmb_ring_producer_set_group(&producer, &geometry, &group), 0);
        assert_int_equal(state_of(0), SHMB_SLOT_DONE);
        assert_int_equal(state_of(1), SHMB_SLOT_HELD);
        assert_int_equal(push(CAPACITY), 1);
        assert_int_equal(claim(2, 2), 2);
        assert_int_equal(shmb_group_release(&members[1], 1), 0);
        assert_int_equal(state_of(1), SHMB_SLOT_DONE);
        free(old.memory);
}

/* Its second object, with a producer who has just come. */
static void replace_lane(void) {
        lane = object(SHMB_OBJECT_LANE, &epochs[0]);
        atomic_store(&epochs[0], 2);
        lane.epoch = 2;
        assert_int_equal(shmb_ring_producer_init(&producer, &geometry, 0, &lane, seats, false), 0);
        assert_int_equal(shmb_ring_producer_set_group(&producer, &geometry, &group), 0);
}

static void test_replaced_lane_begins_anew_when_the_old_one_is_drained(void **state) {
        ShmbMapped old = lane;
        uint64_t number;

        for (number = 0; number < 3; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 1), 0);
        replace_lane();
        assert_int_equal(push(100), 1);

        assert_int_equal(shmb_group_switch_lane(&members[0], 0, &lane), -EBUSY);
        assert_int_equal(shmb_group_switch_lane(&members[1], 0, &lane), -EAGAIN);
        assert_int_equal(claim(1, 2), 1);
        assert_int_equal(shmb_group_release(&members[1], 2), 0);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        for (number = 0; number < MEMBERS; number++)
                assert_int_equal(shmb_group_switch_lane(&members[number], 0, &lane), 0);
        assert_int_equal(claim(2, 1), 100);
        free(old.memory);
}

static void kill_member(unsigned i) {
        atomic_store(&parties[i].occupancy, SHMB_PARTY_VACANT);
        atomic_store(&parties[i].lease, 0);
}

/* The producer died, and so did all who knew his lane, one holding an item of it. */
static void test_what_is_left_in_a_lane_that_nobody_knows_any_more_holds_up_nothing(void **state) {
        ShmbMapped old = lane;
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 1), 0);
        assert_int_equal(claim(1, 1), 1);
        shmb_group_give_back(&members[1]);
        replace_lane();
        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(100 + number), 1);

        /* A member 2 who comes now does not know it. */
        memset(seats[2].memory, 0, seats[2].n_bytes);
        join(2);
        assert_int_equal(try_claim(2), -EAGAIN);
        kill_member(1);
        assert_int_equal(try_claim(2), -EAGAIN);
        assert_int_equal(claim(0, 1), 0);
        kill_member(0);
        assert_int_equal(claim(2, CAPACITY), 100);
        assert_int_equal(shmb_group_release(&members[2], CAPACITY), 0);
        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(200 + number), 1);
        free(old.memory);
}

/* A successor in this lane. Return: what he says to the tail that stands there. */
static int take_over_at(uint64_t tail) {
        atomic_store(&((ShmbLane *)lane.memory)->tail, tail);
        assert_int_equal(shmb_ring_producer_init(&producer, &geometry, 0, &lane, seats, false), 0);
        return shmb_ring_producer_set_group(&producer, &geometry, &group);
}

static void test_tail_of_a_dead_producer_must_fit_the_words(void **state) {
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(take_over_at(CAPACITY), 0);
        assert_int_equal(claim(0, 2), 0);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        assert_int_equal(push(CAPACITY), 1);
        assert_int_equal(take_over_at(CAPACITY + 1), 0);

        assert_int_equal(take_over_at(CAPACITY + 2), -EBADMSG);
        assert_int_equal(take_over_at(100 * CAPACITY), -EBADMSG);
        assert_int_equal(take_over_at(UINT64_C(1) << 63), -EBADMSG);
        assert_int_equal(take_over_at(CAPACITY + 1), 0);
        assert_int_equal(claim(1, 2), 2);
}

static void test_member_who_comes_to_a_lie_goes_on_with_the_next_lane(void **state) {
        ShmbMapped old = lane;

        atomic_store(&((ShmbLane *)lane.memory)->tail, 100 * CAPACITY);
        join(2);
        assert_int_equal(try_claim(2), -EBADMSG);
        replace_lane();
        assert_int_equal(push(7), 1);
        assert_int_equal(shmb_group_switch_lane(&members[2], 0, &lane), 0);
        kill_member(0);
        kill_member(1);
        assert_int_equal(claim(2, 1), 7);
        free(old.memory);
}

/* What a member wrote anywhere does not outlive a new object of the lane, once he is gone. */
static void test_noise_in_the_words_ends_with_the_lane(void **state) {
        ShmbMapped old = lane;
        uint64_t number;
        unsigned i;

        for (i = 0; i < CAPACITY; i++)
                atomic_store(word(i), UINT64_C(0x0203040506070809) * (i + 1));
        /* Of this very epoch, of a lap that is far away. */
        atomic_store(word(0), UINT64_C(2) << 56 | UINT64_C(77) << 25 | 1);
        assert_int_equal(take_over_at(CAPACITY), -EBADMSG);
        replace_lane();
        kill_member(1);
        kill_member(2);
        memset(seats[0].memory, 0, seats[0].n_bytes);
        join(0);
        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(100 + number), 1);
        assert_int_equal(claim(0, CAPACITY), 100);
        assert_int_equal(shmb_group_release(&members[0], CAPACITY), 0);
        assert_int_equal(push(200), 1);
        free(old.memory);
}

static void test_who_joins_while_an_old_lane_is_drained_takes_nothing_of_it(void **state) {
        ShmbMapped old = lane;
        uint64_t number;

        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(number), 1);
        assert_int_equal(claim(0, 1), 0);
        replace_lane();
        for (number = 0; number < CAPACITY; number++)
                assert_int_equal(push(100 + number), 1);
        memset(seats[2].memory, 0, seats[2].n_bytes);
        join(2);
        assert_int_equal(try_claim(2), -EAGAIN);
        assert_int_equal(claim(1, CAPACITY - 1), 1);
        assert_int_equal(shmb_group_release(&members[1], CAPACITY - 1), 0);
        assert_int_equal(try_claim(2), -EAGAIN);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        assert_int_equal(shmb_group_switch_lane(&members[0], 0, &lane), 0);
        assert_int_equal(claim(2, 1), 100);
        assert_int_equal(claim(0, 1), 101);
        /* Who looks late finds it all gone, although others are in its words already. */
        assert_int_equal(try_claim(1), -EAGAIN);
        assert_int_equal(shmb_group_switch_lane(&members[1], 0, &lane), 0);
        assert_int_equal(claim(1, 1), 102);
        free(old.memory);
}

static void test_who_enters_a_lane_gives_back_what_the_dead_held_in_it(void **state) {
        ShmbMapped old = lane;

        replace_lane();
        assert_int_equal(push(100), 1);
        assert_int_equal(shmb_group_switch_lane(&members[1], 0, &lane), 0);
        assert_int_equal(claim(1, 1), 100);
        kill_member(1);
        /* Heard of while in the old one. */
        shmb_group_repair(&members[0]);
        assert_int_equal(shmb_group_switch_lane(&members[0], 0, &lane), 0);
        assert_int_equal(claim(0, 1), 100);
        free(old.memory);
}

/*
 * Its producer hung up and goes on; the broker gave his lane to another one. Member 0 is in the new
 * object already, when member 1 takes what came since. Return: the old object.
 */
static void *take_late_item(void) {
        ShmbMapped old = lane;

        assert_int_equal(push(0), 1);
        assert_int_equal(claim(0, 1), 0);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        replace_lane();
        assert_int_equal(shmb_group_switch_lane(&members[0], 0, &lane), 0);
        atomic_store(&((ShmbLane *)old.memory)->tail, 2);
        assert_int_equal(shmb_group_switch_lane(&members[1], 0, &lane), -EAGAIN);
        (void)claim(1, 1);
        assert_int_equal(push(100), 1);
        assert_int_equal(push(101), 1);
        return old.memory;
}

static void test_who_takes_a_late_item_of_an_old_lane_keeps_it(void **state) {
        void *old = take_late_item();

        memset(seats[2].memory, 0, seats[2].n_bytes);
        join(2);
        assert_int_equal(claim(2, 1), 100);
        assert_int_equal(shmb_group_release(&members[2], 1), 0);
        assert_int_equal(try_claim(2), -EAGAIN);
        assert_int_equal(shmb_group_release(&members[1], 1), 0);
        /* He has nothing else; but others wait for his slot. */
        assert_true(shmb_group_has_more(&members[1], false));
        assert_int_equal(claim(2, 1), 101);
        free(old);
}

static void test_late_item_of_an_old_lane_dies_with_who_took_it(void **state) {
        void *old = take_late_item();

        kill_member(1);
        shmb_group_repair(&members[0]);
        assert_int_equal(claim(0, 2), 100);
        free(old);
}

static void test_late_item_of_an_old_lane_that_is_given_back_holds_up_nothing(void **state) {
        void *old = take_late_item();

        shmb_group_give_back(&members[1]);
        kill_member(1);
        shmb_group_repair(&members[0]);
        assert_int_equal(claim(0, 2), 100);
        free(old);
}

static void test_tail_that_goes_back_or_beyond_is_a_lie(void **state) {
        _Atomic uint64_t *tail = &((ShmbLane *)lane.memory)->tail;

        assert_int_equal(push(0), 1);
        assert_int_equal(claim(0, 1), 0);
        assert_int_equal(shmb_group_release(&members[0], 1), 0);
        atomic_store(tail, 0);
        assert_int_equal(try_claim(0), -EBADMSG);
        atomic_store(tail, CAPACITY + 2);
        assert_int_equal(try_claim(1), -EBADMSG);
}

/* Whatever stands in the words: nobody crashes, hangs, or is shown what is outside of the lane. */
static void test_words_that_somebody_made_up_harm_nobody_else(void **state) {
        unsigned seed = 7, round, i;
        ShmbRingSpan span;
        int r;

        for (round = 0; round < 20000; round++) {
                (void)push(round);
                atomic_store(word((uint64_t)rand_r(&seed)),
                             (uint64_t)rand_r(&seed) << 40 ^ (uint64_t)rand_r(&seed));
                i = (unsigned)rand_r(&seed) % MEMBERS;
                r = shmb_group_claim(&members[i], 1 + (uint32_t)rand_r(&seed) % 5, &span);
                if (r > 0) {
                        assert_true(span.data >= ((ShmbLane *)lane.memory)->slots);
                        assert_true(span.data + span.n * 8 <=
                                    (uint8_t *)lane.memory + lane.n_bytes);
                        (void)shmb_group_release(&members[i], span.n);
                }
                shmb_group_repair(&members[i]);
                if (r == -EBADMSG || r == -ESHUTDOWN)
                        join(i);
        }
}

static void test_init_refuses_what_does_not_fit(void **state) {
        ShmbGroupMember untouched;
        ShmbGroupParams params = {
                .geometry = &geometry, .group = &group, .seats = seats, .lanes = &lane,
                .parties = parties,
        };

        memset(&untouched, 0xa5, sizeof(untouched));
        params.index = MEMBERS;
        assert_int_equal(shmb_group_init(&untouched, &params), -EINVAL);
        params.index = 0;
        group.n_bytes--;
        assert_int_equal(shmb_group_init(&untouched, &params), -EINVAL);
        group.n_bytes++;
        geometry.n_seats = 1;
        assert_int_equal(shmb_group_init(&untouched, &params), -EINVAL);
        assert_int_equal(untouched.me, 0xa5a5a5a5);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_item_goes_to_one_member_over_many_laps),
                TEST(test_producer_waits_for_the_oldest_that_is_held),
                TEST(test_rest_of_a_span_stays_with_its_holder_and_comes_first),
                TEST(test_what_is_given_back_goes_to_others),
                TEST(test_only_the_proven_dead_are_robbed),
                TEST(test_next_holder_of_a_seat_is_another_one),
                TEST(test_late_member_begins_where_nothing_is_done),
                TEST(test_replaced_group_keeps_what_is_held_and_done),
                TEST(test_replaced_lane_begins_anew_when_the_old_one_is_drained),
                TEST(test_what_is_left_in_a_lane_that_nobody_knows_any_more_holds_up_nothing),
                TEST(test_tail_of_a_dead_producer_must_fit_the_words),
                TEST(test_member_who_comes_to_a_lie_goes_on_with_the_next_lane),
                TEST(test_noise_in_the_words_ends_with_the_lane),
                TEST(test_who_joins_while_an_old_lane_is_drained_takes_nothing_of_it),
                TEST(test_who_enters_a_lane_gives_back_what_the_dead_held_in_it),
                TEST(test_who_takes_a_late_item_of_an_old_lane_keeps_it),
                TEST(test_late_item_of_an_old_lane_dies_with_who_took_it),
                TEST(test_late_item_of_an_old_lane_that_is_given_back_holds_up_nothing),
                TEST(test_tail_that_goes_back_or_beyond_is_a_lie),
                TEST(test_words_that_somebody_made_up_harm_nobody_else),
                TEST(test_init_refuses_what_does_not_fit),
        };

        return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
