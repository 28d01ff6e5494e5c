/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Ring outlives each of its Users, at each Instruction
 *
 * Promises P5 and P6: an item is delivered whole or not at all, in order; none that was published
 * is lost; what a dead consumer held comes again and is counted; whoever is left goes on, and so
 * does the successor, himself killed at each instruction as well.
 *
 * Item i carries the number i in each of its words.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "memory/ring-consumer.h"
#include "memory/ring-producer.h"
#include "tests/crash/step.h"

enum {
        CAPACITY = 4,
        ITEM_WORDS = 3,
        /* What the child copied out, beside the objects. */
        OUT_WORDS = 2 * CAPACITY * ITEM_WORDS,
};

#define NOTHING UINT64_MAX

typedef struct Scene {
        uint64_t first, n_items; /* in the ring when the operation begins */
} Scene;

static StepMemory memory;
static ShmbGeometry geometry;
static _Atomic uint32_t epochs[3] = {1, 1, 1};
static ShmbMapped lane, seat, next_lane;
static uint64_t *out;
static ShmbRingProducer producer;
static ShmbRingConsumer consumer;
static Scene scene;
static StepStates states;

static ShmbMapped object(uint8_t **at, ShmbObjectKind kind, uint32_t epoch,
                         const _Atomic uint32_t *newest) {
        uint64_t n_bytes = shmb_geometry_object_size(&geometry, kind);
        ShmbMapped mapped = {*at, (size_t)n_bytes, epoch, newest};

        *at += mapped.n_bytes;
        return mapped;
}

static int setup(void **state) {
        uint8_t *at;

        geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = 8 * ITEM_WORDS,
                .item_align = 8,
                .capacity = CAPACITY,
        };
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        step_memory_init(&memory, 0x7000);
        at = memory.bytes;
        seat = object(&at, SHMB_OBJECT_SEAT, 1, &epochs[0]);
        lane = object(&at, SHMB_OBJECT_LANE, 1, &epochs[1]);
        next_lane = object(&at, SHMB_OBJECT_LANE, 2, &epochs[2]);
        out = (uint64_t *)(void *)at;
        assert_true(at + OUT_WORDS * 8 <= memory.bytes + memory.n_bytes);
        return 0;
}

static int teardown(void **state) {
        step_memory_deinit(&memory);
        return 0;
}

static ShmbPlace *place(void) {
        return ((ShmbSeat *)seat.memory)->places;
}

static int push(ShmbRingProducer *with, uint64_t number) {
        uint64_t item[ITEM_WORDS];
        uint32_t i;

        for (i = 0; i < ITEM_WORDS; i++)
                item[i] = number;
        return shmb_ring_push_n(with, item, 1, SHMB_RING_EXACT);
}

static void pop_expecting(ShmbRingConsumer *with, uint64_t number) {
        uint64_t item[ITEM_WORDS];
        uint32_t i;

        assert_int_equal(shmb_ring_pop_n(with, item, 1), 1);
        for (i = 0; i < ITEM_WORDS; i++)
                assert_int_equal(item[i], number);
}

/* @n_items in the ring, the first of them with number @first; both ends attached. */
static void begin(uint64_t first, uint64_t n_items) {
        uint64_t i;

        memset(memory.bytes, 0, memory.n_bytes);
        memset(out, 0xff, OUT_WORDS * 8);
        atomic_store(&epochs[1], 1);
        scene = (Scene){first, n_items};
        atomic_store(&((ShmbLane *)lane.memory)->tail, first);
        atomic_store(&place()->head, first);
        atomic_store(&place()->done, first);
        atomic_store(&place()->taken, first);
        atomic_store(&place()->epoch, 1);
        assert_int_equal(shmb_ring_producer_init(&producer, &geometry, 0, &lane, &seat, false), 0);
        assert_int_equal(shmb_ring_consumer_init(&consumer, &geometry, &seat, &lane,
                                                 SHMB_RING_STRICT, false), 0);
        for (i = 0; i < n_items; i++)
                assert_int_equal(push(&producer, first + i), 1);
}

/* What the dying do. */

static void act_push(void) {
        push(&producer, scene.first + scene.n_items);
        shmb_waker_look(&producer.waker, 0);
}

