/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commands against a scripted broker: what is asked, and what is printed.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ctl-broker.h"

static void test_list_prints_a_table(void **state) {
        const WireRegion regions[] = { region_raw, region_imu };

        broker_list(*state, regions, 2, false);
        broker_assert_runs(*state, command_list, NULL, CTL_DONE,
                    "NAME          KIND BACKING SIZE USED CAPACITY PRODUCERS CONSUMERS    ITEMS "
                    "LIFETIME  STATE\n"
                    "accounting    raw  posix     4K    -        -         1         2        - "
                    "static    declared\n"
                    "telemetry/imu ring memfd   276K   17     4096         1         1 10000000 "
                    "on_demand live\n",
                    "");
}

static void test_list_prints_chosen_columns(void **state) {
        Broker *broker = *state;

        broker->ctl.style = (Style){ .output = "name,linger,tag,item_size", .no_headings = true };
        broker_list(broker, &region_imu, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_DONE,
                    "telemetry/imu    30s 0123456789abcdef       64B\n", "");
}

static void test_list_in_json(void **state) {
        Broker *broker = *state;

        broker->ctl.style = (Style){ .json = true };
        broker_list(broker, &region_raw, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_DONE,
                    "{\n"
                    "   \"regions\": [\n"
                    "      {\n"
                    "         \"name\": \"accounting\",\n"
                    "         \"kind\": \"raw\",\n"
                    "         \"backing\": \"posix\",\n"
                    "         \"size\": 4096,\n"
                    "         \"used\": null,\n"
                    "         \"capacity\": null,\n"
                    "         \"producers\": 1,\n"
                    "         \"consumers\": 2,\n"
                    "         \"items\": null,\n"
                    "         \"lifetime\": \"static\",\n"
                    "         \"state\": \"declared\"\n"
                    "      }\n"
                    "   ]\n"
                    "}\n",
                    "");
}

static void test_list_asks_for_each_page_after_the_last_name(void **state) {
        Broker *broker = *state;
        WireMessage request;

        broker->ctl.style = (Style){ .output = "NAME", .no_headings = true };
        broker_list(broker, &region_raw, 1, true);
        broker_list(broker, &region_imu, 1, false);
        broker_assert_runs(broker, command_list, NULL, CTL_DONE, "accounting\ntelemetry/imu\n", "");

        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_HELLO);
        assert_int_equal(request.hello.major, WIRE_VERSION_MAJOR);
        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_LIST);
        assert_true(!request.list.after || !*request.list.after);
        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_LIST);
        assert_string_equal(request.list.after, "accounting");
}

static void test_list_of_unknown_column_asks_nobody(void **state) {
        Broker *broker = *state;
        char byte;

        broker->ctl.style = (Style){ .output = "NAME,COLOUR" };
        broker_assert_runs(broker, command_list, NULL, CTL_USAGE, "",
                    "shmbrokerctl: --output: there is no column 'COLOUR' among the regions "
                    "(see shmbrokerctl --help)\n");
        assert_int_equal(recv(broker->fds[1], &byte, 1, MSG_DONTWAIT), -1);
        close(broker->fds[0]);
}

static void test_who_prints_a_table(void **state) {
        Broker *broker = *state;
        WireHolder holders[] = { holder_imu, holder_imu };
        WireMessage request;

        holders[1].lease = 9;
        holders[1].role = SHMB_ROLE_OBSERVE;
        holders[1].command = "a\tb";
        broker_holders(broker, holders, 2, false);
        broker_assert_runs(broker, command_who, (char[]){ "telemetry/imu" }, CTL_DONE,
                    "LEASE REGION        ROLE    INDEX USER        PID COMMAND UNIT AGE\n"
                    "    7 telemetry/imu consume     0 4000000000 4711 demo    -      -\n"
                    "    9 telemetry/imu observe     - 4000000000 4711 a\\x09b  -      -\n",
                    "");

        broker_request(broker, &request);
        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_WHO);
        assert_string_equal(request.who.name, "telemetry/imu");
}

