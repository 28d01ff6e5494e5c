/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One Suite for every Kind
 *
 * The same random operations on each kind of region, with each number of producers and consumers,
 * each policy of overflow, several sizes of items and each way to wait; after each one, what the
 * library said is held against a model that knows nothing of memory. Everything happens in this
 * process, one step behind the other: what a step must answer is known exactly.
 */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/system/conformance.h"

enum {
        STEPS = 1500,
        BATCH = 5,
        /* What a call waits where the model says that it waits in vain. */
        IN_VAIN_NS = 50000,
};

typedef enum Wait {
        WAIT_TRY,
        WAIT_TIMED,
        WAIT_POLL,
        _WAIT_N,
} Wait;

static Broker broker;
static struct shmb *connection;

/* One case at work. */
typedef struct Run {
        const Case *it;
        Wait wait;
        Model model;
        char name[256];
        struct shmb_region *producers[PARTIES_MAX], *consumers[PARTIES_MAX];
        uint8_t bytes[BATCH * ITEM_MAX];
        unsigned seed;
        uint64_t n_moved, n_refused;
} Run;

static unsigned below(Run *run, unsigned n) {
        return (unsigned)rand_r(&run->seed) % n;
}

static int64_t patience(const Run *run) {
        return run->wait == WAIT_TIMED ? IN_VAIN_NS : 0;
}

static int vain(const Run *run) {
        return run->wait == WAIT_TIMED ? -ETIMEDOUT : -EAGAIN;
}

static struct shmb_region *attach(const Run *run, enum shmb_role role) {
        struct shmb_region *r = NULL;
        int result = shmb_attach(connection, run->name, role, NULL, &r);

        if (result < 0)
                fail_msg("%s: %s", run->it->label, shmb_error(connection));
        if (run->wait == WAIT_POLL)
                assert_true(shmb_poll_fd(r) >= 0);
        return r;
}

/* A handle that is polled is readable exactly as long as nothing was in vain. */
static void expect_readable(const Run *run, struct shmb_region *r, bool expected) {
        struct pollfd pollfd = { .events = POLLIN };

        /* Where the broker gives memory it may be readable in vain. */
        if (run->wait != WAIT_POLL || (!expected && case_is_lazy(run->it)))
                return;
        pollfd.fd = shmb_poll_fd(r);
        assert_true(poll(&pollfd, 1, 0) >= 0);
        if (expected)
                assert_int_equal(pollfd.revents, POLLIN);
        else
                assert_int_equal(pollfd.revents, 0);
}

static int give_one(Run *run, struct shmb_region *r, uint32_t lane) {
        int result;

        item_fill(run->bytes, run->it->item_size, lane, run->model.lanes[lane].tail);
        result = shmb_push(r, run->bytes, patience(run));
        return result < 0 ? result : 1;
}

static int give_many(Run *run, struct shmb_region *r, uint32_t lane) {
        uint32_t i, n = 1 + below(run, BATCH);

        for (i = 0; i < n; i++)
                item_fill(run->bytes + i * run->it->item_size, run->it->item_size, lane,
                          run->model.lanes[lane].tail + i);
        return shmb_push_n(r, run->bytes, n, patience(run));
}

/* Fills a span, and publishes a part of it or none. */
static int give_in_place(Run *run, struct shmb_region *r, uint32_t lane) {
        uint32_t i, n = 1 + below(run, BATCH);
        struct shmb_span span;
        int result = shmb_claim_n(r, n, &span, patience(run));

        if (result < 0)
                return result;
        assert_in_range(span.n, 1, n);
        for (i = 0; i < span.n; i++)
                item_fill((uint8_t *)span.data + (size_t)i * span.stride, run->it->item_size, lane,
                          run->model.lanes[lane].tail + i);
        model_claimed(&run->model, lane, span.n);
        n = below(run, span.n + 1);
        assert_int_equal(n > 0 ? shmb_commit_n(r, n) : shmb_abort(r), 0);
        return (int)n;
}

static int give_message(Run *run, struct shmb_region *r, uint32_t lane) {
        uint64_t number = run->model.lanes[lane].tail;
        uint32_t n = case_length(run->it, number);
        int result;

        item_fill(run->bytes, n, lane, number);
        result = shmb_send(r, run->bytes, n, patience(run));
        return result < 0 ? result : 1;
}

