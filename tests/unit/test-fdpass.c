/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Passing descriptors: out whole or not at all, and never in. Each test that sends something
 * hostile runs on this kernel as it is and as one without SO_PASSRIGHTS, whose setsockopt() is
 * played by the wrap below.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/clock.h"
#include "daemon/sys/fdpass.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
        PASSRIGHTS = 83,
        LINGER_S = 4,
};

typedef struct Fixture {
        FdpassGuard guard;
        int broker, client; /* a connection */
} Fixture;

static bool kernel_is_old;

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
        if (kernel_is_old && level == SOL_SOCKET && option == PASSRIGHTS) {
                errno = ENOPROTOOPT;
                return -1;
        }
        return __real_setsockopt(fd, level, option, value, size);
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        int pair[2];

        if (!fixture || fdpass_guard_init(&fixture->guard) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
            fdpass_prepare(pair[0]) < 0)
                return -1;
        fixture->broker = pair[0];
        fixture->client = pair[1];
        *state = fixture;
        return 0;
}

static int setup_old(void **state) {
        kernel_is_old = true;
        return setup(state);
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        if (fixture->broker >= 0)
                close(fixture->broker);
        if (fixture->client >= 0)
                close(fixture->client);
        fdpass_guard_deinit(&fixture->guard);
        fdpass_guard_deinit(&fixture->guard);
        free(fixture);
        kernel_is_old = false;
        return 0;
}

static void hang_up(int *fd) {
        close(*fd);
        *fd = -1;
}

/* As a client that does not use this module. */
static ssize_t send_fds(int fd, const void *data, size_t n_bytes, const int *fds, size_t n_fds) {
        union {
                char bytes[CMSG_SPACE(253 * sizeof(int))];
                struct cmsghdr header;
        } control = {};
        struct iovec vector = { .iov_base = (void *)data, .iov_len = n_bytes };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = CMSG_SPACE(n_fds * sizeof(int)),
        };

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
        return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void test_packet_arrives_whole_with_its_sender(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        char buffer[16] = {};

        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_AGAIN);
        assert_int_equal(fdpass_send(fixture->client, "hello", 5, NULL, 0), 0);
        assert_int_equal(fdpass_send(fixture->client, "again", 5, NULL, 0), 0);

        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), 0);
        assert_int_equal(packet.n_bytes, 5);
        assert_memory_equal(buffer, "hello", 5);
        assert_int_equal(packet.uid, getuid());
        assert_int_equal(packet.gid, getgid());
        assert_int_equal(packet.pid, getpid());
}

static void test_peeked_packet_stays_until_it_is_received(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        char buffer[16] = {};
        int i;

        assert_int_equal(fdpass_send(fixture->client, "hello", 5, NULL, 0), 0);
        for (i = 0; i < 3; i++) {
                packet = (FdpassPacket){};
                assert_int_equal(fdpass_peek(&fixture->guard, fixture->broker, buffer,
                                             sizeof(buffer), &packet), 0);
                assert_int_equal(packet.n_bytes, 5);
                assert_int_equal(packet.pid, getpid());
        }
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), 0);
        assert_int_equal(fdpass_peek(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                     &packet), FDPASS_E_AGAIN);
}

static void test_consuming_takes_one_packet_also_of_a_peer_that_is_gone(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        char buffer[16] = {};

        assert_int_equal(fdpass_consume(fixture->broker), -EAGAIN);
        assert_int_equal(fdpass_send(fixture->client, "first", 5, NULL, 0), 0);
        assert_int_equal(fdpass_send(fixture->client, "second", 6, NULL, 0), 0);
        /* Unread by a peer that hangs up: an error is in front of what it had sent. */
        assert_int_equal(fdpass_send(fixture->broker, "reply", 5, NULL, 0), 0);
        hang_up(&fixture->client);
        assert_int_equal(fdpass_consume(fixture->broker), 0);
        assert_int_equal(fdpass_peek(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                     &packet), 0);
        assert_memory_equal(buffer, "second", 6);
        assert_int_equal(fdpass_consume(fixture->broker), 0);
        assert_int_equal(fdpass_consume(fixture->broker), 0);
}

