/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients that Hold Out
 *
 * Some say nothing, some ask and do not listen, some detach and keep the mapping. None of them
 * stands in the way of others, and what each can pin down has a bound.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/broker.h"
#include "tests/harness/caller.h"

enum {
        N_REQUESTS = 4,
        N_KEPT_MAX = 16, /* far more than the broker lets pass */
        N_OF_LANE = 1,   /* which object of a producer's answer is its lane */
};

static const char yaml[] =
        "version: 1\n"
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any], observe: [any]}}\n"
        "  - {name: $/memfd, kind: ring, backing: memfd, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any], observe: [any]}}\n"
        "  - {name: $/visited, kind: raw, size: 4K, lifetime: {policy: on_demand, linger: 1h},\n"
        "     access: {read: [any], write: [any]}}\n";

static Broker broker;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static bool has_hung_up(Caller *caller) {
        return caller_receive(caller, 0) == CALLER_HUNG_UP;
}

static uint32_t n_connections(Caller *caller) {
        WireStatusInfo status;

        assert_int_equal(caller_status(caller, &status), 0);
        return status.n_connections;
}

/* One does not say hello, one sends requests and reads no reply, though descriptors are in it: both
 * are shut out, and those descriptors stay on their owner's account until he lets them go. */
static void test_holdout_silent_and_deaf_clients_are_shut_out(void **state) {
        WireMessage attach = { .type = WIRE_ATTACH };
        Caller silent, deaf, watcher;
        size_t n_fds;
        int i;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&watcher, broker.admin), 0);
        n_fds = broker_n_fds(&broker);
        assert_int_equal(caller_connect(&silent, broker.socket), 0);
        assert_int_equal(caller_begin(&deaf, broker.socket), 0);
        attach.attach.name = broker_name(&broker, "ring");
        attach.attach.role = SHMB_ROLE_OBSERVE;
        for (i = 0; i < N_REQUESTS; i++) {
                attach.id = 0;
                assert_int_equal(caller_send(&deaf, &attach), 0);
        }

        broker_until(has_hung_up(&silent));
        broker_until(broker_said(&broker, "does not read the replies", NULL));
        assert_true(broker_said(&broker, "did not say hello", NULL));
        /* silent is gone; deaf has an answer in its queue, and no lease any more */
        assert_int_equal(n_connections(&watcher), 2);

        assert_int_equal(caller_receive(&deaf, BROKER_DEADLINE_MS), 0);
        assert_int_equal(deaf.n_fds, 3);
        caller_drop_fds(&deaf);
        assert_int_equal(caller_receive(&deaf, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        broker_until(n_connections(&watcher) == 1);
        assert_int_equal(broker_n_fds(&broker), n_fds);

        caller_close(&silent);
        caller_close(&deaf);
        caller_close(&watcher);
        broker_end(&broker);
}

/* A reply that nobody waits for any more stands in nobody's way who wants none. */
static void test_holdout_that_wants_no_reply_is_heard(void **state) {
        WireMessage status = { .type = WIRE_STATUS }, mapped = { .type = WIRE_MAPPED };
        Caller late, watcher;
        CallerLease lease;
        WireRegion region;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&watcher, broker.socket), 0);
        assert_int_equal(caller_begin(&late, broker.socket), 0);
        assert_int_equal(caller_attach(&late, broker_name(&broker, "ring"), SHMB_ROLE_OBSERVE,
                                       &lease), 0);
        caller_lease_close(&lease);
        mapped.mapped = (WireMapped){ lease.attached.lease, ECANCELED };
        assert_int_equal(caller_send(&late, &status), 0);
        assert_int_equal(caller_tell(&late, &mapped), 0);
        do
                assert_int_equal(caller_list(&watcher, broker_name(&broker, "ring"), &region), 0);
        while (region.n_observers > 0);
        assert_false(broker_said(&broker, "does not read the replies", NULL));

        assert_int_equal(caller_receive(&late, BROKER_DEADLINE_MS), 0);
        assert_int_equal(late.reply.type, WIRE_STATUS_INFO);
        assert_int_equal(caller_detach(&late, lease.attached.lease), SHMB_STATUS_NO_LEASE);
        caller_close(&late);
        caller_close(&watcher);
        broker_end(&broker);
}

static void *map_lane(const CallerLease *lease) {
        size_t n_bytes = lease->attached.objects[N_OF_LANE].size_bytes;
        void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                            lease->fds[N_OF_LANE], 0);

        assert_ptr_not_equal(memory, MAP_FAILED);
        return memory;
}

