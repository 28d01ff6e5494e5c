/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Several Producers
 *
 * Each has a lane of its own in one region, and one consumer takes from all of them: every item
 * arrives once, whole, and in the order of its producer; and what happens to one producer is no
 * other's business.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/atomics.h"
#include "memory/layout.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        CAPACITY = 64,
        THREE = 3,
        MANY = 64,
        FLOW = 200000,
        PRODUCERS_MAX = 8, /* in one test, successors too */
        FEW_FDS = 40,      /* fewer than a consumer of MANY is given */
        KILLS = 3,
        TRIES = 5,
};

static const char yaml[] =
                "version: 1\n"
                "defaults:\n"
                "  kind: ring\n"
                "  item: {size: 64}\n"
                "  capacity: 64\n"
                "  access: {produce: [any], consume: [any], observe: [any]}\n"
                "regions:\n"
                "  - {name: $/posix, producers: 3}\n"
                "  - {name: $/memfd, producers: 3, backing: memfd}\n"
                "  - {name: $/many, producers: 64}\n"
                "  - {name: $/many-sealed, producers: 64, backing: memfd}\n";

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

static WireRegion region_now(void) {
        WireRegion region;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, ring, &region), 0);
        caller_close(&caller);
        return region;
}

static void order(Child *child, const char *verb, uint32_t n) {
        char line[CHILD_LINE_MAX];

        snprintf(line, sizeof(line), "%s %u", verb, n);
        child_tell(child, line);
}

static void expect_result(Child *child, uint32_t n, const char *error) {
        char line[CHILD_LINE_MAX];

        snprintf(line, sizeof(line), "%u %s", n, error);
        child_expect(child, line);
}

/*
 * A producer: `put N` pushes as many, waiting for room, and says `N 0`. Its items carry its own
 * number in the upper half, and count from 0 in the lower.
 */

typedef struct Producer {
        Child child;
        uint32_t number;
} Producer;

static uint64_t item_number(uint32_t producer, uint32_t at) {
        return (uint64_t)producer << 32 | at;
}

static void produce_in_child(void *data) {
        const Producer *producer = data;
        struct shmb_region *r = mover_attach(&broker, ring, SHMB_PRODUCE);
        struct shmb_info info = { sizeof(info) };
        char line[CHILD_LINE_MAX];
        uint32_t at = 0, n, i;
        int result = 0;
        Item item;

        child_equal(shmb_get_info(r, &info), 0);
        child_say("lane %u", info.index);
        for (;;) {
                child_listen(line);
                if (sscanf(line, "put %u", &n) != 1)
                        break;
                for (i = 0; i < n && result == 0; i++) {
                        item_make(&item, item_number(producer->number, at++));
                        result = shmb_push(r, &item, -1);
                }
                child_say("%u %d", i, result);
        }
        shmb_detach(r);
}

static void producer_start(Producer *producer, uint32_t number, uint32_t lane) {
        char line[CHILD_LINE_MAX];

        producer->number = number;
        child_spawn(&producer->child, &alice, produce_in_child, producer);
        snprintf(line, sizeof(line), "lane %u", lane);
        child_expect(&producer->child, line);
}

static void producer_put(Producer *producer, uint32_t n) {
        order(&producer->child, "put", n);
        expect_result(&producer->child, n, "0");
}

static void producer_end(Producer *producer) {
        child_tell(&producer->child, "end");
        child_finish(&producer->child);
}

/*
 * The consumer: `take N` pops as many, waiting for them, `try` until there is nothing; both stop at
 * an error and say `COUNT ERROR`.
 */

static void check_order(const Item *item, uint32_t next[static PRODUCERS_MAX]) {
        uint32_t producer = (uint32_t)(item->number >> 32);

        child_check(producer < PRODUCERS_MAX);
        if (!item_is(item, item_number(producer, next[producer])))
                child_fail(__FILE__, __LINE__, "not its producer's next item",
                           (long)(uint32_t)item->number);
        next[producer]++;
}

static void consume_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, ring, SHMB_CONSUME);
        uint32_t next[PRODUCERS_MAX] = {}, n, i;
        char line[CHILD_LINE_MAX];
        int64_t timeout;
        int result;
        Item item;

        child_say("attached");
        for (;;) {
                child_listen(line);
                timeout = sscanf(line, "take %u", &n) == 1 ? -1 : 0;
                if (timeout == 0 && strcmp(line, "try") != 0)
                        break;
                if (timeout == 0)
                        n = UINT32_MAX;
                for (i = 0, result = 0; i < n; i++) {
                        result = shmb_pop(r, &item, timeout);
                        if (result < 0)
                                break;
                        check_order(&item, next);
                }
                child_say("%u %s", i, result < 0 ? strerrorname_np(-result) : "0");
        }
        shmb_detach(r);
}

