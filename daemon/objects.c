/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects
 *
 * Order of making one: reserve and fill it without a name, write it down, give it its name. A
 * broker that is killed in between leaves nothing that anybody can see, or something that its
 * record names. Order of removing one: unlink, then write that down.
 *
 * The control object begins its life complete: state LIVE and every lane and seat VACANT are in the
 * bytes that it is made of. So it need not be mapped before somebody holds the region, and a broker
 * with many regions that nobody ever used maps nothing.
 */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/template.h"
#include "daemon/await.h"
#include "daemon/bells.h"
#include "daemon/core/segments.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects-internal.h"
#include "daemon/objects.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/random.h"
#include "daemon/vault.h"
#include "daemon/watch.h"
#include "memory/geometry.h"

void objects_describe(const Server *server, const Region *region, const RegionObject *object,
                      char name[static SHMB_KERNEL_NAME_MAX + 1], BackingObject *ret_object) {
        const Decl *decl = region->decl;

        if (object->kind == SHMB_OBJECT_DATA && decl->posix_name)
                snprintf(name, SHMB_KERNEL_NAME_MAX + 1, "%s", decl->posix_name);
        else
                /* Cannot fail: SHMB_NAME_MAX is what leaves room for the rest. */
                shmb_kernel_name(name, SHMB_KERNEL_NAME_MAX + 1, decl->name, region->tag,
                                 object->kind, object->index, object->epoch);

        *ret_object = (BackingObject){
                .backing = decl->backing,
                .name = name,
                .dev = object->dev,
                .ino = object->ino,
                .uid = server->uid,
                .size_bytes = object->size_bytes,
                .fd = object->fd,
        };
}

static void objects_fail_backing(Region *region, const char *name, int code,
                                 const BackingFault *backing, ObjectsFault *fault) {
        char clause[256];

        backing_format_fault(code, backing, clause, sizeof(clause));
        fault->status = code == BACKING_E_NO_MEMORY || code == BACKING_E_NO_INODES ||
                                        code == -ENOMEM || code == -EMFILE || code == -ENFILE
                                ? SHMB_STATUS_NO_MEMORY
                                : SHMB_STATUS_INTERNAL;
        snprintf(fault->sentence, sizeof(fault->sentence),
                 "region \"%s\" (%s): object %s: %s", region->decl->name,
                 shmb_backing_to_string(region->decl->backing), name, clause);

        if (code != BACKING_E_SQUATTED)
                return;
        log_event(&(LogEvent){
                          .priority = LOG_ERR,
                          .message_id = SHMB_MESSAGE_NAME_SQUATTED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "REGION", region->decl->name },
                                  { "SHM_NAME", name },
                                  { "OWNER_UID", NULL, backing->uid },
                          },
                  },
                  "The name %s of region \"%s\" is taken by uid %u in %s; it was not touched: "
                  "remove it, or declare another posix_name.",
                  name, region->decl->name, backing->uid, BACKING_DIRECTORY);
}

void objects_fail(ObjectsFault *fault, ShmbStatus status, const char *region,
                         const char *what, int r) {
        fault->status = status;
        snprintf(fault->sentence, sizeof(fault->sentence), "region \"%s\": %s: %s", region, what,
                 strerror(-r));
}

enum {
        OBJECTS_PARTIES_MAX = SHMB_LANES_MAX + SHMB_SEATS_MAX + 1,
};

/* What an object is born with: the longest is a control object with all its entries. */
typedef union ObjectsFirst {
        ShmbControl control;
        uint8_t bytes[sizeof(ShmbControl) +
                      OBJECTS_PARTIES_MAX * sizeof(ShmbParty)];
} ObjectsFirst;

/* Vacant lanes and seats, in the epoch of their objects: a client that finds another epoch here
 * than it was given believes that an object was replaced. */
