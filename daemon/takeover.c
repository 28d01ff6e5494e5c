/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Takeover
 *
 * Three passes. Objects: each region of the record is held against the declarations and against
 * what is there, and goes on or is removed. Leases: the holder is the process of the recorded
 * number that was born at the recorded time; if it lives, its lease does
 * (daemon/takeover-leases.h). The rest: a lane or seat whose holder is gone is one more death, and
 * needs the proof like any other (daemon/takeover-settle.h).
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/await.h"
#include "daemon/core/dynamic.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects.h"
#include "daemon/sys/clock.h"
#include "daemon/takeover-conns.h"
#include "daemon/takeover-drain.h"
#include "daemon/takeover-fold.h"
#include "daemon/takeover-leases.h"
#include "daemon/takeover-recall.h"
#include "daemon/takeover-settle.h"
#include "daemon/takeover.h"
#include "daemon/vault.h"

typedef struct TakeoverCounts {
        size_t n_adopted, n_removed, n_leases, n_conns;
} TakeoverCounts;

static BackingObject takeover_describe(const Server *server, const RecordObject *object) {
        BackingObject described = {
                .backing = object->backing,
                .name = object->name,
                .dev = object->dev,
                .ino = object->ino,
                .uid = object->uid,
                .size_bytes = object->size_bytes,
                .fd = -1,
        };

        described.fd = vault_find(server, &described);
        return described;
}

static bool takeover_is_there(Server *server, const RecordObject *object) {
        BackingObject described = takeover_describe(server, object);
        BackingFault fault;

        return object->uid == server->uid &&
               backing_check(&server->shm, &described, &fault) == 0;
}

/* A name is only unlinked with its inode behind it. */
static void takeover_unlink(Server *server, const RecordObject *object, TakeoverCounts *counts) {
        BackingObject described = takeover_describe(server, object);
        BackingFault fault = {};
        char clause[256];
        int r;

        if (object->backing == SHMB_BACKING_MEMFD)
                vault_discard(server, object->name);
        if (object->backing != SHMB_BACKING_POSIX)
                return;
        r = backing_unlink(&server->shm, &described, &fault);
        counts->n_removed += r == 0;
        if (r == 0 || r == BACKING_E_GONE)
                return;
        backing_format_fault(r, &fault, clause, sizeof(clause));
        log_plain(LOG_WARNING, "Left %s/%s alone, which a broker before this one made: %s.",
                  BACKING_DIRECTORY, object->name, clause);
}

/* The newest epoch of the object that is there. */
static const RecordObject *takeover_pick(Server *server, const FoldRegion *fold,
                                         ShmbObjectKind kind, uint32_t index) {
        const RecordObject *object, *best = NULL;
        size_t i;

        for (i = 0; i < fold->n_objects; i++) {
                object = fold->objects[i];
                if (object->kind == kind && object->index == index &&
                    (!best || object->epoch > best->epoch) && takeover_is_there(server, object))
                        best = object;
        }
        return best;
}

/* As far as the record says what was declared. */
static Decl takeover_recorded(const RecordRegion *record) {
        /* Const is cast away for the type of the fields only; nothing writes through it. */
        return (Decl){
                .name = (char *)record->name,
                .type = record->type[0] ? (char *)record->type : NULL,
                .posix_name = record->posix_name[0] ? (char *)record->posix_name : NULL,
                .geometry = record->geometry,
                .backing = record->backing,
        };
}

/* What declares the region now, if with the same shape; owned. NULL: nothing, or no memory. */
static Decl *takeover_declare(const DeclSet *decls, const FoldRegion *fold) {
        const Decl *declared = decl_set_find(decls, fold->region->name);
        Decl recorded = takeover_recorded(fold->region), *decl = NULL;

        if (fold->created)
                (void)dynamic_succeed(decls, &recorded, &decl);
        else if (declared && decl_same_shape(declared, &recorded))
                decl = decl_dup(declared);
        return decl;
}

/*
 * Without a name it is nobody's any more when nobody had it mapped: then nobody misses what was in
 * it. It is made anew behind the leases, in the epoch behind all that are known.
 */
