/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recall: memory is found by its inode in who has it mapped or open, read-only; nothing else of the
 * other side is opened.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/recall.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

enum {
        N_MEMORIES = 3,
        SIZE = 4096,
};

typedef struct Fixture {
        int memories[N_MEMORIES];
        RecallWanted wanted[N_MEMORIES];
        int said[2]; /* pipe */
        unsigned n_mapped, n_open; /* by the child: the first few, and those behind */
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        struct stat st;
        size_t i;

        if (!fixture || pipe2(fixture->said, O_CLOEXEC) < 0)
                return -1;
        for (i = 0; i < N_MEMORIES; i++) {
                fixture->memories[i] = memfd_create("recalled", MFD_CLOEXEC);
                if (fixture->memories[i] < 0 || ftruncate(fixture->memories[i], SIZE) < 0 ||
                    fstat(fixture->memories[i], &st) < 0)
                        return -1;
                fixture->wanted[i] = (RecallWanted){ .dev = st.st_dev, .ino = st.st_ino, .fd = -1 };
        }
        recall_sort(fixture->wanted, N_MEMORIES);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;
        size_t i;

        for (i = 0; i < N_MEMORIES; i++) {
                close(fixture->memories[i]);
                if (fixture->wanted[i].fd >= 0)
                        close(fixture->wanted[i].fd);
        }
        close(fixture->said[0]);
        close(fixture->said[1]);
        free(fixture);
        return 0;
}

/* Some are mapped alone, some are open alone, and the rest it has not at all. */
static int hold(void *userdata) {
        Fixture *fixture = userdata;
        unsigned i;

        for (i = 0; i < N_MEMORIES; i++) {
                if (i < fixture->n_mapped &&
                    mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fixture->memories[i], 0) ==
                                    MAP_FAILED)
                        return 1;
                if (i < fixture->n_mapped || i >= fixture->n_mapped + fixture->n_open)
                        close(fixture->memories[i]);
        }
        if (write(fixture->said[1], "", 1) != 1)
                return 1;
        for (;;)
                pause();
}

static pid_t start(Fixture *fixture) {
        pid_t pid = fork_start(hold, fixture);
        char byte;

        assert_true(pid > 0);
        assert_int_equal(read(fixture->said[0], &byte, 1), 1);
        return pid;
}

static void end(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(fork_wait(pid), 128 + SIGKILL);
}

/* That those found are the very ones, and cannot be written through. */
static unsigned count_found(const Fixture *fixture) {
        struct stat st;
        unsigned n = 0;
        size_t i;

        for (i = 0; i < N_MEMORIES; i++) {
                if (fixture->wanted[i].fd < 0)
                        continue;
                assert_int_equal(fstat(fixture->wanted[i].fd, &st), 0);
                assert_int_equal(st.st_ino, fixture->wanted[i].ino);
                assert_int_equal(fcntl(fixture->wanted[i].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
                assert_int_equal(fcntl(fixture->wanted[i].fd, F_GETFD), FD_CLOEXEC);
                n++;
        }
        return n;
}

static void test_recall_finds_what_is_mapped_and_what_is_open(void **state) {
        Fixture *fixture = *state;
        pid_t pid;

        fixture->n_mapped = 1;
        fixture->n_open = 1;
        pid = start(fixture);
        assert_int_equal(recall_from(pid, fixture->wanted, N_MEMORIES), 2);
        assert_int_equal(count_found(fixture), 2);
        /* what was found is not looked for again */
        assert_int_equal(recall_from(pid, fixture->wanted, N_MEMORIES), 0);
        end(pid);
        assert_int_equal(recall_from(pid, fixture->wanted, N_MEMORIES), 0);
        assert_int_equal(count_found(fixture), 2);
}

static void test_recall_from_nobody_finds_nothing(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(recall_from(0, fixture->wanted, N_MEMORIES), 0);
        assert_int_equal(recall_from(-1, fixture->wanted, N_MEMORIES), 0);
        assert_int_equal(recall_from(getpid(), fixture->wanted, 0), 0);
        assert_int_equal(count_found(fixture), 0);
}

/* A FIFO that nobody writes would hold up who opens it. */
static void test_recall_opens_nothing_else(void **state) {
        Fixture *fixture = *state;
        char path[SCRATCH_PATH_MAX], fifo[SCRATCH_PATH_MAX + 8];
        size_t n_fds;
        int fd;

        assert_int_equal(scratch_make(path), 0);
        snprintf(fifo, sizeof(fifo), "%s/fifo", path);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        fd = open(fifo, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        n_fds = scratch_count_fds();
        fixture->wanted[0].ino = UINT64_MAX;
        (void)recall_from(getpid(), fixture->wanted, 1);
        assert_true(fixture->wanted[0].fd < 0);
        assert_int_equal(scratch_count_fds(), n_fds);
        close(fd);
        scratch_remove(path);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
                TEST(test_recall_finds_what_is_mapped_and_what_is_open),
                TEST(test_recall_from_nobody_finds_nothing),
                TEST(test_recall_opens_nothing_else),
        };

        if (access("/proc/self/map_files", X_OK) < 0 || geteuid() != 0) {
                fputs("skipped: only root sees what others have mapped\n", stderr);
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
