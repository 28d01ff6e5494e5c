/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects
 *
 * What the registry says there must be, and daemon/sys/backing.h makes: all objects of a region or
 * none. The control object is mapped from the first time that somebody holds the region; nothing
 * else is ever mapped. Every function that changes what exists writes it down (daemon/ledger.h) on
 * its way.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/lease.h"
#include "daemon/core/registry.h"
#include "daemon/server.h"
#include "daemon/sys/backing.h"
#include "daemon/sys/control.h"
#include "protocol/name.h"
#include "protocol/status.h"

typedef struct ObjectsFault ObjectsFault;

enum {
        /* Objects of one lane or seat that were replaced and that somebody still has mapped. */
        OBJECTS_GRAVES_MAX = 4,
        /* Made without asking how much memory there is; the limits of the configuration bound how
         * many of them there can be. */
        OBJECTS_SMALL_BYTES = 1 << 18,
};

/* An object that was replaced: a descriptor that tells whether anybody else still has it. */
typedef struct ObjectsGrave {
        const RegionParty *party;
        int fd; /* read-only, owned */
} ObjectsGrave;

/*
 * Members of a group wait for what a dead one held until it is proven that he writes no more; and
 * the kernel takes the memory of a process down a moment after the process.
 */
typedef struct RegionProof {
        Region *region;
        Deadline deadline;
        unsigned n_tries;
} RegionProof;

/* What the daemon holds of a region that has objects. */
struct RegionBody {
        Control control; /* memory is NULL until somebody holds the region */
        uint32_t uid;    /* on whose account the bytes are; QUOTA_UID_BROKER the broker's own */
        bool adopted;    /* a predecessor made them */
        bool mortal;     /* memfd: not all of them would outlive the broker (daemon/vault.h) */
        bool held;       /* when this broker began to end */
        bool awaited;    /* not all of them are there yet (daemon/await.h) */
        ObjectsGrave *graves;
        size_t n_graves;
        int *bells;     /* by party: its FIFO or -1; NULL where nobody polls (daemon/bells.h) */
        BackingDraft *drafts; /* by object, between objects_prepare() and objects_commit() */
        RegionProof proof;
        QuotaCharge charge;
};

/* Why not, ready for a reply and for the journal. */
struct ObjectsFault {
        ShmbStatus status;
        char sentence[SHMB_SENTENCE_MAX + 1];
};

enum {
        _OBJECTS_E_SUCCESS,

        OBJECTS_E_FAILED, /* the fault says why; nothing was changed */
        OBJECTS_E_CUT,    /* a lane or seat has another size: who could write it did that */
        OBJECTS_E_LOST,   /* the region's objects are gone or not ours: it is LOST now */
};

/**
 * objects_describe() - how daemon/sys finds an object
 * @server:     server
 * @region:     region
 * @object:     one of its objects
 * @name:       gets its kernel name; must live as long as @ret_object
 * @ret_object: borrows fd and @name
 */
void objects_describe(const Server *server, const Region *region, const RegionObject *object,
                      char name[static SHMB_KERNEL_NAME_MAX + 1], BackingObject *ret_object);

/**
 * objects_prepare() - reserve and fill every object of a DECLARED region, where nobody finds them
 * @server:     server
 * @region:     region
 * @uid:        on whose account its bytes are
 * @fault:      why not
 *
 * What is left to go wrong behind this is that somebody has taken one of the names.
 *
 * Return: 0, or OBJECTS_E_FAILED.
 */
int objects_prepare(Server *server, Region *region, uint32_t uid, ObjectsFault *fault);

/** objects_commit() - give prepared objects their names, and go LIVE; 0 or OBJECTS_E_FAILED */
int objects_commit(Server *server, Region *region, ObjectsFault *fault);

/** objects_create() - both, one behind the other; 0 or OBJECTS_E_FAILED */
int objects_create(Server *server, Region *region, uint32_t uid, ObjectsFault *fault);

/**
 * objects_remove() - unlink every object that is still ours, and go back to DECLARED
 * @server:     server
 * @region:     region without leases
 * @reason:     for the journal: why; NULL to say nothing
 */
void objects_remove(Server *server, Region *region, const char *reason);

/**
 * objects_unlink() - take the names of a region's objects away; who holds them keeps them
 *
 * Of one that is DRAINING the control object keeps its name: by it a successor, who knows no leases
 * of it, tells its consumers that nobody watches over them any more.
 */
void objects_unlink(Server *server, Region *region);

/** objects_forget() - give back what the daemon holds of a region; what exists stays as it is */
void objects_forget(Region *region);

/**
 * objects_log_uid() - whose lines it costs to tell of a region: who creates and removes all day
 * long has them limited; LOG_UID_NONE where it was declared
 */
uint32_t objects_log_uid(const Region *region);

/**
 * objects_open() - a fresh descriptor of one object, for one grant or one look
 *
 * Return: 0; OBJECTS_E_CUT (nothing was changed: objects_replace() mends it); OBJECTS_E_LOST;
 * OBJECTS_E_FAILED (no descriptors left).
 */
int objects_open(Server *server, Region *region, RegionObject *object, bool writable,
                 int *ret_fd, ObjectsFault *fault);

/** objects_map_control() - make ready to tell peers; idempotent; codes as objects_open() */
int objects_map_control(Server *server, Region *region, ObjectsFault *fault);

/**
 * objects_prove() - whether nobody can write the object of a party any more
 *
 * Return: true only with proof.
 */
bool objects_prove(Server *server, Region *region, RegionParty *party);

/**
 * objects_replace() - make the object of a party anew, in the next epoch
 * @server:     server
 * @region:     region whose control object is mapped
 * @party:      party
 * @keep:       carry over what its predecessor left (a seat's place), not only the geometry
 * @reason:     for the journal: why
 * @fault:      why not
 *
 * The new epoch is published before the old bytes are copied: whoever reads the old object and
 * finds the old epoch still in force behind it has read nothing that is not in the copy.
 *
 * Return: 0; OBJECTS_E_FAILED; OBJECTS_E_LOST.
 */
int objects_replace(Server *server, Region *region, RegionParty *party, bool keep,
                    const char *reason, ObjectsFault *fault);

/**
 * objects_renew() - the same where there is no predecessor any more, nor anything left of it
 *
 * Return: 0; OBJECTS_E_FAILED; OBJECTS_E_LOST.
 */
int objects_renew(Server *server, Region *region, RegionParty *party, const char *reason,
                  ObjectsFault *fault);

/** objects_sweep() - forget replaced objects that nobody has any more; their pages are free then */
void objects_sweep(Region *region);

/** objects_publish() - tell peers of one lane or seat; @party may be NULL: nothing to say */
void objects_publish(Region *region, const RegionParty *party);

/** objects_publish_all() - tell peers the state and every party (after a takeover) */
void objects_publish_all(Region *region);

/** objects_publish_state() - tell peers that the state changed */
void objects_publish_state(Region *region);

/** objects_lose() - its objects are not what they were: LOST, with the reason for listings */
void objects_lose(Server *server, Region *region, const char *reason);
