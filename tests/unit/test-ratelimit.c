/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rate limit: a burst, then what was earned back; one uid's noise is nobody else's; what was
 * suppressed is counted and told once.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/ratelimit.h"

static bool admit(Ratelimit *limit, uint32_t uid, uint64_t now_ns) {
        uint64_t n_suppressed;

        return ratelimit_admit(limit, uid, now_ns, &n_suppressed);
}

static void test_burst_goes_through_and_no_more(void **state) {
        Ratelimit limit = {};
        uint64_t n_suppressed = 777;
        unsigned i;

        for (i = 0; i < RATELIMIT_BURST; i++) {
                assert_true(ratelimit_admit(&limit, 1000, 1, &n_suppressed));
                assert_int_equal(n_suppressed, 0);
        }
        n_suppressed = 777;
        assert_false(ratelimit_admit(&limit, 1000, 1, &n_suppressed));
        assert_int_equal(n_suppressed, 777);
}

static void test_rates_of_something_else_are_its_own(void **state) {
        static const RatelimitRates rates = { .burst = 3, .burst_total = 5, .refill_ns = 10,
                                              .refill_total_ns = 1000 };
        Ratelimit limit = {};
        uint64_t n_suppressed;
        unsigned i;

        for (i = 0; ratelimit_admit_at(&limit, &rates, 1000, 1, &n_suppressed); i++)
                ;
        assert_int_equal(i, 3);
        assert_true(ratelimit_admit_at(&limit, &rates, 1000, 11, &n_suppressed));
        assert_int_equal(n_suppressed, 1);
        assert_true(ratelimit_admit_at(&limit, &rates, 1001, 11, &n_suppressed));
        /* All together have none left. */
        assert_false(ratelimit_admit_at(&limit, &rates, 1001, 12, &n_suppressed));
        assert_true(ratelimit_admit_at(&limit, &rates, 1001, 1001, &n_suppressed));
}

static void test_noise_of_one_uid_suppresses_no_other(void **state) {
        Ratelimit limit = {};
        unsigned i;

        for (i = 0; i < 100000; i++)
                (void)admit(&limit, 1000, 1);
        assert_true(admit(&limit, 1001, 1));
        assert_true(admit(&limit, 0, 1));
}

static void test_lines_are_earned_back_one_by_one(void **state) {
        Ratelimit limit = {};
        uint64_t now_ns = 1;
        unsigned i;

        while (admit(&limit, 1000, now_ns))
                ;
        for (i = 0; i < 10; i++) {
                assert_false(admit(&limit, 1000, now_ns + RATELIMIT_REFILL_NS - 1));
                now_ns += RATELIMIT_REFILL_NS;
                assert_true(admit(&limit, 1000, now_ns));
                assert_false(admit(&limit, 1000, now_ns));
        }
        /* However long it was quiet. */
        now_ns += UINT64_C(1) << 60;
        for (i = 0; admit(&limit, 1000, now_ns); i++)
                ;
        assert_int_equal(i, RATELIMIT_BURST);
}

static void test_suppressed_lines_are_counted_and_told_once(void **state) {
        Ratelimit limit = {};
        uint64_t n_suppressed;
        unsigned i;

        while (admit(&limit, 1000, 1))
                ;
        for (i = 0; i < 41; i++)
                assert_false(admit(&limit, 1000, 1));
        assert_true(ratelimit_admit(&limit, 1000, 1 + 2 * RATELIMIT_REFILL_NS, &n_suppressed));
        assert_int_equal(n_suppressed, 42);
        assert_true(ratelimit_admit(&limit, 1000, 1 + 2 * RATELIMIT_REFILL_NS, &n_suppressed));
        assert_int_equal(n_suppressed, 0);
}

static void test_many_uids_together_are_limited_too(void **state) {
        Ratelimit limit = {};
        uint32_t uid, n = 0;

        for (uid = 0; uid < 100000; uid++)
                n += admit(&limit, uid, 1);
        assert_int_equal(n, RATELIMIT_BURST_TOTAL);
        assert_true(admit(&limit, 7, 1 + RATELIMIT_REFILL_TOTAL_NS));
}

static void test_uid_that_was_quiet_longest_makes_room(void **state) {
        Ratelimit limit = {};
        uint64_t now_ns = 1000000000000;
        uint32_t uid;
        unsigned i;

        for (uid = 1; uid <= RATELIMIT_UIDS_MAX; uid++)
                assert_true(admit(&limit, uid, now_ns + uid));
        for (i = 1; i < RATELIMIT_BURST; i++)
                assert_true(admit(&limit, 2, now_ns + 1000));
        /* Uid 1 goes, uid 2 is still at its limit. */
        assert_true(admit(&limit, 9999, now_ns + 1000));
        assert_false(admit(&limit, 2, now_ns + 1000));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_burst_goes_through_and_no_more),
                cmocka_unit_test(test_rates_of_something_else_are_its_own),
                cmocka_unit_test(test_noise_of_one_uid_suppresses_no_other),
                cmocka_unit_test(test_lines_are_earned_back_one_by_one),
                cmocka_unit_test(test_suppressed_lines_are_counted_and_told_once),
                cmocka_unit_test(test_many_uids_together_are_limited_too),
                cmocka_unit_test(test_uid_that_was_quiet_longest_makes_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
