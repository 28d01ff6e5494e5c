/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Operations on a Ring, Through the Library
 *
 * Producer and consumer in one process against the fake broker, which plays the deaths,
 * replacements and endings that a real one would announce.
 */

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/deadline.h"
#include "client/region.h"
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

#define MS INT64_C(1000000)
#define CAPACITY 8

static FakeBroker fake;
static struct shmb *c;
static struct shmb_region *producer, *consumer;

static struct shmb_region *attach(enum shmb_role role, uint32_t flags) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;

        want.flags = flags;
        assert_int_equal(shmb_attach(c, "a/ring", role, &want, &r), 0);
        return r;
}

static void start(uint32_t n_lanes, uint32_t flags) {
        fake_start_ring(&fake, n_lanes, 1, sizeof(uint64_t), CAPACITY);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        producer = attach(SHMB_PRODUCE, flags);
        consumer = attach(SHMB_CONSUME, flags);
}

static int setup(void **state) {
        start(1, 0);
        return 0;
}

static int setup_need_peer(void **state) {
        start(1, SHMB_NEED_PEER);
        return 0;
}

static int teardown(void **state) {
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        c = shmb_close(c);
        fake_stop(&fake);
        return 0;
}

static void push(uint64_t item) {
        assert_int_equal(shmb_push(producer, &item, 0), 0);
}

static void assert_pop(uint64_t expected) {
        uint64_t item = ~expected;

        assert_int_equal(shmb_pop(consumer, &item, 0), 0);
        assert_int_equal(item, expected);
}

static void fill(void) {
        uint64_t i;

        for (i = 0; i < CAPACITY; i++)
                push(i);
}

static int try_push(void) {
        uint64_t item = 99;

        return shmb_push(producer, &item, 0);
}

static int try_pop(void) {
        uint64_t item;

        return shmb_pop(consumer, &item, 0);
}

/*
 * What moves
 */

static void test_ring_moves_items_in_order_through_every_lap(void **state) {
        uint64_t i;

        for (i = 0; i < 100 * CAPACITY; i++) {
                push(2 * i);
                push(2 * i + 1);
                assert_pop(2 * i);
                assert_pop(2 * i + 1);
        }
        assert_int_equal(try_pop(), -EAGAIN);
}

static void test_ring_uses_every_slot_and_says_when_it_is_full(void **state) {
        fill();
        assert_int_equal(try_push(), -EAGAIN);
        assert_pop(0);
        assert_int_equal(try_push(), 0);
        assert_int_equal(try_push(), -EAGAIN);
}

static void test_ring_batches_move_what_there_is_room_for(void **state) {
        uint64_t in[12], out[12] = {};
        int i;

        for (i = 0; i < 12; i++)
                in[i] = (uint64_t)i;
        assert_int_equal(shmb_push_n(producer, in, 5, 0), 5);
        assert_int_equal(shmb_push_n(producer, in + 5, 7, 0), 3);
        assert_int_equal(shmb_push_n(producer, in, 1, 0), -EAGAIN);
        assert_int_equal(shmb_pop_n(consumer, out, 3, 0), 3);
        assert_int_equal(shmb_push_n(producer, in + 8, 4, 0), 3);
        assert_int_equal(shmb_pop_n(consumer, out + 3, 9, 0), 8);
        assert_memory_equal(in, out, 11 * sizeof(*in));
        assert_int_equal(shmb_pop_n(consumer, out, 1, 0), -EAGAIN);
        assert_int_equal(shmb_push_n(producer, in, 0, 0), -EINVAL);
        assert_int_equal(shmb_pop_n(consumer, out, 0, 0), -EINVAL);
}

static void test_ring_spans_are_seen_when_committed_and_free_when_released(void **state) {
        struct shmb_span span;

        assert_int_equal(shmb_claim_n(producer, 3, &span, 0), 3);
        assert_int_equal(span.stride, sizeof(uint64_t));
        ((uint64_t *)span.data)[0] = 10;
        ((uint64_t *)span.data)[1] = 11;
        assert_int_equal(try_pop(), -EAGAIN);
        assert_int_equal(shmb_commit_n(producer, 4), -EINVAL);
        assert_int_equal(shmb_commit_n(producer, 2), 0);
        assert_int_equal(shmb_commit_n(producer, 1), -EINVAL);

        assert_int_equal(shmb_peek_n(consumer, 9, &span, 0), 2);
        assert_int_equal(((const uint64_t *)span.data)[1], 11);
        assert_int_equal(shmb_release_n(consumer, 3), -EINVAL);
        assert_int_equal(shmb_release_n(consumer, 1), 0);
        assert_int_equal(shmb_peek_n(consumer, 9, &span, 0), 1);
        assert_int_equal(((const uint64_t *)span.data)[0], 11);
        assert_int_equal(shmb_release(consumer), 0);
        assert_int_equal(shmb_release(consumer), -EINVAL);
}

