/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ledger
 *
 * What is written down, in daemon/record.h, of the things in the registry. Additions are written
 * before others can see them and fail the request that made them; removals behind, and a removal
 * that cannot be written is harmless: the next broker finds nothing where the record says something
 * was.
 */

#include "daemon/core/lease.h"
#include "daemon/core/registry.h"
#include "daemon/server.h"

/**
 * ledger_region() - it is about to be published, with all objects of its table that have an inode
 *
 * Return: 0, or -errno of record_append().
 */
int ledger_region(Server *server, const Region *region);

/**
 * ledger_creator_gone() - a region of a template goes on without its creator
 *
 * Where it cannot be written the next broker looks for the creator's process instead.
 */
void ledger_creator_gone(Server *server, const Region *region);

/**
 * ledger_removal() - a client is about to have a region removed
 *
 * Where it cannot be written, and this broker dies before it answers, the next one says that there
 * is no such region.
 */
void ledger_removal(Server *server, const LeaseClient *client, uint64_t request,
                    const Region *region);

/** ledger_was_removed() - whether the removal that this client asks for was done already */
bool ledger_was_removed(const Server *server, const LeaseClient *client, uint64_t request,
                        const Region *region);

/** ledger_region_removed() - it has none any more */
void ledger_region_removed(Server *server, const Region *region);

/** ledger_object() - it is about to be published; 0 or -errno of record_append() */
int ledger_object(Server *server, const Region *region, const RegionObject *object);

/** ledger_object_removed() - the object of @epoch was unlinked */
void ledger_object_removed(Server *server, const Region *region, const RegionObject *object,
                           uint32_t epoch);

/**
 * ledger_lease() - it is about to be told to its client; and its connection, if that is kept
 *
 * Return: 0, or -errno of record_append().
 */
int ledger_lease(Server *server, const Lease *lease);

/** ledger_conn_ended() - a connection need not be kept any more */
void ledger_conn_ended(Server *server, uint64_t connection);

/** ledger_lease_ended() - it is over */
void ledger_lease_ended(Server *server, uint64_t lease, LeaseEnd how);

/**
 * ledger_begin() - a new record of all that is true now, in place of the one that is there
 *
 * Return: 0, or -errno of record_open() (the old one is as it was).
 */
int ledger_begin(Server *server);