/* Attaches, maps its lane, detaches and keeps the mapping, again and again. */
static void keep_mappings_of(const char *name) {
        void *kept[N_KEPT_MAX];
        size_t n_kept = 0, n_fds, n_bytes = 0;
        CallerLease lease;
        Caller caller;
        int r;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        n_fds = broker_n_fds(&broker);
        while ((r = caller_attach(&caller, name, SHMB_ROLE_PRODUCE, &lease)) == 0) {
                assert_true(n_kept < N_KEPT_MAX);
                n_bytes = lease.attached.objects[N_OF_LANE].size_bytes;
                kept[n_kept++] = map_lane(&lease);
                caller_lease_close(&lease);
                assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        }
        assert_int_equal(r, SHMB_STATUS_BUSY);
        assert_non_null(strstr(caller.reply.error.sentence, name));
        assert_true(n_kept > 1);

        /* One of them let go is one more that can be had; all let go, nothing is kept of them. */
        munmap(kept[--n_kept], n_bytes);
        munmap(kept[0], n_bytes);
        assert_int_equal(caller_attach(&caller, name, SHMB_ROLE_PRODUCE, &lease), 0);
        assert_true(lease.attached.objects[N_OF_LANE].epoch > 1);
        caller_lease_close(&lease);
        while (--n_kept > 0)
                munmap(kept[n_kept], n_bytes);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        assert_int_equal(broker_n_fds(&broker), n_fds);
        caller_close(&caller);
}

static void test_holdout_with_mappings_is_bounded_posix(void **state) {
        broker_begin(&broker, yaml);
        keep_mappings_of(broker_name(&broker, "ring"));
        broker_end(&broker);
}

static void test_holdout_with_mappings_is_bounded_memfd(void **state) {
        broker_begin(&broker, yaml);
        keep_mappings_of(broker_name(&broker, "memfd"));
        broker_end(&broker);
}

/* Says again and again that its own seat makes no sense, and keeps what it was given. */
static void test_holdout_asking_for_new_objects_is_bounded(void **state) {
        WireMessage mapped = { .type = WIRE_MAPPED };
        int kept[N_KEPT_MAX * 3], r = 0;
        size_t i, n_kept = 0;
        CallerLease lease;
        Caller caller;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_CONSUME,
                                       &lease), 0);
        mapped.mapped.lease = lease.attached.lease;
        mapped.mapped.status = EBADMSG;
        for (i = 0; r == 0 && i < N_KEPT_MAX; i++) {
                mapped.id = 0;
                r = caller_call(&caller, &mapped);
                while (caller.n_fds > 0)
                        kept[n_kept++] = caller.fds[--caller.n_fds];
        }
        assert_int_equal(r, SHMB_STATUS_BUSY);
        /* The lease is what it was. */
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        for (i = 0; i < n_kept; i++)
                close(kept[i]);
        caller_lease_close(&lease);
        caller_close(&caller);
        broker_end(&broker);
}

/* Only root and the broker can do it; nobody is served from what is not there, and when the last
 * one lets go the region is as it was declared. */
static void test_holdout_to_a_region_whose_objects_were_removed(void **state) {
        BrokerName names[BROKER_NAMES_MAX];
        CallerLease lease, late;
        WireRegion region;
        char path[300];
        Caller caller;
        size_t i, n;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_PRODUCE,
                                       &lease), 0);
        n = broker_shm(&broker, names);
        for (i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "/dev/shm/%.255s", names[i].name);
                assert_int_equal(unlink(path), 0);
        }

        assert_int_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_CONSUME,
                                       &late), SHMB_STATUS_LOST);
        assert_int_equal(caller_list(&caller, broker_name(&broker, "ring"), &region), 0);
        assert_int_equal(region.state, SHMB_REGION_LOST);
        assert_true(strlen(region.reason) > 0);
        assert_int_equal(broker_n_shm(&broker), 0);

        caller_lease_close(&lease);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        assert_int_equal(broker_n_shm(&broker), 3);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_PRODUCE,
                                       &late), 0);
        assert_true(late.attached.generation > lease.attached.generation);
        caller_lease_close(&late);
        caller_close(&caller);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_holdout_silent_and_deaf_clients_are_shut_out),
                TEST(test_holdout_that_wants_no_reply_is_heard),
                TEST(test_holdout_with_mappings_is_bounded_posix),
                TEST(test_holdout_with_mappings_is_bounded_memfd),
                TEST(test_holdout_asking_for_new_objects_is_bounded),
                TEST(test_holdout_to_a_region_whose_objects_were_removed),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
