/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Lane that Memory comes and goes behind
 *
 * The producer stops where there is none, and asks in time; the consumer believes no item beyond.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

enum {
        CAPACITY = 16,
        SEGMENT = 4,
};

static RingRegion region;
static ShmbRingProducer producer;
static ShmbRingConsumer consumer;
static _Atomic uint64_t backed;

static int setup(void **state) {
        ring_region_init(&region, 1, 1, 8, CAPACITY);
        atomic_store(&backed, SEGMENT);
        ring_region_produce(&region, 0, &producer);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_producer_set_backed(&producer, &backed, SEGMENT / 2), 0);
        shmb_ring_consumer_set_backed(&consumer, 0, &backed, SEGMENT);
        return 0;
}

static int teardown(void **state) {
        ring_region_deinit(&region);
        return 0;
}

static uint32_t push_all(uint64_t from) {
        uint32_t n = 0;

        while (ring_region_push(&producer, from + n) == 1)
                n++;
        return n;
}

static void test_producer_stops_where_no_memory_is(void **state) {
        assert_int_equal(push_all(0), SEGMENT);
        assert_int_equal(ring_region_push(&producer, SEGMENT), -EAGAIN);
        atomic_store(&backed, 3 * SEGMENT);
        assert_int_equal(push_all(SEGMENT), 2 * SEGMENT);
        /* more than the slots can hold is no more than that */
        atomic_store(&backed, 5 * SEGMENT);
        assert_int_equal(push_all(3 * SEGMENT), SEGMENT);
}

static void test_producer_is_hungry_before_the_end(void **state) {
        assert_int_equal(ring_region_push(&producer, 0), 1);
        assert_int_equal(ring_region_push(&producer, 1), 1);
        assert_int_equal(producer.hungry, 0);
        assert_int_equal(ring_region_push(&producer, 2), 1);
        assert_int_equal(producer.hungry, SEGMENT);
}

static void test_producer_believes_no_backing_behind_itself(void **state) {
        assert_int_equal(push_all(0), SEGMENT);
        atomic_store(&backed, 0);
        assert_int_equal(ring_region_push(&producer, SEGMENT), -EAGAIN);
}

static void test_consumer_believes_no_item_where_no_memory_is(void **state) {
        uint64_t number;

        atomic_store(&ring_region_lane(&region, 0)->tail, SEGMENT + 1);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
}

static void test_consumer_takes_backing_of_the_next_epoch_for_no_lie(void **state) {
        uint64_t number;

        atomic_store(&backed, 2 * SEGMENT);
        assert_int_equal(push_all(0), 2 * SEGMENT);
        /* The broker replaces the lane: first the epoch, then what is behind the new one. */
        atomic_store(&region.lane_epochs[0], 2);
        atomic_store(&backed, SEGMENT);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(number, 0);
}

static void test_turn_of_a_single_lane_ends_with_a_segment(void **state) {
        ShmbRingSpan span;

        atomic_store(&backed, 3 * SEGMENT);
        assert_int_equal(push_all(0), 3 * SEGMENT);
        assert_int_equal(shmb_ring_peek_n(&consumer, 100, &span), SEGMENT);
        assert_int_equal(shmb_ring_release_n(&consumer, SEGMENT), 0);
        assert_int_equal(shmb_ring_peek_n(&consumer, 100, &span), SEGMENT);
}

static void test_backed_does_not_reach_what_a_liar_published(void **state) {
        ShmbLane *lane = ring_region_lane(&region, 0);

        atomic_store(&lane->tail, 3 * SEGMENT);
        atomic_store(&ring_region_seat(&region, 0)->places[0].head, 3 * SEGMENT);
        atomic_store(&ring_region_seat(&region, 0)->places[0].done, 3 * SEGMENT);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_producer_set_backed(&producer, &backed, SEGMENT / 2), -EBADMSG);
        atomic_store(&backed, 3 * SEGMENT);
        assert_int_equal(shmb_ring_producer_set_backed(&producer, &backed, SEGMENT / 2), 0);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_producer_stops_where_no_memory_is),
                TEST(test_producer_is_hungry_before_the_end),
                TEST(test_backed_does_not_reach_what_a_liar_published),
                TEST(test_producer_believes_no_backing_behind_itself),
                TEST(test_consumer_believes_no_item_where_no_memory_is),
                TEST(test_consumer_takes_backing_of_the_next_epoch_for_no_lie),
                TEST(test_turn_of_a_single_lane_ends_with_a_segment),
        };

        return cmocka_run_group_tests_name("ring-backed", tests, NULL, NULL);
}
