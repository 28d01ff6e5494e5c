/* SPDX-License-Identifier: Apache-2.0 */

/*
 * No System Call on the Hot Path
 *
 * A producer and its consumers, in processes of their own, move items of each kind by each
 * operation after they gave up every system call but that of their end: whoever makes one is
 * killed. All of them try without waiting, over and over, which is what spinning is.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/atomics.h"
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        MANY = 2000, /* items; fewer than a queue has in reserve */
        BATCH = 7,
        CONSUMERS_MAX = 2,
};

#define ITEM "item: {size: 64, align: 8}"

static const char yaml[] =
                "version: 1\n"
                "defaults: {access: {produce: [any], consume: [any]}}\n"
                "regions:\n"
                "  - {name: $/ring, kind: ring, capacity: 64, " ITEM "}\n"
                "  - {name: $/lanes, kind: ring, capacity: 64, producers: 2, " ITEM "}\n"
                "  - {name: $/group, kind: ring, capacity: 64, consumers: 2, " ITEM "}\n"
                "  - {name: $/queue, kind: queue, max_bytes: 4M, segment: 1M, " ITEM "}\n"
                "  - {name: $/lossy, kind: broadcast, capacity: 64, consumers: 2, " ITEM "}\n"
                "  - {name: $/reliable, kind: broadcast, delivery: reliable, capacity: 64,\n"
                "     consumers: 2, " ITEM "}\n"
                "  - {name: $/latest, kind: latest, slots: 3, consumers: 2, " ITEM "}\n"
                "  - {name: $/stream, kind: stream, capacity: 8K, max_message: 1K}\n";

/* What a consumer of the region gets to see. */
typedef enum Promise {
        PROMISE_ALL,   /* each item, in order */
        PROMISE_SHARE, /* each item goes to one of them */
        PROMISE_LAST,  /* in order, the last one for sure */
} Promise;

/* One way to move items: both return how many, or -errno. */
typedef struct Way {
        const char *name;
        int (*put)(struct shmb_region *r, uint64_t first, uint32_t n);
        int (*take)(struct shmb_region *r, uint64_t *ret_numbers);
} Way;

typedef struct Race {
        char region[256];
        const Way *way;
        Promise promise;
        unsigned n_consumers;
} Race;

/* Shared with the children. */
typedef struct Tally {
        _Atomic uint64_t n_taken;
        _Atomic uint32_t n_running;
        _Atomic bool is_wrong;
} Tally;

static Broker broker;
static Tally *tally;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int setup(void **state) {
        broker_begin(&broker, yaml);
        tally = child_share(sizeof(*tally));
        return 0;
}

static int teardown(void **state) {
        child_unshare(tally, sizeof(*tally));
        broker_deinit(&broker);
        return 0;
}

/*
 * Ways
 */

static int put_one(struct shmb_region *r, uint64_t first, uint32_t n) {
        Item item;
        int result;

        item_make(&item, first);
        result = shmb_push(r, &item, 0);
        return result < 0 ? result : 1;
}

static uint64_t number_of(const void *item) {
        Item copy;

        memcpy(&copy, item, sizeof(copy));
        return item_is(&copy, copy.number) ? copy.number : UINT64_MAX;
}

static int take_one(struct shmb_region *r, uint64_t *ret_numbers) {
        Item item;
        int result = shmb_pop(r, &item, 0);

        ret_numbers[0] = number_of(&item);
        return result < 0 ? result : 1;
}

static int put_batch(struct shmb_region *r, uint64_t first, uint32_t n) {
        Item items[BATCH];
        uint32_t i;

        for (i = 0; i < n; i++)
                item_make(&items[i], first + i);
        return shmb_push_n(r, items, n, 0);
}

static int take_batch(struct shmb_region *r, uint64_t *ret_numbers) {
        Item items[BATCH];
        int i, result = shmb_pop_n(r, items, BATCH, 0);

        for (i = 0; i < result; i++)
                ret_numbers[i] = number_of(&items[i]);
        return result;
}

static int put_slot(struct shmb_region *r, uint64_t first, uint32_t n) {
        void *slot;
        int result = shmb_claim(r, &slot, 0);

        if (result < 0)
                return result;
        item_make(slot, first);
        result = shmb_commit(r);
        return result < 0 ? result : 1;
}

