/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fold
 *
 * Entries refer to regions by tag and to leases by number, so both are collected and sorted first
 * and then the history is played over them. An entry that refers to nothing is left out: a
 * compaction wrote down what was true, and a removal may follow that it had already seen.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/decl.h"
#include "daemon/takeover-fold.h"
#include "memory/geometry.h"
#include "protocol/name.h"

/* Numbers that only grow, by one each: a broker does not get there. */
#define FOLD_NUMBER_MAX (UINT64_MAX / 2)

static int fold_fail(Fold *fold, const RecordEntry *entry, const char *fault) {
        fold->fault_at = entry->at;
        fold->fault = fault;
        return FOLD_E_SENSELESS;
}

static const RecordEntry *fold_entry_of_region(const RecordRegion *region) {
        return (const void *)((const char *)region - offsetof(RecordEntry, region));
}

static const RecordEntry *fold_entry_of_lease(const RecordLease *lease) {
        return (const void *)((const char *)lease - offsetof(RecordEntry, lease));
}

static int fold_compare_regions(const void *a, const void *b) {
        const RecordRegion *x = ((const FoldRegion *)a)->region;
        const RecordRegion *y = ((const FoldRegion *)b)->region;

        if (x->tag != y->tag)
                return x->tag < y->tag ? -1 : 1;
        return x < y ? -1 : x > y;
}

static int fold_compare_tag(const void *key, const void *member) {
        uint64_t x = *(const uint64_t *)key, y = ((const FoldRegion *)member)->region->tag;

        return x < y ? -1 : x > y;
}

/* By number, then by place in the record: the entries are one array. */
static int fold_compare_leases(const void *a, const void *b) {
        const RecordLease *x = *(const RecordLease *const *)a, *y = *(const RecordLease *const *)b;

        if (x->lease != y->lease)
                return x->lease < y->lease ? -1 : 1;
        return x < y ? -1 : x > y;
}

