/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Lossy Broadcast and the Latest Value under Stress
 *
 * Each operation of memory/cast.h, in random order. What a consumer missed is to be told exactly.
 * Spans are filled by the library's own copy: a user's plain stores race with those who read what
 * stood there before, which they find out, but a sanitizer cannot know that.
 */

#include "memory/cast.h"
#include "memory/copy.h"
#include "tests/stress/region.h"

enum {
        /* Slots of `latest`: from 2 to so many more. */
        SLOTS_MORE = 63,
        /* Items after a multiple of which a producer waits until they are seen. */
        PATIENCE = 64,
};

typedef struct CastConsumer {
        ShmbCastConsumer cast; /* first */
        _Alignas(8) uint8_t copies[STRESS_BATCH_MAX * STRESS_ITEM_MAX];
} CastConsumer;

static void *lossy_create(StressShape *shape) {
        return region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_BROADCAST,
                                                 .delivery = SHMB_DELIVERY_LOSSY});
}

static void *latest_create(StressShape *shape) {
        shape->capacity = 2 + shape->capacity % SLOTS_MORE;
        return region_new(shape, &(ShmbGeometry){.kind = SHMB_KIND_LATEST});
}

static void cast_produce(StressEnd *end) {
        Region *region = end->stress->region;
        ShmbCastProducer *producer = region_handle_new(end, sizeof(*producer));
        int r;

        r = shmb_cast_producer_init(producer, &region->geometry, &region->lanes[end->index],
                                    region->seats, false);
        if (r < 0)
                stress_fail("no producer", r);
        shmb_sleeper_init(&end->sleeper, &producer->lane->sleep, true);
}

static void cast_consume(StressEnd *end) {
        Region *region = end->stress->region;
        CastConsumer *consumer = region_handle_new(end, sizeof(*consumer));
        int r;

        r = shmb_cast_consumer_init(&consumer->cast, &region->geometry,
                                    &region->seats[end->index], region->lanes, consumer->copies,
                                    STRESS_BATCH_MAX);
        if (r < 0)
                stress_fail("no consumer", r);
        shmb_sleeper_init(&end->sleeper, &consumer->cast.seat->sleep, true);
}

/* What is not committed is written all the same, and must not be seen. */
static int publish_in_place(StressEnd *end, const uint8_t *items, uint32_t n_max) {
        ShmbCastProducer *producer = end->handle;
        ShmbRingSpan span;
        uint32_t n, i;
        int r;

        r = shmb_cast_claim(producer, n_max, &span);
        if (r <= 0)
                stress_fail("no room", r);
        for (i = 0; i < span.n; i++)
                shmb_copy_in(span.data + (size_t)i * producer->stride,
                             items + (size_t)i * producer->item_size, producer->item_size);
        n = (uint32_t)stress_random(end, span.n + 1);
        r = shmb_cast_commit(producer, n);
        return r < 0 ? r : (int)n;
}

/* Whether all have seen the newest. With one slot it may be gone before anybody can. */
static bool is_seen(StressEnd *end) {
        const Region *region = end->stress->region;
        const ShmbCastProducer *producer = end->handle;
        const ShmbSeat *seat;
        bool seen = true;
        uint32_t i;

        for (i = 0; i < region->geometry.n_seats; i++) {
                seat = region->seats[i].memory;
                /* relaxed: nothing is read by it */
                seen &= shmb_load_relaxed(&seat->places[end->index].done) == producer->tail;
        }
        return seen || region->geometry.capacity == 1;
}

static int cast_push(StressEnd *end, uint32_t n_max) {
        uint64_t items[STRESS_BATCH_MAX * STRESS_ITEM_MAX / 8];
        uint32_t item_size = end->stress->shape.item_size, n, i;
        ShmbCastProducer *producer = end->handle;
        int r;

        /* Who never waits is through before anybody who was not woken is missed. */
        if (end->n_moved % PATIENCE == 0 && !is_seen(end))
                return -EAGAIN;
        n = 1 + (uint32_t)stress_random(end, n_max);
        for (i = 0; i < n; i++)
                stress_fill(end, (uint8_t *)items + (size_t)i * item_size, end->n_moved + i);
        if (stress_random(end, 2))
                r = publish_in_place(end, (const uint8_t *)items, n);
        else
                r = shmb_cast_publish(producer, items, n);
        for (i = 0; r > 0 && i < end->stress->shape.n_consumers; i++)
                shmb_waker_look(&producer->waker, i);
        return r;
}

static int read_in_place(StressEnd *end, uint32_t n_max) {
        ShmbCastConsumer *consumer = end->handle;
        ShmbRingSpan span;
        uint32_t n, i;
        int r;

        r = shmb_cast_peek(consumer, n_max, &span);
        if (r < 0)
                return r;
        /* All or nothing of it is taken: what a second look shows is another copy. */
        n = (uint32_t)stress_random(end, span.n + 1);
        for (i = 0; i < n; i++)
                stress_see(end, span.data + (size_t)i * consumer->stride, consumer->item_size);
        r = shmb_cast_release(consumer, n);
        return r < 0 ? r : (int)n;
}

static int cast_pop(StressEnd *end) {
        uint64_t items[STRESS_BATCH_MAX * STRESS_ITEM_MAX / 8];
        uint32_t n = 1 + (uint32_t)stress_random(end, STRESS_BATCH_MAX);
        ShmbCastConsumer *consumer = end->handle;
        int r, i;

        if (stress_random(end, 2)) {
                r = read_in_place(end, n);
        } else {
                r = shmb_cast_read(consumer, items, n);
                for (i = 0; i < r; i++)
                        stress_see(end, (uint8_t *)items + (size_t)i * consumer->item_size,
                                   consumer->item_size);
        }
        end->n_missed = consumer->n_missed;
        return r;
}

static uint32_t cast_consumer_words(StressEnd *end, ShmbSleepWord *ret_words) {
        return shmb_cast_words(end->handle, ret_words);
}

static int cast_consumer_look(StressEnd *end) {
        return shmb_cast_look(end->handle);
}

const StressKind stress_lossy = {
        .name = "lossy",
        .delivery = STRESS_SOME_TO_ALL,
        .n_producers_max = 3,
        .n_consumers_max = 3,
        .create = lossy_create,
        .destroy = region_free,
        .produce = cast_produce,
        .consume = cast_consume,
        .detach = region_handle_free,
        .push = cast_push,
        .pop = cast_pop,
        .consumer_words = cast_consumer_words,
        .consumer_look = cast_consumer_look,
};

const StressKind stress_latest = {
        .name = "latest",
        .delivery = STRESS_SOME_TO_ALL,
        .n_producers_max = 1,
        .n_consumers_max = 4,
        .create = latest_create,
        .destroy = region_free,
        .produce = cast_produce,
        .consume = cast_consume,
        .detach = region_handle_free,
        .push = cast_push,
        .pop = cast_pop,
        .consumer_words = cast_consumer_words,
        .consumer_look = cast_consumer_look,
};
