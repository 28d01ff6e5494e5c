/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sleeping and waking, step by step; the ordering itself is checked by tests/model and by
 * tests/crash/stress-sleep.c
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "memory/sleep.h"

typedef struct Pair {
        ShmbSleep sleep; /* in the sleeper's object */
        ShmbBell bell;   /* in the waker's */
        _Atomic uint64_t n_wakes;
        ShmbSleeper sleeper;
        ShmbWaker waker;
} Pair;

static Pair pair;

static int setup(void **state) {
        memset(&pair, 0, sizeof(pair));
        shmb_sleeper_init(&pair.sleeper, &pair.sleep, false);
        shmb_waker_init(&pair.waker, &pair.bell, &pair.n_wakes, false);
        shmb_waker_set_peer(&pair.waker, 0, &pair.sleep);
        return 0;
}

static void test_waker_lets_the_one_who_is_awake_alone(void **state) {
        assert_false(shmb_waker_look(&pair.waker, 0));
        assert_int_equal(pair.bell.bell, 0);
        assert_int_equal(pair.n_wakes, 0);
}

static void test_waker_rings_once_for_each_sleep(void **state) {
        uint32_t i;

        for (i = 1; i <= 5; i++) {
                shmb_sleep_enter(&pair.sleeper);
                assert_int_equal(pair.sleep.seq & 1, 1);
                assert_true(shmb_waker_look(&pair.waker, 0));
                assert_int_equal(pair.bell.bell, i);
                assert_false(shmb_waker_look(&pair.waker, 0));
                assert_int_equal(pair.bell.bell, i);
                shmb_sleep_leave(&pair.sleeper);
                assert_int_equal(pair.sleep.seq, 2 * i);
                assert_false(shmb_waker_look(&pair.waker, 0));
        }
        assert_int_equal(pair.n_wakes, 5);
}

static void test_sleeper_that_enters_again_without_leaving_is_rung_for_again(void **state) {
        shmb_sleep_enter(&pair.sleeper);
        assert_true(shmb_waker_look(&pair.waker, 0));
        shmb_sleep_enter(&pair.sleeper);
        assert_int_equal(pair.sleep.seq, 3);
        assert_true(shmb_waker_look(&pair.waker, 0));
        shmb_sleep_leave(&pair.sleeper);
        assert_int_equal(pair.sleep.seq, 4);
        shmb_sleep_leave(&pair.sleeper);
        assert_int_equal(pair.sleep.seq, 4);
}

static void test_waker_rings_for_each_of_its_peers(void **state) {
        ShmbSleep other = {0};
        ShmbSleeper sleeper;

        shmb_sleeper_init(&sleeper, &other, false);
        shmb_waker_set_peer(&pair.waker, 1, &other);
        shmb_sleep_enter(&pair.sleeper);
        shmb_sleep_enter(&sleeper);
        assert_true(shmb_waker_look(&pair.waker, 0));
        assert_true(shmb_waker_look(&pair.waker, 1));
        assert_false(shmb_waker_look(&pair.waker, 0));
        assert_false(shmb_waker_look(&pair.waker, 1));
        assert_int_equal(pair.bell.bell, 2);
}

static void test_sleeper_goes_on_from_a_predecessor_that_died_asleep(void **state) {
        ShmbSleeper successor;

        shmb_sleep_enter(&pair.sleeper);
        assert_true(shmb_waker_look(&pair.waker, 0));

        shmb_sleeper_init(&successor, &pair.sleep, false);
        assert_int_equal(pair.sleep.seq, 2);
        assert_false(shmb_waker_look(&pair.waker, 0));
        /* its first sleep is not taken for the one that was rung for */
        shmb_sleep_enter(&successor);
        assert_true(shmb_waker_look(&pair.waker, 0));
}

static void test_sleeper_seq_wraps(void **state) {
        atomic_store(&pair.sleep.seq, UINT32_MAX);
        shmb_sleeper_init(&pair.sleeper, &pair.sleep, false);
        assert_int_equal(pair.sleep.seq, 0);

        atomic_store(&pair.sleep.seq, UINT32_MAX - 1);
        shmb_sleeper_init(&pair.sleeper, &pair.sleep, false);
        shmb_sleep_enter(&pair.sleeper);
        assert_int_equal(pair.sleep.seq, UINT32_MAX);
        assert_true(shmb_waker_look(&pair.waker, 0));
        shmb_sleep_leave(&pair.sleeper);
        assert_int_equal(pair.sleep.seq, 0);
        shmb_sleep_enter(&pair.sleeper);
        assert_true(shmb_waker_look(&pair.waker, 0));
}

static void test_sleeper_asks_for_fences_and_takes_it_back(void **state) {
        shmb_sleeper_init(&pair.sleeper, &pair.sleep, true);
        assert_int_equal(pair.sleep.flags, SHMB_SLEEP_FENCE);
        shmb_sleep_enter(&pair.sleeper);
        assert_true(shmb_waker_look(&pair.waker, 0));

        /* a successor that may call membarrier */
        shmb_sleeper_init(&pair.sleeper, &pair.sleep, false);
        assert_int_equal(pair.sleep.flags, 0);
}

static void test_waker_goes_on_from_the_bell_of_its_predecessor(void **state) {
        ShmbWaker successor;

        atomic_store(&pair.bell.bell, UINT32_MAX);
        atomic_store(&pair.n_wakes, 7);
        shmb_waker_init(&successor, &pair.bell, &pair.n_wakes, true);
        shmb_waker_set_peer(&successor, 0, &pair.sleep);
        assert_int_equal(pair.bell.bell, UINT32_MAX);
        shmb_sleep_enter(&pair.sleeper);
        assert_true(shmb_waker_look(&successor, 0));
        assert_int_equal(pair.bell.bell, 0);
        assert_int_equal(pair.n_wakes, 8);
}

static void test_waker_rings_at_most_once_for_each_value_of_a_hostile_peer(void **state) {
        uint32_t seq;

        for (seq = 0; seq < 100; seq++) {
                atomic_store(&pair.sleep.seq, seq);
                atomic_store(&pair.sleep.flags, seq);
                assert_int_equal(shmb_waker_look(&pair.waker, 0), seq & 1);
                assert_false(shmb_waker_look(&pair.waker, 0));
        }
        assert_int_equal(pair.bell.bell, 50);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_waker_lets_the_one_who_is_awake_alone, setup),
                cmocka_unit_test_setup(test_waker_rings_once_for_each_sleep, setup),
                cmocka_unit_test_setup(
                        test_sleeper_that_enters_again_without_leaving_is_rung_for_again, setup),
                cmocka_unit_test_setup(test_waker_rings_for_each_of_its_peers, setup),
                cmocka_unit_test_setup(test_sleeper_goes_on_from_a_predecessor_that_died_asleep,
                                       setup),
                cmocka_unit_test_setup(test_sleeper_seq_wraps, setup),
                cmocka_unit_test_setup(test_sleeper_asks_for_fences_and_takes_it_back, setup),
                cmocka_unit_test_setup(test_waker_goes_on_from_the_bell_of_its_predecessor, setup),
                cmocka_unit_test_setup(
                        test_waker_rings_at_most_once_for_each_value_of_a_hostile_peer, setup),
        };

        return cmocka_run_group_tests_name("sleep", tests, NULL, NULL);
}
