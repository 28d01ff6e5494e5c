/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A consumer and the holders of its lanes: what one of them spoils is his alone, and ends with him
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

static int setup(void **state) {
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

static void test_lanes_two_that_are_spoilt_are_said_one_by_one(void **state) {
        uint64_t number;

        ring_region_consume(&region, 0, &consumer);
        atomic_store(&ring_region_lane(&region, 0)->tail, 5000);
        atomic_store(&ring_region_lane(&region, 2)->tail, 5000);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        publish(1, 1);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
}

static void test_lanes_next_holder_of_a_spoilt_one_is_trusted(void **state) {
        uint64_t number;

        publish(1, 20);
        ring_region_consume(&region, 0, &consumer);
        pop_all(0, 20);
        atomic_store(&ring_region_lane(&region, 1)->tail, 15);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);

        /* the liar goes as if nothing had been, and the one who comes finds nothing wrong */
        atomic_store(&ring_region_lane(&region, 1)->tail, 20);
        publish(1, 23);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 1), 0);
        pop_all(20, 3);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        check_place(1, 23, 23, 23);
}

static void test_lanes_what_the_last_holder_took_back_is_forgotten(void **state) {
        uint64_t number;

        publish(1, 10);
        ring_region_consume(&region, 0, &consumer);
        pop_all(0, 2);
        atomic_store(&ring_region_lane(&region, 1)->tail, 4);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 1), 0);
        pop_all(2, 2);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
}

static void test_lanes_span_is_kept_while_one_changes_hands(void **state) {
        ShmbRingSpan span;

        publish(1, 10);
        ring_region_consume(&region, 0, &consumer);
        assert_int_equal(shmb_ring_peek_n(&consumer, 4, &span), 4);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 1), -EBUSY);
        /* the others may be looked at anew */
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 0), 0);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 3), -EINVAL);
        assert_int_equal(shmb_ring_release_n(&consumer, 4), 0);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 1), 0);
        pop_all(4, 6);
        check_place(1, 0, 10, 10);
}

static void test_lanes_replaced_one_is_drained_all_the_same(void **state) {
        ShmbMapped old;

        publish(1, 10);
        ring_region_consume(&region, 0, &consumer);
        pop_all(0, 1);
        ring_region_replace_lane(&region, 1, &old);
        assert_int_equal(shmb_ring_consumer_trust_lane(&consumer, 1), 0);
        pop_all(1, 9);
        free(old.memory);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_lanes_two_that_are_spoilt_are_said_one_by_one),
                TEST(test_lanes_next_holder_of_a_spoilt_one_is_trusted),
                TEST(test_lanes_what_the_last_holder_took_back_is_forgotten),
                TEST(test_lanes_span_is_kept_while_one_changes_hands),
                TEST(test_lanes_replaced_one_is_drained_all_the_same),
        };

        return cmocka_run_group_tests_name("ring-lanes", tests, NULL, NULL);
}
