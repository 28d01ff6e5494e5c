/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The producer's end of a ring: each state is made by writing the words that make it
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/ring-region.h"

static RingRegion region;
static ShmbRingProducer producer;

/* One lane and one seat, 8 slots of 24 bytes. */
static int setup(void **state) {
        ring_region_init(&region, 1, 1, 24, 8);
        ring_region_wind(&region, 0);
        return 0;
}

static int setup_two_seats(void **state) {
        ring_region_init(&region, 1, 2, 24, 8);
        ring_region_wind(&region, 0);
        return 0;
}

static int teardown(void **state) {
        ring_region_deinit(&region);
        return 0;
}

static void set_head(uint32_t seat, uint64_t head, uint64_t done) {
        atomic_store(&ring_region_place(&region, seat, 0)->head, head);
        atomic_store(&ring_region_place(&region, seat, 0)->done, done);
}

static uint64_t tail(void) {
        return atomic_load(&ring_region_lane(&region, 0)->tail);
}

static uint64_t slot(uint64_t index) {
        uint64_t number;

        memcpy(&number, ring_region_lane(&region, 0)->slots + index % 8 * 24, sizeof(number));
        return number;
}

static void fill(uint64_t n) {
        uint64_t i;

        for (i = 0; i < n; i++)
                assert_int_equal(ring_region_push(&producer, tail()), 1);
}

static int init(uint32_t lane, const ShmbMapped *object) {
        return shmb_ring_producer_init(&producer, &region.geometry, lane, object, region.seats,
                                       false);
}

static void test_producer_init_adopts_the_tail_of_its_predecessor(void **state) {
        ring_region_wind(&region, 5);
        atomic_store(&ring_region_lane(&region, 0)->tail, 12);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(ring_region_push(&producer, 4711), 1);
        assert_int_equal(tail(), 13);
        assert_int_equal(slot(12), 4711);
        assert_int_equal(ring_region_push(&producer, 4712), -EAGAIN);
}

static void test_producer_init_refuses_a_tail_out_of_bounds_and_writes_nothing(void **state) {
        static const uint64_t bad[] = {109, 99, 0, UINT64_MAX, UINT64_C(1) << 63};
        ShmbMapped *lane = &region.lanes[0];
        uint8_t *before = malloc(lane->n_bytes);
        size_t i;

        assert_non_null(before);
        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                ring_region_wind(&region, 100);
                atomic_store(&ring_region_lane(&region, 0)->tail, bad[i]);
                memcpy(before, lane->memory, lane->n_bytes);
                assert_int_equal(init(0, lane), -EBADMSG);
                assert_memory_equal(before, lane->memory, lane->n_bytes);
        }
        free(before);
}

static void test_producer_init_refuses_objects_that_do_not_fit(void **state) {
        ShmbMapped lane = region.lanes[0];
        ShmbGeometry raw = {.kind = SHMB_KIND_RAW, .region_size = 4096};

        assert_int_equal(init(1, &lane), -EINVAL);
        lane.n_bytes--;
        assert_int_equal(init(0, &lane), -EINVAL);
        lane = region.lanes[0];
        lane.memory = (uint8_t *)lane.memory + 8;
        assert_int_equal(init(0, &lane), -EINVAL);
        lane.memory = NULL;
        assert_int_equal(init(0, &lane), -EINVAL);
        lane = region.lanes[0];
        lane.epoch = 0;
        assert_int_equal(init(0, &lane), -EINVAL);
        lane = region.lanes[0];
        lane.newest = NULL;
        assert_int_equal(init(0, &lane), -EINVAL);
        assert_int_equal(shmb_ring_producer_init(&producer, &raw, 0, &region.lanes[0],
                                                 region.seats, false), -EINVAL);
        region.seats[0].n_bytes--;
        assert_int_equal(init(0, &region.lanes[0]), -EINVAL);
}

static void test_producer_push_fills_all_slots_and_no_more(void **state) {
        uint64_t i;

        ring_region_produce(&region, 0, &producer);
        for (i = 0; i < 8; i++) {
                assert_int_equal(tail(), i);
                assert_int_equal(ring_region_push(&producer, 100 + i), 1);
        }
        assert_int_equal(ring_region_push(&producer, 4711), -EAGAIN);
        assert_int_equal(tail(), 8);
        for (i = 0; i < 8; i++)
                assert_int_equal(slot(i), 100 + i);
        assert_int_equal(ring_region_lane(&region, 0)->counters.n_items, 8);
        assert_int_equal(ring_region_lane(&region, 0)->counters.high_water, 8);
}

