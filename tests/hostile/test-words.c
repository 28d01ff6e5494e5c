/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lies in Shared Memory
 *
 * A client that may write a lane or a seat writes there what it likes. Its peer says so, -EBADMSG,
 * and takes nothing of it; and when the liar is gone the region works for those who come after him,
 * without anybody's doing. Also: what a mere observer can do with futexes to one who sleeps.
 */

#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/atomics.h"
#include "memory/layout.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        CAPACITY = 64,
        GARBAGE = 0xee,
        WAKES = 10,
};

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

typedef struct Lie {
        const char *what;
        ShmbRole role;
        void (*tell)(ShmbLane *lane, ShmbSeat *seat);
        bool garbles; /* the header of its object as well */
} Lie;

/* All stores here are release for the sake of order with each other only: nobody shall believe
 * them, so there is nothing that they pair with. */

static void tail_too_far(ShmbLane *lane, ShmbSeat *seat) {
        shmb_store_release(&lane->tail, 1000000);
}

static void tail_backwards(ShmbLane *lane, ShmbSeat *seat) {
        shmb_store_release(&lane->tail, UINT64_MAX - 500);
}

static void tail_half_way_round(ShmbLane *lane, ShmbSeat *seat) {
        shmb_store_release(&lane->tail, UINT64_C(1) << 63);
}

static void place(ShmbSeat *seat, uint64_t value) {
        shmb_store_release(&seat->places[0].taken, value);
        shmb_store_release(&seat->places[0].done, value);
        shmb_store_release(&seat->places[0].head, value);
        shmb_store_release(&seat->places[0].epoch, 1);
}

static void head_too_far(ShmbLane *lane, ShmbSeat *seat) {
        place(seat, 1000000);
}

static void head_backwards(ShmbLane *lane, ShmbSeat *seat) {
        place(seat, UINT64_MAX - 500);
}

static void head_half_way_round(ShmbLane *lane, ShmbSeat *seat) {
        place(seat, UINT64_C(1) << 63);
}

static const Lie lies[] = {
        { "tail too far", SHMB_ROLE_PRODUCE, tail_too_far, false },
        { "tail backwards", SHMB_ROLE_PRODUCE, tail_backwards, false },
        { "tail half way round, no header", SHMB_ROLE_PRODUCE, tail_half_way_round, true },
        { "head too far", SHMB_ROLE_CONSUME, head_too_far, false },
        { "head backwards", SHMB_ROLE_CONSUME, head_backwards, false },
        { "head half way round, no header", SHMB_ROLE_CONSUME, head_half_way_round, true },
};

static void lie_in_child(void *data) {
        const Lie *lie = data;
        bool produces = lie->role == SHMB_ROLE_PRODUCE;
        CallerLease lease;
        Caller caller;
        uint8_t *memory;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, ring, lie->role, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        at = caller_object(&lease, produces ? SHMB_OBJECT_LANE : SHMB_OBJECT_SEAT, 0);
        memory = mmap(NULL, lease.attached.objects[at].size_bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED, lease.fds[at], 0);
        child_check(memory != MAP_FAILED);
        if (lie->garbles)
                memset(memory, GARBAGE, sizeof(ShmbHeader));
        lie->tell(produces ? (void *)memory : NULL, produces ? NULL : (void *)memory);
        child_say("lied");
        child_await("end");
}

/* In the order in which honest clients come back: the producer first, or the consumer. */
static void work_again(bool producer_first) {
        Mover producer, consumer;

        if (producer_first)
                mover_start(&producer, &broker, ring, SHMB_PRODUCE, &alice);
        mover_start(&consumer, &broker, ring, SHMB_CONSUME, &bob);
        if (!producer_first)
                mover_start(&producer, &broker, ring, SHMB_PRODUCE, &alice);
        mover_do(&producer, "push 60 from 5000", "60 0");
        mover_do(&consumer, "pop 60 from 5000", "60 0");
        mover_do(&producer, "push 60 from 5060", "60 0");
        mover_do(&consumer, "pop 60 from 5060", "60 0");
        mover_end(&producer);
        mover_end(&consumer);
}

static void tell_lie(const Lie *lie, const char *name, bool producer_first) {
        Mover honest;
        Child liar;

        print_message("%s, %s\n", lie->what, name);
        begin(name);
        if (lie->role == SHMB_ROLE_PRODUCE)
                mover_start(&honest, &broker, ring, SHMB_CONSUME, &bob);
        else
                mover_start(&honest, &broker, ring, SHMB_PRODUCE, &alice);
        child_spawn(&liar, lie->role == SHMB_ROLE_PRODUCE ? &alice : &bob, lie_in_child,
                    (void *)lie);
        child_expect(&liar, "lied");
        if (lie->role == SHMB_ROLE_PRODUCE) {
                mover_do(&honest, "pop 10 from 0", "0 EBADMSG");
                mover_do(&honest, "pop 10 from 0", "0 EBADMSG");
        } else {
                mover_do(&honest, "push 1000 from 0", "0 EBADMSG");
                mover_do(&honest, "push 1000 from 0", "0 EBADMSG");
        }
        mover_end(&honest);
        child_kill(&liar);
        work_again(producer_first);
        broker_end(&broker);
}

static void test_words_that_lie_are_found_out_and_forgotten(void **state) {
        size_t i;

        for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
                tell_lie(&lies[i], "posix", true);
                tell_lie(&lies[i], "memfd", false);
        }
}

