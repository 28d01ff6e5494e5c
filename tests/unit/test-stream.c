/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stream: each length at each offset, against a queue of numbers; what a dead party leaves; a
 * producer who writes whatever he likes
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "memory/stream.h"

enum {
        CAPACITY = 4096,
        MAX = CAPACITY - 8,
        QUEUE_MAX = CAPACITY / 8,
        LANE_SIZE = SHMB_PAGE + CAPACITY,
        N_RANDOM = 200000,
};

/* Messages that are under way: their lengths; message i is filled with bytes i + k. */
typedef struct Model {
        uint32_t lengths[QUEUE_MAX];
        uint64_t first, n, used;
} Model;

static ShmbGeometry geometry;
static _Atomic uint32_t lane_epoch, seat_epoch;
static ShmbMapped lane, seat;
static ShmbStreamProducer producer;
static ShmbStreamConsumer consumer;
static Model model;
static uint64_t random_state;

static uint64_t random_next(void) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        return random_state >> 33;
}

static ShmbLane *lane_words(void) {
        return lane.memory;
}

static ShmbSeat *seat_words(void) {
        return seat.memory;
}

static int setup(void **state) {
        int fd = memfd_create("lane", MFD_CLOEXEC);
        uint8_t *at;

        geometry = (ShmbGeometry){.kind = SHMB_KIND_STREAM, .n_lanes = 1, .n_seats = 1,
                                  .item_size = 1, .item_align = 1, .capacity = CAPACITY,
                                  .max_message = MAX};
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, LANE_SIZE), 0);
        at = mmap(NULL, LANE_SIZE + CAPACITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(at != MAP_FAILED);
        assert_true(mmap(at, LANE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
                    at);
        assert_true(mmap(at + LANE_SIZE, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                         fd, SHMB_PAGE) == at + LANE_SIZE);
        close(fd);
        atomic_store(&lane_epoch, 1);
        atomic_store(&seat_epoch, 1);
        lane = (ShmbMapped){at, LANE_SIZE + CAPACITY, 1, &lane_epoch};
        seat.n_bytes = (size_t)shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT);
        seat.memory = aligned_alloc(SHMB_PAGE, seat.n_bytes);
        seat.epoch = 1;
        seat.newest = &seat_epoch;
        memset(seat.memory, 0, seat.n_bytes);
        random_state = 1;
        return 0;
}

static int teardown(void **state) {
        munmap(lane.memory, LANE_SIZE + CAPACITY);
        free(seat.memory);
        return 0;
}

static void attach(void) {
        assert_int_equal(shmb_stream_producer_init(&producer, &geometry, 0, &lane, &seat, false),
                         0);
        assert_int_equal(shmb_stream_consumer_init(&consumer, &geometry, &seat, &lane,
                                                   SHMB_RING_STRICT, false), 0);
}

/* As if so many bytes had gone through. */
static void begin(uint64_t at) {
        ShmbPlace *place = seat_words()->places;

        atomic_store(&lane_words()->tail, at);
        atomic_store(&place->head, at);
        atomic_store(&place->done, at);
        atomic_store(&place->taken, at);
        atomic_store(&place->epoch, 1);
        atomic_store(&seat_words()->counters.n_redelivered, 0);
        model = (Model){};
        attach();
}

static void fill(uint8_t *bytes, uint64_t number, uint32_t n) {
        uint32_t i;

        for (i = 0; i < n; i++)
                bytes[i] = (uint8_t)(number + i);
}

static void assert_filled(const uint8_t *bytes, uint64_t number, uint32_t n) {
        uint32_t i;

        for (i = 0; i < n; i++)
                assert_int_equal(bytes[i], (uint8_t)(number + i));
}

static void add(uint32_t n) {
        model.lengths[(model.first + model.n) % QUEUE_MAX] = n;
        model.n++;
        model.used += shmb_stream_frame_size(n);
}

static bool has_room(uint32_t n) {
        return shmb_stream_frame_size(n) <= CAPACITY - model.used;
}

