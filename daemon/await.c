/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting for Memory
 *
 * Each lease may offer once in the life of a broker: what is received and cannot be let go of costs
 * a process, and of those there are no more than leases of a broker that is gone.
 *
 * What was received is held against what was written down as everything else that is adopted is.
 */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/await.h"
#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/sys/offer.h"
#include "daemon/takeover-settle.h"

struct Offer {
        Server *server;
        Offer *next, *previous;
        uint64_t lease;
        int fd; /* owned */
        sd_event_source *source;
        size_t n_wanted;
        RecallWanted wanted[SHMB_OBJECTS_MAX];
};

static_assert(SHMB_OBJECTS_MAX >= SHMB_LANES_MAX + SHMB_SEATS_MAX + 2,
              "an offer has room for every object of a region");

static bool await_is_missing(const RegionObject *object) {
        return object->ino != 0 && object->fd < 0;
}

void await_begin(Region *region) {
        region_set_reason(region, "waits for its memory, which only its clients have");
}

void await_explain(const Region *region, ObjectsFault *fault) {
        fault->status = SHMB_STATUS_BUSY;
        snprintf(fault->sentence, sizeof(fault->sentence),
                 "region \"%s\" waits for its memory, which only the %zu clients that hold it "
                 "have (`shmbrokerctl who %s` names them): try again when they are back",
                 region->decl->name, region->n_leases, region->decl->name);
}

bool await_wants(const Lease *lease) {
        const Region *region = lease->region;

        return region->body && region->body->awaited && !region->departed && lease->keeps &&
               !lease->offered;
}

/* Of a region that goes on: a lane or seat that is missing is made anew when it is settled. */
static bool await_is_enough(Region *region) {
        RegionObject *object;
        size_t i;

        for (i = 0; i < region->n_objects; i++) {
                object = &region->objects[i];
                if (!await_is_missing(object))
                        continue;
                if (object->kind == SHMB_OBJECT_CONTROL || object->kind == SHMB_OBJECT_DATA)
                        return false;
                object->dev = object->ino = 0;
        }
        return true;
}

void await_check(Server *server, Region *region) {
        const Lease *lease;
        size_t i, n_missing = 0;

        if (!region->body || !region->body->awaited || region->departed)
                return;
        for (i = 0; i < region->n_objects; i++)
                n_missing += await_is_missing(&region->objects[i]);
        for (lease = region->leases; lease && n_missing > 0; lease = lease->next_in_region)
                if (!lease->offered)
                        return;

        region->body->awaited = false;
        region_set_reason(region, NULL);
        if (!await_is_enough(region)) {
                objects_lose(server, region, "its clients did not have all of its memory");
                return;
        }
        log_plain(LOG_NOTICE, "Region \"%s\" goes on with the memory that its clients gave back.",
                  region->decl->name);
        settle_region(server, region);
}

void await_nothing(Server *server, Lease *lease) {
        lease->offered = true;
        await_check(server, lease->region);
}

static void await_free(Offer *offer) {
        size_t i;

        sd_event_source_disable_unref(offer->source);
        for (i = 0; i < offer->n_wanted; i++)
                if (offer->wanted[i].fd >= 0)
                        close(offer->wanted[i].fd);
        if (offer->fd >= 0)
                close(offer->fd);
        if (offer->previous)
                offer->previous->next = offer->next;
        else
                offer->server->offers = offer->next;
        if (offer->next)
                offer->next->previous = offer->previous;
        free(offer);
}

void await_end(Server *server) {
        while (server->offers)
                await_free(server->offers);
}

/* @found becomes the object's if it is what was written down. */
static void await_adopt(Server *server, Region *region, RegionObject *object,
                        RecallWanted *found) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        BackingObject described;
        BackingFault fault;

        objects_describe(server, region, object, name, &described);
        if (backing_adopt_consume_fd(&described, found->fd, &fault) != 0)
                return;
        object->fd = found->fd;
        found->fd = -1;
}

static void await_take(Offer *offer, Lease *lease) {
        Region *region = lease->region;
        RecallWanted *found;
        size_t i;

        (void)offer_finish(offer->fd, offer->wanted, offer->n_wanted);
        for (i = 0; i < region->n_objects; i++) {
                if (!await_is_missing(&region->objects[i]))
                        continue;
                found = recall_find(offer->wanted, offer->n_wanted, region->objects[i].dev,
                                    region->objects[i].ino);
                if (found && found->fd >= 0)
                        await_adopt(offer->server, region, &region->objects[i], found);
        }
}

/* The process that received is done with it, or dead. */
static int await_on_result(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Offer *offer = userdata;
        Server *server = offer->server;
        Lease *lease = lease_find(&server->registry, offer->lease);
        Region *region = lease ? lease->region : NULL;

        if (region && region->body && region->body->awaited)
                await_take(offer, lease);
        await_free(offer);
        if (lease)
                await_nothing(server, lease);
        server_arm(server);
        return 0;
}

static Offer *await_new(Server *server, const Lease *lease) {
        Offer *offer = calloc(1, sizeof(*offer));
        const RegionObject *object;
        size_t i;

        if (!offer)
                return NULL;
        offer->server = server;
        offer->lease = lease->id;
        offer->fd = -1;
        for (i = 0; i < lease->region->n_objects; i++) {
                object = &lease->region->objects[i];
                if (await_is_missing(object))
                        offer->wanted[offer->n_wanted++] = (RecallWanted){
                                .dev = object->dev, .ino = object->ino, .fd = -1,
                        };
        }
        recall_sort(offer->wanted, offer->n_wanted);
        offer->next = server->offers;
        if (server->offers)
                server->offers->previous = offer;
        server->offers = offer;
        return offer;
}

static bool await_is_offering(const Server *server, const Lease *lease) {
        const Offer *offer;

        for (offer = server->offers; offer; offer = offer->next)
                if (offer->lease == lease->id)
                        return true;
        return false;
}

void request_offer(Conn *conn, const WireMessage *message) {
        WireMessage reply = { .type = WIRE_OK, .id = message->id };
        Lease *lease = request_lease(conn, message->id, message->offer.lease);
        Server *server = conn->server;
        int client_fd, r;
        Offer *offer;

        if (!lease)
                return;
        if (!await_wants(lease) || await_is_offering(server, lease)) {
                conn_refuse(conn, message->id, SHMB_STATUS_INVALID,
                            "nothing of region \"%s\" is wanted of lease %llu",
                            lease->region->decl->name, (unsigned long long)lease->id);
                return;
        }
        offer = await_new(server, lease);
        r = offer ? offer_start(offer->wanted, offer->n_wanted, &client_fd, &offer->fd) : -ENOMEM;
        if (r == 0) {
                r = sd_event_add_io(server->event, &offer->source, offer->fd, EPOLLIN,
                                    await_on_result, offer);
                if (r >= 0)
                        r = sd_event_source_set_priority(offer->source, SERVER_PRIORITY);
                if (r >= 0)
                        (void)conn_reply(conn, &reply, &client_fd, 1);
                close(client_fd);
        }
        if (r >= 0)
                return;
        if (offer)
                await_free(offer);
        conn_refuse(conn, message->id, SHMB_STATUS_NO_MEMORY,
                    "region \"%s\": the broker cannot receive what was kept: %s",
                    lease->region->decl->name, strerror(-r));
}
