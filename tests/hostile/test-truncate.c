/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects that are Cut Short
 *
 * In /dev/shm whoever may write an object may truncate it. Its peers hear -EBADMSG, keep their
 * lives and their other regions, and are given nothing of what is not there; the next attach has
 * the broker make it anew. What is sealed cannot be cut, and needs no handler.
 */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

#define RING(_name, _more)                                                                        \
        "  - {name: $/" _name ", kind: ring, item: {size: 64}, capacity: 64" _more                \
        ", access: {produce: [any], consume: [any], observe: [any]}}\n"

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                RING("a", "")
                RING("b", "")
                RING("sound", "")
                RING("sealed", ", backing: memfd")
                "  - {name: $/raw, kind: raw, size: 64K, access: {read: [any], write: [any]}}\n";

static Broker broker;
static char names[5][256];
enum { A, B, SOUND, SEALED, RAW };

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void begin(void) {
        static const char *const short_names[] = { "a", "b", "sound", "sealed", "raw" };
        size_t i;

        broker_begin(&broker, yaml);
        for (i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++)
                strcpy(names[i], broker_name(&broker, short_names[i]));
}

/* A client that keeps its descriptor, which the library would have closed. */
typedef struct Cutter {
        const char *region;
        ShmbRole role;
} Cutter;

static void cut_in_child(void *data) {
        const Cutter *cutter = data;
        static const ShmbObjectKind kinds[] = {
                [SHMB_ROLE_PRODUCE] = SHMB_OBJECT_LANE,
                [SHMB_ROLE_CONSUME] = SHMB_OBJECT_SEAT,
                [SHMB_ROLE_WRITE] = SHMB_OBJECT_DATA,
        };
        char line[CHILD_LINE_MAX];
        CallerLease lease;
        Caller caller;
        long size;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, cutter->region, cutter->role, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        at = caller_object(&lease, kinds[cutter->role], lease.attached.index);
        child_check(at >= 0);
        child_say("ready");
        for (;;) {
                child_listen(line);
                if (sscanf(line, "size %ld", &size) != 1)
                        break;
                if (size < 0)
                        size = (long)lease.attached.objects[at].size_bytes;
                child_say("%d", ftruncate(lease.fds[at], size));
        }
}

static void cutter_start(Child *child, const Cutter *cutter) {
        child_spawn(child, cutter->role == SHMB_ROLE_CONSUME ? &bob : &alice, cut_in_child,
                    (void *)cutter);
        child_expect(child, "ready");
}

static void cutter_cut(Child *child, long size, const char *answer) {
        char order[64];

        snprintf(order, sizeof(order), "size %ld", size);
        child_tell(child, order);
        child_expect(child, answer);
}

static void work(const char *region, unsigned first) {
        Mover producer, consumer;
        char order[64];

        mover_start(&producer, &broker, region, SHMB_PRODUCE, &alice);
        mover_start(&consumer, &broker, region, SHMB_CONSUME, &bob);
        snprintf(order, sizeof(order), "push 60 from %u", first);
        mover_do(&producer, order, "60 0");
        snprintf(order, sizeof(order), "pop 60 from %u", first);
        mover_do(&consumer, order, "60 0");
        mover_end(&producer);
        mover_end(&consumer);
}

static unsigned n_lost(void) {
        return broker_n_said(&broker, "is lost");
}

/*
 * One consumer of several regions: two of its producers cut their lanes, one after the other; a
 * third region goes on in the same process.
 */
static void consume_in_child(void *data) {
        struct shmb_region *a = mover_attach(&broker, names[A], SHMB_CONSUME);
        struct shmb_region *b = mover_attach(&broker, names[B], SHMB_CONSUME);
        struct shmb_region *sound = mover_attach(&broker, names[SOUND], SHMB_CONSUME);
        Item item;

        child_equal(shmb_pop(a, &item, 0), -EAGAIN);
        child_say("attached");
        child_await("a");
        child_equal(shmb_pop(a, &item, 0), -EBADMSG);
        child_equal(shmb_pop(a, &item, -1), -EBADMSG);
        child_equal(shmb_check(a), -EBADMSG);
        child_say("a");
        child_await("b");
        child_equal(shmb_pop(b, &item, -1), -EBADMSG);
        child_say("b");
        child_await("sound");
        child_equal(shmb_pop(sound, &item, 0), 0);
        child_check(item_is(&item, 7));
        child_say("sound");
        shmb_detach(a);
        shmb_detach(b);
        /* The one who did it is still there, and loses the lane. */
        a = mover_attach(&broker, names[A], SHMB_CONSUME);
        child_equal(shmb_pop(a, &item, 0), -EAGAIN);
        shmb_detach(a);
        shmb_detach(sound);
}

