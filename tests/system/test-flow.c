/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From One Process to Another
 *
 * A producer and a consumer under two uids, with the library as a program would use it: every item
 * arrives once, whole and in order, by each of the ways that there are to move one; and what calls
 * say when there is nothing to move.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"

enum {
        CAPACITY = 256,
        MANY = 1000000,
        BATCH = 50, /* does not divide the capacity: batches are cut at the end of the lane */
};

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - name: $/posix\n"
                "    kind: ring\n"
                "    item: {size: 64, align: 8, type: item/1}\n"
                "    capacity: 256\n"
                "    access: {produce: [uid:61001], consume: [uid:61002], observe: [any]}\n"
                "  - name: $/memfd\n"
                "    kind: ring\n"
                "    item: {size: 64, align: 8, type: item/1}\n"
                "    capacity: 256\n"
                "    backing: memfd\n"
                "    access: {produce: [uid:61001], consume: [uid:61002], observe: [any]}\n"
                "  - name: $/raw\n"
                "    kind: raw\n"
                "    size: 8K\n"
                "    access: {write: [uid:61001], read: [uid:61002]}\n";

static Broker broker;

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB, root = {};

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

typedef enum Way {
        WAY_COPY,
        WAY_COPY_MANY,
        WAY_IN_PLACE,
        WAY_IN_PLACE_MANY,
        _WAY_N,
} Way;

typedef struct Flow {
        char name[256];
        Way way;
        uint64_t n;
} Flow;

static struct shmb *connect_or_die(void) {
        struct shmb *c = NULL;

        child_equal(shmb_connect(broker.socket, &c), 0);
        return c;
}

static struct shmb_region *attach_or_die(struct shmb *c, const char *name, enum shmb_role role) {
        struct shmb_region *r = NULL;
        int result;

        result = shmb_attach(c, name, role, NULL, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        return r;
}

static uint64_t produce_some(struct shmb_region *r, Way way, uint64_t at, uint64_t n) {
        Item items[BATCH];
        struct shmb_span span;
        void *slot;
        uint32_t i, n_batch = n - at < BATCH ? (uint32_t)(n - at) : BATCH;
        int moved;

        switch (way) {
        case WAY_COPY:
                item_make(&items[0], at);
                child_equal(shmb_push(r, &items[0], -1), 0);
                return 1;
        case WAY_COPY_MANY:
                for (i = 0; i < n_batch; i++)
                        item_make(&items[i], at + i);
                moved = shmb_push_n(r, items, n_batch, -1);
                child_check(moved >= 1 && moved <= (int)n_batch);
                return (uint64_t)moved;
        case WAY_IN_PLACE:
                child_equal(shmb_claim(r, &slot, -1), 0);
                item_make(slot, at);
                child_equal(shmb_commit(r), 0);
                return 1;
        case WAY_IN_PLACE_MANY:
                moved = shmb_claim_n(r, n_batch, &span, -1);
                child_check(moved >= 0 && span.n >= 1 && span.n <= n_batch && span.stride >= 64);
                for (i = 0; i < span.n; i++)
                        item_make((void *)((uint8_t *)span.data + (size_t)i * span.stride), at + i);
                child_check(shmb_commit_n(r, span.n) >= 0);
                return span.n;
        case _WAY_N:
                break;
        }
        return 0;
}

static uint64_t consume_some(struct shmb_region *r, Way way, uint64_t at) {
        Item items[BATCH];
        const void *item;
        struct shmb_span span;
        uint32_t i;
        int moved;

        switch (way) {
        case WAY_COPY:
                child_equal(shmb_pop(r, &items[0], -1), 0);
                child_check(item_is(&items[0], at));
                return 1;
        case WAY_COPY_MANY:
                moved = shmb_pop_n(r, items, BATCH, -1);
                child_check(moved >= 1 && moved <= BATCH);
                for (i = 0; i < (uint32_t)moved; i++)
                        child_check(item_is(&items[i], at + i));
                return (uint64_t)moved;
        case WAY_IN_PLACE:
                child_equal(shmb_peek(r, &item, -1), 0);
                child_check(item_is(item, at));
                child_equal(shmb_release(r), 0);
                return 1;
        case WAY_IN_PLACE_MANY:
                moved = shmb_peek_n(r, BATCH, &span, -1);
                child_check(moved >= 0 && span.n >= 1 && span.n <= BATCH);
                for (i = 0; i < span.n; i++)
                        child_check(item_is((void *)((uint8_t *)span.data +
                                                     (size_t)i * span.stride), at + i));
                child_check(shmb_release_n(r, span.n) >= 0);
                return span.n;
        case _WAY_N:
                break;
        }
        return 0;
}

static void produce_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_PRODUCE);
        uint64_t at = 0;

        while (at < flow->n)
                at += produce_some(r, flow->way, at, flow->n);
        shmb_detach(r);
        shmb_close(c);
        child_say("pushed");
}

