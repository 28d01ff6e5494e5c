/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Memory of a Region under Stress
 *
 * As a client has it mapped: objects that are zero, and what the broker says of them.
 */

#include "memory/geometry.h"
#include "memory/mapped.h"
#include "tests/stress/stress.h"

typedef struct Region {
        ShmbGeometry geometry;
        _Atomic uint64_t backed[STRESS_ENDS_MAX]; /* queue: as that of each lane's party */
        _Atomic uint32_t epoch;
        ShmbMapped lanes[STRESS_ENDS_MAX], seats[STRESS_ENDS_MAX];
        /* competing consumers: */
        ShmbMapped group;
        ShmbParty parties[STRESS_ENDS_MAX]; /* of the seats */
        _Atomic uint64_t n_leases;    /* given out */
        _Atomic uint32_t n_staying;   /* seats that are not left for good */
        _Atomic uint64_t n_abandoned; /* items that members held who died */
} Region;

/* region_new() - @geometry says what differs from items of this shape in a ring */
Region *region_new(const StressShape *shape, const ShmbGeometry *geometry);

/* region_free() - as StressKind.destroy */
void region_free(void *region);

/* region_handle_new() - zero memory for a handle; end->handle as well */
void *region_handle_new(StressEnd *end, size_t n_bytes);

/* region_handle_free() - as StressKind.detach */
void region_handle_free(StressEnd *end);
