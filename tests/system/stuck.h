/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A File whose Server never Answers
 *
 * What a user can have mounted who wants to hold somebody up (fuse(4)): this process opens, asks
 * and closes it as any file; whoever else asks for its attributes or closes it waits for as long as
 * the file is there, and cannot be killed.
 */

#include <stdatomic.h>
#include "tests/harness/child.h"

typedef struct Stuck {
        char directory[128];
        Child server;
        _Atomic unsigned *n_stuck; /* who wait; shared with the server */
        int fd;                    /* of the file */
} Stuck;

/** stuck_make() - mount it below a directory and open the file; false where that cannot be */
bool stuck_make(Stuck *stuck, const char *parent);

/** stuck_remove() - let go of everybody; idempotent */
void stuck_remove(Stuck *stuck);
