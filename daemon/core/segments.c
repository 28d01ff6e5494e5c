/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Segments
 *
 * Invariant: freed <= published <= backed <= freed + capacity + a segment. Counts run on freely,
 * as in the lane; none gets near 2^64 by items, and none is taken from anybody without a
 * bound.
 *
 * The last segment: where the consumer is in the middle of one, the producer may be in the same
 * one, a lap later. It is the same memory, so it is there; and it is not given back when the
 * consumer leaves it.
 */

#include "daemon/core/segments.h"

static uint64_t segments_round_down(const ShmbGeometry *geometry, uint64_t item) {
        return item & ~(shmb_geometry_segment_items(geometry) - 1);
}

RegionSegments segments_first(const ShmbGeometry *geometry, ShmbObjectKind kind) {
        if (geometry->kind != SHMB_KIND_QUEUE || kind != SHMB_OBJECT_LANE)
                return (RegionSegments){};
        return (RegionSegments){ .backed = shmb_geometry_segment_items(geometry) };
}

static uint64_t segments_most(const RegionSegments *segments, const ShmbGeometry *geometry) {
        return segments->freed + geometry->capacity + shmb_geometry_segment_items(geometry);
}

/* As far as is wanted, as there is room for, and as one turn may take. */
static void segments_reserve(const RegionSegments *segments, const ShmbGeometry *geometry,
                             SegmentsEffects *effects) {
        uint64_t n_items = shmb_geometry_segment_items(geometry);
        uint64_t step = SEGMENTS_STEP_BYTES_MAX / geometry->stride;
        uint64_t to = segments->wanted;

        effects->back_from = effects->back_to = segments->backed;
        if (to > segments_most(segments, geometry))
                to = segments_most(segments, geometry);
        if (to <= segments->backed)
                return;
        step = step > n_items ? segments_round_down(geometry, step) : n_items;
        to = segments_round_down(geometry, to + n_items - 1);
        if (to - segments->backed > step)
                to = segments->backed + step;
        if (to <= segments_most(segments, geometry))
                effects->back_to = to;
}

/* Given back is what both sides are done with. */
static void segments_settle(RegionSegments *segments, const ShmbGeometry *geometry,
                            SegmentsEffects *ret_effects) {
        uint64_t done = segments->released, again = 0;
        SegmentsEffects effects = {};

        if (done > segments->published)
                done = segments->published;
        done = segments_round_down(geometry, done);
        /* What is in use again in the next lap stays. */
        if (segments->backed > geometry->capacity)
                again = segments->backed - geometry->capacity;
        effects.free_from = effects.free_to = segments->freed > again ? segments->freed : again;
        if (done > effects.free_from)
                effects.free_to = done;
        if (done > segments->freed)
                segments->freed = done;
        segments_reserve(segments, geometry, &effects);
        *ret_effects = effects;
}

int segments_produced(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t published,
                      uint64_t wanted, SegmentsEffects *ret_effects) {
        /* Who is at the very end wants one segment more. */
        if (published > segments->backed ||
            wanted > segments_most(segments, geometry) + shmb_geometry_segment_items(geometry))
                return SEGMENTS_E_BEYOND;
        if (published > segments->published)
                segments->published = published;
        if (wanted > segments->wanted)
                segments->wanted = wanted;
        segments_settle(segments, geometry, ret_effects);
        return 0;
}

int segments_consumed(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t released,
                      SegmentsEffects *ret_effects) {
        if (released > segments->backed)
                return SEGMENTS_E_BEYOND;
        if (released > segments->released)
                segments->released = released;
        segments_settle(segments, geometry, ret_effects);
        return 0;
}

void segments_set_backed(RegionSegments *segments, uint64_t backed) {
        segments->backed = backed;
}

void segments_restore(RegionSegments *segments, const ShmbGeometry *geometry, uint64_t freed,
                      uint64_t backed) {
        const RegionSegments left = { .freed = freed, .backed = backed };

        if (geometry->kind != SHMB_KIND_QUEUE || backed < freed ||
            backed > segments_most(&left, geometry) ||
            segments_round_down(geometry, freed) != freed ||
            segments_round_down(geometry, backed) != backed)
                return;
        /* What the producer had said is not known any more; freed is less than that. */
        *segments = (RegionSegments){
                .freed = freed,
                .backed = backed,
                .published = freed,
                .released = freed,
                .wanted = backed,
        };
}

void segments_bytes(const ShmbGeometry *geometry, uint64_t item, bool outward,
                    uint64_t *ret_offset, uint64_t *ret_n) {
        uint64_t n_bytes = shmb_geometry_segment_items(geometry) * geometry->stride;
        uint64_t from = offsetof(ShmbLane, slots) +
                        (item & (geometry->capacity - 1)) * geometry->stride;
        uint64_t to = from + n_bytes;

        if (outward) {
                from &= ~(uint64_t)(SHMB_PAGE - 1);
                to = (to + SHMB_PAGE - 1) & ~(uint64_t)(SHMB_PAGE - 1);
        } else {
                from = (from + SHMB_PAGE - 1) & ~(uint64_t)(SHMB_PAGE - 1);
                to &= ~(uint64_t)(SHMB_PAGE - 1);
        }
        *ret_offset = from;
        *ret_n = to > from ? to - from : 0;
}
