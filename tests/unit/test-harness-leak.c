/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leak Check of the Harness
 *
 * This program runs itself again, once for each thing that a test may leave behind, and looks at
 * how that run ends. The parent leaks nothing, so it also shows that the check is quiet then.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/leak.h"

static void leave_descriptor(void) {
        assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

static void leave_mapping(void) {
        int fd = memfd_create("left", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 4096), 0);
        assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
        close(fd);
}

static void leave_second_mapping(void) {
        int fd = memfd_create("left", MFD_CLOEXEC);
        void *first;

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 8192), 0);
        first = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(first, MAP_FAILED);
        assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096), MAP_FAILED);
        munmap(first, 4096);
        close(fd);
}

static void leave_child(void) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        assert_true(pid > 0);
}

static void leave_nothing(void) {
        int fd = memfd_create("kept", MFD_CLOEXEC);
        void *memory;
        pid_t pid;

        assert_int_equal(ftruncate(fd, 4096), 0);
        memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        pid = fork();
        if (pid == 0)
                /* Ends as a careless test does, all still open: no leak of the parent. */
                exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        munmap(memory, 4096);
        close(fd);
}

static const struct {
        const char *name;
        void (*leave)(void);
        int status;
        const char *said;
} leaks[] = {
        { "nothing", leave_nothing, 0, NULL },
        { "descriptor", leave_descriptor, LEAK_EXIT_STATUS, "(/dev/null) is left behind" },
        { "mapping", leave_mapping, LEAK_EXIT_STATUS, "/memfd:left" },
        { "second-mapping", leave_second_mapping, LEAK_EXIT_STATUS, "/memfd:left" },
        { "child", leave_child, LEAK_EXIT_STATUS, "a child is left behind" },
};

static void run_again(const char *name, int *ret_status, char *ret_said, size_t n_said) {
        ssize_t n;
        size_t n_read = 0;
        int said[2], status;
        pid_t pid;

        assert_int_equal(pipe2(said, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                dup2(said[1], STDERR_FILENO);
                execl("/proc/self/exe", "test-harness-leak", name, NULL);
                _exit(1);
        }
        close(said[1]);
        while ((n = read(said[0], ret_said + n_read, n_said - 1 - n_read)) > 0)
                n_read += (size_t)n;
        ret_said[n_read] = '\0';
        close(said[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        *ret_status = WEXITSTATUS(status);
}

static void test_harness_names_what_a_test_leaves_behind(void **state) {
        char said[4096];
        size_t i;
        int status;

        for (i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
                run_again(leaks[i].name, &status, said, sizeof(said));
                print_message("%s: status %d\n%s", leaks[i].name, status, said);
                assert_int_equal(status, leaks[i].status);
                if (leaks[i].said)
                        assert_non_null(strstr(said, leaks[i].said));
                else
                        assert_null(strstr(said, "leak:"));
        }
}

static void test_snapshot_counts_equal_entries(void **state) {
        static LeakSnapshot before, after;

        assert_int_equal(leak_snapshot_take(&before), 0);
        after = before;
        assert_int_equal(leak_snapshot_compare(&before, &after), 0);

        strcpy(after.entries[after.n_entries++], "mapping of /dev/shm/x");
        before = after;
        assert_int_equal(leak_snapshot_compare(&before, &after), 0);
        strcpy(after.entries[after.n_entries++], "mapping of /dev/shm/x");
        assert_int_equal(leak_snapshot_compare(&before, &after), 1);

        /* what is gone is no leak */
        assert_int_equal(leak_snapshot_compare(&after, &before), 0);
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_harness_names_what_a_test_leaves_behind),
                cmocka_unit_test(test_snapshot_counts_equal_entries),
        };
        size_t i;

        for (i = 0; argc > 1 && i < sizeof(leaks) / sizeof(leaks[0]); i++) {
                if (strcmp(argv[1], leaks[i].name) == 0) {
                        leaks[i].leave();
                        return 0;
                }
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
