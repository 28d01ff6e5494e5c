/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Socket of the Broker
 *
 * Where it is, whether who listens there is to be trusted, and one packet out and in. Knows packets
 * and descriptors, not messages. Sentences are written where a refusal needs more than its errno.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "protocol/limits.h"

typedef struct ShmbFds ShmbFds;
typedef struct ShmbSentence ShmbSentence;

/* One sentence for a person: what, where, what to do. */
struct ShmbSentence {
        char text[SHMB_SENTENCE_MAX + 1];
};

/* Descriptors that came with a packet; owned by whoever holds this until taken out. */
struct ShmbFds {
        int fds[SHMB_OBJECTS_MAX];
        uint32_t n;
        bool truncated; /* MSG_CTRUNC: more were sent than could be installed here */
};

enum {
        SHMB__PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path),
};

__attribute__((format(printf, 2, 3))) void shmb__say(ShmbSentence *sentence, const char *format,
                                                      ...);

/**
 * shmb__socket_path() - which socket a caller means
 * @wanted:     as given to shmb_connect(); NULL for the default
 * @ret_path:   where to write it
 * @sentence:   why not
 *
 * The default is $SHMBROKER_SOCKET; else, for other users than root, that of the user's own broker
 * ($XDG_RUNTIME_DIR/shmbroker/broker.sock) if there is such a file; else
 * /run/shmbroker/broker.sock. Privileged programs (AT_SECURE) ignore their environment.
 *
 * Return: 0, -EINVAL (empty), -ENAMETOOLONG.
 */
int shmb__socket_path(const char *wanted, char ret_path[SHMB__PATH_SIZE], ShmbSentence *sentence);

/**
 * shmb__socket_connect() - connect, and look who listens
 * @path:       of the socket
 * @deadline:   for a place in the backlog, of CLOCK_MONOTONIC
 * @ret_fd:     connection: SOCK_SEQPACKET, close-on-exec; owned by the caller
 * @sentence:   why not
 *
 * The listener must be root, ourselves, or the owner of the socket's directory, and nobody but its
 * owner may put files there (a sticky directory counts as such: who squats there is recognised by
 * his uid).
 *
 * Return: 0; -ECONNREFUSED (nobody listens there); -EPERM (somebody does who is not to be trusted);
 * -EACCES; -ETIMEDOUT (backlog full until @deadline); other -errno of socket(2), connect(2).
 */
int shmb__socket_connect(const char *path, int64_t deadline, int *ret_fd, ShmbSentence *sentence);

/**
 * shmb__socket_send() - one packet, whole
 *
 * Return: 0; -EPIPE (the broker is gone); -ETIMEDOUT; other -errno of sendmsg(2).
 */
int shmb__socket_send(int fd, const void *packet, size_t n_bytes, int64_t deadline);

/**
 * shmb__socket_receive() - one packet and its descriptors
 * @fd:         connection
 * @buffer:     where to
 * @size:       its bytes
 * @deadline:   how long to wait; 0 takes what is there
 * @ret_fds:    what came along, close-on-exec; owned by the caller
 *
 * Return: bytes, at least 1; -EPIPE (the broker is gone); -ETIMEDOUT; -EBADMSG (longer than @size);
 * other -errno of recvmsg(2). No descriptor is left open on failure.
 */
int shmb__socket_receive(int fd, void *buffer, size_t size, int64_t deadline, ShmbFds *ret_fds);

/** shmb__socket_send_fds() - one packet of descriptors, which stay open; if it goes, it goes */
void shmb__socket_send_fds(int fd, const ShmbFds *fds);

/* Closes what is still in there; idempotent. */
void shmb__fds_close(ShmbFds *fds);
