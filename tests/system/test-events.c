/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Happens, Told
 *
 * A watch begins with what is there and goes on with what happens, in order, to regions that its
 * user may see; a gap is said, and nothing is lost without that. Who waits for a region sleeps
 * until it is there.
 */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <shmbroker.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

#define WAIT_NS (BROKER_DEADLINE_MS * INT64_C(1000000))

enum {
        N_WAITERS = 8,
        /* Attached and detached so often, more happens than a page holds. */
        N_MANY = 200,
};

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
static Broker broker;
static struct shmb *connection;
static struct shmb_watch *watch;

static const char yaml_few[] =
                "version: 1\n"
                "defaults: {kind: raw, size: 4K}\n"
                "regions:\n"
                "  - {name: $/alice, access: {read: [uid:61001]}}\n"
                "  - {name: $/all, access: {read: [any], write: [any]}}\n";

static const char yaml_more[] =
                "version: 1\n"
                "defaults: {kind: raw, size: 4K}\n"
                "regions:\n"
                "  - {name: $/alice, access: {read: [uid:61001]}}\n"
                "  - {name: $/all, access: {read: [any]}}\n"
                "  - {name: $/later, access: {read: [any]}, lifetime: {policy: on_demand}}\n"
                "  - {name: $/more, access: {read: [any]}}\n";

static int teardown(void **state) {
        watch = shmb_unwatch(watch);
        connection = shmb_close(connection);
        broker_deinit(&broker);
        return 0;
}

static void end(void) {
        watch = shmb_unwatch(watch);
        connection = shmb_close(connection);
        broker_end(&broker);
}

static void begin(const char *socket, const char *name) {
        assert_int_equal(shmb_connect(socket, &connection), 0);
        assert_int_equal(shmb_watch(connection, name ? broker_name(&broker, name) : NULL, WAIT_NS,
                                    &watch),
                         0);
}

static struct shmb_event next(void) {
        static uint64_t last;
        struct shmb_event event = { .size = sizeof(event) };

        assert_int_equal(shmb_watch_next(watch, &event, WAIT_NS), 0);
        assert_true(event.sequence >= last || event.type == SHMB_PRESENT);
        last = event.sequence;
        return event;
}

static struct shmb_event expect(uint32_t type, const char *name) {
        struct shmb_event event = next();

        if (event.type != type || strcmp(event.region, broker_name(&broker, name)) != 0)
                fail_msg("event %u of %s instead of %u of %s (%s)", event.type, event.region, type,
                         name, event.reason);
        return event;
}

static void expect_nothing(void) {
        struct shmb_event event = { .size = sizeof(event) };

        assert_int_equal(shmb_watch_next(watch, &event, 0), -EAGAIN);
}

/* Attach and detach, as whoever runs it. */
static void visit(void *data) {
        struct shmb_region *region;
        struct shmb *c;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, data, SHMB_READ, NULL, &region), 0);
        child_say("%d", (int)getpid());
        child_await("go");
        shmb_detach(region);
        shmb_close(c);
}

static void be_refused(void *data) {
        struct shmb_region *region;
        struct shmb *c;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, data, SHMB_WRITE, NULL, &region), -EACCES);
        shmb_close(c);
}

static char name_all[SHMB_NAME_MAX + 1];

static void broker_begin_named(const char *yaml) {
        broker_begin(&broker, yaml);
        snprintf(name_all, sizeof(name_all), "%s", broker_name(&broker, "all"));
}

static void test_it_begins_with_what_is_there_and_tells_who_comes_and_goes(void **state) {
        struct shmb_event event;
        Child child;
        uint64_t lease;

        broker_begin_named(yaml_few);
        begin(broker.admin, NULL);
        assert_true(expect(SHMB_PRESENT, "alice").ready);
        assert_true(expect(SHMB_PRESENT, "all").ready);
        expect_nothing();

        child_spawn(&child, &bob, visit, name_all);
        event = expect(SHMB_ATTACHED, "all");
        assert_int_equal(event.uid, bob.uid);
        assert_int_equal(event.pid, child.pid);
        assert_int_equal(event.role, SHMB_READ);
        assert_true(event.time_ns > 0);
        lease = event.lease;
        child_expect_part(&child, NULL, NULL);
        child_tell(&child, "go");
        event = expect(SHMB_DETACHED, "all");
        assert_true(event.lease == lease && event.reason[0] == '\0');
        child_finish(&child);
        expect_nothing();
        end();
}

