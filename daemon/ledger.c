/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ledger
 *
 * From regions, objects and leases to entries of the record. When the record has grown to more
 * removals than facts it is begun anew; that fails harmlessly, the old one goes on.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn-keep.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects.h"

typedef struct LedgerNames LedgerNames;

/* Kernel names that entries borrow. */
struct LedgerNames {
        char (*names)[SHMB_KERNEL_NAME_MAX + 1];
        size_t n_names;
};

static RecordEntry ledger_mark_entry(const Server *server) {
        return (RecordEntry){
                .type = RECORD_MARK,
                .mark = {
                        .next_lease = server->registry.next_lease,
                        .next_generation = server->registry.next_generation,
                },
        };
}

static RecordEntry ledger_region_entry(const Region *region, uint32_t uid) {
        const Decl *decl = region->decl;

        return (RecordEntry){
                .type = RECORD_REGION,
                .region = {
                        .tag = region->tag,
                        .generation = region->generation,
                        .name = decl->name,
                        .type = decl->type ? decl->type : "",
                        .posix_name = decl->posix_name ? decl->posix_name : "",
                        .backing = decl->backing,
                        .geometry = decl->geometry,
                        .uid = uid,
                },
        };
}

static RecordEntry ledger_created_entry(const Region *region) {
        const RegionCreation *creation = &region->creation;
        RecordEntry entry = {
                .type = RECORD_CREATED,
                .created = {
                        .tag = region->tag,
                        .uid = creation->uid,
                        .pid = creation->pid,
                        .pid_started = creation->pid_started,
                        .since_ns = creation->since_ns,
                        .request = creation->request,
                        .bond = creation->kept    ? RECORD_BOND_KEPT :
                                region->creator ? RECORD_BOND_CREATOR
                                                : RECORD_BOND_NONE,
                },
        };

        memcpy(entry.created.client, creation->client, sizeof(entry.created.client));
        return entry;
}

static RecordEntry ledger_object_entry(const Server *server, const Region *region,
                                       const RegionObject *object,
                                       char name[static SHMB_KERNEL_NAME_MAX + 1]) {
        BackingObject described;

        objects_describe(server, region, object, name, &described);
        return (RecordEntry){
                .type = RECORD_OBJECT,
                .object = {
                        .tag = region->tag,
                        .kind = object->kind,
                        .index = object->index,
                        .epoch = object->epoch,
                        .dev = object->dev,
                        .ino = object->ino,
                        .size_bytes = object->size_bytes,
                        .uid = server->uid,
                        .backing = region->decl->backing,
                        .name = name,
                },
        };
}

static RecordEntry ledger_lease_entry(const Lease *lease) {
        const LeaseClient *client = lease->client;
        const Conn *conn = conn_of_client(lease->client);
        RecordEntry entry = {
                .type = RECORD_LEASE,
                .lease = {
                        .lease = lease->id,
                        .tag = lease->region->tag,
                        .role = lease->role,
                        .index = lease->index,
                        .uid = client->uid,
                        .pid = client->pid,
                        .pid_started = client->pid_started,
                        .since_ns = lease->since_ns,
                        .request = lease->request,
                        .command = client->command,
                        .unit = client->unit,
                        .connection = conn ? conn->kept : 0,
                },
        };

        if (lease->party)
                entry.lease.epoch = region_party_object(lease->region, lease->party)->epoch;
        memcpy(entry.lease.client, client->uuid, sizeof(entry.lease.client));
        return entry;
}

static size_t ledger_count_region(const Region *region) {
        /* The region, who created it, its objects. */
        return region->objects ? 2 + region->n_objects : 0;
}

static void ledger_add_region(const Server *server, const Region *region, RecordEntry *entries,
                              size_t *n_entries, LedgerNames *names) {
        size_t i;

        if (!region->objects)
                return;
        entries[(*n_entries)++] = ledger_region_entry(region, region->body->uid);
        if (region->decl->template)
                entries[(*n_entries)++] = ledger_created_entry(region);
        for (i = 0; i < region->n_objects; i++) {
                if (region->objects[i].ino == 0)
                        continue;
                entries[(*n_entries)++] = ledger_object_entry(server, region, &region->objects[i],
                                                              names->names[names->n_names++]);
        }
}

int ledger_region(Server *server, const Region *region) {
        size_t n_entries = 0, n_max = ledger_count_region(region);
        RecordEntry *entries = calloc(n_max, sizeof(*entries));
        LedgerNames names = { .names = calloc(n_max, sizeof(*names.names)) };
        int r = -ENOMEM;

        if (entries && names.names) {
                ledger_add_region(server, region, entries, &n_entries, &names);
                r = record_append(&server->record, entries, n_entries);
        }
        free(entries);
        free(names.names);
        return r;
}

static int ledger_append(Server *server, const RecordEntry *entry) {
        return record_append(&server->record, entry, 1);
}

static void ledger_append_removal(Server *server, const RecordEntry *entry) {
        int r;

        r = ledger_append(server, entry);
        if (r < 0)
                log_event(&(LogEvent){ .priority = LOG_WARNING, .uid = server->uid },
                          "Cannot write down that something was removed: %s.", strerror(-r));
        if (record_wants_compaction(&server->record))
                (void)ledger_begin(server);
}

