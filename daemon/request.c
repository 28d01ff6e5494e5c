/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests
 *
 * Order: hello first, once; then anything. A message that only a broker sends is as wrong here as a
 * request before hello, and ends the connection; a request that this connection may not make is
 * refused and ends nothing.
 */

#include <errno.h>
#include <string.h>

#include "daemon/core/policy.h"
#include "daemon/lapse.h"
#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/watch.h"
#include "protocol/wire.h"

/* What both sides know. */
static uint32_t request_minor(uint32_t theirs, uint32_t ours) {
        return theirs < ours ? theirs : ours;
}

static void request_hello(Conn *conn, const WireMessage *message) {
        const WireHello *hello = &message->hello;
        WireMessage reply = {
                .type = WIRE_WELCOME,
                .id = message->id,
                .welcome = {
                        .major = WIRE_VERSION_MAJOR,
                        .minor = request_minor(hello->minor, WIRE_VERSION_MINOR),
                        .version = PACKAGE_VERSION,
                        .admin = conn->admin,
                },
        };

        if (hello->major != WIRE_VERSION_MAJOR) {
                conn_refuse(conn, message->id, SHMB_STATUS_VERSION,
                            "this broker (version %s) speaks protocol %u, the client speaks %u; "
                            "install client and broker of the same major version",
                            PACKAGE_VERSION, WIRE_VERSION_MAJOR, hello->major);
                conn->fault = "it speaks another major version of the protocol";
                return;
        }

        conn->greeted = true;
        deadline_set(&conn->deadline, DEADLINE_NEVER);
        memcpy(conn->client.uuid, hello->uuid, sizeof(conn->client.uuid));
        lapse_return(conn->server, &conn->client);
        memcpy(reply.welcome.broker, conn->server->uuid, sizeof(reply.welcome.broker));
        conn_reply(conn, &reply, NULL, 0);
}

static void request_out_of_order(Conn *conn, const WireMessage *message, const char *what) {
        conn_refuse(conn, message->id, SHMB_STATUS_PROTOCOL, "%s", what);
        conn->fault = "it broke the order of the protocol";
}

void request_deny(Conn *conn, uint64_t id, const Region *region, const Decl *decl, unsigned right,
                  const PolicyIdentity *identity) {
        ShmbRole role = right < _SHMB_ROLE_N ? (ShmbRole)right : SHMB_ROLE_NONE;
        char sentence[SHMB_SENTENCE_MAX + 1];

        policy_format_denial(decl, right, identity, sentence, sizeof(sentence));
        conn->server->n_refused++;
        log_event(&(LogEvent){
                          .priority = LOG_NOTICE,
                          .message_id = SHMB_MESSAGE_ATTACH_REFUSED_STR,
                          .uid = conn->peer.uid,
                          .fields = {
                                  { "REGION", decl->name },
                                  { "ROLE", decl_right_to_string(right) },
                                  { "CLIENT_UID", NULL, conn->peer.uid },
                                  { "CLIENT_PID", NULL, (uint64_t)conn->peer.pid },
                                  { "REASON", sentence },
                          },
                  },
                  "Refused process %d (%s): %s.", (int)conn->peer.pid, conn->peer.command,
                  sentence);
        if (region)
                watch_refusal(conn->server, region, &conn->client, role, sentence);
        conn_refuse(conn, id, SHMB_STATUS_DENIED, "%s", sentence);
}

bool request_has_name(Conn *conn, uint64_t id, const char *name) {
        ShmbNameFault fault = shmb_name_check(name, strlen(name), NULL);

        if (fault != SHMB_NAME_FINE)
                conn_refuse(conn, id, SHMB_STATUS_INVALID, "the name of the region %s",
                            shmb_name_fault_to_string(fault));
        return fault == SHMB_NAME_FINE;
}

static bool request_is_admin(Conn *conn, const WireMessage *message) {
        if (conn->admin)
                return true;

        conn_refuse(conn, message->id, SHMB_STATUS_NOT_ADMIN,
                    "this needs the admin socket (%s/%s), whose group is %s",
                    conn->server->params.runtime_path, SERVER_ADMIN_NAME, SERVER_ADMIN_GROUP);
        return false;
}

static bool request_is_in_order(Conn *conn, const WireMessage *message) {
        /* Id 0: no answer is wanted. Only for what needs none. */
        if (message->id == 0 && message->type != WIRE_SEGMENT &&
            (message->type != WIRE_MAPPED || message->mapped.status == EBADMSG)) {
                request_out_of_order(conn, message, "a request needs an id other than 0");
                return false;
        }
        if (conn->greeted == (message->type == WIRE_HELLO)) {
                request_out_of_order(conn, message, "hello comes first, and once");
                return false;
        }
        return true;
}

static void request_serve(Conn *conn, const WireMessage *message) {
        switch ((WireType)message->type) {
        case WIRE_HELLO:
                request_hello(conn, message);
                return;
        case WIRE_ATTACH:
                request_attach(conn, message);
                return;
        case WIRE_MAPPED:
                request_mapped(conn, message);
                return;
        case WIRE_DETACH:
                request_detach(conn, message);
                return;
        case WIRE_FETCH:
                request_fetch(conn, message);
                return;
        case WIRE_RESUME:
                request_resume(conn, message);
                return;
        case WIRE_LIST:
                request_list(conn, message);
                return;
        case WIRE_WHO:
                request_who(conn, message);
                return;
        case WIRE_STATUS:
                request_status(conn, message);
                return;
        case WIRE_RELOAD:
        case WIRE_GC:
        case WIRE_KICK:
                if (request_is_admin(conn, message))
                        request_admin(conn, message);
                return;
        case WIRE_POLL:
                request_poll(conn, message);
                return;
        case WIRE_SEGMENT:
                request_segment(conn, message);
                return;
        case WIRE_OFFER:
                request_offer(conn, message);
                return;
        case WIRE_WATCH:
                request_watch(conn, message);
                return;
        case WIRE_CREATE:
                request_create(conn, message);
                return;
        case WIRE_REMOVE:
                request_remove(conn, message);
                return;
        case WIRE_NONE:
        case WIRE_OK:
        case WIRE_ERROR:
        case WIRE_WELCOME:
        case WIRE_ATTACHED:
        case WIRE_RESUMED:
        case WIRE_LISTING:
        case WIRE_HOLDERS:
        case WIRE_STATUS_INFO:
        case WIRE_REPORT:
        case WIRE_CREATED:
        case WIRE_EVENTS:
                break;
        }
        request_out_of_order(conn, message, "this message is the broker's to send");
}

void request_handle(Conn *conn, const WireMessage *message) {
        if (request_is_in_order(conn, message))
                request_serve(conn, message);
}
