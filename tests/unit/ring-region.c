/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Ring Region in private memory
 *
 * Objects are allocated one by one and to the byte, so that a sanitizer sees each step outside.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

enum {
        ITEM_MAX = 256,
};

static ShmbMapped ring_region_object(const ShmbGeometry *geometry, ShmbObjectKind kind,
                                     const _Atomic uint32_t *newest, uint32_t epoch) {
        ShmbMapped object = {.newest = newest, .epoch = epoch};

        object.n_bytes = (size_t)shmb_geometry_object_size(geometry, kind);
        object.memory = aligned_alloc(SHMB_PAGE, object.n_bytes);
        assert_non_null(object.memory);
        memset(object.memory, 0, object.n_bytes);
        return object;
}

void ring_region_init(RingRegion *region, uint32_t n_lanes, uint32_t n_seats, uint32_t item_size,
                      uint32_t capacity) {
        uint32_t i;

        assert_true(n_lanes <= RING_REGION_PARTIES_MAX && n_seats <= RING_REGION_PARTIES_MAX);
        memset(region, 0, sizeof(*region));
        region->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = n_lanes,
                .n_seats = n_seats,
                .item_size = item_size,
                .item_align = 8,
                .capacity = capacity,
        };
        assert_int_equal(shmb_geometry_seal(&region->geometry), 0);
        for (i = 0; i < n_lanes; i++) {
                atomic_store(&region->lane_epochs[i], 1);
                region->lanes[i] = ring_region_object(&region->geometry, SHMB_OBJECT_LANE,
                                                      &region->lane_epochs[i], 1);
        }
        for (i = 0; i < n_seats; i++) {
                atomic_store(&region->seat_epochs[i], 1);
                region->seats[i] = ring_region_object(&region->geometry, SHMB_OBJECT_SEAT,
                                                      &region->seat_epochs[i], 1);
        }
}

void ring_region_deinit(RingRegion *region) {
        uint32_t i;

        for (i = 0; i < region->geometry.n_lanes; i++)
                free(region->lanes[i].memory);
        for (i = 0; i < region->geometry.n_seats; i++)
                free(region->seats[i].memory);
}

ShmbLane *ring_region_lane(RingRegion *region, uint32_t index) {
        return region->lanes[index].memory;
}

ShmbSeat *ring_region_seat(RingRegion *region, uint32_t index) {
        return region->seats[index].memory;
}

ShmbPlace *ring_region_place(RingRegion *region, uint32_t seat, uint32_t lane) {
        return &ring_region_seat(region, seat)->places[lane];
}

void ring_region_wind(RingRegion *region, uint64_t index) {
        uint32_t i;

        atomic_store(&ring_region_lane(region, 0)->tail, index);
        for (i = 0; i < region->geometry.n_seats; i++) {
                ShmbPlace *place = ring_region_place(region, i, 0);

                atomic_store(&place->head, index);
                atomic_store(&place->done, index);
                atomic_store(&place->taken, index);
                atomic_store(&place->epoch, region->lanes[0].epoch);
        }
}

void ring_region_replace_lane(RingRegion *region, uint32_t index, ShmbMapped *ret_old) {
        uint32_t epoch = region->lanes[index].epoch + 1;

        *ret_old = region->lanes[index];
        atomic_store(&region->lane_epochs[index], epoch);
        region->lanes[index] = ring_region_object(&region->geometry, SHMB_OBJECT_LANE,
                                                  &region->lane_epochs[index], epoch);
}

void ring_region_replace_seat(RingRegion *region, uint32_t index, ShmbMapped *ret_old) {
        uint32_t epoch = region->seats[index].epoch + 1;
        ShmbMapped *seat = &region->seats[index];

        *ret_old = *seat;
        atomic_store(&region->seat_epochs[index], epoch);
        *seat = ring_region_object(&region->geometry, SHMB_OBJECT_SEAT,
                                   &region->seat_epochs[index], epoch);
        memcpy(seat->memory, ret_old->memory, seat->n_bytes);
}

void ring_region_produce(RingRegion *region, uint32_t index, ShmbRingProducer *ret_producer) {
        assert_int_equal(shmb_ring_producer_init(ret_producer, &region->geometry, index,
                                                 &region->lanes[index], region->seats, false), 0);
}

void ring_region_consume(RingRegion *region, uint32_t index, ShmbRingConsumer *ret_consumer) {
        assert_int_equal(shmb_ring_consumer_init(ret_consumer, &region->geometry,
                                                 &region->seats[index], region->lanes,
                                                 SHMB_RING_STRICT, false), 0);
}

int ring_region_push(ShmbRingProducer *producer, uint64_t number) {
        uint64_t item[ITEM_MAX / 8];
        uint32_t i;

        assert_true(producer->item_size <= ITEM_MAX);
        for (i = 0; i < ITEM_MAX / 8; i++)
                item[i] = number;
        return shmb_ring_push_n(producer, item, 1, SHMB_RING_EXACT);
}

int ring_region_pop(ShmbRingConsumer *consumer, uint64_t *ret_number) {
        uint64_t item[ITEM_MAX / 8];
        uint32_t i;
        int r;

        assert_true(consumer->item_size <= ITEM_MAX);
        r = shmb_ring_pop_n(consumer, item, 1);
        if (r != 1)
                return r;
        /* Whole: all its words are of the same push. */
        for (i = 1; i < consumer->item_size / 8; i++)
                assert_int_equal(item[i], item[0]);
        *ret_number = item[0];
        return 1;
}
