/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Peers that Die
 *
 * Killed, stopped, forked, or replaced by another program: what a process held is given to the next
 * one when it is dead and not before, no item is lost or torn, and the survivor is told once.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        CAPACITY = 64,
        SOME = 10,
        HELD = 3,   /* number of the item that a consumer dies with */
        FLOW = 2000,
};

/* Where the items of the successor of a producer begin. */
#define SECOND (UINT64_C(1) << 32)

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - name: $/ring\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    access: {produce: [any], consume: [any]}\n"
                "  - name: $/sealed\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    backing: memfd\n"
                "    access: {produce: [any], consume: [any]}\n";

static Broker broker;
static char ring[256];

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void begin(const char *name) {
        broker_begin(&broker, yaml);
        strcpy(ring, broker_name(&broker, name));
}

static struct shmb_region *attach(enum shmb_role role) {
        return mover_attach(&broker, ring, role);
}

static void start(Mover *mover, enum shmb_role role) {
        mover_start(mover, &broker, ring, role, role == SHMB_PRODUCE ? &alice : &bob);
}

static WireRegion region_now(void) {
        WireRegion region;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, ring, &region), 0);
        caller_close(&caller);
        return region;
}

static void hold_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        const void *held;
        Item item;
        int i;

        for (i = 0; i < HELD; i++) {
                child_equal(shmb_pop(r, &item, -1), 0);
                child_check(item_is(&item, (uint64_t)i));
        }
        child_equal(shmb_peek(r, &held, -1), 0);
        child_check(item_is(held, HELD));
        child_say("holding");
        child_await("release");
        child_equal(shmb_release(r), 0);
        shmb_detach(r);
        child_say("released");
}

static void test_death_of_a_consumer_gives_its_item_to_the_next_one(void **state) {
        Mover producer, successor;
        Child holder;

        begin("ring");
        start(&producer, SHMB_PRODUCE);
        mover_do(&producer, "push 10 from 0", "10 0");
        child_spawn(&holder, &bob, hold_in_child, NULL);
        child_expect(&holder, "holding");
        child_kill(&holder);

        start(&successor, SHMB_CONSUME);
        assert_int_equal(region_now().redelivered, 1);
        mover_do(&successor, "pop 20 from 3", "7 EAGAIN");

        /* The producer would not have noticed but for a call that had to wait. */
        mover_do(&producer, "push 64 from 10", "64 0");
        mover_do(&producer, "push 1 from 74", "0 EOWNERDEAD");
        mover_do(&producer, "push 1 from 74", "0 EAGAIN");
        mover_do(&successor, "pop 64 from 10", "64 0");
        mover_do(&producer, "push 1 from 74", "1 0");
        mover_do(&successor, "pop 1 from 74", "1 0");
        mover_end(&producer);
        mover_end(&successor);
        assert_int_equal(region_now().redelivered, 1);
        assert_int_equal(region_now().moved, 75);
        broker_end(&broker);
}

/* Detached with an item in hand: it comes again, and nobody died. */
static void put_down_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        const void *held;

        child_equal(shmb_peek(r, &held, -1), 0);
        child_check(item_is(held, 0));
        shmb_detach(r);
        child_say("put down");
}

static void test_detach_with_an_item_in_hand_is_no_death(void **state) {
        Mover producer, successor;
        Child holder;

        begin("ring");
        start(&producer, SHMB_PRODUCE);
        mover_do(&producer, "push 10 from 0", "10 0");
        child_spawn(&holder, &bob, put_down_in_child, NULL);
        child_expect(&holder, "put down");
        child_finish(&holder);
        start(&successor, SHMB_CONSUME);
        mover_do(&successor, "pop 10 from 0", "10 0");
        mover_do(&producer, "push 64 from 10", "64 0");
        mover_do(&producer, "push 1 from 74", "0 EAGAIN");
        mover_end(&producer);
        mover_end(&successor);
        broker_end(&broker);
}

static void produce_endlessly_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        uint64_t number = 0;
        void *slot;

        for (;;) {
                child_equal(shmb_claim(r, &slot, -1), 0);
                item_make(slot, number++);
                child_equal(shmb_commit(r), 0);
        }
}

/* Takes what there is, says when it has seen enough, goes on to the end of what was published, is
 * told of the death once, and then takes what a successor sends. */
static void survive_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        uint64_t number = 0;
        Item item;
        int result;

        for (;;) {
                result = shmb_pop(r, &item, -1);
                if (result == -EOWNERDEAD)
                        break;
                child_equal(result, 0);
                child_check(item_is(&item, number));
                if (++number == FLOW)
                        child_say("flowing");
        }
        child_say("bereaved");
        for (number = 0; number < SOME; number++) {
                child_equal(shmb_pop(r, &item, -1), 0);
                child_check(item_is(&item, SECOND + number));
        }
        child_equal(shmb_pop(r, &item, 0), -EAGAIN);
        shmb_detach(r);
        child_say("consoled");
}

