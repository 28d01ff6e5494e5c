/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two Processes that Sleep for each Item
 *
 * Items go to and fro through two rings of two slots; whoever finds nothing goes to sleep at once,
 * by the protocol of memory/sleep.h with real system calls. A wake-up is lost if a wait runs into
 * its time-out although its waker had done with waking: the item was there, the bell had been rung,
 * and the sleeper slept on.
 *
 * Built a second time with SHMB_TEST_NO_BELL, which takes the change of the bell back before the
 * wake; that one must lose wake-ups, or this test sees nothing. What it cannot see in either case
 * is a missing fence: tests/model/litmus-fence.c and tests/model/ring.pml.
 *
 * Usage: stress-sleep membarrier|fence
 */

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

#ifdef SHMB_TEST_NO_BELL
#define NO_BELL true
#else
#define NO_BELL false
#endif

enum {
        ROUNDS_S = 2,
        /* With the mutant, until the first is lost. */
        ROUNDS_NO_BELL_S = 30,
        /* Long against any pause that a busy machine makes between two instructions. */
        TIMEOUT_NS = 400 * 1000 * 1000,
        CAPACITY = 2,
};

/* One direction. */
typedef struct Direction {
        ShmbMapped lane, seat;
        _Atomic uint64_t n_waked; /* items for which the producer has done with waking */
} Direction;

typedef struct Stress {
        Direction directions[2];
        _Atomic uint32_t epoch, news;
        _Atomic uint32_t is_over;
        _Atomic uint64_t n_sleeps, n_lost, n_slow;
} Stress;

/* One process: produces in one direction, consumes in the other. */
typedef struct Side {
        Stress *stress;
        Direction *to, *from;
        ShmbRingProducer producer;
        ShmbRingConsumer consumer;
        ShmbSleeper sleeper;
        bool use_membarrier;
} Side;

static ShmbGeometry geometry = {
        .kind = SHMB_KIND_RING,
        .n_lanes = 1,
        .n_seats = 1,
        .item_size = 8,
        .item_align = 8,
        .capacity = CAPACITY,
};

static _Noreturn void die(const char *what) {
        fprintf(stderr, "stress-sleep: %s: %s\n", what, strerror(errno));
        exit(1);
}

static uint64_t now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void *map(size_t n_bytes) {
        void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0);

        if (memory == MAP_FAILED)
                die("mmap");
        return memory;
}