static bool takeover_can_miss(const FoldRegion *fold, RegionObject *object) {
        size_t i;

        if (fold->region->backing != SHMB_BACKING_MEMFD || object->kind == SHMB_OBJECT_CONTROL ||
            object->kind == SHMB_OBJECT_DATA)
                return false;
        for (i = 0; i < fold->n_objects; i++)
                if (fold->objects[i]->kind == object->kind &&
                    fold->objects[i]->index == object->index &&
                    fold->objects[i]->epoch > object->epoch)
                        object->epoch = fold->objects[i]->epoch;
        return true;
}

/* A client that lives may have it, and nobody but it can tell: it is waited for. */
static bool takeover_awaits(const Server *server, const FoldRegion *fold, Region *region,
                            RegionObject *object) {
        const RecordObject *newest = NULL;
        size_t i;

        if (fold->region->backing != SHMB_BACKING_MEMFD || !fold->alive || server->recalls)
                return false;
        for (i = 0; i < fold->n_objects; i++)
                if (fold->objects[i]->kind == object->kind &&
                    fold->objects[i]->index == object->index &&
                    (!newest || fold->objects[i]->epoch > newest->epoch))
                        newest = fold->objects[i];
        if (!newest)
                return false;
        object->epoch = newest->epoch;
        object->dev = newest->dev;
        object->ino = newest->ino;
        region->body->awaited = region->body->mortal = true;
        return true;
}

/* Set the table of @region to what is there. Return: false if something is missing. */
static bool takeover_match(Server *server, const FoldRegion *fold, Region *region) {
        const RecordObject *found;
        BackingObject described;
        RegionObject *object;
        size_t i;

        for (i = 0; i < region->n_objects; i++) {
                object = &region->objects[i];
                found = takeover_pick(server, fold, object->kind, object->index);
                if (!found && (takeover_awaits(server, fold, region, object) ||
                               takeover_can_miss(fold, object)))
                        continue;
                if (!found || found->size_bytes != object->size_bytes)
                        return false;
                object->epoch = found->epoch;
                object->dev = found->dev;
                object->ino = found->ino;
                described = takeover_describe(server, found);
                object->fd = vault_take(server, &described);
                if (found->backing == SHMB_BACKING_MEMFD)
                        region->body->mortal |= !vault_keep_found(server, region, found->name,
                                                                  object->fd);
        }
        return true;
}

static int takeover_creation(Region *region, const RecordCreated *record) {
        RegionCreation creation = {};

        if (!record)
                return 0;
        creation.uid = record->uid;
        creation.pid = record->pid;
        creation.pid_started = record->pid_started;
        creation.request = record->request;
        creation.since_ns = record->since_ns;
        creation.kept = record->bond == RECORD_BOND_KEPT;
        memcpy(creation.client, record->client, sizeof(creation.client));
        return dynamic_begin(region, &creation, NULL);
}

/* Return: the region, LIVE on its old objects, or NULL. Owns @decl. */
static Region *takeover_region(Server *server, Decl *decl, const FoldRegion *fold) {
        const RecordRegion *record = fold->region;
        Region *region = NULL;

        if (!decl || registry_add(&server->registry, decl, &region)) {
                decl_free(decl);
                return NULL;
        }

        region->body = calloc(1, sizeof(*region->body));
        if (!region->body || takeover_creation(region, fold->created) < 0 ||
            region_begin(region, record->tag, record->generation) < 0 ||
            !takeover_match(server, fold, region)) {
                objects_forget(region);
                registry_remove(&server->registry, region);
                return NULL;
        }

        region->body->adopted = true;
        region->body->uid = record->uid;
        /* Over a limit that is lower now: it exists, and is on nobody's account. */
        (void)quota_charge(&server->quota, &region->body->charge, record->uid, QUOTA_BYTES,
                           region_size_bytes(region));
        region_go_live(region, clock_boottime_ns());
        if (region->body->awaited)
                await_begin(region);
        return region;
}

/* Its name is another one's: who holds it goes over to that when nothing is left. */
static Region *takeover_drain(Server *server, const FoldRegion *fold) {
        const RecordObject *control = takeover_pick(server, fold, SHMB_OBJECT_CONTROL, 0);
        Decl recorded = takeover_recorded(fold->region);
        BackingObject described;

        if (!control)
                return NULL;
        described = takeover_describe(server, control);
        return takeover_drain_begin(server, decl_dup(&recorded), fold->region, &described);
}

