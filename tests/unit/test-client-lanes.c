/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Several Producers, Through the Library
 *
 * A ring of three lanes against the fake broker: what happens to one lane is told, and the others
 * do not notice.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/region.h"
#include "tests/unit/fake-broker.h"

static FakeBroker fake;
static struct shmb *c;
static struct shmb_region *producer, *consumer;

static struct shmb_region *attach(enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_attach(c, "a/ring", role, NULL, &r), 0);
        return r;
}

static int setup(void **state) {
        fake_start_ring(&fake, 3, 1, sizeof(uint64_t), 8);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        producer = attach(SHMB_PRODUCE);
        consumer = attach(SHMB_CONSUME);
        return 0;
}

static int teardown(void **state) {
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        c = shmb_close(c);
        fake_stop(&fake);
        return 0;
}

static void push(uint64_t item) {
        assert_int_equal(shmb_push(producer, &item, 0), 0);
}

static int try_pop(void) {
        uint64_t item;

        return shmb_pop(consumer, &item, 0);
}

static void assert_pop(uint64_t expected) {
        uint64_t item = ~expected;

        assert_int_equal(shmb_pop(consumer, &item, 0), 0);
        assert_int_equal(item, expected);
}

static void push_to(struct shmb_region *r, uint64_t item) {
        assert_int_equal(shmb_push(r, &item, 0), 0);
}

static void test_deaths_of_several_are_said_for_each(void **state) {
        struct shmb_region *second = attach(SHMB_PRODUCE);

        push(1);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 1);
        assert_pop(1);
        assert_int_equal(try_pop(), -EOWNERDEAD);
        assert_int_equal(try_pop(), -EOWNERDEAD);
        assert_int_equal(try_pop(), -EAGAIN);
        shmb_detach(second);
}

static void test_stats_tell_the_fullest_lane_and_the_sum_of_what_moved(void **state) {
        struct shmb_region *second = attach(SHMB_PRODUCE), *observer = attach(SHMB_OBSERVE);
        struct shmb_stats stats = { sizeof(stats) };

        push(1), push(2);
        push_to(second, 3), push_to(second, 4), push_to(second, 5);
        assert_int_equal(shmb_get_stats(observer, &stats), 0);
        assert_int_equal(stats.used, 3);
        assert_int_equal(stats.n_pushed, 5);
        assert_int_equal(stats.n_producers, 2);
        assert_int_equal(stats.n_consumers, 1);
        shmb_detach(observer);
        shmb_detach(second);
}

static void test_lane_that_is_spoilt_is_whole_again_under_its_next_holder(void **state) {
        struct shmb_region *second = attach(SHMB_PRODUCE);

        push_to(second, 1), push_to(second, 2);
        assert_pop(1);
        assert_pop(2);
        atomic_store(&second->producer.lane->tail, 1);
        push(3);
        assert_pop(3);
        assert_int_equal(try_pop(), -EBADMSG);
        assert_int_equal(try_pop(), -EAGAIN);
        push(4);
        assert_pop(4);
        /* it goes quietly, as if nothing had been */
        atomic_store(&second->producer.lane->tail, 2);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 1);
        second = shmb_detach(second);
        second = attach(SHMB_PRODUCE);
        push_to(second, 5);
        assert_pop(5);
        assert_int_equal(try_pop(), -EOWNERDEAD);
        assert_int_equal(try_pop(), -EAGAIN);
        shmb_detach(second);
}

static void test_replacement_that_cannot_be_had_does_not_keep_the_others(void **state) {
        struct shmb_region *old = attach(SHMB_PRODUCE);

        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 1);
        fake_replace(&fake, SHMB_OBJECT_LANE, 0);
        fake_replace(&fake, SHMB_OBJECT_LANE, 1);
        /* somebody may write the first one, and cuts it off */
        fake_object(&fake, SHMB_OBJECT_LANE, 0)->said.size_bytes++;
        while (consumer->lanes[1].epoch != 2)
                (void)try_pop();
        assert_int_equal(consumer->lanes[0].epoch, 1);
        fake_object(&fake, SHMB_OBJECT_LANE, 0)->said.size_bytes--;
        while (consumer->lanes[0].epoch != 2)
                (void)try_pop();
        shmb_detach(old);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_deaths_of_several_are_said_for_each),
                TEST(test_stats_tell_the_fullest_lane_and_the_sum_of_what_moved),
                TEST(test_lane_that_is_spoilt_is_whole_again_under_its_next_holder),
                TEST(test_replacement_that_cannot_be_had_does_not_keep_the_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
