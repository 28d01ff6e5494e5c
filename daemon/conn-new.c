/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Beginnings of a Connection
 *
 * Accepted from a listener, or taken over from a broker before this one; either way the kernel says
 * who is there. One that cannot be served is freed here, and its client sees a hang-up.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/conn-internal.h"
#include "daemon/log.h"
#include "daemon/sys/clock.h"

/* Brokers that found the same request waiting when they began, and ended before they answered it:
 * more than bad luck. */
#define CONN_RETURNS_MAX 8

static void conn_refuse_quota(Conn *conn, int code) {
        char sentence[SHMB_SENTENCE_MAX + 1];

        quota_format_refusal(&conn->server->quota, code, conn->peer.uid, QUOTA_CONNECTIONS, 1,
                             sentence, sizeof(sentence));
        conn_refuse(conn, 0, SHMB_STATUS_QUOTA, "%s", sentence);
        conn->server->n_refused++;
}

/* Owns @fd in any case. */
static Conn *conn_alloc_consume_fd(Server *server, int fd, bool admin) {
        Conn *conn = calloc(1, sizeof(*conn));

        if (!conn) {
                fdpass_close(&server->guard, fd);
                return NULL;
        }
        conn->server = server;
        conn->fd = fd;
        conn->admin = admin;
        conn->peer = (Peer)PEER_NULL(conn->peer);
        conn->next = server->conns;
        if (server->conns)
                server->conns->previous = conn;
        server->conns = conn;
        server->n_conns++;
        return conn;
}

/* Who is there. */
static int conn_meet(Conn *conn, uint64_t now_ns) {
        int r;

        r = fdpass_prepare(conn->fd);
        if (r >= 0)
                r = peer_init_with_fd(&conn->peer, conn->fd, now_ns);
        if (r >= 0)
                r = deadline_join(&conn->server->deadlines, &conn->deadline, DEADLINE_CONNECTION);
        return r;
}

static void conn_introduce(Conn *conn) {
        conn->client.uid = conn->peer.uid;
        conn->client.pid = (uint32_t)conn->peer.pid;
        conn->client.pid_started = conn->peer.started_ticks;
        memcpy(conn->client.command, conn->peer.command, sizeof(conn->client.command));
        conn->client.connected = true;
        if (conn->peer.source != PEER_PIDFD_REAPED)
                conn->server->pidfd_source = peer_pidfd_to_string(conn->peer.source);
}

/* Owns @fd in any case. */
static int conn_new_consume_fd(Server *server, int fd, bool admin) {
        uint64_t now_ns = clock_boottime_ns();
        Conn *conn;
        int r;

        conn = conn_alloc_consume_fd(server, fd, admin);
        if (!conn)
                return -ENOMEM;
        r = conn_meet(conn, now_ns);
        /* An administrator gets in whatever programs of the same uid do. */
        if (r >= 0 && !admin)
                r = quota_charge(&server->quota, &conn->charge, conn->peer.uid,
                                 QUOTA_CONNECTIONS, 1);
        if (r > 0)
                conn_refuse_quota(conn, r);
        if (r == 0)
                r = conn_watch(conn);
        if (r != 0) {
                conn_free(conn);
                return r < 0 ? r : 0;
        }

        conn_introduce(conn);
        deadline_set(&conn->deadline, now_ns + CONN_HELLO_NS);
        return 0;
}

/* Whether the process that connected is dead, and its number somebody else's by now or nobody's. */
static bool conn_is_orphaned(const Conn *conn, const RecordConnection *record) {
        return !peer_is_alive(&conn->peer) ||
               (conn->peer.started_ticks != 0 && record->pid_started != 0 &&
                conn->peer.started_ticks != record->pid_started);
}