static void test_a_death_is_told_with_its_reason(void **state) {
        Child child;

        broker_begin_named(yaml_few);
        begin(broker.admin, "all");
        expect(SHMB_PRESENT, "all");
        child_spawn(&child, &bob, visit, name_all);
        expect(SHMB_ATTACHED, "all");
        child_expect_part(&child, NULL, NULL);
        child_kill(&child);
        assert_non_null(strstr(expect(SHMB_DETACHED, "all").reason, "without detaching"));
        end();
}

static void test_a_reload_is_told(void **state) {
        broker_begin_named(yaml_few);
        begin(broker.admin, NULL);
        expect(SHMB_PRESENT, "alice");
        expect(SHMB_PRESENT, "all");

        broker_configure(&broker, yaml_more);
        broker_reload(&broker);
        expect(SHMB_CREATED, "more");
        assert_true(expect(SHMB_DECLARED, "later").ready);
        expect(SHMB_DECLARED, "more");
        expect(SHMB_CHANGED, "all");
        expect_nothing();

        broker_configure(&broker, yaml_few);
        broker_reload(&broker);
        assert_false(expect(SHMB_REMOVED, "later").ready);
        expect(SHMB_REAPED, "more");
        assert_false(expect(SHMB_REMOVED, "more").ready);
        expect(SHMB_CHANGED, "all");
        expect_nothing();
        end();
}

/* Nobody hears of what he may not see, and of who was refused administrators alone. */
static void watch_as_bob(void *data) {
        struct shmb_event event = { .size = sizeof(event) };
        struct shmb_watch *w;
        struct shmb *c;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_watch(c, NULL, WAIT_NS, &w), 0);
        child_equal(shmb_watch_next(w, &event, WAIT_NS), 0);
        child_check(event.type == SHMB_PRESENT && strcmp(event.region, name_all) == 0);
        child_equal(shmb_watch_next(w, &event, 0), -EAGAIN);
        child_say("watching");
        child_equal(shmb_watch_next(w, &event, WAIT_NS), 0);
        child_check(event.type == SHMB_ATTACHED && strcmp(event.region, name_all) == 0);
        shmb_unwatch(w);
        shmb_close(c);
}

static void test_only_who_may_see_a_region_hears_of_it(void **state) {
        char name[SHMB_NAME_MAX + 1];
        Child watcher, child;

        broker_begin_named(yaml_few);
        begin(broker.admin, NULL);
        expect(SHMB_PRESENT, "alice");
        expect(SHMB_PRESENT, "all");
        child_spawn(&watcher, &bob, watch_as_bob, NULL);
        child_expect(&watcher, "watching");

        snprintf(name, sizeof(name), "%s", broker_name(&broker, "alice"));
        child_spawn(&child, &alice, visit, name);
        expect(SHMB_ATTACHED, "alice");
        child_expect_part(&child, NULL, NULL);
        child_tell(&child, "go");
        expect(SHMB_DETACHED, "alice");
        child_finish(&child);
        child_spawn(&child, &bob, be_refused, name);
        assert_int_equal(expect(SHMB_REFUSED, "alice").uid, bob.uid);
        child_finish(&child);

        child_spawn(&child, &bob, visit, name_all);
        child_expect_part(&child, NULL, NULL);
        child_tell(&child, "go");
        child_finish(&child);
        child_finish(&watcher);
        end();
}

static void attach_often(unsigned n) {
        Caller caller;
        CallerLease lease;
        unsigned i;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        for (i = 0; i < n; i++) {
                assert_int_equal(caller_attach(&caller, name_all, SHMB_ROLE_READ, &lease), 0);
                caller_lease_close(&lease);
                assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        }
        caller_close(&caller);
}

static void test_who_falls_behind_is_told_so_and_told_again_what_is_there(void **state) {
        struct shmb_event event;
        unsigned n = 0;

        broker_begin_named(yaml_few);
        begin(broker.admin, NULL);
        expect(SHMB_PRESENT, "alice");
        expect(SHMB_PRESENT, "all");
        attach_often(N_MANY);
        for (event = next(); event.type != SHMB_MISSED; event = next()) {
                assert_int_equal(event.type, n % 2 ? SHMB_DETACHED : SHMB_ATTACHED);
                n++;
        }
        /* About a hundred are kept. */
        assert_in_range(n, 80, 2 * N_MANY - 1);
        expect(SHMB_PRESENT, "alice");
        expect(SHMB_PRESENT, "all");
        attach_often(1);
        expect(SHMB_ATTACHED, "all");
        expect(SHMB_DETACHED, "all");
        expect_nothing();
        end();
}

