/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Socket of the Broker
 *
 * Who listens is told by SO_PEERCRED, which is whoever called listen(): the broker's own uid if it
 * bound the socket, root if systemd did (socket activation). So both are accepted, and the owner of
 * the directory stands for the service user of a system broker.
 *
 * Descriptors that arrive are counted and owned from the first byte: whatever goes wrong with a
 * packet, they are closed. MSG_CTRUNC means that our own limit (RLIMIT_NOFILE) or a security module
 * kept some of them out; the rest is of no use then, and the caller must hear of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/deadline.h"
#include "client/socket.h"

#define DEFAULT_PATH "/run/shmbroker/broker.sock"
#define USER_PATH "/shmbroker/broker.sock"

enum {
        CONNECT_RETRY_MIN_MS = 1,
        CONNECT_RETRY_MAX_MS = 100,
        RECEIVE_SLICE_MS = 500,
};

void shmb__say(ShmbSentence *sentence, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence->text, sizeof(sentence->text), format, arguments);
        va_end(arguments);
}

static int take_path(const char *path, char ret_path[SHMB__PATH_SIZE], ShmbSentence *sentence) {
        size_t n = strlen(path);

        if (n == 0) {
                shmb__say(sentence, "the path of the broker's socket is empty");
                return -EINVAL;
        }
        if (n >= SHMB__PATH_SIZE) {
                shmb__say(sentence, "%.200s...: longer than a socket's path may be (%d bytes)",
                          path, SHMB__PATH_SIZE - 1);
                return -ENAMETOOLONG;
        }
        memcpy(ret_path, path, n + 1);
        return 0;
}

int shmb__socket_path(const char *wanted, char ret_path[SHMB__PATH_SIZE], ShmbSentence *sentence) {
        const char *variable, *runtime;
        char own[SHMB__PATH_SIZE];
        struct stat st;
        int n;

        if (wanted)
                return take_path(wanted, ret_path, sentence);
        variable = secure_getenv("SHMBROKER_SOCKET");
        if (variable && *variable)
                return take_path(variable, ret_path, sentence);

        runtime = geteuid() != 0 ? secure_getenv("XDG_RUNTIME_DIR") : NULL;
        if (runtime && *runtime == '/') {
                n = snprintf(own, sizeof(own), "%s%s", runtime, USER_PATH);
                if (n > 0 && (size_t)n < sizeof(own) && stat(own, &st) == 0)
                        return take_path(own, ret_path, sentence);
        }
        return take_path(DEFAULT_PATH, ret_path, sentence);
}

/* The directory of @path: in place of the last part, "." or "/". */
static void cut_directory(const char *path, char ret_directory[SHMB__PATH_SIZE]) {
        char *slash;

        strcpy(ret_directory, path);
        slash = strrchr(ret_directory, '/');
        if (!slash)
                strcpy(ret_directory, ".");
        else
                slash[slash == ret_directory] = '\0';
}

static int check_listener(int fd, const char *path, ShmbSentence *sentence) {
        char directory[SHMB__PATH_SIZE];
        struct ucred peer;
        socklen_t n = sizeof(peer);
        struct stat st;

        cut_directory(path, directory);
        if (stat(directory, &st) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) {
                shmb__say(sentence, "%s: cannot tell who listens there: %s", path,
                          strerrordesc_np(errno));
                return -EPERM;
        }
        if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
                shmb__say(sentence,
                          "%s: not trusted, others than its owner may write in %s: chmod go-w it",
                          path, directory);
                return -EPERM;
        }
        if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != st.st_uid) {
                shmb__say(sentence,
                          "%s: not trusted, uid %u listens there, which is neither root nor you "
                          "nor the owner of %s", path, peer.uid, directory);
                return -EPERM;
        }
        return 0;
}

static int refuse_connect(const char *path, int error, ShmbSentence *sentence) {
        switch (error) {
        case ENOENT:
        case ECONNREFUSED:
        case ENOTDIR:
        case ENOTSOCK:
                shmb__say(sentence,
                          "%s: no broker listens there: start it (systemctl start shmbrokerd), or "
                          "name another socket by SHMBROKER_SOCKET", path);
                return -ECONNREFUSED;
        case EPROTOTYPE:
                shmb__say(sentence, "%s: not the socket of a broker", path);
                return -ECONNREFUSED;
        case ETIMEDOUT:
                shmb__say(sentence, "%s: the broker takes no connections, its queue is full", path);
                return -ETIMEDOUT;
        default:
                shmb__say(sentence, "%s: cannot connect: %s", path, strerrordesc_np(error));
                return -error;
        }
}

/* A non-blocking connect says EAGAIN while the backlog is full, and there is nothing to poll
 * for. */
static int connect_patiently(int fd, const struct sockaddr_un *address, int64_t deadline) {
        int64_t delay = CONNECT_RETRY_MIN_MS * SHMB__MS, now;

        while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return errno;
                now = shmb__now();
                if (now >= deadline)
                        return ETIMEDOUT;
                shmb__sleep_until(shmb__earlier(
                        now + shmb__backoff(&delay, CONNECT_RETRY_MAX_MS * SHMB__MS), deadline));
        }
        return 0;
}

/* From here on it may block, but not for ever: see wait_for_packet(). */
static int set_slice(int fd, const char *path, ShmbSentence *sentence) {
        const struct timeval slice = { .tv_usec = RECEIVE_SLICE_MS * 1000 };
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof(slice)) == 0)
                return 0;
        return refuse_connect(path, errno, sentence);
}

