/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects of a Region
 *
 * From a descriptor that came over the socket to checked, mapped memory. Nothing of a grant is used
 * that was not held against what the broker said of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/guard.h"
#include "memory/geometry.h"
#include "protocol/message.h"

typedef struct ShmbGrant ShmbGrant;
typedef struct ShmbObject ShmbObject;

/* One mapped object; all zero is none. */
struct ShmbObject {
        void *memory;
        size_t n_bytes; /* of the mapping; slots that are mapped twice count twice */
        uint32_t epoch;
        bool writable;
        ShmbGuard *guard; /* NULL where nobody can cut it short */
        int kept;         /* descriptor of it, plus one: what a broker may want back; 0 none */
};

/* What the broker said of the region that an object belongs to. */
struct ShmbGrant {
        const ShmbGeometry *geometry; /* sealed */
        uint32_t backing;             /* ShmbBacking */
        uint64_t tag, generation;
        const ShmbProcess *process;
        _Atomic uint32_t *lost; /* see ShmbGuarded */
        bool keep;              /* have a descriptor of it, to read */
};

/**
 * shmb__object_map() - check a descriptor, map what it stands for, check the header
 * @grant:      the region
 * @said:       what the broker said of the object
 * @fd:         borrowed; not needed any more afterwards
 * @ret_object: the mapping
 *
 * What may be written is not passed on to children of fork(). What somebody else may cut short is
 * guarded (client/guard.h).
 *
 * Return: 0; -EPROTO (the descriptor is not what was said: type, size, access mode, seals);
 * -EBADMSG or -EPROTONOSUPPORT (the header is not); -EOPNOTSUPP (this machine's pages are too large
 * to map the slots of a stream twice); -ENOBUFS (too many guarded objects); -errno of
 * fstat(2), mmap(2), madvise(2), sigaction(2).
 */
int shmb__object_map(const ShmbGrant *grant, const WireObject *said, int fd,
                     ShmbObject *ret_object);

/** shmb__object_keep() - keep a copy of a descriptor of it; without room for one it is not kept */
void shmb__object_keep(ShmbObject *object, int fd);

/**
 * shmb__object_unmap() - undo it; harmless on none
 * @inherited:  this process is a child of the one that mapped it: what is writable is not there
 */
void shmb__object_unmap(ShmbObject *object, bool inherited);
