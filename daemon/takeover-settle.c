/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Settle
 *
 * Counts of deaths and detaches go on from the control object, which only a broker ever wrote:
 * peers compare them with what they saw last.
 */

#include <stddef.h>
#include <string.h>

#include "daemon/bells.h"
#include "daemon/core/segments.h"
#include "daemon/lapse.h"
#include "daemon/log.h"
#include "daemon/objects.h"
#include "daemon/sys/backing.h"
#include "daemon/takeover-settle.h"
#include "memory/layout.h"

/* Where it cannot be had again its holder is not woken any more: what he does then finds out. */
static void settle_restore_bell(Server *server, Region *region, const RegionParty *party,
                                  const ShmbParty *entry) {
        uint32_t polls;
        int r;

        /* A private copy, as below. */
        memcpy(&polls, &entry->polls, sizeof(polls));
        if (!party->lease || !polls)
                return;
        r = bells_restore(server, region, party);
        if (r < 0)
                log_plain(LOG_WARNING, "The FIFO of lease %llu on region \"%s\" is gone: %s.",
                          (unsigned long long)party->lease->id, region->decl->name,
                          strerror(-r));
}

static void settle_restore_segments(const Region *region, RegionParty *party,
                                      const ShmbParty *entry) {
        uint64_t freed, backed;

        /* A private copy, as below. */
        memcpy(&freed, &entry->freed, sizeof(freed));
        memcpy(&backed, &entry->backed, sizeof(backed));
        if (party->role == SHMB_ROLE_PRODUCE)
                segments_restore(&party->segments, &region->decl->geometry, freed, backed);
}

/* What the last broker told peers goes on; who held a lane or seat and has no lease now is dead. */
static void settle_read_parties(Server *server, Region *region) {
        RegionParty *party;
        ObjectsFault fault;
        uint32_t occupancy;
        ShmbParty entry;
        size_t i;
        int fd;

        if (objects_open(server, region, &region->objects[0], false, &fd, &fault))
                return;
        for (i = 0; i < region->n_parties; i++) {
                party = &region->parties[i];
                /* Nobody holds the group, its consumers share it. */
                if (party->role == SHMB_ROLE_NONE)
                        continue;
                if (!party->lease)
                        party->occupancy = SHMB_PARTY_UNPROVEN;
                if (backing_read(fd, offsetof(ShmbControl, parties) + i * sizeof(entry), &entry,
                                 sizeof(entry)) != 0)
                        continue;
                /* A private copy, of what only a broker wrote: a plain copy is enough. */
                if (region->departed)
                        memcpy(&region_party_object(region, party)->epoch, &entry.epoch,
                               sizeof(entry.epoch));
                memcpy(&party->n_deaths, &entry.n_deaths, sizeof(party->n_deaths));
                memcpy(&party->n_detaches, &entry.n_detaches, sizeof(party->n_detaches));
                memcpy(&occupancy, &entry.occupancy, sizeof(occupancy));
                memcpy(&party->last_lease, &entry.lease, sizeof(party->last_lease));
                party->n_deaths += !party->lease && occupancy == SHMB_PARTY_HELD;
                settle_restore_bell(server, region, party, &entry);
                settle_restore_segments(region, party, &entry);
        }
        close(fd);
}

/* What nobody had mapped any more, as far as it could be seen. */
static void settle_renew(Server *server, Region *region) {
        RegionParty *party;
        ObjectsFault fault;
        size_t i;

        for (i = 0; i < region->n_parties && region->state == SHMB_REGION_LIVE; i++) {
                party = &region->parties[i];
                if (region_party_object(region, party)->ino != 0 ||
                    objects_renew(server, region, party, "nobody had it mapped any more", &fault))
                        continue;
                if (party->lease)
                        lapse_evict(server, party->lease, "its memory was not found again");
        }
}

void settle_region(Server *server, Region *region) {
        ObjectsFault fault;
        size_t i;

        settle_read_parties(server, region);
        if (objects_map_control(server, region, &fault))
                return;
        settle_renew(server, region);
        for (i = 0; i < region->n_parties; i++)
                (void)lapse_party(server, region, &region->parties[i]);
        objects_publish_all(region);
        if (region->n_leases == 0)
                control_deinit(&region->body->control);
}
