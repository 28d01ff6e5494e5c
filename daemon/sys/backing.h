/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Backings
 *
 * One object of a region is one inode. It is made in two steps, so that the broker can write down
 * what it is about to publish before anybody can see it: backing_create() makes it whole (size,
 * every page reserved, mode, header) without a name; backing_publish() gives it its name. A broker
 * that is killed between the two leaves nothing; one that is killed behind the second finds the
 * inode that its record names.
 *
 *     posix   O_TMPFILE in the directory, ..., linkat(): published whole, never replaces anything
 *     memfd   memfd_create(), ..., seals SHRINK|GROW|SEAL; publishing keeps a read-only re-open
 *
 * Mode is 0600 and owner the broker, never the client: a mode that lets a client open the inode
 * for writing makes every read-only descriptor writable (through /proc/self/fd). What a client may
 * do is decided by how its own descriptor was opened, and each grant is a fresh open: descriptors
 * that share a description share locks, flags and the offset.
 *
 * Names are only a way back to an inode. Before anything is opened or unlinked by name, device,
 * inode, owner, type and mode are held against what the broker wrote down.
 *
 * Thin: no policy, no logging, nothing is mapped. SIGXFSZ must be ignored by the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/bits.h"

typedef struct BackingDir BackingDir;
typedef struct BackingDraft BackingDraft;
typedef struct BackingFault BackingFault;
typedef struct BackingObject BackingObject;
typedef struct BackingParams BackingParams;

#define BACKING_DIRECTORY "/dev/shm" /* where glibc's shm_open() looks */

/* BackingObject.size_bytes for who wants the object whatever its size. */
#define BACKING_SIZE_ANY 0

/* BackingFault.available_bytes where the kernel does not say. */
#define BACKING_UNKNOWN UINT64_MAX

enum {
        _BACKING_E_SUCCESS,

        BACKING_E_NO_MEMORY,  /* pages cannot be reserved; fault: wanted, available */
        BACKING_E_NO_INODES,  /* the file system has no inode left */
        BACKING_E_SQUATTED,   /* the name is somebody's; fault: owner and type */
        BACKING_E_GONE,       /* no such name any more */
        BACKING_E_FOREIGN,    /* the name leads to another inode; fault: owner and type */
        BACKING_E_TRUNCATED,  /* ours, but no longer of the recorded size; fault: available */
        BACKING_E_NOT_TMPFS,  /* the directory is not on a tmpfs */
        BACKING_E_REMOUNTED,  /* the directory is not the one that was opened */
};

/* Why a call failed, in numbers; only the fields that the code names are set. */
struct BackingFault {
        uint64_t wanted_bytes, available_bytes;
        uint32_t uid;  /* owner of what is in the way */
        mode_t type;   /* its S_IFMT bits */
        const char *step; /* the system call that failed; static */
};

/* The directory of named objects. */
struct BackingDir {
        int fd;
        uint64_t dev;
        const char *path; /* borrowed */
};

#define BACKING_DIR_NULL(_dir) { .fd = -1 }

/* What identifies an object; filled in by backing_publish() and kept by the caller. */
struct BackingObject {
        ShmbBacking backing;
        const char *name; /* kernel name without '/', borrowed; for memfd what /proc shows */
        uint64_t dev, ino;
        uint32_t uid;
        uint64_t size_bytes;
        int fd;           /* memfd: O_RDONLY, owned; posix: -1 */
};

#define BACKING_OBJECT_NULL(_object) { .fd = -1 }

struct BackingParams {
        ShmbBacking backing; /* POSIX or MEMFD */
        const char *name;    /* without '/', at most 255 bytes */
        uint64_t size_bytes;
        uint64_t reserve_bytes; /* of them from the start on; 0: all */
        const void *header;  /* written at offset 0, or NULL */
        size_t n_header;
        /* Do not look first how much memory there is: it takes longer than to make a small one. */
        bool room_is_known;
};

/* An object that nobody can find yet. */
struct BackingDraft {
        BackingObject object; /* fd is -1 still */
        int fd;               /* O_RDWR, owned */
};

#define BACKING_DRAFT_NULL(_draft) { .object = { .fd = -1 }, .fd = -1 }

/**
 * backing_dir_open() - open the directory of named objects
 * @path:       BACKING_DIRECTORY, or another tmpfs for a test; must outlive @ret_dir
 * @ret_dir:    the directory, for backing_dir_close()
 *
 * Return: 0; BACKING_E_NOT_TMPFS; -errno of open(2), fstat(2), fstatfs(2).
 */
int backing_dir_open(const char *path, BackingDir *ret_dir);

/** backing_dir_close() - idempotent */
void backing_dir_close(BackingDir *dir);

/**
 * backing_dir_check() - whether the path still leads to the directory that was opened
 *
 * Return: 0; BACKING_E_REMOUNTED (its names are out of everybody's reach); -errno.
 */
