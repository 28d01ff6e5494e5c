/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections
 *
 * Life of a connection:
 *
 *     accepted --hello--> greeted --request, reply, request, ...--> hang-up, death or violation
 *
 * Who is there is what the kernel noted at connect(2); that each message comes from the same uid is
 * checked message by message, since a socket can be handed on. Two things end the leases: the
 * hang-up of the socket and the death of the process (pidfd), whichever is first: a forked child
 * keeps the socket open, and a socket that is parked inside another one hangs up late.
 *
 * A reply is sent when nothing is unread in the socket, therefore it fits: no queue here, no memory
 * that a client could fill. What wants no reply is served in any case: its sender reads none, and
 * may have one there that it does not wait for any more.
 *
 * Who asks again without reading waits in EPOLLOUT (edge-triggered: the socket is writable all the
 * time, what we wait for is that the peer reads), and is expelled when it does not read at all. An
 * expelled connection that has descriptors in flight is kept, deaf, and stays on its uid's account
 * until they have landed: else a hostile uid could pile them up one connection after the other, and
 * the kernel would refuse the broker (ETOOMANYREFS) to serve anybody.
 */

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/conn-internal.h"
#include "daemon/conn-keep.h"
#include "daemon/lapse.h"
#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"
#include "protocol/wire.h"

/* Requests that a dead process had already sent: a detach among them makes its end a clean one. */
#define CONN_LAST_WORDS_MAX 16

void conn_free(Conn *conn) {
        Server *server = conn->server;

        conn_keep_end(conn);
        sd_event_source_disable_unref(conn->io);
        sd_event_source_disable_unref(conn->death);
        deadline_leave(&conn->deadline);
        conn->watch = watch_free(conn->watch);
        if (conn->fd >= 0)
                fdpass_close(&server->guard, conn->fd);
        peer_deinit(&conn->peer);
        quota_charge_deinit(&conn->charge);

        if (conn->previous)
                conn->previous->next = conn->next;
        else
                server->conns = conn->next;
        if (conn->next)
                conn->next->previous = conn->previous;
        server->n_conns--;
        free(conn);
        server_reserve_fds(server);
}

static bool conn_has_unread(Conn *conn) {
        size_t n_unread = 0;

        return fdpass_unread(conn->fd, &n_unread) == 0 && n_unread > 0;
}

/* Of an edge there is one, and it may have come when there was nothing to see yet. */
static void conn_look_again(Conn *conn, uint64_t after_ns) {
        conn->look_ns = after_ns;
        deadline_set(&conn->deadline, clock_boottime_ns() + after_ns);
}

void conn_end(Conn *conn, LeaseEnd how) {
        lapse_client(conn->server, &conn->client, how);
        conn_free(conn);
}

void conn_say_closed(const Conn *conn, const char *reason, const char *clause) {
        LogEvent event = {
                .priority = LOG_WARNING,
                .message_id = SHMB_MESSAGE_CLIENT_EXPELLED_STR,
                .uid = conn->peer.uid,
                .fields = {
                        { "CLIENT_UID", NULL, conn->peer.uid },
                        { "CLIENT_PID", NULL, (uint64_t)conn->peer.pid },
                        { "REASON", reason },
                },
        };

        log_event(&event, "Closed the connection of process %d (%s) of uid %u: %s.",
                  (int)conn->peer.pid, conn->peer.command, conn->peer.uid, clause);
}

/* It broke the rules, or cannot be answered any more. */
static void conn_expel(Conn *conn, const char *reason) {
        conn_say_closed(conn, reason, reason);
        lapse_client(conn->server, &conn->client, LEASE_END_DEATH);
        conn_keep_end(conn);

        if (!conn->sent_fds || !conn_has_unread(conn)) {
                conn_free(conn);
                return;
        }
        conn->condemned = true;
        conn->client.connected = false;
        conn->death = sd_event_source_disable_unref(conn->death);
        shutdown(conn->fd, SHUT_RDWR);
        conn_look_again(conn, CONN_LOOK_NS);
        if (sd_event_source_set_io_events(conn->io, EPOLLOUT | EPOLLET) < 0)
                conn_free(conn);
}

Conn *conn_of_client(LeaseClient *client) {
        void *conn = (char *)client - offsetof(Conn, client);

        return client->connected ? conn : NULL;
}

PolicyIdentity conn_identity(Conn *conn, bool with_unit) {
        if (with_unit && !conn->unit_asked) {
                (void)peer_get_unit(&conn->peer, conn->client.unit);
                conn->unit_asked = true;
        }
        return (PolicyIdentity){
                .uid = conn->peer.uid,
                .gids = conn->peer.gids,
                .n_gids = conn->peer.n_gids,
                .unit = conn->client.unit[0] ? conn->client.unit : NULL,
                .admin = conn->admin,
        };
}