/* Fills it in place, and publishes it or not. */
static int give_message_in_place(Run *run, struct shmb_region *r, uint32_t lane) {
        uint64_t number = run->model.lanes[lane].tail;
        uint32_t n = case_length(run->it, number);
        bool publish = below(run, 4) > 0;
        struct shmb_span span;
        int result = shmb_claim_n(r, n, &span, patience(run));

        if (result < 0)
                return result;
        assert_int_equal(span.n, n);
        item_fill(span.data, n, lane, number);
        assert_int_equal(publish ? shmb_commit_n(r, n) : shmb_abort(r), 0);
        return publish;
}

static void give(Run *run) {
        static int (*const ways[][3])(Run *run, struct shmb_region *r, uint32_t lane) = {
                { give_one, give_many, give_in_place },
                { give_message, give_message, give_message_in_place },
        };
        uint32_t lane = below(run, run->it->n_producers), way = below(run, 3);
        struct shmb_region *r = run->producers[lane];
        uint64_t room = model_room(&run->model, lane);
        bool drops = run->it->overflow == OVERFLOW_DROP && way < 2;
        int result;

        result = ways[case_is_stream(run->it)][way](run, r, lane);
        if ((room == 0 && !drops) || (result < 0 && case_is_lazy(run->it))) {
                assert_int_equal(result, run->it->overflow != OVERFLOW_BLOCK ? -EAGAIN
                                                                            : vain(run));
                expect_readable(run, r, false);
                run->n_refused++;
                return;
        }
        assert_true(result >= 0);
        if (room == 0) {
                model_dropped(&run->model, (uint64_t)result);
                return;
        }
        if (!drops)
                assert_true((uint64_t)result <= room);
        model_published(&run->model, lane, (uint64_t)result < room ? (uint64_t)result : room);
        expect_readable(run, r, true);
        run->n_moved += (uint64_t)result;
}

static int take_copies(Run *run, struct shmb_region *r, uint32_t seat) {
        uint32_t n = 1 + below(run, BATCH);
        int result = n == 1 ? shmb_pop(r, run->bytes, patience(run))
                            : shmb_pop_n(r, run->bytes, n, patience(run));

        if (result < 0)
                return result;
        if (n == 1)
                result = 1;
        assert_in_range(result, 1, n);
        model_peeked(&run->model, seat, run->bytes, run->it->item_size, (uint32_t)result);
        model_released(&run->model, seat, (uint32_t)result);
        return result;
}

/* Looks at a span, and gives a part of it back. */
static int take_in_place(Run *run, struct shmb_region *r, uint32_t seat) {
        uint32_t n = 1 + below(run, BATCH);
        struct shmb_span span;
        int result = shmb_peek_n(r, n, &span, patience(run));

        if (result < 0)
                return result;
        assert_in_range(span.n, 1, n);
        model_peeked(&run->model, seat, span.data, span.stride, span.n);
        n = 1 + below(run, span.n);
        assert_int_equal(shmb_release_n(r, n), 0);
        model_released(&run->model, seat, n);
        return (int)n;
}

/* At times into too little room: then it stays. */
static int take_message(Run *run, struct shmb_region *r, uint32_t seat) {
        ssize_t result;

        if (below(run, 4) == 0) {
                result = shmb_recv(r, run->bytes, 7, patience(run));
                if (result != -EMSGSIZE)
                        return (int)result;
        }
        result = shmb_recv(r, run->bytes, sizeof(run->bytes), patience(run));
        if (result < 0)
                return (int)result;
        model_peeked(&run->model, seat, run->bytes, (uint32_t)result, 1);
        model_released(&run->model, seat, 1);
        return 1;
}

static int take_message_in_place(Run *run, struct shmb_region *r, uint32_t seat) {
        struct shmb_span span;
        int result = shmb_peek_n(r, UINT32_MAX, &span, patience(run));

        if (result < 0)
                return result;
        model_peeked(&run->model, seat, span.data, span.n, 1);
        assert_int_equal(shmb_release_n(r, span.n), 0);
        model_released(&run->model, seat, 1);
        return 1;
}

