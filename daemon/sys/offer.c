/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Offers
 *
 * The process keeps none of the broker's descriptors: as long as it hung it would keep connections
 * open that the broker closes. It says that it is done before it ends, also where it has nothing:
 * while it ends, and closes what the stranger sent, it may hang for good.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "daemon/sys/fdpass.h"
#include "daemon/sys/offer.h"
#include "protocol/limits.h"

enum {
        OFFER_RESULT_FD = 3, /* in the process */
        OFFER_CLIENT_FD,
        OFFER_SPARE_FD, /* where the numbers are that may be in the way of these */
};

/* One packet, and all descriptors of it; how many. */
static size_t offer_receive(int socket_fd, int flags, int fds[static SHMB_OBJECTS_MAX]) {
        union {
                char bytes[CMSG_SPACE(SHMB_OBJECTS_MAX * sizeof(int))];
                struct cmsghdr header;
        } control;
        char byte;
        struct iovec vector = { &byte, 1 };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        struct cmsghdr *header;
        size_t n;

        if (recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC) <= 0)
                return 0;
        header = CMSG_FIRSTHDR(&message);
        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                return 0;
        n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (n > SHMB_OBJECTS_MAX)
                n = SHMB_OBJECTS_MAX;
        memcpy(fds, CMSG_DATA(header), n * sizeof(int));
        return n;
}

static size_t offer_collect(const RecallWanted *wanted, size_t n_wanted,
                            int fds[static SHMB_OBJECTS_MAX]) {
        size_t i, n = 0;

        for (i = 0; i < n_wanted && n < SHMB_OBJECTS_MAX; i++)
                if (wanted[i].fd >= 0)
                        fds[n++] = wanted[i].fd;
        return n;
}

static _Noreturn void offer_process(int client_fd, int result_fd, RecallWanted *wanted,
                                    size_t n_wanted) {
        int fds[SHMB_OBJECTS_MAX], client, result;
        size_t i, n;

        signal(SIGALRM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        client = fcntl(client_fd, F_DUPFD, OFFER_SPARE_FD);
        result = fcntl(result_fd, F_DUPFD, OFFER_SPARE_FD);
        if (client < 0 || result < 0 || dup2(result, OFFER_RESULT_FD) < 0 ||
            dup2(client, OFFER_CLIENT_FD) < 0 || close_range(OFFER_SPARE_FD, ~0U, 0) < 0)
                _exit(1);
        alarm(OFFER_SECONDS);
        n = offer_receive(OFFER_CLIENT_FD, 0, fds);
        for (i = 0; i < n; i++)
                (void)recall_take(fds[i], wanted, n_wanted);
        n = offer_collect(wanted, n_wanted, fds);
        (void)fdpass_send(OFFER_RESULT_FD, "", 1, fds, n);
        _exit(0);
}

int offer_start(RecallWanted *wanted, size_t n_wanted, int *ret_client_fd, int *ret_result_fd) {
        int client[2], result[2], r;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, client) < 0)
                return -errno;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, result) < 0) {
                r = -errno;
                close(client[0]);
                close(client[1]);
                return r;
        }
        pid = fork();
        if (pid == 0)
                offer_process(client[1], result[1], wanted, n_wanted);
        r = pid < 0 ? -errno : 0;
        close(client[1]);
        close(result[1]);
        if (r < 0) {
                close(client[0]);
                close(result[0]);
                return r;
        }
        *ret_client_fd = client[0];
        *ret_result_fd = result[0];
        return 0;
}

size_t offer_finish(int result_fd, RecallWanted *wanted, size_t n_wanted) {
        int fds[SHMB_OBJECTS_MAX];
        RecallWanted *found;
        size_t i, n, n_found = 0;
        struct stat st;

        n = offer_receive(result_fd, MSG_DONTWAIT, fds);
        for (i = 0; i < n; i++) {
                found = fstat(fds[i], &st) == 0
                                ? recall_find(wanted, n_wanted, st.st_dev, st.st_ino)
                                : NULL;
                if (!found || found->fd >= 0) {
                        close(fds[i]);
                        continue;
                }
                found->fd = fds[i];
                n_found++;
        }
        return n_found;
}
