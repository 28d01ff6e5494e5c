/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Control object: each word stands where the layout says, nothing else moves, and who sleeps on a
 * read-only mapping of `news` wakes up and sees what was said.
 */

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/control.h"
#include "memory/atomics.h"
#include "tests/harness/fault.h"
#include "tests/harness/fork.h"

enum {
        N_PARTIES = 5,
        SIZE = 8192,
        DEADLINE_S = 20,
};

typedef struct Fixture {
        int fd;
        Control control;
        const ShmbControl *seen; /* as a client maps it */
        uint8_t before[SIZE];
} Fixture;

FAULT_CALL(void *, mmap64,
           (void *at, size_t size, int protection, int flags, int fd, off_t offset),
           (at, size, protection, flags, fd, offset))
FAULT_CALL(int, madvise, (void *at, size_t size, int advice), (at, size, advice))

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        void *memory;

        if (!fixture)
                return -1;
        fixture->fd = memfd_create("control", MFD_CLOEXEC);
        if (fixture->fd < 0 || ftruncate(fixture->fd, SIZE) < 0 ||
            control_init_with_fd(&fixture->control, fixture->fd, SIZE, N_PARTIES) < 0)
                return -1;
        memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fixture->fd, 0);
        if (memory == MAP_FAILED)
                return -1;
        fixture->seen = memory;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        control_deinit(&fixture->control);
        control_deinit(&fixture->control);
        munmap((void *)fixture->seen, SIZE);
        close(fixture->fd);
        free(fixture);
        return 0;
}

static void remember(Fixture *fixture) {
        memcpy(fixture->before, fixture->seen, SIZE);
}

/* That bytes outside of [@offset, @offset + @n) are as they were. */
static void expect_only(Fixture *fixture, size_t offset, size_t n) {
        const uint8_t *now = (const uint8_t *)fixture->seen;
        size_t i;

        for (i = 0; i < SIZE; i++)
                if ((i < offset || i >= offset + n) && now[i] != fixture->before[i])
                        fail_msg("byte 0x%zx has moved", i);
}

static void test_size_must_hold_every_party(void **state) {
        Fixture *fixture = *state;
        Control control = CONTROL_NULL(control);

        assert_int_equal(control_init_with_fd(&control, fixture->fd, SIZE, 65), -EINVAL);
        assert_int_equal(control_init_with_fd(&control, fixture->fd, SIZE, UINT32_MAX), -EINVAL);
        assert_int_equal(control_init_with_fd(&control, fixture->fd, 4095, 0), -EINVAL);
        assert_int_equal(control_init_with_fd(&control, -1, SIZE, 2), -EBADF);
        assert_null(control.memory);
        assert_int_equal(control_init_with_fd(&control, fixture->fd, SIZE, 64), 0);
        control_deinit(&control);
        assert_null(control.memory);
}

static void test_state_and_generation_stand_where_the_layout_says(void **state) {
        Fixture *fixture = *state;

        remember(fixture);
        control_set_state(&fixture->control, SHMB_REGION_STALE, 0x1122334455667788);
        assert_int_equal(shmb_load_acquire(&fixture->seen->state), SHMB_REGION_STALE);
        assert_int_equal(shmb_load_acquire(&fixture->seen->generation), 0x1122334455667788);
        expect_only(fixture, 0x104, 12);
}

static void test_party_stands_where_the_layout_says(void **state) {
        static const ControlParty party = {
                .epoch = 3,
                .occupancy = SHMB_PARTY_UNPROVEN,
                .lease = 77,
                .n_deaths = 5,
                .n_detaches = 6,
        };
        static const uint32_t cases[] = { 0, 1, N_PARTIES - 1 };
        Fixture *fixture = *state;
        const ShmbParty *seen;
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                remember(fixture);
                control_set_party(&fixture->control, cases[i], &party);
                seen = &fixture->seen->parties[cases[i]];
                assert_int_equal(shmb_load_acquire(&seen->epoch), 3);
                assert_int_equal(shmb_load_acquire(&seen->occupancy), SHMB_PARTY_UNPROVEN);
                assert_int_equal(shmb_load_acquire(&seen->lease), 77);
                assert_int_equal(shmb_load_acquire(&seen->n_deaths), 5);
                assert_int_equal(shmb_load_acquire(&seen->n_detaches), 6);
                expect_only(fixture, 0x1000 + cases[i] * sizeof(ShmbParty), 24);
        }
}