bool conn_may_see(Conn *conn, const Region *region) {
        PolicyIdentity identity = conn_identity(conn, policy_needs_unit(region->decl));

        return conn->admin || policy_any_role(region->decl, &identity);
}

bool conn_reply(Conn *conn, const WireMessage *message, const int *fds, size_t n_fds) {
        Server *server = conn->server;
        size_t n_bytes;
        int r;

        r = wire_encode(message, server->packet_out, sizeof(server->packet_out), &n_bytes);
        if (r < 0) {
                conn->fault = "the reply cannot be encoded";
                return false;
        }

        r = fdpass_send(conn->fd, server->packet_out, n_bytes, fds, n_fds);
        switch (r) {
        case 0:
                conn->sent_fds |= n_fds > 0;
                return true;
        case FDPASS_E_CLOSED:
                /* What it said before it hung up still counts; its end is found behind that. */
                break;
        case FDPASS_E_IN_FLIGHT:
                conn_refuse(conn, message->id, SHMB_STATUS_NO_MEMORY,
                            "too many descriptors of the broker wait to be read by other clients; "
                            "try again, and raise LimitNOFILE= of the broker if it stays so");
                break;
        default:
                conn->fault = "the reply cannot be sent";
        }
        return false;
}

void conn_reply_ok(Conn *conn, uint64_t id) {
        conn_reply(conn, &(WireMessage){ .type = WIRE_OK, .id = id }, NULL, 0);
}

void conn_refuse(Conn *conn, uint64_t id, ShmbStatus status, const char *format, ...) {
        char sentence[SHMB_SENTENCE_MAX + 1];
        WireMessage message = {
                .type = WIRE_ERROR,
                .id = id,
                .error = { .status = status, .sentence = sentence },
        };
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof(sentence), format, arguments);
        va_end(arguments);
        conn_reply(conn, &message, NULL, 0);
}

/* One packet, and what it was decoded to; sets conn->fault where the connection must go. */
static void conn_handle(Conn *conn, const FdpassPacket *packet, int decoded,
                        const WireMessage *message) {
        if (packet->uid != conn->peer.uid) {
                conn_refuse(conn, 0, SHMB_STATUS_PROTOCOL,
                            "this connection was opened by uid %u and is used by uid %u; "
                            "connect anew instead of handing connections on",
                            conn->peer.uid, packet->uid);
                conn->fault = "another user writes on it";
                return;
        }

        if (decoded == -EOPNOTSUPP) {
                conn_refuse(conn, message->id, SHMB_STATUS_UNSUPPORTED,
                            "this broker (version %s) does not know requests of type %u",
                            PACKAGE_VERSION, message->type);
                return;
        }
        if (decoded < 0) {
                conn_refuse(conn, 0, SHMB_STATUS_PROTOCOL,
                            "the packet of %zu bytes is no message of protocol %u.%u",
                            packet->n_bytes, WIRE_VERSION_MAJOR, WIRE_VERSION_MINOR);
                conn->fault = "it sent a malformed message";
                return;
        }
        request_handle(conn, message);
}

typedef enum ConnTurn {
        CONN_TURN_SERVED,
        CONN_TURN_NOTHING, /* nothing to read, or not yet */
        CONN_TURN_OVER,    /* the connection was freed or condemned */
} ConnTurn;

static ConnTurn conn_wait_for_reader(Conn *conn) {
        conn_look_again(conn, CONN_LOOK_NS);
        if (conn->draining)
                return CONN_TURN_NOTHING;
        conn->draining = true;
        conn->drain_by_ns = clock_boottime_ns() + CONN_DRAIN_NS;
        /* Once: setting it is itself an edge, on which is looked again. */
        if (sd_event_source_set_io_events(conn->io, EPOLLOUT | EPOLLET) < 0) {
                conn_expel(conn, "its socket cannot be watched");
                return CONN_TURN_OVER;
        }
        return CONN_TURN_NOTHING;
}

static void conn_stop_waiting(Conn *conn) {
        if (!conn->draining)
                return;
        conn->draining = false;
        deadline_set(&conn->deadline, DEADLINE_NEVER);
        (void)sd_event_source_set_io_events(conn->io, EPOLLIN);
}

static const char *conn_fault_of_receive(int r) {
        switch (r) {
        case FDPASS_E_EMPTY:
                return "it sent an empty message";
        case FDPASS_E_TOO_LONG:
                return "it sent a message that is too long";
        case FDPASS_E_RIGHTS:
                return "it sent file descriptors";
        case FDPASS_E_NO_CREDENTIALS:
                return "a message of it did not say who sent it";
        }
        return "receiving from it failed";
}

