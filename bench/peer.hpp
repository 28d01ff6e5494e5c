/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rings that are Templates
 *
 * The loops of both sides for a Ring<size> that stands whole in shared memory and has
 * `bool push(const Item<size> &)` and `bool pop(Item<size> &)`.
 */

#include <new>

#include "bench/peers.h"

namespace bench {

/* A library that copies items does it by this assignment: as ours does, so that it is the ring that
 * is compared. */
template <uint32_t size> struct Item {
        uint64_t words[size / 8];

        Item() : words() {}
        Item(const Item &other) { bench_copy_item(words, other.words, size); }
        Item &operator=(const Item &other) {
                bench_copy_item(words, other.words, size);
                return *this;
        }
};

template <template <uint32_t> class Ring, uint32_t size> struct OneWay {
        static Ring<size> *ring(BenchRun *run) { return static_cast<Ring<size> *>(run->memory); }

        static const char *setup(BenchRun *run) {
                if (sizeof(Ring<size>) > run->n_bytes)
                        bench_die("a ring is larger than the memory for it");
                new (run->memory) Ring<size>;
                return nullptr;
        }

        static void produce(BenchRun *run) {
                Ring<size> *to = ring(run);
                Item<size> item;

                for (;; item.words[0]++)
                        while (!to->push(item))
                                bench_relax();
        }

        static inline uint32_t step(BenchRun *run, Ring<size> *from, uint64_t *sequence) {
                Item<size> item;

                while (!from->pop(item))
                        bench_relax();
                run->n_wrong += item.words[0] != (*sequence)++;
                return 1;
        }

        static void consume(BenchRun *run) {
                Ring<size> *from = ring(run);
                uint64_t sequence = 0;

                BENCH_BLOCKS(run, step(run, from, &sequence));
        }
};

/* One ring there, one back. */
template <template <uint32_t> class Ring, uint32_t size> struct RoundTrip {
        struct Pair {
                Ring<size> there, back;
        };

        static Pair *pair(BenchRun *run) { return static_cast<Pair *>(run->memory); }

        static const char *setup(BenchRun *run) {
                if (sizeof(Pair) > run->n_bytes)
                        bench_die("two rings are larger than the memory for them");
                new (run->memory) Pair;
                return nullptr;
        }

        static inline void move(Ring<size> *from, Ring<size> *to, Item<size> *item) {
                while (!from->pop(*item))
                        bench_relax();
                while (!to->push(*item))
                        bench_relax();
        }

        static void produce(BenchRun *run) {
                Pair *rings = pair(run);
                Item<size> item;

                for (;;)
                        move(&rings->there, &rings->back, &item);
        }

        static inline uint32_t step(BenchRun *run, Pair *rings, uint64_t *sequence) {
                Item<size> item;

                item.words[0] = ++*sequence;
                while (!rings->there.push(item))
                        bench_relax();
                while (!rings->back.pop(item))
                        bench_relax();
                run->n_wrong += item.words[0] != *sequence;
                return 1;
        }

        static void consume(BenchRun *run) {
                uint64_t sequence = 0;

                BENCH_BLOCKS(run, step(run, pair(run), &sequence));
        }
};

template <template <uint32_t> class Ring, uint32_t size>
constexpr BenchContestant one_way(const char *name) {
        using Loops = OneWay<Ring, size>;

        return {name, size, Loops::setup, Loops::produce, Loops::consume, nullptr, 0};
}

template <template <uint32_t> class Ring> constexpr BenchContestant round_trip(const char *name) {
        using Loops = RoundTrip<Ring, 64>;

        return {name, 64, Loops::setup, Loops::produce, Loops::consume, nullptr, 0};
}

} /* namespace bench */
