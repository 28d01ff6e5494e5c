/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clocks
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/clock.h"

static uint64_t now_ns(clockid_t clock) {
        struct timespec now;

        assert_int_equal(clock_gettime(clock, &now), 0);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void test_clocks_are_those_that_nobody_sets(void **state) {
        uint64_t before_ns, ns;

        before_ns = now_ns(CLOCK_BOOTTIME);
        ns = clock_boottime_ns();
        assert_in_range(ns, before_ns, now_ns(CLOCK_BOOTTIME));

        before_ns = now_ns(CLOCK_MONOTONIC);
        ns = clock_monotonic_ns();
        assert_in_range(ns, before_ns, now_ns(CLOCK_MONOTONIC));
}

static void test_ticks_become_nanoseconds_without_wrapping(void **state) {
        uint64_t n_per_s = (uint64_t)sysconf(_SC_CLK_TCK);

        assert_int_equal(clock_ticks_to_ns(0), 0);
        assert_int_equal(clock_ticks_to_ns(1), 1000000000 / n_per_s);
        assert_int_equal(clock_ticks_to_ns(n_per_s * 3 + 1), 3000000000 + 1000000000 / n_per_s);
        /* A hundred years. */
        assert_int_equal(clock_ticks_to_ns(n_per_s * 3155760000), UINT64_C(3155760000000000000));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clocks_are_those_that_nobody_sets),
                cmocka_unit_test(test_ticks_become_nanoseconds_without_wrapping),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
