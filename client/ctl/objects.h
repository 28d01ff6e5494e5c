/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The objects that a region consists of, for `show`.
 */

#include "client/ctl/table.h"
#include "protocol/wire.h"

/**
 * objects_fill() - a row for each object of a region
 * @region:     as the broker told it; a geometry that makes no sense gives no rows
 * @folder:     where names are looked up: /dev/shm
 * @table:      a table of shape_object
 *
 * Sizes follow from the geometry. A name is the one that stands in @folder now, of the newest
 * epoch.
 *
 * Return: 0 or -ENOMEM.
 */
int objects_fill(const WireRegion *region, const char *folder, Table *table);
