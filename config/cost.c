/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cost
 *
 * Sums over a validated set, saturated: regions on demand may be more than there is.
 */

#include "config/cost.h"

static void add(uint64_t *sum, uint64_t n) {
        *sum = *sum > UINT64_MAX - n ? UINT64_MAX : *sum + n;
}

DeclCost decl_cost_of(const DeclSet *set) {
        DeclCost cost = {.n_regions = set->n_decls, .n_templates = set->n_templates};

        for (size_t i = 0; i < set->n_decls; i++) {
                const Decl *decl = set->decls[i];
                uint64_t n_bytes = decl_size_bytes(decl);
                uint32_t n_objects = decl_n_objects(decl);

                cost.n_regions_by_backing[decl->backing]++;
                add(&cost.n_bytes_by_backing[decl->backing], n_bytes);
                add(&cost.n_bytes, n_bytes);
                if (decl->lifetime != SHMB_LIFETIME_ON_DEMAND)
                        add(&cost.n_bytes_permanent, n_bytes);

                add(&cost.n_objects, n_objects);
                if (decl->backing == SHMB_BACKING_MEMFD)
                        add(&cost.n_fds, n_objects);
                if (n_objects > cost.n_fds_attach)
                        cost.n_fds_attach = n_objects;
        }

        return cost;
}
