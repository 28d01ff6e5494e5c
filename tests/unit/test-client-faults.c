/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Library When System Calls Fail
 *
 * Connect, attach, move an item, detach, close: each call to the kernel on the way fails once, with
 * several errors. Whatever comes of it, nothing is left open, and the next run goes through.
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
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/fault.h"
#include "tests/unit/fake-broker.h"

/* The fake runs beside it on calls that are not among these. */
FAULT_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAULT_CALL(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAULT_CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *n),
           (fd, level, name, value, n))
FAULT_CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n),
           (fd, level, name, value, n))
FAULT_CALL(int, stat64, (const char *path, struct stat64 *st), (path, st))
FAULT_CALL(int, fstat64, (int fd, struct stat64 *st), (fd, st))
FAULT_CALL(int, fcntl64, (int fd, int command, long argument), (fd, command, argument))
FAULT_CALL(ssize_t, send, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
FAULT_CALL(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
FAULT_CALL(int, ppoll, (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s),
           (p, n, t, s))
FAULT_CALL(void *, mmap64, (void *at, size_t n, int rights, int flags, int fd, off64_t offset),
           (at, n, rights, flags, fd, offset))
FAULT_CALL(int, madvise, (void *at, size_t n, int advice), (at, n, advice))
FAULT_CALL(ssize_t, getrandom, (void *bytes, size_t n, unsigned flags), (bytes, n, flags))
FAULT_CALL(int, epoll_create1, (int flags), (flags))
FAULT_CALL(int, epoll_ctl, (int fd, int what, int other, struct epoll_event *e),
           (fd, what, other, e))
FAULT_CALL(int, timerfd_create, (int clock, int flags), (clock, flags))

static FakeBroker fake;

static int use_ring(struct shmb *c, enum shmb_role role) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r;
        uint64_t item = 7;
        int result;

        want.timeout_ns = 0;
        result = shmb_attach(c, "a/ring", role, &want, &r);
        if (result < 0)
                return result;
        if (role == SHMB_PRODUCE)
                result = shmb_push(r, &item, 0);
        else
                result = shmb_pop(r, &item, 0);
        /* what a run left behind that failed in the middle */
        while (role == SHMB_CONSUME && shmb_pop(r, &item, 0) == 0)
                ;
        shmb_detach(r);
        return result;
}

/* Return: 0, or what the first failing call said. */
static int run(void) {
        struct shmb *c;
        int r;

        r = shmb_connect(fake.path, &c);
        if (r < 0)
                return r;
        r = shmb_fd(c);
        if (r >= 0)
                r = shmb_dispatch(c);
        if (r == 0)
                r = use_ring(c, SHMB_PRODUCE);
        if (r == 0)
                r = use_ring(c, SHMB_CONSUME);
        shmb_close(c);
        return r;
}

/* The real one ends the leases of who hangs up; and notices in its own time. */
static void clean_up(size_t n_fds) {
        int tries = 20000;

        while (scratch_count_fds() > n_fds) {
                assert_true(--tries > 0);
                usleep(500);
        }
        fake_vacate(&fake);
}

static void let_each_call_fail(int error) {
        size_t n_fds = scratch_count_fds();
        unsigned nth = 0, n_failed = 0;
        bool happened;
        int r;

        do {
                fault_arm(++nth, error);
                r = run();
                happened = fault_disarm();
                clean_up(n_fds);
                n_failed += r < 0;
                if (r < -200 || r > 0)
                        fail_msg("%s: %d", fault_name(), r);
                if (!happened)
                        assert_int_equal(r, 0);
                assert_int_equal(run(), 0);
                clean_up(n_fds);
        } while (happened);
        assert_true(n_failed > 10);
        assert_true(nth > 25);
}

static void test_library_survives_the_failure_of_each_system_call(void **state) {
        let_each_call_fail(EIO);
        let_each_call_fail(ENOMEM);
        let_each_call_fail(EMFILE);
}

static int setup(void **state) {
        fake_start_ring(&fake, 1, 1, sizeof(uint64_t), 8);
        return 0;
}

static int teardown(void **state) {
        fake_stop(&fake);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_library_survives_the_failure_of_each_system_call, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