static size_t objects_fill_control(Region *region, ObjectsFirst *first) {
        const uint32_t live = SHMB_REGION_LIVE;
        size_t i;

        assert(region->n_parties <= OBJECTS_PARTIES_MAX);
        /* A private draft of bytes: plain copies are enough. */
        memcpy(&first->control.state, &live, sizeof(live));
        memcpy(&first->control.generation, &region->generation, sizeof(region->generation));
        for (i = 0; i < region->n_parties; i++) {
                memcpy(&first->control.parties[i].epoch,
                       &region_party_object(region, &region->parties[i])->epoch,
                       sizeof(first->control.parties[i].epoch));
                memcpy(&first->control.parties[i].backed, &region->parties[i].segments.backed,
                       sizeof(first->control.parties[i].backed));
        }
        return sizeof(first->control) + i * sizeof(first->control.parties[0]);
}

/* Returns how many bytes of @first are meant. */
static size_t objects_fill_first(Region *region, const RegionObject *object,
                                 ObjectsFirst *first) {
        ShmbHeader *header = &first->control.header;
        size_t n_bytes = sizeof(*header);

        memset(first, 0, sizeof(*first));
        switch (object->kind) {
        case SHMB_OBJECT_CONTROL:
                n_bytes = objects_fill_control(region, first);
                __attribute__((fallthrough));
        case SHMB_OBJECT_LANE:
        case SHMB_OBJECT_SEAT:
        case SHMB_OBJECT_GROUP:
                shmb_header_init(header, &region->decl->geometry, object->kind, object->index,
                                 object->epoch, region->tag, region->generation);
                return n_bytes;
        case SHMB_OBJECT_DATA:
        case SHMB_OBJECT_NONE:
        case _SHMB_OBJECT_N:
                break;
        }
        return 0;
}

/* Of the lane of a queue only its first segment is there at first. */
static uint64_t objects_reserve_bytes(const Region *region, const RegionObject *object) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint64_t offset, n;

        if (geometry->kind != SHMB_KIND_QUEUE || object->kind != SHMB_OBJECT_LANE)
                return 0;
        segments_bytes(geometry, 0, true, &offset, &n);
        return offset + n;
}

int objects_draft(Server *server, Region *region, RegionObject *object,
                  BackingDraft *ret_draft, ObjectsFault *fault) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        BackingObject described;
        BackingFault backing = {};
        BackingParams params;
        ObjectsFirst first;
        int r;

        objects_describe(server, region, object, name, &described);
        params = (BackingParams){
                .backing = region->decl->backing,
                .name = name,
                .size_bytes = object->size_bytes,
                .reserve_bytes = objects_reserve_bytes(region, object),
                .header = &first,
                .n_header = objects_fill_first(region, object, &first),
                .room_is_known = object->size_bytes <= OBJECTS_SMALL_BYTES,
        };
        r = backing_create(&server->shm, &params, ret_draft, &backing);
        if (r) {
                objects_fail_backing(region, name, r, &backing, fault);
                return OBJECTS_E_FAILED;
        }

        object->dev = ret_draft->object.dev;
        object->ino = ret_draft->object.ino;
        return 0;
}

int objects_record(const Region *region, int r, ObjectsFault *fault) {
        if (r >= 0)
                return 0;
        objects_fail(fault, SHMB_STATUS_NO_MEMORY, region->decl->name,
                     "cannot be written down in the runtime directory", r);
        return OBJECTS_E_FAILED;
}

int objects_publish_draft(Server *server, Region *region, RegionObject *object,
                          BackingDraft *draft, ObjectsFault *fault) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        BackingObject described, published;
        BackingFault backing = {};
        int r;

        objects_describe(server, region, object, name, &described);
        draft->object.name = name;
        r = backing_publish(&server->shm, draft, &published, &backing);
        if (r) {
                backing_discard(draft);
                objects_fail_backing(region, name, r, &backing, fault);
                object->dev = object->ino = 0;
                return OBJECTS_E_FAILED;
        }
        object->fd = published.fd;
        if (described.backing == SHMB_BACKING_MEMFD)
                region->body->mortal |= !vault_keep(server, region, name, object->fd);
        return 0;
}

