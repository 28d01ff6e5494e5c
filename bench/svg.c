/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Run as a Picture
 *
 * One file without scripts, fonts or links, in colours that do on light and on dark pages: grey
 * bars and one blue, text in a grey between both. Lengths are in proportion, and each bar has its
 * number, because the slow ones are too short to be compared.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/svg.h"

enum {
        BARS_MAX = 32,
        GROUPS = 2,
        ITEM_SIZE = 64,

        WIDTH = 720,
        ROW = 22,
        BAR = 14,
        LABEL = 232, /* where bars begin */
        NUMBER = 60, /* room behind the longest one */
        GAP = 40,    /* above each group, for its title */
};

#define COLOUR_OURS "#2f81f7"
#define COLOUR_OTHERS "#8b949e"
#define COLOUR_TEXT "#7d8590"

typedef struct Bar {
        const char *name;
        double rate; /* M items a second */
        bool is_ours;
} Bar;

typedef struct Group {
        const char *title;
        const char *firsts[3]; /* of ours */
        Bar bars[BARS_MAX];
        size_t n;
} Group;

static const Group empty_groups[GROUPS] = {
        {.title = "one item a call", .firsts = {BENCH_ONE}},
        {.title = "32 items a call", .firsts = {BENCH_BATCH, BENCH_SPAN}},
};

/* The mean of what was measured of one name in several lines. */
static void group_add(Group *group, const Lines *lines, const char *name, bool is_ours,
                      Distance distance) {
        double sum = 0;
        size_t i, n = 0;

        for (i = 0; i < group->n; i++)
                if (strcmp(group->bars[i].name, name) == 0)
                        return;
        for (i = 0; i < lines->n; i++) {
                const Line *line = &lines->lines[i];

                if (line->item_size != ITEM_SIZE || line->is_trip ||
                    line->figures[distance].n_duels == 0)
                        continue;
                if (strcmp(line->first->name, name) == 0) {
                        sum += line->figures[distance].first;
                        n++;
                } else if (strcmp(line->second->name, name) == 0) {
                        sum += line->figures[distance].second;
                        n++;
                }
        }
        if (n > 0 && group->n < BARS_MAX)
                group->bars[group->n++] = (Bar){name, sum / (double)n, is_ours};
}

static int bar_compare(const void *left, const void *right) {
        double a = ((const Bar *)left)->rate, b = ((const Bar *)right)->rate;

        return a > b ? -1 : a < b;
}

/* Our own variants, and rings that take one item where we take many. */
static bool is_of_another_kind(const char *first, const char *second) {
        return strcmp(second, BENCH_ONE_AWAKE) == 0 ||
               (strcmp(first, BENCH_ONE) != 0 && strcmp(second, BENCH_CACHED) == 0);
}

/* Ours, and whoever was measured against them. */
static void group_gather(Group *group, const Lines *lines, Distance distance) {
        size_t i, k;

        for (k = 0; k < 3 && group->firsts[k]; k++)
                for (i = 0; i < lines->n; i++) {
                        const Line *line = &lines->lines[i];

                        if (line->item_size != ITEM_SIZE ||
                            strcmp(line->first->name, group->firsts[k]) != 0 ||
                            line->figures[distance].n_duels == 0 ||
                            is_of_another_kind(group->firsts[k], line->second->name))
                                continue;
                        group_add(group, lines, line->first->name, true, distance);
                        group_add(group, lines, line->second->name, false, distance);
                }
        qsort(group->bars, group->n, sizeof(*group->bars), bar_compare);
}

/* What is no ring but the limit of all is an outline. */
static const char *bar_colour(const Bar *bar) {
        if (strcmp(bar->name, BENCH_MEMCPY) == 0)
                return "fill=\"none\" stroke=\"" COLOUR_OTHERS "\"";
        return bar->is_ours ? "fill=\"" COLOUR_OURS "\"" : "fill=\"" COLOUR_OTHERS "\"";
}

static void write_group(FILE *file, const Group *group, int top) {
        double scale = (WIDTH - LABEL - NUMBER) / group->bars[0].rate;
        size_t i;

        fprintf(file, "<text x=\"0\" y=\"%d\" font-weight=\"bold\">%s</text>\n", top + GAP - 12,
                group->title);
        for (i = 0; i < group->n; i++) {
                const Bar *bar = &group->bars[i];
                int y = top + GAP + (int)i * ROW;
                double length = bar->rate * scale < 1 ? 1 : bar->rate * scale;

                fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\"%s>%s%s</text>\n",
                        LABEL - 8, y + 11, bar->is_ours ? " font-weight=\"bold\"" : "",
                        bar->is_ours ? "shmbroker: " : "", bar->name);
                fprintf(file, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" %s/>\n",
                        LABEL, y, length, BAR, bar_colour(bar));
                fprintf(file, "<text x=\"%.1f\" y=\"%d\">%.*f</text>\n", LABEL + length + 6, y + 11,
                        bar->rate < 10 ? 1 : 0, bar->rate);
        }
}

static int group_height(const Group *group) {
        return group->n > 0 ? GAP + (int)group->n * ROW : 0;
}

static void write_groups(FILE *file, const Group *groups, Distance distance) {
        int i, height = ROW + 6, top = ROW;

        for (i = 0; i < GROUPS; i++)
                height += group_height(&groups[i]);
        fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                      "width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" "
                      "fill=\"%s\">\n", WIDTH, height, WIDTH, height, COLOUR_TEXT);
        fprintf(file, "<!-- SPDX-License-Identifier: Apache-2.0; written by bench-ring -->\n");
        fprintf(file, "<title>M items of %d bytes a second, %s processors</title>\n", ITEM_SIZE,
                distance_names[distance]);
        fprintf(file, "<text x=\"0\" y=\"16\">M items of %d bytes a second, two processes, %s "
                      "processors</text>\n", ITEM_SIZE, distance_names[distance]);
        for (i = 0; i < GROUPS; top += group_height(&groups[i]), i++)
                if (groups[i].n > 0)
                        write_group(file, &groups[i], top);
        fprintf(file, "</svg>\n");
}

int svg_write(const Lines *lines, const char *path, const char **ret_why) {
        static Group groups[_DISTANCE_N][GROUPS];
        Distance best = DISTANCE_NEAR;
        size_t n_bars[_DISTANCE_N] = {0};
        int distance, i;
        FILE *file;

        for (distance = 0; distance < _DISTANCE_N; distance++) {
                memcpy(groups[distance], empty_groups, sizeof(empty_groups));
                for (i = 0; i < GROUPS; i++) {
                        group_gather(&groups[distance][i], lines, (Distance)distance);
                        n_bars[distance] += groups[distance][i].n;
                }
                if (n_bars[distance] > n_bars[best])
                        best = (Distance)distance;
        }
        if (n_bars[best] == 0) {
                *ret_why = "nothing was measured with items of 64 bytes";
                return -1;
        }
        file = fopen(path, "w");
        if (!file) {
                *ret_why = strerror(errno);
                return -1;
        }
        write_groups(file, groups[best], best);
        if (fclose(file) != 0) {
                *ret_why = strerror(errno);
                return -1;
        }
        return 0;
}
