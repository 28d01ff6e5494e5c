/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bells
 *
 * A FIFO is named by the region's tag and the lane or seat: who holds it next gets a new one of the
 * same name, and peers tell the two apart by the lease.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/bells.h"

enum {
        BELLS_NAME_MAX = sizeof(BELLS_DIRECTORY) + 64,
        /* Nothing but single bytes passes through, and who finds it full need not write. */
        BELLS_PIPE_BYTES = 4096,
};

static void bells_name(const Region *region, const RegionParty *party,
                       char name[static BELLS_NAME_MAX]) {
        snprintf(name, BELLS_NAME_MAX, "%s/%016" PRIx64 ".%s%" PRIu32, BELLS_DIRECTORY,
                 region->tag, party->role == SHMB_ROLE_PRODUCE ? "lane" : "seat", party->index);
}

static size_t bells_slot(const Region *region, const RegionParty *party) {
        return (size_t)(party - region->parties);
}

bool bells_has(const Region *region, const RegionParty *party) {
        return region->body && region->body->bells &&
               region->body->bells[bells_slot(region, party)] >= 0;
}

/* Room for one descriptor a party. */
static int bells_reserve(Region *region) {
        size_t i;
        int *bells;

        if (region->body->bells)
                return 0;
        bells = reallocarray(NULL, region->n_parties, sizeof(*bells));
        if (!bells)
                return -ENOMEM;
        for (i = 0; i < region->n_parties; i++)
                bells[i] = -1;
        region->body->bells = bells;
        return 0;
}

static int bells_open(Server *server, Region *region, const RegionParty *party) {
        char name[BELLS_NAME_MAX];
        struct stat st;
        int fd, r;

        r = bells_reserve(region);
        if (r < 0)
                return r;
        bells_name(region, party, name);
        fd = openat(server->runtime_fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || st.st_uid != server->uid) {
                close(fd);
                return -ENXIO;
        }
        (void)fcntl(fd, F_SETPIPE_SZ, BELLS_PIPE_BYTES);
        region->body->bells[bells_slot(region, party)] = fd;
        return 0;
}

static int bells_make(Server *server, Region *region, const RegionParty *party) {
        char name[BELLS_NAME_MAX];

        if (mkdirat(server->runtime_fd, BELLS_DIRECTORY, 0700) < 0 && errno != EEXIST)
                return -errno;
        bells_name(region, party, name);
        if (unlinkat(server->runtime_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        if (mkfifoat(server->runtime_fd, name, 0600) < 0)
                return -errno;
        return bells_open(server, region, party);
}

/* Another description of the same FIFO: what its user does to it is his business alone. */
static int bells_reopen(int bell, int access, int *ret_fd) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", bell);
        fd = open(path, access | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

static void bells_poke(int bell) {
        /* A full one is as readable as it can be. */
        (void)!write(bell, "", 1);
}

int bells_give(Server *server, Region *region, RegionParty *party, int ret_fds[static 2]) {
        int bell, fds[2], r;

        if (!bells_has(region, party)) {
                r = bells_make(server, region, party);
                if (r < 0) {
                        bells_take(server, region, party);
                        return r;
                }
        }
        bell = region->body->bells[bells_slot(region, party)];
        bells_poke(bell);
        r = bells_reopen(bell, O_RDONLY, &fds[0]);
        if (r < 0)
                return r;
        r = bells_reopen(bell, O_WRONLY, &fds[1]);
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        ret_fds[0] = fds[0];
        ret_fds[1] = fds[1];
        return 0;
}

int bells_lend(Region *region, const RegionParty *party, int *ret_fd) {
        if (!bells_has(region, party))
                return -ENOENT;
        return bells_reopen(region->body->bells[bells_slot(region, party)], O_WRONLY, ret_fd);
}

int bells_restore(Server *server, Region *region, const RegionParty *party) {
        int r = bells_open(server, region, party);

        /* Whatever happened meanwhile: its holder looks. */
        if (r == 0)
                bells_poke(region->body->bells[bells_slot(region, party)]);
        return r;
}

void bells_take(Server *server, Region *region, const RegionParty *party) {
        char name[BELLS_NAME_MAX];

        if (!bells_has(region, party))
                return;
        bells_name(region, party, name);
        (void)unlinkat(server->runtime_fd, name, 0);
        close(region->body->bells[bells_slot(region, party)]);
        region->body->bells[bells_slot(region, party)] = -1;
}

void bells_take_all(Server *server, Region *region) {
        size_t i;

        for (i = 0; i < region->n_parties; i++)
                bells_take(server, region, &region->parties[i]);
}

void bells_close(RegionBody *body, size_t n_parties) {
        size_t i;

        for (i = 0; body->bells && i < n_parties; i++)
                if (body->bells[i] >= 0)
                        close(body->bells[i]);
        free(body->bells);
        body->bells = NULL;
}

void bells_ring(Region *region) {
        size_t i;

        for (i = 0; region->body && region->body->bells && i < region->n_parties; i++)
                if (region->body->bells[i] >= 0)
                        bells_poke(region->body->bells[i]);
}

/* Whether a FIFO that is there is one of ours. */
static bool bells_is_needed(const Server *server, const char *name) {
        char path[BELLS_NAME_MAX];
        const Region *region;
        size_t i, j;

        for (i = 0; i < server->registry.n_regions; i++) {
                region = server->registry.regions[i];
                for (j = 0; j < region->n_parties; j++) {
                        if (!bells_has(region, &region->parties[j]))
                                continue;
                        bells_name(region, &region->parties[j], path);
                        if (strcmp(path + sizeof(BELLS_DIRECTORY), name) == 0)
                                return true;
                }
        }
        return false;
}

void bells_sweep(Server *server) {
        struct dirent *entry;
        DIR *directory;
        int fd;

        fd = openat(server->runtime_fd, BELLS_DIRECTORY,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        directory = fdopendir(fd);
        if (!directory) {
                close(fd);
                return;
        }
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.' && !bells_is_needed(server, entry->d_name))
                        (void)unlinkat(dirfd(directory), entry->d_name, 0);
        closedir(directory);
        /* Fails where one is left, as it should. */
        (void)unlinkat(server->runtime_fd, BELLS_DIRECTORY, AT_REMOVEDIR);
}
