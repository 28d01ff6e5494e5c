/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Region outlives each of its Users, wherever they die
 *
 * The real library in a real process with the real broker: attach, every operation, sleeping,
 * waking and detach, killed at each point where a kill makes a difference. Whoever is left, and
 * whoever comes next, goes on: nobody waits for ever, no item is torn, and
 *
 *     each to one   none that was published is lost; what was held comes again and is counted
 *     each to all   who lives gets all of them, in order, and is held up by none who does not
 *     some to all   the same, or knows how many he did not get
 *     last to all   the newest comes, and none that is older than one that came
 *
 * And the same once more with two deaths, one behind the other.
 *
 * Usage: test-crash-client [SCENE]
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "tests/crash/client-acts.h"
#include "tests/crash/trace.h"
#include "tests/harness/broker.h"
#include "tests/harness/items.h"

enum {
        SECOND_NS = 1000000000,
};

/* A consumer, and the number of the item that comes to it next. */
typedef struct Taker {
        struct shmb_region *r;
        uint64_t next;
} Taker;

static Broker broker;
static struct shmb *connection;
static struct shmb_region *observer;
static const char *only; /* the scene that was asked for */
static TraceWatched watched[TRACE_WATCHED_MAX];
static size_t n_watched;
static uint64_t n_kills[N_SCENES][N_ACTS], n_instructions[N_SCENES][N_ACTS], n_pairs[N_SCENES];

static const Scene *scene;
static uint64_t next_in; /* the number of the next item */
static uint64_t next_out; /* each to one: and of the next one to come */

static struct shmb_region *attach_as(enum shmb_role role) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        int result;

        result = shmb_attach(connection, broker_name(&broker, scene->name), role, &want, &r);
        if (result < 0)
                fail_msg("%s: %s", scene->name, shmb_error(connection));
        return r;
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
 * Who is gone
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

static struct shmb_stats count(void) {
        struct shmb_stats stats = { .size = sizeof(stats) };

        assert_int_equal(shmb_get_stats(observer, &stats), 0);
        return stats;
}

/* Are so many left, and are the others gone for good? */
static bool are_left(enum shmb_role role, uint32_t n) {
        struct shmb_stats stats = count();

        if (role == SHMB_CONSUME && strcmp(scene->name, "group") == 0 && !is_settled())
                return false;
        return (role == SHMB_PRODUCE ? stats.n_producers : stats.n_consumers) == n;
}

/*
 * Those who are left
 */

static Taker taker_begin(void) {
        Taker taker = { attach_as(SHMB_CONSUME), next_in };

        if (scene->delivery == EACH_TO_ONE)
                taker.next = next_out;
        if (scene->delivery == LAST_TO_ALL)
                taker.next = next_in - 1;
        return taker;
}

static void taker_end(Taker *taker) {
        if (scene->delivery == EACH_TO_ONE)
                next_out = taker->next;
        shmb_detach(taker->r);
}

/* One item, whole, and as far ahead as is said to be missed. Return: 0, -EAGAIN. */
static int taker_take(Taker *taker) {
        uint64_t n_missed;
        int result;
        Item item;

        do {
                result = scene_take(scene, taker->r, &item, 0);
        } while (result == -EOWNERDEAD);
        n_missed = shmb_missed(taker->r);
        if (scene_waits(scene))
                assert_int_equal(n_missed, 0);
        taker->next += n_missed;
        if (result == -EAGAIN)
                return result;
        assert_int_equal(result, 0);
        assert_true(item_is(&item, taker->next));
        taker->next++;
        return 0;
}

/* Everything that there is. Return: how many items. */
static uint64_t taker_take_all(Taker *taker) {
        uint64_t n = 0;

        while (taker_take(taker) == 0)
                n++;
        return n;
}

static void give(struct shmb_region *producer, uint64_t n) {
        int result;

        while (n > 0) {
                /* The memory of a queue may come a moment later. */
                result = scene_push(scene, producer, next_in, SECOND_NS);
                if (result == -EOWNERDEAD)
                        continue;
                assert_int_equal(result, 0);
                next_in++;
                n--;
        }
}

static void fill(uint64_t n) {
        struct shmb_region *producer = attach_as(SHMB_PRODUCE);

        give(producer, n);
        shmb_detach(producer);
}