static void consume_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_CONSUME);
        uint64_t at = 0;
        Item item;

        while (at < flow->n)
                at += consume_some(r, flow->way, at);
        child_equal(at, flow->n);
        child_equal(shmb_pop(r, &item, 0), -EAGAIN);
        shmb_detach(r);
        shmb_close(c);
        child_say("popped");
}

static void assert_flows(const char *name, Way way, uint64_t n, uint64_t n_before) {
        Flow flow = { .way = way, .n = n };
        Child producer, consumer;
        WireRegion region;
        Caller caller;

        strcpy(flow.name, broker_name(&broker, name));
        child_spawn(&consumer, &bob, consume_in_child, &flow);
        child_spawn(&producer, &alice, produce_in_child, &flow);
        child_expect(&producer, "pushed");
        child_finish(&producer);
        child_expect(&consumer, "popped");
        child_finish(&consumer);

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, flow.name, &region), 0);
        assert_int_equal(region.moved, n_before + n);
        assert_int_equal(region.used, 0);
        assert_int_equal(region.dropped, 0);
        assert_int_equal(region.redelivered, 0);
        assert_int_equal(region.n_producers, 0);
        assert_int_equal(region.n_consumers, 0);
        caller_close(&caller);
}

static void test_flow_of_a_million_items_through_posix(void **state) {
        broker_begin(&broker, yaml);
        assert_flows("posix", WAY_COPY, MANY, 0);
        broker_end(&broker);
}

static void test_flow_of_a_million_items_through_memfd(void **state) {
        broker_begin(&broker, yaml);
        assert_flows("memfd", WAY_IN_PLACE, MANY, 0);
        broker_end(&broker);
}

/* One after the other on one region: each goes on where the other left. */
static void test_flow_in_every_way_through_one_region(void **state) {
        uint64_t n = 0;
        Way way;

        broker_begin(&broker, yaml);
        for (way = 0; way < _WAY_N; way++) {
                assert_flows("posix", way, 50000, n);
                n += 50000;
        }
        broker_end(&broker);
}

static void time_out_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_PRODUCE);
        struct shmb_stats stats = { sizeof(stats) };
        uint64_t before_ns;
        Item item;
        int i;

        item_make(&item, 0);
        for (i = 0; i < CAPACITY; i++)
                child_equal(shmb_push(r, &item, 0), 0);
        child_equal(shmb_push(r, &item, 0), -EAGAIN);
        before_ns = broker_now_ns();
        child_equal(shmb_push(r, &item, 30000000), -ETIMEDOUT);
        child_check(broker_now_ns() - before_ns >= 30000000);
        child_equal(shmb_push_n(r, &item, 1, 0), -EAGAIN);
        child_equal(shmb_get_stats(r, &stats), 0);
        child_equal(stats.used, CAPACITY);
        child_equal(stats.n_pushed, CAPACITY);
        child_equal(stats.high_water, CAPACITY);
        shmb_detach(r);
        shmb_close(c);
        child_say("full");
}

static void drain_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_CONSUME);
        uint64_t before_ns;
        Item item;
        int i;

        for (i = 0; i < CAPACITY; i++)
                child_equal(shmb_pop(r, &item, 0), 0);
        child_equal(shmb_pop(r, &item, 0), -EAGAIN);
        before_ns = broker_now_ns();
        child_equal(shmb_pop(r, &item, 30000000), -ETIMEDOUT);
        child_check(broker_now_ns() - before_ns >= 30000000);
        shmb_detach(r);
        shmb_close(c);
        child_say("empty");
}

static void test_flow_full_and_empty_try_and_time_out(void **state) {
        Flow flow = {};
        Child child;

        broker_begin(&broker, yaml);
        strcpy(flow.name, broker_name(&broker, "posix"));
        child_spawn(&child, &alice, time_out_in_child, &flow);
        child_expect(&child, "full");
        child_finish(&child);
        child_spawn(&child, &bob, drain_in_child, &flow);
        child_expect(&child, "empty");
        child_finish(&child);
        broker_end(&broker);
}

static void sleep_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_CONSUME);
        struct rusage before, after;
        Item item;
        long used_us;

        child_say("waiting");
        getrusage(RUSAGE_SELF, &before);
        child_equal(shmb_pop(r, &item, -1), 0);
        getrusage(RUSAGE_SELF, &after);
        child_check(item_is(&item, 42));
        used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000L +
                  after.ru_utime.tv_usec - before.ru_utime.tv_usec;
        child_check(used_us < 200000);
        child_say("woken");
        shmb_detach(r);
        shmb_close(c);
}