/* W1 has been done: W2 to W5. */
static void wake(ShmbWaker *waker) {
        if (!shmb_waker_look(waker, 0))
                return;
        if (NO_BELL)
                atomic_fetch_sub(&waker->own->bell, 1);
        syscall(SYS_futex, &waker->own->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* S5 */
static int wait_for(const ShmbSleepWord *words, uint32_t n_words) {
        struct futex_waitv waiters[2] = {0};
        struct timespec until;
        uint64_t ns = now_ns() + TIMEOUT_NS;
        uint32_t i;

        for (i = 0; i < n_words; i++) {
                waiters[i].uaddr = (uintptr_t)words[i].word;
                waiters[i].val = words[i].value;
                waiters[i].flags = FUTEX_32;
        }
        until.tv_sec = (time_t)(ns / UINT64_C(1000000000));
        until.tv_nsec = (long)(ns % UINT64_C(1000000000));
        if (syscall(SYS_futex_waitv, waiters, n_words, 0, &until, CLOCK_MONOTONIC) < 0)
                return -errno;
        return 0;
}

/* Sleeps until there is an item, once. */
static void sleep_for_item(Side *side, uint64_t n_popped) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        uint32_t n_words;
        int r;

        n_words = shmb_ring_consumer_words(&side->consumer, words);
        /* relaxed: S1, stays before the release of seq */
        words[n_words++] = (ShmbSleepWord){&side->stress->news,
                                           shmb_load_relaxed(&side->stress->news)};
        shmb_sleep_enter(&side->sleeper);
        if (side->use_membarrier)
                syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
        else
                /* full: S3, pairs with that of the waker (SHMB_SLEEP_FENCE) */
                shmb_fence_full();
        if (shmb_ring_consumer_look(&side->consumer) == -EAGAIN) {
                atomic_fetch_add(&side->stress->n_sleeps, 1);
                r = wait_for(words, n_words);
                if (r == -ENOSYS)
                        _exit(77);
                if (r == -ETIMEDOUT && shmb_ring_consumer_look(&side->consumer) == 0) {
                        if (atomic_load(&side->from->n_waked) > n_popped)
                                atomic_fetch_add(&side->stress->n_lost, 1);
                        else
                                atomic_fetch_add(&side->stress->n_slow, 1);
                }
        }
        shmb_sleep_leave(&side->sleeper);
}

static void pop(Side *side, uint64_t expected) {
        uint64_t number;
        int r;

        while ((r = shmb_ring_pop_n(&side->consumer, &number, 1)) == -EAGAIN) {
                if (atomic_load(&side->stress->is_over))
                        return;
                sleep_for_item(side, expected);
        }
        if (r != 1 || number != expected) {
                fprintf(stderr, "stress-sleep: item %llu is wrong\n", (unsigned long long)expected);
                _exit(1);
        }
        wake(&side->consumer.waker);
}

static void push(Side *side, uint64_t number) {
        if (shmb_ring_push_n(&side->producer, &number, 1, SHMB_RING_EXACT) != 1) {
                fprintf(stderr, "stress-sleep: no room for item %llu\n",
                        (unsigned long long)number);
                _exit(1);
        }
        wake(&side->producer.waker);
        atomic_store(&side->to->n_waked, number + 1);
}

/*
 * Between its own push and the next pop, for as long as the other side takes to wake up and answer,
 * more or less: so the answer comes in the midst of falling asleep.
 */
static void dawdle(uint64_t number) {
        static const uint64_t ranges[] = {8000, 40000, 150000};
        uint64_t until = now_ns() + number * 7919 % ranges[number % 3];

        while (now_ns() < until)
                shmb_cpu_relax();
}

static void run_side(Side *side, bool is_first) {
        uint64_t seconds = NO_BELL ? ROUNDS_NO_BELL_S : ROUNDS_S;
        uint64_t number, until = now_ns() + seconds * UINT64_C(1000000000);

        for (number = 0; !atomic_load(&side->stress->is_over); number++) {
                if (is_first)
                        push(side, number);
                dawdle(number);
                pop(side, number);
                if (!is_first)
                        push(side, number);
                if (now_ns() > until || atomic_load(&side->stress->n_lost) > 0)
                        atomic_store(&side->stress->is_over, 1);
        }
}

static void attach(Side *side, Stress *stress, uint32_t to, bool use_membarrier) {
        *side = (Side){
                .stress = stress,
                .to = &stress->directions[to],
                .from = &stress->directions[1 - to],
                .use_membarrier = use_membarrier,
        };
        if (shmb_ring_producer_init(&side->producer, &geometry, 0, &side->to->lane,
                                    &side->to->seat, false) < 0 ||
            shmb_ring_consumer_init(&side->consumer, &geometry, &side->from->seat,
                                    &side->from->lane, SHMB_RING_STRICT, false) < 0)
                die("attach");
        shmb_sleeper_init(&side->sleeper, &side->consumer.seat->sleep, !use_membarrier);
        if (use_membarrier &&
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0) {
                printf("skipped: this kernel has no membarrier(GLOBAL_EXPEDITED)\n");
                _exit(77);
        }
}

static Stress *stress_new(void) {
        Stress *stress = map(sizeof(*stress));
        uint32_t i;

        if (shmb_geometry_seal(&geometry) < 0)
                die("geometry");
        atomic_store(&stress->epoch, 1);
        for (i = 0; i < 2; i++) {
                Direction *direction = &stress->directions[i];

                direction->lane = (ShmbMapped){NULL, 2 * SHMB_PAGE, 1, &stress->epoch};
                direction->lane.memory = map(direction->lane.n_bytes);
                direction->seat = (ShmbMapped){NULL, 2 * SHMB_PAGE, 1, &stress->epoch};
                direction->seat.memory = map(direction->seat.n_bytes);
        }
        return stress;
}

static int verdict(Stress *stress) {
        uint64_t n_lost = atomic_load(&stress->n_lost), n_sleeps = atomic_load(&stress->n_sleeps);

        printf("%llu sleeps, %llu wake-ups lost, %llu late\n", (unsigned long long)n_sleeps,
               (unsigned long long)n_lost, (unsigned long long)atomic_load(&stress->n_slow));
        if (n_sleeps < 1000 && n_lost == 0) {
                printf("skipped: too few sleeps to say anything\n");
                return 77;
        }
        if (NO_BELL && n_lost == 0)
                printf("without the bell none was lost: this test sees nothing\n");
        return NO_BELL != (n_lost > 0);
}

int main(int argc, char **argv) {
        static Side side;
        Stress *stress;
        bool use_membarrier;
        int status;
        pid_t pid;

        if (argc != 2 || (strcmp(argv[1], "membarrier") != 0 && strcmp(argv[1], "fence") != 0)) {
                fprintf(stderr, "usage: stress-sleep membarrier|fence\n");
                return 2;
        }
        use_membarrier = strcmp(argv[1], "membarrier") == 0;
        stress = stress_new();
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                attach(&side, stress, 1, use_membarrier);
                run_side(&side, false);
                _exit(0);
        }
        attach(&side, stress, 0, use_membarrier);
        run_side(&side, true);
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                die("the other side failed");
        if (WEXITSTATUS(status) != 0)
                return WEXITSTATUS(status);
        return verdict(stress);
}
