/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Numbers and text as shmbrokerctl prints and reads them.
 */

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client/ctl/format.h"

static void test_size_is_human_as_in_lsblk(void **state) {
        static const struct {
                uint64_t n_bytes;
                const char *text;
        } cases[] = {
                { 0, "0B" },
                { 1, "1B" },
                { 1023, "1023B" },
                { 1024, "1K" },
                { 1536, "1.5K" },
                { 4096, "4K" },
                { 1024 * 1024 - 1, "1M" },
                { 1024 * 1024, "1M" },
                { 274432, "268K" },
                { UINT64_C(238) << 30, "238G" },
                { UINT64_C(1) << 46, "64T" },
                { UINT64_MAX, "16E" },
        };
        char buffer[FORMAT_NUMBER_MAX];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                format_size(buffer, sizeof(buffer), cases[i].n_bytes);
                assert_string_equal(buffer, cases[i].text);
        }
}

static void test_duration_has_two_units_at_most(void **state) {
        static const struct {
                uint64_t duration_ns;
                const char *text;
        } cases[] = {
                { 0, "0s" },
                { 1, "1ns" },
                { 1999, "1us" },
                { 250000000, "250ms" },
                { UINT64_C(30000000000), "30s" },
                { UINT64_C(30900000000), "30s" },
                { UINT64_C(301000000000), "5min 1s" },
                { UINT64_C(3600000000000), "1h" },
                { UINT64_C(3601000000000), "1h" },
                { UINT64_C(183600000000000), "2d 3h" },
                { UINT64_MAX, "213503d 23h" },
        };
        char buffer[FORMAT_NUMBER_MAX];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                format_duration(buffer, sizeof(buffer), cases[i].duration_ns);
                assert_string_equal(buffer, cases[i].text);
        }
}

static void test_moment_has_its_zone(void **state) {
        char buffer[FORMAT_NUMBER_MAX];

        assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
        tzset();
        format_moment(buffer, sizeof(buffer), UINT64_C(1000000000999999999));
        assert_string_equal(buffer, "2001-09-09T07:16:40+05:30");
}

static void test_printable_text_cannot_reach_the_terminal(void **state) {
        char *text;

        text = format_printable("a\x1b[31mb\n\x7f\xff");
        assert_string_equal(text, "a\\x1b[31mb\\x0a\\x7f\\xff");
        free(text);

        text = format_printable("");
        assert_string_equal(text, "");
        free(text);
}

static void test_printable_text_keeps_what_the_locale_prints(void **state) {
        char *text;

        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                skip();
        /* e acute stays; C1 "CSI" and half of a character do not */
        text = format_printable("\xc3\xa9\xc2\x9b\xc3");
        assert_string_equal(text, "\xc3\xa9\\xc2\\x9b\\xc3");
        free(text);
        setlocale(LC_CTYPE, "C");
}

static void test_utf8_is_utf8_whatever_was_given(void **state) {
        static const struct {
                const char *given, *text;
        } cases[] = {
                { "plain \"quoted\" \x1b", "plain \"quoted\" \x1b" },
                { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
                { "\xff", "\xef\xbf\xbd" },
                { "\xc3", "\xef\xbf\xbd" },
                { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
                { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },             /* over-long '/' */
                { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
                { "\x7f\xc2\x9b", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* DEL, CSI */
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *text = format_utf8(cases[i].given);

                assert_string_equal(text, cases[i].text);
                free(text);
        }
}

static void test_numbers_are_read_whole_or_refused(void **state) {
        static const char *const wrong[] = {
                "", " 1", "-1", "+1", "1 ", "1KB", "K", "0x10", "1.5",
        };
        uint64_t number = 42;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                assert_int_equal(parse_size(wrong[i], &number), -EINVAL);
                assert_int_equal(parse_duration(wrong[i], &number), -EINVAL);
        }
        assert_int_equal(parse_number("1K", &number), -EINVAL);
        assert_int_equal(parse_number("18446744073709551616", &number), -ERANGE);
        assert_int_equal(parse_size("16777216T", &number), -ERANGE);
        assert_int_equal(parse_duration("18446744074", &number), -ERANGE);
        assert_int_equal(number, 42);

        assert_int_equal(parse_number("18446744073709551615", &number), 0);
        assert_true(number == UINT64_MAX);
        assert_int_equal(parse_size("64K", &number), 0);
        assert_int_equal(number, 65536);
        assert_int_equal(parse_duration("500ms", &number), 0);
        assert_int_equal(number, 500000000);
        assert_int_equal(parse_duration("2", &number), 0);
        assert_int_equal(number, 2000000000);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_size_is_human_as_in_lsblk),
                cmocka_unit_test(test_duration_has_two_units_at_most),
                cmocka_unit_test(test_moment_has_its_zone),
                cmocka_unit_test(test_printable_text_cannot_reach_the_terminal),
                cmocka_unit_test(test_printable_text_keeps_what_the_locale_prints),
                cmocka_unit_test(test_utf8_is_utf8_whatever_was_given),
                cmocka_unit_test(test_numbers_are_read_whole_or_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
