/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Forks
 *
 * Another process for a test to deal with: of another uid, killed, forked, left behind. A child
 * says by its exit status how it went, and a test always waits for it.
 */

#include <sys/types.h>

enum {
        /* Somebody without a name, and with no rights. */
        FORK_OTHER_UID = 54321,
};

/**
 * fork_run() - run a function in a child and wait
 * @run:        returns the exit status, below 128
 * @userdata:   for it
 *
 * Return: its exit status; 128 + N if it was ended by signal N; -errno of fork(2).
 */
int fork_run(int (*run)(void *userdata), void *userdata);

/** fork_start() - as fork_run() without waiting; the child's pid, or -errno */
pid_t fork_start(int (*run)(void *userdata), void *userdata);

/** fork_wait() - as fork_run() for one that was started */
int fork_wait(pid_t pid);

/** fork_become() - drop root for @uid and @n_gids groups, all of them @gids; 0 or -errno */
int fork_become(uid_t uid, gid_t gid, const gid_t *gids, size_t n_gids);

/** fork_can_become() - whether this process may change its uid at all */
int fork_can_become(void);
