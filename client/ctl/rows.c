/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The columns, one line each.
 *
 * A column's getter is made by one of the macros below from an expression over the row, so that the
 * table at the end of each part reads as the manual page does. Enumerations come from the broker: a
 * value that this version does not know is shown as absent, never used as an index.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/ctl/format.h"
#include "client/ctl/rows.h"
#include "protocol/bits.h"

#define N_ELEMENTS(_array) (sizeof(_array) / sizeof((_array)[0]))

/* A getter of @_shape's column @_name: a number, and whether this row has it. */
#define NUMBER(_shape, _type, _name, _present, _number)                          \
        static void _shape##_##_name(const void *data, Cell *cell) {             \
                const _type *row = data;                                         \
                                                                                 \
                if (_present)                                                    \
                        cell_set_number(cell, _number);                          \
        }

#define TEXT(_shape, _type, _name, _text)                                        \
        static void _shape##_##_name(const void *data, Cell *cell) {             \
                const _type *row = data;                                         \
                                                                                 \
                cell_set_text(cell, _text);                                      \
        }

/* An enumeration, from @_first on: @_to_string() is asked only for what it knows. */
#define ENUM(_shape, _type, _name, _value, _first, _n, _to_string)               \
        static void _shape##_##_name(const void *data, Cell *cell) {             \
                const _type *row = data;                                         \
                                                                                 \
                if ((uint64_t)(_value) - (_first) < (uint64_t)(_n) - (_first))   \
                        cell_set_text(cell, _to_string(_value));                 \
        }

/* target: regions */

#define R_NUMBER(_name, _present, _number) NUMBER(region, WireRegion, _name, _present, _number)
#define R_TEXT(_name, _text) TEXT(region, WireRegion, _name, _text)
#define R_ENUM(_name, _value, _n, _to_string) \
        ENUM(region, WireRegion, _name, _value, 1, _n, _to_string)

#define IS_RAW (row->geometry.kind == SHMB_KIND_RAW)

R_TEXT(name, row->name)
R_ENUM(kind, row->geometry.kind, _SHMB_KIND_N, shmb_kind_to_string)
R_ENUM(backing, row->geometry.backing, _SHMB_BACKING_N, shmb_backing_to_string)
R_NUMBER(size, true, row->size_bytes)
R_NUMBER(used, !IS_RAW, row->used)
R_NUMBER(capacity, !IS_RAW, row->geometry.capacity)
R_NUMBER(producers, true, IS_RAW ? row->n_writers : row->n_producers)
R_NUMBER(consumers, true, IS_RAW ? row->n_readers : row->n_consumers)
R_NUMBER(items, !IS_RAW, row->moved)
R_ENUM(lifetime, row->lifetime, _SHMB_LIFETIME_N, shmb_lifetime_to_string)
R_ENUM(state, row->state, _SHMB_REGION_N, shmb_region_state_to_string)
R_TEXT(description, row->description)
R_TEXT(reason, row->reason)
R_TEXT(access, row->access)
R_TEXT(origin, row->origin)
R_TEXT(type, row->type)
R_ENUM(overflow, row->geometry.overflow, _SHMB_OVERFLOW_N, shmb_overflow_to_string)
R_NUMBER(linger, row->lifetime == SHMB_LIFETIME_ON_DEMAND, row->linger_ns)
R_NUMBER(item_size, !IS_RAW, row->geometry.item_size)
R_NUMBER(item_align, !IS_RAW, row->geometry.item_align)
R_NUMBER(stride, !IS_RAW, row->geometry.stride)
R_NUMBER(lanes, !IS_RAW, row->geometry.n_lanes)
R_NUMBER(seats, !IS_RAW, row->geometry.n_seats)
R_NUMBER(bytes, IS_RAW, row->geometry.region_size)
R_NUMBER(generation, row->tag != 0, row->generation)
R_NUMBER(observers, true, row->n_observers)
R_NUMBER(dropped, !IS_RAW, row->dropped)
R_NUMBER(redelivered, !IS_RAW, row->redelivered)
R_NUMBER(missed, !IS_RAW, row->missed)
R_NUMBER(waits, !IS_RAW, row->waits)
R_NUMBER(wakes, !IS_RAW, row->wakes)

