/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rte_ring of DPDK, without its environment: the ring is plain memory
 *
 *   single      one item a call, single producer and single consumer
 *   burst       32 items a call, copied in and out
 *   zero-copy   32 slots a call, filled and read in place (rte_ring_peek_zc.h)
 *   multi       one item a call, two producers, in its default synchronisation
 *
 * Its copying is its own, of a size that the compiler knows.
 */

#include <sched.h>

/* Before DPDK 23 zero-copy was not yet said to be stable. */
#define ALLOW_EXPERIMENTAL_API
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#include "bench/peers.h"

static const char *setup(BenchRun *run) {
        if (rte_ring_init(run->memory, "bench", BENCH_CAPACITY, RING_F_SP_ENQ | RING_F_SC_DEQ) < 0)
                bench_die("rte_ring_init");
        return NULL;
}

static const char *multi_setup(BenchRun *run) {
        if (rte_ring_init(run->memory, "bench", BENCH_CAPACITY, RING_F_SC_DEQ) < 0)
                bench_die("rte_ring_init");
        return NULL;
}

static uint8_t items[BENCH_BATCH_ITEMS * BENCH_ITEM_MAX];

#define SINGLE(_size)                                                                   \
        static void single_##_size##_produce(BenchRun *run) {                           \
                uint64_t item[_size / 8] = {0};                                         \
                                                                                        \
                for (;; item[0]++)                                                      \
                        while (rte_ring_sp_enqueue_elem(run->memory, item, _size) < 0)  \
                                bench_relax();                                          \
        }                                                                               \
                                                                                        \
        static inline uint32_t single_##_size##_step(BenchRun *run, uint64_t *sequence) { \
                uint64_t item[_size / 8];                                               \
                                                                                        \
                while (rte_ring_sc_dequeue_elem(run->memory, item, _size) < 0)          \
                        bench_relax();                                                  \
                run->n_wrong += item[0] != (*sequence)++;                               \
                return 1;                                                               \
        }

#define BURST(_size)                                                                    \
        static void burst_##_size##_produce(BenchRun *run) {                            \
                uint64_t sequence;                                                      \
                uint32_t n, done;                                                       \
                                                                                        \
                for (sequence = 0;; sequence += BENCH_BATCH_ITEMS) {                    \
                        bench_number(items, _size, BENCH_BATCH_ITEMS, sequence);        \
                        for (done = 0; done < BENCH_BATCH_ITEMS; done += n) {           \
                                n = rte_ring_sp_enqueue_burst_elem(                     \
                                        run->memory, items + done * _size, _size,       \
                                        BENCH_BATCH_ITEMS - done, NULL);                \
                                if (n == 0)                                             \
                                        bench_relax();                                  \
                        }                                                               \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t burst_##_size##_step(BenchRun *run, uint64_t *sequence) { \
                uint32_t n;                                                             \
                                                                                        \
                while ((n = rte_ring_sc_dequeue_burst_elem(run->memory, items, _size,   \
                                                           BENCH_BATCH_ITEMS, NULL)) == 0) \
                        bench_relax();                                                  \
                run->n_wrong += bench_check(items, _size, n, *sequence);                \
                *sequence += n;                                                         \
                return n;                                                               \
        }

#define ZC(_size)                                                                       \
        static void zc_##_size##_produce(BenchRun *run) {                               \
                struct rte_ring_zc_data span;                                           \
                uint64_t sequence;                                                      \
                uint32_t n;                                                             \
                                                                                        \
                for (sequence = 0;; sequence += n) {                                    \
                        while ((n = rte_ring_enqueue_zc_burst_elem_start(               \
                                        run->memory, _size, BENCH_BATCH_ITEMS, &span, NULL)) == 0) \
                                bench_relax();                                          \
                        zc_fill(&span, run->item_size, n, sequence);                    \
                        rte_ring_enqueue_zc_elem_finish(run->memory, n);                \
                }                                                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t zc_##_size##_step(BenchRun *run, uint64_t *sequence) {   \
                struct rte_ring_zc_data span;                                           \
                uint32_t n;                                                             \
                                                                                        \
                while ((n = rte_ring_dequeue_zc_burst_elem_start(                       \
                                run->memory, _size, BENCH_BATCH_ITEMS, &span, NULL)) == 0) \
                        bench_relax();                                                  \
                run->n_wrong += zc_sum(&span, run->item_size, n, *sequence);            \
                rte_ring_dequeue_zc_elem_finish(run->memory, n);                        \
                *sequence += n;                                                         \
                return n;                                                               \
        }

#define CONSUME(_name)                                                                  \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }

/* A span is in two parts where it goes around the end of the slots. */
static inline void zc_fill(const struct rte_ring_zc_data *span, uint32_t size, uint32_t n,
                           uint64_t sequence) {
        bench_fill(span->ptr1, size, span->n1, sequence);
        if (span->n1 < n)
                bench_fill(span->ptr2, size, n - span->n1, sequence + span->n1);
}

static inline uint32_t zc_sum(const struct rte_ring_zc_data *span, uint32_t size, uint32_t n,
                              uint64_t sequence) {
        uint32_t n_wrong = bench_sum(span->ptr1, size, span->n1, sequence);

        if (span->n1 < n)
                n_wrong += bench_sum(span->ptr2, size, n - span->n1, sequence + span->n1);
        return n_wrong;
}

#define RING(_size)                                                                     \
        SINGLE(_size)                                                                   \
        CONSUME(single_##_size)                                                         \
        BURST(_size)                                                                    \
        CONSUME(burst_##_size)                                                          \
        ZC(_size)                                                                       \
        CONSUME(zc_##_size)

RING(8)
RING(64)
RING(256)
RING(1024)
RING(4096)

/* Two producers share one processor: one that finds no room lets the other have it. */
static void multi_produce(BenchRun *run) {
        uint64_t item[8] = {(uint64_t)bench_producer() << BENCH_PRODUCER_SHIFT};

        for (;; item[0]++)
                while (rte_ring_mp_enqueue_elem(run->memory, item, sizeof(item)) < 0)
                        sched_yield();
}

static inline uint32_t multi_step(BenchRun *run, uint64_t *sequences) {
        uint64_t item[8];

        while (rte_ring_sc_dequeue_elem(run->memory, item, sizeof(item)) < 0)
                bench_relax();
        run->n_wrong += bench_check_shared(item[0], sequences);
        return 1;
}

static void multi_consume(BenchRun *run) {
        uint64_t sequences[BENCH_PRODUCERS_MAX] = {0, UINT64_C(1) << BENCH_PRODUCER_SHIFT};

        BENCH_BLOCKS(run, multi_step(run, sequences));
}

#define SIZES(_name, _title)                                                            \
        {_title, 8, setup, _name##_8_produce, _name##_8_consume, NULL, 0},              \
        {_title, 64, setup, _name##_64_produce, _name##_64_consume, NULL, 0},           \
        {_title, 256, setup, _name##_256_produce, _name##_256_consume, NULL, 0},        \
        {_title, 1024, setup, _name##_1024_produce, _name##_1024_consume, NULL, 0},     \
        {_title, 4096, setup, _name##_4096_produce, _name##_4096_consume, NULL, 0}

const BenchContestant bench_dpdk[] = {
        SIZES(single, BENCH_RTE),
        SIZES(burst, BENCH_RTE_BURST),
        SIZES(zc, BENCH_RTE_ZC),
        {BENCH_SHARED(BENCH_RTE_MULTI), 64, multi_setup, multi_produce, multi_consume, NULL, 2},
        {0},
};
