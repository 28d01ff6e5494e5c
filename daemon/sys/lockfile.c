/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lock File
 *
 * The number of the holder is written behind the lock and is read by the loser: between the two it
 * may be missing or of an earlier holder, so it is only shown.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/sys/lockfile.h"

enum {
        LOCKFILE_TEXT_MAX = 16, /* ten digits and a newline */
};

static pid_t lockfile_read_pid(int fd) {
        char text[LOCKFILE_TEXT_MAX + 1];
        ssize_t n;
        long pid;

        n = pread(fd, text, LOCKFILE_TEXT_MAX, 0);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        pid = strtol(text, NULL, 10);
        return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static int lockfile_write_pid(int fd) {
        char text[LOCKFILE_TEXT_MAX + 1];
        int n;

        n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
        if (ftruncate(fd, 0) < 0)
                return -errno;
        if (pwrite(fd, text, (size_t)n, 0) != n)
                return errno ? -errno : -EIO;
        return 0;
}

static int lockfile_check(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        /* Whoever else can open it can hold the lock, and keep every broker from starting. */
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
                return LOCKFILE_E_UNSAFE;
        return 0;
}

int lockfile_take(int dir_fd, const char *name, int *ret_fd, pid_t *ret_pid) {
        int fd, r;

        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (fd < 0)
                return errno == ELOOP || errno == EISDIR || errno == ENXIO ? LOCKFILE_E_UNSAFE :
                                                                             -errno;

        r = lockfile_check(fd);
        if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
                r = errno == EWOULDBLOCK ? LOCKFILE_E_HELD : -errno;
                if (r == LOCKFILE_E_HELD)
                        *ret_pid = lockfile_read_pid(fd);
        }
        if (r == 0)
                r = lockfile_write_pid(fd);
        if (r) {
                close(fd);
                return r;
        }

        *ret_fd = fd;
        return 0;
}