static void wake_in_child(void *data) {
        const Flow *flow = data;
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, flow->name, SHMB_PRODUCE);
        Item item;

        child_say("ready");
        child_await("go");
        item_make(&item, 42);
        child_equal(shmb_push(r, &item, 0), 0);
        child_await("go");
        shmb_detach(r);
        shmb_close(c);
}

static void test_flow_sleeper_is_woken(void **state) {
        Child producer, consumer;
        WireRegion region;
        Flow flow = {};
        Caller caller;

        broker_begin(&broker, yaml);
        strcpy(flow.name, broker_name(&broker, "memfd"));
        child_spawn(&consumer, &bob, sleep_in_child, &flow);
        child_spawn(&producer, &alice, wake_in_child, &flow);
        child_expect(&consumer, "waiting");
        child_expect(&producer, "ready");
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        broker_until(caller_list(&caller, flow.name, &region) == 0 && region.waits > 0);
        child_tell(&producer, "go");
        child_expect(&consumer, "woken");
        child_finish(&consumer);
        child_tell(&producer, "go");
        child_finish(&producer);
        caller_close(&caller);
        broker_end(&broker);
}

static void mismatch(struct shmb *c, const char *name, enum shmb_role role,
                     const struct shmb_attach *want, const char *theirs, const char *ours) {
        struct shmb_region *r = NULL;

        child_equal(shmb_attach(c, name, role, want, &r), -EPROTOTYPE);
        child_check(!r);
        if (!strstr(shmb_error(c), name) || !strstr(shmb_error(c), theirs) ||
            !strstr(shmb_error(c), ours))
                child_fail(__FILE__, __LINE__, shmb_error(c), 0);
}

static void mismatch_in_child(void *data) {
        struct shmb_attach want[] = { SHMB_ATTACH_INIT, SHMB_ATTACH_INIT, SHMB_ATTACH_INIT,
                                      SHMB_ATTACH_INIT, SHMB_ATTACH_INIT };
        const char *ring = broker_name(&broker, "posix");
        struct shmb *c = connect_or_die();
        struct shmb_region *r;

        want[0].item_size = 128;
        mismatch(c, ring, SHMB_PRODUCE, &want[0], "64", "128");
        want[1].item_align = 16;
        mismatch(c, ring, SHMB_PRODUCE, &want[1], "8", "16");
        want[2].type = "item/2";
        mismatch(c, ring, SHMB_PRODUCE, &want[2], "item/1", "item/2");
        want[3].kind = SHMB_RAW;
        mismatch(c, ring, SHMB_PRODUCE, &want[3], "ring", "raw");
        want[4].region_size = 4096;
        mismatch(c, broker_name(&broker, "raw"), SHMB_WRITE, &want[4], "8192", "4096");

        /* and what fits, fits */
        want[0].item_size = 64;
        want[0].item_align = 8;
        want[0].type = "item/1";
        want[0].kind = SHMB_RING;
        child_equal(shmb_attach(c, ring, SHMB_PRODUCE, &want[0], &r), 0);
        child_equal(strlen(shmb_error(c)), 0);
        shmb_detach(r);
        shmb_close(c);
        child_say("said");
}

static void test_flow_mismatch_names_both_sides(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, mismatch_in_child, NULL);
        child_expect(&child, "said");
        child_finish(&child);
        broker_end(&broker);
}

static void write_in_child(void *data) {
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, data, SHMB_WRITE);
        Item item;

        child_equal(shmb_size(r), 8192);
        child_equal(shmb_push(r, &item, 0), -EOPNOTSUPP);
        memset(shmb_data(r), 0x5a, 8192);
        child_say("written");
        child_await("go");
        shmb_detach(r);
        shmb_close(c);
}

static void read_in_child(void *data) {
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, data, SHMB_READ);
        const uint8_t *bytes = shmb_data(r);
        size_t i;

        child_equal(shmb_size(r), 8192);
        for (i = 0; i < 8192; i++)
                child_equal(bytes[i], 0x5a);
        child_say("read");
        /* A store is the reader's own death, and nothing else happens. */
        signal(SIGSEGV, SIG_DFL);
        memset(shmb_data(r), 0, 1);
        child_say("overwritten");
}

