/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sockets and the runtime directory: nobody but root and the broker can put a socket there, a dead
 * broker's socket is replaced, anything else stays, and nobody connects before the mode is right.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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
#include "daemon/sys/fdpass.h"
#include "daemon/sys/sockets.h"
#include "tests/harness/fault.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

#define NAME "broker.sock"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        int dir_fd;
        SocketsFault fault;
} Fixture;

FAULT_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAULT_CALL(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
           (fd, level, option, value, size))
FAULT_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
FAULT_CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t size),
           (fd, address, size))
FAULT_CALL(int, listen, (int fd, int n), (fd, n))

/* What there is to connect to before the socket can be used: who finds it then must not be
 * told that it has no permission. */
static struct stat at_chown;

int __real_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags) {
        assert_int_equal(fstatat(dir, path, &at_chown, AT_SYMLINK_NOFOLLOW), 0);
        if (fault_step("fchownat"))
                return -1;
        return __real_fchownat(dir, path, uid, gid, flags);
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 ||
            sockets_open_directory(fixture->path, 0755, &fixture->dir_fd, &fixture->fault) != 0)
                return -1;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        close(fixture->dir_fd);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static int listen_here(Fixture *fixture, mode_t mode, gid_t gid, int *ret_fd) {
        return sockets_listen(fixture->dir_fd, fixture->path, NAME, mode, gid, ret_fd,
                              &fixture->fault);
}

static int connect_there(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/" NAME, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static int connect_as_another_uid(void *userdata) {
        Fixture *fixture = userdata;

        if (chmod(fixture->path, 0755) < 0 ||
            fork_become(FORK_OTHER_UID, FORK_OTHER_UID, NULL, 0) < 0)
                return 1;
        return connect_there(fixture->path) >= 0 ? 0 : 2;
}

static void test_missing_directory_is_made_with_its_mode(void **state) {
        Fixture *fixture = *state;
        char path[SCRATCH_PATH_MAX + 8];
        mode_t umask_before = umask(0077);
        struct stat st;
        int fd = -1, r;

        snprintf(path, sizeof(path), "%s/run", fixture->path);
        r = sockets_open_directory(path, 0755, &fd, &fixture->fault);
        umask(umask_before);
        assert_int_equal(r, 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        close(fd);

        /* One that is there keeps its own. */
        assert_int_equal(chmod(path, 0711), 0);
        assert_int_equal(sockets_open_directory(path, 0755, &fd, &fixture->fault), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0711);
        close(fd);

        snprintf(path, sizeof(path), "%s/a/b", fixture->path);
        assert_int_equal(sockets_open_directory(path, 0755, &fd, &fixture->fault), -ENOENT);
}

static void test_directory_that_others_can_write_is_refused(void **state) {
        Fixture *fixture = *state;
        int fd = -1;

        assert_int_equal(chmod(fixture->path, 0775), 0);
        assert_int_equal(sockets_open_directory(fixture->path, 0755, &fd, &fixture->fault),
                         SOCKETS_E_UNSAFE);
        assert_int_equal(fixture->fault.mode & 07777, 0775);
        assert_int_equal(chmod(fixture->path, 01777), 0);
        assert_int_equal(sockets_open_directory(fixture->path, 0755, &fd, &fixture->fault),
                         SOCKETS_E_UNSAFE);
        assert_int_equal(chmod(fixture->path, 0700), 0);
        if (fork_can_become()) {
                assert_int_equal(chown(fixture->path, FORK_OTHER_UID, 0), 0);
                assert_int_equal(sockets_open_directory(fixture->path, 0755, &fd,
                                                        &fixture->fault), SOCKETS_E_UNSAFE);
                assert_int_equal(fixture->fault.uid, FORK_OTHER_UID);
        }
        assert_int_equal(fd, -1);
}

static void test_path_that_is_no_directory_is_refused(void **state) {
        Fixture *fixture = *state;
        char path[SCRATCH_PATH_MAX + 8];
        int fd = -1;

        snprintf(path, sizeof(path), "%s/link", fixture->path);
        assert_int_equal(symlink("/", path), 0);
        assert_int_equal(sockets_open_directory(path, 0755, &fd, &fixture->fault),
                         SOCKETS_E_NOT_DIR);
        assert_int_equal(sockets_open_directory("/dev/null", 0755, &fd, &fixture->fault),
                         SOCKETS_E_NOT_DIR);
        assert_int_equal(fd, -1);
}

static void test_socket_has_its_mode_and_group_and_answers(void **state) {
        Fixture *fixture = *state;
        mode_t umask_before = umask(077);
        int fd = -1, client, accepted, value = 0, r;
        socklen_t size = sizeof(value);
        struct stat st;

        r = listen_here(fixture, 0660, fork_can_become() ? FORK_OTHER_UID : getegid(), &fd);
        assert_int_equal(umask(umask_before), 077);
        assert_int_equal(r, 0);
        assert_int_equal(at_chown.st_mode, S_IFSOCK | 0660);
        assert_int_equal(fstatat(fixture->dir_fd, NAME, &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        assert_int_equal(st.st_gid, fork_can_become() ? FORK_OTHER_UID : getegid());
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &value, &size), 0);
        assert_int_equal(value, 1);

        assert_int_equal(accept4(fd, NULL, NULL, SOCK_CLOEXEC), -1);
        assert_int_equal(errno, EAGAIN);
        client = connect_there(fixture->path);
        assert_true(client >= 0);
        accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        close(accepted);
        close(client);
        close(fd);
}

static void test_mode_decides_who_connects(void **state) {
        Fixture *fixture = *state;
        int fd = -1;

        if (!fork_can_become())
                skip();
        assert_int_equal(listen_here(fixture, 0660, SOCKETS_GID_KEEP, &fd), 0);
        assert_int_equal(fork_run(connect_as_another_uid, fixture), 2);
        close(fd);
        assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), 0);
        assert_int_equal(fork_run(connect_as_another_uid, fixture), 0);
        close(fd);
}

