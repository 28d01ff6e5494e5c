/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Broadcast and the Latest Value, on memory alone
 *
 * Who is lapped knows exactly what it missed; what is half written is never taken for whole; and
 * words that somebody made up end one lane and nothing else.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "memory/cast.h"
#include "memory/ring-producer.h"

enum {
        CAPACITY = 8,
        LANES = 2,
        COPIES = 8,
};

static ShmbGeometry geometry;
static ShmbMapped lanes[LANES], seat;
static _Atomic uint32_t epochs[LANES + 1];
static ShmbCastProducer producer;
static ShmbCastConsumer consumer;
static uint8_t copies[COPIES * 8];

static ShmbMapped object(ShmbObjectKind kind, _Atomic uint32_t *newest) {
        ShmbMapped mapped = {.newest = newest, .epoch = 1};

        mapped.n_bytes = (size_t)shmb_geometry_object_size(&geometry, kind);
        mapped.memory = aligned_alloc(SHMB_PAGE, mapped.n_bytes);
        assert_non_null(mapped.memory);
        memset(mapped.memory, 0, mapped.n_bytes);
        atomic_store(newest, 1);
        return mapped;
}

static void begin(ShmbKind kind, uint32_t n_lanes, uint64_t capacity) {
        uint32_t i;

        geometry = (ShmbGeometry){
                .kind = kind,
                .delivery = SHMB_DELIVERY_LOSSY,
                .n_lanes = n_lanes,
                .n_seats = 1,
                .item_size = 8,
                .item_align = 8,
                .capacity = capacity,
        };
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        for (i = 0; i < n_lanes; i++)
                lanes[i] = object(SHMB_OBJECT_LANE, &epochs[i]);
        seat = object(SHMB_OBJECT_SEAT, &epochs[LANES]);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         0);
        assert_int_equal(shmb_cast_consumer_init(&consumer, &geometry, &seat, lanes, copies,
                                                 COPIES),
                         0);
}

static int setup_lossy(void **state) {
        begin(SHMB_KIND_BROADCAST, LANES, CAPACITY);
        return 0;
}

static int setup_latest(void **state) {
        begin(SHMB_KIND_LATEST, 1, 3);
        return 0;
}

static int teardown(void **state) {
        uint32_t i;

        for (i = 0; i < geometry.n_lanes; i++)
                free(lanes[i].memory);
        free(seat.memory);
        return 0;
}

static void push(uint64_t from, uint64_t n) {
        uint64_t i;

        for (i = from; i < from + n; i++)
                assert_int_equal(shmb_cast_publish(&producer, &i, 1), 1);
}

static uint64_t pop(void) {
        uint64_t number = UINT64_MAX;

        assert_int_equal(shmb_cast_read(&consumer, &number, 1), 1);
        return number;
}

static int try_pop(void) {
        uint64_t number;

        return shmb_cast_read(&consumer, &number, 1);
}

static ShmbLane *lane(void) {
        return lanes[0].memory;
}

static void test_consumer_in_time_misses_nothing(void **state) {
        uint64_t i;

        for (i = 0; i < 10 * CAPACITY; i += CAPACITY) {
                uint64_t k;

                push(i, CAPACITY);
                for (k = 0; k < CAPACITY; k++)
                        assert_int_equal(pop(), i + k);
                assert_int_equal(try_pop(), -EAGAIN);
        }
        assert_int_equal(consumer.n_missed, 0);
}

static void test_lapped_consumer_misses_exactly_what_it_does_not_get(void **state) {
        uint64_t first;

        push(0, 3 * CAPACITY);
        first = pop();
        assert_in_range(first, 2 * CAPACITY, 2 * CAPACITY + CAPACITY / 2);
        assert_int_equal(consumer.n_missed, first);
        assert_int_equal(((ShmbSeat *)seat.memory)->counters.n_missed, first);
        while (first + 1 < 3 * CAPACITY)
                assert_int_equal(pop(), ++first);
        assert_int_equal(try_pop(), -EAGAIN);
}

static void test_who_comes_sees_what_comes_after(void **state) {
        push(0, 5);
        assert_int_equal(shmb_cast_consumer_init(&consumer, &geometry, &seat, lanes, copies,
                                                 COPIES),
                         0);
        assert_int_equal(try_pop(), -EAGAIN);
        push(5, 1);
        assert_int_equal(pop(), 5);
        assert_int_equal(consumer.n_missed, 0);
}

/* A producer dies with slots half written: his successor and every consumer know. */
static void test_what_was_claimed_is_gone_and_never_taken_for_whole(void **state) {
        ShmbRingSpan span;

        push(0, CAPACITY);
        assert_int_equal(shmb_cast_claim(&producer, 2, &span), 2);
        memset(span.data, 0xa5, 2 * 8);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         0);
        assert_true(pop() >= 2);
        assert_true(consumer.n_missed >= 2);
        push(CAPACITY, 1);
        while (try_pop() == 1)
                ;
        assert_int_equal(consumer.cursors[0].next, CAPACITY + 1);
}

