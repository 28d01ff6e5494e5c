/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Peers
 *
 * A process number is not a process: between connect(2) and accept(2) the connector may have died
 * and its number been given to somebody else. Whatever is looked up by number in /proc is therefore
 * believed only if a pidfd, opened before the look, says after it that its process is still alive:
 * as long as it is, nobody else has the number.
 *
 * Where the pidfd itself comes from the number (Linux before 6.5), the process behind it must be
 * one that can have connected: born before the connection was accepted, and with the uid that the
 * kernel noted at connect. A number that was recycled for a process of another user is caught by
 * the second, one of the same user can only deceive itself.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>
#include <unistd.h>
#include "daemon/sys/clock.h"
#include "daemon/sys/peer.h"

/* Linux 6.5; headers of Debian 12 are older. The same on every architecture but these two. */
#ifndef SO_PEERPIDFD
#if defined(__sparc__) || defined(__hppa__)
#error "SO_PEERPIDFD has another number here: build with headers of Linux 6.5 or newer"
#endif
#define SO_PEERPIDFD 77
#endif

enum {
        PEER_PATH_MAX = 64,
        /* 52 numbers of at most 20 digits and a command: proc(5). */
        PEER_STAT_MAX = 1280,
        /* "Uid:" comes before the lists of unbounded length. */
        PEER_STATUS_MAX = 1024,
        PEER_STAT_FIELD_STARTTIME = 22,
        /* Most processes have fewer groups. */
        PEER_GROUPS_GUESS = 32,
};

static bool peer_pidfd_is_alive(int pidfd) {
        struct pollfd entry = { .fd = pidfd, .events = POLLIN };

        return poll(&entry, 1, 0) <= 0;
}

/* The beginning of a file of /proc/PID, terminated. PEER_E_GONE if there is no such process. */
static int peer_read_proc(pid_t pid, const char *file, char *text, size_t size) {
        char path[PEER_PATH_MAX];
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT || errno == ESRCH ? PEER_E_GONE : -errno;

        n = read(fd, text, size - 1);
        if (n < 0) {
                n = -errno;
                close(fd);
                return n == -ESRCH ? PEER_E_GONE : (int)n;
        }

        close(fd);
        text[n] = '\0';
        return 0;
}

/* Field @n of /proc/PID/stat, counted from 1, behind the command (field 2). */
static int peer_parse_stat(const char *at, unsigned n, uint64_t *ret_value) {
        unsigned long long value;
        unsigned i;
        char *end;

        for (i = 2; i < n; i++) {
                at = strchr(at, ' ');
                if (!at)
                        return -EBADMSG;
                at++;
        }
        if (*at < '0' || *at > '9')
                return -EBADMSG;

        errno = 0;
        value = strtoull(at, &end, 10);
        if (errno || *end != ' ')
                return -EBADMSG;

        *ret_value = value;
        return 0;
}

int peer_read_stat(pid_t pid, uint64_t *ret_started_ticks, char *ret_command) {
        char text[PEER_STAT_MAX], *begin, *end;
        size_t n;
        int r;

        r = peer_read_proc(pid, "stat", text, sizeof(text));
        if (r)
                return r;

        /* "PID (COMMAND) STATE ...": a command may hold anything, numbers and states no ')'. */
        begin = strchr(text, '(');
        end = strrchr(text, ')');
        if (!begin || !end || end < begin)
                return -EBADMSG;
        r = peer_parse_stat(end, PEER_STAT_FIELD_STARTTIME, ret_started_ticks);
        if (r < 0 || !ret_command)
                return r;

        begin++;
        n = (size_t)(end - begin);
        if (n > PEER_COMMAND_MAX)
                n = PEER_COMMAND_MAX;
        memcpy(ret_command, begin, n);
        ret_command[n] = '\0';
        return 0;
}

/* Whether process @pid has @uid as its real, effective, saved or file system uid. */
static int peer_has_uid(pid_t pid, uint32_t uid, bool *ret_has) {
        char text[PEER_STATUS_MAX];
        uint32_t ids[4];
        const char *line;
        int r;

        r = peer_read_proc(pid, "status", text, sizeof(text));
        if (r)
                return r;

        line = strstr(text, "\nUid:");
        if (!line || sscanf(line, "\nUid: %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, &ids[0],
                            &ids[1], &ids[2], &ids[3]) != 4)
                return -EBADMSG;

        *ret_has = uid == ids[0] || uid == ids[1] || uid == ids[2] || uid == ids[3];
        return 0;
}

