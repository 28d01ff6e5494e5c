/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Noise in Shared Memory, of every Kind
 *
 * A client under another user, who is let in as producer or as consumer, writes anything anywhere
 * in what it may write, as fast as it can. Honest clients at work beside it get documented errors
 * and nothing else: no signal, no wait without an end, and the sanitizer sees no read out of place.
 * What an honest producer publishes in a lane of its own reaches its consumer all the same, and
 * when the liar is gone the region works for whoever comes.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/layout.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"

enum {
        NOISE_NS = 300000000,
        PATIENCE_NS = 1000000,
        OBJECTS = 4,
        MESSAGE_MAX = 1024,
        AFTERWARDS = 10,
        TRIES = 20000,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {access: {produce: [any], consume: [any]}}\n"
                "regions:\n"
                "  - {name: $/lanes, kind: ring, item: {size: 64}, capacity: 64, producers: 2}\n"
                "  - {name: $/group, kind: ring, item: {size: 64}, capacity: 64, producers: 2,\n"
                "     consumers: 2, backing: memfd}\n"
                "  - {name: $/queue, kind: queue, item: {size: 64}, max_bytes: 64K, segment: 4K,\n"
                "     producers: 2}\n"
                "  - {name: $/lossy, kind: broadcast, item: {size: 64}, capacity: 64,\n"
                "     producers: 2, consumers: 3}\n"
                "  - {name: $/reliable, kind: broadcast, delivery: reliable, item: {size: 64},\n"
                "     capacity: 64, producers: 2, consumers: 3, backing: memfd}\n"
                "  - {name: $/latest, kind: latest, item: {size: 64}, slots: 3, consumers: 3}\n"
                "  - {name: $/stream, kind: stream, capacity: 8K, max_message: 1K,\n"
                "     producers: 2}\n";

/* Numbers beyond it are of who comes when the liar is gone, and may be the latest value still. */
#define LATER (UINT64_C(1) << 32)

/* What the liar leaves of an honest producer's items to their consumer. */
typedef enum Promise {
        PROMISE_ALL,       /* each, in order */
        PROMISE_ASCENDING, /* in order */
        PROMISE_NOTHING,   /* he has their only consumer's place, or their only producer's */
} Promise;

typedef struct Scene {
        const char *region;
        ShmbRole liar;
        Promise promise;
} Scene;

static const Scene scenes[] = {
        { "lanes", SHMB_ROLE_PRODUCE, PROMISE_ALL },
        { "lanes", SHMB_ROLE_CONSUME, PROMISE_NOTHING },
        /* Who may take an item may lose it. */
        { "group", SHMB_ROLE_PRODUCE, PROMISE_ALL },
        { "group", SHMB_ROLE_CONSUME, PROMISE_NOTHING },
        { "queue", SHMB_ROLE_PRODUCE, PROMISE_ALL },
        { "queue", SHMB_ROLE_CONSUME, PROMISE_NOTHING },
        { "lossy", SHMB_ROLE_PRODUCE, PROMISE_ASCENDING },
        { "lossy", SHMB_ROLE_CONSUME, PROMISE_ASCENDING },
        { "reliable", SHMB_ROLE_PRODUCE, PROMISE_ALL },
        { "reliable", SHMB_ROLE_CONSUME, PROMISE_ALL },
        { "latest", SHMB_ROLE_PRODUCE, PROMISE_NOTHING },
        { "latest", SHMB_ROLE_CONSUME, PROMISE_ASCENDING },
        { "stream", SHMB_ROLE_PRODUCE, PROMISE_ALL },
        { "stream", SHMB_ROLE_CONSUME, PROMISE_NOTHING },
};

/* Shared with the children. */
typedef struct Tally {
        _Atomic bool stop;         /* honest producers: no more items */
        _Atomic bool ended;        /* and here is how many there were */
        _Atomic uint64_t produced, consumed;
        _Atomic uint64_t n_errors; /* -EBADMSG that honest clients were told */
} Tally;

static Broker broker;
static Tally *tally;
static const Scene *scene;
static char region[256];

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static int setup(void **state) {
        broker_begin(&broker, yaml);
        tally = child_share(sizeof(*tally));
        return 0;
}

static int teardown(void **state) {
        child_unshare(tally, sizeof(*tally));
        broker_deinit(&broker);
        return 0;
}

/*
 * The Liar
 */

typedef struct Scribbled {
        uint32_t *words;
        size_t n, hurts; /* words of it, and where the indices are */
} Scribbled;

static size_t where_it_hurts(ShmbObjectKind kind) {
        return kind == SHMB_OBJECT_LANE   ? offsetof(ShmbLane, tail)
               : kind == SHMB_OBJECT_SEAT ? offsetof(ShmbSeat, places)
                                          : offsetof(ShmbGroup, words);
}

static size_t map_writable(const CallerLease *lease, Scribbled ret_objects[static OBJECTS]) {
        const WireObject *object;
        size_t n = 0;
        uint32_t i;

        for (i = 0; i < lease->attached.n_objects; i++) {
                object = &lease->attached.objects[i];
                if (!object->writable || n == OBJECTS)
                        continue;
                ret_objects[n].words = mmap(NULL, object->size_bytes, PROT_READ | PROT_WRITE,
                                            MAP_SHARED, lease->fds[i], 0);
                child_check(ret_objects[n].words != MAP_FAILED);
                ret_objects[n].n = object->size_bytes / sizeof(uint32_t);
                ret_objects[n++].hurts = where_it_hurts((ShmbObjectKind)object->kind) /
                                         sizeof(uint32_t);
        }
        child_check(n > 0);
        return n;
}

/* Small numbers where the indices are, anything anywhere; where nothing is backed, nothing. */
static void lie(void *data) {
        Scribbled objects[OBJECTS];
        CallerLease lease;
        Caller caller;
        uint64_t random = 7;
        size_t n;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, region, scene->liar, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        n = map_writable(&lease, objects);
        child_say("lying");
        for (;;) {
                Scribbled *it;

                random = item_mix(random);
                it = &objects[random % n];
                it->words[it->hurts + (random >> 8) % 64] = (uint32_t)(random >> 50);
                if (random % 16 == 0)
                        it->words[(random >> 16) % (SHMB_PAGE / sizeof(uint32_t))] =
                                        (uint32_t)(random >> 32);
        }
}

/*
 * The Honest
 */

static struct shmb_region *attach(struct shmb *c, enum shmb_role role) {
        struct shmb_region *r = NULL;
        int result = shmb_attach(c, region, role, NULL, &r);

        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(c), result);
        return r;
}

