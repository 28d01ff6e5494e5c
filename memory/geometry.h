/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Geometry
 *
 * From what a declaration asks for to the sizes of the objects, and the header that each starts
 * with. Pure; every product is checked before it is formed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/layout.h"
#include "protocol/bits.h"

/* The shape of one region; private to each process, never read from shared memory. */
typedef struct ShmbGeometry {
        ShmbKind kind;
        uint32_t n_lanes, n_seats;
        uint32_t item_size, item_align;
        uint32_t stride;      /* item_size rounded up to item_align */
        uint64_t capacity;    /* slots a lane, a power of two (latest: any number); stream: bytes */
        uint64_t region_size; /* raw: bytes */
        uint64_t segment;     /* queue: bytes that are reserved and given back at a time */
        uint32_t max_message; /* stream: bytes of the longest message */
        ShmbDelivery delivery; /* broadcast */
} ShmbGeometry;

/* Before each message of a stream stands its length; both are padded to this. */
#define SHMB_STREAM_ALIGN UINT32_C(8)

/* Do consumers take items from each other, each one item to one of them? */
static inline bool shmb_geometry_competes(const ShmbGeometry *geometry) {
        return (geometry->kind == SHMB_KIND_RING || geometry->kind == SHMB_KIND_QUEUE) &&
               geometry->n_seats > 1;
}

/* Of a queue: items whose memory is reserved and given back at a time, a power of two. */
static inline uint64_t shmb_geometry_segment_items(const ShmbGeometry *geometry) {
        uint64_t n = 1;

        while (2 * n * geometry->stride <= geometry->segment && n < geometry->capacity)
                n *= 2;
        return n;
}

/* How many objects of @kind a region of this sealed geometry has. */
uint32_t shmb_geometry_object_count(const ShmbGeometry *geometry, ShmbObjectKind kind);

/* Entries of control, in their order: lanes, seats, and the group if there is one. */
static inline uint32_t shmb_geometry_party_count(const ShmbGeometry *geometry) {
        return geometry->kind == SHMB_KIND_RAW
                               ? 0
                               : geometry->n_lanes + geometry->n_seats +
                                                 shmb_geometry_competes(geometry);
}

/* Bytes of the slots of a lane. */
static inline uint64_t shmb_geometry_slots_size(const ShmbGeometry *geometry) {
        return geometry->capacity * geometry->stride;
}

/*
 * Whether a process whose pages have @page_size bytes can map the slots of a lane of a stream a
 * second time: from where they begin in the object, and to where the object ends.
 */
static inline bool shmb_geometry_repeats(const ShmbGeometry *geometry, uint64_t page_size) {
        return offsetof(ShmbLane, slots) % page_size == 0 && geometry->capacity % page_size == 0;
}

/*
 * Check @geometry whole and fill in `stride`. Return: 0; -EINVAL (a count, size or alignment
 * outside its bounds of protocol/limits.h, capacity or align not a power of two); -EFBIG (an object
 * would exceed SHMB_OBJECT_SIZE_MAX).
 */
int shmb_geometry_seal(ShmbGeometry *geometry);

/* Bytes of one object of a sealed @geometry, a multiple of SHMB_PAGE; 0 for an object it lacks. */
uint64_t shmb_geometry_object_size(const ShmbGeometry *geometry, ShmbObjectKind kind);

/* Fill in the header of object (@kind, @index) in @epoch; all reserved bytes zero. */
void shmb_header_init(ShmbHeader *header, const ShmbGeometry *geometry, ShmbObjectKind kind,
                      uint32_t index, uint32_t epoch, uint64_t tag, uint64_t generation);

/*
 * Hold a private copy of a header against what the broker said. Return: 0; -EPROTONOSUPPORT
 * (another byte order or major version); -EBADMSG (anything else differs, or reserved bytes of a
 * known minor version are not zero).
 */
int shmb_header_check(const ShmbHeader *copy, const ShmbGeometry *geometry, ShmbObjectKind kind,
                      uint32_t index, uint32_t epoch, uint64_t tag, uint64_t generation);
