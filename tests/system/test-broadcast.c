/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Everybody Sees Everything, or is Told what Not
 *
 * Broadcast, lossy and reliable, and the latest value, between real processes: consumers come, go,
 * die and stand still, and each knows exactly what it got.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        MANY = 200000,
        CONSUMERS = 3,
        VALUES = 1000000,
        KILLS = 20,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {item: {size: 64, align: 8}, kind: broadcast, consumers: 4,\n"
                "           access: {produce: [any], consume: [any], observe: [any]}}\n"
                "regions:\n"
                "  - {name: $/lossy, capacity: 64}\n"
                "  - {name: $/reliable, capacity: 64, delivery: reliable, producers: 2}\n"
                "  - {name: $/sealed, capacity: 8, delivery: reliable, backing: memfd}\n"
                "  - {name: $/latest, kind: latest, slots: 3}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
static char name[256];

static int setup(void **state) {
        broker_begin(&broker, yaml);
        return 0;
}

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void use(const char *region) {
        snprintf(name, sizeof(name), "%s", broker_name(&broker, region));
}

/* Items from @data on. */
static void produce(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_PRODUCE);
        const uint64_t *first = data;
        uint64_t i;
        int result;
        Item item;

        child_say("ready");
        child_await("go");
        for (i = 0; i < MANY; i++) {
                item_make(&item, *first + i);
                while ((result = shmb_push(r, &item, -1)) == -EOWNERDEAD)
                        ;
                child_equal(result, 0);
        }
        child_say("done");
        child_await("end");
        shmb_detach(r);
}

/* What is taken and what is missed is everything, in order. */
static void consume_lossy(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        uint64_t next = 0;
        Item item;

        child_say("ready");
        while (next < MANY) {
                child_equal(shmb_pop(r, &item, -1), 0);
                next += shmb_missed(r);
                child_check(item_is(&item, next));
                next++;
        }
        child_equal(shmb_missed(r), 0);
        shmb_detach(r);
}

static void start(Child *child, const ChildIdentity *identity, void (*function)(void *),
                  void *data) {
        child_spawn(child, identity, function, data);
        child_expect(child, "ready");
}

static void test_lossy_consumers_know_exactly_what_they_missed(void **state) {
        static uint64_t first;
        Child producer, consumers[CONSUMERS];
        unsigned i;

        use("lossy");
        start(&producer, &alice, produce, &first);
        for (i = 0; i < CONSUMERS; i++)
                start(&consumers[i], &bob, consume_lossy, NULL);
        /* One of them stands still, and holds nobody back. */
        assert_int_equal(kill(consumers[0].pid, SIGSTOP), 0);
        child_tell(&producer, "go");
        child_expect(&producer, "done");
        assert_int_equal(kill(consumers[0].pid, SIGCONT), 0);
        for (i = 0; i < CONSUMERS; i++)
                child_finish(&consumers[i]);
        child_tell(&producer, "end");
        child_finish(&producer);
        broker_end(&broker);
}

/* Each item of each producer from the first one on that it sees. */
static void consume_reliable(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        uint64_t next[2] = { UINT64_MAX, UINT64_MAX };
        unsigned which;
        int result;
        Item item;

        child_say("ready");
        while (next[0] != MANY || next[1] != 2 * (uint64_t)MANY) {
                result = shmb_pop(r, &item, 200000000);
                if (result == -EOWNERDEAD)
                        continue;
                /* Who came late may have nothing to see of one of them. */
                if (result == -ETIMEDOUT)
                        break;
                child_equal(result, 0);
                which = item.number >= MANY;
                child_check(item_is(&item, item.number));
                child_check(next[which] == UINT64_MAX || next[which] == item.number);
                next[which] = item.number + 1;
        }
        child_say("%llu %llu", (unsigned long long)next[0], (unsigned long long)next[1]);
        child_await("end");
        shmb_detach(r);
}

