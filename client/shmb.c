/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Connection: its life, and how it lives in an event loop
 *
 * An event loop needs one descriptor that stays the same while sockets come and go, so shmb_fd()
 * gives an epoll instance that watches the socket, or, while the broker is away, a timer of the
 * next attempt.
 *
 * A child of fork() has a copy of all this: it may close descriptors and free memory, but must not
 * touch the lock (its holder does not exist there) nor say a word on the socket (the broker would
 * take it for its parent).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/deadline.h"
#include "client/region.h"
#include "client/shmb.h"

/* Why shmb_connect() failed, which leaves no handle to ask; shmb_error(NULL). */
static _Thread_local ShmbSentence connect_error;

bool shmb__is_ours(const struct shmb *c) {
        /* relaxed: changes by fork() only */
        return shmb_load_relaxed(c->process.alive) == c->process.generation;
}

int shmb__take_struct(const void *given, size_t n_least, void *known, size_t n_known) {
        const char *bytes = given;
        size_t i, n;

        if (!given)
                return 0;
        memcpy(&n, given, sizeof(n));
        if (n < n_least)
                return -EINVAL;
        /* A program built with a newer header may have set what is not known here. */
        for (i = n_known; i < n; i++)
                if (bytes[i] != 0)
                        return -E2BIG;
        memset(known, 0, n_known);
        memcpy(known, given, n < n_known ? n : n_known);
        return 0;
}

int shmb__lock(struct shmb *c, int64_t deadline) {
        const struct timespec at = shmb__timespec(deadline);

        return -pthread_mutex_clocklock(&c->lock, CLOCK_MONOTONIC, &at);
}

void shmb__unlock(struct shmb *c) {
        pthread_mutex_unlock(&c->lock);
}

static struct shmb *destroy(struct shmb *c) {
        int fds[] = { c->fd, c->epoll_fd, c->timer_fd };
        size_t i;

        for (i = 0; i < sizeof(fds) / sizeof(*fds); i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
}

/* Nobody will come back to say that nothing is held any more: tried once more. */
static void settle(struct shmb *c) {
        c->retry_at = 0;
        (void)shmb__connect_once(c, shmb__now() + SHMB__DETACH_NS);
}

struct shmb *shmb__ref(struct shmb *c) {
        c->n_refs++;
        return c;
}

struct shmb *shmb__unref(struct shmb *c) {
        bool ours = shmb__is_ours(c), last;