/* Nobody is there; both ends are taken, and are as good as new. */
static void go_on(void) {
        struct shmb_region *producer = attach_as(SHMB_PRODUCE);
        Taker taker = taker_begin();
        uint64_t n;

        (void)taker_take_all(&taker);
        assert_int_equal(taker.next, next_in);
        give(producer, scene->capacity);
        if (scene_waits(scene))
                assert_int_equal(scene_push(scene, producer, next_in, 0), -EAGAIN);
        else
                give(producer, scene->capacity);
        n = taker_take_all(&taker);
        assert_int_equal(taker.next, next_in);
        /* The slow get all that is still there. */
        assert_int_equal(n, scene->delivery == LAST_TO_ALL ? 1 : scene->capacity);
        shmb_detach(producer);
        taker_end(&taker);
}

/*
 * Trials
 */

static bool run_and_kill(const Act *act, TracePoint point) {
        Errand errand = { &broker, scene, act, next_in };
        bool cut = trace_kill(errand_run, &errand, point);

        /* What a consumer pushed for itself it pushed before. */
        if (act->role == SHMB_CONSUME && act->run && scene->delivery != EACH_TO_ONE)
                next_in += WAITING;
        return cut;
}

/* What was published is there, whole; what was not is not. @taker has seen what was there. */
static void expect_published(const Act *act, const Taker *taker, bool cut) {
        uint64_t n = taker->next - next_in;

        assert_true(n <= act->most);
        if (!cut)
                assert_true(n >= act->least);
        next_in = taker->next;
}

/*
 * A producer dies, with a consumer that looks on; or polls, which is how it is woken.
 */
static void producer_dies(const Act *act, TracePoint point, bool polls) {
        Taker taker = taker_begin();
        struct pollfd poll_fd = { -1, POLLIN, 0 };
        uint64_t before;
        bool cut;

        if (act->full)
                fill(scene->capacity);
        if (polls) {
                poll_fd.fd = shmb_poll_fd(taker.r);
                assert_true(poll_fd.fd >= 0);
                (void)taker_take_all(&taker);
        }
        before = count().n_pushed;
        cut = run_and_kill(act, point);
        broker_until(are_left(SHMB_PRODUCE, 0));
        /* If the dead did not say so any more, his death does. */
        if (polls && count().n_pushed != before)
                assert_int_equal(poll(&poll_fd, 1, BROKER_DEADLINE_MS), 1);
        /* What he spoilt stays spoilt, though a successor comes before anybody looks. */
        if (act->full && act->most == 0 && !scene_waits(scene))
                fill(1);
        (void)taker_take_all(&taker);
        expect_published(act, &taker, cut);
        taker_end(&taker);
        go_on();
}

/* The successor of a dead one, where each item goes to one: at the first that was not released. */
static Taker successor_begin(void) {
        Taker taker = { attach_as(SHMB_CONSUME), next_in };
        Item item;

        if (scene_take(scene, taker.r, &item, 0) == 0) {
                assert_true(item_is(&item, item.number));
                assert_in_range(item.number, next_out, next_in);
                next_out = item.number;
                taker.next = item.number + 1;
        } else {
                next_out = next_in;
        }
        return taker;
}

static void consumer_dies_among_rivals(const Act *act, TracePoint point) {
        uint64_t before, n_again, released, first = next_out;
        Taker taker;
        bool cut;

        fill(WAITING);
        before = count().n_redelivered;
        cut = run_and_kill(act, point);
        broker_until(are_left(SHMB_CONSUME, 0));
        taker = successor_begin();
        released = next_out - first;
        (void)taker_take_all(&taker);
        assert_int_equal(taker.next, next_in);
        assert_true(released <= act->most);
        if (!cut)
                assert_true(released >= act->least);
        n_again = count().n_redelivered - before;
        assert_true(n_again <= 1);
        if (act->holds && released == 0)
                assert_int_equal(n_again, 1);
        taker_end(&taker);
        go_on();
}

