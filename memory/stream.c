/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Stream
 *
 * Where each end stands, whom it believes and when it sleeps is the ring's; here is what lies
 * between two counts. Invariant: tail, done and taken of an honest party are multiples of
 * SHMB_STREAM_ALIGN, and [done, tail) is a run of whole frames. Who takes over from a party that
 * left something else there refuses it, so the broker replaces the object.
 */

#include "memory/stream.h"

static const ShmbFrame *frame_at(const uint8_t *slots, uint64_t mask, uint64_t at) {
        return (const ShmbFrame *)(const void *)(slots + (at & mask));
}

/*
 * Believes the frame at @at, of which @n_there bytes are published. Return: its size, and the
 * length of its message; 0 if it cannot be.
 */
static uint64_t read_frame(const ShmbFrame *frame, uint64_t n_there, uint32_t max_message,
                           uint32_t *ret_length) {
        uint32_t length;

        if (n_there < sizeof(*frame))
                return 0;
        /* relaxed, both: ordered behind tail by its acquire; length is loaded once, then bounded */
        length = shmb_load_relaxed(&frame->length);
        if (length > max_message || shmb_load_relaxed(&frame->reserved) != 0 ||
            shmb_stream_frame_size(length) > n_there)
                return 0;
        *ret_length = length;
        return shmb_stream_frame_size(length);
}

/* Is [from, to) of @lane a run of whole frames? */
static bool is_run(const ShmbLane *lane, const ShmbGeometry *geometry, uint64_t from,
                   uint64_t to) {
        uint64_t mask = geometry->capacity - 1, size;
        uint32_t length;

        if (from % SHMB_STREAM_ALIGN != 0 || to - from > geometry->capacity)
                return false;
        for (; from != to; from += size) {
                size = read_frame(frame_at(lane->slots, mask, from), to - from,
                                  geometry->max_message, &length);
                if (size == 0)
                        return false;
        }
        return true;
}

static bool is_mirrored(const ShmbGeometry *geometry, const ShmbMapped *lane) {
        return shmb_mapped_fits(lane, shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE) +
                                              geometry->capacity);
}

static void count(_Atomic uint64_t *counter, uint64_t n) {
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(counter, shmb_load_relaxed(counter) + n);
}

/*
 * Producer
 */

/* What a predecessor left for one seat. Below `done` it may be overwritten already. */
static bool is_sound_for(const ShmbRingProducer *ring, const ShmbGeometry *geometry,
                         const ShmbRingSeat *seat) {
        if (ring->tail % SHMB_STREAM_ALIGN != 0)
                return false;
        /* acquire: as in producer_read_head() */
        if (shmb_load_acquire(&seat->place->epoch) != ring->epoch)
                return true;
        /* acquire: as in producer_read_head() */
        return is_run(ring->lane, geometry, shmb_load_acquire(&seat->place->done), ring->tail);
}

int shmb_stream_producer_init(ShmbStreamProducer *producer, const ShmbGeometry *geometry,
                              uint32_t lane_index, const ShmbMapped *lane, const ShmbMapped *seats,
                              bool fence_always) {
        const ShmbRingProducer *ring = &producer->ring;
        uint32_t i;
        int r;

        if (geometry->kind != SHMB_KIND_STREAM || !is_mirrored(geometry, lane))
                return -EINVAL;
        r = shmb_ring_producer_init(&producer->ring, geometry, lane_index, lane, seats,
                                    fence_always);
        if (r < 0)
                return r;
        for (i = 0; i < ring->n_seats; i++)
                if (!is_sound_for(ring, geometry, &ring->seats[i]))
                        return -EBADMSG;
        producer->max_message = geometry->max_message;
        producer->n_held = 0;
        return 0;
}

