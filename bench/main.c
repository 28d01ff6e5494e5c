/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-ring: what the Ring costs, against what would be used instead
 *
 * Nothing is said in items a second alone: each line is a duel of two contestants who take turns, A
 * B A B, between two probes of the distance of the processors. A duel is dropped if the probes
 * differ. A line gives the median of the ratios A/B, their quartiles, and the rates behind it, for
 * near and for far processors apart; what the machine did not show in this run is missing.
 *
 * Usage: bench-ring [--json] [--seconds N] [--only TEXT]
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/peers.h"

enum {
        SECONDS_DEFAULT = 60,
        TURN_NS = 20 * 1000 * 1000,
        DUELS_MAX = 512,
        LINES_MAX = 64,
        MEMORY_BYTES = 4 << 20,
};

typedef enum Distance {
        DISTANCE_NEAR,
        DISTANCE_FAR,
        _DISTANCE_N,
} Distance;

static const char *const distance_names[_DISTANCE_N] = {"near", "far"};

typedef struct Samples {
        size_t n;
        double ratios[DUELS_MAX], first[DUELS_MAX], second[DUELS_MAX];
} Samples;

typedef struct Line {
        const BenchContestant *first, *second;
        uint32_t item_size;
        Samples samples[_DISTANCE_N];
} Line;

static bool arg_json;
static uint64_t arg_seconds = SECONDS_DEFAULT;
static const char *arg_only = "";

static Line lines[LINES_MAX];
static size_t n_lines;
static size_t n_counted, n_dropped;

static const BenchContestant *find_in(const BenchContestant *all, const char *name,
                                      uint32_t item_size) {
        for (; all->name; all++)
                if (strcmp(all->name, name) == 0 &&
                    (all->item_size == 0 || all->item_size == item_size))
                        return all;
        return NULL;
}

static const BenchContestant *find(const char *name, uint32_t item_size) {
        const BenchContestant *found = find_in(bench_ours, name, item_size);

        if (!found)
                found = find_in(bench_peers, name, item_size);
        if (!found)
                found = find_in(bench_roundtrips, name, item_size);
        if (!found && strcmp(name, bench_line_probe.name) == 0)
                found = &bench_line_probe;
        if (!found)
                bench_die(name);
        return found;
}

static void add(const char *first, const char *second, uint32_t item_size) {
        if (n_lines == LINES_MAX)
                bench_die("too many lines");
        if (!strstr(first, arg_only) && !strstr(second, arg_only))
                return;
        lines[n_lines].first = find(first, item_size);
        lines[n_lines].second = find(second, item_size);
        lines[n_lines++].item_size = item_size;
}

static void add_lines(void) {
        static const uint32_t sizes[] = {64, 8, 256, 1024};
        size_t i;

        for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                add(BENCH_ONE, BENCH_TEXTBOOK, sizes[i]);
                add(BENCH_ONE, BENCH_VOLATILE, sizes[i]);
                add(BENCH_ONE, BENCH_CACHED, sizes[i]);
                add(BENCH_ONE, BENCH_ONE_AWAKE, sizes[i]);
                add(BENCH_BATCH, BENCH_CACHED, sizes[i]);
                add(BENCH_BATCH, BENCH_MEMCPY, sizes[i]);
                add(BENCH_SPAN, BENCH_MEMCPY, sizes[i]);
        }
        add(BENCH_ONE, BENCH_PIPE, 64);
        add("round trip, spinning", BENCH_PROBE, 64);
        add("round trip, sleeping", "bare futex ping-pong", 64);
}

/* Near or far; false if the processors moved in between. */
static bool tell_distance(double before, double after, Distance *ret_distance) {
        Distance first = before > BENCH_FAR_NS ? DISTANCE_FAR : DISTANCE_NEAR;
        Distance second = after > BENCH_FAR_NS ? DISTANCE_FAR : DISTANCE_NEAR;

        *ret_distance = first;
        return first == second && before < 1.3 * after && after < 1.3 * before;
}