static void test_hanging_up_ends_a_socket_that_others_have_open(void **state) {
        Fixture *fixture = *state;
        int kept = dup(fixture->broker), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        FdpassPacket packet;
        char buffer[16];

        assert_true(kept >= 0 && null >= 0);
        /* What nobody read, of all sorts. */
        assert_int_equal(send(fixture->client, "", 0, 0), 0);
        assert_int_equal(fdpass_send(fixture->client, "request", 7, NULL, 0), 0);
        (void)send_fds(fixture->client, "x", 1, &null, 1);
        assert_int_equal(fdpass_send(fixture->broker, "bye", 3, NULL, 0), 0);

        fdpass_hang_up(&fixture->guard, fixture->broker);
        assert_int_equal(recv(kept, buffer, sizeof(buffer), MSG_DONTWAIT), 0);
        assert_int_equal(recv(fixture->client, buffer, sizeof(buffer), MSG_DONTWAIT), 3);
        assert_int_equal(recv(fixture->client, buffer, sizeof(buffer), MSG_DONTWAIT), 0);
        assert_int_equal(send(fixture->client, "more", 4, MSG_NOSIGNAL), -1);
        assert_int_equal(fdpass_receive(&fixture->guard, kept, buffer, sizeof(buffer), &packet),
                         FDPASS_E_CLOSED);
        close(kept);
        close(null);
}

static void test_violations_are_told_apart_and_change_no_output(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = { .n_bytes = 12345 };
        char buffer[4];

        assert_int_equal(send(fixture->client, "", 0, 0), 0);
        assert_int_equal(send(fixture->client, "longer", 6, 0), 6);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_EMPTY);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_TOO_LONG);
        hang_up(&fixture->client);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_CLOSED);
        assert_int_equal(packet.n_bytes, 12345);
}

static void test_packet_without_sender_is_refused(void **state) {
        FdpassGuard guard = FDPASS_GUARD_NULL(guard);
        FdpassPacket packet = {};
        char buffer[4];
        int pair[2];

        /* A connection that nobody prepared. */
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(send(pair[1], "x", 1, 0), 1);
        assert_int_equal(fdpass_receive(&guard, pair[0], buffer, sizeof(buffer), &packet),
                         FDPASS_E_NO_CREDENTIALS);
        close(pair[0]);
        close(pair[1]);
}

static void test_last_words_are_read_before_the_reset(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        char buffer[4];

        /* The client leaves with a reply unread, which resets the connection. */
        assert_int_equal(fdpass_send(fixture->broker, "r", 1, NULL, 0), 0);
        assert_int_equal(fdpass_send(fixture->client, "bye", 3, NULL, 0), 0);
        hang_up(&fixture->client);

        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), 0);
        assert_int_equal(packet.n_bytes, 3);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_CLOSED);
}

static void test_descriptors_go_out_in_order(void **state) {
        Fixture *fixture = *state;
        union {
                char bytes[CMSG_SPACE(FDPASS_FDS_MAX * sizeof(int))];
                struct cmsghdr header;
        } control;
        char byte;
        struct iovec vector = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        int fds[FDPASS_FDS_MAX], received[FDPASS_FDS_MAX], i;
        struct stat sent, got;

        for (i = 0; i < FDPASS_FDS_MAX; i++) {
                fds[i] = open(i % 2 ? "/dev/null" : "/dev/zero", O_RDONLY | O_CLOEXEC);
                assert_true(fds[i] >= 0);
        }
        assert_int_equal(fdpass_send(fixture->broker, "x", 1, fds, FDPASS_FDS_MAX), 0);
        assert_int_equal(fdpass_send(fixture->broker, "x", 1, fds, FDPASS_FDS_MAX + 1), -EINVAL);

        assert_int_equal(recvmsg(fixture->client, &message, MSG_CMSG_CLOEXEC), 1);
        assert_int_equal(message.msg_flags & MSG_CTRUNC, 0);
        assert_int_equal(control.header.cmsg_len, CMSG_LEN(sizeof(received)));
        memcpy(received, CMSG_DATA(&control.header), sizeof(received));
        for (i = 0; i < FDPASS_FDS_MAX; i++) {
                assert_int_equal(fstat(fds[i], &sent), 0);
                assert_int_equal(fstat(received[i], &got), 0);
                assert_int_equal(got.st_rdev, sent.st_rdev);
                close(fds[i]);
                close(received[i]);
        }
}