FoldRegion *fold_find(const Fold *fold, uint64_t tag) {
        return fold->n_regions == 0 ? NULL
                                    : bsearch(&tag, fold->regions, fold->n_regions,
                                              sizeof(*fold->regions), fold_compare_tag);
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

/* What one region or lease says is said of it alone. */
static int fold_judge_twice(Fold *fold) {
        const RecordLease *lease, *next;
        size_t i;

        for (i = 0; i + 1 < fold->n_regions; i++)
                if (fold->regions[i].region->tag == fold->regions[i + 1].region->tag)
                        return fold_fail(fold,
                                         fold_entry_of_region(fold->regions[i + 1].region),
                                         "the region of this tag is there already");
        for (i = 0; i + 1 < fold->n_leases; i++) {
                lease = fold->leases[i];
                next = fold->leases[i + 1];
                if (lease->lease == next->lease &&
                    (lease->tag != next->tag || lease->role != next->role ||
                     lease->index != next->index))
                        return fold_fail(fold, fold_entry_of_lease(next),
                                         "the lease of this number is of something else");
        }
        return 0;
}

static int fold_collect(const RecordEntry *entries, size_t n_entries, Fold *fold) {
        size_t i, n = 0;
        int r;

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

        r = fold_judge_twice(fold);
        if (r)
                return r;

        /* A lease that was resumed is written down again: the last one counts. */
        for (i = 0; i < fold->n_leases; i++)
                if (i + 1 == fold->n_leases ||
                    fold->leases[i]->lease != fold->leases[i + 1]->lease)
                        fold->leases[n++] = fold->leases[i];
        fold->n_leases = n;
        return 0;
}

/* Why the object is none of its region; NULL if it is one. */
static const char *fold_judge_object(const FoldRegion *region, const RecordObject *object) {
        const RecordRegion *record = region->region;
        char name[SHMB_KERNEL_NAME_MAX + 1] = "";

        if (object->index >= shmb_geometry_object_count(&record->geometry, object->kind))
                return "its region has no such object";
        if (object->size_bytes != shmb_geometry_object_size(&record->geometry, object->kind))
                return "an object of its region has another size";
        if (object->backing != record->backing)
                return "its region has another backing";
        if (object->epoch == 0 || object->ino == 0)
                return "an object has an epoch and an inode";
        if (object->kind == SHMB_OBJECT_DATA && record->posix_name[0])
                snprintf(name, sizeof(name), "%s", record->posix_name);
        else
                (void)shmb_kernel_name(name, sizeof(name), record->name, record->tag,
                                       object->kind, object->index, object->epoch);
        return strcmp(name, object->name) == 0 ? NULL : "an object of its region has another name";
}

static int fold_add_object(Fold *fold, const RecordEntry *entry) {
        const RecordObject *object = &entry->object;
        FoldRegion *region = fold_find(fold, object->tag);
        const RecordObject **objects;
        size_t n_allocated;
        const char *fault;

        if (!region)
                return fold_fail(fold, entry, "the object is of no region");
        fault = fold_judge_object(region, object);
        if (fault)
                return fold_fail(fold, entry, fault);
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

/* Only marked: its place stays until all have been played. */
static void fold_end_lease(Fold *fold, uint64_t number) {
        size_t slot = fold_lease_slot(fold, number);

        if (slot < fold->n_leases && fold->leases[slot]->lease == number)
                fold->over[slot] = true;
}

/* A region that is not known has departed: its holders may still come back, and be written down. */
static const char *fold_judge_lease(Fold *fold, const RecordLease *lease) {
        const FoldRegion *region = fold_find(fold, lease->tag);
        uint32_t n_indices = 1;

        if (lease->lease == 0 || lease->lease >= FOLD_NUMBER_MAX)
                return "no lease has this number";
        if (!region)
                return NULL;
        if (!decl_has_role(region->region->geometry.kind, lease->role))
                return "its region has no such role";
        if (lease->role == SHMB_ROLE_PRODUCE)
                n_indices = region->region->geometry.n_lanes;
        else if (lease->role == SHMB_ROLE_CONSUME)
                n_indices = region->region->geometry.n_seats;
        return lease->index < n_indices ? NULL : "its region has no such lane or seat";
}

static int fold_play_lease(const RecordEntry *entry, Fold *fold) {
        const char *fault = fold_judge_lease(fold, &entry->lease);

        if (fault)
                return fold_fail(fold, entry, fault);
        if (entry->lease.lease >= fold->next_lease)
                fold->next_lease = entry->lease.lease + 1;
        return 0;
}

static void fold_set_created(Fold *fold, const RecordCreated *created) {
        FoldRegion *region = fold_find(fold, created->tag);

        if (region)
                region->created = created;
}

static int fold_play(const RecordEntry *entry, Fold *fold) {
        switch (entry->type) {
        case RECORD_OBJECT:
                return fold_add_object(fold, entry);
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
                if (entry->mark.next_lease >= FOLD_NUMBER_MAX ||
                    entry->mark.next_generation >= FOLD_NUMBER_MAX)
                        return fold_fail(fold, entry, "no number is that high");
                if (entry->mark.next_lease > fold->next_lease)
                        fold->next_lease = entry->mark.next_lease;
                if (entry->mark.next_generation > fold->next_generation)
                        fold->next_generation = entry->mark.next_generation;
                return 0;
        case RECORD_REGION:
                if (entry->region.generation == 0 ||
                    entry->region.generation >= FOLD_NUMBER_MAX)
                        return fold_fail(fold, entry, "no generation has this number");
                if (entry->region.generation >= fold->next_generation)
                        fold->next_generation = entry->region.generation + 1;
                return 0;
        case RECORD_LEASE:
                return fold_play_lease(entry, fold);
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

static int fold_compare_generations(const void *a, const void *b) {
        uint64_t x = (*(FoldRegion *const *)a)->region->generation;
        uint64_t y = (*(FoldRegion *const *)b)->region->generation;

        return x > y ? -1 : x < y;
}

static int fold_sort(Fold *fold) {
        size_t i;

        fold->newest_first = calloc(fold->n_regions + 1, sizeof(*fold->newest_first));
        if (!fold->newest_first)
                return -ENOMEM;
        for (i = 0; i < fold->n_regions; i++)
                fold->newest_first[i] = &fold->regions[i];
        qsort(fold->newest_first, fold->n_regions, sizeof(*fold->newest_first),
              fold_compare_generations);
        return 0;
}

static int fold_compare_places(const void *a, const void *b) {
        const RecordLease *x = **(const RecordLease **const *)a;
        const RecordLease *y = **(const RecordLease **const *)b;

        if (x->tag != y->tag)
                return x->tag < y->tag ? -1 : 1;
        if (x->role != y->role)
                return x->role < y->role ? -1 : 1;
        if (x->index != y->index)
                return x->index < y->index ? -1 : 1;
        return x->lease < y->lease ? -1 : x->lease > y->lease;
}

static bool fold_same_place(const RecordLease *a, const RecordLease *b) {
        return (a->role == SHMB_ROLE_PRODUCE || a->role == SHMB_ROLE_CONSUME) &&
               a->tag == b->tag && a->role == b->role && a->index == b->index;
}

/* Nobody is given a lane or seat that is held: whoever held it before has let go. */
static int fold_drop_over(Fold *fold) {
        const RecordLease ***places = calloc(fold->n_leases + 1, sizeof(*places));
        size_t i, n = 0;

        if (!places)
                return -ENOMEM;
        for (i = 0; i < fold->n_leases; i++)
                if (!fold->over[i])
                        places[n++] = &fold->leases[i];
        qsort(places, n, sizeof(*places), fold_compare_places);
        for (i = 0; i + 1 < n; i++)
                if (fold_same_place(*places[i], *places[i + 1]))
                        fold->over[places[i] - fold->leases] = true;
        free(places);

        for (i = 0, n = 0; i < fold->n_leases; i++)
                if (!fold->over[i])
                        fold->leases[n++] = fold->leases[i];
        fold->n_leases = n;
        return 0;
}

int fold_entries(const RecordEntry *entries, size_t n_entries, Fold *ret_fold) {
        size_t i;
        int r;

        ret_fold->next_lease = ret_fold->next_generation = 1;
        r = fold_collect(entries, n_entries, ret_fold);
        if (r == 0) {
                ret_fold->over = calloc(ret_fold->n_leases + 1, sizeof(*ret_fold->over));
                r = ret_fold->over ? 0 : -ENOMEM;
        }
        for (i = 0; r == 0 && i < n_entries; i++)
                r = fold_play(&entries[i], ret_fold);
        if (r == 0)
                r = fold_drop_over(ret_fold);
        if (r)
                return r;
        fold_drop_empty(ret_fold);
        return fold_sort(ret_fold);
}

void fold_deinit(Fold *fold) {
        size_t i;

        for (i = 0; i < fold->n_regions; i++)
                free(fold->regions[i].objects);
        free(fold->regions);
        free(fold->newest_first);
        free(fold->leases);
        free(fold->over);
        *fold = (Fold){};
}
