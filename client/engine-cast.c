/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engines of a Broadcast and of the Latest Value
 *
 * A reliable broadcast is a ring whose producers count those seats that are held, each from its
 * admission on; a lossy one and `latest` are memory/cast.h.
 *
 * Who is attached is heard by news, before an item is published and once more behind it: a consumer
 * that came and fell asleep in between is woken for it.
 */

#include <errno.h>
#include <stdlib.h>

#include "client/engine-ring.h"
#include "client/news.h"
#include "client/region.h"
#include "client/wait.h"

enum {
        /* What a peek shows at most, but for a single item that is larger. */
        COPIES_BYTES_MAX = 65536,
};

static uint64_t holder_of(const struct shmb_region *r, uint32_t seat) {
        /* relaxed: ordered behind news by its acquire */
        return shmb__seat_is_held(r, seat)
                               ? shmb_load_relaxed(&shmb__party(r, SHMB_OBJECT_SEAT, seat)->lease)
                               : 0;
}

/* Behind what was published; on to shmb__hear() if anybody came or left. */
static void hear_who_came(struct shmb_region *r) {
        /* seq_cst: what was published stands before the look at news; pairs with the barrier of the
         * sleeper (S3), which does not reach us (Dekker: tail against news) */
        if (!r->registered)
                shmb_fence_full();
        /* relaxed: who came before he slept changed it before; ordered as W3 (memory/sleep.h) */
        if (shmb_load_relaxed(r->news) != r->news_heard)
                (void)shmb__hear(r);
}

static void list_held(struct shmb_region *r) {
        uint32_t i;

        r->cast.n_held = 0;
        for (i = 0; i < r->geometry.n_seats; i++)
                if (holder_of(r, i) != 0)
                        r->cast.held[r->cast.n_held++] = i;
}

static void wake_held(struct shmb_region *r, ShmbWaker *waker) {
        bool wake = false;
        uint32_t i, seat;

        for (i = 0; i < r->cast.n_held; i++) {
                seat = r->cast.held[i];
                if (!shmb_waker_look(waker, seat))
                        continue;
                wake = true;
                shmb__poke(r, waker->peers[seat], SHMB_OBJECT_SEAT, seat);
        }
        if (wake)
                shmb__ring(&waker->own->bell, INT32_MAX);
}

/*
 * Reliable
 */

static void admit_all(struct shmb_region *r, bool resume) {
        uint32_t i;

        for (i = 0; i < r->geometry.n_seats; i++)
                shmb_ring_producer_admit(&r->producer, i, holder_of(r, i), resume);
}

static int reliable_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                                  ShmbRingResume resume) {
        int result = shmb__ring_producer_init(r, mapped, resume);

        if (result == 0)
                admit_all(r, true);
        return result;
}

static void reliable_producer_hear(struct shmb_region *r) {
        admit_all(r, false);
}

static void reliable_producer_wake(struct shmb_region *r) {
        hear_who_came(r);
        shmb__ring_producer_wake(r);
}

const ShmbEngine shmb__engine_reliable_producer = {
        .gate = SHMB__GATE_RING_PRODUCER,
        .init = reliable_producer_init,
        .look = shmb__ring_producer_look,
        .words = shmb__ring_producer_words,
        .wake = reliable_producer_wake,
        .switch_peer = shmb__ring_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .hear = reliable_producer_hear,
        .push = shmb__ring_producer_push,
        .claim = shmb__ring_producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

/*
 * Where many seats are declared, only those are looked at that are held. That takes a look at news
 * behind each item, which the fast path of few seats does without: it looks at all of them.
 */
static int crowd_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                               ShmbRingResume resume) {
        int result = reliable_producer_init(r, mapped, resume);

        list_held(r);
        return result;
}

static void crowd_producer_hear(struct shmb_region *r) {
        reliable_producer_hear(r);
        list_held(r);
}

static void crowd_producer_wake(struct shmb_region *r) {
        hear_who_came(r);
        wake_held(r, &r->producer.waker);
}

const ShmbEngine shmb__engine_crowd_producer = {
        .gate = SHMB__GATE_MOVE,
        .init = crowd_producer_init,
        .look = shmb__ring_producer_look,
        .words = shmb__ring_producer_words,
        .wake = crowd_producer_wake,
        .switch_peer = shmb__ring_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .hear = crowd_producer_hear,
        .push = shmb__ring_producer_push,
        .claim = shmb__ring_producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

static int reliable_consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                                  ShmbRingResume resume) {
        int result = shmb__ring_consumer_init(r, mapped, resume);

        if (result == 0)
                shmb_ring_consumer_set_lease(&r->consumer, r->index, r->lease);
        return result;
}

const ShmbEngine shmb__engine_reliable_consumer = {
        .gate = SHMB__GATE_RING_CONSUMER,
        .init = reliable_consumer_init,
        .look = shmb__ring_consumer_look,
        .words = shmb__ring_consumer_words,
        .wake = shmb__ring_consumer_wake,
        .switch_peer = shmb__ring_consumer_switch_peer,
        .lose = shmb__ring_consumer_lose,
        .trust = shmb__ring_consumer_trust,
        .pop = shmb__ring_consumer_pop,
        .peek = shmb__ring_consumer_peek,
        .release = shmb__ring_consumer_release,
};

