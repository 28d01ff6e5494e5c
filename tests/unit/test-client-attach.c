/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Attach, Against Every Answer a Broker Could Give
 *
 * For each way in which a grant can be wrong: the attach fails with its errno, nothing is left open
 * or mapped, the broker is told, and the next attach on the same handle works.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/region.h"
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

static FakeBroker fake;

static int setup_ring(void **state) {
        fake_start_ring(&fake, 1, 1, 8, 8);
        return 0;
}

static int setup_raw(void **state) {
        fake_start_raw(&fake, 10000);
        return 0;
}

static int teardown(void **state) {
        fake_stop(&fake);
        return 0;
}

static struct shmb *connected(void) {
        struct shmb *c = NULL;

        assert_int_equal(shmb_connect(fake.path, &c), 0);
        assert_non_null(c);
        return c;
}

/* Asked for as often as the test dares to wait; the fake's thread runs beside us. */
#define until(_condition)                                                                          \
        do {                                                                                       \
                int tries_ = 20000;                                                                \
                while (!(_condition)) {                                                            \
                        assert_true(--tries_ > 0);                                                 \
                        usleep(1000);                                                              \
                }                                                                                  \
        } while (0)

/*
 * Attach
 */

static int attach(struct shmb *c, enum shmb_role role, struct shmb_region **ret) {
        struct shmb_attach want = SHMB_ATTACH_INIT;

        want.timeout_ns = 0;
        want.item_size = fake.geometry.item_size;
        return shmb_attach(c, "a/ring", role, &want, ret);
}

static void test_attach_gives_each_role_what_it_may_write_and_no_more(void **state) {
        struct shmb_region *producer, *consumer, *observer;
        struct shmb *c = connected();

        assert_int_equal(attach(c, SHMB_PRODUCE, &producer), 0);
        assert_int_equal(attach(c, SHMB_CONSUME, &consumer), 0);
        assert_int_equal(attach(c, SHMB_OBSERVE, &observer), 0);
        assert_true(producer->lanes[0].writable);
        assert_false(producer->seats[0].writable);
        assert_false(producer->control.writable);
        assert_false(consumer->lanes[0].writable);
        assert_true(consumer->seats[0].writable);
        assert_false(observer->lanes[0].writable);
        assert_false(observer->seats[0].writable);
        shmb_detach(observer);
        shmb_detach(producer);
        shmb_detach(consumer);
        shmb_close(c);
}

static void test_attach_says_that_it_is_mapped_without_asking_for_an_answer(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;

        fake.mapped_id = 4711;
        assert_int_equal(attach(c, SHMB_PRODUCE, &r), 0);
        until(fake.n_requests[WIRE_MAPPED] == 1);
        assert_int_equal(fake.mapped_id, 0);
        assert_int_equal(fake.mapped_status, 0);
        shmb_detach(r);
        shmb_close(c);
}

static void test_attach_tells_what_the_handle_stands_for(void **state) {
        struct shmb_info info = { .size = sizeof(info) };
        struct shmb *c = connected();
        struct shmb_region *r;

        assert_int_equal(attach(c, SHMB_CONSUME, &r), 0);
        assert_int_equal(shmb_get_info(r, &info), 0);
        assert_string_equal(info.name, "a/ring");
        assert_string_equal(info.type, "item/1");
        assert_int_equal(info.kind, SHMB_RING);
        assert_int_equal(info.role, SHMB_CONSUME);
        assert_int_equal(info.item_size, 8);
        assert_int_equal(info.capacity, 8);
        assert_int_equal(info.n_producers_max, 1);
        assert_int_equal(info.lease, 1);
        assert_int_equal(info.generation, 7);

        /* a caller that was built with less gets less */
        memset(&info, 0xa5, sizeof(info));
        info.size = offsetof(struct shmb_info, kind);
        assert_int_equal(shmb_get_info(r, &info), 0);
        assert_int_equal(info.kind, 0xa5a5a5a5);
        info.size = 0;
        assert_int_equal(shmb_get_info(r, &info), -EINVAL);
        shmb_detach(r);
        shmb_close(c);
}

