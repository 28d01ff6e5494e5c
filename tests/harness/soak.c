/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Load of a Soak
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "tests/harness/soak.h"

/* Of an attach: far more than a restart takes, on a machine that has a lot else to do. */
#define VISIT_NS INT64_C(30000000000)

struct SoakTally {
        _Atomic bool stop;
        LoadTally pairs[SOAK_PAIRS];
        _Atomic uint64_t n_visits;
        _Atomic uint64_t longest_ns; /* that one visit took */
};

/* Of the process, which has but one: set before it forks. */
static const Broker *broker;
static SoakTally *tally;

static void note_visit(uint64_t took_ns) {
        if (took_ns > atomic_load(&tally->longest_ns))
                atomic_store(&tally->longest_ns, took_ns);
        atomic_fetch_add(&tally->n_visits, 1);
}

static void visit(void *data) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r;
        struct shmb *c = NULL;
        const char *name;
        uint64_t start, i;
        int result;

        /* Who connects for the first time does not wait for a broker that is away. */
        child_equal(shmb_connect(broker->socket, &c), 0);
        child_say("connected");
        want.timeout_ns = VISIT_NS;
        for (i = 0; !atomic_load(&tally->stop); i++) {
                start = broker_now_ns();
                name = broker_name(broker, i % 2 ? "visited" : "brief");
                result = shmb_attach(c, name, SHMB_READ, &want, &r);
                if (result != 0) {
                        child_say("%s: %s (%d), after %llu ms, at %llu ms", name,
                                  shmb_error(c), result,
                                  (unsigned long long)(broker_now_ns() - start) / 1000000,
                                  (unsigned long long)start / 1000000);
                        _exit(1);
                }
                shmb_detach(r);
                note_visit(broker_now_ns() - start);
        }
        shmb_close(c);
}

void soak_begin(Soak *soak, const Broker *where) {
        static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;
        char name[4];
        unsigned i;

        soak->broker = broker = where;
        soak->tally = tally = child_share(sizeof(*tally));
        for (i = 0; i < SOAK_PAIRS; i++) {
                snprintf(name, sizeof(name), "%u", i);
                load_start(&soak->pairs[i], broker, broker_name(broker, name), &tally->pairs[i],
                           &tally->stop, &alice, &bob);
        }
        for (i = 0; i < SOAK_VISITORS; i++) {
                child_spawn(&soak->visitors[i], &bob, visit, NULL);
                child_expect(&soak->visitors[i], "connected");
        }
        for (i = 0; i < SOAK_PAIRS; i++)
                load_go(&soak->pairs[i]);
}

void soak_end(Soak *soak) {
        unsigned i;

        atomic_store(&tally->stop, true);
        for (i = 0; i < SOAK_VISITORS; i++)
                child_finish(&soak->visitors[i]);
        for (i = 0; i < SOAK_PAIRS; i++)
                soak->n_items += load_finish(&soak->pairs[i]);
        soak->n_visits = atomic_load(&tally->n_visits);
        soak->longest_visit_ns = atomic_load(&tally->longest_ns);
}

void soak_deinit(Soak *soak) {
        child_unshare(soak->tally, sizeof(*soak->tally));
        soak->tally = NULL;
}
