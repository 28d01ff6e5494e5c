/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writer proof: every way to hold a writable file keeps it from being given, wherever the holder
 * is; readers do not; and asking leaves nothing behind. For both backings.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/backing.h"
#include "daemon/sys/fdpass.h"
#include "daemon/sys/probe.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

enum {
        SIZE = 8192,
};

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        BackingDir dir;
        BackingObject object;
        BackingFault fault;
} Fixture;

static bool open_before_unlock;

int __real_fcntl64(int fd, int command, long value);
int __wrap_fcntl64(int fd, int command, long value);
int __wrap_fcntl64(int fd, int command, long value) {
        char path[64];

        /* As if somebody opened it for writing between the two calls of the probe. */
        if (open_before_unlock && command == F_SETLEASE && value == F_UNLCK) {
                open_before_unlock = false;
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                assert_int_equal(open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), -1);
                assert_int_equal(errno, EWOULDBLOCK);
        }
        return __real_fcntl64(fd, command, value);
}

static int setup(void **state, ShmbBacking backing) {
        BackingParams params = { .backing = backing, .name = "object", .size_bytes = SIZE };
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 ||
            backing_dir_open(fixture->path, &fixture->dir) != 0 ||
            backing_create(&fixture->dir, &params, &draft, &fixture->fault) != 0 ||
            backing_publish(&fixture->dir, &draft, &fixture->object, &fixture->fault) != 0)
                return -1;
        *state = fixture;
        return 0;
}

static int setup_posix(void **state) {
        return setup(state, SHMB_BACKING_POSIX);
}

