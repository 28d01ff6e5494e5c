/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a broker that lies, babbles or hangs up cannot make of shmbrokerctl.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ctl-broker.h"

static const char complaint_listing[] =
        "shmbrokerctl: (connected): the broker sent a malformed listing: is it the same version "
        "as shmbrokerctl " PACKAGE_VERSION "?\n";

static void test_list_escapes_hostile_names(void **state) {
        Broker *broker = *state;
        WireRegion region = region_imu;

        region.name = "\x1b]0;owned\x07";
        broker->ctl.style = (Style){ .output = "NAME", .no_headings = true };
        broker_list(broker, &region, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_DONE, "\\x1b]0;owned\\x07\n", "");
}

static void test_list_shows_unknown_enumerations_as_absent(void **state) {
        Broker *broker = *state;
        WireRegion region = region_imu;

        region.geometry.kind = UINT32_MAX;
        region.geometry.backing = _SHMB_BACKING_N;
        region.lifetime = 1000;
        region.state = UINT32_MAX;
        region.geometry.overflow = SHMB_OVERFLOW_NONE;
        broker->ctl.style = (Style){ .output = "KIND,BACKING,LIFETIME,STATE,OVERFLOW" };
        broker_list(broker, &region, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_DONE,
                           "KIND BACKING LIFETIME STATE OVERFLOW\n"
                           "-    -       -        -     -\n", "");
}

static void test_list_that_goes_round_in_circles_ends(void **state) {
        Broker *broker = *state;

        broker_list(broker, &region_imu, 1, true);
        broker_list(broker, &region_imu, 1, true);
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "", complaint_listing);
}

static void test_list_of_empty_pages_ends(void **state) {
        Broker *broker = *state;

        broker_list(broker, NULL, 0, true);
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a listing without end: is it the "
                    "same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_list_cut_short_is_refused(void **state) {
        static _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX], page[WIRE_PAGE_MAX];
        Broker *broker = *state;
        size_t n_page = 0, n_bytes;
        WireMessage message = { .type = WIRE_LISTING };

        assert_int_equal(wire_region_append(page, sizeof(page), &n_page, &region_imu), 0);
        message.id = ++broker->id;
        message.listing.n_entries = 2;
        message.listing.entries = page;
        message.listing.n_bytes_entries = n_page / 2 & ~(size_t)7;
        if (wire_encode(&message, packet, sizeof(packet), &n_bytes) == 0)
                assert_int_equal(send(broker->fds[1], packet, n_bytes, MSG_DONTWAIT), (int)n_bytes);
        shutdown(broker->fds[1], SHUT_WR);

        assert_int_equal(command_list(&broker->ctl, 0, NULL), CTL_FAILED);
        assert_int_equal(fflush(broker->ctl.out), 0);
        assert_int_equal(broker->n_out, 0);
}

static void test_garbage_is_refused(void **state) {
        Broker *broker = *state;

        assert_int_equal(send(broker->fds[1], "garbage garbage!", 16, MSG_DONTWAIT), 16);
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a malformed message: is it the "
                    "same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_message_longer_than_any_is_refused(void **state) {
        static const uint8_t packet[SHMB_MESSAGE_MAX + 64];
        Broker *broker = *state;

        assert_int_equal(send(broker->fds[1], packet, sizeof(packet), MSG_DONTWAIT),
                         (int)sizeof(packet));
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a message longer than any: is it "
                    "the same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_reply_to_something_else_is_refused(void **state) {
        Broker *broker = *state;

        broker->id = 77;
        broker_list(broker, &region_imu, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a reply to something else: is it "
                    "the same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_reply_of_another_type_is_refused(void **state) {
        Broker *broker = *state;

        broker_reply(broker, &(WireMessage){ .type = WIRE_OK });
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a reply of another type: is it "
                    "the same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_hang_up_is_said(void **state) {
        Broker *broker = *state;

        assert_int_equal(shutdown(broker->fds[1], SHUT_WR), 0);
        broker_assert_runs(broker, command_list, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker closed the connection: see "
                    "`journalctl -u shmbrokerd`\n");
}

static void test_refusal_is_one_escaped_line(void **state) {
        Broker *broker = *state;

        broker_reply(broker, &(WireMessage){
                .type = WIRE_ERROR,
                .error = { .status = SHMB_STATUS_NOT_ADMIN, .sentence = "no:\x1b[1m\nask root" },
        });
        broker_assert_runs(broker, command_reload, NULL, CTL_FAILED, "",
                    "shmbrokerctl: no:\\x1b[1m\\x0aask root\n");
}

static void test_refusal_without_a_sentence_has_its_status(void **state) {
        Broker *broker = *state;
        char expected[128];

        broker_reply(broker, &(WireMessage){
                .type = WIRE_ERROR,
                .error = { .status = SHMB_STATUS_NOT_ADMIN },
        });
        snprintf(expected, sizeof(expected), "shmbrokerctl: %s\n",
                 shmb_status_to_string(SHMB_STATUS_NOT_ADMIN));
        broker_assert_runs(broker, command_gc, NULL, CTL_FAILED, "", expected);
}

static void test_who_that_goes_round_in_circles_ends(void **state) {
        Broker *broker = *state;

        broker_holders(broker, &holder_imu, 1, true);
        broker_holders(broker, &holder_imu, 1, true);
        broker_assert_runs(broker, command_who, NULL, CTL_FAILED, "",
                    "shmbrokerctl: (connected): the broker sent a malformed list of holders: is "
                    "it the same version as shmbrokerctl " PACKAGE_VERSION "?\n");
}

static void test_report_that_was_cut_says_so(void **state) {
        static const char *const line = "collect a/raw";

        broker_report(*state, &line, 1, true);
        broker_assert_runs(*state, command_gc, NULL, CTL_DONE, "collect a/raw\n",
                    "shmbrokerctl: the report is longer than one message: its end is missing\n");
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, broker_setup, broker_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_list_escapes_hostile_names),
                TEST(test_list_shows_unknown_enumerations_as_absent),
                TEST(test_list_that_goes_round_in_circles_ends),
                TEST(test_list_of_empty_pages_ends),
                TEST(test_list_cut_short_is_refused),
                TEST(test_garbage_is_refused),
                TEST(test_message_longer_than_any_is_refused),
                TEST(test_reply_to_something_else_is_refused),
                TEST(test_reply_of_another_type_is_refused),
                TEST(test_hang_up_is_said),
                TEST(test_refusal_is_one_escaped_line),
                TEST(test_refusal_without_a_sentence_has_its_status),
                TEST(test_who_that_goes_round_in_circles_ends),
                TEST(test_report_that_was_cut_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
