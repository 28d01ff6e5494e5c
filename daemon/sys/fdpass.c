/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Passing Descriptors
 *
 * The control buffer for receiving has room for one struct ucred and not a byte more. The kernel
 * writes credentials first and installs rights into what is left, which is nothing: it drops them
 * and says MSG_CTRUNC. That flag therefore means what it says only here; to dbus-broker it may also
 * mean a full descriptor table (src/dbus/socket.c there).
 *
 * Dropping a right closes it, on the way out of recvmsg(2), in our name: a TCP socket with unsent
 * data and SO_LINGER holds us up for as many seconds as its owner wrote into it. A signal ends each
 * such wait. SO_PASSRIGHTS = 0 (Linux 6.16) lets sendmsg(2) of the other side fail instead.
 */

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include "daemon/sys/fdpass.h"

/* Linux 6.16; headers of Debian 12 are older. The same on every architecture but these two. */
#ifndef SO_PASSRIGHTS
#if defined(__sparc__) || defined(__hppa__)
#error "SO_PASSRIGHTS has another number here: build with headers of Linux 6.16 or newer"
#endif
#define SO_PASSRIGHTS 83
#endif

/* glibc 2.36 has the field, and no name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
        /* A reset is reported before what the peer sent last; that is read by the second try. */
        FDPASS_RESETS_MAX = 1,
        /* Kept on the account of a packet that is read, until the writer is woken. */
        FDPASS_TOKEN_BYTES = 1,
};

/* Its arrival is all that is wanted of it. */
static void fdpass_tick(int signal_number) {
        (void)signal_number;
}

static int fdpass_make_timer(FdpassGuard *guard) {
        struct sigaction action = { .sa_handler = fdpass_tick }; /* no SA_RESTART */
        struct sigevent event = {
                .sigev_notify = SIGEV_THREAD_ID,
                .sigev_signo = SIGRTMIN,
        };
        sigset_t set;
        int r;

        sigemptyset(&action.sa_mask);
        if (sigaction(SIGRTMIN, &action, NULL) < 0)
                return -errno;

        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        r = pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        if (r != 0)
                return -r;

        event.sigev_notify_thread_id = gettid();
        if (timer_create(CLOCK_MONOTONIC, &event, &guard->timer) < 0)
                return -errno;
        guard->has_timer = true;
        return 0;
}

int fdpass_guard_init(FdpassGuard *guard) {
        int fd, off = 0, r = 0;

        *guard = (FdpassGuard)FDPASS_GUARD_NULL(*guard);

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) >= 0)
                guard->refuses = true;
        else if (errno == ENOPROTOOPT)
                r = fdpass_make_timer(guard);
        else
                r = -errno;

        close(fd);
        return r;
}

void fdpass_guard_deinit(FdpassGuard *guard) {
        if (guard->has_timer)
                timer_delete(guard->timer);
        *guard = (FdpassGuard)FDPASS_GUARD_NULL(*guard);
}

static void fdpass_set_timer(FdpassGuard *guard, long tick_ms) {
        struct itimerspec period = {
                .it_interval.tv_nsec = tick_ms * 1000000,
                .it_value.tv_nsec = tick_ms * 1000000,
        };
        int saved_errno = errno;

        /* A timer of ours and a valid period: nothing that could fail. */
        if (guard->has_timer)
                (void)timer_settime(guard->timer, 0, &period, NULL);
        errno = saved_errno;
}

static void fdpass_arm(FdpassGuard *guard) {
        fdpass_set_timer(guard, FDPASS_TICK_MS);
}

static void fdpass_disarm(FdpassGuard *guard) {
        fdpass_set_timer(guard, 0);
}

