/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two Producers into one Consumer
 *
 * Each has a lane of its own, half as long as the ring of the others is; the consumer takes turns.
 * Both producers are on one processor, so one that finds no room lets the other have it, here as
 * with the other rings.
 */

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/peers.h"
#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"

static ShmbRingProducer producers[BENCH_PRODUCERS_MAX];
static ShmbRingConsumer consumer;
static _Atomic uint32_t epoch = 1;

static const char *lanes_setup(BenchRun *run) {
        ShmbGeometry geometry = {
                .kind = SHMB_KIND_RING,
                .n_lanes = BENCH_PRODUCERS_MAX,
                .n_seats = 1,
                .item_size = run->item_size,
                .item_align = 8,
                .capacity = BENCH_CAPACITY / BENCH_PRODUCERS_MAX,
        };
        ShmbMapped seat, lanes[BENCH_PRODUCERS_MAX];
        uint64_t lane_size, seat_size;
        uint8_t *at = run->memory;
        uint32_t i;

        if (shmb_geometry_seal(&geometry) < 0)
                bench_die("geometry");
        seat_size = shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT);
        lane_size = shmb_geometry_object_size(&geometry, SHMB_OBJECT_LANE);
        seat = (ShmbMapped){at, (size_t)seat_size, 1, &epoch};
        at += seat_size;
        for (i = 0; i < BENCH_PRODUCERS_MAX; i++, at += lane_size) {
                lanes[i] = (ShmbMapped){at, (size_t)lane_size, 1, &epoch};
                if (shmb_ring_producer_init(&producers[i], &geometry, i, &lanes[i], &seat, false) <
                    0)
                        bench_die("producer");
        }
        if (shmb_ring_consumer_init(&consumer, &geometry, &seat, lanes, SHMB_RING_STRICT, false) <
            0)
                bench_die("consumer");
        return NULL;
}

static inline void wake(ShmbWaker *waker, uint32_t index) {
        if (shmb_waker_look(waker, index))
                syscall(SYS_futex, &waker->own->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void lanes_produce(BenchRun *run) {
        uint64_t item[8] = {(uint64_t)bench_producer() << BENCH_PRODUCER_SHIFT};
        ShmbRingProducer *producer = &producers[bench_producer()];

        for (;; item[0]++) {
                while (shmb_ring_push_n(producer, item, 1, SHMB_RING_LAZY) < 0)
                        sched_yield();
                wake(&producer->waker, 0);
        }
}

static inline uint32_t lanes_step(BenchRun *run, uint64_t *sequences) {
        uint64_t item[8];

        while (shmb_ring_pop_n(&consumer, item, 1) < 0)
                shmb_cpu_relax();
        wake(&consumer.waker, shmb_ring_consumer_lane(&consumer));
        run->n_wrong += bench_check_shared(item[0], sequences);
        return 1;
}

static void lanes_consume(BenchRun *run) {
        uint64_t sequences[BENCH_PRODUCERS_MAX] = {0, UINT64_C(1) << BENCH_PRODUCER_SHIFT};

        BENCH_BLOCKS(run, lanes_step(run, sequences));
}

const BenchContestant bench_shared[] = {
        {BENCH_LANES, 64, lanes_setup, lanes_produce, lanes_consume, NULL, BENCH_PRODUCERS_MAX},
        {0},
};
