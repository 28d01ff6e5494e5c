/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The consumer's end of a ring: each state is made by writing the words that make it
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

static RingRegion region;
static ShmbRingConsumer consumer;

/* One lane and one seat, 32 slots of 24 bytes. */
static int setup(void **state) {
        ring_region_init(&region, 1, 1, 24, 32);
        ring_region_wind(&region, 0);
        return 0;
}

static int setup_three_lanes(void **state) {
        ring_region_init(&region, 3, 1, 24, 1024);
        return 0;
}

static int teardown(void **state) {
        ring_region_deinit(&region);
        return 0;
}

/* Items up to @tail stand in @lane, each with its own index for a number. */
static void publish(uint32_t lane, uint64_t tail) {
        ShmbLane *memory = ring_region_lane(&region, lane);
        uint64_t i, k, mask = region.geometry.capacity - 1;

        for (i = atomic_load(&memory->tail); i != tail; i++)
                for (k = 0; k < 24; k += 8)
                        memcpy(memory->slots + (i & mask) * 24 + k, &i, sizeof(i));
        atomic_store(&memory->tail, tail);
}

static void pop_all(uint64_t from, uint64_t n) {
        uint64_t i, number;

        for (i = from; i != from + n; i++) {
                assert_int_equal(ring_region_pop(&consumer, &number), 1);
                assert_int_equal(number, i);
        }
}

static void check_place(uint32_t lane, uint64_t head, uint64_t done, uint64_t taken) {
        ShmbPlace *place = ring_region_place(&region, 0, lane);

        assert_int_equal(atomic_load(&place->head), head);
        assert_int_equal(atomic_load(&place->done), done);
        assert_int_equal(atomic_load(&place->taken), taken);
}

static void set_place(uint64_t head, uint64_t done, uint64_t taken) {
        ShmbPlace *place = ring_region_place(&region, 0, 0);

        atomic_store(&place->head, head);
        atomic_store(&place->done, done);
        atomic_store(&place->taken, taken);
}

static int init(ShmbRingResume resume) {
        return shmb_ring_consumer_init(&consumer, &region.geometry, &region.seats[0], region.lanes,
                                       resume, false);
}

static void test_consumer_init_goes_on_where_its_predecessor_stood(void **state) {
        publish(0, 20);
        set_place(4, 10, 13);
        ring_region_consume(&region, 0, &consumer);
        check_place(0, 10, 10, 10);
        assert_int_equal(ring_region_seat(&region, 0)->counters.n_redelivered, 3);
        pop_all(10, 10);
        /* its own successor has nothing to deliver again */
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(ring_region_seat(&region, 0)->counters.n_redelivered, 3);
}

static void test_consumer_init_starts_a_new_epoch_of_a_lane_at_its_first_item(void **state) {
        ShmbMapped old;

        ring_region_wind(&region, 1000);
        ring_region_replace_lane(&region, 0, &old);
        publish(0, 5);
        ring_region_consume(&region, 0, &consumer);
        check_place(0, 0, 0, 0);
        assert_int_equal(ring_region_place(&region, 0, 0)->epoch, 2);
        pop_all(0, 5);
        free(old.memory);
}

static void test_consumer_init_refuses_a_place_out_of_bounds_and_writes_nothing(void **state) {
        static const uint64_t bad[][3] = {
                {90, 101, 101},                          /* done beyond tail */
                {67, 67, 67},                            /* more in flight than there are slots */
                {90, 90, 101},                           /* taken beyond tail */
                {90, 90, 89},                            /* taken behind done */
                {91, 90, 90},                            /* head beyond done */
                {UINT64_MAX, 90, 90},
                {90, UINT64_MAX, UINT64_MAX},
                {UINT64_C(1) << 63, UINT64_C(1) << 63, UINT64_C(1) << 63},
        };
        ShmbMapped *seat = &region.seats[0];
        uint8_t *before = malloc(seat->n_bytes);
        size_t i;

        assert_non_null(before);
        publish(0, 100);
        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                set_place(bad[i][0], bad[i][1], bad[i][2]);
                memcpy(before, seat->memory, seat->n_bytes);
                assert_int_equal(init(SHMB_RING_STRICT), -EBADMSG);
                assert_memory_equal(before, seat->memory, seat->n_bytes);

                assert_int_equal(init(SHMB_RING_RESYNC), 0);
                check_place(0, 100, 100, 100);
        }
        assert_true(ring_region_seat(&region, 0)->counters.n_missed > 0);
        publish(0, 101);
        pop_all(100, 1);
        free(before);
}

