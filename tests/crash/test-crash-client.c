/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Region outlives each of its Users, wherever they die
 *
 * The real library in a real process with the real broker: attach, every operation, sleeping,
 * waking and detach, killed at each point where a kill makes a difference. Whoever is left, and
 * whoever comes next, goes on: no published item is lost, none is torn, what was held comes again
 * and is counted, nobody waits for ever. And the same once more with two deaths, one behind the
 * other.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "memory/layout.h"
#include "protocol/bits.h"
#include "tests/crash/trace.h"
#include "tests/harness/broker.h"
#include "tests/harness/items.h"

enum {
        /* In the region when a consumer begins. */
        WAITING = 2,
        NAP_NS = 100000,
};

static Broker broker;
static struct shmb *connection;
static TraceWatched watched[TRACE_WATCHED_MAX];
static size_t n_watched;
static uint64_t n_kills, n_instructions;

/* A kind of region, by how its items are moved. */
typedef struct Scene {
        const char *name;
        const char *yaml;
        uint64_t capacity;
} Scene;

static const Scene *scene;
static uint64_t next_in, next_out; /* the number of the next item, and of the next one to come */

static const Scene scenes[] = {
        { "ring", "kind: ring, item: {size: 64, align: 8}, capacity: 4", 4 },
        { "ring-memfd", "kind: ring, item: {size: 64, align: 8}, capacity: 4, backing: memfd", 4 },
        { "group", "kind: ring, item: {size: 64, align: 8}, capacity: 4, consumers: 2", 4 },
        { "queue", "kind: queue, item: {size: 64, align: 8}, max_bytes: 4K, segment: 4K", 64 },
        /* Each item is a message. */
        { "stream", "kind: stream, capacity: 4K, max_message: 64", 4096 / (8 + sizeof(Item)) },
};

static struct shmb_region *attach_with(struct shmb *c, enum shmb_role role) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        int result;

        result = shmb_attach(c, broker_name(&broker, scene->name), role, &want, &r);
        if (result < 0)
                fail_msg("%s: %s", scene->name, shmb_error(c));
        return r;
}

/*
 * One item, whatever the kind
 */

static bool is_stream(void) {
        return strcmp(scene->name, "stream") == 0;
}

static int push(struct shmb_region *r, uint64_t number, int64_t timeout_ns) {
        Item item;

        item_make(&item, number);
        return is_stream() ? shmb_send(r, &item, sizeof(item), timeout_ns)
                           : shmb_push(r, &item, timeout_ns);
}

static int take(struct shmb_region *r, Item *ret_item, int64_t timeout_ns) {
        ssize_t n;

        if (!is_stream())
                return shmb_pop(r, ret_item, timeout_ns);
        n = shmb_recv(r, ret_item, sizeof(*ret_item), timeout_ns);
        return n == sizeof(*ret_item) ? 0 : (int)n;
}

static int claim(struct shmb_region *r, void **ret_slot) {
        struct shmb_span span;
        int result;

        if (!is_stream())
                return shmb_claim(r, ret_slot, 0);
        result = shmb_claim_n(r, sizeof(Item), &span, 0);
        *ret_slot = span.data;
        return result < 0 ? result : 0;
}

static int commit(struct shmb_region *r) {
        return is_stream() ? shmb_commit_n(r, sizeof(Item)) : shmb_commit(r);
}

static int peek(struct shmb_region *r) {
        struct shmb_span span;
        const void *item;
        int result;

        if (!is_stream())
                return shmb_peek(r, &item, 0);
        result = shmb_peek_n(r, sizeof(Item), &span, 0);
        return result < 0 ? result : 0;
}

static int release(struct shmb_region *r) {
        return is_stream() ? shmb_release_n(r, sizeof(Item)) : shmb_release(r);
}

static int pop(struct shmb_region *r, uint64_t *ret_number, int64_t timeout_ns) {
        Item item;
        int result = take(r, &item, timeout_ns);

        if (result == 0) {
                assert_true(item_is(&item, item.number));
                *ret_number = item.number;
        }
        return result;
}

/*
 * What children do
 */

typedef struct Op {
        const char *name;
        enum shmb_role role;
        bool full;      /* of a producer: there is no room */
        uint64_t least; /* items that it has published, or released, when it is over */
        uint64_t most;  /* and that it may have, wherever it dies */
        bool holds;     /* of a consumer: it has looked at an item from the start */
        void (*prepare)(struct shmb_region *r);
        void (*act)(struct shmb_region *r);
} Op;

static void *slot;

static void act_push(struct shmb_region *r) {
        (void)push(r, next_in, 0);
}

