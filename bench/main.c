/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-ring: what the Ring costs, against what would be used instead
 *
 * Nothing is said in items a second alone: each line is a duel of two contestants who take turns, A
 * B A B, between two probes of the distance of the processors. A duel is dropped if the probes
 * differ. All lines are gone through again and again until the time is over, or until an interrupt,
 * and what was measured by then is told: medians of the ratios A/B, their quartiles, and the rates
 * behind them, for near and for far processors apart; what the machine did not show in this run is
 * missing.
 *
 * Usage: bench-ring [--json] [--svg FILE] [--seconds N] [--only TEXT] [--keep]
 *
 * --svg draws it as well. --only takes the lines that have TEXT in a name. --keep counts all duels,
 * also those that others disturbed: it shows that everything runs, and its figures mean nothing.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lines.h"
#include "bench/report.h"
#include "bench/svg.h"

enum {
        SECONDS_DEFAULT = 180,
        TURN_NS = 20 * 1000 * 1000,
        /* 1024 items of 4096 bytes, and what stands around them. */
        MEMORY_BYTES = 6 << 20,
};

static bool arg_json, arg_keep;
static uint64_t arg_seconds = SECONDS_DEFAULT;
static const char *arg_only = "", *arg_svg;

static volatile sig_atomic_t is_interrupted;

static Lines lines;

/* Near or far; false if the processors moved in between. */
static bool tell_distance(double before, double after, Distance *ret_distance) {
        Distance first = before > BENCH_FAR_NS ? DISTANCE_FAR : DISTANCE_NEAR;
        Distance second = after > BENCH_FAR_NS ? DISTANCE_FAR : DISTANCE_NEAR;

        *ret_distance = first;
        return first == second && before < 1.3 * after && after < 1.3 * before;
}

/* Both take their turn once. Return: false if the turns are not to be counted. */
static bool duel_turns(BenchRun *run, Line *line, double *rates) {
        const BenchContestant *who[2] = {line->first, line->second};
        bool is_sound = true;
        double rate;
        int i;

        for (i = 0; i < 2; i++) {
                rate = bench_turn(run, who[i], line->item_size, TURN_NS, &line->why_not);
                if (line->why_not) {
                        line->who_not = who[i];
                        return false;
                }
                is_sound = is_sound && rate > 0;
                rates[i] += rate / 2;
        }
        return is_sound;
}

static void duel(BenchRun *run, Line *line) {
        double before, rates[2] = {0, 0};
        bool is_sound = true;
        Distance distance;
        size_t n;
        int i;

        if (line->why_not)
                return;
        before = bench_probe(run);
        for (i = 0; i < 2 && !line->why_not; i++)
                is_sound = duel_turns(run, line, rates) && is_sound;
        if (line->why_not)
                return;
        is_sound = tell_distance(before, bench_probe(run), &distance) && is_sound;
        n = line->n_duels[distance];
        if ((!is_sound && !arg_keep) || rates[0] <= 0 || rates[1] <= 0 || n == LINE_DUELS_MAX) {
                lines.n_dropped++;
                return;
        }
        lines.n_counted++;
        line->n_duels[distance]++;
        line->ratios[distance][n] = line->is_trip ? rates[1] / rates[0] : rates[0] / rates[1];
        line->rates[distance][0][n] = rates[0];
        line->rates[distance][1][n] = rates[1];
}

static void duel_all(BenchRun *run) {
        uint64_t until = bench_now_ns() + arg_seconds * UINT64_C(1000000000);
        size_t i;

        do {
                for (i = 0; i < lines.n && !is_interrupted && bench_now_ns() < until; i++)
                        duel(run, &lines.lines[i]);
        } while (!is_interrupted && bench_now_ns() < until);
}

static void interrupt(int signal_number) {
        is_interrupted = 1;
}

/* The first one ends the run between two duels, the second one ends the program. */
static void catch_interrupts(void) {
        struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART | SA_RESETHAND};

        if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0 ||
            sigaction(SIGHUP, &action, NULL) < 0)
                bench_die("sigaction");
}

static int parse(int argc, char **argv) {
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"keep", no_argument, NULL, 'k'},
                {"only", required_argument, NULL, 'o'},
                {"seconds", required_argument, NULL, 's'},
                {"svg", required_argument, NULL, 'v'},
                {0},
        };
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'j') {
                        arg_json = true;
                } else if (c == 'k') {
                        arg_keep = true;
                } else if (c == 'o') {
                        arg_only = optarg;
                } else if (c == 'v') {
                        arg_svg = optarg;
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

/* Return: what main() returns. */
static int report(void) {
        const char *why;

        if (lines.n_counted == 0 && lines.n_dropped > 0) {
                fprintf(stderr, "bench-ring: none of %zu duels counts: other programs have the "
                                "processors, stop them and run it again\n", lines.n_dropped);
                return 1;
        }
        lines_conclude(&lines);
        if (arg_json)
                report_json(&lines);
        else
                report_text(&lines);
        if (arg_svg && svg_write(&lines, arg_svg, &why) < 0) {
                fprintf(stderr, "bench-ring: %s: %s\n", arg_svg, why);
                return 1;
        }
        return 0;
}

int main(int argc, char **argv) {
        BenchRun *run;

        if (parse(argc, argv) < 0) {
                fprintf(stderr, "usage: bench-ring [--json] [--svg FILE] [--seconds N] "
                                "[--only TEXT] [--keep]\n");
                return 2;
        }
        lines_add_all(&lines, arg_only);
        if (lines.n == 0) {
                fprintf(stderr, "bench-ring: no line has '%s' in a name\n", arg_only);
                return 2;
        }
        run = bench_run_new(MEMORY_BYTES);
        run->keeps_all = arg_keep;
        catch_interrupts();
        duel_all(run);
        return report();
}