static void test_who_asks_for_each_page_after_the_last_lease(void **state) {
        Broker *broker = *state;
        WireHolder second = holder_imu;
        WireMessage request;

        second.lease = 8;
        broker->ctl.style = (Style){ .output = "LEASE,CONNECTED", .no_headings = true };
        broker_holders(broker, &holder_imu, 1, true);
        broker_holders(broker, &second, 1, false);
        broker_assert_runs(broker, command_who, NULL, CTL_DONE, "    7 yes\n    8 yes\n", "");

        broker_request(broker, &request);
        broker_request(broker, &request);
        assert_int_equal(request.who.after, 0);
        broker_request(broker, &request);
        assert_int_equal(request.who.after, 7);
}

static void test_show_prints_sections(void **state) {
        Broker *broker = *state;

        broker_list(broker, &region_imu, 1, false);
        broker_holders(broker, &holder_imu, 1, false);
        broker_assert_runs(broker, command_show, (char[]){ "telemetry/imu" }, CTL_DONE,
                    "region\n"
                    "  name           telemetry/imu\n"
                    "  producers      1\n"
                    "  consumers      1\n"
                    "  state          live\n"
                    "  description    six-axis samples at 8 kHz\n"
                    "  observers      0\n"
                    "\n"
                    "declaration\n"
                    "  kind           ring\n"
                    "  backing        memfd\n"
                    "  lifetime       on_demand\n"
                    "  type           imu_sample/3\n"
                    "  overflow       block\n"
                    "  linger         30s\n"
                    "  access         produce: user:sensors; consume: any\n"
                    "  origin         /etc/shmbroker/shmbrokerd.yaml:12\n"
                    "\n"
                    "geometry\n"
                    "  size           276K\n"
                    "  capacity       4096\n"
                    "  item_size      64B\n"
                    "  item_align     8B\n"
                    "  stride         64B\n"
                    "  lanes          1\n"
                    "  seats          1\n"
                    "  generation     1\n"
                    "  tag            0123456789abcdef\n"
                    "\n"
                    "counters\n"
                    "  used           17\n"
                    "  items          10000000\n"
                    "  dropped        0\n"
                    "  redelivered    1\n"
                    "  missed         0\n"
                    "  waits          5\n"
                    "  wakes          4\n"
                    "\n"
                    "objects\n"
                    "OBJECT  INDEX SIZE NAME\n"
                    "control     -   8K -\n"
                    "lane        0 260K -\n"
                    "seat        0   8K -\n"
                    "\n"
                    "holders\n"
                    "LEASE REGION        ROLE    INDEX USER        PID COMMAND UNIT AGE\n"
                    "    7 telemetry/imu consume     0 4000000000 4711 demo    -      -\n",
                    "");
}

static void test_show_in_json_is_one_document(void **state) {
        Broker *broker = *state;

        broker->ctl.style = (Style){ .json = true };
        broker_list(broker, &region_raw, 1, false);
        broker_holders(broker, NULL, 0, false);
        assert_int_equal(command_show(&broker->ctl, 1, (char *[]){ (char[]){ "accounting" } }),
                         CTL_DONE);
        assert_int_equal(fflush(broker->ctl.out), 0);
        assert_ptr_equal(strstr(broker->out, "{\n   \"regions\": [\n"), broker->out);
        assert_non_null(strstr(broker->out, "\n   ],\n   \"objects\": [\n"));
        assert_non_null(strstr(broker->out, "\n   ],\n   \"holders\": [\n"));
        assert_non_null(strstr(broker->out, "\n   ]\n}\n"));
        assert_non_null(strstr(broker->out, "\"tag\": null"));
}

static void test_show_of_nothing_says_so(void **state) {
        broker_list(*state, NULL, 0, false);
        broker_assert_runs(*state, command_show, (char[]){ "nothing" }, CTL_FAILED, "",
                    "shmbrokerctl: nothing: no such region, or none that you may attach: see "
                    "`shmbrokerctl list`\n");
}