        if (ours)
                pthread_mutex_lock(&c->lock);
        last = --c->n_refs == 0;
        if (ours)
                pthread_mutex_unlock(&c->lock);
        if (last && ours && c->owes)
                settle(c);
        return last ? destroy(c) : NULL;
}

static int init(struct shmb *c, const char *socket_path) {
        int r;

        r = shmb__process_enter(&c->process);
        if (r < 0) {
                shmb__say(&c->error, "cannot set up this process: %s", strerrordesc_np(-r));
                return r;
        }
        if (getrandom(c->uuid, sizeof(c->uuid), 0) != sizeof(c->uuid)) {
                shmb__say(&c->error, "no randomness from the kernel");
                return -EIO;
        }
        return shmb__socket_path(socket_path, c->path, &c->error);
}

int shmb__new(const char *path, struct shmb **ret, ShmbSentence *sentence) {
        struct shmb *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        pthread_mutex_init(&c->lock, NULL);
        c->fd = c->epoll_fd = c->timer_fd = -1;
        c->n_refs = 1;
        c->retry_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
        r = init(c, path);
        if (r < 0) {
                *sentence = c->error;
                destroy(c);
                return r;
        }
        *ret = c;
        return 0;
}

/**
 * shmb_connect() - connect to the broker
 * @socket_path:        of its socket; NULL for the default (see <shmbroker.h>)
 * @ret:                connection, for shmb_close()
 *
 * Waits at most five seconds, and only for a broker that is there and busy.
 *
 * Return: 0; -ECONNREFUSED (no broker there); -EPERM (somebody listens who is not to be trusted);
 * -EACCES; -EINVAL, -ENAMETOOLONG (the path); -EPROTONOSUPPORT (no common version); -EDQUOT (too
 * many connections of this user); -ETIMEDOUT; -EPROTO; -ENOMEM, -EMFILE. shmb_error(NULL) says why.
 */
int shmb_connect(const char *socket_path, struct shmb **ret) {
        struct shmb *c;
        int r;

        connect_error.text[0] = '\0';
        if (!ret)
                return -EINVAL;
        r = shmb__new(socket_path, &c, &connect_error);
        if (r < 0)
                return r;
        r = shmb__connect_once(c, shmb__now() + SHMB__CONNECT_NS);
        if (r < 0) {
                connect_error = c->error;
                destroy(c);
                return r;
        }
        *ret = c;
        return 0;
}

/**
 * shmb_close() - give a connection up
 * @c:          connection, or NULL
 *
 * Regions that are attached stay so, and keep the socket until the last of them is detached.
 *
 * Return: NULL.
 */
struct shmb *shmb_close(struct shmb *c) {
        return c ? shmb__unref(c) : NULL;
}

const char *shmb_error(const struct shmb *c) {
        return c ? c->error.text : connect_error.text;
}

const char *shmb_version(void) {
        return PACKAGE_VERSION;
}

/* Watch the socket if there is one, else the time of the next attempt. */
static int watch(struct shmb *c) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP };
        struct itimerspec timer = {};

        if (c->fd < 0)
                timer.it_value = shmb__timespec(c->retry_at > 0 ? c->retry_at : 1);
        if (timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0)
                return -errno;
        /* A socket that was closed left by itself. */
        if (c->fd >= 0 && epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0 &&
            errno != EEXIST)
                return -errno;
        return 0;
}

void shmb__arm(struct shmb *c) {
        if (c->epoll_fd >= 0 && watch(c) < 0)
                shmb__drop(c);
}

static int make_epoll(struct shmb *c) {
        struct epoll_event event = { .events = EPOLLIN };
        int r = 0;

        if (c->epoll_fd >= 0)
                return 0;
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (c->timer_fd < 0)
                return -errno;
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->epoll_fd < 0 ||
            epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->timer_fd, &event) < 0) {
                r = -errno;
                close(c->timer_fd);
                if (c->epoll_fd >= 0)
                        close(c->epoll_fd);
                c->timer_fd = c->epoll_fd = -1;
        }
        return r;
}

/**
 * shmb_fd() - for poll(2) and its relatives
 * @c:          connection
 *
 * Return: a descriptor, the same for as long as @c lives, owned by it; readable means call
 * shmb_dispatch(). -EINVAL, -ECHILD, -EMFILE, -ENOMEM.
 */
int shmb_fd(struct shmb *c) {
        int r;

        if (!c)
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        r = shmb__lock(c, SHMB__NEVER);
        if (r < 0)
                return r;
        r = make_epoll(c);
        if (r == 0)
                r = watch(c);
        if (r == 0)
                r = c->epoll_fd;
        shmb__unlock(c);
        return r;
}

/**
 * shmb_dispatch() - take what came, connect again if the broker is back
 * @c:          connection
 *
 * Waits for nothing but the answer of a broker that is there again, and for that a second at most.
 *
 * Return: 0 (connected); -ECONNREFUSED and others of shmb_connect() while it is not: nothing to do,
 * shmb_fd() becomes readable when it is time for the next attempt. -EINVAL, -ECHILD.
 */
int shmb_dispatch(struct shmb *c) {
        int r;

        if (!c)
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        /* Somebody is in the middle of a call: he takes what comes. */
        if (pthread_mutex_trylock(&c->lock) != 0)
                return 0;
        shmb__take_events(c);
        r = shmb__connect_once(c, 0);
        shmb__arm(c);
        shmb__unlock(c);
        return r;
}
