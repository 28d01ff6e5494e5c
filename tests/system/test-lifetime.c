/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From Declaration to Removal
 *
 * When a region comes, how long it stays, and what a reload makes of the ones that are there: what
 * was declared and nothing else, whole or not at all.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "memory/atomics.h"
#include "memory/layout.h"
#include "protocol/wire.h"
#include "tests/harness/admin.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"

enum {
        LINGER_MS = 300,
        N_RAW = 2, /* names of a raw region: control and data */
};

static Broker broker;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static WireRegion region_now(const char *name) {
        return admin_region(&broker, name);
}

static void attach(Caller *caller, const char *name, ShmbRole role, CallerLease *ret_lease) {
        int r;

        assert_int_equal(caller_begin(caller, broker.socket), 0);
        r = caller_attach(caller, broker_name(&broker, name), role, ret_lease);
        if (r != 0)
                fail_msg("%d: %s", r, r > 0 ? caller->reply.error.sentence : "no answer");
        assert_int_equal(caller_mapped(caller, ret_lease, 0), 0);
}

static void leave(Caller *caller, CallerLease *lease) {
        caller_lease_close(lease);
        caller_close(caller);
}

/* The 4 KiB of a raw region; for munmap(). */
static char *map(const CallerLease *lease, int protection) {
        char *memory;

        memory = mmap(NULL, 4096, protection, MAP_SHARED,
                      lease->fds[caller_object(lease, SHMB_OBJECT_DATA, 0)], 0);
        assert_ptr_not_equal(memory, MAP_FAILED);
        return memory;
}

static void assert_same_names(const BrokerName *before, size_t n) {
        BrokerName after[BROKER_NAMES_MAX];

        assert_int_equal(broker_shm(&broker, after), n);
        assert_memory_equal(before, after, n * sizeof(before[0]));
}

static const char yaml_kinds[] =
                "version: 1\n"
                "defaults: {kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "regions:\n"
                "  - {name: $/static}\n"
                "  - {name: $/memfd, backing: memfd}\n"
                "  - {name: $/kept, lifetime: {policy: persistent}}\n"
                "  - {name: $/now, lifetime: {policy: on_demand, linger: 0s}}\n"
                "  - {name: $/later, lifetime: {policy: on_demand, linger: 300ms}}\n";

static void test_stop_leaves_persistent_regions_only(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        CallerLease lease;
        Caller caller;
        char *memory;

        broker_begin(&broker, yaml_kinds);
        assert_int_equal(broker_n_shm(&broker), 2 * N_RAW);
        attach(&caller, "kept", SHMB_ROLE_WRITE, &lease);
        memory = map(&lease, PROT_READ | PROT_WRITE);
        strcpy(memory, "remember me");
        munmap(memory, 4096);
        leave(&caller, &lease);
        broker_stop(&broker);
        assert_int_equal(broker_shm(&broker, before), N_RAW);
        assert_non_null(strstr(before[0].name, "kept"));

        broker_start(&broker);
        attach(&caller, "kept", SHMB_ROLE_READ, &lease);
        memory = map(&lease, PROT_READ);
        assert_string_equal(memory, "remember me");
        munmap(memory, 4096);
        leave(&caller, &lease);
        broker_stop(&broker);
        assert_same_names(before, N_RAW);

        /* and once it is declared no more it goes too */
        broker_configure(&broker, "version: 1\nregions: []\n");
        broker_start(&broker);
        assert_int_equal(broker_n_shm(&broker), 0);
        broker_end(&broker);
}

/* Clients keep what they have mapped; the region itself is a new one. */
static void test_stop_does_not_take_memory_from_those_who_have_it(void **state) {
        CallerLease lease;
        Caller caller;
        char *memory;

        broker_begin(&broker, yaml_kinds);
        attach(&caller, "static", SHMB_ROLE_WRITE, &lease);
        memory = map(&lease, PROT_READ | PROT_WRITE);
        strcpy(memory, "mine");
        broker_stop(&broker);
        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        assert_string_equal(memory, "mine");
        leave(&caller, &lease);

        broker_start(&broker);
        attach(&caller, "static", SHMB_ROLE_READ, &lease);
        munmap(memory, 4096);
        memory = map(&lease, PROT_READ);
        assert_string_equal(memory, "");
        munmap(memory, 4096);
        leave(&caller, &lease);
        broker_deinit(&broker);
}

