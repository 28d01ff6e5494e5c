/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sealed Memory and a Broker without Privileges
 *
 * It may not look into its clients, so after a SIGKILL nobody but they can give back what has no
 * name. A region waits until they have, with its leases, and nobody new gets in meanwhile; what is
 * given back is taken if it is the very inode, and goes on with all who held it. Clients that offer
 * something else, or nothing, lose what they held and harm nobody.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
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
#include "tests/system/stuck.h"

enum {
        BROKER_UID = 61003,
        KILLS = 6,
        READERS = 4,
        MANY = 20000, /* items that must flow before something is believed to flow */
        N_RAW = 2,    /* objects: control and data */
        SIZE = 4096,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {backing: memfd}\n"
                "regions:\n"
                "  - {name: $/ring, kind: ring, item: {size: 64, align: 8}, capacity: 256,\n"
                "     producers: 2, consumers: 2,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n";

/* Shared with the children. */
typedef struct Shared {
        _Atomic bool stop, back;
        LoadTally tally;
} Shared;

static Broker broker;
static Shared *shared;
static Stuck stuck;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

/* Under a service manager that keeps so many descriptors. */
static const char *n_descriptors;

static void become_service(void *data) {
        const ChildIdentity service = { .uid = BROKER_UID, .gid = BROKER_UID };

        setenv("FDSTORE", n_descriptors, 1);
        child_become(&service);
}

static int setup(void **state) {
        n_descriptors = "0";
        shared = child_share(sizeof(*shared));
        broker_init(&broker, yaml);
        assert_int_equal(chown(broker.directory, BROKER_UID, BROKER_UID), 0);
        assert_int_equal(chmod(broker.notify, 0666), 0);
        broker.prepare = become_service;
        broker_start(&broker);
        return 0;
}

static int teardown(void **state) {
        child_unshare(shared, sizeof(*shared));
        stuck_remove(&stuck);
        broker_deinit(&broker);
        return 0;
}

static void kill_and_start(void) {
        broker_kill(&broker);
        broker_start(&broker);
}

/* As a new client gets them: which inodes, and of which generation. */
typedef struct Seen {
        ino_t inodes[SHMB_OBJECTS_MAX];
        uint64_t tag, generation;
} Seen;

/* Return: 0, or the status of a refusal. */
static int look(const char *name, ShmbRole role, Seen *ret_seen) {
        CallerLease lease;
        struct stat st;
        Caller caller;
        uint32_t i;
        int r;

        memset(ret_seen, 0, sizeof(*ret_seen));
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        r = caller_attach(&caller, broker_name(&broker, name), role, &lease);
        if (r == 0) {
                ret_seen->tag = lease.attached.tag;
                ret_seen->generation = lease.attached.generation;
                for (i = 0; i < lease.attached.n_objects; i++) {
                        assert_int_equal(fstat(lease.fds[i], &st), 0);
                        ret_seen->inodes[i] = st.st_ino;
                }
                caller_lease_close(&lease);
                assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        }
        caller_close(&caller);
        return r;
}

static Seen see(const char *name, ShmbRole role) {
        Seen seen;

        broker_until(look(name, role, &seen) == 0);
        return seen;
}

static void flow_on(void) {
        uint64_t before = atomic_load(&shared->tally.consumed);

        broker_until(atomic_load(&shared->tally.consumed) - before > MANY);
}

static void test_offered_ring_flows_on_with_the_same_inodes(void **state) {
        static LoadPair pair;
        Seen before, after;
        unsigned i;

        load_start(&pair, &broker, broker_name(&broker, "ring"), &shared->tally, &shared->stop,
                   &alice, &bob);
        before = see("ring", SHMB_ROLE_OBSERVE);
        load_go(&pair);
        for (i = 0; i < KILLS; i++) {
                kill_and_start();
                after = see("ring", SHMB_ROLE_OBSERVE);
                assert_memory_equal(&after, &before, sizeof(after));
                assert_int_equal(look_region(&broker, "ring").n_producers, 1);
                assert_int_equal(look_region(&broker, "ring").n_consumers, 1);
                flow_on();
        }
        assert_int_equal(broker_n_said(&broker, "goes on with the memory"), KILLS);
        atomic_store(&shared->stop, true);
        assert_true(load_finish(&pair) > KILLS * MANY);
        broker_until(look_region(&broker, "ring").n_producers == 0 &&
                     look_region(&broker, "ring").n_consumers == 0);
        broker_end(&broker);
}

/* Whose connection is kept does not come back by itself, and what is not kept is his to give. */
static void test_offered_though_the_connection_was_kept(void **state) {
        static LoadPair pair;
        static Keeper keeper;
        Seen before, after;

        load_start(&pair, &broker, broker_name(&broker, "ring"), &shared->tally, &shared->stop,
                   &alice, &bob);
        before = see("ring", SHMB_ROLE_OBSERVE);
        load_go(&pair);
        n_descriptors = "100";
        broker.keeper = &keeper;
        kill_and_start();
        (void)see("ring", SHMB_ROLE_OBSERVE);
        broker_until(({ broker_hear(&broker); keeper_count(&keeper, "conn.") >= 2; }));

        kill_and_start();
        after = see("ring", SHMB_ROLE_OBSERVE);
        assert_memory_equal(&after, &before, sizeof(after));
        flow_on();
        atomic_store(&shared->stop, true);
        (void)load_finish(&pair);
        broker_end(&broker);
}

/* Comes back when it is told to, and not before. */
static void hold_in_child(void *data) {
        const enum shmb_role *role = data;
        struct shmb *c;
        struct shmb_region *r = mover_attach_with(&broker, broker_name(&broker, "raw"), *role, &c);

        if (*role == SHMB_WRITE)
                strcpy(shmb_data(r), "remember me");
        child_say("attached");
        while (!atomic_load(&shared->back))
                broker_pause();
        while (!atomic_load(&shared->stop)) {
                (void)shmb_dispatch(c);
                broker_pause();
        }
        child_equal(strcmp(shmb_data(r), "remember me"), 0);
        shmb_detach(r);
        shmb_close(c);
}

static void test_offered_memory_is_waited_for(void **state) {
        static const enum shmb_role writes = SHMB_WRITE, reads = SHMB_READ;
        Child writer, readers[READERS];
        Seen before, after;
        unsigned i;

        child_spawn(&writer, &alice, hold_in_child, (void *)&writes);
        child_expect(&writer, "attached");
        for (i = 0; i < READERS; i++) {
                child_spawn(&readers[i], i % 2 ? &alice : &bob, hold_in_child, (void *)&reads);
                child_expect(&readers[i], "attached");
        }
        before = see("raw", SHMB_ROLE_READ);
        kill_and_start();
        assert_int_equal(look("raw", SHMB_ROLE_READ, &after), SHMB_STATUS_BUSY);
        assert_int_equal(look_region(&broker, "raw").state, SHMB_REGION_LIVE);
        assert_int_equal(look_region(&broker, "raw").n_readers, READERS);
        assert_int_equal(look_region(&broker, "raw").n_writers, 1);
        /* and so does the broker behind it */
        kill_and_start();
        assert_int_equal(look("raw", SHMB_ROLE_READ, &after), SHMB_STATUS_BUSY);
        /* all at once */
        atomic_store(&shared->back, true);
        after = see("raw", SHMB_ROLE_READ);
        assert_memory_equal(&after, &before, sizeof(after));
        assert_int_equal(look_region(&broker, "raw").n_writers, 1);
        atomic_store(&shared->stop, true);
        child_finish(&writer);
        for (i = 0; i < READERS; i++)
                child_finish(&readers[i]);
        broker_end(&broker);
}

static void test_offered_memory_is_made_anew_when_its_holder_dies(void **state) {
        static const enum shmb_role writes = SHMB_WRITE;
        Seen before, after;
        size_t n_fds;
        Child child;

        n_fds = broker_n_fds(&broker);
        before = see("raw", SHMB_ROLE_READ);
        child_spawn(&child, &alice, hold_in_child, (void *)&writes);
        child_expect(&child, "attached");
        kill_and_start();
        assert_int_equal(look("raw", SHMB_ROLE_READ, &after), SHMB_STATUS_BUSY);
        child_kill(&child);
        after = see("raw", SHMB_ROLE_READ);
        assert_true(after.tag != before.tag);
        broker_until(broker_n_fds(&broker) == n_fds);
        broker_end(&broker);
}

/*
 * Hostile Offers
 */

/* A lease of the raw region, of a client that says that it keeps descriptors; and its descriptors,
 * the last of them what it may write, to read. */
static void hold_and_keep(Caller *caller, CallerLease *ret_lease) {
        WireMessage attach = { .type = WIRE_ATTACH };

        attach.attach = (WireAttach){ .name = broker_name(&broker, "raw"),
                                      .role = SHMB_ROLE_WRITE, .keeps = true };
        assert_int_equal(caller_begin(caller, broker.socket), 0);
        assert_int_equal(caller_call(caller, &attach), 0);
        assert_true(caller->reply.attached.keep);
        assert_int_equal(caller->n_fds, N_RAW + 1);
        assert_false(caller->reply.attached.objects[N_RAW].writable);
        ret_lease->attached = caller->reply.attached;
        memcpy(ret_lease->fds, caller->fds, sizeof(caller->fds));
        caller->n_fds = 0;
}

/* Back at the next broker: what it may offer on. */
static int resume(Caller *caller, const CallerLease *lease) {
        WireMessage request = { .type = WIRE_RESUME };
        uint8_t uuid[SHMB_UUID_SIZE];

        memcpy(uuid, caller->uuid, sizeof(uuid));
        caller_close(caller);
        assert_int_equal(caller_connect(caller, broker.socket), 0);
        memcpy(caller->uuid, uuid, sizeof(uuid));
        assert_int_equal(caller_hello(caller), 0);
        request.resume = (WireResume){ .lease = lease->attached.lease,
                                       .generation = lease->attached.generation,
                                       .keeps = true };
        assert_int_equal(caller_call(caller, &request), 0);
        assert_int_equal(caller->reply.resumed.verdict, WIRE_VERDICT_SAME);
        assert_true(caller->reply.resumed.wanted);
        request = (WireMessage){ .type = WIRE_OFFER, .offer = { lease->attached.lease } };
        assert_int_equal(caller_call(caller, &request), 0);
        assert_int_equal(caller->n_fds, 1);
        caller->n_fds = 0;
        /* once */
        request.id = 0;
        assert_int_equal(caller_call(caller, &request), SHMB_STATUS_INVALID);
        return caller->fds[0];
}

static void offer(int socket_fd, const int *fds, size_t n_fds) {
        Caller sender = { .fd = socket_fd };

        assert_int_equal(caller_send_fds(&sender, "", 1, fds, n_fds), 0);
        close(socket_fd);
}

static int forge(const CallerLease *lease, bool sealed) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        int fd;