int backing_dir_check(const BackingDir *dir);

/**
 * backing_create() - make an object whole, without a name
 * @dir:        directory
 * @params:     what to make
 * @ret_draft:  the object, for backing_publish() or backing_discard()
 * @fault:      why not, on failure
 *
 * fallocate() reserves every page, so that "no memory" is this call's answer and never a SIGBUS of
 * a client. For big objects it takes long (0.4 s a GiB): not for the thread of the event loop.
 *
 * Return: 0; BACKING_E_NO_MEMORY, BACKING_E_NO_INODES; -errno (-EINVAL: another backing).
 */
int backing_create(const BackingDir *dir, const BackingParams *params, BackingDraft *ret_draft,
                   BackingFault *fault);

/**
 * backing_reserve() - see to it that there is memory behind a part of an object
 * @dir:        directory
 * @backing:    of the object
 * @fd:         writable descriptor
 * @offset:     bytes
 * @n_bytes:    how many; what is there already stays
 * @fault:      why not, on failure
 *
 * Return: 0; BACKING_E_NO_MEMORY; -errno.
 */
int backing_reserve(const BackingDir *dir, ShmbBacking backing, int fd, uint64_t offset,
                    uint64_t n_bytes, BackingFault *fault);

/** backing_punch() - give the memory of a part of an object back; 0 or -errno of fallocate(2) */
int backing_punch(int fd, uint64_t offset, uint64_t n_bytes);

/**
 * backing_publish() - give a draft its name and let go of the writable descriptor
 * @dir:        directory
 * @draft:      consumed on success, untouched on failure
 * @ret_object: what to keep; borrows the name of @draft's params
 * @fault:      why not, on failure
 *
 * Return: 0; BACKING_E_SQUATTED, BACKING_E_NO_INODES (no room for the name); -errno.
 */
int backing_publish(const BackingDir *dir, BackingDraft *draft, BackingObject *ret_object,
                    BackingFault *fault);

/** backing_discard() - drop a draft and its pages; idempotent */
void backing_discard(BackingDraft *draft);

/**
 * backing_open() - a fresh descriptor for one grant, or for a probe
 * @dir:        directory
 * @object:     object
 * @writable:   O_RDWR, else O_RDONLY
 * @ret_fd:     close-on-exec; its size, type, owner and inode were checked
 * @fault:      why not, on failure
 *
 * Return: 0; BACKING_E_GONE, BACKING_E_FOREIGN, BACKING_E_TRUNCATED; -errno (-EMFILE, ...).
 */
int backing_open(const BackingDir *dir, const BackingObject *object, bool writable, int *ret_fd,
                 BackingFault *fault);

/**
 * backing_check() - whether an object is still what was written down; opens nothing
 *
 * Return: as backing_open().
 */
int backing_check(const BackingDir *dir, const BackingObject *object, BackingFault *fault);

/**
 * backing_unlink() - take the name of an object away, and close what is kept of it
 * @dir:        directory
 * @object:     object; its descriptor is closed and -1 on success
 * @fault:      why not, on failure
 *
 * Only the inode that was written down is unlinked; in a sticky directory nobody but root and the
 * owner could swap it between the look and the unlink. An object of another size is still ours.
 *
 * Return: 0; BACKING_E_GONE, BACKING_E_FOREIGN (nothing was unlinked; closed all the same); -errno.
 */
int backing_unlink(const BackingDir *dir, BackingObject *object, BackingFault *fault);

/**
 * backing_adopt_consume_fd() - take a memfd back that a predecessor stored
 * @object:     as it was written down, with fd -1
 * @fd:         read-only descriptor of it; @object's on success, still the caller's on failure
 * @fault:      why not, on failure
 *
 * Return: 0; BACKING_E_FOREIGN (another inode, owner or mode, or not sealed), BACKING_E_TRUNCATED;
 * -errno.
 */
int backing_adopt_consume_fd(BackingObject *object, int fd, BackingFault *fault);

/**
 * backing_read() - bytes of an object, for display only: a client may have written them
 * @fd:         descriptor
 * @offset:     where
 * @buffer:     gets them
 * @n_bytes:    how many
 *
 * pread(2): of a truncated object it is short where a mapping would fault.
 *
 * Return: 0; BACKING_E_TRUNCATED (short); -errno.
 */
int backing_read(int fd, uint64_t offset, void *buffer, size_t n_bytes);

/**
 * backing_room() - how many bytes could be reserved now
 * @dir:        directory
 * @backing:    POSIX (the smaller of file system and memory) or MEMFD (memory)
 *
 * Return: bytes, or BACKING_UNKNOWN.
 */
uint64_t backing_room(const BackingDir *dir, ShmbBacking backing);

/** backing_format_fault() - one clause: "needs 16777216 bytes, 1048576 are free", never empty */
void backing_format_fault(int code, const BackingFault *fault, char *buffer, size_t size);