static void duel(BenchRun *run, Line *line) {
        double before, rates[2], first = 0, second = 0;
        bool is_sound = true;
        Distance distance;
        Samples *samples;
        int i;

        before = bench_probe(run);
        for (i = 0; i < 2; i++) {
                rates[0] = bench_turn(run, line->first, line->item_size, TURN_NS);
                rates[1] = bench_turn(run, line->second, line->item_size, TURN_NS);
                is_sound = is_sound && rates[0] > 0 && rates[1] > 0;
                first += rates[0] / 2;
                second += rates[1] / 2;
        }
        if (!tell_distance(before, bench_probe(run), &distance) || !is_sound) {
                n_dropped++;
                return;
        }
        samples = &line->samples[distance];
        if (samples->n == DUELS_MAX)
                return;
        n_counted++;
        samples->ratios[samples->n] = first / second;
        samples->first[samples->n] = first;
        samples->second[samples->n++] = second;
}

static void print_text(const Line *line, Distance distance, const Samples *samples,
                       const double *quartiles, const double *rates) {
        printf("%4u B  %-4s  %-28s %9.2f   %-28s %9.2f   %7.2f  (%.2f .. %.2f, %zu duels)\n",
               line->item_size, distance_names[distance], line->first->name, rates[0],
               line->second->name, rates[1], quartiles[1], quartiles[0], quartiles[2], samples->n);
}

static void print_json(const Line *line, Distance distance, const Samples *samples,
                       const double *quartiles, const double *rates) {
        static bool is_later;

        printf("%s\n  {\"item_size\": %u, \"distance\": \"%s\", \"a\": \"%s\", \"b\": \"%s\", "
               "\"a_per_us\": %.4f, \"b_per_us\": %.4f, \"ratio\": %.4f, \"ratio_q1\": %.4f, "
               "\"ratio_q3\": %.4f, \"n_duels\": %zu}",
               is_later ? "," : "", line->item_size, distance_names[distance], line->first->name,
               line->second->name, rates[0], rates[1], quartiles[1], quartiles[0], quartiles[2],
               samples->n);
        is_later = true;
}

static void print_line(Line *line) {
        int distance;

        for (distance = 0; distance < _DISTANCE_N; distance++) {
                Samples *samples = &line->samples[distance];
                double quartiles[3], rates[2];
                int i;

                if (samples->n == 0)
                        continue;
                for (i = 0; i < 3; i++)
                        quartiles[i] = bench_quantile(samples->ratios, samples->n, 0.25 * (i + 1));
                rates[0] = bench_quantile(samples->first, samples->n, 0.5) / 1e6;
                rates[1] = bench_quantile(samples->second, samples->n, 0.5) / 1e6;
                if (arg_json)
                        print_json(line, (Distance)distance, samples, quartiles, rates);
                else
                        print_text(line, (Distance)distance, samples, quartiles, rates);
        }
}

static int parse(int argc, char **argv) {
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"only", required_argument, NULL, 'o'},
                {"seconds", required_argument, NULL, 's'},
                {0},
        };
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'j') {
                        arg_json = true;
                } else if (c == 'o') {
                        arg_only = optarg;
                } else if (c == 's') {
                        arg_seconds = strtoull(optarg, &end, 10);
                        if (*end || end == optarg || arg_seconds > 3600)
                                return -1;
                } else {
                        return -1;
                }
        }
        return optind == argc ? 0 : -1;
}

int main(int argc, char **argv) {
        uint64_t until;
        BenchRun *run;
        size_t i;

        if (parse(argc, argv) < 0) {
                fprintf(stderr, "usage: bench-ring [--json] [--seconds N] [--only TEXT]\n");
                return 2;
        }
        run = bench_run_new(MEMORY_BYTES);
        add_lines();
        until = bench_now_ns() + arg_seconds * UINT64_C(1000000000);
        do {
                for (i = 0; i < n_lines && bench_now_ns() < until; i++)
                        duel(run, &lines[i]);
        } while (bench_now_ns() < until);

        if (n_counted == 0) {
                fprintf(stderr, "bench-ring: none of %zu duels counts: other programs have the "
                                "processors, stop them and run it again\n", n_dropped);
                return 1;
        }
        if (arg_json)
                printf("[");
        else
                printf("item    cores A                            M items/s   "
                       "B                            M items/s       A/B  (quartiles)\n");
        for (i = 0; i < n_lines; i++)
                print_line(&lines[i]);
        if (arg_json)
                printf("\n]\n");
        else
                printf("%zu duels dropped: the processors moved, or others had them\n", n_dropped);
        return 0;
}
