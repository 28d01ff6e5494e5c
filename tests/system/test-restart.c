/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that Was Killed, and the Next One
 *
 * SIGKILL at any time takes nothing from anybody: buffers flow on without a broker, and the one
 * that is started by hand finds the same inodes and the same leases. It removes what its
 * predecessor made and nobody declares any more, and nothing that somebody else made.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/look.h"

enum {
        MANY = 20000,    /* items that must flow before something is believed to flow */
        KILLS = 8,
        CHURN_KILLS = 12,
        HELD = 3,
        N_RING = 3,      /* names: control, lane and seat */
        N_RAW = 2,       /* control and data */
        N_NAMES = N_RING + N_RAW,
};

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - name: $/ring\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 256\n"
                "    access: {produce: [any], consume: [any]}\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "  - {name: $/sealed, kind: raw, size: 4K, backing: memfd, access: {read: [any]}}\n"
                "  - name: $/visited\n"
                "    kind: raw\n"
                "    size: 4K\n"
                "    lifetime: {policy: on_demand, linger: 0s}\n"
                "    access: {read: [any]}\n";

/* What the flowing processes share with the test. */
typedef struct Progress {
        _Atomic uint64_t n_popped;
        _Atomic int stop;
} Progress;

static Broker broker;
static Progress *progress;
static char ring[256];

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int setup(void **state) {
        progress = child_share(sizeof(*progress));
        return 0;
}

static int teardown(void **state) {
        child_unshare(progress, sizeof(*progress));
        broker_deinit(&broker);
        return 0;
}

static void begin(void) {
        broker_begin(&broker, yaml);
        strcpy(ring, broker_name(&broker, "ring"));
}

/* Leases that are listed, by whether their holder is connected. */
static unsigned n_holders(bool connected) {
        WireMessage message = { .type = WIRE_WHO };
        WireHolder holder;
        unsigned n = 0;
        Caller caller;
        size_t at = 0;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_call(&caller, &message), 0);
        while (wire_holder_next(&caller.reply.holders, &at, &holder) == 1)
                n += holder.connected == connected;
        caller_close(&caller);
        return n;
}

static struct shmb_region *attach(enum shmb_role role, struct shmb **ret_c) {
        struct shmb_region *r = NULL;
        int result;

        child_equal(shmb_connect(broker.socket, ret_c), 0);
        result = shmb_attach(*ret_c, ring, role, NULL, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(*ret_c), result);
        return r;
}