int conn_peek(Conn *conn, FdpassPacket *ret_packet) {
        Server *server = conn->server;
        int i, r = FDPASS_E_CLOSED;

        for (i = 0; i < 2 && r == FDPASS_E_CLOSED; i++)
                r = fdpass_peek(&server->guard, conn->fd, server->packet_in,
                                sizeof(server->packet_in), ret_packet);
        return r;
}

/* Answered first and then consumed: a broker that is killed in between leaves the request to its
 * successor, and what the successor makes of it is told in daemon/request.h. */
static ConnTurn conn_serve_packet(Conn *conn, const FdpassPacket *packet) {
        WireMessage message = {};
        int decoded;

        decoded = wire_decode(conn->server->packet_in, packet->n_bytes, &message);
        /* What wants no reply needs no room for one. */
        if (decoded < 0 || message.id != 0) {
                if (conn_has_unread(conn))
                        return conn_wait_for_reader(conn);
                conn->sent_fds = false;
        }
        conn_stop_waiting(conn);

        conn->fault = NULL;
        conn_handle(conn, packet, decoded, &message);
        /* In any case: the end of a socket with something unread is an error to the peer, in front
         * of the answer. */
        if (fdpass_consume(conn->fd) < 0 && !conn->fault)
                conn->fault = "receiving from it failed";
        conn->repeats = false;
        conn->pending = conn->n_returns = 0;
        if (!conn->fault)
                return CONN_TURN_SERVED;
        conn_expel(conn, conn->fault);
        return CONN_TURN_OVER;
}

static ConnTurn conn_serve(Conn *conn) {
        FdpassPacket packet;
        int r;

        r = conn_peek(conn, &packet);
        switch (r) {
        case 0:
                return conn_serve_packet(conn, &packet);
        case FDPASS_E_AGAIN:
                return CONN_TURN_NOTHING;
        case FDPASS_E_CLOSED:
                conn_end(conn, LEASE_END_DEATH);
                return CONN_TURN_OVER;
        }
        /* As above, and this one may hold us up. */
        (void)fdpass_receive(&conn->server->guard, conn->fd, conn->server->packet_in,
                             sizeof(conn->server->packet_in), &packet);
        conn_expel(conn, conn_fault_of_receive(r));
        return CONN_TURN_OVER;
}

static int conn_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Conn *conn = userdata;
        Server *server = conn->server;

        if (!conn->condemned)
                conn_serve(conn);
        else if (!conn_has_unread(conn))
                conn_free(conn);
        server_arm(server);
        return 0;
}

/* The process is dead; what it said before counts, what a child says on its socket does not. */
static void conn_bury(Conn *conn) {
        ConnTurn turn = CONN_TURN_SERVED;
        int i;

        for (i = 0; i < CONN_LAST_WORDS_MAX && turn == CONN_TURN_SERVED; i++)
                turn = conn_serve(conn);
        if (turn != CONN_TURN_OVER)
                conn_end(conn, LEASE_END_DEATH);
}

static void conn_on_look(Conn *conn) {
        uint64_t now_ns = clock_boottime_ns(), later_ns = 2 * conn->look_ns;

        if (!conn_has_unread(conn)) {
                if (conn->condemned)
                        conn_free(conn);
                else
                        conn_serve(conn);
        } else if (conn->condemned) {
                conn_look_again(conn, later_ns < CONN_DRAIN_NS ? later_ns : CONN_DRAIN_NS);
        } else if (now_ns >= conn->drain_by_ns) {
                conn_expel(conn, "it sends requests and does not read the replies");
        } else {
                conn_look_again(conn, later_ns < conn->drain_by_ns - now_ns
                                              ? later_ns
                                              : conn->drain_by_ns - now_ns);
        }
}

void conn_on_deadline(Conn *conn) {
        if (conn->orphaned && !conn->condemned)
                conn_bury(conn);
        else if (conn->condemned || conn->draining)
                conn_on_look(conn);
        else if (!conn->greeted)
                conn_expel(conn, "it did not say hello in time");
}

static int conn_on_death(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Conn *conn = userdata;
        Server *server = conn->server;

        conn_bury(conn);
        server_arm(server);
        return 0;
}

int conn_watch(Conn *conn) {
        sd_event *event = conn->server->event;
        int r;

        r = sd_event_add_io(event, &conn->io, conn->fd, EPOLLIN, conn_on_io, conn);
        if (r >= 0)
                r = sd_event_source_set_priority(conn->io, SERVER_PRIORITY);
        if (r < 0 || conn->peer.pidfd < 0)
                return r;
        r = sd_event_add_io(event, &conn->death, conn->peer.pidfd, EPOLLIN, conn_on_death, conn);
        if (r >= 0)
                r = sd_event_source_set_priority(conn->death, SERVER_PRIORITY);
        return r;
}