/* The text must outlive the getter; rows are made one at a time and by one thread. */
static void region_tag(const void *data, Cell *cell) {
        static char text[17];
        const WireRegion *row = data;

        if (row->tag != 0) {
                snprintf(text, sizeof(text), "%016" PRIx64, row->tag);
                cell_set_text(cell, text);
        }
}

#define SECTION_REGION "region"
#define SECTION_DECLARATION "declaration"
#define SECTION_GEOMETRY "geometry"
#define SECTION_COUNTERS "counters"

static const char *const region_sections[] = {
        SECTION_REGION, SECTION_DECLARATION, SECTION_GEOMETRY, SECTION_COUNTERS, NULL,
};

static const Column region_columns[] = {
        { "NAME", "name of the region", CELL_TEXT, true, SECTION_REGION, region_name },
        { "KIND", "raw, ring, ...", CELL_TEXT, true, SECTION_DECLARATION, region_kind },
        { "BACKING", "where its memory is: posix, memfd, ...", CELL_TEXT, true,
          SECTION_DECLARATION, region_backing },
        { "SIZE", "bytes of all its objects, when it has them", CELL_SIZE, true,
          SECTION_GEOMETRY, region_size },
        { "USED", "items in its fullest lane now", CELL_NUMBER, true, SECTION_COUNTERS,
          region_used },
        { "CAPACITY", "items that a lane holds", CELL_NUMBER, true, SECTION_GEOMETRY,
          region_capacity },
        { "PRODUCERS", "attached producers (raw: writers)", CELL_NUMBER, true, SECTION_REGION,
          region_producers },
        { "CONSUMERS", "attached consumers (raw: readers)", CELL_NUMBER, true, SECTION_REGION,
          region_consumers },
        { "ITEMS", "items ever published", CELL_NUMBER, true, SECTION_COUNTERS, region_items },
        { "LIFETIME", "static, on_demand or persistent", CELL_TEXT, true, SECTION_DECLARATION,
          region_lifetime },
        { "STATE", "declared, live, stale, removed or lost", CELL_TEXT, true, SECTION_REGION,
          region_state },
        { "REASON", "why the state is what it is", CELL_TEXT, false, SECTION_REGION,
          region_reason },
        { "DESCRIPTION", "what the declaration says it is for", CELL_TEXT, false, SECTION_REGION,
          region_description },
        { "OBSERVERS", "attached observers", CELL_NUMBER, false, SECTION_REGION,
          region_observers },
        { "TYPE", "type of its items, as both sides must spell it", CELL_TEXT, false,
          SECTION_DECLARATION, region_type },
        { "OVERFLOW", "what a full lane does: block, fail or drop_newest", CELL_TEXT, false,
          SECTION_DECLARATION, region_overflow },
        { "LINGER", "how long it outlives its last lease", CELL_DURATION, false,
          SECTION_DECLARATION, region_linger },
        { "ACCESS", "who may attach in which role", CELL_TEXT, false, SECTION_DECLARATION,
          region_access },
        { "ORIGIN", "file and line of its declaration, or template", CELL_TEXT, false,
          SECTION_DECLARATION, region_origin },
        { "BYTES", "bytes of a raw region", CELL_SIZE, false, SECTION_GEOMETRY, region_bytes },
        { "ITEM_SIZE", "bytes of an item", CELL_SIZE, false, SECTION_GEOMETRY, region_item_size },
        { "ITEM_ALIGN", "alignment of an item in bytes", CELL_SIZE, false, SECTION_GEOMETRY,
          region_item_align },
        { "STRIDE", "bytes from one item to the next", CELL_SIZE, false, SECTION_GEOMETRY,
          region_stride },
        { "LANES", "how many producers it admits", CELL_NUMBER, false, SECTION_GEOMETRY,
          region_lanes },
        { "SEATS", "how many consumers it admits", CELL_NUMBER, false, SECTION_GEOMETRY,
          region_seats },
        { "GENERATION", "number that the broker gave to this making of its objects", CELL_NUMBER,
          false, SECTION_GEOMETRY, region_generation },
        { "TAG", "random part of its objects' names", CELL_TEXT, false, SECTION_GEOMETRY,
          region_tag },
        { "DROPPED", "items that overflow threw away", CELL_NUMBER, false, SECTION_COUNTERS,
          region_dropped },
        { "REDELIVERED", "items given to a consumer after another died with them", CELL_NUMBER,
          false, SECTION_COUNTERS, region_redelivered },
        { "MISSED", "items that were gone before a consumer took them", CELL_NUMBER, false,
          SECTION_COUNTERS, region_missed },
        { "WAITS", "how often a party went to sleep", CELL_NUMBER, false, SECTION_COUNTERS,
          region_waits },
        { "WAKES", "how often a party woke another", CELL_NUMBER, false, SECTION_COUNTERS,
          region_wakes },
};

