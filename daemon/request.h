/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests
 *
 * One function a request of protocol/message.h. Each answers exactly once, through conn_reply() or
 * conn_refuse(); none frees the connection. What a request changed before its answer could not be
 * sent is taken back.
 *
 * A request is consumed behind its answer, so the first one that a successor finds in a connection
 * may have been served in part or whole, and may have been answered. Served again it does no harm:
 *
 *     HELLO       no connection is kept before its first lease
 *     ATTACH      (client, id) is in the record with the lease: that lease is answered again
 *     MAPPED      says what is so already; with EBADMSG (client, id) is in the record with the
 *                 lease, and the object that was made is answered again; else as DETACH
 *     DETACH      a lease that is over is over: OK, by request_was_served()
 *     RESUME      judges, and gives the client what is its own already
 *     POLL        the FIFO that is there is given again
 *     FETCH, LIST, WHO, STATUS    only look
 *     SEGMENT     positions that do not go back: what was reserved and punched is so already
 *     KICK        a lease that is over is over
 *     RELOAD, GC  find nothing left to do
 *     WATCH       no connection that watches is kept
 *     CREATE      (client, id) is in the record with the region: said again to be new
 *     REMOVE      (client, id) of the last removal is in the record: OK again
 *     OFFER       gives another socket; what is given over it twice is of no use and closed
 *
 * The client gets a second answer to an id that it waits for no longer, and ignores it.
 */

#include "daemon/conn.h"
#include "protocol/message.h"

/** request_handle() - answer one decoded message; sets conn->fault where the connection must go */
void request_handle(Conn *conn, const WireMessage *message);

/**
 * request_deny() - refuse what no rule of @decl grants; @right: ShmbRole or DeclRight; @region: of
 * which that was asked, or NULL
 */
void request_deny(Conn *conn, uint64_t id, const Region *region, const Decl *decl, unsigned right,
                  const PolicyIdentity *identity);

/** request_has_name() - whether a region can be called that; else it is refused */
bool request_has_name(Conn *conn, uint64_t id, const char *name);

/* request-attach.c */
void request_attach(Conn *conn, const WireMessage *message);
void request_mapped(Conn *conn, const WireMessage *message);
void request_fetch(Conn *conn, const WireMessage *message);

/* request-lease.c */
void request_detach(Conn *conn, const WireMessage *message);
void request_resume(Conn *conn, const WireMessage *message);

/** request_lease() - the lease of this connection with this number, or NULL after a refusal */
Lease *request_lease(Conn *conn, uint64_t id, uint64_t lease);

/**
 * request_was_served() - whether a predecessor may have ended this lease at this very request
 *
 * True for the first request behind a takeover only, and a number of the past.
 */
bool request_was_served(const Conn *conn, uint64_t lease);

/* request-poll.c */
void request_poll(Conn *conn, const WireMessage *message);

/* request-segment.c */
void request_segment(Conn *conn, const WireMessage *message);

/* request-create.c */
void request_create(Conn *conn, const WireMessage *message);
void request_remove(Conn *conn, const WireMessage *message);

/* request-show.c */
void request_list(Conn *conn, const WireMessage *message);
void request_who(Conn *conn, const WireMessage *message);
void request_status(Conn *conn, const WireMessage *message);

/** request_fill_geometry() - what the wire says of a declaration's shape */
void request_fill_geometry(const Decl *decl, WireGeometry *ret_geometry);

/* watch.c; answers when there is something to tell */
void request_watch(Conn *conn, const WireMessage *message);

/* await.c */
void request_offer(Conn *conn, const WireMessage *message);

/* request-admin.c */
void request_admin(Conn *conn, const WireMessage *message);
