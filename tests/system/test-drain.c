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
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

#define PATIENCE_NS INT64_C(50000000)

enum {
        RESHAPES = 30,
        MANY = 2000, /* items between two of them */
};

/* Shared with the children. */
typedef struct Shared {
        _Atomic bool stop;
        _Atomic uint64_t produced; /* once it has stopped; else 0 */
        _Atomic uint64_t consumed, n_stale_produce, n_stale_consume;
} Shared;

static Broker broker;
static Shared *shared;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static void configure(unsigned capacity) {
        char yaml[256];

        snprintf(yaml, sizeof(yaml),
                 "version: 1\n"
                 "regions:\n"
                 "  - {name: $/ring, kind: ring, item: {size: 64, align: 8}, capacity: %u,\n"
                 "     access: {produce: [any], consume: [any]}}\n", capacity);
        broker_configure(&broker, yaml);
}

static int setup(void **state) {
        shared = child_share(sizeof(*shared));
        broker_init(&broker, "version: 1\n");
        configure(64);
        broker_start(&broker);
        return 0;
}

static int teardown(void **state) {
        child_unshare(shared, sizeof(*shared));
        broker_deinit(&broker);
        return 0;
}

static struct shmb_region *attach(enum shmb_role role) {
        return mover_attach(&broker, broker_name(&broker, "ring"), role);
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

static void test_nothing_is_lost_when_a_ring_is_reshaped_under_load(void **state) {
        Child producer, consumer;
        unsigned i;

        child_spawn(&consumer, &bob, consume, NULL);
        child_expect(&consumer, "attached");
        child_spawn(&producer, &alice, produce, NULL);
        child_expect(&producer, "attached");
        for (i = 0; i < RESHAPES; i++) {
                flow_on();
                configure(i % 2 ? 64 : 512);
                broker_reload(&broker);
        }
        /* Both have gone over to the last one. */
        broker_until(atomic_load(&shared->n_stale_consume) == RESHAPES);
        flow_on();
        atomic_store(&shared->stop, true);
        child_finish(&producer);
        child_finish(&consumer);
        assert_int_equal(shared->consumed, shared->produced);
        assert_int_equal(shared->n_stale_produce, RESHAPES);
        broker_expect_shm(&broker, 3);
        broker_end(&broker);
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

static void begin_to_drain(Child *producer, Child *consumer) {
        child_spawn(consumer, &bob, pop_when_told, NULL);
        child_expect(consumer, "attached");
        child_spawn(producer, &alice, push_when_told, NULL);
        child_expect(producer, "pushed");
        configure(128);
        broker_reload(&broker);
        expect_errno(consumer, "pop", 0);
        /* Nothing is left, and somebody may still be about to add to it. */
        expect_errno(consumer, "pop", ETIMEDOUT);
}

static void test_a_consumer_waits_for_the_last_producer(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        child_tell(&producer, "again");
        child_expect(&producer, "stale");
        expect_errno(&consumer, "pop", ETIMEDOUT);
        child_tell(&consumer, "wait");
        child_tell(&producer, "end");
        child_finish(&producer);
        child_expect(&consumer, "116"); /* ESTALE */
        child_tell(&consumer, "end");
        child_finish(&consumer);
        broker_expect_shm(&broker, 3);
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

/* The next broker knows nothing of who held what is drained, and says so. */
static void test_a_broker_that_dies_meanwhile_leaves_nobody_waiting(void **state) {
        Child producer, consumer;

        begin_to_drain(&producer, &consumer);
        child_tell(&consumer, "wait");
        broker_kill(&broker);
        broker_start(&broker);
        child_expect(&consumer, "116"); /* ESTALE */
        child_tell(&producer, "again");
        child_expect(&producer, "stale");
        child_tell(&producer, "end");
        child_finish(&producer);
        child_tell(&consumer, "end");
        child_finish(&consumer);
        broker_expect_shm(&broker, 3);
        broker_end(&broker);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_nothing_is_lost_when_a_ring_is_reshaped_under_load),
                TEST(test_a_consumer_waits_for_the_last_producer),
                TEST(test_a_producer_that_dies_is_the_last_one_too),
                TEST(test_a_broker_that_dies_meanwhile_leaves_nobody_waiting),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