static void consumer_start(Child *consumer) {
        child_spawn(consumer, &bob, consume_in_child, NULL);
        child_expect(consumer, "attached");
}

static void consumer_take(Child *consumer, uint32_t n) {
        order(consumer, "take", n);
        expect_result(consumer, n, "0");
}

static void consumer_try(Child *consumer, uint32_t n, const char *error) {
        child_tell(consumer, "try");
        expect_result(consumer, n, error);
}

static void consumer_end(Child *consumer) {
        child_tell(consumer, "end");
        child_finish(consumer);
}

static void start_three(Producer producers[static THREE], Child *consumer) {
        uint32_t i;

        consumer_start(consumer);
        for (i = 0; i < THREE; i++)
                producer_start(&producers[i], i, i);
}

static void end_all(Producer producers[static THREE], Child *consumer) {
        uint32_t i;

        for (i = 0; i < THREE; i++)
                producer_end(&producers[i]);
        consumer_end(consumer);
        broker_end(&broker);
}

/*
 * Flow
 */

static void flow(const char *name) {
        Producer producers[THREE];
        WireRegion region;
        Child consumer;
        uint32_t i;

        begin(name);
        start_three(producers, &consumer);
        order(&consumer, "take", THREE * FLOW);
        for (i = 0; i < THREE; i++)
                order(&producers[i].child, "put", FLOW);
        for (i = 0; i < THREE; i++)
                expect_result(&producers[i].child, FLOW, "0");
        expect_result(&consumer, THREE * FLOW, "0");
        consumer_try(&consumer, 0, "EAGAIN");
        region = region_now();
        assert_int_equal(region.moved, THREE * FLOW);
        assert_int_equal(region.used, 0);
        assert_int_equal(region.redelivered, 0);
        assert_int_equal(region.n_producers, THREE);
        assert_int_equal(region.geometry.n_lanes, THREE);
        end_all(producers, &consumer);
}

static void test_lanes_flow_in_the_order_of_each_producer(void **state) {
        flow("posix");
        flow("memfd");
}

/* Each lane has its bell, and the consumer sleeps on all of them. */
static void test_lanes_sleeping_consumer_is_woken_by_any(void **state) {
        uint64_t waits, before_ns, best_ns;
        Producer producers[THREE];
        Child consumer;
        uint32_t i, k;

        begin("posix");
        start_three(producers, &consumer);
        for (i = 0; i < THREE; i++) {
                for (k = 0, best_ns = UINT64_MAX; k < TRIES; k++) {
                        waits = region_now().waits;
                        order(&consumer, "take", 1);
                        broker_until(region_now().waits > waits);
                        before_ns = broker_now_ns();
                        producer_put(&producers[i], 1);
                        expect_result(&consumer, 1, "0");
                        if (broker_now_ns() - before_ns < best_ns)
                                best_ns = broker_now_ns() - before_ns;
                }
                /* By the bell: it had just fallen asleep, and would have looked in 100 ms. */
                assert_true(best_ns < 50000000);
        }
        end_all(producers, &consumer);
}

static void test_lanes_sleeping_producers_are_all_woken(void **state) {
        Producer producers[THREE];
        Child consumer;
        uint32_t i;

        begin("memfd");
        start_three(producers, &consumer);
        for (i = 0; i < THREE; i++)
                producer_put(&producers[i], CAPACITY);
        for (i = 0; i < THREE; i++)
                order(&producers[i].child, "put", CAPACITY);
        broker_until(region_now().waits >= THREE);
        assert_int_equal(region_now().used, CAPACITY);
        consumer_take(&consumer, 2 * THREE * CAPACITY);
        for (i = 0; i < THREE; i++)
                expect_result(&producers[i].child, CAPACITY, "0");
        end_all(producers, &consumer);
}

/*
 * As many as there can be
 */

static void produce_by_many_in_child(void *data) {
        struct shmb_region *lanes[MANY], *one_more = NULL;
        struct shmb_attach at_once = SHMB_ATTACH_INIT;
        struct shmb_info info = { sizeof(info) };
        struct shmb *c = NULL;
        uint32_t i;
        Item item;

        at_once.timeout_ns = 0;
        child_equal(shmb_connect(broker.socket, &c), 0);
        for (i = 0; i < MANY; i++) {
                child_equal(shmb_attach(c, ring, SHMB_PRODUCE, NULL, &lanes[i]), 0);
                child_equal(shmb_get_info(lanes[i], &info), 0);
                child_equal(info.index, i);
                item_make(&item, i);
                child_equal(shmb_push(lanes[i], &item, 0), 0);
        }
        child_equal(shmb_attach(c, ring, SHMB_PRODUCE, &at_once, &one_more), -EBUSY);
        if (!strstr(shmb_error(c), "all 64 lanes are held") || !strstr(shmb_error(c), ring))
                child_fail(__FILE__, __LINE__, shmb_error(c), 0);
        child_say("held");
        child_await("end");
        for (i = 0; i < MANY; i++)
                shmb_detach(lanes[i]);
        shmb_close(c);
}