static int index_out_of_bounds(void *userdata) {
        Control *control = userdata;

        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        control_set_party(control, N_PARTIES, &(ControlParty){});
        return 0;
}

static void test_party_that_is_not_there_ends_the_broker_before_it_writes(void **state) {
        Fixture *fixture = *state;

        remember(fixture);
        /* MADV_DONTFORK: the child has no mapping at all, and must not get as far as to miss it. */
        assert_int_equal(fork_run(index_out_of_bounds, &fixture->control), 128 + SIGABRT);
        expect_only(fixture, 0, 0);
}

static void test_announcing_changes_news_alone(void **state) {
        Fixture *fixture = *state;

        remember(fixture);
        control_announce(&fixture->control);
        control_announce(&fixture->control);
        assert_int_equal(shmb_load_acquire(&fixture->seen->news), 2);
        expect_only(fixture, 0x100, 4);
}

/* 0 if it was woken or found news, and then sees the state that was said before. */
static int sleep_on_news(void *userdata) {
        Fixture *fixture = userdata;
        struct timespec timeout = { .tv_sec = DEADLINE_S };
        const ShmbControl *seen = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fixture->fd, 0);

        while (shmb_load_acquire(&seen->news) == 0)
                if (syscall(SYS_futex, &seen->news, FUTEX_WAIT, 0, &timeout, NULL, 0) < 0 &&
                    errno != EAGAIN)
                        return 1;
        return shmb_load_acquire(&seen->state) == SHMB_REGION_REMOVED ? 0 : 2;
}

/* As /proc says it: asleep in futex(2). Where /proc does not say, it may be too early. */
static bool is_asleep(pid_t pid) {
        char path[64], text[64] = "";
        FILE *file;
        bool is;

        snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return true;
        is = fgets(text, sizeof(text), file) && atoi(text) == SYS_futex;
        fclose(file);
        return is;
}

static void test_sleepers_on_read_only_mappings_wake_up_and_see_the_state(void **state) {
        Fixture *fixture = *state;
        time_t deadline = time(NULL) + DEADLINE_S;
        pid_t pids[3];
        int i;

        for (i = 0; i < 3; i++) {
                pids[i] = fork_start(sleep_on_news, fixture);
                assert_true(pids[i] > 0);
        }
        for (i = 0; i < 3; i++)
                while (!is_asleep(pids[i]) && time(NULL) < deadline)
                        sched_yield();

        control_set_state(&fixture->control, SHMB_REGION_REMOVED, 1);
        control_announce(&fixture->control);
        for (i = 0; i < 3; i++)
                assert_int_equal(fork_wait(pids[i]), 0);
        assert_true(time(NULL) < deadline);
}

static void test_failed_mapping_leaves_nothing(void **state) {
        Fixture *fixture = *state;
        Control control = CONTROL_NULL(control);
        unsigned nth;
        int r;

        for (nth = 1; nth < 10; nth++) {
                fault_arm(nth, ENOMEM);
                r = control_init_with_fd(&control, fixture->fd, SIZE, 2);
                if (!fault_disarm())
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_null(control.memory);
        }
        assert_int_equal(nth, 3);
        assert_int_equal(r, 0);
        control_deinit(&control);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_size_must_hold_every_party),
                TEST(test_state_and_generation_stand_where_the_layout_says),
                TEST(test_party_stands_where_the_layout_says),
                TEST(test_party_that_is_not_there_ends_the_broker_before_it_writes),
                TEST(test_announcing_changes_news_alone),
                TEST(test_sleepers_on_read_only_mappings_wake_up_and_see_the_state),
                TEST(test_failed_mapping_leaves_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