static void test_peek_shows_copies_that_nobody_overwrites(void **state) {
        ShmbRingSpan span;
        uint64_t number;

        push(0, 4);
        assert_int_equal(shmb_cast_peek(&consumer, 3, &span), 3);
        push(4, 3 * CAPACITY);
        memcpy(&number, span.data + 2 * 8, sizeof(number));
        assert_int_equal(number, 2);
        assert_int_equal(try_pop(), -EBUSY);
        assert_int_equal(shmb_cast_peek(&consumer, 9, &span), 3);
        assert_int_equal(shmb_cast_release(&consumer, 4), -EINVAL);
        assert_int_equal(shmb_cast_release(&consumer, 3), 0);
        assert_int_equal(consumer.n_missed, 0);
        assert_true(pop() > 3);
}

static void test_more_than_a_lap_at_once_is_published_all_the_same(void **state) {
        uint64_t items[3 * CAPACITY], i, got[CAPACITY];

        for (i = 0; i < 3 * CAPACITY; i++)
                items[i] = i;
        assert_int_equal(shmb_cast_publish(&producer, items, 3 * CAPACITY), 3 * CAPACITY);
        i = (uint64_t)shmb_cast_read(&consumer, got, CAPACITY);
        assert_int_equal(got[i - 1] + 1, consumer.n_missed + i);
}

static void test_latest_shows_the_newest_once(void **state) {
        assert_int_equal(try_pop(), -EAGAIN);
        push(0, 1);
        assert_int_equal(pop(), 0);
        assert_int_equal(try_pop(), -EAGAIN);
        push(1, 7);
        assert_int_equal(pop(), 7);
        assert_int_equal(consumer.n_missed, 6);
        assert_int_equal(try_pop(), -EAGAIN);
        assert_int_equal(shmb_cast_consumer_init(&consumer, &geometry, &seat, lanes, copies, 1),
                         0);
        assert_int_equal(pop(), 7);
        assert_int_equal(try_pop(), -EAGAIN);
}

static void test_lies_end_one_lane_and_are_said_once(void **state) {
        ShmbCastProducer other;
        uint64_t number = 77;

        assert_int_equal(shmb_cast_producer_init(&other, &geometry, &lanes[1], &seat, false), 0);
        push(0, 2);
        assert_int_equal(pop(), 0);
        atomic_store(&lane()->tail, 1);
        assert_int_equal(try_pop(), -EBADMSG);
        assert_int_equal(try_pop(), -EAGAIN);
        assert_int_equal(shmb_cast_publish(&other, &number, 1), 1);
        assert_int_equal(pop(), 77);
        /* The next holder of the lane is somebody else. */
        assert_int_equal(shmb_cast_trust_lane(&consumer, 0), 0);
        atomic_store(&lane()->claimed, 1);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         0);
        push(5, 1);
        assert_int_equal(pop(), 5);
}

static void test_producer_takes_over_no_words_that_make_no_sense(void **state) {
        atomic_store(&lane()->tail, 5);
        atomic_store(&lane()->claimed, 4);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         -EBADMSG);
        /* No producer counts that far. */
        atomic_store(&lane()->tail, UINT64_MAX - 2);
        atomic_store(&lane()->claimed, UINT64_MAX - 2);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         -EBADMSG);
        atomic_store(&lane()->tail, 5);
        atomic_store(&lane()->claimed, 6 + CAPACITY);
        assert_int_equal(shmb_cast_producer_init(&producer, &geometry, &lanes[0], &seat, false),
                         -EBADMSG);
}

static void test_words_that_somebody_made_up_harm_nobody_else(void **state) {
        unsigned seed = 11, round;
        uint64_t items[4];
        int r;

        for (round = 0; round < 20000; round++) {
                atomic_store(&lane()->tail, (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40));
                atomic_store(&lane()->claimed, (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40));
                r = shmb_cast_read(&consumer, items, 1 + (uint32_t)rand_r(&seed) % 4);
                assert_true(r == -EAGAIN || r == -EBADMSG || (r >= 1 && r <= 4));
                if (r == -EBADMSG)
                        assert_int_equal(shmb_cast_trust_lane(&consumer, 0), 0);
        }
}

