/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Broadcast without Regard for the Slow, and the Latest Value
 *
 * The input is a program: each byte is an operation of an honest party, or a hostile hand that
 * writes into any word of its peer, or has the broker replace a lane. Only documented results may
 * come out, a consumer stays inside its own bounds, and a producer believes nothing of a seat.
 */

#include <assert.h>
#include <errno.h>

#include "memory/cast.h"
#include "tests/fuzz/program.h"

enum {
        N_LANES = 2,
        CAPACITY = 4,
        ITEM_SIZE = 16,
        N_COPIES = 3,
        OBJECT_SIZE = 0x2000,
};

typedef struct World {
        ShmbGeometry geometry;
        _Atomic uint32_t epochs[N_LANES], seat_epoch;
        ShmbMapped lanes[N_LANES], seat;
        ShmbCastProducer producer;
        ShmbCastConsumer consumer;
        Program program;
} World;

static _Alignas(SHMB_PAGE) uint8_t lane_memory[N_LANES][2][OBJECT_SIZE];
static _Alignas(SHMB_PAGE) uint8_t seat_memory[OBJECT_SIZE];
static _Alignas(SHMB_LINE) uint8_t copies[N_COPIES * 2 * ITEM_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void world_init(World *world, bool latest) {
        uint32_t i;

        memset(lane_memory, 0, sizeof(lane_memory));
        memset(seat_memory, 0, sizeof(seat_memory));
        world->geometry = (ShmbGeometry){
                .kind = latest ? SHMB_KIND_LATEST : SHMB_KIND_BROADCAST,
                .delivery = latest ? SHMB_DELIVERY_NONE : SHMB_DELIVERY_LOSSY,
                .n_lanes = latest ? 1 : N_LANES,
                .n_seats = 1,
                .item_size = ITEM_SIZE,
                .item_align = 8,
                .capacity = latest ? CAPACITY - 1 : CAPACITY,
        };
        assert(shmb_geometry_seal(&world->geometry) == 0);
        for (i = 0; i < N_LANES; i++) {
                atomic_store(&world->epochs[i], 1);
                world->lanes[i] = (ShmbMapped){lane_memory[i][0], OBJECT_SIZE, 1,
                                               &world->epochs[i]};
        }
        atomic_store(&world->seat_epoch, 1);
        world->seat = (ShmbMapped){seat_memory, OBJECT_SIZE, 1, &world->seat_epoch};
}

static void consume(World *world, uint8_t what) {
        uint8_t items[CAPACITY * ITEM_SIZE];
        uint32_t n = what % (CAPACITY + 1), i;
        ShmbRingSpan span = {0};
        int r = 0;

        switch (what >> 4 & 3) {
        case 0:
                r = shmb_cast_read(&world->consumer, items, n);
                break;
        case 1:
                r = shmb_cast_peek(&world->consumer, n, &span);
                assert(r <= 0 || (span.data == copies && span.n == (uint32_t)r && r <= N_COPIES));
                break;
        case 2:
                (void)shmb_cast_release(&world->consumer, n);
                break;
        default:
                r = shmb_cast_look(&world->consumer);
        }
        assert(r <= (int)n && (r >= 0 || r == -EAGAIN || r == -EBADMSG || r == -EBUSY));
        for (i = 0; i < world->geometry.n_lanes; i++)
                assert(world->consumer.cursors[i].next <= world->consumer.cursors[i].tail);
}

static void produce(World *world, uint8_t what) {
        const uint8_t items[CAPACITY * ITEM_SIZE] = {0};
        const ShmbLane *lane = world->lanes[0].memory;
        uint32_t n = 1 + what % CAPACITY;
        ShmbRingSpan span;
        int r;

        switch (what >> 4 & 3) {
        case 0:
                r = shmb_cast_publish(&world->producer, items, n);
                assert(r == (int)n || r == -EBUSY);
                break;
        case 1:
                r = shmb_cast_claim(&world->producer, n, &span);
                assert(r >= 1 && (uint32_t)r <= n && span.n == (uint32_t)r);
                assert(span.data >= lane->slots &&
                       span.data + (size_t)r * ITEM_SIZE <=
                                       lane->slots + world->geometry.capacity * ITEM_SIZE);
                break;
        case 2:
                (void)shmb_cast_commit(&world->producer, n);
                break;
        default:
                (void)shmb_waker_look(&world->producer.waker, 0);
        }
        assert(world->producer.claimed - world->producer.tail <= world->geometry.capacity);
}

/* Any eight bytes of the first page, or those that matter most. */
static void scribble(World *world, uint8_t what, uint8_t *memory) {
        uint64_t value = program_take(&world->program, 8);
        size_t at = what & 2 ? (size_t)program_take(&world->program, 2) % (SHMB_PAGE / 8) * 8
                    : what & 1 ? offsetof(ShmbLane, claimed)
                               : offsetof(ShmbLane, tail);

        memcpy(memory + at, &value, sizeof(value));
}

static void replace_lane(World *world, uint32_t index) {
        ShmbMapped *lane = &world->lanes[index];
        int r;

        atomic_store(&world->epochs[index], lane->epoch + 1);
        lane->epoch++;
        lane->memory = lane_memory[index][lane->epoch & 1];
        memset(lane->memory, 0, OBJECT_SIZE);
        r = shmb_cast_switch_lane(&world->consumer, index, lane);
        assert(r == 0 || r == -EAGAIN || r == -EBUSY);
        if (r < 0)
                assert(shmb_cast_consumer_init(&world->consumer, &world->geometry, &world->seat,
                                               world->lanes, copies, N_COPIES) == 0);
}

static void run_consumer(World *world) {
        uint32_t index;

        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                index = (what >> 2 & 1) % world->geometry.n_lanes;
                if (!(what & 0x80))
                        consume(world, what);
                else if ((what & 0xf0) == 0xf0)
                        replace_lane(world, index);
                else if ((what & 0xf0) == 0xe0)
                        (void)shmb_cast_trust_lane(&world->consumer, index);
                else if ((what & 0xf0) == 0xd0)
                        (void)shmb_cast_lose(&world->consumer, index);
                else
                        scribble(world, what, world->lanes[index].memory);
        }
}

static void run_producer(World *world) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (what & 0x80)
                        scribble(world, what, seat_memory);
                else
                        produce(world, what);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static World world;
        uint8_t how;

        world.program = (Program){data, size};
        how = (uint8_t)program_take(&world.program, 1);
        world_init(&world, how & 2);
        scribble(&world, 0, lane_memory[0][0]);
        scribble(&world, 1, lane_memory[0][0]);
        if (how & 1) {
                if (shmb_cast_producer_init(&world.producer, &world.geometry, &world.lanes[0],
                                            &world.seat, false) == 0)
                        run_producer(&world);
        } else if (shmb_cast_consumer_init(&world.consumer, &world.geometry, &world.seat,
                                           world.lanes, copies, N_COPIES) == 0) {
                run_consumer(&world);
        }
        return 0;
}
