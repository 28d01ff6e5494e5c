/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is Compared
 *
 * A line is a duel of two contestants with items of one size. Its figures are kept apart for near
 * and for far processors.
 */

#include "bench/peers.h"

enum {
        LINE_DUELS_MAX = 512,
        LINES_MAX = 256,
};

typedef enum Distance {
        DISTANCE_NEAR,
        DISTANCE_FAR,
        _DISTANCE_N,
} Distance;

/* Medians and quartiles over all duels of a line. */
typedef struct LineFigures {
        size_t n_duels;
        /* Rate of the first against the second; of round trips, time of the first against the
         * second. */
        double ratio, ratio_q1, ratio_q3;
        double first, second; /* M items a second; of round trips us */
} LineFigures;

typedef struct Line {
        const BenchContestant *first, *second;
        uint32_t item_size;
        bool is_trip; /* an item is a round trip */
        /* Why one of them cannot run here, and which; NULL: both can. */
        const char *why_not;
        const BenchContestant *who_not;
        size_t n_duels[_DISTANCE_N];
        double ratios[_DISTANCE_N][LINE_DUELS_MAX];
        double rates[_DISTANCE_N][2][LINE_DUELS_MAX]; /* items a second */
        LineFigures figures[_DISTANCE_N];
} Line;

/* All lines of this run. */
typedef struct Lines {
        size_t n;
        size_t n_counted, n_dropped; /* duels */
        Line lines[LINES_MAX];
} Lines;

extern const char *const distance_names[_DISTANCE_N];

/* Adds the lines of which both contestants were built, and one has @only in its name. */
void lines_add_all(Lines *lines, const char *only);

/* Takes the medians; afterwards the duels are in no particular order. */
void lines_conclude(Lines *lines);

/* What @first against @second came to; NULL: not in this run. */
const LineFigures *lines_find(const Lines *lines, const char *first, const char *second,
                              uint32_t item_size, Distance distance);
