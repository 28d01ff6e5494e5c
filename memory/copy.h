/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Copies of what somebody else may be writing
 *
 * Whoever reads finds out afterwards whether it was whole; until then it is bytes. Relaxed atomic
 * words make that a program whose meaning C11 gives, and which a sanitizer of threads understands.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "memory/atomics.h"

/* From a slot into private memory. */
static inline void shmb_copy_out(uint8_t *to, const uint8_t *slot, size_t n) {
        size_t i = 0;
        uint64_t word;

        for (; (uintptr_t)slot % sizeof(word) == 0 && i + sizeof(word) <= n; i += sizeof(word)) {
                /* relaxed: ordered by the fences around the copy (memory/cast.h, C2) */
                word = shmb_load_relaxed((const _Atomic uint64_t *)(const void *)(slot + i));
                memcpy(to + i, &word, sizeof(word));
        }
        for (; i < n; i++)
                /* relaxed: as above */
                to[i] = shmb_load_relaxed((const _Atomic uint8_t *)(slot + i));
}

/* From private memory into a slot. */
static inline void shmb_copy_in(uint8_t *slot, const uint8_t *from, size_t n) {
        size_t i = 0;
        uint64_t word;

        for (; (uintptr_t)slot % sizeof(word) == 0 && i + sizeof(word) <= n; i += sizeof(word)) {
                memcpy(&word, from + i, sizeof(word));
                /* relaxed: ordered by the fence before and the release behind (cast.h, P3) */
                shmb_store_relaxed((_Atomic uint64_t *)(void *)(slot + i), word);
        }
        for (; i < n; i++)
                /* relaxed: as above */
                shmb_store_relaxed((_Atomic uint8_t *)(slot + i), from[i]);
}
