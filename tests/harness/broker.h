/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Broker of One's Own
 *
 * The built shmbrokerd ($SHMBROKERD) on a private directory, with a configuration that is written
 * in the test. Any number of them run at once: every `$` of the YAML becomes a word that no other
 * test has, so names of regions, and with them names in /dev/shm, are this broker's alone.
 *
 * Nothing here waits without a deadline, and nothing sleeps to wait: what is waited for is asked
 * for until it holds. A wait that ends without it fails the test.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "tests/harness/keeper.h"

typedef struct Broker Broker;

enum {
        BROKER_PATH_MAX = 128,
        BROKER_UNIQUE_MAX = 24,
        BROKER_TEXT_MAX = 65536,
        BROKER_NAMES_MAX = 160,
        /* Nothing that a test waits for takes so long on an idle machine: sanitizers, two cores,
         * and other tests beside it. */
        BROKER_DEADLINE_MS = 20000,
        BROKER_SKIP = 77,
};

/* A name in /dev/shm, and the inode behind it. */
typedef struct BrokerName {
        char name[256];
        dev_t dev;
        ino_t ino;
        uid_t uid;
        mode_t mode;
} BrokerName;

struct Broker {
        char unique[BROKER_UNIQUE_MAX];    /* what `$` stands for */
        char directory[BROKER_PATH_MAX];   /* everything of this broker is below it */
        char config[BROKER_PATH_MAX];      /* shmbrokerd.yaml */
        char runtime[BROKER_PATH_MAX];
        char socket[BROKER_PATH_MAX];      /* broker.sock */
        char admin[BROKER_PATH_MAX];       /* admin.sock */
        char journal[BROKER_PATH_MAX];     /* its stderr, of all its lives */
        char notify[BROKER_PATH_MAX];
        char status[512];                  /* last STATUS= */
        unsigned n_ready, n_reloading, n_stopping; /* how often it said so */
        int notify_fd;
        pid_t pid;                         /* 0 while it does not run */
        const char *program;               /* NULL: $SHMBROKERD */
        /* runs in the child before exec; NULL */
        void (*prepare)(void *data);
        void *prepare_data;
        /* Keeps for it what it asks to be kept, between broker_hear() and the next start; NULL: as
         * without a service manager */
        Keeper *keeper;
};

/** broker_need_root() - ends the program with BROKER_SKIP where users cannot be changed or there is
 *  no broker, and says why */
void broker_need_root(void);

/* Where the private directory is made; /tmp. A restart there may wait for a disk, which the runtime
 * directory of a system never does. */
extern const char *broker_parent;

/** broker_init() - the private directory and its configuration; nothing is started */
void broker_init(Broker *broker, const char *yaml);

/** broker_deinit() - kills what still runs, removes the directory and what is left in /dev/shm */
void broker_deinit(Broker *broker);

/** broker_configure() - write another configuration */
void broker_configure(Broker *broker, const char *yaml);

/** broker_name() - "UNIQUE/NAME": what the YAML calls `$/NAME`; static, four of them */
const char *broker_name(const Broker *broker, const char *name);

/** broker_spawn() - start it and do not wait; @option is one more argument, or NULL */
void broker_spawn(Broker *broker, const char *option);

/** broker_start() - start it and wait for READY=1 */
void broker_start(Broker *broker);

/** broker_begin() - broker_init() and broker_start() */
void broker_begin(Broker *broker, const char *yaml);

/** broker_stop() - SIGTERM; fails the test unless it exits with 0 */
void broker_stop(Broker *broker);

/** broker_end() - broker_stop(), nothing may be left in /dev/shm, broker_deinit() */
void broker_end(Broker *broker);

/** broker_kill() - SIGKILL, and wait until it is gone */
void broker_kill(Broker *broker);

/** broker_wait() - wait for its end; exit status, or -SIGNAL */
int broker_wait(Broker *broker);

/** broker_reload() - SIGHUP, and wait for the READY=1 that ends it */
void broker_reload(Broker *broker);

/** broker_hear() - read what it said on the notify socket so far */
void broker_hear(Broker *broker);

/** broker_journal() - all that it wrote to stderr; static */
const char *broker_journal(const Broker *broker);

/** broker_said() - whether one line of its journal holds both texts; NULL holds everywhere */
bool broker_said(const Broker *broker, const char *first, const char *second);

/** broker_n_said() - how many lines of its journal hold @text */
unsigned broker_n_said(const Broker *broker, const char *text);

/** broker_shm() - names in /dev/shm that hold its unique word, in order; how many */
size_t broker_shm(const Broker *broker, BrokerName ret_names[static BROKER_NAMES_MAX]);

/** broker_n_shm() - how many */
size_t broker_n_shm(const Broker *broker);

/** broker_expect_shm() - fails the test unless there are so many, and says what there is */
void broker_expect_shm(const Broker *broker, size_t n_names);

/** broker_n_fds() - descriptors that it has open now */
size_t broker_n_fds(const Broker *broker);

/** broker_rss() - its resident memory in KiB */
size_t broker_rss(const Broker *broker);

/** broker_is_sanitized() - whether this build has the address sanitizer, which keeps memory */
bool broker_is_sanitized(void);

/** broker_cpu_ms() - CPU time that it has used */
uint64_t broker_cpu_ms(const Broker *broker);

/** broker_now_ns() - CLOCK_MONOTONIC */
uint64_t broker_now_ns(void);

/** broker_pause() - what a loop that waits does between two looks: 2 ms */
void broker_pause(void);

/* Ask until it holds, or fail the test. */
#define broker_until(_condition)                                                                  \
        do {                                                                                      \
                uint64_t deadline_ = broker_now_ns() + BROKER_DEADLINE_MS * UINT64_C(1000000);    \
                while (!(_condition)) {                                                           \
                        if (broker_now_ns() > deadline_)                                          \
                                fail_msg("never came true: %s", #_condition);                     \
                        broker_pause();                                                           \
                }                                                                                 \
        } while (0)
