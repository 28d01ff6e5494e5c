/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Store Buffer, and who Pays for It
 *
 * The litmus test SB, with the words of memory/sleep.h. In each round
 *
 *     waker:    tail = round; compiler barrier; r0 = seq
 *     sleeper:  seq = round; membarrier(GLOBAL_EXPEDITED), or nothing; r1 = tail
 *
 * If both read the old value, nobody wakes and somebody sleeps. That must never be with membarrier;
 * and it must be seen without it, or this machine does not reorder and the test says nothing.
 *
 * Usage: litmus-fence
 */

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "memory/atomics.h"
#include "memory/layout.h"

enum {
        ROUNDS_NS = 1000 * 1000 * 1000,
        OFFSETS = 64,
};

typedef struct Word {
        _Atomic uint64_t value;
        uint8_t reserved[SHMB_LINE - 8];
} Word;

static Word tail, seq, start, seen, is_over;
static int processors[2];

static uint64_t now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static bool find_processors(void) {
        int i, n = 0;
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return false;
        for (i = 0; i < CPU_SETSIZE && n < 2; i++)
                if (CPU_ISSET(i, &set))
                        processors[n++] = i;
        return n == 2;
}

static void pin(int processor) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(processor, &set);
        sched_setaffinity(0, sizeof(set), &set);
}

static void *waker(void *argument) {
        uint64_t round, r0;

        pin(processors[1]);
        for (round = 1;; round++) {
                while (atomic_load(&start.value) != round)
                        if (atomic_load(&is_over.value))
                                return NULL;
                /* release: W1, pairs with nothing here */
                shmb_store_release(&tail.value, round);
                /* compiler: W2 (Dekker: sleep.seq against tail) */
                shmb_fence_compiler();
                /* relaxed: W3 */
                r0 = shmb_load_relaxed(&seq.value);
                atomic_store(&seen.value, round << 1 | (r0 == round));
        }
}

/* How often both sides saw nothing of each other. */
static uint64_t run(bool use_membarrier, uint64_t *ret_n_rounds) {
        uint64_t round, r1, answer, n_missed = 0, until = now_ns() + ROUNDS_NS;
        pthread_t thread;
        uint32_t i;

        atomic_store(&tail.value, 0);
        atomic_store(&seq.value, 0);
        atomic_store(&start.value, 0);
        atomic_store(&seen.value, 0);
        atomic_store(&is_over.value, 0);
        if (pthread_create(&thread, NULL, waker, NULL) != 0)
                return UINT64_MAX;
        pin(processors[0]);
        for (round = 1; now_ns() < until; round++) {
                atomic_store(&start.value, round);
                for (i = 0; i < round % OFFSETS; i++)
                        shmb_cpu_relax();
                /* release: S2, pairs with nothing stronger than W3 */
                shmb_store_release(&seq.value, round);
                if (use_membarrier)
                        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
                else
                        /* compiler: orders the two for nobody but the compiler, pairs with nothing
                         * */
                        shmb_fence_compiler();
                /* relaxed: S4 */
                r1 = shmb_load_relaxed(&tail.value);
                while ((answer = atomic_load(&seen.value)) >> 1 != round)
                        ;
                n_missed += r1 != round && !(answer & 1);
        }
        atomic_store(&is_over.value, 1);
        pthread_join(thread, NULL);
        *ret_n_rounds = round;
        return n_missed;
}

int main(void) {
        uint64_t n_with, n_without, n_rounds;

        if (!find_processors()) {
                printf("skipped: needs two processors\n");
                return 77;
        }
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0) {
                printf("skipped: membarrier: %s\n", strerror(errno));
                return 77;
        }
        n_with = run(true, &n_rounds);
        printf("with membarrier: %llu of %llu rounds missed\n", (unsigned long long)n_with,
               (unsigned long long)n_rounds);
        if (n_with > 0)
                return 1;
        n_without = run(false, &n_rounds);
        printf("without: %llu of %llu\n", (unsigned long long)n_without,
               (unsigned long long)n_rounds);
        if (n_without == 0) {
                printf("skipped: this machine was not seen to reorder, so nothing was shown\n");
                return 77;
        }
        return 0;
}
