/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engine of a Ring with one Consumer
 *
 * The slow half: the fast one calls memory/ring-plain.h itself, in client/ops.c.
 */

#include "client/engine-ring.h"
#include "client/region.h"
#include "client/wait.h"

int shmb__ring_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                             ShmbRingResume resume) {
        return shmb_ring_producer_init(&r->producer, &r->geometry, r->index,
                                       &mapped->lanes[r->index], mapped->seats, !r->registered);
}

int shmb__ring_producer_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_ring_producer_look(&r->producer, look);
}

uint32_t shmb__ring_producer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_ring_producer_words(&r->producer, ret_words);
}

void shmb__ring_producer_wake(struct shmb_region *r) {
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

int shmb__ring_producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                    const ShmbMapped *mapped) {
        return shmb_ring_producer_switch_seat(&r->producer, index, mapped);
}

int shmb__ring_producer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        return shmb_ring_producer_lose(&r->producer);
}

int shmb__ring_producer_push(struct shmb_region *r, const void *items, uint32_t n,
                             ShmbRingLook look) {
        return shmb_ring_push_n(&r->producer, items, n, look);
}

int shmb__ring_producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                              ShmbRingSpan *ret_span) {
        return shmb_ring_claim_n(&r->producer, n, look, ret_span);
}

int shmb__ring_producer_commit(struct shmb_region *r, uint32_t n) {
        return shmb_ring_commit_n(&r->producer, n);
}

void shmb__ring_producer_abort(struct shmb_region *r) {
        shmb_ring_abort(&r->producer);
}

const ShmbEngine shmb__engine_ring_producer = {
        .gate = SHMB__GATE_RING_PRODUCER,
        .init = shmb__ring_producer_init,
        .look = shmb__ring_producer_look,
        .words = shmb__ring_producer_words,
        .wake = shmb__ring_producer_wake,
        .switch_peer = shmb__ring_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .push = shmb__ring_producer_push,
        .claim = shmb__ring_producer_claim,
        .commit = shmb__ring_producer_commit,
        .abort = shmb__ring_producer_abort,
};

int shmb__ring_consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                             ShmbRingResume resume) {
        return shmb_ring_consumer_init(&r->consumer, &r->geometry, &mapped->seats[r->index],
                                       mapped->lanes, resume, !r->registered);
}

int shmb__ring_consumer_look(struct shmb_region *r, ShmbRingLook look) {
        return shmb_ring_consumer_look(&r->consumer);
}

uint32_t shmb__ring_consumer_words(const struct shmb_region *r, ShmbSleepWord *ret_words) {
        return shmb_ring_consumer_words(&r->consumer, ret_words);
}

void shmb__ring_consumer_wake(struct shmb_region *r) {
        uint32_t lane = shmb_ring_consumer_lane(&r->consumer);

        if (!shmb_waker_look(&r->consumer.waker, lane))
                return;
        shmb__ring(&r->consumer.waker.own->bell, INT32_MAX);
        shmb__poke(r, r->consumer.waker.peers[lane], SHMB_OBJECT_LANE, lane);
}

int shmb__ring_consumer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                    const ShmbMapped *mapped) {
        return shmb_ring_consumer_switch_lane(&r->consumer, index, mapped);
}

int shmb__ring_consumer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index) {
        return shmb_ring_consumer_lose(&r->consumer, index);
}

int shmb__ring_consumer_trust(struct shmb_region *r, uint32_t index) {
        return shmb_ring_consumer_trust_lane(&r->consumer, index);
}

int shmb__ring_consumer_pop(struct shmb_region *r, void *ret_items, uint32_t n) {
        return shmb_ring_pop_n(&r->consumer, ret_items, n);
}

int shmb__ring_consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        return shmb_ring_peek_n(&r->consumer, n, ret_span);
}

int shmb__ring_consumer_release(struct shmb_region *r, uint32_t n) {
        return shmb_ring_release_n(&r->consumer, n);
}

const ShmbEngine shmb__engine_ring_consumer = {
        .gate = SHMB__GATE_RING_CONSUMER,
        .init = shmb__ring_consumer_init,
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
