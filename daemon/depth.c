/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Depth
 */

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "daemon/depth.h"
#include "daemon/objects.h"
#include "memory/slots.h"

typedef struct DepthWords DepthWords;

/* What pread() found in the lanes and seats of one region. */
struct DepthWords {
        uint64_t tails[SHMB_LANES_MAX], dones[SHMB_LANES_MAX];
        bool any_seat; /* broadcast: somebody is there */
        Depth sums;
};

static uint64_t depth_max(uint64_t a, uint64_t b) {
        return a > b ? a : b;
}

/* Of a private copy that pread() made: nobody else sees it, a plain copy is enough. */
static uint64_t depth_word(const void *word) {
        uint64_t value;

        memcpy(&value, word, sizeof(value));
        return value;
}

static void depth_add_counters(DepthWords *words, const ShmbCounters *counters) {
        words->sums.n_dropped += depth_word(&counters->n_dropped);
        words->sums.n_redelivered += depth_word(&counters->n_redelivered);
        words->sums.n_missed += depth_word(&counters->n_missed);
        words->sums.n_waits += depth_word(&counters->n_waits);
        words->sums.n_wakes += depth_word(&counters->n_wakes);
}

static void depth_read_lane(int fd, uint32_t lane, DepthWords *words) {
        ShmbCounters counters;

        if (backing_read(fd, offsetof(ShmbLane, counters), &counters, sizeof(counters)) == 0)
                depth_add_counters(words, &counters);
        (void)backing_read(fd, offsetof(ShmbLane, tail), &words->tails[lane],
                           sizeof(words->tails[lane]));
}

/* Of a broadcast the slowest who is there counts; elsewhere who is furthest, of all there were. */
static void depth_read_seat(Region *region, uint32_t index, int fd, DepthWords *words) {
        ShmbKind kind = region->decl->geometry.kind;
        bool broadcast = kind == SHMB_KIND_BROADCAST || kind == SHMB_KIND_LATEST;
        bool held = region_party(region, SHMB_ROLE_CONSUME, index)->lease;
        const RegionObject *object;
        ShmbCounters counters;
        ShmbPlace place;
        uint64_t done;
        uint32_t lane;

        if (backing_read(fd, offsetof(ShmbSeat, counters), &counters, sizeof(counters)) == 0)
                depth_add_counters(words, &counters);
        for (lane = 0; lane < region->decl->geometry.n_lanes; lane++) {
                object = region_object(region, SHMB_OBJECT_LANE, lane);
                if (!object ||
                    backing_read(fd, offsetof(ShmbSeat, places) + lane * sizeof(place), &place,
                                 sizeof(place)) != 0)
                        return;
                /* A place in an older lane says nothing of the one that is there now. */
                if (memcmp(&place.epoch, &object->epoch, sizeof(object->epoch)) != 0)
                        continue;
                done = depth_word(&place.done);
                if (!broadcast)
                        words->dones[lane] = depth_max(words->dones[lane], done);
                else if (held && (!words->any_seat || done < words->dones[lane]))
                        words->dones[lane] = done;
        }
        words->any_seat |= held;
}

/* Where consumers compete: what is not done, by the word of each slot. */
static void depth_read_group(Region *region, int fd, DepthWords *words) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        uint64_t states[512], at, item, i, n;
        ShmbSlots slots;
        uint32_t lane;

        for (lane = 0; lane < geometry->n_lanes; lane++) {
                slots = shmb_slots_of(geometry, NULL, lane,
                                      region_object(region, SHMB_OBJECT_LANE, lane)->epoch);
                words->dones[lane] = words->tails[lane];
                for (at = 0; at < geometry->capacity && at < words->tails[lane]; at += n) {
                        n = geometry->capacity - at < 512 ? geometry->capacity - at : 512;
                        if (backing_read(fd, offsetof(ShmbGroup, words) +
                                                     (lane * geometry->capacity + at) * 8,
                                         states, n * 8) != 0)
                                return;
                        for (i = 0; i < n && at + i < words->tails[lane]; i++) {
                                item = words->tails[lane] - 1;
                                item -= (item - at - i) & slots.mask;
                                words->dones[lane] -= !shmb_slots_is_done(&slots, item, states[i]);
                        }
                }
        }
}

static void depth_read_words(Server *server, Region *region, DepthWords *words) {
        ObjectsFault fault;
        RegionObject *object;
        size_t i;
        int fd;

        for (i = 0; i < region->n_objects && region->state != SHMB_REGION_LOST; i++) {
                object = &region->objects[i];
                if (object->kind == SHMB_OBJECT_CONTROL || object->kind == SHMB_OBJECT_DATA)
                        continue;
                if (objects_open(server, region, object, false, &fd, &fault))
                        continue;
                if (object->kind == SHMB_OBJECT_LANE)
                        depth_read_lane(fd, object->index, words);
                else if (object->kind == SHMB_OBJECT_GROUP)
                        depth_read_group(region, fd, words);
                else
                        depth_read_seat(region, object->index, fd, words);
                close(fd);
        }
}

void depth_read(Server *server, Region *region, Depth *ret_depth) {
        uint64_t capacity = region->decl->geometry.capacity, used;
        ShmbKind kind = region->decl->geometry.kind;
        bool broadcast = kind == SHMB_KIND_BROADCAST || kind == SHMB_KIND_LATEST;
        DepthWords words = {};
        uint32_t i;

        depth_read_words(server, region, &words);
        if (broadcast && !words.any_seat)
                memcpy(words.dones, words.tails, sizeof(words.dones));
        *ret_depth = words.sums;
        for (i = 0; i < region->decl->geometry.n_lanes; i++) {
                used = words.tails[i] - words.dones[i];
                used = used < capacity ? used : capacity;
                ret_depth->used = depth_max(ret_depth->used, used);
                ret_depth->left += used;
                ret_depth->moved += words.tails[i];
        }
}