/* Who still holds what is removed here hears of it by its control object. */
static void takeover_tell(Server *server, const FoldRegion *fold, ShmbRegionState state) {
        const RecordObject *object = takeover_pick(server, fold, SHMB_OBJECT_CONTROL, 0);
        Control control = CONTROL_NULL(control);
        BackingObject described;
        BackingFault fault;
        int fd;

        if (!object)
                return;
        described = takeover_describe(server, object);
        if (backing_open(&server->shm, &described, true, &fd, &fault))
                return;
        if (control_init_with_fd(&control, fd, object->size_bytes, 0) == 0) {
                control_set_state(&control, state, fold->region->generation);
                control_announce(&control);
        }
        control_deinit(&control);
        close(fd);
}

/* It would have gone on, and something of it is not there any more. */
static void takeover_say_lost(const FoldRegion *fold) {
        const bool memfd = fold->region->backing == SHMB_BACKING_MEMFD;
        const char *reason = memfd ? "its memory had no name, and nobody has it any more"
                                   : "its objects are not there any more, or not what they were";

        log_event(&(LogEvent){
                          .priority = LOG_WARNING,
                          .message_id = SHMB_MESSAGE_REGION_LOST_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "REGION", fold->region->name },
                                  { "REASON", reason },
                          },
                  },
                  "Region \"%s\" of a broker before this one is lost: %s. It is made anew.",
                  fold->region->name, reason);
}

static void takeover_objects(Server *server, const DeclSet *decls, FoldRegion *fold,
                             TakeoverCounts *counts) {
        bool declared = decl_set_find(decls, fold->region->name);
        Decl *decl = takeover_declare(decls, fold);
        const bool same = decl;
        const RegionObject *object;
        Region *region, *left;
        size_t i;

        region = takeover_region(server, decl, fold);
        left = region || !declared ? region : takeover_drain(server, fold);
        fold->taken_over = left;
        if (!left)
                takeover_tell(server, fold, declared ? SHMB_REGION_STALE : SHMB_REGION_REMOVED);
        if (!region && fold->created)
                log_plain(LOG_NOTICE, "Region \"%s\", which uid %u created, is not there any "
                          "more: %s.", fold->region->name, fold->created->uid,
                          declared ? "it is declared now"
                                   : "no template declares it as it is, or its objects are gone");
        else if (!region && same && !registry_find(&server->registry, fold->region->name))
                takeover_say_lost(fold);
        for (i = 0; i < fold->n_objects; i++) {
                object = left ? region_object(left, fold->objects[i]->kind,
                                              fold->objects[i]->index)
                              : NULL;
                if (object && object->ino != 0 && object->epoch == fold->objects[i]->epoch)
                        counts->n_adopted++;
                else
                        takeover_unlink(server, fold->objects[i], counts);
        }
}

/* Whoever holds a region that waits for its memory is asked for that when he comes back. */
static void takeover_part(const Fold *fold, TakeoverConns *conns) {
        const FoldRegion *region;
        size_t i;

        for (i = 0; i < fold->n_leases; i++) {
                region = fold_find(fold, fold->leases[i]->tag);
                if (region && region->taken_over && region->taken_over->body->awaited)
                        takeover_conns_give_up(conns, fold->leases[i]->connection);
        }
}

/* Behind the leases. */
static void takeover_settle(Server *server) {
        size_t i;

        for (i = 0; i < server->registry.n_regions; i++)
                if (!server->registry.regions[i]->body->awaited)
                        settle_region(server, server->registry.regions[i]);
}

static int takeover_say_damage(const Server *server, uint64_t at, const char *clause) {
        const char *path = server->params.runtime_path;

        log_plain(LOG_ERR, "%s/%s is damaged at offset %llu (%s): what a broker before this one "
                  "made is not known, and nothing was touched; when no client is left, remove the "
                  "file and %s/shmb.*.", path, RECORD_NAME, (unsigned long long)at, clause,
                  BACKING_DIRECTORY);
        return SERVER_E_FAILED;
}