static void act_push_two(void) {
        uint64_t items[2][ITEM_WORDS], i, k;

        for (i = 0; i < 2; i++)
                for (k = 0; k < ITEM_WORDS; k++)
                        items[i][k] = scene.first + scene.n_items + i;
        shmb_ring_push_n(&producer, items, 2, SHMB_RING_EXACT);
}

static void act_claim_commit(void) {
        ShmbRingSpan span;
        uint32_t i;

        if (shmb_ring_claim_n(&producer, 1, SHMB_RING_EXACT, &span) != 1)
                return;
        for (i = 0; i < ITEM_WORDS; i++)
                ((uint64_t *)(void *)span.data)[i] = scene.first + scene.n_items;
        shmb_ring_commit_n(&producer, 1);
}

static void act_pop(void) {
        shmb_ring_pop_n(&consumer, out, 1);
        shmb_waker_look(&consumer.waker, 0);
}

static void act_pop_two(void) {
        shmb_ring_pop_n(&consumer, out, 2);
}

static void act_peek_release(void) {
        ShmbRingSpan span;
        int r;

        r = shmb_ring_peek_n(&consumer, 2, &span);
        if (r < 0)
                return;
        memcpy(out, span.data, (size_t)r * 8 * ITEM_WORDS);
        shmb_ring_release_n(&consumer, 1);
}

static void act_init_producer(void) {
        if (shmb_ring_producer_init(&producer, &geometry, 0, &lane, &seat, false) == 0)
                push(&producer, atomic_load(&((ShmbLane *)lane.memory)->tail));
}

static void act_init_consumer(void) {
        if (shmb_ring_consumer_init(&consumer, &geometry, &seat, &lane, SHMB_RING_STRICT,
                                    false) == 0)
                shmb_ring_pop_n(&consumer, out, 1);
}

static void act_switch_lane(void) {
        if (shmb_ring_consumer_switch_lane(&consumer, 0, &next_lane) == 0)
                shmb_ring_pop_n(&consumer, out, 1);
}

/* What those find who are left: a consumer that outlives the producer, and the next producer. */
static void check_after_producer(uint64_t n_items_min, uint64_t n_items_max) {
        static ShmbRingConsumer survivor;
        static ShmbRingProducer successor;
        uint64_t tail = atomic_load(&((ShmbLane *)lane.memory)->tail), i;
        uint64_t item[ITEM_WORDS];

        assert_in_range(tail - scene.first, n_items_min, n_items_max);
        survivor = consumer;
        /* the handle points into itself */
        survivor.cursor = survivor.cursors;
        for (i = scene.first; i != tail; i++)
                pop_expecting(&survivor, i);
        assert_int_equal(shmb_ring_pop_n(&survivor, item, 1), -EAGAIN);
        assert_int_equal(shmb_ring_producer_init(&successor, &geometry, 0, &lane, &seat, false), 0);
        for (i = tail; i != tail + CAPACITY; i++)
                assert_int_equal(push(&successor, i), 1);
        assert_int_equal(push(&successor, i), -EAGAIN);
        for (i = tail; i != tail + CAPACITY; i++)
                pop_expecting(&survivor, i);
}

/* As many of the @n pushed items as there was room for. */
static uint64_t pushed_at_most(uint64_t n) {
        uint64_t room = CAPACITY - scene.n_items;

        return scene.n_items + (n < room ? n : room);
}

static void check_push_one(bool is_over) {
        check_after_producer(is_over ? pushed_at_most(1) : scene.n_items, pushed_at_most(1));
}

static void check_push_two(bool is_over) {
        check_after_producer(is_over ? pushed_at_most(2) : scene.n_items, pushed_at_most(2));
}