const Shape shape_region = {
        "regions", region_columns, N_ELEMENTS(region_columns), region_sections,
};

/* target: holders */

#define H_NUMBER(_name, _present, _number) NUMBER(holder, HolderRow, _name, _present, _number)
#define H_TEXT(_name, _text) TEXT(holder, HolderRow, _name, _text)
#define H_ENUM(_name, _value, _first, _n, _to_string) \
        ENUM(holder, HolderRow, _name, _value, _first, _n, _to_string)

/* Only producers and consumers have a place of their own. */
#define HAS_INDEX \
        (row->holder.role == SHMB_ROLE_PRODUCE || row->holder.role == SHMB_ROLE_CONSUME)
#define HAS_AGE (row->holder.since_ns <= row->now_boot_ns)
#define AGE_NS (row->now_boot_ns - row->holder.since_ns)

H_NUMBER(lease, true, row->holder.lease)
H_TEXT(region, row->holder.region)
H_ENUM(role, row->holder.role, 1, _SHMB_ROLE_N, shmb_role_to_string)
H_NUMBER(index, HAS_INDEX, row->holder.index)
H_NUMBER(uid, true, row->holder.uid)
H_NUMBER(pid, row->holder.pid != 0, row->holder.pid)
H_TEXT(command, row->holder.command)
H_TEXT(unit, row->holder.unit)
H_NUMBER(age, HAS_AGE, AGE_NS)
/* Vacant, the 0 of this one, is a word. */
H_ENUM(state, row->holder.occupancy, 0, _SHMB_PARTY_N, shmb_occupancy_to_string)
H_NUMBER(connected, true, row->holder.connected)

/* Somebody without a name is known by number, as in ls(1); the text is used before the next row. */
static void holder_user(const void *data, Cell *cell) {
        static char text[16];
        const HolderRow *row = data;

        snprintf(text, sizeof(text), "%" PRIu32, row->holder.uid);
        cell_set_text(cell, row->user ? row->user : text);
}

static void holder_since(const void *data, Cell *cell) {
        static char text[FORMAT_NUMBER_MAX];
        const HolderRow *row = data;

        if (HAS_AGE && AGE_NS <= row->now_real_ns) {
                format_moment(text, sizeof(text), row->now_real_ns - AGE_NS);
                cell_set_text(cell, text);
        }
}

static const Column holder_columns[] = {
        { "LEASE", "number of the lease", CELL_NUMBER, true, NULL, holder_lease },
        { "REGION", "name of the region", CELL_TEXT, true, NULL, holder_region },
        { "ROLE", "produce, consume, observe, read or write", CELL_TEXT, true, NULL,
          holder_role },
        { "INDEX", "which lane or seat it holds", CELL_NUMBER, true, NULL, holder_index },
        { "USER", "user of the process when it connected", CELL_TEXT, true, NULL, holder_user },
        { "PID", "process that connected", CELL_NUMBER, true, NULL, holder_pid },
        { "COMMAND", "name of that process", CELL_TEXT, true, NULL, holder_command },
        { "UNIT", "systemd unit of that process", CELL_TEXT, true, NULL, holder_unit },
        { "AGE", "how long ago the lease was granted", CELL_DURATION, true, NULL, holder_age },
        { "UID", "number of the user", CELL_NUMBER, false, NULL, holder_uid },
        { "SINCE", "when the lease was granted", CELL_TEXT, false, NULL, holder_since },
        { "STATE", "held, or unproven: over, but perhaps still mapped", CELL_TEXT, false, NULL,
          holder_state },
        { "CONNECTED", "no: kept for a client that has not come back yet", CELL_FLAG, false, NULL,
          holder_connected },
};

