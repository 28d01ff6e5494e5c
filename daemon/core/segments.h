/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Segments
 *
 * Which parts of a lane of a queue have memory behind them: reserved ahead of the producer, given
 * back behind the consumer, a segment at a time. Both tell how far they are; memory is given back
 * only where both agree that it is not needed: below what the producer said it had published and
 * what the consumer said it had released. So a consumer that lies takes no memory from under what
 * the producer is about to write.
 *
 * Pure: what to reserve and to give back comes out as a value; the daemon does it, and says with
 * segments_set_backed() how far it got.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/registry.h"
#include "memory/geometry.h"

/* At most so much is reserved in one turn of the loop: 5 ms. */
#define SEGMENTS_STEP_BYTES_MAX (UINT64_C(16) << 20)

typedef struct SegmentsEffects {
        uint64_t free_from, free_to; /* items whose memory is to be given back */
        uint64_t back_from, back_to; /* items whose memory is to be reserved then */
} SegmentsEffects;

enum {
        _SEGMENTS_E_SUCCESS,

        SEGMENTS_E_BEYOND, /* further than there is memory; nothing changed */
};

/* What a lane is born with: one segment; all zero for other objects and kinds. */
RegionSegments segments_first(const ShmbGeometry *geometry, ShmbObjectKind kind);

/**
 * segments_produced() - the producer says how far it is, and how far it wants to go
 * @segments:   of its lane
 * @geometry:   of a queue
 * @published:  items, its tail
 * @wanted:     items
 *
 * Return: 0, or SEGMENTS_E_BEYOND.
 */
int segments_produced(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t published,
                      uint64_t wanted, SegmentsEffects *ret_effects);

/**
 * segments_consumed() - a consumer says that all items below @released are
 *
 * What the producer wants and could not have before is reserved now.
 *
 * Return: 0, or SEGMENTS_E_BEYOND.
 */
int segments_consumed(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t released,
                      SegmentsEffects *ret_effects);

/** segments_set_backed() - memory was reserved as far as this; not all of it where it ran out */
void segments_set_backed(RegionSegments *segments, uint64_t backed);

/** segments_restore() - as a predecessor left them, read from control; nonsense is left out */
void segments_restore(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t freed,
                      uint64_t backed);

/**
 * segments_bytes() - where the memory of one segment is
 * @geometry:   of a queue
 * @item:       its first item
 * @outward:    whole pages that hold any of it; else pages that hold nothing else
 * @ret_offset: in the object
 * @ret_n:      bytes, may be 0 where inward
 */
void segments_bytes(const ShmbGeometry *geometry, uint64_t item, bool outward,
                    uint64_t *ret_offset, uint64_t *ret_n);
