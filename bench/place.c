/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker of the Benchmark's Own
 *
 * It may hold as many descriptors as the machine lets it, as its unit does.
 */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench/place.h"

enum {
        READY_DEADLINE_MS = 30000,
};

_Noreturn void place_die(const Place *place, const char *what) {
        fprintf(stderr, "%s: %s: %s\n", place->program, what, strerror(errno));
        exit(1);
}

double place_now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void place_init(Place *place, const char *program, FILE **ret_config) {
        place->program = program;
        strcpy(place->directory, "/tmp/shmbroker-bench-XXXXXX");
        if (!mkdtemp(place->directory))
                place_die(place, "mkdtemp");
        snprintf(place->config, sizeof(place->config), "%s/config.yaml", place->directory);
        snprintf(place->runtime, sizeof(place->runtime), "%s/run", place->directory);
        snprintf(place->socket, sizeof(place->socket), "%s/broker.sock", place->runtime);
        snprintf(place->notify, sizeof(place->notify), "%s/notify", place->directory);
        *ret_config = fopen(place->config, "we");
        if (!*ret_config)
                place_die(place, place->config);
}

void place_deinit(Place *place) {
        char command[160];

        snprintf(command, sizeof(command), "rm -rf -- '%s'", place->directory);
        if (system(command) != 0)
                place_die(place, place->directory);
}

static int place_listen(const Place *place) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        strncpy(address.sun_path, place->notify, sizeof(address.sun_path) - 1);
        unlink(place->notify);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                place_die(place, place->notify);
        return fd;
}

static void place_await_ready(const Place *place, int fd) {
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        char text[4096];
        ssize_t n;

        for (;;) {
                if (poll(&poller, 1, READY_DEADLINE_MS) <= 0) {
                        errno = ETIMEDOUT;
                        place_die(place, "READY=1");
                }
                n = recv(fd, text, sizeof(text) - 1, 0);
                text[n > 0 ? n : 0] = '\0';
                if (strstr(text, "READY=1"))
                        return;
        }
}

static void place_raise_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

pid_t place_start(const Place *place, const char *path, double *ret_ready_ms) {
        int fd = place_listen(place);
        double start = place_now_ms();
        pid_t pid = fork();

        if (pid < 0)
                place_die(place, "fork");
        if (pid == 0) {
                place_raise_limit();
                setenv("NOTIFY_SOCKET", place->notify, 1);
                if (!freopen("/dev/null", "w", stderr))
                        _exit(127);
                execl(path, path, "--config", place->config, "--runtime-dir", place->runtime,
                      NULL);
                _exit(127);
        }
        place_await_ready(place, fd);
        *ret_ready_ms = place_now_ms() - start;
        close(fd);
        return pid;
}

long place_status_number(const Place *place, pid_t pid, const char *key) {
        char path[64], line[256];
        long value = -1;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        if (!file)
                place_die(place, path);
        while (fgets(line, sizeof(line), file))
                if (strncmp(line, key, strlen(key)) == 0)
                        value = strtol(line + strlen(key), NULL, 10);
        fclose(file);
        return value;
}

int place_compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}