static void test_consumer_init_resync_changes_nothing_where_all_is_sound(void **state) {
        publish(0, 20);
        set_place(4, 10, 10);
        assert_int_equal(init(SHMB_RING_RESYNC), 0);
        check_place(0, 10, 10, 10);
        assert_int_equal(ring_region_seat(&region, 0)->counters.n_missed, 0);
}

static void test_consumer_init_refuses_objects_that_do_not_fit(void **state) {
        ShmbGeometry raw = {.kind = SHMB_KIND_RAW, .region_size = 4096};
        ShmbMapped seat = region.seats[0];

        assert_int_equal(shmb_ring_consumer_init(&consumer, &raw, &seat, region.lanes,
                                                 SHMB_RING_STRICT, false), -EINVAL);
        region.seats[0].n_bytes--;
        assert_int_equal(init(SHMB_RING_STRICT), -EINVAL);
        region.seats[0] = seat;
        region.lanes[0].n_bytes--;
        assert_int_equal(init(SHMB_RING_STRICT), -EINVAL);
}

static void test_consumer_pops_in_order_and_whole(void **state) {
        uint64_t number = 4711;

        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_int_equal(number, 4711);
        publish(0, 32);
        pop_all(0, 32);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        publish(0, 50);
        pop_all(32, 18);
        assert_int_equal(ring_region_seat(&region, 0)->counters.n_items, 50);
}

static void test_consumer_pop_touches_nothing_but_its_place(void **state) {
        ShmbMapped *lane = &region.lanes[0], *seat = &region.seats[0];
        uint8_t *before = malloc(lane->n_bytes + seat->n_bytes);
        ShmbSeat *expected;

        assert_non_null(before);
        publish(0, 9);
        ring_region_consume(&region, 0, &consumer);
        memcpy(before + seat->n_bytes, lane->memory, lane->n_bytes);
        memcpy(before, seat->memory, seat->n_bytes);
        expected = (ShmbSeat *)(void *)before;
        pop_all(0, 1);

        atomic_store(&expected->places[0].done, 1);
        atomic_store(&expected->places[0].taken, 1);
        atomic_store(&expected->counters.n_items, 1);
        assert_memory_equal(seat->memory, before, seat->n_bytes);
        assert_memory_equal(lane->memory, before + seat->n_bytes, lane->n_bytes);
        free(before);
}

static void test_consumer_publishes_head_by_the_batch_and_when_it_runs_dry(void **state) {
        uint64_t number;

        publish(0, 10);
        ring_region_consume(&region, 0, &consumer);
        pop_all(0, 3);
        check_place(0, 0, 3, 3);
        pop_all(3, 1);
        check_place(0, 4, 4, 4);
        pop_all(4, 6);
        check_place(0, 8, 10, 10);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        check_place(0, 10, 10, 10);
}

static void test_consumer_pop_n_takes_what_is_there(void **state) {
        uint64_t items[40][3], i;

        publish(0, 3);
        ring_region_consume(&region, 0, &consumer);
        pop_all(0, 1);
        publish(0, 30);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 0), 0);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), 20);
        publish(0, 50);
        /* round the end of the slots */
        assert_int_equal(shmb_ring_pop_n(&consumer, items + 20, 20), 20);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 40), 9);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 40), -EAGAIN);
        for (i = 20; i < 40; i++)
                assert_int_equal(items[i][0], i + 1);
        assert_int_equal(items[0][0], 41);
}

static void test_consumer_peek_shows_items_in_place_until_they_are_released(void **state) {
        ShmbRingSpan span;

        publish(0, 10);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_peek_n(&consumer, 4, &span), 4);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots);
        check_place(0, 0, 0, 4);
        /* again: the same */
        assert_int_equal(shmb_ring_peek_n(&consumer, 2, &span), 2);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots);
        check_place(0, 0, 0, 4);

        assert_int_equal(shmb_ring_release_n(&consumer, 3), -EINVAL);
        assert_int_equal(shmb_ring_release_n(&consumer, 1), 0);
        check_place(0, 0, 1, 4);
        assert_int_equal(shmb_ring_release_n(&consumer, 1), -EINVAL);
        check_place(0, 0, 1, 4);
        /* what was shown and not released comes again */
        assert_int_equal(shmb_ring_peek_n(&consumer, 100, &span), 9);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots + 24);
}

