/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages of any Length
 *
 * Streams between real processes: each message arrives whole, once and in the order of its sender,
 * whoever is killed in between; what a consumer was shown and did not release, the next one is
 * shown again.
 */

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

enum {
        MANY = 100000,
        SENDERS = 2,
        KILLS = 25,
        MESSAGE_MAX = 2000,
        /* Each life of a sender counts from a multiple of it on. */
        LIFE = 1 << 24,
};

typedef struct Message {
        uint64_t sender, number;
        uint8_t bytes[MESSAGE_MAX];
} Message;

static const char yaml[] =
                "version: 1\n"
                "defaults: {kind: stream, capacity: 8K, max_message: 2K,\n"
                "           access: {produce: [any], consume: [any], observe: [any]}}\n"
                "regions:\n"
                "  - {name: $/two, producers: 2}\n"
                "  - {name: $/sealed, producers: 2, backing: memfd}\n";

static Broker broker;
static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
static char name[256];

/* Of the pages that this process believes to have; 0: what they are. */
static long pretended;

/* The library's sysconf(3), too: what the program shows comes first. */
__attribute__((visibility("default"))) long sysconf(int which) {
        long (*real)(int which) = (long (*)(int which))dlsym(RTLD_NEXT, "sysconf");

        return which == _SC_PAGESIZE && pretended > 0 ? pretended : real(which);
}

static int setup(void **state) {
        broker_begin(&broker, yaml);
        return 0;
}

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void use(const char *region) {
        snprintf(name, sizeof(name), "%s", broker_name(&broker, region));
}

/* Return: its length, which the number decides as all else. */
static size_t message_make(Message *message, uint64_t sender, uint64_t number) {
        uint64_t seed = item_mix(number << 8 | sender);
        size_t i, n = seed % 16 == 0 ? seed / 16 % MESSAGE_MAX : seed / 16 % 100;

        message->sender = sender;
        message->number = number;
        for (i = 0; i < n; i++)
                message->bytes[i] = (uint8_t)(seed >> i % 56);
        return n + offsetof(Message, bytes);
}

static bool message_is(const Message *message, size_t n, uint64_t sender, uint64_t number) {
        Message expected;

        return n == message_make(&expected, sender, number) && memcmp(message, &expected, n) == 0;
}

static void send_number(struct shmb_region *r, uint64_t sender, uint64_t number) {
        Message message;
        size_t n = message_make(&message, sender, number);
        int result;

        while ((result = shmb_send(r, &message, n, -1)) == -EOWNERDEAD)
                ;
        child_equal(result, 0);
}

static void send_many(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_PRODUCE);
        const uint64_t *sender = data;
        uint64_t i;

        for (i = 0; i < MANY; i++)
                send_number(r, *sender, i);
        shmb_detach(r);
}

static void receive_many(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        uint64_t next[SENDERS] = {};
        Message message;
        ssize_t n;

        child_say("ready");
        while (next[0] + next[1] < SENDERS * (uint64_t)MANY) {
                n = shmb_recv(r, &message, sizeof(message), -1);
                if (n == -EOWNERDEAD)
                        continue;
                child_check(n >= (ssize_t)offsetof(Message, bytes) && message.sender < SENDERS);
                child_check(message_is(&message, (size_t)n, message.sender,
                                       next[message.sender]++));
        }
        child_equal(shmb_recv(r, &message, sizeof(message), 0), -EAGAIN);
        shmb_detach(r);
}

static void test_each_message_arrives_once_and_whole(void **state) {
        static const char *const regions[] = { "two", "sealed" };
        static uint64_t senders[SENDERS] = { 0, 1 };
        Child children[SENDERS], consumer;
        unsigned i, which;

        for (which = 0; which < 2; which++) {
                use(regions[which]);
                child_spawn(&consumer, &bob, receive_many, NULL);
                child_expect(&consumer, "ready");
                for (i = 0; i < SENDERS; i++)
                        child_spawn(&children[i], &alice, send_many, &senders[i]);
                for (i = 0; i < SENDERS; i++)
                        child_finish(&children[i]);
                child_finish(&consumer);
        }
        broker_end(&broker);
}

static void send_for_ever(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_PRODUCE);
        const uint64_t *first = data;
        uint64_t i;

        child_say("ready");
        for (i = *first;; i++)
                send_number(r, 0, i);
}

/* Every life is whole from its first message on, and nothing of it comes back. Two that follow each
 * other may have a lane each, and are in no order then. */
