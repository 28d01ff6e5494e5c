/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections of a Predecessor
 *
 * Numbers are cookies of sockets, so what carries one is the very socket; that the kernel still
 * names the same process and user at its other end costs little to ask.
 *
 * A request on which a broker died is found again by the next one. If it was the request that
 * killed it, it kills that one as well, and no connection is worth a broker that does not come up:
 * what several in a row have found waiting and not lived to answer is hung up on.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/sys/sockets.h"
#include "daemon/takeover-conns.h"
#include "daemon/vault.h"

/* By number, then by place in the record: the entries are one array. */
static int conns_compare(const void *a, const void *b) {
        const RecordConnection *x = ((const TakeoverConn *)a)->record;
        const RecordConnection *y = ((const TakeoverConn *)b)->record;

        if (x->connection != y->connection)
                return x->connection < y->connection ? -1 : 1;
        return x < y ? -1 : x > y;
}

static int conns_compare_number(const void *key, const void *member) {
        uint64_t x = *(const uint64_t *)key;
        uint64_t y = ((const TakeoverConn *)member)->record->connection;

        return x < y ? -1 : x > y;
}

static TakeoverConn *conns_find(const TakeoverConns *conns, uint64_t number) {
        return conns->n_conns == 0 ? NULL
                                   : bsearch(&number, conns->conns, conns->n_conns,
                                             sizeof(*conns->conns), conns_compare_number);
}

int takeover_conns_fold(const RecordEntry *entries, size_t n_entries, TakeoverConns *ret_conns) {
        TakeoverConns conns = { .conns = calloc(n_entries + 1, sizeof(*conns.conns)) };
        TakeoverConn *found;
        size_t i, n = 0;

        if (!conns.conns)
                return -ENOMEM;
        for (i = 0; i < n_entries; i++)
                if (entries[i].type == RECORD_CONNECTION)
                        conns.conns[conns.n_conns++].record = &entries[i].connection;
        qsort(conns.conns, conns.n_conns, sizeof(*conns.conns), conns_compare);
        /* The last word counts. */
        for (i = 0; i < conns.n_conns; i++)
                if (i + 1 == conns.n_conns || conns.conns[i].record->connection !=
                                                              conns.conns[i + 1].record->connection)
                        conns.conns[n++] = conns.conns[i];
        conns.n_conns = n;

        /* No socket has the number of one that ended: what ended stays so. */
        for (i = 0; i < n_entries; i++) {
                if (entries[i].type != RECORD_CONNECTION_ENDED)
                        continue;
                found = conns_find(&conns, entries[i].connection_ended.connection);
                if (found)
                        found->over = true;
        }
        for (i = n = 0; i < conns.n_conns; i++)
                if (!conns.conns[i].over)
                        conns.conns[n++] = conns.conns[i];
        conns.n_conns = n;
        *ret_conns = conns;
        return 0;
}

void takeover_conns_deinit(TakeoverConns *conns) {
        free(conns->conns);
        *conns = (TakeoverConns){};
}

void takeover_conns_give_up(TakeoverConns *conns, uint64_t number) {
        TakeoverConn *entry = conns_find(conns, number);

        if (entry)
                entry->over = true;
}

static bool conns_fits(int fd, uint64_t number) {
        uint64_t cookie;

        return sockets_cookie(fd, &cookie) == 0 && cookie == number;
}

size_t takeover_conns_restore(Server *server, TakeoverConns *conns) {
        TakeoverConn *entry;
        size_t i, n = 0;
        int fd;

        for (i = 0; i < conns->n_conns; i++) {
                entry = &conns->conns[i];
                /* What is not taken is closed when all is known, here and by the manager. */
                if (entry->over)
                        continue;
                fd = vault_take_conn(server, entry->record->connection, conns_fits);
                if (fd < 0)
                        continue;
                entry->conn = conn_restore_consume_fd(server, entry->record, fd);
                if (entry->conn)
                        n++;
                else
                        vault_forget_conn(server, entry->record->connection);
        }
        return n;
}

LeaseClient *takeover_conns_client(const TakeoverConns *conns, const RecordLease *lease) {
        const TakeoverConn *entry = conns_find(conns, lease->connection);
        LeaseClient *client;

        if (!entry || !entry->conn)
                return NULL;
        client = &entry->conn->client;
        if (client->uid != lease->uid ||
            memcmp(client->uuid, lease->client, sizeof(client->uuid)) != 0)
                return NULL;
        /* Of a process that is dead nobody else says it. */
        if (!client->command[0])
                snprintf(client->command, sizeof(client->command), "%s", lease->command);
        if (!client->unit[0])
                snprintf(client->unit, sizeof(client->unit), "%s", lease->unit);
        return client;
}

LeaseClient *takeover_conns_creator(const TakeoverConns *conns, const RecordCreated *created) {
        LeaseClient *client;
        size_t i;

        for (i = 0; i < conns->n_conns; i++) {
                client = conns->conns[i].conn ? &conns->conns[i].conn->client : NULL;
                if (client && client->uid == created->uid &&
                    memcmp(client->uuid, created->client, sizeof(client->uuid)) == 0)
                        return client;
        }
        return NULL;
}
