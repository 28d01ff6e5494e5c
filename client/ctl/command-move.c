/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `push` and `pop`: a region as the end of a pipe.
 *
 * They are clients like any other, on the public API. Items go in as they come, whole ones only.
 * Out they go in place: peek, write, flush, release, so that an item is not lost where the write
 * fails or the program is killed; it is given again, then. A raw region has no items: its bytes
 * are copied.
 */

#include <errno.h>
#include <shmbroker.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/talk.h"
#include "client/socket.h"

enum {
        /* One read(2) of a full pipe. */
        MOVE_CHUNK_BYTES = 65536,
        /* Items that `pop` holds at most: given again after a failure. */
        MOVE_BATCH_ITEMS = 256,
};

typedef struct Move {
        Ctl *ctl;
        const char *name;
        uint32_t kind;
        char path[SHMB__PATH_SIZE];
        struct shmb *broker;
        struct shmb_region *region;
        struct shmb_info info;
        uint64_t n_moved;
} Move;

static int move_kind(void *userdata, const WireRegion *region) {
        Move *move = userdata;

        move->kind = region->geometry.kind;
        return CTL_DONE;
}

/* Which broker, and what kind of region: the role to ask for depends on it. */
static int move_find(Move *move) {
        Talk *talk = NULL;
        int r;

        r = ctl_check_name(move->ctl, move->name);
        if (r == CTL_DONE)
                r = talk_open(move->ctl, &talk);
        if (r == CTL_DONE)
                r = talk_list(talk, move->name, move_kind, move);
        if (r == CTL_DONE && move->kind == SHMB_KIND_NONE)
                r = ctl_fail(move->ctl, "%s: no such region, or none that you may attach: see "
                             "`shmbrokerctl list`", move->name);
        if (r == CTL_DONE)
                strcpy(move->path, talk_path(talk));
        talk_close(talk);
        return r;
}

static int move_open(Move *move, enum shmb_role role, enum shmb_role role_raw) {
        Ctl *ctl = move->ctl;
        struct shmb_attach want = SHMB_ATTACH_INIT;
        int r;

        r = move_find(move);
        if (r != CTL_DONE)
                return r;

        r = shmb_connect(move->path, &move->broker);
        if (r < 0)
                return ctl_fail(ctl, "%s: cannot connect: %s", move->path, strerror(-r));

        want.kind = move->kind;
        /* Without a time-out a lane that is held is not waited for longer than the library does. */
        if (ctl->timeout_ns >= 0)
                want.timeout_ns = ctl->timeout_ns;
        r = shmb_attach(move->broker, move->name, move->kind == SHMB_KIND_RAW ? role_raw : role,
                        &want, &move->region);
        if (r < 0)
                return ctl_fail(ctl, "%s", *shmb_error(move->broker) ? shmb_error(move->broker) :
                                strerror(-r));

        move->info.size = sizeof(move->info);
        r = shmb_get_info(move->region, &move->info);
        if (r < 0)
                return ctl_fail(ctl, "%s: %s", move->name, strerror(-r));
        return CTL_DONE;
}

static void move_close(Move *move) {
        shmb_detach(move->region);
        shmb_close(move->broker);
}

/* Why an operation on the region did not happen. */
static int move_fail(Move *move, const char *what, int r) {
        unsigned long long n = move->n_moved;
        const char *why;

        switch (r) {
        case -EAGAIN:
        case -ETIMEDOUT:
                why = strcmp(what, "pushed") == 0 ? "it is full, and nobody made room in time"
                                                  : "nothing came in time";
                break;
        case -ESTALE:
                why = "the region was replaced by a new generation: try again";
                break;
        case -EIDRM:
                why = "the region was removed";
                break;
        case -ESHUTDOWN:
                why = "the broker ended the lease: see its journal";
                break;
        case -EBADMSG:
                why = "a peer broke the protocol: see `shmbrokerctl who`";
                break;
        default:
                why = strerror(-r);
                break;
        }
        return ctl_fail(move->ctl, "%s: %s; %llu items were %s", move->name, why, n, what);
}

