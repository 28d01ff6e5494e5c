/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Registry
 *
 * Every region that the broker knows: what was declared, which objects exist for it, who is on its
 * lanes and seats. Pure: randomness (tags) and time come in as arguments, the objects themselves
 * are made and removed by the daemon, which writes down here what it made. One region is
 *
 *     DECLARED --region_begin()--> DECLARED with an object table --region_go_live()--> LIVE
 *        ^                                                                              |
 *        +--------------------------- region_retire() <---------------------------------+
 *
 * and leaves by registry_remove(), at once while nobody holds it, or by registry_depart(): its name
 * is free for a successor then, and it lives on without a name until its last lease is over.
 *
 * Invariants, checked by registry_check() in the tests: names are unique and in order; a region
 * without objects has no lease; a party is HELD exactly if its lease exists and names it; the
 * counts per role are those of the list; a linger deadline is set exactly if the region is
 * on_demand, LIVE and unused; and one that was created has no creator any more or a ttl.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"
#include "daemon/core/deadline.h"
#include "daemon/core/quota.h"
#include "protocol/bits.h"
#include "protocol/limits.h"

typedef struct Lease Lease;
typedef struct LeaseClient LeaseClient;
typedef struct Region Region;
typedef struct RegionBody RegionBody; /* what the daemon holds for it: fds and the control map */
typedef struct RegionCreation RegionCreation;
typedef struct RegionObject RegionObject;
typedef struct RegionParty RegionParty;
typedef struct RegionSegments RegionSegments;
typedef struct Registry Registry;

enum {
        _REGISTRY_E_SUCCESS,

        REGISTRY_E_EXISTS, /* a region of this name is there, nothing changed */
};

/* One object of a region, in the order of fds: control first, then lanes, seats, and the group if
 * there is one; or control, data. */
struct RegionObject {
        ShmbObjectKind kind;
        uint32_t index;
        uint32_t epoch; /* 1 for the first */
        uint64_t size_bytes;
        uint64_t dev, ino; /* of the inode that the daemon made; 0, 0 = none yet */
        int fd;            /* read-only, where no name leads back to the object (memfd); else -1 */
};

/* Memory of a lane of a queue, in items; all but `published` are multiples of a segment. */
struct RegionSegments {
        uint64_t freed, backed; /* items in between have memory behind them; core/segments.h */
        uint64_t published;     /* as the producer said */
        uint64_t released;      /* as consumers said */
        uint64_t wanted;        /* the most that the producer asked for */
};

/* One lane or seat: who may write it. Its epoch is that of its object. The group has one too, for
 * its epoch alone: it is never held. */
struct RegionParty {
        ShmbRole role;           /* PRODUCE: a lane; CONSUME: a seat; NONE: the group */
        uint32_t index;          /* of the lane or seat */
        ShmbOccupancy occupancy;
        Lease *lease;            /* set exactly if HELD */
        /* UNPROVEN: of whoever held it. Peers see it until it is VACANT: what he holds in a group
         * is his until nobody can write for him any more */
        uint64_t last_lease;
        uint32_t n_deaths;       /* leases that ended without detach */
        uint32_t n_detaches;
        RegionSegments segments; /* lane of a queue */
};

/* Of a region of a template: who asked for it, and when. */
struct RegionCreation {
        uint32_t uid, pid;
        uint64_t pid_started;
        uint8_t client[SHMB_UUID_SIZE];
        uint64_t request;  /* id of the create: a repeated one is the same one */
        uint64_t since_ns; /* CLOCK_BOOTTIME */
        bool kept;         /* without a ttl it stays, whether its creator does or not */
};

struct Region {
        Registry *registry;
        Decl *decl;           /* owned */
        RegionBody *body;     /* the daemon's; carried, never looked into */
        ShmbRegionState state;
        bool departed;        /* no longer found by name */
        char *reason;         /* why it is in this state, one clause, or NULL; owned */
        uint64_t generation, tag;

        RegionObject *objects; /* NULL between region_retire() and region_begin() */
        size_t n_objects;
        RegionParty *parties;  /* n_lanes lanes, then n_seats seats, then the group */
        size_t n_parties;

        Lease *leases; /* newest first */
        size_t n_leases;
        size_t n_roles[_SHMB_ROLE_N];

        Deadline linger;
        Region *next_departed;

        /* core/dynamic.h; of a region of a template only */
        RegionCreation creation;
        LeaseClient *creator; /* while it is there */
        Region *next_created, *prev_created;
        Deadline age;
        QuotaCharge charge;
};

struct Registry {
        Region **regions; /* by name */
        size_t n_regions, n_allocated;
        Region *departed;
        size_t n_departed;
        Lease **leases; /* by id, which is the order of their birth */
        size_t n_leases, n_leases_allocated;
        uint64_t next_lease, next_generation;
        DeadlineQueue *deadlines; /* borrowed */
        Quota *quota;             /* borrowed */

