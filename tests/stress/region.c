/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Memory of a Region under Stress
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/stress/region.h"

/* Of a stream the slots of a lane are mapped a second time behind it. */
static size_t mirror_size(const Region *region, ShmbObjectKind kind) {
        return region->geometry.kind == SHMB_KIND_STREAM && kind == SHMB_OBJECT_LANE
                               ? (size_t)region->geometry.capacity
                               : 0;
}

static ShmbMapped object_new(Region *region, ShmbObjectKind kind) {
        size_t n_bytes = (size_t)shmb_geometry_object_size(&region->geometry, kind);
        size_t n_mirror = mirror_size(region, kind);
        int fd = memfd_create("stress", MFD_CLOEXEC);
        uint8_t *at;

        if (fd < 0 || ftruncate(fd, (off_t)n_bytes) < 0)
                stress_fail("no memory", -errno);
        at = mmap(NULL, n_bytes + n_mirror, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                stress_fail("no mapping", -errno);
        if (n_mirror > 0 && mmap(at + n_bytes, n_mirror, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_FIXED, fd, SHMB_PAGE) == MAP_FAILED)
                stress_fail("no mapping", -errno);
        close(fd);
        return (ShmbMapped){at, n_bytes + n_mirror, 1, &region->epoch};
}

Region *region_new(const StressShape *shape, const ShmbGeometry *geometry) {
        Region *region = calloc(1, sizeof(*region));
        uint32_t i;

        if (!region)
                stress_fail("no memory", -ENOMEM);
        region->geometry = *geometry;
        region->geometry.n_lanes = shape->n_producers;
        region->geometry.n_seats = shape->n_consumers;
        region->geometry.capacity = shape->capacity;
        if (geometry->item_size == 0) {
                region->geometry.item_size = shape->item_size;
                region->geometry.item_align = 8;
        }
        if (shmb_geometry_seal(&region->geometry) < 0)
                stress_fail("no geometry", -EINVAL);
        atomic_store(&region->epoch, 1);
        for (i = 0; i < shape->n_producers; i++)
                region->lanes[i] = object_new(region, SHMB_OBJECT_LANE);
        for (i = 0; i < shape->n_consumers; i++)
                region->seats[i] = object_new(region, SHMB_OBJECT_SEAT);
        if (shmb_geometry_competes(&region->geometry))
                region->group = object_new(region, SHMB_OBJECT_GROUP);
        return region;
}

void region_free(void *data) {
        Region *region = data;
        uint32_t i;

        for (i = 0; i < region->geometry.n_lanes; i++)
                munmap(region->lanes[i].memory, region->lanes[i].n_bytes);
        for (i = 0; i < region->geometry.n_seats; i++)
                munmap(region->seats[i].memory, region->seats[i].n_bytes);
        if (region->group.memory)
                munmap(region->group.memory, region->group.n_bytes);
        free(region);
}

void *region_handle_new(StressEnd *end, size_t n_bytes) {
        end->handle = calloc(1, n_bytes);
        if (!end->handle)
                stress_fail("no memory", -ENOMEM);
        return end->handle;
}

void region_handle_free(StressEnd *end) {
        free(end->handle);
}