static void act_claim_and_commit(struct shmb_region *r) {
        Item item;

        if (claim(r, &slot) < 0)
                _exit(1);
        item_make(&item, next_in);
        memcpy(slot, &item, sizeof(item));
        (void)commit(r);
}

static void act_claim_and_abort(struct shmb_region *r) {
        if (claim(r, &slot) < 0)
                _exit(1);
        memset(slot, 0xa5, sizeof(Item));
        shmb_abort(r);
}

static void act_push_in_vain(struct shmb_region *r) {
        (void)push(r, next_in, NAP_NS);
}

static void act_pop(struct shmb_region *r) {
        Item item;

        (void)take(r, &item, 0);
}

static void act_peek_and_release(struct shmb_region *r) {
        if (peek(r) < 0)
                _exit(1);
        (void)release(r);
}

static void prepare_peek(struct shmb_region *r) {
        if (peek(r) < 0)
                _exit(1);
}

static void act_release(struct shmb_region *r) {
        (void)release(r);
}

static void prepare_empty(struct shmb_region *r) {
        Item item;
        int i;

        for (i = 0; i < WAITING; i++)
                if (take(r, &item, 0) < 0)
                        _exit(1);
}

static void act_pop_in_vain(struct shmb_region *r) {
        Item item;

        (void)take(r, &item, NAP_NS);
}

static void act_detach(struct shmb_region *r) {
        shmb_detach(r);
}

/* Without a region: it is attached under the eyes of the test. */
static const Op op_attach_producer = { .name = "attach to produce", .role = SHMB_PRODUCE };
static const Op op_attach_consumer = { .name = "attach to consume", .role = SHMB_CONSUME };

static const Op producer_ops[] = {
        { "push", SHMB_PRODUCE, false, 1, 1, false, NULL, act_push },
        { "claim, commit", SHMB_PRODUCE, false, 1, 1, false, NULL, act_claim_and_commit },
        { "claim, abort", SHMB_PRODUCE, false, 0, 0, false, NULL, act_claim_and_abort },
        { "sleep for room", SHMB_PRODUCE, true, 0, 0, false, NULL, act_push_in_vain },
        { "detach", SHMB_PRODUCE, false, 0, 0, false, NULL, act_detach },
};

static const Op consumer_ops[] = {
        { "pop", SHMB_CONSUME, false, 1, 1, false, NULL, act_pop },
        { "peek, release", SHMB_CONSUME, false, 1, 1, false, NULL, act_peek_and_release },
        { "release", SHMB_CONSUME, false, 1, 1, true, prepare_peek, act_release },
        { "sleep for items", SHMB_CONSUME, false, WAITING, WAITING, false, prepare_empty,
          act_pop_in_vain },
        { "detach", SHMB_CONSUME, false, 0, 0, false, NULL, act_detach },
};

static void child(void *data) {
        const Op *op = data;
        struct shmb_region *r = NULL;
        struct shmb *c;

        if (shmb_connect(broker.socket, &c) < 0)
                _exit(1);
        if (op->act && shmb_attach(c, broker_name(&broker, scene->name), op->role, NULL, &r) < 0)
                _exit(1);
        if (op->prepare)
                op->prepare(r);
        trace_begin();
        if (op->act)
                op->act(r);
        else if (shmb_attach(c, broker_name(&broker, scene->name), op->role, NULL, &r) < 0)
                _exit(1);
        trace_end();
}

/*
 * What is watched
 */

/* All objects of the region that have a name; those of a memfd the handle of an observer has. */
static void watch(void) {
        BrokerName names[BROKER_NAMES_MAX];
        size_t i, n = broker_shm(&broker, names);
        char path[300], part[64];
        struct stat st;
        void *bytes;
        int fd;

        n_watched = 0;
        snprintf(part, sizeof(part), ".%s@", scene->name);
        for (i = 0; i < n; i++) {
                if (!strstr(names[i].name, part))
                        continue;
                snprintf(path, sizeof(path), "/dev/shm/%.255s", names[i].name);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                assert_true(fd >= 0 && fstat(fd, &st) == 0);
                bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
                assert_ptr_not_equal(bytes, MAP_FAILED);
                close(fd);
                watched[n_watched++] = (TraceWatched){ bytes, (size_t)st.st_size };
        }
}

static void unwatch(void) {
        while (n_watched > 0) {
                n_watched--;
                munmap((void *)watched[n_watched].bytes, watched[n_watched].n_bytes);
        }
}

/*
 * Trials
 */