static void objects_discard_drafts(Region *region) {
        size_t i;

        if (!region->body || !region->body->drafts)
                return;
        for (i = 0; i < region->n_objects; i++)
                backing_discard(&region->body->drafts[i]);
        free(region->body->drafts);
        region->body->drafts = NULL;
}

static void objects_free_body(Region *region) {
        RegionBody *body = region->body;

        if (!body)
                return;
        bells_close(body, region->n_parties);
        deadline_leave(&body->proof.deadline);
        control_deinit(&body->control);
        quota_charge_deinit(&body->charge);
        objects_close_graves(body);
        free(body);
        region->body = NULL;
}

/* A region with a body and an object table, and no objects yet. */
static int objects_begin(Server *server, Region *region, uint32_t uid, ObjectsFault *fault) {
        const char *name = region->decl->name;
        uint64_t tag;
        int r;

        r = random_u64(&tag);
        if (r < 0) {
                objects_fail(fault, SHMB_STATUS_INTERNAL, name, "no random numbers", r);
                return OBJECTS_E_FAILED;
        }
        region->body = calloc(1, sizeof(*region->body));
        r = region->body ? region_begin(region, tag, 0) : -ENOMEM;
        if (r < 0) {
                objects_fail(fault, SHMB_STATUS_NO_MEMORY, name, "the broker has no memory", r);
                return OBJECTS_E_FAILED;
        }

        region->body->uid = uid;
        r = quota_charge(&server->quota, &region->body->charge, uid, QUOTA_BYTES,
                         region_size_bytes(region));
        if (r > 0) {
                fault->status = SHMB_STATUS_QUOTA;
                quota_format_refusal(&server->quota, r, uid, QUOTA_BYTES,
                                     region_size_bytes(region), fault->sentence,
                                     sizeof(fault->sentence));
                return OBJECTS_E_FAILED;
        }
        if (r < 0) {
                objects_fail(fault, SHMB_STATUS_NO_MEMORY, name, "the broker has no memory", r);
                return OBJECTS_E_FAILED;
        }
        return 0;
}

uint32_t objects_log_uid(const Region *region) {
        return region->decl->template ? region->creation.uid : LOG_UID_NONE;
}

static void objects_say_created(Server *server, const Region *region) {
        const DeclTemplate *template = region->decl->template;
        char by[SHMB_NAME_MAX + 64] = "";

        if (template)
                snprintf(by, sizeof(by), ", of %s for process %u of uid %u", template->name,
                         region->creation.pid, region->creation.uid);
        watch_region(server, region, SHMB_EVENT_CREATED, NULL);
        log_event(&(LogEvent){
                          .priority = LOG_INFO,
                          .message_id = SHMB_MESSAGE_REGION_CREATED_STR,
                          .uid = objects_log_uid(region),
                          .fields = {
                                  { "REGION", region->decl->name },
                                  { "KIND", shmb_kind_to_string(region->decl->geometry.kind) },
                                  { "BACKING", shmb_backing_to_string(region->decl->backing) },
                                  { "SIZE", NULL, region_size_bytes(region) },
                                  { template ? "TEMPLATE" : NULL,
                                    template ? template->name : NULL },
                                  { template ? "CLIENT_UID" : NULL, NULL, region->creation.uid },
                                  { template ? "CLIENT_PID" : NULL, NULL, region->creation.pid },
                          },
                  },
                  "Created region \"%s\": %s, %s, %llu bytes%s.", region->decl->name,
                  shmb_kind_to_string(region->decl->geometry.kind),
                  shmb_backing_to_string(region->decl->backing),
                  (unsigned long long)region_size_bytes(region), by);
}

static int objects_draft_all(Server *server, Region *region, ObjectsFault *fault) {
        BackingDraft *drafts;
        size_t i;
        int r = 0;

        drafts = calloc(region->n_objects, sizeof(*drafts));
        if (!drafts) {
                objects_fail(fault, SHMB_STATUS_NO_MEMORY, region->decl->name,
                             "the broker has no memory", -ENOMEM);
                return OBJECTS_E_FAILED;
        }
        for (i = 0; i < region->n_objects; i++)
                drafts[i] = (BackingDraft)BACKING_DRAFT_NULL(drafts[i]);
        region->body->drafts = drafts;
        for (i = 0; r == 0 && i < region->n_objects; i++)
                r = objects_draft(server, region, &region->objects[i], &drafts[i], fault);
        return r ? r : objects_record(region, ledger_region(server, region), fault);
}

