/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How a Broker Starts
 *
 * With a good configuration it serves, whatever surroundings it is started in; with a bad one, or
 * where another one serves already, it says so, ends with the status that says which, and leaves
 * everything as it was.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

enum {
        EXIT_CONFIG = 78, /* EX_CONFIG of sysexits.h */
        N_NAMES = 2 + 3,  /* raw: control and data; ring: control, lane and seat */
};

static const char yaml[] = "version: 1\n"
                           "regions:\n"
                           "  - {name: $/a, kind: raw, size: 4K, access: {read: [any]}}\n"
                           "  - name: $/b\n"
                           "    kind: ring\n"
                           "    item: {size: 64}\n"
                           "    capacity: 64\n"
                           "    access: {produce: [any], consume: [any]}\n";

static Broker broker, second;

static int teardown(void **state) {
        broker_deinit(&second);
        broker_deinit(&broker);
        return 0;
}

static void assert_serves(const Broker *b) {
        CallerLease lease;
        Caller caller;

        assert_int_equal(caller_begin(&caller, b->socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(b, "a"), SHMB_ROLE_READ, &lease), 0);
        caller_lease_close(&lease);
        caller_close(&caller);
}

static const struct {
        const char *yaml, *position, *says;
} bad[] = {
        { "version: 1\nregions:\n  - {name: $/a, kind: raw, size: 4K}\n"
          "  - {name: $/b, kind: raw, size: 4K, colour: red}\n", ":4:", "colour" },
        { "version: 1\nregions:\n  - {name: $/a, kind: raw, size: 4K}\n"
          "  - {name: $/a, kind: raw, size: 4K}\n", ":4:", "/a" },
        { "version: 1\nregions:\n  - {name: $/a, kind: raw, size: 4K,\n"
          "     access: {read: [user:no-such-user-here]}}\n", ":4:", "no-such-user-here" },
        { "version: 1\nregions: [\n", ":", "yaml" },
        { "version: 99\n", ":1:", "99" },
        { "version: 1\nregions:\n  - {name: $/q, kind: raw, size: 4K, backing: file}\n", ":3:",
          "is not supported by this version" },
};

static void test_start_with_a_bad_config_creates_nothing(void **state) {
        struct stat st;
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                broker_init(&broker, bad[i].yaml);
                broker_spawn(&broker, NULL);
                assert_int_equal(broker_wait(&broker), EXIT_CONFIG);
                print_message("%s", broker_journal(&broker));
                assert_true(broker_said(&broker, "shmbrokerd.yaml", bad[i].position));
                assert_true(broker_said(&broker, bad[i].says, NULL));
                assert_int_equal(broker.n_ready, 0);
                assert_int_equal(broker_n_shm(&broker), 0);
                assert_int_equal(stat(broker.socket, &st), -1);
                broker_deinit(&broker);
        }
}

static void test_start_check_judges_and_touches_nothing(void **state) {
        struct stat st;

        broker_init(&broker, yaml);
        broker_spawn(&broker, "--check");
        assert_int_equal(broker_wait(&broker), 0);
        assert_int_equal(stat(broker.runtime, &st), -1);
        assert_int_equal(broker_n_shm(&broker), 0);

        broker_configure(&broker, bad[0].yaml);
        broker_spawn(&broker, "--check");
        assert_int_equal(broker_wait(&broker), EXIT_CONFIG);
        assert_true(broker_said(&broker, "shmbrokerd.yaml:4:", "colour"));
        assert_int_equal(stat(broker.runtime, &st), -1);
        assert_int_equal(broker.n_ready, 0);
        broker_deinit(&broker);
}

static void test_start_of_a_second_broker_leaves_the_first_alone(void **state) {
        BrokerName before[BROKER_NAMES_MAX], after[BROKER_NAMES_MAX];
        char lock_holder[32];
        size_t n;

        broker_begin(&broker, yaml);
        n = broker_shm(&broker, before);
        second = broker;
        second.pid = 0;
        strcat(second.journal, "-2");
        broker_spawn(&second, NULL);
        assert_int_equal(broker_wait(&second), 1);
        snprintf(lock_holder, sizeof(lock_holder), "%d", broker.pid);
        assert_true(broker_said(&second, broker.runtime, lock_holder));
        second.directory[0] = '\0';

        assert_int_equal(broker_shm(&broker, after), n);
        assert_memory_equal(before, after, n * sizeof(before[0]));
        assert_serves(&broker);
        broker_end(&broker);
}

