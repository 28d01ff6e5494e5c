/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Ring that Orders Nothing
 *
 * The textbook's ring with relaxed indices. ThreadSanitizer must see the race in it, whatever the
 * processor makes of it, or it would see none in the others either.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/atomics.h"
#include "tests/stress/stress.h"

enum {
        SLOTS = 8,
};

typedef struct Region {
        _Atomic uint64_t tail, head;
        uint8_t slots[SLOTS][STRESS_ITEM_MAX];
} Region;

static void *unordered_create(StressShape *shape) {
        Region *region = calloc(1, sizeof(*region));

        if (!region)
                stress_fail("no memory", -ENOMEM);
        return region;
}

static void unordered_attach(StressEnd *end) {
        end->handle = end->stress->region;
}

static void unordered_detach(StressEnd *end) {
        end->handle = NULL;
}

static int unordered_push(StressEnd *end, uint32_t n_max) {
        Region *region = end->handle;
        /* relaxed: the mistake */
        uint64_t tail = shmb_load_relaxed(&region->tail), head = shmb_load_relaxed(&region->head);

        if (tail - head == SLOTS)
                return -EAGAIN;
        stress_fill(end, region->slots[tail % SLOTS], end->n_moved);
        /* relaxed: the mistake */
        shmb_store_relaxed(&region->tail, tail + 1);
        return 1;
}

static int unordered_pop(StressEnd *end) {
        Region *region = end->handle;
        /* relaxed: the mistake */
        uint64_t tail = shmb_load_relaxed(&region->tail), head = shmb_load_relaxed(&region->head);

        if (tail == head)
                return -EAGAIN;
        stress_see(end, region->slots[head % SLOTS], end->stress->shape.item_size);
        /* relaxed: the mistake */
        shmb_store_relaxed(&region->head, head + 1);
        return 1;
}

const StressKind stress_unordered = {
        .name = "unordered",
        .delivery = STRESS_EACH_TO_ONE,
        .n_producers_max = 1,
        .n_consumers_max = 1,
        .create = unordered_create,
        .destroy = free,
        .produce = unordered_attach,
        .consume = unordered_attach,
        .detach = unordered_detach,
        .push = unordered_push,
        .pop = unordered_pop,
};
