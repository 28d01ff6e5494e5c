/* SPDX-License-Identifier: Apache-2.0 */

/*
 * moodycamel::ReaderWriterQueue
 *
 * It takes its block with std::malloc when it is made, and never again, as only try_enqueue is
 * called. So the one name that it calls is another one while its header is read: the block then
 * lies in the shared memory behind the queue, where both processes see it at the same address.
 */

#include <cstdlib>

namespace std {

static char *shared_next;

static void *shared_allocate(size_t n_bytes) {
        char *block = shared_next;

        shared_next += (n_bytes + 127) / 128 * 128;
        return block;
}

} /* namespace std */

/* What the header includes is read first, with the name as it is. */
#include <cassert>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <readerwriterqueue/atomicops.h>

#define malloc shared_allocate
#include <readerwriterqueue/readerwriterqueue.h>
#undef malloc

#include "bench/peer.hpp"

using namespace bench;

template <uint32_t size> struct Queue {
        moodycamel::ReaderWriterQueue<Item<size>> queue;

        Queue() : queue(BENCH_CAPACITY - 1) {}
        bool push(const Item<size> &item) { return queue.try_enqueue(item); }
        bool pop(Item<size> &ret_item) { return queue.try_dequeue(ret_item); }
};

template <uint32_t size> struct Loops : OneWay<Queue, size> {
        static const char *setup(BenchRun *run) {
                std::shared_next = static_cast<char *>(run->memory) + sizeof(Queue<size>);
                OneWay<Queue, size>::setup(run);
                if (std::shared_next > static_cast<char *>(run->memory) + run->n_bytes)
                        bench_die("the queue is larger than the memory for it");
                return nullptr;
        }
};

template <uint32_t size> constexpr BenchContestant contestant() {
        return {BENCH_MOODYCAMEL, size, Loops<size>::setup, Loops<size>::produce,
                Loops<size>::consume, nullptr, 0};
}

const BenchContestant bench_moodycamel[] = {
        contestant<8>(), contestant<64>(), contestant<256>(), contestant<1024>(),
        contestant<4096>(), {},
};