        size_t n_live;
        uint64_t size_bytes; /* of all objects that exist */
        uint64_t n_granted, n_deaths, n_replaced, n_reaped;
};

/**
 * registry_init() - an empty registry
 * @registry:           where
 * @deadlines:          index in which regions put their linger; must outlive the registry
 * @quota:              what leases are charged to; must outlive the registry
 * @next_lease:         first lease number; 1, or behind the last one of a predecessor
 * @next_generation:    likewise for generations
 */
void registry_init(Registry *registry, DeadlineQueue *deadlines, Quota *quota, uint64_t next_lease,
                   uint64_t next_generation);

/** registry_deinit() - free everything; leases and bodies must be gone */
void registry_deinit(Registry *registry);

/**
 * registry_add() - a new region in state DECLARED
 * @registry:           registry
 * @decl:               declaration; owned by the region on success, else still the caller's
 * @ret_region:         the region, owned by the registry
 *
 * Return: 0, REGISTRY_E_EXISTS, or -ENOMEM.
 */
int registry_add(Registry *registry, Decl *decl, Region **ret_region);

/** registry_add_departed() - likewise, a predecessor's whose name another one has: DRAINING; 0 or
 *  -ENOMEM */
int registry_add_departed(Registry *registry, Decl *decl, Region **ret_region);

/** registry_find() - by name; NULL if there is none (departed ones have no name) */
Region *registry_find(Registry *registry, const char *name);

/** registry_after() - the first region of a greater name than @name; of all for NULL */
Region *registry_after(Registry *registry, const char *name);

/** registry_remove() - forget and free a region that has neither leases, objects nor a body */
void registry_remove(Registry *registry, Region *region);

/**
 * registry_depart() - take the name away from a region that is still held
 * @registry:   registry
 * @region:     a region that is LIVE or LOST
 * @state:      SHMB_REGION_REMOVED, or SHMB_REGION_STALE where a successor of the same name comes
 *
 * What is left to do for the daemon: publish the state in control, unlink names, and remove the
 * region when its last lease is over.
 */
void registry_depart(Registry *registry, Region *region, ShmbRegionState state);

/** registry_return() - take a departure back; its name must be free, its state is @state again */
void registry_return(Registry *registry, Region *region, ShmbRegionState state, uint64_t now_ns);

/** registry_check() - true if every invariant above holds; for tests */
bool registry_check(const Registry *registry);

/**
 * region_begin() - lay out the objects of a region that has none
 * @region:     a DECLARED region
 * @tag:        16 random hex digits of the kernel names, as a number
 * @generation: 0 for the next one, or that of the objects that are taken over
 *
 * The table then says which objects there must be and how big; dev, ino and fd are for the daemon.
 *
 * Return: 0, or -ENOMEM (nothing changed).
 */
int region_begin(Region *region, uint64_t tag, uint64_t generation);

/** region_go_live() - all objects of the table exist: LIVE; sets the linger of an unused one */
void region_go_live(Region *region, uint64_t now_ns);

/** region_retire() - back to DECLARED without objects; there must be no lease */
void region_retire(Region *region);

/**
 * region_drain() - it departed, and its consumers may take what is left: DRAINING while somebody
 * may add to that, STALE then; whether that changed
 */
bool region_drain(Region *region);

/** region_end_drain() - nobody waits for its producers any more: STALE if it was DRAINING */
void region_end_drain(Region *region);

/** region_lose() - its objects are gone or not ours any more; leases go on until they are over */
void region_lose(Region *region);

/** region_set_reason() - say why; a reason that does not fit into memory is left out */
void region_set_reason(Region *region, const char *reason);

/** region_update_linger() - set or clear its deadlines by what it is; lease_end() does it too */
void region_update_linger(Region *region, uint64_t now_ns);

/** region_redeclare() - other rules for the same objects; owns @decl, frees the old one */
void region_redeclare(Region *region, Decl *decl, uint64_t now_ns);

/** region_object() - the object, or NULL if the region has none of this kind and index now */
RegionObject *region_object(Region *region, ShmbObjectKind kind, uint32_t index);

/** region_party() - the lane or seat of @role, or NULL (observers and raw regions have none) */
RegionParty *region_party(Region *region, ShmbRole role, uint32_t index);

/** region_party_object() - what the party writes */
RegionObject *region_party_object(Region *region, const RegionParty *party);

/** region_party_set_proven() - nobody can write the object of an UNPROVEN party any more: VACANT */
void region_party_set_proven(Region *region, RegionParty *party);

/** region_party_renew() - its object is to be replaced: the next epoch, no dev and ino yet */
void region_party_renew(Region *region, RegionParty *party);

/** region_size_bytes() - of the objects that exist now */
uint64_t region_size_bytes(const Region *region);
