/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engines of a Queue, with one consumer and with several that compete
 *
 * A queue is a ring whose memory comes and goes. The producer asks for more half a segment before
 * it needs it, and does not wait for an answer; one that has come to the end asks why.
 * The consumer says how far it is once a segment. Everything else is the ring's, its fast half in
 * client/ops.c too: what is done here, is done where a look at the peer is due anyway.
 *
 * With the broker away the producer has what is reserved, and then waits for it to come back.
 */

#include <errno.h>

#include "client/deadline.h"
#include "client/engine-group.h"
#include "client/engine-ring.h"
#include "client/region.h"

/* Without an answer, which nobody waits for; or, to hear why not, with one. */
static int tell(struct shmb_region *r, const WireSegment *segment, bool listen) {
        WireMessage request = { .type = WIRE_SEGMENT, .segment = *segment }, reply;
        int64_t now = shmb__now();
        int result;

        result = shmb__lock(r->c, now + SHMB__MS);
        if (result < 0)
                return result;
        if (listen) {
                result = shmb__call(r->c, &request, WIRE_OK, now, &reply, NULL);
        } else {
                result = shmb__connect_once(r->c, now);
                if (result == 0)
                        shmb__tell(r->c, &request);
        }
        if (result == -ECONNREFUSED)
                shmb__say(&r->c->error,
                          "%s: the memory that is reserved is full, and the broker is away, which "
                          "reserves more: it is waited for", r->name);
        shmb__unlock(r->c);
        return result;
}

/* Later and later, as long as it is of no use. */
static void put_off(struct shmb_region *r) {
        r->queue.tell_at = shmb__now() +
                           shmb__backoff(&r->queue.tell_delay, SHMB__RETRY_MAX_MS * SHMB__MS);
}

static void reset_delay(struct shmb_region *r) {
        r->queue.tell_at = 0;
        r->queue.tell_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
}

/*
 * Producer
 */

/* More came since it was found to be wanted. */
static bool is_fed(const struct shmb_region *r) {
        /* relaxed: a hint; what is there is looked at by memory/ring-producer.c */
        return shmb_load_relaxed(r->producer.backed) != r->producer.hungry;
}

static void ask(struct shmb_region *r) {
        ShmbRingProducer *producer = &r->producer;
        bool blocked = producer->limit == producer->tail;
        WireSegment segment = { r->lease, r->index, r->lanes[r->index].epoch, producer->tail,
                                producer->hungry + r->queue.segment };

        if (!blocked && r->queue.asked == producer->hungry)
                return;
        if (shmb__now() < r->queue.tell_at)
                return;
        /* Where it was of no use it may be for a long time: a consumer is slow. The broker
         * remembers what is wanted, and says in `news` when it is there. */
        if (tell(r, &segment, blocked) < 0 || (blocked && !is_fed(r)))
                put_off(r);
        r->queue.asked = producer->hungry;
}

/* Return: whether the operation that was -EAGAIN should be tried once more. */
static bool feed(struct shmb_region *r) {
        if (r->producer.hungry != 0 && !is_fed(r))
                ask(r);
        if (r->producer.hungry == 0 || !is_fed(r))
                return false;
        r->producer.hungry = 0;
        reset_delay(r);
        return true;
}

static int producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        int result = shmb_geometry_competes(&r->geometry)
                                     ? shmb__group_producer_init(r, mapped, resume)
                                     : shmb__ring_producer_init(r, mapped, resume);

        if (result < 0)
                return result;
        r->queue.segment = shmb_geometry_segment_items(&r->geometry);
        reset_delay(r);
        return shmb_ring_producer_set_backed(&r->producer,
                                             &shmb__party(r, SHMB_OBJECT_LANE, r->index)->backed,
                                             r->queue.segment / 2);
}

static int producer_look(struct shmb_region *r, ShmbRingLook look) {
        int result = shmb__ring_producer_look(r, look);

        return feed(r) && result == -EAGAIN ? shmb__ring_producer_look(r, look) : result;
}

static int producer_push(struct shmb_region *r, const void *items, uint32_t n,
                         ShmbRingLook look) {
        int result = shmb__ring_producer_push(r, items, n, look);

        return feed(r) && result == -EAGAIN ? shmb__ring_producer_push(r, items, n, look) : result;
}

static int producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                          ShmbRingSpan *ret_span) {
        int result = shmb__ring_producer_claim(r, n, look, ret_span);

        return feed(r) && result == -EAGAIN ? shmb__ring_producer_claim(r, n, look, ret_span)
                                            : result;
}

