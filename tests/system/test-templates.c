/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Regions that Clients Create
 *
 * Who may, how large, on whose account, and who wins; and what is left of a region that was removed
 * while somebody had it.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        RACERS = 64,
        CYCLES = 500,
        N_RAW = 2,      /* names: control and data */
        N_DECLARED = 2,
        SIZE = 4096,
        SIZE_MAX_ = 65536,
};

#define ALICE "uid:61001"
#define BOB "uid:61002"

static const char yaml[] =
                "version: 1\n"
                "limits: {per_uid: {bytes: 1M, regions: 4}}\n"
                "regions:\n"
                "  - {name: $/s/declared, kind: raw, size: 8K, access: {read: [any]}}\n"
                "templates:\n"
                "  - {name: $/s/*, kind: raw, size: {min: 4K, max: 64K}, ttl: 1h,\n"
                "     access: {create: [any], remove: [any], read: [any], write: [any]}}\n"
                "  - {name: $/large/*, kind: raw, size: {min: 4K, max: 1G}, ttl: 1h,\n"
                "     access: {create: [any], remove: [any]}}\n"
                "  - {name: $/mine/*, kind: raw, size: 4K, ttl: 1h,\n"
                "     access: {create: [" ALICE "], remove: [" BOB "], read: [any]}}\n"
                "  - {name: $/ring/*, kind: ring, item: {size: 64},\n"
                "     capacity: {min: 16, max: 256}, ttl: 1h,\n"
                "     access: {create: [any], remove: [any], produce: [any], consume: [any]}}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static struct shmb *begin(void) {
        struct shmb *c = NULL;

        broker_begin(&broker, yaml);
        assert_int_equal(shmb_connect(broker.socket, &c), 0);
        return c;
}

static void end(struct shmb *c) {
        shmb_close(c);
        broker_end(&broker);
}

/* @size: bytes of a raw region, items of another one */
static int create(struct shmb *c, const char *name, uint64_t size, uint32_t flags) {
        struct shmb_create want = SHMB_CREATE_INIT;
        bool ring = strncmp(name, "ring/", 5) == 0;

        want.flags = flags;
        want.region_size = ring ? 0 : size;
        want.capacity = ring ? size : 0;
        return shmb_create(c, broker_name(&broker, name), &want);
}

static int attach(struct shmb *c, const char *name, enum shmb_role role,
                  struct shmb_region **ret) {
        return shmb_attach(c, broker_name(&broker, name), role, NULL, ret);
}

/* Of the region that is listed; its texts are gone with the packet but for `origin`. */
static int listed(const char *name, WireRegion *ret_region, char origin[static 256]) {
        Caller caller;
        int r;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        r = caller_list(&caller, broker_name(&broker, name), ret_region);
        if (r == 0)
                snprintf(origin, 256, "%s", ret_region->origin);
        caller_close(&caller);
        return r;
}

static void test_create_makes_what_can_be_attached(void **state) {
        struct shmb_region *w = NULL, *r = NULL;
        struct shmb *c = begin();
        char origin[256], expected[128];
        WireRegion region;

        assert_int_equal(attach(c, "s/a", SHMB_WRITE, &w), -ENOENT);
        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        broker_expect_shm(&broker, N_DECLARED + N_RAW);
        assert_int_equal(attach(c, "s/a", SHMB_WRITE, &w), 0);
        assert_int_equal(attach(c, "s/a", SHMB_READ, &r), 0);
        assert_int_equal(shmb_size(w), SIZE);
        strcpy(shmb_data(w), "hello");
        assert_string_equal(shmb_data(r), "hello");

        assert_int_equal(listed("s/a", &region, origin), 0);
        assert_int_equal(region.state, SHMB_REGION_LIVE);
        assert_int_equal(region.n_writers, 1);
        snprintf(expected, sizeof(expected), ": TEMPLATE %s by uid 0",
                 broker_name(&broker, "s/*"));
        assert_non_null(strstr(origin, expected));
        /* the template itself is nothing that could be attached */
        assert_int_equal(attach(c, "s", SHMB_READ, &r), -ENOENT);
        shmb_detach(w);
        shmb_detach(r);
        end(c);
}

