/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Loader, when the system fails it: each allocation and each system call of a load fails once. Then
 * there is an error or there is the whole set, never a part of it, and nothing stays open or
 * allocated.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"
#include "tests/harness/fault.h"
#include "tests/unit/config-place.h"
#include "tests/unit/fault-blocks.h"

enum {
        N_REGIONS = 4,
};

FAULT_CALL(int, fstat64, (int fd, struct stat *status), (fd, status))
FAULT_CALL(off_t, lseek64, (int fd, off_t offset, int whence), (fd, offset, whence))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) {
        return fault_step("open") ? -1 : __real_open64(path, flags);
}

int __real_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...) {
        return fault_step("openat") ? -1 : __real_openat64(fd, path, flags);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...) {
        va_list args;
        int argument;

        va_start(args, command);
        argument = va_arg(args, int);
        va_end(args);
        return fault_step("fcntl") ? -1 : __real_fcntl64(fd, command, argument);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd) {
        return fault_step("fdopendir") ? NULL : __real_fdopendir(fd);
}

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir) {
        return fault_step("readdir") ? NULL : __real_readdir64(dir);
}

static ssize_t read_or_fail(int fd, void *buffer, size_t n_bytes) {
        return fault_step("read") ? -1 : read(fd, buffer, n_bytes);
}

/* One load with the @nth call failing. Return: whether there was one. */
static bool load_with_fault(const Place *place, unsigned nth, int error) {
        size_t n_fds = scratch_count_fds();
        DeclErrors errors = DECL_ERRORS_NULL;
        long n_before = fault_blocks;
        DeclSet *set = NULL;
        bool happened;
        int r;

        fault_arm(nth, error);
        r = config_load(&place->paths, &set, &errors);
        happened = fault_disarm();

        switch (r) {
        case 0:
                /* nothing failed, or only what the load can do without */
                assert_int_equal(set->n_decls, N_REGIONS);
                assert_true(!happened || strcmp(fault_name(), "realloc") == 0 ||
                            strcmp(fault_name(), "strdup") == 0);
                break;
        case DECL_E_INVALID:
                assert_true(happened && !set && errors.n_errors > 0);
                break;
        default:
                assert_int_equal(r, -ENOMEM);
                assert_true(happened && !set && !errors.errors);
        }

        decl_set_free(set);
        decl_errors_deinit(&errors);
        assert_int_equal(fault_blocks, n_before);
        assert_int_equal(scratch_count_fds(), n_fds);
        return happened;
}

static void load_with_faults(void **state, int error) {
        Place *place = *state;
        unsigned nth = 1;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/a.yaml",
                       "regions: [{name: a, access: {read: [user:root, group:root]}}]\n");
        place_put_link(place, "etc/regions.d/z.yaml", "/dev/null");
        place_put_file(place, "run/regions.d/b.yaml", "regions: [{name: b}]\n");
        place_put_file(place, "lib/regions.d/c.yaml", "regions: [{name: c}]\n");

        config_file_read = read_or_fail;
        while (load_with_fault(place, nth, error))
                nth++;
        assert_true(nth > 100);
}

static void test_each_call_failing_with_an_error(void **state) {
        load_with_faults(state, EIO);
}

static void test_each_call_failing_for_want_of_memory(void **state) {
        load_with_faults(state, ENOMEM);
}

static void test_each_call_failing_for_want_of_descriptors(void **state) {
        load_with_faults(state, EMFILE);
}

#define TEST(_function)                                                                           \
        cmocka_unit_test_setup_teardown(_function, place_setup, place_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_call_failing_with_an_error),
                TEST(test_each_call_failing_for_want_of_memory),
                TEST(test_each_call_failing_for_want_of_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
