/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Too Much of Everything
 *
 * One user may use up his share and no more: others are served meanwhile, and what he gives back is
 * there again. What comes and goes leaves nothing behind in the broker.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        CONNECTIONS_MAX = 6,
        LEASES_MAX = 3,
        FLOOD = 4000,   /* requests; their replies are several times what a socket holds */
        WARM_UP = 2000, /* allocators and hash tables have their size behind that */
        CYCLES = 20000,
        CREATED_MAX = 5,
        N_RAW = 2,      /* names: control and data */
};

static const char yaml[] =
                "version: 1\n"
                "limits:\n"
                "  per_uid: {connections: 6, leases: 3, bytes: 64K}\n"
                "defaults: {kind: raw, backing: memfd, access: {read: [any], write: [any]}}\n"
                "regions:\n"
                "  - {name: $/raw, size: 4K}\n"
                "  - {name: $/small, size: 32K, lifetime: {policy: on_demand, linger: 0s}}\n"
                "  - {name: $/big, size: 128K, lifetime: {policy: on_demand, linger: 0s}}\n";

static Broker broker;

/* Visitors that follow each other closely overlap in the eyes of the broker. */
static const char yaml_visitors[] =
                "version: 1\n"
                "regions: [{name: $/raw, kind: raw, size: 4K, access: {read: [any]}}]\n";

static const char yaml_created[] =
                "version: 1\n"
                "limits: {per_uid: {regions: 5}}\n"
                "regions: [{name: $/raw, kind: raw, size: 4K, access: {read: [any]}}]\n"
                "templates:\n"
                "  - {name: $/made/*, kind: raw, size: 4K,\n"
                "     access: {create: [any], remove: [any]}}\n";

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

/* A whole visit: connect, attach, detach, go. */
static void visit_in_child(void *data) {
        CallerLease lease;
        Caller caller;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_READ, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        child_equal(caller_detach(&caller, lease.attached.lease), 0);
        child_say("served");
}

static void assert_served(const ChildIdentity *identity) {
        Child child;

        child_spawn(&child, identity, visit_in_child, (void *)broker_name(&broker, "raw"));
        child_expect(&child, "served");
        child_finish(&child);
}

static void connect_many_in_child(void *data) {
        static Caller callers[4 * CONNECTIONS_MAX];
        uint64_t deadline = broker_now_ns() + BROKER_DEADLINE_MS * UINT64_C(1000000);
        size_t i, n_in = 0;
        int r;

        /* What the last process of this user had is given back when the broker sees its end. */
        while (caller_begin(&callers[0], broker.socket) != 0) {
                child_check(broker_now_ns() < deadline);
                broker_pause();
        }
        caller_close(&callers[0]);
        for (i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
                r = caller_begin(&callers[i], broker.socket);
                if (r != 0) {
                        child_check(r == SHMB_STATUS_QUOTA || r == CALLER_HUNG_UP ||
                                    r == -EPIPE || r == -ECONNRESET);
                        callers[i].fd = -1;
                        continue;
                }
                n_in++;
        }
        child_equal(n_in, CONNECTIONS_MAX);
        child_say("full");
        child_await("go");
        /* one goes, one comes */
        for (i = 0; callers[i].fd < 0; i++)
                ;
        caller_close(&callers[i]);
        do {
                broker_pause();
                r = caller_begin(&callers[i], broker.socket);
        } while (r != 0);
        child_say("one more");
        child_await("go");
}

static void test_flood_of_connections_is_its_own_users_problem(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, connect_many_in_child, NULL);
        child_expect(&child, "full");
        assert_served(&bob);
        child_tell(&child, "go");
        child_expect(&child, "one more");
        assert_served(&bob);
        child_tell(&child, "go");
        child_finish(&child);
        /* and when it is gone its user is like any other */
        child_spawn(&child, &alice, connect_many_in_child, NULL);
        child_expect(&child, "full");
        child_kill(&child);
        broker_end(&broker);
}

static void attach_many_in_child(void *data) {
        CallerLease leases[LEASES_MAX], lease;
        Caller caller, other;
        size_t i;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_begin(&other, broker.socket), 0);
        for (i = 0; i < LEASES_MAX; i++)
                child_equal(caller_attach(i % 2 ? &other : &caller, data, SHMB_ROLE_READ,
                                          &leases[i]),
                            0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_READ, &lease), SHMB_STATUS_QUOTA);
        child_check(strstr(caller.reply.error.sentence, "61001"));
        child_equal(caller_attach(&other, data, SHMB_ROLE_READ, &lease), SHMB_STATUS_QUOTA);
        child_say("full");
        child_await("go");
        child_equal(caller_detach(&caller, leases[0].attached.lease), 0);
        child_equal(caller_attach(&other, data, SHMB_ROLE_READ, &lease), 0);
        child_say("one more");
}

