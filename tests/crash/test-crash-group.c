/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Competing Consumers outlive each of them, at each Instruction
 *
 * A member dies anywhere in taking, releasing, giving back or repairing; another one then gets each
 * item that was not done, once, in order, and counts those that the dead one held. So does a third
 * one after two deaths.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "memory/group.h"
#include "tests/crash/step.h"

enum {
        CAPACITY = 4,
        N_MEMBERS = 3,
        LAST = N_MEMBERS - 1,
        LEASE = 1000,
};

static StepMemory memory;
static ShmbGeometry geometry;
static _Atomic uint32_t newest = 1;
static ShmbMapped lane, group, seats[N_MEMBERS];
static ShmbParty parties[N_MEMBERS];
static ShmbGroupMember members[N_MEMBERS];
static ShmbSlots slots;
static uint64_t first_item;
static uint32_t dying;

static ShmbMapped object(uint8_t **at, ShmbObjectKind kind) {
        size_t n_bytes = (size_t)shmb_geometry_object_size(&geometry, kind);
        ShmbMapped mapped = {*at, n_bytes, 1, &newest};

        *at += n_bytes;
        return mapped;
}

static int setup(void **state) {
        uint8_t *at;
        uint32_t i;

        geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = N_MEMBERS,
                .item_size = 8,
                .item_align = 8,
                .capacity = CAPACITY,
        };
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        step_memory_init(&memory, STEP_MEMORY_MAX);
        at = memory.bytes;
        lane = object(&at, SHMB_OBJECT_LANE);
        group = object(&at, SHMB_OBJECT_GROUP);
        for (i = 0; i < N_MEMBERS; i++)
                seats[i] = object(&at, SHMB_OBJECT_SEAT);
        assert_true(at <= memory.bytes + memory.n_bytes);
        return 0;
}

static int teardown(void **state) {
        step_memory_deinit(&memory);
        return 0;
}

static void occupy(uint32_t index, ShmbOccupancy occupancy) {
        atomic_store(&parties[index].lease, occupancy == SHMB_PARTY_HELD ? LEASE + index : 0);
        atomic_store(&parties[index].occupancy, (uint32_t)occupancy);
}

static void attach(uint32_t index) {
        ShmbGroupParams params;

        occupy(index, SHMB_PARTY_HELD);
        params = (ShmbGroupParams){
                .geometry = &geometry,
                .index = index,
                .lease = LEASE + index,
                .group = &group,
                .seats = seats,
                .lanes = &lane,
                .parties = parties,
        };
        assert_int_equal(shmb_group_init(&members[index], &params), 0);
}

/* A full lane, whose first item has number @first; @dies is who acts. */
static void begin(uint64_t first, uint32_t dies) {
        uint64_t i;

        memset(memory.bytes, 0, memory.n_bytes);
        memset(parties, 0, sizeof(parties));
        first_item = first;
        dying = dies;
        slots = shmb_slots_of(&geometry, group.memory, 0, lane.epoch);
        for (i = first > CAPACITY ? first - CAPACITY : 0; i < first; i++)
                atomic_store(shmb_slots_at(&slots, i),
                             shmb_slots_word(&slots, i, 0, SHMB_SLOT_DONE));
        for (i = first; i < first + CAPACITY; i++)
                memcpy(((ShmbLane *)lane.memory)->slots + i % CAPACITY * geometry.stride, &i,
                       sizeof(i));
        atomic_store(&((ShmbLane *)lane.memory)->tail, first + CAPACITY);
        for (i = 0; i < N_MEMBERS; i++)
                attach((uint32_t)i);
}

static int peek(ShmbGroupMember *member, uint32_t n) {
        ShmbRingSpan span;

        return shmb_group_claim(member, n, &span);
}

static void act_peek_and_release(void) {
        peek(&members[dying], 2);
        shmb_group_release(&members[dying], 2);
        peek(&members[dying], 1);
        shmb_group_release(&members[dying], 1);
}

static void act_leave(void) {
        peek(&members[dying], 3);
        shmb_group_release(&members[dying], 1);
        shmb_group_give_back(&members[dying]);
}

static void act_repair_and_peek(void) {
        shmb_group_repair(&members[dying]);
        peek(&members[dying], 2);
        shmb_group_release(&members[dying], 1);
}

/* The last member alone: all that is not done, once, in order. */
static void expect_the_rest(void) {
        uint64_t i, number, n_held = 0, counted, room;
        bool done[CAPACITY];
        ShmbRingSpan span;

        counted = ((ShmbSeat *)seats[LAST].memory)->counters.n_redelivered;
        for (i = first_item; i < first_item + CAPACITY; i++) {
                number = atomic_load(shmb_slots_at(&slots, i));
                done[i - first_item] = shmb_slots_is_done(&slots, i, number);
                n_held += (number & 3) == SHMB_SLOT_HELD;
        }
        attach(LAST);
        assert_int_equal(((ShmbSeat *)seats[LAST].memory)->counters.n_redelivered,
                         counted + n_held);
        for (i = first_item; i < first_item + CAPACITY; i++) {
                if (done[i - first_item])
                        continue;
                assert_int_equal(shmb_group_claim(&members[LAST], 1, &span), 1);
                memcpy(&number, span.data, sizeof(number));
                assert_int_equal(number, i);
                assert_int_equal(shmb_group_release(&members[LAST], 1), 0);
        }
        assert_int_equal(peek(&members[LAST], 1), -EAGAIN);
        room = shmb_slots_done_below(&slots, first_item, first_item + CAPACITY);
        assert_int_equal(room, first_item + CAPACITY);
}

static void check(bool is_over) {
        occupy(0, SHMB_PARTY_VACANT);
        occupy(1, SHMB_PARTY_VACANT);
        expect_the_rest();
        occupy(0, SHMB_PARTY_HELD);
        occupy(1, SHMB_PARTY_HELD);
}

static void test_member_dies_anywhere(void **state) {
        void (*const acts[])(void) = {act_peek_and_release, act_leave};
        const uint64_t firsts[] = {0, 4, 7, 4 * 1000 + 2};
        size_t i, k;

        for (i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
                for (k = 0; k < sizeof(firsts) / sizeof(*firsts); k++) {
                        begin(firsts[k], 0);
                        assert_true(step_through(&memory, acts[i], check, NULL) > 50);
                }
        }
}

static StepStates states;

static void check_nothing(bool is_over) {
}

/* What the first leaves behind, the second repairs, and dies at it. */
static void test_two_members_die_anywhere(void **state) {
        size_t i, n;

        begin(6, 0);
        assert_true(step_through(&memory, act_peek_and_release, check_nothing, &states) > 50);
        n = states.n_states;
        assert_true(n > 5);
        for (i = 0; i < n; i++) {
                memcpy(memory.bytes, states.bytes[i], memory.n_bytes);
                dying = 1;
                occupy(0, SHMB_PARTY_VACANT);
                occupy(1, SHMB_PARTY_HELD);
                assert_true(step_through(&memory, act_repair_and_peek, check, NULL) > 50);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_member_dies_anywhere),
                cmocka_unit_test(test_two_members_die_anywhere),
        };

        if (!step_is_possible()) {
                printf("skipped: this process may not trace its child (ptrace)\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, setup, teardown);
}