/*
 * Lossy, and latest
 */

static int cast_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                              ShmbRingResume resume) {
        int result = shmb_cast_producer_init(&r->cast_producer, &r->geometry,
                                             &mapped->lanes[r->index], mapped->seats,
                                             !r->registered);

        if (result == 0)
                list_held(r);
        return result;
}

/* There is always room. */
static int cast_producer_look(struct shmb_region *r, ShmbRingLook look) {
        return 0;
}

static uint32_t cast_producer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return 0;
}

static void cast_producer_wake(struct shmb_region *r) {
        hear_who_came(r);
        wake_held(r, &r->cast_producer.waker);
}

static int cast_producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                     const ShmbMapped *mapped) {
        if (!shmb_mapped_fits(mapped, shmb_geometry_object_size(&r->geometry, SHMB_OBJECT_SEAT)))
                return -EINVAL;
        shmb_waker_set_peer(&r->cast_producer.waker, index,
                            &((const ShmbSeat *)mapped->memory)->sleep);
        return 0;
}

/* Nothing of a seat is believed. */
static int cast_producer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        return 0;
}

static int cast_producer_push(struct shmb_region *r, const void *items, uint32_t n,
                              ShmbRingLook look) {
        return shmb_cast_publish(&r->cast_producer, items, n);
}

static int cast_producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                               ShmbRingSpan *ret_span) {
        return shmb_cast_claim(&r->cast_producer, n, ret_span);
}

static int cast_producer_commit(struct shmb_region *r, uint32_t n) {
        return shmb_cast_commit(&r->cast_producer, n);
}

static void cast_producer_abort(struct shmb_region *r) {
        (void)shmb_cast_commit(&r->cast_producer, 0);
}

const ShmbEngine shmb__engine_cast_producer = {
        .gate = SHMB__GATE_MOVE,
        .init = cast_producer_init,
        .look = cast_producer_look,
        .words = cast_producer_words,
        .wake = cast_producer_wake,
        .switch_peer = cast_producer_switch_peer,
        .lose = cast_producer_lose,
        .hear = list_held,
        .push = cast_producer_push,
        .claim = cast_producer_claim,
        .commit = cast_producer_commit,
        .abort = cast_producer_abort,
};

static int cast_consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                              ShmbRingResume resume) {
        uint32_t n = COPIES_BYTES_MAX / r->geometry.stride;

        if (n > r->geometry.capacity)
                n = (uint32_t)r->geometry.capacity;
        if (n < 1)
                n = 1;
        if (!r->cast.copies)
                r->cast.copies = aligned_alloc(SHMB_PAGE, ((size_t)n * r->geometry.stride +
                                                           SHMB_PAGE - 1) / SHMB_PAGE * SHMB_PAGE);
        if (!r->cast.copies)
                return -ENOMEM;
        return shmb_cast_consumer_init(&r->cast_consumer, &r->geometry, &mapped->seats[r->index],
                                       mapped->lanes, r->cast.copies, n);
}

static int cast_consumer_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_cast_look(&r->cast_consumer);
}

static uint32_t cast_consumer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_cast_words(&r->cast_consumer, ret_words);
}

/* Nobody waits for room. */
static void cast_consumer_wake(struct shmb_region *r) {
}

static int cast_consumer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                     const ShmbMapped *mapped) {
        return shmb_cast_switch_lane(&r->cast_consumer, index, mapped);
}

static int cast_consumer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        return shmb_cast_lose(&r->cast_consumer, index);
}

static int cast_consumer_trust(struct shmb_region *r, uint32_t index) {
        return shmb_cast_trust_lane(&r->cast_consumer, index);
}

static int cast_consumer_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        return shmb_cast_read(&r->cast_consumer, ret_items, n);
}

static int cast_consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        return shmb_cast_peek(&r->cast_consumer, n, ret_span);
}

static int cast_consumer_release(struct shmb_region *r, uint32_t n) {
        return shmb_cast_release(&r->cast_consumer, n);
}

const ShmbEngine shmb__engine_cast_consumer = {
        .gate = SHMB__GATE_MOVE,
        .init = cast_consumer_init,
        .look = cast_consumer_look,
        .words = cast_consumer_words,
        .wake = cast_consumer_wake,
        .switch_peer = cast_consumer_switch_peer,
        .lose = cast_consumer_lose,
        .trust = cast_consumer_trust,
        .pop = cast_consumer_pop,
        .peek = cast_consumer_peek,
        .release = cast_consumer_release,
};

/**
 * shmb_missed() - items that a consumer did not get since the last call
 * @r:          handle, SHMB_CONSUME
 *
 * Of a lossy broadcast those that were overwritten before they were taken; of `latest` the values
 * that were skipped. What was pushed since the attach is what was taken, and what was missed.
 *
 * Return: how many; 0 for other kinds and roles.
 */
uint64_t shmb_missed(struct shmb_region *r) {
        uint64_t n;

        /* relaxed: changes by fork() only */
        if (!r || r->engine != &shmb__engine_cast_consumer ||
            shmb_load_relaxed(r->alive) != r->alive_as)
                return 0;
        n = r->cast_consumer.n_missed - r->cast.n_missed_said;
        r->cast.n_missed_said += n;
        return n;
}
