/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that dies and is replaced all the Time, and nobody notices
 *
 * Eight pairs move items at full rate, visitors attach and detach without a pause, and under all of
 * them the broker is killed, or hands over to its successor, at random moments. No item is lost or
 * repeated, no call fails, objects keep their inodes, and in the end nothing is left.
 *
 * Half a minute, or $SHMBROKER_SOAK_SECONDS.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        PAIRS = 8,
        VISITORS = 2,
        SECONDS = 30,
        /* Each so many deaths of the broker is a hand-over. */
        HAND_OVER = 6,
        PATIENCE_NS = 100000000,
        PAUSE_MAX_NS = 500000000, /* four deaths a second */
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {access: {produce: [any], consume: [any]}}\n"
                "regions:\n"
                "  - {name: $/0, kind: ring, item: {size: 64, align: 8}, capacity: 1024}\n"
                "  - {name: $/1, kind: ring, item: {size: 64, align: 8}, capacity: 4}\n"
                "  - {name: $/2, kind: ring, item: {size: 64, align: 8}, capacity: 64,\n"
                "     producers: 4}\n"
                "  - {name: $/3, kind: ring, item: {size: 64, align: 8}, capacity: 64,\n"
                "     consumers: 2}\n"
                "  - {name: $/4, kind: broadcast, delivery: reliable, capacity: 256,\n"
                "     item: {size: 64, align: 8}, consumers: 2}\n"
                "  - {name: $/5, kind: queue, item: {size: 64, align: 8}, max_bytes: 1M,\n"
                "     segment: 64K}\n"
                "  - {name: $/6, kind: stream, capacity: 16K, max_message: 64}\n"
                "  - {name: $/7, kind: stream, capacity: 4K, max_message: 64, producers: 2}\n"
                "  - {name: $/visited, kind: raw, size: 64K, access: {read: [any]}}\n"
                "  - {name: $/brief, kind: raw, size: 4K, access: {read: [any]},\n"
                "     lifetime: {policy: on_demand, linger: 0s}}\n";

