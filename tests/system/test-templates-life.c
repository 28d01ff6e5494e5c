/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How Long what Clients Created Stays
 *
 * By ttl, by its creator, by max_age; through the death of the broker, and through a configuration
 * that is another one.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/admin.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        N_RAW = 2, /* names: control and data */
        SIZE = 4096,
        TTL_MS = 300,
        MAX_AGE_MS = 400,
};

#define OPEN "access: {create: [any], remove: [any], read: [any], write: [any]}"

static const char yaml[] =
                "version: 1\n"
                "templates:\n"
                "  - {name: $/ttl/*, kind: raw, size: 4K, ttl: 300ms, " OPEN "}\n"
                "  - {name: $/own/*, kind: raw, size: 4K, " OPEN "}\n"
                "  - {name: $/aged/*, kind: raw, size: 4K, ttl: 1h, max_age: 400ms, " OPEN "}\n"
                "  - {name: $/long/*, kind: raw, size: {min: 4K, max: 64K}, ttl: 1h, " OPEN "}\n"
                "  - {name: $/sealed/*, kind: raw, size: 4K, backing: memfd, ttl: 1h, " OPEN "}\n";

static Broker broker;
static Keeper keeper;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static struct shmb *connect_to_broker(void) {
        struct shmb *c = NULL;

        assert_int_equal(shmb_connect(broker.socket, &c), 0);
        return c;
}

static int create(struct shmb *c, const char *name, uint64_t size) {
        struct shmb_create want = SHMB_CREATE_INIT;

        want.region_size = size;
        return shmb_create(c, broker_name(&broker, name), &want);
}

static int attach(struct shmb *c, const char *name, struct shmb_region **ret) {
        return shmb_attach(c, broker_name(&broker, name), SHMB_READ, NULL, ret);
}

static ShmbRegionState state_of(const char *name) {
        return (ShmbRegionState)admin_region(&broker, name).state;
}

static bool is_gone(const char *name) {
        return state_of(name) == SHMB_REGION_NONE;
}

static void assert_passed(uint64_t since_ns, unsigned ms) {
        assert_true(broker_now_ns() - since_ns >= ms * UINT64_C(1000000));
}

static void test_unused_region_stays_for_its_ttl(void **state) {
        struct shmb_region *held = NULL, *r = NULL;
        struct shmb *c;
        uint64_t since_ns;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        assert_int_equal(create(c, "ttl/held", 0), 1);
        assert_int_equal(attach(c, "ttl/held", &held), 0);
        since_ns = broker_now_ns();
        assert_int_equal(create(c, "ttl/a", 0), 1);
        /* its creator is still there */
        broker_until(is_gone("ttl/a"));
        assert_passed(since_ns, TTL_MS);
        assert_true(broker_said(&broker, broker_name(&broker, "ttl/a"), "unused for 300 ms"));
        assert_int_equal(state_of("ttl/held"), SHMB_REGION_LIVE);

        /* counted anew from the end of each last lease */
        shmb_detach(held);
        assert_int_equal(attach(c, "ttl/held", &r), 0);
        since_ns = broker_now_ns();
        shmb_detach(r);
        broker_until(is_gone("ttl/held"));
        assert_passed(since_ns, TTL_MS);
        broker_expect_shm(&broker, 0);
        shmb_close(c);
        broker_end(&broker);
}

static void create_in_child(void *data) {
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(create(c, "own/a", 0), 1);
        child_equal(create(c, "own/b", 0), 1);
        child_say("created");
        child_await("return");
        /* it comes back to another broker, and nothing changes */
        child_equal(create(c, "own/a", 0), 0);
        child_say("returned");
        child_await("never");
}

static void test_region_without_ttl_goes_with_its_creator(void **state) {
        struct shmb_region *r = NULL;
        struct shmb *c;
        Child child;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        child_spawn(&child, &alice, create_in_child, NULL);
        child_expect(&child, "created");
        assert_int_equal(attach(c, "own/b", &r), 0);
        child_kill(&child);
        broker_until(is_gone("own/a"));
        assert_true(broker_said(&broker, broker_name(&broker, "own/a"), "its creator is gone"));
        assert_int_equal(state_of("own/b"), SHMB_REGION_LIVE);
        broker_expect_shm(&broker, N_RAW);
        shmb_detach(r);
        broker_until(is_gone("own/b"));
        broker_expect_shm(&broker, 0);

        /* a connection that is closed is as good as a process that is dead */
        assert_int_equal(create(c, "own/a", 0), 1);
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        shmb_close(c);
        broker_until(is_gone("own/a"));
        broker_end(&broker);
}

