/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Peers: identity is what the kernel noted at connect, and a process number is believed only as
 * far as a pidfd carries it. Older kernels are played by wrapping getsockopt() and pidfd_open().
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/clock.h"
#include "daemon/sys/peer.h"
#include "tests/harness/fault.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

enum {
        PEERPIDFD = 77,
        PRIMARY_GID = 5000,
};

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        struct sockaddr_un address;
        int listener;
        int go[2]; /* closed by the test when the child may end */
} Fixture;

static int peerpidfd_error, peergroups_error, pidfd_open_error;
static size_t n_groups_played;
static const char *unit_played;
static int unit_error;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        if (option == PEERPIDFD && peerpidfd_error) {
                errno = peerpidfd_error;
                return -1;
        }
        if (option == SO_PEERGROUPS && peergroups_error) {
                errno = peergroups_error;
                return -1;
        }
        if (option == SO_PEERGROUPS && n_groups_played) {
                gid_t *gids = value;
                size_t i;

                if (*size < n_groups_played * sizeof(*gids)) {
                        *size = (socklen_t)(n_groups_played * sizeof(*gids));
                        errno = ERANGE;
                        return -1;
                }
                /* The kernel sorts them, but does not promise to. */
                for (i = 0; i < n_groups_played; i++)
                        gids[i] = (gid_t)(n_groups_played - i);
                *size = (socklen_t)(n_groups_played * sizeof(*gids));
                return 0;
        }
        return __real_getsockopt(fd, level, option, value, size);
}

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags) {
        if (pidfd_open_error) {
                errno = pidfd_open_error;
                return -1;
        }
        return __real_pidfd_open(pid, flags);
}

int __wrap_sd_pid_get_unit(pid_t pid, char **ret_unit);
int __wrap_sd_pid_get_unit(pid_t pid, char **ret_unit) {
        if (unit_error)
                return unit_error;
        *ret_unit = strdup(unit_played);
        return *ret_unit ? 0 : -ENOMEM;
}

FAULT_MEMORY(calloc, (size_t n, size_t size), (n, size))
FAULT_CALL(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAULT_CALL(ssize_t, read, (int fd, void *buffer, size_t n), (fd, buffer, n))

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 || chmod(fixture->path, 0755) < 0)
                return -1;
        fixture->address.sun_family = AF_UNIX;
        snprintf(fixture->address.sun_path, sizeof(fixture->address.sun_path), "%s/socket",
                 fixture->path);
        fixture->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fixture->listener < 0 ||
            bind(fixture->listener, (struct sockaddr *)&fixture->address,
                 sizeof(fixture->address)) < 0 ||
            chmod(fixture->address.sun_path, 0666) < 0 || listen(fixture->listener, 5) < 0 ||
            pipe2(fixture->go, O_CLOEXEC) < 0)
                return -1;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        close(fixture->listener);
        close(fixture->go[0]);
        if (fixture->go[1] >= 0)
                close(fixture->go[1]);
        scratch_remove(fixture->path);
        free(fixture);
        peerpidfd_error = peergroups_error = pidfd_open_error = unit_error = 0;
        n_groups_played = 0;
        return 0;
}

