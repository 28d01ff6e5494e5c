/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Geometry
 *
 * Bounds first, products afterwards: the largest that passes, SHMB_CAPACITY_MAX slots of
 * SHMB_ITEM_SIZE_MAX bytes rounded up to SHMB_ITEM_ALIGN_MAX, is below 2^59, so nothing here wraps.
 *
 * A header is compared with one made from what the broker said, so each of its bytes counts; only
 * what a newer minor version put into the reserved part is not known here, and ignored.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "memory/geometry.h"

static_assert(SHMB_CAPACITY_MAX <= UINT64_MAX / (2 * (uint64_t)SHMB_ITEM_SIZE_MAX), "no wrap");
static_assert((SHMB_ITEM_SIZE_MAX & (SHMB_ITEM_ALIGN_MAX - 1)) == 0, "the stride has its bound");

static bool geometry_is_power_of_two(uint64_t n) {
        return n > 0 && (n & (n - 1)) == 0;
}

static uint64_t geometry_round_up(uint64_t n, uint64_t power_of_two) {
        return (n + power_of_two - 1) & ~(power_of_two - 1);
}

static int geometry_seal_raw(const ShmbGeometry *geometry) {
        if (geometry->region_size < 1)
                return -EINVAL;
        if (geometry->region_size > SHMB_OBJECT_SIZE_MAX)
                return -EFBIG;
        return 0;
}

static bool geometry_has_parties(const ShmbGeometry *geometry) {
        return geometry->n_lanes >= 1 && geometry->n_lanes <= SHMB_LANES_MAX &&
               geometry->n_seats >= 1 && geometry->n_seats <= SHMB_SEATS_MAX;
}

/* What all kinds with items of one size have in common. */
static int geometry_seal_items(ShmbGeometry *geometry) {
        uint32_t stride;

        if (!geometry_has_parties(geometry))
                return -EINVAL;
        if (geometry->item_size < 1 || geometry->item_size > SHMB_ITEM_SIZE_MAX)
                return -EINVAL;
        if (!geometry_is_power_of_two(geometry->item_align) ||
            geometry->item_align > SHMB_ITEM_ALIGN_MAX)
                return -EINVAL;
        if (geometry->capacity < 1 || geometry->capacity > SHMB_CAPACITY_MAX)
                return -EINVAL;

        stride = (uint32_t)geometry_round_up(geometry->item_size, geometry->item_align);
        if (geometry->capacity * stride > SHMB_OBJECT_SIZE_MAX - offsetof(ShmbLane, slots))
                return -EFBIG;
        geometry->stride = stride;
        return 0;
}

static int geometry_seal_ring(ShmbGeometry *geometry) {
        if (!geometry_is_power_of_two(geometry->capacity))
                return -EINVAL;
        return geometry_seal_items(geometry);
}

/* A message of the greatest length fits beside its own length, wherever it starts. */
static int geometry_seal_stream(ShmbGeometry *geometry) {
        uint64_t capacity = geometry->capacity;

        if (!geometry_has_parties(geometry) || geometry->item_size != 1 ||
            geometry->item_align != 1)
                return -EINVAL;
        if (!geometry_is_power_of_two(capacity) || capacity < SHMB_PAGE ||
            capacity > SHMB_CAPACITY_MAX)
                return -EINVAL;
        if (geometry->max_message < 1 || geometry->max_message > INT32_MAX ||
            geometry_round_up(geometry->max_message, SHMB_STREAM_ALIGN) >
                            capacity - SHMB_STREAM_ALIGN)
                return -EINVAL;
        geometry->stride = 1;
        return 0;
}

static int geometry_seal_broadcast(ShmbGeometry *geometry) {
        if (geometry->delivery != SHMB_DELIVERY_LOSSY &&
            geometry->delivery != SHMB_DELIVERY_RELIABLE)
                return -EINVAL;
        return geometry_seal_ring(geometry);
}

/* With one slot alone every read would race with the next write. */
static int geometry_seal_latest(ShmbGeometry *geometry) {
        if (geometry->capacity < 2 || geometry->n_lanes != 1)
                return -EINVAL;
        return geometry_seal_items(geometry);
}

static int geometry_seal_queue(ShmbGeometry *geometry) {
        if (!geometry_is_power_of_two(geometry->segment) || geometry->segment < SHMB_PAGE)
                return -EINVAL;
        return geometry_seal_ring(geometry);
}

/**
 * shmb_geometry_seal() - check a shape whole, and fill in what follows from it
 * @geometry: all but `stride` is set; only `stride` is written, and only on success
 *
 * Return: 0; -EINVAL (a count, size or alignment outside its bounds of protocol/limits.h, capacity
 * or align not a power of two); -EFBIG (an object would exceed SHMB_OBJECT_SIZE_MAX).
 */
int shmb_geometry_seal(ShmbGeometry *geometry) {
        switch (geometry->kind) {
        case SHMB_KIND_RAW:
                return geometry_seal_raw(geometry);
        case SHMB_KIND_RING:
                return geometry_seal_ring(geometry);
        case SHMB_KIND_STREAM:
                return geometry_seal_stream(geometry);
        case SHMB_KIND_BROADCAST:
                return geometry_seal_broadcast(geometry);
        case SHMB_KIND_LATEST:
                return geometry_seal_latest(geometry);
        case SHMB_KIND_QUEUE:
                return geometry_seal_queue(geometry);
        case SHMB_KIND_NONE:
        case _SHMB_KIND_N:
                break;
        }
        return -EINVAL;
}

