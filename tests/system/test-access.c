/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who Gets in
 *
 * The kernel says who a process is, the declaration says who may what, and nothing else counts:
 * neither being root nor being asked nicely. Each attempt is a process of its own under the
 * identity that it stands for.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
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

/* Numbers that Debian gives to every machine. */
#define UID_DAEMON 1
#define GID_GAMES 60

enum {
        N_MANY = 500,
};

#define N_ELEMENTS(_array) (sizeof(_array) / sizeof((_array)[0]))

static Broker broker;

static const ChildIdentity root = {};
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
static const ChildIdentity carol = { .uid = 61003, .gid = 61003 };
static const ChildIdentity daemon_user = { .uid = UID_DAEMON, .gid = UID_DAEMON };
static const ChildIdentity player = { .uid = 61003,
                                      .gid = 61003,
                                      .n_groups = 2,
                                      .groups = { 61007, GID_GAMES } };
static const ChildIdentity primary = { .uid = 61003, .gid = GID_GAMES };

static const char yaml[] =
                "version: 1\n"
                "defaults: {kind: raw, size: 4K, backing: memfd}\n"
                "regions:\n"
                "  - {name: $/any, access: {read: [any]}}\n"
                "  - {name: $/group, access: {read: [group:games]}}\n"
                "  - {name: $/nobody}\n"
                "  - {name: $/range, access: {read: [uid:61001-61002]}}\n"
                "  - {name: $/split, access: {read: [uid:61001], write: [uid:61002]}}\n"
                "  - {name: $/uid, access: {read: [uid:61001]}}\n"
                "  - {name: $/user, access: {read: [user:daemon]}}\n";

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

typedef struct Attempt {
        const char *socket;
        char name[256];
        ShmbRole role;
} Attempt;

static void attempt_in_child(void *data) {
        const Attempt *attempt = data;
        CallerLease lease;
        Caller caller;
        int r;

        child_equal(caller_begin(&caller, attempt->socket), 0);
        r = caller_attach(&caller, attempt->name, attempt->role, &lease);
        if (r != 0 && caller.n_fds != 0)
                child_fail(__FILE__, __LINE__, "a refusal carries nothing", (long)caller.n_fds);
        child_say("%d %s", r, r == 0 ? "" : caller.reply.error.sentence);
}

/* Status of an attach in a process under @identity; the sentence goes to @sentence if it is one. */
static int attempt_as(const ChildIdentity *identity, const char *name, ShmbRole role,
                      char sentence[static CHILD_LINE_MAX]) {
        Attempt attempt = { .socket = broker.socket, .role = role };
        Child child;
        char *rest;
        int r;

        strcpy(attempt.name, broker_name(&broker, name));
        child_spawn(&child, identity, attempt_in_child, &attempt);
        assert_true(child_hear(&child, sentence));
        r = (int)strtol(sentence, &rest, 10);
        memmove(sentence, rest + 1, strlen(rest + 1) + 1);
        child_finish(&child);
        return r;
}

static const struct {
        const char *name;
        const ChildIdentity *identity;
        int granted;
} rules[] = {
        { "any", &alice, 1 },     { "any", &root, 1 },      { "group", &alice, 0 },
        { "group", &player, 1 },  { "group", &primary, 1 }, { "group", &root, 0 },
        { "nobody", &alice, 0 },  { "nobody", &root, 0 },   { "range", &alice, 1 },
        { "range", &bob, 1 },     { "range", &carol, 0 },   { "range", &root, 0 },
        { "uid", &alice, 1 },     { "uid", &bob, 0 },       { "uid", &root, 0 },
        { "user", &daemon_user, 1 }, { "user", &alice, 0 }, { "user", &root, 0 },
};

