/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker of One's Own
 *
 * The broker is a child of the test with PR_SET_PDEATHSIG, so that none survives a test that was
 * killed. Its stderr is a file, which a full pipe cannot block and a test can read at any time.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/broker.h"

#define BROKER_SHM "/dev/shm"

void broker_need_root(void) {
        const char *path = getenv("SHMBROKERD");

        if (geteuid() != 0) {
                printf("skipped: only root can be several users\n");
                exit(BROKER_SKIP);
        }
        if (!path || access(path, X_OK) < 0) {
                printf("skipped: no shmbrokerd to test ($SHMBROKERD)\n");
                exit(BROKER_SKIP);
        }
}

uint64_t broker_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void broker_pause(void) {
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static void broker_format(char *ret_path, const Broker *broker, const char *name) {
        assert_true(snprintf(ret_path, BROKER_PATH_MAX, "%s/%s", broker->directory, name) <
                    BROKER_PATH_MAX);
}

void broker_configure(Broker *broker, const char *yaml) {
        char path[BROKER_PATH_MAX + 4];
        FILE *file;

        /* Beside it, then renamed: a broker that reads at this instant reads one or the other. */
        snprintf(path, sizeof(path), "%s.new", broker->config);
        file = fopen(path, "we");
        assert_non_null(file);
        for (; *yaml; yaml++) {
                if (*yaml == '$')
                        fputs(broker->unique, file);
                else
                        fputc(*yaml, file);
        }
        assert_int_equal(fclose(file), 0);
        assert_int_equal(rename(path, broker->config), 0);
}

static void broker_listen_notify(Broker *broker) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        broker->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(broker->notify_fd >= 0);
        strcpy(address.sun_path, broker->notify);
        assert_int_equal(bind(broker->notify_fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

const char *broker_parent = "/tmp";

void broker_init(Broker *broker, const char *yaml) {
        uint64_t random;
        int fd;

        memset(broker, 0, sizeof(*broker));
        fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, &random, sizeof(random)), sizeof(random));
        close(fd);
        snprintf(broker->unique, sizeof(broker->unique), "t%016llx", (unsigned long long)random);

        snprintf(broker->directory, sizeof(broker->directory), "%s/shmb-XXXXXX", broker_parent);
        assert_non_null(mkdtemp(broker->directory));
        /* Other users connect to the socket in it. */
        assert_int_equal(chmod(broker->directory, 0755), 0);
        broker_format(broker->config, broker, "shmbrokerd.yaml");
        broker_format(broker->runtime, broker, "run");
        broker_format(broker->socket, broker, "run/broker.sock");
        broker_format(broker->admin, broker, "run/admin.sock");
        broker_format(broker->journal, broker, "journal");
        broker_format(broker->notify, broker, "notify");
        broker_configure(broker, yaml);
        broker_listen_notify(broker);
}

static int broker_remove_entry(const char *path, const struct stat *st, int type, struct FTW *at) {
        return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void broker_deinit(Broker *broker) {
        BrokerName names[BROKER_NAMES_MAX];
        bool undefined;
        size_t i, n;
        int fd;

        if (broker->directory[0] == '\0')
                return;
        if (broker->pid > 0)
                broker_kill(broker);
        n = broker_shm(broker, names);
        fd = open(BROKER_SHM, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (i = 0; i < n; i++)
                if (unlinkat(fd, names[i].name, 0) < 0)
                        unlinkat(fd, names[i].name, AT_REMOVEDIR);
        close(fd);
        close(broker->notify_fd);
        if (broker->keeper)
                keeper_clear(broker->keeper);
        /* A sanitizer says so and goes on. */
        undefined = broker_said(broker, "runtime error:", NULL);
        if (undefined)
                fputs(broker_journal(broker), stderr);
        nftw(broker->directory, broker_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        broker->directory[0] = '\0';
        assert_false(undefined);
}

const char *broker_name(const Broker *broker, const char *name) {
        static char names[4][256];
        static unsigned next;

        next = (next + 1) % 4;
        snprintf(names[next], sizeof(names[next]), "%s/%s", broker->unique, name);
        return names[next];
}

__attribute__((noreturn)) static void broker_exec(Broker *broker, const char *option) {
        char *path = broker->program ? (char *)broker->program : getenv("SHMBROKERD");
        char *const arguments[] = {
                path, (char *)"--config", broker->config, (char *)"--runtime-dir", broker->runtime,
                (char *)option, NULL,
        };
        int fd, program;

        /* Opened as who we are: the user that we become may not get through to the build. */
        program = open(path, O_PATH | O_CLOEXEC);
        program = fcntl(program, F_DUPFD_CLOEXEC, 2 * KEEPER_MAX);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fd = open("/dev/null", O_RDWR);
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        fd = open(broker->journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        dup2(fd, STDERR_FILENO);
        setenv("NOTIFY_SOCKET", broker->notify, 1);
        unsetenv("JOURNAL_STREAM");
        unsetenv("INVOCATION_ID");
        unsetenv("LISTEN_FDS");
        if (broker->prepare)
                broker->prepare(broker->prepare_data);
        if (broker->keeper)
                keeper_pass(broker->keeper);
        fexecve(program, arguments, environ);
        _exit(127);
}

void broker_spawn(Broker *broker, const char *option) {
        assert_int_equal(broker->pid, 0);
        broker->pid = fork();
        assert_true(broker->pid >= 0);
        if (broker->pid == 0)
                broker_exec(broker, option);
}

/* The next notification; false if there is none. What came with it goes to the keeper. */
static bool broker_hear_one(Broker *broker, char *said, size_t size) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr header;
        } control;
        struct iovec vector = { .iov_base = said, .iov_len = size - 1 };
        struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
        struct cmsghdr *header;
        ssize_t n;
        int fd = -1;

        if (broker->keeper) {
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
        }
        n = recvmsg(broker->notify_fd, &message, MSG_CMSG_CLOEXEC);
        if (n <= 0)
                return false;
        said[n] = '\0';
        header = broker->keeper ? CMSG_FIRSTHDR(&message) : NULL;
        if (header && header->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        if (broker->keeper && keeper_hear(broker->keeper, said, fd))
                said[0] = '\0';
        return true;
}

void broker_hear(Broker *broker) {
        char said[4096], *line, *rest;

        while (broker_hear_one(broker, said, sizeof(said))) {
                for (line = strtok_r(said, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                        broker->n_ready += strcmp(line, "READY=1") == 0;
                        broker->n_reloading += strcmp(line, "RELOADING=1") == 0;
                        broker->n_stopping += strcmp(line, "STOPPING=1") == 0;
                        if (strncmp(line, "STATUS=", 7) == 0)
                                snprintf(broker->status, sizeof(broker->status), "%.500s",
                                         line + 7);
                }
        }
}

static bool broker_is_ready(Broker *broker, unsigned n_ready) {
        siginfo_t info = {};

        broker_hear(broker);
        if (broker->n_ready >= n_ready)
                return true;
        if (waitid(P_PID, (id_t)broker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == broker->pid)
                fail_msg("the broker ended (%d) instead of being ready: %s", info.si_status,
                         broker_journal(broker));
        return false;
}

void broker_start(Broker *broker) {
        unsigned n_ready = broker->n_ready;

        broker_spawn(broker, NULL);
        broker_until(broker_is_ready(broker, n_ready + 1));
}

void broker_begin(Broker *broker, const char *yaml) {
        broker_init(broker, yaml);
        broker_start(broker);
}

/* It may wait for what it said before to be heard. */
static bool broker_has_ended(Broker *broker, int *ret_status) {
        broker_hear(broker);
        return waitpid(broker->pid, ret_status, WNOHANG) == broker->pid;
}

int broker_wait(Broker *broker) {
        int status = 0;

        broker_until(broker_has_ended(broker, &status));
        broker->pid = 0;
        broker_hear(broker);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void broker_stop(Broker *broker) {
        int status;

        kill(broker->pid, SIGTERM);
        status = broker_wait(broker);
        if (status != 0)
                fail_msg("the broker ended with %d: %s", status, broker_journal(broker));
}

void broker_end(Broker *broker) {
        broker_stop(broker);
        broker_expect_shm(broker, 0);
        broker_deinit(broker);
}

void broker_kill(Broker *broker) {
        kill(broker->pid, SIGKILL);
        waitpid(broker->pid, NULL, 0);
        broker->pid = 0;
        if (broker->keeper)
                broker_hear(broker);
}

void broker_reload(Broker *broker) {
        unsigned n_ready;

        broker_hear(broker);
        n_ready = broker->n_ready;
        kill(broker->pid, SIGHUP);
        broker_until(broker_is_ready(broker, n_ready + 1));
}

static size_t broker_read(const char *path, char *buffer, size_t size) {
        size_t n_read = 0;
        ssize_t n;
        int fd;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && n_read < size - 1 &&
               (n = read(fd, buffer + n_read, size - 1 - n_read)) > 0)
                n_read += (size_t)n;
        if (fd >= 0)
                close(fd);
        buffer[n_read] = '\0';
        return n_read;
}

const char *broker_journal(const Broker *broker) {
        static char text[BROKER_TEXT_MAX];

        broker_read(broker->journal, text, sizeof(text));
        return text;
}

static unsigned broker_count_lines(const Broker *broker, const char *first, const char *second) {
        static char text[BROKER_TEXT_MAX];
        char *line, *rest;
        unsigned n = 0;

        strcpy(text, broker_journal(broker));
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                n += (!first || strstr(line, first)) && (!second || strstr(line, second));
        return n;
}

bool broker_said(const Broker *broker, const char *first, const char *second) {
        return broker_count_lines(broker, first, second) > 0;
}

unsigned broker_n_said(const Broker *broker, const char *text) {
        return broker_count_lines(broker, text, NULL);
}

static int broker_name_compare(const void *a, const void *b) {
        return strcmp(((const BrokerName *)a)->name, ((const BrokerName *)b)->name);
}

size_t broker_shm(const Broker *broker, BrokerName ret_names[static BROKER_NAMES_MAX]) {
        struct dirent *entry;
        struct stat st;
        size_t n = 0;
        DIR *dir;

        dir = opendir(BROKER_SHM);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                if (!strstr(entry->d_name, broker->unique) ||
                    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                assert_true(n < BROKER_NAMES_MAX);
                /* Two of them are compared as bytes. */
                memset(&ret_names[n], 0, sizeof(ret_names[n]));
                strcpy(ret_names[n].name, entry->d_name);
                ret_names[n].dev = st.st_dev;
                ret_names[n].ino = st.st_ino;
                ret_names[n].uid = st.st_uid;
                ret_names[n++].mode = st.st_mode;
        }
        closedir(dir);
        qsort(ret_names, n, sizeof(ret_names[0]), broker_name_compare);
        return n;
}

size_t broker_n_shm(const Broker *broker) {
        BrokerName names[BROKER_NAMES_MAX];

        return broker_shm(broker, names);
}

void broker_expect_shm(const Broker *broker, size_t n_names) {
        BrokerName names[BROKER_NAMES_MAX];
        size_t i, n;

        n = broker_shm(broker, names);
        if (n == n_names)
                return;
        for (i = 0; i < n; i++)
                print_message("%s, inode %llu\n", names[i].name,
                              (unsigned long long)names[i].ino);
        /* Longer than a message of the test runner may be. */
        fputs(broker_journal(broker), stderr);
        fail_msg("%zu names in " BROKER_SHM " instead of %zu", n, n_names);
}

size_t broker_n_fds(const Broker *broker) {
        struct dirent *entry;
        char path[64];
        size_t n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fd", broker->pid);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir)))
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

size_t broker_rss(const Broker *broker) {
        char path[64], text[4096], *line;

        snprintf(path, sizeof(path), "/proc/%d/status", broker->pid);
        assert_true(broker_read(path, text, sizeof(text)) > 0);
        line = strstr(text, "VmRSS:");
        assert_non_null(line);
        return strtoul(line + 6, NULL, 10);
}

bool broker_is_sanitized(void) {
#if defined(__SANITIZE_ADDRESS__)
        return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
        return true;
#else
        return false;
#endif
#else
        return false;
#endif
}

uint64_t broker_cpu_ms(const Broker *broker) {
        char path[64], text[1024], *at;
        unsigned long user, system;

        snprintf(path, sizeof(path), "/proc/%d/stat", broker->pid);
        assert_true(broker_read(path, text, sizeof(text)) > 0);
        at = strrchr(text, ')');
        assert_non_null(at);
        /* proc_pid_stat(5): fields 14 and 15; the state, field 3, follows the parenthesis */
        assert_int_equal(sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &system),
                         2);
        return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}