/* A reply of a control object, 64 lanes and a seat; each lane is read, and all of them slept on. */
static void consume_from_many_in_child(void *data) {
        struct rlimit few = { FEW_FDS, 4096 }, enough = { 4096, 4096 };
        uint8_t seen[MANY] = {};
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        uint32_t i;
        Item item;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        child_equal(shmb_attach(c, ring, SHMB_CONSUME, NULL, &r), -EMFILE);
        if (!strstr(shmb_error(c), "RLIMIT_NOFILE"))
                child_fail(__FILE__, __LINE__, shmb_error(c), 0);
        child_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
        /* the seat was given back */
        child_equal(shmb_attach(c, ring, SHMB_CONSUME, NULL, &r), 0);
        for (i = 0; i < MANY; i++) {
                child_equal(shmb_pop(r, &item, 0), 0);
                child_check(item.number < MANY && item_is(&item, item.number));
                child_equal(seen[item.number]++, 0);
        }
        child_equal(shmb_pop(r, &item, 0), -EAGAIN);
        child_equal(shmb_pop(r, &item, 20000000), -ETIMEDOUT);
        shmb_detach(r);
        shmb_close(c);
}

static void observe_many_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, ring, SHMB_OBSERVE);
        struct shmb_stats stats = { sizeof(stats) };

        child_equal(shmb_get_stats(r, &stats), 0);
        child_equal(stats.n_producers, MANY);
        child_equal(stats.n_pushed, MANY);
        child_equal(stats.used, 1);
        shmb_detach(r);
}

static void fill_all_lanes(const char *name) {
        Child producers, other;

        begin(name);
        child_spawn(&producers, &alice, produce_by_many_in_child, NULL);
        child_expect(&producers, "held");
        assert_int_equal(region_now().n_producers, MANY);
        child_spawn(&other, &bob, observe_many_in_child, NULL);
        child_finish(&other);
        child_spawn(&other, &bob, consume_from_many_in_child, NULL);
        child_finish(&other);
        child_tell(&producers, "end");
        child_finish(&producers);
        broker_until(region_now().n_producers == 0);
        broker_end(&broker);
}

static void test_lanes_all_sixty_four_and_not_one_more(void **state) {
        fill_all_lanes("many");
        fill_all_lanes("many-sealed");
}

/*
 * One of several
 */

static void lose_one(const char *name) {
        Producer producers[THREE];
        Child consumer;
        uint32_t i;

        begin(name);
        start_three(producers, &consumer);
        for (i = 0; i < THREE; i++)
                producer_put(&producers[i], 40);
        child_kill(&producers[1].child);
        broker_until(region_now().n_producers == THREE - 1);
        /* what it published is there, and said is its death once, behind it */
        consumer_try(&consumer, THREE * 40, "EOWNERDEAD");
        consumer_try(&consumer, 0, "EAGAIN");
        producer_put(&producers[0], 40);
        producer_put(&producers[2], 40);
        consumer_try(&consumer, 2 * 40, "EAGAIN");

        /* its successor gets the lane, and goes on from its tail */
        producer_start(&producers[1], THREE, 1);
        for (i = 0; i < THREE; i++)
                producer_put(&producers[i], 50);
        consumer_try(&consumer, THREE * 50, "EAGAIN");
        assert_int_equal(region_now().moved, 5 * 40 + THREE * 50);
        end_all(producers, &consumer);
}

static void test_lanes_death_of_one_leaves_the_others_alone(void **state) {
        lose_one("posix");
        lose_one("memfd");
}

static void test_lanes_each_death_is_said(void **state) {
        Producer producers[THREE];
        Child consumer;
        uint32_t i;

        begin("posix");
        start_three(producers, &consumer);
        for (i = 0; i < THREE; i++)
                child_kill(&producers[i].child);
        broker_until(region_now().n_producers == 0);
        for (i = 0; i < THREE; i++)
                consumer_try(&consumer, 0, "EOWNERDEAD");
        consumer_try(&consumer, 0, "EAGAIN");
        consumer_end(&consumer);
        broker_end(&broker);
}

/* Stores a tail that no honest producer could; `hide` has it put the old one back. */
static void lie_in_child(void *data) {
        const uint64_t *tail = data;
        CallerLease lease;
        ShmbLane *lane;
        Caller caller;
        uint64_t old;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, ring, SHMB_ROLE_PRODUCE, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        child_equal(lease.attached.index, 1);
        at = caller_object(&lease, SHMB_OBJECT_LANE, 1);
        child_check(at >= 0);
        lane = mmap(NULL, lease.attached.objects[at].size_bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED, lease.fds[at], 0);
        child_check(lane != MAP_FAILED);
        /* relaxed and release: nobody shall believe what is stored, so they pair with nothing */
        old = shmb_load_relaxed(&lane->tail);
        shmb_store_release(&lane->tail, *tail);
        child_say("lied");
        child_await("hide");
        shmb_store_release(&lane->tail, old);
        child_say("hidden");
        child_await("end");
}