static int take_slot(struct shmb_region *r, uint64_t *ret_numbers) {
        const void *item;
        int result = shmb_peek(r, &item, 0);

        if (result < 0)
                return result;
        ret_numbers[0] = number_of(item);
        result = shmb_release(r);
        return result < 0 ? result : 1;
}

static int put_span(struct shmb_region *r, uint64_t first, uint32_t n) {
        struct shmb_span span;
        int i, result = shmb_claim_n(r, n, &span, 0);

        if (result < 0)
                return result;
        for (i = 0; i < result; i++)
                item_make((void *)((uint8_t *)span.data + (size_t)i * span.stride),
                          first + (uint32_t)i);
        n = (uint32_t)result;
        result = shmb_commit_n(r, n);
        return result < 0 ? result : (int)n;
}

static int take_span(struct shmb_region *r, uint64_t *ret_numbers) {
        struct shmb_span span;
        int i, result = shmb_peek_n(r, BATCH, &span, 0);

        if (result < 0)
                return result;
        for (i = 0; i < result; i++)
                ret_numbers[i] = number_of((const uint8_t *)span.data + (size_t)i * span.stride);
        result = shmb_release_n(r, span.n);
        return result < 0 ? result : (int)span.n;
}

static int put_message(struct shmb_region *r, uint64_t first, uint32_t n) {
        Item item;
        int result;

        item_make(&item, first);
        result = shmb_send(r, &item, sizeof(item), 0);
        return result < 0 ? result : 1;
}

static int take_message(struct shmb_region *r, uint64_t *ret_numbers) {
        Item item;
        ssize_t result = shmb_recv(r, &item, sizeof(item), 0);

        ret_numbers[0] = number_of(&item);
        return result < 0 ? (int)result : 1;
}

static int put_message_in_place(struct shmb_region *r, uint64_t first, uint32_t n) {
        struct shmb_span span;
        int result = shmb_claim_n(r, sizeof(Item), &span, 0);

        if (result < 0)
                return result;
        item_make(span.data, first);
        result = shmb_commit_n(r, sizeof(Item));
        return result < 0 ? result : 1;
}

static int take_message_in_place(struct shmb_region *r, uint64_t *ret_numbers) {
        struct shmb_span span;
        int result = shmb_peek_n(r, UINT32_MAX, &span, 0);

        if (result < 0)
                return result;
        ret_numbers[0] = span.n == sizeof(Item) ? number_of(span.data) : UINT64_MAX;
        result = shmb_release_n(r, span.n);
        return result < 0 ? result : 1;
}

static const Way item_ways[] = {
        { "push, pop", put_one, take_one },
        { "push_n, pop_n", put_batch, take_batch },
        { "claim, commit, peek, release", put_slot, take_slot },
        { "the same of spans", put_span, take_span },
        { 0 },
};

static const Way message_ways[] = {
        { "send, recv", put_message, take_message },
        { "in place", put_message_in_place, take_message_in_place },
        { 0 },
};

/*
 * Processes
 */