/* Another one is there all the time; and where nobody else produced, a producer, whom he slows. */
static void consumer_dies_in_company(const Act *act, TracePoint point) {
        struct shmb_region *producer = NULL;
        Taker taker = taker_begin(), next;

        if (!act->run)
                producer = attach_as(SHMB_PRODUCE);
        (void)run_and_kill(act, point);
        if (producer)
                for (uint64_t i = 0; i < 2 * scene->capacity; i++) {
                        give(producer, 1);
                        (void)taker_take_all(&taker);
                }
        shmb_detach(producer);
        broker_until(are_left(SHMB_CONSUME, 1));
        (void)taker_take_all(&taker);
        assert_int_equal(taker.next, next_in);

        next = taker_begin();
        fill(1);
        (void)taker_take_all(&taker);
        (void)taker_take_all(&next);
        assert_int_equal(taker.next, next_in);
        assert_int_equal(next.next, next_in);
        taker_end(&taker);
        taker_end(&next);
        go_on();
}

static void consumer_dies(const Act *act, TracePoint point) {
        if (scene->delivery == EACH_TO_ONE)
                consumer_dies_among_rivals(act, point);
        else
                consumer_dies_in_company(act, point);
}

/* After a search: whatever is left is thrown away. */
static void clean(void) {
        struct shmb_region *consumer;
        int result;
        Item item;

        broker_until(are_left(SHMB_PRODUCE, 0) && are_left(SHMB_CONSUME, 0));
        consumer = attach_as(SHMB_CONSUME);
        do {
                result = scene_take(scene, consumer, &item, 0);
        } while (result == 0 || result == -EOWNERDEAD);
        assert_int_equal(result, -EAGAIN);
        shmb_detach(consumer);
        /* What was published then is the value that the next one would begin with. */
        if (scene->delivery == LAST_TO_ALL)
                fill(1);
        next_out = next_in;
}

static void find_points(const Act *act, TracePoints *ret_points) {
        Errand errand = { &broker, scene, act, 0 };
        struct shmb_region *company = NULL;

        /* Where nobody is there, slots are never full, and nobody is woken. */
        if (scene->delivery != EACH_TO_ONE)
                company = attach_as(SHMB_CONSUME);
        if (act->role == SHMB_CONSUME && scene->delivery == EACH_TO_ONE)
                fill(WAITING);
        else if (act->full)
                fill(scene->capacity);
        errand.number = next_in;
        watch();
        trace_find(errand_run, &errand, watched, n_watched, ret_points);
        unwatch();
        shmb_detach(company);
        clean();
}

static void sweep(size_t which, ActName name) {
        static TracePoints points;
        Act act = scene_act(scene, name);
        size_t i;

        find_points(&act, &points);
        n_instructions[which][name] = points.n_instructions;
        for (i = 0; i < points.n; i++) {
                n_kills[which][name]++;
                if (act.role == SHMB_CONSUME) {
                        consumer_dies(&act, points.points[i]);
                        continue;
                }
                producer_dies(&act, points.points[i], false);
                /* Who waits for items is woken by none where there are some. */
                if (act.full)
                        continue;
                n_kills[which][name]++;
                producer_dies(&act, points.points[i], true);
        }
}

/* Starts a scene. False if another one was asked for. */
static bool enter(const Scene *next) {
        if (only && strcmp(only, next->name) != 0)
                return false;
        scene = next;
        next_out = next_in;
        observer = attach_as(SHMB_OBSERVE);
        clean();
        return true;
}

static void test_one_death(void **state) {
        size_t i;
        int name;

        for (i = 0; i < N_SCENES; i++) {
                if (!enter(&scenes[i]))
                        continue;
                for (name = 0; name < N_ACTS; name++)
                        sweep(i, (ActName)name);
                observer = shmb_detach(observer);
        }
}

/* One behind the other, and nobody in between who would have put anything right. */
static void two_die_among_rivals(const Act *acts, const TracePoint *points) {
        uint64_t first = next_out;
        Taker taker;

        fill(WAITING);
        (void)run_and_kill(&acts[0], points[0]);
        (void)run_and_kill(&acts[1], points[1]);
        broker_until(are_left(SHMB_PRODUCE, 0) && are_left(SHMB_CONSUME, 0));
        next_in += acts[0].most;
        taker = successor_begin();
        assert_true(next_out - first <= acts[1].most);
        (void)taker_take_all(&taker);
        assert_in_range(taker.next, next_in - acts[0].most, next_in);
        next_in = taker.next;
        taker_end(&taker);
        go_on();
}

