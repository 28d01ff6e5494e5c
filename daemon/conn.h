/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Connections
 *
 * One client's socket. Requests are answered one at a time and in order, one a turn of the loop, so
 * that a client that asks a lot waits among the others. The next request is not answered before the
 * last reply was read: so a reply always fits into the empty socket and none is ever kept back
 * here, and at most one reply's descriptors are in flight, which the kernel charges to the broker.
 * A request stays in the socket until its reply is sent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/policy.h"
#include "daemon/server.h"
#include "daemon/sys/peer.h"
#include "protocol/message.h"
#include "protocol/status.h"

/* A connection that says nothing has no business here; one that asks and does not listen
 * neither. */
#define CONN_HELLO_NS UINT64_C(10000000000)
#define CONN_DRAIN_NS UINT64_C(10000000000)
/* An edge that told of nothing may be the last one: looked again behind it, later and later. */
#define CONN_LOOK_NS UINT64_C(1000000)

struct Conn {
        Server *server;
        Conn *next, *previous;
        Peer peer;
        LeaseClient client;
        bool admin;
        bool greeted;     /* hello was said */
        uint64_t kept;    /* its number with the service manager, 0 if that does not keep it */
        bool recorded;    /* the record says so */
        bool orphaned;    /* of a predecessor, and its process is known to be dead */
        /* The next request may be one that a predecessor had performed */
        bool repeats;
        uint32_t pending, n_returns; /* as in the record, until that request is served */
        bool unit_asked;  /* client.unit is what the service manager knows */
        bool draining;    /* waits for its last reply to be read */
        uint64_t drain_by_ns, look_ns; /* the end of patience; until it is looked again */
        /* Nothing is served any more; kept until descriptors in flight are off the broker's
         * account */
        bool condemned;
        bool sent_fds;    /* what may still be unread carried some */
        const char *fault; /* why it must go, static; set while a request is handled */
        int fd;           /* owned */
        sd_event_source *io, *death;
        Deadline deadline;
        QuotaCharge charge;
        Watch *watch; /* owned, NULL until it asks for events */
};

/**
 * conn_accept() - take one connection from a listener
 * @listener:   readable listener
 */
void conn_accept(Listener *listener);

/**
 * conn_restore_consume_fd() - go on with a connection of a predecessor
 * @server:     server
 * @record:     what is written down of it
 * @fd:         the socket; owned in any case
 *
 * Who is at the other end is asked of the kernel anew, and must be who was written down.
 *
 * Return: the connection, which has no leases yet; NULL.
 */
Conn *conn_restore_consume_fd(Server *server, const RecordConnection *record, int fd);

/** conn_end() - end its leases, close it, free it */
void conn_end(Conn *conn, LeaseEnd how);

/** conn_on_deadline() - it did not say hello, or does not read */
void conn_on_deadline(Conn *conn);

/** conn_of_client() - the connection whose client this is, or NULL: it is absent */
Conn *conn_of_client(LeaseClient *client);

/** conn_may_see() - whether a region exists as far as this client is concerned */
bool conn_may_see(Conn *conn, const Region *region);

/** conn_identity() - who asks, for policy; @with_unit costs a look-up the first time */
PolicyIdentity conn_identity(Conn *conn, bool with_unit);

/**
 * conn_reply() - answer the request at hand
 * @conn:       connection
 * @message:    reply
 * @fds:        descriptors to send along, borrowed
 * @n_fds:      how many
 *
 * Return: true if the client will find the answer. False if not: whoever granted something in it
 * takes it back; where the connection must go, it does so when the request at hand returns.
 */
bool conn_reply(Conn *conn, const WireMessage *message, const int *fds, size_t n_fds);

/** conn_reply_ok() - WIRE_OK */
void conn_reply_ok(Conn *conn, uint64_t id);

/**
 * conn_refuse() - answer with an error
 * @conn:       connection
 * @id:         of the request
 * @status:     code
 * @format:     one sentence: what, where, what to do
 */
void conn_refuse(Conn *conn, uint64_t id, ShmbStatus status, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