static void test_ring_one_item_in_place(void **state) {
        void *slot, *again;
        const void *item;

        assert_int_equal(shmb_claim(producer, &slot, 0), 0);
        assert_int_equal(shmb_claim(producer, &again, 0), 0);
        assert_ptr_equal(slot, again);
        *(uint64_t *)slot = 42;
        assert_int_equal(shmb_abort(producer), 0);
        assert_int_equal(shmb_commit(producer), -EINVAL);
        assert_int_equal(try_pop(), -EAGAIN);

        assert_int_equal(shmb_claim(producer, &slot, 0), 0);
        *(uint64_t *)slot = 43;
        assert_int_equal(try_push(), -EBUSY);
        assert_int_equal(shmb_commit(producer), 0);
        assert_int_equal(shmb_peek(consumer, &item, 0), 0);
        assert_int_equal(*(const uint64_t *)item, 43);
        assert_int_equal(try_pop(), -EBUSY);
        assert_int_equal(shmb_release(consumer), 0);
}

static void test_ring_refuses_what_is_not_for_its_role(void **state) {
        struct shmb_region *observer = attach(SHMB_OBSERVE, 0);
        struct shmb_span span;
        uint64_t item = 0;

        assert_int_equal(shmb_pop(producer, &item, 0), -EPERM);
        assert_int_equal(shmb_peek_n(producer, 1, &span, 0), -EPERM);
        assert_int_equal(shmb_release(producer), -EPERM);
        assert_int_equal(shmb_push(consumer, &item, 0), -EPERM);
        assert_int_equal(shmb_claim_n(consumer, 1, &span, 0), -EPERM);
        assert_int_equal(shmb_commit(consumer), -EPERM);
        assert_int_equal(shmb_abort(consumer), -EPERM);
        assert_int_equal(shmb_push(observer, &item, 0), -EPERM);
        assert_int_equal(shmb_pop(observer, &item, 0), -EPERM);
        assert_null(shmb_data(producer));
        assert_int_equal(shmb_size(producer), 0);
        shmb_detach(observer);
}

