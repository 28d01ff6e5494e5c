/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Waiting for Memory
 *
 * A region of memfds that a broker before this one made, that nobody keeps but its clients, and
 * that this broker may not look for in them. It is LIVE, with its leases, and nothing of it can be
 * opened until they have given it back; nobody new gets in, and who asks is told to try again. How
 * long that takes is up to those who hold it: when each has offered what it keeps, or let go, the
 * region goes on with what there is, or is lost.
 */

#include <stdbool.h>

#include "daemon/core/lease.h"
#include "daemon/core/registry.h"
#include "daemon/objects.h"
#include "daemon/server.h"

/** await_begin() - say for listings what it waits for */
void await_begin(Region *region);

/** await_explain() - what is said to who wants to get in meanwhile */
void await_explain(const Region *region, ObjectsFault *fault);

/** await_wants() - whether the holder of @lease shall offer what it keeps */
bool await_wants(const Lease *lease);

/** await_nothing() - who holds @lease has kept nothing of it; the lease may be over behind this */
void await_nothing(Server *server, Lease *lease);

/** await_check() - go on if there is nobody left to wait for; harmless on any region */
void await_check(Server *server, Region *region);

/** await_end() - give up what is being received */
void await_end(Server *server);
