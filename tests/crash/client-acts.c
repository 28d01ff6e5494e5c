/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a Client does until it is Killed
 */

#include <string.h>
#include <unistd.h>
#include "tests/crash/client-acts.h"
#include "tests/crash/trace.h"

enum {
        NAP_NS = 100000,
};

#define ITEM "item: {size: 64, align: 8}, "

const Scene scenes[N_SCENES] = {
        { "ring", "kind: ring, " ITEM "capacity: 4", EACH_TO_ONE, 4, false },
        { "ring-memfd", "kind: ring, " ITEM "capacity: 4, backing: memfd", EACH_TO_ONE, 4, false },
        { "group", "kind: ring, " ITEM "capacity: 4, consumers: 2", EACH_TO_ONE, 4, false },
        { "queue", "kind: queue, " ITEM "max_bytes: 4K, segment: 4K", EACH_TO_ONE, 64, false },
        { "stream", "kind: stream, capacity: 4K, max_message: 64", EACH_TO_ONE,
          4096 / (8 + sizeof(Item)), true },
        { "reliable", "kind: broadcast, delivery: reliable, " ITEM "capacity: 4, consumers: 2",
          EACH_TO_ALL, 4, false },
        { "lossy", "kind: broadcast, " ITEM "capacity: 4, consumers: 2", SOME_TO_ALL, 4, false },
        { "latest", "kind: latest, " ITEM "slots: 3, consumers: 2", LAST_TO_ALL, 3, false },
};

/*
 * One item, whatever the kind
 */

int scene_push(const Scene *scene, struct shmb_region *r, uint64_t number, int64_t timeout_ns) {
        Item item;

        item_make(&item, number);
        return scene->is_stream ? shmb_send(r, &item, sizeof(item), timeout_ns)
                                : shmb_push(r, &item, timeout_ns);
}

int scene_take(const Scene *scene, struct shmb_region *r, Item *ret_item, int64_t timeout_ns) {
        ssize_t n;

        if (!scene->is_stream)
                return shmb_pop(r, ret_item, timeout_ns);
        n = shmb_recv(r, ret_item, sizeof(*ret_item), timeout_ns);
        return n == sizeof(*ret_item) ? 0 : (int)n;
}

static void *claim(const Scene *scene, struct shmb_region *r) {
        struct shmb_span span;
        void *slot = NULL;

        if (!scene->is_stream)
                return shmb_claim(r, &slot, 0) < 0 ? NULL : slot;
        return shmb_claim_n(r, sizeof(Item), &span, 0) < 0 ? NULL : span.data;
}

static int peek(const Scene *scene, struct shmb_region *r) {
        struct shmb_span span;
        const void *item;
        int result;

        if (!scene->is_stream)
                return shmb_peek(r, &item, 0);
        result = shmb_peek_n(r, sizeof(Item), &span, 0);
        return result < 0 ? result : 0;
}

/*
 * Acts
 */

static void run_push(const Errand *errand, struct shmb_region *r) {
        (void)scene_push(errand->scene, r, errand->number, NAP_NS);
}

static void run_claim_and_commit(const Errand *errand, struct shmb_region *r) {
        void *slot = claim(errand->scene, r);
        Item item;

        if (!slot)
                _exit(1);
        item_make(&item, errand->number);
        memcpy(slot, &item, sizeof(item));
        (void)(errand->scene->is_stream ? shmb_commit_n(r, sizeof(Item)) : shmb_commit(r));
}

/* Over the oldest it is two: a successor who claims one must not forget the other. */
static void run_claim_and_abort(const Errand *errand, struct shmb_region *r) {
        struct shmb_span span = { NULL, 1, sizeof(Item) };

        if (errand->act->full && shmb_claim_n(r, 2, &span, 0) < 0)
                _exit(1);
        if (!errand->act->full)
                span.data = claim(errand->scene, r);
        if (!span.data)
                _exit(1);
        memset(span.data, 0xa5, (size_t)span.n * span.stride);
        shmb_abort(r);
}

