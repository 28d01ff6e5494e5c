/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vault
 *
 * Names in it are those of the objects, so they are told apart from everything else that a unit may
 * hand over by how they begin.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/vault.h"
#include "protocol/name.h"

enum {
        VAULT_MAX = 16384, /* FileDescriptorStoreMax= of shmbrokerd.service */
        VAULT_WAIT_MS = 50, /* for a PID 1 that is behind; once, then until it reads again not */
};

/* How much PID 1 keeps: systemd says it since 254; else what our unit asks for. */
static size_t vault_max(void) {
        const char *said = getenv("FDSTORE");

        return said ? strtoul(said, NULL, 10) : VAULT_MAX;
}

static int vault_compare(const void *left, const void *right) {
        const StoreEntry *a = left, *b = right;

        return strcmp(a->name, b->name);
}

void vault_sort(Server *server) {
        if (server->store.n_entries > 0)
                qsort(server->store.entries, server->store.n_entries,
                      sizeof(*server->store.entries), vault_compare);
}

void vault_begin(Server *server) {
        size_t i;

        vault_sort(server);
        for (i = 0; i < server->store.n_entries; i++)
                server->vault.n_kept += shmb_kernel_name_is_ours(server->store.entries[i].name);
}

static void vault_complain(Server *server, const Region *region, const char *why) {
        if (server->vault.complained)
                return;
        server->vault.complained = true;
        log_plain(LOG_WARNING,
                  "Objects of region \"%s\" would not outlive this broker: %s. Regions with names "
                  "(backing: posix) do.",
                  region->decl->name, why);
}

static int vault_patience(const Server *server) {
        return server->vault.behind ? 0 : VAULT_WAIT_MS;
}

bool vault_keep(Server *server, const Region *region, const char *name, int fd) {
        int r;

        if (server->vault.n_kept >= vault_max()) {
                vault_complain(server, region, "the service manager keeps no more descriptors, "
                               "raise FileDescriptorStoreMax= of the unit");
                return false;
        }
        r = store_put(fd, name, false, vault_patience(server));
        if (r < 0)
                vault_complain(server, region, r == -EAGAIN ? "the service manager does not answer"
                                                            : strerror(-r));
        server->vault.behind = r == -EAGAIN;
        server->vault.n_kept += r == 0;
        return r == 0;
}

/* What a PID 1 that is behind does not hear is dropped by the sweep of the next broker. */
void vault_forget(Server *server, const char *name) {
        int r = store_drop(name, vault_patience(server));

        server->vault.behind = r == -EAGAIN;
        if (r == 0 && server->vault.n_kept > 0)
                server->vault.n_kept--;
}

static StoreEntry *vault_look(const Server *server, const char *name) {
        const StoreEntry key = { .name = (char *)name };

        return server->store.n_entries == 0
                               ? NULL
                               : bsearch(&key, server->store.entries, server->store.n_entries,
                                         sizeof(key), vault_compare);
}

bool vault_has(const Server *server, const char *name) {
        return vault_look(server, name) != NULL;
}

int vault_add_consume_fd(Server *server, const char *name, int fd) {
        Store *store = &server->store;
        StoreEntry *entries;
        char *copy;

        entries = reallocarray(store->entries, store->n_entries + 1, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        store->entries = entries;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        entries[store->n_entries++] = (StoreEntry){ .fd = fd, .name = copy, .found = true };
        return 0;
}

bool vault_keep_found(Server *server, const Region *region, const char *name, int fd) {
        const StoreEntry *entry = vault_look(server, name);

        return entry && (!entry->found || vault_keep(server, region, name, fd));
}

int vault_find(const Server *server, const BackingObject *object) {
        BackingObject wanted = *object;
        const StoreEntry *entry;
        BackingFault fault;

        entry = object->backing == SHMB_BACKING_MEMFD ? vault_look(server, object->name) : NULL;
        if (!entry || entry->fd < 0 ||
            backing_adopt_consume_fd(&wanted, entry->fd, &fault) != 0)
                return -1;
        return entry->fd;
}

int vault_take(Server *server, const BackingObject *object) {
        int fd = vault_find(server, object);

        if (fd >= 0)
                vault_look(server, object->name)->fd = -1;
        return fd;
}

static void vault_drop_entry(Server *server, StoreEntry *entry) {
        if (!entry->found)
                vault_forget(server, entry->name);
        if (entry->fd >= 0)
                close(entry->fd);
        entry->fd = -1;
}

void vault_discard(Server *server, const char *name) {
        StoreEntry *entry = vault_look(server, name);

        if (entry)
                vault_drop_entry(server, entry);
}

void vault_sweep(Server *server) {
        StoreEntry *entry;
        size_t i;

        for (i = 0; i < server->store.n_entries; i++) {
                entry = &server->store.entries[i];
                if (entry->fd >= 0 && shmb_kernel_name_is_ours(entry->name))
                        vault_drop_entry(server, entry);
        }
}