int shmb_stream_claim(ShmbStreamProducer *producer, uint64_t n, ShmbRingLook look,
                      ShmbRingSpan *ret_span) {
        ShmbRingProducer *ring = &producer->ring;
        ShmbFrame *frame;
        int r;

        if (n > producer->max_message)
                return -EMSGSIZE;
        ring->n_wanted = shmb_stream_frame_size(n);
        if (shmb_unlikely(ring->limit - ring->tail < ring->n_wanted)) {
                r = shmb_ring_producer_look(ring, look);
                if (r < 0)
                        return r;
        }
        frame = (ShmbFrame *)(void *)(ring->slots + (ring->tail & ring->mask));
        ring->n_claimed = (uint32_t)ring->n_wanted;
        producer->n_held = (uint32_t)n;
        *ret_span = (ShmbRingSpan){frame->message, (uint32_t)n};
        return 0;
}

static void publish(ShmbStreamProducer *producer, uint32_t n) {
        ShmbRingProducer *ring = &producer->ring;
        ShmbFrame *frame = (ShmbFrame *)(void *)(ring->slots + (ring->tail & ring->mask));

        /* relaxed, both: published by the release of tail below */
        shmb_store_relaxed(&frame->length, n);
        shmb_store_relaxed(&frame->reserved, 0);
        ring->tail += shmb_stream_frame_size(n);
        /* release: publishes the frames below tail; pairs with acquire of tail in
         * consumer_read_tail() */
        shmb_store_release(&ring->lane->tail, ring->tail);
        count(&ring->lane->counters.n_items, 1);
        count(&ring->lane->counters.n_bytes, n);
}

int shmb_stream_commit(ShmbStreamProducer *producer, uint32_t n) {
        if (producer->ring.n_claimed == 0 || n > producer->n_held)
                return -EINVAL;
        producer->ring.n_claimed = 0;
        publish(producer, n);
        return 0;
}

void shmb_stream_abort(ShmbStreamProducer *producer) {
        producer->ring.n_claimed = 0;
}

int shmb_stream_send(ShmbStreamProducer *producer, const void *message, uint64_t n,
                     ShmbRingLook look) {
        ShmbRingSpan span;
        int r;

        if (producer->ring.n_claimed > 0)
                return -EBUSY;
        r = shmb_stream_claim(producer, n, look, &span);
        if (r < 0)
                return r;
        producer->ring.n_claimed = 0;
        if (n > 0)
                memcpy(span.data, message, n);
        publish(producer, (uint32_t)n);
        return 0;
}

/*
 * Consumer
 */

/* What stands in our own place must be where a frame starts, or a predecessor spoilt it. */
static bool has_sound_places(const ShmbGeometry *geometry, const ShmbSeat *seat,
                             const ShmbMapped *lanes) {
        const ShmbLane *lane;
        uint64_t tail, done;
        uint32_t i;

        for (i = 0; i < geometry->n_lanes; i++) {
                lane = lanes[i].memory;
                /* acquire: as in consumer_read_tail() */
                tail = shmb_load_acquire(&lane->tail);
                /* relaxed, both: only we write these */
                if (shmb_load_relaxed(&seat->places[i].epoch) != lanes[i].epoch)
                        continue;
                done = shmb_load_relaxed(&seat->places[i].done);
                if (!is_run(lane, geometry, done, tail))
                        return false;
        }
        return true;
}

int shmb_stream_consumer_init(ShmbStreamConsumer *consumer, const ShmbGeometry *geometry,
                              const ShmbMapped *seat, const ShmbMapped *lanes,
                              ShmbRingResume resume, bool fence_always) {
        uint32_t i;

        if (geometry->kind != SHMB_KIND_STREAM || geometry->n_seats != 1 || !seat->memory)
                return -EINVAL;
        for (i = 0; i < geometry->n_lanes; i++)
                if (!is_mirrored(geometry, &lanes[i]))
                        return -EINVAL;
        if (resume == SHMB_RING_STRICT && !has_sound_places(geometry, seat->memory, lanes))
                return -EBADMSG;
        consumer->max_message = geometry->max_message;
        consumer->n_held = 0;
        return shmb_ring_consumer_init(&consumer->ring, geometry, seat, lanes, resume,
                                       fence_always);
}

