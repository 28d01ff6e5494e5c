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

enum {
        BATCH = 32,
        ITEM_MAX = 1024,
};

typedef struct Region {
        ShmbGeometry geometry;
        _Atomic uint32_t epoch;
        ShmbMapped lane, seat;
} Region;

static Region region;
static ShmbRingProducer producer;
static ShmbRingConsumer consumer;

static void ours_setup(BenchRun *run) {
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
}

static inline void wake(ShmbWaker *waker) {
        if (shmb_waker_look(waker, 0))
                syscall(SYS_futex, &waker->own->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* One item a call. @_wake is what follows each publication. */
#define ONE(_name, _wake)                                                               \
        static void _name##_produce(BenchRun *run) {                                    \
                static uint64_t item[ITEM_MAX / 8];                                     \
                                                                                        \
                for (;; item[0]++) {                                                    \
                        while (shmb_ring_push_n(&producer, item, 1, SHMB_RING_LAZY) < 0) \
                                shmb_cpu_relax();                                       \
                        _wake(&producer.waker);                                         \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                static uint64_t item[ITEM_MAX / 8];                                     \
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

static uint8_t batch[BATCH * ITEM_MAX];

static void batch_number(uint8_t *items, uint32_t stride, uint32_t n, uint64_t sequence) {
        uint32_t i;

        for (i = 0; i < n; i++, sequence++)
                memcpy(items + (size_t)i * stride, &sequence, 8);
}

static uint32_t batch_check(const uint8_t *items, uint32_t stride, uint32_t n, uint64_t sequence) {
        uint32_t i, n_wrong = 0;
        uint64_t found;

        for (i = 0; i < n; i++, sequence++) {
                memcpy(&found, items + (size_t)i * stride, 8);
                n_wrong += found != sequence;
        }
        return n_wrong;
}

static void batch_produce(BenchRun *run) {
        uint64_t sequence = 0;
        uint32_t n;
        int r;

        for (;;) {
                batch_number(batch, run->item_size, BATCH, sequence);
                for (n = 0; n < BATCH; n += (uint32_t)r) {
                        while ((r = shmb_ring_push_n(&producer, batch + (size_t)n * run->item_size,
                                                     BATCH - n, SHMB_RING_LAZY)) < 0)
                                shmb_cpu_relax();
                        wake(&producer.waker);
                }
                sequence += BATCH;
        }
}

static inline uint32_t batch_step(BenchRun *run, uint64_t *sequence) {
        int r;

        while ((r = shmb_ring_pop_n(&consumer, batch, BATCH)) < 0)
                shmb_cpu_relax();
        wake(&consumer.waker);
        run->n_wrong += batch_check(batch, run->item_size, (uint32_t)r, *sequence);
        *sequence += (uint32_t)r;
        return (uint32_t)r;
}

static void batch_consume(BenchRun *run) {
        uint64_t sequence = 0;

        BENCH_BLOCKS(run, batch_step(run, &sequence));
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
                        span_fill(&span, run->item_size, sequence);                     \
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
                run->n_wrong += span_sum(&span, run->item_size, *sequence);             \
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

static void span_fill(const ShmbRingSpan *span, uint32_t stride, uint64_t sequence) {
        uint64_t *words = (uint64_t *)(void *)span->data;
        uint32_t i, k;

        for (i = 0; i < span->n; i++, sequence++)
                for (k = 0; k < stride / 8; k++)
                        *words++ = sequence;
}

static uint32_t span_sum(const ShmbRingSpan *span, uint32_t stride, uint64_t sequence) {
        const uint64_t *words = (const uint64_t *)(const void *)span->data;
        uint32_t i, k, n_wrong = 0;

        for (i = 0; i < span->n; i++, sequence++)
                for (k = 0; k < stride / 8; k++)
                        n_wrong += *words++ != sequence;
        return n_wrong;
}

SPAN(span_32, 32)

const BenchContestant bench_ours[] = {
        {BENCH_ONE, 0, ours_setup, one_produce, one_consume},
        {BENCH_ONE_AWAKE, 0, ours_setup, one_never_produce, one_never_consume},
        {BENCH_BATCH, 0, ours_setup, batch_produce, batch_consume},
        {BENCH_SPAN, 0, ours_setup, span_32_produce, span_32_consume},
        {0},
};
