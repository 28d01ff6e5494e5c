/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the Ring is meant to reach, as ratios
 */

#include "bench/lines.h"

/* One row: what a target came to in this run. */
typedef struct TargetResult {
        const char *what;
        uint32_t item_size;
        Distance distance;
        const char *first, *second; /* the pair that did worst */
        double ratio, ratio_q1, ratio_q3;
        double bound;
        bool at_most; /* smaller is better */
        bool is_met;
        double missed_by; /* share of the bound; 0 if met */
} TargetResult;

/* Writes up to @n_max rows, those of which all contestants were in this run. Return: how many. */
size_t targets_evaluate(const Lines *lines, TargetResult *ret_results, size_t n_max);
