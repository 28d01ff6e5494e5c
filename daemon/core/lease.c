/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases
 *
 * A lease is in three places: the registry's array (by number, which only grows, so new ones go to
 * the end), its region's list and its client's list. A lane or seat moves
 *
 *     VACANT --grant--> HELD --end--> UNPROVEN --proof--> VACANT
 *                        ^                |
 *                        +---- grant -----+   proven then, or replaced by the next epoch
 *
 * n_deaths is what peers turn into -EOWNERDEAD, once each: it grows before the party is UNPROVEN in
 * control, so that who sees the one sees the other.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/lease.h"
#include "memory/geometry.h"

static bool lease_role_has_party(ShmbRole role) {
        return role == SHMB_ROLE_PRODUCE || role == SHMB_ROLE_CONSUME;
}

/* The lowest vacant one, else the lowest one that is still to be proven. */
static RegionParty *lease_pick(Region *region, ShmbRole role) {
        RegionParty *party, *unproven = NULL;
        size_t i;

        for (i = 0; i < region->n_parties; i++) {
                party = &region->parties[i];
                if (party->role != role || party->occupancy == SHMB_PARTY_HELD)
                        continue;
                if (party->occupancy == SHMB_PARTY_VACANT)
                        return party;
                if (!unproven)
                        unproven = party;
        }
        return unproven;
}

static int lease_reserve(Registry *registry) {
        size_t n_allocated;
        Lease **leases;

        if (registry->n_leases < registry->n_leases_allocated)
                return 0;

        n_allocated = registry->n_leases_allocated > 0 ? 2 * registry->n_leases_allocated : 16;
        leases = reallocarray(registry->leases, n_allocated, sizeof(*leases));
        if (!leases)
                return -ENOMEM;
        registry->leases = leases;
        registry->n_leases_allocated = n_allocated;
        return 0;
}

static void lease_link_client(Lease *lease, LeaseClient *client) {
        lease->client = client;
        lease->prev_of_client = NULL;
        lease->next_of_client = client->leases;
        if (client->leases)
                client->leases->prev_of_client = lease;
        client->leases = lease;
        client->n_leases++;
}

static void lease_unlink_client(Lease *lease) {
        if (lease->prev_of_client)
                lease->prev_of_client->next_of_client = lease->next_of_client;
        else
                lease->client->leases = lease->next_of_client;
        if (lease->next_of_client)
                lease->next_of_client->prev_of_client = lease->prev_of_client;
        lease->client->n_leases--;
        lease->client = NULL;
}

/* @charged: refuse where the quota does; a lease that was given before stays given. */
static int lease_new(Registry *registry, Region *region, LeaseClient *client, ShmbRole role,
                     RegionParty *party, bool charged, Lease **ret_lease) {
        Lease *lease;
        int r;

        r = lease_reserve(registry);
        if (r < 0)
                return r;
        lease = calloc(1, sizeof(*lease));
        if (!lease)
                return -ENOMEM;
        r = quota_charge(registry->quota, &lease->charge, client->uid, QUOTA_LEASES, 1);
        if (r < 0 || (r > 0 && charged)) {
                free(lease);
                return r < 0 ? r : LEASE_E_QUOTA;
        }

        lease->region = region;
        lease->role = role;
        lease->next_in_region = region->leases;
        if (region->leases)
                region->leases->prev_in_region = lease;
        region->leases = lease;
        region->n_leases++;
        region->n_roles[role]++;
        lease_link_client(lease, client);
        if (party) {
                lease->party = party;
                lease->index = party->index;
                party->occupancy = SHMB_PARTY_HELD;
                party->lease = lease;
        }
        registry->leases[registry->n_leases++] = lease;
        deadline_set(&region->linger, DEADLINE_NEVER);
        *ret_lease = lease;
        return 0;
}

int lease_grant(Registry *registry, Region *region, LeaseClient *client, ShmbRole role,
                uint64_t now_ns, Lease **ret_lease, LeaseEffects *ret_effects) {
        RegionParty *party = NULL;
        bool prove = false;
        Lease *lease;
        int r;

        if (region->state != SHMB_REGION_LIVE)
                return LEASE_E_STATE;
        if (!decl_has_role(region->decl->geometry.kind, role))
                return LEASE_E_ROLE;
        if (lease_role_has_party(role)) {
                party = lease_pick(region, role);
                if (!party)
                        return LEASE_E_BUSY;
                prove = party->occupancy == SHMB_PARTY_UNPROVEN;
        }

        r = lease_new(registry, region, client, role, party, true, &lease);
        if (r)
                return r;

        lease->id = registry->next_lease++;
        lease->since_ns = now_ns;
        registry->n_granted++;
        *ret_effects = (LeaseEffects){ .region = region, .party = party, .prove = prove };
        *ret_lease = lease;
        return 0;
}