/* Shared with the children. */
typedef struct Tally {
        _Atomic bool stop;
        _Atomic uint64_t produced[PAIRS]; /* all of them, once it has stopped; else 0 */
        _Atomic uint64_t consumed[PAIRS];
        _Atomic uint64_t n_visits;
        _Atomic uint64_t longest_ns; /* that one visit took */
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
 * Processes
 */

static const char *pair_name(unsigned pair) {
        char name[4];

        snprintf(name, sizeof(name), "%u", pair);
        return broker_name(&broker, name);
}

static int put(struct shmb_region *r, const Item *item) {
        int result = shmb_push(r, item, PATIENCE_NS);

        return result == -EOPNOTSUPP ? shmb_send(r, item, sizeof(*item), PATIENCE_NS) : result;
}

static int take(struct shmb_region *r, Item *ret_item) {
        ssize_t result = shmb_pop(r, ret_item, PATIENCE_NS);

        if (result == -EOPNOTSUPP)
                result = shmb_recv(r, ret_item, sizeof(*ret_item), PATIENCE_NS);
        return result < 0 ? (int)result : 0;
}

static void produce(void *data) {
        const unsigned *pair = data;
        struct shmb_region *r = mover_attach(&broker, pair_name(*pair), SHMB_PRODUCE);
        uint64_t i = 1;
        int result;
        Item item;

        child_say("attached");
        child_await("go");
        while (!atomic_load(&tally->stop)) {
                item_make(&item, i);
                result = put(r, &item);
                if (result == -ETIMEDOUT)
                        continue;
                child_equal(result, 0);
                i++;
        }
        atomic_store(&tally->produced[*pair], i - 1);
        shmb_detach(r);
}

static void consume(void *data) {
        const unsigned *pair = data;
        struct shmb_region *r = mover_attach(&broker, pair_name(*pair), SHMB_CONSUME);
        uint64_t i = 1, all = 0;
        int result;
        Item item;

        child_say("attached");
        while (all == 0 || i <= all) {
                all = atomic_load(&tally->produced[*pair]);
                result = take(r, &item);
                /* A producer whose connection is not back yet ends without having said so. */
                if (result == -ETIMEDOUT ||
                    (result == -EOWNERDEAD && atomic_load(&tally->stop)))
                        continue;
                child_equal(result, 0);
                child_check(item_is(&item, i));
                atomic_store(&tally->consumed[*pair], i++);
        }
        shmb_detach(r);
}

/* Until the end; each call with what time the library gives it by default. */
static void visit(void *data) {
        struct shmb_region *r;
        struct shmb *c = NULL;
        uint64_t start, took, i;

        /* Who connects for the first time does not wait for a broker that is away. */
        child_equal(shmb_connect(broker.socket, &c), 0);
        child_say("connected");
        for (i = 0; !atomic_load(&tally->stop); i++) {
                const char *name = broker_name(&broker, i % 2 ? "visited" : "brief");
                int result;

                start = broker_now_ns();
                result = shmb_attach(c, name, SHMB_READ, NULL, &r);
                if (result != 0)
                        child_fail(__FILE__, __LINE__, shmb_error(c), result);
                shmb_detach(r);
                took = broker_now_ns() - start;
                if (took > atomic_load(&tally->longest_ns))
                        atomic_store(&tally->longest_ns, took);
                atomic_fetch_add(&tally->n_visits, 1);
        }
        shmb_close(c);
}

/*
 * The Broker
 */

static void pause_at_random(void) {
        struct timespec pause = { .tv_nsec = random() % PAUSE_MAX_NS };

        nanosleep(&pause, NULL);
}

/* Return: how many brokers ended. */
static unsigned end_brokers(uint64_t until) {
        unsigned n;

        for (n = 0; broker_now_ns() < until; n++) {
                pause_at_random();
                if (n % HAND_OVER == 0) {
                        kill(broker.pid, SIGUSR1);
                        assert_int_equal(broker_wait(&broker), 0);
                } else {
                        broker_kill(&broker);
                }
                broker_start(&broker);
        }
        return n;
}

static uint64_t seconds(void) {
        const char *said = getenv("SHMBROKER_SOAK_SECONDS");

        return said ? strtoull(said, NULL, 10) : SECONDS;
}

/* But for what comes and goes with its visitors. */
static size_t lasting_names(BrokerName ret_names[static BROKER_NAMES_MAX]) {
        size_t i, n = 0, n_all = broker_shm(&broker, ret_names);

        for (i = 0; i < n_all; i++)
                if (!strstr(ret_names[i].name, "brief"))
                        ret_names[n++] = ret_names[i];
        return n;
}

static void expect_same(const BrokerName *before, size_t n) {
        static BrokerName after[BROKER_NAMES_MAX];
        size_t i;

        assert_int_equal(lasting_names(after), n);
        for (i = 0; i < n; i++) {
                assert_string_equal(after[i].name, before[i].name);
                assert_int_equal(after[i].ino, before[i].ino);
        }
}

static void test_nobody_notices(void **state) {
        static unsigned pairs[PAIRS] = { 0, 1, 2, 3, 4, 5, 6, 7 };
        static BrokerName before[BROKER_NAMES_MAX];
        Child producers[PAIRS], consumers[PAIRS], visitors[VISITORS];
        size_t n_names = lasting_names(before), n_fds = broker_n_fds(&broker);
        uint64_t n_items = 0;
        unsigned i, n_ends;

        srandom(7);
        for (i = 0; i < PAIRS; i++) {
                child_spawn(&consumers[i], &bob, consume, &pairs[i]);
                child_expect(&consumers[i], "attached");
                child_spawn(&producers[i], &alice, produce, &pairs[i]);
                child_expect(&producers[i], "attached");
        }
        for (i = 0; i < VISITORS; i++) {
                child_spawn(&visitors[i], &bob, visit, NULL);
                child_expect(&visitors[i], "connected");
        }
        for (i = 0; i < PAIRS; i++)
                child_tell(&producers[i], "go");

        n_ends = end_brokers(broker_now_ns() + seconds() * UINT64_C(1000000000));
        atomic_store(&tally->stop, true);
        for (i = 0; i < VISITORS; i++)
                child_finish(&visitors[i]);
        for (i = 0; i < PAIRS; i++) {
                child_finish(&producers[i]);
                child_finish(&consumers[i]);
                assert_int_equal(tally->consumed[i], tally->produced[i]);
                n_items += tally->consumed[i];
        }
        expect_same(before, n_names);
        broker_until(broker_n_shm(&broker) == n_names);
        broker_until(broker_n_fds(&broker) == n_fds);
        print_message("%u brokers ended, %llu items, %llu visits, the longest %llu ms\n", n_ends,
                      (unsigned long long)n_items, (unsigned long long)tally->n_visits,
                      (unsigned long long)tally->longest_ns / 1000000);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nobody_notices, setup, teardown),
        };

        broker_need_root();
        broker_parent = "/dev/shm";
        return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
