/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Ring of libqb, shared between processes, with its semaphore
 *
 * Two rings, one for each direction, opened before the fork. Its files under /dev/shm lose their
 * names at once: whoever is killed leaves none.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <qb/qbrb.h>

#include "bench/blocking.h"

static qb_ringbuffer_t *rings[2];

static void libqb_teardown(BenchRun *run) {
        int i;

        for (i = 0; i < 2; i++) {
                if (rings[i])
                        qb_rb_close(rings[i]);
                rings[i] = NULL;
        }
}

/* Wherever else it may have put them, closing removes them. */
static void libqb_forget(const char *name) {
        char path[128];

        snprintf(path, sizeof(path), "/dev/shm/qb-%s-header", name);
        unlink(path);
        snprintf(path, sizeof(path), "/dev/shm/qb-%s-data", name);
        unlink(path);
}

static const char *libqb_setup(BenchRun *run) {
        const char *why;
        char name[64];
        int i;

        for (i = 0; i < 2; i++) {
                snprintf(name, sizeof(name), "shmbroker-bench-%d-%d", (int)getpid(), i);
                rings[i] = qb_rb_open(name, (size_t)BENCH_CAPACITY * run->item_size,
                                      QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS, 0);
                if (!rings[i]) {
                        why = strerror(errno);
                        libqb_teardown(run);
                        return why;
                }
                libqb_forget(name);
        }
        return NULL;
}

/* It does not wait for room. */
static inline bool libqb_send(unsigned direction, const void *item, size_t size) {
        ssize_t n;

        while ((n = qb_rb_chunk_write(rings[direction], item, size)) == -EAGAIN)
                bench_relax();
        return n == (ssize_t)size;
}

static inline bool libqb_receive(unsigned direction, void *ret_item, size_t size) {
        return qb_rb_chunk_read(rings[direction], ret_item, size, -1) == (ssize_t)size;
}

BENCH_BLOCKING(libqb, BENCH_NO_JOIN, libqb_send, libqb_receive)

const BenchContestant bench_libqb[] = {
        BENCH_BLOCKING_BOTH(BENCH_LIBQB, libqb, libqb_setup, libqb_teardown),
        {0},
};
