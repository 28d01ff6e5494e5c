/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Descriptor to Poll
 *
 * shmb_poll_fd() in epoll, as an event loop uses it: readable until an operation found nothing, and
 * again with whatever would make the next one find something. Nobody here waits in any other way.
 */

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        CAPACITY = 4,
        MANY = 100000,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {kind: ring, item: {size: 64, align: 8}}\n"
                "regions:\n"
                "  - {name: $/ring, capacity: 4, producers: 2,\n"
                "     access: {produce: [any], consume: [any], observe: [any]}}\n"
                "  - {name: $/flow, capacity: 64, access: {produce: [any], consume: [any]}}\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n";

static const char yaml_without_ring[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

/* Both ends in this process, each with a connection of its own. */
typedef struct Pair {
        struct shmb *c[2];
        struct shmb_region *producer, *consumer;
} Pair;

static struct shmb_region *attach(struct shmb **ret_c, const char *name, enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_connect(broker.socket, ret_c), 0);
        assert_int_equal(shmb_attach(*ret_c, broker_name(&broker, name), role, NULL, &r), 0);
        return r;
}

static int setup(void **state) {
        static Pair pair;

        broker_begin(&broker, yaml);
        pair.producer = attach(&pair.c[0], "ring", SHMB_PRODUCE);
        pair.consumer = attach(&pair.c[1], "ring", SHMB_CONSUME);
        *state = &pair;
        return 0;
}

static int teardown(void **state) {
        Pair *pair = *state;

        pair->producer = shmb_detach(pair->producer);
        pair->consumer = shmb_detach(pair->consumer);
        shmb_close(pair->c[0]);
        shmb_close(pair->c[1]);
        broker_deinit(&broker);
        return 0;
}

static bool readable(int fd) {
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };

        assert_true(poll(&pollfd, 1, 0) >= 0);
        assert_int_equal(pollfd.revents & ~POLLIN, 0);
        return pollfd.revents & POLLIN;
}

static void expect_readable_soon(int fd) {
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&pollfd, 1, BROKER_DEADLINE_MS), 1);
        assert_int_equal(pollfd.revents, POLLIN);
}

static int push(struct shmb_region *r, uint64_t number) {
        Item item;

        item_make(&item, number);
        return shmb_push(r, &item, 0);
}

static int pop(struct shmb_region *r) {
        Item item;

        return shmb_pop(r, &item, 0);
}

static uint64_t n_wakes(struct shmb_region *r) {
        struct shmb_stats stats = { .size = sizeof(stats) };

        assert_int_equal(shmb_get_stats(r, &stats), 0);
        return stats.n_wakes;
}

static size_t n_bells(void) {
        char path[BROKER_PATH_MAX + 8];
        struct dirent *entry;
        DIR *directory;
        size_t n = 0;

        snprintf(path, sizeof(path), "%s/bells", broker.runtime);
        directory = opendir(path);
        while (directory && (entry = readdir(directory)))
                n += entry->d_name[0] != '.';
        if (directory)
                closedir(directory);
        return n;
}

static void test_consumer_is_readable_until_it_found_nothing(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);

        assert_true(fd >= 0);
        assert_int_equal(shmb_poll_fd(pair->consumer), fd);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));

        assert_int_equal(push(pair->producer, 0), 0);
        assert_int_equal(push(pair->producer, 1), 0);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));
}

static void test_producer_is_readable_until_there_is_no_room(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->producer), i;

        assert_true(readable(fd));
        for (i = 0; i < CAPACITY; i++)
                assert_int_equal(push(pair->producer, (uint64_t)i), 0);
        assert_true(readable(fd));
        assert_int_equal(push(pair->producer, CAPACITY), -EAGAIN);
        assert_false(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        assert_true(readable(fd));
        assert_int_equal(push(pair->producer, CAPACITY), 0);
}

static void test_who_is_not_armed_costs_its_peer_nothing(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);
        uint64_t before;

        assert_int_equal(pop(pair->consumer), -EAGAIN);
        before = n_wakes(pair->producer);
        assert_int_equal(push(pair->producer, 0), 0);
        assert_int_equal(push(pair->producer, 1), 0);
        assert_int_equal(n_wakes(pair->producer), before + 1);
        assert_int_equal(pop(pair->consumer), 0);
        assert_int_equal(push(pair->producer, 2), 0);
        assert_int_equal(n_wakes(pair->producer), before + 1);
        assert_true(readable(fd));
}

static void test_call_that_waited_in_vain_arms_as_well(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);
        Item item;

        assert_int_equal(shmb_pop(pair->consumer, &item, 1000000), -ETIMEDOUT);
        assert_false(readable(fd));
        assert_int_equal(push(pair->producer, 0), 0);
        assert_true(readable(fd));
        /* and one that finds something leaves it readable */
        assert_int_equal(shmb_pop(pair->consumer, &item, -1), 0);
        assert_true(readable(fd));
}

static void test_death_of_a_peer_and_the_end_of_the_region_are_heard(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);
        Mover mover;

        mover_start(&mover, &broker, broker_name(&broker, "ring"), SHMB_PRODUCE, &alice);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));
        child_kill(&mover.child);
        expect_readable_soon(fd);
        broker_until(pop(pair->consumer) == -EOWNERDEAD);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));

        broker_configure(&broker, yaml_without_ring);
        broker_reload(&broker);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), -EIDRM);
}

