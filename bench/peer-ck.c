/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ck_ring of ConcurrencyKit, single producer and single consumer
 *
 * Items are copied by its own memcpy, of a size that the compiler knows (CK_RING_PROTOTYPE).
 */

#include <ck_ring.h>

#include "bench/peers.h"

enum {
        LINE = 128,
};

/* Where the slots of the first ring begin, and the second ring of a round trip. */
static void *slots(BenchRun *run) {
        return (uint8_t *)run->memory + LINE * ((sizeof(struct ck_ring) + LINE - 1) / LINE);
}

static void *second(BenchRun *run) {
        return (uint8_t *)slots(run) + (size_t)BENCH_CAPACITY * run->item_size;
}

static const char *setup(BenchRun *run) {
        ck_ring_init(run->memory, BENCH_CAPACITY);
        return NULL;
}

#define RING(_size)                                                                     \
        struct item_##_size {                                                           \
                uint64_t words[_size / 8];                                              \
        };                                                                              \
                                                                                        \
        CK_RING_PROTOTYPE(item_##_size, item_##_size)                                   \
                                                                                        \
        static void produce_##_size(BenchRun *run) {                                    \
                struct item_##_size item = {0}, *to = slots(run);                       \
                                                                                        \
                for (;; item.words[0]++)                                                \
                        while (!ck_ring_enqueue_spsc_item_##_size(run->memory, to, &item)) \
                                bench_relax();                                          \
        }                                                                               \
                                                                                        \
        static inline uint32_t step_##_size(BenchRun *run, struct item_##_size *from,   \
                                            uint64_t *sequence) {                       \
                struct item_##_size item;                                               \
                                                                                        \
                while (!ck_ring_dequeue_spsc_item_##_size(run->memory, from, &item))    \
                        bench_relax();                                                  \
                run->n_wrong += item.words[0] != (*sequence)++;                         \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void consume_##_size(BenchRun *run) {                                    \
                struct item_##_size *from = slots(run);                                 \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, step_##_size(run, from, &sequence));                  \
        }

RING(8)
RING(64)
RING(256)
RING(1024)
RING(4096)

typedef struct Side {
        struct ck_ring *ring;
        struct item_64 *slots;
} Side;

static Side there, back;

static const char *trip_setup(BenchRun *run) {
        there = (Side){run->memory, slots(run)};
        back = (Side){second(run), (void *)((uint8_t *)second(run) + 2 * LINE)};
        ck_ring_init(there.ring, BENCH_CAPACITY);
        ck_ring_init(back.ring, BENCH_CAPACITY);
        return NULL;
}

static inline void push(Side *side, struct item_64 *item) {
        while (!ck_ring_enqueue_spsc_item_64(side->ring, side->slots, item))
                bench_relax();
}

static inline void pop(Side *side, struct item_64 *ret_item) {
        while (!ck_ring_dequeue_spsc_item_64(side->ring, side->slots, ret_item))
                bench_relax();
}

static void trip_produce(BenchRun *run) {
        struct item_64 item;

        for (;;) {
                pop(&there, &item);
                push(&back, &item);
        }
}

static inline uint32_t trip_step(BenchRun *run, uint64_t *sequence) {
        struct item_64 item = {{++*sequence}};

        push(&there, &item);
        pop(&back, &item);
        run->n_wrong += item.words[0] != *sequence;
        return 1;
}

static void trip_consume(BenchRun *run) {
        uint64_t sequence = 0;

        BENCH_BLOCKS(run, trip_step(run, &sequence));
}

const BenchContestant bench_ck[] = {
        {BENCH_CK, 8, setup, produce_8, consume_8, NULL, 0},
        {BENCH_CK, 64, setup, produce_64, consume_64, NULL, 0},
        {BENCH_CK, 256, setup, produce_256, consume_256, NULL, 0},
        {BENCH_CK, 1024, setup, produce_1024, consume_1024, NULL, 0},
        {BENCH_CK, 4096, setup, produce_4096, consume_4096, NULL, 0},
        {BENCH_TRIP(BENCH_CK), 64, trip_setup, trip_produce, trip_consume, NULL, 0},
        {0},
};
