/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Randomness
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <cmocka.h>
#include "daemon/sys/random.h"
#include "tests/harness/fault.h"

static unsigned n_zeros;

ssize_t __real_getrandom(void *buffer, size_t n_bytes, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t n_bytes, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t n_bytes, unsigned flags) {
        if (fault_step("getrandom"))
                return -1;
        if (n_zeros > 0) {
                n_zeros--;
                memset(buffer, 0, n_bytes);
                return (ssize_t)n_bytes;
        }
        return __real_getrandom(buffer, n_bytes, flags);
}

static void test_numbers_differ_and_are_never_zero(void **state) {
        uint64_t first = 0, second = 0;

        n_zeros = 3;
        assert_int_equal(random_u64(&first), 0);
        assert_int_equal(n_zeros, 0);
        assert_int_equal(random_u64(&second), 0);
        assert_true(first != 0 && second != 0 && first != second);
}

static void test_uuid_says_that_it_is_random(void **state) {
        uint8_t first[SHMB_UUID_SIZE], second[SHMB_UUID_SIZE];

        assert_int_equal(random_uuid(first), 0);
        assert_int_equal(random_uuid(second), 0);
        assert_memory_not_equal(first, second, sizeof(first));
        assert_int_equal(first[6] >> 4, 4);
        assert_int_equal(first[8] >> 6, 2);
}

static void test_interruption_is_tried_again_and_an_error_handed_on(void **state) {
        uint64_t number = 0;

        fault_arm(1, EINTR);
        assert_int_equal(random_u64(&number), 0);
        assert_true(fault_disarm());

        number = 0;
        fault_arm(1, ENOSYS);
        assert_int_equal(random_u64(&number), -ENOSYS);
        assert_int_equal(number, 0);
}

static void test_more_than_can_be_had_whole_is_refused(void **state) {
        uint8_t buffer[257] = {};

        assert_int_equal(random_bytes(buffer, sizeof(buffer)), -EINVAL);
        assert_int_equal(buffer[0], 0);
        assert_int_equal(random_bytes(buffer, 256), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_differ_and_are_never_zero),
                cmocka_unit_test(test_uuid_says_that_it_is_random),
                cmocka_unit_test(test_interruption_is_tried_again_and_an_error_handed_on),
                cmocka_unit_test(test_more_than_can_be_had_whole_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
