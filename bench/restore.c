/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What it takes a broker to go on where the one before it was killed
 *
 * Clients, each a process of its own, attach to raw regions, all to as many. The broker is killed
 * and started several times with all of them alive and none of them back: what is measured is the
 * time from exec to READY=1, with the leases restored, and what the daemon then holds. Medians.
 *
 * usage: restore SHMBROKERD N_CLIENTS N_LEASES_EACH [--json]
 */

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmbroker.h>

#include "bench/place.h"

enum {
        N_STARTS = 11,
        N_REGIONS = 100,
        N_CLIENTS_MAX = 10000,
        N_EACH_MAX = 10000,
};

static void configure(Place *place) {
        FILE *file;

        place_init(place, "restore", &file);
        fputs("version: 1\n"
              "limits: {per_uid: {connections: 65536, leases: 1000000}}\n"
              "regions:\n", file);
        for (int i = 0; i < N_REGIONS; ++i)
                fprintf(file, "  - {name: bench/r%d, kind: raw, size: 4K, access: {read: [any]}}\n",
                        i);
        if (fclose(file) != 0)
                place_die(place, place->config);
}

/* Holds its leases, says so, and lives until it is killed. */
static _Noreturn void hold(const Place *place, int client, int n_each, int said_fd) {
        struct shmb_region *region;
        struct shmb *c;
        char name[32];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (shmb_connect(place->socket, &c) < 0)
                _exit(1);
        for (int i = 0; i < n_each; ++i) {
                snprintf(name, sizeof(name), "bench/r%d", (client * n_each + i) % N_REGIONS);
                if (shmb_attach(c, name, SHMB_READ, NULL, &region) < 0) {
                        fprintf(stderr, "restore: %s\n", shmb_error(c));
                        _exit(1);
                }
        }
        if (write(said_fd, "", 1) != 1)
                _exit(1);
        for (;;)
                pause();
}

static void start_client(const Place *place, int client, int n_each, pid_t *ret_pid) {
        int said[2];
        char byte;

        if (pipe(said) < 0)
                place_die(place, "pipe");
        *ret_pid = fork();
        if (*ret_pid < 0)
                place_die(place, "fork");
        if (*ret_pid == 0) {
                close(said[0]);
                hold(place, client, n_each, said[1]);
        }
        close(said[1]);
        if (read(said[0], &byte, 1) != 1)
                place_die(place, "a client did not attach");
        close(said[0]);
}

static double count_fds(const Place *place, pid_t pid) {
        char path[64];
        double n = 0;
        DIR *directory;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        directory = opendir(path);
        if (!directory)
                place_die(place, path);
        while (readdir(directory))
                n++;
        closedir(directory);
        return n - 2;
}

int main(int argc, char **argv) {
        bool json = argc == 5 && strcmp(argv[4], "--json") == 0;
        double ready[N_STARTS], rss[N_STARTS], fds[N_STARTS];
        static pid_t clients[N_CLIENTS_MAX];
        int n_clients = argc > 2 ? atoi(argv[2]) : 0, n_each = argc > 3 ? atoi(argv[3]) : 0;
        Place place;
        pid_t pid;

        if ((argc != 4 && !json) || n_clients < 1 || n_clients > N_CLIENTS_MAX || n_each < 1 ||
            n_each > N_EACH_MAX) {
                fprintf(stderr, "usage: %s SHMBROKERD N_CLIENTS N_LEASES_EACH [--json]\n", argv[0]);
                return 2;
        }
        configure(&place);
        pid = place_start(&place, argv[1], &ready[0]);
        for (int i = 0; i < n_clients; ++i)
                start_client(&place, i, n_each, &clients[i]);
        for (int i = 0; i < N_STARTS; ++i) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                pid = place_start(&place, argv[1], &ready[i]);
                rss[i] = (double)place_status_number(&place, pid, "VmRSS:");
                fds[i] = count_fds(&place, pid);
        }
        for (int i = 0; i < n_clients; ++i)
                kill(clients[i], SIGKILL);
        for (int i = 0; i < n_clients; ++i)
                waitpid(clients[i], NULL, 0);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
        qsort(ready, N_STARTS, sizeof(*ready), place_compare);
        qsort(rss, N_STARTS, sizeof(*rss), place_compare);
        printf(json ? "{\"leases\":%d,\"clients\":%d,\"ready_ms\":%.1f,\"rss_kib\":%.0f,"
                      "\"fds\":%.0f}\n"
                    : "%d leases of %d clients: ready in %.1f ms, %.0f KiB resident, "
                      "%.0f descriptors\n",
               n_clients * n_each, n_clients, ready[N_STARTS / 2], rss[N_STARTS / 2],
               fds[N_STARTS / 2]);
        place_deinit(&place);
        return 0;
}