static int objects_give_up(Server *server, Region *region, const ObjectsFault *fault) {
        objects_remove(server, region, NULL);
        region_set_reason(region, fault->sentence);
        return OBJECTS_E_FAILED;
}

int objects_prepare(Server *server, Region *region, uint32_t uid, ObjectsFault *fault) {
        int r;

        assert(!region->body && !region->objects);

        r = objects_begin(server, region, uid, fault);
        if (r == 0)
                r = objects_draft_all(server, region, fault);
        return r ? objects_give_up(server, region, fault) : 0;
}

int objects_commit(Server *server, Region *region, ObjectsFault *fault) {
        size_t i;
        int r = 0;

        for (i = 0; r == 0 && i < region->n_objects; i++)
                r = objects_publish_draft(server, region, &region->objects[i],
                                          &region->body->drafts[i], fault);
        if (r)
                return objects_give_up(server, region, fault);

        objects_discard_drafts(region);
        region_go_live(region, clock_boottime_ns());
        objects_say_created(server, region);
        return 0;
}

int objects_create(Server *server, Region *region, uint32_t uid, ObjectsFault *fault) {
        int r;

        r = objects_prepare(server, region, uid, fault);
        return r ? r : objects_commit(server, region, fault);
}

void objects_unlink_object(Server *server, Region *region, RegionObject *object) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        BackingObject described;
        BackingFault backing = {};
        char clause[256];
        int r;

        if (object->ino == 0)
                return;
        objects_describe(server, region, object, name, &described);
        r = backing_unlink(&server->shm, &described, &backing);
        if (r && r != BACKING_E_GONE) {
                backing_format_fault(r, &backing, clause, sizeof(clause));
                log_plain(LOG_WARNING, "Left %s/%s of region \"%s\" alone: %s.",
                          BACKING_DIRECTORY, name, region->decl->name, clause);
        }
        if (described.backing == SHMB_BACKING_MEMFD)
                vault_forget(server, name);
        if (r >= 0)
                ledger_object_removed(server, region, object, object->epoch);
        object->dev = object->ino = 0;
        object->fd = described.fd;
}

/* What has no name yet is only dropped. */
static void objects_unpublished(Server *server, Region *region) {
        RegionObject *object;
        size_t i;

        if (!region->body || !region->body->drafts)
                return;
        for (i = 0; i < region->n_objects; i++) {
                object = &region->objects[i];
                if (object->ino == 0 || region->body->drafts[i].fd < 0)
                        continue;
                ledger_object_removed(server, region, object, object->epoch);
                object->dev = object->ino = 0;
        }
        objects_discard_drafts(region);
}

void objects_unlink(Server *server, Region *region) {
        size_t i;

        for (i = region->state == SHMB_REGION_DRAINING ? 1 : 0; i < region->n_objects; i++)
                objects_unlink_object(server, region, &region->objects[i]);
        /* A departed region was unlinked when it departed. */
        if (region->n_objects > 0 && !region->departed)
                ledger_region_removed(server, region);
}

void objects_remove(Server *server, Region *region, const char *reason) {
        bool departed = region->departed;

        objects_unpublished(server, region);
        objects_unlink(server, region);
        bells_take_all(server, region);
        objects_free_body(region);
        region_retire(region);
        if (!reason)
                return;

        server->registry.n_reaped += !departed;
        watch_region(server, region, SHMB_EVENT_REAPED, reason);
        log_event(&(LogEvent){
                          .priority = LOG_INFO,
                          .message_id = SHMB_MESSAGE_REGION_REAPED_STR,
                          .uid = objects_log_uid(region),
                          .fields = {
                                  { "REGION", region->decl->name },
                                  { "REASON", reason },
                          },
                  },
                  "Removed region \"%s\": %s.", region->decl->name, reason);
}

