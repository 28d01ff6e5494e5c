/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that Is Killed at Each of Its System Calls
 *
 * The broker runs under ptrace(2) while a client attaches, detaches, makes it replace an object,
 * lets a region linger out and reloads. In the k-th run it is killed as it enters its k-th system
 * call, k = 1, 2, ... until a run ends by itself. After each run the next broker must start, serve
 * every region as if nothing had been, and leave nothing in /dev/shm when it is stopped.
 *
 * Counted are the calls behind the one that locks the runtime directory: before it there is
 * nothing that could be left behind.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/broker.h"
#include "tests/harness/caller.h"

enum {
        N_RING = 3, /* names: control, lane and seat */
        N_RAW = 2,  /* control and data */
        /* All of them take half a minute; one in so many is tried, from another first one each
         * time. */
        STRIDE = 3,
};

static const char yaml[] =
        "version: 1\n"
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/visited, kind: raw, size: 4K, lifetime: {policy: on_demand, linger: 0},\n"
        "     access: {read: [any], write: [any]}}\n";

static const char yaml_more[] =
        "version: 1\n"
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/more, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n";

static Broker broker;
static pid_t visitor;

static int teardown(void **state) {
        if (visitor > 0) {
                kill(visitor, SIGKILL);
                waitpid(visitor, NULL, 0);
                visitor = 0;
        }
        broker_deinit(&broker);
        return 0;
}

static void be_traced(void *data) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

/* Whatever the broker answers, or does not: this only makes it busy. */
static void visit(void) {
        WireMessage reload = { .type = WIRE_RELOAD };
        CallerLease lane, seat, data;
        Caller caller, admin;

        if (caller_begin(&caller, broker.socket) != 0 || caller_begin(&admin, broker.admin) != 0)
                _exit(1);
        if (caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_PRODUCE, &lane) == 0) {
                /* Its lane stays mapped: the next holder gets another one. */
                (void)mmap(NULL, lane.attached.objects[1].size_bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED, lane.fds[1], 0);
                caller_detach(&caller, lane.attached.lease);
        }
        (void)caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_PRODUCE, &lane);
        if (caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_CONSUME, &seat) == 0)
                caller_mapped(&caller, &seat, EBADMSG);
        if (caller_attach(&caller, broker_name(&broker, "visited"), SHMB_ROLE_WRITE, &data) == 0)
                caller_detach(&caller, data.attached.lease);
        broker_configure(&broker, yaml_more);
        (void)caller_call(&admin, &reload);
        broker_configure(&broker, yaml);
        reload.id = 0;
        (void)caller_call(&admin, &reload);
        _exit(0);
}

/* At a stop of the broker: whether it is in the call numbered @k, counted in *n. */
static bool is_step(size_t k, size_t *n, bool *counting) {
        struct __ptrace_syscall_info info;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, broker.pid, (void *)sizeof(info), &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY)
                return false;
        if (info.entry.nr == SYS_flock)
                *counting = true;
        return *counting && ++*n == k;
}

static void let_run(int status) {
        int signal_number = WSTOPSIG(status);

        /* A stop at a system call, or of exec(2), is ours; what else there is goes on to it. */
        if (signal_number == (SIGTRAP | 0x80) || signal_number == SIGTRAP)
                signal_number = 0;
        assert_true(ptrace(PTRACE_SYSCALL, broker.pid, NULL, (void *)(intptr_t)signal_number) >= 0);
}

static void send_visitor(unsigned n_ready) {
        broker_hear(&broker);
        if (visitor > 0 || broker.n_ready == n_ready)
                return;
        visitor = fork();
        assert_true(visitor >= 0);
        if (visitor == 0)
                visit();
}

/* Return: false where the visitor went home before the k-th call. */
static bool run_until(size_t k) {
        unsigned n_ready = broker.n_ready;
        bool counting = false, reached = false, is_home = false;
        int status;
        size_t n = 0;
        pid_t pid;

        broker.prepare = be_traced;
        broker_spawn(&broker, NULL);
        assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
        assert_true(WIFSTOPPED(status));
        assert_true(ptrace(PTRACE_SETOPTIONS, broker.pid, NULL,
                           (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) >= 0);
        let_run(SIGTRAP << 8 | 0x7f);

        while (!reached && !is_home) {
                pid = waitpid(-1, &status, 0);
                assert_true(pid > 0);
                if (pid == visitor) {
                        visitor = 0;
                        is_home = true;
                        continue;
                }
                if (!WIFSTOPPED(status))
                        fail_msg("the broker ended by itself (%#x): %s", status,
                                 broker_journal(&broker));
                reached = is_step(k, &n, &counting);
                if (!reached) {
                        send_visitor(n_ready);
                        let_run(status);
                }
        }
        broker_kill(&broker);
        return reached;
}

static void assert_attaches(Caller *caller, const char *name, ShmbRole role) {
        CallerLease lease;
        int r = caller_attach(caller, broker_name(&broker, name), role, &lease);

        if (r != 0)
                fail_msg("%s: %d: %s", name, r, r > 0 ? caller->reply.error.sentence : "");
        caller_lease_close(&lease);
}

static void assert_as_good_as_new(size_t k) {
        Caller caller;

        broker.prepare = NULL;
        broker_configure(&broker, yaml);
        broker_start(&broker);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_attaches(&caller, "ring", SHMB_ROLE_PRODUCE);
        assert_attaches(&caller, "ring", SHMB_ROLE_CONSUME);
        assert_attaches(&caller, "visited", SHMB_ROLE_READ);
        assert_int_equal(broker_n_shm(&broker), N_RING + N_RAW);
        caller_close(&caller);
        broker_stop(&broker);
        if (broker_n_shm(&broker) != 0)
                fail_msg("killed at its call %zu it left something behind for ever", k);
}

static void test_broker_killed_at_each_system_call_leaves_nothing_wrong(void **state) {
        size_t k = 1 + (size_t)getpid() % STRIDE;
        bool reached = true;

        broker_init(&broker, yaml);
        for (; reached; k += STRIDE) {
                reached = run_until(k);
                if (visitor > 0) {
                        kill(visitor, SIGKILL);
                        waitpid(visitor, NULL, 0);
                        visitor = 0;
                }
                assert_as_good_as_new(k);
        }
        print_message("a run takes fewer than %zu system calls\n", k);
        assert_true(k > 100);
        broker_deinit(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(
                                test_broker_killed_at_each_system_call_leaves_nothing_wrong,
                                teardown),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
