/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Contestants
 *
 * Each with the loops of both sides. Every item starts with its sequence number, is made in private
 * memory, copied in, copied out and checked.
 */

#include "bench/harness.h"

enum {
        BENCH_CAPACITY = 1024,
};

/* All of them end with an entry without a name. */
extern const BenchContestant bench_ours[];
extern const BenchContestant bench_peers[];
extern const BenchContestant bench_roundtrips[];

#define BENCH_ONE "one item a call"
#define BENCH_ONE_AWAKE "  that cannot sleep"
#define BENCH_BATCH "batches of 32"
#define BENCH_SPAN "spans of 32 in place"
#define BENCH_TEXTBOOK "textbook in/out, seq_cst"
#define BENCH_VOLATILE "textbook in/out, volatile"
#define BENCH_CACHED "cached index"
#define BENCH_PIPE "pipe"
#define BENCH_MEMCPY "memcpy of 16 KiB: the limit"
#define BENCH_PROBE "one cache line"

/* Calls @_step, which says how many items it moved, for all blocks, and stamps each. */
#define BENCH_BLOCKS(_run, _step)                                                       \
        do {                                                                            \
                uint64_t _start = bench_now_ns(), _end = _start + (_run)->limit_ns, _now; \
                uint32_t _block, _n;                                                    \
                                                                                        \
                for (_block = 0; _block < (_run)->n_blocks; _block++) {                 \
                        for (_n = 0; _n < (_run)->block_items;)                         \
                                _n += (_step);                                          \
                        _now = bench_now_ns();                                          \
                        (_run)->block_ns[_block] = (_now - _start) * (_run)->block_items / _n; \
                        _start = _now;                                                  \
                        if (_now > _end)                                                \
                                (_run)->n_blocks = _block + 1;                          \
                }                                                                       \
        } while (0)
