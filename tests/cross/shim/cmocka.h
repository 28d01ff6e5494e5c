/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * As Much of cmocka as the Pure Layers' Tests Use
 *
 * cmocka is a library of this machine. Where the pure layers are built for another one, their unit
 * tests are compiled against this instead, unchanged: same names, same meaning, one program, no
 * fork. What it lacks does not compile; what it has is proven to fail by test-shim.c.
 *
 * Included after <setjmp.h>, <stdarg.h>, <stddef.h> and <stdint.h>, as the real one is.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct CMUnitTest CMUnitTest;

struct CMUnitTest {
        const char *name;
        void (*test_func)(void **state);
        int (*setup_func)(void **state);
        int (*teardown_func)(void **state);
        void *initial_state;
};

#define cmocka_unit_test(_test) { #_test, _test, NULL, NULL, NULL }
#define cmocka_unit_test_setup(_test, _setup) { #_test, _test, _setup, NULL, NULL }
#define cmocka_unit_test_teardown(_test, _teardown) { #_test, _test, NULL, _teardown, NULL }
#define cmocka_unit_test_setup_teardown(_test, _setup, _teardown) \
        { #_test, _test, _setup, _teardown, NULL }
#define cmocka_unit_test_prestate(_test, _state) { #_test, _test, NULL, NULL, _state }

/* Return: how many tests failed. */
int shim_run(const char *name, const CMUnitTest *tests, size_t n_tests, int (*setup)(void **state),
             int (*teardown)(void **state));

#define cmocka_run_group_tests_name(_name, _tests, _setup, _teardown) \
        shim_run(_name, _tests, sizeof(_tests) / sizeof((_tests)[0]), _setup, _teardown)
#define cmocka_run_group_tests(_tests, _setup, _teardown) \
        cmocka_run_group_tests_name(#_tests, _tests, _setup, _teardown)

/* Ends the test that runs. */
void shim_fail(const char *file, int line, const char *format, ...)
                __attribute__((noreturn, format(printf, 3, 4)));
void shim_skip(void) __attribute__((noreturn));

/* What a test says while it runs. */
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

void shim_true(unsigned long long value, const char *what, const char *file, int line);
void shim_equal(unsigned long long a, unsigned long long b, int is_equal, const char *file,
                int line);
void shim_range(unsigned long long value, unsigned long long least, unsigned long long most,
                int is_inside, const char *file, int line);
void shim_string(const char *a, const char *b, int is_equal, const char *file, int line);
void shim_memory(const void *a, const void *b, size_t n_bytes, int is_equal, const char *file,
                 int line);

/* Through its own type first: a negative number stays one, as with the real cmocka. */
#define shim_number(_value) ((unsigned long long)(_value))
#define shim_pointer(_value) ((unsigned long long)(uintptr_t)(_value))

#define fail_msg(...) shim_fail(__FILE__, __LINE__, __VA_ARGS__)
#define fail() fail_msg("failed")
#define skip() shim_skip()

#define assert_true(_value) shim_true((_value) ? 1 : 0, #_value, __FILE__, __LINE__)
#define assert_false(_value) shim_true((_value) ? 0 : 1, "not " #_value, __FILE__, __LINE__)
#define assert_non_null(_value) shim_true((_value) ? 1 : 0, #_value, __FILE__, __LINE__)
#define assert_null(_value) shim_true((_value) ? 0 : 1, "no " #_value, __FILE__, __LINE__)
#define assert_int_equal(_a, _b) \
        shim_equal(shim_number(_a), shim_number(_b), 1, __FILE__, __LINE__)
#define assert_int_not_equal(_a, _b) \
        shim_equal(shim_number(_a), shim_number(_b), 0, __FILE__, __LINE__)
#define assert_ptr_equal(_a, _b) \
        shim_equal(shim_pointer(_a), shim_pointer(_b), 1, __FILE__, __LINE__)
#define assert_ptr_not_equal(_a, _b) \
        shim_equal(shim_pointer(_a), shim_pointer(_b), 0, __FILE__, __LINE__)
#define assert_in_range(_value, _least, _most) \
        shim_range(shim_number(_value), shim_number(_least), shim_number(_most), 1, __FILE__, \
                   __LINE__)
#define assert_not_in_range(_value, _least, _most) \
        shim_range(shim_number(_value), shim_number(_least), shim_number(_most), 0, __FILE__, \
                   __LINE__)
#define assert_string_equal(_a, _b) shim_string(_a, _b, 1, __FILE__, __LINE__)
#define assert_string_not_equal(_a, _b) shim_string(_a, _b, 0, __FILE__, __LINE__)
#define assert_memory_equal(_a, _b, _n) shim_memory(_a, _b, _n, 1, __FILE__, __LINE__)
#define assert_memory_not_equal(_a, _b, _n) shim_memory(_a, _b, _n, 0, __FILE__, __LINE__)
