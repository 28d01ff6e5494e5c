/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Segments of a Queue
 *
 * Memory is reserved ahead of a producer and given back behind its consumers as they say how far
 * they are. Mostly nobody waits for it, and such a message has no answer (id 0); a producer that
 * has come to the end of its memory asks, and is told why there is no more.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/segments.h"
#include "daemon/objects.h"
#include "daemon/request.h"

static void segment_refuse(Conn *conn, const WireMessage *message, ShmbStatus status,
                           const char *sentence) {
        if (message->id != 0)
                conn_refuse(conn, message->id, status, "%s", sentence);
}

static int segment_reserve(Server *server, const Region *region, const SegmentsEffects *effects,
                           int fd, uint64_t *backed, BackingFault *fault) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint64_t n_items = shmb_geometry_segment_items(geometry), offset, n;
        int r = 0;

        while (*backed < effects->back_to) {
                segments_bytes(geometry, *backed, true, &offset, &n);
                r = backing_reserve(&server->shm, region->decl->backing, fd, offset, n, fault);
                if (r)
                        break;
                *backed += n_items;
        }
        return r;
}

/* What cannot be given back stays reserved, and is used again in the next lap. */
static void segment_free(const Region *region, const SegmentsEffects *effects, int fd) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint64_t n_items = shmb_geometry_segment_items(geometry), offset, n, at;

        for (at = effects->free_from; at < effects->free_to; at += n_items) {
                segments_bytes(geometry, at, false, &offset, &n);
                if (n > 0)
                        (void)backing_punch(fd, offset, n);
        }
}

/* Return: 0, or the fault says why there is no more memory. */
static int segment_perform(Server *server, Region *region, RegionParty *party,
                           const SegmentsEffects *effects, ObjectsFault *fault) {
        uint64_t backed = effects->back_from;
        BackingFault backing = {};
        char clause[256];
        int fd, r;

        if (effects->free_from == effects->free_to && effects->back_from == effects->back_to)
                return 0;
        r = objects_open(server, region, region_party_object(region, party), true, &fd, fault);
        if (r)
                return r;
        segment_free(region, effects, fd);
        r = segment_reserve(server, region, effects, fd, &backed, &backing);
        close(fd);
        segments_set_backed(&party->segments, backed);
        objects_publish(region, party);
        if (r == 0)
                return 0;

        backing_format_fault(r, &backing, clause, sizeof(clause));
        fault->status = SHMB_STATUS_NO_MEMORY;
        snprintf(fault->sentence, sizeof(fault->sentence),
                 "region \"%s\": lane %u has memory for %llu items and no more: %s",
                 region->decl->name, party->index,
                 (unsigned long long)(backed - party->segments.freed), clause);
        return OBJECTS_E_FAILED;
}

/* The lane that is spoken of, in its present epoch, if @lease may speak of it. */
static RegionParty *segment_party(const Lease *lease, const WireSegment *segment) {
        Region *region = lease->region;
        RegionParty *party;

        if (region->decl->geometry.kind != SHMB_KIND_QUEUE || !lease->party)
                return NULL;
        party = region_party(region, SHMB_ROLE_PRODUCE, segment->index);
        if (!party || (lease->role == SHMB_ROLE_PRODUCE && party != lease->party))
                return NULL;
        return party;
}

static int segment_judge(const Lease *lease, RegionParty *party, const WireSegment *segment,
                         SegmentsEffects *ret_effects) {
        const ShmbGeometry *geometry = &lease->region->decl->geometry;

        if (lease->role == SHMB_ROLE_PRODUCE)
                return segments_produced(&party->segments, geometry, segment->position,
                                         segment->wanted, ret_effects);
        return segments_consumed(&party->segments, geometry, segment->position, ret_effects);
}

void request_segment(Conn *conn, const WireMessage *message) {
        const WireSegment *segment = &message->segment;
        Lease *lease = lease_find(&conn->server->registry, segment->lease);
        SegmentsEffects effects;
        ObjectsFault fault;
        RegionParty *party;

        if (!lease || lease->client != &conn->client) {
                segment_refuse(conn, message, SHMB_STATUS_NO_LEASE,
                               "this client holds no such lease");
                return;
        }
        party = segment_party(lease, segment);
        if (!party) {
                segment_refuse(conn, message, SHMB_STATUS_INVALID,
                               "this lease has no lane of a queue to speak of");
                return;
        }
        /* Of an object that was replaced meanwhile: its memory goes with it. */
        if (segment->epoch == region_party_object(lease->region, party)->epoch &&
            lease->region->state == SHMB_REGION_LIVE) {
                if (segment_judge(lease, party, segment, &effects)) {
                        segment_refuse(conn, message, SHMB_STATUS_INVALID,
                                       "further than there is memory");
                        return;
                }
                if (segment_perform(conn->server, lease->region, party, &effects, &fault)) {
                        segment_refuse(conn, message, fault.status, fault.sentence);
                        return;
                }
        }
        if (message->id != 0)
                conn_reply_ok(conn, message->id);
}
