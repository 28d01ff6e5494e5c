/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Ring whose Memory Went Away
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

static RingRegion region;
static ShmbRingConsumer consumer;

/* @n items of zeros stand in @lane. */
static void push(uint32_t lane, uint64_t n) {
        atomic_store(&ring_region_lane(&region, lane)->tail, n);
}

static void test_consumer_that_lost_a_lane_serves_the_others(void **state) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        ShmbRingSpan span;
        uint64_t number;
        uint32_t lane;

        ring_region_init(&region, 3, 1, 24, 1024);
        ring_region_consume(&region, 0, &consumer);
        push(0, 3);
        push(2, 3);
        assert_int_equal(shmb_ring_peek_n(&consumer, 1, &span), 1);
        assert_int_equal(shmb_ring_consumer_words(&consumer, words), 3);
        lane = shmb_ring_consumer_lane(&consumer);
        assert_int_equal(shmb_ring_consumer_lose(&consumer, lane), -EBADMSG);
        assert_int_equal(shmb_ring_consumer_lose(&consumer, lane), 0);
        assert_int_equal(shmb_ring_release_n(&consumer, 1), -EINVAL);
        assert_int_equal(shmb_ring_consumer_words(&consumer, words), 2);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(ring_region_pop(&consumer, &number), 1);
        assert_int_equal(shmb_ring_peek_n(&consumer, 1, &span), 1);
        assert_int_equal(shmb_ring_consumer_lose(&consumer, 1), 0);
        assert_int_equal(shmb_ring_release_n(&consumer, 1), 0);
        assert_int_equal(ring_region_pop(&consumer, &number), -EBADMSG);
        assert_int_equal(ring_region_pop(&consumer, &number), -EAGAIN);
        ring_region_deinit(&region);
}

static void test_producer_that_lost_a_seat_is_poisoned(void **state) {
        ShmbRingProducer producer;

        ring_region_init(&region, 1, 1, 24, 1024);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(ring_region_push(&producer, 0), 1);
        assert_int_equal(shmb_ring_producer_lose(&producer), -EBADMSG);
        assert_int_equal(ring_region_push(&producer, 1), -EBADMSG);
        assert_int_equal(ring_region_lane(&region, 0)->tail, 1);
        ring_region_deinit(&region);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_consumer_that_lost_a_lane_serves_the_others),
                cmocka_unit_test(test_producer_that_lost_a_seat_is_poisoned),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
