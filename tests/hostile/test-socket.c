/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Can be Said on the Socket
 *
 * Clients that do not keep to the protocol lose their connection or get an error. They do not get
 * anything else, and nobody else notices: a witness with a lease of its own is served before and
 * after each of them, and the broker has as many descriptors open as before.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        SEED = 20260722,
        MUTANTS = 400,
};

static const char yaml[] = "version: 1\n"
                           "regions:\n"
                           "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any]}}\n"
                           "  - name: $/ring\n"
                           "    kind: ring\n"
                           "    item: {size: 64}\n"
                           "    capacity: 64\n"
                           "    access: {produce: [any], consume: [any]}\n";

static Broker broker;
static Caller witness;
static CallerLease witness_lease;
static size_t n_fds_before;

static int teardown(void **state) {
        caller_lease_close(&witness_lease);
        caller_close(&witness);
        broker_deinit(&broker);
        return 0;
}

static WireStatusInfo witness_status(void) {
        WireStatusInfo status;

        assert_int_equal(caller_status(&witness, &status), 0);
        return status;
}

static void begin(void) {
        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&witness, broker.socket), 0);
        assert_int_equal(caller_attach(&witness, broker_name(&broker, "ring"), SHMB_ROLE_CONSUME,
                                       &witness_lease),
                         0);
        assert_int_equal(caller_mapped(&witness, &witness_lease, 0), 0);
        n_fds_before = broker_n_fds(&broker);
}

/* Everything is as it was when the hostile client came. */
static void end(void) {
        WireRegion region;

        broker_until(witness_status().n_connections == 1);
        assert_int_equal(witness_status().n_leases, 1);
        assert_int_equal(caller_list(&witness, broker_name(&broker, "ring"), &region), 0);
        assert_int_equal(region.n_consumers, 1);
        assert_int_equal(region.n_producers, 0);
        assert_int_equal(broker_n_fds(&broker), n_fds_before);
        caller_lease_close(&witness_lease);
        caller_close(&witness);
        broker_end(&broker);
}

static Caller greeted(void) {
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        return caller;
}

/* The broker says that this is wrong, or nothing; in any case it hangs up. */
static void assert_thrown_out(Caller *caller) {
        int r = caller_receive(caller, BROKER_DEADLINE_MS);

        if (r > 0) {
                assert_int_equal(r, SHMB_STATUS_PROTOCOL);
                assert_true(caller->reply.error.sentence[0] != '\0');
                r = caller_receive(caller, BROKER_DEADLINE_MS);
        }
        assert_int_equal(r, CALLER_HUNG_UP);
        caller_close(caller);
}

static void test_socket_random_bytes_end_the_connection(void **state) {
        uint8_t bytes[SHMB_MESSAGE_MAX];
        size_t i, n;
        Caller caller;

        begin();
        srandom(SEED);
        for (n = 1; n <= sizeof(bytes); n = n * 3 + 1) {
                for (i = 0; i < n; i++)
                        bytes[i] = (uint8_t)random();
                caller = greeted();
                assert_int_equal(caller_send_bytes(&caller, bytes, n), 0);
                assert_thrown_out(&caller);
                /* and as the very first thing */
                assert_int_equal(caller_connect(&caller, broker.socket), 0);
                assert_int_equal(caller_send_bytes(&caller, bytes, n), 0);
                assert_thrown_out(&caller);
        }
        end();
}

static void test_socket_packets_of_no_length_and_too_great_length(void **state) {
        static uint8_t bytes[4 * SHMB_MESSAGE_MAX];
        static const size_t lengths[] = { 0, SHMB_MESSAGE_MAX + 1, sizeof(bytes) };
        Caller caller;
        size_t i;

        begin();
        for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
                caller = greeted();
                assert_int_equal(caller_send_bytes(&caller, bytes, lengths[i]), 0);
                assert_thrown_out(&caller);
        }
        end();
}

static size_t encode_attach(uint8_t packet[static SHMB_MESSAGE_MAX]) {
        WireMessage message = { .type = WIRE_ATTACH,
                                .id = 7,
                                .attach = { .name = broker_name(&broker, "raw"),
                                            .role = SHMB_ROLE_READ,
                                            .kind = SHMB_KIND_RAW,
                                            .region_size = 4096 } };
        size_t n;

        assert_int_equal(wire_encode(&message, packet, SHMB_MESSAGE_MAX, &n), 0);
        return n;
}

