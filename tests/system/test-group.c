/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Consumers that Compete
 *
 * Real processes with the real broker: each item goes to one of them, whoever dies, stops, comes or
 * goes meanwhile. What they took is booked in memory that they share with the test: before the
 * release, so that what is booked twice is what was redelivered.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/layout.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        PRODUCERS = 2,
        MEMBERS = 4,
        MANY = 200000, /* items of each producer */
        KILLS = 40,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {item: {size: 64, align: 8}, kind: ring, producers: 2, consumers: 4}\n"
                "regions:\n"
                "  - {name: $/posix, capacity: 64,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/memfd, capacity: 8, backing: memfd,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/queue, kind: queue, max_bytes: 1M, segment: 64K,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/pair, producers: 1, consumers: 2, capacity: 8,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

/* How often each item was booked; the number of an item says which producer it is of. */
typedef struct Books {
        _Atomic uint8_t n[PRODUCERS * MANY];
        _Atomic uint32_t n_booked; /* about: who dies between the two has not counted */
        _Atomic bool complete;
        char name[256];
} Books;

static Books *books;

static int setup(void **state) {
        broker_begin(&broker, yaml);
        books = child_share(sizeof(*books));
        return 0;
}

static int teardown(void **state) {
        child_unshare(books, sizeof(*books));
        broker_deinit(&broker);
        return 0;
}

static struct shmb_region *attach(struct shmb **ret_c, const char *name, enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_connect(broker.socket, ret_c), 0);
        assert_int_equal(shmb_attach(*ret_c, name, role, NULL, &r), 0);
        return r;
}

static void leave(struct shmb *c, struct shmb_region *r) {
        shmb_detach(r);
        shmb_close(c);
}

static void produce(void *data) {
        const unsigned *which = data;
        struct shmb_region *r = mover_attach(&broker, books->name, SHMB_PRODUCE);
        uint64_t i;
        int result;
        Item item;

        for (i = 0; i < MANY; i++) {
                item_make(&item, *which * (uint64_t)MANY + i);
                while ((result = shmb_push(r, &item, -1)) == -EOWNERDEAD)
                        ;
                child_equal(result, 0);
        }
        shmb_detach(r);
}

static void book(const Item *item) {
        child_check(item->number < PRODUCERS * (uint64_t)MANY && item_is(item, item->number));
        if (atomic_fetch_add(&books->n[item->number], 1) == 0)
                atomic_fetch_add(&books->n_booked, 1);
}

static bool books_are_complete(void) {
        size_t i;

        for (i = 0; i < PRODUCERS * MANY; i++)
                if (atomic_load(&books->n[i]) == 0)
                        return false;
        return true;
}

/* Until all is booked, by whomever; a batch at a time, of which a part is given back. */
static void consume(void *data) {
        struct shmb_region *r = mover_attach(&broker, books->name, SHMB_CONSUME);
        struct shmb_span span;
        uint32_t i, n = 0;
        int result;

        while (!atomic_load(&books->complete)) {
                result = shmb_peek_n(r, 1 + n++ % 7, &span, 20000000);
                if (result == -ETIMEDOUT || result == -EOWNERDEAD)
                        continue;
                child_check(result > 0);
                for (i = 0; i < span.n && i < 5; i++)
                        book((const void *)((const uint8_t *)span.data + i * span.stride));
                child_equal(shmb_release_n(r, i), 0);
        }
        shmb_detach(r);
}

static void expect_all_booked(uint64_t n_twice_max) {
        uint64_t n_twice = 0;
        size_t i;

        for (i = 0; i < PRODUCERS * MANY; i++) {
                assert_true(books->n[i] >= 1);
                n_twice += books->n[i] - 1;
        }
        assert_true(n_twice <= n_twice_max);
}

