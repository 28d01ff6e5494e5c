/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ring against a model, and against a peer that writes whatever it likes
 *
 *   every sequence of operations up to a depth, on the smallest rings, beside a model of two
 * numbers
 *   every word of the peer changed between any two operations: only documented results, nothing
 * outside
 *   two threads at full speed, for ThreadSanitizer
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

enum {
        DEPTH = 5,
        ITEM_WORDS = 2,
        HOSTILE_STEPS = 300000,
        THREAD_ITEMS = 300000,
};

/* Items done..tail are in the ring, item i carries the number i; those below taken were seen. */
typedef struct Model {
        uint64_t capacity, tail, done, taken, n_redelivered;
} Model;

static RingRegion region;
static ShmbRingProducer producer;
static ShmbRingConsumer consumer;
static Model model;

static uint64_t model_room(uint64_t n) {
        uint64_t room = model.capacity - (model.tail - model.done);

        return n < room ? n : room;
}

static uint64_t model_items(uint64_t n) {
        uint64_t items = model.tail - model.done;

        return n < items ? n : items;
}

/* Slots up to the end of the array. */
static uint64_t model_straight(uint64_t index, uint64_t n) {
        uint64_t straight = model.capacity - index % model.capacity;

        return n < straight ? n : straight;
}

static int result(uint64_t n) {
        return n > 0 ? (int)n : -EAGAIN;
}

static void step_push(uint32_t n) {
        uint64_t items[2][ITEM_WORDS], i;

        for (i = 0; i < 2; i++)
                items[i][0] = items[i][1] = model.tail + i;
        assert_int_equal(shmb_ring_push_n(&producer, items, n, SHMB_RING_EXACT),
                         result(model_room(n)));
        model.tail += model_room(n);
}

static void step_claim(uint32_t n, uint32_t n_committed) {
        uint64_t expected = model_straight(model.tail, model_room(n)), i;
        ShmbRingSpan span;
        uint64_t *words;

        assert_int_equal(shmb_ring_claim_n(&producer, n, SHMB_RING_EXACT, &span), result(expected));
        if (expected == 0)
                return;
        words = (uint64_t *)(void *)span.data;
        for (i = 0; i < expected; i++)
                words[2 * i] = words[2 * i + 1] = n_committed > i ? model.tail + i : 4711;
        if (n_committed == 0) {
                shmb_ring_abort(&producer);
                return;
        }
        assert_int_equal(shmb_ring_commit_n(&producer, n_committed), 0);
        model.tail += n_committed;
}

static void step_pop(uint32_t n) {
        uint64_t items[2][ITEM_WORDS], expected = model_items(n), i;

        assert_int_equal(shmb_ring_pop_n(&consumer, items, n), result(expected));
        for (i = 0; i < expected; i++) {
                assert_int_equal(items[i][0], model.done + i);
                assert_int_equal(items[i][1], model.done + i);
        }
        if (expected > model.taken - model.done)
                model.taken = model.done + expected;
        model.done += expected;
}

static uint64_t step_peek(uint32_t n) {
        uint64_t expected = model_straight(model.done, model_items(n)), i;
        const uint64_t *words;
        ShmbRingSpan span;

        if (n == 0)
                return 0;
        assert_int_equal(shmb_ring_peek_n(&consumer, n, &span), result(expected));
        if (expected > model.taken - model.done)
                model.taken = model.done + expected;
        words = (const uint64_t *)(const void *)span.data;
        for (i = 0; i < expected; i++)
                assert_int_equal(words[2 * i + 1], model.done + i);
        return expected;
}

static void step_release(uint32_t n_peeked, uint32_t n) {
        uint64_t n_held = step_peek(n_peeked);

        if (n_held < n)
                n = (uint32_t)n_held;
        assert_int_equal(shmb_ring_release_n(&consumer, n), 0);
        model.done += n;
}

