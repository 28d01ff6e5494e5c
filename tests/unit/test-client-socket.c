/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Socket of the Broker: where it is, and packets that do not fit
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
#include <unistd.h>
#include <cmocka.h>
#include "client/deadline.h"
#include "client/socket.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

static ShmbSentence sentence;

static void test_path_is_what_the_caller_says(void **state) {
        char path[SHMB__PATH_SIZE], longest[SHMB__PATH_SIZE + 1];

        setenv("SHMBROKER_SOCKET", "/elsewhere", 1);
        assert_int_equal(shmb__socket_path("/x/broker.sock", path, &sentence), 0);
        assert_string_equal(path, "/x/broker.sock");
        assert_int_equal(shmb__socket_path("", path, &sentence), -EINVAL);
        assert_string_equal(path, "/x/broker.sock");

        memset(longest, 'x', sizeof(longest));
        longest[SHMB__PATH_SIZE - 1] = '\0';
        assert_int_equal(shmb__socket_path(longest, path, &sentence), 0);
        longest[SHMB__PATH_SIZE - 1] = 'x';
        longest[SHMB__PATH_SIZE] = '\0';
        assert_int_equal(shmb__socket_path(longest, path, &sentence), -ENAMETOOLONG);
        unsetenv("SHMBROKER_SOCKET");
}

static void test_path_is_the_variable_then_the_system_s(void **state) {
        char path[SHMB__PATH_SIZE];

        setenv("SHMBROKER_SOCKET", "/elsewhere", 1);
        assert_int_equal(shmb__socket_path(NULL, path, &sentence), 0);
        assert_string_equal(path, "/elsewhere");
        setenv("SHMBROKER_SOCKET", "", 1);
        setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
        assert_int_equal(shmb__socket_path(NULL, path, &sentence), 0);
        assert_string_equal(path, "/run/shmbroker/broker.sock");
        unsetenv("SHMBROKER_SOCKET");
        unsetenv("XDG_RUNTIME_DIR");
}

/* In a child: who is not root. */
static int look_for_own_broker(void *userdata) {
        char path[SHMB__PATH_SIZE], own[SHMB__PATH_SIZE];
        const char *directory = userdata;

        setenv("XDG_RUNTIME_DIR", directory, 1);
        if (geteuid() == 0) {
                /* root's is the system's, whatever its environment says */
                if (shmb__socket_path(NULL, path, &sentence) != 0 ||
                    strcmp(path, "/run/shmbroker/broker.sock") != 0)
                        return 1;
                if (fork_become(FORK_OTHER_UID, FORK_OTHER_UID, NULL, 0) < 0)
                        return 77;
        }
        snprintf(own, sizeof(own), "%s/shmbroker/broker.sock", directory);
        if (shmb__socket_path(NULL, path, &sentence) != 0 || strcmp(path, own) != 0)
                return 2;
        setenv("XDG_RUNTIME_DIR", "relative", 1);
        if (shmb__socket_path(NULL, path, &sentence) != 0 ||
            strcmp(path, "/run/shmbroker/broker.sock") != 0)
                return 3;
        return 0;
}

static void test_path_of_a_user_is_his_own_broker_s_if_there_is_one(void **state) {
        char directory[SCRATCH_PATH_MAX], at[SCRATCH_PATH_MAX + 32];
        int r;

        assert_int_equal(scratch_make(directory), 0);
        chmod(directory, 0755);
        snprintf(at, sizeof(at), "%s/shmbroker", directory);
        assert_int_equal(mkdir(at, 0755), 0);
        snprintf(at, sizeof(at), "%s/shmbroker/broker.sock", directory);
        close(open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
        r = fork_run(look_for_own_broker, directory);
        unlink(at);
        *strrchr(at, '/') = '\0';
        rmdir(at);
        scratch_remove(directory);
        if (r == 77)
                skip();
        assert_int_equal(r, 0);
}

static int listen_at(const char *path, int backlog) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, backlog), 0);
        return fd;
}

static void test_connect_waits_for_a_place_in_the_backlog(void **state) {
        char directory[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 16];
        int64_t before = shmb__now();
        int fds[8], listener, n = 0, fd;

        assert_int_equal(scratch_make(directory), 0);
        snprintf(path, sizeof(path), "%s/full", directory);
        listener = listen_at(path, 0);
        while (n < 8 && shmb__socket_connect(path, before + 30 * SHMB__MS, &fds[n],
                                             &sentence) == 0)
                n++;
        assert_in_range(n, 1, 7);
        assert_int_equal(shmb__socket_connect(path, shmb__now() + 20 * SHMB__MS, &fd, &sentence),
                         -ETIMEDOUT);
        assert_non_null(strstr(sentence.text, "its queue is full"));

        /* one goes in, one may come */
        close(accept(listener, NULL, NULL));
        assert_int_equal(shmb__socket_connect(path, shmb__now() + SHMB__SECOND, &fd, &sentence), 0);
        close(fd);
        while (n > 0)
                close(fds[--n]);
        close(listener);
        scratch_remove(directory);
}