static void close_stdio(void *data) {
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
}

static void test_start_without_stdio(void **state) {
        char target[128] = "", path[64];
        ssize_t n;

        broker_init(&broker, yaml);
        broker.prepare = close_stdio;
        broker_start(&broker);
        assert_serves(&broker);
        /* What is written to standard error must not end up in somebody's socket. */
        snprintf(path, sizeof(path), "/proc/%d/fd/2", broker.pid);
        n = readlink(path, target, sizeof(target) - 1);
        assert_true(n > 0);
        assert_string_equal(target, "/dev/null");
        broker_end(&broker);
}

static void set_umask(void *data) {
        umask(*(mode_t *)data);
}

static void test_start_modes_do_not_follow_the_umask(void **state) {
        static mode_t masks[] = { 0, 0077, 0777 };
        BrokerName names[BROKER_NAMES_MAX];
        struct stat st;
        size_t i, k, n;

        for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
                broker_init(&broker, yaml);
                broker.prepare = set_umask;
                broker.prepare_data = &masks[i];
                broker_start(&broker);
                assert_serves(&broker);
                assert_int_equal(stat(broker.runtime, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0755);
                assert_int_equal(stat(broker.socket, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0666);
                assert_int_equal(stat(broker.admin, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0660);
                n = broker_shm(&broker, names);
                assert_int_equal(n, N_NAMES);
                for (k = 0; k < n; k++)
                        assert_int_equal(names[k].mode & 07777, 0600);
                broker_end(&broker);
        }
}

/* A limit of the size of files must be an error and not SIGXFSZ. */
static void limit_files(void *data) {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 6000, 6000 });
}

static void test_start_survives_a_limit_of_file_size(void **state) {
        broker_init(&broker, yaml);
        broker.prepare = limit_files;
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_true(broker_said(&broker, broker_name(&broker, "b"), NULL));
        assert_int_equal(broker_n_shm(&broker), 0);
        broker_deinit(&broker);
}

static void become_alice(void *data) {
        static const ChildIdentity alice = CHILD_ALICE;

        child_become(&alice);
}

/* An ordinary user's own broker: the same, for him. */
static void test_start_without_privileges(void **state) {
        BrokerName names[BROKER_NAMES_MAX];
        size_t i, n;

        broker_init(&broker, yaml);
        broker.prepare = become_alice;
        assert_int_equal(chown(broker.directory, 61001, 61001), 0);
        assert_int_equal(chmod(broker.notify, 0666), 0);
        broker_start(&broker);
        assert_serves(&broker);
        n = broker_shm(&broker, names);
        assert_int_equal(n, N_NAMES);
        for (i = 0; i < n; i++)
                assert_int_equal(names[i].uid, 61001);
        broker_end(&broker);
}

static void test_start_refuses_a_directory_that_others_can_write(void **state) {
        broker_init(&broker, yaml);
        assert_int_equal(mkdir(broker.runtime, 0755), 0);
        assert_int_equal(chmod(broker.runtime, 0777), 0);
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_true(broker_said(&broker, broker.runtime, NULL));
        assert_int_equal(broker_n_shm(&broker), 0);

        /* nor one of somebody else */
        assert_int_equal(chmod(broker.runtime, 0755), 0);
        assert_int_equal(chown(broker.runtime, 61001, 61001), 0);
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_true(broker_said(&broker, broker.runtime, "61001"));

        assert_int_equal(chown(broker.runtime, 0, 0), 0);
        broker_start(&broker);
        assert_serves(&broker);
        broker_end(&broker);
}

static void test_start_over_what_is_not_its_socket(void **state) {
        int fd;

        broker_init(&broker, yaml);
        assert_int_equal(mkdir(broker.runtime, 0755), 0);
        fd = open(broker.socket, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "precious", 8), 8);
        close(fd);
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), 1);
        assert_true(broker_said(&broker, "broker.sock", NULL));
        assert_int_equal(broker_n_shm(&broker), 0);
        assert_int_equal(access(broker.socket, F_OK), 0);
        assert_int_equal(unlink(broker.socket), 0);
        broker_start(&broker);
        broker_end(&broker);
}

