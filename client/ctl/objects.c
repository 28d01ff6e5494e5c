/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which objects a region has follows from its geometry; what they are called follows from its
 * tag, but for the epoch, which is looked up: the name is there to be found by lsof(8) and ls(1),
 * so it must be the one that exists. Objects that are not in the folder (memfd, another mount
 * namespace) have none.
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/objects.h"
#include "client/ctl/rows.h"
#include "memory/geometry.h"
#include "protocol/name.h"

/* The geometry that the broker told, in the form that computes sizes; false if it is none. */
static bool geometry_of(const WireRegion *region, ShmbGeometry *ret_geometry) {
        ShmbGeometry geometry = {
                .kind = region->geometry.kind,
                .n_lanes = region->geometry.n_lanes,
                .n_seats = region->geometry.n_seats,
                .item_size = region->geometry.item_size,
                .item_align = region->geometry.item_align,
                .capacity = region->geometry.capacity,
                .region_size = region->geometry.region_size,
        };

        if (region->tag == 0 || shmb_geometry_seal(&geometry) < 0)
                return false;
        *ret_geometry = geometry;
        return true;
}

/*
 * The greatest epoch of the object @plain ("shmb.NAME@TAG.lane0") in @folder; NULL if it is not
 * there.
 */
static char *newest(const char *folder, const char *plain) {
        DIR *dir = opendir(folder);
        unsigned long epoch_best = 1;
        const struct dirent *entry;
        size_t n = strlen(plain);
        char *best = NULL;

        if (!dir)
                return NULL;

        while ((entry = readdir(dir))) {
                const char *rest = entry->d_name + n;
                unsigned long epoch = 1;

                if (strncmp(entry->d_name, plain, n) != 0 ||
                    (*rest && sscanf(rest, ".e%lu", &epoch) != 1) ||
                    (best && epoch < epoch_best))
                        continue;

                free(best);
                epoch_best = epoch;
                if (asprintf(&best, "/%s", entry->d_name) < 0) {
                        best = NULL;
                        break;
                }
        }
        closedir(dir);
        return best;
}

static int object_add(const WireRegion *region, const ShmbGeometry *geometry, ShmbObjectKind kind,
                      uint32_t index, const char *folder, Table *table) {
        ObjectRow row = {
                .kind = kind,
                .index = index,
                .size_bytes = shmb_geometry_object_size(geometry, kind),
        };
        char plain[SHMB_KERNEL_NAME_MAX + 1];
        char *name = NULL;
        int r;

        if (region->geometry.backing == SHMB_BACKING_POSIX &&
            shmb_kernel_name(plain, sizeof(plain), region->name, region->tag, kind, index, 1) >= 0)
                name = newest(folder, plain);

        row.name = name;
        r = table_add(table, &row);
        free(name);
        return r;
}

int objects_fill(const WireRegion *region, const char *folder, Table *table) {
        ShmbGeometry geometry;
        int r = 0;

        if (!geometry_of(region, &geometry) || shmb_name_check(region->name, strlen(region->name),
                                                               NULL) != SHMB_NAME_FINE)
                return 0;

        r = object_add(region, &geometry, SHMB_OBJECT_CONTROL, 0, folder, table);
        if (r == 0 && geometry.kind == SHMB_KIND_RAW)
                return object_add(region, &geometry, SHMB_OBJECT_DATA, 0, folder, table);

        for (uint32_t i = 0; r == 0 && i < geometry.n_lanes; i++)
                r = object_add(region, &geometry, SHMB_OBJECT_LANE, i, folder, table);
        for (uint32_t i = 0; r == 0 && i < geometry.n_seats; i++)
                r = object_add(region, &geometry, SHMB_OBJECT_SEAT, i, folder, table);
        return r;
}
