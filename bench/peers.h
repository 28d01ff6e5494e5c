/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Contestants
 *
 * Each with the loops of both sides. Every item starts with its sequence number, is made in private
 * memory, copied in, copied out and checked; in place, it is made and checked there.
 *
 * Read by C and by C++.
 */

#include "bench/harness.h"
#include "bench/work.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of them end with an entry without a name. What is not installed is not built. */
extern const BenchContestant bench_ours[];
extern const BenchContestant bench_peers[];
extern const BenchContestant bench_roundtrips[];
extern const BenchContestant bench_shared[];
extern const BenchContestant bench_kernel[];
extern const BenchContestant bench_boost[];
extern const BenchContestant bench_ck[];
extern const BenchContestant bench_dpdk[];
extern const BenchContestant bench_moodycamel[];
extern const BenchContestant bench_zeromq[];
extern const BenchContestant bench_libqb[];
extern const BenchContestant bench_iceoryx[];

/* Some contestants by what they are from. */
typedef struct BenchFamily {
        const char *name;
        const BenchContestant *contestants; /* NULL: not built, its package was not there */
} BenchFamily;

/* Ends with an entry without a name. */
extern const BenchFamily bench_families[];

/* Return: NULL if it was not built, or not for items of that size. */
const BenchContestant *bench_find(const char *name, uint32_t item_size);

#ifdef __cplusplus
}
#endif

#define BENCH_ONE "one item a call"
#define BENCH_ONE_AWAKE "  that cannot sleep"
#define BENCH_BATCH "batches of 32"
#define BENCH_BLOCK "batches of 16 KiB"
#define BENCH_SPAN "spans of 32 in place"
#define BENCH_TEXTBOOK "textbook in/out, seq_cst"
#define BENCH_VOLATILE "textbook in/out, volatile"
#define BENCH_CACHED "cached index"
#define BENCH_PIPE "pipe"
#define BENCH_MEMCPY "memcpy of 16 KiB: the limit"
#define BENCH_PROBE "one cache line"

#define BENCH_BOOST "boost spsc_queue"
#define BENCH_BOOST_BATCH "boost spsc_queue, 32"
#define BENCH_BOOST_QUEUE "boost queue"
#define BENCH_CK "ck_ring spsc"
#define BENCH_RTE "rte_ring single"
#define BENCH_RTE_BURST "rte_ring burst of 32"
#define BENCH_RTE_ZC "rte_ring zero-copy 32"
#define BENCH_RTE_MULTI "rte_ring multi"
#define BENCH_MOODYCAMEL "moodycamel"
#define BENCH_STREAM "AF_UNIX stream"
#define BENCH_SEQPACKET "AF_UNIX seqpacket"
#define BENCH_MQ "POSIX mq"
#define BENCH_MSGQ "SysV msgq"
#define BENCH_ZEROMQ "ZeroMQ ipc"
#define BENCH_LIBQB "libqb ring"
#define BENCH_ICEORYX "iceoryx, polling"

#define BENCH_TRIP(_name) _name ", round trip"
#define BENCH_SPIN BENCH_TRIP("spinning")
#define BENCH_SLEEP BENCH_TRIP("sleeping")
#define BENCH_FUTEX "bare futex ping-pong"

/* Both producers on one processor, the consumer on the other. */
#define BENCH_SHARED(_name) _name ", 2 producers"
#define BENCH_LANES BENCH_SHARED("2 lanes")

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