static void test_consumer_peek_ends_at_the_end_of_the_slots(void **state) {
        ShmbRingSpan span;

        ring_region_wind(&region, 30);
        publish(0, 40);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_peek_n(&consumer, 10, &span), 2);
        assert_int_equal(shmb_ring_release_n(&consumer, 2), 0);
        assert_int_equal(shmb_ring_peek_n(&consumer, 10, &span), 8);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots);
}

static void test_consumer_pop_is_refused_while_a_span_is_held(void **state) {
        uint64_t number, items[2][3];
        ShmbRingSpan span;

        publish(0, 10);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_peek_n(&consumer, 1, &span), 1);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBUSY);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 2), -EBUSY);
        check_place(0, 0, 0, 1);
        assert_int_equal(shmb_ring_release_n(&consumer, 0), 0);
        pop_all(0, 1);
}

/* A tail that is none, after 10 items were seen of which 4 are released. */
static void check_poisoned_by(uint64_t tail) {
        ShmbRingSpan span = {NULL, 4711};
        uint64_t number, items[2][3];

        ring_region_wind(&region, 100);
        publish(0, 110);
        ring_region_consume(&region, 0, &consumer);
        pop_all(100, 4);
        atomic_store(&ring_region_lane(&region, 0)->tail, tail);
        pop_all(104, 6);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);

        /* from now on always, whatever he says later */
        atomic_store(&ring_region_lane(&region, 0)->tail, 111);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 2), -EBADMSG);
        assert_int_equal(shmb_ring_peek_n(&consumer, 1, &span), -EBADMSG);
        assert_int_equal(span.n, 4711);
        assert_int_equal(ring_region_place(&region, 0, 0)->done, 110);
}

static void test_consumer_is_poisoned_by_a_tail_out_of_bounds(void **state) {
        check_poisoned_by(110 + 33);
        check_poisoned_by(109);
        check_poisoned_by(0);
        check_poisoned_by(UINT64_MAX);
        check_poisoned_by(110 + (UINT64_C(1) << 63));
}

static void test_consumer_is_poisoned_by_a_tail_behind_what_it_was_shown(void **state) {
        uint64_t items[20][3], number;

        ring_region_consume(&region, 0, &consumer);
        publish(0, 10);
        pop_all(0, 1);
        atomic_store(&ring_region_lane(&region, 0)->tail, 5);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        /* what it released stays released */
        check_place(0, 1, 1, 1);
}

static void test_consumer_poisoned_by_one_lane_serves_the_others(void **state) {
        uint64_t number;

        ring_region_consume(&region, 0, &consumer);
        atomic_store(&ring_region_lane(&region, 1)->tail, 5000);
        publish(0, 1);
        publish(2, 1);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        /* said once */
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        publish(2, 2);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);

        atomic_store(&ring_region_lane(&region, 0)->tail, 0);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        /* all: always */
        atomic_store(&ring_region_lane(&region, 2)->tail, 0);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
}

static void test_consumer_lets_lanes_take_turns(void **state) {
        uint64_t number, next[3] = {0}, most[3] = {0}, run = 0;
        uint32_t i, lane, last = 3;

        ring_region_consume(&region, 0, &consumer);
        publish(0, 1024);
        publish(1, 1024);
        publish(2, 10);
        for (i = 0; i < 2 * 1024 + 10; i++) {
                assert_int_equal(ring_region_pop(&consumer, &number), 1);
                lane = shmb_ring_consumer_lane(&consumer);
                assert_int_equal(number, next[lane]++);
                run = lane == last ? run + 1 : 1;
                last = lane;
                if (run > most[lane])
                        most[lane] = run;
                /* whoever came last was not kept waiting by the busy ones */
                if (next[0] > 256 && next[1] > 256)
                        assert_int_equal(next[2], 10);
        }
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_true(most[0] < 1024 && most[1] < 1024);
        for (i = 0; i < 3; i++)
                check_place(i, next[i], next[i], next[i]);
}