/* Until the broker has seen that all others have hung up. */
static void await_connections(unsigned n) {
        WireStatusInfo status;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        do
                assert_int_equal(caller_status(&caller, &status), 0);
        while (status.n_connections > n + 1);
        caller_close(&caller);
}

static void test_region_of_an_administrator_stays(void **state) {
        const WireMessage gc = { .type = WIRE_GC };
        WireMessage message = { .type = WIRE_CREATE };
        Caller admin;
        bool applied;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&admin, broker.admin), 0);
        message.create.name = broker_name(&broker, "own/a");
        assert_int_equal(caller_call(&admin, &message), 0);
        assert_true(admin.reply.created.created);
        assert_false(admin.reply.created.owned);
        caller_close(&admin);
        await_connections(0);
        assert_int_equal(admin_order(&broker, gc, "own/a", &applied), 0);
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        broker_kill(&broker);
        broker_start(&broker);
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        broker_end(&broker);
}

static void test_gc_does_not_wait_for_the_ttl(void **state) {
        const WireMessage dry = { .type = WIRE_GC, .gc = { .dry_run = true } };
        const WireMessage gc = { .type = WIRE_GC };
        struct shmb_region *r = NULL;
        struct shmb *c;
        bool applied;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        assert_int_equal(create(c, "long/a", SIZE), 1);
        assert_int_equal(create(c, "long/b", SIZE), 1);
        assert_int_equal(create(c, "long/held", SIZE), 1);
        assert_int_equal(create(c, "own/a", 0), 1);
        assert_int_equal(attach(c, "long/held", &r), 0);
        assert_int_equal(admin_order(&broker, dry, "long/", &applied), 2);
        assert_int_equal(admin_order(&broker, dry, "own/", &applied), 0);
        broker_expect_shm(&broker, 4 * N_RAW);
        assert_int_equal(admin_order(&broker, gc, "created by a client", &applied), 2);
        assert_true(is_gone("long/a") && is_gone("long/b"));
        assert_int_equal(state_of("long/held"), SHMB_REGION_LIVE);
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        shmb_detach(r);
        shmb_close(c);
        broker_end(&broker);
}

static void test_max_age_ends_a_region_that_is_held(void **state) {
        struct shmb_region *r = NULL, *again = NULL;
        struct shmb *c;
        uint64_t since_ns;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        since_ns = broker_now_ns();
        assert_int_equal(create(c, "aged/a", 0), 1);
        assert_int_equal(create(c, "aged/b", 0), 1);
        assert_int_equal(attach(c, "aged/a", &r), 0);
        broker_until(shmb_check(r) == -EIDRM);
        assert_passed(since_ns, MAX_AGE_MS);
        broker_until(is_gone("aged/b"));
        assert_true(is_gone("aged/a"));
        assert_int_equal(attach(c, "aged/a", &again), -ENOENT);
        assert_int_equal(create(c, "aged/a", 0), 1);
        assert_int_equal(attach(c, "aged/a", &again), 0);
        shmb_detach(r);
        shmb_detach(again);
        shmb_close(c);
        broker_end(&broker);
}

static void hold_in_child(void *data) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(attach(c, data, &r), 0);
        child_say("attached");
        child_await("check");
        child_say("%d", shmb_check(r));
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

static void restart(void) {
        broker_kill(&broker);
        broker_start(&broker);
}

static void test_killed_broker_loses_nothing_that_was_created(void **state) {
        BrokerName before[BROKER_NAMES_MAX], after[BROKER_NAMES_MAX];
        struct shmb *c;
        Child child;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        assert_int_equal(create(c, "long/a", 2 * SIZE), 1);
        child_spawn(&child, &bob, hold_in_child, (void *)"long/a");
        child_expect(&child, "attached");
        assert_int_equal(broker_shm(&broker, before), N_RAW);
        restart();
        assert_int_equal(broker_shm(&broker, after), N_RAW);
        assert_memory_equal(before, after, N_RAW * sizeof(before[0]));
        assert_int_equal(admin_region(&broker, "long/a").n_readers, 1);
        assert_int_equal(create(c, "long/a", SIZE), -EPROTOTYPE);
        assert_int_equal(create(c, "long/a", 2 * SIZE), 0);
        child_tell(&child, "check");
        child_expect(&child, "0");
        child_tell(&child, "end");
        child_finish(&child);
        assert_int_equal(shmb_remove(c, broker_name(&broker, "long/a"), -1), 0);
        restart();
        assert_true(is_gone("long/a"));
        broker_expect_shm(&broker, 0);
        shmb_close(c);
        broker_end(&broker);
}

