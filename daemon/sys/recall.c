/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recall
 *
 * /proc/PID/maps says which inode each mapping has, so only of the wanted ones a link is followed;
 * between the look and the open the process may put anything in its place, so what was opened is
 * looked at once more. A descriptor says nothing of itself: each is opened, up to a limit.
 */

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "daemon/sys/recall.h"

enum {
        /* A process may have very many, and need not be in a hurry with any of them. */
        RECALL_DESCRIPTORS_MAX = 4096,
        RECALL_PATH_MAX = 96,
};

static int recall_compare(const void *a, const void *b) {
        const RecallWanted *x = a, *y = b;

        if (x->dev != y->dev)
                return x->dev < y->dev ? -1 : 1;
        return x->ino < y->ino ? -1 : x->ino > y->ino;
}

void recall_sort(RecallWanted *wanted, size_t n_wanted) {
        qsort(wanted, n_wanted, sizeof(*wanted), recall_compare);
}

RecallWanted *recall_find(RecallWanted *wanted, size_t n_wanted, uint64_t dev, uint64_t ino) {
        const RecallWanted key = { .dev = dev, .ino = ino };

        return bsearch(&key, wanted, n_wanted, sizeof(*wanted), recall_compare);
}

/* One that is not found yet, or NULL. */
static RecallWanted *recall_want(RecallWanted *wanted, size_t n_wanted, uint64_t dev,
                                 uint64_t ino) {
        RecallWanted *found = recall_find(wanted, n_wanted, dev, ino);

        return found && found->fd < 0 ? found : NULL;
}

bool recall_take(int fd, RecallWanted *wanted, size_t n_wanted) {
        char again[RECALL_PATH_MAX];
        RecallWanted *found;
        struct statx st;

        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_TYPE, &st) < 0 ||
            !S_ISREG(st.stx_mode))
                return false;
        found = recall_want(wanted, n_wanted, makedev(st.stx_dev_major, st.stx_dev_minor),
                            st.stx_ino);
        if (!found)
                return false;
        snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
        found->fd = open(again, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        return found->fd >= 0;
}

/* Follow a link of /proc to what may be wanted. */
static bool recall_open(const char *path, RecallWanted *wanted, size_t n_wanted) {
        bool taken;
        int fd;

        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return false;
        taken = recall_take(fd, wanted, n_wanted);
        close(fd);
        return taken;
}

/* Our own program is mapped; who may follow that link may follow others'. */
bool recall_may_look(void) {
        DIR *directory = opendir("/proc/self/map_files");
        struct dirent *entry;
        int fd = -1;

        if (!directory)
                return false;
        while (fd < 0 && (entry = readdir(directory)))
                if (entry->d_name[0] != '.') {
                        fd = openat(dirfd(directory), entry->d_name, O_PATH | O_CLOEXEC);
                        if (fd < 0)
                                break;
                }
        closedir(directory);
        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

static size_t recall_from_maps(pid_t pid, RecallWanted *wanted, size_t n_wanted) {
        char path[RECALL_PATH_MAX], *line = NULL;
        size_t n = 0, n_allocated = 0;
        unsigned major, minor;
        uint64_t start, end, ino;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return 0;
        while (n < n_wanted && getline(&line, &n_allocated, file) > 0) {
                if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%x %" SCNu64, &start, &end,
                           &major, &minor, &ino) != 5 ||
                    !recall_want(wanted, n_wanted, makedev(major, minor), ino))
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
                         start, end);
                n += recall_open(path, wanted, n_wanted);
        }
        free(line);
        fclose(file);
        return n;
}

static size_t recall_from_descriptors(pid_t pid, RecallWanted *wanted, size_t n_wanted) {
        char path[RECALL_PATH_MAX];
        size_t i, n = 0;
        struct dirent *entry;
        DIR *directory;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        directory = opendir(path);
        if (!directory)
                return 0;
        for (i = 0; n < n_wanted && i < RECALL_DESCRIPTORS_MAX; i++) {
                entry = readdir(directory);
                if (!entry)
                        break;
                snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, entry->d_name);
                n += recall_open(path, wanted, n_wanted);
        }
        closedir(directory);
        return n;
}

size_t recall_from(pid_t pid, RecallWanted *wanted, size_t n_wanted) {
        size_t n;

        if (pid <= 0 || n_wanted == 0)
                return 0;
        n = recall_from_maps(pid, wanted, n_wanted);
        return n + recall_from_descriptors(pid, wanted, n_wanted);
}
