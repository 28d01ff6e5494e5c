/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Run as a Picture
 */

#include "bench/lines.h"

/*
 * Writes bars of what we and the others moved of 64-byte items, on near processors unless far ones
 * showed more of them. Return: 0; -1, and *ret_why says why.
 */
int svg_write(const Lines *lines, const char *path, const char **ret_why);
