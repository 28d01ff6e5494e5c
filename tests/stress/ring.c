/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Ring, the Queue and the Reliable Broadcast under Stress
 *
 * Each operation of memory/ring-producer.h, memory/ring-consumer.h and memory/ring-plain.h, in
 * random order. A queue is a ring some of whose slots have no memory yet: here all have, and its
 * producer plays the broker, who says so a segment at a time. A reliable broadcast is a ring with
 * several seats, whose holders a producer admits.
 */

#include "memory/ring-plain.h"
#include "tests/stress/region.h"
#include "tests/stress/ring.h"

enum {
        N_SEGMENTS = 4, /* of a lane, if it has as many slots */
        LEASE = 1000,   /* of the first seat */
};

static void *ring_create(StressShape *shape) {
        return region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_RING});
}

static void *reliable_create(StressShape *shape) {
        return region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_BROADCAST,
                                                 .delivery = SHMB_DELIVERY_RELIABLE});
}

void ring_produce(StressEnd *end) {
        Region *region = end->stress->region;
        ShmbRingProducer *producer = region_handle_new(end, sizeof(*producer));
        int r;

        r = shmb_ring_producer_init(producer, &region->geometry, end->index,
                                    &region->lanes[end->index], region->seats, false);
        if (r < 0)
                stress_fail("no producer", r);
        shmb_sleeper_init(&end->sleeper, &producer->lane->sleep, true);
}

static void ring_consume(StressEnd *end) {
        Region *region = end->stress->region;
        ShmbRingConsumer *consumer = region_handle_new(end, sizeof(*consumer));
        int r;

        r = shmb_ring_consumer_init(consumer, &region->geometry, &region->seats[end->index],
                                    region->lanes, SHMB_RING_STRICT, false);
        if (r < 0)
                stress_fail("no consumer", r);
        shmb_sleeper_init(&end->sleeper, &consumer->seat->sleep, true);
}

static void reliable_produce(StressEnd *end) {
        uint32_t i;

        ring_produce(end);
        for (i = 0; i < end->stress->shape.n_consumers; i++)
                shmb_ring_producer_admit(end->handle, i, LEASE + i, false);
}

static void reliable_consume(StressEnd *end) {
        ring_consume(end);
        shmb_ring_consumer_set_lease(end->handle, end->index, LEASE + end->index);
}

static int push_in_place(StressEnd *end, uint32_t n_max) {
        ShmbRingProducer *producer = end->handle;
        ShmbRingSpan span;
        uint32_t n, i;
        int r;

        r = shmb_ring_claim_n(producer, n_max, stress_random(end, 2) ? SHMB_RING_EXACT
                                                                      : SHMB_RING_LAZY, &span);
        if (r < 0)
                return r;
        /* What is not committed is written all the same, and must not be seen. */
        for (i = 0; i < span.n; i++)
                stress_fill(end, span.data + (size_t)i * producer->stride, end->n_moved + i);
        n = (uint32_t)stress_random(end, span.n + 1);
        if (n == 0)
                shmb_ring_abort(producer);
        else
                r = shmb_ring_commit_n(producer, n);
        return r < 0 ? r : (int)n;
}

int ring_push_quietly(StressEnd *end, uint32_t n_max) {
        uint64_t items[STRESS_BATCH_MAX * STRESS_ITEM_MAX / 8];
        uint32_t item_size = end->stress->shape.item_size, n, i;
        ShmbRingProducer *producer = end->handle;

        n = 1 + (uint32_t)stress_random(end, n_max);
        for (i = 0; i < n; i++)
                stress_fill(end, (uint8_t *)items + (size_t)i * item_size, end->n_moved + i);
        switch (stress_random(end, 4)) {
        case 0:
                return push_in_place(end, n);
        case 1:
                return shmb_ring_push_plain(producer, items)
                       ? 1 : shmb_ring_push_n(producer, items, 1, SHMB_RING_EXACT);
        case 2:
                return shmb_ring_push_n(producer, items, 1, SHMB_RING_LAZY);
        default:
                return shmb_ring_push_n(producer, items, n, SHMB_RING_EXACT);
        }
}

static int ring_push(StressEnd *end, uint32_t n_max) {
        ShmbRingProducer *producer = end->handle;
        int r = ring_push_quietly(end, n_max);
        uint32_t i;

        if (r > 0)
                for (i = 0; i < end->stress->shape.n_consumers; i++)
                        shmb_waker_look(&producer->waker, i);
        return r;
}

static int pop_in_place(StressEnd *end, uint32_t n_max) {
        ShmbRingConsumer *consumer = end->handle;
        ShmbRingSpan span;
        uint32_t n, i;
        int r;

        r = shmb_ring_peek_n(consumer, n_max, &span);
        if (r < 0)
                return r;
        n = (uint32_t)stress_random(end, span.n + 1);
        for (i = 0; i < n; i++)
                stress_see(end, span.data + (size_t)i * consumer->stride, consumer->item_size);
        r = shmb_ring_release_n(consumer, n);
        return r < 0 ? r : (int)n;
}