static void produce_in_child(void *data) {
        struct shmb *c;
        struct shmb_region *r = attach(SHMB_PRODUCE, &c);
        uint64_t number = 0;
        Item item;

        /* relaxed: only ever says when to stop */
        while (!atomic_load_explicit(&progress->stop, memory_order_relaxed)) {
                item_make(&item, number++);
                child_equal(shmb_push(r, &item, -1), 0);
                if (number % 512 == 0)
                        (void)shmb_dispatch(c);
        }
        /* the last one says so */
        memset(&item, 0, sizeof(item));
        child_equal(shmb_push(r, &item, -1), 0);
        child_say("pushed %llu", (unsigned long long)number);
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

static void consume_in_child(void *data) {
        struct shmb *c;
        struct shmb_region *r = attach(SHMB_CONSUME, &c);
        uint64_t number = 0;
        Item item;

        for (;;) {
                child_equal(shmb_pop(r, &item, -1), 0);
                if (item.sum == 0)
                        break;
                child_check(item_is(&item, number));
                number++;
                /* relaxed: for a test that looks whether it grows */
                atomic_store_explicit(&progress->n_popped, number, memory_order_relaxed);
                if (number % 512 == 0)
                        (void)shmb_dispatch(c);
        }
        child_say("popped %llu", (unsigned long long)number);
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

static uint64_t popped(void) {
        /* relaxed: one word, nothing is read behind it */
        return atomic_load_explicit(&progress->n_popped, memory_order_relaxed);
}

static void flow_on(void) {
        uint64_t before = popped();

        broker_until(popped() - before > MANY);
}

/* Everything that was pushed came out, in order, and both still hold what they held. */
static void stop_flow(Child *producer, Child *consumer) {
        unsigned long long n_pushed, n_popped;
        char line[CHILD_LINE_MAX];

        /* relaxed: only ever says when to stop */
        atomic_store_explicit(&progress->stop, 1, memory_order_relaxed);
        assert_true(child_hear(producer, line));
        assert_int_equal(sscanf(line, "pushed %llu", &n_pushed), 1);
        assert_true(child_hear(consumer, line));
        if (sscanf(line, "popped %llu", &n_popped) != 1)
                fail_msg("%s", line);
        assert_true(n_popped == n_pushed);
        assert_int_equal(look_region(&broker, "ring").redelivered, 0);
        child_tell(producer, "end");
        child_tell(consumer, "end");
        child_finish(producer);
        child_finish(consumer);
        broker_until(look_region(&broker, "ring").n_producers == 0 &&
                     look_region(&broker, "ring").n_consumers == 0);
}

static void assert_same_names(const BrokerName *before, size_t n) {
        BrokerName after[BROKER_NAMES_MAX];

        assert_int_equal(broker_shm(&broker, after), n);
        assert_memory_equal(before, after, n * sizeof(before[0]));
}

static void test_restart_finds_regions_and_leases_and_the_ring_flows_on(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        Child producer, consumer;
        size_t n;
        int i;

        begin();
        child_spawn(&consumer, &bob, consume_in_child, NULL);
        child_spawn(&producer, &alice, produce_in_child, NULL);
        flow_on();
        n = broker_shm(&broker, before);
        assert_int_equal(n, N_NAMES);
        for (i = 0; i < KILLS; i++) {
                broker_kill(&broker);
                flow_on();
                assert_same_names(before, n);
                broker_start(&broker);
                assert_same_names(before, n);
                assert_int_equal(look_region(&broker, "ring").n_producers, 1);
                assert_int_equal(look_region(&broker, "ring").n_consumers, 1);
                broker_until(n_holders(true) == 2);
                assert_int_equal(n_holders(false), 0);
                flow_on();
        }
        stop_flow(&producer, &consumer);
        broker_end(&broker);
}

/* SIGUSR1: everything stays where it is, for the broker that comes next. */
static void test_restart_after_a_hand_over(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        Child producer, consumer;
        size_t n;

        begin();
        child_spawn(&consumer, &bob, consume_in_child, NULL);
        child_spawn(&producer, &alice, produce_in_child, NULL);
        flow_on();
        n = broker_shm(&broker, before);
        kill(broker.pid, SIGUSR1);
        assert_int_equal(broker_wait(&broker), 0);
        flow_on();
        assert_same_names(before, n);
        broker_start(&broker);
        assert_same_names(before, n);
        broker_until(n_holders(true) == 2);
        stop_flow(&producer, &consumer);
        broker_end(&broker);
}

static void hold_in_child(void *data) {
        struct shmb *c;
        struct shmb_region *r = attach(SHMB_CONSUME, &c);
        const void *held;
        Item item;
        int i;

        for (i = 0; i < HELD; i++)
                child_equal(shmb_pop(r, &item, -1), 0);
        child_equal(shmb_peek(r, &held, -1), 0);
        child_check(item_is(held, HELD));
        child_say("holding");
        child_await("never");
}

static void push_some_in_child(void *data) {
        struct shmb *c;
        struct shmb_region *r = attach(SHMB_PRODUCE, &c);
        Item item;
        uint64_t i;

        for (i = 0; i < 10; i++) {
                item_make(&item, i);
                child_equal(shmb_push(r, &item, 0), 0);
        }
        child_say("pushed");
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

static void resume_in_child(void *data) {
        struct shmb *c;
        struct shmb_region *r = attach(SHMB_CONSUME, &c);
        Item item;
        uint64_t i;

        for (i = HELD; i < 10; i++) {
                child_equal(shmb_pop(r, &item, 0), 0);
                child_check(item_is(&item, i));
        }
        shmb_detach(r);
        shmb_close(c);
        child_say("resumed");
}

/* Nobody was there to see the death; the next broker does. */
static void test_restart_sees_who_died_meanwhile(void **state) {
        Child producer, holder, successor;

        begin();
        child_spawn(&producer, &alice, push_some_in_child, NULL);
        child_expect(&producer, "pushed");
        child_spawn(&holder, &bob, hold_in_child, NULL);
        child_expect(&holder, "holding");
        broker_kill(&broker);
        child_kill(&holder);
        broker_start(&broker);
        assert_int_equal(look_region(&broker, "ring").n_consumers, 0);
        assert_int_equal(look_region(&broker, "ring").n_producers, 1);
        child_spawn(&successor, &bob, resume_in_child, NULL);
        child_expect(&successor, "resumed");
        child_finish(&successor);
        assert_int_equal(look_region(&broker, "ring").redelivered, 1);
        child_tell(&producer, "end");
        child_finish(&producer);
        broker_end(&broker);
}

static void attach_raw_in_child(void *data) {
        CallerLease lease;
        Caller caller;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_READ, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        child_say("attached");
        child_await("never");
}

/* A process that lives and has not come back keeps its lease, until it is dead. */
static void test_restart_keeps_the_lease_of_who_has_not_come_back(void **state) {
        BrokerName before[BROKER_NAMES_MAX];
        Child child;
        size_t n;

        begin();
        child_spawn(&child, &bob, attach_raw_in_child, (void *)broker_name(&broker, "visited"));
        child_expect(&child, "attached");
        n = broker_shm(&broker, before);
        assert_int_equal(n, N_NAMES + N_RAW);
        broker_kill(&broker);
        broker_start(&broker);
        assert_same_names(before, n);
        assert_int_equal(n_holders(false), 1);
        assert_int_equal(n_holders(true), 0);
        assert_int_equal(look_region(&broker, "visited").n_readers, 1);
        child_kill(&child);
        broker_until(look_region(&broker, "visited").state == SHMB_REGION_DECLARED);
        assert_int_equal(n_holders(false), 0);
        broker_expect_shm(&broker, N_NAMES);
        broker_end(&broker);
}

static void make_file(const char *path, uid_t uid) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "precious", 8), 8);
        assert_int_equal(fchown(fd, uid, uid), 0);
        close(fd);
}

