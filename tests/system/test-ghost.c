/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ghosts
 *
 * A process is dead and a child that it forked lives on with what it had: the connection, or its
 * writable descriptors and mappings. The lease is over all the same. What the ghost can still write
 * is nobody's any more: the next one gets a new object, peers follow, and nothing that was
 * published is lost. The library does not leave such children, so the client here is one of the
 * test's own.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/atomics.h"
#include "memory/layout.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"

enum {
        CAPACITY = 64,
        SOME = 10,   /* items that the dead had published, or had before it */
        TAKEN = 4,   /* items that the dead consumer had taken; one of them it held */
        GARBAGE = 0x77,
};

#define SECOND (UINT64_C(1) << 32)

static const char yaml[] =
                "version: 1\n"
                "defaults:\n"
                "  kind: ring\n"
                "  item: {size: 64}\n"
                "  capacity: 64\n"
                "  access: {produce: [any], consume: [any], observe: [any]}\n"
                "regions:\n"
                "  - {name: $/posix, backing: posix}\n"
                "  - {name: $/memfd, backing: memfd}\n";

static Broker broker;
static char ring[256];

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void begin(const char *name) {
        broker_begin(&broker, yaml);
        strcpy(ring, broker_name(&broker, name));
}

static WireRegion region_now(void) {
        WireRegion region;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, ring, &region), 0);
        caller_close(&caller);
        return region;
}

/* Epoch of an object as an observer is given it. */
static uint32_t epoch_now(ShmbObjectKind kind) {
        CallerLease lease;
        uint32_t epoch;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, ring, SHMB_ROLE_OBSERVE, &lease), 0);
        epoch = lease.attached.objects[caller_object(&lease, kind, 0)].epoch;
        caller_lease_close(&lease);
        caller_close(&caller);
        return epoch;
}

static struct shmb_region *attach(enum shmb_role role) {
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        int result;

        child_equal(shmb_connect(broker.socket, &c), 0);
        result = shmb_attach(c, ring, role, NULL, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        return r;
}

typedef struct Ghost {
        ShmbRole role;
        bool keeps_objects, keeps_connection;
} Ghost;

/* Our own lane or seat, writable. */
static void *map_own(const CallerLease *lease, ShmbObjectKind kind) {
        int at = caller_object(lease, kind, 0);
        void *memory;

        child_check(at >= 0 && lease->attached.objects[at].writable);
        memory = mmap(NULL, lease->attached.objects[at].size_bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED, lease->fds[at], 0);
        child_check(memory != MAP_FAILED);
        return memory;
}

/* Publishes ten items as an honest producer does. */
static void publish(ShmbLane *lane) {
        unsigned i;

        for (i = 0; i < SOME; i++)
                item_make((void *)(lane->slots + i * sizeof(Item)), i);
        /* release: publishes the items; pairs with acquire of tail in consumer_read_tail() */
        shmb_store_release(&lane->tail, SOME);
}

/* Has released three items and holds the fourth. */
static void take(ShmbSeat *seat) {
        ShmbPlace *place = &seat->places[0];

        /* relaxed: read by a successor only */
        shmb_store_relaxed(&place->taken, TAKEN);
        /* release: as an honest consumer does; pair with acquire of done, head and epoch in
         * producer_read_head() */
        shmb_store_release(&place->done, TAKEN - 1);
        shmb_store_release(&place->head, TAKEN - 1);
        shmb_store_release(&place->epoch, 1);
}

static void scribble(const Ghost *ghost, void *memory) {
        ShmbLane *lane = memory;
        ShmbSeat *seat = memory;

        if (ghost->role == SHMB_ROLE_PRODUCE) {
                memset(lane->slots, GARBAGE, CAPACITY * sizeof(Item));
                /* release: as if it were a producer still; pairs as in publish() */
                shmb_store_release(&lane->tail, SOME + CAPACITY);
        } else {
                /* release: frees what nobody took; pairs as in take() */
                shmb_store_release(&seat->places[0].done, SOME);
                shmb_store_release(&seat->places[0].head, SOME);
        }
}

static void haunt(const Ghost *ghost, Caller *caller, CallerLease *lease, void *memory,
                  pid_t parent) {
        char line[CHILD_LINE_MAX];

        if (!ghost->keeps_connection)
                caller_close(caller);
        if (!ghost->keeps_objects)
                caller_lease_close(lease);
        child_say("haunting");
        while (getppid() == parent)
                broker_pause();
        for (;;) {
                child_listen(line);
                scribble(ghost, memory);
                child_say("scribbled");
        }
}

static void die_haunted_in_child(void *data) {
        const Ghost *ghost = data;
        pid_t parent = getpid();
        CallerLease lease;
        Caller caller;
        void *memory = NULL;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, ring, ghost->role, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        child_equal(lease.attached.geometry.stride, sizeof(Item));
        if (ghost->keeps_objects && ghost->role == SHMB_ROLE_PRODUCE) {
                memory = map_own(&lease, SHMB_OBJECT_LANE);
                publish(memory);
        } else if (ghost->keeps_objects) {
                memory = map_own(&lease, SHMB_OBJECT_SEAT);
                take(memory);
        }
        if (fork() == 0)
                haunt(ghost, &caller, &lease, memory, parent);
        child_await("die");
}

/* Dies; its child talks on in its name, until the test lets go of it. */
static void haunted(Child *child, const ChildIdentity *identity, Ghost *ghost) {
        child_spawn(child, identity, die_haunted_in_child, ghost);
        child_expect(child, "haunting");
        child_tell(child, "die");
}

static void produce_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        uint64_t i, first = *(const uint64_t *)data;
        Item item;

