/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Messages, Row by Row
 *
 * This file is the wire format: shmbroker-protocol(7) is these tables in prose, and test-wire.c
 * pins the bytes of each. Tags are ABI: never reused, new ones go to the end of their table.
 */

#include <assert.h>

#include "protocol/wire-table.h"

#define U32(_tag, _struct, _member)                                                                \
        { .tag = _tag, .type = WIRE_FIELD_U32, .offset = offsetof(_struct, _member) }
#define U64(_tag, _struct, _member)                                                                \
        { .tag = _tag, .type = WIRE_FIELD_U64, .offset = offsetof(_struct, _member) }
#define BOOL(_tag, _struct, _member)                                                               \
        { .tag = _tag, .type = WIRE_FIELD_BOOL, .offset = offsetof(_struct, _member) }
#define UUID(_tag, _struct, _member)                                                               \
        { .tag = _tag, .type = WIRE_FIELD_UUID, .offset = offsetof(_struct, _member) }
#define STRING(_tag, _struct, _member, _max)                                                       \
        {                                                                                          \
                .tag = _tag, .type = WIRE_FIELD_STRING, .max = _max,                               \
                .offset = offsetof(_struct, _member)                                               \
        }
#define OPTIONAL(_tag, _struct, _member, _max)                                                     \
        {                                                                                          \
                .tag = _tag, .type = WIRE_FIELD_OPTIONAL, .max = _max,                             \
                .offset = offsetof(_struct, _member)                                               \
        }
#define STRUCT(_tag, _struct, _member, _table)                                                     \
        {                                                                                          \
                .tag = _tag, .type = WIRE_FIELD_STRUCT, .offset = offsetof(_struct, _member),      \
                .table = &(_table)                                                                 \
        }
#define ARRAY(_tag, _struct, _member, _count, _max, _table)                                        \
        {                                                                                          \
                .tag = _tag, .type = WIRE_FIELD_ARRAY, .max = _max,                                \
                .offset = offsetof(_struct, _member),                                              \
                .offset_count = offsetof(_struct, _count), .table = &(_table)                      \
        }
#define PAGE(_tag, _struct, _member, _count, _bytes)                                               \
        {                                                                                          \
                .tag = _tag, .type = WIRE_FIELD_PAGE, .offset = offsetof(_struct, _member),        \
                .offset_count = offsetof(_struct, _count),                                         \
                .offset_bytes = offsetof(_struct, _bytes)                                          \
        }
#define TABLE(_fields, _size)                                                                      \
        { .fields = _fields, .n_fields = sizeof(_fields) / sizeof(*(_fields)), .size = _size }

static const WireField geometry_fields[] = {
        U32(1, WireGeometry, kind),
        U32(2, WireGeometry, backing),
        U32(3, WireGeometry, overflow),
        U32(4, WireGeometry, n_lanes),
        U32(5, WireGeometry, n_seats),
        U32(6, WireGeometry, item_size),
        U32(7, WireGeometry, item_align),
        U32(8, WireGeometry, stride),
        U64(9, WireGeometry, capacity),
        U64(10, WireGeometry, region_size),
        U64(11, WireGeometry, segment),
        U32(12, WireGeometry, max_message),
        U32(13, WireGeometry, delivery),
};
static const WireTable geometry = TABLE(geometry_fields, sizeof(WireGeometry));

static const WireField object_fields[] = {
        U32(1, WireObject, kind),
        U32(2, WireObject, index),
        U32(3, WireObject, epoch),
        BOOL(4, WireObject, writable),
        U64(5, WireObject, size_bytes),
};
static const WireTable object = TABLE(object_fields, sizeof(WireObject));

