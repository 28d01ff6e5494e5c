/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Ring Region in private memory
 *
 * Plays broker and kernel for the tests of the ring: objects of exactly the right length, an epoch
 * for each, and the ends to attach. A test pokes the words that it wants to stand there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

enum {
        RING_REGION_PARTIES_MAX = 4,
};

typedef struct RingRegion {
        ShmbGeometry geometry;
        _Atomic uint32_t lane_epochs[RING_REGION_PARTIES_MAX];
        _Atomic uint32_t seat_epochs[RING_REGION_PARTIES_MAX];
        ShmbMapped lanes[RING_REGION_PARTIES_MAX];
        ShmbMapped seats[RING_REGION_PARTIES_MAX];
} RingRegion;

/* All words zero, all epochs 1. */
void ring_region_init(RingRegion *region, uint32_t n_lanes, uint32_t n_seats, uint32_t item_size,
                      uint32_t capacity);
void ring_region_deinit(RingRegion *region);

ShmbLane *ring_region_lane(RingRegion *region, uint32_t index);
ShmbSeat *ring_region_seat(RingRegion *region, uint32_t index);
ShmbPlace *ring_region_place(RingRegion *region, uint32_t seat, uint32_t lane);

/* As if @n items had gone through: all indices of lane 0 and its places stand at @index. */
void ring_region_wind(RingRegion *region, uint64_t index);

/*
 * What the broker does about a lane or seat that it cannot prove to be free: the epoch goes up,
 * then a new object is made, for a seat with the words of the old one. @ret_old is the caller's to
 * free.
 */
void ring_region_replace_lane(RingRegion *region, uint32_t index, ShmbMapped *ret_old);
void ring_region_replace_seat(RingRegion *region, uint32_t index, ShmbMapped *ret_old);

/* Attach, and fail the test where that fails. */
void ring_region_produce(RingRegion *region, uint32_t index, ShmbRingProducer *ret_producer);
void ring_region_consume(RingRegion *region, uint32_t index, ShmbRingConsumer *ret_consumer);

/* Items of 8 bytes at least, which carry a number. Return what the ring said. */
int ring_region_push(ShmbRingProducer *producer, uint64_t number);
int ring_region_pop(ShmbRingConsumer *consumer, uint64_t *ret_number);