/* Nobody who left may still write: what he held in a group is others' now. */
static bool is_settled(void) {
        const ShmbControl *control;
        bool settled = true;
        size_t i, k, n;

        watch();
        for (i = 0; i < n_watched; i++) {
                control = (const void *)watched[i].bytes;
                if (control->header.object_kind != SHMB_OBJECT_CONTROL)
                        continue;
                n = control->header.n_lanes + control->header.n_seats;
                for (k = 0; k < n; k++)
                        settled &= atomic_load(&control->parties[k].occupancy) !=
                                   SHMB_PARTY_UNPROVEN;
        }
        unwatch();
        return settled;
}

static bool is_alone(struct shmb_region *observer, enum shmb_role role) {
        struct shmb_stats stats = { .size = sizeof(stats) };

        if (role == SHMB_CONSUME && strcmp(scene->name, "group") == 0 && !is_settled())
                return false;

        assert_int_equal(shmb_get_stats(observer, &stats), 0);
        return (role == SHMB_PRODUCE ? stats.n_producers : stats.n_consumers) == 0;
}

static uint64_t n_redelivered(struct shmb_region *observer) {
        struct shmb_stats stats = { .size = sizeof(stats) };

        assert_int_equal(shmb_get_stats(observer, &stats), 0);
        return stats.n_redelivered;
}

/* Everything that there is, in order. Return: how many items. */
static uint64_t take_all(struct shmb_region *consumer) {
        uint64_t n = 0, number = 0;
        int result;

        for (;;) {
                result = pop(consumer, &number, 0);
                if (result == -EAGAIN)
                        return n;
                if (result == -EOWNERDEAD)
                        continue;
                assert_int_equal(result, 0);
                assert_int_equal(number, next_out);
                next_out++;
                n++;
        }
}

static void give(struct shmb_region *producer, uint64_t n) {
        int result;

        while (n > 0) {
                /* The memory of a queue may come a moment later. */
                result = push(producer, next_in, 1000000000);
                if (result == -EOWNERDEAD)
                        continue;
                assert_int_equal(result, 0);
                next_in++;
                n--;
        }
}

/* Nobody is there; both ends are taken, and are as good as new. */
static void go_on(void) {
        struct shmb_region *producer = attach_with(connection, SHMB_PRODUCE);
        struct shmb_region *consumer = attach_with(connection, SHMB_CONSUME);

        (void)take_all(consumer);
        assert_int_equal(next_in, next_out);
        give(producer, scene->capacity);
        assert_int_equal(push(producer, next_in, 0), -EAGAIN);
        assert_int_equal(take_all(consumer), scene->capacity);
        shmb_detach(producer);
        shmb_detach(consumer);
}

static void fill(uint64_t n) {
        struct shmb_region *producer = attach_with(connection, SHMB_PRODUCE);

        give(producer, n);
        shmb_detach(producer);
}

/*
 * A producer dies, with a consumer that looks on; or polls, which is how it is woken.
 */
static void producer_dies(const Op *op, TracePoint point, bool polls) {
        struct shmb_region *observer = attach_with(connection, SHMB_OBSERVE), *consumer;
        uint64_t n, number;
        bool cut;

        if (op->full)
                fill(scene->capacity);
        consumer = attach_with(connection, SHMB_CONSUME);
        if (polls) {
                assert_true(shmb_poll_fd(consumer) >= 0);
                assert_int_equal(pop(consumer, &number, 0), -EAGAIN);
        }
        cut = trace_kill(child, (void *)op, point);
        n_kills++;
        broker_until(is_alone(observer, SHMB_PRODUCE));

        /* What was published is there, whole; what was not is not. */
        n = take_all(consumer) - (op->full ? scene->capacity : 0);
        assert_true(n <= op->most);
        if (!cut)
                assert_true(n >= op->least);
        next_in += n;
        shmb_detach(consumer);
        shmb_detach(observer);
        go_on();
}

static void consumer_dies(const Op *op, TracePoint point) {
        struct shmb_region *observer = attach_with(connection, SHMB_OBSERVE), *consumer;
        uint64_t before, released, number, first = next_out;
        bool cut;

        fill(WAITING);
        before = n_redelivered(observer);
        cut = trace_kill(child, (void *)op, point);
        n_kills++;
        broker_until(is_alone(observer, SHMB_CONSUME));

        /* Its successor goes on at the first item that was not released. */
        consumer = attach_with(connection, SHMB_CONSUME);
        next_out = pop(consumer, &number, 0) == 0 ? number : next_in;
        released = next_out - first;
        next_out += next_out != next_in;
        (void)take_all(consumer);
        assert_int_equal(next_out, next_in);
        assert_true(released <= op->most);
        if (!cut)
                assert_true(released >= op->least);
        assert_true(n_redelivered(observer) - before <= 1);
        if (op->holds && released == 0)
                assert_int_equal(n_redelivered(observer) - before, 1);
        shmb_detach(consumer);
        shmb_detach(observer);
        go_on();
}

