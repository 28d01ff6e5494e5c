/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Engines
 *
 * What the operations of client/ops.c are made of for one kind of region and one role: each engine
 * is the bridge from a handle to the functions of memory/ for that kind. A new kind is a new engine
 * and its line in shmb__engine_of().
 *
 * Conventions of memory/ring.h: 0, a count, or -errno; -EAGAIN where who called may wait; -EBADMSG
 * where a peer broke the protocol. Nothing here waits.
 */

#include <stdint.h>

#include "memory/mapped.h"
#include "memory/ring-consumer.h"
#include "memory/ring.h"
#include "memory/sleep.h"
#include "protocol/bits.h"

struct shmb_region;

/* What a handle can do. An operation compares one word to know that it may go on. */
typedef enum ShmbGate {
        SHMB__GATE_SHUT, /* `end` says why */
        SHMB__GATE_LOOK, /* observers, raw: nothing to push or pop */
        SHMB__GATE_MOVE, /* by the engine, in every operation */
        /* a ring with one consumer, whose fast half is inline in client/ops.c */
        SHMB__GATE_RING_PRODUCER,
        SHMB__GATE_RING_CONSUMER,
} ShmbGate;

enum {
        /* Of a reliable broadcast: so many are looked at behind each item, held or not. */
        SHMB__FEW_SEATS = 2,
};

/* All that a region consists of, as memory/ sees it; absent objects have no memory. */
typedef struct ShmbMappedSet {
        ShmbMapped lanes[SHMB_LANES_MAX], seats[SHMB_SEATS_MAX], group;
} ShmbMappedSet;

typedef struct ShmbEngine {
        ShmbGate gate; /* of an open handle */

        /* Take over our own lane or seat; @mapped has all that was granted. Return: 0; -EBADMSG (a
         * predecessor's words are out of bounds; not with SHMB_RING_RESYNC); -EINVAL. */
        int (*init)(struct shmb_region *r, const ShmbMappedSet *mapped, ShmbRingResume resume);
        /* 0 if the next operation finds what it needs, else -EAGAIN or -EBADMSG */
        int (*look)(struct shmb_region *r, ShmbRingLook look);
        /* S1 of memory/sleep.h, without news; at most SHMB_SLEEP_WORDS_MAX - 1 */
        uint32_t (*words)(const struct shmb_region *r, ShmbSleepWord *ret_words);
        /* W2 to W5 after a commit or release */
        void (*wake)(struct shmb_region *r);
        /* go on with the newest object of a peer: 0; -EAGAIN, -EBUSY (later); -EINVAL */
        int (*switch_peer)(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                           const ShmbMapped *mapped);
        /* the memory of a peer's object was lost: 0, or -EBADMSG if that is to be said now */
        int (*lose)(struct shmb_region *r, ShmbObjectKind kind, uint32_t index);
        /* consumers: a lane has another holder: 0, or -EBUSY (later); NULL: nothing to do */
        int (*trust)(struct shmb_region *r, uint32_t index);
        /* who is attached has changed (news was read); NULL: does not matter */
        void (*hear)(struct shmb_region *r);
        /* the handle goes, while everything is still mapped; NULL: nothing to do */
        void (*leave)(struct shmb_region *r);

        /* producers; @items item_size apart; NULL: the kind has messages */
        int (*push)(struct shmb_region *r, const void *items, uint32_t n, ShmbRingLook look);
        int (*claim)(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                     ShmbRingSpan *ret_span);
        int (*commit)(struct shmb_region *r, uint32_t n);
        void (*abort)(struct shmb_region *r);

        /* consumers */
        int (*pop)(struct shmb_region *r, void *ret_items, uint32_t n);
        int (*peek)(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span);
        int (*release)(struct shmb_region *r, uint32_t n);

        /* of messages; NULL for kinds that have items */
        int (*send)(struct shmb_region *r, const void *message, size_t n, ShmbRingLook look);
        int (*recv)(struct shmb_region *r, void *ret_message, size_t n_max);
} ShmbEngine;

/* For handles of role produce and consume; NULL if this library does not have the kind. */
const ShmbEngine *shmb__engine_of(const struct shmb_region *r);

extern const ShmbEngine shmb__engine_ring_producer, shmb__engine_ring_consumer;
extern const ShmbEngine shmb__engine_stream_producer, shmb__engine_stream_consumer;
extern const ShmbEngine shmb__engine_queue_producer, shmb__engine_queue_consumer;
extern const ShmbEngine shmb__engine_group_producer, shmb__engine_group_member;
extern const ShmbEngine shmb__engine_reliable_producer, shmb__engine_reliable_consumer;
extern const ShmbEngine shmb__engine_crowd_producer;
extern const ShmbEngine shmb__engine_cast_producer, shmb__engine_cast_consumer;
extern const ShmbEngine shmb__engine_queue_group_producer, shmb__engine_queue_member;