static void test_on_demand_region_lives_from_first_to_last_lease(void **state) {
        CallerLease first, second;
        Caller a, b;

        broker_begin(&broker, yaml_kinds);
        assert_int_equal(region_now("now").state, SHMB_REGION_DECLARED);
        attach(&a, "now", SHMB_ROLE_WRITE, &first);
        assert_int_equal(region_now("now").state, SHMB_REGION_LIVE);
        assert_int_equal(broker_n_shm(&broker), 3 * N_RAW);
        attach(&b, "now", SHMB_ROLE_READ, &second);
        leave(&a, &first);
        broker_until(region_now("now").n_writers == 0);
        assert_int_equal(region_now("now").state, SHMB_REGION_LIVE);
        leave(&b, &second);
        broker_until(region_now("now").state == SHMB_REGION_DECLARED);
        assert_int_equal(broker_n_shm(&broker), 2 * N_RAW);
        assert_true(broker_said(&broker, broker_name(&broker, "now"), NULL));
        broker_deinit(&broker);
}

static void test_on_demand_region_lingers(void **state) {
        CallerLease lease;
        uint64_t left_ns;
        uint64_t tag;
        Caller caller;

        broker_begin(&broker, yaml_kinds);
        attach(&caller, "later", SHMB_ROLE_WRITE, &lease);
        tag = lease.attached.tag;
        leave(&caller, &lease);
        broker_until(region_now("later").n_writers == 0);
        /* whoever comes while it lingers gets the same one, and the count begins anew */
        attach(&caller, "later", SHMB_ROLE_READ, &lease);
        assert_true(lease.attached.tag == tag);
        left_ns = broker_now_ns();
        leave(&caller, &lease);
        broker_until(region_now("later").state == SHMB_REGION_DECLARED);
        assert_true(broker_now_ns() - left_ns >= LINGER_MS * UINT64_C(1000000));
        attach(&caller, "later", SHMB_ROLE_READ, &lease);
        assert_true(lease.attached.tag != tag);
        leave(&caller, &lease);
        broker_deinit(&broker);
}

