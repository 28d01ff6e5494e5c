/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fold
 *
 * Entries refer to regions by tag and to leases by number, so both are collected and sorted first
 * and then the history is played over them. An entry that refers to nothing is left out: a
 * compaction wrote down what was true, and a removal may follow that it had already seen.
 */

#include <errno.h>
#include <stdlib.h>

#include "daemon/takeover-fold.h"

static int fold_compare_regions(const void *a, const void *b) {
        uint64_t x = ((const FoldRegion *)a)->region->tag, y = ((const FoldRegion *)b)->region->tag;

        return x < y ? -1 : x > y;
}

/* By number, then by place in the record: the entries are one array. */
static int fold_compare_leases(const void *a, const void *b) {
        const RecordLease *x = *(const RecordLease *const *)a, *y = *(const RecordLease *const *)b;

        if (x->lease != y->lease)
                return x->lease < y->lease ? -1 : 1;
        return x < y ? -1 : x > y;
}

static FoldRegion *fold_find(Fold *fold, uint64_t tag) {
        RecordRegion key_region = { .tag = tag };
        FoldRegion key = { .region = &key_region };

        return fold->n_regions == 0 ? NULL
                                    : bsearch(&key, fold->regions, fold->n_regions,
                                              sizeof(key), fold_compare_regions);
}

static size_t fold_lease_slot(const Fold *fold, uint64_t number) {
        size_t low = 0, high = fold->n_leases, middle;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (fold->leases[middle]->lease < number)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int fold_collect(const RecordEntry *entries, size_t n_entries, Fold *fold) {
        size_t i, n = 0;

        fold->regions = calloc(n_entries + 1, sizeof(*fold->regions));
        fold->leases = calloc(n_entries + 1, sizeof(*fold->leases));
        if (!fold->regions || !fold->leases)
                return -ENOMEM;

        for (i = 0; i < n_entries; i++) {
                if (entries[i].type == RECORD_REGION)
                        fold->regions[fold->n_regions++].region = &entries[i].region;
                else if (entries[i].type == RECORD_LEASE)
                        fold->leases[fold->n_leases++] = &entries[i].lease;
        }
        qsort(fold->regions, fold->n_regions, sizeof(*fold->regions), fold_compare_regions);
        qsort(fold->leases, fold->n_leases, sizeof(*fold->leases), fold_compare_leases);

        /* A lease that was resumed is written down again: the last one counts. */
        for (i = 0; i < fold->n_leases; i++)
                if (i + 1 == fold->n_leases ||
                    fold->leases[i]->lease != fold->leases[i + 1]->lease)
                        fold->leases[n++] = fold->leases[i];
        fold->n_leases = n;
        return 0;
}

static int fold_add_object(Fold *fold, const RecordObject *object) {
        FoldRegion *region = fold_find(fold, object->tag);
        const RecordObject **objects;
        size_t n_allocated;

        if (!region)
                return 0;
        if (region->n_objects == region->n_allocated) {
                n_allocated = region->n_allocated > 0 ? 2 * region->n_allocated : 4;
                objects = reallocarray(region->objects, n_allocated, sizeof(*objects));
                if (!objects)
                        return -ENOMEM;
                region->objects = objects;
                region->n_allocated = n_allocated;
        }
        region->objects[region->n_objects++] = object;
        return 0;
}

static void fold_remove_object(Fold *fold, const RecordObjectRemoved *removed) {
        FoldRegion *region = fold_find(fold, removed->tag);
        const RecordObject *object;
        size_t i, n = 0;

        if (!region)
                return;
        for (i = 0; i < region->n_objects; i++) {
                object = region->objects[i];
                if (object->kind != removed->kind || object->index != removed->index ||
                    object->epoch != removed->epoch)
                        region->objects[n++] = object;
        }
        region->n_objects = n;
}

static void fold_end_lease(Fold *fold, uint64_t number) {
        size_t slot = fold_lease_slot(fold, number), i;

        if (slot == fold->n_leases || fold->leases[slot]->lease != number)
                return;
        for (i = slot + 1; i < fold->n_leases; i++)
                fold->leases[i - 1] = fold->leases[i];
        fold->n_leases--;
}

static void fold_set_created(Fold *fold, const RecordCreated *created) {
        FoldRegion *region = fold_find(fold, created->tag);

        if (region)
                region->created = created;
}

static int fold_play(const RecordEntry *entry, Fold *fold) {
        switch (entry->type) {
        case RECORD_OBJECT:
                return fold_add_object(fold, &entry->object);
        case RECORD_OBJECT_REMOVED:
                fold_remove_object(fold, &entry->object_removed);
                return 0;
        case RECORD_LEASE_ENDED:
                fold_end_lease(fold, entry->lease_ended.lease);
                return 0;
        case RECORD_CREATED:
                fold_set_created(fold, &entry->created);
                return 0;
        case RECORD_REMOVAL:
                fold->removal = &entry->removal;
                return 0;
        case RECORD_MARK:
                if (entry->mark.next_lease > fold->next_lease)
                        fold->next_lease = entry->mark.next_lease;
                if (entry->mark.next_generation > fold->next_generation)
                        fold->next_generation = entry->mark.next_generation;
                return 0;
        case RECORD_REGION:
                if (entry->region.generation >= fold->next_generation)
                        fold->next_generation = entry->region.generation + 1;
                return 0;
        case RECORD_LEASE:
                if (entry->lease.lease >= fold->next_lease)
                        fold->next_lease = entry->lease.lease + 1;
                return 0;
        case RECORD_REGION_REMOVED:
        case RECORD_CONNECTION:
        case RECORD_CONNECTION_ENDED:
        case RECORD_NONE:
        case _RECORD_TYPE_N:
                return 0;
        }
        return 0;
}

static void fold_drop_empty(Fold *fold) {
        size_t i, n = 0;

        for (i = 0; i < fold->n_regions; i++) {
                if (fold->regions[i].n_objects > 0)
                        fold->regions[n++] = fold->regions[i];
                else
                        free(fold->regions[i].objects);
        }
        fold->n_regions = n;
}

int fold_entries(const RecordEntry *entries, size_t n_entries, Fold *ret_fold) {
        size_t i;
        int r;

        ret_fold->next_lease = ret_fold->next_generation = 1;
        r = fold_collect(entries, n_entries, ret_fold);
        for (i = 0; r == 0 && i < n_entries; i++)
                r = fold_play(&entries[i], ret_fold);
        if (r < 0)
                return r;
        fold_drop_empty(ret_fold);
        return 0;
}

void fold_deinit(Fold *fold) {
        size_t i;

        for (i = 0; i < fold->n_regions; i++)
                free(fold->regions[i].objects);
        free(fold->regions);
        free(fold->leases);
        *fold = (Fold){};
}
