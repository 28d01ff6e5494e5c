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

#include "daemon/request.h"
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
        memcpy(reply.welcome.broker, conn->server->uuid, sizeof(reply.welcome.broker));
        conn_reply(conn, &reply, NULL, 0);
}

static void request_out_of_order(Conn *conn, const WireMessage *message, const char *what) {
        conn_refuse(conn, message->id, SHMB_STATUS_PROTOCOL, "%s", what);
        conn->fault = "it broke the order of the protocol";
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

void request_handle(Conn *conn, const WireMessage *message) {
        if (!request_is_in_order(conn, message))
                return;

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
        case WIRE_EVENTS:
                break;
        }
        request_out_of_order(conn, message, "this message is the broker's to send");
}
