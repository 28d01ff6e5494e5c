/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Movers
 */

#include <stdio.h>
#include <string.h>
#include "tests/harness/items.h"
#include "tests/harness/mover.h"

struct shmb_region *mover_attach_with(const Broker *broker, const char *region,
                                      enum shmb_role role, struct shmb **ret_c) {
        struct shmb_region *r = NULL;
        int result;

        child_equal(shmb_connect(broker->socket, ret_c), 0);
        result = shmb_attach(*ret_c, region, role, NULL, &r);
        if (result != 0)
                child_fail(__FILE__, __LINE__, shmb_error(*ret_c), result);
        return r;
}

struct shmb_region *mover_attach(const Broker *broker, const char *region, enum shmb_role role) {
        struct shmb *c = NULL;

        return mover_attach_with(broker, region, role, &c);
}

static int move(struct shmb_region *r, enum shmb_role role, uint64_t number) {
        Item item;
        int result;

        if (role == SHMB_PRODUCE) {
                item_make(&item, number);
                return shmb_push(r, &item, 0);
        }
        result = shmb_pop(r, &item, 0);
        if (result == 0 && !item_is(&item, number))
                child_fail(__FILE__, __LINE__, "another item than the next", (long)item.number);
        return result;
}

static void mover_in_child(void *data) {
        const Mover *mover = data;
        struct shmb_region *r = mover_attach(mover->broker, mover->region, mover->role);
        char line[CHILD_LINE_MAX], verb[8];
        unsigned long long first;
        unsigned n_moved, n;
        int result;

        child_say("attached");
        for (;;) {
                child_listen(line);
                if (strcmp(line, "end") == 0)
                        break;
                n_moved = 0;
                result = 0;
                child_equal(sscanf(line, "%7s %u from %llu", verb, &n, &first), 3);
                while (n_moved < n && (result = move(r, mover->role, first + n_moved)) == 0)
                        n_moved++;
                child_say("%u %s", n_moved, result ? strerrorname_np(-result) : "0");
        }
        shmb_detach(r);
}

void mover_start(Mover *mover, const Broker *broker, const char *region, enum shmb_role role,
                 const ChildIdentity *identity) {
        mover->broker = broker;
        mover->role = role;
        snprintf(mover->region, sizeof(mover->region), "%s", region);
        child_spawn(&mover->child, identity, mover_in_child, mover);
        child_expect(&mover->child, "attached");
}

void mover_do(Mover *mover, const char *order, const char *answer) {
        child_tell(&mover->child, order);
        child_expect(&mover->child, answer);
}

void mover_end(Mover *mover) {
        child_tell(&mover->child, "end");
        child_finish(&mover->child);
}