static void test_socket_truncated_message_ends_the_connection(void **state) {
        uint8_t packet[SHMB_MESSAGE_MAX];
        size_t i, n;
        Caller caller;

        begin();
        n = encode_attach(packet);
        for (i = 1; i < n; i++) {
                caller = greeted();
                assert_int_equal(caller_send_bytes(&caller, packet, i), 0);
                assert_thrown_out(&caller);
        }
        end();
}

/* A flipped byte may leave a good message: then it is answered; nothing else can happen. */
static void test_socket_flipped_bytes_are_answered_or_thrown_out(void **state) {
        uint8_t packet[SHMB_MESSAGE_MAX], mutant[SHMB_MESSAGE_MAX];
        unsigned i, n_good = 0;
        Caller caller;
        size_t n;
        int r;

        begin();
        srandom(SEED);
        n = encode_attach(packet);
        for (i = 0; i < MUTANTS; i++) {
                memcpy(mutant, packet, n);
                mutant[(size_t)random() % n] ^= (uint8_t)(1 + random() % 255);
                if (i % 2)
                        mutant[(size_t)random() % n] = (uint8_t)random();
                caller = greeted();
                assert_int_equal(caller_send_bytes(&caller, mutant, n), 0);
                r = caller_receive(&caller, BROKER_DEADLINE_MS);
                assert_true(r >= 0 || r == CALLER_HUNG_UP);
                n_good += r != CALLER_HUNG_UP && r != SHMB_STATUS_PROTOCOL;
                caller_close(&caller);
        }
        print_message("%u of %u mutants were messages\n", n_good, i);
        assert_true(n_good > 0 && n_good < i);
        end();
}

static void test_socket_descriptors_never_reach_the_broker(void **state) {
        WireMessage message = { .type = WIRE_STATUS, .id = 3 };
        uint8_t packet[SHMB_MESSAGE_MAX];
        int fds[100], i, r, pair[2];
        Caller caller;
        size_t n;

        begin();
        assert_int_equal(wire_encode(&message, packet, sizeof(packet), &n), 0);
        for (i = 0; i < 100; i++) {
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_true(fds[i] >= 0);
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        for (i = 0; i < 50; i++) {
                caller = greeted();
                r = caller_send_fds(&caller, packet, n, i % 2 ? fds : pair, i % 2 ? 100 : 2);
                /* a kernel with SO_PASSRIGHTS refuses the sender */
                if (r == 0)
                        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS),
                                         CALLER_HUNG_UP);
                else
                        assert_int_equal(r, -EPERM);
                caller_close(&caller);
        }
        for (i = 0; i < 100; i++)
                close(fds[i]);
        close(pair[0]);
        close(pair[1]);
        end();
}

static void test_socket_nothing_is_answered_before_hello(void **state) {
        WireMessage messages[] = {
                { .type = WIRE_STATUS },
                { .type = WIRE_LIST },
                { .type = WIRE_ATTACH, .attach = { .name = "x", .role = SHMB_ROLE_READ } },
                { .type = WIRE_DETACH, .detach = { .lease = 1 } },
                { .type = WIRE_RELOAD },
        };
        Caller caller;
        size_t i;

        begin();
        for (i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
                assert_int_equal(caller_connect(&caller, broker.socket), 0);
                assert_int_equal(caller_send(&caller, &messages[i]), 0);
                assert_thrown_out(&caller);
        }
        end();
}

static void test_socket_versions(void **state) {
        WireMessage hello = { .type = WIRE_HELLO, .hello = { .major = 2 } };
        Caller caller;
        int r;

        begin();
        assert_int_equal(caller_connect(&caller, broker.socket), 0);
        assert_int_equal(caller_call(&caller, &hello), SHMB_STATUS_VERSION);
        assert_non_null(strstr(caller.reply.error.sentence, "1"));
        assert_non_null(strstr(caller.reply.error.sentence, "2"));
        caller_close(&caller);

        /* a newer minor version is welcome, and told what this one is */
        hello.id = 0;
        hello.hello.major = WIRE_VERSION_MAJOR;
        hello.hello.minor = 77;
        assert_int_equal(caller_connect(&caller, broker.socket), 0);
        assert_int_equal(caller_call(&caller, &hello), 0);
        assert_int_equal(caller.reply.type, WIRE_WELCOME);
        assert_int_equal(caller.reply.welcome.major, WIRE_VERSION_MAJOR);
        assert_int_equal(caller.reply.welcome.minor, WIRE_VERSION_MINOR);
        /* once */
        hello.id = 0;
        r = caller_call(&caller, &hello);
        assert_true(r == SHMB_STATUS_PROTOCOL || r == CALLER_HUNG_UP);
        caller_close(&caller);
        end();
}

