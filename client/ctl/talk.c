/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Questions to the broker.
 *
 * One request is outstanding at any time, so a reply with another id is a fault of the broker. A
 * page of a listing says whether there is more; that is believed only while the names (or lease
 * numbers) ascend, or a broker gone wrong would keep us for ever.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/socket.h"
#include "client/ctl/talk.h"

enum {
        /*
         * `reload` reserves memory before it answers: 64 GiB at the 0.4 s/GiB that were measured.
         */
        TALK_PATIENCE_S = 30,
        /* More regions or leases than any broker admits; the last bound of an endless listing. */
        TALK_ENTRIES_MAX = 4000000,
};

struct Talk {
        Ctl *ctl;
        int fd;
        char path[SOCKET_PATH_MAX]; /* for messages */
        uint64_t id; /* of the last request */
        WireMessage reply;
        /* aligned as the decoder likes it; one byte more than any message, to see a longer one */
        _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX + 8];
};

static uint64_t now_ms(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A connected socket, or a negative errno. */
static int connect_to(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        /* A full backlog makes connect() wait: not longer than for a reply. */
        struct timeval patience = { .tv_sec = TALK_PATIENCE_S };
        int fd, r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

/* What to do when nobody can be reached at @path. */
static int complain_connect(Ctl *ctl, const char *path, int r) {
        const char *start = "start it with `systemctl start shmbrokerd`, or name another broker's "
                            "socket with --socket";

        switch (r) {
        case -ENOENT:
                return ctl_fail(ctl, "%s: there is no broker: %s", path, start);
        case -ECONNREFUSED:
                return ctl_fail(ctl, "%s: the broker that made this socket is gone: %s", path,
                                start);
        case -EACCES:
        case -EPERM:
                return ctl_fail(ctl, "%s: you may not connect: ask for the group of the socket, "
                                "or be root", path);
        case -ENAMETOOLONG:
                return ctl_fail(ctl, "%s: too long for a socket's path (107 bytes)", path);
        case -EAGAIN:
                return ctl_fail(ctl, "%s: the broker accepted no connection for %d s: see "
                                "`systemctl status shmbrokerd`", path, TALK_PATIENCE_S);
        case -EPROTOTYPE:
                return ctl_fail(ctl, "%s: not a broker's socket", path);
        default:
                return ctl_fail(ctl, "%s: cannot connect: %s", path, strerror(-r));
        }
}

/* The admin socket beside @path, or "" where @path is one or leaves no room. */
static void path_of_admin(char *buffer, size_t size, const char *path) {
        const char *slash = strrchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) + 1 : 0;

        buffer[0] = '\0';
        if (n + strlen(SOCKET_ADMIN) < size && strcmp(path + n, SOCKET_ADMIN) != 0) {
                memcpy(buffer, path, n);
                strcpy(buffer + n, SOCKET_ADMIN);
        }
}

/* A connected socket, its path in talk->path; or a negative errno for @path itself. */
static int connect_best(Talk *talk, const char *path) {
        int fd;

        path_of_admin(talk->path, sizeof(talk->path), path);
        if (talk->path[0]) {
                /* Whether we may is decided by the mode of the socket: trying is asking. */
                fd = connect_to(talk->path);
                if (fd >= 0)
                        return fd;
        }

        strcpy(talk->path, path);
        return connect_to(path);
}

static int complain_reply(Talk *talk, const char *what) {
        return ctl_fail(talk->ctl, "%s: the broker %s: is it the same version as shmbrokerctl %s?",
                        talk->path, what, PACKAGE_VERSION);
}

/* Receive one packet until @deadline_ms (CLOCK_MONOTONIC) into talk->packet. */
static int receive(Talk *talk, uint64_t deadline_ms, size_t *ret_n_bytes) {
        for (;;) {
                struct pollfd pollfd = { .fd = talk->fd, .events = POLLIN };
                uint64_t now = now_ms();
                ssize_t n;

                if (now >= deadline_ms)
                        return ctl_fail(talk->ctl, "%s: the broker did not answer for %d s: see "
                                        "`systemctl status shmbrokerd`", talk->path,
                                        TALK_PATIENCE_S);
                if (poll(&pollfd, 1, (int)(deadline_ms - now)) <= 0)
                        continue;

                /* Without room for control data the kernel drops descriptors: none is awaited. */
                n = recv(talk->fd, talk->packet, sizeof(talk->packet), MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (n < 0 && errno != ECONNRESET)
                        return ctl_fail(talk->ctl, "%s: cannot receive: %s", talk->path,
                                        strerror(errno));
                if (n <= 0)
                        return ctl_fail(talk->ctl, "%s: the broker closed the connection: see "
                                        "`journalctl -u shmbrokerd`", talk->path);
                if ((size_t)n > SHMB_MESSAGE_MAX)
                        return complain_reply(talk, "sent a message longer than any");

                *ret_n_bytes = (size_t)n;
                return CTL_DONE;
        }
}

/* Wait for the reply to the last request; news from the broker (id 0) are skipped. */
static int await_reply(Talk *talk) {
        uint64_t deadline_ms = now_ms() + TALK_PATIENCE_S * UINT64_C(1000);
        size_t n_bytes;
        int r;

        do {
                r = receive(talk, deadline_ms, &n_bytes);
                if (r != CTL_DONE)
                        return r;

                r = wire_decode(talk->packet, n_bytes, &talk->reply);
                if (r < 0 && r != -EOPNOTSUPP)
                        return complain_reply(talk, "sent a malformed message");
        } while (talk->reply.id == 0);

        if (r < 0 || talk->reply.id != talk->id)
                return complain_reply(talk, "sent a reply to something else");
        return CTL_DONE;
}

int talk_request(Talk *talk, WireMessage *request, WireType type, const WireMessage **ret_reply) {
        _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX];
        size_t n_bytes;
        int r;

        request->id = ++talk->id;
        r = wire_encode(request, packet, sizeof(packet), &n_bytes);
        if (r < 0)
                return ctl_usage(talk->ctl, "an argument is longer than the protocol allows");

        if (send(talk->fd, packet, n_bytes, MSG_NOSIGNAL) < 0)
                return ctl_fail(talk->ctl, "%s: cannot send: %s", talk->path, strerror(errno));

        r = await_reply(talk);
        if (r != CTL_DONE)
                return r;

        if (talk->reply.type == WIRE_ERROR)
                return ctl_fail(talk->ctl, "%s", talk->reply.error.sentence &&
                                                 *talk->reply.error.sentence ?
                                talk->reply.error.sentence :
                                shmb_status_to_string(talk->reply.error.status));
        if (talk->reply.type != type)
                return complain_reply(talk, "sent a reply of another type");

        *ret_reply = &talk->reply;
        return CTL_DONE;
}

static int hello(Talk *talk) {
        WireMessage request = {
                .type = WIRE_HELLO,
                .hello = { .major = WIRE_VERSION_MAJOR, .minor = WIRE_VERSION_MINOR },
        };
        const WireMessage *reply;

        if (getrandom(request.hello.uuid, sizeof(request.hello.uuid), 0) < 0)
                return ctl_fail(talk->ctl, "no random numbers: %s", strerror(errno));

        return talk_request(talk, &request, WIRE_WELCOME, &reply);
}

int talk_open(Ctl *ctl, Talk **ret_talk) {
        char path[SOCKET_PATH_MAX];
        Talk *talk;
        int r;

        talk = calloc(1, sizeof(*talk));
        if (!talk)
                return ctl_fail(ctl, "out of memory");
        talk->ctl = ctl;

        if (ctl->connected >= 0) {
                strcpy(talk->path, "(connected)");
                talk->fd = ctl->connected;
        } else {
                socket_path(ctl->socket, path, sizeof(path));
                talk->fd = connect_best(talk, path);
        }

        r = talk->fd < 0 ? complain_connect(ctl, path, talk->fd) : hello(talk);
        if (r != CTL_DONE) {
                talk_close(talk);
                return r;
        }

        *ret_talk = talk;
        return CTL_DONE;
}

Talk *talk_close(Talk *talk) {
        if (talk && talk->fd >= 0)
                close(talk->fd);
        free(talk);
        return NULL;
}

const char *talk_path(const Talk *talk) {
        return talk->path;
}

/* One page of regions; *ret_n is their number and @last the name of the last one. */
static int list_page(Talk *talk, const WireListing *listing, char *last, size_t *ret_n,
                     int (*each)(void *userdata, const WireRegion *region), void *userdata) {
        WireRegion region;
        size_t at = 0;
        int r;

        *ret_n = 0;
        for (;;) {
                r = wire_region_next(listing, &at, &region);
                if (r == 0)
                        return CTL_DONE;
                if (r < 0 || !region.name || strlen(region.name) > SHMB_NAME_MAX ||
                    strcmp(region.name, last) <= 0)
                        return complain_reply(talk, "sent a malformed listing");

                strcpy(last, region.name);
                ++*ret_n;
                r = each(userdata, &region);
                if (r != CTL_DONE)
                        return r;
        }
}

int talk_list(Talk *talk, const char *name, int (*each)(void *userdata, const WireRegion *region),
              void *userdata) {
        char last[SHMB_NAME_MAX + 1] = "";
        size_t n_total = 0, n;
        bool more = true;

        while (more) {
                WireMessage request = {
                        .type = WIRE_LIST,
                        .list = { .name = name, .after = last[0] ? last : NULL },
                };
                const WireMessage *reply;
                int r;

                r = talk_request(talk, &request, WIRE_LISTING, &reply);
                if (r == CTL_DONE)
                        r = list_page(talk, &reply->listing, last, &n, each, userdata);
                if (r != CTL_DONE)
                        return r;

                more = reply->listing.more;
                n_total += n;
                if (more && (n == 0 || n_total > TALK_ENTRIES_MAX))
                        return complain_reply(talk, "sent a listing without end");
        }
        return CTL_DONE;
}

static int who_page(Talk *talk, const WireHolders *holders, uint64_t *last, size_t *ret_n,
                    int (*each)(void *userdata, const WireHolder *holder), void *userdata) {
        WireHolder holder;
        size_t at = 0;
        int r;

        *ret_n = 0;
        for (;;) {
                r = wire_holder_next(holders, &at, &holder);
                if (r == 0)
                        return CTL_DONE;
                if (r < 0 || holder.lease <= *last)
                        return complain_reply(talk, "sent a malformed list of holders");

                *last = holder.lease;
                ++*ret_n;
                r = each(userdata, &holder);
                if (r != CTL_DONE)
                        return r;
        }
}

int talk_who(Talk *talk, const char *name, int (*each)(void *userdata, const WireHolder *holder),
             void *userdata) {
        size_t n_total = 0, n;
        uint64_t last = 0;
        bool more = true;

        while (more) {
                WireMessage request = {
                        .type = WIRE_WHO,
                        .who = { .name = name, .after = last },
                };
                const WireMessage *reply;
                int r;

                r = talk_request(talk, &request, WIRE_HOLDERS, &reply);
                if (r == CTL_DONE)
                        r = who_page(talk, &reply->holders, &last, &n, each, userdata);
                if (r != CTL_DONE)
                        return r;

                more = reply->holders.more;
                n_total += n;
                if (more && (n == 0 || n_total > TALK_ENTRIES_MAX))
                        return complain_reply(talk, "sent a listing without end");
        }
        return CTL_DONE;
}
