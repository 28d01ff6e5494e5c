/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Unbounded Buffer
 *
 * A queue grows with what nobody has taken yet, up to what was declared, and gives its memory back
 * when it is drained; items go through as in a ring, whoever dies meanwhile. Memory is what the
 * file system says is behind the lane.
 */

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        SEGMENT = 64 << 10,
        SEGMENT_ITEMS = SEGMENT / 64,
        MAX_ITEMS = (4 << 20) / 64,
        MANY = 1000000,
        /* The segment in which the producer is, the one ahead, and one that both share. */
        FLOOR = 3 * SEGMENT + 4096,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {kind: queue, item: {size: 64, align: 8}, max_bytes: 4M, segment: 64K}\n"
                "regions:\n"
                "  - {name: $/one, access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/two, producers: 2, backing: memfd,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n";

static const char yaml_on_demand[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/one, kind: queue, item: {size: 64, align: 8}, max_bytes: 4M,\n"
                "     segment: 64K, lifetime: on_demand,\n"
                "     access: {produce: [any], consume: [any]}}\n"
                "  - {name: $/other, kind: raw, size: 4M, lifetime: on_demand,\n"
                "     access: {read: [any]}}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
static struct shmb *c[2];

static struct shmb_region *attach(unsigned i, const char *name, enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_connect(broker.socket, &c[i]), 0);
        assert_int_equal(shmb_attach(c[i], broker_name(&broker, name), role, NULL, &r), 0);
        return r;
}

static void leave(unsigned i, struct shmb_region *r) {
        shmb_detach(r);
        c[i] = shmb_close(c[i]);
}

static int setup(void **state) {
        broker_begin(&broker, yaml);
        return 0;
}

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

/* Bytes of memory behind the lane of $/one. */
static uint64_t memory(void) {
        BrokerName names[BROKER_NAMES_MAX];
        size_t i, n = broker_shm(&broker, names);
        char path[512];
        struct stat st;

        for (i = 0; i < n; i++) {
                if (!strstr(names[i].name, ".one@") || !strstr(names[i].name, ".lane"))
                        continue;
                snprintf(path, sizeof(path), "/dev/shm/%.255s", names[i].name);
                assert_int_equal(stat(path, &st), 0);
                return (uint64_t)st.st_blocks * 512;
        }
        fail_msg("there is no lane");
        return 0;
}

static void push_some(struct shmb_region *r, uint64_t from, uint64_t n) {
        uint64_t i;
        Item item;

        for (i = from; i < from + n; i++) {
                item_make(&item, i);
                assert_int_equal(shmb_push(r, &item, -1), 0);
        }
}

static void pop_some(struct shmb_region *r, uint64_t from, uint64_t n) {
        uint64_t i;
        Item item;

        for (i = from; i < from + n; i++) {
                assert_int_equal(shmb_pop(r, &item, -1), 0);
                assert_true(item_is(&item, i));
        }
}

/* All that fits: what is asked for ahead comes while others would be busy. */
static uint64_t fill(struct shmb_region *r, uint64_t from) {
        uint64_t n = from;
        int result;
        Item item;

        for (;;) {
                item_make(&item, n);
                result = shmb_push(r, &item, 200000000);
                if (result == -ETIMEDOUT)
                        return n - from;
                assert_int_equal(result, 0);
                n++;
        }
}

static void test_memory_comes_with_the_items_and_goes_with_them(void **state) {
        struct shmb_region *producer = attach(0, "one", SHMB_PRODUCE);
        struct shmb_region *consumer = attach(1, "one", SHMB_CONSUME);
        uint64_t round;

        assert_int_equal(memory(), 4096 + SEGMENT);
        for (round = 0; round < 3; round++) {
                push_some(producer, round * 40000, 40000);
                assert_true(memory() >= 40000 * 64);
                pop_some(consumer, round * 40000, 40000);
                broker_until(memory() <= FLOOR);
        }
        leave(1, consumer);
        leave(0, producer);
        broker_end(&broker);
}

