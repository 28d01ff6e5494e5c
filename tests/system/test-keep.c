/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections that Outlive the Broker
 *
 * The test is the service manager: it keeps what the broker asks to be kept and gives it to the
 * next one. Clients see no hang-up, whatever they had asked is answered, and what was kept under a
 * name that is not its own is of no use to anybody.
 */

#include <errno.h>
#include <fcntl.h>
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
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>

#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        N_LIVES = 20,
        N_DEADLY = 12, /* more than a request is given */
        N_MEMFDS = 3,
        N_CALLERS = 20,
        N_VISITS = 600, /* more than a socket holds (net.unix.max_dgram_qlen) */
};

static const char yaml[] =
        "version: 1\n"
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any], observe: [any]}}\n"
        "  - {name: $/memfd, kind: ring, backing: memfd, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any], observe: [any]}}\n";

static Broker broker;
static Keeper keeper;

static const ChildIdentity alice = CHILD_ALICE;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void begin(void) {
        broker_init(&broker, yaml);
        broker.keeper = &keeper;
        broker_start(&broker);
}

static size_t n_kept(void) {
        broker_hear(&broker);
        return keeper_count(&keeper, "conn.");
}

/* Nobody has a lease any more. */
static void end(void) {
        broker_until(n_kept() == 0);
        assert_int_equal(keeper_count(&keeper, "shmb."), N_MEMFDS);
        broker_end(&broker);
        assert_int_equal(keeper.n_entries, 0);
}

static void hand_over(void) {
        kill(broker.pid, SIGUSR1);
        assert_int_equal(broker_wait(&broker), 0);
}

static Caller called(void) {
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        return caller;
}

static CallerLease attached(Caller *caller, const char *name, ShmbRole role) {
        CallerLease lease;

        assert_int_equal(caller_attach(caller, broker_name(&broker, name), role, &lease), 0);
        caller_lease_close(&lease);
        return lease;
}

/* One connection, which is kept for the sake of its lane. */
static CallerLease begin_held(Caller *caller) {
        begin();
        *caller = called();
        return attached(caller, "ring", SHMB_ROLE_PRODUCE);
}

static WireStatusInfo status_now(void) {
        static Caller caller;
        WireStatusInfo status;

        caller = called();
        assert_int_equal(caller_status(&caller, &status), 0);
        caller_close(&caller);
        return status;
}

/* Whether this lease is held, by a connection or by nobody in particular. */
static bool is_held(uint64_t number, bool connected) {
        WireMessage who = { .type = WIRE_WHO };
        WireHolder holder;
        bool found = false;
        Caller caller;
        size_t at = 0;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_call(&caller, &who), 0);
        while (wire_holder_next(&caller.reply.holders, &at, &holder) > 0)
                found |= holder.lease == number && holder.connected == connected;
        caller_close(&caller);
        return found;
}

static void test_keep_begins_with_the_first_lease_and_ends_with_the_connection(void **state) {
        Caller holder, visitor;
        size_t n_fds;

        begin();
        n_fds = broker_n_fds(&broker);
        visitor = called();
        assert_int_equal(n_kept(), 0);
        holder = called();
        (void)attached(&holder, "ring", SHMB_ROLE_PRODUCE);
        assert_int_equal(n_kept(), 1);
        (void)attached(&holder, "memfd", SHMB_ROLE_PRODUCE);
        assert_int_equal(n_kept(), 1);
        (void)attached(&visitor, "ring", SHMB_ROLE_CONSUME);
        assert_int_equal(n_kept(), 2);
        caller_close(&visitor);
        broker_until(n_kept() == 1);
        caller_close(&holder);
        broker_until(n_kept() == 0);
        broker_until(broker_n_fds(&broker) <= n_fds);
        end();
}