static void lie_in_one(const char *name, uint64_t tail, bool hides) {
        Producer producers[THREE];
        Child consumer, liar;
        uint32_t i;

        begin(name);
        start_three(producers, &consumer);
        for (i = 0; i < THREE; i++)
                producer_put(&producers[i], 5);
        consumer_try(&consumer, THREE * 5, "EAGAIN");
        producer_end(&producers[1]);
        child_spawn(&liar, &alice, lie_in_child, &tail);
        child_expect(&liar, "lied");
        producer_put(&producers[0], 5);
        consumer_try(&consumer, 5, "EBADMSG");
        consumer_try(&consumer, 0, "EAGAIN");
        producer_put(&producers[2], 5);
        consumer_try(&consumer, 5, "EAGAIN");
        if (hides) {
                child_tell(&liar, "hide");
                child_expect(&liar, "hidden");
        }
        child_kill(&liar);
        broker_until(region_now().n_producers == THREE - 1);
        consumer_try(&consumer, 0, "EOWNERDEAD");

        /* whoever comes next is heard, without anybody's doing */
        producer_start(&producers[1], THREE, 1);
        for (i = 0; i < THREE; i++)
                producer_put(&producers[i], 10);
        consumer_try(&consumer, THREE * 10, "EAGAIN");
        end_all(producers, &consumer);
}

static void test_lanes_lie_in_one_is_said_once_and_ends_with_the_liar(void **state) {
        lie_in_one("posix", 1000000, false);
        lie_in_one("memfd", 0, false);
        lie_in_one("posix", 1000000, true);
        lie_in_one("memfd", UINT64_C(1) << 63, true);
}

/*
 * The broker
 */

static void test_lanes_flow_on_under_the_next_broker(void **state) {
        Producer producers[THREE];
        Child consumer;
        uint32_t i, k;

        begin("posix");
        start_three(producers, &consumer);
        for (k = 0; k < KILLS; k++) {
                order(&consumer, "take", THREE * FLOW / 4);
                for (i = 0; i < THREE; i++)
                        order(&producers[i].child, "put", FLOW / 4);
                broker_kill(&broker);
                broker_start(&broker);
                for (i = 0; i < THREE; i++)
                        expect_result(&producers[i].child, FLOW / 4, "0");
                expect_result(&consumer, THREE * FLOW / 4, "0");
                assert_int_equal(region_now().n_producers, THREE);
                assert_int_equal(region_now().moved, (k + 1) * THREE * (FLOW / 4));
        }
        consumer_try(&consumer, 0, "EAGAIN");
        end_all(producers, &consumer);
}

#define GROWS(_producers)                                                                         \
        "version: 1\nregions:\n"                                                                  \
        "  - {name: $/grows, kind: ring, item: {size: 64}, capacity: 64, producers: " _producers   \
        ", access: {produce: [any], consume: [any]}}\n"

/* More lanes are other objects, beside those that somebody still holds. */
static void test_lanes_are_added_by_a_reload(void **state) {
        Producer producers[4];
        Child consumer;
        uint32_t i;

        broker_begin(&broker, GROWS("1"));
        strcpy(ring, broker_name(&broker, "grows"));
        producer_start(&producers[0], 0, 0);
        producer_put(&producers[0], 3);
        broker_configure(&broker, GROWS("4"));
        broker_reload(&broker);
        assert_int_equal(region_now().geometry.n_lanes, 4);
        assert_int_equal(region_now().n_producers, 0);
        producer_end(&producers[0]);

        consumer_start(&consumer);
        for (i = 0; i < 4; i++)
                producer_start(&producers[i], i, i);
        for (i = 0; i < 4; i++)
                producer_put(&producers[i], 20);
        consumer_try(&consumer, 80, "EAGAIN");
        producer_end(&producers[3]);
        end_all(producers, &consumer);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_lanes_flow_in_the_order_of_each_producer),
                TEST(test_lanes_sleeping_consumer_is_woken_by_any),
                TEST(test_lanes_sleeping_producers_are_all_woken),
                TEST(test_lanes_all_sixty_four_and_not_one_more),
                TEST(test_lanes_death_of_one_leaves_the_others_alone),
                TEST(test_lanes_each_death_is_said),
                TEST(test_lanes_lie_in_one_is_said_once_and_ends_with_the_liar),
                TEST(test_lanes_flow_on_under_the_next_broker),
                TEST(test_lanes_are_added_by_a_reload),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
