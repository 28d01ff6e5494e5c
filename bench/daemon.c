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

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        N_STARTS = 11,
        READY_DEADLINE_MS = 30000,
};

typedef struct Place {
        char directory[64];
        char config[96], runtime[96], notify[96];
} Place;

static _Noreturn void die(const char *what) {
        fprintf(stderr, "daemon: %s: %s\n", what, strerror(errno));
        exit(1);
}

static double now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void place_init(Place *place, int n_regions) {
        FILE *file;

        strcpy(place->directory, "/tmp/shmbroker-bench-XXXXXX");
        if (!mkdtemp(place->directory))
                die("mkdtemp");
        snprintf(place->config, sizeof(place->config), "%s/config.yaml", place->directory);
        snprintf(place->runtime, sizeof(place->runtime), "%s/run", place->directory);
        snprintf(place->notify, sizeof(place->notify), "%s/notify", place->directory);
        file = fopen(place->config, "we");
        if (!file)
                die(place->config);
        fputs("version: 1\nregions:\n", file);
        for (int i = 0; i < n_regions; ++i)
                fprintf(file,
                        "  - {name: bench/r%d, kind: ring, item: {size: 64}, capacity: 64,"
                        " access: {produce: [any], consume: [any]}}\n", i);
        if (fclose(file) != 0)
                die(place->config);
}

static void place_deinit(Place *place) {
        char command[160];

        snprintf(command, sizeof(command), "rm -rf -- '%s'", place->directory);
        if (system(command) != 0)
                die(place->directory);
}

static int notify_listen(const Place *place) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        strncpy(address.sun_path, place->notify, sizeof(address.sun_path) - 1);
        unlink(place->notify);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die(place->notify);
        return fd;
}

static void notify_await_ready(int fd) {
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        char text[4096];
        ssize_t n;

        for (;;) {
                if (poll(&poller, 1, READY_DEADLINE_MS) <= 0) {
                        fprintf(stderr, "daemon: no READY=1 within %d ms\n", READY_DEADLINE_MS);
                        exit(1);
                }
                n = recv(fd, text, sizeof(text) - 1, 0);
                text[n > 0 ? n : 0] = '\0';
                if (strstr(text, "READY=1"))
                        return;
        }
}

static pid_t spawn(const Place *place, const char *path) {
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;
        setenv("NOTIFY_SOCKET", place->notify, 1);
        if (!freopen("/dev/null", "w", stderr))
                _exit(127);
        execl(path, path, "--config", place->config, "--runtime-dir", place->runtime, NULL);
        _exit(127);
}

/* The number behind @key in /proc/@pid/status. */
static long status_number(pid_t pid, const char *key) {
        char path[64], line[256];
        long value = -1;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        if (!file)
                die(path);
        while (fgets(line, sizeof(line), file))
                if (strncmp(line, key, strlen(key)) == 0)
                        value = strtol(line + strlen(key), NULL, 10);
        fclose(file);
        return value;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

int main(int argc, char **argv) {
        bool json = argc == 4 && strcmp(argv[3], "--json") == 0;
        double ready[N_STARTS], rss[N_STARTS], wakeups = 0, start;
        Place place;
        long before;
        pid_t pid;
        int fd;

        if (argc != 3 && !json) {
                fprintf(stderr, "usage: %s SHMBROKERD N_REGIONS [--json]\n", argv[0]);
                return 2;
        }
        place_init(&place, atoi(argv[2]));
        for (int i = 0; i < N_STARTS; ++i) {
                fd = notify_listen(&place);
                start = now_ms();
                pid = spawn(&place, argv[1]);
                notify_await_ready(fd);
                ready[i] = now_ms() - start;
                rss[i] = (double)status_number(pid, "VmRSS:");
                if (i == 0) {
                        before = status_number(pid, "voluntary_ctxt_switches:");
                        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
                        wakeups = (double)(status_number(pid, "voluntary_ctxt_switches:") - before);
                }
                kill(pid, SIGTERM);
                waitpid(pid, NULL, 0);
                close(fd);
        }
        qsort(ready, N_STARTS, sizeof(*ready), compare);
        qsort(rss, N_STARTS, sizeof(*rss), compare);
        printf(json ? "{\"regions\":%s,\"ready_ms\":%.1f,\"rss_kib\":%.0f,\"wakeups_s\":%.0f}\n"
                    : "%s regions: ready in %.1f ms, %.0f KiB resident, %.0f wake-ups a second\n",
               argv[2], ready[N_STARTS / 2], rss[N_STARTS / 2], wakeups);
        place_deinit(&place);
        return 0;
}