static void test_access_is_what_the_rules_say_and_root_is_not_special(void **state) {
        char sentence[CHILD_LINE_MAX];
        size_t i;
        int r;

        broker_begin(&broker, yaml);
        for (i = 0; i < N_ELEMENTS(rules); i++) {
                r = attempt_as(rules[i].identity, rules[i].name, SHMB_ROLE_READ, sentence);
                print_message("%s as uid %u: %d %s\n", rules[i].name,
                              (unsigned)rules[i].identity->uid, r, sentence);
                if (rules[i].granted)
                        assert_int_equal(r, 0);
                else
                        assert_true(r == SHMB_STATUS_DENIED || r == SHMB_STATUS_NO_REGION);
        }
        broker_end(&broker);
}

static void test_access_refusal_names_region_and_role(void **state) {
        char sentence[CHILD_LINE_MAX];

        broker_begin(&broker, yaml);
        assert_int_equal(attempt_as(&alice, "split", SHMB_ROLE_READ, sentence), 0);
        assert_int_equal(attempt_as(&alice, "split", SHMB_ROLE_WRITE, sentence),
                         SHMB_STATUS_DENIED);
        assert_non_null(strstr(sentence, broker_name(&broker, "split")));
        assert_non_null(strstr(sentence, "write"));
        assert_int_equal(attempt_as(&bob, "split", SHMB_ROLE_READ, sentence), SHMB_STATUS_DENIED);
        assert_non_null(strstr(sentence, "read"));
        assert_int_equal(attempt_as(&bob, "split", SHMB_ROLE_WRITE, sentence), 0);
        /* of a kind that does not have it, and of nothing at all */
        assert_true(attempt_as(&alice, "split", SHMB_ROLE_CONSUME, sentence) > 0);
        assert_non_null(strstr(sentence, "consume"));
        assert_int_equal(attempt_as(&alice, "absent", SHMB_ROLE_READ, sentence),
                         SHMB_STATUS_NO_REGION);
        assert_non_null(strstr(sentence, broker_name(&broker, "absent")));
        broker_end(&broker);
}

/* Says each region that a listing shows, page after page. */
static void list_in_child(void *data) {
        WireMessage message = { .type = WIRE_LIST };
        char after[SHMB_NAME_MAX + 1] = "";
        WireRegion region;
        Caller caller;
        size_t at;

        child_equal(caller_begin(&caller, data), 0);
        do {
                message.id = 0;
                message.list.after = after[0] ? after : NULL;
                child_equal(caller_call(&caller, &message), 0);
                child_equal(caller.reply.type, WIRE_LISTING);
                at = 0;
                while (wire_region_next(&caller.reply.listing, &at, &region) == 1) {
                        child_check(strcmp(region.name, after) > 0);
                        strcpy(after, region.name);
                        child_say("%s", strrchr(region.name, '/') + 1);
                }
        } while (caller.reply.listing.more);
        child_say(".");
}

static void check_listing(const char *socket, const ChildIdentity *identity, const char *wanted) {
        char line[CHILD_LINE_MAX], names[CHILD_LINE_MAX] = "";
        Child child;

        child_spawn(&child, identity, list_in_child, (void *)socket);
        while (child_hear(&child, line) && strcmp(line, ".") != 0) {
                strcat(names, names[0] ? " " : "");
                strcat(names, line);
        }
        child_finish(&child);
        assert_string_equal(names, wanted);
}

static void test_access_without_a_role_a_region_is_not_listed(void **state) {
        broker_begin(&broker, yaml);
        check_listing(broker.socket, &alice, "any range split uid");
        check_listing(broker.socket, &bob, "any range split");
        check_listing(broker.socket, &carol, "any");
        check_listing(broker.socket, &player, "any group");
        check_listing(broker.socket, &daemon_user, "any user");
        check_listing(broker.socket, &root, "any");
        check_listing(broker.admin, &root, "any group nobody range split uid user");
        broker_end(&broker);
}

