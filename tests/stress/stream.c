/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Stream under Stress
 *
 * Each operation of memory/stream.h, in random order, on messages whose length follows from what
 * they are. Whoever has too little room for one leaves it where it is.
 */

#include <errno.h>

#include "memory/stream.h"
#include "tests/harness/items.h"
#include "tests/stress/region.h"

enum {
        CAPACITY_LOG_MORE = 3, /* a page of slots, and up to so many times twice that */
};

static void *stream_create(StressShape *shape) {
        shape->capacity = SHMB_PAGE << shape->capacity % (CAPACITY_LOG_MORE + 1);
        return region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_STREAM,
                                                 .item_size = 1,
                                                 .item_align = 1,
                                                 .max_message = shape->item_size});
}

static void stream_produce(StressEnd *end) {
        Region *region = end->stress->region;
        ShmbStreamProducer *producer = region_handle_new(end, sizeof(*producer));
        int r;

        r = shmb_stream_producer_init(producer, &region->geometry, end->index,
                                      &region->lanes[end->index], region->seats, false);
        if (r < 0)
                stress_fail("no producer", r);
        shmb_sleeper_init(&end->sleeper, &producer->ring.lane->sleep, true);
}

static void stream_consume(StressEnd *end) {
        Region *region = end->stress->region;
        ShmbStreamConsumer *consumer = region_handle_new(end, sizeof(*consumer));
        int r;

        r = shmb_stream_consumer_init(consumer, &region->geometry, region->seats, region->lanes,
                                      SHMB_RING_STRICT, false);
        if (r < 0)
                stress_fail("no consumer", r);
        shmb_sleeper_init(&end->sleeper, &consumer->ring.seat->sleep, true);
}

/* At least its first word, by which it is known. */
static uint32_t length_of(const StressEnd *end, const void *message) {
        uint64_t first;

        memcpy(&first, message, sizeof(first));
        return 8 + (uint32_t)(item_mix(~first) % (end->stress->shape.item_size - 7));
}

static int send_in_place(StressEnd *end, const void *message, uint32_t n) {
        uint32_t n_more = (uint32_t)stress_random(end, end->stress->shape.item_size - n + 1);
        ShmbStreamProducer *producer = end->handle;
        ShmbRingSpan span;
        int r;

        r = shmb_stream_claim(producer, n + n_more, stress_random(end, 2) ? SHMB_RING_EXACT
                                                                           : SHMB_RING_LAZY, &span);
        if (r < 0)
                return r;
        /* What is not committed is written all the same, and must not be seen. */
        memset(span.data, 0xa5, span.n);
        memcpy(span.data, message, n);
        if (stress_random(end, 4) == 0) {
                shmb_stream_abort(producer);
                return 0;
        }
        r = shmb_stream_commit(producer, n);
        return r < 0 ? r : 1;
}

static int stream_push(StressEnd *end, uint32_t n_max) {
        uint64_t message[STRESS_ITEM_MAX / 8];
        ShmbStreamProducer *producer = end->handle;
        uint32_t n;
        int r;

        stress_fill(end, message, end->n_moved);
        n = length_of(end, message);
        if (stress_random(end, 2)) {
                r = send_in_place(end, message, n);
        } else {
                r = shmb_stream_send(producer, message, n, SHMB_RING_EXACT);
                r = r < 0 ? r : 1;
        }
        if (r > 0)
                shmb_waker_look(&producer->ring.waker, 0);
        return r;
}

static void see(StressEnd *end, const void *message, uint32_t n) {
        if (n < 8 || n != length_of(end, message))
                stress_fail("a message of another length", n);
        stress_see(end, message, n);
}

static int recv_in_place(StressEnd *end, uint64_t n_max) {
        ShmbStreamConsumer *consumer = end->handle;
        ShmbRingSpan span;
        int r;

        r = shmb_stream_peek(consumer, n_max, &span);
        if (r < 0)
                return r;
        /* Which one it is the first time as well as the last. */
        if (stress_random(end, 4) == 0)
                r = shmb_stream_peek(consumer, n_max, &span);
        if (r < 0)
                return r;
        see(end, span.data, span.n);
        r = shmb_stream_release(consumer, (uint32_t)stress_random(end, span.n + 1));
        return r < 0 ? r : 1;
}

static int stream_pop(StressEnd *end) {
        uint64_t message[STRESS_ITEM_MAX / 8], n_max = end->stress->shape.item_size;
        ShmbStreamConsumer *consumer = end->handle;
        int r;

        if (stress_random(end, 4) == 0)
                n_max = stress_random(end, n_max);
        if (stress_random(end, 2)) {
                r = recv_in_place(end, n_max);
        } else {
                r = shmb_stream_recv(consumer, message, n_max);
                if (r >= 0) {
                        see(end, message, (uint32_t)r);
                        r = 1;
                }
        }
        if (r == -EMSGSIZE)
                return 0;
        if (r > 0)
                shmb_waker_look(&consumer->ring.waker, shmb_ring_consumer_lane(&consumer->ring));
        return r;
}

static uint32_t stream_producer_words(StressEnd *end, ShmbSleepWord *ret_words) {
        ShmbStreamProducer *producer = end->handle;

        return shmb_ring_producer_words(&producer->ring, ret_words);
}

static uint32_t stream_consumer_words(StressEnd *end, ShmbSleepWord *ret_words) {
        ShmbStreamConsumer *consumer = end->handle;

        return shmb_ring_consumer_words(&consumer->ring, ret_words);
}

static int stream_producer_look(StressEnd *end) {
        ShmbStreamProducer *producer = end->handle;

        return shmb_ring_producer_look(&producer->ring, SHMB_RING_EXACT);
}

static int stream_consumer_look(StressEnd *end) {
        ShmbStreamConsumer *consumer = end->handle;

        return shmb_ring_consumer_look(&consumer->ring);
}

const StressKind stress_stream = {
        .name = "stream",
        .delivery = STRESS_EACH_TO_ONE,
        .n_producers_max = 3,
        .n_consumers_max = 1,
        .create = stream_create,
        .destroy = region_free,
        .produce = stream_produce,
        .consume = stream_consume,
        .detach = region_handle_free,
        .push = stream_push,
        .pop = stream_pop,
        .producer_words = stream_producer_words,
        .consumer_words = stream_consumer_words,
        .producer_look = stream_producer_look,
        .consumer_look = stream_consumer_look,
};