/* The next message. Return: the size of its frame, or -errno. */
static int64_t next_frame(ShmbStreamConsumer *consumer, const ShmbFrame **ret_frame,
                          uint32_t *ret_length) {
        ShmbRingConsumer *ring = &consumer->ring;
        ShmbRingCursor *cursor = ring->cursor;
        uint64_t size = 0;
        int r;

        if (shmb_unlikely(cursor->edge == cursor->next)) {
                r = shmb_ring_consumer_look(ring);
                if (r < 0)
                        return r;
                cursor = ring->cursor;
        }
        *ret_frame = frame_at(cursor->slots, ring->mask, cursor->next);
        /* A predecessor of ours who went on in a spoilt lane may stand anywhere. */
        if (cursor->next % SHMB_STREAM_ALIGN == 0)
                size = read_frame(*ret_frame, cursor->tail - cursor->next, consumer->max_message,
                                  ret_length);
        if (shmb_unlikely(size == 0))
                return shmb_ring_consumer_lose(ring, shmb_ring_consumer_lane(ring));
        return (int64_t)size;
}

static void done(ShmbStreamConsumer *consumer, uint64_t size, uint32_t n) {
        ShmbRingConsumer *ring = &consumer->ring;
        ShmbRingCursor *cursor = ring->cursor;

        cursor->next += size;
        /* A turn ends behind the message in which its last byte is. */
        if (cursor->tail - cursor->next < cursor->tail - cursor->edge)
                cursor->edge = cursor->next;
        /* release: our reads of the message come before; pairs with acquire of done in
         * producer_read_head() */
        shmb_store_release(&cursor->place->done, cursor->next);
        if (cursor->next - cursor->head >= ring->head_every) {
                cursor->head = cursor->next;
                /* release: as done; pairs with acquire of head in producer_read_head() */
                shmb_store_release(&cursor->place->head, cursor->head);
        }
        count(&ring->seat->counters.n_items, 1);
        count(&ring->seat->counters.n_bytes, n);
}

int shmb_stream_peek(ShmbStreamConsumer *consumer, uint64_t n_max, ShmbRingSpan *ret_span) {
        const ShmbFrame *frame;
        uint32_t length;
        int64_t size;

        size = next_frame(consumer, &frame, &length);
        if (size < 0)
                return (int)size;
        if (length > n_max)
                return -EMSGSIZE;
        shmb_ring_consumer_take(consumer->ring.cursor, (uint32_t)size);
        consumer->ring.n_peeked = (uint32_t)size;
        consumer->n_held = length;
        /* The span is shared with the writable kind; the mapping itself is read-only. */
        *ret_span = (ShmbRingSpan){(uint8_t *)frame->message, length};
        return 0;
}

int shmb_stream_release(ShmbStreamConsumer *consumer, uint32_t n) {
        uint32_t size = consumer->ring.n_peeked;

        if (size == 0 || n > consumer->n_held)
                return -EINVAL;
        consumer->ring.n_peeked = 0;
        done(consumer, size, consumer->n_held);
        return 0;
}

int shmb_stream_recv(ShmbStreamConsumer *consumer, void *ret_message, uint64_t n_max) {
        const ShmbFrame *frame;
        uint32_t length;
        int64_t size;

        if (consumer->ring.n_peeked > 0)
                return -EBUSY;
        size = next_frame(consumer, &frame, &length);
        if (size < 0)
                return (int)size;
        if (length > n_max)
                return -EMSGSIZE;
        shmb_ring_consumer_take(consumer->ring.cursor, (uint32_t)size);
        if (length > 0)
                memcpy(ret_message, frame->message, length);
        done(consumer, (uint64_t)size, length);
        return (int)length;
}