static int connect_here(Fixture *fixture) {
        int fd;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&fixture->address,
                               sizeof(fixture->address)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static void wait_for_go(Fixture *fixture) {
        char byte;

        close(fixture->go[1]);
        while (read(fixture->go[0], &byte, 1) < 0 && errno == EINTR)
                ;
}

static void let_go(Fixture *fixture) {
        close(fixture->go[1]);
        fixture->go[1] = -1;
}

static int accept_here(Fixture *fixture) {
        int fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static int run_client(void *userdata) {
        Fixture *fixture = userdata;
        int fd;

        prctl(PR_SET_NAME, "a) S 1 (\nb");
        fd = connect_here(fixture);
        wait_for_go(fixture);
        return fd >= 0 ? 0 : 1;
}

static int run_client_then_setuid(void *userdata) {
        static const gid_t gids[] = { 70, 60, 60, PRIMARY_GID };
        Fixture *fixture = userdata;
        int fd;

        if (fork_become(FORK_OTHER_UID, PRIMARY_GID, gids, 4) < 0)
                return 2;
        fd = connect_here(fixture);
        wait_for_go(fixture);
        return fd >= 0 ? 0 : 1;
}

/* Connects and dies; a child of it keeps the socket. */
static int run_client_that_forks(void *userdata) {
        Fixture *fixture = userdata;

        if (connect_here(fixture) < 0)
                return 1;
        if (fork() == 0) {
                wait_for_go(fixture);
                _exit(0);
        }
        return 0;
}

static void test_peer_is_the_process_that_connected(void **state) {
        Fixture *fixture = *state;
        pid_t pid = fork_start(run_client, fixture);
        Peer peer = PEER_NULL(peer);
        uint64_t started_ticks = 0;
        int fd = accept_here(fixture);

        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
        assert_int_equal(peer.uid, geteuid());
        assert_int_equal(peer.gid, getegid());
        assert_int_equal(peer.pid, pid);
        assert_true(peer.source == PEER_PIDFD_KERNEL || peer.source == PEER_PIDFD_ADVISORY);
        assert_int_equal(fcntl(peer.pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_string_equal(peer.command, "a) S 1 (\nb");
        assert_int_equal(peer_read_stat(pid, &started_ticks, NULL), 0);
        assert_int_equal(peer.started_ticks, started_ticks);
        assert_true(clock_ticks_to_ns(started_ticks) <= clock_boottime_ns());
        assert_true(peer_is_alive(&peer));

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        assert_false(peer_is_alive(&peer));
        peer_deinit(&peer);
        peer_deinit(&peer);
        close(fd);
}

static void test_peer_has_the_uid_and_groups_of_connect(void **state) {
        static const uint32_t expected[] = { 60, 70, PRIMARY_GID };
        Fixture *fixture = *state;
        Peer peer = PEER_NULL(peer);
        pid_t pid;
        int fd;

        if (!fork_can_become())
                skip();
        pid = fork_start(run_client_then_setuid, fixture);
        fd = accept_here(fixture);
        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
        assert_int_equal(peer.uid, FORK_OTHER_UID);
        assert_int_equal(peer.gid, PRIMARY_GID);
        assert_int_equal(peer.n_gids, 3);
        assert_memory_equal(peer.gids, expected, sizeof(expected));

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        peer_deinit(&peer);
        close(fd);
}

static void test_connector_that_died_is_not_taken_for_alive(void **state) {
        static const int errors[] = { 0, ENOPROTOOPT, EINVAL, ESRCH };
        Fixture *fixture = *state;
        Peer peer = PEER_NULL(peer);
        size_t i;
        int fd;

        for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
                assert_int_equal(fork_run(run_client_that_forks, fixture), 0);
                fd = accept_here(fixture);
                peerpidfd_error = errors[i];
                assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
                assert_false(peer_is_alive(&peer));
                if (errors[i])
                        assert_int_equal(peer.source, PEER_PIDFD_REAPED);
                assert_int_equal(peer.started_ticks, 0);
                assert_string_equal(peer.command, "");
                peer_deinit(&peer);
                close(fd);
        }
}

static void test_older_kernel_gives_an_advisory_pidfd(void **state) {
        Fixture *fixture = *state;
        pid_t pid = fork_start(run_client, fixture);
        Peer peer = PEER_NULL(peer);
        int fd = accept_here(fixture);

        peerpidfd_error = ENOPROTOOPT;
        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
        assert_int_equal(peer.source, PEER_PIDFD_ADVISORY);
        assert_true(peer.started_ticks > 0);
        assert_true(peer_is_alive(&peer));

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        assert_false(peer_is_alive(&peer));
        peer_deinit(&peer);
        close(fd);
}

static void test_process_that_cannot_have_connected_is_not_watched(void **state) {
        Fixture *fixture = *state;
        pid_t pid = fork_start(run_client, fixture);
        Peer peer = PEER_NULL(peer);
        int fd = accept_here(fixture);
        size_t n_fds = scratch_count_fds();

        /* As if it had been accepted a second before this process was born. */
        peerpidfd_error = ENOPROTOOPT;
        assert_int_equal(peer_init_with_fd(&peer, fd, 1), 0);
        assert_int_equal(peer.source, PEER_PIDFD_REAPED);
        assert_int_equal(peer.pidfd, -1);
        assert_int_equal(scratch_count_fds(), n_fds);
        peer_deinit(&peer);

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        close(fd);
}

static int run_client_that_drops_root(void *userdata) {
        Fixture *fixture = userdata;
        int fd;

        fd = connect_here(fixture);
        if (fork_become(FORK_OTHER_UID, PRIMARY_GID, NULL, 0) < 0 || fd < 0 ||
            send(fd, "x", 1, 0) != 1)
                return 1;
        wait_for_go(fixture);
        return 0;
}

static void test_process_of_another_uid_is_not_watched_by_its_number(void **state) {
        Fixture *fixture = *state;
        Peer peer = PEER_NULL(peer);
        pid_t pid;
        char byte;
        int fd;

        if (!fork_can_become())
                skip();
        pid = fork_start(run_client_that_drops_root, fixture);
        fd = accept_here(fixture);
        assert_int_equal(recv(fd, &byte, 1, 0), 1);

        peerpidfd_error = ENOPROTOOPT;
        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
        assert_int_equal(peer.uid, 0);
        assert_int_equal(peer.source, PEER_PIDFD_REAPED);
        peer_deinit(&peer);

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        close(fd);
}

static void test_each_error_of_the_pidfd_has_its_branch(void **state) {
        static const struct {
                int peerpidfd, pidfd_open;
                int result;
                PeerPidfd source;
        } cases[] = {
                { ENODATA, 0, 0, PEER_PIDFD_NONE },
                { EINVAL, 0, 0, PEER_PIDFD_REAPED },
                { ESRCH, 0, 0, PEER_PIDFD_REAPED },
                { EMFILE, 0, -EMFILE, 0 },
                { ENFILE, 0, -ENFILE, 0 },
                { ENOPROTOOPT, ESRCH, 0, PEER_PIDFD_REAPED },
                { ENOPROTOOPT, ENOSYS, 0, PEER_PIDFD_NONE },
                { ENOPROTOOPT, EPERM, 0, PEER_PIDFD_NONE },
                { ENOPROTOOPT, EMFILE, -EMFILE, 0 },
        };
        Fixture *fixture = *state;
        int client = connect_here(fixture), fd = accept_here(fixture);
        Peer peer = PEER_NULL(peer);
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                peerpidfd_error = cases[i].peerpidfd;
                pidfd_open_error = cases[i].pidfd_open;
                assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()),
                                 cases[i].result);
                assert_int_equal(peer.source, cases[i].source);
                assert_int_equal(peer.pidfd, -1);
                if (cases[i].result < 0)
                        assert_null(peer.gids);
                peer_deinit(&peer);
        }
        close(client);
        close(fd);
}

