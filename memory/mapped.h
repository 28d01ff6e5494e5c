/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Mapped Object, as (memory, length)
 *
 * What this layer is told of an object that somebody else mapped. It never maps, unmaps or sleeps.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/layout.h"

typedef struct ShmbMapped {
        void *memory;   /* aligned to SHMB_LINE; written through only where the object is our own */
        size_t n_bytes; /* at least what shmb_geometry_object_size() says */
        uint32_t epoch; /* as the broker said it when it handed the object out; never 0 */
        /*
         * The broker's word for the newest epoch of this lane or seat: control's parties[].epoch.
         * An object that is not the newest any more is believed no further (shmbroker-memory(7),
         * EPOCHS).
         */
        const _Atomic uint32_t *newest;
} ShmbMapped;

/* Long enough, aligned as the layout needs it, and complete. */
static inline bool shmb_mapped_fits(const ShmbMapped *object, uint64_t n_bytes) {
        return object->memory && object->newest && object->epoch > 0 &&
               object->n_bytes >= n_bytes && (uintptr_t)object->memory % SHMB_LINE == 0;
}