static void test_flood_of_leases_is_its_own_users_problem(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, attach_many_in_child, (void *)broker_name(&broker, "raw"));
        child_expect(&child, "full");
        assert_served(&bob);
        child_tell(&child, "go");
        child_expect(&child, "one more");
        child_finish(&child);
        broker_end(&broker);
}

typedef struct Names {
        char small[256], big[256];
} Names;

static void create_in_child(void *data) {
        const Names *names = data;
        CallerLease lease;
        Caller caller;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, names->big, SHMB_ROLE_READ, &lease), SHMB_STATUS_QUOTA);
        child_check(strstr(caller.reply.error.sentence, "61001"));
        child_check(strstr(caller.reply.error.sentence, "65536"));
        child_equal(caller_attach(&caller, names->small, SHMB_ROLE_READ, &lease), 0);
        child_say("small");
}

/* What exists only because a user attached counts on his account. */
static void test_flood_of_bytes_is_refused_before_they_are_reserved(void **state) {
        WireStatusInfo status;
        Caller caller;
        Names names;
        Child child;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_status(&caller, &status), 0);
        assert_true(status.size_bytes < 32768);
        strcpy(names.small, broker_name(&broker, "small"));
        strcpy(names.big, broker_name(&broker, "big"));
        child_spawn(&child, &alice, create_in_child, &names);
        child_expect(&child, "small");
        assert_int_equal(caller_status(&caller, &status), 0);
        assert_true(status.size_bytes < 131072);
        child_finish(&child);
        caller_close(&caller);
        broker_end(&broker);
}

/* Asks far more than it reads: what was sent is answered once it does read, all of it in order. */
static void flood_in_child(void *data) {
        WireMessage message = { .type = WIRE_STATUS };
        unsigned i, n_sent = 0;
        Caller caller;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(fcntl(caller.fd, F_SETFL, O_NONBLOCK), 0);
        for (i = 0; i < FLOOD; i++) {
                message.id = 1000 + n_sent;
                if (caller_send(&caller, &message) == 0)
                        n_sent++;
        }
        child_check(n_sent > 10);
        child_say("sent");
        child_await("go");
        for (i = 0; i < n_sent; i++) {
                child_equal(caller_receive(&caller, BROKER_DEADLINE_MS), 0);
                child_equal(caller.reply.id, 1000 + i);
        }
        child_say("answered");
}

static void test_flood_of_requests_delays_nobody_and_loses_none(void **state) {
        uint64_t before_ns, begin_ns;
        Child child;
        size_t rss;
        int i;

        broker_begin(&broker, yaml);
        rss = broker_rss(&broker);
        child_spawn(&child, &alice, flood_in_child, NULL);
        child_expect(&child, "sent");
        /* Well before the broker loses its patience with who does not read (CONN_DRAIN_NS). */
        begin_ns = broker_now_ns();
        for (i = 0; i < 20 && broker_now_ns() - begin_ns < UINT64_C(3000000000); i++) {
                before_ns = broker_now_ns();
                assert_served(&bob);
                /* a process start is in it; the broker's part is well below 100 ms */
                assert_true(broker_now_ns() - before_ns < UINT64_C(2000000000));
        }
        assert_true(broker_rss(&broker) < rss + 4096);
        child_tell(&child, "go");
        child_expect(&child, "answered");
        child_finish(&child);
        broker_end(&broker);
}

/* Attaches and never reads: at most one reply with descriptors is on its way to it. */
static void attach_unread_in_child(void *data) {
        WireMessage message = { .type = WIRE_ATTACH,
                                .attach = { .name = data, .role = SHMB_ROLE_READ } };
        Caller callers[CONNECTIONS_MAX];
        size_t i, k;

        for (i = 0; i < CONNECTIONS_MAX; i++) {
                child_equal(caller_begin(&callers[i], broker.socket), 0);
                child_equal(fcntl(callers[i].fd, F_SETFL, O_NONBLOCK), 0);
        }
        for (k = 0; k < 100; k++)
                for (i = 0; i < CONNECTIONS_MAX; i++) {
                        message.id = 0;
                        (void)caller_send(&callers[i], &message);
                }
        child_say("sent");
        child_await("go");
}

static void test_flood_of_unread_grants_holds_nobody_up(void **state) {
        WireStatusInfo status;
        Caller caller;
        Child child;
        size_t n_fds;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        n_fds = broker_n_fds(&broker);
        child_spawn(&child, &alice, attach_unread_in_child, (void *)broker_name(&broker, "raw"));
        child_expect(&child, "sent");
        assert_served(&bob);
        assert_int_equal(caller_status(&caller, &status), 0);
        assert_true(status.n_leases <= LEASES_MAX);
        child_kill(&child);
        broker_until(caller_status(&caller, &status) == 0 && status.n_connections == 1);
        assert_int_equal(status.n_leases, 0);
        assert_int_equal(broker_n_fds(&broker), n_fds);
        caller_close(&caller);
        broker_end(&broker);
}

