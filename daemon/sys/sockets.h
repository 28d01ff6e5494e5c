/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sockets and the Runtime Directory
 *
 * Where clients find the broker. They trust a path whose directory only root and the broker can
 * write, so that is checked before anything is put there; under systemd the directory and the
 * listeners come from it and only the checks remain.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct SocketsFault SocketsFault;

#define SOCKETS_GID_KEEP ((gid_t)-1)

enum {
        SOCKETS_BACKLOG = 1024, /* net.core.somaxconn bounds it; a full one gives clients EAGAIN */
};

enum {
        _SOCKETS_E_SUCCESS,

        SOCKETS_E_UNSAFE,   /* somebody else owns or can write the directory */
        SOCKETS_E_NOT_DIR,  /* the path is something else than a directory, or a symbolic link */
        SOCKETS_E_FOREIGN,  /* the name of the socket is taken by what is not our socket */
        SOCKETS_E_TOO_LONG, /* the path does not fit sun_path (107 bytes) */
        SOCKETS_E_WRONG,    /* an inherited descriptor is not a listening SOCK_SEQPACKET socket */
};

/* Who is in the way, for _UNSAFE and _FOREIGN. */
struct SocketsFault {
        uid_t uid;
        mode_t mode;
};

/**
 * sockets_open_directory() - open the runtime directory, make it if it is missing
 * @path:       directory; its parent must exist
 * @mode:       for a new one; an existing one keeps its own
 * @ret_fd:     the directory
 * @fault:      who, on SOCKETS_E_UNSAFE
 *
 * Return: 0; SOCKETS_E_UNSAFE, SOCKETS_E_NOT_DIR; -errno.
 */
int sockets_open_directory(const char *path, mode_t mode, int *ret_fd, SocketsFault *fault);

/**
 * sockets_listen() - a listening SOCK_SEQPACKET socket in the runtime directory
 * @dir_fd:     runtime directory, opened by sockets_open_directory(); its lock is held
 * @dir_path:   the same as text: it is what clients see in getpeername(2)
 * @name:       of the socket
 * @mode:       of the socket, from its birth on; nobody can connect before @gid is in force
 * @gid:        its group, or SOCKETS_GID_KEEP
 * @ret_fd:     listening, non-blocking, close-on-exec, through fdpass_prepare()
 * @fault:      who, on SOCKETS_E_FOREIGN
 *
 * A socket that a predecessor of the same uid left is replaced.
 *
 * Return: 0; SOCKETS_E_FOREIGN, SOCKETS_E_TOO_LONG; -errno.
 */
int sockets_listen(int dir_fd, const char *dir_path, const char *name, mode_t mode, gid_t gid,
                   int *ret_fd, SocketsFault *fault);

/**
 * sockets_adopt() - check and set up a listener that systemd passed
 * @fd:         descriptor; borrowed
 *
 * Return: 0; SOCKETS_E_WRONG; -errno.
 */
int sockets_adopt(int fd);

/**
 * sockets_cookie() - what tells a socket from all others since the machine was booted
 * @fd:         socket; borrowed
 * @ret_cookie: never 0, and the same for every process that has it open
 *
 * Return: 0; SOCKETS_E_WRONG (no socket); -errno of getsockopt(2).
 */
int sockets_cookie(int fd, uint64_t *ret_cookie);

/** sockets_unlink() - remove a socket of ours from the runtime directory; a foreign one stays */
void sockets_unlink(int dir_fd, const char *name);
