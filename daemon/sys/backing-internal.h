/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Backings, between their files
 *
 * backing.c has what all backings share and is the only one that includes this from outside the
 * two; backing-posix.c and backing-memfd.c have what differs: how an inode without a name comes
 * into being, how it is published, and how it is found again.
 */

#include <sys/stat.h>
#include "daemon/sys/backing.h"

enum {
        BACKING_FD_PATH_MAX = 32, /* "/proc/self/fd/" and ten digits */
        BACKING_MODE = 0600,
};

/* Note the step in @fault and return -errno, or the code that stands for it. */
int backing_fail(BackingFault *fault, const char *step);
/* As above for calls that reserve pages: ENOSPC and ENOMEM are BACKING_E_NO_MEMORY. */
int backing_fail_memory(const BackingDir *dir, ShmbBacking backing, uint64_t wanted_bytes,
                        BackingFault *fault, const char *step);
/* Note who is in the way. */
int backing_fail_foreign(const struct stat *st, int code, BackingFault *fault, const char *step);

/* The name under which /proc shows a descriptor of this process. */
void backing_fd_path(int fd, char path[static BACKING_FD_PATH_MAX]);
/* 0 or -errno: a description of its own for the inode behind @fd, which may be O_PATH. */
int backing_reopen(int fd, int flags, int *ret_fd);
/* Hold what fstat(2) says against what was written down; codes as backing_open(). */
int backing_compare(const BackingObject *object, const struct stat *st, BackingFault *fault);
/* True if @st is the very inode of @object, whatever its size. */
bool backing_is_same_inode(const BackingObject *object, const struct stat *st);

int backing_posix_create(const BackingDir *dir, const BackingParams *params, int *ret_fd,
                         BackingFault *fault);
int backing_posix_publish(const BackingDir *dir, const BackingDraft *draft, BackingFault *fault);
/* An O_PATH descriptor of the inode that was written down. */
int backing_posix_find(const BackingDir *dir, const BackingObject *object, int *ret_fd,
                       BackingFault *fault);
/* A descriptor of it for use; codes as backing_open(). */
int backing_posix_open(const BackingDir *dir, const BackingObject *object, int flags, int *ret_fd,
                       BackingFault *fault);
int backing_posix_unlink(const BackingDir *dir, const BackingObject *object, BackingFault *fault);

int backing_memfd_create(const BackingParams *params, int *ret_fd, BackingFault *fault);
/* Seal it, and get the descriptor that is kept. */
int backing_memfd_publish(const BackingDraft *draft, int *ret_fd, BackingFault *fault);
int backing_memfd_check_adopted(int fd, BackingFault *fault);
