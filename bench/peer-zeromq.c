/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ZeroMQ over ipc: a pair of sockets
 *
 * Each process makes its context after the fork, because a context has threads. The address is an
 * abstract one and so no file. A context that another contestant's turn follows must be gone: its
 * threads would have our processor.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "bench/blocking.h"

static char address[64];
static void *context, *own;

static const char *zeromq_setup(BenchRun *run) {
        static unsigned n_turns;

        snprintf(address, sizeof(address), "ipc://@shmbroker-bench-%d-%u", (int)getpid(),
                 n_turns++);
        return NULL;
}

static void zeromq_teardown(BenchRun *run) {
        if (own)
                zmq_close(own);
        if (context)
                zmq_ctx_term(context);
        own = context = NULL;
}

static void zeromq_join(bool is_producer) {
        int linger = 0;

        context = zmq_ctx_new();
        own = context ? zmq_socket(context, ZMQ_PAIR) : NULL;
        if (!own || zmq_setsockopt(own, ZMQ_LINGER, &linger, sizeof(linger)) < 0)
                bench_die("zeromq: socket");
        if ((is_producer ? zmq_connect(own, address) : zmq_bind(own, address)) < 0)
                bench_die("zeromq: connect or bind");
}

static inline bool zeromq_send(unsigned direction, const void *item, size_t size) {
        return zmq_send(own, item, size, 0) == (int)size;
}

static inline bool zeromq_receive(unsigned direction, void *ret_item, size_t size) {
        return zmq_recv(own, ret_item, size, 0) == (int)size;
}

BENCH_BLOCKING(zeromq, zeromq_join, zeromq_send, zeromq_receive)

const BenchContestant bench_zeromq[] = {
        BENCH_BLOCKING_BOTH(BENCH_ZEROMQ, zeromq, zeromq_setup, zeromq_teardown),
        {0},
};
