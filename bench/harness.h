/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the Benchmarks Share
 *
 * Two processes, each pinned to a processor of its own, on prefaulted shared memory. Rates are
 * medians over short blocks that the consumer stamps, because on a shared machine a virtual
 * processor is gone for a millisecond at a time and takes every mean with it. What is compared is
 * run in turns, and the turns are framed by a probe: how long one cache line takes there and back.
 * Rounds whose two probes tell different distances are not counted.
 *
 * Read by C and by C++.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
        BENCH_BLOCKS_MAX = 8192,
        BENCH_BLOCK_NS = 20 * 1000,
        /* Round trips of a line above this are between far cores. */
        BENCH_FAR_NS = 250,
        /* A turn may take so many times its median blocks: a hypervisor steals a third and more. */
        BENCH_HELD_UP = 3,
        /* A turn takes a tenth of a second at most; one of this many is stuck. */
        BENCH_STUCK_SECONDS = 30,
        BENCH_PRODUCERS_MAX = 2,
};

/* One turn; stands in shared memory. */
typedef struct BenchRun {
        void *memory; /* the contestant's */
        size_t n_bytes;
        uint32_t item_size;
        uint32_t block_items; /* items between two stamps */
        uint32_t n_blocks;
        uint64_t limit_ns; /* after which no more blocks are waited for */
        bool keeps_all;    /* a turn counts although others had the processors */
        uint64_t n_wrong;  /* items out of sequence */
        uint64_t block_ns[BENCH_BLOCKS_MAX];
} BenchRun;

typedef struct BenchContestant {
        const char *name;
        uint32_t item_size; /* 0: any */
        /* Before the fork. Returns NULL, or why it cannot run here, and then nothing is left of it.
         * No setup: nothing to set up. */
        const char *(*setup)(BenchRun *run);
        void (*produce)(BenchRun *run); /* for ever: it is killed */
        /* n_blocks blocks, stamped; 0 if it failed, and the turn does not count. */
        void (*consume)(BenchRun *run);
        /* After both; no teardown: nothing outlives the processes. */
        void (*teardown)(BenchRun *run);
        uint32_t n_producers; /* 0: one */
} BenchContestant;

uint64_t bench_now_ns(void);

/* Ends the program with a sentence. */
__attribute__((noreturn)) void bench_die(const char *what);

/* Shared, zeroed and prefaulted memory. */
void *bench_map(size_t n_bytes);

/* Finds two processors, or ends the program (77) where there is one only. */
BenchRun *bench_run_new(size_t n_bytes);

/* Which of several producers the caller is, from 0. */
uint32_t bench_producer(void);

/* One line that both sides hand to and fro; an item is a round trip. */
extern const BenchContestant bench_line_probe;

/* The median round trip of one cache line between the two processors, in ns. */
double bench_probe(BenchRun *run);

/*
 * Runs one turn of about @turn_ns. Return: items a second, the median of its blocks; 0 where others
 * had the processors most of the time: two sides that run one after the other do not contend, and
 * every ring is fast. Where the contestant cannot run here: 0, and *ret_why says why.
 */
double bench_turn(BenchRun *run, const BenchContestant *contestant, uint32_t item_size,
                  uint64_t turn_ns, const char **ret_why);

/* Sorts @values. */
double bench_quantile(double *values, size_t n, double quantile);

#ifdef __cplusplus
}
#endif