/* @fault in the grant of @role: @result, nothing left, and the next one works. */
static void check_fault(FakeFault fault, enum shmb_role role, int result, bool told) {
        struct shmb_region *r = (void *)4711;
        uint32_t n_mapped = fake.n_requests[WIRE_MAPPED];
        struct shmb *c = connected();
        size_t n_fds = scratch_count_fds();
        int got;

        fake.fault = fault;
        got = attach(c, role, &r);
        fake.fault = FAKE_FINE;
        if (got != result)
                fail_msg("fault %d: %d (%s) instead of %d", fault, got, shmb_error(c), result);
        assert_ptr_equal(r, (void *)4711);
        assert_true(strlen(shmb_error(c)) > 0);
        /* in both threads; mappings are counted at the end of the program */
        until(scratch_count_fds() <= n_fds);
        if (told)
                /* The fake counts it first. */
                until(fake.n_requests[WIRE_MAPPED] > n_mapped &&
                      fake.mapped_status == (uint32_t)-result);

        /* as good as new */
        if (fault == FAKE_HEADER || fault == FAKE_LAYOUT_MAJOR)
                shmb_header_init(&fake_control(&fake)->header, &fake.geometry, SHMB_OBJECT_CONTROL,
                                 0, 1, fake.tag, fake.generation);
        /* the real one ends the leases of a connection that hangs up */
        if (!told)
                fake_vacate(&fake);
        until(attach(c, role, &r) == 0);
        shmb_detach(r);
        shmb_close(c);
}

static const struct {
        FakeFault fault;
        int result;
        bool told;
} faults[] = {
        { FAKE_FD_MISSING, -EPROTO, true },
        { FAKE_FD_TOO_MANY, -EPROTO, true },
        { FAKE_OBJECT_MISSING, -EPROTO, true },
        { FAKE_OBJECT_TWICE, -EPROTO, true },
        { FAKE_OBJECT_UNKNOWN, -EPROTO, true },
        { FAKE_INDEX_BEYOND, -EPROTO, true },
        { FAKE_SIZE_SAID, -EPROTO, true },
        { FAKE_SIZE_REAL, -EPROTO, true },
        { FAKE_NOT_A_FILE, -EPROTO, true },
        { FAKE_OWN_READ_ONLY, -EPROTO, true },
        { FAKE_PEER_WRITABLE, -EPROTO, true },
        { FAKE_PEER_SAID_WRITABLE, -EPROTO, true },
        { FAKE_UNSEALED, -EPROTO, true },
        { FAKE_HEADER, -EPROTO, true },
        { FAKE_LAYOUT_MAJOR, -EPROTONOSUPPORT, true },
        { FAKE_STRIDE, -EPROTO, true },
        { FAKE_CAPACITY, -EPROTO, true },
        { FAKE_KIND, -EOPNOTSUPP, true },
        { FAKE_OTHER_ITEM, -EPROTO, true },
        { FAKE_ROLE, -EPROTO, true },
        { FAKE_OWN_INDEX, -EPROTO, true },
        { FAKE_OTHER_REPLY, -EPROTO, false },
        { FAKE_GARBAGE, -EPROTO, false },
        { FAKE_UNKNOWN_TYPE, -EPROTO, false },
        { FAKE_TOO_LONG, -EPROTO, false },
        { FAKE_ERROR_OK, -EPROTO, false },
        { FAKE_EMPTY_PACKET, -ECONNREFUSED, false },
        { FAKE_HANG_UP, -ECONNREFUSED, false },
        { FAKE_SILENT, -ETIMEDOUT, false },
};

static void test_attach_as_producer_refuses_every_bad_grant(void **state) {
        size_t i;

        for (i = 0; i < sizeof(faults) / sizeof(*faults); i++)
                check_fault(faults[i].fault, SHMB_PRODUCE, faults[i].result, faults[i].told);
}

static void test_attach_as_consumer_refuses_every_bad_grant(void **state) {
        size_t i;

        for (i = 0; i < sizeof(faults) / sizeof(*faults); i++)
                if (faults[i].fault != FAKE_SILENT)
                        check_fault(faults[i].fault, SHMB_CONSUME, faults[i].result,
                                    faults[i].told);
}