static void test_producer_push_touches_nothing_but_its_slot_and_tail(void **state) {
        ShmbMapped *lane = &region.lanes[0], *seat = &region.seats[0];
        uint8_t *before = malloc(lane->n_bytes + seat->n_bytes);
        ShmbLane *expected = (ShmbLane *)(void *)before;
        uint64_t item[3] = {7, 7, 7};

        assert_non_null(before);
        ring_region_produce(&region, 0, &producer);
        memcpy(before, lane->memory, lane->n_bytes);
        memcpy(before + lane->n_bytes, seat->memory, seat->n_bytes);
        assert_int_equal(ring_region_push(&producer, 7), 1);

        memcpy(expected->slots, item, sizeof(item));
        atomic_store(&expected->tail, 1);
        atomic_store(&expected->counters.n_items, 1);
        assert_memory_equal(lane->memory, before, lane->n_bytes);
        assert_memory_equal(seat->memory, before + lane->n_bytes, seat->n_bytes);
        free(before);
}

/* Slots fetched in advance are free ones: what the consumer still holds stays as it is. */
static void test_producer_writes_in_advance_to_free_slots_only(void **state) {
        uint64_t i, number, head;
        uint8_t *slots;

        ring_region_deinit(&region);
        ring_region_init(&region, 1, 1, 64, 256);
        slots = ring_region_lane(&region, 0)->slots;
        for (head = 0; head <= 256; head += 16) {
                ring_region_wind(&region, 0);
                atomic_store(&ring_region_lane(&region, 0)->tail, 192);
                set_head(0, head < 192 ? head : 192, head < 192 ? head : 192);
                ring_region_produce(&region, 0, &producer);
                memset(slots, 0xa5, 256 * 64);
                while (ring_region_push(&producer, tail()) == 1)
                        ;
                for (i = head; i < 192; i++) {
                        memcpy(&number, slots + i * 64, sizeof(number));
                        assert_int_equal(number, UINT64_C(0xa5a5a5a5a5a5a5a5));
                }
                for (i = 192; i != tail(); i++) {
                        memcpy(&number, slots + i % 256 * 64, sizeof(number));
                        assert_int_equal(number, i);
                }
        }
}

static void test_producer_fetches_nothing_of_large_items(void **state) {
        ring_region_deinit(&region);
        ring_region_init(&region, 1, 1, 248, 8);
        /* the index after this one has all low bits clear */
        ring_region_wind(&region, (UINT64_C(1) << 63) - 1);
        ring_region_produce(&region, 0, &producer);
        fill(8);
}

static void test_producer_push_n_moves_what_there_is_room_for(void **state) {
        uint64_t items[12][3] = {0}, i;

        ring_region_wind(&region, 6);
        ring_region_produce(&region, 0, &producer);
        for (i = 0; i < 12; i++)
                items[i][0] = i;
        assert_int_equal(shmb_ring_push_n(&producer, items, 0, SHMB_RING_EXACT), 0);
        assert_int_equal(shmb_ring_push_n(&producer, items, 5, SHMB_RING_EXACT), 5);
        assert_int_equal(tail(), 11);
        assert_int_equal(shmb_ring_push_n(&producer, items + 5, 7, SHMB_RING_EXACT), 3);
        assert_int_equal(tail(), 14);
        for (i = 0; i < 8; i++)
                assert_int_equal(slot(6 + i), i);
        assert_int_equal(shmb_ring_push_n(&producer, items, 7, SHMB_RING_EXACT), -EAGAIN);
}

static void test_producer_push_reads_items_at_their_own_size(void **state) {
        uint8_t items[16] = {1, 2, 3, 4, 5};
        int i;

        ring_region_deinit(&region);
        ring_region_init(&region, 1, 1, 1, 8);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_push_n(&producer, items, 4, SHMB_RING_EXACT), 4);
        assert_int_equal(shmb_ring_push_n(&producer, items + 4, 1, SHMB_RING_EXACT), 1);
        for (i = 0; i < 5; i++)
                assert_int_equal(ring_region_lane(&region, 0)->slots[i * 8], i + 1);
}