static void test_queue_is_full_at_what_was_declared(void **state) {
        struct shmb_region *producer = attach(0, "one", SHMB_PRODUCE);
        struct shmb_region *consumer = attach(1, "one", SHMB_CONSUME);
        Item item;

        assert_int_equal(fill(producer, 0), MAX_ITEMS);
        assert_int_equal(memory(), 4096 + (4 << 20));
        item_make(&item, MAX_ITEMS);
        assert_int_equal(shmb_push(producer, &item, 0), -EAGAIN);
        /* A segment that is taken makes room for one more. */
        pop_some(consumer, 0, SEGMENT_ITEMS + 1);
        broker_until(shmb_push(producer, &item, 0) == 0);
        pop_some(consumer, SEGMENT_ITEMS + 1, MAX_ITEMS - SEGMENT_ITEMS);
        assert_int_equal(shmb_pop(consumer, &item, 0), -EAGAIN);
        broker_until(memory() <= FLOOR);
        leave(1, consumer);
        leave(0, producer);
        broker_end(&broker);
}

static void test_producer_has_what_is_reserved_while_the_broker_is_away(void **state) {
        struct shmb_region *producer = attach(0, "one", SHMB_PRODUCE);
        struct shmb_region *consumer = attach(1, "one", SHMB_CONSUME);
        uint64_t n;

        push_some(producer, 0, 10);
        broker_kill(&broker);
        n = 10 + fill(producer, 10);
        assert_true(n >= SEGMENT_ITEMS && n <= 2 * SEGMENT_ITEMS);
        assert_non_null(strstr(shmb_error(c[0]), "the broker"));
        pop_some(consumer, 0, 5);
        broker_start(&broker);
        push_some(producer, n, 10 * SEGMENT_ITEMS);
        pop_some(consumer, 5, n - 5 + 10 * SEGMENT_ITEMS);
        leave(1, consumer);
        leave(0, producer);
        broker_end(&broker);
}

/* An answer behind all that this client has told without waiting for one. */
static void wait_until_heard(unsigned i) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_attach(c[i], broker_name(&broker, "one"), SHMB_OBSERVE, NULL, &r),
                         0);
        shmb_detach(r);
}

static void test_next_broker_knows_what_is_reserved(void **state) {
        struct shmb_region *producer = attach(0, "one", SHMB_PRODUCE);
        struct shmb_region *consumer = attach(1, "one", SHMB_CONSUME);
        uint64_t before;

        push_some(producer, 0, 20 * SEGMENT_ITEMS);
        pop_some(consumer, 0, 10 * SEGMENT_ITEMS);
        wait_until_heard(0);
        wait_until_heard(1);
        before = memory();
        broker_kill(&broker);
        broker_start(&broker);
        assert_int_equal(memory(), before);
        push_some(producer, 20 * SEGMENT_ITEMS, 2 * SEGMENT_ITEMS);
        pop_some(consumer, 10 * SEGMENT_ITEMS, 12 * SEGMENT_ITEMS);
        broker_until(memory() <= FLOOR);
        leave(1, consumer);
        leave(0, producer);
        broker_end(&broker);
}

static void produce_many(void *data) {
        struct shmb_region *r = mover_attach(&broker, data, SHMB_PRODUCE);
        uint64_t i;
        Item item;

        for (i = 0; i < MANY; i++) {
                item_make(&item, i);
                child_equal(shmb_push(r, &item, -1), 0);
        }
        shmb_detach(r);
}

typedef struct Consumption {
        char name[256];
        uint64_t from, to; /* items of each of two producers; killed at `to` if `dies` */
        bool dies;
} Consumption;

