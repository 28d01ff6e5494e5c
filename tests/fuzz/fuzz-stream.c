/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Stream
 *
 * The input is a program: each byte is an operation of an honest producer or consumer, or a hostile
 * hand that writes into any word of its peer: counts, frames and messages. Only documented results
 * may come out, and no message lies outside of the slots and their second mapping.
 */

#include <assert.h>
#include <errno.h>

#include "memory/stream.h"
#include "tests/fuzz/program.h"

enum {
        N_LANES = 2,
        CAPACITY = SHMB_PAGE,
        MAX_MESSAGE = 100,
        /* The second mapping of the slots is memory of its own here, with other bytes. */
        LANE_SIZE = 3 * SHMB_PAGE,
        SEAT_SIZE = 2 * SHMB_PAGE,
};

typedef struct World {
        ShmbGeometry geometry;
        _Atomic uint32_t epochs[N_LANES], seat_epoch;
        ShmbMapped lanes[N_LANES], seat;
        ShmbStreamProducer producer; /* of lane 0 */
        ShmbStreamConsumer consumer;
        Program program;
} World;

static _Alignas(SHMB_PAGE) uint8_t lane_memory[N_LANES][LANE_SIZE];
static _Alignas(SHMB_PAGE) uint8_t seat_memory[SEAT_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void world_init(World *world) {
        uint32_t i;

        memset(lane_memory, 0, sizeof(lane_memory));
        memset(seat_memory, 0, sizeof(seat_memory));
        world->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_STREAM,
                .n_lanes = N_LANES,
                .n_seats = 1,
                .capacity = CAPACITY,
                .item_size = 1,
                .item_align = 1,
                .max_message = MAX_MESSAGE,
        };
        assert(shmb_geometry_seal(&world->geometry) == 0);
        for (i = 0; i < N_LANES; i++) {
                atomic_store(&world->epochs[i], 1);
                world->lanes[i] = (ShmbMapped){lane_memory[i], LANE_SIZE, 1, &world->epochs[i]};
        }
        atomic_store(&world->seat_epoch, 1);
        world->seat = (ShmbMapped){seat_memory, SEAT_SIZE, 1, &world->seat_epoch};
}

static void check_span(const ShmbRingSpan *span) {
        const ShmbLane *lane;
        uint32_t i;

        assert(span->n <= MAX_MESSAGE);
        for (i = 0; i < N_LANES; i++) {
                lane = (const ShmbLane *)(const void *)lane_memory[i];
                if (span->data >= lane->slots + sizeof(ShmbFrame) &&
                    span->data + span->n <= lane->slots + 2 * CAPACITY)
                        return;
        }
        assert(!"a message outside of all slots");
}

static void produce(World *world, uint8_t what) {
        static const uint8_t message[MAX_MESSAGE + 1];
        uint32_t n = (uint32_t)program_take(&world->program, 1) % (MAX_MESSAGE + 2);
        ShmbRingLook look = what & 1 ? SHMB_RING_EXACT : SHMB_RING_LAZY;
        ShmbRingSpan span;
        int r = 0;

        switch (what >> 4 & 3) {
        case 0:
                r = shmb_stream_send(&world->producer, message, n <= MAX_MESSAGE ? n : MAX_MESSAGE,
                                     look);
                break;
        case 1:
                r = shmb_stream_claim(&world->producer, n, look, &span);
                if (r == 0)
                        check_span(&span);
                break;
        case 2:
                (void)shmb_stream_commit(&world->producer, n);
                break;
        default:
                shmb_stream_abort(&world->producer);
        }
        assert(r == 0 || r == -EAGAIN || r == -EBADMSG || r == -EBUSY || r == -EMSGSIZE);
}

static void consume(World *world, uint8_t what) {
        uint32_t n = (uint32_t)program_take(&world->program, 1) % (MAX_MESSAGE + 2), i;
        uint8_t message[MAX_MESSAGE + 1];
        ShmbRingSpan span;
        int r = 0;

        switch (what >> 4 & 3) {
        case 0:
                r = shmb_stream_recv(&world->consumer, message, n);
                assert(r <= (int)n);
                break;
        case 1:
                r = shmb_stream_peek(&world->consumer, n, &span);
                if (r == 0)
                        check_span(&span);
                break;
        case 2:
                (void)shmb_stream_release(&world->consumer, n);
                break;
        default:
                (void)shmb_waker_look(&world->consumer.ring.waker,
                                      shmb_ring_consumer_lane(&world->consumer.ring));
        }
        assert(r >= 0 || r == -EAGAIN || r == -EBADMSG || r == -EBUSY || r == -EMSGSIZE);
        for (i = 0; i < N_LANES; i++) {
                const ShmbRingCursor *cursor = &world->consumer.ring.cursors[i];

                assert(cursor->tail - cursor->next <= CAPACITY);
        }
}

/* A word that matters, or any; small values are frames and counts that could be. */
static void scribble(World *world, uint8_t what, uint8_t *memory, size_t n_bytes) {
        uint64_t value = program_take(&world->program, what & 4 ? 8 : 2);
        size_t at = (size_t)program_take(&world->program, 2) % (n_bytes / 8) * 8;

        if ((what & 3) == 0)
                at = memory == seat_memory ? offsetof(ShmbSeat, places) +
                                                             offsetof(ShmbPlace, head)
                                           : offsetof(ShmbLane, tail);
        if ((what & 3) == 1)
                at = memory == seat_memory ? offsetof(ShmbSeat, places) +
                                                             offsetof(ShmbPlace, done)
                                           : offsetof(ShmbLane, slots) + at % 512;
        memcpy(memory + at, &value, sizeof(value));
}

static void run(World *world, bool produces) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (!(what & 0x80) && produces)
                        produce(world, what);
                else if (!(what & 0x80))
                        consume(world, what);
                else if (produces)
                        scribble(world, what, seat_memory, SEAT_SIZE);
                else if ((what & 0xf0) == 0xf0)
                        (void)shmb_ring_consumer_trust_lane(&world->consumer.ring, what & 1);
                else
                        scribble(world, what, lane_memory[what >> 3 & 1], LANE_SIZE);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static World world;
        ShmbRingResume resume;
        uint8_t how;

        world.program = (Program){data, size};
        how = (uint8_t)program_take(&world.program, 1);
        resume = how & 2 ? SHMB_RING_RESYNC : SHMB_RING_STRICT;
        world_init(&world);
        scribble(&world, 0, lane_memory[0], LANE_SIZE);
        scribble(&world, 1, seat_memory, SEAT_SIZE);
        if (how & 1) {
                if (shmb_stream_producer_init(&world.producer, &world.geometry, 0, &world.lanes[0],
                                              &world.seat, false) == 0)
                        run(&world, true);
        } else if (shmb_stream_consumer_init(&world.consumer, &world.geometry, &world.seat,
                                             world.lanes, resume, false) == 0) {
                run(&world, false);
        }
        return 0;
}