static int caller_create(Caller *caller, const char *name) {
        WireMessage message = { .type = WIRE_CREATE };

        message.create.name = broker_name(&broker, name);
        return caller_call(caller, &message);
}

/* On another connection. */
static void come_back(Caller *caller) {
        uint8_t uuid[SHMB_UUID_SIZE];

        memcpy(uuid, caller->uuid, SHMB_UUID_SIZE);
        assert_int_equal(caller_connect(caller, broker.socket), 0);
        memcpy(caller->uuid, uuid, SHMB_UUID_SIZE);
        assert_int_equal(caller_hello(caller), 0);
}

/* A broker that dies between what it did and its answer. */
static void test_create_that_is_repeated_is_the_same_one(void **state) {
        WireMessage message = { .type = WIRE_CREATE, .id = 4711 };
        uint64_t generation;
        Caller a, b;

        broker_begin(&broker, yaml);
        message.create = (WireCreate){
                .name = broker_name(&broker, "long/a"),
                .exclusive = true,
                .region_size = SIZE,
        };
        assert_int_equal(caller_begin(&a, broker.socket), 0);
        assert_int_equal(caller_call(&a, &message), 0);
        assert_true(a.reply.created.created);
        generation = a.reply.created.generation;
        caller_close(&a);
        restart();

        assert_int_equal(caller_begin(&b, broker.socket), 0);
        assert_int_equal(caller_call(&b, &message), SHMB_STATUS_EXISTS);
        caller_close(&b);
        come_back(&a);
        assert_int_equal(caller_call(&a, &message), 0);
        assert_true(a.reply.created.created);
        assert_true(a.reply.created.generation == generation);
        message.id = 4712;
        assert_int_equal(caller_call(&a, &message), SHMB_STATUS_EXISTS);
        broker_expect_shm(&broker, N_RAW);
        caller_close(&a);
        broker_end(&broker);
}

/* Done once, whoever has taken the name meanwhile. */
static void test_remove_that_is_repeated_removes_nothing_more(void **state) {
        WireMessage message = { .type = WIRE_REMOVE, .id = 4711 };
        struct shmb *c;
        Caller a;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        assert_int_equal(create(c, "long/a", SIZE), 1);
        message.remove.name = broker_name(&broker, "long/a");
        assert_int_equal(caller_begin(&a, broker.socket), 0);
        assert_int_equal(caller_call(&a, &message), 0);
        caller_close(&a);
        restart();
        come_back(&a);
        assert_int_equal(caller_call(&a, &message), 0);
        assert_int_equal(create(c, "long/a", SIZE), 1);
        /* the next broker but one knows it too */
        caller_close(&a);
        restart();
        come_back(&a);
        assert_int_equal(caller_call(&a, &message), 0);
        assert_int_equal(state_of("long/a"), SHMB_REGION_LIVE);
        message.id = 4712;
        assert_int_equal(caller_call(&a, &message), 0);
        assert_true(is_gone("long/a"));
        message.id = 4713;
        assert_int_equal(caller_call(&a, &message), SHMB_STATUS_NO_REGION);
        caller_close(&a);
        shmb_close(c);
        broker_end(&broker);
}

/* Its creator lives and has not come back; comes back; and ends. */
static void test_creator_is_known_to_the_next_broker(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, create_in_child, NULL);
        child_expect(&child, "created");
        restart();
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        child_tell(&child, "return");
        child_expect(&child, "returned");
        assert_int_equal(state_of("own/b"), SHMB_REGION_LIVE);
        restart();
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        child_kill(&child);
        broker_until(is_gone("own/a") && is_gone("own/b"));
        broker_expect_shm(&broker, 0);

        child_spawn(&child, &alice, create_in_child, NULL);
        child_expect(&child, "created");
        broker_kill(&broker);
        child_kill(&child);
        broker_start(&broker);
        broker_until(is_gone("own/a") && is_gone("own/b"));
        broker_end(&broker);
}

static void create_and_leave_in_child(void *data) {
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(create(c, "own/a", 0), 1);
        child_say("created");
        child_await("return");
        child_equal(create(c, "own/a", 0), 0);
        child_say("returned");
        child_await("leave");
        shmb_close(c);
        child_say("left");
        child_await("end");
}

