/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Threads on One Mapping
 *
 * Producers and consumers of one region, each a thread, move random batches by random operations
 * until all items went. Every item carries who made it, its number, and words that follow from the
 * two. ThreadSanitizer looks on.
 *
 * A kind of region is one StressKind: what differs is how an end is made and what it may do. Who is
 * to see which item is said by its delivery, and judged in stress.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/sleep.h"

typedef struct Stress Stress;
typedef struct StressEnd StressEnd;
typedef struct StressKind StressKind;

enum {
        STRESS_ENDS_MAX = 8, /* of one role */
        STRESS_BATCH_MAX = 16,
        STRESS_ITEM_MAX = 256, /* bytes, a multiple of 8 */
};

/* Of the items of one producer a consumer sees later ones later, but for those that compete. */
typedef enum StressDelivery {
        STRESS_EACH_TO_ONE, /* ring, stream, queue: one consumer */
        STRESS_EACH_TO_ANY, /* several that compete: what one gives back another one gets */
        STRESS_EACH_TO_ALL, /* broadcast: reliable */
        STRESS_SOME_TO_ALL, /* broadcast: lossy; latest */
} StressDelivery;

typedef struct StressShape {
        uint32_t item_size; /* bytes; of a kind with messages: the longest */
        uint32_t capacity;  /* items */
        uint32_t n_producers, n_consumers;
} StressShape;

struct StressEnd {
        Stress *stress;
        uint32_t index;    /* which producer, or which consumer */
        uint64_t random;
        uint64_t n_moved;  /* producer: the number of its next item */
        uint64_t n_missed; /* consumer, some to all: what it did not get, as it says */
        uint64_t sum;      /* consumer: of what it saw */
        uint64_t next[STRESS_ENDS_MAX]; /* consumer: least number to come from each producer */
        ShmbSleeper sleeper;
        void *handle;      /* the kind's */
};

struct StressKind {
        const char *name;
        StressDelivery delivery;
        uint32_t n_producers_max, n_consumers_max;
        /* the region, after making the shape one that the kind can have; then each end's handle,
         * and what it sleeps on */
        void *(*create)(StressShape *shape);
        void (*destroy)(void *region);
        void (*produce)(StressEnd *end);
        void (*consume)(StressEnd *end);
        void (*detach)(StressEnd *end);
        /* move up to STRESS_BATCH_MAX items by some operation, and wake whom it concerns: how many,
         * 0 (changed its mind), -EAGAIN; consumers call stress_see() for each, and one that leaves
         * for good returns -ESHUTDOWN */
        int (*push)(StressEnd *end, uint32_t n_max);
        int (*pop)(StressEnd *end);
        /* S1 and S4 of memory/sleep.h; NULL for a side that never waits */
        uint32_t (*producer_words)(StressEnd *end, ShmbSleepWord *ret_words);
        uint32_t (*consumer_words)(StressEnd *end, ShmbSleepWord *ret_words);
        int (*producer_look)(StressEnd *end);
        int (*consumer_look)(StressEnd *end);
};

struct Stress {
        const StressKind *kind;
        StressShape shape;
        void *region;
        uint64_t seed;    /* of this round */
        uint64_t n_items; /* a producer */
        _Atomic uint32_t n_ended; /* producers that are through */
        _Atomic uint32_t news;    /* as that of control: changes when one is */
        StressEnd producers[STRESS_ENDS_MAX], consumers[STRESS_ENDS_MAX];
};

extern const StressKind stress_group, stress_latest, stress_lossy, stress_queue, stress_reliable,
                stress_ring, stress_stream, stress_unordered;

/** stress_random() - below @n, from the end's own sequence */
uint64_t stress_random(StressEnd *end, uint64_t n);

/** stress_fill() - item @number of this producer */
void stress_fill(const StressEnd *end, void *item, uint64_t number);

/** stress_see() - a consumer has @n_bytes of an item before it; ends the program if they are torn
 *  or it is out of order */
void stress_see(StressEnd *end, const void *item, size_t n_bytes);

/** stress_fail() - say why and end the program */
void stress_fail(const char *what, int64_t value) __attribute__((noreturn));
