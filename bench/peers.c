/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Users Would Pick Instead
 *
 *   textbook      the bounded buffer of the lecture: `in` and `out` beside each other, modulo, one
 *                 slot unused; once as C11 atomics come by default, once as `volatile` compiles on
 *                 this machine (plain loads and stores)
 *   cached index  each index on its own line, the opposite one cached: rigtorp's SPSCQueue, in C
 *   memcpy        blocks of 16 KiB through the same memory, two in flight: the limit
 *
 * All rings copy an item as ours does, so that what is compared is the ring and not the copying.
 */

#include <string.h>

#include "bench/peers.h"
#include "memory/atomics.h"
#include "memory/ring.h"

enum {
        LINE = 128,
};

typedef struct Textbook {
        _Atomic uint32_t in, out;
        uint8_t reserved[LINE - 8];
} Textbook;

typedef struct Cached {
        _Atomic uint64_t tail;
        uint64_t head_cached;
        uint8_t reserved_tail[LINE - 16];
        _Atomic uint64_t head;
        uint64_t tail_cached;
        uint8_t reserved_head[LINE - 16];
} Cached;

typedef struct Exchange {
        _Atomic uint64_t tail;
        uint8_t reserved_tail[LINE - 8];
        _Atomic uint64_t head;
        uint8_t reserved_head[LINE - 8];
} Exchange;

/* A ring of items of a size that the compiler knows, as a header-only library has it. */
#define TEXTBOOK(_name, _size, _load, _store)                                           \
        static inline bool _name##_push(Textbook *ring, const uint8_t *item) {          \
                uint8_t(*slots)[_size] = (void *)(ring + 1);                            \
                uint32_t in = _load(&ring->in);                                         \
                                                                                        \
                if ((in + 1) % BENCH_CAPACITY == _load(&ring->out))                     \
                        return false;                                                   \
                shmb_ring_copy_item(slots[in], item, _size);                            \
                _store(&ring->in, (in + 1) % BENCH_CAPACITY);                           \
                return true;                                                            \
        }                                                                               \
                                                                                        \
        static inline bool _name##_pop(Textbook *ring, uint8_t *ret_item) {             \
                uint8_t(*slots)[_size] = (void *)(ring + 1);                            \
                uint32_t out = _load(&ring->out);                                       \
                                                                                        \
                if (out == _load(&ring->in))                                            \
                        return false;                                                   \
                shmb_ring_copy_item(ret_item, slots[out], _size);                       \
                _store(&ring->out, (out + 1) % BENCH_CAPACITY);                         \
                return true;                                                            \
        }                                                                               \
                                                                                        \
        LOOPS(_name, Textbook, _size)

#define CACHED(_name, _size)                                                            \
        static inline bool _name##_push(Cached *ring, const uint8_t *item) {            \
                uint8_t(*slots)[_size] = (void *)(ring + 1);                            \
                uint64_t tail = shmb_load_relaxed(&ring->tail);                         \
                                                                                        \
                if (tail - ring->head_cached == BENCH_CAPACITY) {                       \
                        ring->head_cached = shmb_load_acquire(&ring->head);             \
                        if (tail - ring->head_cached == BENCH_CAPACITY)                 \
                                return false;                                           \
                }                                                                       \
                shmb_ring_copy_item(slots[tail % BENCH_CAPACITY], item, _size);         \
                shmb_store_release(&ring->tail, tail + 1);                              \
                return true;                                                            \
        }                                                                               \
                                                                                        \
        static inline bool _name##_pop(Cached *ring, uint8_t *ret_item) {               \
                uint8_t(*slots)[_size] = (void *)(ring + 1);                            \
                uint64_t head = shmb_load_relaxed(&ring->head);                         \
                                                                                        \
                if (head == ring->tail_cached) {                                        \
                        ring->tail_cached = shmb_load_acquire(&ring->tail);             \
                        if (head == ring->tail_cached)                                  \
                                return false;                                           \
                }                                                                       \
                shmb_ring_copy_item(ret_item, slots[head % BENCH_CAPACITY], _size);     \
                shmb_store_release(&ring->head, head + 1);                              \
                return true;                                                            \
        }                                                                               \
                                                                                        \
        LOOPS(_name, Cached, _size)