static int run_option(const char *option) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

                dup2(fd, STDOUT_FILENO);
                dup2(fd, STDERR_FILENO);
                execl(getenv("SHMBROKERD"), "shmbrokerd", option, NULL);
                _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_start_options(void **state) {
        assert_int_equal(run_option("--version"), 0);
        assert_int_equal(run_option("--help"), 0);
        assert_int_equal(run_option("--no-such-option"), 2);
        assert_int_equal(run_option("stray"), 2);
}

static void test_start_says_ready_when_everything_can_be_attached(void **state) {
        broker_begin(&broker, yaml);
        /* the first READY=1 is there, so the first attach cannot fail */
        assert_serves(&broker);
        assert_int_equal(broker.n_ready, 1);
        assert_non_null(strstr(broker.status, "2"));
        broker_stop(&broker);
        assert_int_equal(broker.n_stopping, 1);
        assert_int_equal(access(broker.socket, F_OK), -1);
        assert_int_equal(access(broker.admin, F_OK), -1);
        broker_deinit(&broker);
}

/* Standard error is a pipe: nobody reads it, or nobody has it any more. */
static int log_pipe[2];

static void log_to_pipe(void *data) {
        dup2(log_pipe[1], STDERR_FILENO);
}

static void start_on_a_pipe(bool closed) {
        static const char bad_yaml[] = "version: 1\nregions: [{name: $/a, kind: nonsense}]\n";
        int i;

        assert_int_equal(pipe2(log_pipe, O_CLOEXEC), 0);
        assert_true(fcntl(log_pipe[1], F_SETPIPE_SZ, 4096) > 0);
        broker_init(&broker, yaml);
        broker.prepare = log_to_pipe;
        broker_start(&broker);
        if (closed)
                close(log_pipe[0]);
        /* each says what is wrong, several times over what the pipe holds */
        broker_configure(&broker, bad_yaml);
        for (i = 0; i < 200; i++)
                broker_reload(&broker);
        assert_serves(&broker);
        broker_end(&broker);
        close(log_pipe[1]);
        if (!closed)
                close(log_pipe[0]);
}

static void test_start_with_a_log_that_nobody_reads(void **state) {
        start_on_a_pipe(false);
}

static void test_start_with_a_log_that_is_closed(void **state) {
        start_on_a_pipe(true);
}

/* Stopped twice, at once and while it starts: it ends in order, and leaves nothing. */
static void test_start_and_stop_at_the_same_time(void **state) {
        int i, status;

        broker_init(&broker, yaml);
        for (i = 0; i < 30; i++) {
                broker_spawn(&broker, NULL);
                usleep((useconds_t)i * 300);
                kill(broker.pid, SIGTERM);
                kill(broker.pid, SIGTERM);
                status = broker_wait(&broker);
                /* before its handlers stand, the signal's own action is the end */
                assert_true(status == 0 || status == -SIGTERM);
                if (status == 0)
                        assert_int_equal(broker_n_shm(&broker), 0);
        }
        /* What the undisciplined ones left is taken over. */
        broker_start(&broker);
        assert_serves(&broker);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_start_with_a_bad_config_creates_nothing),
                TEST(test_start_check_judges_and_touches_nothing),
                TEST(test_start_of_a_second_broker_leaves_the_first_alone),
                TEST(test_start_without_stdio),
                TEST(test_start_modes_do_not_follow_the_umask),
                TEST(test_start_survives_a_limit_of_file_size),
                TEST(test_start_without_privileges),
                TEST(test_start_refuses_a_directory_that_others_can_write),
                TEST(test_start_over_what_is_not_its_socket),
                TEST(test_start_options),
                TEST(test_start_says_ready_when_everything_can_be_attached),
                TEST(test_start_with_a_log_that_nobody_reads),
                TEST(test_start_with_a_log_that_is_closed),
                TEST(test_start_and_stop_at_the_same_time),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