        assert_true(shmb_kernel_name(name, sizeof(name), broker_name(&broker, "raw"),
                                     lease->attached.tag, SHMB_OBJECT_CONTROL, 0, 1) > 0);
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        assert_int_equal(fchown(fd, BROKER_UID, BROKER_UID), 0);
        if (sealed)
                assert_int_equal(fcntl(fd, F_ADD_SEALS,
                                       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                                 0);
        return fd;
}

/* Everything but what is wanted. */
static size_t gather_junk(const CallerLease *lease, int fds[static 8]) {
        char path[BROKER_PATH_MAX + 16];
        int pair[2];

        snprintf(path, sizeof(path), "%s/fifo", broker.directory);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        fds[0] = forge(lease, true);
        fds[1] = forge(lease, false);
        fds[2] = open(path, O_RDWR | O_CLOEXEC);
        fds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[4] = open("/", O_PATH | O_CLOEXEC);
        fds[5] = open(broker.config, O_RDONLY | O_CLOEXEC);
        fds[6] = pair[0];
        fds[7] = pair[1];
        return 8;
}

static void test_offers_of_something_else_are_dropped(void **state) {
        Seen before, after;
        CallerLease lease;
        size_t i, n, n_fds;
        Caller caller;
        int fds[8], socket_fd;

        n_fds = broker_n_fds(&broker);
        before = see("raw", SHMB_ROLE_READ);
        hold_and_keep(&caller, &lease);
        kill_and_start();
        socket_fd = resume(&caller, &lease);
        n = gather_junk(&lease, fds);
        offer(socket_fd, fds, n);
        for (i = 0; i < n; i++)
                close(fds[i]);
        broker_until(look_region(&broker, "raw").state == SHMB_REGION_LOST);
        assert_true(broker_said(&broker, "did not have all of its memory", NULL));
        assert_int_equal(look("raw", SHMB_ROLE_READ, &after), SHMB_STATUS_LOST);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        after = see("raw", SHMB_ROLE_READ);
        assert_true(after.tag != before.tag);
        for (i = 0; i < N_RAW + 1; i++)
                close(lease.fds[i]);
        caller_close(&caller);
        broker_until(broker_n_fds(&broker) == n_fds);
        broker_end(&broker);
}

/* The right ones among them, twice, and some open for writing too. */
static void test_offers_of_the_right_thing_are_found_among_others(void **state) {
        int fds[8 + 2 * (N_RAW + 1)], socket_fd;
        Seen before, after;
        CallerLease lease;
        size_t i, j, n;
        Caller caller;

        before = see("raw", SHMB_ROLE_READ);
        hold_and_keep(&caller, &lease);
        kill_and_start();
        socket_fd = resume(&caller, &lease);
        n = gather_junk(&lease, fds);
        for (i = 0; i < 2; i++)
                for (j = 0; j < N_RAW + 1; j++)
                        fds[n++] = lease.fds[j];
        offer(socket_fd, fds, n);
        for (i = 0; i < 8; i++)
                close(fds[i]);
        after = see("raw", SHMB_ROLE_READ);
        assert_memory_equal(&after, &before, sizeof(after));
        for (i = 0; i < N_RAW + 1; i++)
                close(lease.fds[i]);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        caller_close(&caller);
        broker_end(&broker);
}

/* Whoever asks what it is, or closes it, waits for ever: the broker does neither. */
static void test_offer_that_nobody_can_close_holds_nobody_up(void **state) {
        CallerLease lease;
        Caller caller;
        int socket_fd;
        Seen seen;
        size_t i;

        hold_and_keep(&caller, &lease);
        kill_and_start();
        socket_fd = resume(&caller, &lease);
        /* Behind the start: a broker that inherited it would close it. */
        if (!stuck_make(&stuck, broker.directory)) {
                close(socket_fd);
                for (i = 0; i < N_RAW + 1; i++)
                        close(lease.fds[i]);
                caller_close(&caller);
                print_message("skipped: no /dev/fuse here\n");
                skip();
        }
        offer(socket_fd, &stuck.fd, 1);
        broker_until(atomic_load(stuck.n_stuck) > 0);
        broker_until(look_region(&broker, "raw").state == SHMB_REGION_LOST);
        for (i = 0; i < N_RAW + 1; i++)
                close(lease.fds[i]);
        /* Said, because the server has a copy of the connection. */
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        caller_close(&caller);
        seen = see("raw", SHMB_ROLE_READ);
        assert_true(seen.tag != lease.attached.tag);
        /* it hangs still, and the broker ends without it */
        assert_int_equal(atomic_load(stuck.n_stuck), 1);
        broker_stop(&broker);
        stuck_remove(&stuck);
        broker_deinit(&broker);
}

static void test_offer_that_never_comes_holds_nobody_up(void **state) {
        CallerLease lease;
        Caller caller;
        int socket_fd;
        Seen seen;
        size_t i;

        hold_and_keep(&caller, &lease);
        kill_and_start();
        socket_fd = resume(&caller, &lease);
        assert_int_equal(look("ring", SHMB_ROLE_OBSERVE, &seen), 0);
        assert_int_equal(look("raw", SHMB_ROLE_READ, &seen), SHMB_STATUS_BUSY);
        close(socket_fd);
        broker_until(look_region(&broker, "raw").state == SHMB_REGION_LOST);
        for (i = 0; i < N_RAW + 1; i++)
                close(lease.fds[i]);
        caller_close(&caller);
        see("raw", SHMB_ROLE_READ);
        broker_end(&broker);
}

static void test_offer_that_nobody_wants_is_refused(void **state) {
        WireMessage request = { .type = WIRE_OFFER };
        CallerLease lease;
        Caller caller;
        size_t i;

        hold_and_keep(&caller, &lease);
        request.offer.lease = lease.attached.lease;
        assert_int_equal(caller_call(&caller, &request), SHMB_STATUS_INVALID);
        request.id = 0;
        request.offer.lease++;
        assert_int_equal(caller_call(&caller, &request), SHMB_STATUS_NO_LEASE);
        for (i = 0; i < N_RAW + 1; i++)
                close(lease.fds[i]);
        caller_close(&caller);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_offered_ring_flows_on_with_the_same_inodes),
                TEST(test_offered_though_the_connection_was_kept),
                TEST(test_offered_memory_is_waited_for),
                TEST(test_offered_memory_is_made_anew_when_its_holder_dies),
                TEST(test_offers_of_something_else_are_dropped),
                TEST(test_offers_of_the_right_thing_are_found_among_others),
                TEST(test_offer_that_nobody_can_close_holds_nobody_up),
                TEST(test_offer_that_never_comes_holds_nobody_up),
                TEST(test_offer_that_nobody_wants_is_refused),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
