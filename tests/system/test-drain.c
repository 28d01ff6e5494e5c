/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Region that Gets another Shape while it is Used
 *
 * Its successor is there beside it at once. Producers are told and go over; consumers take what is
 * left, and go over when nobody can add to it any more: no item is lost, repeated or out of order.
 */

#include <errno.h>
#include <setjmp.h>
#include <shmbroker.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/admin.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/keeper.h"
#include "tests/harness/steps.h"

#define PATIENCE_NS INT64_C(50000000)
#define ATTACH_NS INT64_C(10000000000)

enum {
        RESHAPES = 30,
        MANY = 2000, /* items between two of them */
        LIVES = 5,
        SHAPES = 9, /* by turns one of two */
        /* Of the calls at which it is killed one in so many is tried, from another first one each
         * time. */
        STRIDE = 7,
};

/* Shared with the children. */
typedef struct Shared {
        _Atomic bool stop;
        _Atomic uint64_t produced; /* once it has stopped; else 0 */
        _Atomic uint64_t consumed, n_stale_produce, n_stale_consume;
} Shared;

static Broker broker;
static Keeper keeper;
static unsigned capacity = 64; /* what a visitor configures */
static Shared *shared;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static void configure(unsigned n_slots) {
        char yaml[320];

        snprintf(yaml, sizeof(yaml),
                 "version: 1\n"
                 "regions:\n"
                 "  - {name: $/ring, kind: ring, item: {size: 64, align: 8}, capacity: %u,\n"
                 "     backing: %s, access: {produce: [any], consume: [any]}}\n",
                 n_slots, broker.keeper ? "memfd" : "posix");
        broker_configure(&broker, yaml);
}

static int begin(Keeper *with) {
        shared = child_share(sizeof(*shared));
        broker_init(&broker, "version: 1\n");
        broker.keeper = with;
        configure(64);
        broker_start(&broker);
        return 0;
}

static int setup(void **state) {
        return begin(NULL);
}

/* Memory without a name, which a service manager keeps. */
static int setup_sealed(void **state) {
        return begin(&keeper);
}

static int teardown(void **state) {
        child_unshare(shared, sizeof(*shared));
        broker_deinit(&broker);
        return 0;
}

/* What is left of regions, when the broker has heard of the last death: @n of its objects. */
static void expect_objects(size_t n) {
        if (!broker.keeper)
                broker_until(broker_n_shm(&broker) == n);
        else
                broker_until((broker_hear(&broker), keeper_count(&keeper, "shmb.")) == n);
}

/* In a child; on one connection, whatever becomes of brokers. */
static struct shmb_region *attach(enum shmb_role role) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        static struct shmb *c;
        struct shmb_region *r;
        int result;

        if (!c)
                child_equal(shmb_connect(broker.socket, &c), 0);
        want.timeout_ns = ATTACH_NS;
        result = shmb_attach(c, broker_name(&broker, "ring"), role, &want, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        return r;
}

static void produce(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        uint64_t i = 1;
        int result;
        Item item;

        child_say("attached");
        while (!atomic_load(&shared->stop)) {
                item_make(&item, i);
                result = shmb_push(r, &item, PATIENCE_NS);
                if (result == -ESTALE) {
                        atomic_fetch_add(&shared->n_stale_produce, 1);
                        shmb_detach(r);
                        r = attach(SHMB_PRODUCE);
                        continue;
                }
                if (result == -ETIMEDOUT)
                        continue;
                child_equal(result, 0);
                i++;
        }
        atomic_store(&shared->produced, i - 1);
        shmb_detach(r);
}

static void consume(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        uint64_t i = 1, all = 0;
        int result;
        Item item;

        child_say("attached");
        while (all == 0 || i <= all) {
                all = atomic_load(&shared->produced);
                result = shmb_pop(r, &item, PATIENCE_NS);
                if (result == -ESTALE) {
                        atomic_fetch_add(&shared->n_stale_consume, 1);
                        shmb_detach(r);
                        r = attach(SHMB_CONSUME);
                        continue;
                }
                if (result == -ETIMEDOUT)
                        continue;
                child_equal(result, 0);
                child_check(item_is(&item, i));
                atomic_store(&shared->consumed, i++);
        }
        shmb_detach(r);
}

