/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leak Check
 *
 * A constructor takes the first snapshot and a destructor the second, so a test needs no line for
 * it and cannot forget it. Mappings are told apart by what is mapped and how often, not by address:
 * an allocator may move, and a region mapped twice and unmapped once is a leak.
 */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/harness/leak.h"

enum {
        LEAK_SAID_MAX = 4, /* of the many that a failed test leaves */
};

static LeakSnapshot leak_before, leak_after;
static pid_t leak_pid;

static int leak_add(LeakSnapshot *snapshot, const char *kind, const char *text) {
        char *entry;

        if (snapshot->n_entries == LEAK_ENTRIES_MAX)
                return -E2BIG;

        entry = snapshot->entries[snapshot->n_entries++];
        snprintf(entry, LEAK_TEXT_MAX, "%s %.150s", kind, text);
        return 0;
}

static int leak_add_fds(LeakSnapshot *snapshot) {
        struct dirent *entry;
        char target[128], text[LEAK_TEXT_MAX];
        ssize_t n_target;
        DIR *dir;
        int fd, r = 0;

        dir = opendir("/proc/self/fd");
        if (!dir)
                return -errno;

        while (r == 0 && (entry = readdir(dir))) {
                fd = atoi(entry->d_name);
                if (entry->d_name[0] == '.' || fd == dirfd(dir))
                        continue;
                n_target = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
                target[n_target < 0 ? 0 : n_target] = '\0';
                snprintf(text, sizeof(text), "%d (%s)", fd, target);
                r = leak_add(snapshot, "descriptor", text);
        }

        closedir(dir);
        return r;
}

static int leak_add_mappings(LeakSnapshot *snapshot) {
        char *line = NULL, *path;
        size_t n_line = 0;
        FILE *file;
        int r = 0;

        file = fopen("/proc/self/maps", "re");
        if (!file)
                return -errno;

        while (r == 0 && getline(&line, &n_line, file) > 0) {
                line[strcspn(line, "\n")] = '\0';
                path = strchr(line, '/');
                if (!path)
                        continue;
                if (strncmp(path, "/dev/shm/", 9) == 0 || strncmp(path, "/memfd:", 7) == 0 ||
                    strncmp(path, "/SYSV", 5) == 0 || strstr(path, " (deleted)"))
                        r = leak_add(snapshot, "mapping of", path);
        }

        free(line);
        fclose(file);
        return r;
}

int leak_snapshot_take(LeakSnapshot *ret_snapshot) {
        int r;

        ret_snapshot->n_entries = 0;
        r = leak_add_fds(ret_snapshot);
        if (r < 0)
                return r;
        return leak_add_mappings(ret_snapshot);
}

static size_t leak_count(const LeakSnapshot *snapshot, size_t n, const char *entry) {
        size_t i, n_found = 0;

        for (i = 0; i < n; i++)
                n_found += strcmp(snapshot->entries[i], entry) == 0;
        return n_found;
}

size_t leak_snapshot_compare(const LeakSnapshot *before, const LeakSnapshot *after) {
        size_t i, n_leaks = 0;

        for (i = 0; i < after->n_entries; i++) {
                /* The k-th of equal entries is new if there were fewer than k before. */
                if (leak_count(after, i + 1, after->entries[i]) <=
                    leak_count(before, before->n_entries, after->entries[i]))
                        continue;
                if (n_leaks++ < LEAK_SAID_MAX)
                        fprintf(stderr, "leak: %s is left behind\n", after->entries[i]);
        }
        if (n_leaks > LEAK_SAID_MAX)
                fprintf(stderr, "leak: and %zu more\n", n_leaks - LEAK_SAID_MAX);
        return n_leaks;
}

__attribute__((constructor)) static void leak_begin(void) {
        int r;

        leak_pid = getpid();
        r = leak_snapshot_take(&leak_before);
        if (r < 0) {
                fprintf(stderr, "leak: cannot look at this process: %s\n", strerror(-r));
                _exit(LEAK_EXIT_STATUS);
        }
}

__attribute__((destructor)) static void leak_end(void) {
        siginfo_t child;
        size_t n_leaks;
        int r;

        if (getpid() != leak_pid)
                return;

        r = leak_snapshot_take(&leak_after);
        if (r < 0) {
                fprintf(stderr, "leak: cannot look at this process: %s\n", strerror(-r));
                _exit(LEAK_EXIT_STATUS);
        }

        n_leaks = leak_snapshot_compare(&leak_before, &leak_after);
        if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0) {
                fprintf(stderr, "leak: a child is left behind\n");
                n_leaks++;
        }
        if (n_leaks > 0) {
                fflush(NULL);
                _exit(LEAK_EXIT_STATUS);
        }
}
