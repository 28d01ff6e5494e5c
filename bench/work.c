/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What every Contestant does with many Items
 */

#include "bench/work.h"

void bench_number(void *items, uint32_t size, uint32_t n, uint64_t sequence) {
        uint32_t i;

        for (i = 0; i < n; i++, sequence++)
                memcpy((uint8_t *)items + (size_t)i * size, &sequence, sizeof(sequence));
}

uint32_t bench_check(const void *items, uint32_t size, uint32_t n, uint64_t sequence) {
        uint32_t i, n_wrong = 0;
        uint64_t found;

        for (i = 0; i < n; i++, sequence++) {
                memcpy(&found, (const uint8_t *)items + (size_t)i * size, sizeof(found));
                n_wrong += found != sequence;
        }
        return n_wrong;
}

void bench_fill(void *items, uint32_t size, uint32_t n, uint64_t sequence) {
        uint64_t *words = (uint64_t *)items;
        uint32_t i, k;

        for (i = 0; i < n; i++, sequence++)
                for (k = 0; k < size / 8; k++)
                        *words++ = sequence;
}

uint32_t bench_sum(const void *items, uint32_t size, uint32_t n, uint64_t sequence) {
        const uint64_t *words = (const uint64_t *)items;
        uint32_t i, k, n_wrong = 0;

        for (i = 0; i < n; i++, sequence++)
                for (k = 0; k < size / 8; k++)
                        n_wrong += *words++ != sequence;
        return n_wrong;
}
