/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Mapped Object, as (memory, length)
 *
 * What this layer is told of an object that somebody else mapped. It never maps, unmaps or sleeps.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ShmbMapped {
        void *memory;   /* aligned to SHMB_PAGE; written through only where the object is our own */
        size_t n_bytes; /* at least what shmb_geometry_object_size() says */
        uint32_t epoch; /* as the broker said it when it handed the object out; never 0 */
        /*
         * The broker's word for the newest epoch of this lane or seat: control's parties[].epoch.
         * An object that is not the newest any more is believed no further (shmbroker-memory(7),
         * EPOCHS).
         */
        const _Atomic uint32_t *newest;
} ShmbMapped;
