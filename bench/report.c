/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How a Run is told
 *
 * Names are ours and hold nothing that JSON would want escaped; reasons why a contestant cannot run
 * are error texts of the C library, which do not either.
 */

#include <string.h>

#include "bench/report.h"
#include "bench/targets.h"

enum {
        TARGETS_MAX = 64,
};

static void print_heading(bool is_trip) {
        printf("\n%-7s %-5s %-22s %9s   %-29s %9s   %7s  %-16s %5s\n", "item", "cores", "A",
               is_trip ? "us" : "M/s", "B", is_trip ? "us" : "M/s", is_trip ? "time A/B" : "A/B",
               "quartiles", "duels");
}

static void print_line(const Line *line, Distance distance) {
        const LineFigures *figures = &line->figures[distance];
        char quartiles[32];

        snprintf(quartiles, sizeof(quartiles), "%.2f .. %.2f", figures->ratio_q1,
                 figures->ratio_q3);
        printf("%5u B %-5s %-22s %9.3f   %-29s %9.3f   %7.2f  %-16s %5zu\n", line->item_size,
               distance_names[distance], line->first->name, figures->first, line->second->name,
               figures->second, figures->ratio, quartiles, figures->n_duels);
}

/* A heading wherever rates turn into times, and for each distance. */
static void print_lines(const Lines *lines, Distance distance) {
        const Line *last = NULL;
        size_t i;

        for (i = 0; i < lines->n; i++) {
                const Line *line = &lines->lines[i];

                if (line->figures[distance].n_duels == 0)
                        continue;
                if (!last || last->is_trip != line->is_trip)
                        print_heading(line->is_trip);
                print_line(line, distance);
                last = line;
        }
}

static void print_target(const TargetResult *result) {
        char quartiles[32], verdict[32] = "met";

        snprintf(quartiles, sizeof(quartiles), "%.2f .. %.2f", result->ratio_q1, result->ratio_q3);
        if (!result->is_met)
                snprintf(verdict, sizeof(verdict), "missed by %.0f %%", 100 * result->missed_by);
        printf("%5u B %-5s %-26s   %-20s / %-29s %7.2f  %-16s %s %-5.2f %s\n", result->item_size,
               distance_names[result->distance], result->what, result->first, result->second,
               result->ratio, quartiles, result->at_most ? "<=" : ">=", result->bound, verdict);
}

static void print_targets(const Lines *lines) {
        TargetResult results[TARGETS_MAX];
        size_t i, n = targets_evaluate(lines, results, TARGETS_MAX);

        if (n == 0)
                return;
        printf("\n%-7s %-5s %-26s   %-52s %7s  %-16s %-8s %s\n", "item", "cores", "target",
               "the worst A / B", "A/B", "quartiles", "target", "met");
        for (i = 0; i < n; i++)
                print_target(&results[i]);
}

/* Whether an earlier line has said it. */
static bool is_said(const Lines *lines, size_t index) {
        size_t i;

        for (i = 0; i < index; i++)
                if (lines->lines[i].who_not &&
                    strcmp(lines->lines[i].who_not->name, lines->lines[index].who_not->name) == 0)
                        return true;
        return false;
}

static void print_absent(const Lines *lines) {
        const BenchFamily *family;
        const char *comma = "";
        size_t i;

        for (i = 0; i < lines->n; i++)
                if (lines->lines[i].who_not && !is_said(lines, i))
                        printf("cannot run here: %s: %s\n", lines->lines[i].who_not->name,
                               lines->lines[i].why_not);
        for (family = bench_families; family->name; family++) {
                if (family->contestants)
                        continue;
                printf("%s%s", *comma ? comma : "not installed: ", family->name);
                comma = ", ";
        }
        if (*comma)
                printf("; bench/deps installs them\n");
}

void report_text(const Lines *lines) {
        int distance;

        printf("A B A B in turns; medians and quartiles of the ratios of all duels.\n"
               "Of two producers both are on one processor, the consumer on the other.\n");
        for (distance = 0; distance < _DISTANCE_N; distance++)
                print_lines(lines, (Distance)distance);
        print_targets(lines);
        printf("\n%zu duels dropped: the processors moved, or others had them\n",
               lines->n_dropped);
        print_absent(lines);
}

static void json_lines(const Lines *lines) {
        const char *comma = "";
        int distance;
        size_t i;

        printf("\"lines\": [");
        for (i = 0; i < lines->n; i++)
                for (distance = 0; distance < _DISTANCE_N; distance++) {
                        const Line *line = &lines->lines[i];
                        const LineFigures *figures = &line->figures[distance];
                        const char *unit = line->is_trip ? "us" : "per_us";

                        if (figures->n_duels == 0)
                                continue;
                        printf("%s\n  {\"item_size\": %u, \"distance\": \"%s\", \"a\": \"%s\", "
                               "\"b\": \"%s\", \"a_%s\": %.4f, \"b_%s\": %.4f, \"ratio\": %.4f, "
                               "\"ratio_q1\": %.4f, \"ratio_q3\": %.4f, \"n_duels\": %zu}",
                               comma, line->item_size, distance_names[distance],
                               line->first->name, line->second->name, unit, figures->first, unit,
                               figures->second, figures->ratio, figures->ratio_q1,
                               figures->ratio_q3, figures->n_duels);
                        comma = ",";
                }
        printf("\n]");
}

static void json_targets(const Lines *lines) {
        TargetResult results[TARGETS_MAX];
        size_t i, n = targets_evaluate(lines, results, TARGETS_MAX);

        printf("\"targets\": [");
        for (i = 0; i < n; i++)
                printf("%s\n  {\"what\": \"%s\", \"item_size\": %u, \"distance\": \"%s\", "
                       "\"a\": \"%s\", \"b\": \"%s\", \"ratio\": %.4f, \"ratio_q1\": %.4f, "
                       "\"ratio_q3\": %.4f, \"target\": %.2f, \"at_most\": %s, \"met\": %s}",
                       i > 0 ? "," : "", results[i].what, results[i].item_size,
                       distance_names[results[i].distance], results[i].first, results[i].second,
                       results[i].ratio, results[i].ratio_q1, results[i].ratio_q3,
                       results[i].bound, results[i].at_most ? "true" : "false",
                       results[i].is_met ? "true" : "false");
        printf("\n]");
}

static void json_absent(const Lines *lines) {
        const BenchFamily *family;
        const char *comma = "";
        size_t i;

        printf("\"cannot_run\": [");
        for (i = 0; i < lines->n; i++) {
                if (!lines->lines[i].who_not || is_said(lines, i))
                        continue;
                printf("%s\n  {\"who\": \"%s\", \"why\": \"%s\"}", comma,
                       lines->lines[i].who_not->name, lines->lines[i].why_not);
                comma = ",";
        }
        printf("],\n\"not_installed\": [");
        comma = "";
        for (family = bench_families; family->name; family++)
                if (!family->contestants) {
                        printf("%s\"%s\"", comma, family->name);
                        comma = ", ";
                }
        printf("]");
}

void report_json(const Lines *lines) {
        printf("{\"n_duels\": %zu, \"n_dropped\": %zu,\n", lines->n_counted, lines->n_dropped);
        json_lines(lines);
        printf(",\n");
        json_targets(lines);
        printf(",\n");
        json_absent(lines);
        printf("}\n");
}