/* Names that look like ours, of files that are not. */
static void test_restart_removes_what_is_left_over_and_nothing_else(void **state) {
        char paths[3][300];
        struct stat st;
        size_t i;

        begin();
        for (i = 0; i < 3; i++)
                snprintf(paths[i], sizeof(paths[i]), "/dev/shm/shmb.%s.ring@%016zx.%s",
                         broker.unique, i, i == 2 ? "data" : "control");
        make_file(paths[0], 0);
        make_file(paths[1], 61001);
        make_file(paths[2], 0);
        assert_int_equal(broker_n_shm(&broker), N_NAMES + 3);
        broker_kill(&broker);
        /* with fewer regions: the ring is left over */
        broker_configure(&broker,
                         "version: 1\nregions:\n"
                         "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any]}}\n");
        broker_start(&broker);
        assert_int_equal(broker_n_shm(&broker), N_RAW + 3);
        broker_stop(&broker);
        assert_int_equal(broker_n_shm(&broker), 3);
        for (i = 0; i < 3; i++) {
                assert_int_equal(stat(paths[i], &st), 0);
                assert_int_equal(st.st_size, 8);
                assert_int_equal(st.st_uid, i == 1 ? 61001 : 0);
        }
        broker_deinit(&broker);
}

static void churn_in_child(void *data) {
        static const struct timespec pause = { .tv_nsec = 1000000 };
        char name[256];
        CallerLease lease;
        Caller caller;
        unsigned i = 0;

        strcpy(name, data);
        /* relaxed: only ever says when to stop */
        while (!atomic_load_explicit(&progress->stop, memory_order_relaxed)) {
                if (caller_begin(&caller, broker.socket) != 0) {
                        nanosleep(&pause, NULL);
                        continue;
                }
                if (caller_attach(&caller, name, SHMB_ROLE_READ, &lease) == 0) {
                        (void)caller_mapped(&caller, &lease, 0);
                        if (i++ % 2)
                                (void)caller_detach(&caller, lease.attached.lease);
                        caller_lease_close(&lease);
                }
                caller_close(&caller);
        }
        child_say("enough");
}

/* Killed in the middle of whatever it does while regions come and go: the last one finds all that
 * is there, and nothing is there that it does not find. */
static void test_restart_in_the_middle_of_everything_leaves_nothing(void **state) {
        struct timespec pause = {};
        Child children[2];
        int i;

        begin();
        srandom(4);
        child_spawn(&children[0], &alice, churn_in_child,
                    (void *)broker_name(&broker, "visited"));
        child_spawn(&children[1], &bob, churn_in_child, (void *)broker_name(&broker, "raw"));
        for (i = 0; i < CHURN_KILLS; i++) {
                pause.tv_nsec = random() % 20000000;
                nanosleep(&pause, NULL);
                broker_kill(&broker);
                broker_start(&broker);
        }
        /* relaxed: only ever says when to stop */
        atomic_store_explicit(&progress->stop, 1, memory_order_relaxed);
        for (i = 0; i < 2; i++) {
                child_expect(&children[i], "enough");
                child_finish(&children[i]);
        }
        broker_until(look_region(&broker, "visited").state == SHMB_REGION_DECLARED);
        broker_until(n_holders(true) + n_holders(false) == 0);
        broker_expect_shm(&broker, N_NAMES);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_restart_finds_regions_and_leases_and_the_ring_flows_on),
                TEST(test_restart_after_a_hand_over),
                TEST(test_restart_sees_who_died_meanwhile),
                TEST(test_restart_keeps_the_lease_of_who_has_not_come_back),
                TEST(test_restart_removes_what_is_left_over_and_nothing_else),
                TEST(test_restart_in_the_middle_of_everything_leaves_nothing),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