static void receive_lives(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        uint64_t n_of_life[KILLS + 1] = {}, life;
        Message message;
        ssize_t n;

        child_say("ready");
        while (n_of_life[KILLS] == 0) {
                n = shmb_recv(r, &message, sizeof(message), -1);
                if (n == -EOWNERDEAD)
                        continue;
                child_check(n >= (ssize_t)offsetof(Message, bytes));
                life = message.number / LIFE;
                child_check(life <= KILLS && message.number % LIFE == n_of_life[life]++);
                child_check(message_is(&message, (size_t)n, 0, message.number));
        }
        shmb_detach(r);
}

static void test_killed_senders_leave_whole_messages(void **state) {
        static uint64_t first;
        Child sender, consumer;
        uint64_t i;

        use("two");
        child_spawn(&consumer, &bob, receive_lives, NULL);
        child_expect(&consumer, "ready");
        for (i = 0; i <= KILLS; i++) {
                first = i * LIFE;
                child_spawn(&sender, &alice, send_for_ever, &first);
                child_expect(&sender, "ready");
                assert_int_equal(kill(consumer.pid, SIGCONT), 0);
                if (i == KILLS)
                        child_finish(&consumer);
                /* Of every other one something is left when the next one begins. */
                else if (i % 2)
                        assert_int_equal(kill(consumer.pid, SIGSTOP), 0);
                child_kill(&sender);
        }
        broker_end(&broker);
}

/* Says what it is shown before it lets go of it. */
static void receive_slowly(void *data) {
        struct shmb_region *r = mover_attach(&broker, name, SHMB_CONSUME);
        struct shmb_span span;
        Message message;
        int result;

        for (;;) {
                result = shmb_peek_n(r, sizeof(message), &span, -1);
                if (result == -EOWNERDEAD)
                        continue;
                child_check(result > 0 && span.n <= sizeof(message));
                memcpy(&message, span.data, span.n);
                child_check(message_is(&message, span.n, 0, message.number));
                child_say("%llu", (unsigned long long)message.number);
                child_equal(shmb_release_n(r, span.n), 0);
        }
}

static uint64_t hear_number(Child *child) {
        char line[CHILD_LINE_MAX];

        assert_true(child_hear(child, line));
        return strtoull(line, NULL, 10);
}

static void test_killed_consumers_lose_nothing(void **state) {
        static uint64_t first;
        Child sender, consumer;
        uint64_t number, next = 0;
        unsigned i, n;
        char line[CHILD_LINE_MAX];

        use("sealed");
        child_spawn(&sender, &alice, send_for_ever, &first);
        child_expect(&sender, "ready");
        for (i = 0; i < KILLS; i++) {
                child_spawn(&consumer, &bob, receive_slowly, NULL);
                for (n = 0; n < 50; n++) {
                        number = hear_number(&consumer);
                        /* Shown again only if it was the last one that was shown. */
                        assert_true(number == next || (n == 0 && number + 1 == next));
                        next = number + 1;
                }
                assert_int_equal(kill(consumer.pid, SIGKILL), 0);
                while (child_hear(&consumer, line)) {
                        assert_true(strtoull(line, NULL, 10) == next);
                        next++;
                }
                assert_int_equal(child_wait(&consumer), -SIGKILL);
        }
        child_kill(&sender);
        broker_end(&broker);
}

/* As on a machine with such pages: a reason, and nothing is mapped. */
static void test_streams_are_refused_where_pages_are_large(void **state) {
        struct shmb_region *r = NULL;
        struct shmb *connection;
        int result;

        use("two");
        assert_int_equal(shmb_connect(broker.socket, &connection), 0);
        pretended = 64 << 10;
        result = shmb_attach(connection, name, SHMB_CONSUME, NULL, &r);
        pretended = 0;
        assert_int_equal(result, -EOPNOTSUPP);
        assert_null(r);
        assert_non_null(strstr(shmb_error(connection), "pages of 4096 bytes"));
        /* The seat is free again. */
        assert_int_equal(shmb_attach(connection, name, SHMB_CONSUME, NULL, &r), 0);
        shmb_detach(r);
        shmb_close(connection);
        broker_end(&broker);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_message_arrives_once_and_whole),
                TEST(test_killed_senders_leave_whole_messages),
                TEST(test_killed_consumers_lose_nothing),
                TEST(test_streams_are_refused_where_pages_are_large),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
