/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backing: POSIX Shared Memory
 *
 * Named objects in the directory that shm_open() looks into. An object gets its name by linkat(2)
 * when it is complete: nobody ever sees a half-made one under it, and a name that is taken is an
 * error instead of an object of somebody else's.
 *
 * The directory is world-writable and sticky, so names can be taken before us but not from us:
 * only root and the owner of an object can rename or unlink it. What is opened by name is compared
 * before anybody gets it, and opening is harmless whatever is there: links are not followed, and
 * with O_NONBLOCK neither a FIFO blocks nor a file with a lease on it. (By way of an O_PATH
 * descriptor and /proc it would take twice as many calls, in every attach and for each object.)
 *
 * The link count is not compared. Where fs.protected_hardlinks is off anybody can add a link to our
 * inode; it opens nothing to him, and refusing it would let him take the region from its users.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/sys/backing-internal.h"

enum {
        /* A name that is taken when we link and free when we look is tried again, so often. */
        POSIX_LINK_TRIES_MAX = 8,
};

int backing_posix_create(const BackingDir *dir, const BackingParams *params, int *ret_fd,
                         BackingFault *fault) {
        int fd;

        fd = openat(dir->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, BACKING_MODE);
        if (fd < 0) {
                /* Pages are not touched here: on a tmpfs this is nr_inodes. */
                if (errno == ENOSPC) {
                        fault->step = "open";
                        return BACKING_E_NO_INODES;
                }
                return backing_fail_memory(dir, SHMB_BACKING_POSIX, params->size_bytes, fault,
                                           "open");
        }

        *ret_fd = fd;
        return 0;
}

int backing_posix_publish(const BackingDir *dir, const BackingDraft *draft, BackingFault *fault) {
        char path[BACKING_FD_PATH_MAX];
        struct stat st;
        int i;

        /* By way of /proc: AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH, open(2). */
        backing_fd_path(draft->fd, path);
        for (i = 0; i < POSIX_LINK_TRIES_MAX; i++) {
                if (linkat(AT_FDCWD, path, dir->fd, draft->object.name, AT_SYMLINK_FOLLOW) >= 0)
                        return 0;
                if (errno == ENOSPC) {
                        fault->step = "linkat";
                        return BACKING_E_NO_INODES;
                }
                if (errno != EEXIST)
                        return backing_fail(fault, "linkat");
                if (fstatat(dir->fd, draft->object.name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                        return backing_fail_foreign(&st, BACKING_E_SQUATTED, fault, "linkat");
                if (errno != ENOENT)
                        return backing_fail(fault, "fstatat");
        }

        /* Somebody plays with the name; whom to blame is not to be seen. */
        st = (struct stat){ .st_uid = (uid_t)-1 };
        return backing_fail_foreign(&st, BACKING_E_SQUATTED, fault, "linkat");
}

int backing_posix_find(const BackingDir *dir, const BackingObject *object, int *ret_fd,
                       BackingFault *fault) {
        struct stat st;
        int fd, r;

        fd = openat(dir->fd, object->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
                if (errno == ENOENT) {
                        fault->step = "open";
                        return BACKING_E_GONE;
                }
                return backing_fail(fault, "open");
        }

        if (fstat(fd, &st) < 0)
                r = backing_fail(fault, "fstat");
        else
                r = backing_compare(object, &st, fault);
        if (r) {
                close(fd);
                return r;
        }

        *ret_fd = fd;
        return 0;
}

/* Why it would not open: it may be somebody else's. */
static int posix_explain(const BackingDir *dir, const BackingObject *object, int error,
                         BackingFault *fault) {
        int fd, r;

        if (error == ENOENT) {
                fault->step = "open";
                return BACKING_E_GONE;
        }
        if (error != EMFILE && error != ENFILE && error != ENOMEM) {
                r = backing_posix_find(dir, object, &fd, fault);
                if (r)
                        return r;
                close(fd);
        }
        errno = error;
        return backing_fail(fault, "open");
}

int backing_posix_open(const BackingDir *dir, const BackingObject *object, int flags, int *ret_fd,
                       BackingFault *fault) {
        struct stat st;
        int fd, r;

        fd = openat(dir->fd, object->name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return posix_explain(dir, object, errno, fault);

        if (fstat(fd, &st) < 0)
                r = backing_fail(fault, "fstat");
        else
                r = backing_compare(object, &st, fault);
        if (r) {
                close(fd);
                return r;
        }

        *ret_fd = fd;
        return 0;
}

int backing_posix_unlink(const BackingDir *dir, const BackingObject *object, BackingFault *fault) {
        struct stat st;

        if (fstatat(dir->fd, object->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                fault->step = "fstatat";
                return errno == ENOENT ? BACKING_E_GONE : -errno;
        }
        if (!backing_is_same_inode(object, &st))
                return backing_fail_foreign(&st, BACKING_E_FOREIGN, fault, "fstatat");

        if (unlinkat(dir->fd, object->name, 0) < 0) {
                fault->step = "unlinkat";
                return errno == ENOENT ? BACKING_E_GONE : -errno;
        }
        return 0;
}
