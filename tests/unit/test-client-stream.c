/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages, Through the Library
 *
 * Producer and consumer in one process against the fake broker: what send and receive promise, what
 * a stream refuses, and that both images of the slots are the same bytes.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/region.h"
#include "client/shmb.h"
#include "tests/unit/fake-broker.h"

enum {
        CAPACITY = 4096,
        MAX = 2000,
        N_SLEPT = 20000,
};

static FakeBroker fake;
static struct shmb *c;
static struct shmb_region *producer, *consumer;

static struct shmb_region *attach(enum shmb_role role) {
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_attach(c, "a/stream", role, NULL, &r), 0);
        return r;
}

static int setup(void **state) {
        fake_start_stream(&fake, CAPACITY, MAX);
        assert_int_equal(shmb_connect(fake.path, &c), 0);
        producer = attach(SHMB_PRODUCE);
        consumer = attach(SHMB_CONSUME);
        return 0;
}

static int teardown(void **state) {
        producer = shmb_detach(producer);
        consumer = shmb_detach(consumer);
        c = shmb_close(c);
        fake_stop(&fake);
        return 0;
}

static void test_stream_sends_and_receives_whole_messages(void **state) {
        char out[MAX], in[MAX];
        int i, n;

        for (i = 0; i < 5000; i++) {
                n = i % (MAX + 1);
                memset(out, i, (size_t)n);
                assert_int_equal(shmb_send(producer, out, (size_t)n, 0), 0);
                assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), n);
                assert_memory_equal(in, out, (size_t)n);
        }
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), -EAGAIN);
}

static void test_stream_keeps_a_message_that_is_too_long_for_the_buffer(void **state) {
        struct shmb_span span = {};
        char in[8];

        assert_int_equal(shmb_send(producer, "hello, world", 12, 0), 0);
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), -EMSGSIZE);
        assert_int_equal(shmb_peek_n(consumer, 11, &span, 0), -EMSGSIZE);
        assert_int_equal(shmb_peek_n(consumer, UINT32_MAX, &span, 0), 12);
        assert_int_equal(span.n, 12);
        assert_int_equal(span.stride, 1);
        assert_memory_equal(span.data, "hello, world", 12);
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), -EBUSY);
        assert_int_equal(shmb_release_n(consumer, 13), -EINVAL);
        assert_int_equal(shmb_release_n(consumer, 0), 0);
        assert_int_equal(shmb_peek_n(consumer, UINT32_MAX, &span, 0), -EAGAIN);
        assert_int_equal(shmb_send(producer, in, MAX + 1, 0), -EMSGSIZE);
}

static void test_stream_builds_a_message_in_place(void **state) {
        struct shmb_span span;
        char in[MAX];

        assert_int_equal(shmb_claim_n(producer, MAX + 1, &span, 0), -EMSGSIZE);
        assert_int_equal(shmb_claim_n(producer, MAX, &span, 0), MAX);
        memcpy(span.data, "short", 5);
        assert_int_equal(shmb_commit_n(producer, MAX + 1), -EINVAL);
        assert_int_equal(shmb_commit_n(producer, 5), 0);
        assert_int_equal(shmb_claim_n(producer, 100, &span, 0), 100);
        assert_int_equal(shmb_abort(producer), 0);
        assert_int_equal(shmb_claim_n(producer, 0, &span, 0), 0);
        assert_int_equal(shmb_commit_n(producer, 0), 0);
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), 5);
        assert_memory_equal(in, "short", 5);
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), 0);
        assert_int_equal(shmb_recv(consumer, in, sizeof(in), 0), -EAGAIN);
}