/* With one who looks on. */
static void two_die_in_company(const Act *acts, const TracePoint *points) {
        Taker taker = taker_begin();
        bool cut;
        int i;

        for (i = 0; i < 2; i++) {
                cut = run_and_kill(&acts[i], points[i]);
                (void)taker_take_all(&taker);
                if (acts[i].role == SHMB_PRODUCE)
                        expect_published(&acts[i], &taker, cut);
        }
        broker_until(are_left(SHMB_PRODUCE, 0) && are_left(SHMB_CONSUME, 1));
        (void)taker_take_all(&taker);
        assert_int_equal(taker.next, next_in);
        taker_end(&taker);
        go_on();
}

static void sweep_pairs(size_t which, ActName first, ActName second) {
        static TracePoints points[2];
        Act acts[2] = { scene_act(scene, first), scene_act(scene, second) };
        TracePoint pair[2];
        size_t i, k;

        find_points(&acts[0], &points[0]);
        find_points(&acts[1], &points[1]);
        for (i = 0; i < points[0].n; i++)
                for (k = 0; k < points[1].n; k++) {
                        pair[0] = points[0].points[i];
                        pair[1] = points[1].points[k];
                        n_pairs[which]++;
                        if (acts[1].role == SHMB_CONSUME && scene->delivery == EACH_TO_ONE)
                                two_die_among_rivals(acts, pair);
                        else
                                two_die_in_company(acts, pair);
                }
}

static void test_two_deaths(void **state) {
        size_t i;

        for (i = 0; i < N_SCENES; i++) {
                if (!enter(&scenes[i]))
                        continue;
                sweep_pairs(i, ACT_PUSH, ACT_PEEK_RELEASE);
                /* Elsewhere a producer writes nothing before his tail that a successor goes by. */
                if (scene->delivery != EACH_TO_ONE)
                        sweep_pairs(i, ACT_PUSH, ACT_PUSH);
                observer = shmb_detach(observer);
        }
}

static int setup(void **state) {
        static char yaml[4096];
        size_t i;
        int n = snprintf(yaml, sizeof(yaml), "version: 1\nregions:\n");

        for (i = 0; i < N_SCENES; i++)
                n += snprintf(yaml + n, sizeof(yaml) - (size_t)n,
                              "  - {name: $/%s, %s, access: {produce: [any], consume: [any], "
                              "observe: [any]}}\n",
                              scenes[i].name, scenes[i].yaml);
        broker_begin(&broker, yaml);
        return shmb_connect(broker.socket, &connection);
}

static void report(size_t which) {
        uint64_t kills = 0, instructions = 0;
        int name;

        for (name = 0; name < N_ACTS; name++) {
                print_message("%s: %s: %llu instructions, %llu kills\n", scenes[which].name,
                              scene_act(&scenes[which], (ActName)name).name,
                              (unsigned long long)n_instructions[which][name],
                              (unsigned long long)n_kills[which][name]);
                kills += n_kills[which][name];
                instructions += n_instructions[which][name];
        }
        print_message("%s: %llu instructions, %llu kills; %llu pairs of them\n",
                      scenes[which].name, (unsigned long long)instructions,
                      (unsigned long long)kills, (unsigned long long)n_pairs[which]);
}

static int teardown(void **state) {
        size_t i;

        connection = shmb_close(connection);
        broker_end(&broker);
        for (i = 0; i < N_SCENES; i++)
                if (!only || strcmp(only, scenes[i].name) == 0)
                        report(i);
        return 0;
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_death),
                cmocka_unit_test(test_two_deaths),
        };

        bool known = argc == 1;
        size_t i;

        for (i = 0; argc == 2 && i < N_SCENES; i++)
                known |= strcmp(argv[1], scenes[i].name) == 0;
        if (!known) {
                fprintf(stderr, "usage: test-crash-client [SCENE]\n");
                return 2;
        }
        only = argv[1];
        broker_need_root();
        return cmocka_run_group_tests_name("crash-client", tests, setup, teardown);
}