static void test_reliable_consumers_see_everything_whoever_comes_and_dies(void **state) {
        static uint64_t first[2] = { 0, MANY };
        Child producers[2], consumer, mortal;
        char all[64];
        unsigned i;

        use("reliable");
        for (i = 0; i < 2; i++)
                start(&producers[i], &alice, produce, &first[i]);
        start(&consumer, &bob, consume_reliable, NULL);
        for (i = 0; i < 2; i++)
                child_tell(&producers[i], "go");
        for (i = 0; i < KILLS; i++) {
                start(&mortal, &bob, consume_reliable, NULL);
                child_kill(&mortal);
        }
        snprintf(all, sizeof(all), "%d %d", MANY, 2 * MANY);
        child_expect(&consumer, all);
        for (i = 0; i < 2; i++) {
                child_expect(&producers[i], "done");
                child_tell(&producers[i], "end");
                child_finish(&producers[i]);
        }
        child_tell(&consumer, "end");
        child_finish(&consumer);
        broker_end(&broker);
}

static struct shmb_region *attach(struct shmb **ret_c, enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_connect(broker.socket, ret_c), 0);
        assert_int_equal(shmb_attach(*ret_c, name, role, NULL, &r), 0);
        return r;
}

static int push(struct shmb_region *r, uint64_t number) {
        Item item;

        item_make(&item, number);
        return shmb_push(r, &item, 0);
}

static void hold_on(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);

        child_say("ready");
        child_await("end");
        shmb_detach(r);
}

static void test_slow_reliable_consumer_holds_back_until_it_is_gone(void **state) {
        struct shmb_region *producer, *consumer;
        struct shmb *c[2];
        uint64_t i;
        Child slow;
        Item item;

        use("sealed");
        producer = attach(&c[0], SHMB_PRODUCE);
        /* Nobody there: nobody is waited for. */
        for (i = 0; i < 100; i++)
                assert_int_equal(push(producer, i), 0);
        consumer = attach(&c[1], SHMB_CONSUME);
        start(&slow, &bob, hold_on, NULL);
        for (; i < 108; i++)
                assert_int_equal(push(producer, i), 0);
        for (i = 100; i < 108; i++) {
                assert_int_equal(shmb_pop(consumer, &item, 0), 0);
                assert_true(item_is(&item, i));
        }
        assert_int_equal(push(producer, 108), -EAGAIN);
        assert_int_equal(shmb_push(producer, &item, 20000000), -ETIMEDOUT);
        child_kill(&slow);
        broker_until(push(producer, 108) == 0);
        assert_int_equal(shmb_pop(consumer, &item, 0), 0);
        assert_true(item_is(&item, 108));
        shmb_detach(consumer);
        shmb_detach(producer);
        shmb_close(c[0]);
        shmb_close(c[1]);
        broker_end(&broker);
}

static void produce_values(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_PRODUCE);
        uint64_t i;
        Item item;

        for (i = 0; i < VALUES; i++) {
                item_make(&item, i);
                child_equal(shmb_push(r, &item, -1), 0);
        }
        shmb_detach(r);
}

static void consume_values(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        uint64_t next = 0;
        Item item;

        child_say("ready");
        while (next < VALUES) {
                child_equal(shmb_pop(r, &item, -1), 0);
                child_check(item.number >= next && item_is(&item, item.number));
                child_equal((long)shmb_missed(r), (long)(item.number - next));
                next = item.number + 1;
        }
        shmb_detach(r);
}

static void test_latest_value_is_whole_and_never_older(void **state) {
        Child producer, consumers[CONSUMERS];
        struct shmb_region *late;
        struct shmb *c;
        unsigned i;
        Item item;

        use("latest");
        for (i = 0; i < CONSUMERS; i++)
                start(&consumers[i], &bob, consume_values, NULL);
        child_spawn(&producer, &alice, produce_values, NULL);
        child_finish(&producer);
        for (i = 0; i < CONSUMERS; i++)
                child_finish(&consumers[i]);
        /* Who comes later finds the value that there is, once. */
        late = attach(&c, SHMB_CONSUME);
        assert_int_equal(shmb_pop(late, &item, 0), 0);
        assert_true(item_is(&item, VALUES - 1));
        assert_int_equal(shmb_pop(late, &item, 0), -EAGAIN);
        shmb_detach(late);
        shmb_close(c);
        broker_end(&broker);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_lossy_consumers_know_exactly_what_they_missed),
                TEST(test_reliable_consumers_see_everything_whoever_comes_and_dies),
                TEST(test_slow_reliable_consumer_holds_back_until_it_is_gone),
                TEST(test_latest_value_is_whole_and_never_older),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
