/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backings
 *
 * What all backings share: an inode is made whole before it can be found, identified before it is
 * used, and opened anew for everyone who gets it. A failure at any step leaves nothing behind:
 * until linkat(2) the inode has no name and dies with its descriptor.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "daemon/sys/backing-internal.h"
#include "protocol/limits.h"

enum {
        /* fallocate(2) gives up and starts over when a signal comes; so often it may. */
        BACKING_INTERRUPTIONS_MAX = 100,
        /* The two lines that are looked for are among the first of /proc/meminfo. */
        BACKING_MEMINFO_MAX = 2048,
};

int backing_fail(BackingFault *fault, const char *step) {
        fault->step = step;
        return -errno;
}

int backing_fail_memory(const BackingDir *dir, ShmbBacking backing, uint64_t wanted_bytes,
                        BackingFault *fault, const char *step) {
        int error = errno;

        fault->step = step;
        if (error != ENOSPC && error != ENOMEM)
                return -error;

        fault->wanted_bytes = wanted_bytes;
        fault->available_bytes = backing_room(dir, backing);
        return BACKING_E_NO_MEMORY;
}

int backing_fail_foreign(const struct stat *st, int code, BackingFault *fault, const char *step) {
        fault->step = step;
        fault->uid = st->st_uid;
        fault->type = st->st_mode & S_IFMT;
        return code;
}

void backing_fd_path(int fd, char path[static BACKING_FD_PATH_MAX]) {
        snprintf(path, BACKING_FD_PATH_MAX, "/proc/self/fd/%d", fd);
}

int backing_reopen(int fd, int flags, int *ret_fd) {
        char path[BACKING_FD_PATH_MAX];
        int fd_new;

        backing_fd_path(fd, path);
        fd_new = open(path, flags | O_CLOEXEC | O_NONBLOCK);
        if (fd_new < 0)
                return -errno;

        *ret_fd = fd_new;
        return 0;
}

bool backing_is_same_inode(const BackingObject *object, const struct stat *st) {
        return S_ISREG(st->st_mode) && st->st_dev == object->dev && st->st_ino == object->ino &&
               st->st_uid == object->uid;
}

int backing_compare(const BackingObject *object, const struct stat *st, BackingFault *fault) {
        /* Any other mode would make read-only descriptors writable: then nobody gets one. */
        if (!backing_is_same_inode(object, st) || (st->st_mode & 07777) != BACKING_MODE)
                return backing_fail_foreign(st, BACKING_E_FOREIGN, fault, "fstat");

        if (object->size_bytes != BACKING_SIZE_ANY &&
            (uint64_t)st->st_size != object->size_bytes) {
                fault->step = "fstat";
                fault->wanted_bytes = object->size_bytes;
                fault->available_bytes = (uint64_t)st->st_size;
                return BACKING_E_TRUNCATED;
        }
        return 0;
}

int backing_dir_open(const char *path, BackingDir *ret_dir) {
        struct statfs fs;
        struct stat st;
        int fd, r;

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;

        if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        /* Elsewhere pages would go to a disk, and leases and fallocate() mean something else. */
        if (fs.f_type != TMPFS_MAGIC) {
                close(fd);
                return BACKING_E_NOT_TMPFS;
        }

        *ret_dir = (BackingDir){ .fd = fd, .dev = st.st_dev, .path = path };
        return 0;
}

void backing_dir_close(BackingDir *dir) {
        if (dir->fd >= 0)
                close(dir->fd);
        dir->fd = -1;
}

int backing_dir_check(const BackingDir *dir) {
        struct stat ours, theirs;

        if (fstat(dir->fd, &ours) < 0)
                return -errno;
        if (stat(dir->path, &theirs) < 0)
                return errno == ENOENT || errno == ENOTDIR ? BACKING_E_REMOUNTED : -errno;
        return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino ? 0 :
                                                                             BACKING_E_REMOUNTED;
}

/* fallocate(2) undoes what it did when a signal interrupts it, so each try is a fresh one. */
static int backing_fallocate(int fd, int mode, uint64_t offset, uint64_t n_bytes) {
        int i;

        for (i = 0; i < BACKING_INTERRUPTIONS_MAX; i++) {
                if (fallocate(fd, mode, (off_t)offset, (off_t)n_bytes) >= 0)
                        return 0;
                if (errno != EINTR)
                        break;
        }
        return -1;
}

int backing_reserve(const BackingDir *dir, ShmbBacking backing, int fd, uint64_t offset,
                    uint64_t n_bytes, BackingFault *fault) {
        if (backing_fallocate(fd, 0, offset, n_bytes) < 0)
                return backing_fail_memory(dir, backing, n_bytes, fault, "fallocate");
        return 0;
}

int backing_punch(int fd, uint64_t offset, uint64_t n_bytes) {
        return backing_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                                 n_bytes) < 0 ? -errno : 0;
}

static uint64_t backing_reserve_bytes(const BackingParams *params) {
        return params->reserve_bytes > 0 ? params->reserve_bytes : params->size_bytes;
}