static int peer_compare_ids(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

/* Ascending and without doubles; returns how many are left. */
static size_t peer_sort_ids(uint32_t *ids, size_t n) {
        size_t i, n_left = 0;

        qsort(ids, n, sizeof(*ids), peer_compare_ids);
        for (i = 0; i < n; i++)
                if (i == 0 || ids[i] != ids[n_left - 1])
                        ids[n_left++] = ids[i];
        return n_left;
}

/* Supplementary groups, and room for one more. */
static int peer_get_groups(int socket_fd, uint32_t **ret_gids, size_t *ret_n_gids) {
        size_t n_room = PEER_GROUPS_GUESS;
        uint32_t *gids;
        socklen_t size;
        int r;

        static_assert(sizeof(gid_t) == sizeof(uint32_t), "SO_PEERGROUPS yields gid_t");

        for (;;) {
                gids = calloc(n_room + 1, sizeof(*gids));
                if (!gids)
                        return -ENOMEM;
                size = (socklen_t)(n_room * sizeof(*gids));
                if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, gids, &size) >= 0)
                        break;

                r = -errno;
                free(gids);
                /* The list was noted at connect and does not grow: what is asked for next fits. */
                if (r != -ERANGE)
                        return r;
                if (size / sizeof(*gids) <= n_room || size / sizeof(*gids) > PEER_GROUPS_MAX - 1)
                        return -E2BIG;
                n_room = size / sizeof(*gids);
        }

        *ret_gids = gids;
        *ret_n_gids = size / sizeof(*gids);
        return 0;
}

static int peer_get_credentials(Peer *peer, int socket_fd) {
        socklen_t size = sizeof(struct ucred);
        struct ucred credentials;
        int r;

        if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;
        /* What the kernel says of a socket that nobody connected. */
        if (size != sizeof(credentials) || credentials.uid == (uid_t)-1)
                return -ENOTCONN;

        r = peer_get_groups(socket_fd, &peer->gids, &peer->n_gids);
        if (r < 0)
                return r;

        peer->gids[peer->n_gids++] = credentials.gid;
        peer->n_gids = peer_sort_ids(peer->gids, peer->n_gids);
        peer->uid = credentials.uid;
        peer->gid = credentials.gid;
        peer->pid = credentials.pid;
        return 0;
}

/* Whether the process behind a pidfd that came from a number can have connected. */
static int peer_judge_advisory(const Peer *peer, int pidfd, uint64_t accepted_ns, bool *ret_can) {
        uint64_t started_ticks;
        bool has_uid;
        int r;

        r = peer_read_stat(peer->pid, &started_ticks, NULL);
        if (r == 0)
                r = peer_has_uid(peer->pid, peer->uid, &has_uid);
        if (r)
                return r;

        *ret_can = has_uid && clock_ticks_to_ns(started_ticks) <= accepted_ns &&
                   peer_pidfd_is_alive(pidfd);
        return 0;
}

/* Linux before 6.5. Who cannot be told for sure has no pidfd: the socket is all there is then. */
static int peer_open_advisory(Peer *peer, uint64_t accepted_ns) {
        bool can = false;
        int pidfd, r;

        peer->source = PEER_PIDFD_NONE;
        if (peer->pid <= 0)
                return 0;

        pidfd = pidfd_open(peer->pid, 0);
        if (pidfd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
                        return -errno;
                if (errno == ESRCH)
                        peer->source = PEER_PIDFD_REAPED;
                return 0;
        }

        r = peer_judge_advisory(peer, pidfd, accepted_ns, &can);
        if (r == 0 && can) {
                peer->pidfd = pidfd;
                peer->source = PEER_PIDFD_ADVISORY;
                return 0;
        }

        /* Another process has the number already; or /proc hides it, and nothing is known. */
        if (r >= 0)
                peer->source = PEER_PIDFD_REAPED;
        close(pidfd);
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
}