static void test_keep_over_many_lives(void **state) {
        CallerLease lane, seat, sealed;
        size_t n_fds = 0;
        Caller caller;
        int i;

        lane = begin_held(&caller);
        seat = attached(&caller, "memfd", SHMB_ROLE_CONSUME);
        for (i = 0; i < N_LIVES; i++) {
                if (i % 4 == 3)
                        hand_over();
                else
                        broker_kill(&broker);
                broker_start(&broker);
                assert_true(is_held(lane.attached.lease, true));
                assert_true(is_held(seat.attached.lease, true));
                assert_int_equal(n_kept(), 1);
                if (n_fds == 0)
                        n_fds = broker_n_fds(&broker);
                broker_until(broker_n_fds(&broker) <= n_fds);
                /* A new lease, and an old one goes. */
                sealed = attached(&caller, "memfd", SHMB_ROLE_PRODUCE);
                assert_int_equal(caller_detach(&caller, sealed.attached.lease), 0);
        }
        assert_int_equal(caller_detach(&caller, lane.attached.lease), 0);
        assert_int_equal(caller_detach(&caller, seat.attached.lease), 0);
        assert_int_equal(caller_detach(&caller, seat.attached.lease), SHMB_STATUS_NO_LEASE);
        assert_int_equal(n_kept(), 1);
        assert_int_equal(status_now().n_deaths, 0);
        caller_close(&caller);
        end();
}

/* Asked while there is no broker: answered by the next one, in order. */
static void test_keep_what_was_asked_meanwhile(void **state) {
        WireMessage status = { .type = WIRE_STATUS }, detach = { .type = WIRE_DETACH };
        WireMessage attach = { .type = WIRE_ATTACH };
        CallerLease lane;
        Caller caller;

        lane = begin_held(&caller);
        broker_kill(&broker);
        attach.attach = (WireAttach){ .name = broker_name(&broker, "ring"),
                                      .role = SHMB_ROLE_CONSUME };
        detach.detach.lease = lane.attached.lease;
        assert_int_equal(caller_send(&caller, &status), 0);
        assert_int_equal(caller_send(&caller, &attach), 0);
        assert_int_equal(caller_send(&caller, &detach), 0);
        broker_start(&broker);
        assert_int_equal(caller_await(&caller, status.id), 0);
        assert_int_equal(caller_await(&caller, attach.id), 0);
        assert_int_equal(caller.reply.type, WIRE_ATTACHED);
        assert_int_equal(caller_await(&caller, detach.id), 0);
        assert_false(is_held(lane.attached.lease, true));
        assert_int_equal(status_now().n_deaths, 0);
        caller_drop_fds(&caller);
        caller_close(&caller);
        end();
}

/* Said with the last breath, and nobody there to hear it: a detach is a detach. */
static void test_keep_last_words_of_who_hung_up_meanwhile(void **state) {
        WireMessage detach = { .type = WIRE_DETACH };
        CallerLease lane, seat;
        Caller caller, other;

        lane = begin_held(&caller);
        other = called();
        seat = attached(&other, "ring", SHMB_ROLE_CONSUME);
        broker_kill(&broker);
        detach.detach.lease = lane.attached.lease;
        assert_int_equal(caller_send(&caller, &detach), 0);
        caller_close(&caller);
        broker_start(&broker);
        broker_until(n_kept() == 1);
        assert_int_equal(status_now().n_deaths, 0);

        /* And without a word it is a death, though the process lives on. */
        broker_kill(&broker);
        caller_close(&other);
        broker_start(&broker);
        broker_until(n_kept() == 0);
        assert_int_equal(status_now().n_deaths, 1);
        assert_false(is_held(seat.attached.lease, false));
        end();
}

static void leave_a_child_behind(void *data) {
        CallerLease lease;
        Caller caller;
        pid_t pid;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, broker_name(&broker, "ring"), SHMB_ROLE_OBSERVE, &lease),
                    0);
        pid = fork();
        if (pid == 0) {
                child_await("end");
                _exit(0);
        }
        child_say("%d", (int)pid);
        child_await("die");
        raise(SIGKILL);
}