static void flow_on(void) {
        uint64_t before = atomic_load(&shared->consumed);

        broker_until(atomic_load(&shared->consumed) - before > MANY);
}

static void begin_to_flow(Child *producer, Child *consumer) {
        child_spawn(consumer, &bob, consume, NULL);
        child_expect(consumer, "attached");
        child_spawn(producer, &alice, produce, NULL);
        child_expect(producer, "attached");
}

static void end_to_flow(Child *producer, Child *consumer) {
        flow_on();
        atomic_store(&shared->stop, true);
        child_finish(producer);
        child_finish(consumer);
        assert_int_equal(shared->consumed, shared->produced);
        expect_objects(3);
        broker_end(&broker);
}

static void reshape_under_load(bool kill_brokers) {
        Child producer, consumer;
        unsigned i;

        begin_to_flow(&producer, &consumer);
        for (i = 0; i < RESHAPES; i++) {
                flow_on();
                configure(i % 2 ? 64 : 512);
                broker_reload(&broker);
                if (kill_brokers) {
                        broker_kill(&broker);
                        broker_start(&broker);
                }
        }
        /* Both have gone over to the last one. */
        broker_until(atomic_load(&shared->n_stale_consume) == RESHAPES);
        assert_int_equal(shared->n_stale_produce, RESHAPES);
        end_to_flow(&producer, &consumer);
}

static void test_nothing_is_lost_when_a_ring_is_reshaped_under_load(void **state) {
        reshape_under_load(false);
}

static void test_nothing_is_lost_when_the_broker_dies_behind_that(void **state) {
        reshape_under_load(true);
}

/* Whatever the broker answers, or does not. */
static void reload_as_visitor(void) {
        WireMessage reload = { .type = WIRE_RELOAD };
        Caller admin;

        if (caller_begin(&admin, broker.admin) != 0)
                _exit(1);
        configure(capacity);
        (void)caller_call(&admin, &reload);
        _exit(0);
}

/* In the k-th run as it enters its k-th call, from the lock of the runtime directory on. Both have
 * gone over when the next one begins: who comes late does not find what nobody held. */
static void test_nothing_is_lost_wherever_the_broker_is_killed(void **state) {
        size_t k = 1 + (size_t)getpid() % STRIDE;
        Child producer, consumer;
        bool reached = true;
        pid_t visitor = 0;

        begin_to_flow(&producer, &consumer);
        for (; reached; k += STRIDE) {
                flow_on();
                broker_kill(&broker);
                capacity = capacity == 64 ? 512 : 64;
                reached = steps_run(&broker, k, STEPS_FROM_LOCK, reload_as_visitor, &visitor);
                if (visitor > 0) {
                        kill(visitor, SIGKILL);
                        waitpid(visitor, NULL, 0);
                }
                visitor = 0;
                broker_start(&broker);
        }
        print_message("a run takes fewer than %zu system calls\n", k);
        assert_true(k > 100);
        end_to_flow(&producer, &consumer);
}

/* Waits for a line, then says what it got. */
static void push_when_told(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        Item item;

        item_make(&item, 1);
        child_equal(shmb_push(r, &item, 0), 0);
        child_say("pushed");
        child_await("again");
        child_equal(shmb_push(r, &item, 0), -ESTALE);
        child_say("stale");
        child_await("end");
        shmb_detach(r);
}

static void pop_when_told(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        char line[CHILD_LINE_MAX];
        int result;
        Item item;

        child_say("attached");
        for (;;) {
                child_listen(line);
                if (line[0] == 'e')
                        break;
                /* That a peer died is said before or not at all: there is nobody to wait for. */
                do
                        result = shmb_pop(r, &item, line[0] == 'w' ? -1 : PATIENCE_NS);
                while (result == -EOWNERDEAD);
                child_say("%d", -result);
        }
        shmb_detach(r);
}

static void expect_errno(Child *child, const char *order, int error) {
        char line[16];

        snprintf(line, sizeof(line), "%d", error);
        child_tell(child, order);
        child_expect(child, line);
}

