/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Kept Connections
 *
 * Under systemd a connection outlives the broker, from its first lease to its end: PID 1 has a copy
 * of it (daemon/vault.h), the record says whose it is, and the next broker goes on with it
 * (daemon/takeover-conns.h). Its client sees no hang-up, its leases are never without a holder, and
 * what it asked meanwhile is answered. Whoever has no lease loses nothing by connecting anew, and a
 * visitor that only looks costs PID 1 nothing.
 *
 * Where it cannot be kept everything is as without systemd: the client connects anew and resumes.
 */

#include "daemon/conn.h"

/**
 * conn_keep() - have the service manager keep it, if it does not yet
 *
 * Before its lease is written down: a connection that is kept and not recorded is closed by the
 * next broker, one that is recorded and not kept is not missed.
 */
void conn_keep(Conn *conn);

/** conn_keep_entry() - what is written down of a connection that is kept */
RecordEntry conn_keep_entry(const Conn *conn);

/**
 * conn_keep_no_longer() - it waits for something that only this broker can give
 *
 * It goes on, and ends with this broker.
 */
void conn_keep_no_longer(Conn *conn);

/**
 * conn_keep_end() - it ends; idempotent
 *
 * The copy of PID 1 would hold the socket open, so it is shut down. Where the end is for the sake
 * of a successor nothing is done.
 */
void conn_keep_end(Conn *conn);
