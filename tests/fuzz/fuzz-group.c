/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Consumers that Compete
 *
 * The input is a program: each byte is an operation of an honest member, or of an honest producer,
 * or a hostile hand that writes into any word of a lane, of another member's seat or of the group,
 * or a broker that says who is attached and replaces objects. Only documented results may come out,
 * and no span lies outside of the slots.
 */

#include <assert.h>
#include <errno.h>

#include "memory/group.h"
#include "memory/ring-producer.h"
#include "tests/fuzz/program.h"

enum {
        N_LANES = 2,
        N_SEATS = 3,
        CAPACITY = 4,
        ITEM_SIZE = 16,
        OBJECT_SIZE = 0x2000,
        US = 5, /* our lease */
};

/* Lanes and the group twice: the newest, and the one before. */
typedef struct World {
        ShmbGeometry geometry;
        _Atomic uint32_t lane_epochs[N_LANES], seat_epochs[N_SEATS], group_epoch;
        ShmbMapped lanes[N_LANES], seats[N_SEATS], group;
        ShmbParty parties[N_SEATS];
        ShmbGroupMember member;
        ShmbRingProducer producer;
        Program program;
} World;

static _Alignas(SHMB_PAGE) uint8_t lane_memory[N_LANES][2][OBJECT_SIZE];
static _Alignas(SHMB_PAGE) uint8_t seat_memory[N_SEATS][OBJECT_SIZE];
static _Alignas(SHMB_PAGE) uint8_t group_memory[2][OBJECT_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void map(ShmbMapped *ret_mapped, uint8_t *memory, _Atomic uint32_t *epoch) {
        memset(memory, 0, OBJECT_SIZE);
        atomic_store(epoch, 1);
        *ret_mapped = (ShmbMapped){memory, OBJECT_SIZE, 1, epoch};
}

static void world_init(World *world) {
        uint32_t i;

        world->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = N_LANES,
                .n_seats = N_SEATS,
                .item_size = ITEM_SIZE,
                .item_align = 8,
                .capacity = CAPACITY,
        };
        assert(shmb_geometry_seal(&world->geometry) == 0);
        for (i = 0; i < N_LANES; i++)
                map(&world->lanes[i], lane_memory[i][0], &world->lane_epochs[i]);
        for (i = 0; i < N_SEATS; i++)
                map(&world->seats[i], seat_memory[i], &world->seat_epochs[i]);
        map(&world->group, group_memory[0], &world->group_epoch);
        memset(world->parties, 0, sizeof(world->parties));
        atomic_store(&world->parties[0].lease, US);
        atomic_store(&world->parties[0].occupancy, SHMB_PARTY_HELD);
}

static int member_init(World *world) {
        const ShmbGroupParams params = {
                .geometry = &world->geometry,
                .lease = US,
                .group = &world->group,
                .seats = world->seats,
                .lanes = world->lanes,
                .parties = world->parties,
        };

        return shmb_group_init(&world->member, &params);
}

/* In the slots of one lane, old or new. */
static void check_span(const ShmbRingSpan *span, int r) {
        size_t n_bytes = (size_t)CAPACITY * ITEM_SIZE;
        uint32_t i;

        if (r <= 0)
                return;
        assert(span->n == (uint32_t)r);
        for (i = 0; i < 2 * N_LANES; i++) {
                const ShmbLane *lane = (const ShmbLane *)(const void *)lane_memory[i / 2][i % 2];

                if (span->data >= lane->slots &&
                    span->data + (size_t)span->n * ITEM_SIZE <= lane->slots + n_bytes)
                        return;
        }
        assert(!"a span outside of all slots");
}

static void check_result(int r) {
        assert(r >= 0 || r == -EAGAIN || r == -EBADMSG || r == -EBUSY || r == -ESHUTDOWN ||
               r == -EINVAL);
}

static void consume(World *world, uint8_t what) {
        uint8_t items[CAPACITY * ITEM_SIZE];
        uint32_t n = what % (CAPACITY + 1);
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        ShmbRingSpan span;
        int r = 0;

        switch (what >> 4 & 7) {
        case 0:
                r = shmb_group_pop(&world->member, items, n);
                break;
        case 1:
                r = shmb_group_claim(&world->member, n, &span);
                if (n > 0)
                        check_span(&span, r);
                break;
        case 2:
                r = shmb_group_release(&world->member, n);
                break;
        case 3:
                r = shmb_group_look(&world->member);
                break;
        case 4:
                shmb_group_repair(&world->member);
                break;
        case 5:
                shmb_group_give_back(&world->member);
                break;
        case 6:
                (void)shmb_group_has_more(&world->member, what & 1);
                break;
        default:
                (void)shmb_group_sleep_words(&world->member, words);
        }
        check_result(r);
}

