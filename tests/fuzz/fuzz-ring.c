/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Ring
 *
 * The input is a program: each byte is an operation of an honest producer, of an honest consumer,
 * or a hostile hand that writes eight bytes into any word that the other side may write, or has the
 * broker replace an object. Only documented results may come out, spans stay inside the slots,
 * nobody writes to memory that is not his, and the consumer's own place stays in order.
 */

#include <assert.h>
#include <errno.h>

#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"
#include "tests/fuzz/program.h"

enum {
        N_LANES = 2,
        CAPACITY = 4,
        ITEM_SIZE = 16,
        LANE_SIZE = 0x2000,
        SEAT_SIZE = 0x2000,
};

/* Each object twice: the newest, and the one before. */
typedef struct World {
        ShmbGeometry geometry;
        _Atomic uint32_t lane_epochs[N_LANES], seat_epoch;
        ShmbMapped lanes[N_LANES], seat;
        ShmbRingProducer producer; /* of lane 0 */
        ShmbRingConsumer consumer;
        Program program;
} World;

static _Alignas(SHMB_PAGE) uint8_t lane_memory[N_LANES][2][LANE_SIZE];
static _Alignas(SHMB_PAGE) uint8_t seat_memory[2][SEAT_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ShmbLane *lane_of(World *world, uint32_t index) {
        return world->lanes[index].memory;
}

static ShmbSeat *seat_of(World *world) {
        return world->seat.memory;
}

static void world_init(World *world) {
        uint32_t i;

        memset(lane_memory, 0, sizeof(lane_memory));
        memset(seat_memory, 0, sizeof(seat_memory));
        world->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = N_LANES,
                .n_seats = 1,
                .item_size = ITEM_SIZE,
                .item_align = 8,
                .capacity = CAPACITY,
        };
        assert(shmb_geometry_seal(&world->geometry) == 0);
        for (i = 0; i < N_LANES; i++) {
                atomic_store(&world->lane_epochs[i], 1);
                world->lanes[i] = (ShmbMapped){lane_memory[i][0], LANE_SIZE, 1,
                                               &world->lane_epochs[i]};
        }
        atomic_store(&world->seat_epoch, 1);
        world->seat = (ShmbMapped){seat_memory[0], SEAT_SIZE, 1, &world->seat_epoch};
}

static void check_result(int r) {
        assert(r >= 0 || r == -EAGAIN || r == -EBADMSG || r == -EBUSY);
}

/* In the slots of one lane, old or new. */
static void check_span(const ShmbRingSpan *span, int r) {
        size_t n_bytes = (size_t)CAPACITY * ITEM_SIZE, offset = 0;
        uint32_t i;

        check_result(r);
        if (r <= 0)
                return;
        assert(span->n == (uint32_t)r);
        for (i = 0; i < 2 * N_LANES; i++) {
                const ShmbLane *lane = (const ShmbLane *)(const void *)lane_memory[i / 2][i % 2];

                if (span->data < lane->slots || span->data >= lane->slots + n_bytes)
                        continue;
                offset = (size_t)(span->data - lane->slots);
                assert(n_bytes - offset >= (size_t)span->n * ITEM_SIZE);
                return;
        }
        assert(!"a span outside of all slots");
}

static void produce(World *world, uint8_t what) {
        uint8_t items[CAPACITY * ITEM_SIZE] = {0};
        uint32_t n = what % (CAPACITY + 1);
        ShmbRingSpan span;

        switch (what >> 4 & 3) {
        case 0:
                return check_result(shmb_ring_push_n(&world->producer, items, n, what >> 6 & 1));
        case 1:
                check_span(&span, shmb_ring_claim_n(&world->producer, n, what >> 6 & 1, &span));
                return;
        case 2:
                (void)shmb_ring_commit_n(&world->producer, n);
                return;
        default:
                shmb_ring_abort(&world->producer);
                (void)shmb_waker_look(&world->producer.waker, 0);
        }
}