/* Both hold it, and an item is in it. */
static void hold(Child *producer, Child *consumer) {
        child_spawn(consumer, &bob, pop_when_told, NULL);
        child_expect(consumer, "attached");
        child_spawn(producer, &alice, push_when_told, NULL);
        child_expect(producer, "pushed");
}

static void begin_to_drain(Child *producer, Child *consumer) {
        const WireMessage reload = { .type = WIRE_RELOAD };
        bool applied;

        hold(producer, consumer);
        configure(128);
        assert_int_equal(admin_order(&broker, reload, "drain ", &applied), 1);
        expect_errno(consumer, "pop", 0);
        /* Nothing is left, and somebody may still be about to add to it. */
        expect_errno(consumer, "pop", ETIMEDOUT);
}

static void test_a_consumer_waits_for_the_last_producer(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        expect_objects(4);
        child_tell(&producer, "again");
        child_expect(&producer, "stale");
        expect_errno(&consumer, "pop", ETIMEDOUT);
        child_tell(&consumer, "wait");
        child_tell(&producer, "end");
        child_finish(&producer);
        child_expect(&consumer, "116"); /* ESTALE */
        child_tell(&consumer, "end");
        child_finish(&consumer);
        expect_objects(3);
        broker_end(&broker);
}

static void test_a_producer_that_dies_is_the_last_one_too(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        child_tell(&consumer, "wait");
        child_kill(&producer);
        child_expect(&consumer, "116"); /* ESTALE */
        child_tell(&consumer, "end");
        child_finish(&consumer);
        broker_end(&broker);
}

/* It drains as before, whoever watches over it. */
static void expect_draining(Child *producer, Child *consumer) {
        expect_errno(consumer, "pop", ETIMEDOUT);
        child_tell(producer, "again");
        child_expect(producer, "stale");
        expect_errno(consumer, "pop", ETIMEDOUT);
        expect_objects(4);
}

static void expect_drained(Child *consumer) {
        child_expect(consumer, "116"); /* ESTALE */
        child_tell(consumer, "end");
        child_finish(consumer);
        expect_objects(3);
}

/* Its last producer lets go of it, or dies. */
static void end_drained(Child *producer, Child *consumer, bool dies) {
        child_tell(consumer, "wait");
        if (dies) {
                child_kill(producer);
        } else {
                child_tell(producer, "end");
                child_finish(producer);
        }
        expect_drained(consumer);
        broker_end(&broker);
}

static void test_brokers_that_die_meanwhile_go_on_with_it(void **state) {
        Child producer, consumer;
        int i;

        begin_to_drain(&producer, &consumer);
        for (i = 0; i < LIVES; i++) {
                broker_kill(&broker);
                broker_start(&broker);
                expect_errno(&consumer, "pop", ETIMEDOUT);
        }
        expect_draining(&producer, &consumer);
        end_drained(&producer, &consumer, false);
}

/* The name of its socket is taken by a directory. */
static void test_a_broker_that_does_not_start_meanwhile_changes_nothing(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        broker_kill(&broker);
        assert_int_equal(unlink(broker.socket), 0);
        assert_int_equal(mkdir(broker.socket, 0700), 0);
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_int_equal(rmdir(broker.socket), 0);
        broker_start(&broker);
        expect_draining(&producer, &consumer);
        end_drained(&producer, &consumer, true);
}

static void test_a_broker_that_is_replaced_meanwhile_hands_it_over(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        kill(broker.pid, SIGUSR1);
        assert_int_equal(broker_wait(&broker), 0);
        broker_start(&broker);
        expect_draining(&producer, &consumer);
        end_drained(&producer, &consumer, true);
}

static void test_a_producer_that_dies_while_there_is_no_broker_is_the_last_one_too(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        child_tell(&consumer, "wait");
        broker_kill(&broker);
        child_kill(&producer);
        broker_start(&broker);
        expect_drained(&consumer);
        broker_end(&broker);
}

/* As an administrator does it who restarts instead of reloading. */
static void test_a_shape_that_changed_while_there_was_no_broker_drains_too(void **state) {
        Child producer, consumer;

        hold(&producer, &consumer);
        broker_kill(&broker);
        configure(128);
        broker_start(&broker);
        expect_errno(&consumer, "pop", 0);
        expect_draining(&producer, &consumer);
        end_drained(&producer, &consumer, false);
}