static void test_producer_claim_gives_contiguous_slots_that_nobody_sees(void **state) {
        ShmbRingSpan span = {NULL, 4711};

        ring_region_wind(&region, 6);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_claim_n(&producer, 5, SHMB_RING_EXACT, &span), 2);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots + 6 * 24);
        assert_int_equal(span.n, 2);
        assert_int_equal(tail(), 6);
        /* again: the same */
        assert_int_equal(shmb_ring_claim_n(&producer, 1, SHMB_RING_EXACT, &span), 1);
        assert_ptr_equal(span.data, ring_region_lane(&region, 0)->slots + 6 * 24);
}

static void test_producer_commit_publishes_the_first_and_gives_back_the_rest(void **state) {
        ShmbRingSpan span;

        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_claim_n(&producer, 4, SHMB_RING_EXACT, &span), 4);
        assert_int_equal(shmb_ring_commit_n(&producer, 5), -EINVAL);
        assert_int_equal(tail(), 0);
        assert_int_equal(shmb_ring_commit_n(&producer, 3), 0);
        assert_int_equal(tail(), 3);
        assert_int_equal(shmb_ring_commit_n(&producer, 1), -EINVAL);
        assert_int_equal(tail(), 3);
        assert_int_equal(ring_region_push(&producer, 9), 1);
        assert_int_equal(slot(3), 9);
}

static void test_producer_abort_publishes_nothing(void **state) {
        ShmbRingSpan span;

        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_claim_n(&producer, 4, SHMB_RING_EXACT, &span), 4);
        shmb_ring_abort(&producer);
        assert_int_equal(tail(), 0);
        assert_int_equal(shmb_ring_commit_n(&producer, 1), -EINVAL);
        fill(8);
}

static void test_producer_push_is_refused_while_a_span_is_held(void **state) {
        ShmbRingSpan span;
        uint64_t items[2][3] = {0};

        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_claim_n(&producer, 1, SHMB_RING_EXACT, &span), 1);
        assert_int_equal(ring_region_push(&producer, 1), -EBUSY);
        assert_int_equal(shmb_ring_push_n(&producer, items, 2, SHMB_RING_EXACT), -EBUSY);
        assert_int_equal(tail(), 0);
        assert_int_equal(shmb_ring_commit_n(&producer, 1), 0);
        assert_int_equal(ring_region_push(&producer, 1), 1);
}

static void test_producer_asks_for_done_only_if_it_must_be_exact(void **state) {
        ring_region_produce(&region, 0, &producer);
        fill(8);
        set_head(0, 0, 3);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_LAZY), -EAGAIN);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), 0);
        fill(3);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
        set_head(0, 4, 4);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_LAZY), 0);
        fill(1);
}

static void test_producer_waits_for_the_slowest_seat(void **state) {
        ring_region_produce(&region, 0, &producer);
        fill(8);
        set_head(0, 8, 8);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
        set_head(1, 2, 2);
        fill(2);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
}

static void test_producer_takes_a_place_of_another_epoch_for_an_empty_one(void **state) {
        ShmbMapped old;

        ring_region_wind(&region, 1000);
        ring_region_replace_lane(&region, 0, &old);
        ring_region_produce(&region, 0, &producer);
        fill(8);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);

        /* the consumer moves on */
        set_head(0, 2, 2);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
        atomic_store(&ring_region_place(&region, 0, 0)->epoch, 2);
        fill(2);
        free(old.memory);
}

static void test_producer_does_not_believe_a_superseded_seat(void **state) {
        ShmbMapped old;

        ring_region_produce(&region, 0, &producer);
        fill(8);
        ring_region_replace_seat(&region, 0, &old);
        /* its consumer is still there, and reads on */
        atomic_store(&((ShmbSeat *)old.memory)->places[0].head, 8);
        atomic_store(&((ShmbSeat *)old.memory)->places[0].done, 8);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EAGAIN);

        assert_int_equal(shmb_ring_producer_switch_seat(&producer, 0, &region.seats[0]), 0);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EAGAIN);
        set_head(0, 1, 1);
        fill(1);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
        free(old.memory);
}