int shmb__socket_connect(const char *path, int64_t deadline, int *ret_fd, ShmbSentence *sentence) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, r;

        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return refuse_connect(path, errno, sentence);

        r = connect_patiently(fd, &address, deadline);
        if (r > 0)
                r = refuse_connect(path, r, sentence);
        else
                r = check_listener(fd, path, sentence);
        if (r == 0)
                r = set_slice(fd, path, sentence);
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/* Looks at least once. Return: 0 when @fd is ready for @events, -ETIMEDOUT, -errno of ppoll(2). */
static int wait_for(int fd, short events, int64_t deadline) {
        struct pollfd p = { .fd = fd, .events = events };
        struct timespec left;
        int64_t now;
        int r;

        for (;;) {
                now = deadline == 0 || deadline == SHMB__NEVER ? 0 : shmb__now();
                left = shmb__timespec(now < deadline ? deadline - now : 0);
                r = ppoll(&p, 1, deadline == SHMB__NEVER ? NULL : &left, NULL);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (now >= deadline)
                        return -ETIMEDOUT;
        }
}

/*
 * The kernel notes the effective uid at connect(2) and the real one with each packet, unless it is
 * told the other (unix(7)); the broker wants them to be one. So a program that runs with two, being
 * set-uid or after seteuid(2), says which.
 */
static ssize_t send_as_effective(int fd, const void *packet, size_t n_bytes) {
        const struct ucred credentials = { getpid(), geteuid(), getegid() };
        struct iovec iov = { .iov_base = (void *)packet, .iov_len = n_bytes };
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(credentials))];
        } control = {};
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_CREDENTIALS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(credentials));
        memcpy(CMSG_DATA(cmsg), &credentials, sizeof(credentials));
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_packet(int fd, const void *packet, size_t n_bytes) {
        if (getuid() != geteuid())
                return send_as_effective(fd, packet, n_bytes);
        return send(fd, packet, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int shmb__socket_send(int fd, const void *packet, size_t n_bytes, int64_t deadline) {
        int r;

        for (;;) {
                if (send_packet(fd, packet, n_bytes) >= 0)
                        return 0;
                if (errno == EINTR)
                        continue;
                if (errno == ECONNRESET || errno == ENOTCONN)
                        return -EPIPE;
                if (errno != EAGAIN)
                        return -errno;
                r = wait_for(fd, POLLOUT, deadline);
                if (r < 0)
                        return r;
        }
}

void shmb__socket_send_fds(int fd, const ShmbFds *fds) {
        struct iovec iov = { .iov_base = (void *)"", .iov_len = 1 };
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(SHMB_OBJECTS_MAX * sizeof(int))];
        } control = {};
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(fds->n * sizeof(int)),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

        if (fds->n == 0)
                return;
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds->n * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds->fds, fds->n * sizeof(int));
        /* The socket is new: there is room, or nobody on the other end. */
        (void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * A reply is on its way as a rule: a blocking recvmsg() is one system call and one turn of the
 * scheduler less than polling first. It ends by itself after RECEIVE_SLICE_MS, so it serves for
 * every deadline that is further away.
 */
static int wait_for_packet(int fd, int64_t deadline, int *ret_flags) {
        *ret_flags = MSG_CMSG_CLOEXEC;
        if (deadline != 0 && deadline - shmb__now() >= RECEIVE_SLICE_MS * SHMB__MS)
                return 0;
        *ret_flags |= MSG_DONTWAIT;
        return wait_for(fd, POLLIN, deadline);
}

void shmb__fds_close(ShmbFds *fds) {
        uint32_t i;

        for (i = 0; i < fds->n; i++)
                if (fds->fds[i] >= 0)
                        close(fds->fds[i]);
        fds->n = 0;
}

/* All blocks of rights: a kernel may use one more than is expected, and none may be lost. */
static void collect_fds(struct msghdr *message, ShmbFds *ret_fds) {
        struct cmsghdr *c;
        size_t i, n;
        int fd;

        ret_fds->truncated = message->msg_flags & MSG_CTRUNC;
        for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (i = 0; i < n; i++) {
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (ret_fds->n < SHMB_OBJECTS_MAX) {
                                ret_fds->fds[ret_fds->n++] = fd;
                        } else {
                                close(fd);
                                ret_fds->truncated = true;
                        }
                }
        }
}

int shmb__socket_receive(int fd, void *buffer, size_t size, int64_t deadline, ShmbFds *ret_fds) {
        union {
                struct cmsghdr align;
                uint8_t bytes[CMSG_SPACE(SHMB_OBJECTS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = buffer, .iov_len = size };
        struct msghdr message;
        int flags, r;
        ssize_t n;

        ret_fds->n = 0;
        do {
                r = wait_for_packet(fd, deadline, &flags);
                if (r < 0)
                        return r;
                message = (struct msghdr){ .msg_iov = &iov,
                                           .msg_iovlen = 1,
                                           .msg_control = &control,
                                           .msg_controllen = sizeof(control) };
                n = recvmsg(fd, &message, flags);
        } while (n < 0 && (errno == EINTR || errno == EAGAIN));
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;

        collect_fds(&message, ret_fds);
        if (n > 0 && !(message.msg_flags & MSG_TRUNC))
                return (int)n;
        /* A packet of no bytes cannot be told from the end, and no broker sends one. */
        shmb__fds_close(ret_fds);
        return n == 0 ? -EPIPE : -EBADMSG;
}