static const char yaml_before[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/stays, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "  - {name: $/goes, kind: raw, size: 4K, access: {read: [any]}}\n"
                "  - {name: $/tightens, kind: raw, size: 4K, access: {read: [any]}}\n";

static const char yaml_after[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/stays, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "  - {name: $/comes, kind: raw, size: 4K, access: {read: [any]}}\n"
                "  - {name: $/tightens, kind: raw, size: 4K, access: {read: [uid:4711]}}\n";

static void test_reload_adds_removes_and_changes_access(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        CallerLease stays, tightens, other;
        Caller a, b, c;
        size_t i, n, n_same = 0;
        struct stat st;

        broker_begin(&broker, yaml_before);
        n = broker_shm(&broker, before);
        assert_int_equal(n, 3 * N_RAW);
        attach(&a, "stays", SHMB_ROLE_WRITE, &stays);
        attach(&b, "tightens", SHMB_ROLE_READ, &tightens);

        broker_configure(&broker, yaml_after);
        broker_reload(&broker);
        assert_int_equal(broker.n_reloading, 1);
        assert_int_equal(region_now("stays").state, SHMB_REGION_LIVE);
        assert_int_equal(region_now("comes").state, SHMB_REGION_LIVE);
        assert_int_equal(region_now("goes").state, SHMB_REGION_NONE);
        assert_int_equal(broker_n_shm(&broker), 3 * N_RAW);
        assert_int_equal(fstat(stays.fds[0], &st), 0);
        for (i = 0; i < n; i++)
                n_same += before[i].ino == st.st_ino;
        assert_int_equal(n_same, 1);

        /* A lease that was given stays; the next one meets the new rules. */
        assert_int_equal(region_now("tightens").n_readers, 1);
        assert_int_equal(caller_begin(&c, broker.socket), 0);
        assert_true(caller_attach(&c, broker_name(&broker, "tightens"), SHMB_ROLE_READ, &other) >
                    0);
        assert_int_equal(caller_attach(&c, broker_name(&broker, "goes"), SHMB_ROLE_READ, &other),
                         SHMB_STATUS_NO_REGION);
        assert_int_equal(caller_attach(&c, broker_name(&broker, "comes"), SHMB_ROLE_READ, &other),
                         0);
        leave(&c, &other);
        leave(&a, &stays);
        leave(&b, &tightens);
        broker_end(&broker);
}

static const struct {
        const char *yaml, *position, *says;
} bad[] = {
        { "version: 1\nregions:\n  - {name: $/stays, kind: rwa, size: 4K}\n", ":3:", "rwa" },
        { "version: 1\nregions:\n  - {name: $/comes, kind: raw, size: 4K}\n"
          "  - {name: $/q, kind: raw, size: lots}\n", ":4:", "size" },
        { "\t", ":1:", "yaml" },
};

static void test_reload_of_a_bad_file_changes_nothing_and_says_where(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        CallerLease lease;
        Caller caller;
        size_t i, n;

        broker_begin(&broker, yaml_before);
        n = broker_shm(&broker, before);
        attach(&caller, "stays", SHMB_ROLE_READ, &lease);
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                broker_configure(&broker, bad[i].yaml);
                broker_reload(&broker);
                assert_true(broker_said(&broker, "shmbrokerd.yaml", bad[i].position));
                assert_true(broker_said(&broker, bad[i].says, bad[i].position));
                assert_same_names(before, n);
                assert_int_equal(region_now("goes").state, SHMB_REGION_LIVE);
                assert_int_equal(region_now("comes").state, SHMB_REGION_NONE);
                assert_int_equal(region_now("stays").n_readers, 1);
        }
        broker_configure(&broker, yaml_after);
        broker_reload(&broker);
        assert_int_equal(region_now("comes").state, SHMB_REGION_LIVE);
        leave(&caller, &lease);
        broker_end(&broker);
}

static void test_reload_of_a_missing_file_changes_nothing(void **state) {
        broker_begin(&broker, yaml_before);
        assert_int_equal(unlink(broker.config), 0);
        broker_reload(&broker);
        assert_true(broker_said(&broker, broker.config, NULL));
        assert_int_equal(region_now("goes").state, SHMB_REGION_LIVE);
        broker_end(&broker);
}

static unsigned order(WireMessage message, const char *text, bool *ret_applied) {
        return admin_order(&broker, message, text, ret_applied);
}

/* The status of what is refused. */
static int admin_refused(WireMessage message) {
        Caller admin;
        int r;

        assert_int_equal(caller_begin(&admin, broker.admin), 0);
        r = caller_call(&admin, &message);
        caller_close(&admin);
        return r;
}

static void test_plan_of_a_reload_says_all_and_does_nothing(void **state) {
        const WireMessage plan = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };
        const WireMessage reload = { .type = WIRE_RELOAD };
        BrokerName before[BROKER_NAMES_MAX];
        bool applied;
        size_t n;

        broker_begin(&broker, yaml_before);
        n = broker_shm(&broker, before);
        broker_configure(&broker, yaml_after);
        assert_int_equal(order(plan, broker_name(&broker, "comes"), &applied), 1);
        assert_false(applied);
        assert_int_equal(order(plan, broker_name(&broker, "goes"), &applied), 1);
        assert_int_equal(order(plan, broker_name(&broker, "tightens"), &applied), 1);
        assert_same_names(before, n);
        assert_int_equal(region_now("comes").state, SHMB_REGION_NONE);

        assert_int_equal(order(reload, broker_name(&broker, "comes"), &applied), 1);
        assert_true(applied);
        assert_int_equal(region_now("comes").state, SHMB_REGION_LIVE);
        assert_int_equal(region_now("goes").state, SHMB_REGION_NONE);
        broker_end(&broker);
}

