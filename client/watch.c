/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watches
 *
 * A watch has a connection of its own: its request may wait for days at the broker, and whoever
 * shares a connection must not wait for that. What the broker keeps for a watch it keeps for a
 * connection, so one that had to be made anew has missed something, and the broker says so.
 *
 * Nobody should have to know when he missed something and what to do then: a watch begins with what
 * is there, and so it goes on behind each gap. While the listing is read no request waits, and what
 * happens meanwhile is kept by the broker and comes behind it, at worst twice.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/deadline.h"
#include "client/shmb.h"
#include <shmbroker.h>
#include "protocol/bits.h"
#include "protocol/name.h"

static_assert((int)SHMB_DECLARED == (int)SHMB_EVENT_DECLARED &&
                              (int)SHMB_REMOVED == (int)SHMB_EVENT_REMOVED,
              "the events of the header are those of the wire");

typedef enum WatchPhase {
        WATCH_EVENTS,  /* `events` is walked, then asked for more */
        WATCH_LAST,    /* `events` is walked, and behind it something was missed */
        WATCH_LIST,    /* to be asked what there is, behind `after` */
        WATCH_PRESENT, /* `listing` is walked */
} WatchPhase;

struct shmb_watch {
        struct shmb *c;   /* owned */
        WatchPhase phase;
        uint64_t request; /* that waits at the broker, or 0 */
        uint64_t sequence;
        size_t at;        /* in what is walked */
        union {           /* borrows from c->packet */
                WireEvents events;
                WireListing listing;
        };
        char name[SHMB_NAME_MAX + 1];  /* "" for all */
        char after[SHMB_NAME_MAX + 1]; /* the last name of the listing so far */
};

static bool is_ready(uint32_t state) {
        return state == SHMB_REGION_DECLARED || state == SHMB_REGION_LIVE;
}

static void give(struct shmb_event *event, struct shmb_event *all) {
        all->size = event->size;
        memcpy(event, all, all->size < sizeof(*all) ? all->size : sizeof(*all));
}

static int malformed(struct shmb_watch *w) {
        shmb__say(&w->c->error, "%s: the broker sent a malformed page; the connection is given up",
                  w->c->path);
        shmb__drop(w->c);
        w->events = (WireEvents){};
        w->at = 0;
        w->phase = WATCH_EVENTS;
        return -EPROTO;
}

/* Return: 1 with an event, 0 where there is none left, -EPROTO. */
static int next_event(struct shmb_watch *w, struct shmb_event *event) {
        WireEvent entry;
        int r;

        r = wire_event_next(&w->events, &w->at, &entry);
        if (r <= 0)
                return r < 0 ? malformed(w) : 0;
        give(event, &(struct shmb_event){
                            .type = entry.event,
                            .ready = is_ready(entry.state),
                            .role = entry.role,
                            .uid = entry.uid,
                            .pid = entry.pid,
                            .sequence = entry.sequence,
                            .time_ns = entry.at_ns,
                            .generation = entry.generation,
                            .lease = entry.lease,
                            .region = entry.region,
                            .command = entry.command,
                            .reason = entry.reason,
                    });
        return 1;
}

static int next_present(struct shmb_watch *w, struct shmb_event *event) {
        WireRegion entry;
        int r;

        r = wire_region_next(&w->listing, &w->at, &entry);
        /* Names ascend, or it would never end. */
        if (r < 0 || (r > 0 && strcmp(entry.name, w->after) <= 0))
                return malformed(w);
        if (r == 0)
                return 0;
        /* Decoded: no longer than SHMB_NAME_MAX. */
        strcpy(w->after, entry.name);
        give(event, &(struct shmb_event){
                            .type = SHMB_PRESENT,
                            .ready = is_ready(entry.state),
                            .sequence = w->sequence,
                            .generation = entry.generation,
                            .region = w->after,
                            .command = "",
                            .reason = entry.reason,
                    });
        return 1;
}

static WireMessage watch_request(const struct shmb_watch *w) {
        return (WireMessage){
                .type = WIRE_WATCH,
                .watch = { .name = w->name[0] ? w->name : NULL },
        };
}

