/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the Kernel offers: pipes, Unix sockets, message queues
 *
 * One item a system call. They are made before the fork and have no name that would outlive the
 * program, but for a System V queue, which has a teardown.
 */

#include <errno.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/blocking.h"

/* Of each direction the end to read from and the end to write to; sockets have one pair. */
static int fds[2][2];

static void close_all(BenchRun *run) {
        int i;

        for (i = 0; i < 4; i++)
                if (fds[i / 2][i % 2] > 0)
                        close(fds[i / 2][i % 2]);
        memset(fds, 0, sizeof(fds));
}

static const char *pipe_setup(BenchRun *run) {
        const char *why;

        if (pipe(fds[0]) == 0 && pipe(fds[1]) == 0)
                return NULL;
        why = strerror(errno);
        close_all(run);
        return why;
}

static inline bool pipe_send(unsigned direction, const void *item, size_t size) {
        return write(fds[direction][1], item, size) == (ssize_t)size;
}

/* An item that is half there, in two pages, is read in two calls. */
static inline bool pipe_receive(unsigned direction, void *ret_item, size_t size) {
        ssize_t n, n_done;

        for (n_done = 0; n_done < (ssize_t)size; n_done += n) {
                n = read(fds[direction][0], (uint8_t *)ret_item + n_done, size - (size_t)n_done);
                if (n <= 0)
                        return false;
        }
        return true;
}

BENCH_BLOCKING(pipe, BENCH_NO_JOIN, pipe_send, pipe_receive)

/* The kernel keeps items of several writers whole. */
static void pipe_shared_produce(BenchRun *run) {
        uint64_t item[8] = {(uint64_t)bench_producer() << BENCH_PRODUCER_SHIFT};

        for (;; item[0]++)
                if (!pipe_send(0, item, sizeof(item)))
                        bench_die("pipe: send");
}

static inline uint32_t pipe_shared_step(BenchRun *run, uint64_t *sequences) {
        uint64_t item[8];

        if (!pipe_receive(0, item, sizeof(item)))
                bench_die("pipe: receive");
        run->n_wrong += bench_check_shared(item[0], sequences);
        return 1;
}

static void pipe_shared_consume(BenchRun *run) {
        uint64_t sequences[BENCH_PRODUCERS_MAX] = {0, UINT64_C(1) << BENCH_PRODUCER_SHIFT};

        BENCH_BLOCKS(run, pipe_shared_step(run, sequences));
}

static const char *stream_setup(BenchRun *run) {
        return socketpair(AF_UNIX, SOCK_STREAM, 0, fds[0]) == 0 ? NULL : strerror(errno);
}

static const char *seqpacket_setup(BenchRun *run) {
        return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds[0]) == 0 ? NULL : strerror(errno);
}

/* The consumer has the first socket, the producer the second one. */
static inline bool socket_send(unsigned direction, const void *item, size_t size) {
        return send(fds[0][1 - direction], item, size, 0) == (ssize_t)size;
}

static inline bool socket_receive(unsigned direction, void *ret_item, size_t size) {
        return recv(fds[0][direction], ret_item, size, MSG_WAITALL) == (ssize_t)size;
}

BENCH_BLOCKING(socket, BENCH_NO_JOIN, socket_send, socket_receive)

static mqd_t queues[2] = {-1, -1};

static void mq_teardown(BenchRun *run) {
        int i;

        for (i = 0; i < 2; i++) {
                if (queues[i] >= 0)
                        mq_close(queues[i]);
                queues[i] = -1;
        }
}

static const char *mq_setup(BenchRun *run) {
        /* 10 is what an ordinary user may have: fs.mqueue.msg_max. */
        struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = (long)run->item_size};
        const char *why;
        char name[64];
        int i;

        for (i = 0; i < 2; i++) {
                snprintf(name, sizeof(name), "/shmbroker-bench-%d", (int)getpid());
                queues[i] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
                if (queues[i] < 0) {
                        why = strerror(errno);
                        mq_teardown(run);
                        return why;
                }
                mq_unlink(name);
        }
        return NULL;
}

static inline bool mq_send_item(unsigned direction, const void *item, size_t size) {
        return mq_send(queues[direction], item, size, 0) == 0;
}

static inline bool mq_receive_item(unsigned direction, void *ret_item, size_t size) {
        return mq_receive(queues[direction], ret_item, size, NULL) == (ssize_t)size;
}

BENCH_BLOCKING(mq, BENCH_NO_JOIN, mq_send_item, mq_receive_item)

typedef struct Message {
        long type;
        uint64_t words[BENCH_ITEM_MAX / 8];
} Message;

static int message_queues[2] = {-1, -1};

static void msgq_teardown(BenchRun *run) {
        int i;

        for (i = 0; i < 2; i++) {
                if (message_queues[i] >= 0)
                        msgctl(message_queues[i], IPC_RMID, NULL);
                message_queues[i] = -1;
        }
}

static const char *msgq_setup(BenchRun *run) {
        const char *why;
        int i;

        for (i = 0; i < 2; i++) {
                message_queues[i] = msgget(IPC_PRIVATE, 0600);
                if (message_queues[i] < 0) {
                        why = strerror(errno);
                        msgq_teardown(run);
                        return why;
                }
        }
        return NULL;
}

static inline bool msgq_send(unsigned direction, const void *item, size_t size) {
        static Message message = {.type = 1};

        memcpy(message.words, item, size);
        return msgsnd(message_queues[direction], &message, size, 0) == 0;
}

static inline bool msgq_receive(unsigned direction, void *ret_item, size_t size) {
        static Message message;

        if (msgrcv(message_queues[direction], &message, size, 1, 0) != (ssize_t)size)
                return false;
        memcpy(ret_item, message.words, size);
        return true;
}

BENCH_BLOCKING(msgq, BENCH_NO_JOIN, msgq_send, msgq_receive)

const BenchContestant bench_kernel[] = {
        BENCH_BLOCKING_BOTH(BENCH_PIPE, pipe, pipe_setup, close_all),
        BENCH_BLOCKING_BOTH(BENCH_STREAM, socket, stream_setup, close_all),
        BENCH_BLOCKING_BOTH(BENCH_SEQPACKET, socket, seqpacket_setup, close_all),
        BENCH_BLOCKING_BOTH(BENCH_MQ, mq, mq_setup, mq_teardown),
        BENCH_BLOCKING_BOTH(BENCH_MSGQ, msgq, msgq_setup, msgq_teardown),
        {BENCH_SHARED(BENCH_PIPE), 64, pipe_setup, pipe_shared_produce, pipe_shared_consume,
         close_all, 2},
        {0},
};
