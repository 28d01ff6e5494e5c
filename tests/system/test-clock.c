/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Realtime Clock that Is Set
 *
 * The broker is told that a year went by, or that it is a year ago (clock-step.c). Nothing is
 * reaped for it that was not due, what is due goes when it is, and who holds something keeps it; so
 * it is for the next broker too, whatever its clock says.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/look.h"
#include "tests/system/clock-step.h"

#define YEAR_S (INT64_C(365) * 24 * 3600)

enum {
        N_RAW = 2, /* names: control and data */
        /* As often as the clock is set: forward, back, and both at a restart. */
        STEPS = 6,
};

static const char yaml[] =
                "version: 1\n"
                "defaults: {kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "regions:\n"
                "  - {name: $/held}\n"
                "  - {name: $/far, lifetime: {policy: on_demand, linger: 1h}}\n"
                "  - {name: $/near, lifetime: {policy: on_demand, linger: 100ms}}\n";

static Broker broker;
static ClockStep *step;
static char path[BROKER_PATH_MAX + 16];

static void tell_another_time(void *data) {
        setenv(CLOCK_STEP_VARIABLE, path, 1);
        setenv("LD_PRELOAD", getenv("SHMBROKER_CLOCK_STEP_LIBRARY"), 1);
}

static int setup(void **state) {
        int fd;

        broker_init(&broker, yaml);
        snprintf(path, sizeof(path), "%s/clock", broker.directory);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, sizeof(*step)), 0);
        step = mmap(NULL, sizeof(*step), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(step, MAP_FAILED);
        close(fd);
        broker.prepare = tell_another_time;
        return 0;
}

static int teardown(void **state) {
        munmap(step, sizeof(*step));
        broker_deinit(&broker);
        return 0;
}

/* Made by an attach, and left at once: it lingers from now on. */
static void touch(const char *name) {
        CallerLease lease;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, name), SHMB_ROLE_READ,
                                       &lease),
                         0);
        caller_lease_close(&lease);
        assert_int_equal(caller_detach(&caller, lease.attached.lease), 0);
        caller_close(&caller);
}

/* That the broker would know better: date(1), as it is told. */
static void test_clock_step_is_what_a_program_sees(void **state) {
        long long said = 0;
        char line[32] = "";
        FILE *pipe;

        atomic_store(&step->offset_s, YEAR_S);
        tell_another_time(NULL);
        pipe = popen("date +%s", "re");
        unsetenv("LD_PRELOAD");
        assert_non_null(pipe);
        assert_non_null(fgets(line, sizeof(line), pipe));
        pclose(pipe);
        said = strtoll(line, NULL, 10);
        assert_true(said >= time(NULL) + YEAR_S - 5 && said <= time(NULL) + YEAR_S + 5);
        assert_true(atomic_load(&step->n_real) > 0);
}

static void hold_in_child(void *data) {
        CallerLease lease;
        Caller caller;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, broker_name(&broker, "held"), SHMB_ROLE_WRITE, &lease),
                    0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        child_say("attached");
        child_await("end");
}

static void test_a_year_more_or_less_reaps_nothing(void **state) {
        static const int64_t offsets[STEPS] = { YEAR_S, 0, -YEAR_S, YEAR_S, -YEAR_S, 0 };
        static const ChildIdentity alice = CHILD_ALICE;
        BrokerName before[BROKER_NAMES_MAX], after[BROKER_NAMES_MAX];
        uint64_t n_looks;
        unsigned i;
        Child child;

        broker_start(&broker);
        child_spawn(&child, &alice, hold_in_child, NULL);
        child_expect(&child, "attached");
        touch("far");
        assert_int_equal(broker_shm(&broker, before), 2 * N_RAW);
        for (i = 0; i < STEPS; i++) {
                touch("near");
                n_looks = atomic_load(&step->n_other);
                atomic_store(&step->offset_s, offsets[i]);
                if (i >= STEPS / 2) {
                        broker_kill(&broker);
                        broker_start(&broker);
                }
                /* What was due went, so the broker has looked at its timer behind the step. */
                broker_until(look_region(&broker, "near").state == SHMB_REGION_DECLARED);
                assert_true(atomic_load(&step->n_other) > n_looks);
                assert_int_equal(look_region(&broker, "far").state, SHMB_REGION_LIVE);
                assert_int_equal(look_region(&broker, "held").n_writers, 1);
                assert_int_equal(broker_shm(&broker, after), 2 * N_RAW);
                assert_memory_equal(after, before, 2 * N_RAW * sizeof(before[0]));
        }
        assert_int_equal(atomic_load(&step->n_loaded), 1 + STEPS - STEPS / 2);
        child_tell(&child, "end");
        child_finish(&child);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_clock_step_is_what_a_program_sees),
                TEST(test_a_year_more_or_less_reaps_nothing),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