static void test_producer_init_beside_a_superseded_seat_claims_nothing(void **state) {
        ShmbMapped seat = region.seats[0], old;

        ring_region_wind(&region, 20);
        ring_region_replace_seat(&region, 0, &old);
        assert_int_equal(shmb_ring_producer_init(&producer, &region.geometry, 0, &region.lanes[0],
                                                 &seat, false), 0);
        assert_int_equal(ring_region_push(&producer, 0), -EAGAIN);
        assert_int_equal(shmb_ring_producer_switch_seat(&producer, 0, &region.seats[0]), 0);
        fill(8);
        free(old.memory);
}

static void test_producer_switch_seat_refuses_what_does_not_fit(void **state) {
        ShmbMapped seat = region.seats[0];

        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_producer_switch_seat(&producer, 1, &seat), -EINVAL);
        seat.n_bytes--;
        assert_int_equal(shmb_ring_producer_switch_seat(&producer, 0, &seat), -EINVAL);
        fill(8);
}

/* A head that is none, told to a full lane whose consumer freed 2 of items 0-7 before. */
static void check_poisoned_by(uint64_t head, uint64_t done) {
        uint64_t items[2][3] = {0};
        ShmbRingSpan span = {NULL, 4711};

        ring_region_wind(&region, 0);
        ring_region_produce(&region, 0, &producer);
        fill(8);
        set_head(0, 2, 2);
        fill(2);
        set_head(0, head, done);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EBADMSG);

        /* from now on always, whatever he says later */
        set_head(0, 5, 5);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EBADMSG);
        assert_int_equal(ring_region_push(&producer, 0), -EBADMSG);
        assert_int_equal(shmb_ring_push_n(&producer, items, 2, SHMB_RING_EXACT), -EBADMSG);
        assert_int_equal(shmb_ring_claim_n(&producer, 1, SHMB_RING_EXACT, &span), -EBADMSG);
        assert_int_equal(span.n, 4711);
        assert_int_equal(tail(), 10);
}

static void test_producer_is_poisoned_by_a_head_out_of_bounds(void **state) {
        check_poisoned_by(11, 11);                     /* beyond what was published */
        check_poisoned_by(1, 1);                       /* behind what it said before */
        check_poisoned_by(UINT64_MAX, 2);
        check_poisoned_by(UINT64_C(1) << 63, 2);
        check_poisoned_by(2, 11);                      /* head is sound, done is not */
        check_poisoned_by(2, 1);
}

static void test_producer_is_poisoned_by_a_done_that_goes_back_behind_a_lagging_head(void **state) {
        ring_region_produce(&region, 0, &producer);
        fill(8);
        set_head(0, 0, 3);
        fill(3);
        set_head(0, 0, 2);
        assert_int_equal(ring_region_push(&producer, 0), -EBADMSG);
        assert_int_equal(tail(), 11);
}

static void test_producer_is_cured_by_a_new_seat(void **state) {
        ShmbMapped old;

        ring_region_produce(&region, 0, &producer);
        fill(8);
        set_head(0, 9, 9);
        assert_int_equal(ring_region_push(&producer, 0), -EBADMSG);
        ring_region_replace_seat(&region, 0, &old);
        set_head(0, 1, 1);
        assert_int_equal(shmb_ring_producer_switch_seat(&producer, 0, &region.seats[0]), 0);
        fill(1);
        free(old.memory);
}

static void test_producer_poisoned_while_a_span_is_held_cannot_commit(void **state) {
        ShmbRingSpan span;

        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_claim_n(&producer, 1, SHMB_RING_EXACT, &span), 1);
        set_head(0, 1, 1);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EBADMSG);
        assert_int_equal(shmb_ring_commit_n(&producer, 1), -EINVAL);
        assert_int_equal(tail(), 0);
}

static void test_producer_whose_lane_was_replaced_blames_nobody(void **state) {
        ShmbMapped old;

        ring_region_wind(&region, 100);
        ring_region_produce(&region, 0, &producer);
        for (; tail() < 108;)
                assert_int_equal(ring_region_push(&producer, 0), 1);
        ring_region_replace_lane(&region, 0, &old);
        /* The consumer is about to move on: counts are back at 0, the epoch is not yet stored. */
        set_head(0, 0, 0);
        assert_int_equal(shmb_ring_producer_look(&producer, SHMB_RING_EXACT), -EAGAIN);
        free(old.memory);
}

