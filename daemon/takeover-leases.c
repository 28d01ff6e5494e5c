/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases of a Predecessor
 *
 * Each process is looked for once, however many leases it had, so leases are sorted by holder
 * first, and by number behind that, as they were given.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/core/dynamic.h"
#include "daemon/lapse.h"
#include "daemon/objects.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/peer.h"
#include "daemon/takeover-leases.h"

/* A lease of the record, and its holder if he lives. */
typedef struct TakeoverLease {
        const RecordLease *record;
        LeaseClient *client;
} TakeoverLease;

static int leases_on_death(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Absent *absent = userdata;
        Server *server = absent->server;

        lapse_client(server, &absent->client, LEASE_END_DEATH);
        lapse_absent_free(absent);
        server_arm(server);
        return 0;
}

static Absent *leases_new_absent(Server *server, const RecordLease *record, int pidfd) {
        Absent *absent = calloc(1, sizeof(*absent));

        if (!absent) {
                close(pidfd);
                return NULL;
        }
        absent->server = server;
        absent->pidfd = pidfd;
        absent->client.uid = record->uid;
        absent->client.pid = record->pid;
        absent->client.pid_started = record->pid_started;
        memcpy(absent->client.uuid, record->client, SHMB_UUID_SIZE);
        snprintf(absent->client.command, sizeof(absent->client.command), "%s", record->command);
        snprintf(absent->client.unit, sizeof(absent->client.unit), "%s", record->unit);
        absent->next = server->absents;
        if (server->absents)
                server->absents->previous = absent;
        server->absents = absent;

        if (sd_event_add_io(server->event, &absent->death, pidfd, EPOLLIN, leases_on_death,
                            absent) < 0 ||
            sd_event_source_set_priority(absent->death, SERVER_PRIORITY) < 0) {
                lapse_absent_free(absent);
                return NULL;
        }
        return absent;
}

/* Who holds it, as far as leases of one client are told apart from another's. */
static int leases_compare_holders(const void *a, const void *b) {
        const RecordLease *x = ((const TakeoverLease *)a)->record;
        const RecordLease *y = ((const TakeoverLease *)b)->record;

        if (x->connection != y->connection)
                return x->connection < y->connection ? -1 : 1;
        if (x->pid != y->pid)
                return x->pid < y->pid ? -1 : 1;
        if (x->pid_started != y->pid_started)
                return x->pid_started < y->pid_started ? -1 : 1;
        if (x->uid != y->uid)
                return x->uid < y->uid ? -1 : 1;
        return memcmp(x->client, y->client, SHMB_UUID_SIZE);
}

static int leases_compare_numbers(const void *a, const void *b) {
        uint64_t x = ((const TakeoverLease *)a)->record->lease;
        uint64_t y = ((const TakeoverLease *)b)->record->lease;

        return x < y ? -1 : x > y;
}

/* The client that holds it: on its connection, or without one if it lives. */
static LeaseClient *leases_find_client(Server *server, const TakeoverConns *conns,
                                       const RecordLease *record) {
        LeaseClient *client = takeover_conns_client(conns, record);
        Absent *absent;
        int pidfd;

        if (client || peer_find((pid_t)record->pid, record->pid_started, &pidfd))
                return client;
        absent = leases_new_absent(server, record, pidfd);
        return absent ? &absent->client : NULL;
}

static void leases_find_holders(Server *server, const TakeoverConns *conns, TakeoverLease *leases,
                                size_t n_leases) {
        size_t i;

        qsort(leases, n_leases, sizeof(*leases), leases_compare_holders);
        for (i = 0; i < n_leases; i++)
                leases[i].client = i > 0 && leases_compare_holders(&leases[i - 1],
                                                                   &leases[i]) == 0
                                           ? leases[i - 1].client
                                           : leases_find_client(server, conns, leases[i].record);
        qsort(leases, n_leases, sizeof(*leases), leases_compare_numbers);
}

static bool leases_restore(Server *server, Region *region, const TakeoverLease *held) {
        const RecordLease *record = held->record;
        ObjectsFault fault;
        Lease *lease;

        if (lease_restore(&server->registry, region, held->client, record->role, record->index,
                          record->lease, record->since_ns, &lease))
                return false;
        lease->request = record->request;
        /* What is written and has no name any more is known by this alone. */
        if (region->departed && lease->party)
                region_party_object(region, lease->party)->epoch = record->epoch;
        (void)objects_map_control(server, region, &fault);
        return true;
}

static LeaseClient *leases_find_absent(Server *server, const RecordLease *record) {
        Absent *absent;

        for (absent = server->absents; absent; absent = absent->next)
                if (absent->client.pid == record->pid &&
                    absent->client.pid_started == record->pid_started &&
                    absent->client.uid == record->uid &&
                    memcmp(absent->client.uuid, record->client, SHMB_UUID_SIZE) == 0)
                        return &absent->client;
        return NULL;
}

/* Who created it, if he lives: what has no ttl stays for his sake. */
static void leases_find_creator(Server *server, const TakeoverConns *conns,
                                const FoldRegion *fold) {
        const RecordCreated *created = fold->created;
        RecordLease record = { .command = "", .unit = "" };
        LeaseClient *client;

        if (!fold->taken_over || fold->taken_over->departed || !created ||
            created->bond != RECORD_BOND_CREATOR)
                return;
        record.uid = created->uid;
        record.pid = created->pid;
        record.pid_started = created->pid_started;
        memcpy(record.client, created->client, sizeof(record.client));
        client = takeover_conns_creator(conns, created);
        if (!client)
                client = leases_find_absent(server, &record);
        if (!client)
                client = leases_find_client(server, conns, &record);
        if (client)
                dynamic_set_creator(fold->taken_over, client, clock_boottime_ns());
}

/* Of what is no more. */
static void leases_sweep(Server *server) {
        Absent *absent, *next;

        for (absent = server->absents; absent; absent = next) {
                next = absent->next;
                if (!absent->client.leases && !absent->client.created)
                        lapse_absent_free(absent);
        }
}

int takeover_leases(Server *server, const Fold *fold, const TakeoverConns *conns,
                    size_t *ret_n_leases) {
        TakeoverLease *leases = calloc(fold->n_leases + 1, sizeof(*leases));
        const FoldRegion *region;
        size_t i, n = 0;

        if (!leases)
                return -ENOMEM;
        for (i = 0; i < fold->n_leases; i++)
                leases[i].record = fold->leases[i];
        leases_find_holders(server, conns, leases, fold->n_leases);
        for (i = 0; i < fold->n_leases; i++) {
                region = fold_find(fold, leases[i].record->tag);
                if (region && region->taken_over && leases[i].client)
                        n += leases_restore(server, region->taken_over, &leases[i]);
        }
        free(leases);
        for (i = 0; i < fold->n_regions; i++)
                leases_find_creator(server, conns, &fold->regions[i]);
        leases_sweep(server);
        *ret_n_leases = n;
        return 0;
}
