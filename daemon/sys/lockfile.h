/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lock File
 *
 * One broker a runtime directory: flock(2) on a file that only the broker can open. The kernel
 * gives the lock back when the last descriptor is closed, however the broker ended; a lock file
 * that was left behind means nothing. Regions are never locked: whoever maps one may lock it.
 */

#include <sys/types.h>

enum {
        _LOCKFILE_E_SUCCESS,

        LOCKFILE_E_HELD,    /* another broker runs here */
        LOCKFILE_E_UNSAFE,  /* the name is not a regular file of ours */
};

/**
 * lockfile_take() - take the lock, or say who has it
 * @dir_fd:     runtime directory
 * @name:       of the file in it
 * @ret_fd:     keep open as long as the lock is to be held
 * @ret_pid:    LOCKFILE_E_HELD: number that the holder wrote into it, 0 if none; advisory
 *
 * Return: 0; LOCKFILE_E_HELD; LOCKFILE_E_UNSAFE; -errno of openat(2), flock(2), write(2).
 */
int lockfile_take(int dir_fd, const char *name, int *ret_fd, pid_t *ret_pid);