/* A producer that outlives the consumer, and the next consumer. */
static void check_after_consumer(uint64_t n_done_min, uint64_t n_done_max, uint64_t n_seen_max) {
        static ShmbRingProducer survivor;
        static ShmbRingConsumer successor;
        uint64_t tail = scene.first + scene.n_items, done = atomic_load(&place()->done), i;
        uint64_t n_held = atomic_load(&place()->taken) - done;
        uint64_t n_redelivered = ((ShmbSeat *)seat.memory)->counters.n_redelivered;

        assert_in_range(done - scene.first, n_done_min, n_done_max);
        assert_in_range(n_held, 0, n_seen_max);
        /* whatever the dead one began to copy out, it had taken before */
        for (i = 0; i < n_seen_max; i++)
                if (out[i * ITEM_WORDS] != NOTHING)
                        assert_true(done + n_held - scene.first >
                                    out[i * ITEM_WORDS] - scene.first);

        survivor = producer;
        for (i = tail; i != done + CAPACITY; i++)
                assert_int_equal(push(&survivor, i), 1);
        assert_int_equal(push(&survivor, i), -EAGAIN);
        assert_int_equal(shmb_ring_consumer_init(&successor, &geometry, &seat, &lane,
                                                 SHMB_RING_STRICT, false), 0);
        assert_int_equal(((ShmbSeat *)seat.memory)->counters.n_redelivered,
                         n_redelivered + n_held);
        for (i = done; i != done + CAPACITY; i++)
                pop_expecting(&successor, i);
        for (i = done + CAPACITY; i != done + 2 * CAPACITY; i++)
                assert_int_equal(push(&survivor, i), 1);
        for (i = done + CAPACITY; i != done + 2 * CAPACITY; i++)
                pop_expecting(&successor, i);
}

static uint64_t there_at_most(uint64_t n) {
        return n < scene.n_items ? n : scene.n_items;
}

static void check_pop_one(bool is_over) {
        check_after_consumer(is_over ? there_at_most(1) : 0, there_at_most(1), there_at_most(1));
}

static void check_pop_two(bool is_over) {
        check_after_consumer(is_over ? there_at_most(2) : 0, there_at_most(2), there_at_most(2));
}

static void check_peek_release(bool is_over) {
        check_after_consumer(is_over ? there_at_most(1) : 0, there_at_most(1), there_at_most(2));
}

/*
 * A ring of each filling, also where the slots end and where the indices wrap; the fast path, where
 * both ends have looked at each other, and the one that looks.
 */
static void step_all_scenes(void (*act)(void), void (*check)(bool is_over)) {
        static const uint64_t firsts[] = {0, 3, UINT64_MAX - 1};
        uint64_t i, n_items;

        for (i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
                for (n_items = 0; n_items <= CAPACITY; n_items++) {
                        begin(firsts[i], n_items);
                        /* it was the operation that was stepped through */
                        assert_true(step_through(&memory, act, check, NULL) > 30);
                        begin(firsts[i], n_items);
                        shmb_ring_producer_look(&producer, SHMB_RING_EXACT);
                        shmb_ring_consumer_look(&consumer);
                        assert_true(step_through(&memory, act, check, NULL) > 30);
                }
        }
}

static void test_push_killed_at_each_instruction(void **state) {
        step_all_scenes(act_push, check_push_one);
}

static void test_push_n_killed_at_each_instruction(void **state) {
        step_all_scenes(act_push_two, check_push_two);
}

static void test_claim_and_commit_killed_at_each_instruction(void **state) {
        step_all_scenes(act_claim_commit, check_push_one);
}

static void test_pop_killed_at_each_instruction(void **state) {
        step_all_scenes(act_pop, check_pop_one);
}

static void test_pop_n_killed_at_each_instruction(void **state) {
        step_all_scenes(act_pop_two, check_pop_two);
}

static void test_peek_and_release_killed_at_each_instruction(void **state) {
        step_all_scenes(act_peek_release, check_peek_release);
}

/* The second death: of a successor, wherever the first one was. */
static void step_successor(void (*act)(void), void (*check)(bool is_over)) {
        size_t i;

        assert_true(states.n_states > 2);
        for (i = 0; i < states.n_states; i++) {
                memcpy(memory.bytes, states.bytes[i], memory.n_bytes);
                memset(out, 0xff, OUT_WORDS * 8);
                step_through(&memory, act, check, NULL);
        }
}

static void check_nothing(bool is_over) {
}

static void check_after_two_producers(bool is_over) {
        check_after_producer(scene.n_items, scene.n_items + 2);
}

static void test_producer_and_its_successor_both_killed(void **state) {
        begin(3, 1);
        step_through(&memory, act_push, check_nothing, &states);
        step_successor(act_init_producer, check_after_two_producers);
}

static void check_after_two_consumers(bool is_over) {
        check_after_consumer(0, 2, 2);
}

static void test_consumer_and_its_successor_both_killed(void **state) {
        begin(3, 3);
        step_through(&memory, act_peek_release, check_nothing, &states);
        step_successor(act_init_consumer, check_after_two_consumers);
}