static void test_another_broker_is_a_gap_and_its_numbers_go_on(void **state) {
        broker_begin_named(yaml_few);
        begin(broker.socket, "all");
        expect(SHMB_PRESENT, "all");
        expect_nothing();
        broker_kill(&broker);
        broker_start(&broker);
        assert_int_equal(next().type, SHMB_MISSED);
        expect(SHMB_PRESENT, "all");
        attach_often(1);
        expect(SHMB_ATTACHED, "all");
        expect(SHMB_DETACHED, "all");
        end();
}

static bool is_readable(int fd) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };

        return poll(&entry, 1, 0) == 1;
}

static void test_its_descriptor_is_readable_when_there_is_something_and_else_not(void **state) {
        int fd;

        broker_begin_named(yaml_few);
        begin(broker.socket, "all");
        fd = shmb_watch_fd(watch);
        assert_true(fd >= 0);
        expect(SHMB_PRESENT, "all");
        expect_nothing();
        assert_false(is_readable(fd));
        attach_often(1);
        broker_until(is_readable(fd));
        expect(SHMB_ATTACHED, "all");
        expect(SHMB_DETACHED, "all");
        expect_nothing();
        assert_false(is_readable(fd));

        /* The time of the next attempt, while it is away. */
        broker_kill(&broker);
        broker_until(is_readable(fd));
        assert_int_equal(shmb_watch_next(watch, &(struct shmb_event){ .size = sizeof(size_t) }, 0),
                         -ECONNREFUSED);
        broker_until(is_readable(fd));
        broker_start(&broker);
        assert_int_equal(next().type, SHMB_MISSED);
        end();
}

static void wait_for(void *data) {
        struct shmb_region *region;
        struct shmb *c;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_wait_region(c, data, 0), -EAGAIN);
        child_say("waiting");
        child_equal(shmb_wait_region(c, data, WAIT_NS), 0);
        child_equal(shmb_attach(c, data, SHMB_READ, NULL, &region), 0);
        shmb_detach(region);
        shmb_close(c);
        child_say("attached");
}

/* How often a process has gone to sleep, all its life. */
static unsigned long n_sleeps(pid_t pid) {
        char path[64], line[256];
        unsigned long n = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
                        break;
        fclose(file);
        return n;
}

static bool is_asleep_on_its_watch(Caller *admin, unsigned n_connections) {
        WireStatusInfo status;

        assert_int_equal(caller_status(admin, &status), 0);
        return status.n_connections == n_connections;
}

static void test_waiters_sleep_until_the_region_is_there(void **state) {
        unsigned long before[N_WAITERS], slept = 0;
        char name[SHMB_NAME_MAX + 1];
        Child waiters[N_WAITERS];
        Caller admin;
        unsigned i;

        broker_begin_named(yaml_few);
        snprintf(name, sizeof(name), "%s", broker_name(&broker, "later"));
        assert_int_equal(caller_begin(&admin, broker.admin), 0);
        for (i = 0; i < N_WAITERS; i++) {
                child_spawn(&waiters[i], &bob, wait_for, name);
                child_expect(&waiters[i], "waiting");
        }
        broker_until(is_asleep_on_its_watch(&admin, 1 + 2 * N_WAITERS));
        /* Each answers to the watch, the listing, and then nothing: what happens to others is not
         * for them. At most one of these is under way now. */
        for (i = 0; i < N_WAITERS; i++)
                before[i] = n_sleeps(waiters[i].pid);
        attach_often(N_MANY);
        for (i = 0; i < N_WAITERS; i++)
                slept += n_sleeps(waiters[i].pid) - before[i];
        assert_in_range(slept, 0, 4 * N_WAITERS);

        broker_configure(&broker, yaml_more);
        broker_reload(&broker);
        for (i = 0; i < N_WAITERS; i++) {
                child_expect(&waiters[i], "attached");
                child_finish(&waiters[i]);
        }
        caller_close(&admin);
        end();
}

static void test_a_waiter_gets_over_the_death_of_the_broker(void **state) {
        char name[SHMB_NAME_MAX + 1];
        Child waiter;

        broker_begin_named(yaml_few);
        snprintf(name, sizeof(name), "%s", broker_name(&broker, "later"));
        child_spawn(&waiter, &bob, wait_for, name);
        child_expect(&waiter, "waiting");
        broker_kill(&broker);
        broker_configure(&broker, yaml_more);
        broker_start(&broker);
        child_expect(&waiter, "attached");
        child_finish(&waiter);
        end();
}

