/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Descriptor to Poll
 *
 * Who is armed has `news_heard` set to no value of news, so that the next operation passes by
 * shmb__enter_slow(), where it is disarmed: a peer that goes on meanwhile has rung once for this
 * sleep, and finds an even word from then on.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/deadline.h"
#include "client/poll.h"
#include "client/region.h"
#include "client/wait.h"

static ShmbPoll *poll_of(struct shmb_region *r) {
        if (r->poll)
                return r->poll;
        r->poll = calloc(1, sizeof(*r->poll));
        if (r->poll)
                r->poll->read_fd = r->poll->write_fd = -1;
        return r->poll;
}

static bool polls(const struct shmb_region *r) {
        return r->poll && r->poll->read_fd >= 0;
}

/*
 * A write to a FIFO that nobody reads any more raises SIGPIPE, and the library raises no signal. It
 * is sent to the thread that wrote, so it can be taken back before it is delivered.
 */
static void poke(int fd) {
        static const struct timespec now;
        sigset_t pipe, before, pending;
        bool was_pending;
        int saved = errno;

        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigpending(&pending);
        was_pending = sigismember(&pending, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, &before);
        /* A full FIFO is readable already. */
        if (write(fd, "", 1) < 0 && errno == EPIPE && !was_pending)
                while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
                        ;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
}

static void drain(int fd) {
        char bytes[256];
        ssize_t n;

        do
                n = read(fd, bytes, sizeof(bytes));
        while (n == (ssize_t)sizeof(bytes) || (n < 0 && errno == EINTR));
}

/* S2 and S3. */
static void arm(struct shmb_region *r) {
        shmb_sleep_enter(&r->sleeper);
        shmb__wait_barrier(r);
        r->poll->armed = true;
}

int shmb__poll_arm(struct shmb_region *r, int result) {
        int found;

        if (!polls(r))
                return result;
        drain(r->poll->read_fd);
        r->poll->drained = true;
        arm(r);
        /* S4 */
        found = shmb__judge(r);
        if (found != -EAGAIN) {
                shmb__poll_disarm(r);
                return found;
        }
        r->news_heard = UINT64_MAX;
        return result;
}

void shmb__poll_found(struct shmb_region *r) {
        if (!polls(r) || !r->poll->drained)
                return;
        r->poll->drained = false;
        /* Its reader is here: no SIGPIPE; and a full FIFO is readable already. */
        (void)!write(r->poll->write_fd, "", 1);
}

void shmb__poll_disarm(struct shmb_region *r) {
        if (!r->poll || !r->poll->armed)
                return;
        r->poll->armed = false;
        shmb_sleep_leave(&r->sleeper);
        r->slept = true;
        /* A peer that looked at our words behind this did not write: until we find nothing again,
         * there may be something. */
        shmb__poll_found(r);
}

/*
 * Peers
 */

static ShmbPollPeer *peer_of(ShmbPoll *poll, ShmbObjectKind kind, uint32_t index) {
        return kind == SHMB_OBJECT_LANE ? &poll->lanes[index] : &poll->seats[index];
}

static void forget_peer(ShmbPollPeer *peer) {
        if (peer->lease != 0)
                close(peer->fd);
        *peer = (ShmbPollPeer){};
}

static int ask(struct shmb_region *r, ShmbObjectKind kind, uint32_t index, int64_t deadline,
               ShmbFds *ret_fds) {
        WireMessage request = { .type = WIRE_POLL }, reply;
        int result;

        request.fetch = (WireFetch){ r->lease, kind, index };
        result = shmb__lock(r->c, deadline);
        if (result < 0)
                return result;
        result = shmb__call(r->c, &request, WIRE_OK, deadline, &reply, ret_fds);
        shmb__unlock(r->c);
        return result;
}

/* Under the back-off of r->fetch_at: a broker that is away is not asked all the time. */
static bool fetch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                       uint64_t lease) {
        int64_t now = shmb__now();
        ShmbFds fds = {};
        int result = -EAGAIN;

        if (now >= r->fetch_at)
                result = ask(r, kind, index, now, &fds);
        if (result == 0 && fds.n == 1 && !fds.truncated) {
                *peer_of(r->poll, kind, index) = (ShmbPollPeer){ lease, fds.fds[0] };
                r->fetch_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
                poke(fds.fds[0]);
                return true;
        }
        shmb__fds_close(&fds);
        /* It is gone by now: that will be news. */
        if (result == -EINVAL)
                return true;
        if (now >= r->fetch_at)
                r->fetch_at = shmb__now() +
                              shmb__backoff(&r->fetch_delay, SHMB__RETRY_MAX_MS * SHMB__MS);
        return false;
}

