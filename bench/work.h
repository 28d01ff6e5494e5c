/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What every Contestant does with its Items
 *
 * The same functions for ours and for the others, in C and in C++: what differs between two lines
 * is the ring, not the work around it.
 *
 *   one item     numbered in its first 8 bytes, and these are checked
 *   batches      the same for each item of a batch
 *   in place     every word of every item is written and read
 *
 * What works on many items is compiled once: a library that wants newer instructions of the
 * processor would give its own copy of it a lead.
 */

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
        BENCH_CAPACITY = 1024,
        BENCH_ITEM_MAX = 4096,
        BENCH_BATCH_ITEMS = 32,
        /* What memcpy moves at a time. */
        BENCH_BLOCK_BYTES = 16384,
        /* Of two that share a ring the upper bits of an item's number say whose it is. */
        BENCH_PRODUCER_SHIFT = 56,
};

/* As shmb_cpu_relax() of memory/atomics.h, which C++ cannot read. */
static inline void bench_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

/* As shmb_ring_copy_item() of memory/ring.h: word by word up to 128 bytes, for the same reason. */
static inline void bench_copy_item(void *to, const void *from, uint32_t size) {
        uint64_t word;
        uint32_t i;

        if (size > 128) {
                memcpy(to, from, size);
                return;
        }
        for (i = 0; i < size; i += (uint32_t)sizeof(word)) {
                memcpy(&word, (const uint8_t *)from + i, sizeof(word));
                memcpy((uint8_t *)to + i, &word, sizeof(word));
                /* compiler: keeps the words apart */
                __atomic_signal_fence(__ATOMIC_SEQ_CST);
        }
}

/* Numbers @n items from @sequence on. */
void bench_number(void *items, uint32_t size, uint32_t n, uint64_t sequence);

/* How many of @n items are not numbered so. */
uint32_t bench_check(const void *items, uint32_t size, uint32_t n, uint64_t sequence);

/* Makes @n items in place. */
void bench_fill(void *items, uint32_t size, uint32_t n, uint64_t sequence);

/* Reads @n items in place. Return: how many words are wrong. */
uint32_t bench_sum(const void *items, uint32_t size, uint32_t n, uint64_t sequence);

/* Checks one item of several producers; @sequences has the next number of each. */
static inline uint32_t bench_check_shared(uint64_t number, uint64_t *sequences) {
        return number != sequences[(number >> BENCH_PRODUCER_SHIFT) & 1]++;
}

#ifdef __cplusplus
}
#endif
