/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory of a Queue
 *
 * What is reserved and given back for each thing that is said, and that no lie takes memory from
 * under anybody else.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/core/segments.h"

enum {
        SEGMENT = 64, /* items: one page */
        CAPACITY = 8 * SEGMENT,
};

static const ShmbGeometry queue = {
        .kind = SHMB_KIND_QUEUE,
        .n_lanes = 2,
        .n_seats = 1,
        .item_size = 64,
        .item_align = 8,
        .stride = 64,
        .capacity = CAPACITY,
        .segment = 4096,
};

static RegionSegments segments;
static SegmentsEffects effects;

static int setup(void **state) {
        segments = segments_first(&queue, SHMB_OBJECT_LANE);
        memset(&effects, 0, sizeof(effects));
        return 0;
}

static int produced(uint64_t published, uint64_t wanted) {
        int r = segments_produced(&segments, &queue, published, wanted, &effects);

        if (r == 0)
                segments_set_backed(&segments, effects.back_to);
        return r;
}

static int consumed(uint64_t released) {
        int r = segments_consumed(&segments, &queue, released, &effects);

        if (r == 0)
                segments_set_backed(&segments, effects.back_to);
        return r;
}

static void expect(uint64_t freed, uint64_t backed) {
        assert_int_equal(segments.freed, freed);
        assert_int_equal(segments.backed, backed);
}

static void test_lane_of_a_queue_is_born_with_one_segment(void **state) {
        ShmbGeometry ring;

        memcpy(&ring, &queue, sizeof(ring));
        ring.kind = SHMB_KIND_RING;
        expect(0, SEGMENT);
        assert_int_equal(segments_first(&queue, SHMB_OBJECT_SEAT).backed, 0);
        assert_int_equal(segments_first(&ring, SHMB_OBJECT_LANE).backed, 0);
}

static void test_producer_gets_whole_segments_up_to_the_capacity(void **state) {
        assert_int_equal(produced(10, SEGMENT + 1), 0);
        assert_int_equal(effects.back_from, SEGMENT);
        assert_int_equal(effects.back_to, 2 * SEGMENT);
        assert_int_equal(effects.free_from, effects.free_to);
        expect(0, 2 * SEGMENT);
        /* what there is already is not reserved again */
        assert_int_equal(produced(10, 20), 0);
        expect(0, 2 * SEGMENT);
        /* and the segment that is the first one again */
        assert_int_equal(produced(2 * SEGMENT, CAPACITY + 2 * SEGMENT), 0);
        expect(0, CAPACITY + SEGMENT);
}

/* The producer may be behind the consumer in one segment, and in front of him in the same. */
static void test_memory_that_is_used_again_is_not_given_back(void **state) {
        assert_int_equal(produced(0, CAPACITY), 0);
        assert_int_equal(produced(CAPACITY, CAPACITY + 1), 0);
        expect(0, CAPACITY + SEGMENT);
        assert_int_equal(consumed(2 * SEGMENT), 0);
        assert_int_equal(effects.free_from, SEGMENT);
        assert_int_equal(effects.free_to, 2 * SEGMENT);
        expect(2 * SEGMENT, CAPACITY + SEGMENT);
}

static void test_memory_is_given_back_where_both_are_done(void **state) {
        assert_int_equal(produced(0, 4 * SEGMENT), 0);
        /* the consumer says more than the producer ever published */
        assert_int_equal(consumed(4 * SEGMENT), 0);
        expect(0, 4 * SEGMENT);
        assert_int_equal(effects.free_from, effects.free_to);
        /* as soon as he did, it counts */
        assert_int_equal(produced(2 * SEGMENT + 1, 0), 0);
        assert_int_equal(effects.free_from, 0);
        assert_int_equal(effects.free_to, 2 * SEGMENT);
        expect(2 * SEGMENT, 4 * SEGMENT);
        /* a part of a segment is kept */
        assert_int_equal(produced(4 * SEGMENT, 0), 0);
        expect(4 * SEGMENT, 4 * SEGMENT);
}

static void test_consumer_never_goes_back(void **state) {
        assert_int_equal(produced(SEGMENT, 2 * SEGMENT), 0);
        assert_int_equal(consumed(SEGMENT), 0);
        expect(SEGMENT, 2 * SEGMENT);
        assert_int_equal(consumed(0), 0);
        expect(SEGMENT, 2 * SEGMENT);
        assert_int_equal(effects.free_from, effects.free_to);
}

static void test_room_that_comes_back_goes_to_who_waits_for_it(void **state) {
        assert_int_equal(produced(0, CAPACITY), 0);
        assert_int_equal(produced(CAPACITY, CAPACITY + 2 * SEGMENT), 0);
        expect(0, CAPACITY + SEGMENT);
        assert_int_equal(consumed(SEGMENT), 0);
        assert_int_equal(effects.back_from, CAPACITY + SEGMENT);
        assert_int_equal(effects.back_to, CAPACITY + 2 * SEGMENT);
        expect(SEGMENT, CAPACITY + 2 * SEGMENT);
}

