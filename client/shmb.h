/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Connection
 *
 * One socket, one request at a time, under one lock, so that handles of several threads may share
 * it. It comes back by itself: a call that finds the broker gone connects again within its time,
 * says hello with the same uuid, resumes the leases of all its regions and repeats its request
 * under the same id, which makes the repetition harmless.
 *
 * Ownership: the user's handle and each region hold a reference, and the socket is closed with the
 * last one; so shmb_close() before shmb_detach() takes no region away.
 *
 * Lock order: there is only this lock. It is never held while anybody sleeps for a peer.
 */

#include <pthread.h>
#include <stdint.h>

#include "client/process.h"
#include "client/socket.h"
#include "protocol/wire.h"

struct shmb {
        pthread_mutex_t lock;
        ShmbProcess process; /* that connected; fixed */
        /* below: under the lock */
        uint32_t n_refs;
        int fd; /* -1 while the broker is away */
        int epoll_fd, timer_fd; /* of shmb_fd(), -1 until asked for */
        uint64_t last_id;
        uint64_t last_lease; /* of the last attach, whose region may not be in the list yet */
        int64_t retry_at, retry_delay; /* of a reconnect */
        struct shmb_region *regions;   /* whose leases are to be resumed */
        bool owes; /* the broker may believe that there are more: it was away */
        ShmbSentence error;
        uint8_t uuid[SHMB_UUID_SIZE];
        char path[SHMB__PATH_SIZE];
        uint8_t packet[SHMB_MESSAGE_MAX]; /* the last reply; messages borrow from it */
};

enum {
        SHMB__RETRY_MIN_MS = 10,
        SHMB__RETRY_MAX_MS = 1000,
        /* At most, where a broker had answered: its end since is a new one, and it may live for
         * less than the longest pause. */
        SHMB__RETRY_ANSWERED_MS = 100,
        /* Room for any request of ours. */
        SHMB__REQUEST_SIZE = 1024,
};

/*
 * Who asks for the broker's answer gets it awaited at least this long, whatever its time-out: a
 * request that is on its way cannot be tried.
 */
#define SHMB__REPLY_MIN_NS (1 * SHMB__SECOND)
/* Of a detach, while the broker is being restarted. */
#define SHMB__DETACH_NS (300 * SHMB__MS)
/* Of shmb_connect(), which has no time-out of its own. */
#define SHMB__CONNECT_NS (5 * SHMB__SECOND)

/* True in the process that connected; a child of it must touch nothing that is shared. */
bool shmb__is_ours(const struct shmb *c);

/**
 * shmb__lock() - take the lock, within a deadline
 *
 * Return: 0; -ETIMEDOUT.
 */
int shmb__lock(struct shmb *c, int64_t deadline);
void shmb__unlock(struct shmb *c);

/**
 * shmb__new() - a connection that is not connected yet: whoever calls does that
 * @path:       as of shmb_connect()
 * @ret:        connection, for shmb_close()
 * @sentence:   why not
 *
 * Return: 0; -EINVAL, -ENAMETOOLONG, -ENOMEM, -EIO, and errors of shmb__process_enter().
 */
int shmb__new(const char *path, struct shmb **ret, ShmbSentence *sentence);

/* After a call in an event loop: shmb_fd() watches what there is to wait for now. */
void shmb__arm(struct shmb *c);

struct shmb *shmb__ref(struct shmb *c);
/* Gives one reference up; closes and frees with the last. Not under the lock. */
struct shmb *shmb__unref(struct shmb *c);

/**
 * shmb__call() - one request, one reply; under the lock
 * @c:          connection
 * @request:    its id is set here
 * @type:       of the reply that is expected
 * @deadline:   also for the broker to come back, if it is away
 * @ret_reply:  borrows from c->packet until the next call
 * @ret_fds:    descriptors of the reply, owned by the caller; NULL if none are expected
 *
 * Return: 0; the errno of an error reply, and then c->error is the broker's sentence; -ETIMEDOUT;
 * -ECONNREFUSED, -EPERM and others of shmb__socket_connect(); -EPROTO (an answer that is none).
 */
int shmb__call(struct shmb *c, WireMessage *request, WireType type, int64_t deadline,
               WireMessage *ret_reply, ShmbFds *ret_fds);

/**
 * shmb__post() - the first half of shmb__call(): say it, over a connection that is made if need be
 *
 * Return: 0; -EPIPE (broken, say it again); others of shmb__call().
 */
int shmb__post(struct shmb *c, WireMessage *request, int64_t deadline);

/**
 * shmb__await() - the other half: the reply to request @id, which may come at any time
 *
 * Return: 0; -ETIMEDOUT (not yet: await it again); -EPIPE (broken, post it anew); others of
 * shmb__call().
 */
int shmb__await(struct shmb *c, uint64_t id, WireType type, int64_t deadline,
                WireMessage *ret_reply);

/* A packet that wants no reply (id 0); under the lock. Failure shows at the next call. */
void shmb__tell(struct shmb *c, WireMessage *message);

/*
 * Connect, say hello and resume if there is no connection, and it is time to; under the lock.
 * @deadline is for a place in the backlog. Return: 0, or as shmb__call().
 */
int shmb__connect_once(struct shmb *c, int64_t deadline);
/* Take what the broker sent unasked, without waiting; under the lock. */
void shmb__take_events(struct shmb *c);
/**
 * shmb__take_struct() - a structure of the caller's, which an older or newer header may have made
 * @given:      its first member is its size (size_t); NULL leaves @known as it is
 * @n_least:    that it has at least
 * @known:      what is not given is zero
 * @n_known:    bytes of @known
 *
 * Return: 0; -EINVAL (too short); -E2BIG (something is set that is not known here).
 */
int shmb__take_struct(const void *given, size_t n_least, void *known, size_t n_known);

/* The connection is of no use any more; under the lock. */
void shmb__drop(struct shmb *c);
