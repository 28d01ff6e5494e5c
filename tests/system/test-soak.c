/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker that dies and is replaced all the Time, and nobody notices
 *
 * Under a load that never stops the broker is killed, or hands over to its successor, at random
 * moments; half of the memory is sealed, and only its clients have it then. Every other broker is
 * of a build that is a minor version of the protocol ahead: each upgrade is followed by a
 * downgrade. No item is lost or repeated, no call fails, objects keep their inodes, and in the end
 * nothing is left. tests/systemd does the same under a service manager.
 *
 * Half a minute, or $SHMBROKER_SOAK_SECONDS.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/caller.h"
#include "tests/harness/soak.h"

enum {
        SECONDS = 30,
        /* Each so many deaths of the broker is a hand-over. */
        HAND_OVER = 6,
        PAUSE_MAX_NS = 500000000, /* four deaths a second */
};

static const char yaml[] = "version: 1\n"
                           "regions:\n" SOAK_REGIONS("$", "memfd");

static Broker broker;
static Soak soak;

static int setup(void **state) {
        broker_begin(&broker, yaml);
        return 0;
}

static int teardown(void **state) {
        soak_deinit(&soak);
        broker_deinit(&broker);
        return 0;
}

static void pause_at_random(void) {
        struct timespec pause = { .tv_nsec = random() % PAUSE_MAX_NS };

        nanosleep(&pause, NULL);
}

/* What this build is told, who knows of one more minor version than there is. */
static unsigned minor_of_broker(void) {
        WireMessage hello = { .type = WIRE_HELLO };
        Caller caller;

        hello.hello.major = WIRE_VERSION_MAJOR;
        hello.hello.minor = WIRE_VERSION_MINOR + 1;
        assert_int_equal(caller_connect(&caller, broker.socket), 0);
        assert_int_equal(caller_call(&caller, &hello), 0);
        caller_close(&caller);
        return caller.reply.welcome.minor;
}

/* The other build; where the test runs by hand there may be one only. */
static void start_other(unsigned nth) {
        const char *next = getenv("SHMBROKERD_NEXT");

        broker.program = nth % 2 ? next : NULL;
        broker_start(&broker);
        assert_int_equal(minor_of_broker(), WIRE_VERSION_MINOR + (next && nth % 2));
}

/* Return: how many brokers ended. */
static unsigned end_brokers(uint64_t until) {
        unsigned n;

        for (n = 0; broker_now_ns() < until; n++) {
                pause_at_random();
                if (n % HAND_OVER == 0) {
                        kill(broker.pid, SIGUSR1);
                        assert_int_equal(broker_wait(&broker), 0);
                } else {
                        broker_kill(&broker);
                }
                start_other(n + 1);
        }
        return n;
}

static uint64_t seconds(void) {
        const char *said = getenv("SHMBROKER_SOAK_SECONDS");

        return said ? strtoull(said, NULL, 10) : SECONDS;
}

/* But for what comes and goes with its visitors. */
static size_t lasting_names(BrokerName ret_names[static BROKER_NAMES_MAX]) {
        size_t i, n = 0, n_all = broker_shm(&broker, ret_names);

        for (i = 0; i < n_all; i++)
                if (!strstr(ret_names[i].name, "brief"))
                        ret_names[n++] = ret_names[i];
        return n;
}

static void expect_same(const BrokerName *before, size_t n) {
        static BrokerName after[BROKER_NAMES_MAX];
        size_t i;

        assert_int_equal(lasting_names(after), n);
        for (i = 0; i < n; i++) {
                assert_string_equal(after[i].name, before[i].name);
                assert_int_equal(after[i].ino, before[i].ino);
        }
}

static void test_nobody_notices(void **state) {
        static BrokerName before[BROKER_NAMES_MAX];
        size_t n_names = lasting_names(before), n_fds = broker_n_fds(&broker);
        unsigned n_ends;

        srandom(7);
        soak_begin(&soak, &broker);
        n_ends = end_brokers(broker_now_ns() + seconds() * UINT64_C(1000000000));
        soak_end(&soak);
        expect_same(before, n_names);
        broker_until(broker_n_shm(&broker) == n_names);
        broker_until(broker_n_fds(&broker) == n_fds);
        print_message("%u brokers ended, %llu items, %llu visits, the longest %llu ms\n", n_ends,
                      (unsigned long long)soak.n_items, (unsigned long long)soak.n_visits,
                      (unsigned long long)soak.longest_visit_ns / 1000000);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nobody_notices, setup, teardown),
        };

        broker_need_root();
        broker_parent = "/dev/shm";
        return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
