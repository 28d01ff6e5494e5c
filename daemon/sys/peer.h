/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Peers
 *
 * Who is at the other end of a connection: the credentials that the kernel noted at connect(2).
 * They authorise. The process may since have changed its uid, forked or handed the socket on; every
 * message is therefore held against them (daemon/sys/fdpass.h).
 *
 * The pidfd tells of the death of the process, and where it came from says how far to trust it:
 *
 *     PEER_PIDFD_KERNEL    SO_PEERPIDFD (Linux 6.5): the connector, whatever became of its number
 *     PEER_PIDFD_ADVISORY  pidfd_open() of the number of SO_PEERCRED, and the process behind it was
 *                          not born after the connection was accepted
 *     PEER_PIDFD_REAPED    the connector is dead and its number free: only the socket is left
 *     PEER_PIDFD_NONE      no proof of death to be had: leases end by hang-up alone
 *
 * Nothing here asks the user database.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Peer Peer;

enum {
        PEER_COMMAND_MAX = 15, /* TASK_COMM_LEN of the kernel without the terminator */
        PEER_UNIT_MAX = 255,   /* UNIT_NAME_MAX of systemd */
        PEER_GROUPS_MAX = 65537, /* NGROUPS_MAX of Linux, and the primary group */
};

enum {
        _PEER_E_SUCCESS,

        PEER_E_GONE,    /* the process is dead, or not the one that connected */
        PEER_E_NO_UNIT, /* it is no part of a system unit */
};

typedef enum PeerPidfd {
        PEER_PIDFD_NONE,
        PEER_PIDFD_KERNEL,
        PEER_PIDFD_ADVISORY,
        PEER_PIDFD_REAPED,
        _PEER_PIDFD_N,
} PeerPidfd;

struct Peer {
        uint32_t uid, gid;
        pid_t pid;       /* a number, for display; another process may have it by now */
        uint32_t *gids;  /* ascending, without doubles, primary group included; owned */
        size_t n_gids;
        int pidfd;       /* owned, close-on-exec; readable once the process is dead; or -1 */
        PeerPidfd source;
        uint64_t started_ticks; /* birth in clock ticks since boot; 0 = not known */
        char command[PEER_COMMAND_MAX + 1]; /* "" if not known */
};

#define PEER_NULL(_peer) { .pidfd = -1 }

/**
 * peer_init_with_fd() - ask the kernel who connected
 * @ret_peer:           the peer, for peer_deinit(); untouched on failure
 * @socket_fd:          accepted connection; borrowed
 * @accepted_ns:        CLOCK_BOOTTIME right after accept(2): who was born later did not connect
 *
 * Return: 0; -errno (-ENOMEM, -EMFILE, -E2BIG for more than PEER_GROUPS_MAX groups).
 */
int peer_init_with_fd(Peer *ret_peer, int socket_fd, uint64_t accepted_ns);

/** peer_deinit() - idempotent */
void peer_deinit(Peer *peer);

/**
 * peer_find() - a pidfd of a process that a predecessor knew
 * @pid:                its number
 * @started_ticks:      its birth, as peer_init_with_fd() noted it; 0 = not known, never found
 * @ret_pidfd:          close-on-exec
 *
 * Return: 0; PEER_E_GONE (no such process, or another one has the number); -errno.
 */
int peer_find(pid_t pid, uint64_t started_ticks, int *ret_pidfd);

/** peer_is_alive() - false once the pidfd says that the process is dead; true without a pidfd */
bool peer_is_alive(const Peer *peer);

/**
 * peer_get_unit() - the system unit of the process ("imu.service")
 * @peer:       peer
 * @buffer:     PEER_UNIT_MAX + 1 bytes; "" unless 0 is returned
 *
 * By pidfd only: a bare number might be another process by now, and a rule grants by the answer.
 *
 * Return: 0; PEER_E_GONE; PEER_E_NO_UNIT; -errno.
 */
int peer_get_unit(const Peer *peer, char buffer[static PEER_UNIT_MAX + 1]);

/**
 * peer_read_stat() - birth and command of a process
 * @pid:                process
 * @ret_started_ticks:  clock ticks since boot
 * @ret_command:        as in /proc/PID/stat, any bytes; may be NULL
 *
 * Return: 0; PEER_E_GONE; -EBADMSG (/proc says something else than proc(5)); -errno.
 */
int peer_read_stat(pid_t pid, uint64_t *ret_started_ticks, char *ret_command);

/** peer_pidfd_to_string() - "SO_PEERPIDFD", "pidfd_open", ...; for status */
const char *peer_pidfd_to_string(PeerPidfd source);
