/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the daemon itself costs: time from exec to READY=1, memory and wake-ups while idle
 *
 * Starts the given shmbrokerd several times on a private runtime directory with N ring regions,
 * listens on NOTIFY_SOCKET for READY=1, and reads VmRSS and the context switches of one idle second
 * from /proc. All figures are medians.
 *
 * usage: daemon SHMBROKERD N_REGIONS [--json]
 */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "bench/place.h"

enum {
        N_STARTS = 11,
};

static void configure(Place *place, int n_regions) {
        FILE *file;

        place_init(place, "daemon", &file);
        fputs("version: 1\nregions:\n", file);
        for (int i = 0; i < n_regions; ++i)
                fprintf(file,
                        "  - {name: bench/r%d, kind: ring, item: {size: 64}, capacity: 64,"
                        " access: {produce: [any], consume: [any]}}\n", i);
        if (fclose(file) != 0)
                place_die(place, place->config);
}

static double idle_wakeups(const Place *place, pid_t pid) {
        static const char key[] = "voluntary_ctxt_switches:";
        long before = place_status_number(place, pid, key);

        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
        return (double)(place_status_number(place, pid, key) - before);
}

int main(int argc, char **argv) {
        bool json = argc == 4 && strcmp(argv[3], "--json") == 0;
        double ready[N_STARTS], rss[N_STARTS], wakeups = 0;
        Place place;
        pid_t pid;

        if (argc != 3 && !json) {
                fprintf(stderr, "usage: %s SHMBROKERD N_REGIONS [--json]\n", argv[0]);
                return 2;
        }
        configure(&place, atoi(argv[2]));
        for (int i = 0; i < N_STARTS; ++i) {
                pid = place_start(&place, argv[1], &ready[i]);
                rss[i] = (double)place_status_number(&place, pid, "VmRSS:");
                if (i == 0)
                        wakeups = idle_wakeups(&place, pid);
                kill(pid, SIGTERM);
                waitpid(pid, NULL, 0);
        }
        qsort(ready, N_STARTS, sizeof(*ready), place_compare);
        qsort(rss, N_STARTS, sizeof(*rss), place_compare);
        printf(json ? "{\"regions\":%s,\"ready_ms\":%.1f,\"rss_kib\":%.0f,\"wakeups_s\":%.0f}\n"
                    : "%s regions: ready in %.1f ms, %.0f KiB resident, %.0f wake-ups a second\n",
               argv[2], ready[N_STARTS / 2], rss[N_STARTS / 2], wakeups);
        place_deinit(&place);
        return 0;
}