/* Everything that a producer may write is noise, while a consumer is at work: it gets errors, it
 * does not get a signal, and it reads nothing that is not in its maps (the sanitizer looks). */
static void noise_in_child(void *data) {
        const Lie *lie = data;
        bool produces = lie->role == SHMB_ROLE_PRODUCE;
        CallerLease lease;
        Caller caller;
        uint32_t *words;
        uint64_t random = 7;
        size_t n, hurts;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, ring, lie->role, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        at = caller_object(&lease, produces ? SHMB_OBJECT_LANE : SHMB_OBJECT_SEAT, 0);
        n = lease.attached.objects[at].size_bytes / sizeof(*words);
        words = mmap(NULL, n * sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED, lease.fds[at],
                     0);
        child_check(words != MAP_FAILED);
        /* small numbers where the indices are, anything anywhere */
        hurts = (produces ? offsetof(ShmbLane, tail) : offsetof(ShmbSeat, places)) / sizeof(*words);
        child_say("noise");
        for (;;) {
                random = item_mix(random);
                words[random % n] = (uint32_t)(random >> 32);
                words[hurts + (random >> 8) % 64] = (uint32_t)(random >> 50);
        }
}

static void hear_noise_in_child(void *data) {
        const Lie *lie = data;
        bool pops = lie->role == SHMB_ROLE_PRODUCE;
        uint64_t until_ns = broker_now_ns() + 300000000, n_errors = 0;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        Item item = {};
        int result;

        child_equal(shmb_connect(broker.socket, &c), 0);
        while (broker_now_ns() < until_ns) {
                if (!r)
                        child_equal(shmb_attach(c, ring, pops ? SHMB_CONSUME : SHMB_PRODUCE, NULL,
                                                &r),
                                    0);
                result = pops ? shmb_pop(r, &item, 1000000) : shmb_push(r, &item, 1000000);
                if (result == -EBADMSG) {
                        n_errors++;
                        r = shmb_detach(r);
                } else {
                        child_check(result == 0 || result == -ETIMEDOUT || result == -EOWNERDEAD);
                }
        }
        shmb_detach(r);
        shmb_close(c);
        /* A place whose epoch is noise too says nothing at all: then the lane is just full. */
        child_check(n_errors > 0 || !pops);
        child_say("unharmed");
}

/* What is left of what was pushed into the noise. */
static void drain_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, ring, SHMB_CONSUME);
        unsigned n = 0;
        Item item;

        while (shmb_pop(r, &item, 0) == 0)
                n++;
        child_check(n <= CAPACITY);
        shmb_detach(r);
}

static void test_words_of_noise_do_no_harm(void **state) {
        Child liar, honest, drain;
        unsigned i;

        for (i = 0; i < 2; i++) {
                begin(i ? "memfd" : "posix");
                child_spawn(&liar, &alice, noise_in_child, (void *)&lies[i ? 3 : 0]);
                child_expect(&liar, "noise");
                child_spawn(&honest, &bob, hear_noise_in_child, (void *)&lies[i ? 3 : 0]);
                child_expect(&honest, "unharmed");
                child_finish(&honest);
                child_kill(&liar);
                child_spawn(&drain, &bob, drain_in_child, NULL);
                child_finish(&drain);
                work_again(i);
                broker_end(&broker);
        }
}

/* Sleeps for each item, and tells when it came. */
static void sleep_in_child(void *data) {
        struct shmb_region *r = mover_attach(&broker, ring, SHMB_CONSUME);
        unsigned i;
        Item item;

        child_say("attached");
        for (i = 0; i < WAKES; i++) {
                child_equal(shmb_pop(r, &item, -1), 0);
                child_check(item_is(&item, i));
                child_say("woken");
        }
        shmb_detach(r);
}

/* Has the kernel move whoever sleeps on the bell of the lane to a word of its own, for ever. */
static void steal_in_child(void *data) {
        const ShmbLane *lane;
        CallerLease lease;
        Caller caller;
        uint32_t mine = 0;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, ring, SHMB_ROLE_OBSERVE, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        at = caller_object(&lease, SHMB_OBJECT_LANE, 0);
        lane = mmap(NULL, lease.attached.objects[at].size_bytes, PROT_READ, MAP_SHARED,
                    lease.fds[at], 0);
        child_check(lane != MAP_FAILED);
        child_say("stealing");
        for (;;)
                syscall(SYS_futex, &lane->bell.bell, FUTEX_REQUEUE, 0, (void *)INT32_MAX, &mine, 0);
}

/* Wakes can be stolen, so nobody relies on them: who sleeps looks again within 100 ms. */
static void test_words_wakes_that_are_stolen_delay_and_no_more(void **state) {
        char order[64];
        Child sleeper, thief;
        Mover producer;
        unsigned i;

        begin("posix");
        child_spawn(&sleeper, &bob, sleep_in_child, NULL);
        child_expect(&sleeper, "attached");
        child_spawn(&thief, &bob, steal_in_child, NULL);
        child_expect(&thief, "stealing");
        mover_start(&producer, &broker, ring, SHMB_PRODUCE, &alice);
        for (i = 0; i < WAKES; i++) {
                snprintf(order, sizeof(order), "push 1 from %u", i);
                mover_do(&producer, order, "1 0");
                child_expect(&sleeper, "woken");
        }
        child_finish(&sleeper);
        child_kill(&thief);
        mover_end(&producer);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_words_that_lie_are_found_out_and_forgotten),
                TEST(test_words_of_noise_do_no_harm),
                TEST(test_words_wakes_that_are_stolen_delay_and_no_more),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
