/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "protocol/name.h"

static const uint64_t tag = UINT64_C(0x0123456789abcdef);

static void assert_fault(const char *name, size_t n, ShmbNameFault fault, size_t at) {
        size_t found = 4711;

        assert_int_equal(shmb_name_check(name, n, &found), fault);
        assert_int_equal(found, fault == SHMB_NAME_FINE ? 4711 : at);
        assert_int_equal(shmb_name_check(name, n, NULL), fault);
}

static void test_name_accepts_parts_joined_by_slashes(void **state) {
        static const char *const names[] = { "a", "telemetry/imu", "a/b/c", "_-9", "-", "0/0" };
        size_t i;

        for (i = 0; i < sizeof(names) / sizeof(*names); i++)
                assert_fault(names[i], strlen(names[i]), SHMB_NAME_FINE, 0);
}

static void test_name_says_what_is_wrong_and_where(void **state) {
        assert_fault("", 0, SHMB_NAME_EMPTY, 0);
        assert_fault("/a", 2, SHMB_NAME_EMPTY_PART, 0);
        assert_fault("/", 1, SHMB_NAME_EMPTY_PART, 0);
        assert_fault("a/", 2, SHMB_NAME_EMPTY_PART, 1);
        assert_fault("a//b", 4, SHMB_NAME_EMPTY_PART, 2);
        assert_fault("aBc", 3, SHMB_NAME_CHARACTER, 1);
        assert_fault("..", 2, SHMB_NAME_CHARACTER, 0);
        assert_fault("a/../b", 6, SHMB_NAME_CHARACTER, 2);
        assert_fault("a\0b", 3, SHMB_NAME_CHARACTER, 1);
        assert_fault("a\n", 2, SHMB_NAME_CHARACTER, 1);
        assert_fault("a%n", 3, SHMB_NAME_CHARACTER, 1);
        assert_fault("caf\xc3\xa9", 5, SHMB_NAME_CHARACTER, 3);
        assert_fault("a@b", 3, SHMB_NAME_CHARACTER, 1);
}

static void test_name_of_200_bytes_is_the_longest(void **state) {
        char name[SHMB_NAME_MAX + 1];

        memset(name, 'a', sizeof(name));
        assert_fault(name, SHMB_NAME_MAX, SHMB_NAME_FINE, 0);
        assert_fault(name, SHMB_NAME_MAX + 1, SHMB_NAME_TOO_LONG, SHMB_NAME_MAX);
}

static void test_name_each_byte_is_judged(void **state) {
        char name[3] = "a?b";
        bool fine;
        int c;

        for (c = 0; c < 256; c++) {
                name[1] = (char)c;
                fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                       c == '/';
                assert_int_equal(shmb_name_check(name, 3, NULL),
                                 fine ? SHMB_NAME_FINE : SHMB_NAME_CHARACTER);
        }
}

static void test_name_every_fault_has_words(void **state) {
        unsigned i;

        for (i = 0; i <= _SHMB_NAME_FAULT_N; i++)
                assert_true(strlen(shmb_name_fault_to_string((ShmbNameFault)i)) > 5);
}

static void assert_kernel_name(const char *name, ShmbObjectKind kind, uint32_t index,
                               uint32_t epoch, const char *expected) {
        char buffer[SHMB_KERNEL_NAME_MAX + 1];
        int n = shmb_kernel_name(buffer, sizeof(buffer), name, tag, kind, index, epoch);

        assert_string_equal(buffer, expected);
        assert_int_equal(n, strlen(expected));
        assert_true(shmb_kernel_name_is_ours(buffer));
}

static void test_kernel_name_names_region_tag_and_object(void **state) {
        assert_kernel_name("telemetry/imu", SHMB_OBJECT_CONTROL, 7, 1,
                           "shmb.telemetry.imu@0123456789abcdef.ctl");
        assert_kernel_name("a/b/c", SHMB_OBJECT_LANE, 3, 1, "shmb.a.b.c@0123456789abcdef.lane3");
        assert_kernel_name("a", SHMB_OBJECT_SEAT, 63, 1, "shmb.a@0123456789abcdef.seat63");
        assert_kernel_name("a", SHMB_OBJECT_GROUP, 0, 1, "shmb.a@0123456789abcdef.group");
        assert_kernel_name("a", SHMB_OBJECT_DATA, 0, 1, "shmb.a@0123456789abcdef.data");
}

static void test_kernel_name_carries_epochs_after_the_first(void **state) {
        assert_kernel_name("a", SHMB_OBJECT_LANE, 0, 2, "shmb.a@0123456789abcdef.lane0.e2");
        assert_kernel_name("a", SHMB_OBJECT_SEAT, 2, UINT32_MAX,
                           "shmb.a@0123456789abcdef.seat2.e4294967295");
}

