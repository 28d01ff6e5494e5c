/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sealed Memory and a Broker that Nobody Restarts
 *
 * A memfd has no name, and without a service manager nobody keeps it but the clients that have it
 * mapped. The broker that is started by hand finds it there: same inodes, same leases, items flow
 * on. What nobody has is made anew, and what is not the very inode is not taken for it.
 */

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/name.h"
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/load.h"
#include "tests/harness/look.h"
#include "tests/harness/mover.h"

enum {
        KILLS = 6,
        FDS_MAX = 256,
        MANY = 20000, /* items that must flow before something is believed to flow */
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {backing: memfd}\n"
                "regions:\n"
                "  - {name: $/ring, kind: ring, item: {size: 64, align: 8}, capacity: 256,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/lanes, kind: ring, item: {size: 64}, capacity: 16, producers: 3,\n"
                "     consumers: 2, access: {produce: [any], consume: [any]}}\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n";

/* Shared with the children. */
typedef struct Shared {
        _Atomic bool stop;
        LoadTally tally;
} Shared;

static Broker broker;
static Shared *shared;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int setup(void **state) {
        shared = child_share(sizeof(*shared));
        return 0;
}

static int teardown(void **state) {
        child_unshare(shared, sizeof(*shared));
        broker_deinit(&broker);
        return 0;
}

/* As a new client gets them: which inodes, and of which generation. */
typedef struct Seen {
        size_t n_inodes;
        ino_t inodes[SHMB_OBJECTS_MAX];
        uint64_t tag, generation;
} Seen;

static Seen see(const char *name, ShmbRole role) {
        CallerLease lease;
        struct stat st;
        Caller caller;
        Seen seen = {};

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, name), role, &lease), 0);
        seen.tag = lease.attached.tag;
        seen.generation = lease.attached.generation;
        for (; seen.n_inodes < lease.attached.n_objects; seen.n_inodes++) {
                assert_int_equal(fstat(lease.fds[seen.n_inodes], &st), 0);
                seen.inodes[seen.n_inodes] = st.st_ino;
        }
        caller_lease_close(&lease);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        caller_close(&caller);
        return seen;
}

static void kill_and_start(void) {
        broker_kill(&broker);
        broker_start(&broker);
}

static void flow_on(void) {
        uint64_t before = atomic_load(&shared->tally.consumed);

        broker_until(atomic_load(&shared->tally.consumed) - before > MANY);
}

static void test_sealed_ring_flows_on_with_the_same_inodes(void **state) {
        static LoadPair pair;
        Seen before, after;
        size_t n_fds;
        unsigned i;

        broker_begin(&broker, yaml);
        load_start(&pair, &broker, broker_name(&broker, "ring"), &shared->tally, &shared->stop,
                   &alice, &bob);
        before = see("ring", SHMB_ROLE_OBSERVE);
        load_go(&pair);
        for (i = 0; i < KILLS; i++) {
                kill_and_start();
                assert_int_equal(look_region(&broker, "ring").n_producers, 1);
                assert_int_equal(look_region(&broker, "ring").n_consumers, 1);
                after = see("ring", SHMB_ROLE_OBSERVE);
                assert_memory_equal(&after, &before, sizeof(after));
                flow_on();
        }
        n_fds = broker_n_fds(&broker);
        kill_and_start();
        /* Of each client its process is watched, and its socket, if it is back already. */
        assert_true(broker_n_fds(&broker) <= n_fds + 2);
        assert_true(broker_said(&broker, "Found 3 of 3 objects", NULL));

        atomic_store(&shared->stop, true);
        assert_true(load_finish(&pair) > KILLS * MANY);
        broker_until(look_region(&broker, "ring").n_producers == 0 &&
                     look_region(&broker, "ring").n_consumers == 0);
        broker_end(&broker);
}

/* This broker finds it again by itself: its clients need not keep a descriptor. */
static bool has_memfd_open(void) {
        char path[64], target[PATH_MAX];
        ssize_t n;
        int fd;

        for (fd = 0; fd < FDS_MAX; fd++) {
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                n = readlink(path, target, sizeof(target) - 1);
                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strncmp(target, "/memfd:", 7) == 0)
                        return true;
        }
        return false;
}

/* Bytes of a raw region that one wrote, and nobody else had mapped. */
static void write_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, broker_name(&broker, "raw"), SHMB_WRITE);

        child_check(!has_memfd_open());
        strcpy(shmb_data(r), "remember me");
        child_say("written");
        child_await("end");
        child_equal(strcmp(shmb_data(r), "remember me again"), 0);
        shmb_detach(r);
}

