/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fold
 *
 * From the history that a record tells to what was true at its end. Pure; works on entries that
 * record_read() gave, and borrows from them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record-format.h"

typedef struct Fold Fold;
typedef struct FoldRegion FoldRegion;

struct FoldRegion {
        const RecordRegion *region;
        const RecordCreated *created;  /* the last word on who did, or NULL: it was declared */
        const RecordObject **objects; /* not yet removed, in the order they were made; owned */
        size_t n_objects, n_allocated;
};

struct Fold {
        FoldRegion *regions; /* ascending by tag */
        size_t n_regions;
        const RecordLease **leases; /* not over, ascending by number; owned */
        size_t n_leases;
        uint64_t next_lease, next_generation;
        const RecordRemoval *removal; /* the last one, or NULL */
};

/**
 * fold_entries() - what is true behind the last entry
 * @entries:    in order
 * @n_entries:  how many
 * @ret_fold:   zeroed; for fold_deinit() in any case
 *
 * A region stays as long as it has objects, also where its removal was begun: they must be looked
 * for.
 *
 * Return: 0, or -ENOMEM.
 */
int fold_entries(const RecordEntry *entries, size_t n_entries, Fold *ret_fold);

/** fold_deinit() - idempotent */
void fold_deinit(Fold *fold);