static void test_consumer_pop_n_is_of_one_lane(void **state) {
        static uint64_t items[1024][3];

        ring_region_consume(&region, 0, &consumer);
        publish(0, 3);
        publish(1, 4);
        publish(2, 5);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), 4);
        assert_int_equal(shmb_ring_consumer_lane(&consumer), 1);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), 5);
        assert_int_equal(shmb_ring_consumer_lane(&consumer), 2);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), 3);
        assert_int_equal(shmb_ring_consumer_lane(&consumer), 0);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 20), -EAGAIN);
        /* nor does it make a turn longer */
        publish(1, 1024);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 3), 3);
        assert_int_equal(shmb_ring_pop_n(&consumer, items, 1024), 253);
}

static void test_consumer_drains_a_replaced_lane_and_goes_on_in_the_new(void **state) {
        ShmbMapped old;
        uint64_t number;

        ring_region_wind(&region, 100);
        publish(0, 105);
        ring_region_consume(&region, 0, &consumer);
        pop_all(100, 2);
        ring_region_replace_lane(&region, 0, &old);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), -EAGAIN);
        /* somebody still writes to the old one; that tail is not believed any more */
        atomic_store(&((ShmbLane *)old.memory)->tail, 120);
        pop_all(102, 3);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), 0);
        free(old.memory);

        check_place(0, 0, 0, 0);
        assert_int_equal(ring_region_place(&region, 0, 0)->epoch, 2);
        publish(0, 3);
        pop_all(0, 3);
}

static void test_consumer_believes_one_last_tail_of_a_replaced_lane(void **state) {
        uint64_t number;
        ShmbMapped old;

        ring_region_consume(&region, 0, &consumer);
        publish(0, 2);
        ring_region_replace_lane(&region, 0, &old);
        pop_all(0, 2);
        atomic_store(&((ShmbLane *)old.memory)->tail, 4);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), 0);
        free(old.memory);
}

/* Whoever calls it knows better than control, for an instant. */
static void test_consumer_told_to_switch_believes_no_further_tail(void **state) {
        ShmbMapped old, next;
        uint64_t number;

        ring_region_consume(&region, 0, &consumer);
        publish(0, 2);
        ring_region_replace_lane(&region, 0, &old);
        next = region.lanes[0];
        atomic_store(&region.lane_epochs[0], 1);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &next), -EAGAIN);
        atomic_store(&((ShmbLane *)old.memory)->tail, 4);
        pop_all(0, 2);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &next), 0);
        free(old.memory);
}

static void test_consumer_does_not_switch_under_a_span_that_is_held(void **state) {
        ShmbRingSpan span;
        ShmbMapped old;

        publish(0, 1);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_peek_n(&consumer, 1, &span), 1);
        ring_region_replace_lane(&region, 0, &old);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), -EBUSY);
        assert_int_equal(shmb_ring_release_n(&consumer, 1), 0);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), 0);
        free(old.memory);
}

static void test_consumer_that_loses_one_lane_keeps_the_span_of_another(void **state) {
        ShmbRingSpan span;
        ShmbMapped old;

        ring_region_consume(&region, 0, &consumer);
        publish(1, 2);
        assert_int_equal(shmb_ring_peek_n(&consumer, 2, &span), 2);
        atomic_store(&ring_region_lane(&region, 2)->tail, 5000);
        ring_region_replace_lane(&region, 2, &old);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 2, &region.lanes[2]), 0);
        assert_int_equal(shmb_ring_release_n(&consumer, 2), 0);
        check_place(1, 0, 2, 2);
        free(old.memory);
}

static void test_consumer_switch_refuses_what_does_not_fit(void **state) {
        ShmbMapped lane = region.lanes[0];

        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 1, &lane), -EINVAL);
        lane.n_bytes--;
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &lane), -EINVAL);
        publish(0, 1);
        pop_all(0, 1);
}

static void test_consumer_is_cured_by_a_new_lane(void **state) {
        ShmbMapped old;
        uint64_t number;

        ring_region_consume(&region, 0, &consumer);
        atomic_store(&ring_region_lane(&region, 0)->tail, 33);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        ring_region_replace_lane(&region, 0, &old);
        assert_int_equal(shmb_ring_consumer_switch_lane(&consumer, 0, &region.lanes[0]), 0);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        publish(0, 2);
        pop_all(0, 2);
        free(old.memory);
}

static void test_consumer_indices_wrap(void **state) {
        ring_region_wind(&region, UINT64_MAX - 5);
        publish(0, UINT64_MAX - 5 + 32);
        ring_region_consume(&region, 0, &consumer);
        pop_all(UINT64_MAX - 5, 32);
        publish(0, 40);
        pop_all(26, 14);
}