static void consume(World *world, uint8_t what) {
        uint8_t items[CAPACITY * ITEM_SIZE];
        uint32_t n = what % (CAPACITY + 1), i;
        ShmbRingSpan span;
        int r;

        switch (what >> 4 & 3) {
        case 0:
                check_result(shmb_ring_pop_n(&world->consumer, items, n));
                break;
        case 1:
                r = shmb_ring_peek_n(&world->consumer, n, &span);
                check_span(&span, r);
                break;
        case 2:
                (void)shmb_ring_release_n(&world->consumer, n);
                break;
        default:
                (void)shmb_waker_look(&world->consumer.waker,
                                      shmb_ring_consumer_lane(&world->consumer));
        }
        for (i = 0; i < N_LANES; i++) {
                const ShmbRingCursor *cursor = &world->consumer.cursors[i];

                assert(cursor->next - cursor->head <= CAPACITY);
                assert(cursor->taken - cursor->next <= CAPACITY);
                assert(cursor->tail - cursor->next <= CAPACITY);
                assert(cursor->edge - cursor->next <= cursor->tail - cursor->next);
        }
}

/* The hand of a producer in what the consumer sees, or of a consumer in what the producer sees. */
static void scribble(World *world, uint8_t what, bool in_seat) {
        uint64_t value = program_take(&world->program, 8);
        ShmbPlace *place = &seat_of(world)->places[0];
        ShmbLane *lane = lane_of(world, what >> 4 & 1);

        switch (what & 3) {
        case 0:
                atomic_store(in_seat ? &place->head : &lane->tail, value);
                break;
        case 1:
                atomic_store(in_seat ? &place->done : &lane->tail, value);
                break;
        case 2:
                atomic_store(in_seat ? &seat_of(world)->sleep.seq : &lane->sleep.seq,
                             (uint32_t)value);
                break;
        default:
                atomic_store(in_seat ? &place->epoch : &lane->sleep.flags, (uint32_t)value);
                break;
        }
}

static void replace_lane(World *world, uint32_t index) {
        ShmbMapped *lane = &world->lanes[index];
        int r;

        atomic_store(&world->lane_epochs[index], lane->epoch + 1);
        lane->epoch++;
        lane->memory = lane_memory[index][lane->epoch & 1];
        memset(lane->memory, 0, LANE_SIZE);
        r = shmb_ring_consumer_switch_lane(&world->consumer, index, lane);
        assert(r == 0 || r == -EAGAIN || r == -EBUSY);
        if (r < 0) {
                /* This broker cannot wait: a new consumer starts in the new lane. */
                r = shmb_ring_consumer_init(&world->consumer, &world->geometry, &world->seat,
                                            world->lanes, SHMB_RING_RESYNC, false);
                assert(r == 0);
        }
}

static void replace_seat(World *world) {
        uint8_t *old = world->seat.memory;

        atomic_store(&world->seat_epoch, world->seat.epoch + 1);
        world->seat.epoch++;
        world->seat.memory = seat_memory[world->seat.epoch & 1];
        memcpy(world->seat.memory, old, SEAT_SIZE);
        assert(shmb_ring_producer_switch_seat(&world->producer, 0, &world->seat) == 0);
}

/* An honest party and a hostile one have each their own world: there is one hand in each. */
static void run_producer(World *world) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (!(what & 0x80))
                        produce(world, what);
                else if ((what & 0xf0) == 0xf0)
                        replace_seat(world);
                else
                        scribble(world, what, true);
        }
}

static void run_consumer(World *world) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (!(what & 0x80))
                        consume(world, what);
                else if ((what & 0xf0) == 0xf0)
                        replace_lane(world, what & 1);
                else
                        scribble(world, what, false);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static World world;
        uint64_t tail, done;

        world_init(&world);
        world.program = (Program){data, size};
        tail = program_take(&world.program, 8);
        done = program_take(&world.program, 8);
        atomic_store(&lane_of(&world, 0)->tail, tail);
        atomic_store(&seat_of(&world)->places[0].head, done);
        atomic_store(&seat_of(&world)->places[0].done, done);
        atomic_store(&seat_of(&world)->places[0].taken, tail);
        atomic_store(&seat_of(&world)->places[0].epoch, 1);
        if (program_take(&world.program, 1) & 1) {
                if (shmb_ring_producer_init(&world.producer, &world.geometry, 0, &world.lanes[0],
                                            &world.seat, false) == 0)
                        run_producer(&world);
        } else {
                if (shmb_ring_consumer_init(&world.consumer, &world.geometry, &world.seat,
                                            world.lanes, SHMB_RING_STRICT, false) == 0)
                        run_consumer(&world);
        }
        return 0;
}