/* A type that this version does not know is answered, so that a newer client can ask. */
static void test_socket_unknown_type_is_answered_and_the_connection_goes_on(void **state) {
        uint8_t packet[16] = { sizeof(packet), 0, 0, 0, 60, 0, 0, 0, 9 };
        WireStatusInfo status;
        Caller caller;

        begin();
        caller = greeted();
        assert_int_equal(caller_send_bytes(&caller, packet, sizeof(packet)), 0);
        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS), SHMB_STATUS_UNSUPPORTED);
        assert_int_equal(caller.reply.id, 9);
        assert_int_equal(caller_status(&caller, &status), 0);
        caller_close(&caller);
        end();
}

/* A field that this version does not know is skipped. */
static void test_socket_unknown_field_is_skipped(void **state) {
        uint8_t packet[24] = { sizeof(packet), 0, 0, 0, WIRE_STATUS, 0, 0, 0, 11 };
        Caller caller;

        begin();
        caller = greeted();
        packet[16] = 0xf0; /* tag */
        packet[17] = 0x7f;
        packet[18] = 4;    /* bytes */
        packet[20] = 1;
        assert_int_equal(caller_send_bytes(&caller, packet, sizeof(packet)), 0);
        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS), 0);
        assert_int_equal(caller.reply.type, WIRE_STATUS_INFO);
        assert_int_equal(caller.reply.id, 11);
        caller_close(&caller);
        end();
}

static void test_socket_replies_are_no_requests(void **state) {
        WireMessage ok = { .type = WIRE_OK, .id = 5 };
        WireMessage error = { .type = WIRE_ERROR, .id = 5, .error = { .status = 3 } };
        Caller caller;
        int r;

        begin();
        caller = greeted();
        r = caller_call(&caller, &ok);
        assert_true(r > 0 || r == CALLER_HUNG_UP);
        caller_close(&caller);
        caller = greeted();
        r = caller_call(&caller, &error);
        assert_true(r > 0 || r == CALLER_HUNG_UP);
        caller_close(&caller);
        end();
}

static void test_socket_values_out_of_bounds_are_refused(void **state) {
        static const uint32_t roles[] = { 0, _SHMB_ROLE_N, 77, UINT32_MAX };
        WireMessage message = { .type = WIRE_ATTACH };
        CallerLease lease;
        Caller caller;
        size_t i;

        begin();
        caller = greeted();
        for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
                assert_true(caller_attach(&caller, broker_name(&broker, "raw"), roles[i], &lease) >
                            0);
                assert_int_equal(caller.n_fds, 0);
        }
        message.attach.name = broker_name(&broker, "raw");
        message.attach.role = SHMB_ROLE_READ;
        message.attach.kind = 4711;
        assert_int_equal(caller_call(&caller, &message), SHMB_STATUS_MISMATCH);
        message.id = 0;
        message.attach.kind = SHMB_KIND_RAW;
        message.attach.region_size = UINT64_MAX;
        assert_int_equal(caller_call(&caller, &message), SHMB_STATUS_MISMATCH);
        assert_non_null(strstr(caller.reply.error.sentence, "4096"));
        caller_close(&caller);
        end();
}

