/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Death at Each Instruction
 *
 * The child stops itself by a signal, so what is stepped through includes the way out of raise(3),
 * which does no harm. PTRACE_O_EXITKILL takes the child along if an assertion ends the test.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/crash/step.h"

enum {
        /* An operation that never ends is a livelock. */
        STEPS_MAX = 200000,
};

void step_memory_init(StepMemory *memory, size_t n_bytes) {
        assert_true(n_bytes <= STEP_MEMORY_MAX);
        memory->bytes = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                             0);
        assert_ptr_not_equal(memory->bytes, MAP_FAILED);
        memory->n_bytes = n_bytes;
}

void step_memory_deinit(StepMemory *memory) {
        assert_int_equal(munmap(memory->bytes, memory->n_bytes), 0);
        memory->bytes = NULL;
}

static void step_nothing(void) {
}

/* A child that waits for its first step. -1 if it may not be traced. */
static pid_t step_start(void (*act)(void)) {
        int status;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(1);
                raise(SIGSTOP);
                act();
                _exit(0);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status))
                return -1;
        if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL) < 0)
                return -1;
        return pid;
}

/* One instruction. False if it was the last. */
static bool step_once(pid_t pid) {
        int status;

        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
                assert_int_equal(WEXITSTATUS(status), 0);
                return false;
        }
        assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
        return true;
}

static void step_end(pid_t pid) {
        int status;

        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool step_is_possible(void) {
        pid_t pid = step_start(step_nothing);
        int status;

        if (pid < 0)
                return false;
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, &status, 0);
                return false;
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        step_end(pid);
        return true;
}

static void step_note(StepStates *states, const StepMemory *memory) {
        uint8_t *last;

        if (!states)
                return;
        if (states->n_states > 0) {
                last = states->bytes[states->n_states - 1];
                if (memcmp(last, memory->bytes, memory->n_bytes) == 0)
                        return;
        }
        assert_true(states->n_states < STEP_STATES_MAX);
        memcpy(states->bytes[states->n_states++], memory->bytes, memory->n_bytes);
}

static void step_check(StepMemory *memory, void (*check)(bool is_over), bool is_over) {
        static uint8_t kept[STEP_MEMORY_MAX];

        memcpy(kept, memory->bytes, memory->n_bytes);
        check(is_over);
        memcpy(memory->bytes, kept, memory->n_bytes);
}

size_t step_through(StepMemory *memory, void (*act)(void), void (*check)(bool is_over),
                    StepStates *ret_states) {
        size_t n_steps = 0;
        pid_t pid;

        if (ret_states)
                ret_states->n_states = 0;
        pid = step_start(act);
        assert_true(pid > 0);
        do {
                step_note(ret_states, memory);
                step_check(memory, check, false);
                assert_true(n_steps++ < STEPS_MAX);
        } while (step_once(pid));
        step_check(memory, check, true);
        return n_steps;
}

bool step_pause(void (*act)(void), size_t n_steps, void (*meanwhile)(void)) {
        size_t i;
        pid_t pid;

        pid = step_start(act);
        assert_true(pid > 0);
        for (i = 0; i < n_steps; i++)
                if (!step_once(pid))
                        return false;
        meanwhile();
        step_end(pid);
        return true;
}