static void test_access_hidden_region_cannot_be_asked_for_by_name(void **state) {
        WireRegion region;
        Caller caller;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_list(&caller, broker_name(&broker, "any"), &region), 0);
        assert_string_equal(region.access, "read: any");
        assert_int_equal(caller_list(&caller, broker_name(&broker, "uid"), &region),
                         SHMB_STATUS_NO_REGION);
        caller_close(&caller);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, broker_name(&broker, "uid"), &region), 0);
        assert_string_equal(region.access, "read: uid:61001");
        caller_close(&caller);
        broker_end(&broker);
}

/* More than one answer holds: page after page, each region once and in order. */
static void test_access_listing_of_many_regions_is_complete(void **state) {
        static char many[65536];
        WireMessage message = { .type = WIRE_LIST };
        unsigned i, n = 0, n_pages = 0;
        char wanted[64], after[256] = "";
        WireRegion region;
        Caller caller;
        size_t at, n_yaml;

        n_yaml = (size_t)snprintf(many, sizeof(many), "version: 1\nregions:\n");
        for (i = 0; i < N_MANY; i++)
                n_yaml += (size_t)snprintf(many + n_yaml, sizeof(many) - n_yaml,
                                           "  - {name: $/%04u, kind: raw, size: 4K,\n"
                                           "     access: {read: [any]}, lifetime: on_demand}\n",
                                           i);
        broker_begin(&broker, many);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        do {
                message.id = 0;
                message.list.after = after[0] ? after : NULL;
                assert_int_equal(caller_call(&caller, &message), 0);
                at = 0;
                while (wire_region_next(&caller.reply.listing, &at, &region) == 1) {
                        snprintf(wanted, sizeof(wanted), "/%04u", n++);
                        assert_string_equal(strrchr(region.name, '/'), wanted);
                        strcpy(after, region.name);
                }
                n_pages++;
        } while (caller.reply.listing.more);
        assert_int_equal(n, N_MANY);
        assert_true(n_pages > 1);
        caller_close(&caller);
        broker_end(&broker);
}

/* Says how many leases it is told of. */
static void who_in_child(void *data) {
        WireMessage message = { .type = WIRE_WHO };
        WireHolder holder;
        unsigned n = 0;
        Caller caller;
        size_t at = 0;

        child_equal(caller_begin(&caller, data), 0);
        child_equal(caller_call(&caller, &message), 0);
        child_equal(caller.reply.type, WIRE_HOLDERS);
        while (wire_holder_next(&caller.reply.holders, &at, &holder) == 1) {
                child_equal(holder.uid, 0);
                child_equal(holder.pid, getppid());
                n++;
        }
        child_say("%u", n);
}

static void check_who(const ChildIdentity *identity, const char *socket, const char *wanted) {
        Child child;

        child_spawn(&child, identity, who_in_child, (void *)socket);
        child_expect(&child, wanted);
        child_finish(&child);
}

static void test_access_without_a_role_holders_are_not_listed(void **state) {
        CallerLease any, hidden;
        Caller caller;

        broker_begin(&broker, yaml);
        /* The admin socket opens every role. */
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "any"), SHMB_ROLE_READ, &any),
                         0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "uid"), SHMB_ROLE_READ,
                                       &hidden),
                         0);
        check_who(&alice, broker.socket, "2");
        check_who(&carol, broker.socket, "1");
        check_who(&root, broker.socket, "1");
        check_who(&root, broker.admin, "2");
        caller_lease_close(&any);
        caller_lease_close(&hidden);
        caller_close(&caller);
        broker_end(&broker);
}

static void connect_in_child(void *data) {
        Caller caller;

        child_say("%d", caller_connect(&caller, data));
}

