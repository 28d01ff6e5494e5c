/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Registry
 *
 * Regions stand in an array in order of name: look-up is a binary search, a page of a listing
 * starts with one. 100,000 declared regions cost a pointer and a Region each; their tables of
 * objects and parties exist only while the objects do.
 *
 * A departed region is in a list of its own: its leases still point to it, its name finds another.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/dynamic.h"
#include "daemon/core/lease.h"
#include "daemon/core/registry.h"
#include "daemon/core/segments.h"
#include "memory/geometry.h"

void registry_init(Registry *registry, DeadlineQueue *deadlines, Quota *quota, uint64_t next_lease,
                   uint64_t next_generation) {
        *registry = (Registry){
                .deadlines = deadlines,
                .quota = quota,
                .next_lease = next_lease,
                .next_generation = next_generation,
        };
}

/* The first slot whose name is not less than @name. */
static size_t registry_slot(const Registry *registry, const char *name) {
        size_t low = 0, high = registry->n_regions, middle;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (strcmp(registry->regions[middle]->decl->name, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static Region *region_free(Region *region) {
        if (!region)
                return NULL;

        assert(!region->leases && !region->objects && !region->body);
        dynamic_set_creator(region, NULL, 0);
        quota_charge_deinit(&region->charge);
        deadline_leave(&region->age);
        deadline_leave(&region->linger);
        decl_free(region->decl);
        free(region->reason);
        free(region);
        return NULL;
}

void registry_deinit(Registry *registry) {
        Region *region;
        size_t i;

        assert(registry->n_leases == 0);
        while ((region = registry->departed)) {
                registry->departed = region->next_departed;
                region_retire(region);
                region_free(region);
        }
        for (i = 0; i < registry->n_regions; i++) {
                region_retire(registry->regions[i]);
                region_free(registry->regions[i]);
        }
        free(registry->regions);
        free(registry->leases);
        *registry = (Registry){};
}

/* Owns @decl on success. */
static int region_new(Registry *registry, Decl *decl, Region **ret_region) {
        Region *region;
        int r;

        region = calloc(1, sizeof(*region));
        if (!region)
                return -ENOMEM;
        r = deadline_join(registry->deadlines, &region->linger, DEADLINE_REGION);
        if (r == 0 && decl->template)
                r = deadline_join(registry->deadlines, &region->age, DEADLINE_AGE);
        if (r < 0) {
                deadline_leave(&region->linger);
                free(region);
                return r;
        }
        region->registry = registry;
        region->decl = decl;
        region->state = SHMB_REGION_DECLARED;
        *ret_region = region;
        return 0;
}

int registry_add(Registry *registry, Decl *decl, Region **ret_region) {
        size_t slot = registry_slot(registry, decl->name), n_allocated;
        Region *region, **regions;
        int r;

        if (slot < registry->n_regions &&
            strcmp(registry->regions[slot]->decl->name, decl->name) == 0)
                return REGISTRY_E_EXISTS;

        if (registry->n_regions == registry->n_allocated) {
                n_allocated = registry->n_allocated > 0 ? 2 * registry->n_allocated : 16;
                regions = reallocarray(registry->regions, n_allocated, sizeof(*regions));
                if (!regions)
                        return -ENOMEM;
                registry->regions = regions;
                registry->n_allocated = n_allocated;
        }

        r = region_new(registry, decl, &region);
        if (r < 0)
                return r;
        memmove(registry->regions + slot + 1, registry->regions + slot,
                (registry->n_regions - slot) * sizeof(*registry->regions));
        registry->regions[slot] = region;
        registry->n_regions++;
        *ret_region = region;
        return 0;
}

static void registry_push_departed(Registry *registry, Region *region) {
        region->departed = true;
        region->next_departed = registry->departed;
        registry->departed = region;
        registry->n_departed++;
}

int registry_add_departed(Registry *registry, Decl *decl, Region **ret_region) {
        int r;

        r = region_new(registry, decl, ret_region);
        if (r < 0)
                return r;
        registry_push_departed(registry, *ret_region);
        (*ret_region)->state = SHMB_REGION_DRAINING;
        return 0;
}

Region *registry_find(Registry *registry, const char *name) {
        size_t slot = registry_slot(registry, name);

        if (slot == registry->n_regions ||
            strcmp(registry->regions[slot]->decl->name, name) != 0)
                return NULL;
        return registry->regions[slot];
}

Region *registry_after(Registry *registry, const char *name) {
        size_t slot = 0;

        if (name) {
                slot = registry_slot(registry, name);
                if (slot < registry->n_regions &&
                    strcmp(registry->regions[slot]->decl->name, name) == 0)
                        slot++;
        }
        return slot < registry->n_regions ? registry->regions[slot] : NULL;
}

static void registry_unlink(Registry *registry, Region *region) {
        Region **at;
        size_t slot;

        if (region->departed) {
                for (at = &registry->departed; *at != region; at = &(*at)->next_departed)
                        ;
                *at = region->next_departed;
                registry->n_departed--;
                return;
        }

        slot = registry_slot(registry, region->decl->name);
        assert(slot < registry->n_regions && registry->regions[slot] == region);
        registry->n_regions--;
        memmove(registry->regions + slot, registry->regions + slot + 1,
                (registry->n_regions - slot) * sizeof(*registry->regions));
}

void registry_remove(Registry *registry, Region *region) {
        registry_unlink(registry, region);
        region_free(region);
}

static void region_set_state(Region *region, ShmbRegionState state) {
        region->registry->n_live -= region->state == SHMB_REGION_LIVE;
        region->registry->n_live += state == SHMB_REGION_LIVE;
        region->state = state;
}

static void region_clear_deadlines(Region *region) {
        deadline_set(&region->linger, DEADLINE_NEVER);
        if (region->decl->template)
                deadline_set(&region->age, DEADLINE_NEVER);
}

void registry_depart(Registry *registry, Region *region, ShmbRegionState state) {
        assert(!region->departed);
        assert(state == SHMB_REGION_REMOVED || state == SHMB_REGION_STALE);

        registry_unlink(registry, region);
        registry_push_departed(registry, region);
        region_set_state(region, state);
        region_clear_deadlines(region);
}

void registry_return(Registry *registry, Region *region, ShmbRegionState state, uint64_t now_ns) {
        size_t slot = registry_slot(registry, region->decl->name);

        /* It had a slot of its own when it departed, and the array never shrinks. */
        assert(region->departed && registry->n_regions < registry->n_allocated);

        registry_unlink(registry, region);
        region->departed = false;
        memmove(registry->regions + slot + 1, registry->regions + slot,
                (registry->n_regions - slot) * sizeof(*registry->regions));
        registry->regions[slot] = region;
        registry->n_regions++;
        region_set_state(region, state);
        region_update_linger(region, now_ns);
}

/* Adds the objects of one kind; those that somebody may hold become parties. */
static void region_add_objects(Region *region, ShmbObjectKind kind, ShmbRole role) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint32_t i, n = shmb_geometry_object_count(geometry, kind);
        bool held = kind != SHMB_OBJECT_CONTROL && kind != SHMB_OBJECT_DATA;

        for (i = 0; i < n; i++) {
                region->objects[region->n_objects++] = (RegionObject){
                        .kind = kind,
                        .index = i,
                        .size_bytes = shmb_geometry_object_size(geometry, kind),
                        /* Never 0, which in shared memory says that nobody was there yet. */
                        .epoch = 1,
                        .fd = -1,
                };
                if (held)
                        region->parties[region->n_parties++] = (RegionParty){
                                .role = role,
                                .index = i,
                                .occupancy = SHMB_PARTY_VACANT,
                                .segments = segments_first(geometry, kind),
                        };
        }
}

/* In the order of region_party_object() and of the entries of control. */
static void region_lay_out(Region *region) {
        region->n_objects = region->n_parties = 0;
        region_add_objects(region, SHMB_OBJECT_CONTROL, SHMB_ROLE_NONE);
        region_add_objects(region, SHMB_OBJECT_DATA, SHMB_ROLE_NONE);
        region_add_objects(region, SHMB_OBJECT_LANE, SHMB_ROLE_PRODUCE);
        region_add_objects(region, SHMB_OBJECT_SEAT, SHMB_ROLE_CONSUME);
        region_add_objects(region, SHMB_OBJECT_GROUP, SHMB_ROLE_NONE);
}

int region_begin(Region *region, uint64_t tag, uint64_t generation) {
        size_t n_parties = shmb_geometry_party_count(&region->decl->geometry);
        size_t n_objects = decl_n_objects(region->decl);

        assert(!region->objects);

        region->objects = calloc(n_objects, sizeof(*region->objects));
        region->parties = calloc(n_parties + 1, sizeof(*region->parties));
        if (!region->objects || !region->parties) {
                free(region->objects);
                free(region->parties);
                region->objects = NULL;
                region->parties = NULL;
                return -ENOMEM;
        }

        region->tag = tag;
        region->generation = generation > 0 ? generation : region->registry->next_generation++;
        region_lay_out(region);
        region->registry->size_bytes += region_size_bytes(region);
        return 0;
}

static bool region_lingers(const Region *region) {
        return region->state == SHMB_REGION_LIVE && region->n_leases == 0 &&
               region->decl->lifetime == SHMB_LIFETIME_ON_DEMAND && !dynamic_is_owned(region);
}

void region_update_linger(Region *region, uint64_t now_ns) {
        uint64_t at_ns = DEADLINE_NEVER;

        if (region_lingers(region) &&
            __builtin_add_overflow(now_ns, region->decl->linger_ns, &at_ns))
                at_ns = DEADLINE_NEVER;
        deadline_set(&region->linger, at_ns);
        if (region->decl->template)
                deadline_set(&region->age, dynamic_age_ns(region));
}

void region_go_live(Region *region, uint64_t now_ns) {
        assert(region->objects);

        region_set_state(region, SHMB_REGION_LIVE);
        region_set_reason(region, NULL);
        region_update_linger(region, now_ns);
}

void region_retire(Region *region) {
        if (!region->objects)
                return;
        assert(!region->leases);

        region->registry->size_bytes -= region_size_bytes(region);
        free(region->objects);
        free(region->parties);
        region->objects = NULL;
        region->parties = NULL;
        region->n_objects = region->n_parties = 0;
        if (!region->departed)
                region_set_state(region, SHMB_REGION_DECLARED);
        region_clear_deadlines(region);
}

bool region_drain(Region *region) {
        ShmbRegionState before = region->state;

        assert(region->departed);
        region_set_state(region, region->n_roles[SHMB_ROLE_PRODUCE] > 0 ? SHMB_REGION_DRAINING
                                                                        : SHMB_REGION_STALE);
        return region->state != before;
}

void region_end_drain(Region *region) {
        if (region->state == SHMB_REGION_DRAINING)
                region_set_state(region, SHMB_REGION_STALE);
}

void region_lose(Region *region) {
        region_set_state(region, SHMB_REGION_LOST);
        deadline_set(&region->linger, DEADLINE_NEVER);
}

void region_set_reason(Region *region, const char *reason) {
        free(region->reason);
        region->reason = reason ? strdup(reason) : NULL;
}

void region_redeclare(Region *region, Decl *decl, uint64_t now_ns) {
        uint64_t at_ns = region->linger.at_ns;
        bool same;

        assert(strcmp(region->decl->name, decl->name) == 0);
        assert(!region->objects || decl_same_shape(region->decl, decl));

        /* A reload that changes nothing about it must not put its end off. */
        same = region->decl->lifetime == decl->lifetime &&
               region->decl->linger_ns == decl->linger_ns;
        decl_free(region->decl);
        region->decl = decl;
        region_update_linger(region, now_ns);
        if (same && region->linger.at_ns != DEADLINE_NEVER && at_ns != DEADLINE_NEVER)
                deadline_set(&region->linger, at_ns);
}

RegionObject *region_object(Region *region, ShmbObjectKind kind, uint32_t index) {
        size_t i;

        for (i = 0; i < region->n_objects; i++)
                if (region->objects[i].kind == kind && region->objects[i].index == index)
                        return &region->objects[i];
        return NULL;
}

RegionParty *region_party(Region *region, ShmbRole role, uint32_t index) {
        size_t i;

        for (i = 0; i < region->n_parties; i++)
                if (region->parties[i].role == role && region->parties[i].index == index)
                        return &region->parties[i];
        return NULL;
}

RegionObject *region_party_object(Region *region, const RegionParty *party) {
        return &region->objects[1 + (party - region->parties)];
}

void region_party_set_proven(Region *region, RegionParty *party) {
        if (party->occupancy == SHMB_PARTY_UNPROVEN)
                party->occupancy = SHMB_PARTY_VACANT;
}

void region_party_renew(Region *region, RegionParty *party) {
        RegionObject *object = region_party_object(region, party);

        object->epoch++;
        object->dev = object->ino = 0;
        party->segments = segments_first(&region->decl->geometry, object->kind);
        region->registry->n_replaced++;
}

uint64_t region_size_bytes(const Region *region) {
        uint64_t size_bytes = 0;
        size_t i;

        for (i = 0; i < region->n_objects; i++)
                size_bytes += region->objects[i].size_bytes;
        return size_bytes;
}

static bool region_check(const Region *region) {
        size_t n_roles[_SHMB_ROLE_N] = {}, n_leases = 0, i;
        const Lease *lease;

        for (lease = region->leases; lease; lease = lease->next_in_region, n_leases++) {
                n_roles[lease->role]++;
                if (lease->region != region ||
                    (lease->party && lease->party->lease != lease))
                        return false;
        }
        if (n_leases != region->n_leases ||
            memcmp(n_roles, region->n_roles, sizeof(n_roles)) != 0)
                return false;
        if (!region->objects && n_leases > 0)
                return false;

        for (i = 0; i < region->n_parties; i++) {
                lease = region->parties[i].lease;
                if ((region->parties[i].occupancy == SHMB_PARTY_HELD) != !!lease ||
                    (lease && (lease->party != &region->parties[i] || lease->region != region)))
                        return false;
        }

        if (!region->decl->template && (region->creator || region->age.queue))
                return false;
        return region_lingers(region) || region->linger.at_ns == DEADLINE_NEVER;
}

bool registry_check(const Registry *registry) {
        uint64_t size_bytes = 0;
        size_t n_live = 0, n_leases = 0, n_departed = 0, i;
        const Region *region;

        for (i = 0; i < registry->n_regions; i++) {
                region = registry->regions[i];
                if (!region_check(region) || region->departed ||
                    (i > 0 && strcmp(registry->regions[i - 1]->decl->name,
                                     region->decl->name) >= 0))
                        return false;
                n_live += region->state == SHMB_REGION_LIVE;
                n_leases += region->n_leases;
                size_bytes += region_size_bytes(region);
        }
        for (region = registry->departed; region; region = region->next_departed, n_departed++) {
                if (!region_check(region) || !region->departed)
                        return false;
                n_leases += region->n_leases;
                size_bytes += region_size_bytes(region);
        }
        for (i = 1; i < registry->n_leases; i++)
                if (registry->leases[i - 1]->id >= registry->leases[i]->id)
                        return false;
        return n_live == registry->n_live && n_leases == registry->n_leases &&
               n_departed == registry->n_departed && size_bytes == registry->size_bytes;
}