static void test_socket_of_a_dead_broker_is_replaced(void **state) {
        Fixture *fixture = *state;
        int fd = -1, client;

        assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), 0);
        close(fd);
        assert_int_equal(connect_there(fixture->path), -1);
        assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), 0);
        client = connect_there(fixture->path);
        assert_true(client >= 0);
        close(client);
        close(fd);

        sockets_unlink(fixture->dir_fd, NAME);
        assert_int_equal(scratch_count(fixture->path), 0);
        sockets_unlink(fixture->dir_fd, NAME);
}

static void test_anything_else_under_the_name_stays(void **state) {
        Fixture *fixture = *state;
        int fd = -1, file;

        file = openat(fixture->dir_fd, NAME, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        close(file);
        assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), SOCKETS_E_FOREIGN);
        assert_true(S_ISREG(fixture->fault.mode));
        sockets_unlink(fixture->dir_fd, NAME);
        assert_int_equal(scratch_count(fixture->path), 1);
        assert_int_equal(unlinkat(fixture->dir_fd, NAME, 0), 0);

        if (fork_can_become()) {
                assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), 0);
                close(fd);
                fd = -1;
                assert_int_equal(fchownat(fixture->dir_fd, NAME, FORK_OTHER_UID, 0, 0), 0);
                assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd),
                                 SOCKETS_E_FOREIGN);
                assert_int_equal(fixture->fault.uid, FORK_OTHER_UID);
                assert_int_equal(scratch_count(fixture->path), 1);
        }
        assert_int_equal(fd, -1);
}

static void test_path_that_no_client_could_use_is_refused(void **state) {
        Fixture *fixture = *state;
        char name[128];
        int fd = -1;

        memset(name, 'n', sizeof(name));
        name[sizeof(((struct sockaddr_un *)0)->sun_path) - strlen(fixture->path) - 1] = '\0';
        assert_int_equal(sockets_listen(fixture->dir_fd, fixture->path, name, 0666,
                                        SOCKETS_GID_KEEP, &fd, &fixture->fault),
                         SOCKETS_E_TOO_LONG);
        name[strlen(name) - 1] = '\0';
        assert_int_equal(sockets_listen(fixture->dir_fd, fixture->path, name, 0666,
                                        SOCKETS_GID_KEEP, &fd, &fixture->fault), 0);
        close(fd);
}

static void test_each_call_may_fail_and_nothing_is_left(void **state) {
        Fixture *fixture = *state;
        size_t n_fds = scratch_count_fds();
        unsigned nth;
        int fd = -1, r;

        for (nth = 1; nth < 20; nth++) {
                fault_arm(nth, ENOMEM);
                r = listen_here(fixture, 0660, getegid(), &fd);
                if (!fault_disarm())
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(fd, -1);
                assert_int_equal(scratch_count_fds(), n_fds);
                assert_int_equal(scratch_count(fixture->path), 0);
        }
        assert_int_equal(r, 0);
        assert_int_equal(nth, 8);
        close(fd);
}

static void test_only_a_listening_seqpacket_socket_is_adopted(void **state) {
        Fixture *fixture = *state;
        int fd, pair[2];

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_int_equal(sockets_adopt(pair[0]), SOCKETS_E_WRONG);
        close(pair[0]);
        close(pair[1]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(sockets_adopt(pair[0]), SOCKETS_E_WRONG);
        close(pair[0]);
        close(pair[1]);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* Binds to a name of the kernel's choice, unix(7). */
        assert_int_equal(bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX },
                              sizeof(sa_family_t)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(sockets_adopt(fd), SOCKETS_E_WRONG);
        close(fd);
        assert_int_equal(sockets_adopt(-1), -EBADF);

        assert_int_equal(listen_here(fixture, 0666, SOCKETS_GID_KEEP, &fd), 0);
        /* As systemd hands it over. */
        assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
        assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
        assert_int_equal(sockets_adopt(fd), 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_missing_directory_is_made_with_its_mode),
                TEST(test_directory_that_others_can_write_is_refused),
                TEST(test_path_that_is_no_directory_is_refused),
                TEST(test_socket_has_its_mode_and_group_and_answers),
                TEST(test_mode_decides_who_connects),
                TEST(test_socket_of_a_dead_broker_is_replaced),
                TEST(test_anything_else_under_the_name_stays),
                TEST(test_path_that_no_client_could_use_is_refused),
                TEST(test_each_call_may_fail_and_nothing_is_left),
                TEST(test_only_a_listening_seqpacket_socket_is_adopted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
