/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lock file: one holder at a time, however the last one ended, and only on a file of ours.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/lockfile.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        int dir_fd;
        int pipe[2];
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 || pipe2(fixture->pipe, O_CLOEXEC) < 0)
                return -1;
        fixture->dir_fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = fixture;
        return fixture->dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        close(fixture->pipe[0]);
        close(fixture->pipe[1]);
        close(fixture->dir_fd);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static int take(Fixture *fixture, int *ret_fd, pid_t *ret_pid) {
        return lockfile_take(fixture->dir_fd, "lock", ret_fd, ret_pid);
}

static int take_and_hang(void *userdata) {
        Fixture *fixture = userdata;
        int fd, r;
        pid_t pid;

        r = take(fixture, &fd, &pid);
        if (r || write(fixture->pipe[1], "x", 1) != 1)
                return 1;
        for (;;)
                pause();
}

static void test_second_broker_is_told_who_holds_it(void **state) {
        Fixture *fixture = *state;
        int fd = -1, second = -1;
        pid_t pid = 0, child;
        char byte;

        child = fork_start(take_and_hang, fixture);
        assert_int_equal(read(fixture->pipe[0], &byte, 1), 1);
        assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_HELD);
        assert_int_equal(pid, child);
        assert_int_equal(fd, -1);

        /* However it ended. */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(fork_wait(child), 128 + SIGKILL);
        pid = 0;
        assert_int_equal(take(fixture, &fd, &pid), 0);
        assert_int_equal(pid, 0);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(take(fixture, &second, &pid), LOCKFILE_E_HELD);
        assert_int_equal(pid, getpid());
        close(fd);
}

static void test_shorter_number_leaves_nothing_of_a_longer_one(void **state) {
        Fixture *fixture = *state;
        int fd, held = -1;
        pid_t pid = 0;

        fd = openat(fixture->dir_fd, "lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "2147483647\n\n\n\n\n\n\n", 17), 17);
        close(fd);
        assert_int_equal(take(fixture, &held, &pid), 0);
        assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_HELD);
        assert_int_equal(pid, getpid());
        close(held);
}

static void test_file_that_others_can_lock_is_refused(void **state) {
        static const mode_t modes[] = { 0640, 0604, 0620, 0666 };
        Fixture *fixture = *state;
        int fd = -1;
        pid_t pid;
        size_t i;

        assert_int_equal(take(fixture, &fd, &pid), 0);
        close(fd);
        fd = -1;
        for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
                assert_int_equal(fchmodat(fixture->dir_fd, "lock", modes[i], 0), 0);
                assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_UNSAFE);
        }
        assert_int_equal(fchmodat(fixture->dir_fd, "lock", 0600, 0), 0);
        if (fork_can_become()) {
                assert_int_equal(fchownat(fixture->dir_fd, "lock", FORK_OTHER_UID, 0, 0), 0);
                assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_UNSAFE);
        }
        assert_int_equal(fd, -1);
}

static void test_anything_but_a_regular_file_is_refused(void **state) {
        Fixture *fixture = *state;
        int fd = -1;
        pid_t pid;

        assert_int_equal(symlinkat("elsewhere", fixture->dir_fd, "lock"), 0);
        assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_UNSAFE);
        assert_int_equal(faccessat(fixture->dir_fd, "elsewhere", F_OK, 0), -1);
        assert_int_equal(unlinkat(fixture->dir_fd, "lock", 0), 0);

        assert_int_equal(mkdirat(fixture->dir_fd, "lock", 0700), 0);
        assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_UNSAFE);
        assert_int_equal(unlinkat(fixture->dir_fd, "lock", AT_REMOVEDIR), 0);

        assert_int_equal(mkfifoat(fixture->dir_fd, "lock", 0600), 0);
        assert_int_equal(take(fixture, &fd, &pid), LOCKFILE_E_UNSAFE);
        assert_int_equal(fd, -1);
        assert_int_equal(lockfile_take(-1, "lock", &fd, &pid), -EBADF);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_second_broker_is_told_who_holds_it),
                TEST(test_shorter_number_leaves_nothing_of_a_longer_one),
                TEST(test_file_that_others_can_lock_is_refused),
                TEST(test_anything_but_a_regular_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