static int ask_events(struct shmb_watch *w, int64_t deadline) {
        WireMessage request = watch_request(w);
        int r;

        if (w->request && w->c->fd >= 0)
                return 0;
        w->request = 0;
        r = shmb__post(w->c, &request, deadline);
        if (r == 0)
                w->request = request.id;
        return r;
}

/* Ask, and wait for the answer. */
static int take_events(struct shmb_watch *w, int64_t deadline) {
        WireMessage reply;
        int r;

        do {
                r = ask_events(w, deadline);
                if (r == 0)
                        r = shmb__await(w->c, w->request, WIRE_EVENTS, deadline, &reply);
        } while (r == -EPIPE && deadline > shmb__now());
        if (r < 0)
                return r == -EPIPE ? -ECONNREFUSED : r;

        w->request = 0;
        w->events = reply.events;
        w->at = 0;
        w->phase = reply.events.resync ? WATCH_LAST : WATCH_EVENTS;
        w->sequence = reply.events.sequence;
        return 0;
}

static int take_listing(struct shmb_watch *w, int64_t deadline) {
        WireMessage request = { .type = WIRE_LIST }, reply;
        int r;

        request.list.name = w->name[0] ? w->name : NULL;
        request.list.after = w->after[0] ? w->after : NULL;
        r = shmb__call(w->c, &request, WIRE_LISTING, deadline, &reply, NULL);
        if (r < 0 && r != -ENOENT)
                return r;
        w->listing = r == 0 ? reply.listing : (WireListing){};
        w->at = 0;
        w->phase = WATCH_PRESENT;
        return 0;
}

static void begin_listing(struct shmb_watch *w) {
        w->after[0] = '\0';
        w->phase = WATCH_LIST;
}

static void end_page(struct shmb_watch *w) {
        if (w->listing.more && w->at > 0) {
                w->phase = WATCH_LIST;
                return;
        }
        w->events = (WireEvents){};
        w->at = 0;
        w->phase = WATCH_EVENTS;
}

static int give_missed(struct shmb_watch *w, struct shmb_event *event) {
        give(event, &(struct shmb_event){
                            .type = SHMB_MISSED,
                            .sequence = w->sequence,
                            .region = "",
                            .command = "",
                            .reason = "",
                    });
        begin_listing(w);
        return 1;
}

/* Return: 1 with an event, 0 to go on, -errno. */
static int step(struct shmb_watch *w, struct shmb_event *event, int64_t deadline) {
        int r;

        switch (w->phase) {
        case WATCH_EVENTS:
                r = next_event(w, event);
                return r ? r : take_events(w, deadline);
        case WATCH_LAST:
                r = next_event(w, event);
                return r ? r : give_missed(w, event);
        case WATCH_LIST:
                return take_listing(w, deadline);
        case WATCH_PRESENT:
                r = next_present(w, event);
                if (r == 0)
                        end_page(w);
                return r;
        }
        return -EINVAL;
}

/* For shmb_error() of the user's connection, which other threads may be using. */
static void say_why(struct shmb *c, const ShmbSentence *sentence) {
        shmb__lock(c, SHMB__NEVER);
        c->error = *sentence;
        shmb__unlock(c);
}

/* The first request is answered at once; nothing was missed before it that anybody waited for. */
static int begin(struct shmb_watch *w, int64_t deadline) {
        WireMessage request = watch_request(w), reply;
        int r;

        r = shmb__call(w->c, &request, WIRE_EVENTS, deadline, &reply, NULL);
        if (r < 0)
                return r;
        w->sequence = reply.events.sequence;
        begin_listing(w);
        return 0;
}

/**
 * shmb_watch() - begin to hear of what happens to regions
 * @c:          whose broker; not used any more when this returns
 * @name:       of one region, there or not; NULL for all that give this user a role
 * @timeout_ns: for the broker to answer or come back
 * @ret:        watch, for shmb_unwatch()
 *
 * What happens from now on is kept by the broker until it is asked for, about a hundred events.
 *
 * Return: 0; -EINVAL (the name); -ECHILD; -ENOMEM; others as of shmb_connect(), and shmb_error(@c)
 * says why.
 */
