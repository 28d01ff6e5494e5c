/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Takeover
 *
 * What the broker before this one left: objects in /dev/shm that only its record tells from
 * somebody else's, and clients that go on without a broker. What is still declared with the same
 * shape and is still the inode that was written down goes on, with its leases; the rest of what was
 * written down is removed. What was not written down is nobody's business here.
 */

#include "config/decl.h"
#include "daemon/server.h"

/**
 * takeover() - go on where the record of the runtime directory ends, and begin a new record
 * @server:     server without regions, holding the lock of its runtime directory
 * @decls:      what is declared now
 *
 * What fails is said in the journal.
 *
 * Return: 0, or SERVER_E_FAILED (a record that cannot be understood: nothing was touched).
 */
int takeover(Server *server, const DeclSet *decls);