/* What a handle is good for after this. Ends the child where no page of the manual has it. */
static bool may_go_on(struct shmb *c, struct shmb_region **r, enum shmb_role role, int result) {
        if (result >= 0)
                return true;
        if (result == -EBADMSG)
                atomic_fetch_add(&tally->n_errors, 1);
        if (result == -ESHUTDOWN || (result == -EBADMSG && scene->promise == PROMISE_NOTHING)) {
                shmb_detach(*r);
                *r = attach(c, role);
        } else if (result != -EBADMSG && result != -ETIMEDOUT && result != -EAGAIN &&
                   result != -EOWNERDEAD) {
                child_fail(__FILE__, __LINE__, "a result that is not documented", result);
        }
        return false;
}

static int put(struct shmb_region *r, const Item *item) {
        int result = shmb_push(r, item, PATIENCE_NS);

        return result == -EOPNOTSUPP ? shmb_send(r, item, sizeof(*item), PATIENCE_NS) : result;
}

static void produce(void *data) {
        struct shmb_region *r;
        struct shmb *c = NULL;
        uint64_t i = 1;
        Item item;

        child_equal(shmb_connect(broker.socket, &c), 0);
        r = attach(c, SHMB_PRODUCE);
        child_say("attached");
        child_await("go");
        while (!atomic_load(&tally->stop)) {
                item_make(&item, i);
                if (may_go_on(c, &r, SHMB_PRODUCE, put(r, &item)))
                        atomic_store(&tally->produced, i++);
        }
        atomic_store(&tally->ended, true);
        child_say("ended");
        child_await("end");
        shmb_detach(r);
        shmb_close(c);
}

/* Return: the item's number; 0 for what an honest producer never made. */
static int take(struct shmb_region *r, uint64_t *ret_number) {
        uint8_t bytes[MESSAGE_MAX];
        ssize_t n = shmb_pop(r, bytes, PATIENCE_NS);
        Item item;

        if (n == 0)
                n = sizeof(item);
        if (n == -EOPNOTSUPP)
                n = shmb_recv(r, bytes, sizeof(bytes), PATIENCE_NS);
        memcpy(&item, bytes, sizeof(item));
        *ret_number = n == sizeof(item) && item_is(&item, item.number) ? item.number : 0;
        return n < 0 ? (int)n : 0;
}