static void test_socket_hostile_names_are_refused_and_escaped(void **state) {
        static const char *const names[] = {
                "", "/", "..", "../../etc/passwd", "a//b", "%n%n%n%s", "\x1b[31mred",
                "two\nPRIORITY=0", "\xff\xfe", "UPPER", " ",
        };
        char too_long[SHMB_NAME_MAX + 1];
        CallerLease lease;
        Caller caller;
        size_t i;
        int r;

        begin();
        caller = greeted();
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                r = caller_attach(&caller, names[i], SHMB_ROLE_READ, &lease);
                assert_true(r == SHMB_STATUS_INVALID || r == SHMB_STATUS_NO_REGION);
                assert_null(strchr(caller.reply.error.sentence, '\n'));
                assert_null(strchr(caller.reply.error.sentence, '\x1b'));
        }
        memset(too_long, 'a', sizeof(too_long) - 1);
        too_long[sizeof(too_long) - 1] = '\0';
        assert_true(caller_attach(&caller, too_long, SHMB_ROLE_READ, &lease) > 0);
        caller_close(&caller);
        assert_null(strchr(broker_journal(&broker), '\x1b'));
        assert_null(strstr(broker_journal(&broker), "\nPRIORITY"));
        end();
}

static void test_socket_leases_are_ended_once_and_by_their_holder(void **state) {
        WireMessage fetch = { .type = WIRE_FETCH };
        CallerLease lease;
        Caller caller;

        begin();
        caller = greeted();
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_PRODUCE,
                                       &lease),
                         0);
        assert_int_equal(caller_mapped(&caller, &lease, 0), 0);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), SHMB_STATUS_NO_LEASE);
        assert_int_equal(caller_mapped(&caller, &lease, 0), SHMB_STATUS_NO_LEASE);

        /* the witness' lease */
        assert_int_equal(caller_detach(&caller, witness_lease.attached.lease),
                         SHMB_STATUS_NO_LEASE);
        assert_int_equal(caller_mapped(&caller, &witness_lease, EBADMSG), SHMB_STATUS_NO_LEASE);
        fetch.fetch.lease = witness_lease.attached.lease;
        fetch.fetch.kind = SHMB_OBJECT_LANE;
        assert_int_equal(caller_call(&caller, &fetch), SHMB_STATUS_NO_LEASE);
        assert_int_equal(caller.n_fds, 0);
        assert_int_equal(caller_detach(&caller, 0), SHMB_STATUS_NO_LEASE);
        assert_int_equal(caller_detach(&caller, UINT64_MAX), SHMB_STATUS_NO_LEASE);
        caller_lease_close(&lease);
        caller_close(&caller);
        end();
}

static void resume_in_child(void *data) {
        WireMessage message = { .type = WIRE_RESUME };
        const WireResume *resume = data;
        Caller caller;
        int r;

        child_equal(caller_connect(&caller, broker.socket), 0);
        memcpy(caller.uuid, witness.uuid, sizeof(caller.uuid));
        child_equal(caller_hello(&caller), 0);
        message.resume = *resume;
        r = caller_call(&caller, &message);
        child_check(r > 0 || (r == 0 && caller.reply.type == WIRE_RESUMED &&
                              caller.reply.resumed.verdict == WIRE_VERDICT_FENCED));
        child_equal(caller_detach(&caller, resume->lease), SHMB_STATUS_NO_LEASE);
        child_say("fenced");
}

/* Not by another user, not even by one that copies the uuid of the client whose it is. */
static void test_socket_lease_of_another_is_not_resumed(void **state) {
        static const ChildIdentity bob = CHILD_BOB;
        WireResume resume;
        Child child;

        begin();
        resume.lease = witness_lease.attached.lease;
        resume.generation = witness_lease.attached.generation;
        resume.epoch = 1;
        child_spawn(&child, &bob, resume_in_child, &resume);
        child_expect(&child, "fenced");
        child_finish(&child);
        end();
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_socket_random_bytes_end_the_connection),
                TEST(test_socket_packets_of_no_length_and_too_great_length),
                TEST(test_socket_truncated_message_ends_the_connection),
                TEST(test_socket_flipped_bytes_are_answered_or_thrown_out),
                TEST(test_socket_descriptors_never_reach_the_broker),
                TEST(test_socket_nothing_is_answered_before_hello),
                TEST(test_socket_versions),
                TEST(test_socket_unknown_type_is_answered_and_the_connection_goes_on),
                TEST(test_socket_unknown_field_is_skipped),
                TEST(test_socket_replies_are_no_requests),
                TEST(test_socket_values_out_of_bounds_are_refused),
                TEST(test_socket_hostile_names_are_refused_and_escaped),
                TEST(test_socket_leases_are_ended_once_and_by_their_holder),
                TEST(test_socket_lease_of_another_is_not_resumed),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
