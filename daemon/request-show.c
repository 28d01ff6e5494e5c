/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listings
 *
 * On the clients' socket a region that gives the peer no role does not exist. Pages are cut where a
 * message is full and go on by name (regions) or number (leases), so that what comes and goes
 * between two pages neither repeats nor hides anything else.
 */

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/template.h"
#include "daemon/core/policy.h"
#include "daemon/depth.h"
#include "daemon/objects.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"
#include "protocol/wire.h"

void request_fill_geometry(const Decl *decl, WireGeometry *ret_geometry) {
        const ShmbGeometry *geometry = &decl->geometry;

        *ret_geometry = (WireGeometry){
                .kind = geometry->kind,
                .backing = decl->backing,
                .overflow = decl->overflow,
                .n_lanes = geometry->n_lanes,
                .n_seats = geometry->n_seats,
                .item_size = geometry->item_size,
                .item_align = geometry->item_align,
                .stride = geometry->stride,
                .capacity = geometry->capacity,
                .region_size = geometry->region_size,
                .segment = geometry->segment,
                .max_message = geometry->max_message,
                .delivery = geometry->delivery,
        };
}

static void show_fill_depth(Server *server, Region *region, WireRegion *entry) {
        Depth depth;

        depth_read(server, region, &depth);
        entry->used = depth.used;
        entry->moved = depth.moved;
        entry->dropped = depth.n_dropped;
        entry->redelivered = depth.n_redelivered;
        entry->missed = depth.n_missed;
        entry->waits = depth.n_waits;
        entry->wakes = depth.n_wakes;
}

static uint64_t show_size(const Region *region) {
        return region->objects ? region_size_bytes(region) : decl_size_bytes(region->decl);
}

static void show_origin(const Region *region, char *buffer, size_t size) {
        const Decl *decl = region->decl;
        int n;

        n = snprintf(buffer, size, "%s:%u", decl->origin.file ? decl->origin.file : "",
                     decl->origin.line);
        if (decl->template && n > 0 && (size_t)n < size)
                snprintf(buffer + n, size - (size_t)n, ": TEMPLATE %s by uid %u",
                         decl->template->name, region->creation.uid);
}

/* Return: 0, or -EMSGSIZE where the page is full. */
static int show_append_region(Server *server, Region *region, uint8_t *page, size_t *n_bytes) {
        char access[DECL_ACCESS_TEXT_MAX], origin[WIRE_TEXT_MAX + 1];
        const Decl *decl = region->decl;
        WireRegion entry = {
                .name = decl->name,
                .description = decl->description ? decl->description : "",
                .type = decl->type ? decl->type : "",
                .origin = origin,
                .access = access,
                .tag = region->tag,
                .generation = region->generation,
                .lifetime = decl->lifetime,
                .linger_ns = decl->linger_ns,
                .size_bytes = show_size(region),
                .n_producers = region->n_roles[SHMB_ROLE_PRODUCE],
                .n_consumers = region->n_roles[SHMB_ROLE_CONSUME],
                .n_observers = region->n_roles[SHMB_ROLE_OBSERVE],
                .n_readers = region->n_roles[SHMB_ROLE_READ],
                .n_writers = region->n_roles[SHMB_ROLE_WRITE],
        };

        decl_access_to_string(decl, access, sizeof(access));
        show_origin(region, origin, sizeof(origin));
        request_fill_geometry(decl, &entry.geometry);
        show_fill_depth(server, region, &entry);
        /* Behind the look at the objects, which may find that they are lost. */
        entry.state = region->state;
        entry.reason = region->reason ? region->reason : "";
        return wire_region_append(page, WIRE_PAGE_MAX, n_bytes, &entry);
}