const Shape shape_holder = { "holders", holder_columns, N_ELEMENTS(holder_columns), NULL };

/* target: objects */

ENUM(object, ObjectRow, kind, row->kind, 1, _SHMB_OBJECT_N, shmb_object_kind_to_string)
NUMBER(object, ObjectRow, index,
       row->kind == SHMB_OBJECT_LANE || row->kind == SHMB_OBJECT_SEAT, row->index)
NUMBER(object, ObjectRow, size, true, row->size_bytes)
TEXT(object, ObjectRow, name, row->name)

static const Column object_columns[] = {
        { "OBJECT", "control, lane, seat or data", CELL_TEXT, true, NULL, object_kind },
        { "INDEX", "which lane or seat", CELL_NUMBER, true, NULL, object_index },
        { "SIZE", "bytes", CELL_SIZE, true, NULL, object_size },
        { "NAME", "its name for shm_open(3)", CELL_TEXT, true, NULL, object_name },
};

const Shape shape_object = { "objects", object_columns, N_ELEMENTS(object_columns), NULL };

/* target: the broker */

#define S_NUMBER(_name, _number) NUMBER(status, WireStatusInfo, _name, true, _number)
#define S_TEXT(_name, _text) TEXT(status, WireStatusInfo, _name, _text)

S_TEXT(version, row->version)
S_NUMBER(pid, row->pid)
S_NUMBER(uid, row->uid)
NUMBER(status, WireStatusInfo, uptime, row->started_ns <= row->now_ns,
       row->now_ns - row->started_ns)
S_TEXT(config, row->config)
S_TEXT(runtime, row->runtime)
S_TEXT(reload, row->reload)
S_NUMBER(regions, row->n_regions)
S_NUMBER(live, row->n_live)
S_NUMBER(size, row->size_bytes)
S_NUMBER(size_max, row->size_bytes_max)
S_NUMBER(connections, row->n_connections)
S_NUMBER(leases, row->n_leases)
S_NUMBER(granted, row->n_granted)
S_NUMBER(refused, row->n_refused)
S_NUMBER(reaped, row->n_reaped)
S_NUMBER(deaths, row->n_deaths)
S_NUMBER(replaced, row->n_replaced)
S_TEXT(features, row->features)

#define SECTION_BROKER "broker"
#define SECTION_NOW "now"
#define SECTION_EVER "since start"

static const char *const status_sections[] = {
        SECTION_BROKER, SECTION_NOW, SECTION_EVER, NULL,
};