static const WireField region_fields[] = {
        STRING(1, WireRegion, name, SHMB_NAME_MAX),
        STRING(2, WireRegion, description, SHMB_DESCRIPTION_MAX),
        STRING(3, WireRegion, type, SHMB_TYPE_MAX),
        STRING(4, WireRegion, reason, SHMB_SENTENCE_MAX),
        STRING(5, WireRegion, origin, WIRE_TEXT_MAX),
        STRING(6, WireRegion, access, WIRE_TEXT_MAX),
        STRUCT(7, WireRegion, geometry, geometry),
        U64(8, WireRegion, tag),
        U64(9, WireRegion, generation),
        U32(10, WireRegion, lifetime),
        U32(11, WireRegion, state),
        U64(12, WireRegion, linger_ns),
        U64(13, WireRegion, size_bytes),
        U64(14, WireRegion, used),
        U64(15, WireRegion, moved),
        U64(16, WireRegion, dropped),
        U64(17, WireRegion, redelivered),
        U64(18, WireRegion, waits),
        U64(19, WireRegion, wakes),
        U32(20, WireRegion, n_producers),
        U32(21, WireRegion, n_consumers),
        U32(22, WireRegion, n_observers),
        U32(23, WireRegion, n_readers),
        U32(24, WireRegion, n_writers),
        U64(25, WireRegion, missed),
};
const WireTable wire_table_region = TABLE(region_fields, sizeof(WireRegion));

static const WireField holder_fields[] = {
        U64(1, WireHolder, lease),
        STRING(2, WireHolder, region, SHMB_NAME_MAX),
        U32(3, WireHolder, role),
        U32(4, WireHolder, index),
        U32(5, WireHolder, uid),
        U32(6, WireHolder, pid),
        STRING(7, WireHolder, command, SHMB_DESCRIPTION_MAX),
        STRING(8, WireHolder, unit, SHMB_DESCRIPTION_MAX),
        U64(9, WireHolder, since_ns),
        U32(10, WireHolder, occupancy),
        BOOL(11, WireHolder, connected),
};
const WireTable wire_table_holder = TABLE(holder_fields, sizeof(WireHolder));

static const WireField line_fields[] = {
        { .tag = 1, .type = WIRE_FIELD_STRING, .max = WIRE_TEXT_MAX },
};
const WireTable wire_table_line = TABLE(line_fields, sizeof(const char *));

static const WireField hello_fields[] = {
        U32(1, WireHello, major),
        U32(2, WireHello, minor),
        UUID(3, WireHello, uuid),
};

static const WireField welcome_fields[] = {
        U32(1, WireWelcome, major),
        U32(2, WireWelcome, minor),
        UUID(3, WireWelcome, broker),
        STRING(4, WireWelcome, version, SHMB_DESCRIPTION_MAX),
        BOOL(5, WireWelcome, admin),
};

static const WireField attach_fields[] = {
        STRING(1, WireAttach, name, SHMB_NAME_MAX),
        U32(2, WireAttach, role),
        U32(3, WireAttach, kind),
        U32(4, WireAttach, item_size),
        U32(5, WireAttach, item_align),
        OPTIONAL(6, WireAttach, type, SHMB_TYPE_MAX),
        U64(7, WireAttach, region_size),
        BOOL(8, WireAttach, keeps),
};

static const WireField attached_fields[] = {
        U64(1, WireAttached, lease),
        U64(2, WireAttached, generation),
        U64(3, WireAttached, tag),
        U32(4, WireAttached, role),
        U32(5, WireAttached, index),
        STRUCT(6, WireAttached, geometry, geometry),
        STRING(7, WireAttached, type, SHMB_TYPE_MAX),
        ARRAY(8, WireAttached, objects, n_objects, SHMB_OBJECTS_MAX, object),
        BOOL(9, WireAttached, keep),
};

static const WireField mapped_fields[] = {
        U64(1, WireMapped, lease),
        U32(2, WireMapped, status),
};

static const WireField detach_fields[] = {
        U64(1, WireDetach, lease),
};

static const WireField fetch_fields[] = {
        U64(1, WireFetch, lease),
        U32(2, WireFetch, kind),
        U32(3, WireFetch, index),
};