/* The consumer dies with items in its hands. */
static void step_succeed_consumer(uint32_t n_peeked) {
        step_peek(n_peeked);
        model.n_redelivered += model.taken - model.done;
        model.taken = model.done;
        ring_region_consume(&region, 0, &consumer);
}

enum {
        STEP_PUSH,
        STEP_PUSH_TWO,
        STEP_CLAIM_TWO_COMMIT_ONE,
        STEP_CLAIM_ABORT,
        STEP_POP,
        STEP_POP_TWO,
        STEP_PEEK_TWO_RELEASE_ONE,
        STEP_PEEK_RELEASE_NONE,
        STEP_PRODUCER_DIES,
        STEP_CONSUMER_DIES,
        STEP_CONSUMER_DIES_HOLDING_TWO,
        _STEP_N,
};

static void step(unsigned what) {
        switch (what) {
        case STEP_PUSH:
                return step_push(1);
        case STEP_PUSH_TWO:
                return step_push(2);
        case STEP_CLAIM_TWO_COMMIT_ONE:
                return step_claim(2, 1);
        case STEP_CLAIM_ABORT:
                return step_claim(1, 0);
        case STEP_POP:
                return step_pop(1);
        case STEP_POP_TWO:
                return step_pop(2);
        case STEP_PEEK_TWO_RELEASE_ONE:
                return step_release(2, 1);
        case STEP_PEEK_RELEASE_NONE:
                return step_release(1, 0);
        case STEP_PRODUCER_DIES:
                return ring_region_produce(&region, 0, &producer);
        case STEP_CONSUMER_DIES:
                return step_succeed_consumer(0);
        case STEP_CONSUMER_DIES_HOLDING_TWO:
                return step_succeed_consumer(2);
        default:
                fail();
        }
}

static void begin(uint64_t index) {
        ring_region_wind(&region, index);
        atomic_store(&ring_region_seat(&region, 0)->counters.n_redelivered, 0);
        ring_region_produce(&region, 0, &producer);
        ring_region_consume(&region, 0, &consumer);
        model = (Model){region.geometry.capacity, index, index, index, 0};
}

static void check_sequence(uint64_t sequence, uint64_t index) {
        unsigned i;

        begin(index);
        for (i = 0; i < DEPTH; i++, sequence /= _STEP_N)
                step((unsigned)(sequence % _STEP_N));
        assert_int_equal(atomic_load(&ring_region_lane(&region, 0)->tail), model.tail);
        assert_int_equal(atomic_load(&ring_region_place(&region, 0, 0)->done), model.done);
        assert_int_equal(ring_region_seat(&region, 0)->counters.n_redelivered,
                         model.n_redelivered);
        /* and what is left comes out */
        while (model.tail != model.done)
                step_pop(1);
        step_pop(1);
}

static void test_ring_is_its_model_in_every_short_sequence(void **state) {
        uint64_t sequence, n_sequences = 1;
        uint32_t capacity, i;

        for (i = 0; i < DEPTH; i++)
                n_sequences *= _STEP_N;
        for (capacity = 1; capacity <= 4; capacity *= 2) {
                ring_region_init(&region, 1, 1, 8 * ITEM_WORDS, capacity);
                for (sequence = 0; sequence < n_sequences; sequence++)
                        check_sequence(sequence, sequence % 2 ? UINT64_MAX - 1 : 0);
                ring_region_deinit(&region);
        }
}

/* xorshift64: the same numbers in each run */
static uint64_t random_next(void) {
        static uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return x;
}

/* A value that is nearly right as often as it is nonsense. */
static uint64_t random_word(uint64_t old) {
        switch (random_next() % 4) {
        case 0:
                return random_next();
        case 1:
                return old ^ UINT64_C(1) << random_next() % 64;
        case 2:
                return old + random_next() % 5 - 2;
        default:
                return old;
        }
}

static void scribble_word(_Atomic uint64_t *word) {
        atomic_store(word, random_word(atomic_load(word)));
}