static void test_producer_indices_wrap(void **state) {
        uint64_t i;

        ring_region_wind(&region, UINT64_MAX - 3);
        ring_region_produce(&region, 0, &producer);
        for (i = 0; i < 8; i++)
                assert_int_equal(ring_region_push(&producer, i), 1);
        assert_int_equal(tail(), 4);
        assert_int_equal(ring_region_push(&producer, i), -EAGAIN);
        set_head(0, 1, 1);
        for (i = 0; i < 5; i++)
                assert_int_equal(ring_region_push(&producer, i), 1);
        assert_int_equal(ring_region_push(&producer, i), -EAGAIN);
}

static void test_producer_waits_on_the_bell_of_each_seat(void **state) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        uint32_t i;

        atomic_store(&ring_region_seat(&region, 0)->bell.bell, 7);
        atomic_store(&ring_region_seat(&region, 1)->bell.bell, 8);
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(shmb_ring_producer_words(&producer, words), 2);
        for (i = 0; i < 2; i++) {
                assert_ptr_equal(words[i].word, &ring_region_seat(&region, i)->bell.bell);
                assert_int_equal(words[i].value, 7 + i);
        }
}

static void test_producer_wakes_a_consumer_that_sleeps(void **state) {
        ring_region_produce(&region, 0, &producer);
        assert_int_equal(ring_region_push(&producer, 1), 1);
        assert_false(shmb_waker_look(&producer.waker, 0));
        atomic_store(&ring_region_seat(&region, 0)->sleep.seq, 1);
        assert_int_equal(ring_region_push(&producer, 1), 1);
        assert_true(shmb_waker_look(&producer.waker, 0));
        assert_int_equal(ring_region_lane(&region, 0)->bell.bell, 1);
        assert_int_equal(ring_region_lane(&region, 0)->counters.n_wakes, 1);
        assert_false(shmb_waker_look(&producer.waker, 0));
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
#define TEST_TWO_SEATS(_name) cmocka_unit_test_setup_teardown(_name, setup_two_seats, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_producer_init_adopts_the_tail_of_its_predecessor),
                TEST(test_producer_init_refuses_a_tail_out_of_bounds_and_writes_nothing),
                TEST(test_producer_init_refuses_objects_that_do_not_fit),
                TEST(test_producer_push_fills_all_slots_and_no_more),
                TEST(test_producer_push_touches_nothing_but_its_slot_and_tail),
                TEST(test_producer_writes_in_advance_to_free_slots_only),
                TEST(test_producer_fetches_nothing_of_large_items),
                TEST(test_producer_push_n_moves_what_there_is_room_for),
                TEST(test_producer_push_reads_items_at_their_own_size),
                TEST(test_producer_claim_gives_contiguous_slots_that_nobody_sees),
                TEST(test_producer_commit_publishes_the_first_and_gives_back_the_rest),
                TEST(test_producer_abort_publishes_nothing),
                TEST(test_producer_push_is_refused_while_a_span_is_held),
                TEST(test_producer_asks_for_done_only_if_it_must_be_exact),
                TEST_TWO_SEATS(test_producer_waits_for_the_slowest_seat),
                TEST(test_producer_takes_a_place_of_another_epoch_for_an_empty_one),
                TEST(test_producer_does_not_believe_a_superseded_seat),
                TEST(test_producer_init_beside_a_superseded_seat_claims_nothing),
                TEST(test_producer_switch_seat_refuses_what_does_not_fit),
                TEST(test_producer_is_poisoned_by_a_head_out_of_bounds),
                TEST(test_producer_is_poisoned_by_a_done_that_goes_back_behind_a_lagging_head),
                TEST(test_producer_is_cured_by_a_new_seat),
                TEST(test_producer_poisoned_while_a_span_is_held_cannot_commit),
                TEST(test_producer_whose_lane_was_replaced_blames_nobody),
                TEST(test_producer_indices_wrap),
                TEST_TWO_SEATS(test_producer_waits_on_the_bell_of_each_seat),
                TEST(test_producer_wakes_a_consumer_that_sleeps),
        };

        return cmocka_run_group_tests_name("ring-producer", tests, NULL, NULL);
}
