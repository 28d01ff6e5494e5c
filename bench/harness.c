/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the Benchmarks Share
 *
 * The producer is a child of its own in each turn and ends by SIGKILL; the consumer is the program
 * itself, so that its stamps need no carrying.
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/harness.h"
#include "memory/atomics.h"

enum {
        PROBE_BLOCKS = 200,
        PROBE_BLOCK_ITEMS = 50,
        /* Where others run, each hand-over may wait for a time slice. */
        PROBE_LIMIT_NS = 50 * 1000 * 1000,
};

/* Consumer and producers. */
static int bench_processors[2];

static uint32_t bench_producer_index;

/* How many producers run; shared. */
static _Atomic uint32_t *bench_n_ready;

/* Whose teardown is due, and who owes it; a child that ends by itself does not. */
static const BenchContestant *bench_due;
static BenchRun *bench_due_run;
static pid_t bench_due_pid;

uint64_t bench_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void bench_die(const char *what) {
        fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
        exit(1);
}

uint32_t bench_producer(void) {
        return bench_producer_index;
}

static void bench_find_processors(void) {
        int i, n = 0;
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                bench_die("sched_getaffinity");
        for (i = 0; i < CPU_SETSIZE && n < 2; i++)
                if (CPU_ISSET(i, &set))
                        bench_processors[n++] = i;
        if (n == 2)
                return;
        fprintf(stderr, "bench: needs two processors, and may use one only\n");
        exit(77);
}

static void bench_pin(int processor) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(processor, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                bench_die("sched_setaffinity");
}

void *bench_map(size_t n_bytes) {
        void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

        if (memory == MAP_FAILED)
                bench_die("mmap");
        return memory;
}

static void bench_tear_down(void) {
        const BenchContestant *due = bench_due;

        bench_due = NULL;
        if (due && due->teardown && getpid() == bench_due_pid)
                due->teardown(bench_due_run);
}

/* A producer that died leaves a consumer that waits for ever. */
static void bench_stuck(int signal_number) {
        static const char what[] = "bench: a turn is stuck: did a producer die?\n";

        if (write(STDERR_FILENO, what, sizeof(what) - 1) < 0)
                _exit(1);
        bench_tear_down();
        _exit(1);
}

BenchRun *bench_run_new(size_t n_bytes) {
        BenchRun *run = bench_map(sizeof(*run));

        bench_find_processors();
        run->memory = bench_map(n_bytes);
        run->n_bytes = n_bytes;
        bench_n_ready = bench_map(sizeof(*bench_n_ready));
        if (atexit(bench_tear_down) != 0 || signal(SIGALRM, bench_stuck) == SIG_ERR)
                bench_die("atexit, signal");
        return run;
}

static int bench_compare(const void *left, const void *right) {
        double a = *(const double *)left, b = *(const double *)right;

        return a < b ? -1 : a > b;
}

double bench_quantile(double *values, size_t n, double quantile) {
        double place;
        size_t below;

        if (n == 0)
                return 0;
        qsort(values, n, sizeof(*values), bench_compare);
        place = quantile * (double)(n - 1);
        below = (size_t)place;
        if (below + 1 >= n)
                return values[n - 1];
        return values[below] + (place - (double)below) * (values[below + 1] - values[below]);
}

/* ns of one block, the median; the first tenth warms up. */
static double bench_block_ns(const BenchRun *run) {
        static double blocks[BENCH_BLOCKS_MAX];
        uint32_t i, n_warm = run->n_blocks / 10, n = 0;

        for (i = n_warm; i < run->n_blocks; i++)
                blocks[n++] = (double)run->block_ns[i];
        return bench_quantile(blocks, n, 0.5);
}

static bool bench_was_held_up(const BenchRun *run) {
        uint32_t i, n_warm = run->n_blocks / 10;
        double sum = 0;

        for (i = n_warm; i < run->n_blocks; i++)
                sum += (double)run->block_ns[i];
        return sum > BENCH_HELD_UP * bench_block_ns(run) * (run->n_blocks - n_warm);
}

static pid_t bench_start(BenchRun *run, const BenchContestant *contestant, uint32_t index) {
        pid_t pid = fork();

        if (pid < 0)
                bench_die("fork");
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(bench_processors[1]);
        bench_producer_index = index;
        atomic_fetch_add(bench_n_ready, 1);
        contestant->produce(run);
        _exit(0);
}

