/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Thousand Reloads under Load
 *
 * Two configurations take turns a thousand times: regions come and go, change who may use them, and
 * one that nobody holds changes its size. Meanwhile pairs move items at full rate through regions
 * of which only the rules change, visitors attach to what changes, and one holds on to a region
 * that goes and comes anew. Nobody loses an item, no call has another outcome than one of the two
 * configurations gives it, and the broker needs no more of anything at the end.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/load.h"

enum {
        RELOADS = 1000,
        /* In which memory of the broker grows to what it needs. */
        WARM = 100,
        PAIRS = 2,
        VISITORS = 2,
        RSS_SLACK_KIB = 512,
        N_RING = 3, /* names: control, lane and seat */
        N_RAW = 2,  /* control and data */
        N_FIRST = 2 * N_RING + 3 * N_RAW,
};

static const char *const yamls[] = {
        "version: 1\n"
        "regions:\n"
        "  - {name: $/0, kind: ring, item: {size: 64, align: 8}, capacity: 256,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/1, kind: ring, item: {size: 64, align: 8}, capacity: 4,\n"
        "     access: {produce: [uid:61001], consume: [uid:61002]}}\n"
        "  - {name: $/rules, kind: raw, size: 4K, access: {read: [any]}}\n"
        "  - {name: $/size, kind: raw, size: 4K, access: {read: [any]}}\n"
        "  - {name: $/first, kind: raw, size: 4K, access: {read: [any]}}\n",

        "version: 1\n"
        "limits: {per_uid: {leases: 500}}\n"
        "regions:\n"
        "  - {name: $/0, kind: ring, item: {size: 64, align: 8}, capacity: 256,\n"
        "     description: hers alone, access: {produce: [uid:61001]}}\n"
        "  - {name: $/1, kind: ring, item: {size: 64, align: 8}, capacity: 4,\n"
        "     access: {produce: [any], consume: [any], observe: [any]}}\n"
        "  - {name: $/rules, kind: raw, size: 4K, access: {read: [uid:61001]}}\n"
        "  - {name: $/size, kind: raw, size: 64K, access: {read: [any]}}\n"
        "  - {name: $/second, kind: raw, size: 4K, access: {read: [any]},\n"
        "     lifetime: {policy: on_demand, linger: 0s}}\n",
};

/* Shared with the children. */
typedef struct Shared {
        _Atomic bool stop;
        LoadTally pairs[PAIRS];
        _Atomic uint64_t n_attached, n_refused, n_missing;
} Shared;

static Broker broker;
static Shared *shared;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int setup(void **state) {
        broker_begin(&broker, yamls[0]);
        shared = child_share(sizeof(*shared));
        return 0;
}

static int teardown(void **state) {
        child_unshare(shared, sizeof(*shared));
        broker_deinit(&broker);
        return 0;
}

/* One attach, and what it may come to. */
static void visit_one(struct shmb *c, const char *name, int otherwise) {
        struct shmb_region *r = NULL;
        int result;

        result = shmb_attach(c, broker_name(&broker, name), SHMB_READ, NULL, &r);
        if (result != 0 && result != otherwise)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        if (result == 0) {
                child_check(shmb_data(r) != NULL);
                child_equal(shmb_size(r), 4096);
                atomic_fetch_add(&shared->n_attached, 1);
        }
        atomic_fetch_add(&shared->n_refused, result == -EACCES);
        atomic_fetch_add(&shared->n_missing, result == -ENOENT);
        shmb_detach(r);
}

static void visit(void *data) {
        const ChildIdentity *who = data;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_say("connected");
        while (!atomic_load(&shared->stop)) {
                visit_one(c, "rules", who == &bob ? -EACCES : 0);
                visit_one(c, "first", -ENOENT);
                visit_one(c, "second", -ENOENT);
        }
        shmb_close(c);
}

/* Keeps what it was given, whatever comes behind it under the same name. */
static void hold(void *data) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        char line[CHILD_LINE_MAX];
        const uint8_t *bytes;
        size_t i;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, broker_name(&broker, "first"), SHMB_READ, NULL, &r), 0);
        child_say("attached");
        child_listen(line);
        bytes = shmb_data(r);
        child_equal(shmb_size(r), 4096);
        for (i = 0; i < shmb_size(r); i++)
                child_check(bytes[i] == 0);
        shmb_detach(r);
        shmb_close(c);
}

