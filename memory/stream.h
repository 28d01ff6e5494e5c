/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Stream
 *
 * A ring of bytes that carries messages: before each stands a ShmbFrame, and both are padded to
 * SHMB_STREAM_ALIGN. All counts of the ring (tail, head, done, taken) are bytes. The slots are
 * mapped twice, back to back, so a message is contiguous wherever it starts.
 *
 * A message is published by one store of tail, and taken and released whole. What a producer wrote
 * into a frame is loaded once and bounded by `max_message` and by tail; out of bounds is -EBADMSG,
 * and the lane is poisoned as in a ring (memory/ring.h).
 */

#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

/* At a multiple of 8 in the slots. Written by the producer before tail. Since 1.0. */
typedef struct ShmbFrame {
        _Atomic uint32_t length; /* bytes of the message behind this */
        _Atomic uint32_t reserved; /* zero, checked */
        uint8_t message[];
} ShmbFrame;

static_assert(sizeof(ShmbFrame) == SHMB_STREAM_ALIGN, "layout");
static_assert(offsetof(ShmbFrame, reserved) == 4, "layout");

typedef struct ShmbStreamProducer {
        ShmbRingProducer ring; /* first */
        uint32_t max_message;
        uint32_t n_held; /* bytes of the message that is claimed; ring.n_claimed is its frame */
} ShmbStreamProducer;

typedef struct ShmbStreamConsumer {
        ShmbRingConsumer ring; /* first */
        uint32_t max_message;
        uint32_t n_held; /* bytes of the message that is held; ring.n_peeked is its frame */
} ShmbStreamConsumer;

/* What a message of @n bytes takes in the slots. */
static inline uint64_t shmb_stream_frame_size(uint64_t n) {
        const uint64_t align = SHMB_STREAM_ALIGN;

        return sizeof(ShmbFrame) + ((n + align - 1) & ~(align - 1));
}

/**
 * shmb_stream_producer_init() - as shmb_ring_producer_init()
 * @lane: its slots are mapped a second time behind the object, and n_bytes includes them
 *
 * Return: as there; -EBADMSG also if what a predecessor left is no run of messages.
 */
int shmb_stream_producer_init(ShmbStreamProducer *producer, const ShmbGeometry *geometry,
                              uint32_t lane_index, const ShmbMapped *lane, const ShmbMapped *seats,
                              bool fence_always);

/* As shmb_ring_consumer_init(), with lanes that are mapped as above. */
int shmb_stream_consumer_init(ShmbStreamConsumer *consumer, const ShmbGeometry *geometry,
                              const ShmbMapped *seat, const ShmbMapped *lanes,
                              ShmbRingResume resume, bool fence_always);

/**
 * shmb_stream_claim() - room for a message, in place
 * @n: bytes, all of which are given
 * @ret_span: valid until shmb_stream_commit() or shmb_stream_abort()
 *
 * Return: 0; -EMSGSIZE (more than max_message); -EAGAIN (no room); -EBADMSG.
 */
int shmb_stream_claim(ShmbStreamProducer *producer, uint64_t n, ShmbRingLook look,
                      ShmbRingSpan *ret_span);

/* Publish the first @n bytes of what is claimed as a message. Return: 0; -EINVAL (none, longer). */
int shmb_stream_commit(ShmbStreamProducer *producer, uint32_t n);

/* Nobody ever sees what is claimed. */
void shmb_stream_abort(ShmbStreamProducer *producer);

/* Copy a message in. Return: 0; -EMSGSIZE; -EAGAIN; -EBADMSG; -EBUSY (a span is claimed). */
int shmb_stream_send(ShmbStreamProducer *producer, const void *message, uint64_t n,
                     ShmbRingLook look);

/**
 * shmb_stream_peek() - the next message, in place
 * @n_max: of more bytes is -EMSGSIZE, and it stays the next
 *
 * Return: 0; -EAGAIN (none); -EMSGSIZE; -EBADMSG (as shmb_ring_consumer_look()).
 */
int shmb_stream_peek(ShmbStreamConsumer *consumer, uint64_t n_max, ShmbRingSpan *ret_span);

/* Release the message that is held, whole. @n: at most its length. Return: 0; -EINVAL. */
int shmb_stream_release(ShmbStreamConsumer *consumer, uint32_t n);

/* Copy a message out and release it. Return: its length; -EAGAIN; -EMSGSIZE; -EBADMSG; -EBUSY. */
int shmb_stream_recv(ShmbStreamConsumer *consumer, void *ret_message, uint64_t n_max);