/* Reliable: memory/ring-producer.h and memory/ring-consumer.h, with admission. */
static void test_reliable_consumer_counts_from_its_admission_on(void **state) {
        static ShmbRingProducer reliable;
        static ShmbRingConsumer first, second;
        uint64_t number;

        geometry.delivery = SHMB_DELIVERY_RELIABLE;
        assert_int_equal(shmb_ring_producer_init(&reliable, &geometry, 0, &lanes[0], &seat, false),
                         0);
        for (number = 0; number < 3 * CAPACITY; number++)
                assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        assert_int_equal(shmb_ring_consumer_init(&first, &geometry, &seat, lanes, SHMB_RING_STRICT,
                                                 false),
                         0);
        shmb_ring_consumer_set_lease(&first, 0, 41);
        assert_int_equal(shmb_ring_pop_n(&first, &number, 1), -EAGAIN);
        shmb_ring_producer_admit(&reliable, 0, 41, false);
        for (number = 100; number < 100 + CAPACITY; number++)
                assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), -EAGAIN);
        assert_int_equal(shmb_ring_pop_n(&first, &number, 1), 1);
        assert_int_equal(number, 100);

        /* Its successor is another one: what it left behind is nobody's. */
        shmb_ring_producer_admit(&reliable, 0, 0, false);
        number = 200;
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        assert_int_equal(shmb_ring_consumer_init(&second, &geometry, &seat, lanes,
                                                 SHMB_RING_STRICT, false),
                         0);
        shmb_ring_consumer_set_lease(&second, 0, 42);
        shmb_ring_producer_admit(&reliable, 0, 42, false);
        assert_int_equal(shmb_ring_pop_n(&second, &number, 1), -EAGAIN);
        number = 300;
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);

        /* And the producer's successor takes up whom he admitted. */
        assert_int_equal(shmb_ring_producer_init(&reliable, &geometry, 0, &lanes[0], &seat, false),
                         0);
        shmb_ring_producer_admit(&reliable, 0, 42, true);
        assert_int_equal(shmb_ring_pop_n(&second, &number, 1), 1);
        assert_int_equal(number, 300);
}

/* A seat that lies is out, until somebody else has it: the others are not held back. */
static void test_reliable_producer_goes_on_without_who_lies(void **state) {
        static ShmbRingProducer reliable;
        ShmbPlace *place = &((ShmbSeat *)seat.memory)->places[0];
        static ShmbRingConsumer honest;
        uint64_t number = 0, many[CAPACITY] = {};

        geometry.delivery = SHMB_DELIVERY_RELIABLE;
        assert_int_equal(shmb_ring_producer_init(&reliable, &geometry, 0, &lanes[0], &seat, false),
                         0);
        shmb_ring_producer_admit(&reliable, 0, 41, false);
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        atomic_store(&place->epoch, lanes[0].epoch);
        atomic_store(&place->lease, 41);
        atomic_store(&place->head, 1000);
        atomic_store(&place->done, 1000);
        assert_int_equal(shmb_ring_producer_look(&reliable, SHMB_RING_EXACT), -EBADMSG);
        for (number = 0; number < 3 * CAPACITY; number++)
                assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);

        /* Nor does it keep a successor of the producer out. */
        assert_int_equal(shmb_ring_producer_init(&reliable, &geometry, 0, &lanes[0], &seat, false),
                         0);
        shmb_ring_producer_admit(&reliable, 0, 41, true);
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);

        shmb_ring_producer_admit(&reliable, 0, 42, false);
        assert_int_equal(shmb_ring_consumer_init(&honest, &geometry, &seat, lanes, SHMB_RING_STRICT,
                                                 false),
                         0);
        shmb_ring_consumer_set_lease(&honest, 0, 42);
        assert_int_equal(shmb_ring_pop_n(&honest, &number, 1), -EAGAIN);
        number = 77;
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        assert_int_equal(shmb_ring_pop_n(&honest, &number, 1), 1);
        assert_int_equal(number, 77);

        /* A predecessor who denies whom he admitted takes nothing from them. */
        assert_int_equal(shmb_ring_push_n(&reliable, &number, 1, SHMB_RING_EXACT), 1);
        atomic_store(&((ShmbLane *)lanes[0].memory)->joins[0].lease, 0);
        assert_int_equal(shmb_ring_producer_init(&reliable, &geometry, 0, &lanes[0], &seat, false),
                         0);
        shmb_ring_producer_admit(&reliable, 0, 42, true);
        assert_int_equal(shmb_ring_push_n(&reliable, many, CAPACITY, SHMB_RING_EXACT),
                         CAPACITY - 1);
        assert_int_equal(shmb_ring_pop_n(&honest, &number, 1), 1);
        assert_int_equal(number, 77);
}

#define LOSSY(_name) cmocka_unit_test_setup_teardown(_name, setup_lossy, teardown)
#define LATEST(_name) cmocka_unit_test_setup_teardown(_name, setup_latest, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                LOSSY(test_consumer_in_time_misses_nothing),
                LOSSY(test_lapped_consumer_misses_exactly_what_it_does_not_get),
                LOSSY(test_who_comes_sees_what_comes_after),
                LOSSY(test_what_was_claimed_is_gone_and_never_taken_for_whole),
                LOSSY(test_peek_shows_copies_that_nobody_overwrites),
                LOSSY(test_more_than_a_lap_at_once_is_published_all_the_same),
                LATEST(test_latest_shows_the_newest_once),
                LOSSY(test_lies_end_one_lane_and_are_said_once),
                LOSSY(test_producer_takes_over_no_words_that_make_no_sense),
                LOSSY(test_words_that_somebody_made_up_harm_nobody_else),
                LOSSY(test_reliable_consumer_counts_from_its_admission_on),
                LOSSY(test_reliable_producer_goes_on_without_who_lies),
        };

        return cmocka_run_group_tests_name("cast", tests, NULL, NULL);
}
