/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that Is Killed at One of Its System Calls
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/steps.h"

static void be_traced(void *data) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

/* At a stop of the broker: whether it is in the call numbered @k, counted in *n. */
static bool is_step(const Broker *broker, size_t k, size_t *n, bool *counting) {
        struct __ptrace_syscall_info info;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, broker->pid, (void *)sizeof(info), &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY)
                return false;
        if (info.entry.nr == SYS_flock)
                *counting = true;
        return *counting && ++*n == k;
}

static void let_run(const Broker *broker, int status) {
        int signal_number = WSTOPSIG(status);

        /* A stop at a system call, or of exec(2), is ours; what else there is goes on to it. */
        if (signal_number == (SIGTRAP | 0x80) || signal_number == SIGTRAP)
                signal_number = 0;
        assert_true(ptrace(PTRACE_SYSCALL, broker->pid, NULL,
                           (void *)(intptr_t)signal_number) >= 0);
}

static void send_visitor(Broker *broker, unsigned n_ready, void (*visit)(void), pid_t *visitor) {
        broker_hear(broker);
        if (*visitor > 0 || broker->n_ready == n_ready)
                return;
        *visitor = fork();
        assert_true(*visitor >= 0);
        if (*visitor == 0)
                visit();
}

static void start_traced(Broker *broker) {
        int status;

        broker->prepare = be_traced;
        broker_spawn(broker, NULL);
        broker->prepare = NULL;
        assert_int_equal(waitpid(broker->pid, &status, 0), broker->pid);
        assert_true(WIFSTOPPED(status));
        assert_true(ptrace(PTRACE_SETOPTIONS, broker->pid, NULL,
                           (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) >= 0);
        let_run(broker, SIGTRAP << 8 | 0x7f);
}

bool steps_run(Broker *broker, size_t k, StepsFrom from, void (*visit)(void), pid_t *visitor) {
        bool counting = from == STEPS_FROM_READY, reached = false, is_home = false, counts;
        unsigned n_ready = broker->n_ready;
        size_t n = 0;
        int status;
        pid_t pid;

        start_traced(broker);
        while (!reached && !is_home) {
                pid = waitpid(-1, &status, 0);
                assert_true(pid > 0);
                if (pid == *visitor) {
                        *visitor = 0;
                        assert_int_equal(status, 0);
                        is_home = true;
                        continue;
                }
                if (!WIFSTOPPED(status))
                        fail_msg("the broker ended by itself (%#x): %s", status,
                                 broker_journal(broker));
                counts = from == STEPS_FROM_LOCK || *visitor > 0;
                reached = counts && is_step(broker, k, &n, &counting);
                if (!reached) {
                        send_visitor(broker, n_ready, visit, visitor);
                        let_run(broker, status);
                }
        }
        broker_kill(broker);
        return reached;
}