static void test_reload_names_who_holds_what_it_would_refuse_and_kick_ends_it(void **state) {
        const WireMessage plan = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };
        const WireMessage reload = { .type = WIRE_RELOAD };
        static const char holds[] = "holds what it would not get now";
        CallerLease stays, tightens;
        WireMessage kick = { .type = WIRE_KICK };
        Caller a, b;
        bool applied;

        broker_begin(&broker, yaml_before);
        attach(&a, "stays", SHMB_ROLE_READ, &stays);
        attach(&b, "tightens", SHMB_ROLE_READ, &tightens);
        broker_configure(&broker, yaml_after);
        assert_int_equal(order(plan, holds, &applied), 1);
        assert_false(broker_said(&broker, holds, NULL));
        assert_int_equal(order(reload, holds, &applied), 1);
        assert_true(broker_said(&broker, holds, broker_name(&broker, "tightens")));
        assert_int_equal(region_now("tightens").n_readers, 1);

        kick.kick.lease = tightens.attached.lease;
        assert_int_equal(order(kick, "ended lease", &applied), 1);
        assert_true(applied);
        assert_int_equal(region_now("tightens").n_readers, 0);
        assert_int_equal(order(kick, "is over already", &applied), 1);
        kick.kick.lease += 1000;
        assert_int_equal(admin_refused(kick), SHMB_STATUS_NO_LEASE);
        assert_int_equal(region_now("stays").n_readers, 1);
        leave(&a, &stays);
        leave(&b, &tightens);
        broker_end(&broker);
}

static void test_gc_takes_what_nobody_holds_and_nothing_else(void **state) {
        static const char idle[] =
                        "version: 1\n"
                        "defaults: {kind: raw, size: 4K, access: {read: [any]},\n"
                        "           lifetime: {policy: on_demand, linger: 1h}}\n"
                        "regions:\n"
                        "  - {name: $/held}\n"
                        "  - {name: $/idle}\n"
                        "  - {name: $/static, lifetime: static}\n";
        const WireMessage dry = { .type = WIRE_GC, .gc = { .dry_run = true } };
        const WireMessage gc = { .type = WIRE_GC };
        CallerLease held, lease;
        Caller holder, caller;
        bool applied;

        broker_begin(&broker, idle);
        attach(&holder, "held", SHMB_ROLE_READ, &held);
        attach(&caller, "idle", SHMB_ROLE_READ, &lease);
        leave(&caller, &lease);
        broker_until(region_now("idle").n_readers == 0);
        assert_int_equal(region_now("idle").state, SHMB_REGION_LIVE);

        assert_int_equal(order(dry, broker_name(&broker, "idle"), &applied), 1);
        assert_false(applied);
        assert_int_equal(order(dry, broker_name(&broker, "held"), &applied), 0);
        assert_int_equal(region_now("idle").state, SHMB_REGION_LIVE);
        broker_expect_shm(&broker, 3 * N_RAW);

        assert_int_equal(order(gc, broker_name(&broker, "idle"), &applied), 1);
        assert_true(applied);
        assert_int_equal(region_now("idle").state, SHMB_REGION_DECLARED);
        assert_int_equal(region_now("held").state, SHMB_REGION_LIVE);
        assert_int_equal(region_now("static").state, SHMB_REGION_LIVE);
        broker_expect_shm(&broker, 2 * N_RAW);
        leave(&holder, &held);
        broker_end(&broker);
}