static void test_lies_are_refused_and_change_nothing(void **state) {
        RegionSegments before;

        assert_int_equal(produced(SEGMENT, 2 * SEGMENT), 0);
        before = segments;
        assert_int_equal(produced(2 * SEGMENT + 1, 0), SEGMENTS_E_BEYOND);
        assert_int_equal(produced(UINT64_MAX, 0), SEGMENTS_E_BEYOND);
        assert_int_equal(produced(0, UINT64_MAX), SEGMENTS_E_BEYOND);
        assert_int_equal(produced(0, CAPACITY + 2 * SEGMENT + 1), SEGMENTS_E_BEYOND);
        assert_int_equal(consumed(2 * SEGMENT + 1), SEGMENTS_E_BEYOND);
        assert_int_equal(consumed(UINT64_MAX), SEGMENTS_E_BEYOND);
        assert_memory_equal(&before, &segments, sizeof(before));
}

static void test_one_turn_reserves_so_much_and_no_more(void **state) {
        static const ShmbGeometry big = {
                .kind = SHMB_KIND_QUEUE, .n_lanes = 1, .n_seats = 1, .item_size = 4096,
                .item_align = 8, .stride = 4096, .capacity = 65536, .segment = 1 << 20,
        };

        segments = segments_first(&big, SHMB_OBJECT_LANE);
        assert_int_equal(segments_produced(&segments, &big, 0, 65536, &effects), 0);
        assert_int_equal(effects.back_to - effects.back_from,
                         SEGMENTS_STEP_BYTES_MAX / big.stride);
}

static void test_restore_takes_what_a_predecessor_may_have_left(void **state) {
        static const struct {
                uint64_t freed, backed;
                bool taken;
        } cases[] = {
                { SEGMENT, 3 * SEGMENT, true },
                { 100 * SEGMENT, 108 * SEGMENT, true },
                { 3 * SEGMENT, 2 * SEGMENT, false },
                { 0, CAPACITY + SEGMENT, true },
                { 0, CAPACITY + 2 * SEGMENT, false },
                { 1, SEGMENT, false },
                { 0, SEGMENT + 1, false },
        };
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                setup(NULL);
                segments_restore(&segments, &queue, cases[i].freed, cases[i].backed);
                if (cases[i].taken)
                        expect(cases[i].freed, cases[i].backed);
                else
                        expect(0, SEGMENT);
        }
}

static void test_bytes_of_a_segment_are_whole_pages(void **state) {
        static const ShmbGeometry odd = {
                .kind = SHMB_KIND_QUEUE, .n_lanes = 1, .n_seats = 1, .item_size = 40,
                .item_align = 8, .stride = 40, .capacity = 1024, .segment = 4096,
        };
        uint64_t offset, n;

        segments_bytes(&queue, 3 * SEGMENT, true, &offset, &n);
        assert_int_equal(offset, 0x1000 + 3 * 4096);
        assert_int_equal(n, 4096);
        segments_bytes(&queue, CAPACITY + SEGMENT, false, &offset, &n);
        assert_int_equal(offset, 0x1000 + 4096);
        assert_int_equal(n, 4096);

        /* 64 items of 40 bytes: 2560 bytes, which share pages with their neighbours */
        segments_bytes(&odd, 64, true, &offset, &n);
        assert_int_equal(offset, 0x1000);
        assert_int_equal(n, 8192);
        segments_bytes(&odd, 64, false, &offset, &n);
        assert_int_equal(n, 0);
}

/* Whatever is said, in whatever order. */
static void test_nothing_that_is_said_breaks_the_bounds(void **state) {
        unsigned seed = 1, i;

        for (i = 0; i < 100000; i++) {
                uint64_t near = segments.freed + (uint64_t)rand_r(&seed) % (2 * CAPACITY);

                if (rand_r(&seed) % 2)
                        (void)produced(near, near + (uint64_t)rand_r(&seed) % CAPACITY);
                else
                        (void)consumed(near);
                assert_true(segments.freed <= segments.published || segments.freed == 0);
                assert_true(segments.published <= segments.backed);
                assert_true(segments.backed - segments.freed <= CAPACITY + SEGMENT);
                assert_true(segments.freed % SEGMENT == 0 && segments.backed % SEGMENT == 0);
        }
        assert_true(segments.freed > 100 * CAPACITY);
}

#define TEST(_name) cmocka_unit_test_setup(_name, setup)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_lane_of_a_queue_is_born_with_one_segment),
                TEST(test_producer_gets_whole_segments_up_to_the_capacity),
                TEST(test_memory_that_is_used_again_is_not_given_back),
                TEST(test_memory_is_given_back_where_both_are_done),
                TEST(test_consumer_never_goes_back),
                TEST(test_room_that_comes_back_goes_to_who_waits_for_it),
                TEST(test_lies_are_refused_and_change_nothing),
                TEST(test_one_turn_reserves_so_much_and_no_more),
                TEST(test_restore_takes_what_a_predecessor_may_have_left),
                TEST(test_bytes_of_a_segment_are_whole_pages),
                TEST(test_nothing_that_is_said_breaks_the_bounds),
        };

        return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