/**
 * shmb_geometry_object_size() - how long one object is
 * @geometry: sealed
 * @kind: which object
 *
 * Return: bytes, a multiple of SHMB_PAGE; 0 if regions of this kind have no such object.
 */
uint64_t shmb_geometry_object_size(const ShmbGeometry *geometry, ShmbObjectKind kind) {
        uint64_t n_bytes = 0;

        if (shmb_geometry_object_count(geometry, kind) == 0)
                return 0;
        switch (kind) {
        case SHMB_OBJECT_CONTROL:
                n_bytes = offsetof(ShmbControl, parties) +
                          (uint64_t)shmb_geometry_party_count(geometry) * sizeof(ShmbParty);
                break;
        case SHMB_OBJECT_LANE:
                n_bytes = offsetof(ShmbLane, slots) + shmb_geometry_slots_size(geometry);
                break;
        case SHMB_OBJECT_SEAT:
                n_bytes = offsetof(ShmbSeat, places) +
                          (uint64_t)geometry->n_lanes * sizeof(ShmbPlace);
                break;
        case SHMB_OBJECT_GROUP:
                n_bytes = offsetof(ShmbGroup, words) +
                          geometry->n_lanes * geometry->capacity * sizeof(uint64_t);
                break;
        case SHMB_OBJECT_DATA:
                n_bytes = geometry->region_size;
                break;
        case SHMB_OBJECT_NONE:
        case _SHMB_OBJECT_N:
                break;
        }
        return geometry_round_up(n_bytes, SHMB_PAGE);
}

uint32_t shmb_geometry_object_count(const ShmbGeometry *geometry, ShmbObjectKind kind) {
        bool is_raw = geometry->kind == SHMB_KIND_RAW;

        switch (kind) {
        case SHMB_OBJECT_CONTROL:
                return 1;
        case SHMB_OBJECT_LANE:
                return is_raw ? 0 : geometry->n_lanes;
        case SHMB_OBJECT_SEAT:
                return is_raw ? 0 : geometry->n_seats;
        case SHMB_OBJECT_GROUP:
                return shmb_geometry_competes(geometry);
        case SHMB_OBJECT_DATA:
                return is_raw;
        case SHMB_OBJECT_NONE:
        case _SHMB_OBJECT_N:
                break;
        }
        return 0;
}

/**
 * shmb_header_init() - what stands at the start of an object
 * @header: to fill in, every byte
 * @geometry: sealed
 * @kind: of the object; not SHMB_OBJECT_DATA, which has no header
 * @index: which lane or seat, 0 for others
 * @epoch: of the object
 * @tag: of the region's generation
 * @generation: of the region
 */
void shmb_header_init(ShmbHeader *header, const ShmbGeometry *geometry, ShmbObjectKind kind,
                      uint32_t index, uint32_t epoch, uint64_t tag, uint64_t generation) {
        memset(header, 0, sizeof(*header));
        memcpy(header->magic, SHMB_MAGIC, sizeof(header->magic));
        header->endian = SHMB_ENDIAN;
        header->major = SHMB_LAYOUT_MAJOR;
        header->minor = SHMB_LAYOUT_MINOR;
        header->header_size = sizeof(*header);
        header->object_kind = kind;
        header->index = index;
        header->epoch = epoch;
        header->tag = tag;
        header->generation = generation;
        header->object_size = shmb_geometry_object_size(geometry, kind);
        header->region_kind = geometry->kind;
        header->n_lanes = geometry->n_lanes;
        header->n_seats = geometry->n_seats;
        header->item_size = geometry->item_size;
        header->item_align = geometry->item_align;
        header->stride = geometry->stride;
        header->capacity = geometry->capacity;
        header->segment = geometry->segment;
        header->max_message = geometry->max_message;
        header->delivery = geometry->delivery;
        header->slots_offset = kind == SHMB_OBJECT_LANE ? offsetof(ShmbLane, slots) : 0;
}

/**
 * shmb_header_check() - hold a header against what the broker said
 * @copy: a private copy: the original may change while it is looked at
 * @geometry: sealed, from the broker's reply, and so are the rest
 * @kind: of the object
 * @index: which lane or seat, 0 for others
 * @epoch: of the object
 * @tag: of the region's generation
 * @generation: of the region
 *
 * Return: 0; -EPROTONOSUPPORT (another byte order or major version); -EBADMSG (anything else
 * differs, or reserved bytes of a known minor version are not zero).
 */
int shmb_header_check(const ShmbHeader *copy, const ShmbGeometry *geometry, ShmbObjectKind kind,
                      uint32_t index, uint32_t epoch, uint64_t tag, uint64_t generation) {
        size_t n_bytes = sizeof(ShmbHeader);
        ShmbHeader expected;

        shmb_header_init(&expected, geometry, kind, index, epoch, tag, generation);
        if (memcmp(copy->magic, expected.magic, sizeof(expected.magic)) != 0)
                return -EBADMSG;
        if (copy->endian != expected.endian || copy->major != expected.major)
                return -EPROTONOSUPPORT;
        if (copy->minor > expected.minor) {
                /* A newer minor version may only have filled what is reserved here. */
                expected.minor = copy->minor;
                n_bytes = offsetof(ShmbHeader, reserved);
        }
        return memcmp(copy, &expected, n_bytes) == 0 ? 0 : -EBADMSG;
}