void request_list(Conn *conn, const WireMessage *message) {
        WireMessage reply = { .type = WIRE_LISTING, .id = message->id };
        const char *only = message->list.name && message->list.name[0] ? message->list.name : NULL;
        const char *after = message->list.after && message->list.after[0] ? message->list.after
                                                                          : NULL;
        Registry *registry = &conn->server->registry;
        uint8_t page[WIRE_PAGE_MAX];
        size_t n_bytes = 0;
        Region *region;

        region = only ? registry_find(registry, only) : registry_after(registry, after);
        if (only && (!region || !conn_may_see(conn, region))) {
                conn_refuse(conn, message->id, SHMB_STATUS_NO_REGION,
                            "no region \"%s\" is declared, or it gives you no role", only);
                return;
        }
        for (; region; region = only ? NULL : registry_after(registry, region->decl->name)) {
                if (!conn_may_see(conn, region))
                        continue;
                if (show_append_region(conn->server, region, page, &n_bytes) < 0) {
                        reply.listing.more = true;
                        break;
                }
                reply.listing.n_entries++;
        }
        reply.listing.entries = page;
        reply.listing.n_bytes_entries = n_bytes;
        conn_reply(conn, &reply, NULL, 0);
}

static int show_append_holder(const Lease *lease, uint8_t *page, size_t *n_bytes) {
        Conn *holder = conn_of_client(lease->client);
        WireHolder entry = {
                .lease = lease->id,
                .region = lease->region->decl->name,
                .role = lease->role,
                .index = lease->index,
                .uid = lease->client->uid,
                .pid = lease->client->pid,
                .command = lease->client->command,
                .unit = lease->client->unit,
                .since_ns = lease->since_ns,
                .occupancy = SHMB_PARTY_HELD,
                .connected = lease->client->connected,
        };

        /* Asked for when somebody wants to see it: no attach waits for it. */
        if (holder)
                (void)conn_identity(holder, true);
        return wire_holder_append(page, WIRE_PAGE_MAX, n_bytes, &entry);
}

void request_who(Conn *conn, const WireMessage *message) {
        WireMessage reply = { .type = WIRE_HOLDERS, .id = message->id };
        const char *only = message->who.name && message->who.name[0] ? message->who.name : NULL;
        Registry *registry = &conn->server->registry;
        uint8_t page[WIRE_PAGE_MAX];
        size_t n_bytes = 0;
        Region *region;
        Lease *lease;

        region = only ? registry_find(registry, only) : NULL;
        if (only && (!region || !conn_may_see(conn, region))) {
                conn_refuse(conn, message->id, SHMB_STATUS_NO_REGION,
                            "no region \"%s\" is declared, or it gives you no role", only);
                return;
        }
        for (lease = lease_after(registry, message->who.after); lease;
             lease = lease_after(registry, lease->id)) {
                if ((region && lease->region != region) || !conn_may_see(conn, lease->region))
                        continue;
                if (show_append_holder(lease, page, &n_bytes) < 0) {
                        reply.holders.more = true;
                        break;
                }
                reply.holders.n_entries++;
        }
        reply.holders.entries = page;
        reply.holders.n_bytes_entries = n_bytes;
        conn_reply(conn, &reply, NULL, 0);
}

void request_status(Conn *conn, const WireMessage *message) {
        Server *server = conn->server;
        const Registry *registry = &server->registry;
        WireMessage reply = { .type = WIRE_STATUS_INFO, .id = message->id };
        char features[256];

        snprintf(features, sizeof(features), "pidfd=%s rights=%s shm=%s",
                 server->pidfd_source ? server->pidfd_source : "none",
                 fdpass_guard_to_string(&server->guard),
                 backing_dir_check(&server->shm) == 0 ? "ok" : "remounted");
        reply.status = (WireStatusInfo){
                .version = PACKAGE_VERSION,
                .config = conn->admin ? server->params.config->main : "",
                .runtime = server->params.runtime_path,
                .features = features,
                .reload = conn->admin && server->reload_outcome ? server->reload_outcome : "",
                .pid = (uint32_t)getpid(),
                .uid = server->uid,
                .started_ns = server->started_ns,
                .now_ns = clock_boottime_ns(),
                .n_regions = (uint32_t)registry->n_regions,
                .n_live = (uint32_t)registry->n_live,
                .n_leases = (uint32_t)registry->n_leases,
                .n_connections = (uint32_t)server->n_conns,
                .size_bytes = registry->size_bytes,
                .size_bytes_max = server->decls->limits.bytes_total,
                .n_granted = registry->n_granted,
                .n_refused = server->n_refused,
                .n_reaped = registry->n_reaped,
                .n_deaths = registry->n_deaths,
                .n_replaced = registry->n_replaced,
        };
        conn_reply(conn, &reply, NULL, 0);
}
