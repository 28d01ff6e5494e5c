/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engine of a Ring with one Consumer
 *
 * The slow half: the fast one calls memory/ring-plain.h itself, in client/ops.c.
 */

#include "client/engine.h"
#include "client/region.h"
#include "client/wait.h"

static int producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        return shmb_ring_producer_init(&r->producer, &r->geometry, r->index,
                                       &mapped->lanes[r->index], mapped->seats, !r->registered);
}

static int producer_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_ring_producer_look(&r->producer, look);
}

static uint32_t producer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_ring_producer_words(&r->producer, ret_words);
}

static void producer_wake(struct shmb_region *r) {
        bool wake = false;
        uint32_t i;

        for (i = 0; i < r->n_seats; i++) {
                if (!shmb_waker_look(&r->producer.waker, i))
                        continue;
                wake = true;
                shmb__poke(r, r->producer.waker.peers[i], SHMB_OBJECT_SEAT, i);
        }
        if (wake)
                shmb__ring(&r->producer.waker.own->bell, INT32_MAX);
}

static int producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                const ShmbMapped *mapped) {
        return shmb_ring_producer_switch_seat(&r->producer, index, mapped);
}

static int producer_lose(struct shmb_region *r, uint32_t index) {
        return shmb_ring_producer_lose(&r->producer);
}

static int producer_push(struct shmb_region *r, const void *items, uint32_t n,
                         ShmbRingLook look) {
        return shmb_ring_push_n(&r->producer, items, n, look);
}

static int producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                          ShmbRingSpan *ret_span) {
        return shmb_ring_claim_n(&r->producer, n, look, ret_span);
}

static int producer_commit(struct shmb_region *r, uint32_t n) {
        return shmb_ring_commit_n(&r->producer, n);
}

static void producer_abort(struct shmb_region *r) {
        shmb_ring_abort(&r->producer);
}

const ShmbEngine shmb__engine_ring_producer = {
        .gate = SHMB__GATE_RING_PRODUCER,
        .init = producer_init,
        .look = producer_look,
        .words = producer_words,
        .wake = producer_wake,
        .switch_peer = producer_switch_peer,
        .lose = producer_lose,
        .push = producer_push,
        .claim = producer_claim,
        .commit = producer_commit,
        .abort = producer_abort,
};

static int consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        return shmb_ring_consumer_init(&r->consumer, &r->geometry, &mapped->seats[r->index],
                                       mapped->lanes, resume, !r->registered);
}

static int consumer_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_ring_consumer_look(&r->consumer);
}

static uint32_t consumer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_ring_consumer_words(&r->consumer, ret_words);
}

static void consumer_wake(struct shmb_region *r) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        if (!shmb_waker_look(&r->consumer.waker, lane))
                return;
        shmb__ring(&r->consumer.waker.own->bell, INT32_MAX);
        shmb__poke(r, r->consumer.waker.peers[lane], SHMB_OBJECT_LANE, lane);
}

static int consumer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                const ShmbMapped *mapped) {
        return shmb_ring_consumer_switch_lane(&r->consumer, index, mapped);
}

static int consumer_lose(struct shmb_region *r, uint32_t index) {
        return shmb_ring_consumer_lose(&r->consumer, index);
}

static int consumer_trust(struct shmb_region *r, uint32_t index) {
        return shmb_ring_consumer_trust_lane(&r->consumer, index);
}

static int consumer_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        return shmb_ring_pop_n(&r->consumer, ret_items, n);
}

static int consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        return shmb_ring_peek_n(&r->consumer, n, ret_span);
}

static int consumer_release(struct shmb_region *r, uint32_t n) {
        return shmb_ring_release_n(&r->consumer, n);
}

const ShmbEngine shmb__engine_ring_consumer = {
        .gate = SHMB__GATE_RING_CONSUMER,
        .init = consumer_init,
        .look = consumer_look,
        .words = consumer_words,
        .wake = consumer_wake,
        .switch_peer = consumer_switch_peer,
        .lose = consumer_lose,
        .trust = consumer_trust,
        .pop = consumer_pop,
        .peek = consumer_peek,
        .release = consumer_release,
};