const ShmbEngine shmb__engine_queue_producer = {
        .gate = SHMB__GATE_RING_PRODUCER,
        .init = producer_init,
        .look = producer_look,
        .words = shmb__ring_producer_words,
        .wake = shmb__ring_producer_wake,
        .switch_peer = shmb__ring_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .push = producer_push,
        .claim = producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

const ShmbEngine shmb__engine_queue_group_producer = {
        .gate = SHMB__GATE_MOVE,
        .init = producer_init,
        .look = producer_look,
        .words = shmb__ring_producer_words,
        .wake = shmb__group_producer_wake,
        .switch_peer = shmb__group_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .push = producer_push,
        .claim = producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

/*
 * Consumer
 */

/* All items of a lane below @released are. */
static void report(struct shmb_region *r, uint32_t lane, uint32_t epoch, uint64_t released) {
        WireSegment segment = { r->lease, lane, epoch, released, 0 };

        if (released - r->queue.told[lane] < r->queue.segment || shmb__now() < r->queue.tell_at)
                return;
        if (tell(r, &segment, false) < 0) {
                put_off(r);
                return;
        }
        reset_delay(r);
        r->queue.told[lane] = released & ~(r->queue.segment - 1);
}

/* Before another lane gets its turn, and behind it. */
static int settle(struct shmb_region *r, uint32_t lane, int result) {
        const ShmbRingCursor *cursor = &r->consumer.cursors[lane];

        report(r, lane, cursor->epoch, cursor->next);
        return result;
}

/* Return: how far the lane has memory, for whoever takes from it. */
static const _Atomic uint64_t *enter_lane(struct shmb_region *r, uint32_t lane) {
        const ShmbParty *party = shmb__party(r, SHMB_OBJECT_LANE, lane);

        /* relaxed: what it lags behind is told once more */
        r->queue.told[lane] = shmb_load_relaxed(&party->freed);
        return &party->backed;
}

static int enter_lanes(struct shmb_region *r, void (*bound)(struct shmb_region *r, uint32_t lane)) {
        uint32_t i;

        r->queue.segment = shmb_geometry_segment_items(&r->geometry);
        reset_delay(r);
        for (i = 0; i < r->geometry.n_lanes; i++)
                bound(r, i);
        return 0;
}

static void bound_lane(struct shmb_region *r, uint32_t lane) {
        shmb_ring_consumer_set_backed(&r->consumer, lane, enter_lane(r, lane), r->queue.segment);
}

static int consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        int result = shmb__ring_consumer_init(r, mapped, resume);

        return result < 0 ? result : enter_lanes(r, bound_lane);
}

static int consumer_look(struct shmb_region *r, ShmbRingLook look) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        return settle(r, lane, shmb__ring_consumer_look(r, look));
}

static int consumer_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        return settle(r, lane, shmb__ring_consumer_pop(r, ret_items, n));
}

static int consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        return settle(r, lane, shmb__ring_consumer_peek(r, n, ret_span));
}

static int consumer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                const ShmbMapped *mapped) {
        int result = shmb__ring_consumer_switch_peer(r, kind, index, mapped);

        if (result == 0)
                bound_lane(r, index);
        return result;
}

const ShmbEngine shmb__engine_queue_consumer = {
        .gate = SHMB__GATE_RING_CONSUMER,
        .init = consumer_init,
        .look = consumer_look,
        .words = shmb__ring_consumer_words,
        .wake = shmb__ring_consumer_wake,
        .switch_peer = consumer_switch_peer,
        .lose = shmb__ring_consumer_lose,
        .trust = shmb__ring_consumer_trust,
        .pop = consumer_pop,
        .peek = consumer_peek,
        .release = shmb__ring_consumer_release,
};

/*
 * Consumers that compete: each says how far all of them are, as far as it knows
 */

static int settle_member(struct shmb_region *r, int result) {
        ShmbGroupLane *lane;
        uint32_t i;

        for (i = 0; i < r->geometry.n_lanes; i++) {
                lane = &r->member.lanes[i];
                if (lane->next - lane->low >= r->queue.segment)
                        shmb_group_skip_past(lane, lane->next);
                report(r, i, lane->epoch, lane->low);
        }
        return result;
}

static void bound_member_lane(struct shmb_region *r, uint32_t lane) {
        r->member.lanes[lane].backed = enter_lane(r, lane);
}

static int member_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                       ShmbRingResume resume) {
        int result = shmb__group_member_init(r, mapped, resume);

        return result < 0 ? result : enter_lanes(r, bound_member_lane);
}

static int member_look(struct shmb_region *r, ShmbRingLook look) {
        return settle_member(r, shmb__group_member_look(r, look));
}

static int member_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        return settle_member(r, shmb__group_member_pop(r, ret_items, n));
}

static int member_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        return settle_member(r, shmb__group_member_peek(r, n, ret_span));
}

static int member_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                              const ShmbMapped *mapped) {
        int result = shmb__group_member_switch_peer(r, kind, index, mapped);

        if (result == 0 && kind == SHMB_OBJECT_LANE)
                bound_member_lane(r, index);
        return result;
}

const ShmbEngine shmb__engine_queue_member = {
        .gate = SHMB__GATE_MOVE,
        .init = member_init,
        .look = member_look,
        .words = shmb__group_member_words,
        .wake = shmb__group_member_wake,
        .switch_peer = member_switch_peer,
        .lose = shmb__group_member_lose,
        .trust = shmb__group_member_trust,
        .hear = shmb__group_member_hear,
        .leave = shmb__group_member_leave,
        .pop = member_pop,
        .peek = member_peek,
        .release = shmb__group_member_release,
};