static void test_create_opens_what_is_there_or_refuses_it(void **state) {
        struct shmb *c = begin();

        assert_int_equal(create(c, "s/a", SIZE, SHMB_EXCLUSIVE), 1);
        assert_int_equal(create(c, "s/a", SIZE, SHMB_EXCLUSIVE), -EEXIST);
        assert_non_null(strstr(shmb_error(c), "s/a"));
        assert_int_equal(create(c, "s/a", SIZE, 0), 0);
        /* any size will do */
        assert_int_equal(create(c, "s/a", 0, 0), 0);
        /* and another one will not */
        assert_int_equal(create(c, "s/a", 2 * SIZE, 0), -EPROTOTYPE);
        assert_non_null(strstr(shmb_error(c), "4096"));
        assert_non_null(strstr(shmb_error(c), "8192"));
        broker_expect_shm(&broker, N_DECLARED + N_RAW);

        /* what is declared by such a name is there from the start, and stays */
        assert_int_equal(create(c, "s/declared", 2 * SIZE, 0), 0);
        assert_int_equal(create(c, "s/declared", 0, SHMB_EXCLUSIVE), -EEXIST);
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/declared"), -1), -EACCES);
        assert_non_null(strstr(shmb_error(c), "shmbrokerd.yaml:4"));
        end(c);
}

static const struct {
        const char *name;
        uint64_t size;
        int result;
        const char *says;
} bounds[] = {
        { "s/a", SIZE - 1, -EINVAL, "4096 to 65536" },
        { "s/a", SIZE_MAX_ + 1, -EINVAL, "4096 to 65536" },
        { "s/a", 0, -EINVAL, "say its size" },
        { "ring/a", 8, -EINVAL, "16 to 256" },
        { "ring/a", 24, -EINVAL, "power of two" },
        { "ring/a", 0, -EINVAL, "say its capacity" },
        { "ring/a", 512, -EINVAL, "16 to 256" },
        { "s/a/b", SIZE, -ENOENT, "no template" },
        { "s", SIZE, -ENOENT, "no template" },
        { "x/a", SIZE, -ENOENT, "no template" },
        { "s/A", SIZE, -EINVAL, "name" },
        { "s/", SIZE, -EINVAL, "name" },
        { "s/a", SIZE, 1, "" },
        { "s/b", SIZE_MAX_, 1, "" },
        { "ring/a", 256, 1, "" },
};

static void test_create_keeps_to_the_bounds_of_the_template(void **state) {
        struct shmb *c = begin();
        size_t i;
        int r;

        for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
                r = create(c, bounds[i].name, bounds[i].size, 0);
                if (r != bounds[i].result || !strstr(shmb_error(c), bounds[i].says))
                        fail_msg("%s, %llu: %d, %s", bounds[i].name,
                                 (unsigned long long)bounds[i].size, r, shmb_error(c));
        }
        end(c);
}

static void test_create_wants_a_kind(void **state) {
        struct shmb_create want = SHMB_CREATE_INIT;
        struct shmb *c = begin();

        want.kind = SHMB_RING;
        want.region_size = SIZE;
        assert_int_equal(shmb_create(c, broker_name(&broker, "s/a"), &want), -EPROTOTYPE);
        want.kind = SHMB_RAW;
        want.capacity = 16;
        assert_int_equal(shmb_create(c, broker_name(&broker, "s/a"), &want), -EPROTOTYPE);
        want.capacity = 0;
        assert_int_equal(shmb_create(c, broker_name(&broker, "s/a"), &want), 1);
        broker_expect_shm(&broker, N_DECLARED + N_RAW);
        end(c);
}

static void use_rights_in_child(void *data) {
        bool is_alice = strcmp(data, "alice") == 0;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(create(c, "mine/a", 0, 0), is_alice ? 1 : -EACCES);
        child_say("asked");
        child_await("remove");
        /* to create gives no role and no right to remove */
        child_equal(attach(c, "mine/a", SHMB_WRITE, &r), -EACCES);
        child_equal(shmb_remove(c, broker_name(&broker, "mine/a"), -1), is_alice ? -EACCES : 0);
        shmb_close(c);
}

