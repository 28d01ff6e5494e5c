/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Scalars: one spelling a value, overflow found before it happens, and back again.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/scalar.h"

typedef struct Case {
        const char *text;
        ConfigFault fault;
        uint64_t value;
} Case;

typedef ConfigFault (*Parse)(const char *text, uint64_t *ret_value);

/* @ret_value is written exactly if there is no fault. */
static void check(Parse parse, const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t value = 4711;

                if (parse(cases[i].text, &value) != cases[i].fault)
                        fail_msg("'%s' is judged wrongly", cases[i].text);
                assert_int_equal(value, cases[i].fault ? 4711 : cases[i].value);
        }
}

#define CHECK(_parse, _cases) check(_parse, _cases, sizeof(_cases) / sizeof(*(_cases)))

static void test_sizes(void **state) {
        static const Case cases[] = {
                {"0", CONFIG_FAULT_NONE, 0},
                {"64", CONFIG_FAULT_NONE, 64},
                {"4K", CONFIG_FAULT_NONE, 4096},
                {"1M", CONFIG_FAULT_NONE, UINT64_C(1) << 20},
                {"3G", CONFIG_FAULT_NONE, UINT64_C(3) << 30},
                {"2T", CONFIG_FAULT_NONE, UINT64_C(2) << 40},
                {"18446744073709551615", CONFIG_FAULT_NONE, UINT64_MAX},
                {"16777215T", CONFIG_FAULT_NONE, UINT64_C(16777215) << 40},
                {"18446744073709551616", CONFIG_FAULT_OVERFLOW},
                {"16777216T", CONFIG_FAULT_OVERFLOW},
                {"99999999999999999999999", CONFIG_FAULT_OVERFLOW},
                {"", CONFIG_FAULT_FORM},
                {"K", CONFIG_FAULT_FORM},
                {"-1", CONFIG_FAULT_FORM},
                {"+1", CONFIG_FAULT_FORM},
                {" 1", CONFIG_FAULT_FORM},
                {"1 K", CONFIG_FAULT_FORM},
                {"1_000", CONFIG_FAULT_FORM},
                {"1.5M", CONFIG_FAULT_FORM},
                {"007", CONFIG_FAULT_ZERO},
                {"00", CONFIG_FAULT_ZERO},
                {"4k", CONFIG_FAULT_UNIT},
                {"4KB", CONFIG_FAULT_UNIT},
                {"4KiB", CONFIG_FAULT_UNIT},
                {"0x10", CONFIG_FAULT_UNIT},
                {"1e6", CONFIG_FAULT_UNIT},
                {"1E", CONFIG_FAULT_UNIT},
        };

        CHECK(config_parse_size, cases);
}

static void test_counts(void **state) {
        static const Case cases[] = {
                {"0", CONFIG_FAULT_NONE, 0},
                {"4096", CONFIG_FAULT_NONE, 4096},
                {"18446744073709551615", CONFIG_FAULT_NONE, UINT64_MAX},
                {"18446744073709551616", CONFIG_FAULT_OVERFLOW},
                {"01", CONFIG_FAULT_ZERO},
                {"1K", CONFIG_FAULT_FORM},
                {"", CONFIG_FAULT_FORM},
                {"-0", CONFIG_FAULT_FORM},
                {"1 ", CONFIG_FAULT_FORM},
        };

        CHECK(config_parse_count, cases);
}

static void test_durations(void **state) {
        static const Case cases[] = {
                {"0", CONFIG_FAULT_NONE, 0},
                {"0s", CONFIG_FAULT_NONE, 0},
                {"7us", CONFIG_FAULT_NONE, 7000},
                {"500ms", CONFIG_FAULT_NONE, 500000000},
                {"30s", CONFIG_FAULT_NONE, 30000000000},
                {"2min", CONFIG_FAULT_NONE, 120000000000},
                {"1h", CONFIG_FAULT_NONE, 3600000000000},
                {"1d", CONFIG_FAULT_NONE, 86400000000000},
                {"213503d", CONFIG_FAULT_NONE, UINT64_C(213503) * 86400000000000},
                {"213504d", CONFIG_FAULT_OVERFLOW},
                {"30", CONFIG_FAULT_UNIT},
                {"1m", CONFIG_FAULT_UNIT},
                {"1sec", CONFIG_FAULT_UNIT},
                {"1h30min", CONFIG_FAULT_UNIT},
                {"1.5s", CONFIG_FAULT_FORM},
                {"-1s", CONFIG_FAULT_FORM},
                {"030s", CONFIG_FAULT_ZERO},
        };

        CHECK(config_parse_duration, cases);
}

static void test_modes(void **state) {
        static const Case cases[] = {
                {"0640", CONFIG_FAULT_NONE, 0640},
                {"0666", CONFIG_FAULT_NONE, 0666},
                {"0000", CONFIG_FAULT_NONE, 0},
                {"0755", CONFIG_FAULT_UNIT},
                {"640", CONFIG_FAULT_FORM},
                {"0680", CONFIG_FAULT_FORM},
                {"4640", CONFIG_FAULT_FORM},
                {"06400", CONFIG_FAULT_FORM},
                {"", CONFIG_FAULT_FORM},
        };

        CHECK(config_parse_mode, cases);
}

static void test_system_v_keys(void **state) {
        static const Case cases[] = {
                {"1", CONFIG_FAULT_NONE, 1},
                {"0xffffffff", CONFIG_FAULT_NONE, UINT32_MAX},
                {"0x1267ABcd", CONFIG_FAULT_NONE, 0x1267abcd},
                {"4294967295", CONFIG_FAULT_NONE, UINT32_MAX},
                {"0", CONFIG_FAULT_OVERFLOW},
                {"0x0", CONFIG_FAULT_OVERFLOW},
                {"4294967296", CONFIG_FAULT_OVERFLOW},
                {"0x100000000", CONFIG_FAULT_OVERFLOW},
                {"0x", CONFIG_FAULT_FORM},
                {"0xg", CONFIG_FAULT_FORM},
                {"ff", CONFIG_FAULT_FORM},
        };

        CHECK(config_parse_key, cases);
}

static void test_sizes_are_shown_as_they_are_written_or_rounded_up(void **state) {
        static const struct {
                uint64_t n_bytes;
                const char *text;
        } cases[] = {
                {0, "0"},
                {1, "1"},
                {1023, "1023"},
                {1024, "1K"},
                {1025, "1025"},
                {4096, "4K"},
                {(1 << 20) + 1, "1025K"},
                {UINT64_C(8) << 30, "8G"},
                {(UINT64_C(8) << 30) + 1, "8193M"},
                {UINT64_C(64) << 40, "64T"},
                {UINT64_MAX, "17179869184G"},
        };
        char buffer[CONFIG_SIZE_TEXT_MAX];

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
                assert_string_equal(config_format_size(buffer, cases[i].n_bytes), cases[i].text);
}

static void test_durations_are_shown_as_they_are_written(void **state) {
        static const char *const texts[] = {"0", "7us", "500ms", "30s", "2min", "1h", "365d"};
        char buffer[CONFIG_DURATION_TEXT_MAX];

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                uint64_t ns;

                assert_int_equal(config_parse_duration(texts[i], &ns), CONFIG_FAULT_NONE);
                assert_string_equal(config_format_duration(buffer, ns), texts[i]);
        }

        assert_string_equal(config_format_duration(buffer, 1), "1ns");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_modes),
                cmocka_unit_test(test_system_v_keys),
                cmocka_unit_test(test_sizes_are_shown_as_they_are_written_or_rounded_up),
                cmocka_unit_test(test_durations_are_shown_as_they_are_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