/* It has the size of the configuration that was loaded last. */
static void look_at_size(unsigned nth) {
        CallerLease lease;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "size"), SHMB_ROLE_READ,
                                       &lease),
                         0);
        assert_int_equal(lease.attached.geometry.region_size, nth % 2 ? 65536 : 4096);
        caller_lease_close(&lease);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        caller_close(&caller);
}

static uint64_t reload_times(unsigned n, unsigned *nth) {
        uint64_t longest_ns = 0, before_ns, took_ns;
        unsigned i;

        for (i = 0; i < n; i++) {
                broker_configure(&broker, yamls[++*nth % 2]);
                before_ns = broker_now_ns();
                broker_reload(&broker);
                took_ns = broker_now_ns() - before_ns;
                longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
                look_at_size(*nth);
        }
        return longest_ns;
}

static unsigned n_leases(void) {
        WireStatusInfo status;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_status(&caller, &status), 0);
        caller_close(&caller);
        return status.n_leases;
}

static void test_a_thousand_reloads_under_load(void **state) {
        static LoadPair pairs[PAIRS];
        static BrokerName before[BROKER_NAMES_MAX], after[BROKER_NAMES_MAX];
        Child visitors[VISITORS], holder;
        const ChildIdentity *who[VISITORS] = { &alice, &bob };
        uint64_t begun_ns, longest_ns, n_items = 0;
        unsigned i, nth = 0;
        size_t n_fds, rss;
        char name[4];

        broker_shm(&broker, before);
        n_fds = broker_n_fds(&broker);
        for (i = 0; i < PAIRS; i++) {
                snprintf(name, sizeof(name), "%u", i);
                load_start(&pairs[i], &broker, broker_name(&broker, name), &shared->pairs[i],
                           &shared->stop, &alice, &bob);
        }
        child_spawn(&holder, &bob, hold, NULL);
        child_expect(&holder, "attached");
        for (i = 0; i < VISITORS; i++) {
                child_spawn(&visitors[i], who[i], visit, (void *)who[i]);
                child_expect(&visitors[i], "connected");
        }
        for (i = 0; i < PAIRS; i++)
                load_go(&pairs[i]);

        reload_times(WARM, &nth);
        rss = broker_rss(&broker);
        begun_ns = broker_now_ns();
        longest_ns = reload_times(RELOADS - WARM, &nth);
        print_message("%u reloads, each in %llu us, the longest in %llu us; %zu KiB more\n",
                      RELOADS,
                      (unsigned long long)((broker_now_ns() - begun_ns) / 1000 / (RELOADS - WARM)),
                      (unsigned long long)(longest_ns / 1000), broker_rss(&broker) - rss);
        if (!broker_is_sanitized())
                assert_true(broker_rss(&broker) <= rss + RSS_SLACK_KIB);
        assert_int_equal(broker.n_reloading, RELOADS);

        atomic_store(&shared->stop, true);
        for (i = 0; i < VISITORS; i++)
                child_finish(&visitors[i]);
        for (i = 0; i < PAIRS; i++)
                n_items += load_finish(&pairs[i]);
        child_tell(&holder, "end");
        child_finish(&holder);
        print_message("%llu items; %llu attached, %llu refused, %llu found nothing\n",
                      (unsigned long long)n_items, (unsigned long long)shared->n_attached,
                      (unsigned long long)shared->n_refused,
                      (unsigned long long)shared->n_missing);
        assert_true(shared->n_attached > 0 && shared->n_refused > 0 && shared->n_missing > 0);

        broker_until(n_leases() == 0);
        broker_until(broker_n_shm(&broker) == N_FIRST);
        broker_until(broker_n_fds(&broker) == n_fds);
        broker_shm(&broker, after);
        /* of the pairs: what only changes its rules stays what it is */
        assert_memory_equal(after, before, 2 * N_RING * sizeof(before[0]));
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_thousand_reloads_under_load, setup,
                                                teardown),
        };

        broker_need_root();
        broker_parent = "/dev/shm";
        return cmocka_run_group_tests(tests, NULL, NULL);
}
