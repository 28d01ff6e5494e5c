/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests
 *
 * One function a request of protocol/message.h. Each answers exactly once, through conn_reply() or
 * conn_refuse(); none frees the connection. What a request changed before its answer could not be
 * sent is taken back.
 */

#include "daemon/conn.h"
#include "protocol/message.h"

/** request_handle() - answer one decoded message; sets conn->fault where the connection must go */
void request_handle(Conn *conn, const WireMessage *message);

/* request-attach.c */
void request_attach(Conn *conn, const WireMessage *message);
void request_mapped(Conn *conn, const WireMessage *message);
void request_fetch(Conn *conn, const WireMessage *message);

/* request-lease.c */
void request_detach(Conn *conn, const WireMessage *message);
void request_resume(Conn *conn, const WireMessage *message);

/** request_lease() - the lease of this connection with this number, or NULL after a refusal */
Lease *request_lease(Conn *conn, uint64_t id, uint64_t lease);

/* request-poll.c */
void request_poll(Conn *conn, const WireMessage *message);

/* request-segment.c */
void request_segment(Conn *conn, const WireMessage *message);

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
