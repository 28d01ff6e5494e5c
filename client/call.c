/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Calls
 *
 * A request and its reply, over a connection that may break at any moment. Broken is not refused:
 * only an error reply, a deadline or an answer that makes no sense ends a call.
 *
 * A reply that nobody waits for any more belongs to a request that ran out of time. If it grants
 * something, that is given back, so a late answer leaks neither descriptors nor leases. Or it is
 * the second one to a request: a broker that dies between its answer and the end of the request
 * leaves both to its successor. What that grants is held already.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/deadline.h"
#include "client/region.h"
#include "client/shmb.h"

void shmb__drop(struct shmb *c) {
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

/* However short the caller's time: what was asked is on its way. */
static int64_t reply_deadline(int64_t deadline) {
        int64_t least = shmb__now() + SHMB__REPLY_MIN_NS;

        return deadline > least ? deadline : least;
}

/* What is left of a packet that could not be taken is not known: it is not waited for. */
static int failed(struct shmb *c, int error) {
        if (error < 0 && error != -EPIPE && error != -ETIMEDOUT) {
                shmb__say(&c->error, "%s: cannot talk to the broker: %s", c->path,
                          strerrordesc_np(-error));
                shmb__drop(c);
        }
        return error;
}

static int send_message(struct shmb *c, const WireMessage *message, int64_t deadline) {
        uint8_t packet[SHMB__REQUEST_SIZE];
        size_t n_bytes;
        int r;

        r = wire_encode(message, packet, sizeof(packet), &n_bytes);
        if (r < 0)
                return r;
        return failed(c, shmb__socket_send(c->fd, packet, n_bytes, deadline));
}

void shmb__tell(struct shmb *c, WireMessage *message) {
        message->id = 0;
        if (c->fd >= 0 && send_message(c, message, shmb__now() + SHMB__REPLY_MIN_NS) < 0)
                shmb__drop(c);
}

static bool is_held(const struct shmb *c, uint64_t lease) {
        const struct shmb_region *region;

        for (region = c->regions; region; region = region->next)
                if (region->lease == lease)
                        return true;
        return lease == c->last_lease;
}

/* Not what anybody waits for. */
static void give_back(struct shmb *c, const WireMessage *stray) {
        WireMessage refusal = { .type = WIRE_MAPPED };

        if (stray->type != WIRE_ATTACHED || is_held(c, stray->attached.lease))
                return;
        refusal.mapped = (WireMapped){ stray->attached.lease, ECANCELED };
        shmb__tell(c, &refusal);
}

static int broken(struct shmb *c, const char *how) {
        shmb__say(&c->error, "%s: the broker answered %s; the connection is given up", c->path,
                  how);
        shmb__drop(c);
        return -EPROTO;
}

/* Return: 1 with the reply to @id, 0 if it was another packet, -errno. */
static int receive_one(struct shmb *c, uint64_t id, int64_t deadline, WireMessage *ret_reply,
                       ShmbFds *ret_fds) {
        int n, r;

        n = shmb__socket_receive(c->fd, c->packet, sizeof(c->packet), deadline, ret_fds);
        if (n == -EBADMSG)
                return broken(c, "with more than a message may hold");
        if (n < 0)
                return failed(c, n);
        r = wire_decode(c->packet, (size_t)n, ret_reply);
        if (r == -EBADMSG) {
                shmb__fds_close(ret_fds);
                return broken(c, "with what is no message");
        }
        if (ret_reply->id == id && r == 0)
                return 1;

        shmb__fds_close(ret_fds);
        if (ret_reply->id == id && id != 0)
                return broken(c, "with a message of an unknown type");
        if (r == 0 && ret_reply->id != 0)
                give_back(c, ret_reply);
        return c->fd >= 0 ? 0 : -EPIPE;
}

static int refused(struct shmb *c, const WireError *error) {
        if (error->status == SHMB_STATUS_OK)
                return broken(c, "with an error that is none");
        shmb__say(&c->error, "%s", error->sentence);
        return -shmb_status_to_errno(error->status);
}

/* The reply to what was sent. -EPIPE: the connection is gone, ask again. */
static int collect(struct shmb *c, uint64_t id, WireType type, int64_t deadline,
                   WireMessage *ret_reply, ShmbFds *ret_fds) {
        int r;

        do
                r = receive_one(c, id, deadline, ret_reply, ret_fds);
        while (r == 0);
        if (r < 0)
                return r;

        if (ret_reply->type == WIRE_ERROR) {
                shmb__fds_close(ret_fds);
                return refused(c, &ret_reply->error);
        }
        if (ret_reply->type != type) {
                shmb__fds_close(ret_fds);
                return broken(c, "something else than was asked");
        }
        return 0;
}

/* One round trip on the connection as it is. */
static int exchange(struct shmb *c, const WireMessage *request, WireType type, int64_t deadline,
                    WireMessage *ret_reply, ShmbFds *ret_fds) {
        int r;

        deadline = reply_deadline(deadline);
        r = send_message(c, request, deadline);
        return r < 0 ? r : collect(c, request->id, type, deadline, ret_reply, ret_fds);
}

static int expect_no_fds(struct shmb *c, ShmbFds *fds) {
        if (fds->n == 0)
                return 0;
        shmb__fds_close(fds);
        return broken(c, "with descriptors that nobody asked for");
}

static int exchange_plain(struct shmb *c, WireMessage *request, WireType type, int64_t deadline,
                          WireMessage *ret_reply) {
        ShmbFds fds = {};
        int r;

        request->id = ++c->last_id;
        r = exchange(c, request, type, deadline, ret_reply, &fds);
        return r < 0 ? r : expect_no_fds(c, &fds);
}

static int say_hello(struct shmb *c, int64_t deadline) {
        WireMessage hello = { .type = WIRE_HELLO }, welcome;
        int r;

        hello.hello.major = WIRE_VERSION_MAJOR;
        hello.hello.minor = WIRE_VERSION_MINOR;
        memcpy(hello.hello.uuid, c->uuid, sizeof(c->uuid));
        r = exchange_plain(c, &hello, WIRE_WELCOME, deadline, &welcome);
        if (r == 0 && welcome.welcome.major != WIRE_VERSION_MAJOR)
                return broken(c, "in another version of the protocol");
        return r;
}

/* What the broker's answer makes of a lease. Return: 0, or an error of the connection. */
static int judge_resumed(struct shmb_region *region, int r, const WireMessage *reply) {
        switch (r) {
        case 0:
                if (reply->resumed.verdict == WIRE_VERDICT_REPLACED)
                        shmb__region_end(region, ESTALE);
                else if (reply->resumed.verdict != WIRE_VERDICT_SAME)
                        shmb__region_end(region, ESHUTDOWN);
                return 0;
        case -EIDRM:
                shmb__region_end(region, EIDRM);
                return 0;
        case -ENOKEY:
        case -ENOENT:
        case -EACCES:
                /* Nobody vouches for this lease any more. */
                shmb__region_end(region, ESHUTDOWN);
                return 0;
        default:
                return r;
        }
}

static void list_kept(const ShmbObject *objects, uint32_t n, ShmbFds *fds) {
        uint32_t i;

        for (i = 0; i < n && fds->n < SHMB_OBJECTS_MAX; i++)
                if (objects[i].kept)
                        fds->fds[fds->n++] = objects[i].kept - 1;
}

/*
 * The broker has what it made from us alone. It asks for them on a socket of their own, and does
 * not say what came of it: that shows when it serves the region again. Return: 0, or an error of
 * the connection.
 */
static int offer_region(struct shmb *c, const struct shmb_region *region, int64_t deadline) {
        WireMessage request = { .type = WIRE_OFFER }, reply;
        ShmbFds fds = {}, kept = {};
        int r;

        list_kept(&region->control, 1, &kept);
        list_kept(&region->data, 1, &kept);
        list_kept(&region->group, 1, &kept);
        list_kept(region->lanes, SHMB_LANES_MAX, &kept);
        list_kept(region->seats, SHMB_SEATS_MAX, &kept);
        request.id = ++c->last_id;
        request.offer.lease = region->lease;
        r = exchange(c, &request, WIRE_OK, deadline, &reply, &fds);
        if (r < 0)
                return r == -EPIPE || r == -ETIMEDOUT ? r : 0;
        if (fds.n == 1)
                shmb__socket_send_fds(fds.fds[0], &kept);
        shmb__fds_close(&fds);
        return 0;
}

/* The broker may be another one than the one that granted these leases. */
static int resume_regions(struct shmb *c, int64_t deadline) {
        WireMessage request, reply;
        struct shmb_region *region;
        bool wanted;
        int r;

        for (region = c->regions; region; region = region->next) {
                request = (WireMessage){ .type = WIRE_RESUME };
                request.resume.lease = region->lease;
                request.resume.generation = region->generation;
                request.resume.epoch = shmb__region_epoch(region);
                request.resume.keeps = region->keep;
                r = exchange_plain(c, &request, WIRE_RESUMED, deadline, &reply);
                wanted = r == 0 && reply.resumed.wanted;
                r = judge_resumed(region, r, &reply);
                if (r == 0 && wanted)
                        r = offer_region(c, region, deadline);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whatever else the broker holds for us is over. Return: 0, or an error of the connection. */
static int resume_no_more(struct shmb *c, int64_t deadline) {
        WireMessage request = { .type = WIRE_RESUME }, reply;
        int r;

        if (!c->owes)
                return 0;
        r = exchange_plain(c, &request, WIRE_RESUMED, deadline, &reply);
        c->owes = r < 0;
        return r;
}

/* Time must pass before the next attempt: longer and longer, until a call succeeds. */
static void back_off(struct shmb *c) {
        c->retry_at = shmb__now() + shmb__backoff(&c->retry_delay, SHMB__RETRY_MAX_MS * SHMB__MS);
}

static int come_back(struct shmb *c, int64_t deadline) {
        int r;

        r = shmb__socket_connect(c->path, deadline, &c->fd, &c->error);
        if (r < 0)
                return r;
        r = say_hello(c, deadline);
        if (r == 0)
                r = resume_regions(c, deadline);
        if (r == 0)
                r = resume_no_more(c, deadline);
        if (r < 0)
                shmb__drop(c);
        else
                c->retry_delay = shmb__earlier(c->retry_delay,
                                               SHMB__RETRY_ANSWERED_MS * SHMB__MS);
        if (r == -EPIPE)
                shmb__say(&c->error, "%s: the broker hangs up", c->path);
        return r == -EPIPE ? -ECONNREFUSED : r;
}

/* Worth another try later: the broker is on its way down or up. */
static bool is_away(int error) {
        return error == -ECONNREFUSED || error == -ESHUTDOWN;
}

int shmb__connect_once(struct shmb *c, int64_t deadline) {
        int r;

        if (c->fd >= 0)
                return 0;
        if (c->retry_at > shmb__now())
                return -ECONNREFUSED;
        r = come_back(c, deadline);
        if (r < 0)
                back_off(c);
        return r;
}

static bool has_time(int64_t deadline) {
        return deadline - shmb__now() > SHMB__RETRY_MIN_MS * SHMB__MS;
}

/* The nearer the deadline, the sooner: who gives up has tried to the end. */
static void await_attempt(struct shmb *c, int64_t deadline) {
        int64_t now = shmb__now();

        c->retry_at = shmb__earlier(c->retry_at, now + (deadline - now) / 4);
        shmb__sleep_until(c->retry_at);
}

/* Until the broker is back, or it is not worth waiting. */
static int ensure(struct shmb *c, int64_t deadline) {
        int r;

        for (;;) {
                if (c->fd < 0 && c->retry_at > shmb__now() && has_time(deadline))
                        await_attempt(c, deadline);
                r = shmb__connect_once(c, deadline);
                if (r == 0 || !is_away(r) || !has_time(deadline))
                        return r;
        }
}

void shmb__take_events(struct shmb *c) {
        WireMessage message;
        ShmbFds fds;
        int r = 0;

        /* 0 is the id of events, of which this version knows none; and of no request. */
        while (c->fd >= 0 && r >= 0) {
                r = receive_one(c, 0, 0, &message, &fds);
                if (r > 0)
                        shmb__fds_close(&fds);
        }
        if (r == -EPIPE)
                shmb__drop(c);
}

int shmb__call(struct shmb *c, WireMessage *request, WireType type, int64_t deadline,
               WireMessage *ret_reply, ShmbFds *ret_fds) {
        ShmbFds none = {};
        bool stale;
        int r;

        c->error.text[0] = '\0';
        request->id = ++c->last_id;
        do {
                /* A connection of before may have broken since, and says so only now: that is no
                 * failure. One that was made for this request and breaks is. */
                stale = c->fd >= 0;
                r = ensure(c, deadline);
                if (r < 0)
                        return r;
                r = exchange(c, request, type, deadline, ret_reply, ret_fds ? ret_fds : &none);
                if (r == -EPIPE) {
                        shmb__drop(c);
                        shmb__say(&c->error, "%s: the broker hangs up", c->path);
                        if (!stale)
                                back_off(c);
                }
        } while (r == -EPIPE && (stale || has_time(deadline)));

        shmb__fds_close(&none);
        if (r == -ETIMEDOUT)
                shmb__say(&c->error, "%s: the broker does not answer", c->path);
        if (r != -EPIPE)
                c->retry_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
        return r == -EPIPE ? -ECONNREFUSED : r;
}

int shmb__post(struct shmb *c, WireMessage *request, int64_t deadline) {
        int r;

        request->id = ++c->last_id;
        r = ensure(c, deadline);
        return r < 0 ? r : send_message(c, request, reply_deadline(deadline));
}

int shmb__await(struct shmb *c, uint64_t id, WireType type, int64_t deadline,
                WireMessage *ret_reply) {
        ShmbFds fds = {};
        int r;

        r = collect(c, id, type, deadline, ret_reply, &fds);
        if (r == 0)
                r = expect_no_fds(c, &fds);
        if (r == -EPIPE) {
                shmb__drop(c);
                shmb__say(&c->error, "%s: the broker hangs up", c->path);
                back_off(c);
        } else if (r != -ETIMEDOUT) {
                c->retry_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
        }
        return r;
}