int shmb_watch(struct shmb *c, const char *name, int64_t timeout_ns, struct shmb_watch **ret) {
        ShmbSentence sentence = {};
        struct shmb_watch *w;
        int r;

        if (!c || !ret || (name && shmb_name_check(name, strlen(name), NULL) != SHMB_NAME_FINE))
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        if (name)
                memcpy(w->name, name, strlen(name) + 1);

        r = shmb__new(c->path, &w->c, &sentence);
        if (r == 0)
                r = begin(w, shmb__deadline(timeout_ns));
        if (r < 0) {
                say_why(c, w->c ? &w->c->error : &sentence);
                shmb_unwatch(w);
                return r;
        }
        *ret = w;
        return 0;
}

/**
 * shmb_unwatch() - hear no more
 * @w:          watch, or NULL
 *
 * Return: NULL.
 */
struct shmb_watch *shmb_unwatch(struct shmb_watch *w) {
        if (!w)
                return NULL;
        shmb_close(w->c);
        free(w);
        return NULL;
}

/**
 * shmb_watch_next() - what happened next
 * @w:          watch
 * @event:      its `size` is set by the caller; its strings live until the next call on @w
 * @timeout_ns: how long to wait for it, also while the broker is away
 *
 * First a SHMB_PRESENT for each region that is there, in order of name; then what happens. After a
 * SHMB_MISSED it begins anew: forget what was known.
 *
 * Return: 0; -EAGAIN (@timeout_ns is 0), -ETIMEDOUT; -ECONNREFUSED (the broker is away, and still
 * was at the end of the time: call again); -EPROTO (the broker is broken); -EINVAL, -ECHILD.
 */
int shmb_watch_next(struct shmb_watch *w, struct shmb_event *event, int64_t timeout_ns) {
        int64_t deadline = shmb__deadline(timeout_ns);
        int r;

        if (!w || !event || event->size < sizeof(event->size))
                return -EINVAL;
        if (!shmb__is_ours(w->c))
                return -ECHILD;
        do
                r = step(w, event, deadline);
        while (r == 0);
        shmb__arm(w->c);
        if (r == -ETIMEDOUT && timeout_ns == 0)
                return -EAGAIN;
        return r < 0 ? r : 0;
}

/**
 * shmb_watch_fd() - for poll(2) and its relatives
 * @w:          watch
 *
 * Return: a descriptor, owned by @w; readable means call shmb_watch_next() until it is -EAGAIN or
 * -ECONNREFUSED, and before that it may be silent. Otherwise as shmb_fd().
 */
int shmb_watch_fd(struct shmb_watch *w) {
        return w ? shmb_fd(w->c) : -EINVAL;
}

/**
 * shmb_wait_region() - wait until a region can be attached
 * @c:          whose broker
 * @name:       of the region
 * @timeout_ns: how long, also while the broker is away
 *
 * It is there, and gives this user a role. Whether that is the one that is wanted, and has a place
 * left, shmb_attach() says.
 *
 * Return: 0; -EAGAIN (@timeout_ns is 0), -ETIMEDOUT; others as of shmb_watch().
 */
int shmb_wait_region(struct shmb *c, const char *name, int64_t timeout_ns) {
        struct shmb_event event = { .size = sizeof(event) };
        int64_t deadline = shmb__deadline(timeout_ns), left;
        struct shmb_watch *w;
        int r;

        if (!name)
                return -EINVAL;
        r = shmb_watch(c, name, timeout_ns, &w);
        if (r < 0)
                return r;
        do {
                left = timeout_ns <= 0 ? timeout_ns : deadline - shmb__now();
                r = shmb_watch_next(w, &event, left > 0 || timeout_ns <= 0 ? left : 1);
        } while (r == 0 && !event.ready);
        if (r < 0)
                say_why(c, &w->c->error);
        shmb_unwatch(w);
        return r;
}
