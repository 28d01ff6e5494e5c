/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connect: hello, and whom to trust
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
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
#include <shmbroker.h>
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

static FakeBroker fake;

static int setup(void **state) {
        fake_start_ring(&fake, 1, 1, 8, 8);
        return 0;
}

static int teardown(void **state) {
        fake_stop(&fake);
        return 0;
}

static struct shmb *connected(void) {
        struct shmb *c = NULL;

        assert_int_equal(shmb_connect(fake.path, &c), 0);
        assert_non_null(c);
        return c;
}

/* Asked for as often as the test dares to wait; the fake's thread runs beside us. */
#define until(_condition)                                                                          \
        do {                                                                                       \
                int tries_ = 20000;                                                                \
                while (!(_condition)) {                                                            \
                        assert_true(--tries_ > 0);                                                 \
                        usleep(1000);                                                              \
                }                                                                                  \
        } while (0)

static void test_connect_says_hello_with_a_uuid_of_its_own(void **state) {
        uint8_t first[SHMB_UUID_SIZE];
        struct shmb *c = connected();

        memcpy(first, fake.uuid, sizeof(first));
        shmb_close(c);
        c = connected();
        assert_memory_not_equal(first, fake.uuid, sizeof(first));
        assert_string_equal(shmb_error(c), "");
        shmb_close(c);
        assert_int_equal(fake.n_requests[WIRE_HELLO], 2);
}

static void test_connect_says_why_there_is_no_broker(void **state) {
        struct shmb *c = (void *)4711;

        assert_int_equal(shmb_connect("/nonexistent/broker.sock", &c), -ECONNREFUSED);
        assert_ptr_equal(c, (void *)4711);
        assert_non_null(strstr(shmb_error(NULL), "/nonexistent/broker.sock"));
        assert_non_null(strstr(shmb_error(NULL), "no broker listens there"));

        fake_go_away(&fake);
        assert_int_equal(shmb_connect(fake.path, &c), -ECONNREFUSED);
        assert_int_equal(shmb_connect("", &c), -EINVAL);
        assert_int_equal(shmb_connect(fake.path, NULL), -EINVAL);
}

static void test_connect_refuses_a_path_that_no_socket_can_have(void **state) {
        char path[200] = {};
        struct shmb *c;

        memset(path, 'x', sizeof(path) - 1);
        assert_int_equal(shmb_connect(path, &c), -ENAMETOOLONG);
}

static void test_connect_takes_the_path_from_the_environment(void **state) {
        struct shmb *c;

        setenv("SHMBROKER_SOCKET", fake.path, 1);
        assert_int_equal(shmb_connect(NULL, &c), 0);
        shmb_close(c);
        unsetenv("SHMBROKER_SOCKET");
}

static void test_connect_refuses_a_directory_where_others_may_write(void **state) {
        struct shmb *c;

        chmod(fake.directory, 0770);
        assert_int_equal(shmb_connect(fake.path, &c), -EPERM);
        assert_non_null(strstr(shmb_error(NULL), "others than its owner may write"));
        chmod(fake.directory, 0702);
        assert_int_equal(shmb_connect(fake.path, &c), -EPERM);
        /* sticky: nobody can put another socket in place of ours */
        chmod(fake.directory, 01777);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        shmb_close(c);
        chmod(fake.directory, 0700);
}

/* Somebody without rights who listens where a broker is expected. */
static int listen_as_somebody_else(void *userdata) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

        strcpy(address.sun_path, userdata);
        if (fork_become(FORK_OTHER_UID, FORK_OTHER_UID, NULL, 0) < 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
                return 1;
        pause();
        return 0;
}

static void test_connect_refuses_a_listener_of_another_user(void **state) {
        char path[sizeof(fake.path) + 8];
        struct shmb *c;
        pid_t pid;
        int r;

        if (!fork_can_become())
                skip();
        sprintf(path, "%s/other", fake.directory);
        chmod(fake.directory, 01777);
        pid = fork_start(listen_as_somebody_else, path);
        until((r = shmb_connect(path, &c)) != -ECONNREFUSED);
        assert_int_equal(r, -EPERM);
        assert_non_null(strstr(shmb_error(NULL), "uid 54321 listens there"));
        kill(pid, SIGKILL);
        fork_wait(pid);
        unlink(path);
        chmod(fake.directory, 0700);
}

static void test_connect_gives_up_on_a_broker_that_answers_nonsense(void **state) {
        static const struct {
                FakeFault fault;
                int result;
        } rows[] = {
                { FAKE_GARBAGE, -EPROTO },      { FAKE_UNKNOWN_TYPE, -EPROTO },
                { FAKE_TOO_LONG, -EPROTO },     { FAKE_EMPTY_PACKET, -ECONNREFUSED },
                { FAKE_HANG_UP, -ECONNREFUSED },
        };
        size_t n_fds = scratch_count_fds(), i;
        struct shmb *c = (void *)4711;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                fake.hello_fault = rows[i].fault;
                assert_int_equal(shmb_connect(fake.path, &c), rows[i].result);
                assert_ptr_equal(c, (void *)4711);
                assert_non_null(strstr(shmb_error(NULL), fake.path));
        }
        fake.hello_fault = FAKE_FINE;
        fake.hello_major = WIRE_VERSION_MAJOR + 1;
        assert_int_equal(shmb_connect(fake.path, &c), -EPROTO);
        assert_non_null(strstr(shmb_error(NULL), "another version"));
        until(scratch_count_fds() <= n_fds);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_connect_says_hello_with_a_uuid_of_its_own),
                TEST(test_connect_says_why_there_is_no_broker),
                TEST(test_connect_refuses_a_path_that_no_socket_can_have),
                TEST(test_connect_takes_the_path_from_the_environment),
                TEST(test_connect_refuses_a_directory_where_others_may_write),
                TEST(test_connect_refuses_a_listener_of_another_user),
                TEST(test_connect_gives_up_on_a_broker_that_answers_nonsense),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
