/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writer Proof
 *
 * fcntl(2), "Leases": a read lease can be had on a descriptor opened read-only only while nobody
 * has the file open for writing. The kernel counts writable descriptions and writable mappings in
 * the inode itself, so where they are, and in whose hands, does not matter.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include "daemon/sys/probe.h"

static int probe_lease(int fd, int type) {
        /* Before the lease: SIGIO ends a process that does not expect it, SIGURG does not. */
        if (fcntl(fd, F_SETSIG, SIGURG) < 0)
                return -errno;

        if (fcntl(fd, F_SETLEASE, type) < 0)
                return errno == EAGAIN ? 0 : -errno;

        /* A lease that cannot be given back ends with the descriptor, which is the caller's to
         * close; what was proven is proven. */
        (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        return 1;
}

int probe_writers(int fd) {
        return probe_lease(fd, F_RDLCK);
}

int probe_users(int fd) {
        return probe_lease(fd, F_WRLCK);
}
