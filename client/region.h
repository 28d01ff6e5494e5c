/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Region Handle
 *
 * What one role in one region is made of: the mappings, the end of the buffer that works on them
 * (memory/), and what was last heard from the broker through the control object.
 *
 * Everything is the business of the one thread that uses the handle, but `gate` and `end`: a thread
 * that reconnects the shared connection stores to them when the broker ended the lease.
 */

#include <stdint.h>

#include "client/engine.h"
#include "client/object.h"
#include "client/poll.h"
#include "client/process.h"
#include "client/shmb.h"
#include <shmbroker.h>
#include "memory/atomics.h"
#include "memory/cast.h"
#include "memory/group.h"
#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"
#include "memory/stream.h"

enum {
        SHMB__SPIN_MIN_NS = 1000,
        /* About one sleep and wake-up: PERFORMANCE 2. */
        SHMB__SPIN_MAX_NS = 50000,
};

/* What a queue needs besides: client/engine-queue.c. */
typedef struct ShmbQueueEnd {
        uint64_t segment;             /* items */
        uint64_t asked;               /* producer: of which `backed` more was asked for */
        uint64_t told[SHMB_LANES_MAX]; /* consumer: released, as the broker knows it */
        int64_t tell_at, tell_delay;  /* not to speak to a broker that is away all the time */
} ShmbQueueEnd;

/* What broadcast and latest need besides: client/engine-cast.c. */
typedef struct ShmbCastEnd {
        uint32_t held[SHMB_SEATS_MAX], n_held; /* producer: seats on which somebody is */
        uint8_t *copies;                       /* consumer: what a peek shows; owned */
        uint64_t n_missed_said;
} ShmbCastEnd;

struct shmb_region {
        /* the fast path, one line */
        _Atomic uint32_t gate; /* ShmbGate */
        _Atomic uint32_t end;  /* errno with which it ends once drained, or 0 */
        const _Atomic uint32_t *alive;
        uint32_t alive_as;     /* what stands there in our process */
        uint32_t n_seats;
        _Atomic uint32_t lost; /* an object was lost, and shmb__lose() was not called since */
        const _Atomic uint32_t *news;
        const ShmbEngine *engine; /* NULL for observers and raw regions */
        uint64_t news_heard;   /* value of *news; no value of it while something is to be done */

        /* what was agreed */
        struct shmb *c;
        struct shmb_region *next; /* in c->regions, under its lock */
        ShmbGeometry geometry;
        uint32_t backing, overflow; /* ShmbBacking, ShmbOverflow */
        uint32_t role, index, flags;
        uint64_t lease, generation, tag;
        bool keep; /* descriptors, for the next broker */
        char name[SHMB_NAME_MAX + 1];
        char type[SHMB_TYPE_MAX + 1];

        /* what is mapped; absent ones are ShmbObject {} */
        ShmbObject control, data, group;
        ShmbObject lanes[SHMB_LANES_MAX], seats[SHMB_SEATS_MAX];
        ShmbObject coming; /* fetched, waits for the old one to be drained */
        ShmbObjectKind coming_kind;
        uint32_t coming_index;

        /* what was heard */
        uint32_t news_seen; /* the futex value to sleep on */
        uint32_t n_deaths;  /* of the other role, sum */
        uint32_t n_unsaid;  /* of them, not yet said */
        uint32_t news_repaired; /* of a group: what was repaired by */
        uint64_t holders[SHMB_LANES_MAX]; /* consumer: the lease on each lane that was last */
        int64_t fetch_at, fetch_delay; /* not to ask a broker that is away all the time */
        uint32_t fetch_next; /* with which peer the next attempt begins */

        ShmbQueueEnd queue;
        ShmbCastEnd cast;

        /* how it waits, and counts */
        ShmbCounters *counters; /* in our own lane or seat */
        ShmbSleeper sleeper;
        ShmbPoll *poll; /* NULL until somebody polls */
        int64_t spin_ns; /* 0: never */
        bool registered; /* process.registered */
        bool slept;      /* since the last operation that found something */

        union {
                ShmbRingProducer producer;
                ShmbRingConsumer consumer;
                ShmbGroupMember member;
                ShmbCastProducer cast_producer;
                ShmbCastConsumer cast_consumer;
                ShmbStreamProducer stream_producer; /* begins with `producer` */
                ShmbStreamConsumer stream_consumer; /* begins with `consumer` */
        };
};

/* The lease is over or the region is not what it was; safe from any thread. */
void shmb__region_end(struct shmb_region *r, int error);
/* Of the object that the region writes, 0 if it writes none. */
uint32_t shmb__region_epoch(const struct shmb_region *r);

/*
 * An object of @r was lost (client/guard.h): what was read of it last is zeros. Return: 0, or
 * -EBADMSG if that is news and concerns who asks: for a consumer the lane whose turn it is, for a
 * producer any seat.
 */
int shmb__lose(struct shmb_region *r);

/* After what was read, before it is given out. */
static inline uint32_t shmb__has_lost(const struct shmb_region *r) {
        /* acquire fence: keeps the load of lost behind those of the items; pairs with the exchange
         * of is_lost in contain(), and the zeros come behind that */
        atomic_thread_fence(memory_order_acquire);
        /* relaxed: ordered by the fence */
        return shmb_load_relaxed(&r->lost);
}

/*
 * What to do where shmb__may() says no. Return: 0 (the news were heard, go on), or -errno.
 */
int shmb__enter_slow(struct shmb_region *r, uint32_t role);

/* May @r do what @gate stands for, and is there nothing new? */
static inline bool shmb__may(const struct shmb_region *r, ShmbGate gate) {
        /* relaxed, all: each is a hint to look closer, and nothing else is read through it */
        return !shmb_unlikely(!r || shmb_load_relaxed(&r->gate) != gate ||
                              shmb_load_relaxed(r->alive) != r->alive_as ||
                              shmb_load_relaxed(r->news) != r->news_heard);
}

/* What control says of the holder of a lane, a seat, or the group. */
static inline const ShmbParty *shmb__party(const struct shmb_region *r, ShmbObjectKind kind,
                                           uint32_t index) {
        const ShmbControl *control = r->control.memory;

        if (kind != SHMB_OBJECT_LANE)
                index += r->geometry.n_lanes;
        if (kind == SHMB_OBJECT_GROUP)
                index += r->geometry.n_seats;
        return &control->parties[index];
}

static inline bool shmb__seat_is_held(const struct shmb_region *r, uint32_t seat) {
        /* relaxed: ordered behind news by its acquire, where that matters */
        return shmb_load_relaxed(&shmb__party(r, SHMB_OBJECT_SEAT, seat)->occupancy) ==
               SHMB_PARTY_HELD;
}

/* May @r be used as @role? Return: 0, or -errno. */
static inline int shmb__enter(struct shmb_region *r, uint32_t role) {
        if (shmb_unlikely(!r || r->role != role || !r->engine || !shmb__may(r, r->engine->gate)))
                return shmb__enter_slow(r, role);
        return 0;
}