/* The old lane is drained; the new one holds three items already. */
static void check_after_switch(bool is_over) {
        static ShmbRingProducer survivor;
        static ShmbRingConsumer successor;
        uint64_t i, done;

        assert_int_equal(shmb_ring_consumer_init(&successor, &geometry, &seat, &next_lane,
                                                 SHMB_RING_STRICT, false), 0);
        done = atomic_load(&place()->done);
        assert_in_range(done, is_over ? 1 : 0, 1);
        assert_int_equal(shmb_ring_producer_init(&survivor, &geometry, 0, &next_lane, &seat, false),
                         0);
        for (i = 3; i != done + CAPACITY; i++)
                assert_int_equal(push(&survivor, i), 1);
        assert_int_equal(push(&survivor, i), -EAGAIN);
        for (i = done; i != done + CAPACITY; i++)
                pop_expecting(&successor, i);
}

static void test_switch_to_a_new_lane_killed_at_each_instruction(void **state) {
        static ShmbRingProducer next;
        uint64_t i;

        begin(1000, 2);
        pop_expecting(&consumer, 1000);
        pop_expecting(&consumer, 1001);
        atomic_store(&epochs[1], 2);
        atomic_store(&epochs[2], 2);
        assert_int_equal(shmb_ring_producer_init(&next, &geometry, 0, &next_lane, &seat, false), 0);
        for (i = 0; i < 3; i++)
                assert_int_equal(push(&next, i), 1);
        assert_true(step_through(&memory, act_switch_lane, check_after_switch, NULL) > 30);
}

/* Stopped for as long as the others like, then let go on: nothing was decided by the clock. */

static void drain_meanwhile(void) {
        uint64_t tail = atomic_load(&((ShmbLane *)lane.memory)->tail), i;

        for (i = scene.first; i != tail; i++)
                pop_expecting(&consumer, i);
        scene.first = i;
}

static void test_push_stopped_at_each_instruction_and_continued(void **state) {
        bool is_inside;
        size_t n;

        for (n = 0, is_inside = true; is_inside; n++) {
                begin(3, 2);
                is_inside = step_pause(act_push, n, drain_meanwhile);
                assert_int_equal(atomic_load(&((ShmbLane *)lane.memory)->tail), 6);
                for (; scene.first != 6; scene.first++)
                        pop_expecting(&consumer, scene.first);
        }
        assert_true(n > 30);
}

static void fill_meanwhile(void) {
        uint64_t tail = scene.first + scene.n_items;

        while (push(&producer, tail) == 1)
                tail++;
        scene.n_items = tail - scene.first;
}

static void test_pop_stopped_at_each_instruction_and_continued(void **state) {
        static ShmbRingConsumer next;
        uint64_t i;
        bool is_inside;
        size_t n;

        for (n = 0, is_inside = true; is_inside; n++) {
                begin(3, 3);
                shmb_ring_consumer_look(&consumer);
                is_inside = step_pause(act_pop, n, fill_meanwhile);
                for (i = 0; i < ITEM_WORDS; i++)
                        assert_int_equal(out[i], 3);
                assert_int_equal(shmb_ring_consumer_init(&next, &geometry, &seat, &lane,
                                                         SHMB_RING_STRICT, false), 0);
                for (i = 4; i != 3 + scene.n_items; i++)
                        pop_expecting(&next, i);
        }
        assert_true(n > 30);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_push_killed_at_each_instruction),
                TEST(test_push_n_killed_at_each_instruction),
                TEST(test_claim_and_commit_killed_at_each_instruction),
                TEST(test_pop_killed_at_each_instruction),
                TEST(test_pop_n_killed_at_each_instruction),
                TEST(test_peek_and_release_killed_at_each_instruction),
                TEST(test_producer_and_its_successor_both_killed),
                TEST(test_consumer_and_its_successor_both_killed),
                TEST(test_switch_to_a_new_lane_killed_at_each_instruction),
                TEST(test_push_stopped_at_each_instruction_and_continued),
                TEST(test_pop_stopped_at_each_instruction_and_continued),
        };

        if (!step_is_possible()) {
                printf("skipped: this process may not trace its child (ptrace)\n");
                return 77;
        }
        return cmocka_run_group_tests_name("crash-ring", tests, NULL, NULL);
}
