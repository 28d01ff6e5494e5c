/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Spellings of the Enumerations
 *
 * One table an enumeration, indexed by value. An enumerator without a spelling breaks the build:
 * the tables have the length of the enumeration, and each ends with its last value. What lies
 * outside of a table is a newer peer's value and is called "unknown", never an error.
 */

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "protocol/bits.h"

#define N_OF(_table) (sizeof(_table) / sizeof(*(_table)))

static const char *const kinds[] = {
        "none", "raw", "ring", "stream", "broadcast", "latest", "queue",
};
static const char *const backings[] = { "none", "posix", "memfd", "file", "sysv" };
static const char *const roles[] = { "none", "produce", "consume", "observe", "read", "write" };
static const char *const overflows[] = { "none", "block", "fail", "drop_newest" };
static const char *const deliveries[] = { "none", "lossy", "reliable" };
static const char *const lifetimes[] = { "none", "static", "on_demand", "persistent" };
static const char *const object_kinds[] = { "none", "control", "lane", "seat", "group", "data" };
static const char *const region_states[] = {
        "none", "declared", "live", "stale", "removed", "lost", "draining",
};
static const char *const occupancies[] = { "vacant", "held", "unproven" };
static const char *const events[] = {
        "none", "declared", "created", "changed", "attached", "detached", "refused", "reaped",
        "removed",
};

static_assert(N_OF(kinds) == _SHMB_KIND_N, "a kind has no spelling");
static_assert(N_OF(backings) == _SHMB_BACKING_N, "a backing has no spelling");
static_assert(N_OF(roles) == _SHMB_ROLE_N, "a role has no spelling");
static_assert(N_OF(overflows) == _SHMB_OVERFLOW_N, "an overflow policy has no spelling");
static_assert(N_OF(deliveries) == _SHMB_DELIVERY_N, "a delivery has no spelling");
static_assert(N_OF(lifetimes) == _SHMB_LIFETIME_N, "a lifetime has no spelling");
static_assert(N_OF(object_kinds) == _SHMB_OBJECT_N, "an object kind has no spelling");
static_assert(N_OF(region_states) == _SHMB_REGION_N, "a region state has no spelling");
static_assert(N_OF(occupancies) == _SHMB_PARTY_N, "an occupancy has no spelling");
static_assert(N_OF(events) == _SHMB_EVENT_N, "an event has no spelling");

static const char *spelling(const char *const *table, size_t n, unsigned value) {
        return value < n ? table[value] : "unknown";
}

/* 0 is *_NONE everywhere and has no spelling that anybody may write. */
static unsigned value_of(const char *const *table, size_t n, const char *text) {
        size_t i;

        for (i = 1; text && i < n; i++)
                if (strcmp(table[i], text) == 0)
                        return i;
        return 0;
}

const char *shmb_kind_to_string(ShmbKind kind) {
        return spelling(kinds, N_OF(kinds), kind);
}

const char *shmb_backing_to_string(ShmbBacking backing) {
        return spelling(backings, N_OF(backings), backing);
}

const char *shmb_role_to_string(ShmbRole role) {
        return spelling(roles, N_OF(roles), role);
}

const char *shmb_overflow_to_string(ShmbOverflow overflow) {
        return spelling(overflows, N_OF(overflows), overflow);
}

const char *shmb_delivery_to_string(ShmbDelivery delivery) {
        return spelling(deliveries, N_OF(deliveries), delivery);
}

const char *shmb_lifetime_to_string(ShmbLifetime lifetime) {
        return spelling(lifetimes, N_OF(lifetimes), lifetime);
}

const char *shmb_object_kind_to_string(ShmbObjectKind kind) {
        return spelling(object_kinds, N_OF(object_kinds), kind);
}

const char *shmb_region_state_to_string(ShmbRegionState state) {
        return spelling(region_states, N_OF(region_states), state);
}

const char *shmb_occupancy_to_string(ShmbOccupancy occupancy) {
        return spelling(occupancies, N_OF(occupancies), occupancy);
}

const char *shmb_event_to_string(ShmbEvent event) {
        return spelling(events, N_OF(events), event);
}

ShmbKind shmb_kind_from_string(const char *text) {
        return (ShmbKind)value_of(kinds, N_OF(kinds), text);
}

ShmbBacking shmb_backing_from_string(const char *text) {
        return (ShmbBacking)value_of(backings, N_OF(backings), text);
}

ShmbRole shmb_role_from_string(const char *text) {
        return (ShmbRole)value_of(roles, N_OF(roles), text);
}

ShmbOverflow shmb_overflow_from_string(const char *text) {
        return (ShmbOverflow)value_of(overflows, N_OF(overflows), text);
}

ShmbLifetime shmb_lifetime_from_string(const char *text) {
        return (ShmbLifetime)value_of(lifetimes, N_OF(lifetimes), text);
}
