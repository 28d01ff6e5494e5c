/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As Much of cmocka as the Pure Layers' Tests Use
 *
 * A test that fails jumps back to the loop that runs them. Asserts belong to the thread of the
 * test, as with the real one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/cross/shim/cmocka.h"

enum {
        OUTCOME_RUNS, /* as setjmp() returns it the first time */
        OUTCOME_FAILED,
        OUTCOME_SKIPPED,
};

static jmp_buf back;

void shim_fail(const char *file, int line, const char *format, ...) {
        va_list arguments;

        printf("%s:%d: ", file, line);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
        longjmp(back, OUTCOME_FAILED);
}

void print_message(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        /* A test that crashes has said how far it came. */
        fflush(stdout);
}

void shim_skip(void) {
        longjmp(back, OUTCOME_SKIPPED);
}

void shim_true(unsigned long long value, const char *what, const char *file, int line) {
        if (!value)
                shim_fail(file, line, "%s", what);
}

void shim_equal(unsigned long long a, unsigned long long b, int is_equal, const char *file,
                int line) {
        if ((a == b) != is_equal)
                shim_fail(file, line, "%#llx %s %#llx", a, is_equal ? "!=" : "==", b);
}

void shim_range(unsigned long long value, unsigned long long least, unsigned long long most,
                int is_inside, const char *file, int line) {
        if ((value >= least && value <= most) != is_inside)
                shim_fail(file, line, "%#llx is %s %#llx..%#llx", value,
                          is_inside ? "outside of" : "inside", least, most);
}

void shim_string(const char *a, const char *b, int is_equal, const char *file, int line) {
        if ((strcmp(a, b) == 0) != is_equal)
                shim_fail(file, line, "\"%s\" %s \"%s\"", a, is_equal ? "!=" : "==", b);
}

void shim_memory(const void *a, const void *b, size_t n_bytes, int is_equal, const char *file,
                 int line) {
        if ((memcmp(a, b, n_bytes) == 0) != is_equal)
                shim_fail(file, line, "%zu bytes %s", n_bytes, is_equal ? "differ" : "agree");
}

/* Return: OUTCOME_RUNS if nothing ended it. */
static int run_one(const CMUnitTest *test, void **state) {
        int outcome = setjmp(back);

        if (outcome != OUTCOME_RUNS)
                return outcome;
        if (test->initial_state)
                *state = test->initial_state;
        if (test->setup_func && test->setup_func(state) != 0)
                fail_msg("%s: cannot be set up", test->name);
        test->test_func(state);
        return OUTCOME_RUNS;
}

/* Whatever the test said, what it had is given back. */
static int tear_down(const CMUnitTest *test, void **state) {
        int outcome = setjmp(back);

        if (outcome != OUTCOME_RUNS)
                return outcome;
        if (test->teardown_func && test->teardown_func(state) != 0)
                fail_msg("%s: cannot be torn down", test->name);
        return OUTCOME_RUNS;
}

int shim_run(const char *name, const CMUnitTest *tests, size_t n_tests, int (*setup)(void **state),
             int (*teardown)(void **state)) {
        size_t n_failed = 0, n_skipped = 0, i;
        void *group = NULL, *state;
        int outcome, left;

        if (setup && setup(&group) != 0) {
                printf("%s: cannot be set up\n", name);
                return (int)n_tests;
        }
        for (i = 0; i < n_tests; i++) {
                state = group;
                outcome = run_one(&tests[i], &state);
                left = tear_down(&tests[i], &state);
                if (outcome == OUTCOME_FAILED || left == OUTCOME_FAILED) {
                        printf("%s: failed\n", tests[i].name);
                        n_failed++;
                } else if (outcome == OUTCOME_SKIPPED) {
                        n_skipped++;
                }
        }
        if (teardown && teardown(&group) != 0) {
                printf("%s: cannot be torn down\n", name);
                n_failed++;
        }
        printf("%s: %zu tests, %zu failed, %zu skipped\n", name, n_tests, n_failed, n_skipped);
        fflush(stdout);
        return (int)n_failed;
}