static void test_rules_say_who_creates_and_who_removes(void **state) {
        char origin[256], *says;
        WireRegion region;
        Child a, b;

        broker_begin(&broker, yaml);
        child_spawn(&b, &bob, use_rights_in_child, (void *)"bob");
        child_expect(&b, "asked");
        broker_expect_shm(&broker, N_DECLARED);
        child_spawn(&a, &alice, use_rights_in_child, (void *)"alice");
        child_expect(&a, "asked");
        assert_int_equal(listed("mine/a", &region, origin), 0);
        says = strstr(origin, "by uid 61001");
        assert_non_null(says);
        child_tell(&a, "remove");
        child_finish(&a);
        child_tell(&b, "remove");
        child_finish(&b);
        assert_int_equal(listed("mine/a", &region, origin), SHMB_STATUS_NO_REGION);
        assert_true(broker_said(&broker, "Refused", "may not create"));
        assert_true(broker_said(&broker, "Refused", "may not remove"));
        assert_true(broker_said(&broker, "Removed region", "of uid 61002 removed it"));
        broker_end(&broker);
}

static void test_creator_is_charged(void **state) {
        struct shmb *c = begin();

        assert_int_equal(create(c, "large/a", 900 << 10, 0), 1);
        assert_int_equal(create(c, "large/b", 200 << 10, 0), -EDQUOT);
        assert_non_null(strstr(shmb_error(c), "bytes"));
        assert_int_equal(shmb_remove(c, broker_name(&broker, "large/a"), -1), 0);
        assert_int_equal(create(c, "large/b", 200 << 10, 0), 1);

        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        assert_int_equal(create(c, "s/b", SIZE, 0), 1);
        assert_int_equal(create(c, "s/c", SIZE, 0), 1);
        assert_int_equal(create(c, "s/d", SIZE, 0), -EDQUOT);
        assert_non_null(strstr(shmb_error(c), "regions"));
        /* to open one costs nothing */
        assert_int_equal(create(c, "s/c", SIZE, 0), 0);
        end(c);
}

static void keep_in_child(void *data) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(attach(c, "s/a", SHMB_READ, &r), 0);
        child_say("attached");
        child_await("detach");
        child_equal(shmb_check(r), -EIDRM);
        shmb_detach(r);
        shmb_close(c);
}

/* What others still hold is memory that its creator pays for. */
static void test_creator_pays_until_the_last_one_lets_go(void **state) {
        struct shmb *c = begin();
        WireStatusInfo status;
        Caller caller;
        Child child;
        int i;

        for (i = 0; i < 3; i++)
                assert_int_equal(create(c, (const char *[]){ "s/b", "s/c", "s/d" }[i], SIZE, 0), 1);
        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        child_spawn(&child, &bob, keep_in_child, NULL);
        child_expect(&child, "attached");
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/a"), -1), 0);
        assert_int_equal(create(c, "s/a", SIZE, 0), -EDQUOT);
        child_tell(&child, "detach");
        child_finish(&child);
        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_status(&caller, &status), 0);
        assert_int_equal(status.n_regions, 5);
        caller_close(&caller);
        end(c);
}

/* What the racers share with the test. */
typedef struct Race {
        _Atomic int started;
        _Atomic unsigned n_created, n_there;
} Race;

static Race *race;

static void race_in_child(void *data) {
        uint32_t flags = data ? SHMB_EXCLUSIVE : 0;
        struct shmb *c = NULL;
        int r;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_say("ready");
        /* relaxed: only ever says when to begin */
        while (!atomic_load_explicit(&race->started, memory_order_relaxed))
                broker_pause();
        r = create(c, "s/race", SIZE, flags);
        child_check(r == 1 || r == (flags ? -EEXIST : 0));
        /* relaxed, both: looked at when all have ended */
        if (r == 1)
                atomic_fetch_add_explicit(&race->n_created, 1, memory_order_relaxed);
        else
                atomic_fetch_add_explicit(&race->n_there, 1, memory_order_relaxed);
        child_say("done");
        child_await("end");
        shmb_close(c);
}