        for (i = 0; i < SOME; i++) {
                item_make(&item, first + i);
                child_equal(shmb_push(r, &item, 0), 0);
        }
        child_say("pushed");
        child_await("end");
        shmb_detach(r);
}

/* Pops what it is told to, "N from FIRST", and says "popped"; a death on the way is not counted
 * here. */
static void consume_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_CONSUME);
        unsigned long long first;
        char line[CHILD_LINE_MAX];
        unsigned i, n;
        Item item;
        int result;

        child_say("attached");
        for (;;) {
                child_listen(line);
                if (strcmp(line, "end") == 0)
                        break;
                child_equal(sscanf(line, "%u from %llu", &n, &first), 2);
                for (i = 0; i < n; i++) {
                        do
                                result = shmb_pop(r, &item, 5000000000);
                        while (result == -EOWNERDEAD);
                        child_equal(result, 0);
                        child_equal(item.number, first + i);
                        child_check(item_is(&item, first + i));
                }
                child_say("popped");
        }
        do
                result = shmb_pop(r, &item, 0);
        while (result == -EOWNERDEAD);
        child_equal(result, -EAGAIN);
        shmb_detach(r);
}

static void pop(Child *consumer, const char *what) {
        child_tell(consumer, what);
        child_expect(consumer, "popped");
}

static void finish(Child *child) {
        child_tell(child, "end");
        child_finish(child);
}

static void test_ghost_with_the_connection_has_no_lease(void **state) {
        Ghost ghost = { .role = SHMB_ROLE_CONSUME, .keeps_connection = true };
        Child child, successor;

        begin("posix");
        haunted(&child, &bob, &ghost);
        broker_until(region_now().n_consumers == 0);
        child_spawn(&successor, &bob, consume_in_child, NULL);
        child_expect(&successor, "attached");
        finish(&successor);
        /* Nobody can write what the dead one had: it needed no replacement. */
        assert_int_equal(epoch_now(SHMB_OBJECT_SEAT), 1);
        child_wait(&child);
        broker_end(&broker);
}

