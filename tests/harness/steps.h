/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Broker that Is Killed at One of Its System Calls
 *
 * It runs under ptrace(2) while a visitor, a process that is forked when it is ready, makes it
 * busy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "tests/harness/broker.h"

typedef enum StepsFrom {
        STEPS_FROM_LOCK,  /* calls count behind the one that locks the runtime directory */
        STEPS_FROM_READY, /* behind READY=1 */
} StepsFrom;

/**
 * steps_run() - start @broker, and kill it as it enters its @k-th call
 * @broker:     one that does not run
 * @k:          from 1
 * @from:       which calls count
 * @visit:      what the visitor does; ends in _exit(2)
 * @visitor:    its process, 0 if it was not needed or is home; the caller's to wait for
 *
 * Return: false where the visitor went home before that call, and the broker was killed then.
 */
bool steps_run(Broker *broker, size_t k, StepsFrom from, void (*visit)(void), pid_t *visitor);
