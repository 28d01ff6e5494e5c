/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Proof and Replacement
 *
 * An object that somebody may still write is replaced by one of the next epoch. The old one lives
 * on in whoever has it mapped, and its pages are on nobody's account any more: a client that
 * attaches, keeps the mapping and detaches, over and over, would have all of memory pinned.
 * Therefore the broker keeps a read-only descriptor of each object that it replaced (a grave),
 * looks whether anybody else still has it open whenever something happens to the region, and
 * replaces no further while too many of one lane or seat are left.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects-internal.h"
#include "daemon/objects.h"
#include "daemon/sys/probe.h"
#include "daemon/watch.h"
#include "memory/atomics.h"

bool objects_prove(Server *server, Region *region, RegionParty *party) {
        ObjectsFault fault;
        int fd = -1, r;

        if (objects_open(server, region, region_party_object(region, party), false, &fd, &fault))
                return false;
        r = probe_writers(fd);
        close(fd);
        return r == 1;
}

/* Everything behind the header. What cannot be read any more was cut off by who could write it, and
 * is left blank: the next holder finds out and asks for more. */
static void objects_copy(int from, int to, uint64_t size_bytes) {
        uint8_t bytes[4096];
        uint64_t at = sizeof(ShmbHeader);
        size_t n;

        /* seq_cst: the new epoch was stored before the old bytes are read; pairs with the fence of
         * group_is_newest() (Dekker: words against epoch) */
        shmb_fence_full();
        while (at < size_bytes) {
                n = size_bytes - at < sizeof(bytes) ? size_bytes - at : sizeof(bytes);
                if (backing_read(from, at, bytes, n) != 0 ||
                    pwrite(to, bytes, n, (off_t)at) != (ssize_t)n)
                        return;
                at += n;
        }
}

static void objects_say_replaced(Server *server, const Region *region, const RegionObject *object,
                                 const char *reason) {
        char name[SHMB_KERNEL_NAME_MAX + 1], event[SHMB_SENTENCE_MAX + 1];
        BackingObject described;

        objects_describe(server, region, object, name, &described);
        snprintf(event, sizeof(event), "%s was replaced (epoch %u): %s", name, object->epoch,
                 reason);
        watch_region(server, region, SHMB_EVENT_CHANGED, event);
        log_event(&(LogEvent){
                          .priority = LOG_NOTICE,
                          .message_id = SHMB_MESSAGE_OBJECT_REPLACED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "REGION", region->decl->name },
                                  { "OBJECT", name },
                                  { "EPOCH", NULL, object->epoch },
                          },
                  },
                  "Replaced object %s of region \"%s\" (epoch %u): %s.", name, region->decl->name,
                  object->epoch, reason);
}

void objects_close_graves(RegionBody *body) {
        size_t i;

        for (i = 0; i < body->n_graves; i++)
                close(body->graves[i].fd);
        free(body->graves);
        body->graves = NULL;
        body->n_graves = 0;
}

/* Of a memfd the kernel knows for sure only whether somebody can write it. */
static bool objects_grave_is_left(const Region *region, int fd) {
        return (region->decl->backing == SHMB_BACKING_MEMFD ? probe_writers(fd)
                                                            : probe_users(fd)) == 1;
}

void objects_sweep(Region *region) {
        RegionBody *body = region->body;
        size_t i, n = 0;

        if (!body || body->n_graves == 0)
                return;
        for (i = 0; i < body->n_graves; i++) {
                if (objects_grave_is_left(region, body->graves[i].fd))
                        close(body->graves[i].fd);
                else
                        body->graves[n++] = body->graves[i];
        }
        body->n_graves = n;
}

/* Room for one more grave of @party, or the fault says who must go first. */
static int objects_dig(Region *region, const RegionParty *party, ObjectsFault *fault) {
        RegionBody *body = region->body;
        ObjectsGrave *graves;
        size_t i, n = 0;

        objects_sweep(region);
        for (i = 0; i < body->n_graves; i++)
                n += body->graves[i].party == party;
        if (n >= OBJECTS_GRAVES_MAX) {
                fault->status = SHMB_STATUS_BUSY;
                snprintf(fault->sentence, sizeof(fault->sentence),
                         "region \"%s\": %zu earlier objects of %s %u are still mapped by who gave "
                         "it up; it can be had when one of them is let go",
                         region->decl->name, n,
                         shmb_object_kind_to_string(region_party_object(region, party)->kind),
                         party->index);
                return OBJECTS_E_FAILED;
        }

        graves = reallocarray(body->graves, body->n_graves + 1, sizeof(*graves));
        if (!graves) {
                objects_fail(fault, SHMB_STATUS_NO_MEMORY, region->decl->name,
                             "the broker has no memory", -ENOMEM);
                return OBJECTS_E_FAILED;
        }
        body->graves = graves;
        return 0;
}

/* Takes over @old_fd, for which objects_dig() made room. */
static void objects_bury(Region *region, const RegionParty *party, int old_fd) {
        region->body->graves[region->body->n_graves++] = (ObjectsGrave){
                .party = party,
                .fd = old_fd,
        };
}

/* For its grave, and to copy what is left of it: so its size does not matter. */
static int objects_open_old(Server *server, Region *region, RegionObject *object, int *ret_fd,
                            ObjectsFault *fault) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        BackingObject described;
        BackingFault backing = {};

        objects_describe(server, region, object, name, &described);
        described.size_bytes = BACKING_SIZE_ANY;
        if (backing_open(&server->shm, &described, false, ret_fd, &backing) == 0)
                return 0;
        return objects_open(server, region, object, false, ret_fd, fault);
}

/* The new object exists behind this, under its name; *object is it. */
static int objects_exchange(Server *server, Region *region, RegionParty *party, int old_fd,
                            bool keep, ObjectsFault *fault) {
        RegionObject *object = region_party_object(region, party), next = *object;
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        int r;

        next.epoch++;
        next.fd = -1;
        r = objects_draft(server, region, &next, &draft, fault);
        if (r == 0)
                r = objects_record(region, ledger_object(server, region, &next), fault);
        if (r) {
                backing_discard(&draft);
                return r;
        }

        region_party_renew(region, party);
        *object = next;
        objects_publish(region, party);
        if (keep)
                objects_copy(old_fd, draft.fd, next.size_bytes);
        if (objects_publish_draft(server, region, object, &draft, fault)) {
                fault->status = SHMB_STATUS_LOST;
                return OBJECTS_E_LOST;
        }
        return 0;
}

int objects_replace(Server *server, Region *region, RegionParty *party, bool keep,
                    const char *reason, ObjectsFault *fault) {
        RegionObject *object = region_party_object(region, party), old = *object;
        int old_fd, r;

        r = objects_dig(region, party, fault);
        if (r == 0)
                r = objects_open_old(server, region, object, &old_fd, fault);
        if (r)
                return r;
        r = objects_exchange(server, region, party, old_fd, keep, fault);
        if (r == OBJECTS_E_FAILED) {
                close(old_fd);
                return r;
        }

        objects_bury(region, party, old_fd);
        objects_unlink_object(server, region, &old);
        if (r) {
                objects_lose(server, region, fault->sentence);
                return r;
        }
        objects_say_replaced(server, region, object, reason);
        return 0;
}

int objects_renew(Server *server, Region *region, RegionParty *party, const char *reason,
                  ObjectsFault *fault) {
        int r;

        r = objects_exchange(server, region, party, -1, false, fault);
        if (r)
                objects_lose(server, region, fault->sentence);
        else
                objects_say_replaced(server, region, region_party_object(region, party), reason);
        return r;
}
