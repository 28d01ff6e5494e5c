/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Spellings and Status Codes
 *
 * The numbers are ABI and the words are what users type and read: both are pinned here.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "protocol/bits.h"
#include "protocol/status.h"

static void test_bits_spellings_are_pinned_to_values(void **state) {
        assert_string_equal(shmb_kind_to_string((ShmbKind)0), "none");
        assert_string_equal(shmb_kind_to_string((ShmbKind)1), "raw");
        assert_string_equal(shmb_kind_to_string((ShmbKind)2), "ring");
        assert_string_equal(shmb_kind_to_string((ShmbKind)3), "stream");
        assert_string_equal(shmb_kind_to_string((ShmbKind)4), "broadcast");
        assert_string_equal(shmb_kind_to_string((ShmbKind)5), "latest");
        assert_string_equal(shmb_kind_to_string((ShmbKind)6), "queue");
        assert_string_equal(shmb_backing_to_string((ShmbBacking)1), "posix");
        assert_string_equal(shmb_backing_to_string((ShmbBacking)2), "memfd");
        assert_string_equal(shmb_backing_to_string((ShmbBacking)3), "file");
        assert_string_equal(shmb_backing_to_string((ShmbBacking)4), "sysv");
        assert_string_equal(shmb_role_to_string((ShmbRole)1), "produce");
        assert_string_equal(shmb_role_to_string((ShmbRole)2), "consume");
        assert_string_equal(shmb_role_to_string((ShmbRole)3), "observe");
        assert_string_equal(shmb_role_to_string((ShmbRole)4), "read");
        assert_string_equal(shmb_role_to_string((ShmbRole)5), "write");
        assert_string_equal(shmb_overflow_to_string((ShmbOverflow)1), "block");
        assert_string_equal(shmb_overflow_to_string((ShmbOverflow)2), "fail");
        assert_string_equal(shmb_overflow_to_string((ShmbOverflow)3), "drop_newest");
        assert_string_equal(shmb_lifetime_to_string((ShmbLifetime)1), "static");
        assert_string_equal(shmb_lifetime_to_string((ShmbLifetime)2), "on_demand");
        assert_string_equal(shmb_lifetime_to_string((ShmbLifetime)3), "persistent");
        assert_string_equal(shmb_object_kind_to_string((ShmbObjectKind)1), "control");
        assert_string_equal(shmb_object_kind_to_string((ShmbObjectKind)2), "lane");
        assert_string_equal(shmb_object_kind_to_string((ShmbObjectKind)3), "seat");
        assert_string_equal(shmb_object_kind_to_string((ShmbObjectKind)4), "group");
        assert_string_equal(shmb_object_kind_to_string((ShmbObjectKind)5), "data");
        assert_string_equal(shmb_region_state_to_string((ShmbRegionState)2), "live");
        assert_string_equal(shmb_region_state_to_string((ShmbRegionState)5), "lost");
        assert_string_equal(shmb_region_state_to_string((ShmbRegionState)6), "draining");
        assert_string_equal(shmb_occupancy_to_string((ShmbOccupancy)0), "vacant");
        assert_string_equal(shmb_occupancy_to_string((ShmbOccupancy)2), "unproven");
        assert_string_equal(shmb_event_to_string((ShmbEvent)1), "declared");
        assert_string_equal(shmb_event_to_string((ShmbEvent)8), "removed");
}

static void test_bits_each_spelling_reads_back_as_its_value(void **state) {
        unsigned i;

        for (i = 1; i < _SHMB_KIND_N; i++)
                assert_int_equal(shmb_kind_from_string(shmb_kind_to_string((ShmbKind)i)), i);
        for (i = 1; i < _SHMB_BACKING_N; i++)
                assert_int_equal(shmb_backing_from_string(shmb_backing_to_string((ShmbBacking)i)),
                                 i);
        for (i = 1; i < _SHMB_ROLE_N; i++)
                assert_int_equal(shmb_role_from_string(shmb_role_to_string((ShmbRole)i)), i);
        for (i = 1; i < _SHMB_OVERFLOW_N; i++)
                assert_int_equal(
                        shmb_overflow_from_string(shmb_overflow_to_string((ShmbOverflow)i)), i);
        for (i = 1; i < _SHMB_LIFETIME_N; i++)
                assert_int_equal(
                        shmb_lifetime_from_string(shmb_lifetime_to_string((ShmbLifetime)i)), i);
}