static int takeover_read(Server *server, RecordContent *content) {
        const char *path = server->params.runtime_path;
        int r;

        r = record_read(server->runtime_fd, server->boot_id, content);
        switch (r) {
        case 0:
                if (content->torn)
                        log_plain(LOG_NOTICE, "The broker before this one was killed while it "
                                  "wrote the last entry of %s/%s, which nobody was told of.",
                                  path, RECORD_NAME);
                return 0;
        case RECORD_E_CORRUPT:
                return takeover_say_damage(server, content->fault_at,
                                           content->n_bytes == 0 ? "it is empty" :
                                           content->fault_at == content->n_bytes
                                                           ? "it was cut short"
                                                           : "no broker wrote what is there");
        case RECORD_E_NEWER:
                log_plain(LOG_ERR, "%s/%s was written by a newer broker (offset %llu); nothing was "
                          "touched: start that version.", path, RECORD_NAME,
                          (unsigned long long)content->fault_at);
                break;
        case RECORD_E_UNSAFE:
                log_plain(LOG_ERR, "%s/%s is not a file that only the broker can write; nothing "
                          "was touched: remove it.", path, RECORD_NAME);
                break;
        default:
                log_plain(LOG_ERR, "Cannot read %s/%s: %s.", path, RECORD_NAME, strerror(-r));
        }
        return SERVER_E_FAILED;
}

static void takeover_say(const TakeoverCounts *counts) {
        if (counts->n_adopted == 0 && counts->n_removed == 0)
                return;
        log_event(&(LogEvent){
                          .priority = LOG_NOTICE,
                          .message_id = SHMB_MESSAGE_LEFTOVERS_ADOPTED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "N_ADOPTED", NULL, counts->n_adopted },
                                  { "N_REMOVED", NULL, counts->n_removed },
                          },
                  },
                  "A broker before this one left objects: took over %zu, with %zu leases and %zu "
                  "connections, and removed %zu.",
                  counts->n_adopted, counts->n_leases, counts->n_conns, counts->n_removed);
}

static int takeover_apply(Server *server, const DeclSet *decls, Fold *fold,
                          TakeoverConns *conns) {
        TakeoverCounts counts = {};
        size_t i;
        int r;

        server->registry.next_lease = fold->next_lease;
        server->registry.next_generation = fold->next_generation;
        if (fold->removal)
                server->removal = *fold->removal;
        for (i = 0; i < fold->n_regions; i++)
                takeover_objects(server, decls, fold->newest_first[i], &counts);
        takeover_part(fold, conns);
        counts.n_conns = takeover_conns_restore(server, conns);
        r = takeover_leases(server, fold, conns, &counts.n_leases);
        if (r < 0) {
                log_plain(LOG_ERR, "The broker has no memory for the leases of its record.");
                return SERVER_E_FAILED;
        }

        /* Written before the settling, which writes down what it proves and replaces. */
        r = ledger_begin(server);
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot begin a record in %s: %s.",
                          server->params.runtime_path, strerror(-r));
                return SERVER_E_FAILED;
        }
        takeover_settle(server);
        takeover_drain_settle(server);
        takeover_say(&counts);
        return 0;
}

static int takeover_fold(Server *server, const RecordContent *content, Fold *fold,
                         TakeoverConns *conns) {
        int r;

        r = fold_entries(content->entries, content->n_entries, fold);
        if (r == FOLD_E_SENSELESS)
                return takeover_say_damage(server, fold->fault_at, fold->fault);
        if (r == 0)
                r = takeover_conns_fold(content->entries, content->n_entries, conns);
        if (r < 0) {
                log_plain(LOG_ERR, "The broker has no memory for its record.");
                return SERVER_E_FAILED;
        }
        return 0;
}

int takeover(Server *server, const DeclSet *decls) {
        RecordContent content = {};
        TakeoverConns conns = {};
        Fold fold = {};
        int r;

        r = takeover_read(server, &content);
        if (r == 0)
                r = takeover_fold(server, &content, &fold, &conns);
        if (r == 0 && takeover_recall(server, &fold) < 0) {
                log_plain(LOG_ERR, "The broker has no memory to look for that of its clients.");
                r = SERVER_E_FAILED;
        }
        if (r == 0)
                r = takeover_apply(server, decls, &fold, &conns);
        takeover_conns_deinit(&conns);
        fold_deinit(&fold);
        record_content_deinit(&content);
        return r;
}
