/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the Ring is meant to reach, as ratios
 *
 * Ratios of one run with turns, because rates hold for one machine alone. "The best of several" is
 * the one against which we do worst, by the median of its own duels; one that is not installed is
 * not among them. Targets of the daemon are those of bench-attach and bench-daemon.
 */

#include <string.h>

#include "bench/targets.h"

enum {
        SIZES_MAX = 5,
        NAMES_MAX = 4,
};

typedef struct Target {
        const char *what;
        Distance distance;
        bool at_most;
        double bound;
        uint32_t sizes[SIZES_MAX]; /* a row each; ends with 0 */
        const char *firsts[NAMES_MAX], *seconds[NAMES_MAX]; /* the worst of all pairs counts */
} Target;

static const Target targets[] = {
        {"one item: best ring", DISTANCE_NEAR, false, 3.3, {8}, {BENCH_ONE},
         {BENCH_BOOST, BENCH_CK, BENCH_RTE, BENCH_CACHED}},
        {"one item: best ring", DISTANCE_NEAR, false, 3, {64}, {BENCH_ONE},
         {BENCH_BOOST, BENCH_CK, BENCH_RTE, BENCH_CACHED}},
        {"one item: textbook", DISTANCE_NEAR, false, 12, {64}, {BENCH_ONE}, {BENCH_TEXTBOOK}},
        {"able to sleep", DISTANCE_NEAR, false, 0.97, {8, 64, 256, 1024, 4096}, {BENCH_ONE},
         {BENCH_ONE_AWAKE}},
        {"in place: zero-copy burst", DISTANCE_NEAR, false, 1.15, {8, 64, 256}, {BENCH_SPAN},
         {BENCH_RTE_ZC}},
        {"in place: zero-copy burst", DISTANCE_NEAR, false, 1, {1024, 4096}, {BENCH_SPAN},
         {BENCH_RTE_ZC}},
        {"batches: memcpy", DISTANCE_NEAR, false, 0.7, {8, 64, 256, 1024, 4096}, {BENCH_BLOCK},
         {BENCH_MEMCPY}},
        {"batches: cached index", DISTANCE_FAR, false, 3, {64, 256}, {BENCH_BATCH},
         {BENCH_CACHED}},
        {"any mode: cached index", DISTANCE_FAR, false, 0.95, {8, 64, 256, 1024, 4096},
         {BENCH_ONE, BENCH_BATCH, BENCH_SPAN}, {BENCH_CACHED}},
        {"round trip: line probe", DISTANCE_NEAR, true, 1.3, {64}, {BENCH_SPIN}, {BENCH_PROBE}},
        {"round trip: bare futex", DISTANCE_NEAR, true, 1.1, {64}, {BENCH_SLEEP}, {BENCH_FUTEX}},
};

static bool is_worse(const TargetResult *result, double ratio) {
        return !result->first || (result->at_most ? ratio > result->ratio : ratio < result->ratio);
}

/* Return: false if none of its pairs was in this run. */
static bool target_evaluate(const Target *target, uint32_t item_size, const Lines *lines,
                            TargetResult *ret_result) {
        TargetResult result = {
                .what = target->what,
                .item_size = item_size,
                .distance = target->distance,
                .bound = target->bound,
                .at_most = target->at_most,
        };
        const LineFigures *figures;
        int i, k;

        for (i = 0; i < NAMES_MAX && target->firsts[i]; i++)
                for (k = 0; k < NAMES_MAX && target->seconds[k]; k++) {
                        figures = lines_find(lines, target->firsts[i], target->seconds[k],
                                             item_size, target->distance);
                        if (!figures || !is_worse(&result, figures->ratio))
                                continue;
                        result.first = target->firsts[i];
                        result.second = target->seconds[k];
                        result.ratio = figures->ratio;
                        result.ratio_q1 = figures->ratio_q1;
                        result.ratio_q3 = figures->ratio_q3;
                }
        if (!result.first)
                return false;
        result.missed_by = (result.bound - result.ratio) / result.bound;
        if (result.at_most)
                result.missed_by = -result.missed_by;
        result.is_met = result.missed_by <= 0;
        if (result.is_met)
                result.missed_by = 0;
        *ret_result = result;
        return true;
}

size_t targets_evaluate(const Lines *lines, TargetResult *ret_results, size_t n_max) {
        size_t i, k, n = 0;

        for (i = 0; i < sizeof(targets) / sizeof(*targets); i++)
                for (k = 0; k < SIZES_MAX && targets[i].sizes[k] && n < n_max; k++)
                        if (target_evaluate(&targets[i], targets[i].sizes[k], lines,
                                            &ret_results[n]))
                                n++;
        return n;
}
