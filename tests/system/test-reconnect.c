/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients while the Broker is Away
 *
 * Dead, stopped, or not there yet: control calls keep to their time-outs and go through if the
 * broker comes back within them, and all who hold something come back by themselves.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/mover.h"

enum {
        CROWD = 40,
        SHORT_MS = 200,
        HELD = 3,
};

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any]}}\n"
                "  - name: $/ring\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    access: {produce: [any], consume: [any]}\n";

static Broker broker;
static char raw[256], ring[256];

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void begin(void) {
        broker_begin(&broker, yaml);
        strcpy(raw, broker_name(&broker, "raw"));
        strcpy(ring, broker_name(&broker, "ring"));
}

/* Two attaches on one connection: one with little patience while there is no answer to be had, one
 * with much. */
static void attach_twice_in_child(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        uint64_t before_ns, waited_ns;
        int result;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_say("connected");
        child_await("try");
        want.timeout_ns = SHORT_MS * INT64_C(1000000);
        before_ns = broker_now_ns();
        result = shmb_attach(c, raw, SHMB_READ, &want, &r);
        waited_ns = broker_now_ns() - before_ns;
        child_check(result == -ETIMEDOUT || result == -ECONNREFUSED || result == -ENOENT);
        child_check(!r && strlen(shmb_error(c)) > 0);
        /* it tried as long as it was told to, and not much longer */
        child_check(waited_ns >= UINT64_C(1000000) * SHORT_MS * 9 / 10);
        child_check(waited_ns < UINT64_C(5000000000));
        child_say("refused");
        want.timeout_ns = BROKER_DEADLINE_MS * INT64_C(1000000);
        result = shmb_attach(c, raw, SHMB_READ, &want, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        child_say("attached");
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

static void test_reconnect_to_a_broker_that_was_killed(void **state) {
        WireRegion region;
        Caller caller;
        Child child;

        begin();
        child_spawn(&child, &bob, attach_twice_in_child, NULL);
        child_expect(&child, "connected");
        broker_kill(&broker);
        child_tell(&child, "try");
        child_expect(&child, "refused");
        broker_start(&broker);
        child_expect(&child, "attached");
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, raw, &region), 0);
        assert_int_equal(region.n_readers, 1);
        caller_close(&caller);
        child_tell(&child, "end");
        child_finish(&child);
        broker_end(&broker);
}

/* Stopped in a debugger, or starved: it is there and says nothing. A request that was given up is
 * not one that holds something afterwards. */
static void test_reconnect_to_a_broker_that_was_stopped(void **state) {
        WireRegion region;
        Caller caller;
        Child child;

        begin();
        child_spawn(&child, &bob, attach_twice_in_child, NULL);
        child_expect(&child, "connected");
        kill(broker.pid, SIGSTOP);
        assert_int_equal(waitpid(broker.pid, NULL, WUNTRACED), broker.pid);
        child_tell(&child, "try");
        child_expect(&child, "refused");
        kill(broker.pid, SIGCONT);
        child_expect(&child, "attached");
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        broker_until(caller_list(&caller, raw, &region) == 0 && region.n_readers == 1);
        child_tell(&child, "end");
        child_finish(&child);
        broker_until(caller_list(&caller, raw, &region) == 0 && region.n_readers == 0);
        caller_close(&caller);
        broker_end(&broker);
}

static void test_ring_flows_while_the_broker_is_stopped(void **state) {
        Mover producer, consumer;

        begin();
        mover_start(&producer, &broker, ring, SHMB_PRODUCE, &alice);
        mover_start(&consumer, &broker, ring, SHMB_CONSUME, &bob);
        kill(broker.pid, SIGSTOP);
        assert_int_equal(waitpid(broker.pid, NULL, WUNTRACED), broker.pid);
        mover_do(&producer, "push 64 from 0", "64 0");
        mover_do(&consumer, "pop 64 from 0", "64 0");
        mover_do(&producer, "push 100 from 64", "64 EAGAIN");
        mover_do(&consumer, "pop 100 from 64", "64 EAGAIN");
        kill(broker.pid, SIGCONT);
        mover_end(&producer);
        mover_end(&consumer);
        broker_end(&broker);
}

/* Lets go of all that it holds while there is nobody to tell, and only then looks after its
 * connection. */
