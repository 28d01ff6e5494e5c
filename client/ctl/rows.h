/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rows
 *
 * What `list`, `show`, `who` and `status` can say: the columns of a region, of a holder and of the
 * broker, each over the decoded wire message (protocol/wire.h).
 */

#include <stdint.h>

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

extern const Shape shape_region; /* rows are WireRegion */
extern const Shape shape_holder; /* rows are HolderRow */
extern const Shape shape_object; /* rows are ObjectRow */
extern const Shape shape_status; /* rows are WireStatusInfo */