static void cycles(unsigned n) {
        CallerLease lease;
        Caller caller;
        unsigned i;

        for (i = 0; i < n; i++) {
                assert_int_equal(caller_begin(&caller, broker.admin), 0);
                assert_int_equal(caller_attach(&caller, broker_name(&broker, "raw"),
                                               SHMB_ROLE_READ, &lease),
                                 0);
                /* every third leaves without a word */
                if (i % 3)
                        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
                caller_lease_close(&lease);
                caller_close(&caller);
                if (i % 64 == 0)
                        broker_hear(&broker);
        }
}

static void test_flood_of_visitors_leaves_nothing_behind(void **state) {
        WireStatusInfo status;
        size_t n_fds, rss;
        Caller caller;

        broker_begin(&broker, yaml_visitors);
        cycles(WARM_UP);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        broker_until(caller_status(&caller, &status) == 0 && status.n_connections == 1);
        n_fds = broker_n_fds(&broker);
        rss = broker_rss(&broker);
        cycles(CYCLES - WARM_UP);
        broker_until(caller_status(&caller, &status) == 0 && status.n_connections == 1);
        print_message("%zu KiB before, %zu KiB behind %d visitors\n", rss, broker_rss(&broker),
                      CYCLES);
        assert_int_equal(status.n_leases, 0);
        assert_int_equal(broker_n_fds(&broker), n_fds);
        /* A sanitizer keeps what was freed. */
        if (!broker_is_sanitized())
                assert_true(broker_rss(&broker) <= rss + 256);
        caller_close(&caller);
        broker_end(&broker);
}

static int create(Caller *caller, unsigned i) {
        WireMessage message = { .type = WIRE_CREATE };
        char name[16];

        snprintf(name, sizeof(name), "made/%u", i);
        message.create = (WireCreate){ .name = broker_name(&broker, name), .exclusive = true };
        return caller_call(caller, &message);
}

/* As many as it may have, and then one after the other comes and goes. */
static void create_many_in_child(void *data) {
        WireMessage removal = { .type = WIRE_REMOVE };
        Caller caller;
        unsigned i;

        child_equal(caller_begin(&caller, broker.socket), 0);
        for (i = 0; i < CREATED_MAX; i++)
                child_equal(create(&caller, i), 0);
        child_equal(create(&caller, i), SHMB_STATUS_QUOTA);
        child_say("full");
        child_await("go");
        for (i = 0; i < FLOOD; i++) {
                removal.id = 0;
                removal.remove.name = broker_name(&broker, "made/0");
                child_equal(caller_call(&caller, &removal), 0);
                child_equal(create(&caller, 0), 0);
        }
        child_say("still full");
        child_await("go");
}

static void test_flood_of_created_regions_is_its_own_users_problem(void **state) {
        char record[BROKER_PATH_MAX + 8];
        size_t n_fds, rss;
        struct stat st;
        Child child;
        int i;

        broker_begin(&broker, yaml_created);
        n_fds = broker_n_fds(&broker);
        child_spawn(&child, &alice, create_many_in_child, NULL);
        child_expect(&child, "full");
        broker_expect_shm(&broker, (1 + CREATED_MAX) * N_RAW);
        rss = broker_rss(&broker);
        child_tell(&child, "go");
        for (i = 0; i < 10; i++)
                assert_served(&bob);
        child_expect(&child, "still full");
        broker_expect_shm(&broker, (1 + CREATED_MAX) * N_RAW);
        /* What is over is not written down for ever. */
        snprintf(record, sizeof(record), "%s/record", broker.runtime);
        assert_int_equal(stat(record, &st), 0);
        assert_true(st.st_size < 256 << 10);
        if (!broker_is_sanitized())
                assert_true(broker_rss(&broker) <= rss + 256);
        child_kill(&child);
        broker_until(broker_n_shm(&broker) == N_RAW);
        broker_until(broker_n_fds(&broker) == n_fds);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_flood_of_connections_is_its_own_users_problem),
                TEST(test_flood_of_leases_is_its_own_users_problem),
                TEST(test_flood_of_bytes_is_refused_before_they_are_reserved),
                TEST(test_flood_of_requests_delays_nobody_and_loses_none),
                TEST(test_flood_of_unread_grants_holds_nobody_up),
                TEST(test_flood_of_visitors_leaves_nothing_behind),
                TEST(test_flood_of_created_regions_is_its_own_users_problem),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
