/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Scratch Directories
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/harness/scratch.h"

int scratch_make(char ret_path[static SCRATCH_PATH_MAX]) {
        strcpy(ret_path, "/dev/shm/shmb-test-XXXXXX");
        return mkdtemp(ret_path) ? 0 : -errno;
}

void scratch_remove(const char *path) {
        struct dirent *entry;
        DIR *dir;

        dir = opendir(path);
        if (!dir)
                return;
        while ((entry = readdir(dir))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        }
        closedir(dir);
        rmdir(path);
}

size_t scratch_count(const char *path) {
        struct dirent *entry;
        size_t n = 0;
        DIR *dir;

        dir = opendir(path);
        if (!dir)
                abort();
        while ((entry = readdir(dir)))
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

size_t scratch_count_fds(void) {
        /* One of them is the directory itself. */
        return scratch_count("/proc/self/fd") - 1;
}
