/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pairs under Full Load
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/items.h"
#include "tests/harness/load.h"
#include "tests/harness/mover.h"

#define LOAD_PATIENCE_NS 100000000

enum {
        /* Now and then each looks after its connection, as a program in an event loop does. */
        LOAD_DISPATCH = 4096,
};

static int put(struct shmb_region *r, const Item *item) {
        int result = shmb_push(r, item, LOAD_PATIENCE_NS);

        return result == -EOPNOTSUPP ? shmb_send(r, item, sizeof(*item), LOAD_PATIENCE_NS) : result;
}

static int take(struct shmb_region *r, Item *ret_item) {
        ssize_t result = shmb_pop(r, ret_item, LOAD_PATIENCE_NS);

        if (result == -EOPNOTSUPP)
                result = shmb_recv(r, ret_item, sizeof(*ret_item), LOAD_PATIENCE_NS);
        return result < 0 ? (int)result : 0;
}

static void produce(void *data) {
        const LoadPair *pair = data;
        struct shmb *c;
        struct shmb_region *r = mover_attach_with(pair->broker, pair->region, SHMB_PRODUCE, &c);
        uint64_t i = 1;
        int result;
        Item item;

        child_say("attached");
        child_await("go");
        while (!atomic_load(pair->stop)) {
                item_make(&item, i);
                result = put(r, &item);
                if (result == -ETIMEDOUT || i % LOAD_DISPATCH == 0)
                        (void)shmb_dispatch(c);
                if (result == -ETIMEDOUT)
                        continue;
                child_equal(result, 0);
                i++;
        }
        atomic_store(&pair->tally->produced, i - 1);
        shmb_detach(r);
}

static void consume(void *data) {
        const LoadPair *pair = data;
        struct shmb *c;
        struct shmb_region *r = mover_attach_with(pair->broker, pair->region, SHMB_CONSUME, &c);
        uint64_t i = 1, all = 0;
        int result;
        Item item;

        child_say("attached");
        while (all == 0 || i <= all) {
                all = atomic_load(&pair->tally->produced);
                result = take(r, &item);
                if (result == -ETIMEDOUT || i % LOAD_DISPATCH == 0)
                        (void)shmb_dispatch(c);
                /* A producer whose connection is not back yet ends without having said so. */
                if (result == -ETIMEDOUT || (result == -EOWNERDEAD && atomic_load(pair->stop)))
                        continue;
                child_equal(result, 0);
                child_check(item_is(&item, i));
                atomic_store(&pair->tally->consumed, i++);
        }
        shmb_detach(r);
}

void load_start(LoadPair *pair, const Broker *broker, const char *region, LoadTally *tally,
                const _Atomic bool *stop, const ChildIdentity *producer,
                const ChildIdentity *consumer) {
        pair->broker = broker;
        pair->tally = tally;
        pair->stop = stop;
        snprintf(pair->region, sizeof(pair->region), "%s", region);
        child_spawn(&pair->consumer, consumer, consume, pair);
        child_expect(&pair->consumer, "attached");
        child_spawn(&pair->producer, producer, produce, pair);
        child_expect(&pair->producer, "attached");
}

void load_go(LoadPair *pair) {
        child_tell(&pair->producer, "go");
}

uint64_t load_finish(LoadPair *pair) {
        child_finish(&pair->producer);
        child_finish(&pair->consumer);
        assert_int_equal(atomic_load(&pair->tally->consumed),
                         atomic_load(&pair->tally->produced));
        return atomic_load(&pair->tally->consumed);
}
