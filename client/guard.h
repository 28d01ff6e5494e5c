/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Guard
 *
 * An object in /dev/shm can be cut short by who may write it, and then a look at it is a SIGBUS.
 * The guard makes of that a lost object: zero pages are mapped over all of it, its handle is told,
 * and whoever looked goes on.
 *
 * Only what lies in an object that was added is contained. Any other SIGBUS has the effect that it
 * would have had without the guard.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/process.h"

typedef struct ShmbGuard ShmbGuard;
typedef struct ShmbGuarded ShmbGuarded;

enum {
        /* Objects that one process has guarded at a time: 64 regions of 64 lanes. */
        SHMB__GUARDS_MAX = 4096,
};

/* One mapped object. */
struct ShmbGuarded {
        void *memory;   /* from mmap(2) */
        size_t n_bytes; /* as mapped; the rest of its last page is guarded too */
        bool writable;  /* by us, and not passed on to children of fork() (MADV_DONTFORK) */
        const ShmbProcess *process;
        _Atomic uint32_t *lost; /* 1 is stored there when it is lost; outlives the guard */
};

/**
 * shmb__guard_add() - from now on, until shmb__guard_remove()
 * @object:     copied
 * @ret_guard:  of this object
 *
 * The first one installs the handler of SIGBUS, which stays for as long as the process lives: a
 * handler that was installed later may have it as its predecessor. Safe to call from any thread.
 *
 * Return: 0; -ENOBUFS (SHMB__GUARDS_MAX are in use); -errno of sigaction(2).
 */
int shmb__guard_add(const ShmbGuarded *object, ShmbGuard **ret_guard);

/** shmb__guard_remove() - before the memory is unmapped; harmless on NULL */
void shmb__guard_remove(ShmbGuard *guard);

/** shmb__guard_is_lost() - whether there are zeros where the object was; false for NULL */
bool shmb__guard_is_lost(const ShmbGuard *guard);
