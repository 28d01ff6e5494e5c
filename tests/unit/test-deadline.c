/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The index of deadlines: earliest first, whatever was set, moved and cleared before.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "daemon/core/deadline.h"

static void test_deadline_queue_without_entries_never_wakes(void **state) {
        DeadlineQueue queue;
        Deadline deadline = {};

        deadline_queue_init(&queue);
        assert_true(deadline_queue_next(&queue) == DEADLINE_NEVER);
        assert_null(deadline_queue_pop(&queue, UINT64_MAX - 1));

        assert_int_equal(deadline_join(&queue, &deadline, DEADLINE_REGION), 0);
        assert_true(deadline_queue_next(&queue) == DEADLINE_NEVER);
        deadline_leave(&deadline);
        deadline_leave(&deadline);
        deadline_queue_deinit(&queue);
}

static void test_deadline_pop_gives_only_what_is_due(void **state) {
        DeadlineQueue queue;
        Deadline first = {}, second = {};

        deadline_queue_init(&queue);
        assert_int_equal(deadline_join(&queue, &first, DEADLINE_REGION), 0);
        assert_int_equal(deadline_join(&queue, &second, DEADLINE_CONNECTION), 0);
        deadline_set(&second, 20);
        deadline_set(&first, 10);

        assert_null(deadline_queue_pop(&queue, 9));
        assert_ptr_equal(deadline_queue_pop(&queue, 10), &first);
        assert_true(first.at_ns == DEADLINE_NEVER);
        assert_null(deadline_queue_pop(&queue, 19));
        assert_true(deadline_queue_next(&queue) == 20);

        deadline_set(&second, DEADLINE_NEVER);
        assert_null(deadline_queue_pop(&queue, 1000));
        deadline_leave(&first);
        deadline_leave(&second);
        deadline_queue_deinit(&queue);
}

/* Against the plainest model there is: look at all of them. */
static void test_deadline_queue_agrees_with_a_linear_search(void **state) {
        enum { N = 37, N_STEPS = 20000 };
        Deadline deadlines[N] = {}, *popped;
        uint64_t earliest, now = 0;
        DeadlineQueue queue;
        unsigned seed = 1;
        size_t i, step, which;

        deadline_queue_init(&queue);
        for (i = 0; i < N; i++)
                assert_int_equal(deadline_join(&queue, &deadlines[i], DEADLINE_REGION), 0);

        for (step = 0; step < N_STEPS; step++) {
                which = (size_t)rand_r(&seed) % N;
                deadline_set(&deadlines[which],
                             rand_r(&seed) % 4 ? now + (uint64_t)(rand_r(&seed) % 100)
                                               : DEADLINE_NEVER);
                earliest = DEADLINE_NEVER;
                for (i = 0; i < N; i++)
                        if (deadlines[i].at_ns < earliest)
                                earliest = deadlines[i].at_ns;
                assert_true(deadline_queue_next(&queue) == earliest);

                now += (uint64_t)(rand_r(&seed) % 3);
                popped = deadline_queue_pop(&queue, now);
                assert_int_equal(popped != NULL, earliest <= now);
        }

        for (i = 0; i < N; i++)
                deadline_leave(&deadlines[i]);
        deadline_queue_deinit(&queue);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deadline_queue_without_entries_never_wakes),
                cmocka_unit_test(test_deadline_pop_gives_only_what_is_due),
                cmocka_unit_test(test_deadline_queue_agrees_with_a_linear_search),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