static int ring_pop(StressEnd *end) {
        uint64_t items[STRESS_BATCH_MAX * STRESS_ITEM_MAX / 8];
        uint32_t n = 1 + (uint32_t)stress_random(end, STRESS_BATCH_MAX);
        ShmbRingConsumer *consumer = end->handle;
        int r, i;

        switch (stress_random(end, 3)) {
        case 0:
                r = pop_in_place(end, n);
                break;
        case 1:
                r = shmb_ring_pop_plain(consumer, items) ? 1 : shmb_ring_pop_n(consumer, items, 1);
                for (i = 0; i < r; i++)
                        stress_see(end, items, consumer->item_size);
                break;
        default:
                r = shmb_ring_pop_n(consumer, items, n);
                for (i = 0; i < r; i++)
                        stress_see(end, (uint8_t *)items + (size_t)i * consumer->item_size,
                                   consumer->item_size);
                break;
        }
        if (r > 0)
                shmb_waker_look(&consumer->waker, shmb_ring_consumer_lane(consumer));
        return r;
}

uint32_t ring_producer_words(StressEnd *end, ShmbSleepWord *ret_words) {
        return shmb_ring_producer_words(end->handle, ret_words);
}

static uint32_t ring_consumer_words(StressEnd *end, ShmbSleepWord *ret_words) {
        return shmb_ring_consumer_words(end->handle, ret_words);
}

int ring_producer_look(StressEnd *end) {
        return shmb_ring_producer_look(end->handle, SHMB_RING_EXACT);
}

static int ring_consumer_look(StressEnd *end) {
        return shmb_ring_consumer_look(end->handle);
}

static uint64_t segment_items(const Region *region) {
        return region->geometry.capacity < N_SEGMENTS ? 1 : region->geometry.capacity / N_SEGMENTS;
}

static void queue_produce(StressEnd *end) {
        Region *region = end->stress->region;

        ring_produce(end);
        atomic_store(&region->backed[end->index], segment_items(region));
        (void)shmb_ring_producer_set_backed(end->handle, &region->backed[end->index],
                                            segment_items(region) / 2);
}

static void queue_consume(StressEnd *end) {
        Region *region = end->stress->region;
        uint32_t i;

        ring_consume(end);
        for (i = 0; i < region->geometry.n_lanes; i++)
                shmb_ring_consumer_set_backed(end->handle, i, &region->backed[i],
                                              segment_items(region));
}

/* The broker's part: one segment more, if the consumer is done with what was there before. */
static void queue_feed(StressEnd *end) {
        ShmbRingProducer *producer = end->handle;
        Region *region = end->stress->region;
        const ShmbSeat *seat = region->seats[0].memory;
        uint64_t backed, limit;

        if (!producer->hungry)
                return;
        /* relaxed: this thread alone writes it */
        backed = shmb_load_relaxed(&region->backed[end->index]);
        /* acquire: the consumer has read what was there; pairs with release of done in
         * shmb_ring_consumer_done() */
        limit = shmb_load_acquire(&seat->places[end->index].done) + region->geometry.capacity;
        if (limit - backed > segment_items(region))
                limit = backed + segment_items(region);
        producer->hungry = 0;
        /* release: as that of the broker; pairs with acquire of backed in consumer_read_tail() */
        shmb_store_release(&region->backed[end->index], limit);
}

static int queue_push(StressEnd *end, uint32_t n_max) {
        queue_feed(end);
        return ring_push(end, n_max);
}

static int queue_producer_look(StressEnd *end) {
        queue_feed(end);
        return ring_producer_look(end);
}

const StressKind stress_queue = {
        .name = "queue",
        .delivery = STRESS_EACH_TO_ONE,
        .n_producers_max = 3,
        .n_consumers_max = 1,
        .create = ring_create,
        .destroy = region_free,
        .produce = queue_produce,
        .consume = queue_consume,
        .detach = region_handle_free,
        .push = queue_push,
        .pop = ring_pop,
        .producer_words = ring_producer_words,
        .consumer_words = ring_consumer_words,
        .producer_look = queue_producer_look,
        .consumer_look = ring_consumer_look,
};

const StressKind stress_ring = {
        .name = "ring",
        .delivery = STRESS_EACH_TO_ONE,
        .n_producers_max = 3,
        .n_consumers_max = 1,
        .create = ring_create,
        .destroy = region_free,
        .produce = ring_produce,
        .consume = ring_consume,
        .detach = region_handle_free,
        .push = ring_push,
        .pop = ring_pop,
        .producer_words = ring_producer_words,
        .consumer_words = ring_consumer_words,
        .producer_look = ring_producer_look,
        .consumer_look = ring_consumer_look,
};

const StressKind stress_reliable = {
        .name = "reliable",
        .delivery = STRESS_EACH_TO_ALL,
        .n_producers_max = 3,
        .n_consumers_max = 3,
        .create = reliable_create,
        .destroy = region_free,
        .produce = reliable_produce,
        .consume = reliable_consume,
        .detach = region_handle_free,
        .push = ring_push,
        .pop = ring_pop,
        .producer_words = ring_producer_words,
        .consumer_words = ring_consumer_words,
        .producer_look = ring_producer_look,
        .consumer_look = ring_consumer_look,
};