void objects_forget(Region *region) {
        size_t i;

        for (i = 0; i < region->n_objects; i++)
                if (region->objects[i].fd >= 0)
                        close(region->objects[i].fd);
        objects_free_body(region);
        region_retire(region);
}

void objects_lose(Server *server, Region *region, const char *reason) {
        if (region->state == SHMB_REGION_LOST || region->departed)
                return;

        region_lose(region);
        region_set_reason(region, reason);
        objects_publish_state(region);
        watch_region(server, region, SHMB_EVENT_CHANGED, reason);
        log_event(&(LogEvent){
                          .priority = LOG_ERR,
                          .message_id = SHMB_MESSAGE_REGION_LOST_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "REGION", region->decl->name },
                                  { "REASON", reason },
                          },
                  },
                  "Region \"%s\" is lost: %s. Who holds it keeps what is mapped; it is made anew "
                  "when nobody holds it any more.",
                  region->decl->name, reason);
}

int objects_open(Server *server, Region *region, RegionObject *object, bool writable,
                 int *ret_fd, ObjectsFault *fault) {
        char name[SHMB_KERNEL_NAME_MAX + 1], clause[256];
        BackingObject described;
        BackingFault backing = {};
        int r;

        if (region->body->awaited) {
                await_explain(region, fault);
                return OBJECTS_E_FAILED;
        }
        objects_describe(server, region, object, name, &described);
        r = backing_open(&server->shm, &described, writable, ret_fd, &backing);
        if (r == 0)
                return 0;

        objects_fail_backing(region, name, r, &backing, fault);
        if (r < 0)
                return OBJECTS_E_FAILED;

        fault->status = SHMB_STATUS_LOST;
        if (r == BACKING_E_TRUNCATED &&
            (object->kind == SHMB_OBJECT_LANE || object->kind == SHMB_OBJECT_SEAT))
                return OBJECTS_E_CUT;
        backing_format_fault(r, &backing, clause, sizeof(clause));
        objects_lose(server, region, fault->sentence);
        return OBJECTS_E_LOST;
}

int objects_map_control(Server *server, Region *region, ObjectsFault *fault) {
        int fd = -1, r;

        if (region->body->control.memory)
                return 0;
        r = objects_open(server, region, &region->objects[0], true, &fd, fault);
        if (r)
                return r;

        r = control_init_with_fd(&region->body->control, fd, region->objects[0].size_bytes,
                                 region->n_parties);
        close(fd);
        if (r < 0) {
                objects_fail(fault, SHMB_STATUS_NO_MEMORY, region->decl->name,
                             "its control object cannot be mapped", r);
                return OBJECTS_E_FAILED;
        }
        return 0;
}

static void objects_announce(Region *region) {
        control_announce(&region->body->control);
        bells_ring(region);
}

static void objects_set_party(Region *region, const RegionParty *party) {
        const RegionObject *object = region_party_object(region, party);
        ControlParty entry = {
                .epoch = object->epoch,
                .occupancy = party->occupancy,
                .lease = party->lease                                ? party->lease->id :
                         party->occupancy == SHMB_PARTY_VACANT ? 0
                                                               : party->last_lease,
                .n_deaths = party->n_deaths,
                .n_detaches = party->n_detaches,
                .polls = bells_has(region, party),
                .freed = party->segments.freed,
                .backed = party->segments.backed,
        };

        control_set_party(&region->body->control, party - region->parties, &entry);
}

void objects_publish(Region *region, const RegionParty *party) {
        if (!party || !region->body || !region->body->control.memory)
                return;
        objects_set_party(region, party);
        objects_announce(region);
}

void objects_publish_all(Region *region) {
        size_t i;

        if (!region->body || !region->body->control.memory)
                return;
        for (i = 0; i < region->n_parties; i++)
                objects_set_party(region, &region->parties[i]);
        objects_publish_state(region);
}

void objects_publish_state(Region *region) {
        if (!region->body || !region->body->control.memory)
                return;
        control_set_state(&region->body->control, region->state, region->generation);
        objects_announce(region);
}