/* Not one bit of a grant is believed that could hurt; some only say something else. */
static void flip_each_bit_of_a_grant(enum shmb_role role) {
        struct shmb *c = connected();
        struct shmb_region *r;
        uint64_t item = 0;
        size_t n_fds, i;
        int result;

        result = attach(c, role, &r);
        assert_int_equal(result, 0);
        shmb_detach(r);
        n_fds = scratch_count_fds();
        fake.fault = FAKE_FLIP;
        for (i = 0; i < fake.n_flippable; i++) {
                /* another id is another's reply: it would be waited for */
                if (i / 64 == 1)
                        continue;
                fake.flip = i;
                result = attach(c, role, &r);
                if (result == 0) {
                        shmb_push(r, &item, 0);
                        shmb_pop(r, &item, 0);
                        shmb_detach(r);
                }
                /* a lease of another number was not given back to this one */
                fake_vacate(&fake);
        }
        fake.fault = FAKE_FINE;
        until(scratch_count_fds() <= n_fds);
        assert_int_equal(attach(c, role, &r), 0);
        shmb_detach(r);
        shmb_close(c);
}

static void test_attach_survives_every_flipped_bit_of_a_grant(void **state) {
        flip_each_bit_of_a_grant(SHMB_PRODUCE);
        flip_each_bit_of_a_grant(SHMB_CONSUME);
        flip_each_bit_of_a_grant(SHMB_OBSERVE);
}

static void test_attach_passes_on_the_broker_s_word(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;
        unsigned status;

        for (status = SHMB_STATUS_VERSION; status < _SHMB_STATUS_N; status++) {
                fake.attach_status = status;
                assert_int_equal(attach(c, SHMB_PRODUCE, &r), -shmb_status_to_errno(status));
                assert_string_equal(shmb_error(c), "item size is 8 here, 16 was expected");
        }
        fake.attach_status = SHMB_STATUS_OK;
        assert_int_equal(attach(c, SHMB_PRODUCE, &r), 0);
        assert_string_equal(shmb_error(c), "");
        shmb_detach(r);
        shmb_close(c);
}

static void test_attach_checks_its_arguments_before_it_asks(void **state) {
        struct {
                struct shmb_attach want;
                uint64_t beyond;
        } newer = { .want = SHMB_ATTACH_INIT, .beyond = 0 };
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb *c = connected();
        struct shmb_region *r;
        char type[SHMB_TYPE_MAX + 2] = {};

        assert_int_equal(shmb_attach(NULL, "a", SHMB_PRODUCE, NULL, &r), -EINVAL);
        assert_int_equal(shmb_attach(c, NULL, SHMB_PRODUCE, NULL, &r), -EINVAL);
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, NULL, NULL), -EINVAL);
        assert_int_equal(shmb_attach(c, "a//b", SHMB_PRODUCE, NULL, &r), -EINVAL);
        assert_non_null(strstr(shmb_error(c), "empty part"));
        assert_int_equal(shmb_attach(c, "a", (enum shmb_role)6, NULL, &r), -EINVAL);
        assert_int_equal(shmb_attach(c, "a", (enum shmb_role)0, NULL, &r), -EINVAL);
        want.flags = 2;
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &want, &r), -EINVAL);
        want.flags = 0;
        memset(type, 'x', sizeof(type) - 1);
        want.type = type;
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &want, &r), -EINVAL);
        want.size = 4;
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &want, &r), -EINVAL);
        assert_int_equal(fake.n_requests[WIRE_ATTACH], 0);

        /* a newer caller that asks for nothing new is welcome */
        newer.want.size = sizeof(newer);
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &newer.want, &r), 0);
        shmb_detach(r);
        newer.beyond = 1;
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &newer.want, &r), -E2BIG);
        shmb_close(c);
}

static void test_attach_waits_for_a_place_as_long_as_it_is_told(void **state) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *first, *second;
        struct shmb *c = connected();

        assert_int_equal(attach(c, SHMB_PRODUCE, &first), 0);
        assert_int_equal(attach(c, SHMB_PRODUCE, &second), -EBUSY);
        want.timeout_ns = 30000000;
        assert_int_equal(shmb_attach(c, "a", SHMB_PRODUCE, &want, &second), -EBUSY);
        assert_true(fake.n_requests[WIRE_ATTACH] > 3);
        shmb_detach(first);
        assert_int_equal(attach(c, SHMB_PRODUCE, &second), 0);
        shmb_detach(second);
        shmb_close(c);
}

