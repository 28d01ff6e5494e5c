/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the Library Knows of its Own Process
 *
 * Which process this is (a child of fork() must not use its parent's handles), whether it may call
 * membarrier(2), and what time it is. One instance a process, set up by the first shmb_connect().
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct ShmbProcess ShmbProcess;

struct ShmbProcess {
        /*
         * A page that the kernel wipes in a child (MADV_WIPEONFORK): what stands there is the
         * generation of the process that mapped it, or 0. Reading it costs no system call and sees
         * every kind of fork, which pthread_atfork() does not.
         */
        const _Atomic uint32_t *alive;
        uint32_t generation; /* never 0, another one in each process */
        bool registered;     /* for MEMBARRIER_CMD_GLOBAL_EXPEDITED */
};

/**
 * shmb__process_enter() - the facts of this process, found out once
 * @ret_process:        a copy of them
 *
 * Registers for membarrier(2), unless $SHMB_NO_MEMBARRIER is set and not empty: an isolated
 * real-time core is not interrupted then, and every publisher and sleeper of this process pays with
 * a full fence. Safe to call from any thread.
 *
 * Return: 0, -ENOMEM, or -EINVAL on a kernel before 4.14.
 */
int shmb__process_enter(ShmbProcess *ret_process);

/* Every processor that runs a registered process puts a full barrier. For registered ones only. */
void shmb__process_membarrier(void);

/* Whether this thread and a peer could run at the same time: more than one CPU is allowed. */
bool shmb__process_may_spin(void);
