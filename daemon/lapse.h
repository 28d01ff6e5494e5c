/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lapse
 *
 * What happens when something is over: a lease, a client, a linger. Here the effects that core
 * decided are performed, in the order that peers rely on: what control says is true by then, and
 * the ledger follows.
 */

#include <stdbool.h>

#include "daemon/core/lease.h"
#include "daemon/server.h"

/** lapse_lease() - end one lease and do what follows; the lease is freed */
void lapse_lease(Server *server, Lease *lease, LeaseEnd how);

/** lapse_evict() - end a lease whose holder broke what it is for; to peers as if it had died */
void lapse_evict(Server *server, Lease *lease, const char *reason);

/** lapse_client() - end every lease of a client, and what it created goes on without it */
void lapse_client(Server *server, LeaseClient *client, LeaseEnd how);

/** lapse_adopt() - a client of a predecessor is back: @lease is @client's from now on */
void lapse_adopt(Server *server, Lease *lease, LeaseClient *client);

/**
 * lapse_return() - a client said hello: what it created, if a predecessor's record names it, is its
 * own again. Its leases it resumes itself.
 */
void lapse_return(Server *server, LeaseClient *client);

/** lapse_absent_free() - forget a client that did not come back; it has nothing any more */
void lapse_absent_free(Absent *absent);

/** lapse_on_proof() - look once more whether nobody can write for those who left */
void lapse_on_proof(Server *server, Region *region);

/** lapse_on_linger() - nobody came back to an on_demand region in time */
void lapse_on_linger(Server *server, Region *region);

/** lapse_on_age() - a region of a template is as old as it may become */
void lapse_on_age(Server *server, Region *region);

/**
 * lapse_let_go() - a region is no more: its name is free behind this
 * @server:     server
 * @region:     freed at once, or when its last lease is over
 * @state:      what its holders are told: SHMB_REGION_REMOVED, or STALE where a successor comes
 * @reason:     for the journal: why
 */
void lapse_let_go(Server *server, Region *region, ShmbRegionState state, const char *reason);

/**
 * lapse_party() - try to prove that nobody writes an UNPROVEN party's object
 *
 * Return: true if that succeeded, and peers were told.
 */
bool lapse_party(Server *server, Region *region, RegionParty *party);

/**
 * lapse_gc() - everything that can go without waiting for its time
 * @server:     server
 * @dry_run:    only say it
 * @say:        called for each thing that was, or would be, done
 * @userdata:   of @say
 */
void lapse_gc(Server *server, bool dry_run, void (*say)(void *userdata, const char *line),
              void *userdata);
