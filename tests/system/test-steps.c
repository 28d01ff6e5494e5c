/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that Is Killed at Each of Its System Calls
 *
 * The broker runs (tests/harness/steps.h) while a client attaches, detaches, makes it replace an
 * object, creates regions and has them removed, lets a region linger out and reloads. In the k-th
 * run it is killed as it enters its k-th system call, k = 1, 2, ... until a run ends by itself.
 * After each run the next broker must start, serve every region as if nothing had been, and leave
 * nothing in /dev/shm when it is stopped.
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/steps.h"

enum {
        N_RING = 3, /* names: control, lane and seat */
        N_RAW = 2,  /* control and data */
        /* All of them take half a minute; one in so many is tried, from another first one each
         * time. */
        STRIDE = 3,
};

#define TEMPLATES                                                                                  \
        "version: 1\n"                                                                            \
        "templates:\n"                                                                            \
        "  - {name: $/s/*, kind: raw, size: 4K, ttl: 1h,\n"                                       \
        "     access: {create: [any], remove: [any], read: [any], write: [any]}}\n"

static const char yaml[] = TEMPLATES
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/visited, kind: raw, size: 4K, lifetime: {policy: on_demand, linger: 0},\n"
        "     access: {read: [any], write: [any]}}\n";

static const char yaml_more[] = TEMPLATES
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

static int create(Caller *caller, const char *name, bool exclusive) {
        WireMessage message = { .type = WIRE_CREATE };

        message.create = (WireCreate){ .name = broker_name(&broker, name), .exclusive = exclusive };
        return caller_call(caller, &message);
}

static int remove_region(Caller *caller, const char *name) {
        WireMessage message = { .type = WIRE_REMOVE };

        message.remove.name = broker_name(&broker, name);
        return caller_call(caller, &message);
}

/* One that is held when it is removed, and is created anew. */
static void visit_template(Caller *caller) {
        CallerLease data;

        (void)create(caller, "s/b", false);
        if (create(caller, "s/a", true) == 0 &&
            caller_attach(caller, broker_name(&broker, "s/a"), SHMB_ROLE_WRITE, &data) == 0) {
                (void)remove_region(caller, "s/a");
                (void)create(caller, "s/a", true);
                caller_detach(caller, data.attached.lease);
        }
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
        visit_template(&caller);
        broker_configure(&broker, yaml_more);
        (void)caller_call(&admin, &reload);
        broker_configure(&broker, yaml);
        reload.id = 0;
        (void)caller_call(&admin, &reload);
        _exit(0);
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

        broker_configure(&broker, yaml);
        broker_start(&broker);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_attaches(&caller, "ring", SHMB_ROLE_PRODUCE);
        assert_attaches(&caller, "ring", SHMB_ROLE_CONSUME);
        assert_attaches(&caller, "visited", SHMB_ROLE_READ);
        /* There or not, but whole; and then gone. */
        assert_int_equal(create(&caller, "s/a", false), 0);
        assert_int_equal(create(&caller, "s/b", false), 0);
        assert_attaches(&caller, "s/a", SHMB_ROLE_WRITE);
        assert_attaches(&caller, "s/b", SHMB_ROLE_WRITE);
        assert_int_equal(remove_region(&caller, "s/a"), 0);
        assert_int_equal(remove_region(&caller, "s/b"), 0);
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
                reached = steps_run(&broker, k, STEPS_FROM_LOCK, visit, &visitor);
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