static void test_flow_of_raw_bytes(void **state) {
        char name[256], line[CHILD_LINE_MAX];
        Child writer, reader;

        broker_begin(&broker, yaml);
        strcpy(name, broker_name(&broker, "raw"));
        child_spawn(&writer, &alice, write_in_child, name);
        child_expect(&writer, "written");
        child_spawn(&reader, &bob, read_in_child, name);
        child_expect(&reader, "read");
        assert_false(child_hear(&reader, line));
        assert_int_equal(child_wait(&reader), -SIGSEGV);
        child_tell(&writer, "go");
        child_finish(&writer);
        broker_end(&broker);
}

static void refused_in_child(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL, *second = NULL;
        const char *name = data;
        struct shmb *c, *none = NULL;
        Item item;
        pid_t pid;
        int status;

        child_check(shmb_connect("/nonexistent/broker.sock", &none) < 0);
        child_check(!none);
        c = connect_or_die();
        child_equal(shmb_attach(c, broker_name(&broker, "absent"), SHMB_PRODUCE, NULL, &r),
                    -ENOENT);
        child_check(strstr(shmb_error(c), "absent"));
        child_equal(shmb_attach(c, name, SHMB_CONSUME, NULL, &r), -EACCES);
        child_check(strstr(shmb_error(c), name) && strstr(shmb_error(c), "consume"));
        child_check(!r);

        r = attach_or_die(c, name, SHMB_PRODUCE);
        want.timeout_ns = 0;
        child_equal(shmb_attach(c, name, SHMB_PRODUCE, &want, &second), -EBUSY);
        child_check(strstr(shmb_error(c), name));
        child_equal(shmb_pop(r, &item, 0), -EPERM);
        child_equal(shmb_release(r), -EPERM);
        child_equal(shmb_commit(r), -EINVAL);
        child_check(!shmb_data(r) && shmb_size(r) == 0);

        pid = fork();
        if (pid == 0) {
                item_make(&item, 0);
                _exit(shmb_push(r, &item, 0) == -ECHILD ? 0 : 1);
        }
        child_equal(waitpid(pid, &status, 0), pid);
        child_equal(status, 0);
        item_make(&item, 0);
        child_equal(shmb_push(r, &item, 0), 0);
        shmb_detach(r);
        shmb_close(c);
        child_say("said");
}

static void test_flow_what_is_refused_says_why(void **state) {
        char name[256];
        Child child;

        broker_begin(&broker, yaml);
        strcpy(name, broker_name(&broker, "posix"));
        child_spawn(&child, &alice, refused_in_child, name);
        child_expect(&child, "said");
        child_finish(&child);
        broker_end(&broker);
}

static void observe_in_child(void *data) {
        struct shmb_info info = { sizeof(info) };
        struct shmb_stats stats = { sizeof(stats) };
        struct shmb *c = connect_or_die();
        struct shmb_region *r = attach_or_die(c, data, SHMB_OBSERVE);
        Item item;

        child_equal(shmb_get_info(r, &info), 0);
        child_check(strcmp(info.name, data) == 0 && strcmp(info.type, "item/1") == 0);
        child_equal(info.kind, SHMB_RING);
        child_equal(info.role, SHMB_OBSERVE);
        child_equal(info.item_size, 64);
        child_equal(info.capacity, CAPACITY);
        child_equal(shmb_get_stats(r, &stats), 0);
        child_equal(stats.used, CAPACITY);
        child_equal(stats.n_pushed, CAPACITY);
        child_equal(stats.n_popped, 0);
        child_equal(shmb_pop(r, &item, 0), -EPERM);
        child_equal(shmb_push(r, &item, 0), -EPERM);
        shmb_detach(r);
        shmb_close(c);
        child_say("seen");
}

static void test_flow_observer_sees_and_touches_nothing(void **state) {
        Flow flow = {};
        Child child;

        broker_begin(&broker, yaml);
        strcpy(flow.name, broker_name(&broker, "posix"));
        child_spawn(&child, &alice, time_out_in_child, &flow);
        child_expect(&child, "full");
        child_finish(&child);
        child_spawn(&child, &root, observe_in_child, flow.name);
        child_expect(&child, "seen");
        child_finish(&child);
        child_spawn(&child, &bob, drain_in_child, &flow);
        child_expect(&child, "empty");
        child_finish(&child);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_flow_of_a_million_items_through_posix),
                TEST(test_flow_of_a_million_items_through_memfd),
                TEST(test_flow_in_every_way_through_one_region),
                TEST(test_flow_full_and_empty_try_and_time_out),
                TEST(test_flow_sleeper_is_woken),
                TEST(test_flow_mismatch_names_both_sides),
                TEST(test_flow_of_raw_bytes),
                TEST(test_flow_what_is_refused_says_why),
                TEST(test_flow_observer_sees_and_touches_nothing),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