static void test_attach_gives_back_what_comes_too_late(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;
        WireMessage late = { .type = WIRE_ATTACHED, .id = 4242 };
        uint8_t packet[1024];
        size_t n;

        late.attached.lease = 99;
        assert_int_equal(wire_encode(&late, packet, sizeof(packet), &n), 0);
        pthread_mutex_lock(&fake.lock);
        assert_int_equal(send(fake.connections[0], packet, n, 0), n);
        pthread_mutex_unlock(&fake.lock);

        assert_int_equal(attach(c, SHMB_PRODUCE, &r), 0);
        until(fake.n_requests[WIRE_MAPPED] == 2);
        shmb_detach(r);
        shmb_close(c);
}

/* The broker died between its answer and the end of the request, and the next one answered too. */
static void test_attach_that_is_answered_twice_is_held_once(void **state) {
        struct shmb *c = connected();
        struct shmb_region *producer, *consumer;
        uint64_t item = 1;

        fake.fault = FAKE_TWICE;
        /* Asks for its own lane anew before it is done: the second answer comes in between. */
        atomic_store(&((ShmbLane *)fake_object(&fake, SHMB_OBJECT_LANE, 0)->memory)->tail, 1000);
        assert_int_equal(attach(c, SHMB_PRODUCE, &producer), 0);
        assert_int_equal(attach(c, SHMB_CONSUME, &consumer), 0);
        assert_int_equal(shmb_push(producer, &item, 0), 0);
        assert_int_equal(shmb_pop(consumer, &item, 0), 0);
        shmb_detach(producer);
        shmb_detach(consumer);
        /* Anew, and fine, and fine: none was given back. */
        assert_int_equal(fake.n_requests[WIRE_MAPPED], 3);
        shmb_close(c);
}

static void test_attach_asks_for_a_new_lane_where_the_old_one_cannot_be_gone_on_with(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;
        ShmbLane *lane = fake_object(&fake, SHMB_OBJECT_LANE, 0)->memory;
        ShmbSeat *seat = fake_object(&fake, SHMB_OBJECT_SEAT, 0)->memory;
        uint64_t item = 1;

        atomic_store(&seat->places[0].epoch, 1);
        atomic_store(&lane->tail, 1000);
        assert_int_equal(attach(c, SHMB_PRODUCE, &r), 0);
        assert_int_equal(r->lanes[0].epoch, 2);
        assert_int_equal(shmb_push(r, &item, 0), 0);
        shmb_detach(r);
        shmb_close(c);
}

static void test_attach_asks_for_a_new_seat_where_the_old_one_cannot_be_gone_on_with(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;
        ShmbSeat *seat = fake_object(&fake, SHMB_OBJECT_SEAT, 0)->memory;

        atomic_store(&seat->places[0].epoch, 1);
        atomic_store(&seat->places[0].done, 1000);
        assert_int_equal(attach(c, SHMB_CONSUME, &r), 0);
        assert_int_equal(r->seats[0].epoch, 2);
        shmb_detach(r);
        shmb_close(c);
}

/* In a child: the limit would be on the fake as well. */
static int attach_without_room(void *userdata) {
        struct rlimit limit;
        struct shmb *c;
        struct shmb_region *r;
        size_t n;

        if (shmb_connect(fake.path, &c) < 0)
                return 1;
        getrlimit(RLIMIT_NOFILE, &limit);
        n = scratch_count_fds();
        limit.rlim_cur = 64;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 2;
        while (dup(0) >= 0)
                ;
        close(63); /* room for one of three */
        if (attach(c, SHMB_PRODUCE, &r) != -EMFILE || !strstr(shmb_error(c), "RLIMIT_NOFILE"))
                return 3;
        if (dup(0) != 63)
                return 4; /* the one that came was not closed */
        close(63), close(62), close(61), close(60);
        if (attach(c, SHMB_PRODUCE, &r) != 0)
                return 5;
        shmb_detach(r);
        shmb_close(c);
        return n > 0 ? 0 : 6;
}

static void test_attach_without_room_for_descriptors_gives_the_lease_back(void **state) {
        assert_int_equal(fork_run(attach_without_room, NULL), 0);
        assert_int_equal(fake.mapped_status, 0);
        assert_int_equal(fake.n_requests[WIRE_MAPPED], 2);
}

/*
 * Raw regions, and lives
 */

