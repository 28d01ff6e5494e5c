/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leases
 *
 * A lease records that one client holds one region in one role. It is over at detach, at hang-up or
 * when its process is dead, whichever comes first; never because time passed. The lane or seat of a
 * lease that is over is not free: its holder may have left a writable mapping in another process.
 * It is UNPROVEN until the daemon has shown that nobody can write it (daemon/sys/probe.h), and if
 * that cannot be shown when the next one wants it, the object is replaced by one of the next epoch.
 *
 * Pure: decisions come back as LeaseEffects and the daemon performs them. Order matters to peers:
 * what `party` says is published in control before anybody is answered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/registry.h"
#include "protocol/bits.h"
#include "protocol/limits.h"

typedef struct LeaseEffects LeaseEffects;

enum {
        LEASE_COMMAND_MAX = 15, /* TASK_COMM_LEN of the kernel without the terminator */
        LEASE_UNIT_MAX = 255,   /* UNIT_NAME_MAX of systemd */
};

enum {
        _LEASE_E_SUCCESS,

        LEASE_E_ROLE,  /* regions of this kind do not have this role */
        LEASE_E_STATE, /* the region is not LIVE */
        LEASE_E_BUSY,  /* every lane or seat is held */
        LEASE_E_QUOTA, /* the uid has as many leases as it may have */
};

typedef enum LeaseEnd {
        LEASE_END_DETACH,   /* the client said so */
        LEASE_END_DEATH,    /* hang-up or death of the process */
        LEASE_END_ROLLBACK, /* the client never got the answer: to peers it never was */
        _LEASE_END_N,
} LeaseEnd;

/* Who holds leases: one process as seen at connect, or one of a predecessor's clients not yet
 * back. */
struct LeaseClient {
        uint8_t uuid[SHMB_UUID_SIZE];
        uint32_t uid;
        uint32_t pid;            /* advisory */
        /* start time of the process, in clock ticks since boot; 0 = unknown */
        uint64_t pid_started;
        char command[LEASE_COMMAND_MAX + 1];
        char unit[LEASE_UNIT_MAX + 1];
        bool connected;
        Lease *leases; /* newest first */
        size_t n_leases;
        Region *created; /* regions that are its own: core/dynamic.h */
};

struct Lease {
        uint64_t id;
        Region *region;
        LeaseClient *client;
        ShmbRole role;
        uint32_t index;      /* lane or seat; 0 where the role has none */
        RegionParty *party;  /* NULL for observers, readers and writers */
        uint64_t since_ns;   /* CLOCK_BOOTTIME of the grant */
        uint64_t request;    /* id of the attach: a repeated one gets the same lease */
        bool mapped;         /* the client said that it holds its maps */
        bool keeps;          /* it keeps descriptors where it is asked to */
        bool offered;        /* it was given the chance to give them back */
        QuotaCharge charge;
        Lease *next_in_region, *prev_in_region;
        Lease *next_of_client, *prev_of_client;
};

/* What the daemon must do now, in this order. Borrowed pointers, good until the next call here. */
struct LeaseEffects {
        Region *region;
        RegionParty *party; /* its entry in control is to be published; NULL = none changed */
        /* show that nobody writes the party's object: region_party_set_proven(), or, where the
         * party was just granted, make the object anew: region_party_renew() */
        bool prove;
        bool idle;          /* the last lease of the region is over */
};

/**
 * lease_grant() - give a role of a region to a client
 * @registry:           registry of the region
 * @region:             LIVE region
 * @client:             who gets it
 * @role:               as what
 * @now_ns:             CLOCK_BOOTTIME
 * @ret_lease:          the lease, owned by the registry
 * @ret_effects:        what to do
 *
 * A vacant lane or seat is taken before one that is still to be proven, and of those the lowest.
 *
 * Return: 0; LEASE_E_ROLE, LEASE_E_STATE, LEASE_E_BUSY or -ENOMEM (nothing changed, outputs
 * untouched).
 */
int lease_grant(Registry *registry, Region *region, LeaseClient *client, ShmbRole role,
                uint64_t now_ns, Lease **ret_lease, LeaseEffects *ret_effects);

/**
 * lease_restore() - a lease that a predecessor gave
 * @registry:           registry
 * @region:             LIVE or DRAINING region
 * @client:             its holder
 * @role:               as recorded
 * @index:              as recorded
 * @id:                 as recorded; must be greater than any restored before and less than
 *                      next_lease
 * @since_ns:           as recorded
 * @ret_lease:          the lease, already mapped
 *
 * A limit that became lower meanwhile takes nothing away.
 *
 * Return: 0; LEASE_E_ROLE, LEASE_E_STATE, LEASE_E_BUSY (held, or no such lane or seat), or -ENOMEM.
 */
int lease_restore(Registry *registry, Region *region, LeaseClient *client, ShmbRole role,
                  uint32_t index, uint64_t id, uint64_t since_ns, Lease **ret_lease);

/**
 * lease_end() - a lease is over; frees it
 * @registry:           registry
 * @lease:              lease
 * @how:                why
 * @now_ns:             CLOCK_BOOTTIME, from which a linger is counted
 * @ret_effects:        what to do; `prove` where it had a lane or seat
 */
void lease_end(Registry *registry, Lease *lease, LeaseEnd how, uint64_t now_ns,
               LeaseEffects *ret_effects);

/** lease_client_is() - whether both are one client, on two connections perhaps: its uuid is its
 *  secret */
bool lease_client_is(const LeaseClient *a, const LeaseClient *b);

/** lease_move() - the same lease on another connection of its client (a client that came back) */
void lease_move(Lease *lease, LeaseClient *client);

/** lease_find() - by number; NULL if there is none */
Lease *lease_find(Registry *registry, uint64_t id);

/** lease_after() - the lease with the smallest number greater than @id, or NULL */
Lease *lease_after(Registry *registry, uint64_t id);

/** lease_object_is_writable() - whether the holder of @lease gets @object writable */
bool lease_object_is_writable(const Lease *lease, const RegionObject *object);

/** lease_object_is_granted() - whether the holder of @lease gets @object at all */
bool lease_object_is_granted(const Lease *lease, const RegionObject *object);
