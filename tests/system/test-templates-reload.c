/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Clients Created under Another Configuration
 *
 * A region of a template follows it: it goes on under new rules while a template of its shape is
 * there, and is removed where none is, or where somebody declares a region of its name. The same by
 * a reload and by a restart; and a reload that is refused leaves everything as it was.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "protocol/wire.h"
#include "tests/harness/admin.h"
#include "tests/harness/broker.h"

enum {
        N_RAW = 2, /* names: control and data */
        SIZE = 4096,
};

#define OPEN "access: {create: [any], remove: [any], read: [any], write: [any]}"
#define HEAD "version: 1\ntemplates:\n"

static const char yaml[] = HEAD
                "  - {name: $/s/*, kind: raw, size: {min: 4K, max: 64K}, ttl: 1h, " OPEN "}\n"
                "  - {name: $/other/*, kind: raw, size: 4K, ttl: 1h, " OPEN "}\n";
static const char without[] = HEAD
                "  - {name: $/other/*, kind: raw, size: 4K, ttl: 1h, " OPEN "}\n";
static const char tightened[] = HEAD
                "  - {name: $/s/*, kind: raw, size: {min: 16K, max: 64K}, ttl: 2h,\n"
                "     access: {create: [any], remove: [uid:4711], write: [any]}}\n"
                "  - {name: $/other/*, kind: raw, size: 4K, ttl: 1h, " OPEN "}\n";
static const char reshaped[] = HEAD
                "  - {name: $/s/*, kind: raw, size: {min: 4K, max: 64K}, backing: memfd, ttl: 1h,\n"
                "     " OPEN "}\n"
                "  - {name: $/other/*, kind: raw, size: 4K, ttl: 1h, " OPEN "}\n";
static const char declared[] = HEAD
                "  - {name: $/s/*, kind: raw, size: {min: 4K, max: 64K}, ttl: 1h, " OPEN "}\n"
                "  - {name: $/other/*, kind: raw, size: 4K, ttl: 1h, " OPEN "}\n"
                "regions:\n"
                "  - {name: $/s/held, kind: raw, size: 8K, access: {read: [any]}}\n"
                "  - {name: $/s/free, kind: raw, size: 8K, access: {read: [any]}}\n";

static const WireMessage plan_only = { .type = WIRE_RELOAD, .reload = { .plan_only = true } };

static Broker broker;
static struct shmb *c;
static struct shmb_region *held; /* read, of s/held; there is s/free, and other/a, too */

static int teardown(void **state) {
        held = shmb_detach(held);
        c = shmb_close(c);
        broker_deinit(&broker);
        return 0;
}

static int create(const char *name, uint64_t size) {
        struct shmb_create want = SHMB_CREATE_INIT;

        want.region_size = size;
        return shmb_create(c, broker_name(&broker, name), &want);
}

/* What an attach says that is given up at once. */
static int try(const char *name, enum shmb_role role) {
        struct shmb_region *r = NULL;
        int result;

        result = shmb_attach(c, broker_name(&broker, name), role, NULL, &r);
        shmb_detach(r);
        return result;
}

static void begin(void) {
        broker_begin(&broker, yaml);
        assert_int_equal(shmb_connect(broker.socket, &c), 0);
        assert_int_equal(create("s/held", SIZE), 1);
        assert_int_equal(create("s/free", SIZE), 1);
        assert_int_equal(create("other/a", SIZE), 1);
        assert_int_equal(shmb_attach(c, broker_name(&broker, "s/held"), SHMB_READ, NULL, &held), 0);
        broker_expect_shm(&broker, 3 * N_RAW);
}

/* The other configuration comes into force in one of two ways. */
static void go_over(void **state, const char *text) {
        bool restarts = *state;

        if (restarts)
                broker_kill(&broker);
        broker_configure(&broker, text);
        if (restarts)
                broker_start(&broker);
        else
                broker_reload(&broker);
}

static ShmbRegionState state_of(const char *name) {
        return (ShmbRegionState)admin_region(&broker, name).state;
}

static unsigned n_lines(const char *text) {
        bool applied;
        unsigned n = admin_order(&broker, plan_only, text, &applied);

        assert_false(applied);
        return n;
}