int lease_restore(Registry *registry, Region *region, LeaseClient *client, ShmbRole role,
                  uint32_t index, uint64_t id, uint64_t since_ns, Lease **ret_lease) {
        RegionParty *party = NULL;
        Lease *lease;
        int r;

        if (region->state != SHMB_REGION_LIVE && region->state != SHMB_REGION_DRAINING)
                return LEASE_E_STATE;
        if (!decl_has_role(region->decl->geometry.kind, role))
                return LEASE_E_ROLE;
        if (id >= registry->next_lease ||
            (registry->n_leases > 0 && registry->leases[registry->n_leases - 1]->id >= id))
                return LEASE_E_BUSY;
        if (lease_role_has_party(role)) {
                party = region_party(region, role, index);
                if (!party || party->occupancy == SHMB_PARTY_HELD)
                        return LEASE_E_BUSY;
        }

        r = lease_new(registry, region, client, role, party, false, &lease);
        if (r)
                return r;

        lease->id = id;
        lease->since_ns = since_ns;
        lease->mapped = true;
        *ret_lease = lease;
        return 0;
}

/* The first slot whose number is greater than @id. */
static size_t lease_slot_after(const Registry *registry, uint64_t id) {
        size_t low = 0, high = registry->n_leases, middle;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (registry->leases[middle]->id <= id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void lease_unlink(Registry *registry, Lease *lease) {
        Region *region = lease->region;
        size_t slot = lease_slot_after(registry, lease->id) - 1;

        assert(registry->leases[slot] == lease);
        registry->n_leases--;
        memmove(registry->leases + slot, registry->leases + slot + 1,
                (registry->n_leases - slot) * sizeof(*registry->leases));

        if (lease->prev_in_region)
                lease->prev_in_region->next_in_region = lease->next_in_region;
        else
                region->leases = lease->next_in_region;
        if (lease->next_in_region)
                lease->next_in_region->prev_in_region = lease->prev_in_region;
        region->n_leases--;
        region->n_roles[lease->role]--;
        lease_unlink_client(lease);
}

void lease_end(Registry *registry, Lease *lease, LeaseEnd how, uint64_t now_ns,
               LeaseEffects *ret_effects) {
        RegionParty *party = lease->party;
        Region *region = lease->region;

        lease_unlink(registry, lease);
        if (party) {
                party->lease = NULL;
                /* Whoever never had it cannot write: who was before him may still. */
                if (how != LEASE_END_ROLLBACK)
                        party->last_lease = lease->id;
                party->n_deaths += how == LEASE_END_DEATH;
                party->n_detaches += how == LEASE_END_DETACH;
                party->occupancy = SHMB_PARTY_UNPROVEN;
        }
        registry->n_deaths += how == LEASE_END_DEATH;
        quota_charge_deinit(&lease->charge);
        free(lease);

        if (region->n_leases == 0)
                region_update_linger(region, now_ns);
        *ret_effects = (LeaseEffects){
                .region = region,
                .party = party,
                .prove = party,
                .idle = region->n_leases == 0,
        };
}

bool lease_client_is(const LeaseClient *a, const LeaseClient *b) {
        return a->uid == b->uid && memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
}

void lease_move(Lease *lease, LeaseClient *client) {
        lease_unlink_client(lease);
        lease_link_client(lease, client);
}

Lease *lease_after(Registry *registry, uint64_t id) {
        size_t slot = lease_slot_after(registry, id);

        return slot < registry->n_leases ? registry->leases[slot] : NULL;
}

Lease *lease_find(Registry *registry, uint64_t id) {
        Lease *lease = id > 0 ? lease_after(registry, id - 1) : NULL;

        return lease && lease->id == id ? lease : NULL;
}

bool lease_object_is_writable(const Lease *lease, const RegionObject *object) {
        switch (object->kind) {
        case SHMB_OBJECT_LANE:
                return lease->role == SHMB_ROLE_PRODUCE && lease->index == object->index;
        case SHMB_OBJECT_SEAT:
                return lease->role == SHMB_ROLE_CONSUME && lease->index == object->index;
        case SHMB_OBJECT_GROUP:
                return lease->role == SHMB_ROLE_CONSUME;
        case SHMB_OBJECT_DATA:
                return lease->role == SHMB_ROLE_WRITE;
        case SHMB_OBJECT_NONE:
        case SHMB_OBJECT_CONTROL:
        case _SHMB_OBJECT_N:
                break;
        }
        return false;
}

bool lease_object_is_granted(const Lease *lease, const RegionObject *object) {
        switch (object->kind) {
        case SHMB_OBJECT_CONTROL:
        case SHMB_OBJECT_GROUP:
        case SHMB_OBJECT_DATA:
                return true;
        case SHMB_OBJECT_LANE:
                /* Producers never look at each other: no word of another lane is theirs to read. */
                return lease->role != SHMB_ROLE_PRODUCE || lease->index == object->index;
        case SHMB_OBJECT_SEAT:
                /* Consumers who compete wake each other. */
                return lease->role != SHMB_ROLE_CONSUME || lease->index == object->index ||
                       shmb_geometry_competes(&lease->region->decl->geometry);
        case SHMB_OBJECT_NONE:
        case _SHMB_OBJECT_N:
                break;
        }
        return false;
}