int fdpass_prepare(int socket_fd) {
        int on = 1, off = 0;

        if (setsockopt(socket_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                return -errno;
        if (setsockopt(socket_fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) < 0 &&
            errno != ENOPROTOOPT)
                return -errno;
        return 0;
}

int fdpass_send(int socket_fd, const void *data, size_t n_bytes, const int *fds, size_t n_fds) {
        union {
                char bytes[CMSG_SPACE(FDPASS_FDS_MAX * sizeof(int))];
                struct cmsghdr header;
        } control = {};
        struct iovec vector = { .iov_base = (void *)data, .iov_len = n_bytes };
        struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
        ssize_t n;

        /* A packet of no bytes reads like the end of the connection. */
        if (n_bytes == 0 || n_fds > FDPASS_FDS_MAX)
                return -EINVAL;

        if (n_fds > 0) {
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }

        do
                n = sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n >= 0)
                return 0;

        switch (errno) {
        case EAGAIN:
                return FDPASS_E_AGAIN;
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:
                return FDPASS_E_CLOSED;
        case ETOOMANYREFS:
                return FDPASS_E_IN_FLIGHT;
        default:
                return -errno;
        }
}

/* What arrived with the packet; false if it does not say who sent it. */
static bool fdpass_get_credentials(struct msghdr *message, FdpassPacket *packet) {
        struct cmsghdr *header = CMSG_FIRSTHDR(message);
        struct ucred credentials;

        /* There is room for one message only. */
        if (!header || header->cmsg_level != SOL_SOCKET ||
            header->cmsg_type != SCM_CREDENTIALS ||
            header->cmsg_len != CMSG_LEN(sizeof(credentials)))
                return false;

        memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
        packet->uid = credentials.uid;
        packet->gid = credentials.gid;
        packet->pid = credentials.pid;
        return true;
}

static int fdpass_judge(struct msghdr *message, size_t n_bytes, FdpassPacket *ret_packet) {
        FdpassPacket packet = { .n_bytes = n_bytes };
        bool has_credentials = fdpass_get_credentials(message, &packet);

        /* An end carries nothing, not even who sent it. */
        if (n_bytes == 0 && !has_credentials && !(message->msg_flags & MSG_CTRUNC))
                return FDPASS_E_CLOSED;
        if (message->msg_flags & MSG_CTRUNC)
                return FDPASS_E_RIGHTS;
        if (n_bytes == 0)
                return FDPASS_E_EMPTY;
        if (message->msg_flags & MSG_TRUNC)
                return FDPASS_E_TOO_LONG;
        if (!has_credentials)
                return FDPASS_E_NO_CREDENTIALS;

        *ret_packet = packet;
        return 0;
}

static int fdpass_read(FdpassGuard *guard, int socket_fd, int flags, void *buffer, size_t size,
                       FdpassPacket *ret_packet) {
        union {
                char bytes[CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr header;
        } control;
        struct iovec vector = { .iov_base = buffer, .iov_len = size };
        struct msghdr message;
        int n_resets = 0;
        ssize_t n;

        do {
                message = (struct msghdr){
                        .msg_iov = &vector,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof(control.bytes),
                };
                fdpass_arm(guard);
                n = recvmsg(socket_fd, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
                fdpass_disarm(guard);
        } while (n < 0 &&
                 (errno == EINTR || (errno == ECONNRESET && n_resets++ < FDPASS_RESETS_MAX)));

        if (n >= 0)
                return fdpass_judge(&message, (size_t)n, ret_packet);
        if (errno == EAGAIN)
                return FDPASS_E_AGAIN;
        return errno == ECONNRESET || errno == ENOTCONN ? FDPASS_E_CLOSED : -errno;
}

int fdpass_receive(FdpassGuard *guard, int socket_fd, void *buffer, size_t size,
                   FdpassPacket *ret_packet) {
        return fdpass_read(guard, socket_fd, 0, buffer, size, ret_packet);
}

int fdpass_peek(FdpassGuard *guard, int socket_fd, void *buffer, size_t size,
                FdpassPacket *ret_packet) {
        return fdpass_read(guard, socket_fd, MSG_PEEK, buffer, size, ret_packet);
}

int fdpass_consume(int socket_fd) {
        int n_resets = 0;
        ssize_t n;

        do
                n = recv(socket_fd, NULL, 0, MSG_DONTWAIT);
        while (n < 0 &&
               (errno == EINTR || (errno == ECONNRESET && n_resets++ < FDPASS_RESETS_MAX)));
        return n < 0 ? -errno : 0;
}

void fdpass_hang_up(FdpassGuard *guard, int socket_fd) {
        FdpassPacket packet;
        uint8_t byte;
        int r;

        (void)shutdown(socket_fd, SHUT_RDWR);
        /* Nothing can be added any more, so this ends. */
        do
                r = fdpass_receive(guard, socket_fd, &byte, sizeof(byte), &packet);
        while (r >= 0 && r != FDPASS_E_CLOSED && r != FDPASS_E_AGAIN);
}

void fdpass_close(FdpassGuard *guard, int socket_fd) {
        fdpass_arm(guard);
        close(socket_fd);
        fdpass_disarm(guard);
}

int fdpass_unread(int socket_fd, size_t *ret_n_bytes) {
        int n_bytes;

        if (ioctl(socket_fd, SIOCOUTQ, &n_bytes) < 0)
                return -errno;

        *ret_n_bytes = n_bytes > FDPASS_TOKEN_BYTES ? (size_t)n_bytes : 0;
        return 0;
}

const char *fdpass_guard_to_string(const FdpassGuard *guard) {
        return guard->refuses ? "SO_PASSRIGHTS" : "timer";
}