/* Other objects under the same name: who holds the old ones is told, and they go with him. */
static void test_reload_reshapes_what_is_held_beside_it(void **state) {
        static const char reshaped[] =
                        "version: 1\n"
                        "regions:\n"
                        "  - {name: $/stays, kind: raw, size: 8K, access: {read: [any]}}\n"
                        "  - {name: $/comes, kind: raw, size: 4K, access: {read: [any]}}\n";
        const WireMessage plan = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };
        CallerLease old, new;
        Caller holder, other;
        ShmbControl *control;
        bool applied;

        broker_begin(&broker, yaml_before);
        attach(&holder, "stays", SHMB_ROLE_READ, &old);
        control = mmap(NULL, sizeof(*control), PROT_READ, MAP_SHARED,
                       old.fds[caller_object(&old, SHMB_OBJECT_CONTROL, 0)], 0);
        assert_ptr_not_equal(control, MAP_FAILED);
        broker_configure(&broker, reshaped);
        assert_int_equal(order(plan, "drain ", &applied), 1);
        assert_int_equal(region_now("stays").geometry.region_size, 4096);
        broker_reload(&broker);
        assert_int_equal(region_now("stays").geometry.region_size, 8192);
        assert_int_equal(region_now("comes").state, SHMB_REGION_LIVE);
        assert_int_equal(region_now("goes").state, SHMB_REGION_NONE);
        /* relaxed: stored before the reload was answered */
        assert_int_equal(shmb_load_relaxed(&control->state), SHMB_REGION_STALE);

        attach(&other, "stays", SHMB_ROLE_READ, &new);
        assert_true(new.attached.generation > old.attached.generation);
        assert_int_equal(region_now("stays").n_readers, 1);
        munmap(control, sizeof(*control));
        leave(&holder, &old);
        leave(&other, &new);
        broker_expect_shm(&broker, 2 * N_RAW);
        broker_end(&broker);
}

/* A region that is no longer declared says so to those who have it, in the memory that they look
 * at. */
static void test_reload_that_removes_tells_the_holders(void **state) {
        static const char with[] = "version: 1\n"
                                   "regions:\n"
                                   "  - name: $/ring\n"
                                   "    kind: ring\n"
                                   "    item: {size: 64}\n"
                                   "    capacity: 64\n"
                                   "    access: {produce: [any], consume: [any]}\n";
        const ShmbControl *control;
        CallerLease lease;
        Caller caller;
        uint32_t news;

        broker_begin(&broker, with);
        attach(&caller, "ring", SHMB_ROLE_CONSUME, &lease);
        control = mmap(NULL, 8192, PROT_READ, MAP_SHARED,
                       lease.fds[caller_object(&lease, SHMB_OBJECT_CONTROL, 0)], 0);
        assert_ptr_not_equal(control, MAP_FAILED);
        /* relaxed: the reload below is what orders it */
        news = atomic_load_explicit(&control->news, memory_order_relaxed);
        assert_int_equal(control->state, SHMB_REGION_LIVE);
        broker_configure(&broker, "version: 1\nregions: []\n");
        broker_reload(&broker);
        assert_int_equal(control->state, SHMB_REGION_REMOVED);
        assert_int_not_equal(control->news, news);
        assert_int_equal(broker_n_shm(&broker), 0);
        munmap((void *)control, 8192);
        leave(&caller, &lease);
        broker_end(&broker);
}

static void test_reload_storm(void **state) {
        int i;

        broker_begin(&broker, yaml_before);
        for (i = 0; i < 200; i++) {
                broker_configure(&broker, i % 2 ? yaml_before : yaml_after);
                kill(broker.pid, SIGHUP);
                if (i % 20 == 0)
                        broker_hear(&broker);
        }
        broker_configure(&broker, yaml_after);
        broker_reload(&broker);
        /* Signals that came while one was served may still be there. */
        broker_until(region_now("comes").state == SHMB_REGION_LIVE);
        assert_int_equal(region_now("goes").state, SHMB_REGION_NONE);
        broker_until(broker_n_shm(&broker) == 3 * N_RAW);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_stop_leaves_persistent_regions_only),
                TEST(test_stop_does_not_take_memory_from_those_who_have_it),
                TEST(test_on_demand_region_lives_from_first_to_last_lease),
                TEST(test_on_demand_region_lingers),
                TEST(test_reload_adds_removes_and_changes_access),
                TEST(test_reload_of_a_bad_file_changes_nothing_and_says_where),
                TEST(test_reload_of_a_missing_file_changes_nothing),
                TEST(test_reload_reshapes_what_is_held_beside_it),
                TEST(test_plan_of_a_reload_says_all_and_does_nothing),
                TEST(test_reload_names_who_holds_what_it_would_refuse_and_kick_ends_it),
                TEST(test_gc_takes_what_nobody_holds_and_nothing_else),
                TEST(test_reload_that_removes_tells_the_holders),
                TEST(test_reload_storm),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