static int setup_memfd(void **state) {
        return setup(state, SHMB_BACKING_MEMFD);
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        (void)backing_unlink(&fixture->dir, &fixture->object, &fixture->fault);
        backing_dir_close(&fixture->dir);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static int open_object(Fixture *fixture, bool writable) {
        int fd = -1;

        assert_int_equal(backing_open(&fixture->dir, &fixture->object, writable, &fd,
                                      &fixture->fault), 0);
        return fd;
}

static int probe(Fixture *fixture) {
        int fd = open_object(fixture, false), r;

        r = probe_writers(fd);
        close(fd);
        return r;
}

static void *map(int fd, int protection) {
        void *memory = mmap(NULL, SIZE, protection, MAP_SHARED, fd, 0);

        assert_ptr_not_equal(memory, MAP_FAILED);
        return memory;
}

static void test_nobody_or_readers_only_is_proven(void **state) {
        Fixture *fixture = *state;
        int fd;
        void *memory;

        assert_int_equal(probe(fixture), 1);
        assert_int_equal(probe(fixture), 1);

        fd = open_object(fixture, false);
        memory = map(fd, PROT_READ);
        assert_int_equal(probe(fixture), 1);
        close(fd);
        assert_int_equal(probe(fixture), 1);
        munmap(memory, SIZE);
}

static void test_writable_descriptor_is_seen(void **state) {
        Fixture *fixture = *state;
        int fd = open_object(fixture, true);

        assert_int_equal(probe(fixture), 0);
        close(fd);
        assert_int_equal(probe(fixture), 1);
}

static void test_writable_mapping_is_seen_without_its_descriptor(void **state) {
        Fixture *fixture = *state;
        int fd = open_object(fixture, true);
        void *memory = map(fd, PROT_READ | PROT_WRITE);

        close(fd);
        assert_int_equal(probe(fixture), 0);
        /* Who made it read-only can make it writable again. */
        assert_int_equal(mprotect(memory, SIZE, PROT_READ), 0);
        assert_int_equal(probe(fixture), 0);
        munmap(memory, SIZE);
        assert_int_equal(probe(fixture), 1);
}

static void test_writable_descriptor_in_flight_is_seen(void **state) {
        Fixture *fixture = *state;
        int pair[2], fd = open_object(fixture, true);

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(fdpass_send(pair[0], "x", 1, &fd, 1), 0);
        close(fd);
        assert_int_equal(probe(fixture), 0);
        close(pair[0]);
        assert_int_equal(probe(fixture), 0);
        close(pair[1]);
        assert_int_equal(probe(fixture), 1);
}

/* Hold what was inherited until the other end of the socket is closed. */
static int hold(void *userdata) {
        int *pair = userdata;
        char byte;

        close(pair[0]);
        return read(pair[1], &byte, 1) == 0 ? 0 : 1;
}

static void check_child(Fixture *fixture, bool dont_fork, int expected) {
        int pair[2], fd = open_object(fixture, true);
        void *memory = map(fd, PROT_READ | PROT_WRITE);
        pid_t pid;

        close(fd);
        if (dont_fork)
                assert_int_equal(madvise(memory, SIZE, MADV_DONTFORK), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        pid = fork_start(hold, pair);
        assert_true(pid > 0);
        close(pair[1]);

        munmap(memory, SIZE);
        assert_int_equal(probe(fixture), expected);
        close(pair[0]);
        assert_int_equal(fork_wait(pid), 0);
        assert_int_equal(probe(fixture), 1);
}

static void test_writable_mapping_in_a_forked_child_is_seen(void **state) {
        check_child(*state, false, 0);
}

static void test_mapping_with_dontfork_does_not_live_on_in_a_child(void **state) {
        check_child(*state, true, 1);
}

static void test_probe_does_not_keep_the_lease(void **state) {
        Fixture *fixture = *state;
        int kept = open_object(fixture, false), fd;

        assert_int_equal(probe_writers(kept), 1);
        assert_int_equal(fcntl(kept, F_GETLEASE), F_UNLCK);
        /* Would block for fs.lease-break-time, or raise a signal, if it did. */
        fd = open_object(fixture, true);
        close(fd);
        close(kept);
}

static void test_breaking_the_lease_does_not_end_the_process(void **state) {
        Fixture *fixture = *state;

        open_before_unlock = true;
        assert_int_equal(probe(fixture), 1);
        assert_false(open_before_unlock);
        assert_int_equal(probe(fixture), 1);
}

/* Of an inode without a name, by the descriptor that is kept of it. */
static void test_users_of_an_unlinked_object_are_seen_until_the_last_is_gone(void **state) {
        Fixture *fixture = *state;
        int kept = open_object(fixture, false), fd = open_object(fixture, false);
        void *memory = map(fd, PROT_READ);

        assert_int_equal(backing_unlink(&fixture->dir, &fixture->object, &fixture->fault), 0);
        assert_int_equal(probe_users(kept), 0);
        close(fd);
        assert_int_equal(probe_users(kept), 0);
        assert_int_equal(probe_writers(kept), 1);
        munmap(memory, SIZE);
        assert_int_equal(probe_users(kept), 1);
        close(kept);
}

static void test_descriptor_that_cannot_be_leased_is_an_error(void **state) {
        int pair[2];

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_true(probe_writers(pair[0]) < 0);
        close(pair[0]);
        close(pair[1]);
        assert_int_equal(probe_writers(-1), -EBADF);
}

#define TEST_BOTH(_name)                                                                          \
        { #_name ", posix", _name, setup_posix, teardown, NULL },                                 \
        { #_name ", memfd", _name, setup_memfd, teardown, NULL }

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST_BOTH(test_nobody_or_readers_only_is_proven),
                TEST_BOTH(test_writable_descriptor_is_seen),
                TEST_BOTH(test_writable_mapping_is_seen_without_its_descriptor),
                TEST_BOTH(test_writable_descriptor_in_flight_is_seen),
                TEST_BOTH(test_writable_mapping_in_a_forked_child_is_seen),
                TEST_BOTH(test_mapping_with_dontfork_does_not_live_on_in_a_child),
                TEST_BOTH(test_probe_does_not_keep_the_lease),
                TEST_BOTH(test_breaking_the_lease_does_not_end_the_process),
                TEST_BOTH(test_users_of_an_unlinked_object_are_seen_until_the_last_is_gone),
                cmocka_unit_test(test_descriptor_that_cannot_be_leased_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
