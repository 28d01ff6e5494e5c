/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Recall
 *
 * Memory without a name lives on in the processes that have it mapped, or open. Who may look into
 * them finds it there again by its inode: for what is mapped that takes CAP_CHECKPOINT_RESTORE (or
 * CAP_SYS_ADMIN), for what is open the same uid or CAP_SYS_PTRACE.
 *
 * The other side may be hostile: nothing of it is opened but what is the wanted inode, and looking
 * which inode it is (O_PATH, no attributes fetched from whoever serves its file system) never waits
 * for anybody.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct RecallWanted {
        uint64_t dev, ino;
        int fd; /* read-only, the caller's; -1 until it is found */
} RecallWanted;

/** recall_sort() - put what is wanted in the order that recall_from() needs */
void recall_sort(RecallWanted *wanted, size_t n_wanted);

/** recall_find() - the one of an inode, found or not; NULL if it is not wanted */
RecallWanted *recall_find(RecallWanted *wanted, size_t n_wanted, uint64_t dev, uint64_t ino);

/** recall_may_look() - whether this process sees what others have mapped */
bool recall_may_look(void);

/**
 * recall_take() - what a descriptor is of, if it is wanted
 * @fd:         of whoever; stays open
 *
 * Return: whether it was wanted and not found before; it is found now, through a descriptor of its
 * own.
 */
bool recall_take(int fd, RecallWanted *wanted, size_t n_wanted);

/**
 * recall_from() - look for inodes in one process
 * @pid:        process; one that is gone, or may not be looked into, has nothing
 * @wanted:     in order; what is found is set
 * @n_wanted:   how many
 *
 * Return: how many were found.
 */
size_t recall_from(pid_t pid, RecallWanted *wanted, size_t n_wanted);
