/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The objects that a region consists of, for `show`.
 */

#include "client/ctl/table.h"
#include "protocol/wire.h"

/*
 * Add a row of shape_object for each object of @region: its size by geometry, and its name as it
 * stands in @folder (/dev/shm) now. Return: 0 (also where the geometry makes no sense: no rows),
 * or -ENOMEM.
 */
int objects_fill(const WireRegion *region, const char *folder, Table *table);