static const WireField segment_fields[] = {
        U64(1, WireSegment, lease),
        U32(2, WireSegment, index),
        U32(3, WireSegment, epoch),
        U64(4, WireSegment, position),
        U64(5, WireSegment, wanted),
};

static const WireField resume_fields[] = {
        U64(1, WireResume, lease),
        U64(2, WireResume, generation),
        U32(3, WireResume, epoch),
        BOOL(4, WireResume, keeps),
};

static const WireField resumed_fields[] = {
        U32(1, WireResumed, verdict),
        BOOL(2, WireResumed, wanted),
};

static const WireField offer_fields[] = {
        U64(1, WireOffer, lease),
};

static const WireField list_fields[] = {
        OPTIONAL(1, WireList, name, SHMB_NAME_MAX),
        OPTIONAL(2, WireList, after, SHMB_NAME_MAX),
};

static const WireField listing_fields[] = {
        BOOL(1, WireListing, more),
        PAGE(2, WireListing, entries, n_entries, n_bytes_entries),
};

static const WireField who_fields[] = {
        OPTIONAL(1, WireWho, name, SHMB_NAME_MAX),
        U64(2, WireWho, after),
};

static const WireField holders_fields[] = {
        BOOL(1, WireHolders, more),
        PAGE(2, WireHolders, entries, n_entries, n_bytes_entries),
};

static const WireField status_fields[] = {
        STRING(1, WireStatusInfo, version, SHMB_DESCRIPTION_MAX),
        STRING(2, WireStatusInfo, config, WIRE_TEXT_MAX),
        STRING(3, WireStatusInfo, runtime, WIRE_TEXT_MAX),
        STRING(4, WireStatusInfo, features, WIRE_TEXT_MAX / 2),
        STRING(5, WireStatusInfo, reload, WIRE_TEXT_MAX / 2),
        U32(6, WireStatusInfo, pid),
        U32(7, WireStatusInfo, uid),
        U64(8, WireStatusInfo, started_ns),
        U64(9, WireStatusInfo, now_ns),
        U32(10, WireStatusInfo, n_regions),
        U32(11, WireStatusInfo, n_live),
        U32(12, WireStatusInfo, n_leases),
        U32(13, WireStatusInfo, n_connections),
        U64(14, WireStatusInfo, size_bytes),
        U64(15, WireStatusInfo, size_bytes_max),
        U64(16, WireStatusInfo, n_granted),
        U64(17, WireStatusInfo, n_refused),
        U64(18, WireStatusInfo, n_reaped),
        U64(19, WireStatusInfo, n_deaths),
        U64(20, WireStatusInfo, n_replaced),
};

static const WireField reload_fields[] = {
        BOOL(1, WireReload, plan_only),
};

static const WireField gc_fields[] = {
        BOOL(1, WireGc, dry_run),
};

static const WireField kick_fields[] = {
        U64(1, WireKick, lease),
};

static const WireField create_fields[] = {
        STRING(1, WireCreate, name, SHMB_NAME_MAX),
        BOOL(2, WireCreate, exclusive),
        U32(3, WireCreate, kind),
        U64(4, WireCreate, region_size),
        U64(5, WireCreate, capacity),
};

static const WireField remove_fields[] = {
        STRING(1, WireRemove, name, SHMB_NAME_MAX),
};

static const WireField created_fields[] = {
        BOOL(1, WireCreated, created),
        BOOL(2, WireCreated, owned),
        U64(3, WireCreated, generation),
        U64(4, WireCreated, ttl_ns),
        U64(5, WireCreated, max_age_ns),
};

static const WireField event_fields[] = {
        U64(1, WireEvent, sequence),
        U64(2, WireEvent, at_ns),
        U32(3, WireEvent, event),
        U32(4, WireEvent, state),
        STRING(5, WireEvent, region, SHMB_NAME_MAX),
        U64(6, WireEvent, generation),
        U64(7, WireEvent, lease),
        U32(8, WireEvent, role),
        U32(9, WireEvent, uid),
        U32(10, WireEvent, pid),
        STRING(11, WireEvent, command, SHMB_DESCRIPTION_MAX),
        STRING(12, WireEvent, reason, SHMB_SENTENCE_MAX),
};
const WireTable wire_table_event = TABLE(event_fields, sizeof(WireEvent));