static void test_a_broker_that_stops_meanwhile_leaves_nobody_waiting(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        child_tell(&consumer, "wait");
        broker_stop(&broker);
        child_expect(&consumer, "116"); /* ESTALE */
        child_tell(&consumer, "end");
        child_tell(&producer, "again");
        child_expect(&producer, "stale");
        child_tell(&producer, "end");
        child_kill(&producer);
        child_kill(&consumer);
        expect_objects(0);
}

/* An administrator is told before and behind it, and not where somebody consumes. */
static void test_what_nobody_consumes_is_lost_and_counted(void **state) {
        const WireMessage plan = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };
        const WireMessage reload = { .type = WIRE_RELOAD };
        Child producer, consumer;
        bool applied;

        child_spawn(&producer, &alice, push_when_told, NULL);
        child_expect(&producer, "pushed");
        configure(128);
        assert_int_equal(admin_order(&broker, plan, "lose 1 item of ", &applied), 1);
        assert_false(broker_said(&broker, "lose 1 item of ", NULL));
        child_spawn(&consumer, &bob, pop_when_told, NULL);
        child_expect(&consumer, "attached");
        assert_int_equal(admin_order(&broker, plan, "lose", &applied), 0);
        child_tell(&consumer, "end");
        child_finish(&consumer);
        assert_int_equal(admin_order(&broker, reload, "lose 1 item of ", &applied), 1);
        assert_true(broker_said(&broker, "lose 1 item of ", NULL));
        child_kill(&producer);
        expect_objects(3);
        broker_end(&broker);
}

static void produce_one(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        Item item;

        item_make(&item, 7);
        child_equal(shmb_push(r, &item, 0), 0);
        child_say("pushed");
        child_await("end");
}

static void consume_one(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        Item item;

        child_equal(shmb_pop(r, &item, 0), 0);
        child_check(item_is(&item, 7));
        shmb_detach(r);
        child_say("popped");
}

/* One that drains has the same name and the same shape as the one that lives. */
static void test_what_lives_is_not_taken_for_what_drains(void **state) {
        Child producers[SHAPES], consumer;
        int i;

        for (i = 0; i < SHAPES; i++) {
                child_spawn(&producers[i], &alice, produce_one, NULL);
                child_expect(&producers[i], "pushed");
                if (i + 1 == SHAPES)
                        break;
                configure(i % 2 ? 64 : 128);
                broker_reload(&broker);
        }
        broker_kill(&broker);
        broker_start(&broker);
        expect_objects(3 + SHAPES - 1);
        child_spawn(&consumer, &bob, consume_one, NULL);
        child_expect(&consumer, "popped");
        child_finish(&consumer);
        for (i = 0; i < SHAPES; i++) {
                child_tell(&producers[i], "end");
                child_finish(&producers[i]);
        }
        expect_objects(3);
        broker_end(&broker);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
#define BOTH(_name) \
        TEST(_name), cmocka_unit_test_setup_teardown(_name, setup_sealed, teardown)
                TEST(test_nothing_is_lost_when_a_ring_is_reshaped_under_load),
                BOTH(test_nothing_is_lost_when_the_broker_dies_behind_that),
                BOTH(test_nothing_is_lost_wherever_the_broker_is_killed),
                TEST(test_a_consumer_waits_for_the_last_producer),
                TEST(test_a_producer_that_dies_is_the_last_one_too),
                BOTH(test_brokers_that_die_meanwhile_go_on_with_it),
                BOTH(test_a_broker_that_does_not_start_meanwhile_changes_nothing),
                BOTH(test_a_broker_that_is_replaced_meanwhile_hands_it_over),
                BOTH(test_a_producer_that_dies_while_there_is_no_broker_is_the_last_one_too),
                BOTH(test_a_shape_that_changed_while_there_was_no_broker_drains_too),
                BOTH(test_a_broker_that_stops_meanwhile_leaves_nobody_waiting),
                BOTH(test_what_nobody_consumes_is_lost_and_counted),
                BOTH(test_what_lives_is_not_taken_for_what_drains),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