static void ghost_of_a_producer(const char *name) {
        Ghost ghost = { .role = SHMB_ROLE_PRODUCE, .keeps_objects = true };
        Child child, consumer, successor;
        uint64_t first = SECOND;

        begin(name);
        child_spawn(&consumer, &bob, consume_in_child, NULL);
        child_expect(&consumer, "attached");
        haunted(&child, &alice, &ghost);
        broker_until(region_now().n_producers == 0);
        pop(&consumer, "4 from 0");
        assert_int_equal(epoch_now(SHMB_OBJECT_LANE), 1);

        child_spawn(&successor, &alice, produce_in_child, &first);
        child_expect(&successor, "pushed");
        assert_int_equal(epoch_now(SHMB_OBJECT_LANE), 2);
        assert_int_equal(epoch_now(SHMB_OBJECT_SEAT), 1);
        assert_int_equal(region_now().n_producers, 1);
        /* What the dead one had published, then what its successor sends... */
        pop(&consumer, "6 from 4");
        pop(&consumer, "1 from 4294967296");
        /* ...and nothing of what the ghost writes. */
        child_tell(&child, "scribble");
        child_expect(&child, "scribbled");
        pop(&consumer, "9 from 4294967297");
        finish(&consumer);
        finish(&successor);
        child_wait(&child);
        broker_end(&broker);
}

static void test_ghost_of_a_producer_writes_to_nobody_posix(void **state) {
        ghost_of_a_producer("posix");
}

static void test_ghost_of_a_producer_writes_to_nobody_memfd(void **state) {
        ghost_of_a_producer("memfd");
}

static void push_on_in_child(void *data) {
        struct shmb_region *r = attach(SHMB_PRODUCE);
        uint64_t number = 0;
        Item item;
        int result;

        /* until nothing more fits, that is until it knows what its consumer has released */
        for (;;) {
                item_make(&item, number);
                result = shmb_push(r, &item, 0);
                if (result == -EAGAIN)
                        break;
                child_equal(result, 0);
                number++;
        }
        child_equal(number, CAPACITY);
        child_say("full");
        child_await("go");
        for (; number < 3 * CAPACITY;) {
                item_make(&item, number);
                result = shmb_push(r, &item, -1);
                if (result != -EOWNERDEAD)
                        child_equal(result, 0);
                number += result == 0;
        }
        child_say("pushed");
        child_await("end");
        shmb_detach(r);
}

static void ghost_of_a_consumer(const char *name) {
        Ghost ghost = { .role = SHMB_ROLE_CONSUME, .keeps_objects = true };
        Child child, producer, successor;

        begin(name);
        child_spawn(&producer, &alice, push_on_in_child, NULL);
        child_expect(&producer, "full");
        haunted(&child, &bob, &ghost);
        broker_until(region_now().n_consumers == 0);

        child_spawn(&successor, &bob, consume_in_child, NULL);
        child_expect(&successor, "attached");
        assert_int_equal(epoch_now(SHMB_OBJECT_SEAT), 2);
        assert_int_equal(epoch_now(SHMB_OBJECT_LANE), 1);
        assert_int_equal(region_now().redelivered, 1);
        /* The producer hears only the new seat: what the ghost frees stays. */
        child_tell(&child, "scribble");
        child_expect(&child, "scribbled");
        child_tell(&producer, "go");
        pop(&successor, "189 from 3");
        child_expect(&producer, "pushed");
        finish(&successor);
        finish(&producer);
        child_wait(&child);
        broker_end(&broker);
}

static void test_ghost_of_a_consumer_frees_nothing_posix(void **state) {
        ghost_of_a_consumer("posix");
}

static void test_ghost_of_a_consumer_frees_nothing_memfd(void **state) {
        ghost_of_a_consumer("memfd");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_ghost_with_the_connection_has_no_lease),
                TEST(test_ghost_of_a_producer_writes_to_nobody_posix),
                TEST(test_ghost_of_a_producer_writes_to_nobody_memfd),
                TEST(test_ghost_of_a_consumer_frees_nothing_posix),
                TEST(test_ghost_of_a_consumer_frees_nothing_memfd),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