/* All @n items at @items into the region. */
static int push_items(Move *move, const uint8_t *items, size_t n) {
        while (n > 0) {
                int r = shmb_push_n(move->region, items, (uint32_t)n, move->ctl->timeout_ns);

                /* A consumer died: its successor goes on, and so do we. */
                if (r == -EOWNERDEAD)
                        continue;
                if (r < 0)
                        return move_fail(move, "pushed", r);

                items += (size_t)r * move->info.item_size;
                n -= (size_t)r;
                move->n_moved += (uint64_t)r;
        }
        return CTL_DONE;
}

/* Read what there is; 0 at the end, -errno on failure. */
static ssize_t read_some(int fd, void *buffer, size_t n_bytes) {
        ssize_t n;

        do
                n = read(fd, buffer, n_bytes);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static int push_stream(Move *move, uint8_t *buffer, size_t size) {
        size_t item_size = move->info.item_size, have = 0;

        for (;;) {
                ssize_t n = read_some(move->ctl->in, buffer + have, size - have);
                size_t whole;
                int r;

                if (n < 0)
                        return ctl_fail(move->ctl, "standard input: %s", strerror((int)-n));
                if (n == 0)
                        break;

                have += (size_t)n;
                whole = have / item_size;
                r = push_items(move, buffer, whole);
                if (r != CTL_DONE)
                        return r;
                have -= whole * item_size;
                memmove(buffer, buffer + whole * item_size, have);
        }

        if (have > 0)
                return ctl_fail(move->ctl, "%s: the last item has %zu bytes instead of %zu and was "
                                "left out; %llu items were pushed", move->name, have, item_size,
                                (unsigned long long)move->n_moved);
        return CTL_DONE;
}

/* Each line is a message, without its end. */
static int push_messages(Move *move) {
        FILE *in = fdopen(dup(move->ctl->in), "r");
        size_t size = 0;
        char *line = NULL;
        ssize_t n;
        int r = 0;

        if (!in)
                return ctl_fail(move->ctl, "standard input: %s", strerror(errno));
        while (r == 0 && (n = getline(&line, &size, in)) >= 0) {
                n -= n > 0 && line[n - 1] == '\n';
                do
                        r = shmb_send(move->region, line, (size_t)n, move->ctl->timeout_ns);
                while (r == -EOWNERDEAD);
                move->n_moved += r == 0;
        }
        free(line);
        fclose(in);
        return r < 0 ? move_fail(move, "pushed", r) : CTL_DONE;
}

static int push_ring(Move *move) {
        size_t size = move->info.item_size > MOVE_CHUNK_BYTES ? move->info.item_size
                                                              : MOVE_CHUNK_BYTES;
        uint8_t *buffer;
        int r;

        if (move->kind == SHMB_KIND_STREAM)
                return push_messages(move);
        if (move->info.item_size == 0)
                return ctl_fail(move->ctl, "%s: not a region of items", move->name);

        buffer = malloc(size);
        if (!buffer)
                return ctl_fail(move->ctl, "out of memory");
        r = push_stream(move, buffer, size);
        free(buffer);
        return r;
}

/* The bytes of a raw region from --offset on. */
static int raw_range(Move *move, uint8_t **ret_data, size_t *ret_n) {
        size_t size = shmb_size(move->region);

        if (move->ctl->offset > size)
                return ctl_fail(move->ctl, "%s: offset %llu is beyond its %zu bytes", move->name,
                                (unsigned long long)move->ctl->offset, size);
        *ret_data = (uint8_t *)shmb_data(move->region) + move->ctl->offset;
        *ret_n = size - move->ctl->offset;
        return CTL_DONE;
}

static int push_raw(Move *move) {
        uint8_t *data, beyond;
        size_t n_room;
        ssize_t n;
        int r;

        r = raw_range(move, &data, &n_room);
        if (r != CTL_DONE)
                return r;

        for (;;) {
                /* One byte more than fits tells whether all of it did. */
                n = read_some(move->ctl->in, n_room ? data : &beyond, n_room ? n_room : 1);
                if (n < 0)
                        return ctl_fail(move->ctl, "standard input: %s", strerror((int)-n));
                if (n == 0)
                        return CTL_DONE;
                if (n_room == 0)
                        return ctl_fail(move->ctl, "%s: standard input is longer than the room "
                                        "behind offset %llu: the region has %zu bytes and is full",
                                        move->name, (unsigned long long)move->ctl->offset,
                                        shmb_size(move->region));
                data += n;
                n_room -= (size_t)n;
        }
}

static int write_all(Ctl *ctl, const void *data, size_t n_bytes) {
        if (fwrite(data, 1, n_bytes, ctl->out) != n_bytes)
                return ctl_fail(ctl, "cannot write: %s", strerror(errno));
        return CTL_DONE;
}

/* As a line, then released. */
static int pop_message(Move *move, const struct shmb_span *message) {
        Ctl *ctl = move->ctl;
        int r;

        if (write_all(ctl, message->data, message->n) != CTL_DONE ||
            write_all(ctl, "\n", 1) != CTL_DONE)
                return CTL_FAILED;
        if (fflush(ctl->out) != 0)
                return ctl_fail(ctl, "cannot write: %s", strerror(errno));
        move->n_moved++;
        r = shmb_release_n(move->region, message->n);
        return r < 0 ? r : CTL_DONE;
}

/*
 * One batch, at most @n_max items: write them, then let go of them. Return: CTL_DONE, CTL_FAILED,
 * or what the library said.
 */
static int pop_batch(Move *move, uint32_t n_max) {
        Ctl *ctl = move->ctl;
        struct shmb_span span;
        int r;

        if (move->kind == SHMB_KIND_STREAM)
                n_max = UINT32_MAX;
        do
                r = shmb_peek_n(move->region, n_max, &span, ctl->timeout_ns);
        while (r == -EOWNERDEAD);
        if (r < 0)
                return r;

        if (move->kind == SHMB_KIND_STREAM)
                return pop_message(move, &span);
        for (uint32_t i = 0; i < span.n; i++)
                if (write_all(ctl, (const uint8_t *)span.data + (size_t)i * span.stride,
                              move->info.item_size) != CTL_DONE)
                        return CTL_FAILED;
        if (fflush(ctl->out) != 0)
                return ctl_fail(ctl, "cannot write: %s", strerror(errno));

        move->n_moved += span.n;
        r = shmb_release_n(move->region, span.n);
        return r < 0 ? r : CTL_DONE;
}

static int pop_ring(Move *move) {
        Ctl *ctl = move->ctl;
        uint64_t left = ctl->has_count ? ctl->count : 1;
        bool endless = left == 0;
        int r;

        while (endless || left > 0) {
                uint64_t before = move->n_moved;
                uint32_t n = endless || left > MOVE_BATCH_ITEMS ? MOVE_BATCH_ITEMS
                                                                : (uint32_t)left;

                r = pop_batch(move, n);
                /* Without a count, the end is that nothing more comes. */
                if (endless && (r == -ETIMEDOUT || r == -EAGAIN))
                        return CTL_DONE;
                if (r < 0)
                        return move_fail(move, "popped", r);
                if (r == CTL_FAILED)
                        return r;
                left -= endless ? 0 : move->n_moved - before;
        }
        return CTL_DONE;
}

static int pop_raw(Move *move) {
        uint8_t *data;
        size_t n;
        int r;

        r = raw_range(move, &data, &n);
        if (r != CTL_DONE)
                return r;
        if (move->ctl->has_count && move->ctl->count > n)
                return ctl_fail(move->ctl, "%s: there are %zu bytes behind offset %llu", move->name,
                                n, (unsigned long long)move->ctl->offset);
        return write_all(move->ctl, data, move->ctl->has_count ? move->ctl->count : n);
}

static int command_move(Ctl *ctl, const char *name, enum shmb_role role, enum shmb_role role_raw,
                        int (*ring)(Move *move), int (*raw)(Move *move)) {
        Move move = { .ctl = ctl, .name = name };
        int r;

        r = move_open(&move, role, role_raw);
        if (r == CTL_DONE && move.kind != SHMB_KIND_RAW && ctl->offset > 0)
                r = ctl_usage(ctl, "%s: --offset is for raw regions", name);
        else if (r == CTL_DONE)
                r = move.kind == SHMB_KIND_RAW ? raw(&move) : ring(&move);
        move_close(&move);
        return r;
}

int command_push(Ctl *ctl, int n_arguments, char **arguments) {
        return command_move(ctl, arguments[0], SHMB_PRODUCE, SHMB_WRITE, push_ring, push_raw);
}

int command_pop(Ctl *ctl, int n_arguments, char **arguments) {
        return command_move(ctl, arguments[0], SHMB_CONSUME, SHMB_READ, pop_ring, pop_raw);
}
