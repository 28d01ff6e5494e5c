/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Service manager: exactly the assignments of sd_notify(3), and no other through a client's text.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/notify.h"
#include "tests/harness/scratch.h"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        int fd;
        char message[2048];
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
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        close(fixture->fd);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static void expect(Fixture *fixture, const char *expected) {
        ssize_t n = recv(fixture->fd, fixture->message, sizeof(fixture->message) - 1,
                         MSG_DONTWAIT);

        assert_true(n >= 0);
        fixture->message[n] = '\0';
        assert_string_equal(fixture->message, expected);
        assert_int_equal(recv(fixture->fd, fixture->message, 1, MSG_DONTWAIT), -1);
}

static void test_each_state_is_said_as_sd_notify_has_it(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(notify_ready("%d regions", 3), 0);
        expect(fixture, "READY=1\nSTATUS=3 regions");
        assert_int_equal(notify_status("%s", "busy"), 0);
        expect(fixture, "STATUS=busy");
        assert_int_equal(notify_reloading(UINT64_C(1234567890123)), 0);
        expect(fixture, "RELOADING=1\nMONOTONIC_USEC=1234567890");
        assert_int_equal(notify_stopping("ending %d leases", 2), 0);
        expect(fixture, "STOPPING=1\nSTATUS=ending 2 leases");
        assert_int_equal(notify_alive(), 0);
        expect(fixture, "WATCHDOG=1");
}

static void test_text_cannot_begin_another_assignment(void **state) {
        Fixture *fixture = *state;
        char text[4096];

        assert_int_equal(notify_status("%s", "a\nMAINPID=1"), 0);
        expect(fixture, "STATUS=a\\nMAINPID=1");
        memset(text, '\n', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(notify_ready("%s", text), 0);
        assert_true(recv(fixture->fd, fixture->message, sizeof(fixture->message), MSG_DONTWAIT) <
                    600);
        assert_ptr_equal(strrchr(fixture->message, '\n'), fixture->message + strlen("READY=1"));
}

static void test_without_a_service_manager_nothing_is_an_error(void **state) {
        unsetenv("NOTIFY_SOCKET");
        assert_int_equal(notify_ready("x"), 0);
        assert_int_equal(notify_status("x"), 0);
        assert_int_equal(notify_reloading(1), 0);
        assert_int_equal(notify_stopping("x"), 0);
        assert_int_equal(notify_alive(), 0);
}

static void test_service_manager_that_is_gone_is_an_error_value(void **state) {
        Fixture *fixture = *state;

        scratch_remove(fixture->path);
        assert_true(notify_ready("x") < 0);
}

static void test_watchdog_counts_only_if_it_is_meant_for_us(void **state) {
        char pid[32];

        assert_int_equal(notify_watchdog_ns(), 0);
        setenv("WATCHDOG_USEC", "2500000", 1);
        assert_int_equal(notify_watchdog_ns(), UINT64_C(2500000000));
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("WATCHDOG_PID", pid, 1);
        assert_int_equal(notify_watchdog_ns(), UINT64_C(2500000000));
        setenv("WATCHDOG_PID", "1", 1);
        assert_int_equal(notify_watchdog_ns(), 0);
        setenv("WATCHDOG_USEC", "nonsense", 1);
        assert_int_equal(notify_watchdog_ns(), 0);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_state_is_said_as_sd_notify_has_it),
                TEST(test_text_cannot_begin_another_assignment),
                TEST(test_without_a_service_manager_nothing_is_an_error),
                TEST(test_service_manager_that_is_gone_is_an_error_value),
                TEST(test_watchdog_counts_only_if_it_is_meant_for_us),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