static void test_peer_that_comes_later_rings_as_well(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);
        Mover mover;

        mover_start(&mover, &broker, broker_name(&broker, "ring"), SHMB_PRODUCE, &alice);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));
        mover_do(&mover, "push 1 from 0", "1 0");
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        mover_end(&mover);
}

static void test_next_holder_of_a_seat_polls_a_fifo_of_its_own(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);

        assert_true(fd >= 0);
        assert_int_equal(push(pair->producer, 0), 0);
        assert_int_equal(n_bells(), 1);
        pair->consumer = shmb_detach(pair->consumer);
        assert_int_equal(n_bells(), 0);
        /* To an old FIFO, whose readers are gone: no signal, and no error. */
        assert_int_equal(push(pair->producer, 1), 0);

        assert_int_equal(shmb_attach(pair->c[1], broker_name(&broker, "ring"), SHMB_CONSUME, NULL,
                                     &pair->consumer),
                         0);
        fd = shmb_poll_fd(pair->consumer);
        assert_int_equal(pop(pair->consumer), 0);
        assert_int_equal(pop(pair->consumer), 0);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));
        assert_int_equal(push(pair->producer, 2), 0);
        assert_true(readable(fd));
}

static void test_broker_that_comes_back_finds_it_again(void **state) {
        Pair *pair = *state;
        int fd = shmb_poll_fd(pair->consumer);
        Mover mover;

        /* Who wakes us fetches the FIFO with the first thing that he does. */
        assert_int_equal(push(pair->producer, 0), 0);
        assert_int_equal(pop(pair->consumer), 0);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        assert_false(readable(fd));
        broker_kill(&broker);
        assert_int_equal(push(pair->producer, 0), 0);
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        broker_start(&broker);
        assert_int_equal(n_bells(), 1);

        /* Peers of the new one get it, too, and so does its news. */
        mover_start(&mover, &broker, broker_name(&broker, "ring"), SHMB_PRODUCE, &alice);
        while (pop(pair->consumer) != -EAGAIN)
                ;
        mover_do(&mover, "push 1 from 0", "1 0");
        assert_true(readable(fd));
        assert_int_equal(pop(pair->consumer), 0);
        assert_int_equal(pop(pair->consumer), -EAGAIN);
        child_kill(&mover.child);
        expect_readable_soon(fd);
}

static void test_who_never_waits_has_nothing_to_poll(void **state) {
        static const struct {
                const char *name;
                enum shmb_role role;
                int expected;
        } cases[] = {
                { "ring", SHMB_OBSERVE, -EPERM },
                { "raw", SHMB_READ, -EOPNOTSUPP },
                { "raw", SHMB_WRITE, -EOPNOTSUPP },
        };
        struct shmb_region *r;
        struct shmb *c;
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                r = attach(&c, cases[i].name, cases[i].role);
                assert_int_equal(shmb_poll_fd(r), cases[i].expected);
                shmb_detach(r);
                shmb_close(c);
        }
        assert_int_equal(shmb_poll_fd(NULL), -EINVAL);
        assert_int_equal(n_bells(), 0);
}

static void wait_readable(int epoll_fd) {
        struct epoll_event event;

        child_equal(epoll_wait(epoll_fd, &event, 1, BROKER_DEADLINE_MS), 1);
}

static int epoll_of(struct shmb_region *r) {
        struct epoll_event event = { .events = EPOLLIN };
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

        child_check(epoll_fd >= 0);
        child_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, shmb_poll_fd(r), &event), 0);
        return epoll_fd;
}

static void produce_many(void *data) {
        struct shmb_region *r = mover_attach(&broker, data, SHMB_PRODUCE);
        int epoll_fd = epoll_of(r), result;
        uint64_t i = 0;

        while (i < MANY) {
                result = push(r, i);
                if (result == 0)
                        i++;
                else if (result == -EAGAIN)
                        wait_readable(epoll_fd);
                else
                        child_equal(result, 0);
        }
        close(epoll_fd);
        shmb_detach(r);
}

/* One item for each time that it is readable: the worst that a loop may do. */
static void consume_many(void *data) {
        struct shmb_region *r = mover_attach(&broker, data, SHMB_CONSUME);
        int epoll_fd = epoll_of(r), result;
        uint64_t i = 0;
        Item item;

        while (i < MANY) {
                wait_readable(epoll_fd);
                result = shmb_pop(r, &item, 0);
                if (result == 0)
                        child_check(item_is(&item, i++));
                else
                        child_equal(result, -EAGAIN);
        }
        close(epoll_fd);
        shmb_detach(r);
}

static void test_nothing_is_missed_between_two_loops(void **state) {
        char name[256];
        Child producer, consumer;

        snprintf(name, sizeof(name), "%s", broker_name(&broker, "flow"));
        child_spawn(&consumer, &bob, consume_many, name);
        child_spawn(&producer, &alice, produce_many, name);
        child_finish(&producer);
        child_finish(&consumer);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_consumer_is_readable_until_it_found_nothing),
                TEST(test_producer_is_readable_until_there_is_no_room),
                TEST(test_who_is_not_armed_costs_its_peer_nothing),
                TEST(test_call_that_waited_in_vain_arms_as_well),
                TEST(test_death_of_a_peer_and_the_end_of_the_region_are_heard),
                TEST(test_peer_that_comes_later_rings_as_well),
                TEST(test_next_holder_of_a_seat_polls_a_fifo_of_its_own),
                TEST(test_broker_that_comes_back_finds_it_again),
                TEST(test_who_never_waits_has_nothing_to_poll),
                TEST(test_nothing_is_missed_between_two_loops),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
