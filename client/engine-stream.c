/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Engine of a Stream with one Consumer
 *
 * A span is one message: claim gives all of its bytes, commit publishes as many of them as it is
 * told, and release lets go of the whole message.
 */

#include "client/engine-ring.h"
#include "client/region.h"
#include "memory/stream.h"

static int producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        return shmb_stream_producer_init(&r->stream_producer, &r->geometry, r->index,
                                         &mapped->lanes[r->index], mapped->seats, !r->registered);
}

static int producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                          ShmbRingSpan *ret_span) {
        int result = shmb_stream_claim(&r->stream_producer, n, look, ret_span);

        return result < 0 ? result : (int)n;
}

static int producer_commit(struct shmb_region *r, uint32_t n) {
        return shmb_stream_commit(&r->stream_producer, n);
}

static void producer_abort(struct shmb_region *r) {
        shmb_stream_abort(&r->stream_producer);
}

static int producer_send(struct shmb_region *r, const void *message, size_t n, ShmbRingLook look) {
        return shmb_stream_send(&r->stream_producer, message, n, look);
}

const ShmbEngine shmb__engine_stream_producer = {
        .gate = SHMB__GATE_MOVE,
        .init = producer_init,
        .look = shmb__ring_producer_look,
        .words = shmb__ring_producer_words,
        .wake = shmb__ring_producer_wake,
        .switch_peer = shmb__ring_producer_switch_peer,
        .lose = shmb__ring_producer_lose,
        .claim = producer_claim,
        .commit = producer_commit,
        .abort = producer_abort,
        .send = producer_send,
};

static int consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                         ShmbRingResume resume) {
        return shmb_stream_consumer_init(&r->stream_consumer, &r->geometry,
                                         &mapped->seats[r->index], mapped->lanes, resume,
                                         !r->registered);
}

static int consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span) {
        int result = shmb_stream_peek(&r->stream_consumer, n, ret_span);

        return result < 0 ? result : (int)ret_span->n;
}

static int consumer_release(struct shmb_region *r, uint32_t n) {
        return shmb_stream_release(&r->stream_consumer, n);
}

static int consumer_recv(struct shmb_region *r, void *ret_message, size_t n_max) {
        return shmb_stream_recv(&r->stream_consumer, ret_message, n_max);
}

const ShmbEngine shmb__engine_stream_consumer = {
        .gate = SHMB__GATE_MOVE,
        .init = consumer_init,
        .look = shmb__ring_consumer_look,
        .words = shmb__ring_consumer_words,
        .wake = shmb__ring_consumer_wake,
        .switch_peer = shmb__ring_consumer_switch_peer,
        .lose = shmb__ring_consumer_lose,
        .trust = shmb__ring_consumer_trust,
        .peek = consumer_peek,
        .release = consumer_release,
        .recv = consumer_recv,
};