static void test_all_groups_are_taken_or_none(void **state) {
        static const size_t counts[] = { 1, 32, 33, PEER_GROUPS_MAX - 1 };
        Fixture *fixture = *state;
        int client = connect_here(fixture), fd = accept_here(fixture);
        Peer peer = PEER_NULL(peer);
        size_t i, j;

        for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
                n_groups_played = counts[i];
                assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
                assert_true(peer.n_gids >= counts[i]);
                for (j = 1; j < peer.n_gids; j++)
                        assert_true(peer.gids[j - 1] < peer.gids[j]);
                peer_deinit(&peer);
        }
        n_groups_played = PEER_GROUPS_MAX;
        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), -E2BIG);
        peergroups_error = ENOMEM;
        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), -ENOMEM);
        assert_null(peer.gids);
        close(client);
        close(fd);
}

/* What /proc does not say is not known; without memory for the groups there is no peer. */
static void test_each_call_may_fail_and_nothing_is_left(void **state) {
        static const int errors[] = { ENOMEM, EMFILE, ENOENT, EACCES };
        Fixture *fixture = *state;
        int client = connect_here(fixture), fd = accept_here(fixture), r;
        size_t i, n_fds = scratch_count_fds();
        Peer peer = PEER_NULL(peer);
        unsigned nth;

        peerpidfd_error = ENOPROTOOPT;
        for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
                for (nth = 1; nth < 20; nth++) {
                        fault_arm(nth, errors[i]);
                        r = peer_init_with_fd(&peer, fd, clock_boottime_ns());
                        if (!fault_disarm())
                                break;
                        if (r == 0) {
                                assert_int_equal(peer.uid, geteuid());
                                assert_true(peer.pidfd < 0 ||
                                            (peer.started_ticks == 0 && !peer.command[0]));
                        } else {
                                assert_true(r == -ENOMEM || r == -EMFILE);
                                assert_null(peer.gids);
                        }
                        peer_deinit(&peer);
                        assert_int_equal(scratch_count_fds(), n_fds);
                }
                assert_int_equal(r, 0);
                assert_int_equal(peer.source, PEER_PIDFD_ADVISORY);
                assert_int_equal(nth, 8);
                peer_deinit(&peer);
        }
        close(client);
        close(fd);
}