static void run_pop(const Errand *errand, struct shmb_region *r) {
        Item item;

        (void)scene_take(errand->scene, r, &item, NAP_NS);
}

static void prepare_peek(const Errand *errand, struct shmb_region *r) {
        if (peek(errand->scene, r) < 0)
                _exit(1);
}

static void run_release(const Errand *errand, struct shmb_region *r) {
        (void)(errand->scene->is_stream ? shmb_release_n(r, sizeof(Item)) : shmb_release(r));
}

static void run_peek_and_release(const Errand *errand, struct shmb_region *r) {
        prepare_peek(errand, r);
        run_release(errand, r);
}

static void prepare_empty(const Errand *errand, struct shmb_region *r) {
        unsigned n = 0;
        Item item;

        while (scene_take(errand->scene, r, &item, 0) == 0)
                n++;
        if (n != (errand->scene->delivery == LAST_TO_ALL ? 1 : WAITING))
                _exit(1);
}

static void run_detach(const Errand *errand, struct shmb_region *r) {
        shmb_detach(r);
}

static const Act acts[N_ACTS] = {
        { "push", SHMB_PRODUCE, false, 1, 1, false, NULL, run_push },
        { "claim, commit", SHMB_PRODUCE, false, 1, 1, false, NULL, run_claim_and_commit },
        { "claim, abort", SHMB_PRODUCE, false, 0, 0, false, NULL, run_claim_and_abort },
        { "sleep for room", SHMB_PRODUCE, true, 0, 0, false, NULL, run_push },
        { "detach", SHMB_PRODUCE, false, 0, 0, false, NULL, run_detach },
        { "attach to produce", SHMB_PRODUCE, false, 0, 0, false, NULL, NULL },
        { "pop", SHMB_CONSUME, false, 1, 1, false, NULL, run_pop },
        { "peek, release", SHMB_CONSUME, false, 1, 1, false, NULL, run_peek_and_release },
        { "release", SHMB_CONSUME, false, 1, 1, true, prepare_peek, run_release },
        { "sleep for items", SHMB_CONSUME, false, WAITING, WAITING, false, prepare_empty, run_pop },
        { "detach", SHMB_CONSUME, false, 0, 0, false, NULL, run_detach },
        { "attach to consume", SHMB_CONSUME, false, 0, 0, false, NULL, NULL },
};

Act scene_act(const Scene *scene, ActName name) {
        Act act = acts[name];

        if (scene_waits(scene))
                return act;
        if (name == ACT_PUSH_FULL) {
                act.name = "push over the oldest";
                act.least = act.most = 1;
        } else if (name == ACT_CLAIM_ABORT) {
                act.full = true;
        }
        return act;
}

/* Behind what this consumer saw when he attached. */
static void feed_oneself(const Errand *errand, struct shmb *c, const char *name) {
        struct shmb_region *r = NULL;
        uint64_t i;

        if (shmb_attach(c, name, SHMB_PRODUCE, NULL, &r) < 0)
                _exit(1);
        for (i = 0; i < WAITING; i++)
                if (scene_push(errand->scene, r, errand->number + i, 0) < 0)
                        _exit(1);
        shmb_detach(r);
}

void errand_run(void *data) {
        const Errand *errand = data;
        const Act *act = errand->act;
        const char *name = broker_name(errand->broker, errand->scene->name);
        struct shmb_region *r = NULL;
        struct shmb *c;

        if (shmb_connect(errand->broker->socket, &c) < 0)
                _exit(1);
        if (act->run && shmb_attach(c, name, act->role, NULL, &r) < 0)
                _exit(1);
        if (act->run && act->role == SHMB_CONSUME && errand->scene->delivery != EACH_TO_ONE)
                feed_oneself(errand, c, name);
        if (act->prepare)
                act->prepare(errand, r);
        trace_begin();
        if (act->run)
                act->run(errand, r);
        else if (shmb_attach(c, name, act->role, NULL, &r) < 0)
                _exit(1);
        trace_end();
}