static void test_regions_go_with_their_template(void **state) {
        begin();
        go_over(state, without);
        assert_int_equal(state_of("s/held"), SHMB_REGION_NONE);
        assert_int_equal(state_of("s/free"), SHMB_REGION_NONE);
        assert_int_equal(state_of("other/a"), SHMB_REGION_LIVE);
        assert_int_equal(shmb_check(held), -EIDRM);
        assert_int_equal(try("s/held", SHMB_READ), -ENOENT);
        assert_int_equal(create("s/held", SIZE), -ENOENT);
        broker_expect_shm(&broker, N_RAW);
        assert_true(broker_said(&broker, broker_name(&broker, "s/free"), "no template"));
}

static void test_regions_go_on_under_other_rules(void **state) {
        begin();
        go_over(state, tightened);
        assert_int_equal(state_of("s/held"), SHMB_REGION_LIVE);
        assert_int_equal(state_of("s/free"), SHMB_REGION_LIVE);
        assert_int_equal(shmb_check(held), 0);
        assert_int_equal(admin_region(&broker, "s/held").n_readers, 1);
        assert_true(admin_region(&broker, "s/free").linger_ns == UINT64_C(7200000000000));
        /* a lease that was given stays, the next one meets the new rules */
        assert_int_equal(try("s/held", SHMB_READ), -EACCES);
        assert_int_equal(try("s/held", SHMB_WRITE), 0);
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/free"), -1), -EACCES);
        /* bounds are for what is created from now on */
        assert_int_equal(create("s/free", 0), 0);
        assert_int_equal(create("s/new", SIZE), -EINVAL);
        assert_int_equal(create("s/new", 4 * SIZE), 1);
        broker_expect_shm(&broker, 4 * N_RAW);
}

static void test_regions_of_another_shape_go(void **state) {
        begin();
        go_over(state, reshaped);
        assert_int_equal(state_of("s/held"), SHMB_REGION_NONE);
        assert_int_equal(shmb_check(held), -EIDRM);
        assert_int_equal(create("s/held", SIZE), 1);
        assert_int_equal(admin_region(&broker, "s/held").geometry.backing, SHMB_BACKING_MEMFD);
        broker_expect_shm(&broker, N_RAW);
}

static void test_declared_region_takes_the_name(void **state) {
        begin();
        go_over(state, declared);
        assert_int_equal(shmb_check(held), -ESTALE);
        assert_int_equal(admin_region(&broker, "s/held").geometry.region_size, 2 * SIZE);
        assert_int_equal(admin_region(&broker, "s/held").n_readers, 0);
        assert_int_equal(state_of("s/free"), SHMB_REGION_LIVE);
        assert_int_equal(try("s/held", SHMB_READ), 0);
        assert_int_equal(try("s/held", SHMB_WRITE), -EACCES);
        assert_int_equal(shmb_remove(c, broker_name(&broker, "s/held"), -1), -EACCES);
        broker_expect_shm(&broker, 3 * N_RAW);
        /* and gives it back */
        held = shmb_detach(held);
        go_over(state, yaml);
        assert_int_equal(state_of("s/held"), SHMB_REGION_NONE);
        assert_int_equal(create("s/held", SIZE), 1);
}

static void test_plan_names_what_was_created_and_does_nothing(void **state) {
        begin();
        broker_configure(&broker, without);
        assert_int_equal(n_lines("remove"), 3);
        assert_int_equal(n_lines("s/*: template of raw, posix, "), 1);
        assert_int_equal(n_lines("s/held: created by uid 0"), 1);
        assert_int_equal(n_lines("held by 1 lease; no template"), 1);
        assert_int_equal(n_lines("held by 0 leases; no template"), 1);

        broker_configure(&broker, tightened);
        assert_int_equal(n_lines("change"), 3);
        assert_int_equal(n_lines("s/*: least 4096 -> 16384, ttl ns"), 1);
        assert_int_equal(n_lines("holds what it would not get now"), 1);

        broker_configure(&broker, declared);
        assert_int_equal(n_lines("it is declared now"), 2);
        assert_int_equal(n_lines("add"), 2);

        assert_int_equal(state_of("s/held"), SHMB_REGION_LIVE);
        assert_int_equal(shmb_check(held), 0);
        assert_int_equal(try("s/free", SHMB_WRITE), 0);
        broker_expect_shm(&broker, 3 * N_RAW);

        broker_configure(&broker, yaml);
        assert_int_equal(n_lines("s/"), 0);
}

