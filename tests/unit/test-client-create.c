/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Creating and Removing, through a Broker that Loses its Answers
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/shmb.h"
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

#define MS INT64_C(1000000)

static FakeBroker fake;
static struct shmb *c;

static int setup(void **state) {
        fake_start_raw(&fake, 4096);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        fake.there = false;
        return 0;
}

static int teardown(void **state) {
        c = shmb_close(c);
        fake_stop(&fake);
        return 0;
}

static int create(uint32_t flags, int64_t timeout_ns) {
        struct shmb_create want = SHMB_CREATE_INIT;

        want.flags = flags;
        want.timeout_ns = timeout_ns;
        return shmb_create(c, "s/a", &want);
}

static void test_create_says_what_is_wanted(void **state) {
        struct shmb_create want = SHMB_CREATE_INIT;

        want.flags = SHMB_EXCLUSIVE;
        want.kind = SHMB_RING;
        want.region_size = 0x1234;
        want.capacity = 0x5678;
        assert_int_equal(shmb_create(c, "s/a", &want), 1);
        assert_true(fake.create.exclusive);
        assert_int_equal(fake.create.kind, SHMB_RING);
        assert_int_equal(fake.create.region_size, 0x1234);
        assert_int_equal(fake.create.capacity, 0x5678);
        assert_int_equal(shmb_create(c, "s/a", NULL), 0);
        assert_false(fake.create.exclusive);
        assert_int_equal(fake.create.region_size, 0);
}

static void test_create_tells_who_made_it(void **state) {
        assert_int_equal(create(0, 0), 1);
        assert_int_equal(create(0, 0), 0);
        assert_int_equal(create(SHMB_EXCLUSIVE, 0), -EEXIST);
        assert_string_equal(shmb_error(c), "it is there already");
        assert_int_equal(shmb_remove(c, "s/a", 0), 0);
        assert_int_equal(create(SHMB_EXCLUSIVE, 0), 1);
}

/* It was done; only the answer is missing. */
static void test_create_whose_answer_is_lost_is_repeated(void **state) {
        fake.n_lost = 2;
        assert_int_equal(create(SHMB_EXCLUSIVE, 10000 * MS), 1);
        assert_int_equal(fake.n_requests[WIRE_CREATE], 3);
        assert_int_equal(create(SHMB_EXCLUSIVE, 10000 * MS), -EEXIST);
}

static void test_remove_whose_answer_is_lost_is_repeated(void **state) {
        assert_int_equal(create(0, 0), 1);
        fake.n_lost = 1;
        assert_int_equal(shmb_remove(c, "s/a", 10000 * MS), 0);
        assert_int_equal(fake.n_requests[WIRE_REMOVE], 2);
        /* and is not there to be removed again */
        assert_int_equal(shmb_remove(c, "s/a", 10000 * MS), -ENOENT);
        fake_hang_up(&fake);
        assert_int_equal(shmb_remove(c, "s/a", 10000 * MS), -ENOENT);
}

static void test_broker_that_does_not_answer_is_given_up(void **state) {
        fake.fault = FAKE_SILENT;
        assert_int_equal(create(0, 10 * MS), -ETIMEDOUT);
        assert_int_equal(shmb_remove(c, "s/a", 10 * MS), -ETIMEDOUT);
        fake.fault = FAKE_GARBAGE;
        assert_int_equal(create(0, 10 * MS), -EPROTO);
        fake.fault = FAKE_FINE;
        fake_go_away(&fake);
        assert_int_equal(create(0, 0), -ECONNREFUSED);
        assert_int_equal(shmb_remove(c, "s/a", 0), -ECONNREFUSED);
        fake_return(&fake);
}

static void test_arguments_are_judged_before_anybody_is_asked(void **state) {
        static const char *const names[] = { "", "a//b", "/a", "A", "a b" };
        struct {
                struct shmb_create known;
                uint64_t newer;
        } want = { .known = SHMB_CREATE_INIT };
        size_t i;

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                assert_int_equal(shmb_create(c, names[i], NULL), -EINVAL);
                assert_non_null(strstr(shmb_error(c), "region name"));
                assert_int_equal(shmb_remove(c, names[i], 0), -EINVAL);
        }
        assert_int_equal(shmb_create(NULL, "a/b", NULL), -EINVAL);
        assert_int_equal(shmb_create(c, NULL, NULL), -EINVAL);
        assert_int_equal(shmb_remove(NULL, "a/b", 0), -EINVAL);
        assert_int_equal(shmb_remove(c, NULL, 0), -EINVAL);

        want.known.flags = 2;
        assert_int_equal(shmb_create(c, "a/b", &want.known), -EINVAL);
        want.known.flags = 0;
        want.known.size = offsetof(struct shmb_create, kind) - 1;
        assert_int_equal(shmb_create(c, "a/b", &want.known), -EINVAL);
        want.known.size = sizeof(want);
        want.newer = 1;
        assert_int_equal(shmb_create(c, "a/b", &want.known), -E2BIG);
        assert_int_equal(fake.n_requests[WIRE_CREATE], 0);
        assert_int_equal(fake.n_requests[WIRE_REMOVE], 0);

        /* a newer header that sets nothing new, and an older one that has less */
        want.newer = 0;
        assert_int_equal(shmb_create(c, "a/b", &want.known), 1);
        want.known.size = offsetof(struct shmb_create, kind);
        want.known.region_size = 77;
        assert_int_equal(shmb_create(c, "a/b", &want.known), 0);
        assert_int_equal(fake.create.region_size, 0);
}

static int use_in_child(void *userdata) {
        return create(0, 0) == -ECHILD && shmb_remove(c, "s/a", 0) == -ECHILD ? 0 : 1;
}

static void test_child_of_a_fork_creates_and_removes_nothing(void **state) {
        assert_int_equal(fork_run(use_in_child, NULL), 0);
        assert_int_equal(fake.n_requests[WIRE_CREATE], 0);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_create_says_what_is_wanted),
                TEST(test_create_tells_who_made_it),
                TEST(test_create_whose_answer_is_lost_is_repeated),
                TEST(test_remove_whose_answer_is_lost_is_repeated),
                TEST(test_broker_that_does_not_answer_is_given_up),
                TEST(test_arguments_are_judged_before_anybody_is_asked),
                TEST(test_child_of_a_fork_creates_and_removes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