static void assert_answered(Caller *caller, uint64_t id, bool resync, uint32_t n_entries) {
        assert_int_equal(caller_receive(caller, BROKER_DEADLINE_MS), 0);
        assert_int_equal(caller->reply.type, WIRE_EVENTS);
        assert_int_equal(caller->reply.id, id);
        assert_int_equal(caller->reply.events.resync, resync);
        assert_int_equal(caller->reply.events.n_entries, n_entries);
}

static void test_a_watch_takes_the_place_of_the_one_before_and_stops_nothing(void **state) {
        WireMessage all = { .type = WIRE_WATCH }, one = { .type = WIRE_WATCH };
        WireRegion region;
        Caller caller;

        broker_begin_named(yaml_few);
        one.watch.name = name_all;
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_call(&caller, &all), 0);
        assert_true(caller.reply.type == WIRE_EVENTS && caller.reply.events.resync);
        all.id = 100;
        assert_int_equal(caller_send(&caller, &all), 0);
        all.id = 101;
        assert_int_equal(caller_send(&caller, &all), 0);
        /* Served while one waits. */
        caller.id = 200;
        assert_int_equal(caller_list(&caller, name_all, &region), 0);
        attach_often(1);
        assert_answered(&caller, 101, false, 1);

        all.id = 102;
        assert_int_equal(caller_send(&caller, &all), 0);
        assert_answered(&caller, 102, false, 1);
        one.id = 103;
        assert_int_equal(caller_send(&caller, &one), 0);
        assert_answered(&caller, 103, true, 0);
        caller_close(&caller);
        end();
}

static void test_who_watches_and_reads_nothing_holds_nobody_up(void **state) {
        WireMessage request = { .type = WIRE_WATCH };
        Caller deaf[16];
        size_t i, n_fds;

        broker_begin_named(yaml_few);
        n_fds = broker_n_fds(&broker);
        for (i = 0; i < 16; i++) {
                assert_int_equal(caller_begin(&deaf[i], broker.admin), 0);
                assert_int_equal(caller_call(&deaf[i], &request), 0);
                request.id = 0;
                assert_int_equal(caller_send(&deaf[i], &request), 0);
                request.id = 0;
                assert_int_equal(caller_send(&deaf[i], &request), 0);
        }
        attach_often(N_MANY);
        begin(broker.socket, "all");
        expect(SHMB_PRESENT, "all");
        attach_often(1);
        expect(SHMB_ATTACHED, "all");
        for (i = 0; i < 16; i++)
                caller_close(&deaf[i]);
        watch = shmb_unwatch(watch);
        connection = shmb_close(connection);
        broker_until(broker_n_fds(&broker) == n_fds);
        end();
}

static void test_what_is_not_valid_is_refused(void **state) {
        struct shmb_event event = { .size = sizeof(event) };
        int status;
        pid_t pid;

        broker_begin_named(yaml_few);
        begin(broker.socket, NULL);
        assert_int_equal(shmb_watch(connection, "No Such Name", 0, &watch), -EINVAL);
        assert_int_equal(shmb_watch(NULL, NULL, 0, &watch), -EINVAL);
        assert_int_equal(shmb_wait_region(connection, NULL, 0), -EINVAL);
        assert_int_equal(shmb_watch_next(NULL, &event, 0), -EINVAL);
        event.size = 0;
        assert_int_equal(shmb_watch_next(watch, &event, 0), -EINVAL);
        assert_int_equal(shmb_watch_fd(NULL), -EINVAL);

        pid = fork();
        if (pid == 0) {
                event.size = sizeof(event);
                _exit(shmb_watch_next(watch, &event, 0) == -ECHILD ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        expect(SHMB_PRESENT, "all");
        end();
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_it_begins_with_what_is_there_and_tells_who_comes_and_goes),
                TEST(test_a_death_is_told_with_its_reason),
                TEST(test_a_reload_is_told),
                TEST(test_only_who_may_see_a_region_hears_of_it),
                TEST(test_who_falls_behind_is_told_so_and_told_again_what_is_there),
                TEST(test_another_broker_is_a_gap_and_its_numbers_go_on),
                TEST(test_its_descriptor_is_readable_when_there_is_something_and_else_not),
                TEST(test_waiters_sleep_until_the_region_is_there),
                TEST(test_a_waiter_gets_over_the_death_of_the_broker),
                TEST(test_a_watch_takes_the_place_of_the_one_before_and_stops_nothing),
                TEST(test_who_watches_and_reads_nothing_holds_nobody_up),
                TEST(test_what_is_not_valid_is_refused),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