static void test_send_says_what_is_in_the_way(void **state) {
        Fixture *fixture = *state;
        size_t n_unread = 0;
        char byte;
        int r, i, bad = -1;

        assert_int_equal(fdpass_send(fixture->broker, "", 0, NULL, 0), -EINVAL);
        assert_int_equal(fdpass_send(fixture->broker, "x", 1, &bad, 1), -EBADF);
        assert_int_equal(fdpass_unread(fixture->broker, &n_unread), 0);
        assert_int_equal(n_unread, 0);

        for (i = 0; i < 100000; i++) {
                r = fdpass_send(fixture->broker, "x", 1, NULL, 0);
                if (r)
                        break;
        }
        assert_int_equal(r, FDPASS_E_AGAIN);
        assert_int_equal(fdpass_unread(fixture->broker, &n_unread), 0);
        assert_true(n_unread > 0);
        for (; i > 0; i--)
                assert_int_equal(recv(fixture->client, &byte, 1, 0), 1);
        assert_int_equal(fdpass_unread(fixture->broker, &n_unread), 0);
        assert_int_equal(n_unread, 0);

        hang_up(&fixture->client);
        assert_int_equal(fdpass_send(fixture->broker, "x", 1, NULL, 0), FDPASS_E_CLOSED);
        assert_int_equal(fdpass_unread(-1, &n_unread), -EBADF);
}

/* Not root, so that descriptors in flight are counted; nobody reads them. */
static int send_too_many(void *userdata) {
        struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };
        int pair[2], fd, i, r = 0;

        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 ||
            fork_become(FORK_OTHER_UID, FORK_OTHER_UID, NULL, 0) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
                return 1;
        fd = open("/dev/null", O_RDONLY);
        for (i = 0; i < 100 && r == 0; i++)
                r = fdpass_send(pair[0], "x", 1, &fd, 1);
        return r == FDPASS_E_IN_FLIGHT ? 0 : 2;
}

static void test_too_many_descriptors_in_flight_is_said(void **state) {
        if (!fork_can_become())
                skip();
        assert_int_equal(fork_run(send_too_many, NULL), 0);
}

static int send_as_another_uid(void *userdata) {
        Fixture *fixture = userdata;

        if (fork_become(FORK_OTHER_UID, FORK_OTHER_UID, NULL, 0) < 0)
                return 1;
        return send(fixture->client, "x", 1, 0) == 1 ? 0 : 2;
}

static void test_connection_that_was_handed_on_is_recognised(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        char buffer[4];

        if (!fork_can_become())
                skip();
        assert_int_equal(fork_run(send_as_another_uid, fixture), 0);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), 0);
        assert_int_equal(packet.uid, FORK_OTHER_UID);
}

static void test_kernel_refuses_rights_where_it_can(void **state) {
        Fixture *fixture = *state;
        int fd = fixture->client;

        if (!fixture->guard.refuses)
                skip();
        assert_string_equal(fdpass_guard_to_string(&fixture->guard), "SO_PASSRIGHTS");
        assert_int_equal(send_fds(fixture->client, "x", 1, &fd, 1), -1);
        assert_int_equal(errno, EPERM);
}

