/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a Handle Tells
 *
 * Figures for people. Counters are words of whoever counts, so they may be anything: they are added
 * up, bounded where a bound is known, and nothing is decided by them. Structures of callers have
 * the size that the caller was built with; no byte beyond it is written.
 */

#include <errno.h>
#include <string.h>

#include "client/news.h"
#include "client/region.h"
#include "client/wait.h"

static bool is_ours(const struct shmb_region *r) {
        /* relaxed: changes by fork() only */
        return shmb_load_relaxed(r->alive) == r->alive_as;
}

/**
 * shmb_get_info() - what a handle stands for
 * @r:          handle
 * @info:       its `size` is set by the caller
 *
 * Return: 0, -EINVAL.
 */
int shmb_get_info(const struct shmb_region *r, struct shmb_info *info) {
        struct shmb_info all = { .size = info ? info->size : 0 };

        if (!r || !info || info->size < sizeof(info->size))
                return -EINVAL;
        all.name = r->name;
        all.type = r->type;
        all.kind = r->geometry.kind;
        all.role = r->role;
        all.index = r->index;
        all.n_producers_max = r->geometry.n_lanes;
        all.n_consumers_max = r->geometry.n_seats;
        all.item_size = r->geometry.item_size;
        all.item_align = r->geometry.item_align;
        all.stride = r->geometry.stride;
        all.capacity = r->geometry.capacity;
        all.region_size = r->geometry.region_size;
        all.generation = r->generation;
        all.lease = r->lease;
        memcpy(info, &all, info->size < sizeof(all) ? info->size : sizeof(all));
        return 0;
}

static void add_counters(const ShmbCounters *counters, struct shmb_stats *all) {
        /* relaxed, all: for display */
        uint64_t high_water = shmb_load_relaxed(&counters->high_water);

        /* relaxed, all: for display */
        all->n_dropped += shmb_load_relaxed(&counters->n_dropped);
        all->n_redelivered += shmb_load_relaxed(&counters->n_redelivered);
        all->n_missed += shmb_load_relaxed(&counters->n_missed);
        all->n_waits += shmb_load_relaxed(&counters->n_waits);
        all->n_wakes += shmb_load_relaxed(&counters->n_wakes);
        if (high_water > all->high_water)
                all->high_water = high_water;
}

/* Of a broadcast only who is there. */
static bool seat_counts(const struct shmb_region *r, uint32_t seat) {
        return (r->geometry.kind != SHMB_KIND_BROADCAST && r->geometry.kind != SHMB_KIND_LATEST) ||
               shmb__seat_is_held(r, seat);
}

/* Items that the slowest seat has not released yet. */
static uint64_t lane_used(const struct shmb_region *r, uint32_t lane) {
        const ShmbLane *words = r->lanes[lane].memory;
        /* relaxed: for display */
        uint64_t tail = shmb_load_relaxed(&words->tail), used = 0, n;
        const ShmbSeat *seat;
        ShmbSlots slots;
        uint32_t i;

        if (r->group.memory) {
                slots = shmb_slots_of(&r->geometry, r->group.memory, lane, r->lanes[lane].epoch);
                return shmb_slots_count_left(&slots, tail);
        }
        for (i = 0; i < r->geometry.n_seats; i++) {
                seat = r->seats[i].memory;
                if (!seat || !seat_counts(r, i))
                        continue;
                /* relaxed, all: for display */
                n = tail;
                if (shmb_load_relaxed(&seat->places[lane].epoch) == r->lanes[lane].epoch)
                        n -= shmb_load_relaxed(&seat->places[lane].done);
                if (n > used)
                        used = n;
        }
        return used < r->geometry.capacity ? used : r->geometry.capacity;
}

static void count_ring(const struct shmb_region *r, struct shmb_stats *all) {
        const ShmbLane *lane;
        const ShmbSeat *seat;
        uint64_t used;
        uint32_t i;

        for (i = 0; i < r->geometry.n_lanes; i++) {
                lane = r->lanes[i].memory;
                if (!lane)
                        continue;
                add_counters(&lane->counters, all);
                /* relaxed: for display */
                all->n_pushed += shmb_load_relaxed(&lane->counters.n_items);
                used = lane_used(r, i);
                if (used > all->used)
                        all->used = used;
        }
        for (i = 0; i < r->geometry.n_seats; i++) {
                seat = r->seats[i].memory;
                if (!seat)
                        continue;
                add_counters(&seat->counters, all);
                /* relaxed: for display */
                all->n_popped += shmb_load_relaxed(&seat->counters.n_items);
        }
}

static void count_parties(const struct shmb_region *r, struct shmb_stats *all) {
        const ShmbControl *control = r->control.memory;
        uint32_t i, n = r->geometry.n_lanes + r->geometry.n_seats;

        for (i = 0; i < n; i++) {
                /* relaxed, all: for display */
                all->n_deaths += shmb_load_relaxed(&control->parties[i].n_deaths);
                if (shmb_load_relaxed(&control->parties[i].occupancy) != SHMB_PARTY_HELD)
                        continue;
                if (i < r->geometry.n_lanes)
                        all->n_producers++;
                else
                        all->n_consumers++;
        }
}

/**
 * shmb_get_stats() - the region as it is now
 * @r:          handle of any role
 * @stats:      its `size` is set by the caller
 *
 * A producer sees its own lane, a consumer its own seat; an observer all of them.
 *
 * Return: 0, -EINVAL, -ECHILD.
 */
int shmb_get_stats(struct shmb_region *r, struct shmb_stats *stats) {
        struct shmb_stats all = { .size = stats ? stats->size : 0 };

        if (!r || !stats || stats->size < sizeof(stats->size))
                return -EINVAL;
        if (!is_ours(r))
                return -ECHILD;
        if (r->geometry.kind != SHMB_KIND_RAW) {
                count_ring(r, &all);
                count_parties(r, &all);
        }
        memcpy(stats, &all, stats->size < sizeof(all) ? stats->size : sizeof(all));
        return 0;
}

/**
 * shmb_check() - what the next operation would have to say, without one
 * @r:          handle of any role
 *
 * For users of raw regions, whose data path has no calls, and for event loops.
 *
 * Return: 0; -EOWNERDEAD (said by this then), -EPIPE, -ESTALE, -EIDRM, -ESHUTDOWN, -EBADMSG,
 * -ECHILD, -EINVAL.
 */
int shmb_check(struct shmb_region *r) {
        uint32_t gate;
        int result;

        if (!r)
                return -EINVAL;
        if (!is_ours(r))
                return -ECHILD;
        /* relaxed: as in shmb__enter() */
        gate = shmb_load_relaxed(&r->gate);
        if (gate > SHMB__GATE_LOOK) {
                result = shmb__judge(r);
                return result == -EAGAIN ? 0 : result;
        }
        if (gate != SHMB__GATE_SHUT) {
                result = shmb__hear(r);
                if (result < 0)
                        return result;
                /* For good: nothing replaces it under a handle that only looks. */
                if (shmb__has_lost(r))
                        return -EBADMSG;
        }
        /* relaxed: a thread that reconnects may store it at any time */
        return -(int)shmb_load_relaxed(&r->end);
}

void *shmb_data(struct shmb_region *r) {
        return r && is_ours(r) ? r->data.memory : NULL;
}

size_t shmb_size(const struct shmb_region *r) {
        return r && r->data.memory ? (size_t)r->geometry.region_size : 0;
}