static int peer_get_pidfd(Peer *peer, int socket_fd, uint64_t accepted_ns) {
        socklen_t size = sizeof(peer->pidfd);
        int pidfd = -1;

        if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) >= 0) {
                peer->pidfd = pidfd;
                peer->source = PEER_PIDFD_KERNEL;
                return 0;
        }

        switch (errno) {
        case ENOPROTOOPT:
                return peer_open_advisory(peer, accepted_ns);
        case ENODATA: /* the kernel noted no process */
                peer->source = PEER_PIDFD_NONE;
                return 0;
        case EINVAL: /* 6.5 .. 6.15 make no pidfd of what was reaped */
        case ESRCH:
                peer->source = PEER_PIDFD_REAPED;
                return 0;
        default:
                return -errno;
        }
}

int peer_init_with_fd(Peer *ret_peer, int socket_fd, uint64_t accepted_ns) {
        Peer peer = PEER_NULL(peer);
        int r;

        r = peer_get_credentials(&peer, socket_fd);
        if (r == 0)
                r = peer_get_pidfd(&peer, socket_fd, accepted_ns);
        if (r < 0) {
                peer_deinit(&peer);
                return r;
        }

        /* For display and for a successor; only while the number is still this process's. */
        if (peer.pidfd >= 0 && peer.pid > 0 &&
            (peer_read_stat(peer.pid, &peer.started_ticks, peer.command) != 0 ||
             !peer_pidfd_is_alive(peer.pidfd))) {
                peer.started_ticks = 0;
                peer.command[0] = '\0';
        }

        *ret_peer = peer;
        return 0;
}

void peer_deinit(Peer *peer) {
        if (peer->pidfd >= 0)
                close(peer->pidfd);
        free(peer->gids);
        *peer = (Peer)PEER_NULL(*peer);
}

int peer_find(pid_t pid, uint64_t started_ticks, int *ret_pidfd) {
        uint64_t found_ticks = 0;
        int pidfd, r;

        if (pid <= 0 || started_ticks == 0)
                return PEER_E_GONE;

        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return errno == ESRCH || errno == EINVAL ? PEER_E_GONE : -errno;

        r = peer_read_stat(pid, &found_ticks, NULL);
        if (r == 0 && (found_ticks != started_ticks || !peer_pidfd_is_alive(pidfd)))
                r = PEER_E_GONE;
        if (r) {
                close(pidfd);
                return r;
        }

        *ret_pidfd = pidfd;
        return 0;
}

bool peer_is_alive(const Peer *peer) {
        return peer->source != PEER_PIDFD_REAPED &&
               (peer->pidfd < 0 || peer_pidfd_is_alive(peer->pidfd));
}

int peer_get_unit(const Peer *peer, char buffer[static PEER_UNIT_MAX + 1]) {
        char *unit = NULL;
        int r;

        buffer[0] = '\0';
        if (peer->pidfd < 0 || peer->pid <= 0)
                return PEER_E_GONE;

        r = sd_pid_get_unit(peer->pid, &unit);
        if (r >= 0 && strlen(unit) > PEER_UNIT_MAX)
                r = -ENODATA;
        if (!peer_pidfd_is_alive(peer->pidfd))
                r = -ESRCH;
        if (r >= 0)
                strcpy(buffer, unit);

        free(unit);
        if (r == -ESRCH)
                return PEER_E_GONE;
        /* ENXIO of systemd before 245, ENOMEDIUM: no cgroups of systemd on this machine. */
        if (r == -ENODATA || r == -ENXIO || r == -ENOMEDIUM)
                return PEER_E_NO_UNIT;
        return r < 0 ? r : 0;
}

const char *peer_pidfd_to_string(PeerPidfd source) {
        switch (source) {
        case PEER_PIDFD_KERNEL:
                return "SO_PEERPIDFD";
        case PEER_PIDFD_ADVISORY:
                return "pidfd_open";
        case PEER_PIDFD_REAPED:
                return "reaped";
        case PEER_PIDFD_NONE:
        case _PEER_PIDFD_N:
                break;
        }
        return "none";
}