#define LOOPS(_name, _type, _size)                                                      \
        static void _name##_produce(BenchRun *run) {                                    \
                uint64_t item[_size / 8] = {0};                                         \
                                                                                        \
                for (;; item[0]++)                                                      \
                        while (!_name##_push(run->memory, (uint8_t *)item))             \
                                shmb_cpu_relax();                                       \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                uint64_t item[_size / 8];                                               \
                                                                                        \
                while (!_name##_pop(run->memory, (uint8_t *)item))                      \
                        shmb_cpu_relax();                                               \
                run->n_wrong += item[0] != (*sequence)++;                               \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }

#define SEQ_CST_STORE(_word, _value) atomic_store(_word, _value)

TEXTBOOK(textbook_8, 8, atomic_load, SEQ_CST_STORE)
TEXTBOOK(textbook_64, 64, atomic_load, SEQ_CST_STORE)
TEXTBOOK(textbook_256, 256, atomic_load, SEQ_CST_STORE)
TEXTBOOK(textbook_1024, 1024, atomic_load, SEQ_CST_STORE)
TEXTBOOK(textbook_4096, 4096, atomic_load, SEQ_CST_STORE)

/* acquire and release are what a volatile access is on x86; elsewhere volatile is simply wrong */
TEXTBOOK(plain_8, 8, shmb_load_acquire, shmb_store_release)
TEXTBOOK(plain_64, 64, shmb_load_acquire, shmb_store_release)
TEXTBOOK(plain_256, 256, shmb_load_acquire, shmb_store_release)
TEXTBOOK(plain_1024, 1024, shmb_load_acquire, shmb_store_release)
TEXTBOOK(plain_4096, 4096, shmb_load_acquire, shmb_store_release)

CACHED(cached_8, 8)
CACHED(cached_64, 64)
CACHED(cached_256, 256)
CACHED(cached_1024, 1024)
CACHED(cached_4096, 4096)

/* Two rings, one for each direction. */
static Cached *cached_second(BenchRun *run) {
        return (void *)((uint8_t *)run->memory + sizeof(Cached) + BENCH_CAPACITY * 64);
}

static void cached_trip_produce(BenchRun *run) {
        Cached *there = run->memory, *back = cached_second(run);
        uint8_t item[64];

        for (;;) {
                while (!cached_64_pop(there, item))
                        shmb_cpu_relax();
                while (!cached_64_push(back, item))
                        shmb_cpu_relax();
        }
}

static inline uint32_t cached_trip_step(BenchRun *run, uint64_t *sequence) {
        Cached *there = run->memory, *back = cached_second(run);
        uint64_t item[8] = {++*sequence};

        while (!cached_64_push(there, (uint8_t *)item))
                shmb_cpu_relax();
        while (!cached_64_pop(back, (uint8_t *)item))
                shmb_cpu_relax();
        run->n_wrong += item[0] != *sequence;
        return 1;
}

static void cached_trip_consume(BenchRun *run) {
        uint64_t sequence = 0;

        BENCH_BLOCKS(run, cached_trip_step(run, &sequence));
}

/* Slots of 16 KiB in as much memory as the rings use; counted in items. */
static void memcpy_produce(BenchRun *run) {
        uint32_t n_slots = (uint32_t)(BENCH_CAPACITY * run->item_size / BENCH_BLOCK_BYTES);
        uint8_t *slots = (uint8_t *)run->memory + sizeof(Exchange);
        static uint8_t block[BENCH_BLOCK_BYTES];
        Exchange *exchange = run->memory;
        uint64_t tail;

        n_slots = n_slots < 2 ? 2 : n_slots;
        for (tail = 0;; tail++) {
                while (tail - shmb_load_acquire(&exchange->head) == n_slots)
                        shmb_cpu_relax();
                memcpy(block, &tail, sizeof(tail));
                memcpy(slots + tail % n_slots * BENCH_BLOCK_BYTES, block, BENCH_BLOCK_BYTES);
                shmb_store_release(&exchange->tail, tail + 1);
        }
}

static inline uint32_t memcpy_step(BenchRun *run, uint32_t n_slots, uint64_t *head) {
        uint8_t *slots = (uint8_t *)run->memory + sizeof(Exchange);
        static uint8_t block[BENCH_BLOCK_BYTES];
        Exchange *exchange = run->memory;
        uint64_t number;

        while (shmb_load_acquire(&exchange->tail) == *head)
                shmb_cpu_relax();
        memcpy(block, slots + *head % n_slots * BENCH_BLOCK_BYTES, BENCH_BLOCK_BYTES);
        /* compiler: pairs with nothing; the copy is made although little of it is read */
        shmb_fence_compiler();
        memcpy(&number, block, sizeof(number));
        run->n_wrong += number != *head;
        shmb_store_release(&exchange->head, ++*head);
        return BENCH_BLOCK_BYTES / run->item_size;
}

static void memcpy_consume(BenchRun *run) {
        uint32_t n_slots = (uint32_t)(BENCH_CAPACITY * run->item_size / BENCH_BLOCK_BYTES);
        uint64_t head = 0;

        n_slots = n_slots < 2 ? 2 : n_slots;
        BENCH_BLOCKS(run, memcpy_step(run, n_slots, &head));
}

#define SIZES(_name, _title)                                                            \
        {_title, 8, NULL, _name##_8_produce, _name##_8_consume, NULL, 0},               \
        {_title, 64, NULL, _name##_64_produce, _name##_64_consume, NULL, 0},            \
        {_title, 256, NULL, _name##_256_produce, _name##_256_consume, NULL, 0},         \
        {_title, 1024, NULL, _name##_1024_produce, _name##_1024_consume, NULL, 0},      \
        {_title, 4096, NULL, _name##_4096_produce, _name##_4096_consume, NULL, 0}

const BenchContestant bench_peers[] = {
        SIZES(textbook, BENCH_TEXTBOOK),
        SIZES(plain, BENCH_VOLATILE),
        SIZES(cached, BENCH_CACHED),
        {BENCH_TRIP(BENCH_CACHED), 64, NULL, cached_trip_produce, cached_trip_consume, NULL, 0},
        {BENCH_MEMCPY, 0, NULL, memcpy_produce, memcpy_consume, NULL, 0},
        {0},
};
