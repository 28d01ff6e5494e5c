/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes under Other Users
 *
 * A line is a packet of a SOCK_SEQPACKET pair: none is cut in two, and the end of the child is the
 * end of its lines.
 */

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"

static int child_fd = -1; /* in a child: its end */

void child_become(const ChildIdentity *identity) {
        if (setgroups(identity->n_groups, identity->groups) < 0 ||
            setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
            setresuid(identity->uid, identity->uid, identity->uid) < 0 ||
            prctl(PR_SET_DUMPABLE, 1) < 0)
                child_fail(__FILE__, __LINE__, "another identity", errno);
}

void child_spawn(Child *child, const ChildIdentity *identity, void (*function)(void *data),
                 void *data) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        child->pid = fork();
        assert_true(child->pid >= 0);
        if (child->pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fds[0]);
                child_fd = fds[1];
                child_become(identity);
                /* A change of identity clears it. */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                function(data);
                _exit(0);
        }
        close(fds[1]);
        child->fd = fds[0];
}

void *child_share(size_t n_bytes) {
        void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0);

        assert_true(memory != MAP_FAILED);
        return memory;
}

void child_unshare(void *memory, size_t n_bytes) {
        if (memory)
                munmap(memory, n_bytes);
}

bool child_hear(Child *child, char ret_line[static CHILD_LINE_MAX]) {
        struct pollfd pollfd = { .fd = child->fd, .events = POLLIN };
        ssize_t n;

        if (poll(&pollfd, 1, BROKER_DEADLINE_MS) != 1)
                fail_msg("a child says nothing");
        n = recv(child->fd, ret_line, CHILD_LINE_MAX - 1, 0);
        if (n <= 0)
                return false;
        ret_line[n] = '\0';
        return true;
}

void child_expect(Child *child, const char *line) {
        char heard[CHILD_LINE_MAX];

        if (!child_hear(child, heard))
                fail_msg("a child ended instead of saying \"%s\"", line);
        assert_string_equal(heard, line);
}

void child_expect_part(Child *child, const char *first, const char *second) {
        char heard[CHILD_LINE_MAX];

        if (!child_hear(child, heard))
                fail_msg("a child ended instead of saying \"%s\"", first ? first : "something");
        if ((first && !strstr(heard, first)) || (second && !strstr(heard, second)))
                fail_msg("\"%s\" does not hold \"%s\" and \"%s\"", heard, first, second);
}

void child_tell(Child *child, const char *line) {
        assert_int_equal(send(child->fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
}

int child_wait(Child *child) {
        int status = 0;

        close(child->fd);
        broker_until(waitpid(child->pid, &status, WNOHANG) == child->pid);
        child->pid = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_kill(Child *child) {
        kill(child->pid, SIGKILL);
        child_wait(child);
}

void child_finish(Child *child) {
        char heard[CHILD_LINE_MAX];
        int status;

        if (child_hear(child, heard))
                fail_msg("a child says \"%s\" where it should end", heard);
        status = child_wait(child);
        if (status != 0)
                fail_msg("a child ended with %d", status);
}

void child_say(const char *format, ...) {
        char line[CHILD_LINE_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        if (send(child_fd, line, strlen(line), MSG_NOSIGNAL) < 0)
                _exit(CHILD_FAILED);
}

void child_listen(char ret_line[static CHILD_LINE_MAX]) {
        ssize_t n = recv(child_fd, ret_line, CHILD_LINE_MAX - 1, 0);

        if (n <= 0)
                _exit(CHILD_FAILED);
        ret_line[n] = '\0';
}

void child_await(const char *line) {
        char heard[CHILD_LINE_MAX];

        child_listen(heard);
        if (strcmp(heard, line) != 0)
                child_fail(__FILE__, __LINE__, line, 0);
}

void child_fail(const char *file, int line, const char *what, long value) {
        child_say("%s:%d: %s is not so (%ld)", file, line, what, value);
        _exit(CHILD_FAILED);
}
