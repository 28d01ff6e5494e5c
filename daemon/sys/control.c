/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Control Object
 *
 * Order of the stores: each word of a party is published by its own release store, in the order in
 * which a reader that sees a later one may rely on an earlier one; then `news`, which a sleeper
 * compares. Who acquires `news` and finds the new value sees all that was stored before it.
 */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "daemon/sys/control.h"
#include "memory/atomics.h"

int control_init_with_fd(Control *control, int fd, uint64_t size_bytes, uint32_t n_parties) {
        void *memory;
        int r;

        if (size_bytes > SIZE_MAX || size_bytes < sizeof(ShmbControl) ||
            (size_bytes - sizeof(ShmbControl)) / sizeof(ShmbParty) < n_parties)
                return -EINVAL;

        memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        /* A child of the broker, should there ever be one, is no second writer. */
        if (madvise(memory, size_bytes, MADV_DONTFORK) < 0) {
                r = -errno;
                munmap(memory, size_bytes);
                return r;
        }

        *control = (Control){
                .memory = memory,
                .size_bytes = size_bytes,
                .n_parties = n_parties,
        };
        return 0;
}

void control_deinit(Control *control) {
        if (control->memory)
                munmap(control->memory, control->size_bytes);
        *control = (Control)CONTROL_NULL(*control);
}

void control_set_state(Control *control, ShmbRegionState state, uint64_t generation) {
        /* release: the generation is there before a state that speaks of it; pairs with the acquire
         * of state by whoever attaches or wakes up */
        shmb_store_release(&control->memory->generation, generation);
        shmb_store_release(&control->memory->state, (uint32_t)state);
}

void control_set_party(Control *control, uint32_t index, const ControlParty *party) {
        ShmbParty *words = &control->memory->parties[index];

        assert(index < control->n_parties);
        /* release: who acquires a count and finds it changed sees the lease that it is about */
        shmb_store_release(&words->lease, party->lease);
        /* release: who sees that there is a FIFO sees whose it is */
        shmb_store_release(&words->polls, (uint32_t)party->polls);
        shmb_store_release(&words->n_deaths, party->n_deaths);
        shmb_store_release(&words->n_detaches, party->n_detaches);
        /* release: a peer that acquires a new epoch fetches the object, and must not find its
         * holder by an older occupancy */
        shmb_store_release(&words->occupancy, (uint32_t)party->occupancy);
        shmb_store_release(&words->epoch, party->epoch);
        /* release: behind the epoch, so that who finds the counts of a new lane finds its epoch;
         * and the memory is there */
        shmb_store_release(&words->freed, party->freed);
        shmb_store_release(&words->backed, party->backed);
}

void control_announce(Control *control) {
        _Atomic uint32_t *news = &control->memory->news;

        /* relaxed: only we write news; release: all stores above are visible to the sleeper that
         * acquires the new value. The kernel compares it again under its own lock, futex(2). */
        shmb_store_release(news, shmb_load_relaxed(news) + 1);
        /* Not FUTEX_PRIVATE_FLAG: sleepers are other processes. Fails only for bad addresses. */
        (void)syscall(SYS_futex, news, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