static uint64_t n_redelivered(void) {
        struct shmb_stats stats = { .size = sizeof(stats) };
        struct shmb_region *r;
        struct shmb *c;

        r = attach(&c, books->name, SHMB_OBSERVE);
        assert_int_equal(shmb_get_stats(r, &stats), 0);
        assert_int_equal(stats.used, 0);
        assert_int_equal(stats.n_pushed, PRODUCERS * MANY);
        leave(c, r);
        return stats.n_redelivered;
}

/* @n_kills members die on the way, one behind the other, and others take their places. */
static void flow(const char *name, unsigned n_kills, bool broker_dies) {
        static const unsigned which[PRODUCERS] = { 0, 1 };
        Child producers[PRODUCERS], members[MEMBERS];
        unsigned i;

        snprintf(books->name, sizeof(books->name), "%s", broker_name(&broker, name));
        for (i = 0; i < MEMBERS; i++)
                child_spawn(&members[i], &bob, consume, NULL);
        for (i = 0; i < PRODUCERS; i++)
                child_spawn(&producers[i], &alice, produce, (void *)&which[i]);
        for (i = 0; i < n_kills; i++) {
                broker_until(atomic_load(&books->n_booked) > i * (PRODUCERS * MANY / 2 / n_kills));
                if (broker_dies && i % 10 == 5) {
                        broker_kill(&broker);
                        broker_start(&broker);
                }
                child_kill(&members[i % MEMBERS]);
                child_spawn(&members[i % MEMBERS], &bob, consume, NULL);
        }
        for (i = 0; i < PRODUCERS; i++)
                child_finish(&producers[i]);
        broker_until(books_are_complete());
        atomic_store(&books->complete, true);
        for (i = 0; i < MEMBERS; i++)
                child_finish(&members[i]);
}

static void test_each_item_goes_to_one(void **state) {
        flow("posix", 0, false);
        expect_all_booked(0);
        assert_int_equal(n_redelivered(), 0);
        broker_end(&broker);
}

static void test_what_the_dead_held_goes_to_others(void **state) {
        flow("memfd", KILLS, false);
        expect_all_booked(n_redelivered());
        broker_end(&broker);
}

static void test_queue_with_members_that_die_and_a_broker_that_does(void **state) {
        flow("queue", KILLS, true);
        expect_all_booked(n_redelivered());
        broker_end(&broker);
}

static uint64_t pop(struct shmb_region *r) {
        int result;
        Item item;

        while ((result = shmb_pop(r, &item, 1000000000)) == -EOWNERDEAD)
                ;
        assert_int_equal(result, 0);
        assert_true(item_is(&item, item.number));
        return item.number;
}

static void push(struct shmb_region *r, uint64_t number) {
        Item item;

        item_make(&item, number);
        assert_int_equal(shmb_push(r, &item, 0), 0);
}

/* Holds one item, says so, and releases it when it is told to. */
static void hold(void *data) {
        struct shmb_region *r = mover_attach(&broker, data, SHMB_CONSUME);
        const void *item;

        child_equal(shmb_peek(r, &item, -1), 0);
        child_say("%llu", (unsigned long long)((const Item *)item)->number);
        child_await("release");
        child_say("%d", shmb_release(r));
        shmb_detach(r);
}

static void test_who_only_stands_still_is_not_robbed(void **state) {
        char name[256];
        struct shmb_region *producer, *consumer;
        struct shmb *c[2];
        uint64_t i;
        Child child;

        snprintf(name, sizeof(name), "%s", broker_name(&broker, "pair"));
        producer = attach(&c[0], name, SHMB_PRODUCE);
        consumer = attach(&c[1], name, SHMB_CONSUME);
        child_spawn(&child, &bob, hold, name);
        push(producer, 0);
        child_expect(&child, "0");
        assert_int_equal(kill(child.pid, SIGSTOP), 0);
        /* Up to a lap behind it; then the buffer is full, of an item that somebody holds. */
        for (i = 1; i < 8; i++)
                push(producer, i);
        for (i = 1; i < 8; i++)
                assert_int_equal(pop(consumer), i);
        assert_int_equal(shmb_push(producer, &(Item){}, 50000000), -ETIMEDOUT);
        assert_int_equal(shmb_pop(consumer, &(Item){}, 50000000), -ETIMEDOUT);
        assert_int_equal(kill(child.pid, SIGCONT), 0);
        child_tell(&child, "release");
        child_expect(&child, "0");
        child_finish(&child);
        push(producer, 8);
        assert_int_equal(pop(consumer), 8);
        leave(c[1], consumer);
        leave(c[0], producer);
        broker_end(&broker);
}