static void let_go_in_child(void *data) {
        struct shmb_region *regions[HELD];
        struct shmb *c = NULL;
        unsigned i;

        child_equal(shmb_connect(broker.socket, &c), 0);
        for (i = 0; i < HELD; i++)
                child_equal(shmb_attach(c, i == 0 ? ring : raw, i == 0 ? SHMB_PRODUCE : SHMB_READ,
                                        NULL, &regions[i]),
                            0);
        child_say("attached");
        child_await("let go");
        for (i = 0; i < HELD; i++)
                shmb_detach(regions[i]);
        child_say("let go");
        child_await("come back");
        for (;;) {
                (void)shmb_dispatch(c);
                broker_pause();
        }
}

/* Holds something, and does nothing but look after its connection. */
static void hold_in_child(void *data) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, raw, SHMB_READ, NULL, &r), 0);
        child_say("attached");
        for (;;) {
                (void)shmb_dispatch(c);
                broker_pause();
        }
}

/* In one look: a client that comes back meanwhile is counted once. */
static unsigned n_holders(unsigned *ret_n_connected) {
        WireMessage message = { .type = WIRE_WHO };
        WireHolder holder;
        unsigned n = 0, n_connected = 0;
        Caller caller;
        size_t at;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        do {
                message.id = 0;
                at = 0;
                assert_int_equal(caller_call(&caller, &message), 0);
                while (wire_holder_next(&caller.reply.holders, &at, &holder) == 1) {
                        assert_true(holder.lease > message.who.after);
                        message.who.after = holder.lease;
                        n_connected += holder.connected;
                        n++;
                }
        } while (caller.reply.holders.more);
        caller_close(&caller);
        *ret_n_connected = n_connected;
        return n;
}

static void test_reconnect_of_a_crowd(void **state) {
        Child children[CROWD];
        uint64_t before_ns;
        unsigned i, n_connected;

        begin();
        for (i = 0; i < CROWD; i++)
                child_spawn(&children[i], i % 2 ? &alice : &bob, hold_in_child, NULL);
        for (i = 0; i < CROWD; i++)
                child_expect(&children[i], "attached");
        assert_int_equal(n_holders(&n_connected), CROWD);
        assert_int_equal(n_connected, CROWD);
        broker_kill(&broker);
        broker_start(&broker);
        before_ns = broker_now_ns();
        assert_int_equal(n_holders(&n_connected), CROWD);
        broker_until(n_holders(&n_connected) == CROWD && n_connected == CROWD);
        print_message("%u clients were back within %llu ms\n", CROWD,
                      (unsigned long long)(broker_now_ns() - before_ns) / 1000000);
        /* and when all of them die at once, all of them are gone */
        for (i = 0; i < CROWD; i++)
                kill(children[i].pid, SIGKILL);
        for (i = 0; i < CROWD; i++)
                child_wait(&children[i]);
        broker_until(n_holders(&n_connected) == 0);
        broker_end(&broker);
}

/* A lease is over when its client says so, and it says so as soon as there is somebody to hear. */
static void test_detach_while_the_broker_is_away_ends_the_lease(void **state) {
        unsigned n_connected;
        Mover producer;
        Child child;

        begin();
        child_spawn(&child, &alice, let_go_in_child, NULL);
        child_expect(&child, "attached");
        broker_kill(&broker);
        child_tell(&child, "let go");
        child_expect(&child, "let go");
        broker_start(&broker);
        /* it lives, and may be about to come back to them */
        assert_int_equal(n_holders(&n_connected), HELD);
        assert_int_equal(n_connected, 0);
        child_tell(&child, "come back");
        broker_until(n_holders(&n_connected) == 0);
        mover_start(&producer, &broker, ring, SHMB_PRODUCE, &bob);
        mover_do(&producer, "push 1 from 0", "1 0");
        mover_end(&producer);
        child_kill(&child);
        broker_end(&broker);
}

/* What it says first to the next broker is that it lets go. */
static void test_detach_behind_a_restart_ends_the_lease(void **state) {
        unsigned n_connected;
        Child child;

        begin();
        child_spawn(&child, &alice, let_go_in_child, NULL);
        child_expect(&child, "attached");
        broker_kill(&broker);
        broker_start(&broker);
        assert_int_equal(n_holders(&n_connected), HELD);
        child_tell(&child, "let go");
        child_expect(&child, "let go");
        assert_int_equal(n_holders(&n_connected), 0);
        child_kill(&child);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_reconnect_to_a_broker_that_was_killed),
                TEST(test_reconnect_to_a_broker_that_was_stopped),
                TEST(test_ring_flows_while_the_broker_is_stopped),
                TEST(test_reconnect_of_a_crowd),
                TEST(test_detach_while_the_broker_is_away_ends_the_lease),
                TEST(test_detach_behind_a_restart_ends_the_lease),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