/* What the new configuration wants cannot be had: nobody loses his name to it. */
static void test_reload_that_is_refused_changes_nothing(void **state) {
        char text[1024], path[128];
        int fd;

        begin();
        snprintf(path, sizeof(path), "/dev/shm/%s-taken", broker.unique);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        snprintf(text, sizeof(text),
                 "%s  - {name: $/t, kind: raw, size: 4K, posix_name: $-taken}\n", declared);
        broker_configure(&broker, text);
        broker_reload(&broker);
        assert_true(broker_said(&broker, "refused and nothing was changed", "-taken"));
        assert_int_equal(shmb_check(held), 0);
        assert_int_equal(admin_region(&broker, "s/held").geometry.region_size, SIZE);
        assert_int_equal(admin_region(&broker, "s/held").n_readers, 1);
        assert_int_equal(try("s/held", SHMB_WRITE), 0);
        assert_int_equal(try("s/free", SHMB_WRITE), 0);
        broker_expect_shm(&broker, 3 * N_RAW + 1);
        assert_int_equal(unlink(path), 0);
        broker_reload(&broker);
        assert_int_equal(shmb_check(held), -ESTALE);
}

/* Of each kind one, made, used and remembered by the next broker. */
static void test_every_kind_can_be_created(void **state) {
        static const char *const lines[][2] = {
                { "ring", "item: {size: 64}, capacity: {min: 16, max: 64}" },
                { "broadcast", "item: {size: 64}, capacity: {min: 16, max: 64}, consumers: 2" },
                { "queue", "item: {size: 64}, max_bytes: {min: 4K, max: 64K}" },
                { "latest", "item: {size: 64}, slots: 4" },
                { "stream", "capacity: {min: 4K, max: 64K}, max_message: 64" },
        };
        static const uint64_t capacities[] = { 32, 32, 128, 0, 8192 };
        char text[2048] = HEAD, name[64], item[64] = "item", got[64];
        struct shmb_create want = SHMB_CREATE_INIT;
        struct shmb_region *p[5] = {}, *q[5] = {};
        size_t i;

        for (i = 0; i < 5; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text),
                         "  - {name: $/%s/*, kind: %s, %s, ttl: 1h, access: {create: [any],\n"
                         "     produce: [any], consume: [any]}}\n",
                         lines[i][0], lines[i][0], lines[i][1]);
        broker_begin(&broker, text);
        assert_int_equal(shmb_connect(broker.socket, &c), 0);
        for (i = 0; i < 5; i++) {
                snprintf(name, sizeof(name), "%s", broker_name(&broker, lines[i][0]));
                strcat(name, "/x");
                want.capacity = capacities[i];
                if (shmb_create(c, name, &want) != 1)
                        fail_msg("%s", shmb_error(c));
                assert_int_equal(shmb_attach(c, name, SHMB_PRODUCE, NULL, &p[i]), 0);
                assert_int_equal(shmb_attach(c, name, SHMB_CONSUME, NULL, &q[i]), 0);
        }
        broker_kill(&broker);
        broker_start(&broker);
        for (i = 0; i < 5; i++) {
                if (i == 4)
                        assert_int_equal(shmb_send(p[i], item, sizeof(item), 0), 0);
                else
                        assert_int_equal(shmb_push(p[i], item, 0), 0);
                if (i == 4)
                        assert_int_equal(shmb_recv(q[i], got, sizeof(got), 0), sizeof(got));
                else
                        assert_int_equal(shmb_pop(q[i], got, 0), 0);
                assert_memory_equal(item, got, sizeof(item));
                shmb_detach(p[i]);
                shmb_detach(q[i]);
        }
}

int main(void) {
        static int restarts;
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
#define BOTH(_name) TEST(_name), \
        { #_name " by a restart", _name, NULL, teardown, &restarts }
                BOTH(test_regions_go_with_their_template),
                BOTH(test_regions_go_on_under_other_rules),
                BOTH(test_regions_of_another_shape_go),
                BOTH(test_declared_region_takes_the_name),
                TEST(test_plan_names_what_was_created_and_does_nothing),
                TEST(test_reload_that_is_refused_changes_nothing),
                TEST(test_every_kind_can_be_created),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