/* Two producers that are told apart by nothing: each item comes once from each of them. */
static void consume_many(void *data) {
        const Consumption *consumption = data;
        struct shmb_region *r = mover_attach(&broker, consumption->name, SHMB_CONSUME);
        uint64_t n = 0, next[2] = {};
        const Item *item;
        const void *slot;
        int result;

        while (n < 2 * (uint64_t)MANY) {
                result = shmb_peek(r, &slot, -1);
                if (result == -EOWNERDEAD)
                        continue;
                child_equal(result, 0);
                item = slot;
                if (item->number == next[0])
                        next[0]++;
                else if (item->number == next[1])
                        next[1]++;
                else
                        child_fail(__FILE__, __LINE__, "out of order", (long)item->number);
                child_check(item_is(item, item->number));
                child_equal(shmb_release(r), 0);
                n++;
        }
        shmb_detach(r);
}

static void test_two_producers_and_a_consumer_with_a_broker_that_dies(void **state) {
        Consumption consumption = {};
        Child producers[2], consumer;
        unsigned i;

        snprintf(consumption.name, sizeof(consumption.name), "%s", broker_name(&broker, "two"));
        child_spawn(&consumer, &bob, consume_many, &consumption);
        for (i = 0; i < 2; i++)
                child_spawn(&producers[i], &alice, produce_many, consumption.name);
        child_finish(&producers[0]);
        child_finish(&producers[1]);
        child_finish(&consumer);
        broker_end(&broker);
}

static void test_successor_of_a_dead_consumer_goes_on(void **state) {
        struct shmb_region *producer = attach(0, "one", SHMB_PRODUCE), *consumer;
        struct shmb_stats stats = { .size = sizeof(stats) };
        Mover mover;

        push_some(producer, 0, 10 * SEGMENT_ITEMS);
        mover_start(&mover, &broker, broker_name(&broker, "one"), SHMB_CONSUME, &bob);
        mover_do(&mover, "pop 5000 from 0", "5000 0");
        child_kill(&mover.child);
        consumer = attach(1, "one", SHMB_CONSUME);
        pop_some(consumer, 5000, 10 * SEGMENT_ITEMS - 5000);
        assert_int_equal(shmb_get_stats(consumer, &stats), 0);
        assert_int_equal(stats.n_redelivered, 0);
        broker_until(memory() <= FLOOR);
        leave(1, consumer);
        leave(0, producer);
        broker_end(&broker);
}

static void small_shm(void *data) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=5m,mode=1777") < 0)
                _exit(126);
}

static void test_want_of_memory_is_an_answer_and_no_signal(void **state) {
        struct shmb_region *producer, *consumer, *other;
        uint64_t n;

        broker_init(&broker, yaml_on_demand);
        broker.prepare = small_shm;
        broker_start(&broker);
        /* Most of it is somebody else's. */
        other = attach(1, "other", SHMB_READ);
        shmb_close(c[1]);
        producer = attach(0, "one", SHMB_PRODUCE);
        n = fill(producer, 0);
        assert_true(n >= 8 * SEGMENT_ITEMS && n < 16 * SEGMENT_ITEMS);
        assert_non_null(strstr(shmb_error(c[0]), "has memory for"));
        /* It is as good as ever when somebody takes items. */
        consumer = attach(1, "one", SHMB_CONSUME);
        pop_some(consumer, 0, n);
        push_some(producer, n, 3 * SEGMENT_ITEMS);
        pop_some(consumer, n, 3 * SEGMENT_ITEMS);
        shmb_detach(other);
        leave(1, consumer);
        leave(0, producer);
        broker_stop(&broker);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_memory_comes_with_the_items_and_goes_with_them),
                TEST(test_queue_is_full_at_what_was_declared),
                TEST(test_producer_has_what_is_reserved_while_the_broker_is_away),
                TEST(test_next_broker_knows_what_is_reserved),
                TEST(test_two_producers_and_a_consumer_with_a_broker_that_dies),
                TEST(test_successor_of_a_dead_consumer_goes_on),
                cmocka_unit_test_teardown(test_want_of_memory_is_an_answer_and_no_signal, teardown),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