static void find_points(const Op *op, TracePoints *ret_points) {
        if (op->role == SHMB_CONSUME)
                fill(WAITING);
        else if (op->full)
                fill(scene->capacity);
        watch();
        trace_find(child, (void *)op, watched, n_watched, ret_points);
        unwatch();
        n_instructions += ret_points->n_instructions;
}

/* After a search: whatever is left is thrown away. */
static void clean(void) {
        struct shmb_region *observer = attach_with(connection, SHMB_OBSERVE), *consumer;
        Item item;

        broker_until(is_alone(observer, SHMB_PRODUCE) && is_alone(observer, SHMB_CONSUME));
        consumer = attach_with(connection, SHMB_CONSUME);
        while (take(consumer, &item, 0) != -EAGAIN)
                ;
        shmb_detach(consumer);
        shmb_detach(observer);
        next_out = next_in;
}

static void sweep(const Op *op) {
        static TracePoints points;
        uint64_t before = n_kills;
        size_t i;

        find_points(op, &points);
        clean();
        for (i = 0; i < points.n; i++) {
                if (op->role == SHMB_CONSUME) {
                        consumer_dies(op, points.points[i]);
                        continue;
                }
                producer_dies(op, points.points[i], false);
                /* Who waits for items is woken by none where there are some. */
                if (!op->full)
                        producer_dies(op, points.points[i], true);
        }
        print_message("%s: %s: %llu instructions, %zu points, %llu kills\n", scene->name, op->name,
                      (unsigned long long)points.n_instructions, points.n,
                      (unsigned long long)(n_kills - before));
}

static void test_one_death(void **state) {
        size_t i, k;

        for (k = 0; k < sizeof(scenes) / sizeof(*scenes); k++) {
                scene = &scenes[k];
                for (i = 0; i < sizeof(producer_ops) / sizeof(*producer_ops); i++)
                        sweep(&producer_ops[i]);
                for (i = 0; i < sizeof(consumer_ops) / sizeof(*consumer_ops); i++)
                        sweep(&consumer_ops[i]);
                sweep(&op_attach_producer);
                sweep(&op_attach_consumer);
        }
}

/* First a producer, then a consumer, and nobody in between. */
static void test_two_deaths(void **state) {
        static TracePoints first, second;
        const Op *push_op = &producer_ops[0], *pop_op = &consumer_ops[1];
        struct shmb_region *observer, *consumer;
        size_t i, k, m;
        uint64_t n;

        for (k = 0; k < sizeof(scenes) / sizeof(*scenes); k++) {
                scene = &scenes[k];
                find_points(push_op, &first);
                clean();
                find_points(pop_op, &second);
                clean();
                observer = attach_with(connection, SHMB_OBSERVE);
                for (i = 0; i < first.n; i++) {
                        for (m = 0; m < second.n; m++) {
                                fill(WAITING);
                                trace_kill(child, (void *)push_op, first.points[i]);
                                trace_kill(child, (void *)pop_op, second.points[m]);
                                n_kills += 2;
                                broker_until(is_alone(observer, SHMB_PRODUCE) &&
                                             is_alone(observer, SHMB_CONSUME));
                                consumer = attach_with(connection, SHMB_CONSUME);
                                assert_int_equal(pop(consumer, &n, 0), 0);
                                assert_in_range(n, next_out, next_out + 1);
                                next_out = n + 1;
                                (void)take_all(consumer);
                                assert_in_range(next_out, next_in, next_in + 1);
                                next_in = next_out;
                                shmb_detach(consumer);
                                go_on();
                        }
                }
                shmb_detach(observer);
        }
        print_message("%llu kills, %llu instructions looked at\n", (unsigned long long)n_kills,
                      (unsigned long long)n_instructions);
}

static int setup(void **state) {
        static char yaml[4096];
        size_t k;
        int n = snprintf(yaml, sizeof(yaml), "version: 1\nregions:\n");

        for (k = 0; k < sizeof(scenes) / sizeof(*scenes); k++)
                n += snprintf(yaml + n, sizeof(yaml) - (size_t)n,
                              "  - {name: $/%s, %s, access: {produce: [any], consume: [any], "
                              "observe: [any]}}\n",
                              scenes[k].name, scenes[k].yaml);
        broker_begin(&broker, yaml);
        return shmb_connect(broker.socket, &connection);
}

static int teardown(void **state) {
        connection = shmb_close(connection);
        broker_end(&broker);
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_death),
                cmocka_unit_test(test_two_deaths),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("crash-client", tests, setup, teardown);
}
