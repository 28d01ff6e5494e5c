/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How a Run is told
 *
 * After lines_conclude().
 */

#include <stdio.h>

#include "bench/lines.h"

/* Tables for a reader. */
void report_text(const Lines *lines);

/* All of it as one object. */
void report_json(const Lines *lines);