static void test_who_sleeps_gets_what_the_dead_held(void **state) {
        char name[256];
        struct shmb_region *producer, *consumer;
        struct shmb *c[2];
        Child child;

        snprintf(name, sizeof(name), "%s", broker_name(&broker, "pair"));
        producer = attach(&c[0], name, SHMB_PRODUCE);
        child_spawn(&child, &bob, hold, name);
        push(producer, 0);
        child_expect(&child, "0");
        consumer = attach(&c[1], name, SHMB_CONSUME);
        assert_int_equal(shmb_pop(consumer, &(Item){}, 0), -EAGAIN);
        assert_true(shmb_poll_fd(consumer) >= 0);
        child_kill(&child);
        assert_int_equal(pop(consumer), 0);
        leave(c[1], consumer);
        leave(c[0], producer);
        broker_end(&broker);
}

/* A client that keeps its mappings when it goes: nobody knows what it will write. */
static void keep(void *data) {
        CallerLease lease;
        Caller caller;
        uint32_t i, group;
        _Atomic uint64_t *words;
        void *memory;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_CONSUME, &lease), 0);
        group = caller_object(&lease, SHMB_OBJECT_GROUP, 0);
        memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, lease.fds[group], 0);
        child_check(memory != MAP_FAILED);
        child_check(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED,
                         lease.fds[caller_object(&lease, SHMB_OBJECT_SEAT, lease.attached.index)],
                         0) != MAP_FAILED);
        caller_close(&caller);
        child_say("gone");
        child_await("scribble");
        words = ((ShmbGroup *)memory)->words;
        for (i = 0; i < 8; i++)
                atomic_store(&words[i], UINT64_MAX);
        child_say("scribbled");
        child_await("end");
}

static void test_who_cannot_be_proven_gone_writes_to_nobody(void **state) {
        char name[256];
        struct shmb_region *producer, *first, *second;
        struct shmb *c[3];
        uint64_t i;
        Child child;

        snprintf(name, sizeof(name), "%s", broker_name(&broker, "pair"));
        producer = attach(&c[0], name, SHMB_PRODUCE);
        first = attach(&c[1], name, SHMB_CONSUME);
        child_spawn(&child, &bob, keep, name);
        child_expect(&child, "gone");
        push(producer, 0);
        push(producer, 1);
        assert_int_equal(pop(first), 0);

        /* His seat goes to another one, and with it the group is made anew. */
        second = attach(&c[2], name, SHMB_CONSUME);
        assert_true(broker_said(&broker, "Replaced object", ".group"));
        child_tell(&child, "scribble");
        child_expect(&child, "scribbled");
        assert_int_equal(pop(second), 1);
        for (i = 2; i < 40; i++) {
                push(producer, i);
                assert_int_equal(pop(i % 2 ? first : second), i);
        }
        child_tell(&child, "end");
        child_finish(&child);
        leave(c[2], second);
        leave(c[1], first);
        leave(c[0], producer);
        broker_end(&broker);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_item_goes_to_one),
                TEST(test_what_the_dead_held_goes_to_others),
                TEST(test_queue_with_members_that_die_and_a_broker_that_does),
                TEST(test_who_only_stands_still_is_not_robbed),
                TEST(test_who_sleeps_gets_what_the_dead_held),
                TEST(test_who_cannot_be_proven_gone_writes_to_nobody),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