static void test_ring_refuses_what_no_handle_and_no_kind_can_do(void **state) {
        uint64_t item = 0;

        assert_int_equal(shmb_push(NULL, &item, 0), -EINVAL);
        assert_int_equal(shmb_pop(NULL, &item, 0), -EINVAL);
        assert_int_equal(shmb_commit(NULL), -EINVAL);
        assert_int_equal(shmb_check(NULL), -EINVAL);
        assert_int_equal(shmb_claim(producer, NULL, 0), -EINVAL);
        assert_int_equal(shmb_peek(consumer, NULL, 0), -EINVAL);
        assert_int_equal(shmb_send(producer, &item, 8, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_recv(consumer, &item, 8, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_poll_fd(consumer), -EOPNOTSUPP);
        assert_int_equal(shmb_missed(consumer), 0);
}

static void test_ring_overflow_fail_never_waits(void **state) {
        void *slot;
        uint64_t item = 0;

        fill();
        producer->overflow = SHMB_OVERFLOW_FAIL;
        assert_int_equal(shmb_push(producer, &item, -1), -EAGAIN);
        assert_int_equal(shmb_claim(producer, &slot, -1), -EAGAIN);
}

static void test_ring_overflow_drop_newest_counts_what_it_throws_away(void **state) {
        struct shmb_stats stats = { .size = sizeof(stats) };
        uint64_t item[3] = {};
        void *slot;

        fill();
        producer->overflow = SHMB_OVERFLOW_DROP_NEWEST;
        assert_int_equal(shmb_push(producer, item, -1), 0);
        assert_int_equal(shmb_push_n(producer, item, 3, -1), 3);
        assert_int_equal(shmb_claim(producer, &slot, -1), -EAGAIN);
        assert_int_equal(shmb_get_stats(producer, &stats), 0);
        assert_int_equal(stats.n_dropped, 4);
        assert_int_equal(stats.n_pushed, CAPACITY);
        assert_pop(0);
}

static void test_ring_observer_sees_depth_and_counts(void **state) {
        struct shmb_region *observer = attach(SHMB_OBSERVE, 0);
        struct shmb_stats stats = { .size = sizeof(stats) };

        push(1), push(2), push(3);
        assert_pop(1);
        assert_int_equal(shmb_get_stats(observer, &stats), 0);
        assert_int_equal(stats.used, 2);
        assert_int_equal(stats.n_pushed, 3);
        assert_int_equal(stats.n_popped, 1);
        assert_int_equal(stats.n_producers, 1);
        assert_int_equal(stats.n_consumers, 1);
        assert_int_equal(stats.n_deaths, 0);
        shmb_detach(observer);
}

/*
 * Waiting
 */

static void test_ring_wait_ends_at_its_time(void **state) {
        int64_t before = shmb__now(), after;
        uint64_t item = 0;

        assert_int_equal(shmb_pop(consumer, &item, 20 * MS), -ETIMEDOUT);
        after = shmb__now();
        assert_true(after - before >= 20 * MS);
        fill();
        before = shmb__now();
        assert_int_equal(shmb_push(producer, &item, 20 * MS), -ETIMEDOUT);
        assert_true(shmb__now() - before >= 20 * MS);
        /* the longest time there is does not wrap into the past */
        assert_int_equal(shmb_pop(consumer, &item, INT64_MAX), 0);
        assert_int_equal(item, 0);
}

static bool is_asleep(const ShmbSleep *sleep) {
        return atomic_load(&sleep->seq) & 1;
}

/* Until @sleep is odd: whoever waits there has said so. */
static void until_asleep(const ShmbSleep *sleep) {
        int tries = 20000;

        while (!is_asleep(sleep)) {
                assert_true(--tries > 0);
                usleep(500);
        }
}

typedef struct Waiter {
        pthread_t thread;
        int64_t timeout_ns;
        int result;
        uint64_t item;
} Waiter;

static void *pop_thread(void *userdata) {
        Waiter *w = userdata;

        w->result = shmb_pop(consumer, &w->item, w->timeout_ns);
        return NULL;
}

static void *push_thread(void *userdata) {
        Waiter *w = userdata;

        w->result = shmb_push(producer, &w->item, w->timeout_ns);
        return NULL;
}

static void start_waiter(Waiter *w, void *(*run)(void *), const ShmbSleep *sleep) {
        w->timeout_ns = -1;
        assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
        until_asleep(sleep);
}

static void test_ring_consumer_that_sleeps_is_woken_by_an_item(void **state) {
        Waiter w = {};
        int i;

        for (i = 0; i < 20; i++) {
                start_waiter(&w, pop_thread, &consumer->consumer.seat->sleep);
                push(7);
                pthread_join(w.thread, NULL);
                assert_int_equal(w.result, 0);
                assert_int_equal(w.item, 7);
        }
}

static void test_ring_producer_that_sleeps_is_woken_by_room(void **state) {
        Waiter w = { .item = 77 };

        fill();
        start_waiter(&w, push_thread, &producer->producer.lane->sleep);
        assert_pop(0);
        pthread_join(w.thread, NULL);
        assert_int_equal(w.result, 0);
}

/* A wake-up of news would end the wait as well: here the slices are all that could. */
static void test_ring_wake_up_does_not_wait_for_the_slice(void **state) {
        int64_t before, worst = INT64_MAX;
        Waiter w = {};
        int i;

        for (i = 0; i < 10; i++) {
                start_waiter(&w, pop_thread, &consumer->consumer.seat->sleep);
                before = shmb__now();
                push(1);
                pthread_join(w.thread, NULL);
                worst = shmb__earlier(worst, shmb__now() - before);
        }
        assert_true(worst < 50 * MS);
}

static void on_signal(int number) {
}

static void test_ring_wait_is_not_ended_by_signals(void **state) {
        const struct sigaction action = { .sa_handler = on_signal };
        Waiter w = {};
        int i;

        sigaction(SIGUSR1, &action, NULL);
        start_waiter(&w, pop_thread, &consumer->consumer.seat->sleep);
        for (i = 0; i < 50; i++) {
                pthread_kill(w.thread, SIGUSR1);
                usleep(100);
        }
        push(1);
        pthread_join(w.thread, NULL);
        assert_int_equal(w.result, 0);
}

/* One thread alone, that may not call the kernel: it would be killed. */
static int move_without_system_calls(void *userdata) {
        uint64_t item, i;

        if (shmb_connect(fake.path, &c) < 0)
                return 1;
        producer = attach(SHMB_PRODUCE, 0);
        consumer = attach(SHMB_CONSUME, 0);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
                return 2;
        for (i = 0; i < 1000; i++) {
                item = i;
                if (shmb_push(producer, &item, -1) < 0 || shmb_pop(consumer, &item, -1) < 0 ||
                    item != i || shmb_pop(consumer, &item, 0) != -EAGAIN)
                        syscall(SYS_exit, 3);
        }
        syscall(SYS_exit, 0);
        return 4;
}

static void test_ring_makes_no_system_call_while_nobody_sleeps(void **state) {
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        assert_int_equal(fork_run(move_without_system_calls, NULL), 0);
}

/*
 * News
 */

static void test_news_of_a_death_are_said_once_and_after_the_items(void **state) {
        push(1);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        assert_pop(1);
        assert_int_equal(try_pop(), -EOWNERDEAD);
        assert_int_equal(try_pop(), -EAGAIN);

        /* the region is still good: a successor goes on */
        producer = shmb_detach(producer);
        producer = attach(SHMB_PRODUCE, 0);
        push(2);
        assert_pop(2);
}

static void test_news_of_a_death_wake_who_waits(void **state) {
        Waiter w = {};

        start_waiter(&w, pop_thread, &consumer->consumer.seat->sleep);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        pthread_join(w.thread, NULL);
        assert_int_equal(w.result, -EOWNERDEAD);
}

static void test_news_of_a_dead_consumer_reach_a_full_producer(void **state) {
        fill();
        fake_kill_party(&fake, SHMB_OBJECT_SEAT, 0);
        assert_int_equal(try_push(), -EOWNERDEAD);
        assert_int_equal(try_push(), -EAGAIN);
}

static void test_news_of_a_quiet_leave_are_no_death(void **state) {
        producer = shmb_detach(producer);
        assert_int_equal(try_pop(), -EAGAIN);
}

static void test_need_peer_is_a_broken_pipe_once_nothing_is_left(void **state) {
        push(1);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        assert_pop(1);
        assert_int_equal(try_pop(), -EOWNERDEAD);
        assert_int_equal(try_pop(), -EPIPE);
        assert_int_equal(shmb_check(consumer), -EPIPE);

        /* a peer that is there is waited for */
        producer = shmb_detach(producer);
        producer = attach(SHMB_PRODUCE, SHMB_NEED_PEER);
        assert_int_equal(try_pop(), -EAGAIN);
        consumer = shmb_detach(consumer);
        fill();
        assert_int_equal(try_push(), -EPIPE);
}

static void test_removed_region_is_drained_first(void **state) {
        push(1), push(2);
        fake_set_state(&fake, SHMB_REGION_REMOVED);
        assert_int_equal(try_push(), -EIDRM);
        assert_int_equal(try_push(), -EIDRM);
        assert_pop(1);
        assert_pop(2);
        assert_int_equal(try_pop(), -EIDRM);
        assert_int_equal(shmb_check(consumer), -EIDRM);
}

static void test_removal_wakes_who_waits(void **state) {
        Waiter w = {};

        start_waiter(&w, pop_thread, &consumer->consumer.seat->sleep);
        fake_set_state(&fake, SHMB_REGION_REMOVED);
        pthread_join(w.thread, NULL);
        assert_int_equal(w.result, -EIDRM);
}

static void test_stale_region_is_drained_first(void **state) {
        push(1);
        fake_set_state(&fake, SHMB_REGION_STALE);
        assert_int_equal(try_push(), -ESTALE);
        assert_pop(1);
        assert_int_equal(try_pop(), -ESTALE);
}

static void test_lease_that_is_another_s_writes_no_word_more(void **state) {
        ShmbSeat *seat = consumer->consumer.seat;
        uint64_t done;

        push(1), push(2);
        assert_pop(1);
        done = atomic_load(&seat->places[0].done);
        atomic_store(&fake_party(&fake, SHMB_OBJECT_SEAT, 0)->lease, 4711);
        fake_announce(&fake);
        assert_int_equal(try_pop(), -ESHUTDOWN);
        assert_int_equal(shmb_release(consumer), -ESHUTDOWN);
        assert_int_equal(atomic_load(&seat->places[0].done), done);

        atomic_store(&fake_party(&fake, SHMB_OBJECT_LANE, 0)->occupancy, SHMB_PARTY_VACANT);
        fake_announce(&fake);
        assert_int_equal(try_push(), -ESHUTDOWN);
}

static void test_replaced_lane_is_drained_and_then_gone_on_with(void **state) {
        struct shmb_region *old = producer;

        push(1), push(2);
        fake_kill_party(&fake, SHMB_OBJECT_LANE, 0);
        fake_replace(&fake, SHMB_OBJECT_LANE, 0);
        producer = attach(SHMB_PRODUCE, 0);
        push(3);
        assert_pop(1);
        assert_pop(2);
        /* the death is older news than what the successor sent */
        while (shmb_check(consumer) == -EOWNERDEAD)
                ;
        assert_pop(3);
        assert_int_equal(consumer->lanes[0].epoch, 2);
        assert_int_equal(fake.n_requests[WIRE_FETCH], 1);
        shmb_detach(old);
}

static void test_replaced_seat_is_gone_on_with(void **state) {
        struct shmb_region *old = consumer;

        fill();
        fake_kill_party(&fake, SHMB_OBJECT_SEAT, 0);
        fake_replace(&fake, SHMB_OBJECT_SEAT, 0);
        consumer = attach(SHMB_CONSUME, 0);
        assert_int_equal(try_push(), -EOWNERDEAD);
        assert_int_equal(producer->seats[0].epoch, 2);
        assert_pop(0);
        assert_int_equal(try_push(), 0);
        shmb_detach(old);
}

static void test_replacement_that_cannot_be_fetched_holds_nobody_up(void **state) {
        push(1);
        fake_replace(&fake, SHMB_OBJECT_LANE, 0);
        fake_go_away(&fake);
        assert_pop(1);
        assert_int_equal(try_pop(), -EAGAIN);
        fake_return(&fake);
        while (consumer->lanes[0].epoch != 2)
                assert_int_equal(try_pop(), -EAGAIN);
}

static void test_peer_that_breaks_the_protocol_is_not_believed(void **state) {
        uint64_t item;

        atomic_store(&producer->producer.lane->tail, CAPACITY + 1);
        assert_int_equal(shmb_pop(consumer, &item, -1), -EBADMSG);
        assert_int_equal(shmb_pop(consumer, &item, -1), -EBADMSG);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_ring_moves_items_in_order_through_every_lap),
                TEST(test_ring_uses_every_slot_and_says_when_it_is_full),
                TEST(test_ring_batches_move_what_there_is_room_for),
                TEST(test_ring_spans_are_seen_when_committed_and_free_when_released),
                TEST(test_ring_one_item_in_place),
                TEST(test_ring_refuses_what_is_not_for_its_role),
                TEST(test_ring_refuses_what_no_handle_and_no_kind_can_do),
                TEST(test_ring_overflow_fail_never_waits),
                TEST(test_ring_overflow_drop_newest_counts_what_it_throws_away),
                TEST(test_ring_observer_sees_depth_and_counts),
                TEST(test_ring_wait_ends_at_its_time),
                TEST(test_ring_consumer_that_sleeps_is_woken_by_an_item),
                TEST(test_ring_producer_that_sleeps_is_woken_by_room),
                TEST(test_ring_wake_up_does_not_wait_for_the_slice),
                TEST(test_ring_wait_is_not_ended_by_signals),
                TEST(test_ring_makes_no_system_call_while_nobody_sleeps),
                TEST(test_news_of_a_death_are_said_once_and_after_the_items),
                TEST(test_news_of_a_death_wake_who_waits),
                TEST(test_news_of_a_dead_consumer_reach_a_full_producer),
                TEST(test_news_of_a_quiet_leave_are_no_death),
                cmocka_unit_test_setup_teardown(
                        test_need_peer_is_a_broken_pipe_once_nothing_is_left, setup_need_peer,
                        teardown),
                TEST(test_removed_region_is_drained_first),
                TEST(test_removal_wakes_who_waits),
                TEST(test_stale_region_is_drained_first),
                TEST(test_lease_that_is_another_s_writes_no_word_more),
                TEST(test_replaced_lane_is_drained_and_then_gone_on_with),
                TEST(test_replaced_seat_is_gone_on_with),
                TEST(test_replacement_that_cannot_be_fetched_holds_nobody_up),
                TEST(test_peer_that_breaks_the_protocol_is_not_believed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