void ledger_creator_gone(Server *server, const Region *region) {
        RecordEntry entry = ledger_created_entry(region);

        ledger_append_removal(server, &entry);
}

static RecordEntry ledger_removal_entry(const Server *server) {
        return (RecordEntry){ .type = RECORD_REMOVAL, .removal = server->removal };
}

void ledger_removal(Server *server, const LeaseClient *client, uint64_t request,
                    const Region *region) {
        RecordEntry entry;

        server->removal = (RecordRemoval){ .request = request, .tag = region->tag };
        memcpy(server->removal.client, client->uuid, SHMB_UUID_SIZE);
        entry = ledger_removal_entry(server);
        ledger_append_removal(server, &entry);
}

bool ledger_was_removed(const Server *server, const LeaseClient *client, uint64_t request,
                        const Region *region) {
        const RecordRemoval *removal = &server->removal;

        return removal->tag != 0 && removal->request == request &&
               memcmp(removal->client, client->uuid, SHMB_UUID_SIZE) == 0 &&
               (!region || region->tag != removal->tag);
}

void ledger_region_removed(Server *server, const Region *region) {
        RecordEntry entry = {
                .type = RECORD_REGION_REMOVED,
                .region_removed = { .tag = region->tag },
        };

        ledger_append_removal(server, &entry);
}

int ledger_object(Server *server, const Region *region, const RegionObject *object) {
        char name[SHMB_KERNEL_NAME_MAX + 1];
        RecordEntry entry = ledger_object_entry(server, region, object, name);

        return ledger_append(server, &entry);
}

void ledger_object_removed(Server *server, const Region *region, const RegionObject *object,
                           uint32_t epoch) {
        RecordEntry entry = {
                .type = RECORD_OBJECT_REMOVED,
                .object_removed = {
                        .tag = region->tag,
                        .kind = object->kind,
                        .index = object->index,
                        .epoch = epoch,
                },
        };

        ledger_append_removal(server, &entry);
}

int ledger_lease(Server *server, const Lease *lease) {
        Conn *conn = conn_of_client(lease->client);
        bool news = conn && conn->kept && !conn->recorded;
        RecordEntry entries[2];
        size_t n_entries = 0;
        int r;

        if (news)
                entries[n_entries++] = conn_keep_entry(conn);
        entries[n_entries++] = ledger_lease_entry(lease);
        r = record_append(&server->record, entries, n_entries);
        if (r == 0 && news)
                conn->recorded = true;
        return r;
}

void ledger_conn_ended(Server *server, uint64_t connection) {
        RecordEntry entry = {
                .type = RECORD_CONNECTION_ENDED,
                .connection_ended = { .connection = connection },
        };

        ledger_append_removal(server, &entry);
}

void ledger_lease_ended(Server *server, uint64_t lease, LeaseEnd how) {
        RecordEntry entry = {
                .type = RECORD_LEASE_ENDED,
                .lease_ended = { .lease = lease, .how = how },
        };

        ledger_append_removal(server, &entry);
}

/* Other departed regions are unlinked already, and their leases mean nothing to a successor. */
static bool ledger_wants(const Region *region) {
        return !region->departed || region->state == SHMB_REGION_DRAINING;
}

/* One that drains comes before the one that has its name now. */
int ledger_begin(Server *server) {
        const Registry *registry = &server->registry;
        size_t n_entries = 0, n_max = 1 + server->n_conns + registry->n_leases, n_names = 1, i;
        LedgerNames names = {};
        RecordEntry *entries;
        int r = -ENOMEM;
        const Region *region;
        Conn *conn;

        for (region = registry->departed; region; region = region->next_departed)
                n_names += ledger_count_region(region);
        for (i = 0; i < registry->n_regions; i++)
                n_names += ledger_count_region(registry->regions[i]);
        n_max += n_names;
        entries = calloc(n_max, sizeof(*entries));
        names.names = calloc(n_names, sizeof(*names.names));
        if (!entries || !names.names)
                goto error;

        entries[n_entries++] = ledger_mark_entry(server);
        if (server->removal.tag != 0)
                entries[n_entries++] = ledger_removal_entry(server);
        for (region = registry->departed; region; region = region->next_departed)
                if (ledger_wants(region))
                        ledger_add_region(server, region, entries, &n_entries, &names);
        for (i = 0; i < registry->n_regions; i++)
                ledger_add_region(server, registry->regions[i], entries, &n_entries, &names);
        for (conn = server->conns; conn; conn = conn->next)
                if (conn->kept)
                        entries[n_entries++] = conn_keep_entry(conn);
        for (i = 0; i < registry->n_leases; i++)
                if (ledger_wants(registry->leases[i]->region))
                        entries[n_entries++] = ledger_lease_entry(registry->leases[i]);

        r = server->record.fd < 0
                    ? record_open(&server->record, server->runtime_fd, server->boot_id, entries,
                                  n_entries)
                    : record_compact(&server->record, entries, n_entries);
        for (conn = server->conns; r == 0 && conn; conn = conn->next)
                conn->recorded = conn->kept;
error:
        free(entries);
        free(names.names);
        return r;
}
