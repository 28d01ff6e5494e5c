/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Processes under Other Users
 *
 * A function of the test that runs in a process of its own with another identity, and talks to the
 * test in lines. cmocka's assertions jump back into the test runner, which in a child would run the
 * rest of the tests once more: a child says what it saw, or uses child_check().
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct Child Child;
typedef struct ChildIdentity ChildIdentity;

enum {
        CHILD_GROUPS_MAX = 8,
        CHILD_LINE_MAX = 1024,
        CHILD_FAILED = 99, /* exit status after child_check() */
};

/* Zero is root. */
struct ChildIdentity {
        uid_t uid;
        gid_t gid;
        size_t n_groups;
        gid_t groups[CHILD_GROUPS_MAX]; /* supplementary */
};

struct Child {
        pid_t pid;
        int fd; /* the test's end */
};

/* Uids without an entry in the user database: nobody else on the machine runs under them. */
#define CHILD_ALICE { .uid = 61001, .gid = 61001 }
#define CHILD_BOB { .uid = 61002, .gid = 61002 }

/**
 * child_spawn() - run @function(@data) as @identity
 *
 * The child is dumpable, so that /proc/self is its own (a change of uid takes that away), and dies
 * with the test. It ends with _exit(0) when @function returns.
 */
void child_spawn(Child *child, const ChildIdentity *identity, void (*function)(void *data),
                 void *data);

/** child_share() - zeroed memory that this process and its children see alike */
void *child_share(size_t n_bytes);

/** child_unshare() - of this process; NULL is fine */
void child_unshare(void *memory, size_t n_bytes);

/** child_hear() - the next line it says; false once it has ended */
bool child_hear(Child *child, char ret_line[static CHILD_LINE_MAX]);

/** child_expect() - fails the test unless the next line is this */
void child_expect(Child *child, const char *line);

/** child_expect_part() - fails the test unless the next line holds both; NULL holds everywhere */
void child_expect_part(Child *child, const char *first, const char *second);

/** child_tell() - say a line to it */
void child_tell(Child *child, const char *line);

/** child_wait() - its exit status, or -SIGNAL; releases what there is of it */
int child_wait(Child *child);

/** child_kill() - SIGKILL, and wait until it is gone */
void child_kill(Child *child);

/** child_finish() - fails the test unless it ends with 0 and has nothing more to say */
void child_finish(Child *child);

/* in the child */

/** child_become() - change the identity of this process for good */
void child_become(const ChildIdentity *identity);

/** child_say() - a line to the test */
void child_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** child_listen() - wait for the next line of the test; ends the process if the test is gone */
void child_listen(char ret_line[static CHILD_LINE_MAX]);

/** child_await() - wait for this line of the test */
void child_await(const char *line);

/** child_fail() - say why, and end with CHILD_FAILED */
void child_fail(const char *file, int line, const char *what, long value)
                __attribute__((noreturn));

#define child_check(_condition)                                                                   \
        do {                                                                                      \
                if (!(_condition))                                                                \
                        child_fail(__FILE__, __LINE__, #_condition, 0);                           \
        } while (0)

/* The value of a call that shall give @_expected. */
#define child_equal(_call, _expected)                                                             \
        do {                                                                                      \
                long value_ = (long)(_call);                                                      \
                if (value_ != (long)(_expected))                                                  \
                        child_fail(__FILE__, __LINE__, #_call " == " #_expected, value_);         \
        } while (0)