static void test_truncate_of_lanes_is_an_error_to_their_consumer_and_no_more(void **state) {
        const Cutter cutter_a = { names[A], SHMB_ROLE_PRODUCE };
        const Cutter cutter_b = { names[B], SHMB_ROLE_PRODUCE };
        Child a, b, consumer;
        Mover producer;

        begin();
        cutter_start(&a, &cutter_a);
        cutter_start(&b, &cutter_b);
        child_spawn(&consumer, &bob, consume_in_child, NULL);
        child_expect(&consumer, "attached");
        cutter_cut(&a, 0, "0");
        child_tell(&consumer, "a");
        child_expect(&consumer, "a");
        cutter_cut(&b, 0, "0");
        child_tell(&consumer, "b");
        child_expect(&consumer, "b");
        mover_start(&producer, &broker, names[SOUND], SHMB_PRODUCE, &alice);
        mover_do(&producer, "push 1 from 7", "1 0");
        child_tell(&consumer, "sound");
        child_expect(&consumer, "sound");
        child_finish(&consumer);
        mover_end(&producer);

        assert_int_equal(n_lost(), 0);
        assert_true(broker_said(&broker, "cut its lane short", names[A]));
        work(names[A], 100);
        child_kill(&a);
        child_kill(&b);
        work(names[A], 200);
        work(names[B], 300);
        assert_int_equal(n_lost(), 0);
        broker_end(&broker);
}

/* Items that were there when they were peeked, and are not when they are looked at. */
static void peek_in_child(void *data) {
        struct shmb_region *producer = mover_attach(&broker, names[A], SHMB_PRODUCE);
        struct shmb_region *consumer = mover_attach(&broker, names[A], SHMB_CONSUME);
        struct shmb_span span;
        Item item;

        item_make(&item, 1);
        child_equal(shmb_push(producer, &item, 0), 0);
        child_equal(shmb_push(producer, &item, 0), 0);
        child_equal(shmb_peek_n(consumer, 2, &span, 0), 2);
        child_check(item_is(span.data, 1));
        child_say("peeked");
        child_await("cut");
        child_check(((const Item *)span.data)->number == 0);
        child_equal(shmb_release_n(consumer, 2), -EBADMSG);
        child_equal(shmb_pop(consumer, &item, 0), -EBADMSG);
        shmb_detach(consumer);
        shmb_detach(producer);
}

/* Items that are known to be there: the consumer has no reason to look at the tail again. */
static void pop_in_child(void *data) {
        struct shmb_region *producer = mover_attach(&broker, names[A], SHMB_PRODUCE);
        struct shmb_region *consumer = mover_attach(&broker, names[A], SHMB_CONSUME);
        Item item;
        unsigned i;

        for (i = 0; i < 3; i++) {
                item_make(&item, i);
                child_equal(shmb_push(producer, &item, 0), 0);
        }
        child_equal(shmb_pop(consumer, &item, 0), 0);
        child_say("popped");
        child_await("cut");
        child_equal(shmb_pop(consumer, &item, 0), -EBADMSG);
        child_equal(shmb_pop(consumer, &item, 0), -EBADMSG);
        shmb_detach(consumer);
        shmb_detach(producer);
}

/* As root, by name: the library has let go of the descriptor. */
static void cut_by_name(const char *region, const char *object) {
        char dotted[64], path[PATH_MAX];
        BrokerName all[BROKER_NAMES_MAX];
        size_t i, n = broker_shm(&broker, all), n_cut = 0;

        snprintf(dotted, sizeof(dotted), "%s.%s@", broker.unique, region);
        for (i = 0; i < n; i++) {
                if (!strstr(all[i].name, dotted) || !strstr(all[i].name, object))
                        continue;
                snprintf(path, sizeof(path), "/dev/shm/%.255s", all[i].name);
                assert_int_equal(truncate(path, 0), 0);
                n_cut++;
        }
        assert_int_equal(n_cut, 1);
}

static void test_truncate_under_a_pop_gives_no_item(void **state) {
        Child child;

        begin();
        child_spawn(&child, &bob, pop_in_child, NULL);
        child_expect(&child, "popped");
        cut_by_name("a", ".lane");
        child_tell(&child, "cut");
        child_finish(&child);
        broker_end(&broker);
}

static void test_truncate_of_a_span_that_is_held_shows_at_its_release(void **state) {
        Child child;

        begin();
        child_spawn(&child, &bob, peek_in_child, NULL);
        child_expect(&child, "peeked");
        cut_by_name("a", ".lane");
        child_tell(&child, "cut");
        child_finish(&child);
        broker_end(&broker);
}