static void test_stream_refuses_single_items(void **state) {
        const void *item;
        char byte = 0;
        void *slot;

        assert_int_equal(shmb_push(producer, &byte, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_push_n(producer, &byte, 1, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_claim(producer, &slot, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_commit(producer), -EOPNOTSUPP);
        assert_int_equal(shmb_pop(consumer, &byte, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_pop_n(consumer, &byte, 1, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_peek(consumer, &item, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_release(consumer), -EOPNOTSUPP);
        assert_int_equal(shmb_send(consumer, &byte, 1, 0), -EPERM);
        assert_int_equal(shmb_recv(producer, &byte, 1, 0), -EPERM);
}

static void test_stream_maps_its_slots_twice(void **state) {
        struct shmb_region *ends[2] = { producer, consumer };
        uint8_t *own = ((ShmbLane *)producer->lanes[0].memory)->slots;
        uint32_t i;

        own[CAPACITY + 7] = 0x55;
        for (i = 0; i < 2; i++) {
                const uint8_t *slots = ((ShmbLane *)ends[i]->lanes[0].memory)->slots;

                assert_int_equal(ends[i]->lanes[0].n_bytes, SHMB_PAGE + 2 * CAPACITY);
                assert_int_equal(slots[7], 0x55);
                assert_int_equal(slots[CAPACITY + 7], 0x55);
        }
}

/* Cut short by its owner: a look at either image finds zeros, and it is known to be lost. */
static void check_cut(size_t at) {
        const WireObject said = { SHMB_OBJECT_LANE, 0, 1, false, SHMB_PAGE + CAPACITY };
        _Atomic uint32_t lost = 0;
        const ShmbGrant grant = { &consumer->geometry, SHMB_BACKING_POSIX, 0, 1, &c->process,
                                  &lost };
        int fd = fake_memfd(SHMB_PAGE + CAPACITY, false), reader;
        ShmbObject object;
        char path[64];

        sprintf(path, "/proc/self/fd/%d", fd);
        reader = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "x", 1, SHMB_PAGE + 5), 1);
        assert_int_equal(shmb__object_map(&grant, &said, reader, &object), 0);
        assert_int_equal(((const char *)object.memory)[at], 'x');
        assert_int_equal(ftruncate(fd, 0), 0);
        /* relaxed: it is the fault of the load that counts */
        assert_int_equal(shmb_load_relaxed((const _Atomic uint8_t *)object.memory + at), 0);
        assert_true(shmb__guard_is_lost(object.guard));
        assert_int_equal(atomic_load(&lost), 1);
        shmb__object_unmap(&object, false);
        close(reader);
        close(fd);
}

static void test_stream_is_guarded_in_both_images(void **state) {
        check_cut(SHMB_PAGE + 5);
        check_cut(SHMB_PAGE + CAPACITY + 5);
}

static void *send_all(void *argument) {
        uint32_t i;

        for (i = 0; i < N_SLEPT; i++) {
                uint8_t message[MAX];
                size_t n = i * 7 % MAX;

                memset(message, (int)i, n);
                if (shmb_send(producer, message, n, -1) != 0)
                        return argument;
        }
        return NULL;
}

static void test_stream_waits_at_both_ends(void **state) {
        uint8_t in[MAX], expected[MAX];
        struct shmb_stats stats = { .size = sizeof(stats) };
        pthread_t thread;
        void *failed;
        uint32_t i;

        assert_int_equal(pthread_create(&thread, NULL, send_all, &fake), 0);
        for (i = 0; i < N_SLEPT; i++) {
                size_t n = i * 7 % MAX;

                memset(expected, (int)i, n);
                assert_int_equal(shmb_recv(consumer, in, sizeof(in), -1), n);
                assert_memory_equal(in, expected, n);
        }
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        assert_int_equal(shmb_get_stats(consumer, &stats), 0);
        assert_int_equal(stats.n_popped, N_SLEPT);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_stream_sends_and_receives_whole_messages),
                TEST(test_stream_keeps_a_message_that_is_too_long_for_the_buffer),
                TEST(test_stream_builds_a_message_in_place),
                TEST(test_stream_refuses_single_items),
                TEST(test_stream_maps_its_slots_twice),
                TEST(test_stream_is_guarded_in_both_images),
                TEST(test_stream_waits_at_both_ends),
        };

        return cmocka_run_group_tests_name("client-stream", tests, NULL, NULL);
}
