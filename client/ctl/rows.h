/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rows
 *
 * What `list`, `show`, `who`, `status` and `events` can say: the columns of a region, of a holder
 * and of the broker, each over the decoded wire message (protocol/wire.h), and of an event.
 */

#include <shmbroker.h>
#include <stdint.h>
#include <time.h>

#include "client/ctl/table.h"
#include "protocol/wire.h"

/* A holder with what only this side knows. */
typedef struct HolderRow {
        WireHolder holder;
        uint64_t now_boot_ns; /* CLOCK_BOOTTIME */
        uint64_t now_real_ns; /* CLOCK_REALTIME */
        const char *user;     /* name of holder.uid, or NULL */
} HolderRow;

/* One object of a region, as far as this side can know it. */
typedef struct ObjectRow {
        ShmbObjectKind kind;
        uint32_t index;
        uint64_t size_bytes;
        const char *name; /* "/shmb...", or NULL: it has none, or not in this mount namespace */
} ObjectRow;

typedef struct EventRow {
        struct shmb_event event;
        uint64_t now_boot_ns; /* CLOCK_BOOTTIME */
        uint64_t now_real_ns; /* CLOCK_REALTIME */
} EventRow;

/* One of the clocks, in nanoseconds. */
uint64_t rows_now_ns(clockid_t clock);

/* Its word for an event: that of the wire, or "present", "missed", "unknown". */
const char *event_name(uint32_t type);

/* When it happened, in nanoseconds of CLOCK_REALTIME; what has no time is now. */
uint64_t event_moment_ns(const EventRow *row);

extern const Shape shape_event;  /* rows are EventRow */
extern const Shape shape_region; /* rows are WireRegion */
extern const Shape shape_holder; /* rows are HolderRow */
extern const Shape shape_object; /* rows are ObjectRow */
extern const Shape shape_status; /* rows are WireStatusInfo */
