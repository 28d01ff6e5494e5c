/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Questions to the broker.
 *
 * One request is outstanding at any time, so a reply with another id is a fault of the broker. A
 * page of a listing says whether there is more; that is believed only while the names (or lease
 * numbers) ascend, or a broker gone wrong would keep us for ever.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/ctl/talk.h"
#include "client/deadline.h"
#include "client/socket.h"

/* Beside broker.sock; it answers more. */
#define SOCKET_ADMIN "admin.sock"

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
        char path[SHMB__PATH_SIZE];
        uint64_t id; /* of the last request */
        WireMessage reply;
        _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX];
};

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

/* Connect to the admin socket if we may, else to the broker's own; the path goes to talk->path. */
static int connect_best(Talk *talk, ShmbSentence *sentence) {
        int64_t deadline = shmb__deadline(TALK_PATIENCE_S * SHMB__SECOND);
        char path[SHMB__PATH_SIZE];
        int r;

        r = shmb__socket_path(talk->ctl->socket, path, sentence);
        if (r < 0)
                return r;

        path_of_admin(talk->path, sizeof(talk->path), path);
        /* Whether we may is decided by the mode of the socket: trying is asking. */
        if (talk->path[0] && shmb__socket_connect(talk->path, deadline, &talk->fd, sentence) == 0)
                return 0;

        strcpy(talk->path, path);
        return shmb__socket_connect(path, deadline, &talk->fd, sentence);
}

static int complain_reply(Talk *talk, const char *what) {
        return ctl_fail(talk->ctl, "%s: the broker %s: is it the same version as shmbrokerctl %s?",
                        talk->path, what, PACKAGE_VERSION);
}

/* A packet that was neither sent nor received. */
static int complain_packet(Talk *talk, int r) {
        switch (r) {
        case -EBADMSG:
                return complain_reply(talk, "sent a message longer than any");
        case -ETIMEDOUT:
                return ctl_fail(talk->ctl, "%s: the broker did not answer for %d s: see "
                                "`systemctl status shmbrokerd`", talk->path, TALK_PATIENCE_S);
        case -EPIPE:
                return ctl_fail(talk->ctl, "%s: the broker closed the connection: see "
                                "`journalctl -u shmbrokerd`", talk->path);
        default:
                return ctl_fail(talk->ctl, "%s: %s", talk->path, strerror(-r));
        }
}

/* Wait for the reply to the last request; news from the broker (id 0) are skipped. */
static int await_reply(Talk *talk, int64_t deadline) {
        ShmbFds fds = {};
        int r;

        do {
                r = shmb__socket_receive(talk->fd, talk->packet, SHMB_MESSAGE_MAX, deadline, &fds);
                if (r < 0)
                        return complain_packet(talk, r);
                /* None is awaited. */
                shmb__fds_close(&fds);

                r = wire_decode(talk->packet, (size_t)r, &talk->reply);
                if (r < 0 && r != -EOPNOTSUPP)
                        return complain_reply(talk, "sent a malformed message");
                /* Packets that are there are taken whatever the time: a babbler ends here. */
                if (shmb__now() > deadline)
                        return complain_packet(talk, -ETIMEDOUT);
        } while (talk->reply.id == 0);

        if (r < 0 || talk->reply.id != talk->id)
                return complain_reply(talk, "sent a reply to something else");
        return CTL_DONE;
}

int talk_request(Talk *talk, WireMessage *request, WireType type, const WireMessage **ret_reply) {
        int64_t deadline = shmb__deadline(TALK_PATIENCE_S * SHMB__SECOND);
        _Alignas(8) uint8_t packet[SHMB_MESSAGE_MAX];
        size_t n_bytes;
        int r;

        request->id = ++talk->id;
        r = wire_encode(request, packet, sizeof(packet), &n_bytes);
        if (r < 0)
                return ctl_usage(talk->ctl, "an argument is longer than the protocol allows");

        r = shmb__socket_send(talk->fd, packet, n_bytes, deadline);
        if (r < 0)
                return complain_packet(talk, r);

        r = await_reply(talk, deadline);
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
        ShmbSentence sentence = {};
        Talk *talk;
        int r = 0;

        talk = calloc(1, sizeof(*talk));
        if (!talk)
                return ctl_fail(ctl, "out of memory");
        talk->ctl = ctl;
        talk->fd = ctl->connected;

        if (talk->fd >= 0)
                strcpy(talk->path, "(connected)");
        else
                r = connect_best(talk, &sentence);

        r = r < 0 ? ctl_fail(ctl, "%s", sentence.text) : hello(talk);
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
