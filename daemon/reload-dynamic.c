/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reload of Dynamic Regions
 *
 * Everything that can fail (memory for the new declarations) is done when it is planned.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/core/dynamic.h"
#include "daemon/lapse.h"
#include "daemon/reload-dynamic.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"

static int reload_dynamic_add(ReloadDynamics *dynamics, Region *region, const DeclSet *set) {
        ReloadDynamic *entry = &dynamics->entries[dynamics->n_entries];
        int r;

        entry->region = region;
        entry->declared = decl_set_find(set, region->decl->name);
        r = dynamic_succeed(set, region->decl, &entry->decl);
        if (r < 0)
                return r;
        entry->changed = !entry->decl || !decl_equal(entry->decl, region->decl);
        dynamics->n_entries++;
        return 0;
}

int reload_dynamics_init(ReloadDynamics *dynamics, const Server *server, const DeclSet *set) {
        const Registry *registry = &server->registry;
        size_t i;
        int r = 0;

        dynamics->entries = calloc(registry->n_regions + 1, sizeof(*dynamics->entries));
        if (!dynamics->entries)
                return -ENOMEM;
        for (i = 0; r == 0 && i < registry->n_regions; i++)
                if (registry->regions[i]->decl->template)
                        r = reload_dynamic_add(dynamics, registry->regions[i], set);
        if (r < 0)
                reload_dynamics_deinit(dynamics);
        return r;
}

void reload_dynamics_deinit(ReloadDynamics *dynamics) {
        size_t i;

        for (i = 0; i < dynamics->n_entries; i++)
                decl_free(dynamics->entries[i].decl);
        free(dynamics->entries);
        *dynamics = (ReloadDynamics){};
}

uint64_t reload_dynamics_bytes_going(const ReloadDynamics *dynamics) {
        uint64_t n_bytes = 0;
        size_t i;

        for (i = 0; i < dynamics->n_entries; i++)
                if (!dynamics->entries[i].decl)
                        n_bytes += region_size_bytes(dynamics->entries[i].region);
        return n_bytes;
}

static const char *reload_dynamic_reason(const ReloadDynamic *entry) {
        return entry->declared ? "it is declared now" : "no template declares it as it is any more";
}

void reload_dynamics_commit(Server *server, ReloadDynamics *dynamics) {
        ReloadDynamic *entry;
        size_t i;

        for (i = 0; i < dynamics->n_entries; i++) {
                entry = &dynamics->entries[i];
                if (entry->region->departed)
                        continue;
                if (!entry->decl) {
                        lapse_let_go(server, entry->region, SHMB_REGION_REMOVED,
                                     reload_dynamic_reason(entry));
                        continue;
                }
                region_redeclare(entry->region, entry->decl, clock_boottime_ns());
                entry->decl = NULL;
                if (entry->changed)
                        watch_region(server, entry->region, SHMB_EVENT_CHANGED,
                                     "its template changed");
        }
}

void reload_dynamic_format(const ReloadDynamic *entry, char *buffer, size_t size) {
        const Region *region = entry->region;

        snprintf(buffer, size, "%s %s: created by uid %u of %s, held by %zu lease%s%s%s",
                 entry->decl ? "change" : "remove", region->decl->name, region->creation.uid,
                 region->decl->template->name, region->n_leases, region->n_leases == 1 ? "" : "s",
                 entry->decl ? "" : "; ",
                 entry->decl ? "" : reload_dynamic_reason(entry));
}
