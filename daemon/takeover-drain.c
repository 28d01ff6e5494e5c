/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Regions of a Predecessor whose Name Another One Has
 */

#include <stdlib.h>

#include "config/decl.h"
#include "daemon/objects.h"
#include "daemon/takeover-drain.h"
#include "daemon/takeover-settle.h"
#include "daemon/vault.h"

static void drain_adopt_control(Server *server, Region *region, const BackingObject *control) {
        RegionObject *object = &region->objects[0];

        object->dev = control->dev;
        object->ino = control->ino;
        object->fd = vault_take(server, control);
        if (control->backing == SHMB_BACKING_MEMFD)
                region->body->mortal = !vault_keep_found(server, region, control->name,
                                                         object->fd);
}

Region *takeover_drain_begin(Server *server, Decl *decl, const RecordRegion *record,
                             const BackingObject *control) {
        Region *region;

        if (!decl || registry_add_departed(&server->registry, decl, &region) < 0) {
                decl_free(decl);
                return NULL;
        }
        region->body = calloc(1, sizeof(*region->body));
        if (!region->body || region_begin(region, record->tag, record->generation) < 0) {
                objects_forget(region);
                registry_remove(&server->registry, region);
                return NULL;
        }
        region->body->adopted = true;
        region->body->uid = record->uid;
        region_set_reason(region, "another one has its name");
        drain_adopt_control(server, region, control);
        return region;
}

/* Nobody is left who could add to it: consumers find that out, and who holds nothing of it
 * matters no more. */
static void drain_end(Server *server, Region *region) {
        ObjectsFault fault;

        region_end_drain(region);
        if (objects_map_control(server, region, &fault) == 0)
                objects_publish_state(region);
        objects_remove(server, region, NULL);
        registry_remove(&server->registry, region);
}

void takeover_drain_settle(Server *server) {
        Region *region, *next;

        for (region = server->registry.departed; region; region = next) {
                next = region->next_departed;
                if (region->n_leases == 0) {
                        drain_end(server, region);
                        continue;
                }
                (void)region_drain(region);
                settle_region(server, region);
                objects_unlink(server, region);
        }
}
