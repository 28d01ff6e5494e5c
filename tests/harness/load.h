/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Pairs under Full Load
 *
 * A producer and a consumer of one region, each a process with the library, that move items as fast
 * as they can until they are stopped. Each item must be the one that is next, and in the end all
 * that went in must have come out. What fails ends the child, and with it the test.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"

typedef struct LoadPair LoadPair;
typedef struct LoadTally LoadTally;

/* Shared with the children: child_share(). */
struct LoadTally {
        _Atomic uint64_t produced; /* all of them, once it has stopped; else 0 */
        _Atomic uint64_t consumed;
};

struct LoadPair {
        const Broker *broker;
        char region[256];
        LoadTally *tally;
        const _Atomic bool *stop; /* shared; set by the test */
        Child producer, consumer;
};

/** load_start() - attach both, @producer and @consumer; they wait for load_go() */
void load_start(LoadPair *pair, const Broker *broker, const char *region, LoadTally *tally,
                const _Atomic bool *stop, const ChildIdentity *producer,
                const ChildIdentity *consumer);

/** load_go() - begin to move */
void load_go(LoadPair *pair);

/** load_finish() - behind *stop: wait for both, and hold their counts together; how many moved */
uint64_t load_finish(LoadPair *pair);
