/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Connections of a Predecessor
 *
 * What the record says of connections, held against what the service manager kept of them. One that
 * is both goes on as if nothing had been; any other is closed, and its client connects anew.
 */

#include <stddef.h>

#include "daemon/conn.h"
#include "daemon/record-format.h"

typedef struct TakeoverConn TakeoverConn;
typedef struct TakeoverConns TakeoverConns;

struct TakeoverConn {
        const RecordConnection *record;
        bool over;
        Conn *conn; /* NULL: not there any more */
};

/* Ascending by number; borrows from the entries. */
struct TakeoverConns {
        TakeoverConn *conns;
        size_t n_conns;
};

/**
 * takeover_conns_fold() - which connections the record says are kept
 * @entries:    in order
 * @n_entries:  how many
 * @ret_conns:  for takeover_conns_deinit()
 *
 * Return: 0, or -ENOMEM.
 */
int takeover_conns_fold(const RecordEntry *entries, size_t n_entries, TakeoverConns *ret_conns);

/** takeover_conns_deinit() - idempotent */
void takeover_conns_deinit(TakeoverConns *conns);

/**
 * takeover_conns_give_up() - do not go on with this one
 *
 * Of a client that has to come back: it shall say what it holds, and give back what nobody kept.
 */
void takeover_conns_give_up(TakeoverConns *conns, uint64_t number);

/** takeover_conns_restore() - go on with those that are there; how many */
size_t takeover_conns_restore(Server *server, TakeoverConns *conns);

/** takeover_conns_creator() - who created a region by the record, likewise */
LeaseClient *takeover_conns_creator(const TakeoverConns *conns, const RecordCreated *created);

/** takeover_conns_client() - who holds a lease by the record, if its connection goes on; or NULL */
LeaseClient *takeover_conns_client(const TakeoverConns *conns, const RecordLease *lease);
