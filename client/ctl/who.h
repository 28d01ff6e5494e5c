/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The holders of a region, for `who` and for `show`.
 */

#include "client/ctl/talk.h"

/* Add a row of shape_holder for each lease of region @name (NULL: of all). Return: CTL_DONE, or
 * CTL_FAILED, and why was said. */
int who_fill(Ctl *ctl, Talk *talk, const char *name, Table *table);
