/* SPDX-License-Identifier: Apache-2.0 */

/*
 * boost::lockfree
 *
 *   spsc_queue   one item a call, batches of 32 with its array calls, round trips
 *   queue        of fixed size, for several producers
 *
 * Both with their storage inside, so that they can stand in shared memory.
 */

#include <sched.h>

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

#include "bench/peer.hpp"

using namespace bench;

template <uint32_t size> struct Spsc {
        boost::lockfree::spsc_queue<Item<size>, boost::lockfree::capacity<BENCH_CAPACITY>> queue;

        bool push(const Item<size> &item) { return queue.push(item); }
        bool pop(Item<size> &ret_item) { return queue.pop(ret_item); }
};

/* Whole batches are copied as the library likes. */
template <uint32_t size> struct Batches {
        struct Plain {
                uint64_t words[size / 8];
        };
        using Queue = boost::lockfree::spsc_queue<Plain, boost::lockfree::capacity<BENCH_CAPACITY>>;

        static Queue *queue(BenchRun *run) { return static_cast<Queue *>(run->memory); }

        static const char *setup(BenchRun *run) {
                new (run->memory) Queue;
                return nullptr;
        }

        static void produce(BenchRun *run) {
                static Plain items[BENCH_BATCH_ITEMS];
                uint64_t sequence;
                size_t n, done;

                for (sequence = 0;; sequence += BENCH_BATCH_ITEMS) {
                        bench_number(items, size, BENCH_BATCH_ITEMS, sequence);
                        for (done = 0; done < BENCH_BATCH_ITEMS; done += n) {
                                n = queue(run)->push(items + done, BENCH_BATCH_ITEMS - done);
                                if (n == 0)
                                        bench_relax();
                        }
                }
        }

        static inline uint32_t step(BenchRun *run, uint64_t *sequence) {
                static Plain items[BENCH_BATCH_ITEMS];
                uint32_t n;

                while ((n = (uint32_t)queue(run)->pop(items, BENCH_BATCH_ITEMS)) == 0)
                        bench_relax();
                run->n_wrong += bench_check(items, size, n, *sequence);
                *sequence += n;
                return n;
        }

        static void consume(BenchRun *run) {
                uint64_t sequence = 0;

                BENCH_BLOCKS(run, step(run, &sequence));
        }
};

/* Several producers, who share one processor: one that finds no room lets the other have it. */
struct Shared {
        struct Plain {
                uint64_t words[8];
        };
        using Queue = boost::lockfree::queue<Plain, boost::lockfree::capacity<BENCH_CAPACITY>>;

        static Queue *queue(BenchRun *run) { return static_cast<Queue *>(run->memory); }

        static const char *setup(BenchRun *run) {
                new (run->memory) Queue;
                return nullptr;
        }

        static void produce(BenchRun *run) {
                Plain item = {};

                item.words[0] = (uint64_t)bench_producer() << BENCH_PRODUCER_SHIFT;
                for (;; item.words[0]++)
                        while (!queue(run)->push(item))
                                sched_yield();
        }

        static inline uint32_t step(BenchRun *run, uint64_t *sequences) {
                Plain item;

                while (!queue(run)->pop(item))
                        bench_relax();
                run->n_wrong += bench_check_shared(item.words[0], sequences);
                return 1;
        }

        static void consume(BenchRun *run) {
                uint64_t sequences[BENCH_PRODUCERS_MAX] = {
                        0, UINT64_C(1) << BENCH_PRODUCER_SHIFT};

                BENCH_BLOCKS(run, step(run, sequences));
        }
};

template <uint32_t size> constexpr BenchContestant batches(const char *name) {
        using Loops = Batches<size>;

        return {name, size, Loops::setup, Loops::produce, Loops::consume, nullptr, 0};
}

const BenchContestant bench_boost[] = {
        one_way<Spsc, 8>(BENCH_BOOST),
        one_way<Spsc, 64>(BENCH_BOOST),
        one_way<Spsc, 256>(BENCH_BOOST),
        one_way<Spsc, 1024>(BENCH_BOOST),
        one_way<Spsc, 4096>(BENCH_BOOST),
        batches<8>(BENCH_BOOST_BATCH),
        batches<64>(BENCH_BOOST_BATCH),
        batches<256>(BENCH_BOOST_BATCH),
        batches<1024>(BENCH_BOOST_BATCH),
        batches<4096>(BENCH_BOOST_BATCH),
        round_trip<Spsc>(BENCH_TRIP(BENCH_BOOST)),
        {BENCH_SHARED(BENCH_BOOST_QUEUE), 64, Shared::setup, Shared::produce, Shared::consume,
         nullptr, 2},
        {},
};