static void send(uint32_t n, bool in_place) {
        uint8_t bytes[MAX];
        ShmbRingSpan span;
        int r;

        fill(bytes, model.first + model.n, n);
        if (!in_place) {
                r = shmb_stream_send(&producer, bytes, n, SHMB_RING_EXACT);
        } else {
                r = shmb_stream_claim(&producer, n, SHMB_RING_EXACT, &span);
                if (r == 0) {
                        assert_int_equal(span.n, n);
                        memcpy(span.data, bytes, n);
                        assert_int_equal(shmb_stream_commit(&producer, n), 0);
                }
        }
        assert_int_equal(r, has_room(n) ? 0 : -EAGAIN);
        if (r == 0)
                add(n);
}

static void recv(bool in_place) {
        uint32_t n = model.lengths[model.first % QUEUE_MAX];
        uint8_t bytes[MAX];
        ShmbRingSpan span;

        if (model.n == 0) {
                assert_int_equal(shmb_stream_recv(&consumer, bytes, MAX), -EAGAIN);
                return;
        }
        if (n > 0)
                assert_int_equal(shmb_stream_recv(&consumer, bytes, n - 1), -EMSGSIZE);
        if (in_place) {
                assert_int_equal(shmb_stream_peek(&consumer, MAX, &span), 0);
                assert_int_equal(span.n, n);
                assert_filled(span.data, model.first, n);
                assert_int_equal(shmb_stream_release(&consumer, n + 1), -EINVAL);
                assert_int_equal(shmb_stream_release(&consumer, n / 2), 0);
        } else {
                assert_int_equal(shmb_stream_recv(&consumer, bytes, MAX), n);
                assert_filled(bytes, model.first, n);
        }
        model.first++;
        model.n--;
        model.used -= shmb_stream_frame_size(n);
}

static void test_stream_carries_each_length_from_each_offset(void **state) {
        uint32_t n;
        uint64_t at;

        for (n = 0; n <= MAX; n++) {
                begin((uint64_t)n * 8);
                send(n, n % 2);
                recv(n % 3);
                recv(false);
        }
        for (at = UINT64_MAX - 7 - CAPACITY; at > CAPACITY; at += 8) {
                begin(at);
                send(1000, false);
                send(MAX - 1008, true);
                send(0, false);
                recv(true);
                recv(false);
                recv(false);
        }
}

static void test_stream_is_a_queue_in_long_runs(void **state) {
        uint32_t i;

        begin(UINT64_MAX - 7 - 4 * CAPACITY);
        for (i = 0; i < N_RANDOM; i++) {
                uint32_t n = (uint32_t)(random_next() % (random_next() % 4 ? 64 : MAX + 1));

                if (random_next() % 2)
                        send(n, random_next() % 2);
                else
                        recv(random_next() % 2);
        }
        while (model.n > 0)
                recv(false);
        assert_int_equal(seat_words()->places[0].done, lane_words()->tail);
}

static void test_stream_refuses_what_is_too_long_or_not_held(void **state) {
        ShmbRingSpan span;

        begin(0);
        assert_int_equal(shmb_stream_send(&producer, NULL, MAX + 1, SHMB_RING_EXACT), -EMSGSIZE);
        assert_int_equal(shmb_stream_commit(&producer, 0), -EINVAL);
        assert_int_equal(shmb_stream_release(&consumer, 0), -EINVAL);
        assert_int_equal(shmb_stream_claim(&producer, 10, SHMB_RING_EXACT, &span), 0);
        assert_int_equal(shmb_stream_send(&producer, "", 1, SHMB_RING_EXACT), -EBUSY);
        assert_int_equal(shmb_stream_commit(&producer, 11), -EINVAL);
        shmb_stream_abort(&producer);
        assert_int_equal(lane_words()->tail, 0);
        assert_int_equal(shmb_stream_peek(&consumer, MAX, &span), -EAGAIN);
}

