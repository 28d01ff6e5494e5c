/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watches
 *
 * Sequence numbers begin with the microseconds since boot at which the broker began. No broker sees
 * an event each microsecond, so they ascend over all brokers of one boot, and a client that was
 * answered by two of them can put what it saw in order.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/conn-keep.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"
#include "protocol/wire.h"

struct Watch {
        Watch *next, *previous;
        Conn *conn;
        uint64_t request; /* that waits for an answer, 0 if none does */
        bool resync;
        char name[SHMB_NAME_MAX + 1]; /* only this region, or "" */
        uint32_t n_entries;
        size_t n_bytes;
        uint8_t page[WIRE_PAGE_MAX];
};

void watch_begin(Server *server) {
        server->watches.sequence = server->started_ns / 1000;
}

static void watch_answer(Watch *watch) {
        WireMessage reply = {
                .type = WIRE_EVENTS,
                .id = watch->request,
                .events = {
                        .resync = watch->resync,
                        .sequence = watch->conn->server->watches.sequence,
                        .n_entries = watch->n_entries,
                        .entries = watch->page,
                        .n_bytes_entries = watch->n_bytes,
                },
        };

        watch->request = 0;
        watch->resync = false;
        watch->n_entries = 0;
        watch->n_bytes = 0;
        conn_reply(watch->conn, &reply, NULL, 0);
}

void watch_flush(Server *server) {
        Watch *watch;

        if (!server->watches.due)
                return;
        server->watches.due = false;
        for (watch = server->watches.first; watch; watch = watch->next)
                if (watch->request && !watch->conn->condemned &&
                    (watch->n_entries > 0 || watch->resync))
                        watch_answer(watch);
}

static void watch_keep(Watch *watch, const WireEvent *event) {
        /* What was missed stays a gap: nothing is kept behind it until the client knows. */
        if (watch->resync)
                return;
        if (wire_event_append(watch->page, sizeof(watch->page), &watch->n_bytes, event) < 0)
                watch->resync = true;
        else
                watch->n_entries++;
}

static void watch_tell(Server *server, const Region *region, WireEvent *event) {
        Watch *watch;

        if (server->silent)
                return;
        event->sequence = ++server->watches.sequence;
        if (!server->watches.first)
                return;

        event->at_ns = clock_boottime_ns();
        event->region = region->decl->name;
        event->state = event->event == SHMB_EVENT_REMOVED ? SHMB_REGION_REMOVED : region->state;
        event->generation = region->generation;
        event->command = event->command ? event->command : "";
        event->reason = event->reason ? event->reason : "";
        for (watch = server->watches.first; watch; watch = watch->next) {
                if (watch->name[0] && strcmp(watch->name, region->decl->name) != 0)
                        continue;
                if (event->event == SHMB_EVENT_REFUSED ? !watch->conn->admin
                                                       : !conn_may_see(watch->conn, region))
                        continue;
                watch_keep(watch, event);
                server->watches.due = true;
        }
}

void watch_region(Server *server, const Region *region, ShmbEvent event, const char *reason) {
        watch_tell(server, region, &(WireEvent){ .event = event, .reason = reason });
}

static void watch_client(Server *server, const Region *region, const LeaseClient *client,
                         WireEvent *event) {
        event->uid = client->uid;
        event->pid = client->pid;
        event->command = client->command;
        watch_tell(server, region, event);
}

void watch_lease(Server *server, const Lease *lease, ShmbEvent event, const char *reason) {
        watch_client(server, lease->region, lease->client,
                     &(WireEvent){
                             .event = event,
                             .lease = lease->id,
                             .role = lease->role,
                             .reason = reason,
                     });
}

void watch_refusal(Server *server, const Region *region, const LeaseClient *client, ShmbRole role,
                   const char *reason) {
        watch_client(server, region, client,
                     &(WireEvent){
                             .event = SHMB_EVENT_REFUSED,
                             .role = role,
                             .reason = reason,
                     });
}

Watch *watch_free(Watch *watch) {
        Server *server;

        if (!watch)
                return NULL;
        server = watch->conn->server;
        if (watch->previous)
                watch->previous->next = watch->next;
        else
                server->watches.first = watch->next;
        if (watch->next)
                watch->next->previous = watch->previous;
        free(watch);
        return NULL;
}

static Watch *watch_new(Conn *conn, const char *name) {
        Server *server = conn->server;
        Watch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return NULL;
        watch->conn = conn;
        watch->resync = true;
        /* Decoded: no longer than SHMB_NAME_MAX. */
        strcpy(watch->name, name);
        watch->next = server->watches.first;
        if (watch->next)
                watch->next->previous = watch;
        server->watches.first = watch;
        return watch;
}

void request_watch(Conn *conn, const WireMessage *message) {
        const char *name = message->watch.name ? message->watch.name : "";

        if (conn->watch && strcmp(conn->watch->name, name) != 0)
                conn->watch = watch_free(conn->watch);
        if (!conn->watch)
                conn->watch = watch_new(conn, name);
        if (!conn->watch) {
                conn_refuse(conn, message->id, SHMB_STATUS_NO_MEMORY,
                            "the broker has no memory for a watch; try again later");
                return;
        }
        conn->watch->request = message->id;
        /* It is answered when something happens, if at all: a successor would not know of it. */
        conn_keep_no_longer(conn);
        if (conn->watch->n_entries > 0 || conn->watch->resync)
                watch_answer(conn->watch);
}
