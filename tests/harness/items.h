/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Items that Know Whether They Are Whole
 *
 * 64 bytes, each word of them a function of the number, and a sum over it all: a torn, repeated,
 * lost or swapped item is not taken for a good one.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct Item {
        uint64_t number;
        uint64_t words[6];
        uint64_t sum;
} Item;

/* One round of splitmix64. */
static inline uint64_t item_mix(uint64_t x) {
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        return x ^ (x >> 27);
}

static inline uint64_t item_sum(const Item *item) {
        uint64_t sum = item_mix(item->number);
        unsigned i;

        for (i = 0; i < 6; i++)
                sum = item_mix(sum ^ item->words[i]);
        return sum;
}

static inline void item_make(Item *item, uint64_t number) {
        unsigned i;

        item->number = number;
        for (i = 0; i < 6; i++)
                item->words[i] = item_mix(number * 6 + i);
        item->sum = item_sum(item);
}

static inline bool item_is(const Item *item, uint64_t number) {
        return item->number == number && item->words[5] == item_mix(number * 6 + 5) &&
               item->sum == item_sum(item);
}
