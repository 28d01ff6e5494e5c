/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fold
 *
 * From the history that a record tells to what was true at its end. Pure; works on entries that
 * record_read() gave, and borrows from them.
 *
 * Each entry by itself is sound by then. What they say together is judged here, before anybody acts
 * on it: a broker would not write down a region twice, an object that its region does not have or
 * that has another name or size, a lane that there is not.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record-format.h"

typedef struct Fold Fold;
typedef struct FoldRegion FoldRegion;

struct FoldRegion {
        /* Of whoever acts on it: */
        struct Region *taken_over;
        bool held; /* by a lease of the record */
        bool alive; /* and so is a process that has one */
        const RecordRegion *region;
        const RecordCreated *created;  /* the last word on who did, or NULL: it was declared */
        const RecordObject **objects; /* not yet removed, in the order they were made; owned */
        size_t n_objects, n_allocated;
};

enum {
        _FOLD_E_SUCCESS,

        FOLD_E_SENSELESS, /* no broker wrote this; the fold: fault_at, fault */
};

struct Fold {
        FoldRegion *regions; /* ascending by tag */
        size_t n_regions;
        /* The same, descending by generation: of two of one name the other one drains; owned */
        FoldRegion **newest_first;
        const RecordLease **leases; /* not over, ascending by number; owned */
        size_t n_leases;
        bool *over; /* by lease, while it is folded; owned */
        uint64_t next_lease, next_generation;
        const RecordRemoval *removal; /* the last one, or NULL */
        uint64_t fault_at; /* offset of the entry */
        const char *fault; /* one clause, static */
};

/**
 * fold_entries() - what is true behind the last entry
 * @entries:    in order
 * @n_entries:  how many
 * @ret_fold:   zeroed; for fold_deinit() in any case
 *
 * A region stays as long as it has objects, also where its removal was begun: they must be looked
 * for. Of two leases on one lane or seat the younger is the one: that the other is over could not
 * be written down.
 *
 * Return: 0; FOLD_E_SENSELESS; -ENOMEM.
 */
int fold_entries(const RecordEntry *entries, size_t n_entries, Fold *ret_fold);

/** fold_find() - the region of a tag, or NULL */
FoldRegion *fold_find(const Fold *fold, uint64_t tag);

/** fold_deinit() - idempotent */
void fold_deinit(Fold *fold);
