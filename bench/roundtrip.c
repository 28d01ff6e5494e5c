/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Round Trips of one 64-byte Item
 *
 *   spinning   through two rings, against the bare move of one cache line
 *   sleeping   through two rings, both sides asleep in between, against a bare futex ping-pong
 *
 * A round trip counts as the item of the harness: rates are round trips a second.
 */

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/peers.h"
#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

enum {
        ITEM_WORDS = 8,
};

/* One side: what it writes to and what it reads from. */
typedef struct Side {
        ShmbRingProducer producer;
        ShmbRingConsumer consumer;
        ShmbSleeper sleeper;
} Side;

static _Atomic uint32_t epoch = 1;
static Side sides[2];

static const char *roundtrip_setup(BenchRun *run) {
        ShmbGeometry geometry = {
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = 8 * ITEM_WORDS,
                .item_align = 8,
                .capacity = BENCH_CAPACITY,
        };
        ShmbMapped lanes[2], seats[2];
        uint8_t *at = run->memory;
        uint32_t i;

        if (shmb_geometry_seal(&geometry) < 0)
                bench_die("geometry");
        for (i = 0; i < 2; i++) {
                uint64_t lane_size = shmb_geometry_object_size(&geometry, SHMB_OBJECT_LANE);
                uint64_t seat_size = shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT);

                lanes[i] = (ShmbMapped){at, (size_t)lane_size, 1, &epoch};
                at += lane_size;
                seats[i] = (ShmbMapped){at, (size_t)seat_size, 1, &epoch};
                at += seat_size;
        }
        for (i = 0; i < 2; i++) {
                Side *side = &sides[i];

                if (shmb_ring_producer_init(&side->producer, &geometry, 0, &lanes[i], &seats[i],
                                            false) < 0 ||
                    shmb_ring_consumer_init(&side->consumer, &geometry, &seats[1 - i],
                                            &lanes[1 - i], SHMB_RING_STRICT, false) < 0)
                        bench_die("ring");
                shmb_sleeper_init(&side->sleeper, &side->consumer.seat->sleep, false);
        }
        /* EINVAL, EPERM: the sleeping round trip then measures time-outs, and shows it. */
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
        return NULL;
}

static inline void push(Side *side, const uint64_t *item) {
        while (shmb_ring_push_n(&side->producer, item, 1, SHMB_RING_LAZY) < 0)
                shmb_cpu_relax();
        if (shmb_waker_look(&side->producer.waker, 0))
                syscall(SYS_futex, &side->producer.waker.own->bell, FUTEX_WAKE, INT32_MAX, NULL,
                        NULL, 0);
}

static inline void pop_spinning(Side *side, uint64_t *ret_item) {
        while (shmb_ring_pop_n(&side->consumer, ret_item, 1) < 0)
                shmb_cpu_relax();
        shmb_waker_look(&side->consumer.waker, 0);
}

/* S1 to S6 of memory/sleep.h, with one bell. */
static void pop_sleeping(Side *side, uint64_t *ret_item) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        struct futex_waitv waiter = {.flags = FUTEX_32};

        while (shmb_ring_pop_n(&side->consumer, ret_item, 1) < 0) {
                shmb_ring_consumer_words(&side->consumer, words);
                shmb_sleep_enter(&side->sleeper);
                syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
                if (shmb_ring_consumer_look(&side->consumer) < 0) {
                        struct timespec until;

                        clock_gettime(CLOCK_MONOTONIC, &until);
                        until.tv_sec++;
                        waiter.uaddr = (uintptr_t)words[0].word;
                        waiter.val = words[0].value;
                        syscall(SYS_futex_waitv, &waiter, 1, 0, &until, CLOCK_MONOTONIC);
                }
                shmb_sleep_leave(&side->sleeper);
        }
}

#define ROUNDTRIP(_name, _pop)                                                          \
        static void _name##_produce(BenchRun *run) {                                    \
                static uint64_t item[ITEM_WORDS];                                       \
                                                                                        \
                for (;;) {                                                              \
                        _pop(&sides[1], item);                                          \
                        push(&sides[1], item);                                          \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                static uint64_t item[ITEM_WORDS];                                       \
                                                                                        \
                item[0] = ++*sequence;                                                  \
                push(&sides[0], item);                                                  \
                _pop(&sides[0], item);                                                  \
                run->n_wrong += item[0] != *sequence;                                   \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }

ROUNDTRIP(spinning, pop_spinning)
ROUNDTRIP(sleeping, pop_sleeping)

/* A word for each direction. */
static void futex_set(_Atomic uint32_t *word, uint32_t value) {
        atomic_store(word, value);
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(_Atomic uint32_t *word, uint32_t value) {
        uint32_t found;

        while ((found = atomic_load(word)) != value)
                syscall(SYS_futex, word, FUTEX_WAIT, found, NULL, NULL, 0);
}

static void futex_produce(BenchRun *run) {
        _Atomic uint32_t *words = run->memory;
        uint32_t i;

        for (i = 1;; i++) {
                futex_await(&words[0], i);
                futex_set(&words[SHMB_LINE / 4], i);
        }
}

static inline uint32_t futex_step(BenchRun *run, uint32_t *number) {
        _Atomic uint32_t *words = run->memory;

        futex_set(&words[0], ++*number);
        futex_await(&words[SHMB_LINE / 4], *number);
        return 1;
}

static void futex_consume(BenchRun *run) {
        uint32_t number = 0;

        BENCH_BLOCKS(run, futex_step(run, &number));
}

const BenchContestant bench_roundtrips[] = {
        {BENCH_SPIN, 0, roundtrip_setup, spinning_produce, spinning_consume, NULL, 0},
        {BENCH_SLEEP, 0, roundtrip_setup, sleeping_produce, sleeping_consume, NULL, 0},
        {BENCH_FUTEX, 0, NULL, futex_produce, futex_consume, NULL, 0},
        {0},
};