static void scribble_sleep(ShmbSleep *sleep) {
        atomic_store(&sleep->seq, (uint32_t)random_next());
        atomic_store(&sleep->flags, (uint32_t)random_next());
}

static void check_span(const ShmbRingSpan *span, const ShmbLane *lane, int r, uint32_t n) {
        uint64_t n_bytes = region.geometry.capacity * region.geometry.stride;
        uint64_t offset;

        if (r < 0) {
                assert_true(r == -EAGAIN || r == -EBADMSG);
                return;
        }
        assert_true(r > 0 && (uint32_t)r <= n && span->n == (uint32_t)r);
        offset = (uint64_t)(span->data - lane->slots);
        assert_true(offset < n_bytes);
        assert_true(n_bytes - offset >= (uint64_t)span->n * region.geometry.stride);
}

static void hostile_consumer_writes(void) {
        ShmbSeat *seat = ring_region_seat(&region, 0);

        scribble_word(&seat->places[0].head);
        scribble_word(&seat->places[0].done);
        scribble_word(&seat->places[0].taken);
        scribble_sleep(&seat->sleep);
        if (random_next() % 64 == 0)
                atomic_store(&seat->places[0].epoch, (uint32_t)random_next() % 3);
}

/* What a producer may do: its own tail never leaves its own track. */
static void check_producer_step(void) {
        ShmbLane *lane = ring_region_lane(&region, 0);
        uint64_t items[8][ITEM_WORDS] = {0}, before = atomic_load(&lane->tail);
        uint32_t n = (uint32_t)(random_next() % 9);
        ShmbRingSpan span;
        int r;

        shmb_waker_look(&producer.waker, 0);
        if (random_next() % 2) {
                r = shmb_ring_push_n(&producer, items, n < 8 ? n : 8, SHMB_RING_EXACT);
                assert_true((r >= 0 && r <= 8) || r == -EAGAIN || r == -EBADMSG);
                assert_int_equal(atomic_load(&lane->tail), before + (r > 0 ? (uint64_t)r : 0));
                return;
        }
        r = shmb_ring_claim_n(&producer, n + 1, SHMB_RING_LAZY, &span);
        check_span(&span, lane, r, n + 1);
        if (r > 0) {
                memset(span.data, 0x5a, (size_t)span.n * region.geometry.stride);
                assert_int_equal(shmb_ring_commit_n(&producer, span.n), 0);
        }
}

static void test_producer_survives_a_consumer_that_writes_anything(void **state) {
        uint32_t i;

        ring_region_init(&region, 1, 1, 8 * ITEM_WORDS, 8);
        begin(0);
        for (i = 0; i < HOSTILE_STEPS; i++) {
                hostile_consumer_writes();
                check_producer_step();
                if (producer.poisoned && random_next() % 8 == 0) {
                        ring_region_wind(&region, random_next());
                        ring_region_produce(&region, 0, &producer);
                }
                /* a successor takes what stands there, or refuses */
                if (random_next() % 32 == 0 &&
                    shmb_ring_producer_init(&producer, &region.geometry, 0, &region.lanes[0],
                                            region.seats, i % 2) < 0)
                        begin(random_next());
        }
        ring_region_deinit(&region);
}

static void check_consumer_step(void) {
        uint32_t n = (uint32_t)(random_next() % 9);
        uint64_t items[8][ITEM_WORDS];
        ShmbRingSpan span;
        int r;

        shmb_waker_look(&consumer.waker, 0);
        if (random_next() % 2) {
                r = shmb_ring_pop_n(&consumer, items, n < 8 ? n : 8);
                assert_true((r >= 0 && r <= 8) || r == -EAGAIN || r == -EBADMSG);
                return;
        }
        r = shmb_ring_peek_n(&consumer, n + 1, &span);
        check_span(&span, ring_region_lane(&region, shmb_ring_consumer_lane(&consumer)), r, n + 1);
        if (r > 0)
                assert_int_equal(shmb_ring_release_n(&consumer, random_next() % (span.n + 1)), 0);
}

