/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Descriptor store: what systemd passed is told apart by name and closed if nobody takes it; what
 * is stored arrives with its name; and without systemd there is no store.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/store.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        int fd;
        char message[1024];
} Fixture;

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0)
                return -1;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", fixture->path);
        fixture->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fixture->fd < 0 ||
            bind(fixture->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            setenv("NOTIFY_SOCKET", address.sun_path, 1) < 0)
                return -1;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        unsetenv("NOTIFY_SOCKET");
        close(fixture->fd);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

/* The next message to PID 1, and the descriptor that came with it or -1. */
static int receive(Fixture *fixture, int flags) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr header;
        } control;
        struct iovec vector = { .iov_base = fixture->message,
                                .iov_len = sizeof(fixture->message) - 1 };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        ssize_t n = recvmsg(fixture->fd, &message, MSG_CMSG_CLOEXEC | flags);
        struct cmsghdr *header;
        int fd = -1;

        if (n < 0)
                return -1;
        fixture->message[n] = '\0';
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
}

static void test_stored_descriptor_arrives_with_its_name(void **state) {
        Fixture *fixture = *state;
        struct stat stored, arrived;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got;

        assert_int_equal(store_put(fd, "region-1", false, 0), 0);
        got = receive(fixture, MSG_DONTWAIT);
        assert_string_equal(fixture->message, "FDSTORE=1\nFDNAME=region-1\nFDPOLL=0");
        assert_true(got >= 0);
        assert_int_equal(fstat(fd, &stored), 0);
        assert_int_equal(fstat(got, &arrived), 0);
        assert_int_equal(arrived.st_rdev, stored.st_rdev);
        close(got);

        assert_int_equal(store_put(fd, "connection", true, 0), 0);
        close(receive(fixture, MSG_DONTWAIT));
        assert_string_equal(fixture->message, "FDSTORE=1\nFDNAME=connection");

        assert_int_equal(store_drop("region-1", 0), 0);
        assert_int_equal(receive(fixture, MSG_DONTWAIT), -1);
        assert_string_equal(fixture->message, "FDSTOREREMOVE=1\nFDNAME=region-1");
        close(fd);
}

static void test_name_that_systemd_would_not_take_is_refused(void **state) {
        static const char *const names[] = { "", "a:b", "a b", "a\nFDSTORE=1", "\x7f", "\xc3\xbc" };
        Fixture *fixture = *state;
        char name[STORE_NAME_MAX + 2];
        size_t i;

        for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
                assert_int_equal(store_put(STDIN_FILENO, names[i], false, 0), -EINVAL);
                assert_int_equal(store_drop(names[i], 0), -EINVAL);
        }
        memset(name, 'n', sizeof(name));
        name[STORE_NAME_MAX + 1] = '\0';
        assert_int_equal(store_drop(name, 0), -EINVAL);
        assert_int_equal(receive(fixture, MSG_DONTWAIT), -1);
        name[STORE_NAME_MAX] = '\0';
        assert_int_equal(store_drop(name, 0), 0);
}

static void test_pid_1_that_does_not_read_is_not_waited_for(void **state) {
        Fixture *fixture = *state;
        int r;

        while ((r = store_drop("name", 0)) == 0)
                ;
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(store_put(STDIN_FILENO, "name", false, 10), -EAGAIN);
        assert_int_equal(receive(fixture, MSG_DONTWAIT), -1);
        assert_int_equal(store_put(STDIN_FILENO, "name", false, 10), 0);
}

static int answer_barrier(void *userdata) {
        Fixture *fixture = userdata;
        int fd = receive(fixture, 0);

        return fd >= 0 && strcmp(fixture->message, "BARRIER=1") == 0 ? 0 : 1;
}

static void test_barrier_waits_for_systemd_and_not_for_ever(void **state) {
        Fixture *fixture = *state;
        pid_t pid = fork_start(answer_barrier, fixture);

        assert_int_equal(store_barrier(20000000), 0);
        assert_int_equal(fork_wait(pid), 0);
        assert_int_equal(store_barrier(1000), -ETIMEDOUT);
        close(receive(fixture, MSG_DONTWAIT));
}

static void test_without_systemd_there_is_no_store(void **state) {
        unsetenv("NOTIFY_SOCKET");
        assert_int_equal(store_put(STDIN_FILENO, "name", false, 0), STORE_E_NONE);
        assert_int_equal(store_drop("name", 0), STORE_E_NONE);
        assert_int_equal(store_barrier(1000), STORE_E_NONE);
}

/* As systemd starts a service: descriptors from 3 on. 0, or the number of what is wrong. */
static int inherit(void *userdata) {
        Store store = {};
        char pid[32];
        int fd, i;

        for (i = 3; i < 7; i++) {
                fd = open(i == 5 ? "/dev/zero" : "/dev/null", O_RDONLY);
                if (fd != i && (dup2(fd, i) < 0 || close(fd) < 0))
                        return 1;
        }
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "4", 1);
        setenv("LISTEN_FDNAMES", "broker:same:admin:same", 1);

        if (store_init(&store) != 0 || store.n_entries != 4 || getenv("LISTEN_FDS"))
                return 2;
        if (store_take(&store, "admin") != 5 || store_take(&store, "admin") != -1)
                return 3;
        if (store_take(&store, "same") != 4 || store_take(&store, "nobody") != -1)
                return 4;
        if (fcntl(5, F_GETFD) != FD_CLOEXEC)
                return 5;
        store_deinit(&store);
        store_deinit(&store);
        /* Taken ones stay, the others are closed. */
        if (fcntl(4, F_GETFD) < 0 || fcntl(5, F_GETFD) < 0)
                return 6;
        return fcntl(3, F_GETFD) < 0 && fcntl(6, F_GETFD) < 0 ? 0 : 7;
}

static int inherit_nothing(void *userdata) {
        Store store = { .n_entries = 7 };

        setenv("LISTEN_PID", "1", 1);
        setenv("LISTEN_FDS", "4", 1);
        if (store_init(&store) != 0 || store.n_entries != 0)
                return 1;
        return store_take(&store, "broker") == -1 ? 0 : 2;
}

static void test_inherited_descriptors_are_told_apart_by_name(void **state) {
        assert_int_equal(fork_run(inherit, NULL), 0);
}

static void test_descriptors_meant_for_another_process_are_none(void **state) {
        assert_int_equal(fork_run(inherit_nothing, NULL), 0);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_stored_descriptor_arrives_with_its_name),
                TEST(test_name_that_systemd_would_not_take_is_refused),
                TEST(test_pid_1_that_does_not_read_is_not_waited_for),
                TEST(test_barrier_waits_for_systemd_and_not_for_ever),
                TEST(test_without_systemd_there_is_no_store),
                cmocka_unit_test(test_inherited_descriptors_are_told_apart_by_name),
                cmocka_unit_test(test_descriptors_meant_for_another_process_are_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
