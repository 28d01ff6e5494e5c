/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker That Comes and Goes, and Processes That Fork
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/deadline.h"
#include "client/region.h"
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

#define MS INT64_C(1000000)

static FakeBroker fake;
static struct shmb *c;
static struct shmb_region *producer, *consumer;

static int attach(enum shmb_role role, int64_t timeout_ns, struct shmb_region **ret) {
        struct shmb_attach want = SHMB_ATTACH_INIT;

        want.timeout_ns = timeout_ns;
        return shmb_attach(c, "a/ring", role, &want, ret);
}

static int setup(void **state) {
        fake_start_ring(&fake, 1, 1, sizeof(uint64_t), 8);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        assert_int_equal(attach(SHMB_PRODUCE, 0, &producer), 0);
        assert_int_equal(attach(SHMB_CONSUME, 0, &consumer), 0);
        return 0;
}

static int teardown(void **state) {
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        c = shmb_close(c);
        fake_stop(&fake);
        return 0;
}

static int try_push(void) {
        uint64_t item = 1;

        return shmb_push(producer, &item, 0);
}

static int try_pop(void) {
        uint64_t item;

        return shmb_pop(consumer, &item, 0);
}

/* Any control call that needs the broker. */
static int observe(int64_t timeout_ns) {
        struct shmb_region *observer;
        int r = attach(SHMB_OBSERVE, timeout_ns, &observer);

        if (r == 0)
                shmb_detach(observer);
        return r;
}

/*
 * Away and back
 */

static void test_items_flow_while_the_broker_is_away(void **state) {
        int i;

        fake_go_away(&fake);
        for (i = 0; i < 100; i++) {
                assert_int_equal(try_push(), 0);
                assert_int_equal(try_pop(), 0);
        }
        assert_int_equal(try_pop(), -EAGAIN);
        fake_return(&fake);
}

static void test_control_calls_come_back_as_the_same_client(void **state) {
        uint8_t uuid[SHMB_UUID_SIZE];

        memcpy(uuid, fake.uuid, sizeof(uuid));
        fake_hang_up(&fake);
        assert_int_equal(observe(0), 0);
        assert_memory_equal(fake.uuid, uuid, sizeof(uuid));
        assert_int_equal(fake.n_requests[WIRE_HELLO], 2);
        assert_int_equal(fake.n_requests[WIRE_RESUME], 2);
        assert_int_equal(try_push(), 0);
        assert_int_equal(try_pop(), 0);
}

static void test_control_calls_say_that_nobody_is_there(void **state) {
        fake_go_away(&fake);
        assert_int_equal(observe(0), -ECONNREFUSED);
        assert_non_null(strstr(shmb_error(c), "no broker listens there"));
        assert_int_equal(observe(30 * MS), -ECONNREFUSED);
        fake_return(&fake);
}

static void *return_later(void *userdata) {
        usleep(50000);
        fake_return(&fake);
        return NULL;
}

static void test_control_calls_wait_for_the_broker_within_their_time(void **state) {
        pthread_t thread;

        fake_go_away(&fake);
        assert_int_equal(pthread_create(&thread, NULL, return_later, NULL), 0);
        assert_int_equal(observe(10000 * MS), 0);
        pthread_join(thread, NULL);
}

static void test_a_broker_that_hangs_up_at_each_request_is_given_up_in_time(void **state) {
        int64_t before = shmb__now();

        fake.fault = FAKE_HANG_UP;
        assert_int_equal(observe(100 * MS), -ECONNREFUSED);
        fake.fault = FAKE_FINE;
        assert_true(shmb__now() - before < 5000 * MS);
        /* and not asked in a busy loop */
        assert_true(fake.n_requests[WIRE_HELLO] < 12);
}

/* As where brokers die one after the other: each lives for less than a second. */
static void test_a_broker_that_answered_is_asked_again_soon(void **state) {
        fake.fault = FAKE_HANG_UP;
        assert_int_equal(observe(3000 * MS), -ECONNREFUSED);
        fake.fault = FAKE_FINE;
        assert_in_range(fake.n_requests[WIRE_HELLO], 34, 80);
}

static void test_lease_that_is_fenced_ends_at_once(void **state) {
        assert_int_equal(try_push(), 0);
        fake.resume_verdict = WIRE_VERDICT_FENCED;
        fake_hang_up(&fake);
        assert_int_equal(observe(0), 0);
        assert_int_equal(try_push(), -ESHUTDOWN);
        assert_int_equal(try_pop(), -ESHUTDOWN);
        assert_int_equal(shmb_check(consumer), -ESHUTDOWN);
}

static void test_lease_that_nobody_knows_ends_at_once(void **state) {
        fake.resume_verdict = WIRE_VERDICT_NONE;
        fake_hang_up(&fake);
        assert_int_equal(observe(0), 0);
        assert_int_equal(try_push(), -ESHUTDOWN);
}

static void test_region_that_was_replaced_is_drained_first(void **state) {
        assert_int_equal(try_push(), 0);
        fake.resume_verdict = WIRE_VERDICT_REPLACED;
        fake_hang_up(&fake);
        assert_int_equal(observe(0), 0);
        assert_int_equal(try_push(), -ESTALE);
        assert_int_equal(try_pop(), 0);
        assert_int_equal(try_pop(), -ESTALE);
}