/* Its child has the socket open, and is not it. */
static void test_keep_nothing_for_a_process_that_died_meanwhile(void **state) {
        char line[CHILD_LINE_MAX];
        Child child;
        pid_t left;

        begin();
        child_spawn(&child, &alice, leave_a_child_behind, NULL);
        assert_true(child_hear(&child, line));
        left = (pid_t)atoi(line);
        assert_int_equal(n_kept(), 1);
        broker_kill(&broker);
        kill(child.pid, SIGKILL);
        broker_start(&broker);
        broker_until(n_kept() == 0);
        assert_int_equal(status_now().n_deaths, 1);
        assert_int_equal(status_now().n_leases, 0);
        kill(left, SIGKILL);
        assert_int_equal(child_wait(&child), -SIGKILL);
        end();
}

static int foreign_socket(int *ret_other) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        *ret_other = pair[1];
        return pair[0];
}

/* Where the keeper has a connection that is not called @name. */
static size_t conn_but(const char *name) {
        size_t i;

        for (i = 0; strncmp(keeper.entries[i].name, "conn.", 5) != 0 ||
                    strcmp(keeper.entries[i].name, name) == 0; i++)
                ;
        return i;
}

/* A manager that does not hear the broker goes on to keep what it was given. */
static int put_deafly(int fd) {
        char name[64];
        uint64_t cookie;
        socklen_t n = sizeof(cookie);

        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
        snprintf(name, sizeof(name), "conn.%016llx", (unsigned long long)cookie);
        keeper_put(&keeper, name, fd);
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static bool has_hung_up(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Under a name that nobody knows, under the name of a connection beside it, in its place, and one
 * that would be right and is not written down. */
static void test_keep_takes_nothing_for_what_it_is_not(void **state) {
        CallerLease lane, seat;
        int others[4], kept; /* ends of sockets that somebody put there */
        Caller caller, other;
        char name[64];
        size_t i;

        lane = begin_held(&caller);
        assert_int_equal(n_kept(), 1);
        snprintf(name, sizeof(name), "%.60s", keeper.entries[conn_but("")].name);
        other = called();
        seat = attached(&other, "ring", SHMB_ROLE_CONSUME);
        assert_int_equal(n_kept(), 2);
        broker_kill(&broker);
        i = conn_but(name);
        close(keeper.entries[i].fd);
        keeper.entries[i].fd = foreign_socket(&others[0]);
        keeper_put(&keeper, "conn.00000000deadbeef", foreign_socket(&others[1]));
        keeper_put(&keeper, name, foreign_socket(&others[2]));
        kept = put_deafly(foreign_socket(&others[3]));

        broker_start(&broker);
        broker_until(n_kept() == 1);
        for (i = 0; i < 4; i++)
                assert_true(has_hung_up(others[i]));
        assert_int_equal(caller_receive(&other, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        /* Whose connection was lost has its lease all the same, as without a service manager. */
        assert_true(is_held(seat.attached.lease, false));
        assert_true(is_held(lane.attached.lease, true));

        /* What was right is still kept. */
        broker_kill(&broker);
        broker_start(&broker);
        assert_int_equal(n_kept(), 1);
        caller_close(&other);
        for (i = 0; i < 4; i++)
                close(others[i]);
        close(kept);
        caller_close(&caller);
        broker_until(n_kept() == 0);
        broker_deinit(&broker);
}

static void keep_four(void *data) {
        setenv("FDSTORE", "4", 1);
}

/* Objects come first. Whose connection is not kept is told by the hang-up, and by one line. */
static void test_keep_no_more_than_there_is_room_for(void **state) {
        CallerLease lane, seat;
        Caller first, second;

        broker_init(&broker, yaml);
        broker.keeper = &keeper;
        broker.prepare = keep_four;
        broker_start(&broker);
        first = called();
        lane = attached(&first, "ring", SHMB_ROLE_PRODUCE);
        second = called();
        seat = attached(&second, "ring", SHMB_ROLE_CONSUME);
        (void)attached(&second, "memfd", SHMB_ROLE_CONSUME);
        assert_int_equal(n_kept(), 1);
        assert_int_equal(broker_n_said(&broker, "FileDescriptorStoreMax="), 1);
        broker_kill(&broker);
        assert_int_equal(caller_receive(&second, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        broker_start(&broker);
        assert_true(is_held(lane.attached.lease, true));
        assert_true(is_held(seat.attached.lease, false));
        caller_close(&second);
        caller_close(&first);
        /* There is room again. */
        broker_until(n_kept() == 0);
        first = called();
        (void)attached(&first, "ring", SHMB_ROLE_OBSERVE);
        assert_int_equal(n_kept(), 1);
        caller_close(&first);
        broker_deinit(&broker);
}

/* Whoever keeps for us does not read for a while: what is to be let go of is said again later. */
static void test_keep_nothing_though_nobody_heard_of_its_end(void **state) {
        Caller callers[N_CALLERS], visitor;
        int i;

        begin();
        for (i = 0; i < N_CALLERS; i++) {
                callers[i] = called();
                (void)attached(&callers[i], "ring", SHMB_ROLE_OBSERVE);
                assert_int_equal(n_kept(), i + 1);
        }
        for (i = 0; i < N_VISITS; i++) {
                visitor = called();
                (void)attached(&visitor, "ring", SHMB_ROLE_OBSERVE);
                caller_close(&visitor);
        }
        assert_int_equal(broker_n_said(&broker, "will not outlive"), 1);
        for (i = 0; i < N_CALLERS; i++)
                caller_close(&callers[i]);
        while (status_now().n_connections > 1)
                ;
        /* As much at a time as there is room for, without anything else that happens. */
        end();
}

/* A stop is no restart: who holds a lease is told, whoever else has the socket open. */
static void test_keep_nobody_over_a_stop(void **state) {
        Caller caller;

        (void)begin_held(&caller);
        assert_int_equal(n_kept(), 1);
        broker_stop(&broker);
        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        assert_int_equal(keeper.n_entries, 0);
        caller_close(&caller);
        broker_deinit(&broker);
}

/* What it waits for is of the broker that it asked. */
static void test_keep_nobody_who_watches(void **state) {
        WireMessage watch = { .type = WIRE_WATCH };
        CallerLease lane;
        Caller caller;

        lane = begin_held(&caller);
        assert_int_equal(caller_call(&caller, &watch), 0);
        assert_int_equal(n_kept(), 0);
        (void)attached(&caller, "ring", SHMB_ROLE_OBSERVE);
        assert_int_equal(n_kept(), 0);
        broker_kill(&broker);
        assert_int_equal(caller_receive(&caller, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        broker_start(&broker);
        assert_true(is_held(lane.attached.lease, false));
        caller_close(&caller);
        broker_deinit(&broker);
}

/* Brokers that end before they serve anybody: the name of the socket is taken by a directory. */
static void die_before_service(void) {
        assert_int_equal(mkdir(broker.socket, 0700), 0);
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_int_equal(rmdir(broker.socket), 0);
}

static void test_keep_no_request_that_brokers_do_not_live_to_answer(void **state) {
        WireMessage status = { .type = WIRE_STATUS };
        Caller quiet, deadly;
        CallerLease seat;
        int i;

        begin();
        quiet = called();
        seat = attached(&quiet, "ring", SHMB_ROLE_CONSUME);
        deadly = called();
        (void)attached(&deadly, "ring", SHMB_ROLE_PRODUCE);
        broker_kill(&broker);
        assert_int_equal(unlink(broker.socket), 0);
        assert_int_equal(caller_send(&deadly, &status), 0);
        for (i = 0; i < N_DEADLY; i++)
                die_before_service();
        assert_int_equal(caller_receive(&deadly, 0), CALLER_HUNG_UP);
        assert_int_equal(broker_n_said(&broker, "before they had answered"), 1);
        broker_start(&broker);
        assert_int_equal(n_kept(), 1);
        assert_true(is_held(seat.attached.lease, true));
        caller_close(&deadly);
        caller_close(&quiet);
        broker_deinit(&broker);
}

/*
 * The library
 */

/* The sum of the inodes of its sockets: the same as long as they are the same. */
static ino_t sockets_of(pid_t pid) {
        char path[64], target[64];
        unsigned long inode;
        ino_t sum = 0;
        ssize_t n;
        int fd;

        for (fd = 0; fd < 256; fd++) {
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
                n = readlink(path, target, sizeof(target) - 1);
                if (n <= 0)
                        continue;
                target[n] = '\0';
                if (sscanf(target, "socket:[%lu]", &inode) == 1)
                        sum += inode;
        }
        return sum;
}

/* One handle for good, and attach and detach all the time; the longest that one of them took. */
static void call_in_child(void *data) {
        _Atomic int *stop = data;
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *lane = NULL, *visited = NULL;
        uint64_t n = 0, before_ns, took_ns, longest_ns = 0;
        struct shmb *c = NULL;
        int r;

        want.timeout_ns = BROKER_DEADLINE_MS * INT64_C(1000000);
        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_attach(c, broker_name(&broker, "ring"), SHMB_PRODUCE, &want, &lane), 0);
        child_say("attached");
        while (!*stop) {
                before_ns = broker_now_ns();
                r = shmb_attach(c, broker_name(&broker, "memfd"), SHMB_OBSERVE, &want, &visited);
                if (r != 0)
                        child_fail(__FILE__, __LINE__, shmb_error(c), r);
                shmb_detach(visited);
                took_ns = broker_now_ns() - before_ns;
                if (took_ns > longest_ns)
                        longest_ns = took_ns;
                n++;
        }
        child_say("%llu calls, longest %llu ms", (unsigned long long)n,
                  (unsigned long long)(longest_ns / 1000000));
        child_await("end");
        shmb_detach(lane);
        shmb_close(c);
}

/* Killed at any moment of a call, again and again: the socket is the one that it was. */
static void test_keep_a_client_that_is_in_the_middle_of_a_call(void **state) {
        _Atomic int *stop = child_share(sizeof(*stop));
        ino_t before;
        char line[CHILD_LINE_MAX];
        uint64_t until_ns;
        Child child;
        int i;

        begin();
        child_spawn(&child, &alice, call_in_child, (void *)stop);
        child_expect(&child, "attached");
        assert_int_equal(n_kept(), 1);
        before = sockets_of(child.pid);
        for (i = 0; i < N_LIVES; i++) {
                for (until_ns = broker_now_ns() + (uint64_t)(i * 1700000);
                     broker_now_ns() < until_ns;)
                        broker_hear(&broker);
                if (i % 5 == 4)
                        hand_over();
                else
                        broker_kill(&broker);
                broker_start(&broker);
        }
        *stop = 1;
        assert_true(child_hear(&child, line));
        print_message("%s\n", line);
        assert_int_equal(sockets_of(child.pid), before);
        assert_int_equal(n_kept(), 1);
        assert_int_equal(status_now().n_leases, 1);
        assert_int_equal(status_now().n_deaths, 0);
        child_tell(&child, "end");
        child_finish(&child);
        child_unshare((void *)stop, sizeof(*stop));
        end();
}

#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_keep_begins_with_the_first_lease_and_ends_with_the_connection),
                TEST(test_keep_over_many_lives),
                TEST(test_keep_what_was_asked_meanwhile),
                TEST(test_keep_last_words_of_who_hung_up_meanwhile),
                TEST(test_keep_nothing_for_a_process_that_died_meanwhile),
                TEST(test_keep_takes_nothing_for_what_it_is_not),
                TEST(test_keep_no_more_than_there_is_room_for),
                TEST(test_keep_nothing_though_nobody_heard_of_its_end),
                TEST(test_keep_nobody_over_a_stop),
                TEST(test_keep_nobody_who_watches),
                TEST(test_keep_no_request_that_brokers_do_not_live_to_answer),
                TEST(test_keep_a_client_that_is_in_the_middle_of_a_call),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
