/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Cost
 *
 * What a configuration will take of the machine, before anything is made. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"

typedef struct DeclCost DeclCost;

struct DeclCost {
        size_t n_regions;
        size_t n_templates;         /* what is created of them is not known here */
        size_t n_regions_by_backing[_SHMB_BACKING_N];
        uint64_t n_bytes_by_backing[_SHMB_BACKING_N];
        uint64_t n_bytes;           /* if all regions exist */
        uint64_t n_bytes_permanent; /* of those that exist from the start: static, persistent */
        uint64_t n_objects;
        /* Descriptors that the broker keeps open if all regions exist: one an object that has no
         * name (memfd). */
        uint64_t n_fds;
        uint32_t n_fds_attach; /* most that one attach hands to a client */
};

/** decl_cost_of() - add everything up; what does not fit 64 bits is UINT64_MAX */
DeclCost decl_cost_of(const DeclSet *set);
