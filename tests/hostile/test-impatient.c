/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who Asks Again Before He Reads
 *
 * His second request waits until he has read the first answer, and not a moment longer: the kernel
 * says once that he did, and may say it before it shows.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        ROUNDS = 20000,
        CLIENTS = 3, /* more than the machine can run at once, with the broker */
};

/* Of one answer. The broker loses its patience with who does not read after ten seconds. */
#define LONGEST_NS UINT64_C(5000000000)

static Broker broker;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void ask_twice_in_child(void *data) {
        WireMessage first = { .type = WIRE_STATUS }, second = { .type = WIRE_STATUS };
        uint64_t before_ns, longest_ns = 0;
        Caller caller;
        unsigned i;

        child_equal(caller_begin(&caller, broker.socket), 0);
        for (i = 0; i < ROUNDS; i++) {
                first.id = second.id = 0;
                child_equal(caller_send(&caller, &first), 0);
                child_equal(caller_send(&caller, &second), 0);
                before_ns = broker_now_ns();
                child_equal(caller_await(&caller, first.id), 0);
                child_equal(caller_await(&caller, second.id), 0);
                if (broker_now_ns() - before_ns > longest_ns)
                        longest_ns = broker_now_ns() - before_ns;
        }
        child_check(longest_ns < LONGEST_NS);
        child_say("answered");
}

static void test_second_request_is_answered_when_the_first_answer_is_read(void **state) {
        static const ChildIdentity alice = CHILD_ALICE;
        Child children[CLIENTS];
        unsigned i;

        broker_begin(&broker, "version: 1\nregions: [{name: $/raw, kind: raw, size: 4K,"
                              " access: {read: [any]}}]\n");
        for (i = 0; i < CLIENTS; i++)
                child_spawn(&children[i], &alice, ask_twice_in_child, NULL);
        for (i = 0; i < CLIENTS; i++) {
                child_expect(&children[i], "answered");
                child_finish(&children[i]);
        }
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(
                        test_second_request_is_answered_when_the_first_answer_is_read, teardown),
        };

        return cmocka_run_group_tests_name("impatient", tests, NULL, NULL);
}
