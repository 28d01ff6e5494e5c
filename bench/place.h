/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Broker of the Benchmark's Own
 *
 * The given shmbrokerd on a private directory, with NOTIFY_SOCKET to hear when it is ready. What
 * goes wrong ends the program with a sentence.
 */

#include <stdio.h>
#include <sys/types.h>

typedef struct Place {
        const char *program; /* of the benchmark, for sentences */
        char directory[64];
        char config[96], runtime[96], socket[112], notify[96];
} Place;

/** place_die() - say @what went wrong, with errno, and end */
_Noreturn void place_die(const Place *place, const char *what);

/** place_now_ms() - CLOCK_MONOTONIC */
double place_now_ms(void);

/** place_init() - the directory; @ret_config is an empty configuration to write, and to close */
void place_init(Place *place, const char *program, FILE **ret_config);

/** place_deinit() - remove it */
void place_deinit(Place *place);

/** place_start() - start shmbrokerd @path; returns when it is ready, with how long that took */
pid_t place_start(const Place *place, const char *path, double *ret_ready_ms);

/** place_status_number() - the number behind @key in /proc/@pid/status */
long place_status_number(const Place *place, pid_t pid, const char *key);

/** place_compare() - of two doubles, for qsort(3) */
int place_compare(const void *a, const void *b);
