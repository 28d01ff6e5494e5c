/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Scratch Directories
 *
 * A directory of its own for each test, on the tmpfs of shared memory: tests run beside each other
 * and beside a broker that is in use.
 */

#include <stddef.h>

enum {
        SCRATCH_PATH_MAX = 64,
};

/** scratch_make() - a new empty directory of mode 0700; 0 or -errno */
int scratch_make(char ret_path[static SCRATCH_PATH_MAX]);

/** scratch_remove() - it and everything in it; directories in it must be empty */
void scratch_remove(const char *path);

/** scratch_count() - entries in a directory, hidden ones left out; fails the test if it cannot */
size_t scratch_count(const char *path);

/** scratch_count_fds() - descriptors that this process has open */
size_t scratch_count_fds(void);