/* From an empty inode to a complete one. */
static int backing_fill(const BackingDir *dir, const BackingParams *params, int fd,
                        BackingFault *fault) {
        ssize_t n;
        int r;

        if (ftruncate(fd, (off_t)params->size_bytes) < 0)
                return backing_fail_memory(dir, params->backing, params->size_bytes, fault,
                                           "ftruncate");
        r = backing_reserve(dir, params->backing, fd, 0, backing_reserve_bytes(params), fault);
        if (r)
                return r;
        /* Whatever the umask was. */
        if (fchmod(fd, BACKING_MODE) < 0)
                return backing_fail(fault, "fchmod");
        if (params->n_header == 0)
                return 0;

        n = pwrite(fd, params->header, params->n_header, 0);
        if (n < 0)
                return backing_fail_memory(dir, params->backing, params->n_header, fault,
                                           "pwrite");
        if ((size_t)n != params->n_header) {
                fault->step = "pwrite";
                return -EIO;
        }
        return 0;
}

static int backing_check_params(const BackingDir *dir, const BackingParams *params,
                                BackingFault *fault) {
        uint64_t available;

        if (params->backing != SHMB_BACKING_POSIX && params->backing != SHMB_BACKING_MEMFD)
                return -EINVAL;
        if (params->size_bytes == 0 || params->size_bytes > SHMB_OBJECT_SIZE_MAX ||
            params->n_header > params->size_bytes ||
            params->reserve_bytes > params->size_bytes)
                return -EINVAL;

        /* What memory does not hold is not even begun: no file system refuses it in time, and the
         * kernel would look for a process to kill. */
        if (params->room_is_known)
                return 0;
        available = backing_room(dir, params->backing);
        if (backing_reserve_bytes(params) <= available)
                return 0;

        fault->step = "statvfs";
        fault->wanted_bytes = backing_reserve_bytes(params);
        fault->available_bytes = available;
        return BACKING_E_NO_MEMORY;
}

int backing_create(const BackingDir *dir, const BackingParams *params, BackingDraft *ret_draft,
                   BackingFault *fault) {
        struct stat st;
        int fd = -1, r;

        fault->step = "";
        r = backing_check_params(dir, params, fault);
        if (r)
                return r;

        r = params->backing == SHMB_BACKING_POSIX ? backing_posix_create(dir, params, &fd, fault) :
                                                    backing_memfd_create(params, &fd, fault);
        if (r)
                return r;

        r = backing_fill(dir, params, fd, fault);
        if (r == 0 && fstat(fd, &st) < 0)
                r = backing_fail(fault, "fstat");
        if (r) {
                close(fd);
                return r;
        }

        *ret_draft = (BackingDraft){
                .object = {
                        .backing = params->backing,
                        .name = params->name,
                        .dev = st.st_dev,
                        .ino = st.st_ino,
                        .uid = st.st_uid,
                        .size_bytes = params->size_bytes,
                        .fd = -1,
                },
                .fd = fd,
        };
        return 0;
}

int backing_publish(const BackingDir *dir, BackingDraft *draft, BackingObject *ret_object,
                    BackingFault *fault) {
        int fd = -1, r;

        fault->step = "";
        r = draft->object.backing == SHMB_BACKING_POSIX ?
                            backing_posix_publish(dir, draft, fault) :
                            backing_memfd_publish(draft, &fd, fault);
        if (r)
                return r;

        *ret_object = draft->object;
        ret_object->fd = fd;
        backing_discard(draft);
        return 0;
}

void backing_discard(BackingDraft *draft) {
        if (draft->fd >= 0)
                close(draft->fd);
        draft->fd = -1;
}

/* A descriptor of the very inode: *ret_fd is borrowed from @object for a memfd, else O_PATH. */
static int backing_find(const BackingDir *dir, const BackingObject *object, int *ret_fd,
                        BackingFault *fault) {
        struct stat st;
        int r;

        fault->step = "";
        if (object->backing == SHMB_BACKING_POSIX)
                return backing_posix_find(dir, object, ret_fd, fault);
        if (object->fd < 0)
                return BACKING_E_GONE;
        if (fstat(object->fd, &st) < 0)
                return backing_fail(fault, "fstat");

        r = backing_compare(object, &st, fault);
        if (r)
                return r;

        *ret_fd = object->fd;
        return 0;
}

int backing_open(const BackingDir *dir, const BackingObject *object, bool writable, int *ret_fd,
                 BackingFault *fault) {
        int fd, flags = writable ? O_RDWR : O_RDONLY, r;

        fault->step = "";
        if (object->backing == SHMB_BACKING_POSIX)
                return backing_posix_open(dir, object, flags, ret_fd, fault);

        r = backing_find(dir, object, &fd, fault);
        if (r)
                return r;

        r = backing_reopen(fd, flags, ret_fd);
        if (r < 0)
                fault->step = "open";
        return r;
}