static void test_raw_region_is_plain_bytes_for_its_users(void **state) {
        struct shmb_region *writer, *reader;
        struct shmb *c = connected();
        struct shmb_span span;
        const void *item;
        char byte = 0;

        assert_int_equal(shmb_attach(c, "a/raw", SHMB_WRITE, NULL, &writer), 0);
        assert_int_equal(shmb_attach(c, "a/raw", SHMB_READ, NULL, &reader), 0);
        assert_int_equal(shmb_size(writer), 10000);
        assert_int_equal(shmb_size(reader), 10000);
        strcpy(shmb_data(writer), "hello");
        assert_string_equal(shmb_data(reader), "hello");
        assert_int_equal(shmb_check(reader), 0);
        assert_int_equal(shmb_push(writer, &byte, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_pop(reader, &byte, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_claim_n(writer, 1, &span, 0), -EOPNOTSUPP);
        assert_int_equal(shmb_peek(reader, &item, 0), -EOPNOTSUPP);

        fake_set_state(&fake, SHMB_REGION_REMOVED);
        assert_int_equal(shmb_check(reader), -EIDRM);
        assert_int_equal(shmb_check(reader), -EIDRM);
        assert_string_equal(shmb_data(reader), "hello");
        shmb_detach(writer);
        shmb_detach(reader);
        shmb_close(c);
}

static void test_raw_region_refuses_every_bad_grant(void **state) {
        static const FakeFault raw[] = {
                FAKE_FD_MISSING, FAKE_FD_TOO_MANY, FAKE_OBJECT_MISSING, FAKE_OBJECT_TWICE,
                FAKE_SIZE_SAID, FAKE_SIZE_REAL, FAKE_NOT_A_FILE, FAKE_OWN_READ_ONLY,
                FAKE_PEER_WRITABLE, FAKE_UNSEALED, FAKE_ROLE,
        };
        size_t i;

        for (i = 0; i < sizeof(raw) / sizeof(*raw); i++)
                check_fault(raw[i], SHMB_WRITE, -EPROTO, true);
}

static void test_close_and_detach_come_in_any_order(void **state) {
        struct shmb_region *a, *b;
        struct shmb *c = connected();
        uint64_t item = 5, got = 0;

        assert_int_equal(attach(c, SHMB_PRODUCE, &a), 0);
        assert_int_equal(attach(c, SHMB_CONSUME, &b), 0);
        assert_null(shmb_close(c));
        assert_int_equal(shmb_push(a, &item, 0), 0);
        assert_null(shmb_detach(a));
        assert_int_equal(shmb_pop(b, &got, 0), 0);
        assert_int_equal(got, 5);
        assert_null(shmb_detach(b));
        assert_int_equal(fake.n_requests[WIRE_DETACH], 2);
        assert_null(shmb_detach(NULL));
        assert_null(shmb_close(NULL));
}

static void test_detach_without_a_broker_ends_all_the_same(void **state) {
        struct shmb *c = connected();
        struct shmb_region *r;

        assert_int_equal(attach(c, SHMB_PRODUCE, &r), 0);
        fake_go_away(&fake);
        shmb_detach(r);
        shmb_close(c);
}

#define RING(_test) cmocka_unit_test_setup_teardown(_test, setup_ring, teardown)
#define RAW(_test) cmocka_unit_test_setup_teardown(_test, setup_raw, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                RING(test_attach_gives_each_role_what_it_may_write_and_no_more),
                RING(test_attach_says_that_it_is_mapped_without_asking_for_an_answer),
                RING(test_attach_tells_what_the_handle_stands_for),
                RING(test_attach_as_producer_refuses_every_bad_grant),
                RING(test_attach_as_consumer_refuses_every_bad_grant),
                RING(test_attach_survives_every_flipped_bit_of_a_grant),
                RING(test_attach_passes_on_the_broker_s_word),
                RING(test_attach_checks_its_arguments_before_it_asks),
                RING(test_attach_waits_for_a_place_as_long_as_it_is_told),
                RING(test_attach_gives_back_what_comes_too_late),
                RING(test_attach_that_is_answered_twice_is_held_once),
                RING(test_attach_asks_for_a_new_lane_where_the_old_one_cannot_be_gone_on_with),
                RING(test_attach_asks_for_a_new_seat_where_the_old_one_cannot_be_gone_on_with),
                RING(test_attach_without_room_for_descriptors_gives_the_lease_back),
                RAW(test_raw_region_is_plain_bytes_for_its_users),
                RAW(test_raw_region_refuses_every_bad_grant),
                RING(test_close_and_detach_come_in_any_order),
                RING(test_detach_without_a_broker_ends_all_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
