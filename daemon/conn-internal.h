/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Connections, between their files
 *
 * conn-new.c makes them, of what was accepted and of what a predecessor left; conn.c is the rest of
 * their life.
 */

#include "daemon/conn.h"

/* Closes it; its leases are over. */
void conn_free(Conn *conn);
/* For the journal: why it is closed, in a word that stays the same, and as a clause. */
void conn_say_closed(const Conn *conn, const char *reason, const char *clause);
/* Serve it from now on, and see its process die; 0 or -errno of sd-event. */
int conn_watch(Conn *conn);
/* The next packet, which stays in the queue. A peer that hangs up with a reply unread is an error
 * once, in front of what it had still sent. Return: as fdpass_peek(). */
int conn_peek(Conn *conn, FdpassPacket *ret_packet);