static bool is_all_there(uint64_t last) {
        if (!atomic_load(&tally->stop))
                return false;
        return scene->promise != PROMISE_ALL ||
               (atomic_load(&tally->ended) && last == atomic_load(&tally->produced));
}

static void consume(void *data) {
        struct shmb_region *r;
        struct shmb *c = NULL;
        uint64_t number, last = 0;

        child_equal(shmb_connect(broker.socket, &c), 0);
        r = attach(c, SHMB_CONSUME);
        child_say("attached");
        while (!is_all_there(last)) {
                if (!may_go_on(c, &r, SHMB_CONSUME, take(r, &number)) || number == 0 ||
                    number > LATER)
                        continue;
                if (scene->promise == PROMISE_ALL)
                        child_equal(number, last + 1);
                else if (scene->promise == PROMISE_ASCENDING)
                        child_check(number > last);
                last = number;
                atomic_fetch_add(&tally->consumed, 1);
        }
        shmb_detach(r);
        shmb_close(c);
}

/*
 * The Scenes
 */

/* Somebody else comes, and finds the region as if nothing had been. */
static void work_again(void) {
        struct shmb_region *p = NULL, *q = NULL;
        struct shmb *c[2] = { NULL, NULL };
        uint64_t number, last = 0, i;
        unsigned tries;
        int result;
        Item item;

        assert_int_equal(shmb_connect(broker.socket, &c[0]), 0);
        assert_int_equal(shmb_connect(broker.socket, &c[1]), 0);
        assert_int_equal(shmb_attach(c[0], region, SHMB_CONSUME, NULL, &q), 0);
        assert_int_equal(shmb_attach(c[1], region, SHMB_PRODUCE, NULL, &p), 0);
        for (i = 1; i <= AFTERWARDS; i++) {
                item_make(&item, LATER + i);
                result = put(p, &item);
                /* What was left of before comes first, and may be in the way. */
                for (tries = 0; tries < TRIES && last != item.number; tries++) {
                        if (result < 0)
                                result = put(p, &item);
                        if (take(q, &number) == 0 && number > last)
                                last = number;
                }
                assert_int_equal(last, item.number);
        }
        shmb_detach(p);
        shmb_detach(q);
        shmb_close(c[0]);
        shmb_close(c[1]);
}

static void wait_for_noise(void) {
        uint64_t until = broker_now_ns() + NOISE_NS;

        broker_until(broker_now_ns() > until);
}

static void play(void) {
        bool alone = scene->promise == PROMISE_NOTHING, consumes;
        Child liar, producer, consumer;

        consumes = !alone || scene->liar == SHMB_ROLE_PRODUCE ||
                   strcmp(scene->region, "group") == 0;
        memset(tally, 0, sizeof(*tally));
        snprintf(region, sizeof(region), "%s", broker_name(&broker, scene->region));
        child_spawn(&liar, &bob, lie, NULL);
        child_expect(&liar, "lying");
        if (consumes) {
                child_spawn(&consumer, &bob, consume, NULL);
                child_expect(&consumer, "attached");
        }
        if (!alone || scene->liar == SHMB_ROLE_CONSUME) {
                child_spawn(&producer, &alice, produce, NULL);
                child_expect(&producer, "attached");
                child_tell(&producer, "go");
        }
        wait_for_noise();
        atomic_store(&tally->stop, true);
        if (!alone || scene->liar == SHMB_ROLE_CONSUME)
                child_expect(&producer, "ended");
        if (consumes)
                child_finish(&consumer);
        if (!alone || scene->liar == SHMB_ROLE_CONSUME) {
                child_tell(&producer, "end");
                child_finish(&producer);
        }
        child_kill(&liar);
        work_again();
        print_message("%s, %s lies: %llu items went, %llu came, %llu errors\n", scene->region,
                      shmb_role_to_string(scene->liar), (unsigned long long)tally->produced,
                      (unsigned long long)tally->consumed, (unsigned long long)tally->n_errors);
        if (!alone)
                assert_true(tally->consumed > 0);
}

static void test_noise_does_no_harm(void **state) {
        size_t i;

        for (i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
                scene = &scenes[i];
                play();
        }
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_noise_does_no_harm, setup, teardown),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
