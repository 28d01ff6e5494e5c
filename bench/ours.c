/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Ring of shmbroker, in the ways in which it can be used
 *
 * The fast path as libshmbroker compiles it: the size of an item is a number that came from the
 * broker, every publication looks whether the peer sleeps.
 */

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/peers.h"
#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

typedef struct Region {
        ShmbGeometry geometry;
        _Atomic uint32_t epoch;
        ShmbMapped lane, seat;
} Region;

static Region region;
static ShmbRingProducer producer;
static ShmbRingConsumer consumer;

static const char *ours_setup(BenchRun *run) {
        uint8_t *memory = run->memory;

        region.geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = run->item_size,
                .item_align = 8,
                .capacity = BENCH_CAPACITY,
        };
        atomic_store(&region.epoch, 1);
        if (shmb_geometry_seal(&region.geometry) < 0)
                bench_die("geometry");
        region.seat = (ShmbMapped){memory, run->n_bytes, 1, &region.epoch};
        memory += shmb_geometry_object_size(&region.geometry, SHMB_OBJECT_SEAT);
        region.lane = (ShmbMapped){memory, run->n_bytes - (size_t)(memory - (uint8_t *)run->memory),
                                   1, &region.epoch};
        if (shmb_ring_producer_init(&producer, &region.geometry, 0, &region.lane, &region.seat,
                                    false) < 0 ||
            shmb_ring_consumer_init(&consumer, &region.geometry, &region.seat, &region.lane,
                                    SHMB_RING_STRICT, false) < 0)
                bench_die("ring");
        return NULL;
}

static inline void wake(ShmbWaker *waker) {
        if (shmb_waker_look(waker, 0))
                syscall(SYS_futex, &waker->own->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* One item a call. @_wake is what follows each publication. */
#define ONE(_name, _wake)                                                               \
        static void _name##_produce(BenchRun *run) {                                    \
                static uint64_t item[BENCH_ITEM_MAX / 8];                                     \
                                                                                        \
                for (;; item[0]++) {                                                    \
                        while (shmb_ring_push_n(&producer, item, 1, SHMB_RING_LAZY) < 0) \
                                shmb_cpu_relax();                                       \
                        _wake(&producer.waker);                                         \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                static uint64_t item[BENCH_ITEM_MAX / 8];                                     \
                                                                                        \
                while (shmb_ring_pop_n(&consumer, item, 1) < 0)                         \
                        shmb_cpu_relax();                                               \
                _wake(&consumer.waker);                                                 \
                run->n_wrong += item[0] != (*sequence)++;                               \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }

#define NEVER_WAKE(_waker) ((void)(_waker))

ONE(one, wake)
ONE(one_never, NEVER_WAKE)

static uint8_t batch[BENCH_BATCH_ITEMS * BENCH_ITEM_MAX];

/* All of them, in as many calls as it takes. */
static void batch_push(const uint8_t *items, uint32_t n) {
        int r;

        for (; n > 0; n -= (uint32_t)r, items += (size_t)r * region.geometry.item_size) {
                while ((r = shmb_ring_push_n(&producer, items, n, SHMB_RING_LAZY)) < 0)
                        shmb_cpu_relax();
                wake(&producer.waker);
        }
}

static void batch_produce(BenchRun *run) {
        uint64_t sequence;

        for (sequence = 0;; sequence += BENCH_BATCH_ITEMS) {
                bench_number(batch, run->item_size, BENCH_BATCH_ITEMS, sequence);
                batch_push(batch, BENCH_BATCH_ITEMS);
        }
}

static inline uint32_t batch_step(BenchRun *run, uint64_t *sequence) {
        int r;

        while ((r = shmb_ring_pop_n(&consumer, batch, BENCH_BATCH_ITEMS)) < 0)
                shmb_cpu_relax();
        wake(&consumer.waker);
        run->n_wrong += bench_check(batch, run->item_size, (uint32_t)r, *sequence);
        *sequence += (uint32_t)r;
        return (uint32_t)r;
}

static void batch_consume(BenchRun *run) {
        uint64_t sequence = 0;

        BENCH_BLOCKS(run, batch_step(run, &sequence));
}

/* As memcpy does it: so many items a call as make a block of it, and the first of them numbered. */
static uint32_t block_items(const BenchRun *run) {
        uint32_t n = BENCH_BLOCK_BYTES / run->item_size;

        return n < BENCH_CAPACITY / 2 ? n : BENCH_CAPACITY / 2;
}

static void block_produce(BenchRun *run) {
        uint32_t n = block_items(run);
        uint64_t number;

        for (number = 0;; number++) {
                memcpy(batch, &number, sizeof(number));
                batch_push(batch, n);
        }
}

static inline uint32_t block_step(BenchRun *run, uint32_t n, uint64_t *sequence) {
        uint32_t i = (uint32_t)((n - *sequence % n) % n);
        uint64_t found;
        int r;

        while ((r = shmb_ring_pop_n(&consumer, batch, n)) < 0)
                shmb_cpu_relax();
        wake(&consumer.waker);
        if (i < (uint32_t)r) {
                memcpy(&found, batch + (size_t)i * run->item_size, sizeof(found));
                run->n_wrong += found != (*sequence + i) / n;
        }
        *sequence += (uint32_t)r;
        return (uint32_t)r;
}

static void block_consume(BenchRun *run) {
        uint32_t n = block_items(run);
        uint64_t sequence = 0;

        BENCH_BLOCKS(run, block_step(run, n, &sequence));
}

/* Made in place and checked in place: every item is written and read whole. */
#define SPAN(_name, _n)                                                                 \
        static void _name##_produce(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                ShmbRingSpan span;                                                      \
                                                                                        \
                for (;;) {                                                              \
                        while (shmb_ring_claim_n(&producer, _n, SHMB_RING_LAZY, &span) < 0) \
                                shmb_cpu_relax();                                       \
                        bench_fill(span.data, run->item_size, span.n, sequence);        \
                        sequence += span.n;                                             \
                        shmb_ring_commit_n(&producer, span.n);                          \
                        wake(&producer.waker);                                          \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                ShmbRingSpan span;                                                      \
                                                                                        \
                while (shmb_ring_peek_n(&consumer, _n, &span) < 0)                      \
                        shmb_cpu_relax();                                               \
                run->n_wrong += bench_sum(span.data, run->item_size, span.n, *sequence); \
                *sequence += span.n;                                                    \
                shmb_ring_release_n(&consumer, span.n);                                 \
                wake(&consumer.waker);                                                  \
                return span.n;                                                          \
        }                                                                               \
                                                                                        \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }

SPAN(span_32, 32)

const BenchContestant bench_ours[] = {
        {BENCH_ONE, 0, ours_setup, one_produce, one_consume, NULL, 0},
        {BENCH_ONE_AWAKE, 0, ours_setup, one_never_produce, one_never_consume, NULL, 0},
        {BENCH_BATCH, 0, ours_setup, batch_produce, batch_consume, NULL, 0},
        {BENCH_BLOCK, 0, ours_setup, block_produce, block_consume, NULL, 0},
        {BENCH_SPAN, 0, ours_setup, span_32_produce, span_32_consume, NULL, 0},
        {0},
};