static void run_race(void *exclusive) {
        Child children[RACERS];
        ChildIdentity identity;
        int i;

        race = child_share(sizeof(*race));
        for (i = 0; i < RACERS; i++) {
                identity = (ChildIdentity){ .uid = 61001 + (uid_t)i, .gid = 61001 };
                child_spawn(&children[i], &identity, race_in_child, exclusive);
        }
        for (i = 0; i < RACERS; i++)
                child_expect(&children[i], "ready");
        /* relaxed: as above */
        atomic_store_explicit(&race->started, 1, memory_order_relaxed);
        for (i = 0; i < RACERS; i++)
                child_expect(&children[i], "done");
        /* relaxed, both: all have said that they are done */
        assert_int_equal(atomic_load_explicit(&race->n_created, memory_order_relaxed), 1);
        assert_int_equal(atomic_load_explicit(&race->n_there, memory_order_relaxed), RACERS - 1);
        broker_expect_shm(&broker, N_DECLARED + N_RAW);
        for (i = 0; i < RACERS; i++) {
                child_tell(&children[i], "end");
                child_finish(&children[i]);
        }
        child_unshare(race, sizeof(*race));
}

static void test_racers_have_one_winner(void **state) {
        struct shmb *c = begin();

        run_race((void *)"exclusive");
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/race"), -1), 0);
        run_race(NULL);
        end(c);
}

static void test_removed_region_and_its_successor_never_mix(void **state) {
        struct shmb_region *old_w = NULL, *old_r = NULL, *new_w = NULL;
        struct shmb_info old_info = { .size = sizeof(old_info) }, info = { .size = sizeof(info) };
        struct shmb *c = begin();

        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        assert_int_equal(attach(c, "s/a", SHMB_WRITE, &old_w), 0);
        assert_int_equal(attach(c, "s/a", SHMB_READ, &old_r), 0);
        assert_int_equal(shmb_get_info(old_w, &old_info), 0);
        strcpy(shmb_data(old_w), "old");
        assert_int_equal(shmb_check(old_r), 0);

        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/a"), -1), 0);
        broker_expect_shm(&broker, N_DECLARED);
        assert_int_equal(shmb_check(old_r), -EIDRM);
        assert_int_equal(attach(c, "s/a", SHMB_READ, &new_w), -ENOENT);
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/a"), -1), -ENOENT);

        /* another size, and nothing of the old one in it */
        assert_int_equal(create(c, "s/a", 2 * SIZE, SHMB_EXCLUSIVE), 1);
        assert_int_equal(attach(c, "s/a", SHMB_WRITE, &new_w), 0);
        assert_int_equal(shmb_get_info(new_w, &info), 0);
        assert_int_equal(shmb_size(new_w), 2 * SIZE);
        assert_true(info.generation > old_info.generation);
        assert_string_equal(shmb_data(new_w), "");
        strcpy(shmb_data(new_w), "new");
        assert_string_equal(shmb_data(old_r), "old");
        strcpy(shmb_data(old_w), "older");
        assert_string_equal(shmb_data(new_w), "new");
        assert_string_equal(shmb_data(old_r), "older");
        assert_int_equal(shmb_check(new_w), 0);

        shmb_detach(old_w);
        shmb_detach(old_r);
        assert_int_equal(shmb_check(new_w), 0);
        broker_expect_shm(&broker, N_DECLARED + N_RAW);
        shmb_detach(new_w);
        end(c);
}