/* Whether its next request is one that several brokers in a row did not live to answer. */
static bool conn_is_deadly(Conn *conn, const RecordConnection *record) {
        FdpassPacket packet;
        char clause[96];

        if (conn_peek(conn, &packet) == 0)
                conn->pending = record_crc32c(conn->server->packet_in, packet.n_bytes);
        if (conn->pending != 0 && conn->pending == record->pending)
                conn->n_returns = record->n_returns + 1;
        if (conn->n_returns < CONN_RETURNS_MAX)
                return false;
        snprintf(clause, sizeof(clause),
                 "%u brokers in a row ended before they had answered its request", conn->n_returns);
        conn_say_closed(conn, "brokers die before they have answered it", clause);
        return true;
}

static void conn_recall(Conn *conn, const RecordConnection *record) {
        conn_introduce(conn);
        conn->client.pid_started = record->pid_started;
        memcpy(conn->client.uuid, record->client, sizeof(conn->client.uuid));
        conn->greeted = record->greeted;
        conn->kept = record->connection;
        conn->repeats = true;
        /* A reply that is unread may have some. */
        conn->sent_fds = true;
}

Conn *conn_restore_consume_fd(Server *server, const RecordConnection *record, int fd) {
        uint64_t now_ns = clock_boottime_ns();
        Conn *conn;
        int r;

        conn = conn_alloc_consume_fd(server, fd, record->admin);
        if (!conn)
                return NULL;
        r = conn_meet(conn, now_ns);
        if (r == 0 && (conn->peer.uid != record->uid || (uint32_t)conn->peer.pid != record->pid))
                r = -EPERM;
        if (r == 0 && conn_is_orphaned(conn, record)) {
                conn->orphaned = true;
                if (conn->peer.pidfd >= 0)
                        close(conn->peer.pidfd);
                conn->peer.pidfd = -1;
                conn->peer.source = PEER_PIDFD_REAPED;
        }
        if (r == 0 && conn_is_deadly(conn, record))
                r = -EPERM;
        if (r == 0)
                r = conn_watch(conn);
        if (r != 0) {
                /* The manager may have it open for a while yet. */
                fdpass_hang_up(&server->guard, conn->fd);
                conn_free(conn);
                return NULL;
        }

        /* A limit that became lower meanwhile takes nothing away. */
        if (!conn->admin)
                (void)quota_charge(&server->quota, &conn->charge, conn->peer.uid,
                                   QUOTA_CONNECTIONS, 1);
        conn_recall(conn, record);
        if (conn->orphaned)
                deadline_set(&conn->deadline, now_ns);
        else if (!conn->greeted)
                deadline_set(&conn->deadline, now_ns + CONN_HELLO_NS);
        return conn;
}

/* Take the connection that cannot be served off the queue, so that the listener does not stay
 * readable for ever; its client sees a hang-up and comes back. An administrator is let in, and the
 * reserve is what his connection is made of. */
static int conn_accept_from_reserve(Listener *listener) {
        Server *server = listener->server;
        int fd;

        server_release_fds(server, listener->admin ? SERVER_RESERVE_FDS : 1);
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && !listener->admin) {
                fdpass_close(&server->guard, fd);
                fd = -1;
        }
        return fd;
}

static void conn_say_full(Server *server, bool accepted) {
        log_event(&(LogEvent){ .priority = LOG_WARNING, .uid = server->uid },
                  "All file descriptors are in use: %s a connection; raise LimitNOFILE=.",
                  accepted ? "used the reserve for" : "turned away");
}

void conn_accept(Listener *listener) {
        Server *server = listener->server;
        int fd, r;

        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
                fd = conn_accept_from_reserve(listener);
                conn_say_full(server, fd >= 0);
        }
        if (fd < 0) {
                server_reserve_fds(server);
                return;
        }

        /* A descriptor was left for this one, and none for what goes with it. */
        if (listener->admin)
                server_release_fds(server, SERVER_RESERVE_FDS);
        r = conn_new_consume_fd(server, fd, listener->admin);
        server_reserve_fds(server);
        if (r < 0)
                log_event(&(LogEvent){ .priority = LOG_WARNING, .uid = server->uid },
                          "Cannot serve a connection: %s.", strerror(-r));
}
