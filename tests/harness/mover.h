/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Movers
 *
 * A producer or a consumer in a process of its own, with the library as a program would use it,
 * that does what the test tells it:
 *
 *     attached              it says, once it is
 *     push N from FIRST     push, never waiting, the items FIRST, FIRST + 1, ...
 *     pop N from FIRST      pop as many, never waiting; each must be the one that is next
 *     COUNT RESULT          it answers: how many went, and 0 or the errno that ended it
 *     end                   detach and end
 */

#include <stdint.h>
#include <shmbroker.h>
#include "tests/harness/broker.h"
#include "tests/harness/child.h"

typedef struct Mover Mover;

struct Mover {
        Child child;
        const Broker *broker;
        enum shmb_role role;
        char region[256];
};

/** mover_attach() - in a child: a handle with what the library does by default, or its end */
struct shmb_region *mover_attach(const Broker *broker, const char *region, enum shmb_role role);

/** mover_attach_with() - the same, with its connection */
struct shmb_region *mover_attach_with(const Broker *broker, const char *region,
                                      enum shmb_role role, struct shmb **ret_c);

/** mover_start() - start one and wait until it is attached */
void mover_start(Mover *mover, const Broker *broker, const char *region, enum shmb_role role,
                 const ChildIdentity *identity);

/** mover_do() - tell it something and fail the test unless it answers this */
void mover_do(Mover *mover, const char *order, const char *answer);

/** mover_end() - have it end in order */
void mover_end(Mover *mover);