/* Runs both sides until the consumer has its blocks. Return: NULL, or why it cannot run. */
static const char *bench_race(BenchRun *run, const BenchContestant *contestant) {
        uint32_t i, n = contestant->n_producers ? contestant->n_producers : 1;
        pid_t pids[BENCH_PRODUCERS_MAX];
        const char *why = NULL;

        memset(run->memory, 0, run->n_bytes);
        if (contestant->setup)
                why = contestant->setup(run);
        if (why)
                return why;
        bench_due = contestant;
        bench_due_run = run;
        bench_due_pid = getpid();
        atomic_store(bench_n_ready, 0);
        for (i = 0; i < n; i++)
                pids[i] = bench_start(run, contestant, i);
        bench_pin(bench_processors[0]);
        while (atomic_load(bench_n_ready) < n)
                shmb_cpu_relax();
        alarm(BENCH_STUCK_SECONDS);
        contestant->consume(run);
        alarm(0);
        for (i = 0; i < n; i++)
                if (kill(pids[i], SIGKILL) < 0 || waitpid(pids[i], NULL, 0) != pids[i])
                        bench_die("waitpid");
        bench_tear_down();
        if (run->n_wrong > 0) {
                fprintf(stderr, "bench: %s: %llu items out of sequence\n", contestant->name,
                        (unsigned long long)run->n_wrong);
                exit(1);
        }
        return NULL;
}

double bench_turn(BenchRun *run, const BenchContestant *contestant, uint32_t item_size,
                  uint64_t turn_ns, const char **ret_why) {
        const char *why;
        double item_ns;

        run->item_size = item_size;
        run->limit_ns = 3 * turn_ns;
        /* A first, short one finds out how many items make a block. */
        run->block_items = 64;
        run->n_blocks = 128;
        why = bench_race(run, contestant);
        if (why) {
                *ret_why = why;
                return 0;
        }
        if (run->n_blocks == 0)
                return 0;
        item_ns = bench_block_ns(run) / run->block_items;
        run->block_items = (uint32_t)(BENCH_BLOCK_NS / item_ns);
        if (run->block_items < 1)
                run->block_items = 1;
        run->n_blocks = (uint32_t)((double)turn_ns / (item_ns * run->block_items));
        if (run->n_blocks < 32)
                run->n_blocks = 32;
        if (run->n_blocks > BENCH_BLOCKS_MAX)
                run->n_blocks = BENCH_BLOCKS_MAX;
        why = bench_race(run, contestant);
        if (why) {
                *ret_why = why;
                return 0;
        }
        if (run->n_blocks == 0 || (bench_was_held_up(run) && !run->keeps_all))
                return 0;
        return 1e9 * run->block_items / bench_block_ns(run);
}

/* One line that each side hands back. */
static void probe_produce(BenchRun *run) {
        _Atomic uint64_t *line = run->memory;
        uint64_t i;

        for (i = 1;; i += 2) {
                while (atomic_load_explicit(line, memory_order_acquire) != i)
                        ;
                atomic_store_explicit(line, i + 1, memory_order_release);
        }
}

static void probe_consume(BenchRun *run) {
        _Atomic uint64_t *line = run->memory;
        uint64_t i = 1, start, now, end;
        uint32_t block, n;

        start = bench_now_ns();
        end = start + run->limit_ns;
        for (block = 0; block < run->n_blocks; block++) {
                for (n = 0; n < run->block_items; n++, i += 2) {
                        atomic_store_explicit(line, i, memory_order_release);
                        while (atomic_load_explicit(line, memory_order_acquire) != i + 1)
                                ;
                }
                now = bench_now_ns();
                run->block_ns[block] = now - start;
                start = now;
                if (now > end)
                        run->n_blocks = block + 1;
        }
}

const BenchContestant bench_line_probe = {
        "one cache line", 0, NULL, probe_produce, probe_consume, NULL, 0,
};

double bench_probe(BenchRun *run) {
        run->block_items = PROBE_BLOCK_ITEMS;
        run->n_blocks = PROBE_BLOCKS;
        run->limit_ns = PROBE_LIMIT_NS;
        bench_race(run, &bench_line_probe);
        return bench_block_ns(run) / run->block_items;
}