static void test_consumer_waits_on_the_bell_of_each_lane(void **state) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        uint32_t i;

        for (i = 0; i < 3; i++)
                atomic_store(&ring_region_lane(&region, i)->bell.bell, 7 + i);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_consumer_words(&consumer, words), 3);
        for (i = 0; i < 3; i++) {
                assert_ptr_equal(words[i].word, &ring_region_lane(&region, i)->bell.bell);
                assert_int_equal(words[i].value, 7 + i);
        }
}

static void test_consumer_wakes_the_producer_of_the_lane_that_it_released(void **state) {
        uint64_t number;

        ring_region_consume(&region, 0, &consumer);
        atomic_store(&ring_region_lane(&region, 2)->sleep.seq, 1);
        publish(1, 1);
        publish(2, 1);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_false(shmb_waker_look(&consumer.waker, shmb_ring_consumer_lane(&consumer)));
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_true(shmb_waker_look(&consumer.waker, shmb_ring_consumer_lane(&consumer)));
        assert_int_equal(ring_region_seat(&region, 0)->bell.bell, 1);
}

/* One by one, slowly and fast: whether it waits for batches never changes what comes out. */
static void test_consumer_patience_loses_nothing(void **state) {
        uint64_t tail = 0, next = 0, number;
        uint32_t i;

        ring_region_consume(&region, 0, &consumer);
        for (i = 0; i < 20000; i++) {
                if (tail - next < 32) {
                        tail += 1 + i % 7 % (32 - (tail - next));
                        publish(0, tail);
                }
                if (i % 3 == 0)
                        continue;
                while (next != tail && (i % 5 == 0 || tail - next > 20)) {
                        assert_int_equal(ring_region_pop(&consumer, &number), 1);
                        assert_int_equal(number, next++);
                }
        }
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
#define TEST_THREE_LANES(_name) cmocka_unit_test_setup_teardown(_name, setup_three_lanes, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_consumer_init_goes_on_where_its_predecessor_stood),
                TEST(test_consumer_init_starts_a_new_epoch_of_a_lane_at_its_first_item),
                TEST(test_consumer_init_refuses_a_place_out_of_bounds_and_writes_nothing),
                TEST(test_consumer_init_resync_changes_nothing_where_all_is_sound),
                TEST(test_consumer_init_refuses_objects_that_do_not_fit),
                TEST(test_consumer_pops_in_order_and_whole),
                TEST(test_consumer_pop_touches_nothing_but_its_place),
                TEST(test_consumer_publishes_head_by_the_batch_and_when_it_runs_dry),
                TEST(test_consumer_pop_n_takes_what_is_there),
                TEST(test_consumer_peek_shows_items_in_place_until_they_are_released),
                TEST(test_consumer_peek_ends_at_the_end_of_the_slots),
                TEST(test_consumer_pop_is_refused_while_a_span_is_held),
                TEST(test_consumer_is_poisoned_by_a_tail_out_of_bounds),
                TEST(test_consumer_is_poisoned_by_a_tail_behind_what_it_was_shown),
                TEST_THREE_LANES(test_consumer_poisoned_by_one_lane_serves_the_others),
                TEST_THREE_LANES(test_consumer_lets_lanes_take_turns),
                TEST_THREE_LANES(test_consumer_pop_n_is_of_one_lane),
                TEST(test_consumer_drains_a_replaced_lane_and_goes_on_in_the_new),
                TEST(test_consumer_believes_one_last_tail_of_a_replaced_lane),
                TEST(test_consumer_told_to_switch_believes_no_further_tail),
                TEST(test_consumer_does_not_switch_under_a_span_that_is_held),
                TEST_THREE_LANES(test_consumer_that_loses_one_lane_keeps_the_span_of_another),
                TEST(test_consumer_switch_refuses_what_does_not_fit),
                TEST(test_consumer_is_cured_by_a_new_lane),
                TEST(test_consumer_indices_wrap),
                TEST_THREE_LANES(test_consumer_waits_on_the_bell_of_each_lane),
                TEST_THREE_LANES(test_consumer_wakes_the_producer_of_the_lane_that_it_released),
                TEST(test_consumer_patience_loses_nothing),
        };

        return cmocka_run_group_tests_name("ring-consumer", tests, NULL, NULL);
}
