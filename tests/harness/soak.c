/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Load of a Soak
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/items.h"
#include "tests/harness/mover.h"
#include "tests/harness/soak.h"

#define PATIENCE_NS INT64_C(100000000)
/* Of an attach: far more than a restart takes, on a machine that has a lot else to do. */
#define VISIT_NS INT64_C(30000000000)

struct SoakTally {
        _Atomic bool stop;
        _Atomic uint64_t produced[SOAK_PAIRS]; /* all of them, once it has stopped; else 0 */
        _Atomic uint64_t consumed[SOAK_PAIRS];
        _Atomic uint64_t n_visits;
        _Atomic uint64_t longest_ns; /* that one visit took */
};

/* Of the process, which has but one: set before it forks. */
static const Broker *broker;
static SoakTally *tally;

static const char *pair_name(unsigned pair) {
        char name[4];

        snprintf(name, sizeof(name), "%u", pair);
        return broker_name(broker, name);
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
        struct shmb_region *r = mover_attach(broker, pair_name(*pair), SHMB_PRODUCE);
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
        struct shmb_region *r = mover_attach(broker, pair_name(*pair), SHMB_CONSUME);
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

static void note_visit(uint64_t took_ns) {
        if (took_ns > atomic_load(&tally->longest_ns))
                atomic_store(&tally->longest_ns, took_ns);
        atomic_fetch_add(&tally->n_visits, 1);
}

static void visit(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r;
        struct shmb *c = NULL;
        uint64_t start, i;
        int result;

        /* Who connects for the first time does not wait for a broker that is away. */
        child_equal(shmb_connect(broker->socket, &c), 0);
        child_say("connected");
        want.timeout_ns = VISIT_NS;
        for (i = 0; !atomic_load(&tally->stop); i++) {
                start = broker_now_ns();
                result = shmb_attach(c, broker_name(broker, i % 2 ? "visited" : "brief"),
                                     SHMB_READ, &want, &r);
                if (result != 0)
                        child_fail(__FILE__, __LINE__, shmb_error(c), result);
                shmb_detach(r);
                note_visit(broker_now_ns() - start);
        }
        shmb_close(c);
}

void soak_begin(Soak *soak, const Broker *where) {
        static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
        static unsigned pairs[SOAK_PAIRS];
        unsigned i;

        soak->broker = broker = where;
        soak->tally = tally = child_share(sizeof(*tally));
        for (i = 0; i < SOAK_PAIRS; i++) {
                pairs[i] = i;
                child_spawn(&soak->consumers[i], &bob, consume, &pairs[i]);
                child_expect(&soak->consumers[i], "attached");
                child_spawn(&soak->producers[i], &alice, produce, &pairs[i]);
                child_expect(&soak->producers[i], "attached");
        }
        for (i = 0; i < SOAK_VISITORS; i++) {
                child_spawn(&soak->visitors[i], &bob, visit, NULL);
                child_expect(&soak->visitors[i], "connected");
        }
        for (i = 0; i < SOAK_PAIRS; i++)
                child_tell(&soak->producers[i], "go");
}

void soak_end(Soak *soak) {
        unsigned i;

        atomic_store(&tally->stop, true);
        for (i = 0; i < SOAK_VISITORS; i++)
                child_finish(&soak->visitors[i]);
        for (i = 0; i < SOAK_PAIRS; i++) {
                child_finish(&soak->producers[i]);
                child_finish(&soak->consumers[i]);
                assert_int_equal(tally->consumed[i], tally->produced[i]);
                soak->n_items += tally->consumed[i];
        }
        soak->n_visits = atomic_load(&tally->n_visits);
        soak->longest_visit_ns = atomic_load(&tally->longest_ns);
}

void soak_deinit(Soak *soak) {
        child_unshare(soak->tally, sizeof(*soak->tally));
        soak->tally = NULL;
}