static bool hear_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        const ShmbParty *party = shmb__party(r, kind, index);
        /* relaxed, both: ordered behind news by its acquire */
        uint64_t lease = shmb_load_relaxed(&party->polls) ? shmb_load_relaxed(&party->lease) : 0;
        ShmbPollPeer *peer;

        if (lease == 0 && !r->poll)
                return true;
        if (!poll_of(r))
                return false;
        peer = peer_of(r->poll, kind, index);
        if (peer->lease == lease)
                return true;
        forget_peer(peer);
        return lease == 0 || fetch_peer(r, kind, index, lease);
}

bool shmb__poll_hear(struct shmb_region *r) {
        bool produces = r->role == SHMB_PRODUCE, all = true;
        uint32_t i;

        if (!r->engine)
                return true;
        for (i = 0; !produces && i < r->geometry.n_lanes; i++)
                all &= hear_peer(r, SHMB_OBJECT_LANE, i);
        for (i = 0; i < r->geometry.n_seats; i++)
                if (produces || (i != r->index && shmb_geometry_competes(&r->geometry)))
                        all &= hear_peer(r, SHMB_OBJECT_SEAT, i);
        return all;
}

void shmb__poll_poke(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        const ShmbPollPeer *peer;

        /* What was fetched just now got its byte. Where the broker cannot be asked, the next
         * operation comes by here again, for the news are not heard. */
        if (!hear_peer(r, kind, index)) {
                r->news_heard = UINT64_MAX;
                return;
        }
        peer = r->poll ? peer_of(r->poll, kind, index) : NULL;
        if (peer && peer->lease != 0)
                poke(peer->fd);
}

void shmb__poll_free(struct shmb_region *r) {
        uint32_t i;

        if (!r->poll)
                return;
        for (i = 0; i < SHMB_LANES_MAX; i++)
                forget_peer(&r->poll->lanes[i]);
        for (i = 0; i < SHMB_SEATS_MAX; i++)
                forget_peer(&r->poll->seats[i]);
        if (r->poll->read_fd >= 0) {
                close(r->poll->read_fd);
                close(r->poll->write_fd);
        }
        free(r->poll);
        r->poll = NULL;
}

static int begin(struct shmb_region *r) {
        ShmbFds fds = {};
        int result;

        if (!poll_of(r))
                return -ENOMEM;
        result = ask(r, SHMB_OBJECT_NONE, 0, shmb__now() + SHMB__REPLY_MIN_NS, &fds);
        if (result == 0 && (fds.n != 2 || fds.truncated))
                result = fds.truncated ? -EMFILE : -EPROTO;
        if (result < 0) {
                shmb__fds_close(&fds);
                return result;
        }
        r->poll->read_fd = fds.fds[0];
        r->poll->write_fd = fds.fds[1];
        shmb_sleeper_poll(&r->sleeper);
        return 0;
}

/**
 * shmb_poll_fd() - a descriptor for poll(2), epoll(7) and event loops
 * @r:          handle, SHMB_PRODUCE or SHMB_CONSUME
 *
 * Readable (POLLIN) from now on until an operation with time-out 0 was -EAGAIN, or one with a
 * time-out -ETIMEDOUT; then again as soon as an operation would not be: there are items or there is
 * room, a peer died, the region ends. It may be readable in vain. Only to be polled: the library
 * reads it. It stays the same for the life of the handle, and shmb_detach() closes it.
 *
 * The first call asks the broker.
 *
 * Return: the descriptor, close-on-exec; -EPERM (an observer never waits); -EOPNOTSUPP (raw);
 * -ENOMEM, -EMFILE; -ECONNREFUSED, -ETIMEDOUT (no broker, no answer); else see <shmbroker.h>.
 */
int shmb_poll_fd(struct shmb_region *r) {
        int result;

        /* Nothing but a question: who is armed stays so.
         * relaxed: changes by fork() only */
        if (r && polls(r) && shmb_load_relaxed(r->alive) == r->alive_as)
                return r->poll->read_fd;
        result = shmb__enter(r, r && r->role == SHMB_PRODUCE ? SHMB_PRODUCE : SHMB_CONSUME);
        if (result == 0)
                result = begin(r);
        return result < 0 ? result : r->poll->read_fd;
}