static void test_socket_without_peer_is_an_error(void **state) {
        Fixture *fixture = *state;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        Peer peer = PEER_NULL(peer);

        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), -ENOTCONN);
        assert_int_equal(peer_init_with_fd(&peer, fixture->go[0], 0), -ENOTSOCK);
        close(fd);
}

static void test_process_of_a_predecessor_is_found_only_if_it_is_the_same(void **state) {
        uint64_t started_ticks = 0;
        int pidfd = -1;

        assert_int_equal(peer_read_stat(getpid(), &started_ticks, NULL), 0);
        assert_int_equal(peer_find(getpid(), started_ticks + 1, &pidfd), PEER_E_GONE);
        assert_int_equal(peer_find(getpid(), 0, &pidfd), PEER_E_GONE);
        assert_int_equal(peer_find(0, started_ticks, &pidfd), PEER_E_GONE);
        /* Above any pid_max. */
        assert_int_equal(peer_find(1 << 30, started_ticks, &pidfd), PEER_E_GONE);
        assert_int_equal(peer_read_stat(1 << 30, &started_ticks, NULL), PEER_E_GONE);
        assert_int_equal(pidfd, -1);
        assert_int_equal(peer_find(getpid(), started_ticks, &pidfd), 0);
        close(pidfd);
}

static void test_unit_is_told_only_of_a_live_process(void **state) {
        Fixture *fixture = *state;
        char unit[PEER_UNIT_MAX + 1] = "before", long_unit[PEER_UNIT_MAX + 2];
        pid_t pid = fork_start(run_client, fixture);
        Peer peer = PEER_NULL(peer);
        int fd = accept_here(fixture);

        assert_int_equal(peer_get_unit(&peer, unit), PEER_E_GONE);
        assert_string_equal(unit, "");

        assert_int_equal(peer_init_with_fd(&peer, fd, clock_boottime_ns()), 0);
        unit_played = "imu.service";
        assert_int_equal(peer_get_unit(&peer, unit), 0);
        assert_string_equal(unit, "imu.service");

        memset(long_unit, 'u', sizeof(long_unit));
        long_unit[PEER_UNIT_MAX + 1] = '\0';
        unit_played = long_unit;
        assert_int_equal(peer_get_unit(&peer, unit), PEER_E_NO_UNIT);
        unit_error = -ENODATA;
        assert_int_equal(peer_get_unit(&peer, unit), PEER_E_NO_UNIT);
        assert_string_equal(unit, "");
        unit_error = -EIO;
        assert_int_equal(peer_get_unit(&peer, unit), -EIO);

        let_go(fixture);
        assert_int_equal(fork_wait(pid), 0);
        /* Its number may be somebody's by now, whose unit this would be. */
        unit_error = 0;
        unit_played = "imu.service";
        assert_int_equal(peer_get_unit(&peer, unit), PEER_E_GONE);
        assert_string_equal(unit, "");
        peer_deinit(&peer);
        close(fd);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_peer_is_the_process_that_connected),
                TEST(test_peer_has_the_uid_and_groups_of_connect),
                TEST(test_connector_that_died_is_not_taken_for_alive),
                TEST(test_older_kernel_gives_an_advisory_pidfd),
                TEST(test_process_that_cannot_have_connected_is_not_watched),
                TEST(test_process_of_another_uid_is_not_watched_by_its_number),
                TEST(test_each_error_of_the_pidfd_has_its_branch),
                TEST(test_all_groups_are_taken_or_none),
                TEST(test_each_call_may_fail_and_nothing_is_left),
                TEST(test_socket_without_peer_is_an_error),
                cmocka_unit_test(test_process_of_a_predecessor_is_found_only_if_it_is_the_same),
                TEST(test_unit_is_told_only_of_a_live_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