static void produce(World *world, uint8_t what) {
        const uint8_t items[CAPACITY * ITEM_SIZE] = {0};
        uint32_t n = what % (CAPACITY + 1);
        ShmbRingSpan span;
        int r;

        if (what & 0x10) {
                r = shmb_ring_claim_n(&world->producer, n, what >> 6 & 1, &span);
                if (n > 0)
                        check_span(&span, r);
        } else {
                r = shmb_ring_push_n(&world->producer, items, n, what >> 6 & 1);
        }
        check_result(r);
        if (what & 0x20)
                (void)shmb_ring_commit_n(&world->producer, n);
}

/* A word of the group, a count of a lane, or anything in the first page of another's object. */
static void scribble(World *world, uint8_t what) {
        uint64_t value = program_take(&world->program, 8);
        size_t at = (size_t)program_take(&world->program, 2);
        uint8_t *lane = world->lanes[what >> 2 & 1].memory;

        switch (what & 3) {
        case 0:
                memcpy((uint8_t *)world->group.memory + offsetof(ShmbGroup, words) +
                                       at % (N_LANES * CAPACITY) * 8,
                       &value, sizeof(value));
                break;
        case 1:
                memcpy(lane + offsetof(ShmbLane, tail), &value, sizeof(value));
                break;
        case 2:
                memcpy(lane + at % (SHMB_PAGE / 8) * 8, &value, sizeof(value));
                break;
        default:
                memcpy(seat_memory[1 + (what >> 2 & 1)] + at % (SHMB_PAGE / 8) * 8, &value,
                       sizeof(value));
        }
}

/* Who holds the other seats, with a lease that the words may name. */
static void attach(World *world, uint8_t what) {
        ShmbParty *party = &world->parties[1 + (what & 1)];

        atomic_store(&party->lease, program_take(&world->program, 1));
        atomic_store(&party->occupancy,
                     what & 2 ? (uint32_t)SHMB_PARTY_HELD : (uint32_t)SHMB_PARTY_VACANT);
}

static void replace_group(World *world) {
        uint8_t *old = world->group.memory;

        atomic_store(&world->group_epoch, ++world->group.epoch);
        world->group.memory = group_memory[world->group.epoch & 1];
        memcpy(world->group.memory, old, OBJECT_SIZE);
        check_result(shmb_group_switch_group(&world->member, &world->geometry, &world->group));
}

static void replace_lane(World *world, uint32_t index) {
        ShmbMapped *lane = &world->lanes[index];
        int r;

        atomic_store(&world->lane_epochs[index], ++lane->epoch);
        lane->memory = lane_memory[index][lane->epoch & 1];
        memset(lane->memory, 0, OBJECT_SIZE);
        r = shmb_group_switch_lane(&world->member, index, lane);
        check_result(r);
        /* This broker cannot wait: a new member starts in the new lane. */
        if (r < 0)
                assert(member_init(world) == 0);
}

static void run_member(World *world) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (!(what & 0x80))
                        consume(world, what);
                else if ((what & 0xf0) == 0xf0)
                        replace_lane(world, what & 1);
                else if ((what & 0xf0) == 0xe0)
                        replace_group(world);
                else if ((what & 0xf0) == 0xd0)
                        check_result(shmb_group_trust_lane(&world->member, what & 1));
                else if ((what & 0xf0) == 0xc0)
                        attach(world, what);
                else
                        scribble(world, what);
        }
}

static void run_producer(World *world) {
        while (world->program.size > 0) {
                uint8_t what = (uint8_t)program_take(&world->program, 1);

                if (what & 0x80)
                        /* But not in his own lane. */
                        scribble(world, what & 3 ? (what & 0xf8) | 3 : 0x80);
                else
                        produce(world, what);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static World world;
        uint8_t how;

        world.program = (Program){data, size};
        how = (uint8_t)program_take(&world.program, 1);
        world_init(&world);
        scribble(&world, how & 2 ? 1 : 0);
        if (how & 1) {
                if (shmb_ring_producer_init(&world.producer, &world.geometry, 0, &world.lanes[0],
                                            world.seats, false) == 0 &&
                    shmb_ring_producer_set_group(&world.producer, &world.geometry,
                                                 &world.group) == 0)
                        run_producer(&world);
        } else if (member_init(&world) == 0) {
                run_member(&world);
        }
        return 0;
}