int backing_check(const BackingDir *dir, const BackingObject *object, BackingFault *fault) {
        int fd, r;

        r = backing_find(dir, object, &fd, fault);
        if (r == 0 && fd != object->fd)
                close(fd);
        return r;
}

int backing_unlink(const BackingDir *dir, BackingObject *object, BackingFault *fault) {
        int r = 0;

        fault->step = "";
        if (object->backing == SHMB_BACKING_POSIX)
                r = backing_posix_unlink(dir, object, fault);
        if (r >= 0 && object->fd >= 0) {
                close(object->fd);
                object->fd = -1;
        }
        return r;
}

int backing_adopt_consume_fd(BackingObject *object, int fd, BackingFault *fault) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return backing_fail(fault, "fstat");

        r = backing_compare(object, &st, fault);
        if (r == 0)
                r = backing_memfd_check_adopted(fd, fault);
        if (r)
                return r;

        object->fd = fd;
        return 0;
}

int backing_read(int fd, uint64_t offset, void *buffer, size_t n_bytes) {
        ssize_t n;

        do
                n = pread(fd, buffer, n_bytes, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return (size_t)n == n_bytes ? 0 : BACKING_E_TRUNCATED;
}

/* A line "KEY: N kB" of @text, in bytes, or @otherwise. */
static uint64_t backing_meminfo(const char *text, const char *key, uint64_t otherwise) {
        const char *line = strstr(text, key);
        uint64_t n_kib;

        if (!line)
                return otherwise;
        n_kib = strtoull(line + strlen(key), NULL, 10);
        return n_kib > UINT64_MAX / 1024 ? otherwise : n_kib * 1024;
}

/* What the kernel could give away without ending a process. */
static uint64_t backing_room_memory(void) {
        char text[BACKING_MEMINFO_MAX];
        uint64_t available;
        ssize_t n;
        int fd;

        fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return BACKING_UNKNOWN;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0)
                return BACKING_UNKNOWN;

        text[n] = '\0';
        available = backing_meminfo(text, "MemAvailable:", BACKING_UNKNOWN);
        if (available == BACKING_UNKNOWN)
                return BACKING_UNKNOWN;
        return available + backing_meminfo(text, "SwapFree:", 0);
}

uint64_t backing_room(const BackingDir *dir, ShmbBacking backing) {
        uint64_t memory = backing_room_memory(), room;
        struct statvfs fs;

        if (backing != SHMB_BACKING_POSIX || fstatvfs(dir->fd, &fs) < 0)
                return memory;
        /* A tmpfs with size=0 has no limit of its own. */
        if (fs.f_blocks == 0)
                return memory;

        room = (uint64_t)fs.f_bavail * fs.f_frsize;
        return room < memory ? room : memory;
}

static const char *backing_type_to_string(mode_t type) {
        switch (type) {
        case S_IFREG:
                return "file";
        case S_IFDIR:
                return "directory";
        case S_IFLNK:
                return "symbolic link";
        case S_IFIFO:
                return "FIFO";
        case S_IFSOCK:
                return "socket";
        default:
                return "node";
        }
}

static void backing_format_room(const BackingFault *fault, char *buffer, size_t size) {
        if (fault->available_bytes == BACKING_UNKNOWN)
                snprintf(buffer, size, "%" PRIu64 " bytes cannot be reserved (%s)",
                         fault->wanted_bytes, fault->step);
        else
                snprintf(buffer, size, "%" PRIu64 " bytes are needed and %" PRIu64 " are free",
                         fault->wanted_bytes, fault->available_bytes);
}

void backing_format_fault(int code, const BackingFault *fault, char *buffer, size_t size) {
        switch (code) {
        case BACKING_E_NO_MEMORY:
                backing_format_room(fault, buffer, size);
                break;
        case BACKING_E_NO_INODES:
                snprintf(buffer, size, "the file system has no inode left");
                break;
        case BACKING_E_SQUATTED:
                snprintf(buffer, size, "the name is taken by a %s of uid %" PRIu32,
                         backing_type_to_string(fault->type), fault->uid);
                break;
        case BACKING_E_GONE:
                snprintf(buffer, size, "it was removed by somebody else");
                break;
        case BACKING_E_FOREIGN:
                snprintf(buffer, size, "in its place is a %s of uid %" PRIu32 " that is not ours",
                         backing_type_to_string(fault->type), fault->uid);
                break;
        case BACKING_E_TRUNCATED:
                snprintf(buffer, size, "%" PRIu64 " of its %" PRIu64 " bytes are left",
                         fault->available_bytes, fault->wanted_bytes);
                break;
        case BACKING_E_NOT_TMPFS:
                snprintf(buffer, size, "it is not on a tmpfs");
                break;
        case BACKING_E_REMOUNTED:
                snprintf(buffer, size, "another file system is mounted there now");
                break;
        default:
                snprintf(buffer, size, "%s: %s", fault->step, strerrordesc_np(-code));
                break;
        }
}