static void test_stream_gives_a_held_message_to_the_successor_and_counts_it(void **state) {
        ShmbRingSpan span;

        begin(4000);
        send(300, false);
        send(5, false);
        assert_int_equal(shmb_stream_peek(&consumer, MAX, &span), 0);
        attach();
        assert_int_equal(seat_words()->counters.n_redelivered, 1);
        recv(true);
        recv(false);
        attach();
        assert_int_equal(seat_words()->counters.n_redelivered, 1);
}

/* A frame, or a tail, that no honest producer makes. */
static void assert_poison(uint32_t length, uint32_t reserved, uint64_t n_there) {
        ShmbFrame *frame = (ShmbFrame *)(void *)lane_words()->slots;
        uint8_t bytes[MAX];

        begin(0);
        atomic_store(&frame->length, length);
        atomic_store(&frame->reserved, reserved);
        atomic_store(&lane_words()->tail, n_there);
        memset(bytes, 0x55, sizeof(bytes));
        assert_int_equal(shmb_stream_recv(&consumer, bytes, MAX), -EBADMSG);
        assert_int_equal(shmb_stream_recv(&consumer, bytes, MAX), -EBADMSG);
        assert_int_equal(bytes[0], 0x55);
        assert_int_equal(seat_words()->places[0].done, 0);
        /* and who takes over such a lane has it replaced */
        assert_int_equal(shmb_stream_producer_init(&producer, &geometry, 0, &lane, &seat, false),
                         -EBADMSG);
        assert_int_equal(shmb_stream_consumer_init(&consumer, &geometry, &seat, &lane,
                                                   SHMB_RING_STRICT, false), -EBADMSG);
        assert_int_equal(shmb_stream_consumer_init(&consumer, &geometry, &seat, &lane,
                                                   SHMB_RING_RESYNC, false), 0);
}

static void test_stream_believes_no_frame_that_does_not_fit(void **state) {
        assert_poison(MAX + 1, 0, CAPACITY);
        assert_poison(UINT32_MAX, 0, CAPACITY);
        assert_poison(9, 0, 16);
        assert_poison(0, 1, 8);
        assert_poison(0, 0, 4);
        assert_poison(8, 0, 15);
}

static void test_stream_survives_a_producer_who_writes_anything(void **state) {
        uint8_t bytes[MAX];
        ShmbRingSpan span;
        uint32_t i;
        int r;

        begin(0);
        for (i = 0; i < N_RANDOM; i++) {
                memset(lane_words()->slots + random_next() % (CAPACITY / 8) * 8,
                       random_next() % 2 ? 0 : (int)random_next(), 4);
                if (random_next() % 2)
                        atomic_store(&lane_words()->tail,
                                     consumer.ring.cursor->next + random_next() % (CAPACITY + 9));
                r = shmb_stream_peek(&consumer, MAX, &span);
                if (r == 0) {
                        assert_in_range(span.data - lane_words()->slots, 8, 2 * CAPACITY - span.n);
                        memcpy(bytes, span.data, span.n);
                        assert_int_equal(shmb_stream_release(&consumer, span.n), 0);
                }
                assert_true(r == 0 || r == -EAGAIN || r == -EBADMSG);
                assert_true(consumer.ring.cursor->tail - consumer.ring.cursor->next <= CAPACITY);
                if (r == -EBADMSG)
                        assert_int_equal(shmb_stream_consumer_init(&consumer, &geometry, &seat,
                                                                   &lane, SHMB_RING_RESYNC, false),
                                         0);
        }
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_stream_carries_each_length_from_each_offset),
                TEST(test_stream_is_a_queue_in_long_runs),
                TEST(test_stream_refuses_what_is_too_long_or_not_held),
                TEST(test_stream_gives_a_held_message_to_the_successor_and_counts_it),
                TEST(test_stream_believes_no_frame_that_does_not_fit),
                TEST(test_stream_survives_a_producer_who_writes_anything),
        };

        if (sysconf(_SC_PAGESIZE) > SHMB_PAGE) {
                fprintf(stderr, "skipped: the pages of this machine are larger than 4096 bytes\n");
                return 77;
        }
        return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