static void take(Run *run) {
        static int (*const ways[][2])(Run *run, struct shmb_region *r, uint32_t seat) = {
                { take_in_place, take_copies },
                { take_message_in_place, take_message },
        };
        uint32_t seat = below(run, run->it->n_consumers);
        struct shmb_region *r = run->consumers[seat];
        bool any = model_any(&run->model, seat);
        int result = ways[case_is_stream(run->it)][below(run, 2)](run, r, seat);

        if (!any) {
                assert_int_equal(result, vain(run));
                expect_readable(run, r, false);
                run->n_refused++;
                return;
        }
        assert_true(result > 0);
        expect_readable(run, r, true);
        model_missed(&run->model, seat, shmb_missed(r));
}

/* A party leaves and another one takes its place: what it held is there again. */
static void replace(Run *run) {
        uint32_t i = below(run, PARTIES_MAX);

        if (i < run->it->n_producers) {
                run->producers[i] = shmb_detach(run->producers[i]);
                run->producers[i] = attach(run, SHMB_PRODUCE);
        }
        if (i < run->it->n_consumers) {
                run->consumers[i] = shmb_detach(run->consumers[i]);
                model_left(&run->model, i);
                run->consumers[i] = attach(run, SHMB_CONSUME);
                model_joined(&run->model, i);
        }
}

/* Who joins a reliable broadcast counts from what each producer does next. */
static void settle(Run *run) {
        uint32_t i;

        for (i = 0; i < run->it->n_producers; i++)
                assert_int_equal(shmb_check(run->producers[i]), 0);
}

static void check_stats(Run *run) {
        struct shmb_stats stats = { .size = sizeof(stats) };
        struct shmb_region *r = NULL;

        assert_int_equal(shmb_attach(connection, run->name, SHMB_OBSERVE, NULL, &r), 0);
        assert_int_equal(shmb_get_stats(r, &stats), 0);
        assert_int_equal(stats.n_pushed, model_n_published(&run->model));
        assert_int_equal(stats.n_dropped, run->model.n_dropped);
        assert_int_equal(stats.n_deaths, 0);
        shmb_detach(r);
}

static void begin(Run *run, const Case *it, Wait wait, unsigned number) {
        uint32_t i;

        memset(run, 0, sizeof(*run));
        run->it = it;
        run->wait = wait;
        run->seed = number + 1;
        model_init(&run->model, it);
        snprintf(run->name, sizeof(run->name), "%s",
                 broker_name(&broker, case_region(it, (unsigned)wait)));
        for (i = 0; i < it->n_producers; i++)
                run->producers[i] = attach(run, SHMB_PRODUCE);
        for (i = 0; i < it->n_consumers; i++) {
                run->consumers[i] = attach(run, SHMB_CONSUME);
                model_joined(&run->model, i);
        }
        settle(run);
}

static void end(Run *run) {
        uint32_t i;

        for (i = 0; i < run->it->n_producers; i++)
                shmb_detach(run->producers[i]);
        for (i = 0; i < run->it->n_consumers; i++)
                shmb_detach(run->consumers[i]);
}

static void conform(const Case *it, Wait wait, unsigned number) {
        static Run run;
        unsigned step;

        begin(&run, it, wait, number);
        for (step = 0; step < STEPS; step++) {
                run.model.where = step;
                if (below(&run, 200) == 0) {
                        replace(&run);
                        settle(&run);
                } else if (below(&run, step / 100 % 2 ? 3 : 2) == 0) {
                        give(&run);
                } else {
                        take(&run);
                }
        }
        assert_true(run.n_moved > STEPS / 10);
        check_stats(&run);
        end(&run);
}

static int setup(void **state) {
        broker_begin(&broker, cases_yaml(_WAIT_N));
        return shmb_connect(broker.socket, &connection);
}

static int teardown(void **state) {
        connection = shmb_close(connection);
        broker_end(&broker);
        return 0;
}

static void test_every_kind_does_what_its_model_does(void **state) {
        static const char *const waits[] = { "try", "timed", "poll" };
        const Case *it;
        unsigned i, wait;

        for (i = 0; (it = case_at(i)); i++) {
                for (wait = 0; wait < _WAIT_N; wait++) {
                        print_message("%s, %s\n", it->label, waits[wait]);
                        conform(it, (Wait)wait, i * _WAIT_N + wait);
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_does_what_its_model_does),
        };

        broker_need_root();
        return cmocka_run_group_tests_name("conformance", tests, setup, teardown);
}
