/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * File Descriptor Store
 *
 * What outlives the broker under systemd: descriptors that PID 1 keeps for the next one (FDSTORE=1
 * of sd_notify(3)). Without $NOTIFY_SOCKET there is none, and storing says so. The store is asked
 * once at start; what is in it is told apart by name, never by order.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct StoreEntry StoreEntry;

enum {
        STORE_NAME_MAX = 255,  /* FDNAME_MAX of systemd; ASCII without ':' and control characters */
        STORE_ENTRIES_MAX = 65536,
};

enum {
        _STORE_E_SUCCESS,

        STORE_E_NONE, /* not under systemd, or the unit has no store */
};

/* One inherited descriptor, close-on-exec. */
struct StoreEntry {
        int fd;     /* owned; -1 once taken by store_take() */
        char *name; /* owned; "" if it had none */
        bool found; /* not by systemd: it does not keep it */
};

typedef struct Store {
        StoreEntry *entries;
        size_t n_entries;
} Store;

/**
 * store_init() - take over what systemd passed ($LISTEN_FDS), and unset it
 * @ret_store:  listeners of socket units too; for store_deinit(), which closes what was not taken
 *
 * Return: 0 (also without systemd: nothing in it); -errno.
 */
int store_init(Store *ret_store);

/** store_deinit() - close what is left; idempotent */
void store_deinit(Store *store);

/** store_take() - the first descriptor called @name, now the caller's, or -1 */
int store_take(Store *store, const char *name);

/**
 * store_put() - have PID 1 keep a copy
 * @fd:         descriptor; borrowed
 * @name:       to find it again
 * @poll:       let systemd drop it when it hangs up (connections); else keep it in any case
 * @timeout_ms: to wait for PID 1 to read what it was sent before
 *
 * Return: 0; STORE_E_NONE; -EINVAL (name); -EAGAIN (it did not); -errno of socket(2), connect(2),
 * sendmsg(2).
 */
int store_put(int fd, const char *name, bool poll, int timeout_ms);

/** store_drop() - have PID 1 forget everything called @name; codes as store_put() */
int store_drop(const char *name, int timeout_ms);

/**
 * store_barrier() - wait until PID 1 has done everything asked so far
 * @timeout_usec:       at most so long
 *
 * Return: 0; STORE_E_NONE; -errno (-ETIMEDOUT) of sd_notify_barrier(3).
 */
int store_barrier(unsigned long long timeout_usec);
