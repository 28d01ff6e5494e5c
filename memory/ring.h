/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Bounded Buffer
 *
 * One producer writes a lane, one consumer writes a seat, and each reads the other's words. Works
 * on mapped memory alone: no system call, no allocation, no sleeping (memory/sleep.h,
 * client/wait.c).
 *
 * Producer: copy items into slots [tail, tail + n), then release-store tail. Consumer: store
 * `taken`, read the items, then release-store `done`, and now and then `head`. Killed at any
 * instruction, a producer leaves the item or nothing; a consumer leaves a place from which its
 * successor goes on.
 *
 * Spans in place are the native operation (claim and commit, peek and release); push and pop copy
 * on top of them. What is hot is inline and touches private memory, its slot and one own line;
 * whatever needs a look at the peer is a call: memory/ring-producer.c, memory/ring-consumer.c.
 *
 * The peer is not believed. Each word of his is loaded once, bounded by private geometry and by
 * what he said before, and only then used. Out of bounds is -EBADMSG, and what it belongs to is
 * poisoned: for a producer everything, for a consumer that lane, until the broker replaces the
 * object or gives the lane to somebody else.
 *
 * Results are 0, a count, or -errno. One handle, one thread at a time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "memory/atomics.h"
#include "protocol/bits.h"

enum {
        /* bytes of the largest item that is copied word by word */
        SHMB_RING_COPY_WORDS_MAX = 128,
};

/* A contiguous run of slots; item k is at data + k * stride of the geometry. */
typedef struct ShmbRingSpan {
        uint8_t *data;
        uint32_t n;
} ShmbRingSpan;

/*
 * How closely a producer looks whether there is room. A consumer publishes `head` for a whole batch
 * at a time, so that its line stays quiet; `done` beside it is exact, and asking for it costs the
 * consumer a cache miss.
 */
typedef enum ShmbRingLook {
        SHMB_RING_LAZY,  /* head only: for polling, where a little later will do */
        SHMB_RING_EXACT, /* done as well: full means full; for a single try, and before sleeping */
} ShmbRingLook;

/* The kinds whose lanes and seats these functions work on. */
static inline bool shmb_ring_has_kind(ShmbKind kind) {
        return kind == SHMB_KIND_RING || kind == SHMB_KIND_QUEUE || kind == SHMB_KIND_STREAM ||
               kind == SHMB_KIND_BROADCAST;
}

/* Whether an item is copied word by word. */
static inline bool shmb_ring_is_words(uint32_t size) {
        return size <= SHMB_RING_COPY_WORDS_MAX && size % sizeof(uint64_t) == 0;
}

/*
 * Copies one item. Small ones go word by word, and the compiler is kept from merging the words: an
 * item that was just filled in field by field cannot be forwarded from those narrow stores to a
 * wide load, which then waits until all stores before it have left the processor, cache misses
 * included. That halved the rate of 64-byte items.
 */
static inline void shmb_ring_copy_word(uint8_t *to, const uint8_t *from) {
        uint64_t word;

        memcpy(&word, from, sizeof(word));
        memcpy(to, &word, sizeof(word));
        /* compiler: orders nothing, pairs with nothing; keeps the words apart */
        shmb_fence_compiler();
}

static inline void shmb_ring_copy_words(uint8_t *to, const uint8_t *from, uint32_t size) {
        for (; size >= 32; size -= 32, to += 32, from += 32) {
                shmb_ring_copy_word(to, from);
                shmb_ring_copy_word(to + 8, from + 8);
                shmb_ring_copy_word(to + 16, from + 16);
                shmb_ring_copy_word(to + 24, from + 24);
        }
        for (; size > 0; size -= 8, to += 8, from += 8)
                shmb_ring_copy_word(to, from);
}

static inline void shmb_ring_copy_item(uint8_t *to, const uint8_t *from, uint32_t size) {
        if (shmb_ring_is_words(size))
                shmb_ring_copy_words(to, from, size);
        else
                memcpy(to, from, size);
}

/* Copies @n items between two arrays; whole when both have the same stride. */
static inline void shmb_ring_copy(uint8_t *to, uint32_t to_stride, const uint8_t *from,
                                  uint32_t from_stride, uint32_t item_size, uint32_t n) {
        uint32_t i;

        if (to_stride == from_stride) {
                memcpy(to, from, (size_t)n * to_stride);
                return;
        }
        for (i = 0; i < n; i++)
                memcpy(to + (size_t)i * to_stride, from + (size_t)i * from_stride, item_size);
}