static void test_sealed_bytes_are_those_that_were_written(void **state) {
        CallerLease lease;
        Caller caller;
        Child child;
        char *bytes;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, write_in_child, NULL);
        child_expect(&child, "written");
        kill_and_start();
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "raw"), SHMB_ROLE_WRITE,
                                       &lease),
                         0);
        bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                     lease.fds[caller_object(&lease, SHMB_OBJECT_DATA, 0)], 0);
        assert_ptr_not_equal(bytes, MAP_FAILED);
        assert_string_equal(bytes, "remember me");
        strcpy(bytes, "remember me again");
        munmap(bytes, 4096);
        caller_lease_close(&lease);
        caller_close(&caller);
        child_tell(&child, "end");
        child_finish(&child);
        broker_end(&broker);
}

/* A producer has its own lane and the seats, and nobody else is there. */
static void test_sealed_lanes_that_nobody_had_are_made_anew(void **state) {
        Mover first, second, consumer;

        broker_begin(&broker, yaml);
        mover_start(&first, &broker, broker_name(&broker, "lanes"), SHMB_PRODUCE, &alice);
        mover_do(&first, "push 5 from 0", "5 0");
        kill_and_start();
        assert_int_equal(look_region(&broker, "lanes").n_producers, 1);
        assert_true(broker_said(&broker, "nobody had it mapped any more", "lane1"));
        assert_true(broker_said(&broker, "nobody had it mapped any more", "lane2"));
        assert_false(broker_said(&broker, "nobody had it mapped any more", "lane0"));
        mover_do(&first, "push 5 from 5", "5 0");
        mover_start(&consumer, &broker, broker_name(&broker, "lanes"), SHMB_CONSUME, &bob);
        mover_do(&consumer, "pop 10 from 0", "10 0");
        mover_start(&second, &broker, broker_name(&broker, "lanes"), SHMB_PRODUCE, &bob);
        mover_do(&second, "push 3 from 100", "3 0");
        mover_do(&consumer, "pop 3 from 100", "3 0");
        /* and now that a consumer has them all, all are found */
        kill_and_start();
        assert_int_equal(broker_n_said(&broker, "nobody had it mapped any more"), 2);
        mover_do(&second, "push 2 from 103", "2 0");
        mover_do(&first, "push 1 from 10", "1 0");
        mover_do(&consumer, "pop 1 from 10", "1 0");
        mover_do(&consumer, "pop 2 from 103", "2 0");
        mover_end(&first);
        mover_end(&second);
        mover_end(&consumer);
        broker_end(&broker);
}

static void test_sealed_memory_that_nobody_has_is_made_anew(void **state) {
        Seen before, after;

        broker_begin(&broker, yaml);
        before = see("raw", SHMB_ROLE_READ);
        kill_and_start();
        assert_true(broker_said(&broker, broker_name(&broker, "raw"), "is lost"));
        after = see("raw", SHMB_ROLE_READ);
        assert_true(after.tag != before.tag);
        assert_true(after.generation > before.generation);
        broker_end(&broker);
}

/* In place of what it was given it maps, and keeps open, something of the same name, size and
 * seals; and it holds a lease still. */
static void forge_in_child(void *data) {
        const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        char name[SHMB_KERNEL_NAME_MAX + 1];
        CallerLease lease;
        Caller caller;
        uint32_t i;
        int fd;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, broker_name(&broker, "raw"), SHMB_ROLE_READ, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        for (i = 0; i < lease.attached.n_objects; i++) {
                child_check(shmb_kernel_name(name, sizeof(name), broker_name(&broker, "raw"),
                                             lease.attached.tag, lease.attached.objects[i].kind, 0,
                                             1) > 0);
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
                child_check(fd >= 0);
                child_equal(ftruncate(fd, (off_t)lease.attached.objects[i].size_bytes), 0);
                child_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
                child_check(mmap(NULL, lease.attached.objects[i].size_bytes, PROT_READ, MAP_SHARED,
                                 fd, 0) != MAP_FAILED);
        }
        caller_lease_close(&lease);
        child_say("forged");
        child_await("end");
}

static void test_sealed_memory_that_was_forged_is_not_taken(void **state) {
        Seen before, after;
        size_t n_fds;
        Child child;

        broker_begin(&broker, yaml);
        n_fds = broker_n_fds(&broker);
        before = see("raw", SHMB_ROLE_READ);
        child_spawn(&child, &alice, forge_in_child, NULL);
        child_expect(&child, "forged");
        kill_and_start();
        assert_int_equal(look_region(&broker, "raw").n_readers, 0);
        broker_until(broker_n_fds(&broker) == n_fds);
        assert_false(broker_said(&broker, "objects without a name", NULL));
        after = see("raw", SHMB_ROLE_READ);
        assert_true(after.tag != before.tag);
        child_tell(&child, "end");
        child_finish(&child);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_sealed_ring_flows_on_with_the_same_inodes),
                TEST(test_sealed_bytes_are_those_that_were_written),
                TEST(test_sealed_lanes_that_nobody_had_are_made_anew),
                TEST(test_sealed_memory_that_nobody_has_is_made_anew),
                TEST(test_sealed_memory_that_was_forged_is_not_taken),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