static void test_consumer_survives_producers_that_write_anything(void **state) {
        uint32_t i, lane;

        ring_region_init(&region, 2, 1, 8 * ITEM_WORDS, 8);
        ring_region_consume(&region, 0, &consumer);
        for (i = 0; i < HOSTILE_STEPS; i++) {
                for (lane = 0; lane < 2; lane++) {
                        scribble_word(&ring_region_lane(&region, lane)->tail);
                        scribble_sleep(&ring_region_lane(&region, lane)->sleep);
                }
                check_consumer_step();
                /* its own words stay consistent: a successor is never refused for them alone */
                for (lane = 0; lane < 2; lane++) {
                        ShmbPlace *place = ring_region_place(&region, 0, lane);

                        assert_true(place->done - place->head <= 8);
                        assert_true(place->taken - place->done <= 8);
                }
                if (consumer.n_poisoned > 0 && random_next() % 8 == 0)
                        assert_int_equal(shmb_ring_consumer_init(&consumer, &region.geometry,
                                                                 &region.seats[0], region.lanes,
                                                                 SHMB_RING_RESYNC, false), 0);
        }
        ring_region_deinit(&region);
}

/* Slots enough that the producer fetches some in advance; items whole, whatever it writes there. */
static void check_long_run(uint32_t item_size, uint32_t capacity) {
        uint64_t tail, done, number, i;

        ring_region_init(&region, 1, 1, item_size, capacity);
        begin(UINT64_MAX - 5000);
        tail = done = UINT64_MAX - 5000;
        for (i = 0; i < 20000; i++) {
                if (random_next() % 64 < (i / 1000 % 2 ? 34 : 30)) {
                        if (ring_region_push(&producer, tail) == 1)
                                tail++;
                        else
                                assert_int_equal(tail - done, capacity);
                } else if (ring_region_pop(&consumer, &number) == 1) {
                        assert_int_equal(number, done++);
                } else {
                        assert_int_equal(tail, done);
                }
        }
        while (done != tail) {
                assert_int_equal(ring_region_pop(&consumer, &number), 1);
                assert_int_equal(number, done++);
        }
        ring_region_deinit(&region);
}

static void test_ring_delivers_all_in_long_runs_of_single_items(void **state) {
        static const uint32_t sizes[] = {8, 24, 64, 72, 256};
        uint32_t i, capacity;

        for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
                for (capacity = 1; capacity <= 512; capacity *= 8)
                        check_long_run(sizes[i], capacity);
}

static void *produce(void *argument) {
        uint64_t number;

        for (number = 0; number < THREAD_ITEMS;) {
                if (ring_region_push(&producer, number) == 1)
                        number++;
                else
                        shmb_cpu_relax();
        }
        return NULL;
}

static void test_ring_between_two_threads_delivers_all_in_order(void **state) {
        uint64_t expected, number;
        pthread_t thread;

        ring_region_init(&region, 1, 1, 64, 64);
        begin(UINT64_MAX - 1000);
        assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
        for (expected = 0; expected < THREAD_ITEMS;) {
                int r = ring_region_pop(&consumer, &number);

                if (r == 1) {
                        assert_int_equal(number, expected++);
                } else {
                        assert_int_equal(r, -EAGAIN);
                        shmb_cpu_relax();
                }
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        ring_region_deinit(&region);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ring_is_its_model_in_every_short_sequence),
                cmocka_unit_test(test_producer_survives_a_consumer_that_writes_anything),
                cmocka_unit_test(test_consumer_survives_producers_that_write_anything),
                cmocka_unit_test(test_ring_delivers_all_in_long_runs_of_single_items),
                cmocka_unit_test(test_ring_between_two_threads_delivers_all_in_order),
        };

        return cmocka_run_group_tests_name("ring-model", tests, NULL, NULL);
}
