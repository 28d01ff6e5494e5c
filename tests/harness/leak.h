/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leak Check
 *
 * Every test program that links the harness is checked without asking for it: what is open, mapped
 * and forked when main() begins must be what is there when it has returned. A test that leaves a
 * descriptor, a mapping of shared memory or a child behind ends with LEAK_EXIT_STATUS and a line
 * for each, even if all its assertions held.
 *
 * Only the process that began is checked: a forked child that ends by exit() says nothing.
 */

#include <stddef.h>

enum {
        LEAK_EXIT_STATUS = 97,
        /* More than any test opens; a program that has more is told so instead of being checked
         * in part. */
        LEAK_ENTRIES_MAX = 512,
        /* Of a descriptor's or mapping's description; longer ones are cut. */
        LEAK_TEXT_MAX = 192,
};

typedef struct LeakSnapshot LeakSnapshot;

struct LeakSnapshot {
        size_t n_entries;
        char entries[LEAK_ENTRIES_MAX][LEAK_TEXT_MAX];
};

/**
 * leak_snapshot_take() - write down what this process holds
 * @ret_snapshot:       where to write it
 *
 * Holds: open descriptors, and mappings of shared memory (/dev/shm, memfd, SysV, unlinked files).
 *
 * Return: 0, or -errno if /proc cannot be read; -E2BIG for more than LEAK_ENTRIES_MAX entries.
 */
int leak_snapshot_take(LeakSnapshot *ret_snapshot);

/**
 * leak_snapshot_compare() - say what is held now that was not held before
 * @before:             what was held
 * @after:              what is held
 *
 * Each new entry is a line on stderr. What is gone is no leak.
 *
 * Return: how many entries are new.
 */
size_t leak_snapshot_compare(const LeakSnapshot *before, const LeakSnapshot *after);