/* Cut and grown again before anybody looks: no fault, and no item either. */
static void test_truncate_and_growth_are_found_out(void **state) {
        const Cutter cutter = { names[A], SHMB_ROLE_PRODUCE };
        Mover producer, consumer;
        Child child;

        begin();
        mover_start(&producer, &broker, names[A], SHMB_PRODUCE, &alice);
        mover_do(&producer, "push 3 from 0", "3 0");
        mover_end(&producer);
        cutter_start(&child, &cutter);
        mover_start(&consumer, &broker, names[A], SHMB_CONSUME, &bob);
        mover_do(&consumer, "pop 3 from 0", "3 0");
        cutter_cut(&child, 0, "0");
        cutter_cut(&child, -1, "0");
        mover_do(&consumer, "pop 1 from 3", "0 EBADMSG");
        mover_end(&consumer);
        child_kill(&child);
        work(names[A], 10);
        broker_end(&broker);
}

/* The next broker does not take the object for what was written down. */
static void test_truncate_while_the_broker_is_away(void **state) {
        const Cutter cutter = { names[A], SHMB_ROLE_PRODUCE };
        Child child;

        begin();
        cutter_start(&child, &cutter);
        broker_kill(&broker);
        cutter_cut(&child, 0, "0");
        child_kill(&child);
        broker_start(&broker);
        work(names[A], 0);
        work(names[SOUND], 0);
        broker_end(&broker);
}

static void test_truncate_of_a_seat_is_an_error_to_its_producer(void **state) {
        const Cutter cutter = { names[A], SHMB_ROLE_CONSUME };
        Mover producer;
        Child child;

        begin();
        cutter_start(&child, &cutter);
        mover_start(&producer, &broker, names[A], SHMB_PRODUCE, &alice);
        mover_do(&producer, "push 5 from 0", "5 0");
        cutter_cut(&child, 0, "0");
        /* The one that meets it is published; the next one is told. */
        mover_do(&producer, "push 2 from 5", "1 EBADMSG");
        mover_do(&producer, "push 1 from 6", "0 EBADMSG");
        mover_end(&producer);
        child_kill(&child);
        mover_start(&producer, &broker, names[A], SHMB_PRODUCE, &alice);
        mover_do(&producer, "push 1 from 6", "1 0");
        mover_end(&producer);
        assert_int_equal(n_lost(), 0);
        broker_end(&broker);
}

static void read_raw_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, names[RAW], SHMB_READ);
        const uint8_t *bytes = shmb_data(r);

        child_equal(shmb_check(r), 0);
        child_say("attached");
        child_await("cut");
        child_equal(bytes[5000], 0);
        child_equal(shmb_check(r), -EBADMSG);
        child_equal(shmb_check(r), -EBADMSG);
        shmb_detach(r);
}

static void test_truncate_of_raw_bytes_shows_zeros_and_check_says_so(void **state) {
        const Cutter cutter = { names[RAW], SHMB_ROLE_WRITE };
        Child child, reader;

        begin();
        cutter_start(&child, &cutter);
        child_spawn(&reader, &bob, read_raw_in_child, NULL);
        child_expect(&reader, "attached");
        cutter_cut(&child, 0, "0");
        child_tell(&reader, "cut");
        child_finish(&reader);
        child_kill(&child);
        broker_end(&broker);
}

static void sealed_in_child(void *data) {
        struct sigaction before, after;
        struct shmb_region *r;

        child_equal(sigaction(SIGBUS, NULL, &before), 0);
        r = mover_attach(&broker, names[SEALED], SHMB_CONSUME);
        child_equal(sigaction(SIGBUS, NULL, &after), 0);
        child_check(before.sa_handler == after.sa_handler);
        shmb_detach(r);
        /* its own seat and control are not at anybody's mercy, the lanes are */
        r = mover_attach(&broker, names[A], SHMB_CONSUME);
        child_equal(sigaction(SIGBUS, NULL, &after), 0);
        child_check(before.sa_handler != after.sa_handler);
        shmb_detach(r);
}

static void test_truncate_of_what_is_sealed_fails_and_needs_no_handler(void **state) {
        const Cutter cutter = { names[SEALED], SHMB_ROLE_PRODUCE };
        Child child;

        begin();
        cutter_start(&child, &cutter);
        cutter_cut(&child, 0, "-1");
        child_kill(&child);
        child_spawn(&child, &bob, sealed_in_child, NULL);
        child_finish(&child);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_truncate_of_lanes_is_an_error_to_their_consumer_and_no_more),
                TEST(test_truncate_under_a_pop_gives_no_item),
                TEST(test_truncate_of_a_span_that_is_held_shows_at_its_release),
                TEST(test_truncate_and_growth_are_found_out),
                TEST(test_truncate_while_the_broker_is_away),
                TEST(test_truncate_of_a_seat_is_an_error_to_its_producer),
                TEST(test_truncate_of_raw_bytes_shows_zeros_and_check_says_so),
                TEST(test_truncate_of_what_is_sealed_fails_and_needs_no_handler),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
