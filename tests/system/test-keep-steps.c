/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Connection whose Broker Is Killed at Each of Its System Calls
 *
 * A client makes each request that changes something and looks at what became of it, one behind the
 * other, on one connection that the test keeps as a service manager does. In the k-th run the
 * broker is killed as it enters its k-th system call behind READY=1, and the next one goes on. The
 * client must not be able to tell: from its first lease on the connection stays, each request is
 * answered as if it had been served once, and in the end nothing is left of it.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/steps.h"

enum {
        N_NAMES = 6,  /* of ring and queue */
        N_MEMFDS = 3, /* of memfd */
};

static const char yaml[] =
        "version: 1\n"
        "regions:\n"
        "  - {name: $/ring, kind: ring, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/memfd, kind: ring, backing: memfd, item: {size: 64}, capacity: 64,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "  - {name: $/queue, kind: queue, item: {size: 64}, max_bytes: 1M, segment: 64K,\n"
        "     access: {produce: [any], consume: [any]}}\n"
        "templates:\n"
        "  - {name: $/s/*, kind: raw, size: 4K,\n"
        "     access: {create: [any], remove: [any], read: [any], write: [any]}}\n";

static Broker broker;
static Keeper keeper;
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

/*
 * The visitor
 */

static Caller caller;

__attribute__((noreturn)) static void complain(const char *what, int r) {
        fprintf(stderr, "visitor: %s: %d (%s)\n", what, r,
                r > 0 ? caller.reply.error.sentence : "no reply");
        _exit(1);
}

static void call(const char *what, WireMessage *message, uint32_t type) {
        int r = caller_call(&caller, message);

        if (r != 0)
                complain(what, r);
        if (caller.reply.type != type)
                complain(what, -EPROTO);
}

static bool is_away(int r) {
        return r == CALLER_HUNG_UP || r == -ECONNREFUSED || r == -ENOENT || r == -ECONNRESET ||
               r == -EPIPE;
}

/* Before its first lease a connection ends with the broker: the client comes back as the same one,
 * and repeats its request under the same id. */
static CallerLease attach_first(const char *name) {
        WireMessage attach = { .type = WIRE_ATTACH, .id = 100 };
        CallerLease lease;
        int r;

        attach.attach = (WireAttach){ .name = name, .role = SHMB_ROLE_PRODUCE };
        if (getrandom(caller.uuid, sizeof(caller.uuid), 0) != sizeof(caller.uuid))
                complain("uuid", -errno);
        caller.fd = -1;
        do {
                caller_close(&caller);
                broker_pause();
                r = caller_connect(&caller, broker.socket);
                if (r == 0)
                        r = caller_hello(&caller);
                if (r == 0)
                        r = caller_call(&caller, &attach);
        } while (is_away(r));
        if (r != 0 || caller.reply.type != WIRE_ATTACHED)
                complain("first attach", r);
        caller.id = attach.id;
        lease.attached = caller.reply.attached;
        return lease;
}

static CallerLease attach_next(const char *name, ShmbRole role) {
        WireMessage attach = { .type = WIRE_ATTACH, .attach = { .name = name, .role = role } };
        CallerLease lease;

        call("attach", &attach, WIRE_ATTACHED);
        lease.attached = caller.reply.attached;
        return lease;
}

static void detach(const CallerLease *lease) {
        WireMessage message = { .type = WIRE_DETACH };

        message.detach.lease = lease->attached.lease;
        call("detach", &message, WIRE_OK);
}

/* Asks for its lane anew: what it was told of is what there is. */
static void renew(const CallerLease *lane) {
        WireMessage mapped = { .type = WIRE_MAPPED }, fetch = { .type = WIRE_FETCH };
        WireMessage resume = { .type = WIRE_RESUME };
        uint32_t epoch;

        mapped.mapped = (WireMapped){ lane->attached.lease, EBADMSG };
        call("renew", &mapped, WIRE_ATTACHED);
        epoch = caller.reply.attached.objects[0].epoch;
        if (epoch < 2)
                complain("renewed epoch", -ERANGE);
        fetch.fetch = (WireFetch){ lane->attached.lease, SHMB_OBJECT_LANE, lane->attached.index };
        call("fetch", &fetch, WIRE_ATTACHED);
        if (caller.reply.attached.objects[0].epoch != epoch)
                complain("fetched epoch", -ESTALE);
        mapped.id = 0;
        mapped.mapped.status = 0;
        call("mapped", &mapped, WIRE_OK);
        resume.resume = (WireResume){ lane->attached.lease, lane->attached.generation, epoch };
        call("resume", &resume, WIRE_RESUMED);
        if (caller.reply.resumed.verdict != WIRE_VERDICT_SAME)
                complain("resumed", -ESTALE);
}

static void use_queue(const char *name) {
        CallerLease lane = attach_next(name, SHMB_ROLE_PRODUCE);
        WireMessage segment = { .type = WIRE_SEGMENT };

        segment.segment = (WireSegment){ .lease = lane.attached.lease, .epoch = 1,
                                         .position = 100, .wanted = 3000 };
        call("segment", &segment, WIRE_OK);
        detach(&lane);
}

/* Twice: the second one has the name of the first, which is held when it is removed. */
static void use_template(const char *name) {
        WireMessage create = { .type = WIRE_CREATE, .create = { .name = name, .exclusive = true } };
        WireMessage removal = { .type = WIRE_REMOVE, .remove = { .name = name } };
        CallerLease lease;
        int r;

        call("create", &create, WIRE_CREATED);
        if (!caller.reply.created.created)
                complain("created by somebody else", -EEXIST);
        lease = attach_next(name, SHMB_ROLE_WRITE);
        call("remove", &removal, WIRE_OK);
        create.id = removal.id = 0;
        call("create anew", &create, WIRE_CREATED);
        if (caller.reply.created.generation <= lease.attached.generation)
                complain("the one that was removed", -EEXIST);
        /* A lease of what was removed means nothing to the next broker. */
        r = caller_detach(&caller, lease.attached.lease);
        if (r != 0 && r != SHMB_STATUS_NO_LEASE)
                complain("detach of what was removed", r);
        call("remove anew", &removal, WIRE_OK);
}

static void visit(void) {
        char ring[256], memfd[256], queue[256], created[256];
        WireMessage poll = { .type = WIRE_POLL };
        CallerLease lane, seat;

        strcpy(ring, broker_name(&broker, "ring"));
        strcpy(memfd, broker_name(&broker, "memfd"));
        strcpy(queue, broker_name(&broker, "queue"));
        strcpy(created, broker_name(&broker, "s/a"));
        lane = attach_first(ring);
        renew(&lane);
        seat = attach_next(memfd, SHMB_ROLE_CONSUME);
        poll.fetch.lease = seat.attached.lease;
        call("poll", &poll, WIRE_OK);
        use_queue(queue);
        use_template(created);
        detach(&seat);
        /* The same place is free at once. */
        seat = attach_next(memfd, SHMB_ROLE_CONSUME);
        detach(&seat);
        detach(&lane);
        caller_close(&caller);
        _exit(0);
}

/*
 * The test
 */

static bool visitor_is_home(int *ret_status) {
        broker_hear(&broker);
        return waitpid(visitor, ret_status, WNOHANG) == visitor;
}

static size_t n_kept(void) {
        broker_hear(&broker);
        return keeper_count(&keeper, "conn.");
}

static void assert_nothing_is_left(size_t k) {
        WireStatusInfo status;
        Caller watcher;

        assert_int_equal(caller_begin(&watcher, broker.socket), 0);
        do
                assert_int_equal(caller_status(&watcher, &status), 0);
        while (status.n_connections > 1);
        assert_int_equal(status.n_leases, 0);
        assert_int_equal(status.n_deaths, 0);
        caller_close(&watcher);
        broker_until(n_kept() == 0);
        assert_int_equal(keeper_count(&keeper, "shmb."), N_MEMFDS);
        assert_int_equal(broker_n_shm(&broker), N_NAMES);
        broker_stop(&broker);
        if (broker_n_shm(&broker) != 0 || keeper.n_entries != 0)
                fail_msg("killed at its call %zu it left something behind for ever", k);
}

static void test_client_cannot_tell_at_which_call_its_broker_was_killed(void **state) {
        bool reached = true;
        size_t k = 1;
        int status;

        broker_init(&broker, yaml);
        broker.keeper = &keeper;
        for (; reached; k++) {
                reached = steps_run(&broker, k, STEPS_FROM_READY, visit, &visitor);
                broker_start(&broker);
                if (visitor > 0) {
                        broker_until(visitor_is_home(&status));
                        visitor = 0;
                        if (status != 0)
                                fail_msg("killed at its call %zu: %s", k, broker_journal(&broker));
                }
                assert_nothing_is_left(k);
        }
        print_message("a visit takes fewer than %zu system calls\n", k);
        assert_true(k > 100);
        broker_deinit(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(
                                test_client_cannot_tell_at_which_call_its_broker_was_killed,
                                teardown),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
