/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The holders of a region, for `who` and for `show`.
 */

#include "client/ctl/talk.h"

/**
 * who_fill() - a row for each lease
 * @ctl:        where to complain
 * @talk:       whom to ask
 * @name:       of one region, or NULL for all
 * @table:      a table of shape_holder
 *
 * Return: CTL_DONE, or CTL_FAILED, and why was said.
 */
int who_fill(Ctl *ctl, Talk *talk, const char *name, Table *table);