static void test_connect_to_a_socket_of_another_type_is_no_broker(void **state) {
        char directory[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 16];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

        assert_int_equal(scratch_make(directory), 0);
        snprintf(path, sizeof(path), "%s/stream", directory);
        strcpy(address.sun_path, path);
        assert_int_equal(bind(stream, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(stream, 1), 0);
        assert_int_equal(shmb__socket_connect(path, 0, &fd, &sentence), -ECONNREFUSED);
        assert_non_null(strstr(sentence.text, "not the socket of a broker"));
        close(stream);

        /* nor is a plain file */
        unlink(path);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(shmb__socket_connect(path, 0, &fd, &sentence), -ECONNREFUSED);
        scratch_remove(directory);
}

static void test_send_and_receive_end_at_their_time(void **state) {
        uint8_t packet[1024] = {};
        ShmbFds fds = {};
        int pair[2], r;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(shmb__socket_receive(pair[0], packet, sizeof(packet), 0, &fds),
                         -ETIMEDOUT);
        assert_int_equal(shmb__socket_receive(pair[0], packet, sizeof(packet),
                                              shmb__now() + 10 * SHMB__MS, &fds), -ETIMEDOUT);
        do
                r = shmb__socket_send(pair[0], packet, sizeof(packet),
                                      shmb__now() + 10 * SHMB__MS);
        while (r == 0);
        assert_int_equal(r, -ETIMEDOUT);
        assert_int_equal(shmb__socket_receive(pair[1], packet, 100, 0, &fds), -EBADMSG);
        assert_int_equal(shmb__socket_receive(pair[1], packet, sizeof(packet), 0, &fds),
                         sizeof(packet));
        close(pair[0]);
        while ((r = shmb__socket_receive(pair[1], packet, sizeof(packet), 0, &fds)) > 0)
                ;
        assert_int_equal(r, -EPIPE);
        assert_int_equal(shmb__socket_send(pair[1], packet, 8, 0), -EPIPE);
        close(pair[1]);
}

static void test_receive_takes_no_more_descriptors_than_a_grant_has(void **state) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE((SHMB_OBJECTS_MAX + 5) * sizeof(int))];
        } control = {};
        uint8_t byte = 'x';
        struct iovec iov = { &byte, 1 };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        size_t before = scratch_count_fds();
        ShmbFds fds = {};
        int pair[2], i;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((SHMB_OBJECTS_MAX + 5) * sizeof(int));
        for (i = 0; i < SHMB_OBJECTS_MAX + 5; i++)
                memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &pair[0], sizeof(int));
        assert_int_equal(sendmsg(pair[0], &message, 0), 1);
        assert_int_equal(shmb__socket_receive(pair[1], &byte, 1, 0, &fds), 1);
        assert_true(fds.truncated);
        assert_int_equal(fds.n, SHMB_OBJECTS_MAX);
        assert_int_equal(fcntl(fds.fds[0], F_GETFD), FD_CLOEXEC);
        shmb__fds_close(&fds);
        shmb__fds_close(&fds);
        close(pair[0]);
        close(pair[1]);
        assert_int_equal(scratch_count_fds(), before);
}

static void test_backoff_grows_to_its_bound_and_spreads(void **state) {
        int64_t delay = 10 * SHMB__MS, got;
        int i;

        for (i = 0; i < 20; i++) {
                int64_t nominal = delay;

                got = shmb__backoff(&delay, SHMB__SECOND);
                assert_in_range(got, nominal - nominal / 4, nominal + nominal / 4 + 1);
                assert_in_range(delay, nominal, SHMB__SECOND);
        }
        assert_int_equal(delay, SHMB__SECOND);
}

static void test_deadline_never_lies_in_the_past(void **state) {
        int64_t now = shmb__now();

        assert_int_equal(shmb__deadline(-1), SHMB__NEVER);
        assert_int_equal(shmb__deadline(INT64_MIN), SHMB__NEVER);
        assert_int_equal(shmb__deadline(INT64_MAX), SHMB__NEVER);
        assert_true(shmb__deadline(0) >= now);
        assert_true(shmb__deadline(SHMB__SECOND) >= now + SHMB__SECOND);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_path_is_what_the_caller_says),
                cmocka_unit_test(test_path_is_the_variable_then_the_system_s),
                cmocka_unit_test(test_path_of_a_user_is_his_own_broker_s_if_there_is_one),
                cmocka_unit_test(test_connect_waits_for_a_place_in_the_backlog),
                cmocka_unit_test(test_connect_to_a_socket_of_another_type_is_no_broker),
                cmocka_unit_test(test_send_and_receive_end_at_their_time),
                cmocka_unit_test(test_receive_takes_no_more_descriptors_than_a_grant_has),
                cmocka_unit_test(test_backoff_grows_to_its_bound_and_spreads),
                cmocka_unit_test(test_deadline_never_lies_in_the_past),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
