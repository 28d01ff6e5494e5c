/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects of a Region
 *
 * Exactly the granted length is mapped, after fstat() agreed with it: a page beyond the end of the
 * file would be a SIGBUS. A memfd must carry the seals that make its size a fact for ever; an
 * object in /dev/shm cannot be sealed, and is guarded if somebody else may write it.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/object.h"

enum {
        /* What is small is mapped with all of its pages: one of many costs a tenth of a page fault.
         * For the first few the call costs more than their faults do. */
        POPULATE_MIN = 16384,
        POPULATE_MAX = 65536,
};

/* The length that the geometry gives must be the one that was announced, and the one that is. */
static int check_size(const ShmbGrant *grant, const WireObject *said, int fd) {
        uint64_t n_bytes = shmb_geometry_object_size(grant->geometry, (ShmbObjectKind)said->kind);
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (n_bytes == 0 || said->size_bytes != n_bytes || n_bytes > SIZE_MAX)
                return -EPROTO;
        if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != n_bytes)
                return -EPROTO;
        return 0;
}

static int check_access(const WireObject *said, int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        if ((flags & O_ACCMODE) != (said->writable ? O_RDWR : O_RDONLY))
                return -EPROTO;
        return 0;
}

static int check_seals(const ShmbGrant *grant, int fd) {
        const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        int seals;

        if (grant->backing != SHMB_BACKING_MEMFD)
                return 0;
        seals = fcntl(fd, F_GET_SEALS);
        return seals >= 0 && (seals & needed) == needed ? 0 : -EPROTO;
}

/*
 * Only what nobody but the broker writes is judged. The header of a lane or seat lies in memory of
 * its party: who spoils it shall not lock out who comes after him, and nothing is read from it.
 */
static int check_header(const ShmbGrant *grant, const WireObject *said, const void *memory) {
        ShmbHeader copy;

        if (said->kind != SHMB_OBJECT_CONTROL)
                return 0;
        memcpy(&copy, memory, sizeof(copy));
        return shmb_header_check(&copy, grant->geometry, (ShmbObjectKind)said->kind, said->index,
                                 said->epoch, grant->tag, grant->generation);
}

/*
 * Nobody but its holder can write a lane or seat, of control nobody but the broker, and a raw
 * region all who have the role: proven by the broker, before it handed the descriptor out.
 */
static bool is_at_mercy(const ShmbGrant *grant, const WireObject *said) {
        if (grant->backing == SHMB_BACKING_MEMFD || said->kind == SHMB_OBJECT_CONTROL)
                return false;
        return !said->writable || said->kind == SHMB_OBJECT_DATA;
}

/* What is mapped becomes what may be looked at. */
static int protect(const ShmbGrant *grant, const WireObject *said, ShmbObject *object) {
        const ShmbGuarded guarded = { object->memory, object->n_bytes, object->writable,
                                      grant->process, grant->lost };
        int r;

        if (object->writable && madvise(object->memory, object->n_bytes, MADV_DONTFORK) < 0)
                return -errno;
        if (is_at_mercy(grant, said)) {
                r = shmb__guard_add(&guarded, &object->guard);
                if (r < 0)
                        return r;
        }
        r = check_header(grant, said, object->memory);
        if (r < 0)
                shmb__guard_remove(object->guard);
        return r;
}

static int prot_of(const ShmbObject *object) {
        return PROT_READ | (object->writable ? PROT_WRITE : 0);
}

static int map_once(int fd, int flags, ShmbObject *object) {
        object->memory = mmap(NULL, object->n_bytes, prot_of(object), flags, fd, 0);
        return object->memory == MAP_FAILED ? -errno : 0;
}

/* A message in the slots of a stream is contiguous wherever it starts: they come once more behind
 * their end. */
static bool is_mirrored(const ShmbGrant *grant, const WireObject *said) {
        return grant->geometry->kind == SHMB_KIND_STREAM && said->kind == SHMB_OBJECT_LANE;
}

static int map_twice(const ShmbGrant *grant, int fd, int flags, ShmbObject *object) {
        const size_t offset = offsetof(ShmbLane, slots), once = object->n_bytes;
        uint64_t n_slots = grant->geometry->capacity;
        uint8_t *start;
        int r;

        if (!shmb_geometry_repeats(grant->geometry, (uint64_t)sysconf(_SC_PAGESIZE)))
                return -EOPNOTSUPP;
        if (n_slots > SIZE_MAX - once)
                return -ENOMEM;
        object->n_bytes = once + (size_t)n_slots;
        /* Keeps the place, so that nobody else gets what lies behind the first image. */
        start = mmap(NULL, object->n_bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED)
                return -errno;
        if (mmap(start, once, prot_of(object), flags | MAP_FIXED, fd, 0) == MAP_FAILED ||
            mmap(start + once, (size_t)n_slots, prot_of(object), flags | MAP_FIXED, fd,
                 (off_t)offset) == MAP_FAILED) {
                r = -errno;
                munmap(start, object->n_bytes);
                return r;
        }
        object->memory = start;
        return 0;
}

int shmb__object_map(const ShmbGrant *grant, const WireObject *said, int fd,
                     ShmbObject *ret_object) {
        ShmbObject object = { .n_bytes = (size_t)said->size_bytes,
                              .epoch = said->epoch,
                              .writable = said->writable };
        int flags = MAP_SHARED;
        int r;

        r = check_size(grant, said, fd);
        if (r == 0)
                r = check_access(said, fd);
        if (r == 0)
                r = check_seals(grant, fd);
        if (r < 0)
                return r;

        if (object.n_bytes >= POPULATE_MIN && object.n_bytes <= POPULATE_MAX)
                flags |= MAP_POPULATE;
        if (is_mirrored(grant, said))
                r = map_twice(grant, fd, flags, &object);
        else
                r = map_once(fd, flags, &object);
        if (r < 0)
                return r;
        r = protect(grant, said, &object);
        if (r < 0) {
                munmap(object.memory, object.n_bytes);
                return r;
        }
        if (grant->keep && !said->writable)
                shmb__object_keep(&object, fd);
        *ret_object = object;
        return 0;
}

/* Never one of the first three, which a program takes for its own. */
void shmb__object_keep(ShmbObject *object, int fd) {
        int copy = object->kept ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (copy >= 0)
                object->kept = copy + 1;
}

void shmb__object_unmap(ShmbObject *object, bool inherited) {
        shmb__guard_remove(object->guard);
        if (object->kept)
                close(object->kept - 1);
        /* In a child the address of a DONTFORK mapping may be somebody else's by now. */
        if (object->memory && !(inherited && object->writable))
                munmap(object->memory, object->n_bytes);
        *object = (ShmbObject){};
}