static void survive_producer(const char *name) {
        Child producer, consumer;
        Mover successor;

        begin(name);
        child_spawn(&consumer, &bob, survive_in_child, NULL);
        child_spawn(&producer, &alice, produce_endlessly_in_child, NULL);
        child_expect(&consumer, "flowing");
        child_kill(&producer);
        child_expect(&consumer, "bereaved");
        start(&successor, SHMB_PRODUCE);
        mover_do(&successor, "push 10 from 4294967296", "10 0");
        child_expect(&consumer, "consoled");
        child_finish(&consumer);
        mover_end(&successor);
        assert_int_equal(region_now().redelivered, 0);
        broker_end(&broker);
}

static void test_death_of_a_producer_leaves_whole_items_on_posix(void **state) {
        survive_producer("ring");
}

static void test_death_of_a_producer_leaves_whole_items_on_memfd(void **state) {
        survive_producer("sealed");
}

static void busy_in_child(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        int result;

        want.timeout_ns = 100000000;
        child_equal(shmb_connect(broker.socket, &c), 0);
        result = shmb_attach(c, ring, SHMB_CONSUME, &want, &r);
        child_check(result == -EBUSY || result == -ETIMEDOUT);
        shmb_close(c);
        child_say("busy");
}

static void test_stopped_process_is_not_dead(void **state) {
        Mover producer, successor;
        Child holder, other;

        begin("ring");
        start(&producer, SHMB_PRODUCE);
        mover_do(&producer, "push 10 from 0", "10 0");
        child_spawn(&holder, &bob, hold_in_child, NULL);
        child_expect(&holder, "holding");
        kill(holder.pid, SIGSTOP);
        assert_int_equal(waitpid(holder.pid, NULL, WUNTRACED), holder.pid);

        child_spawn(&other, &bob, busy_in_child, NULL);
        child_expect(&other, "busy");
        child_finish(&other);
        assert_int_equal(region_now().n_consumers, 1);
        mover_do(&producer, "push 64 from 10", "57 EAGAIN");

        kill(holder.pid, SIGCONT);
        child_tell(&holder, "release");
        child_expect(&holder, "released");
        child_finish(&holder);
        mover_do(&producer, "push 1 from 67", "1 0");
        start(&successor, SHMB_CONSUME);
        mover_do(&successor, "pop 64 from 4", "64 0");
        mover_end(&successor);
        mover_end(&producer);
        assert_int_equal(region_now().redelivered, 0);
        broker_end(&broker);
}

/* The connection is close-on-exec: a process that becomes another program has no lease, although it
 * lives. */
static void exec_in_child(void *data) {
        attach(SHMB_CONSUME);
        child_say("attached");
        child_await("go");
        execlp("sleep", "sleep", "1000", NULL);
        child_say("no such program");
}

static void test_exec_ends_the_lease(void **state) {
        Child child;

        begin("ring");
        child_spawn(&child, &bob, exec_in_child, NULL);
        child_expect(&child, "attached");
        assert_int_equal(region_now().n_consumers, 1);
        child_tell(&child, "go");
        broker_until(region_now().n_consumers == 0);
        assert_int_equal(kill(child.pid, 0), 0);
        child_kill(&child);
        broker_end(&broker);
}

static void need_peer_in_child(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        Item item;
        int i;

        want.flags = SHMB_NEED_PEER;
        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, ring, SHMB_CONSUME, &want, &r), 0);
        child_say("attached");
        child_await("go");
        for (i = 0; i < SOME; i++)
                child_equal(shmb_pop(r, &item, -1), 0);
        /* Nothing is left, and nobody is there who could send more: waiting for ever would be. */
        child_equal(shmb_pop(r, &item, -1), -EPIPE);
        child_equal(shmb_pop(r, &item, 0), -EPIPE);
        child_say("alone");
        child_await("go");
        child_equal(shmb_pop(r, &item, -1), 0);
        shmb_detach(r);
        shmb_close(c);
        child_say("not alone");
}

static void test_need_peer_drains_then_says_that_it_is_alone(void **state) {
        Mover producer;
        Child consumer;

        begin("ring");
        start(&producer, SHMB_PRODUCE);
        child_spawn(&consumer, &bob, need_peer_in_child, NULL);
        child_expect(&consumer, "attached");
        mover_do(&producer, "push 10 from 0", "10 0");
        mover_end(&producer);
        child_tell(&consumer, "go");
        child_expect(&consumer, "alone");
        start(&producer, SHMB_PRODUCE);
        child_tell(&consumer, "go");
        mover_do(&producer, "push 1 from 10", "1 0");
        child_expect(&consumer, "not alone");
        child_finish(&consumer);
        mover_end(&producer);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_death_of_a_consumer_gives_its_item_to_the_next_one),
                TEST(test_detach_with_an_item_in_hand_is_no_death),
                TEST(test_death_of_a_producer_leaves_whole_items_on_posix),
                TEST(test_death_of_a_producer_leaves_whole_items_on_memfd),
                TEST(test_stopped_process_is_not_dead),
                TEST(test_exec_ends_the_lease),
                TEST(test_need_peer_drains_then_says_that_it_is_alone),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