static const Column status_columns[] = {
        { "VERSION", "version of the broker", CELL_TEXT, true, SECTION_BROKER, status_version },
        { "PID", "its process", CELL_NUMBER, true, SECTION_BROKER, status_pid },
        { "UID", "user that it runs as", CELL_NUMBER, true, SECTION_BROKER, status_uid },
        { "UPTIME", "how long it has been running", CELL_DURATION, true, SECTION_BROKER,
          status_uptime },
        { "CONFIG", "its main configuration file", CELL_TEXT, true, SECTION_BROKER,
          status_config },
        { "RUNTIME", "its runtime directory", CELL_TEXT, true, SECTION_BROKER, status_runtime },
        { "FEATURES", "what of the kernel is in force", CELL_TEXT, true, SECTION_BROKER,
          status_features },
        { "RELOAD", "how the last reload ended", CELL_TEXT, true, SECTION_BROKER, status_reload },
        { "REGIONS", "declared regions", CELL_NUMBER, true, SECTION_NOW, status_regions },
        { "LIVE", "regions that have memory", CELL_NUMBER, true, SECTION_NOW, status_live },
        { "SIZE", "bytes of all objects", CELL_SIZE, true, SECTION_NOW, status_size },
        { "SIZE_MAX", "what limits.total allows", CELL_SIZE, true, SECTION_NOW, status_size_max },
        { "CONNECTIONS", "connected clients", CELL_NUMBER, true, SECTION_NOW,
          status_connections },
        { "LEASES", "leases in force", CELL_NUMBER, true, SECTION_NOW, status_leases },
        { "GRANTED", "leases granted", CELL_NUMBER, true, SECTION_EVER, status_granted },
        { "REFUSED", "attaches refused", CELL_NUMBER, true, SECTION_EVER, status_refused },
        { "REAPED", "regions collected", CELL_NUMBER, true, SECTION_EVER, status_reaped },
        { "DEATHS", "leases that ended by death", CELL_NUMBER, true, SECTION_EVER,
          status_deaths },
        { "REPLACED", "objects replaced for want of the writer proof", CELL_NUMBER, true,
          SECTION_EVER, status_replaced },
};

const Shape shape_status = {
        "status", status_columns, N_ELEMENTS(status_columns), status_sections,
};

/* target: events */

#define E_NUMBER(_name, _present, _number) NUMBER(event, EventRow, _name, _present, _number)
#define E_TEXT(_name, _text) TEXT(event, EventRow, _name, _text)

uint64_t rows_now_ns(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

const char *event_name(uint32_t type) {
        if (type == SHMB_PRESENT)
                return "present";
        return type == SHMB_MISSED ? "missed" : shmb_event_to_string(type);
}

uint64_t event_moment_ns(const EventRow *row) {
        uint64_t age_ns = row->now_boot_ns - row->event.time_ns;

        if (row->event.time_ns == 0 || age_ns > row->now_real_ns)
                return row->now_real_ns;
        return row->now_real_ns - age_ns;
}

E_NUMBER(sequence, true, row->event.sequence)
E_TEXT(event, event_name(row->event.type))
E_TEXT(region, row->event.region)
E_NUMBER(ready, true, row->event.ready)
E_NUMBER(generation, row->event.generation != 0, row->event.generation)
E_NUMBER(lease, row->event.lease != 0, row->event.lease)
E_NUMBER(uid, row->event.pid != 0, row->event.uid)
E_NUMBER(pid, row->event.pid != 0, row->event.pid)
E_TEXT(command, row->event.command)
E_TEXT(reason, row->event.reason)
ENUM(event, EventRow, role, row->event.role, 1, _SHMB_ROLE_N, shmb_role_to_string)

static void event_time(const void *data, Cell *cell) {
        static char text[FORMAT_NUMBER_MAX];

        format_moment(text, sizeof(text), event_moment_ns(data));
        cell_set_text(cell, text);
}

static const Column event_columns[] = {
        { "SEQUENCE", "number among all events", CELL_NUMBER, true, NULL, event_sequence },
        { "TIME", "when it happened", CELL_TEXT, true, NULL, event_time },
        { "EVENT", "what happened", CELL_TEXT, true, NULL, event_event },
        { "REGION", "to which region", CELL_TEXT, true, NULL, event_region },
        { "READY", "whether it can be attached now", CELL_FLAG, true, NULL, event_ready },
        { "GENERATION", "generation of the region", CELL_NUMBER, true, NULL, event_generation },
        { "LEASE", "number of the lease", CELL_NUMBER, true, NULL, event_lease },
        { "ROLE", "role of the lease", CELL_TEXT, true, NULL, event_role },
        { "UID", "number of the user", CELL_NUMBER, true, NULL, event_uid },
        { "PID", "process that connected", CELL_NUMBER, true, NULL, event_pid },
        { "COMMAND", "name of that process", CELL_TEXT, true, NULL, event_command },
        { "REASON", "why", CELL_TEXT, true, NULL, event_reason },
};

const Shape shape_event = { "events", event_columns, N_ELEMENTS(event_columns), NULL };