static bool is_readable(int fd, int timeout_ms) {
        struct pollfd p = { fd, POLLIN, 0 };

        return poll(&p, 1, timeout_ms) == 1;
}

static void test_event_loop_sees_the_broker_go_and_come(void **state) {
        int fd = shmb_fd(c), r;

        assert_true(fd >= 0);
        assert_int_equal(shmb_fd(c), fd);
        assert_false(is_readable(fd, 0));
        assert_int_equal(shmb_dispatch(c), 0);

        fake_go_away(&fake);
        assert_true(is_readable(fd, 10000));
        assert_int_equal(shmb_dispatch(c), -ECONNREFUSED);
        assert_true(is_readable(fd, 10000));
        assert_int_equal(shmb_dispatch(c), -ECONNREFUSED);
        fake_return(&fake);
        do {
                assert_true(is_readable(fd, 10000));
                r = shmb_dispatch(c);
                assert_true(r == 0 || r == -ECONNREFUSED);
        } while (r < 0);
        assert_int_equal(fake.n_requests[WIRE_RESUME], 2);
        assert_false(is_readable(fd, 0));
}

/*
 * Threads
 */

static void *attach_again_and_again(void *userdata) {
        int *ret_failed = userdata, i;

        for (i = 0; i < 200; i++)
                *ret_failed += observe(1000 * MS) < 0;
        return NULL;
}

static void test_handles_of_several_threads_share_a_connection(void **state) {
        int failed[3] = {};
        pthread_t threads[3];
        int i;

        for (i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, attach_again_and_again,
                                                &failed[i]), 0);
        for (i = 0; i < 200; i++) {
                assert_int_equal(try_push(), 0);
                assert_int_equal(try_pop(), 0);
                if (i % 50 == 0)
                        fake_hang_up(&fake);
        }
        for (i = 0; i < 3; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(failed[i], 0);
        }
}

/*
 * Forks
 */

static int use_the_parent_s_handles(void *userdata) {
        struct shmb_stats stats = { .size = sizeof(stats) };
        struct shmb_region *r;
        struct shmb_span span;
        const void *item;
        void *slot;

        if (try_push() != -ECHILD || try_pop() != -ECHILD)
                return 1;
        if (shmb_claim(producer, &slot, 0) != -ECHILD || shmb_commit(producer) != -ECHILD ||
            shmb_abort(producer) != -ECHILD || shmb_peek(consumer, &item, 0) != -ECHILD ||
            shmb_release(consumer) != -ECHILD || shmb_claim_n(producer, 1, &span, 0) != -ECHILD)
                return 2;
        if (shmb_check(consumer) != -ECHILD || shmb_get_stats(consumer, &stats) != -ECHILD)
                return 3;
        if (attach(SHMB_OBSERVE, 0, &r) != -ECHILD || shmb_dispatch(c) != -ECHILD ||
            shmb_fd(c) != -ECHILD)
                return 4;
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        c = shmb_close(c);

        /* the child may come for itself */
        if (shmb_connect(fake.path, &c) != 0 || observe(0) != 0)
                return 5;
        shmb_close(c);
        return 0;
}

static void test_child_of_a_fork_cannot_use_or_harm_its_parent_s_handles(void **state) {
        uint32_t n_detached = fake.n_requests[WIRE_DETACH];

        assert_int_equal(try_push(), 0);
        assert_int_equal(fork_run(use_the_parent_s_handles, NULL), 0);
        assert_int_equal(try_push(), 0);
        assert_int_equal(try_pop(), 0);
        assert_int_equal(try_pop(), 0);
        assert_int_equal(observe(0), 0);
        /* the child's own observer, and ours */
        assert_int_equal(fake.n_requests[WIRE_DETACH], n_detached + 2);
}

/* A child that only lives on holds no writable mapping: the broker's proof is not disturbed. */
static int look_for_writable_maps(void *userdata) {
        char line[512];
        FILE *maps = fopen("/proc/self/maps", "r");
        unsigned long first, last;
        char rights[8];

        while (maps && fgets(line, sizeof(line), maps)) {
                if (sscanf(line, "%lx-%lx %7s", &first, &last, rights) != 3 || rights[1] != 'w')
                        continue;
                /* the fake's own mappings are its business */
                if ((void *)first == producer->lanes[0].memory ||
                    (void *)first == consumer->seats[0].memory)
                        return 1;
        }
        return maps ? 0 : 2;
}

static void test_child_of_a_fork_inherits_no_writable_mapping(void **state) {
        assert_int_equal(fork_run(look_for_writable_maps, NULL), 0);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_items_flow_while_the_broker_is_away),
                TEST(test_control_calls_come_back_as_the_same_client),
                TEST(test_control_calls_say_that_nobody_is_there),
                TEST(test_control_calls_wait_for_the_broker_within_their_time),
                TEST(test_a_broker_that_hangs_up_at_each_request_is_given_up_in_time),
                TEST(test_a_broker_that_answered_is_asked_again_soon),
                TEST(test_lease_that_is_fenced_ends_at_once),
                TEST(test_lease_that_nobody_knows_ends_at_once),
                TEST(test_region_that_was_replaced_is_drained_first),
                TEST(test_event_loop_sees_the_broker_go_and_come),
                TEST(test_handles_of_several_threads_share_a_connection),
                TEST(test_child_of_a_fork_cannot_use_or_harm_its_parent_s_handles),
                TEST(test_child_of_a_fork_inherits_no_writable_mapping),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
