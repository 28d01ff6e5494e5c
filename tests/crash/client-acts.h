/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a Client does until it is Killed
 *
 * Scenes are kinds of regions, each with what becomes of an item there. An act is one operation of
 * one role, run in a child that has attached and has got everything ready before the first
 * instruction that counts. The child keeps no books: what it was to do is in its errand, what it
 * did is in the region.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/items.h"

enum {
        /* In the region when a consumer begins. */
        WAITING = 2,
};

/* Who gets an item. */
typedef enum Delivery {
        EACH_TO_ONE, /* it waits for a consumer, whoever comes */
        EACH_TO_ALL, /* to all who are attached; the slow hold the producer back */
        SOME_TO_ALL, /* as well, but who is slow misses some, and knows how many */
        LAST_TO_ALL, /* all but the newest are missed; who comes gets the one that there is */
} Delivery;

typedef struct Scene {
        const char *name;
        const char *yaml;
        Delivery delivery;
        uint64_t capacity;
        bool is_stream; /* each item is a message */
} Scene;

enum {
        N_SCENES = 8,
};

extern const Scene scenes[N_SCENES];

typedef struct Errand Errand;

typedef struct Act {
        const char *name;
        enum shmb_role role;
        bool full;      /* of a producer: the slots are full */
        uint64_t least; /* items that it has published, or released, when it is over */
        uint64_t most;  /* and that it may have, wherever it dies */
        bool holds;     /* of a consumer: it has looked at an item from the start */
        void (*prepare)(const Errand *errand, struct shmb_region *r);
        /* NULL: attaches; it has no region before */
        void (*run)(const Errand *errand, struct shmb_region *r);
} Act;

struct Errand {
        const Broker *broker;
        const Scene *scene;
        const Act *act;
        uint64_t number; /* of the next item to be pushed */
};

/* By their order in acts[]. */
typedef enum ActName {
        ACT_PUSH,
        ACT_CLAIM_COMMIT,
        ACT_CLAIM_ABORT,
        ACT_PUSH_FULL,
        ACT_PRODUCER_DETACH,
        ACT_PRODUCER_ATTACH,
        ACT_POP,
        ACT_PEEK_RELEASE,
        ACT_RELEASE,
        ACT_POP_EMPTY,
        ACT_CONSUMER_DETACH,
        ACT_CONSUMER_ATTACH,
        N_ACTS,
} ActName;

/* scene_act() - what an act is in this scene */
Act scene_act(const Scene *scene, ActName name);

/* scene_waits() - whether a producer is held back by who is slow */
static inline bool scene_waits(const Scene *scene) {
        return scene->delivery == EACH_TO_ONE || scene->delivery == EACH_TO_ALL;
}

/* scene_push() - the item of this number; as shmb_push() */
int scene_push(const Scene *scene, struct shmb_region *r, uint64_t number, int64_t timeout_ns);

/* scene_take() - as shmb_pop() */
int scene_take(const Scene *scene, struct shmb_region *r, Item *ret_item, int64_t timeout_ns);

/*
 * errand_run() - in a child, as a TraceAct: attach, prepare, and the act between trace_begin() and
 * trace_end()
 *
 * Where a consumer sees nothing but what came after him, he pushes WAITING items himself before.
 */
void errand_run(void *errand);
