/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the Library Knows of its Own Process
 *
 * The only state of the library that belongs to no handle. It is never torn down: the page is 4
 * KiB, and a handle of some other thread may be looking at it.
 */

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/process.h"
#include "memory/atomics.h"

/* All of it is written under the lock; `page` is read by every handle without. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t *page;
static uint32_t generation;
static bool registered;

static int map_page(void) {
        size_t n_bytes = (size_t)sysconf(_SC_PAGESIZE);
        void *memory;

        memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
                return -ENOMEM;
        if (madvise(memory, n_bytes, MADV_WIPEONFORK) < 0) {
                munmap(memory, n_bytes);
                return -EINVAL;
        }
        page = memory;
        return 0;
}

static void register_membarrier(void) {
        const char *refuse = getenv("SHMB_NO_MEMBARRIER");

        registered = !(refuse && *refuse) &&
                     syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

static int enter_locked(void) {
        int r;

        if (!page) {
                r = map_page();
                if (r < 0)
                        return r;
        }
        /* relaxed: written under the lock only */
        if (shmb_load_relaxed(page) != 0)
                return 0;

        /* The first time, or the first time since a fork: `generation` came along, the page did
         * not. */
        if (++generation == 0)
                generation = 1;
        register_membarrier();
        /* relaxed: handles of this generation are made after this, by who holds the lock */
        shmb_store_relaxed(page, generation);
        return 0;
}

int shmb__process_enter(ShmbProcess *ret_process) {
        int r;

        pthread_mutex_lock(&lock);
        r = enter_locked();
        if (r == 0)
                *ret_process = (ShmbProcess){
                        .alive = page, .generation = generation, .registered = registered
                };
        pthread_mutex_unlock(&lock);
        return r;
}

void shmb__process_membarrier(void) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

bool shmb__process_may_spin(void) {
        cpu_set_t allowed;

        CPU_ZERO(&allowed);
        /* More CPUs than a cpu_set_t holds: EINVAL, and certainly more than one. */
        return sched_getaffinity(0, sizeof(allowed), &allowed) < 0 || CPU_COUNT(&allowed) > 1;
}