/* That the process of a connection that was closed lives on is no reason to keep anything. */
static void test_creator_who_left_stays_gone(void **state) {
        Child child, creator;

        broker_begin(&broker, yaml);
        child_spawn(&creator, &alice, create_and_leave_in_child, NULL);
        child_expect(&creator, "created");
        child_spawn(&child, &bob, hold_in_child, (void *)"own/a");
        child_expect(&child, "attached");
        child_tell(&creator, "return");
        child_expect(&creator, "returned");
        child_tell(&creator, "leave");
        child_expect(&creator, "left");
        await_connections(1);
        restart();
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        child_tell(&child, "check");
        child_expect(&child, "0");
        child_tell(&child, "end");
        child_finish(&child);
        broker_until(is_gone("own/a"));
        child_tell(&creator, "end");
        child_finish(&creator);
        broker_end(&broker);
}

/* It is the connection again that counts, and no more the process, as with the first broker. */
static void test_creator_who_came_back_can_leave(void **state) {
        Child creator;

        broker_begin(&broker, yaml);
        child_spawn(&creator, &alice, create_and_leave_in_child, NULL);
        child_expect(&creator, "created");
        restart();
        child_tell(&creator, "return");
        child_expect(&creator, "returned");
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        child_tell(&creator, "leave");
        child_expect(&creator, "left");
        broker_until(is_gone("own/a"));
        child_tell(&creator, "end");
        child_finish(&creator);
        broker_end(&broker);
}

/* Under a service manager it never went, and says nothing when the next broker goes on with it. */
static void test_creator_on_a_connection_that_is_kept_can_leave(void **state) {
        CallerLease lease;
        Caller creator;

        broker_init(&broker, yaml);
        broker.keeper = &keeper;
        broker_start(&broker);
        assert_int_equal(caller_begin(&creator, broker.socket), 0);
        assert_int_equal(caller_create(&creator, "own/a"), 0);
        assert_int_equal(caller_attach(&creator, broker_name(&broker, "own/a"), SHMB_ROLE_READ,
                                       &lease),
                         0);
        caller_lease_close(&lease);
        restart();
        assert_int_equal(caller_detach(&creator, lease.attached.lease), 0);
        assert_int_equal(state_of("own/a"), SHMB_REGION_LIVE);
        caller_close(&creator);
        broker_until(is_gone("own/a"));
        broker_end(&broker);
        assert_int_equal(keeper.n_entries, 0);
}

static void test_max_age_goes_on_through_a_restart(void **state) {
        struct shmb *c;
        uint64_t since_ns;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        since_ns = broker_now_ns();
        assert_int_equal(create(c, "aged/a", 0), 1);
        restart();
        broker_until(is_gone("aged/a"));
        assert_passed(since_ns, MAX_AGE_MS);
        shmb_close(c);
        broker_end(&broker);
}

static void test_stop_takes_what_was_created(void **state) {
        struct shmb_region *r = NULL;
        struct shmb *c;

        broker_begin(&broker, yaml);
        c = connect_to_broker();
        assert_int_equal(create(c, "long/a", SIZE), 1);
        assert_int_equal(create(c, "sealed/a", 0), 1);
        assert_int_equal(attach(c, "long/a", &r), 0);
        broker_stop(&broker);
        assert_int_equal(shmb_check(r), -EIDRM);
        shmb_detach(r);
        shmb_close(c);
        broker_expect_shm(&broker, 0);
        broker_start(&broker);
        assert_true(is_gone("long/a") && is_gone("sealed/a"));
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_unused_region_stays_for_its_ttl),
                TEST(test_region_without_ttl_goes_with_its_creator),
                TEST(test_region_of_an_administrator_stays),
                TEST(test_gc_does_not_wait_for_the_ttl),
                TEST(test_max_age_ends_a_region_that_is_held),
                TEST(test_killed_broker_loses_nothing_that_was_created),
                TEST(test_create_that_is_repeated_is_the_same_one),
                TEST(test_remove_that_is_repeated_removes_nothing_more),
                TEST(test_creator_is_known_to_the_next_broker),
                TEST(test_creator_who_left_stays_gone),
                TEST(test_creator_who_came_back_can_leave),
                TEST(test_creator_on_a_connection_that_is_kept_can_leave),
                TEST(test_max_age_goes_on_through_a_restart),
                TEST(test_stop_takes_what_was_created),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
