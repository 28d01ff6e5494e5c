/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Depth
 *
 * How much is in a region, and what its counters say. These are words of clients: they are read
 * with pread(2), shown, and nothing is decided by them. Whatever stands there, the worst is a silly
 * number in a table.
 */

#include <stdint.h>

#include "daemon/server.h"

typedef struct Depth {
        uint64_t used;  /* items not released, in the fullest lane; capacity at most */
        uint64_t left;  /* in all lanes */
        uint64_t moved; /* items published so far, in all lanes */
        uint64_t n_dropped, n_redelivered, n_missed, n_waits, n_wakes;
} Depth;

/** depth_read() - of a region whose objects have their names; of any other all are 0 */
void depth_read(Server *server, Region *region, Depth *ret_depth);
