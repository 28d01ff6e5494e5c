/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory that Only Clients Still Have
 *
 * Everything that is missing is looked for at once, and each process is looked into once, however
 * many regions it holds.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/sys/peer.h"
#include "daemon/sys/recall.h"
#include "daemon/takeover-recall.h"
#include "daemon/vault.h"

typedef struct Recall {
        RecallWanted *wanted;
        size_t n_wanted;
        const RecordLease **holders; /* of regions of which something is wanted */
        size_t n_holders;
        size_t n_found;
} Recall;

static bool recall_is_missing(const Server *server, const RecordObject *object) {
        return object->backing == SHMB_BACKING_MEMFD && object->uid == server->uid &&
               !vault_has(server, object->name);
}

static int recall_compare_holders(const void *a, const void *b) {
        const RecordLease *x = *(const RecordLease *const *)a, *y = *(const RecordLease *const *)b;

        if (x->pid != y->pid)
                return x->pid < y->pid ? -1 : 1;
        return x->pid_started < y->pid_started ? -1 : x->pid_started > y->pid_started;
}

static size_t recall_count_objects(const Fold *fold) {
        size_t i, n = 0;

        for (i = 0; i < fold->n_regions; i++)
                n += fold->regions[i].n_objects;
        return n;
}

static int recall_begin(Recall *recall, const Server *server, const Fold *fold) {
        FoldRegion *region;
        size_t i, j;

        recall->wanted = calloc(recall_count_objects(fold) + 1, sizeof(*recall->wanted));
        recall->holders = calloc(fold->n_leases + 1, sizeof(*recall->holders));
        if (!recall->wanted || !recall->holders)
                return -ENOMEM;
        for (i = 0; i < fold->n_leases; i++) {
                region = fold_find(fold, fold->leases[i]->tag);
                if (!region || region->region->backing != SHMB_BACKING_MEMFD)
                        continue;
                region->held = true;
                recall->holders[recall->n_holders++] = fold->leases[i];
        }
        for (i = 0; i < fold->n_regions; i++) {
                region = &fold->regions[i];
                for (j = 0; j < region->n_objects && region->held; j++)
                        if (recall_is_missing(server, region->objects[j]))
                                recall->wanted[recall->n_wanted++] = (RecallWanted){
                                        .dev = region->objects[j]->dev,
                                        .ino = region->objects[j]->ino,
                                        .fd = -1,
                                };
        }
        recall_sort(recall->wanted, recall->n_wanted);
        qsort(recall->holders, recall->n_holders, sizeof(*recall->holders),
              recall_compare_holders);
        return 0;
}

/* Whether the process lives; what it has is found. */
static bool recall_ask(Recall *recall, const RecordLease *holder) {
        pid_t pid = (pid_t)holder->pid;
        int pidfd;

        if (peer_find(pid, holder->pid_started, &pidfd))
                return false;
        if (recall->n_found < recall->n_wanted)
                recall->n_found += recall_from(pid, recall->wanted, recall->n_wanted);
        close(pidfd);
        return true;
}

static void recall_search(Recall *recall, const Fold *fold) {
        bool alive = false;
        size_t i;

        for (i = 0; i < recall->n_holders; i++) {
                if (i == 0 || recall_compare_holders(&recall->holders[i - 1],
                                                     &recall->holders[i]) != 0)
                        alive = recall_ask(recall, recall->holders[i]);
                if (alive)
                        fold_find(fold, recall->holders[i]->tag)->alive = true;
        }
}

static int recall_store(const Recall *recall, Server *server, const Fold *fold) {
        const RecordObject *object;
        RecallWanted *found;
        size_t i, j;

        for (i = 0; i < fold->n_regions; i++)
                for (j = 0; j < fold->regions[i].n_objects; j++) {
                        object = fold->regions[i].objects[j];
                        found = recall_find(recall->wanted, recall->n_wanted, object->dev,
                                            object->ino);
                        if (!found || found->fd < 0)
                                continue;
                        if (vault_add_consume_fd(server, object->name, found->fd) < 0)
                                return -ENOMEM;
                        found->fd = -1;
                }
        vault_sort(server);
        if (recall->n_found > 0)
                log_plain(LOG_NOTICE,
                          "Found %zu of %zu objects without a name in the clients that hold them.",
                          recall->n_found, recall->n_wanted);
        return 0;
}

static void recall_deinit(Recall *recall) {
        size_t i;

        for (i = 0; i < recall->n_wanted; i++)
                if (recall->wanted[i].fd >= 0)
                        close(recall->wanted[i].fd);
        free(recall->wanted);
        free(recall->holders);
}

int takeover_recall(Server *server, const Fold *fold) {
        Recall recall = {};
        int r;

        r = recall_begin(&recall, server, fold);
        if (r == 0) {
                recall_search(&recall, fold);
                r = recall_store(&recall, server, fold);
        }
        recall_deinit(&recall);
        return r;
}
