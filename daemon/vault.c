/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vault
 *
 * Names in it are those of the objects, so they are told apart from everything else that a unit may
 * hand over by how they begin.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/sockets.h"
#include "daemon/vault.h"
#include "protocol/name.h"

enum {
        VAULT_MAX = 16384, /* FileDescriptorStoreMax= of shmbrokerd.service */
        VAULT_WAIT_MS = 50, /* for a PID 1 that is behind; once, then until it reads again not */
        VAULT_CONN_NAME_MAX = 21, /* "conn." and 16 digits */
};

#define VAULT_CONN_PREFIX "conn."

/* Until what PID 1 was too busy to hear is said again; longer and longer. */
#define VAULT_AGAIN_NS UINT64_C(10000000)
#define VAULT_AGAIN_MAX_NS UINT64_C(1000000000)

/* More than a uid may have (per_uid: connections: 128) at once; then, of all, about a tenth of what
 * PID 1 manages in a second where it keeps a thousand. */
static const RatelimitRates VAULT_CONN_RATES = {
        .burst = 256,
        .burst_total = 4096,
        .refill_ns = 10000000,
        .refill_total_ns = 5000000,
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

static bool vault_name_is_ours(const char *name) {
        return shmb_kernel_name_is_ours(name) ||
               strncmp(name, VAULT_CONN_PREFIX, sizeof(VAULT_CONN_PREFIX) - 1) == 0;
}

void vault_sort(Server *server) {
        if (server->store.n_entries > 0)
                qsort(server->store.entries, server->store.n_entries,
                      sizeof(*server->store.entries), vault_compare);
}

void vault_begin(Server *server) {
        size_t i;

        (void)deadline_join(&server->deadlines, &server->vault.again, DEADLINE_VAULT);
        vault_sort(server);
        for (i = 0; i < server->store.n_entries; i++)
                server->vault.n_kept += vault_name_is_ours(server->store.entries[i].name);
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

/* Return: 0 if it is kept, else @why; NULL where there is no PID 1 to ask. */
static int vault_put(Server *server, const char *name, int fd, int patience_ms, const char **why) {
        int r;

        *why = "the service manager keeps no more descriptors, raise FileDescriptorStoreMax= of "
               "the unit";
        if (server->vault.n_kept >= vault_max())
                return -ENOSPC;
        r = store_put(fd, name, false, patience_ms);
        server->vault.behind = r == -EAGAIN;
        server->vault.none = r == STORE_E_NONE;
        server->vault.n_kept += r == 0;
        if (r < 0)
                *why = r == -EAGAIN ? "the service manager does not answer" : strerror(-r);
        else
                *why = NULL;
        return r;
}

bool vault_keep(Server *server, const Region *region, const char *name, int fd) {
        const char *why;
        int r;

        r = vault_put(server, name, fd, vault_patience(server), &why);
        if (why)
                vault_complain(server, region, why);
        return r == 0;
}

static void vault_conn_name(uint64_t number, char ret_name[static VAULT_CONN_NAME_MAX + 1]) {
        snprintf(ret_name, VAULT_CONN_NAME_MAX + 1, VAULT_CONN_PREFIX "%016" PRIx64, number);
}

/* Return: whether PID 1 has read, or there is none. */
static bool vault_drop(Server *server, const char *name) {
        int r = store_drop(name, 0);

        server->vault.behind = r == -EAGAIN;
        if (r == 0 && server->vault.n_kept > 0)
                server->vault.n_kept--;
        return r != -EAGAIN;
}

static void vault_say_unsaid(Server *server) {
        size_t n = server->vault.n_unsaid;

        while (n > 0 && vault_drop(server, server->vault.unsaid[n - 1]))
                free(server->vault.unsaid[--n]);
        server->vault.n_unsaid = n;
}

static void vault_try_again(Server *server, uint64_t after_ns) {
        Deadline *again = &server->vault.again;

        server->vault.again_ns = after_ns;
        /* Without memory for it: with the next one, or by the sweep of the next broker. */
        if (again->queue)
                deadline_set(again, clock_boottime_ns() + after_ns);
}

void vault_on_deadline(Server *server) {
        uint64_t later_ns = 2 * server->vault.again_ns;

        vault_say_unsaid(server);
        if (server->vault.n_unsaid > 0)
                vault_try_again(server, later_ns < VAULT_AGAIN_MAX_NS ? later_ns
                                                                      : VAULT_AGAIN_MAX_NS);
}

static void vault_defer(Server *server, const char *name) {
        char **unsaid = server->vault.unsaid, *copy;
        size_t n = server->vault.n_unsaid_allocated;

        if (server->vault.n_unsaid == n) {
                n = n > 0 ? 2 * n : 16;
                unsaid = reallocarray(unsaid, n, sizeof(*unsaid));
                if (!unsaid)
                        return;
                server->vault.unsaid = unsaid;
                server->vault.n_unsaid_allocated = n;
        }
        copy = strdup(name);
        if (!copy)
                return;
        unsaid[server->vault.n_unsaid++] = copy;
        vault_try_again(server, VAULT_AGAIN_NS);
}

void vault_forget(Server *server, const char *name) {
        vault_say_unsaid(server);
        if (server->vault.n_unsaid > 0 || !vault_drop(server, name))
                vault_defer(server, name);
}

void vault_forget_conn(Server *server, uint64_t number) {
        char name[VAULT_CONN_NAME_MAX + 1];

        vault_conn_name(number, name);
        vault_forget(server, name);
}

/* Whoever ends has a moment: of what is said no more PID 1 lets go when it likes. */
void vault_end(Server *server) {
        bool heard = true;
        char *name;

        while (server->vault.n_unsaid > 0) {
                name = server->vault.unsaid[--server->vault.n_unsaid];
                heard = heard && store_drop(name, VAULT_WAIT_MS) != -EAGAIN;
                free(name);
        }
        free(server->vault.unsaid);
        server->vault.unsaid = NULL;
        server->vault.n_unsaid_allocated = 0;
        deadline_leave(&server->vault.again);
}

/* Return: as vault_put(). */
static int vault_put_conn(Server *server, uint64_t number, int fd, const char **why) {
        char name[VAULT_CONN_NAME_MAX + 1];

        vault_say_unsaid(server);
        vault_conn_name(number, name);
        return vault_put(server, name, fd, 0, why);
}

bool vault_keep_conn(Server *server, uint32_t uid, uint64_t number, int fd) {
        const char *why = "a user makes too many of them";
        uint64_t n_suppressed;
        int r = -EBUSY;

        if (ratelimit_admit_at(&server->vault.conns, &VAULT_CONN_RATES, uid, clock_monotonic_ns(),
                               &n_suppressed))
                r = vault_put_conn(server, number, fd, &why);
        if (why && !server->vault.complained_conns) {
                server->vault.complained_conns = true;
                log_plain(LOG_NOTICE, "Some connections will not outlive this broker, and their "
                          "clients will connect anew: %s.", why);
        }
        return r == 0;
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

/* What else is called so goes. PID 1 forgets by name, so the right one is stored again. */
static void vault_part_conn(Server *server, uint64_t number, int fd, StoreEntry *first, size_t n) {
        const char *why;
        size_t i;

        for (i = 0; i < n; i++) {
                if (first[i].fd >= 0)
                        close(first[i].fd);
                first[i].fd = -1;
                (void)vault_drop(server, first[i].name);
        }
        (void)vault_put_conn(server, number, fd, &why);
}

/* Anybody whom the unit lets notify can have stored something under any name, and twice. */
int vault_take_conn(Server *server, uint64_t number, bool (*fits)(int fd, uint64_t number)) {
        StoreEntry *first, *end;
        char name[VAULT_CONN_NAME_MAX + 1];
        size_t i, n = 0;
        int fd = -1;

        vault_conn_name(number, name);
        first = vault_look(server, name);
        if (!first)
                return -1;
        end = server->store.entries + server->store.n_entries;
        while (first > server->store.entries && strcmp(first[-1].name, name) == 0)
                first--;
        while (first + n < end && strcmp(first[n].name, name) == 0)
                n++;
        for (i = 0; i < n && fd < 0; i++) {
                if (first[i].fd < 0 || !fits(first[i].fd, number))
                        continue;
                fd = first[i].fd;
                first[i].fd = -1;
        }
        if (fd >= 0 && n > 1)
                vault_part_conn(server, number, fd, first, n);
        return fd;
}

/* Its client is told in any case, though PID 1 may be too busy to let go of it. */
static void vault_hang_up(Server *server, const StoreEntry *entry) {
        char name[VAULT_CONN_NAME_MAX + 1];
        uint64_t number;

        if (entry->fd < 0 || sockets_cookie(entry->fd, &number) != 0)
                return;
        vault_conn_name(number, name);
        if (strcmp(entry->name, name) == 0)
                fdpass_hang_up(&server->guard, entry->fd);
}

static void vault_drop_entry(Server *server, StoreEntry *entry) {
        vault_hang_up(server, entry);
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
                if (entry->fd >= 0 && vault_name_is_ours(entry->name))
                        vault_drop_entry(server, entry);
        }
}
