/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A scripted broker.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ctl-broker.h"

void broker_reply(Broker *broker, WireMessage *message) {
        static _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX];
        size_t n_bytes;

        message->id = ++broker->id;
        assert_int_equal(wire_encode(message, packet, sizeof(packet), &n_bytes), 0);
        assert_int_equal(send(broker->fds[1], packet, n_bytes, MSG_DONTWAIT), (int)n_bytes);
}

static void broker_welcome(Broker *broker) {
        broker_reply(broker, &(WireMessage){
                .type = WIRE_WELCOME,
                .welcome = { .major = 1, .version = "0.1.0", .admin = true },
        });
}

void broker_request(Broker *broker, WireMessage *ret_message) {
        static _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX];
        ssize_t n = recv(broker->fds[1], packet, sizeof(packet), MSG_DONTWAIT);

        assert_true(n > 0);
        assert_int_equal(wire_decode(packet, (size_t)n, ret_message), 0);
}

int broker_setup(void **state) {
        Broker *broker = calloc(1, sizeof(*broker));

        assert_non_null(broker);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker->fds), 0);
        broker->ctl = (Ctl){
                .timeout_ns = -1,
                .in = -1,
                .connected = broker->fds[0],
                .out = open_memstream(&broker->out, &broker->n_out),
                .err = open_memstream(&broker->err, &broker->n_err),
        };
        assert_non_null(broker->ctl.out);
        assert_non_null(broker->ctl.err);
        broker_welcome(broker);
        *state = broker;
        return 0;
}

int broker_teardown(void **state) {
        Broker *broker = *state;

        fclose(broker->ctl.out);
        fclose(broker->ctl.err);
        free(broker->out);
        free(broker->err);
        close(broker->fds[1]);
        free(broker);
        return 0;
}

void broker_assert_runs(Broker *broker, CtlRun run, char *argument, int result,
                        const char *out, const char *err) {
        char *arguments[] = { argument, NULL };

        assert_int_equal(run(&broker->ctl, argument ? 1 : 0, arguments), result);
        assert_int_equal(fflush(broker->ctl.out), 0);
        assert_int_equal(fflush(broker->ctl.err), 0);
        assert_string_equal(broker->err, err);
        assert_string_equal(broker->out, out);
}

const WireRegion region_imu = {
        .name = "telemetry/imu",
        .description = "six-axis samples at 8 kHz",
        .type = "imu_sample/3",
        .reason = "",
        .origin = "/etc/shmbroker/shmbrokerd.yaml:12",
        .access = "produce: user:sensors; consume: any",
        .geometry = {
                .kind = SHMB_KIND_RING,
                .backing = SHMB_BACKING_MEMFD,
                .overflow = SHMB_OVERFLOW_BLOCK,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = 64,
                .item_align = 8,
                .stride = 64,
                .capacity = 4096,
        },
        .tag = 0x0123456789abcdef,
        .generation = 1,
        .lifetime = SHMB_LIFETIME_ON_DEMAND,
        .state = SHMB_REGION_LIVE,
        .linger_ns = UINT64_C(30000000000),
        .size_bytes = 282624,
        .used = 17,
        .moved = 10000000,
        .redelivered = 1,
        .waits = 5,
        .wakes = 4,
        .n_producers = 1,
        .n_consumers = 1,
};

const WireRegion region_raw = {
        .name = "accounting",
        .geometry = {
                .kind = SHMB_KIND_RAW,
                .backing = SHMB_BACKING_POSIX,
                .region_size = 4096,
        },
        .lifetime = SHMB_LIFETIME_STATIC,
        .state = SHMB_REGION_DECLARED,
        .size_bytes = 4096,
        .n_readers = 2,
        .n_writers = 1,
};

void broker_list(Broker *broker, const WireRegion *regions, size_t n, bool more) {
        static uint8_t page[WIRE_PAGE_MAX];
        size_t n_bytes = 0;

        for (size_t i = 0; i < n; i++)
                assert_int_equal(wire_region_append(page, sizeof(page), &n_bytes, &regions[i]), 0);
        broker_reply(broker, &(WireMessage){
                .type = WIRE_LISTING,
                .listing = {
                        .more = more,
                        .n_entries = (uint32_t)n,
                        .entries = page,
                        .n_bytes_entries = n_bytes,
                },
        });
}

void broker_holders(Broker *broker, const WireHolder *holders, size_t n, bool more) {
        static uint8_t page[WIRE_PAGE_MAX];
        size_t n_bytes = 0;

        for (size_t i = 0; i < n; i++)
                assert_int_equal(wire_holder_append(page, sizeof(page), &n_bytes, &holders[i]), 0);
        broker_reply(broker, &(WireMessage){
                .type = WIRE_HOLDERS,
                .holders = {
                        .more = more,
                        .n_entries = (uint32_t)n,
                        .entries = page,
                        .n_bytes_entries = n_bytes,
                },
        });
}

const WireHolder holder_imu = {
        .lease = 7,
        .region = "telemetry/imu",
        .role = SHMB_ROLE_CONSUME,
        .index = 0,
        .uid = 4000000000,
        .pid = 4711,
        .command = "demo",
        .unit = "",
        .since_ns = UINT64_MAX,
        .occupancy = SHMB_PARTY_HELD,
        .connected = true,
};

void broker_report(Broker *broker, const char *const *lines, size_t n, bool truncated) {
        static uint8_t page[WIRE_PAGE_MAX];
        size_t n_bytes = 0;

        for (size_t i = 0; i < n; i++)
                assert_int_equal(wire_line_append(page, sizeof(page), &n_bytes, lines[i]), 0);
        broker_reply(broker, &(WireMessage){
                .type = WIRE_REPORT,
                .report = {
                        .truncated = truncated,
                        .n_lines = (uint32_t)n,
                        .lines = page,
                        .n_bytes_lines = n_bytes,
                },
        });
}