static void test_rights_are_never_installed(void **state) {
        static const size_t counts[] = { 1, 2, 3, 100, 253 };
        Fixture *fixture = *state;
        FdpassPacket packet = { .n_bytes = 12345 };
        size_t i, j, n_fds = scratch_count_fds();
        char buffer[4];
        int fds[253];

        assert_string_equal(fdpass_guard_to_string(&fixture->guard), "timer");
        for (i = 0; i < sizeof(fds) / sizeof(*fds); i++)
                fds[i] = fixture->broker;

        for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
                assert_int_equal(send_fds(fixture->client, "x", 1, fds, counts[i]), 1);
                for (j = 0; j < 2; j++)
                        assert_int_equal(fdpass_peek(&fixture->guard, fixture->broker, buffer,
                                                     sizeof(buffer), &packet), FDPASS_E_RIGHTS);
                assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer,
                                                sizeof(buffer), &packet), FDPASS_E_RIGHTS);
                assert_int_equal(scratch_count_fds(), n_fds);
        }
        /* A packet of no bytes with rights is no end either. */
        assert_int_equal(send_fds(fixture->client, "", 0, fds, 1), 0);
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_RIGHTS);
        assert_int_equal(scratch_count_fds(), n_fds);
        assert_int_equal(packet.n_bytes, 12345);
}

/* A TCP socket whose close blocks for LINGER_S: data that the other end does not take. */
static int make_lingering(int *ret_other) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
        socklen_t n_address = sizeof(address);
        int listener, fd, small = 4096;
        char data[65536] = {};

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listener, 1) < 0 ||
            getsockname(listener, (struct sockaddr *)&address, &n_address) < 0) {
                close(listener);
                return -1;
        }
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        *ret_other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(*ret_other >= 0);
        close(listener);
        while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
                ;
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        return fd;
}

static void test_lingering_socket_does_not_hold_the_receiver_up(void **state) {
        Fixture *fixture = *state;
        FdpassPacket packet = {};
        uint64_t began_ns;
        char buffer[4];
        int fd, other;

        fd = make_lingering(&other);
        if (fd < 0)
                skip();
        assert_int_equal(send_fds(fixture->client, "x", 1, &fd, 1), 1);
        close(fd);

        began_ns = clock_monotonic_ns();
        assert_int_equal(fdpass_receive(&fixture->guard, fixture->broker, buffer, sizeof(buffer),
                                        &packet), FDPASS_E_RIGHTS);
        assert_true(clock_monotonic_ns() - began_ns < NS_PER_S);
        close(other);
}

static void test_lingering_socket_in_the_queue_does_not_hold_close_up(void **state) {
        Fixture *fixture = *state;
        uint64_t began_ns;
        int fd, other;

        fd = make_lingering(&other);
        if (fd < 0)
                skip();
        assert_int_equal(send_fds(fixture->client, "x", 1, &fd, 1), 1);
        close(fd);

        began_ns = clock_monotonic_ns();
        fdpass_close(&fixture->guard, fixture->broker);
        fixture->broker = -1;
        assert_true(clock_monotonic_ns() - began_ns < NS_PER_S);
        close(other);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
#define TEST_OLD(_name) { #_name ", old kernel", _name, setup_old, teardown, NULL }

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_packet_arrives_whole_with_its_sender),
                TEST_OLD(test_packet_arrives_whole_with_its_sender),
                TEST(test_peeked_packet_stays_until_it_is_received),
                TEST(test_consuming_takes_one_packet_also_of_a_peer_that_is_gone),
                TEST(test_hanging_up_ends_a_socket_that_others_have_open),
                TEST_OLD(test_hanging_up_ends_a_socket_that_others_have_open),
                TEST(test_violations_are_told_apart_and_change_no_output),
                TEST_OLD(test_violations_are_told_apart_and_change_no_output),
                cmocka_unit_test(test_packet_without_sender_is_refused),
                TEST(test_last_words_are_read_before_the_reset),
                TEST(test_descriptors_go_out_in_order),
                TEST(test_send_says_what_is_in_the_way),
                cmocka_unit_test(test_too_many_descriptors_in_flight_is_said),
                TEST(test_connection_that_was_handed_on_is_recognised),
                TEST(test_kernel_refuses_rights_where_it_can),
                TEST_OLD(test_rights_are_never_installed),
                TEST_OLD(test_lingering_socket_does_not_hold_the_receiver_up),
                TEST_OLD(test_lingering_socket_in_the_queue_does_not_hold_close_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
