/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Callers
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"

int caller_connect(Caller *caller, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        memset(caller, 0, sizeof(*caller));
        caller->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (caller->fd < 0)
                return -errno;
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        if (connect(caller->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                r = -errno;
                caller_close(caller);
                return r;
        }
        return 0;
}

void caller_drop_fds(Caller *caller) {
        while (caller->n_fds > 0)
                close(caller->fds[--caller->n_fds]);
}

void caller_close(Caller *caller) {
        caller_drop_fds(caller);
        if (caller->fd >= 0)
                close(caller->fd);
        caller->fd = -1;
}

int caller_send_fds(Caller *caller, const void *bytes, size_t n_bytes, const int *fds,
                    size_t n_fds) {
        struct iovec iov = { .iov_base = (void *)bytes, .iov_len = n_bytes };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct cmsghdr *cmsg;
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(SHMB_OBJECTS_MAX * sizeof(int))];
        } control;

        if (n_fds > 0) {
                memset(&control, 0, sizeof(control));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                cmsg = CMSG_FIRSTHDR(&message);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        }
        return sendmsg(caller->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int caller_send_bytes(Caller *caller, const void *bytes, size_t n_bytes) {
        return caller_send_fds(caller, bytes, n_bytes, NULL, 0);
}

int caller_tell(Caller *caller, const WireMessage *message) {
        uint8_t packet[SHMB_MESSAGE_MAX];
        size_t n_bytes;
        int r;

        r = wire_encode(message, packet, sizeof(packet), &n_bytes);
        return r < 0 ? r : caller_send_bytes(caller, packet, n_bytes);
}

int caller_send(Caller *caller, WireMessage *message) {
        if (message->id == 0)
                message->id = ++caller->id;
        return caller_tell(caller, message);
}

static void caller_take_fds(Caller *caller, struct msghdr *message) {
        struct cmsghdr *cmsg;
        size_t n;

        for (cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
                if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(caller->fds, CMSG_DATA(cmsg), n * sizeof(int));
                caller->n_fds = n;
        }
}

int caller_receive(Caller *caller, int timeout_ms) {
        struct iovec iov = { .iov_base = caller->packet, .iov_len = sizeof(caller->packet) };
        struct pollfd pollfd = { .fd = caller->fd, .events = POLLIN };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(SHMB_OBJECTS_MAX * sizeof(int))];
        } control;
        ssize_t n;
        int r;

        caller_drop_fds(caller);
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        if (poll(&pollfd, 1, timeout_ms) != 1)
                return CALLER_SILENT;
        n = recvmsg(caller->fd, &message, MSG_CMSG_CLOEXEC);
        if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
                return CALLER_HUNG_UP;
        if (n < 0)
                return -errno;
        caller->n_packet = (size_t)n;
        caller_take_fds(caller, &message);
        r = wire_decode(caller->packet, caller->n_packet, &caller->reply);
        if (r < 0)
                return r;
        return caller->reply.type == WIRE_ERROR ? (int)caller->reply.error.status : 0;
}

int caller_await(Caller *caller, uint64_t id) {
        int r;

        /* A second answer to what was answered is skipped. */
        do
                r = caller_receive(caller, BROKER_DEADLINE_MS);
        while (r >= 0 && caller->reply.id != 0 && caller->reply.id < id);
        if (r < 0)
                return r;
        /* What is said of no request in particular is said before the connection is closed. */
        if (caller->reply.type == WIRE_ERROR && caller->reply.id == 0)
                return r;
        return caller->reply.id == id ? r : -EPROTO;
}

int caller_call(Caller *caller, WireMessage *message) {
        int r;

        r = caller_send(caller, message);
        if (r == -EPIPE || r == -ECONNRESET)
                return CALLER_HUNG_UP;
        if (r < 0)
                return r;
        return caller_await(caller, message->id);
}

int caller_hello(Caller *caller) {
        WireMessage message = { .type = WIRE_HELLO,
                                .hello = { .major = WIRE_VERSION_MAJOR,
                                           .minor = WIRE_VERSION_MINOR } };

        memcpy(message.hello.uuid, caller->uuid, sizeof(caller->uuid));
        return caller_call(caller, &message);
}

int caller_begin(Caller *caller, const char *path) {
        int r;

        r = caller_connect(caller, path);
        if (r < 0)
                return r;
        if (getrandom(caller->uuid, sizeof(caller->uuid), 0) != sizeof(caller->uuid))
                return -EIO;
        r = caller_hello(caller);
        if (r != 0)
                caller_close(caller);
        return r;
}

int caller_attach(Caller *caller, const char *name, ShmbRole role,
                  CallerLease *ret_lease) {
        WireMessage message = { .type = WIRE_ATTACH, .attach = { .name = name, .role = role } };
        int r;

        r = caller_call(caller, &message);
        if (r != 0)
                return r;
        if (caller->reply.type != WIRE_ATTACHED ||
            caller->reply.attached.n_objects != caller->n_fds)
                return -EPROTO;
        ret_lease->attached = caller->reply.attached;
        ret_lease->attached.type = NULL;
        memcpy(ret_lease->fds, caller->fds, caller->n_fds * sizeof(int));
        caller->n_fds = 0;
        return 0;
}

int caller_mapped(Caller *caller, const CallerLease *lease, uint32_t status) {
        WireMessage message = { .type = WIRE_MAPPED,
                                .mapped = { .lease = lease->attached.lease, .status = status } };

        return caller_call(caller, &message);
}

int caller_detach(Caller *caller, uint64_t lease) {
        WireMessage message = { .type = WIRE_DETACH, .detach = { .lease = lease } };

        return caller_call(caller, &message);
}

int caller_object(const CallerLease *lease, ShmbObjectKind kind, uint32_t index) {
        uint32_t i;

        for (i = 0; i < lease->attached.n_objects; i++)
                if (lease->attached.objects[i].kind == kind &&
                    lease->attached.objects[i].index == index)
                        return (int)i;
        return -1;
}

void caller_lease_close(CallerLease *lease) {
        while (lease->attached.n_objects > 0)
                close(lease->fds[--lease->attached.n_objects]);
}

int caller_list(Caller *caller, const char *name, WireRegion *ret_region) {
        WireMessage message = { .type = WIRE_LIST, .list = { .name = name } };
        size_t at = 0;
        int r;

        r = caller_call(caller, &message);
        if (r != 0)
                return r;
        r = wire_region_next(&caller->reply.listing, &at, ret_region);
        return r == 1 ? 0 : r < 0 ? r : (int)SHMB_STATUS_NO_REGION;
}

int caller_status(Caller *caller, WireStatusInfo *ret_status) {
        WireMessage message = { .type = WIRE_STATUS };
        int r;

        r = caller_call(caller, &message);
        if (r == 0)
                *ret_status = caller->reply.status;
        return r;
}