static const WireField watch_fields[] = {
        OPTIONAL(1, WireWatch, name, SHMB_NAME_MAX),
};

static const WireField events_fields[] = {
        BOOL(1, WireEvents, resync),
        U64(2, WireEvents, sequence),
        PAGE(3, WireEvents, entries, n_entries, n_bytes_entries),
};

static const WireField report_fields[] = {
        BOOL(1, WireReport, applied),
        BOOL(2, WireReport, truncated),
        PAGE(3, WireReport, lines, n_lines, n_bytes_lines),
};

static const WireField error_fields[] = {
        U32(1, WireError, status),
        STRING(2, WireError, sentence, SHMB_SENTENCE_MAX),
};

static const WireTable bodies[] = {
        [WIRE_HELLO] = TABLE(hello_fields, sizeof(WireHello)),
        [WIRE_ATTACH] = TABLE(attach_fields, sizeof(WireAttach)),
        [WIRE_MAPPED] = TABLE(mapped_fields, sizeof(WireMapped)),
        [WIRE_DETACH] = TABLE(detach_fields, sizeof(WireDetach)),
        [WIRE_FETCH] = TABLE(fetch_fields, sizeof(WireFetch)),
        [WIRE_RESUME] = TABLE(resume_fields, sizeof(WireResume)),
        [WIRE_LIST] = TABLE(list_fields, sizeof(WireList)),
        [WIRE_WHO] = TABLE(who_fields, sizeof(WireWho)),
        [WIRE_RELOAD] = TABLE(reload_fields, sizeof(WireReload)),
        [WIRE_GC] = TABLE(gc_fields, sizeof(WireGc)),
        [WIRE_POLL] = TABLE(fetch_fields, sizeof(WireFetch)),
        [WIRE_SEGMENT] = TABLE(segment_fields, sizeof(WireSegment)),
        [WIRE_KICK] = TABLE(kick_fields, sizeof(WireKick)),
        [WIRE_CREATE] = TABLE(create_fields, sizeof(WireCreate)),
        [WIRE_REMOVE] = TABLE(remove_fields, sizeof(WireRemove)),
        [WIRE_WATCH] = TABLE(watch_fields, sizeof(WireWatch)),
        [WIRE_OFFER] = TABLE(offer_fields, sizeof(WireOffer)),
        [WIRE_ERROR] = TABLE(error_fields, sizeof(WireError)),
        [WIRE_WELCOME] = TABLE(welcome_fields, sizeof(WireWelcome)),
        [WIRE_ATTACHED] = TABLE(attached_fields, sizeof(WireAttached)),
        [WIRE_RESUMED] = TABLE(resumed_fields, sizeof(WireResumed)),
        [WIRE_LISTING] = TABLE(listing_fields, sizeof(WireListing)),
        [WIRE_HOLDERS] = TABLE(holders_fields, sizeof(WireHolders)),
        [WIRE_STATUS_INFO] = TABLE(status_fields, sizeof(WireStatusInfo)),
        [WIRE_REPORT] = TABLE(report_fields, sizeof(WireReport)),
        [WIRE_CREATED] = TABLE(created_fields, sizeof(WireCreated)),
        [WIRE_EVENTS] = TABLE(events_fields, sizeof(WireEvents)),
};
static const WireTable empty = { .fields = NULL };

static_assert(sizeof(bodies) / sizeof(*bodies) == WIRE_EVENTS + 1, "a message has no table");

const WireTable *wire_table_of(unsigned type) {
        if (type == WIRE_STATUS || type == WIRE_OK)
                return &empty;
        if (type >= sizeof(bodies) / sizeof(*bodies) || !bodies[type].fields)
                return NULL;
        return &bodies[type];
}