/* Who holds a buffer takes out what is left in it, and then hears why there is no more. */
static void test_removed_buffer_is_drained(void **state) {
        struct shmb_region *p = NULL, *q = NULL;
        struct shmb *c = begin();
        Item item;
        int i;

        assert_int_equal(create(c, "ring/a", 16, 0), 1);
        assert_int_equal(attach(c, "ring/a", SHMB_PRODUCE, &p), 0);
        assert_int_equal(attach(c, "ring/a", SHMB_CONSUME, &q), 0);
        for (i = 0; i < 3; i++) {
                item_make(&item, (uint64_t)i);
                assert_int_equal(shmb_push(p, &item, 0), 0);
        }
        assert_int_equal(shmb_remove(c, broker_name(&broker, "ring/a"), -1), 0);
        assert_int_equal(shmb_push(p, &item, 0), -EIDRM);
        for (i = 0; i < 3; i++) {
                assert_int_equal(shmb_pop(q, &item, 0), 0);
                assert_true(item_is(&item, (uint64_t)i));
        }
        assert_int_equal(shmb_pop(q, &item, -1), -EIDRM);
        shmb_detach(p);
        shmb_detach(q);
        end(c);
}

static void wait_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, broker_name(&broker, "ring/a"),
                                             SHMB_CONSUME);
        Item item;

        child_say("waiting");
        child_equal(shmb_pop(r, &item, -1), -EIDRM);
        shmb_detach(r);
}

static void test_removal_wakes_who_sleeps(void **state) {
        struct shmb *c = begin();
        Child child;

        assert_int_equal(create(c, "ring/a", 16, 0), 1);
        child_spawn(&child, &bob, wait_in_child, NULL);
        child_expect(&child, "waiting");
        assert_int_equal(shmb_remove(c, broker_name(&broker, "ring/a"), -1), 0);
        child_finish(&child);
        end(c);
}

static void test_creator_does_not_fill_the_journal(void **state) {
        struct shmb *c = begin();
        int i;

        for (i = 0; i < CYCLES; i++) {
                assert_int_equal(create(c, "s/a", SIZE, SHMB_EXCLUSIVE), 1);
                assert_int_equal(shmb_remove(c, broker_name(&broker, "s/a"), -1), 0);
        }
        assert_true(broker_n_said(&broker, broker_name(&broker, "s/a")) < CYCLES);
        broker_expect_shm(&broker, N_DECLARED);
        end(c);
}

static void await_in_child(void *data) {
        struct shmb_event event = { .size = sizeof(event) };
        struct shmb_watch *watch = NULL;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        child_equal(shmb_watch(c, broker_name(&broker, "s/a"), -1, &watch), 0);
        child_say("waiting");
        child_equal(shmb_wait_region(c, broker_name(&broker, "s/a"), -1), 0);
        child_equal(attach(c, "s/a", SHMB_READ, &r), 0);
        child_say("attached");
        do
                child_equal(shmb_watch_next(watch, &event, -1), 0);
        while (event.type != SHMB_REMOVED);
        child_equal(shmb_check(r), -EIDRM);
        shmb_unwatch(watch);
        shmb_detach(r);
        shmb_close(c);
}

static void test_others_hear_when_a_region_comes_and_goes(void **state) {
        struct shmb *c = begin();
        Child child;

        child_spawn(&child, &bob, await_in_child, NULL);
        child_expect(&child, "waiting");
        assert_int_equal(create(c, "s/b", SIZE, 0), 1);
        assert_int_equal(create(c, "s/a", SIZE, 0), 1);
        child_expect(&child, "attached");
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/a"), -1), 0);
        child_finish(&child);
        end(c);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_create_makes_what_can_be_attached),
                TEST(test_create_opens_what_is_there_or_refuses_it),
                TEST(test_create_keeps_to_the_bounds_of_the_template),
                TEST(test_create_wants_a_kind),
                TEST(test_rules_say_who_creates_and_who_removes),
                TEST(test_creator_is_charged),
                TEST(test_creator_pays_until_the_last_one_lets_go),
                TEST(test_racers_have_one_winner),
                TEST(test_removed_region_and_its_successor_never_mix),
                TEST(test_removed_buffer_is_drained),
                TEST(test_removal_wakes_who_sleeps),
                TEST(test_creator_does_not_fill_the_journal),
                TEST(test_others_hear_when_a_region_comes_and_goes),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