static void test_status_prints_sections(void **state) {
        Broker *broker = *state;

        broker_reply(broker, &(WireMessage){
                .type = WIRE_STATUS_INFO,
                .status = {
                        .version = "0.1.0",
                        .config = "/etc/shmbroker/shmbrokerd.yaml",
                        .runtime = "/run/shmbroker",
                        .features = "pidfd=SO_PEERPIDFD",
                        .pid = 812,
                        .uid = 994,
                        .started_ns = 1,
                        .now_ns = UINT64_C(3660000000001),
                        .n_regions = 3,
                        .n_live = 2,
                        .n_leases = 5,
                        .n_connections = 4,
                        .size_bytes = 1 << 20,
                        .size_bytes_max = UINT64_C(8) << 30,
                        .n_granted = 9,
                        .n_deaths = 1,
                },
        });
        broker_assert_runs(broker, command_status, NULL, CTL_DONE,
                    "broker\n"
                    "  version        0.1.0\n"
                    "  pid            812\n"
                    "  uid            994\n"
                    "  uptime         1h 1min\n"
                    "  config         /etc/shmbroker/shmbrokerd.yaml\n"
                    "  runtime        /run/shmbroker\n"
                    "  features       pidfd=SO_PEERPIDFD\n"
                    "\n"
                    "now\n"
                    "  regions        3\n"
                    "  live           2\n"
                    "  size           1M\n"
                    "  size_max       8G\n"
                    "  connections    4\n"
                    "  leases         5\n"
                    "\n"
                    "since start\n"
                    "  granted        9\n"
                    "  refused        0\n"
                    "  reaped         0\n"
                    "  deaths         1\n"
                    "  replaced       0\n",
                    "");
}

static void test_reload_prints_the_plan(void **state) {
        static const char *const lines[] = { "add a/raw", "remove b\x1b[m" };
        Broker *broker = *state;
        WireMessage request;

        broker->ctl.plan = true;
        broker_report(broker, lines, 2, false);
        broker_assert_runs(broker, command_reload, NULL, CTL_DONE,
                           "add a/raw\nremove b\\x1b[m\n", "");

        broker_request(broker, &request);
        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_RELOAD);
        assert_true(request.reload.plan_only);
}

static void test_gc_of_nothing_says_so(void **state) {
        Broker *broker = *state;
        WireMessage request;

        broker_report(broker, NULL, 0, false);
        broker_assert_runs(broker, command_gc, NULL, CTL_DONE, "nothing to collect\n", "");

        broker_request(broker, &request);
        broker_request(broker, &request);
        assert_int_equal(request.type, WIRE_GC);
        assert_false(request.gc.dry_run);
}

static void test_report_in_json(void **state) {
        static const char *const line = "collect a/raw";
        Broker *broker = *state;

        broker->ctl.style.json = true;
        broker_report(broker, &line, 1, false);
        broker_assert_runs(broker, command_gc, NULL, CTL_DONE,
                    "{\n   \"lines\": [\n      {\n         \"line\": \"collect a/raw\"\n"
                    "      }\n   ]\n}\n", "");
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, broker_setup, broker_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_list_prints_a_table),
                TEST(test_list_prints_chosen_columns),
                TEST(test_list_in_json),
                TEST(test_list_asks_for_each_page_after_the_last_name),
                TEST(test_list_of_unknown_column_asks_nobody),
                TEST(test_who_prints_a_table),
                TEST(test_who_asks_for_each_page_after_the_last_lease),
                TEST(test_show_prints_sections),
                TEST(test_show_in_json_is_one_document),
                TEST(test_show_of_nothing_says_so),
                TEST(test_status_prints_sections),
                TEST(test_reload_prints_the_plan),
                TEST(test_gc_of_nothing_says_so),
                TEST(test_report_in_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