static void test_access_admin_requests_only_on_the_admin_socket(void **state) {
        WireMessage reload = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };
        WireMessage gc = { .type = WIRE_GC, .gc = { .dry_run = true } };
        char wanted[16];
        struct stat st;
        Caller caller;
        Child child;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller.reply.type, WIRE_WELCOME);
        assert_false(caller.reply.welcome.admin);
        assert_int_equal(caller_call(&caller, &reload), SHMB_STATUS_NOT_ADMIN);
        assert_int_equal(caller_call(&caller, &gc), SHMB_STATUS_NOT_ADMIN);
        caller_close(&caller);

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_true(caller.reply.welcome.admin);
        reload.id = gc.id = 0;
        assert_int_equal(caller_call(&caller, &reload), 0);
        assert_int_equal(caller.reply.type, WIRE_REPORT);
        assert_int_equal(caller_call(&caller, &gc), 0);
        assert_int_equal(caller.reply.type, WIRE_REPORT);
        caller_close(&caller);

        assert_int_equal(stat(broker.admin, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(stat(broker.socket, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0666);
        snprintf(wanted, sizeof(wanted), "%d", -EACCES);
        child_spawn(&child, &alice, connect_in_child, broker.admin);
        child_expect(&child, wanted);
        child_finish(&child);
        broker_end(&broker);
}

/* Connects as alice, goes on as bob: every later packet shows another sender. */
static void change_in_child(void *data) {
        WireMessage message = { .type = WIRE_STATUS };
        Caller caller;

        child_equal(setresuid(61001, 61001, 0), 0);
        child_equal(caller_begin(&caller, data), 0);
        child_equal(caller_call(&caller, &message), 0);
        child_equal(setresuid(-1, 0, -1), 0);
        child_equal(setresuid(61002, 61002, 61002), 0);
        message.id = 0;
        child_equal(caller_call(&caller, &message), SHMB_STATUS_PROTOCOL);
        child_check(strstr(caller.reply.error.sentence, "61002"));
        child_equal(caller_receive(&caller, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        child_say("refused");
}

/* As a program does that was started as root and acts for a user, or one that is set-uid. */
static void two_uids_in_child(void *data) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        int result;

        child_equal(setresuid(0, 61001, 0), 0);
        child_equal(shmb_connect(broker.socket, &c), 0);
        result = shmb_attach(c, data, SHMB_READ, NULL, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        shmb_detach(r);
        shmb_close(c);
        child_say("effective");
}

static void test_access_is_that_of_the_effective_uid(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &root, two_uids_in_child, (void *)broker_name(&broker, "uid"));
        child_expect(&child, "effective");
        child_finish(&child);
        broker_end(&broker);
}

static void hand_on_in_child(void *data) {
        WireMessage message = { .type = WIRE_STATUS };
        Caller *caller = data;

        child_equal(caller_call(caller, &message), SHMB_STATUS_PROTOCOL);
        child_equal(caller_receive(caller, BROKER_DEADLINE_MS), CALLER_HUNG_UP);
        child_say("refused");
}

static void test_access_is_not_handed_on_with_a_connection(void **state) {
        WireMessage message = { .type = WIRE_STATUS };
        Caller caller;
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &root, change_in_child, broker.socket);
        child_expect(&child, "refused");
        child_finish(&child);

        /* Root's connection, inherited by a process that is not root any more. */
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_call(&caller, &message), 0);
        child_spawn(&child, &bob, hand_on_in_child, &caller);
        child_expect(&child, "refused");
        child_finish(&child);
        caller_close(&caller);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_access_is_what_the_rules_say_and_root_is_not_special),
                TEST(test_access_refusal_names_region_and_role),
                TEST(test_access_without_a_role_a_region_is_not_listed),
                TEST(test_access_hidden_region_cannot_be_asked_for_by_name),
                TEST(test_access_listing_of_many_regions_is_complete),
                TEST(test_access_without_a_role_holders_are_not_listed),
                TEST(test_access_admin_requests_only_on_the_admin_socket),
                TEST(test_access_is_that_of_the_effective_uid),
                TEST(test_access_is_not_handed_on_with_a_connection),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