static void test_bits_what_is_no_spelling_reads_as_none(void **state) {
        static const char *const texts[] = { NULL, "", "none", "unknown", "Ring", "ring ", "rin" };
        size_t i;

        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                assert_int_equal(shmb_kind_from_string(texts[i]), SHMB_KIND_NONE);
                assert_int_equal(shmb_backing_from_string(texts[i]), SHMB_BACKING_NONE);
                assert_int_equal(shmb_role_from_string(texts[i]), SHMB_ROLE_NONE);
                assert_int_equal(shmb_overflow_from_string(texts[i]), SHMB_OVERFLOW_NONE);
                assert_int_equal(shmb_lifetime_from_string(texts[i]), SHMB_LIFETIME_NONE);
        }
}

static void test_bits_a_newer_value_is_called_unknown(void **state) {
        assert_string_equal(shmb_kind_to_string(_SHMB_KIND_N), "unknown");
        assert_string_equal(shmb_backing_to_string(_SHMB_BACKING_N), "unknown");
        assert_string_equal(shmb_role_to_string((ShmbRole)4711), "unknown");
        assert_string_equal(shmb_overflow_to_string((ShmbOverflow)UINT32_MAX), "unknown");
        assert_string_equal(shmb_lifetime_to_string(_SHMB_LIFETIME_N), "unknown");
        assert_string_equal(shmb_object_kind_to_string(_SHMB_OBJECT_N), "unknown");
        assert_string_equal(shmb_region_state_to_string(_SHMB_REGION_N), "unknown");
        assert_string_equal(shmb_occupancy_to_string(_SHMB_PARTY_N), "unknown");
        assert_string_equal(shmb_event_to_string(_SHMB_EVENT_N), "unknown");
}

static void test_status_gives_each_refusal_an_errno_of_its_own(void **state) {
        unsigned a, b;

        assert_int_equal(shmb_status_to_errno(SHMB_STATUS_OK), 0);
        for (a = 1; a < _SHMB_STATUS_N; a++) {
                assert_true(shmb_status_to_errno(a) > 0);
                for (b = 1; b < a; b++) {
                        assert_int_not_equal(shmb_status_to_errno(a), shmb_status_to_errno(b));
                        assert_string_not_equal(shmb_status_to_string(a),
                                                shmb_status_to_string(b));
                }
        }
}

static void test_status_values_and_errnos_are_pinned(void **state) {
        static const struct {
                unsigned status;
                int errno_positive;
        } rows[] = {
                { 1, EPROTO },       { 2, EPROTONOSUPPORT }, { 3, EOPNOTSUPP }, { 4, EINVAL },
                { 5, ENOENT },       { 6, EACCES },          { 7, EPERM },      { 8, EPROTOTYPE },
                { 9, EBUSY },        { 10, EDQUOT },         { 11, ENOMEM },    { 12, ENOKEY },
                { 13, EIDRM },       { 14, ENODATA },        { 15, ESHUTDOWN }, { 16, ENOEXEC },
                { 17, EIO },         { 18, EEXIST },
        };
        size_t i;

        assert_int_equal(sizeof(rows) / sizeof(*rows), _SHMB_STATUS_N - 1);
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                assert_int_equal(shmb_status_to_errno(rows[i].status), rows[i].errno_positive);
}

static void test_status_of_a_newer_broker_is_an_io_error(void **state) {
        assert_int_equal(shmb_status_to_errno(_SHMB_STATUS_N), EIO);
        assert_int_equal(shmb_status_to_errno(UINT32_MAX), EIO);
        assert_string_equal(shmb_status_to_string(UINT32_MAX), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bits_spellings_are_pinned_to_values),
                cmocka_unit_test(test_bits_each_spelling_reads_back_as_its_value),
                cmocka_unit_test(test_bits_what_is_no_spelling_reads_as_none),
                cmocka_unit_test(test_bits_a_newer_value_is_called_unknown),
                cmocka_unit_test(test_status_gives_each_refusal_an_errno_of_its_own),
                cmocka_unit_test(test_status_values_and_errnos_are_pinned),
                cmocka_unit_test(test_status_of_a_newer_broker_is_an_io_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
