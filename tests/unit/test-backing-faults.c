/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backings: each system call on the way of an object from nothing to unlinked fails once with each
 * plausible errno, and each time nothing is left of it: no name, no descriptor, no half an object.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/backing.h"
#include "tests/harness/fault.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

enum {
        SIZE = 64 * 1024,
};

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        BackingDir dir;
} Fixture;

FAULT_CALL(int, openat64, (int dir, const char *path, int flags, mode_t mode),
           (dir, path, flags, mode))
FAULT_CALL(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAULT_CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags))
FAULT_CALL(int, ftruncate64, (int fd, off_t size), (fd, size))
FAULT_CALL(int, fallocate64, (int fd, int mode, off_t offset, off_t size),
           (fd, mode, offset, size))
FAULT_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
FAULT_CALL(ssize_t, pwrite64, (int fd, const void *data, size_t n, off_t offset),
           (fd, data, n, offset))
FAULT_CALL(int, fstat64, (int fd, struct stat *st), (fd, st))
FAULT_CALL(int, fstatat64, (int dir, const char *path, struct stat *st, int flags),
           (dir, path, st, flags))
FAULT_CALL(int, fcntl64, (int fd, int command, long value), (fd, command, value))
FAULT_CALL(int, linkat, (int dir, const char *path, int dir_new, const char *path_new, int flags),
           (dir, path, dir_new, path_new, flags))
FAULT_CALL(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 ||
            backing_dir_open(fixture->path, &fixture->dir) != 0)
                return -1;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        backing_dir_close(&fixture->dir);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static BackingParams params_of(ShmbBacking backing) {
        return (BackingParams){
                .backing = backing,
                .name = "shmb.test@0123456789abcdef.data",
                .size_bytes = SIZE,
                .header = "header",
                .n_header = 6,
        };
}

/* One run from nothing to a published, opened and unlinked object. The first code that is not 0. */
static int run_whole_life(Fixture *fixture, ShmbBacking backing) {
        BackingParams params = params_of(backing);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingObject object = BACKING_OBJECT_NULL(object);
        BackingFault fault = {};
        int fd = -1, r, r_unlink;

        r = backing_create(&fixture->dir, &params, &draft, &fault);
        if (r == 0)
                r = backing_publish(&fixture->dir, &draft, &object, &fault);
        if (r) {
                /* Nothing to be seen of it, in memory or under a name. */
                assert_int_equal(object.ino, 0);
                assert_int_equal(scratch_count(fixture->path), 0);
                backing_discard(&draft);
                return r;
        }

        r = backing_open(&fixture->dir, &object, true, &fd, &fault);
        if (r == 0)
                close(fd);
        else
                assert_int_equal(fd, -1);

        r_unlink = backing_unlink(&fixture->dir, &object, &fault);
        if (r_unlink) {
                /* A name that could not be removed is still on record, and can be tried again. */
                assert_int_equal(scratch_count(fixture->path), backing == SHMB_BACKING_POSIX);
                assert_int_equal(backing_unlink(&fixture->dir, &object, &fault), 0);
        }
        return r ? r : r_unlink;
}

static void check_each_call_may_fail(Fixture *fixture, ShmbBacking backing, int error) {
        unsigned n_fds = scratch_count_fds(), nth, n_swallowed = 0;
        int r;

        for (nth = 1;; nth++) {
                fault_arm(nth, error);
                r = run_whole_life(fixture, backing);
                if (!fault_disarm())
                        break;
                /* /proc/meminfo only advises; nothing else may go wrong unseen. */
                if (r == 0) {
                        assert_string_equal(fault_name(), "open64");
                        n_swallowed++;
                } else if (r < 0) {
                        assert_int_equal(r, -error);
                }
                assert_int_equal(scratch_count_fds(), n_fds);
                assert_int_equal(scratch_count(fixture->path), 0);
                assert_true(nth < 100);
        }
        assert_int_equal(r, 0);
        assert_true(nth > 8);
        assert_int_equal(n_swallowed, 1);
}

static void test_each_call_of_a_posix_object_may_fail_and_nothing_is_left(void **state) {
        static const int errors[] = { EIO, ENOMEM, ENOSPC, EMFILE, EACCES, ENOENT };
        size_t i;

        for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
                check_each_call_may_fail(*state, SHMB_BACKING_POSIX, errors[i]);
}

static void test_each_call_of_a_memfd_may_fail_and_nothing_is_left(void **state) {
        static const int errors[] = { EIO, ENOMEM, ENOSPC, EMFILE, EACCES };
        size_t i;

        for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
                check_each_call_may_fail(*state, SHMB_BACKING_MEMFD, errors[i]);
}

typedef struct Killing {
        Fixture *fixture;
        unsigned nth;
} Killing;

/* 0 if it came through without being killed. */
static int create_until_killed(void *userdata) {
        Killing *killing = userdata;
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingObject object = BACKING_OBJECT_NULL(object);
        BackingFault fault = {};

        fault_arm(killing->nth, FAULT_KILL);
        if (backing_create(&killing->fixture->dir, &params, &draft, &fault) != 0 ||
            backing_publish(&killing->fixture->dir, &draft, &object, &fault) != 0)
                return 1;
        return 0;
}

static void expect_whole(Fixture *fixture) {
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        char header[6];
        struct stat st;
        int fd;

        fd = openat(fixture->dir.fd, params.name, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, SIZE);
        assert_true(st.st_blocks * 512 >= SIZE);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(backing_read(fd, 0, header, sizeof(header)), 0);
        assert_memory_equal(header, "header", sizeof(header));
        close(fd);
        assert_int_equal(unlinkat(fixture->dir.fd, params.name, 0), 0);
}

static void test_killed_before_any_call_there_is_no_object_or_a_whole_one(void **state) {
        Killing killing = { .fixture = *state };
        unsigned n_whole = 0;
        int r;

        for (killing.nth = 1; killing.nth < 100; killing.nth++) {
                r = fork_run(create_until_killed, &killing);
                assert_true(r == 0 || r == 128 + SIGKILL);
                if (scratch_count(killing.fixture->path) > 0) {
                        expect_whole(killing.fixture);
                        n_whole++;
                }
                if (r == 0)
                        break;
        }
        /* The run that nobody killed; the link is the last call of all others. */
        assert_int_equal(n_whole, 1);
        assert_true(killing.nth > 7);
}

static void test_interrupted_reservation_is_tried_again(void **state) {
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};

        /* open(meminfo), openat, ftruncate, fallocate */
        fault_arm(4, EINTR);
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
        assert_true(fault_disarm());
        assert_string_equal(fault_name(), "fallocate64");
        backing_discard(&draft);
}

static void test_kernel_without_noexec_seal_still_makes_memfds(void **state) {
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_MEMFD);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};

        fault_arm(2, EINVAL);
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
        assert_true(fault_disarm());
        assert_string_equal(fault_name(), "memfd_create");
        backing_discard(&draft);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_call_of_a_posix_object_may_fail_and_nothing_is_left),
                TEST(test_each_call_of_a_memfd_may_fail_and_nothing_is_left),
                TEST(test_killed_before_any_call_there_is_no_object_or_a_whole_one),
                TEST(test_interrupted_reservation_is_tried_again),
                TEST(test_kernel_without_noexec_seal_still_makes_memfds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
