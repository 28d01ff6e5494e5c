/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backing: memfd
 *
 * Objects without a name, for parties that distrust each other: sealed, so that nobody who may
 * write one can shrink it under the others. F_SEAL_SEAL is set together with the rest, before the
 * first grant: a client could add seals of its own otherwise, and keep the broker from adding its.
 *
 * What the broker keeps is a re-open for reading. With a writable descriptor in its hands the proof
 * that nobody writes (daemon/sys/probe.h) could never succeed.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "daemon/sys/backing-internal.h"

/* Linux 6.3; headers of Debian 12 are older. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define MEMFD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int backing_memfd_create(const BackingParams *params, int *ret_fd, BackingFault *fault) {
        int fd;

        fd = memfd_create(params->name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(params->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return backing_fail_memory(NULL, SHMB_BACKING_MEMFD, params->size_bytes, fault,
                                           "memfd_create");

        *ret_fd = fd;
        return 0;
}

int backing_memfd_publish(const BackingDraft *draft, int *ret_fd, BackingFault *fault) {
        int fd, r;

        if (fcntl(draft->fd, F_ADD_SEALS, MEMFD_SEALS) < 0)
                return backing_fail(fault, "fcntl(F_ADD_SEALS)");

        r = backing_reopen(draft->fd, O_RDONLY, &fd);
        if (r < 0) {
                fault->step = "open";
                return r;
        }

        *ret_fd = fd;
        return 0;
}

int backing_memfd_check_adopted(int fd, BackingFault *fault) {
        int seals, flags;

        fault->step = "fcntl(F_GET_SEALS)";
        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0)
                return errno == EINVAL ? BACKING_E_FOREIGN : -errno;
        if ((seals & MEMFD_SEALS) != MEMFD_SEALS)
                return BACKING_E_FOREIGN;

        fault->step = "fcntl(F_GETFL)";
        flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return -errno;
        return (flags & O_ACCMODE) == O_RDONLY ? 0 : BACKING_E_FOREIGN;
}
