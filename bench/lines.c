/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is Compared
 *
 *   one item a call   all sizes, each ring; the mechanisms of the kernel and the message libraries
 *                     at 64 bytes, where they are a hundred times slower at any size
 *   batches           copied in and out, against what copies; in place, against what does not
 *   round trips       spinning, both sides awake; sleeping, both asleep in between
 *   several producers two of them, who share one processor where there are two
 */

#include <string.h>

#include "bench/lines.h"

#define N_ELEMENTS(_array) (sizeof(_array) / sizeof(*(_array)))

const char *const distance_names[_DISTANCE_N] = {"near", "far"};

typedef struct Pair {
        const char *first, *second;
} Pair;

static const uint32_t sizes[] = {64, 8, 256, 1024, 4096};

static const Pair pairs_of_each_size[] = {
        {BENCH_ONE, BENCH_TEXTBOOK},
        {BENCH_ONE, BENCH_VOLATILE},
        {BENCH_ONE, BENCH_CACHED},
        {BENCH_ONE, BENCH_BOOST},
        {BENCH_ONE, BENCH_CK},
        {BENCH_ONE, BENCH_RTE},
        {BENCH_ONE, BENCH_MOODYCAMEL},
        {BENCH_ONE, BENCH_ONE_AWAKE},
        {BENCH_BATCH, BENCH_CACHED},
        {BENCH_BATCH, BENCH_BOOST_BATCH},
        {BENCH_BATCH, BENCH_RTE_BURST},
        {BENCH_BATCH, BENCH_MEMCPY},
        {BENCH_BLOCK, BENCH_MEMCPY},
        {BENCH_SPAN, BENCH_CACHED},
        {BENCH_SPAN, BENCH_RTE_ZC},
        {BENCH_SPAN, BENCH_MEMCPY},
};

static const Pair pairs_of_64[] = {
        {BENCH_ONE, BENCH_PIPE},
        {BENCH_ONE, BENCH_STREAM},
        {BENCH_ONE, BENCH_SEQPACKET},
        {BENCH_ONE, BENCH_MQ},
        {BENCH_ONE, BENCH_MSGQ},
        {BENCH_ONE, BENCH_ZEROMQ},
        {BENCH_ONE, BENCH_LIBQB},
        {BENCH_ONE, BENCH_ICEORYX},
        {BENCH_LANES, BENCH_SHARED(BENCH_RTE_MULTI)},
        {BENCH_LANES, BENCH_SHARED(BENCH_BOOST_QUEUE)},
        {BENCH_LANES, BENCH_SHARED(BENCH_PIPE)},
};

static const Pair trips[] = {
        {BENCH_SPIN, BENCH_PROBE},
        {BENCH_SPIN, BENCH_TRIP(BENCH_CACHED)},
        {BENCH_SPIN, BENCH_TRIP(BENCH_BOOST)},
        {BENCH_SPIN, BENCH_TRIP(BENCH_CK)},
        {BENCH_SPIN, BENCH_TRIP(BENCH_ICEORYX)},
        {BENCH_SLEEP, BENCH_FUTEX},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_PIPE)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_STREAM)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_SEQPACKET)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_MQ)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_MSGQ)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_ZEROMQ)},
        {BENCH_SLEEP, BENCH_TRIP(BENCH_LIBQB)},
};

static void lines_add(Lines *lines, const Pair *pairs, size_t n, uint32_t item_size, bool is_trip,
                      const char *only) {
        const BenchContestant *first, *second;
        size_t i;

        for (i = 0; i < n; i++) {
                first = bench_find(pairs[i].first, item_size);
                second = bench_find(pairs[i].second, item_size);
                if (!first || !second ||
                    (!strstr(first->name, only) && !strstr(second->name, only)))
                        continue;
                if (lines->n == LINES_MAX)
                        bench_die("too many lines");
                lines->lines[lines->n++] = (Line){
                        .first = first,
                        .second = second,
                        .item_size = item_size,
                        .is_trip = is_trip,
                };
        }
}

void lines_add_all(Lines *lines, const char *only) {
        size_t i;

        for (i = 0; i < N_ELEMENTS(sizes); i++)
                lines_add(lines, pairs_of_each_size, N_ELEMENTS(pairs_of_each_size), sizes[i],
                          false, only);
        lines_add(lines, pairs_of_64, N_ELEMENTS(pairs_of_64), 64, false, only);
        lines_add(lines, trips, N_ELEMENTS(trips), 64, true, only);
}

static void line_conclude(Line *line, Distance distance) {
        LineFigures *figures = &line->figures[distance];
        double *ratios = line->ratios[distance];
        size_t n = line->n_duels[distance];
        double *rates[2] = {line->rates[distance][0], line->rates[distance][1]};

        figures->n_duels = n;
        if (n == 0)
                return;
        figures->ratio_q1 = bench_quantile(ratios, n, 0.25);
        figures->ratio = bench_quantile(ratios, n, 0.5);
        figures->ratio_q3 = bench_quantile(ratios, n, 0.75);
        figures->first = bench_quantile(rates[0], n, 0.5) / 1e6;
        figures->second = bench_quantile(rates[1], n, 0.5) / 1e6;
        if (line->is_trip) {
                figures->first = 1 / figures->first;
                figures->second = 1 / figures->second;
        }
}

void lines_conclude(Lines *lines) {
        size_t i;
        int distance;

        for (i = 0; i < lines->n; i++)
                for (distance = 0; distance < _DISTANCE_N; distance++)
                        line_conclude(&lines->lines[i], (Distance)distance);
}

const LineFigures *lines_find(const Lines *lines, const char *first, const char *second,
                              uint32_t item_size, Distance distance) {
        size_t i;

        for (i = 0; i < lines->n; i++) {
                const Line *line = &lines->lines[i];

                if (line->item_size == item_size && line->figures[distance].n_duels > 0 &&
                    strcmp(line->first->name, first) == 0 &&
                    strcmp(line->second->name, second) == 0)
                        return &line->figures[distance];
        }
        return NULL;
}