static void test_kernel_name_of_the_longest_name_fits(void **state) {
        char name[SHMB_NAME_MAX + 1] = {}, buffer[SHMB_KERNEL_NAME_MAX + 1];
        int n;

        memset(name, 'z', SHMB_NAME_MAX);
        n = shmb_kernel_name(buffer, sizeof(buffer), name, UINT64_MAX, SHMB_OBJECT_LANE, UINT32_MAX,
                             UINT32_MAX);
        assert_true(n > 0 && n <= SHMB_KERNEL_NAME_MAX);
        assert_int_equal(strlen(buffer), n);
        assert_true(shmb_kernel_name_is_ours(buffer));
}

static void test_kernel_name_refuses_and_writes_nothing(void **state) {
        char buffer[64] = "untouched";
        size_t n = strlen("shmb.a@0123456789abcdef.ctl");

        assert_int_equal(shmb_kernel_name(buffer, n, "a", tag, SHMB_OBJECT_CONTROL, 0, 0),
                         -ENAMETOOLONG);
        assert_int_equal(shmb_kernel_name(buffer, 0, "a", tag, SHMB_OBJECT_CONTROL, 0, 0),
                         -ENAMETOOLONG);
        assert_int_equal(shmb_kernel_name(buffer, sizeof(buffer), "a", tag, SHMB_OBJECT_NONE, 0, 0),
                         -EINVAL);
        assert_string_equal(buffer, "untouched");
        assert_int_equal(shmb_kernel_name(buffer, n + 1, "a", tag, SHMB_OBJECT_CONTROL, 0, 0), n);
}

static void test_kernel_name_is_recognised_only_as_written(void **state) {
        static const char *const foreign[] = {
                "", "shmb", "shmb.", "/shmb.a@0123456789abcdef.ctl", "shmb.a@0123456789abcdef",
                "shmb.a@0123456789abcdef.", "shmb.a@0123456789abcdef.ctl0",
                "shmb.a@0123456789abcdef.ctl.", "shmb.a@0123456789abcdef.lane",
                "shmb.a@0123456789abcdef.lane01", "shmb.a@0123456789abcdef.lane1x",
                "shmb.a@0123456789abcdef.lane12345678901", "shmb.a@0123456789abcdef.seat1.e",
                "shmb.a@0123456789abcdef.seat1.e0", "shmb.a@0123456789abcdef.seat1.e01",
                "shmb.a@0123456789abcdef.seat1.x1", "shmb.a@0123456789abcde.ctl",
                "shmb.a@0123456789abcdef0.ctl", "shmb.a@0123456789ABCDEF.ctl",
                "shmb.@0123456789abcdef.ctl", "shmb..a@0123456789abcdef.ctl",
                "shmb.a.@0123456789abcdef.ctl", "shmb.a..b@0123456789abcdef.ctl",
                "shmb.A@0123456789abcdef.ctl", "shmb.a/b@0123456789abcdef.ctl",
                "shmb.a.ctl", "sem.a@0123456789abcdef.ctl", "shmb.a@0123456789abcdef-ctl",
        };
        size_t i;

        for (i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
                if (shmb_kernel_name_is_ours(foreign[i]))
                        fail_msg("'%s' was taken for ours", foreign[i]);
}

static void test_posix_name_is_one_plain_file_name(void **state) {
        char name[258] = {};

        assert_true(shmb_posix_name_is_valid("x"));
        assert_true(shmb_posix_name_is_valid("/x"));
        assert_true(shmb_posix_name_is_valid("Foo.Bar baz"));
        assert_true(shmb_posix_name_is_valid("..."));
        assert_false(shmb_posix_name_is_valid(""));
        assert_false(shmb_posix_name_is_valid("/"));
        assert_false(shmb_posix_name_is_valid("//x"));
        assert_false(shmb_posix_name_is_valid("a/b"));
        assert_false(shmb_posix_name_is_valid("."));
        assert_false(shmb_posix_name_is_valid("/.."));

        name[0] = '/';
        memset(name + 1, 'x', 255);
        assert_true(shmb_posix_name_is_valid(name));
        name[256] = 'x';
        assert_false(shmb_posix_name_is_valid(name));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_name_accepts_parts_joined_by_slashes),
                cmocka_unit_test(test_name_says_what_is_wrong_and_where),
                cmocka_unit_test(test_name_of_200_bytes_is_the_longest),
                cmocka_unit_test(test_name_each_byte_is_judged),
                cmocka_unit_test(test_name_every_fault_has_words),
                cmocka_unit_test(test_kernel_name_names_region_tag_and_object),
                cmocka_unit_test(test_kernel_name_carries_epochs_after_the_first),
                cmocka_unit_test(test_kernel_name_of_the_longest_name_fits),
                cmocka_unit_test(test_kernel_name_refuses_and_writes_nothing),
                cmocka_unit_test(test_kernel_name_is_recognised_only_as_written),
                cmocka_unit_test(test_posix_name_is_one_plain_file_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
