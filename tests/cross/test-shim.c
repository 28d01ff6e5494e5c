/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Shim's Asserts can Fail
 *
 * Each case of the first group breaks one assert and must be counted as failed; the second group
 * breaks none. Of a failed test nothing runs on behind its assert, except for its teardown.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static unsigned n_ran_on, n_torn_down;

#define OFFENDER(_name, _assertion) \
        static void offend_##_name(void **state) { \
                _assertion; \
                n_ran_on++; \
        }

OFFENDER(true, assert_true(n_ran_on == 1))
OFFENDER(false, assert_false(n_ran_on == 0))
OFFENDER(null, assert_null(state))
OFFENDER(non_null, assert_non_null(n_ran_on ? state : NULL))
OFFENDER(int, assert_int_equal(-1, UINT32_MAX))
OFFENDER(int_high, assert_int_equal(UINT64_C(1) << 32, 0))
OFFENDER(int_not, assert_int_not_equal(-1, UINT64_MAX))
OFFENDER(ptr, assert_ptr_equal(state, NULL))
OFFENDER(ptr_not, assert_ptr_not_equal(state, state))
OFFENDER(range, assert_in_range(4, 1, 3))
OFFENDER(range_not, assert_not_in_range(3, 1, 3))
OFFENDER(string, assert_string_equal("a", "b"))
OFFENDER(string_not, assert_string_not_equal("a", "a"))
OFFENDER(memory, assert_memory_equal("aa", "ab", 2))
OFFENDER(memory_not, assert_memory_not_equal("aa", "ab", 1))
OFFENDER(fail, fail())
OFFENDER(fail_msg, fail_msg("%d", 4711))

static int refuse(void **state) {
        n_torn_down++;
        return -1;
}

static int tear_down(void **state) {
        n_torn_down++;
        return 0;
}

static void keep(void **state) {
        assert_true(1);
        assert_false(0);
        assert_null(NULL);
        assert_non_null(state);
        assert_int_equal((int8_t)-1, INT64_C(-1));
        assert_int_not_equal(0, 1);
        assert_ptr_equal(state, state);
        assert_ptr_not_equal(state, NULL);
        assert_in_range(3, 1, 3);
        assert_not_in_range(0, 1, 3);
        assert_string_equal("a", "a");
        assert_string_not_equal("a", "b");
        assert_memory_equal("aa", "ab", 1);
        assert_memory_not_equal("aa", "ab", 2);
}

static void keep_prestate(void **state) {
        assert_ptr_equal(*state, &n_ran_on);
}

static void keep_skipped(void **state) {
        skip();
}

int main(void) {
        static const struct CMUnitTest offenders[] = {
                cmocka_unit_test(offend_true),
                cmocka_unit_test(offend_false),
                cmocka_unit_test(offend_null),
                cmocka_unit_test(offend_non_null),
                cmocka_unit_test(offend_int),
                cmocka_unit_test(offend_int_high),
                cmocka_unit_test(offend_int_not),
                cmocka_unit_test(offend_ptr),
                cmocka_unit_test(offend_ptr_not),
                cmocka_unit_test(offend_range),
                cmocka_unit_test(offend_range_not),
                cmocka_unit_test(offend_string),
                cmocka_unit_test(offend_string_not),
                cmocka_unit_test(offend_memory),
                cmocka_unit_test(offend_memory_not),
                cmocka_unit_test(offend_fail),
                cmocka_unit_test_teardown(offend_fail_msg, tear_down),
                cmocka_unit_test_setup(keep, refuse),
                cmocka_unit_test_teardown(keep, refuse),
        };
        static const struct CMUnitTest good[] = {
                cmocka_unit_test(keep),
                cmocka_unit_test_setup_teardown(keep, tear_down, tear_down),
                cmocka_unit_test_prestate(keep_prestate, &n_ran_on),
                cmocka_unit_test(keep_skipped),
        };
        int n_offenders = (int)(sizeof(offenders) / sizeof(*offenders));

        if (cmocka_run_group_tests(offenders, NULL, NULL) != n_offenders ||
            cmocka_run_group_tests(good, refuse, NULL) != 4 ||
            cmocka_run_group_tests_name("good", good, tear_down, refuse) != 1 ||
            cmocka_run_group_tests_name("good", good, tear_down, tear_down) != 0)
                return 1;
        return n_ran_on == 0 && n_torn_down == 12 ? 0 : 1;
}
