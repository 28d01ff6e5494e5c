/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Load of a Soak
 *
 * Eight pairs that move items at full rate, over every kind that loses none, and visitors that
 * attach and detach without a pause. They go on until they are told to end, whatever happens to the
 * broker meanwhile; then it is seen that no item was lost or repeated and no call failed.
 */

#include "tests/harness/broker.h"
#include "tests/harness/child.h"
#include "tests/harness/load.h"

typedef struct Soak Soak;
typedef struct SoakTally SoakTally;

enum {
        SOAK_PAIRS = 8,
        SOAK_VISITORS = 2,
};

struct Soak {
        const Broker *broker;
        SoakTally *tally; /* shared with the children */
        LoadPair pairs[SOAK_PAIRS];
        Child visitors[SOAK_VISITORS];
        /* once it has ended */
        uint64_t n_items, n_visits, longest_visit_ns;
};

/* Entries of `regions:` whose names begin with @_unique, half of them on @_backing; they stay, but
 * for the one that is called brief. */
#define SOAK_REGIONS(_unique, _backing)                                                           \
        "  - {name: " _unique "/0, kind: ring, item: {size: 64, align: 8}, capacity: 1024,\n"      \
        "     access: {produce: [any], consume: [any]}}\n"                                         \
        "  - {name: " _unique "/1, kind: ring, item: {size: 64, align: 8}, capacity: 4,\n"         \
        "     backing: " _backing ", access: {produce: [any], consume: [any]}}\n"                  \
        "  - {name: " _unique "/2, kind: ring, item: {size: 64, align: 8}, capacity: 64,\n"        \
        "     producers: 4, access: {produce: [any], consume: [any]}}\n"                           \
        "  - {name: " _unique "/3, kind: ring, item: {size: 64, align: 8}, capacity: 64,\n"        \
        "     backing: " _backing ", consumers: 2, access: {produce: [any], consume: [any]}}\n"    \
        "  - {name: " _unique "/4, kind: broadcast, delivery: reliable, capacity: 256,\n"          \
        "     item: {size: 64, align: 8}, consumers: 2, backing: " _backing ",\n"                  \
        "     access: {produce: [any], consume: [any]}}\n"                                         \
        "  - {name: " _unique "/5, kind: queue, item: {size: 64, align: 8}, max_bytes: 1M,\n"      \
        "     segment: 64K, access: {produce: [any], consume: [any]}}\n"                           \
        "  - {name: " _unique "/6, kind: stream, capacity: 16K, max_message: 64,\n"                \
        "     access: {produce: [any], consume: [any]}}\n"                                         \
        "  - {name: " _unique "/7, kind: stream, capacity: 4K, max_message: 64, producers: 2,\n"   \
        "     backing: " _backing ", access: {produce: [any], consume: [any]}}\n"                  \
        "  - {name: " _unique "/visited, kind: raw, size: 64K, access: {read: [any]}}\n"           \
        "  - {name: " _unique "/brief, kind: raw, size: 4K, access: {read: [any]},\n"              \
        "     lifetime: {policy: on_demand, linger: 0s}}\n"

/** soak_begin() - all of them, attached and under way; @soak stays where it is until its end */
void soak_begin(Soak *soak, const Broker *broker);

/** soak_end() - tell them to end, and fail the test unless each did what it had to */
void soak_end(Soak *soak);

/** soak_deinit() - after a failed test too */
void soak_deinit(Soak *soak);