/* Nothing but the end is left. */
static void give_up_system_calls(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

        child_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        child_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static struct shmb_region *attach_and_give_up(const Race *race, enum shmb_role role) {
        struct shmb_region *r = mover_attach(&broker, race->region, role);

        child_say("attached");
        child_await("go");
        give_up_system_calls();
        return r;
}

/* All at once: who goes is news to the others, and they may do more for it than move items. */
_Noreturn static void end(bool is_good) {
        if (!is_good)
                atomic_store(&tally->is_wrong, true);
        atomic_fetch_sub(&tally->n_running, 1);
        while (atomic_load(&tally->n_running) > 0 && !atomic_load(&tally->is_wrong))
                shmb_cpu_relax();
        syscall(SYS_exit_group, is_good ? 0 : CHILD_FAILED);
        __builtin_unreachable();
}

static void produce(void *data) {
        const Race *race = data;
        struct shmb_region *r = attach_and_give_up(race, SHMB_PRODUCE);
        uint64_t i = 0;
        int result;

        while (i < MANY && !atomic_load(&tally->is_wrong)) {
                result = race->way->put(r, i, MANY - i < BATCH ? (uint32_t)(MANY - i) : BATCH);
                if (result == -EAGAIN)
                        shmb_cpu_relax();
                else if (result > 0)
                        i += (uint32_t)result;
                else
                        break;
        }
        end(i == MANY);
}

/* Return: whether @number may follow @next - 1. */
static bool may_follow(Promise promise, uint64_t next, uint64_t number) {
        return number < MANY && (promise == PROMISE_ALL ? number == next : number >= next);
}

static void consume(void *data) {
        const Race *race = data;
        struct shmb_region *r = attach_and_give_up(race, SHMB_CONSUME);
        uint64_t numbers[BATCH], next = 0;
        bool is_good = true;
        int i, result;

        while (is_good && next < MANY &&
               (race->promise != PROMISE_SHARE || atomic_load(&tally->n_taken) < MANY)) {
                result = race->way->take(r, numbers);
                if (result == -EAGAIN)
                        shmb_cpu_relax();
                for (i = 0; i < result && is_good; i++) {
                        is_good = may_follow(race->promise, next, numbers[i]);
                        next = numbers[i] + 1;
                }
                is_good = is_good && (result > 0 || result == -EAGAIN);
                if (result > 0)
                        atomic_fetch_add(&tally->n_taken, (uint32_t)result);
        }
        end(is_good);
}

/*
 * Tests
 */

static void run(Race *race) {
        Child producer, consumers[CONSUMERS_MAX];
        unsigned i;

        atomic_store(&tally->n_taken, 0);
        atomic_store(&tally->n_running, race->n_consumers + 1);
        for (i = 0; i < race->n_consumers; i++)
                child_spawn(&consumers[i], &bob, consume, race);
        child_spawn(&producer, &alice, produce, race);
        child_expect(&producer, "attached");
        for (i = 0; i < race->n_consumers; i++)
                child_expect(&consumers[i], "attached");
        for (i = 0; i < race->n_consumers; i++)
                child_tell(&consumers[i], "go");
        child_tell(&producer, "go");
        child_finish(&producer);
        for (i = 0; i < race->n_consumers; i++)
                child_finish(&consumers[i]);
        if (race->promise != PROMISE_LAST)
                assert_int_equal(atomic_load(&tally->n_taken),
                                 race->promise == PROMISE_ALL ? MANY * race->n_consumers : MANY);
}

static void run_ways(const char *region, const Way *ways, Promise promise, unsigned n_consumers) {
        Race race = { .promise = promise, .n_consumers = n_consumers };

        snprintf(race.region, sizeof(race.region), "%s", broker_name(&broker, region));
        for (race.way = ways; race.way->name; race.way++) {
                print_message("%s: %s\n", region, race.way->name);
                run(&race);
        }
}

static void test_items(void **state) {
        run_ways("ring", item_ways, PROMISE_ALL, 1);
        run_ways("lanes", item_ways, PROMISE_ALL, 1);
        run_ways("group", item_ways, PROMISE_SHARE, 2);
        run_ways("queue", item_ways, PROMISE_ALL, 1);
        broker_end(&broker);
}

static void test_casts(void **state) {
        run_ways("reliable", item_ways, PROMISE_ALL, 2);
        run_ways("lossy", item_ways, PROMISE_LAST, 2);
        run_ways("latest", item_ways, PROMISE_LAST, 2);
        broker_end(&broker);
}

static void test_messages(void **state) {
        run_ways("stream", message_ways, PROMISE_ALL, 1);
        broker_end(&broker);
}

static void make_a_system_call(void *data) {
        give_up_system_calls();
        (void)getppid();
}

static void test_the_filter_finds_a_system_call(void **state) {
        Child child;

        child_spawn(&child, &alice, make_a_system_call, NULL);
        assert_int_equal(child_wait(&child), -SIGSYS);
        broker_end(&broker);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_items),
                TEST(test_casts),
                TEST(test_messages),
                TEST(test_the_filter_finds_a_system_call),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("hot-path", tests, NULL, NULL);
}
