/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Process that is Killed where Something has Changed
 *
 * Points are found by single steps, and reached by system calls, which is a thousand times faster:
 * an attach takes tens of thousands of instructions. A system call is recognised by its bytes.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/crash/trace.h"

enum {
        /* An operation that never ends is a livelock. */
        STEPS_MAX = 5000000,
};

void trace_begin(void) {
        raise(SIGSTOP);
}

void trace_end(void) {
        raise(SIGSTOP);
        _exit(0);
}

static int trace_wait(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status))
                fail_msg("a traced child ended with status 0x%x", (unsigned)status);
        return WSTOPSIG(status);
}

/* A child that stands right behind trace_begin(). */
static pid_t trace_start(TraceAct act, void *data) {
        pid_t pid = fork();

        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(1);
                act(data);
                _exit(0);
        }
        assert_true(pid > 0);
        while (trace_wait(pid) != SIGSTOP)
                assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
                                (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)),
                         0);
        return pid;
}

static void trace_slay(pid_t pid) {
        int status;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
}

/* Whether the next instruction is a system call: 0f 05, or cd 80 and 0f 34 for 32 bits. */
static bool trace_at_call(pid_t pid) {
        struct user_regs_struct registers;
        long word;

        assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
        errno = 0;
        word = ptrace(PTRACE_PEEKTEXT, pid, (void *)registers.rip, NULL);
        return errno == 0 && ((word & 0xffff) == 0x050f || (word & 0xffff) == 0x80cd ||
                              (word & 0xffff) == 0x340f);
}

/* One instruction. False where the operation is over. */
static bool trace_step(pid_t pid) {
        int signal;

        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        signal = trace_wait(pid);
        assert_true(signal == SIGTRAP || signal == SIGSTOP);
        return signal == SIGTRAP;
}

static uint8_t kept[TRACE_WATCHED_MAX][65536];

static bool trace_has_changed(const TraceWatched *watched, size_t n_watched) {
        bool changed = false;
        size_t i;

        for (i = 0; i < n_watched; i++) {
                if (memcmp(kept[i], watched[i].bytes, watched[i].n_bytes) == 0)
                        continue;
                memcpy(kept[i], watched[i].bytes, watched[i].n_bytes);
                changed = true;
        }
        return changed;
}

static void trace_note(TracePoints *points, uint32_t n_calls, uint32_t n_steps) {
        const TracePoint *last = points->n > 0 ? &points->points[points->n - 1] : NULL;

        if (last && last->n_calls == n_calls && last->n_steps == n_steps)
                return;
        assert_true(points->n < TRACE_POINTS_MAX);
        points->points[points->n++] = (TracePoint){ n_calls, n_steps };
}

void trace_find(TraceAct act, void *data, const TraceWatched *watched, size_t n_watched,
                TracePoints *ret_points) {
        uint32_t n_calls = 0, n_steps = 0;
        pid_t pid = trace_start(act, data);
        bool at_call, over = false;
        size_t i;

        assert_true(n_watched <= TRACE_WATCHED_MAX);
        for (i = 0; i < n_watched; i++)
                assert_true(watched[i].n_bytes <= sizeof(kept[i]));
        *ret_points = (TracePoints){};
        (void)trace_has_changed(watched, n_watched);
        trace_note(ret_points, 0, 0);
        while (!over) {
                at_call = trace_at_call(pid);
                if (at_call)
                        trace_note(ret_points, n_calls, n_steps);
                over = !trace_step(pid);
                ret_points->n_instructions++;
                assert_true(ret_points->n_instructions < STEPS_MAX);
                n_calls += at_call;
                n_steps = at_call ? 0 : n_steps + 1;
                if (trace_has_changed(watched, n_watched) || at_call || over)
                        trace_note(ret_points, n_calls, n_steps);
        }
        trace_slay(pid);
}

/* To the far side of a system call. False where the operation is over. */
static bool trace_call(pid_t pid) {
        int i, signal;

        for (i = 0; i < 2; i++) {
                assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
                signal = trace_wait(pid);
                if (signal == SIGSTOP)
                        return false;
                assert_int_equal(signal, SIGTRAP | 0x80);
        }
        return true;
}

bool trace_kill(TraceAct act, void *data, TracePoint point) {
        pid_t pid = trace_start(act, data);
        bool running = true;
        uint32_t i;

        for (i = 0; running && i < point.n_calls; i++)
                running = trace_call(pid);
        for (i = 0; running && i < point.n_steps; i++)
                running = trace_step(pid);
        trace_slay(pid);
        return running;
}
