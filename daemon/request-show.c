/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listings
 *
 * On the clients' socket a region that gives the peer no role does not exist. Pages are cut where a
 * message is full and go on by name (regions) or number (leases), so that what comes and goes
 * between two pages neither repeats nor hides anything else.
 *
 * Depth and counters are words of clients. They are read with pread(2), shown, and nothing is
 * decided by them: whatever stands there, the worst is a silly number in a table.
 */

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/template.h"
#include "daemon/core/policy.h"
#include "daemon/objects.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"
#include "memory/slots.h"
#include "protocol/wire.h"

typedef struct ShowDepth ShowDepth;

/* What pread() found in the lanes and seats of one region. */
struct ShowDepth {
        uint64_t tails[SHMB_LANES_MAX], dones[SHMB_LANES_MAX];
        bool any_seat; /* broadcast: somebody is there */
        uint64_t dropped, redelivered, missed, waits, wakes;
};

static uint64_t show_max(uint64_t a, uint64_t b) {
        return a > b ? a : b;
}

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

/* Of a private copy that pread() made: nobody else sees it, a plain copy is enough. */
static uint64_t show_word(const void *word) {
        uint64_t value;

        memcpy(&value, word, sizeof(value));
        return value;
}

static void show_add_counters(ShowDepth *depth, const ShmbCounters *counters) {
        depth->dropped += show_word(&counters->n_dropped);
        depth->redelivered += show_word(&counters->n_redelivered);
        depth->missed += show_word(&counters->n_missed);
        depth->waits += show_word(&counters->n_waits);
        depth->wakes += show_word(&counters->n_wakes);
}

static void show_read_lane(int fd, uint32_t lane, ShowDepth *depth) {
        ShmbCounters counters;

        if (backing_read(fd, offsetof(ShmbLane, counters), &counters, sizeof(counters)) == 0)
                show_add_counters(depth, &counters);
        (void)backing_read(fd, offsetof(ShmbLane, tail), &depth->tails[lane],
                           sizeof(depth->tails[lane]));
}

/* Of a broadcast the slowest who is there counts; elsewhere who is furthest, of all there were. */
static void show_read_seat(Region *region, uint32_t index, int fd, ShowDepth *depth) {
        ShmbKind kind = region->decl->geometry.kind;
        bool broadcast = kind == SHMB_KIND_BROADCAST || kind == SHMB_KIND_LATEST;
        bool held = region_party(region, SHMB_ROLE_CONSUME, index)->lease;
        const RegionObject *object;
        ShmbCounters counters;
        ShmbPlace place;
        uint64_t done;
        uint32_t lane;

        if (backing_read(fd, offsetof(ShmbSeat, counters), &counters, sizeof(counters)) == 0)
                show_add_counters(depth, &counters);
        for (lane = 0; lane < region->decl->geometry.n_lanes; lane++) {
                object = region_object(region, SHMB_OBJECT_LANE, lane);
                if (!object ||
                    backing_read(fd, offsetof(ShmbSeat, places) + lane * sizeof(place), &place,
                                 sizeof(place)) != 0)
                        return;
                /* A place in an older lane says nothing of the one that is there now. */
                if (memcmp(&place.epoch, &object->epoch, sizeof(object->epoch)) != 0)
                        continue;
                done = show_word(&place.done);
                if (!broadcast)
                        depth->dones[lane] = show_max(depth->dones[lane], done);
                else if (held && (!depth->any_seat || done < depth->dones[lane]))
                        depth->dones[lane] = done;
        }
        depth->any_seat |= held;
}

/* Where consumers compete: what is not done, by the word of each slot. */
static void show_read_group(Region *region, int fd, ShowDepth *depth) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint64_t words[512], at, item, i, n;
        ShmbSlots slots;
        uint32_t lane;

        for (lane = 0; lane < geometry->n_lanes; lane++) {
                slots = shmb_slots_of(geometry, NULL, lane,
                                      region_object(region, SHMB_OBJECT_LANE, lane)->epoch);
                depth->dones[lane] = depth->tails[lane];
                for (at = 0; at < geometry->capacity && at < depth->tails[lane]; at += n) {
                        n = geometry->capacity - at < 512 ? geometry->capacity - at : 512;
                        if (backing_read(fd, offsetof(ShmbGroup, words) +
                                                     (lane * geometry->capacity + at) * 8,
                                         words, n * 8) != 0)
                                return;
                        for (i = 0; i < n && at + i < depth->tails[lane]; i++) {
                                item = depth->tails[lane] - 1;
                                item -= (item - at - i) & slots.mask;
                                depth->dones[lane] -= !shmb_slots_is_done(&slots, item, words[i]);
                        }
                }
        }
}

static void show_read(Server *server, Region *region, ShowDepth *depth) {
        ObjectsFault fault;
        RegionObject *object;
        size_t i;
        int fd;

        for (i = 0; i < region->n_objects && region->state == SHMB_REGION_LIVE; i++) {
                object = &region->objects[i];
                if (object->kind == SHMB_OBJECT_CONTROL || object->kind == SHMB_OBJECT_DATA)
                        continue;
                if (objects_open(server, region, object, false, &fd, &fault))
                        continue;
                if (object->kind == SHMB_OBJECT_LANE)
                        show_read_lane(fd, object->index, depth);
                else if (object->kind == SHMB_OBJECT_GROUP)
                        show_read_group(region, fd, depth);
                else
                        show_read_seat(region, object->index, fd, depth);
                close(fd);
        }
}

static void show_fill_depth(Server *server, Region *region, WireRegion *entry) {
        uint64_t capacity = region->decl->geometry.capacity, used;
        ShmbKind kind = region->decl->geometry.kind;
        bool broadcast = kind == SHMB_KIND_BROADCAST || kind == SHMB_KIND_LATEST;
        ShowDepth depth = {};
        uint32_t i;

        show_read(server, region, &depth);
        if (broadcast && !depth.any_seat)
                memcpy(depth.dones, depth.tails, sizeof(depth.dones));
        for (i = 0; i < region->decl->geometry.n_lanes; i++) {
                used = depth.tails[i] - depth.dones[i];
                entry->used = show_max(entry->used, used < capacity ? used : capacity);
                entry->moved += depth.tails[i];
        }
        entry->dropped = depth.dropped;
        entry->redelivered = depth.redelivered;
        entry->missed = depth.missed;
        entry->waits = depth.waits;
        entry->wakes = depth.wakes;
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
