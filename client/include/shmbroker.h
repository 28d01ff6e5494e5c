/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * libshmbroker: bounded buffers in shared memory, handed out by shmbrokerd(8)
 *
 * The contract
 * - The operator declares regions; a process asks the broker for a role in one by name. What it may
 *   write, nobody else can: a producer owns a lane, a consumer a seat, and the kernel enforces it.
 * - After shmb_attach() no byte passes through the broker, and no system call is made unless
 *   somebody sleeps. The broker may die, be restarted or upgraded: buffers keep flowing.
 * - 0 or a count on success, -errno on failure. errno is not used, nothing is logged, no signal is
 *   sent, none but SIGBUS is caught (only for backing posix: NOTES in libshmbroker(3)), no call
 *   returns -EINTR. Outputs are written on success only, but for items of a pop that is -EBADMSG.
 * - One region handle is used by one thread at a time. Several handles, used by several threads,
 *   may share one connection. Pointers that a handle gives out end with shmb_detach().
 * - A child of fork() inherits nothing: its handles answer -ECHILD and may only be freed. It
 *   connects for itself. Descriptors are close-on-exec.
 * - Time-outs are nanoseconds of CLOCK_MONOTONIC: 0 tries, -1 waits for ever.
 *
 * When a peer dies
 * - A producer killed at any instruction leaves an item whole or not at all. An item that a
 *   consumer held (shmb_peek) and had not released goes to its successor again, and is counted
 *   (n_redelivered). shmb_pop releases before its caller has used the item: who must not lose one
 *   to its own death uses shmb_peek, works, then calls shmb_release.
 * - The survivor hears of each death once, by -EOWNERDEAD from a call that would have had to wait;
 *   the region is still good, call again. A successor of the dead peer is waited for, unless the
 *   region was attached with SHMB_NEED_PEER.
 *
 * Results that any operation on a region may have
 *   -EAGAIN      time-out 0, and nothing to take or no room
 *   -ETIMEDOUT   the time-out passed
 *   -EOWNERDEAD  a peer died; said once, nothing was moved, the region is still good
 *   -EPIPE       SHMB_NEED_PEER: no live peer of the other role, and nothing left to take
 *   -ESTALE      the region was replaced by a new generation: detach, attach again. Producers are
 *                told at once, consumers when all is drained and the last producer is gone
 *   -EIDRM       the region was removed and is drained: detach
 *   -ESHUTDOWN   this handle's lease ended without it (the broker lost sight of it, or an
 *                administrator ended it): detach, attach
 *   -EBADMSG     a peer broke the protocol; the handle is poisoned: detach, attach again. Consumers
 *                of several producers are told once of each, and go on with the others; the lane is
 *                taken up again when another producer gets it
 *   -ECHILD      the handle belongs to the parent of this process
 *   -EBUSY       push while a claimed span is held, pop while a peeked one is: settle it first
 *   -EPERM       not in this role (a consumer pushes, an observer pops)
 *   -EOPNOTSUPP  not with this kind of region
 *   -EINVAL      an argument, or commit without claim, release without peek
 *
 * A consumer of 64-byte items, whole:
 *
 *     struct shmb_attach want = SHMB_ATTACH_INIT;
 *     struct shmb_region *region;
 *     struct shmb *broker;
 *     const void *item;
 *
 *     if (shmb_connect(NULL, &broker) < 0)
 *             return 1;
 *     want.item_size = 64;
 *     if (shmb_attach(broker, "telemetry/imu", SHMB_CONSUME, &want, &region) < 0)
 *             return fprintf(stderr, "%s\n", shmb_error(broker)), 1;
 *     while (shmb_peek(region, &item, -1) == 0) {
 *             use(item);
 *             shmb_release(region);
 *     }
 *     shmb_detach(region);
 *     shmb_close(broker);
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __GNUC__
#pragma GCC visibility push(default) /* the library is built with everything else hidden */
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct shmb;        /* a connection to the broker */
struct shmb_region; /* a role in a region */
struct shmb_watch;  /* what happens to regions */

enum shmb_role {
        SHMB_PRODUCE = 1,
        SHMB_CONSUME,
        SHMB_OBSERVE, /* looks, takes nothing, never waits: shmb_get_stats */
        SHMB_READ,    /* raw */
        SHMB_WRITE    /* raw */
};

enum shmb_kind {
        SHMB_RAW = 1,
        SHMB_RING,
        SHMB_STREAM,
        SHMB_BROADCAST,
        SHMB_LATEST,
        SHMB_QUEUE
};

/* flags of struct shmb_attach */
enum {
        /* -EPIPE where no live peer of the other role is left, instead of waiting for one */
        SHMB_NEED_PEER = 1
};

/*
 * How to attach, and what to insist on. Zero is no expectation; an expectation that the region does
 * not meet is -EPROTOTYPE, and shmb_error() names both sides' values.
 */
struct shmb_attach {
        size_t size;         /* sizeof(struct shmb_attach): SHMB_ATTACH_INIT sets it */
        /* for the broker to answer or come back, and for a free lane or seat */
        int64_t timeout_ns;
        uint32_t flags;      /* SHMB_NEED_PEER */
        uint32_t kind;       /* enum shmb_kind */
        uint32_t item_size;  /* bytes */
        uint32_t item_align; /* bytes */
        const char *type;    /* item.type of the declaration */
        uint64_t region_size; /* raw: bytes */
};

/* Five seconds, no flags, no expectations. NULL for shmb_attach() is the same. */
#define SHMB_ATTACH_INIT { sizeof(struct shmb_attach), 5000000000, 0, 0, 0, 0, NULL, 0 }

/* flags of struct shmb_create */
enum {
        /* -EEXIST where the region is there already, instead of taking that one */
        SHMB_EXCLUSIVE = 1
};

/*
 * What to create, of a template that the operator declared. Zero is no choice: the region may be
 * there in any size, and is created where the template leaves none. One that is there and is not
 * what is wanted is -EPROTOTYPE.
 */
struct shmb_create {
        size_t size;          /* sizeof(struct shmb_create): SHMB_CREATE_INIT sets it */
        int64_t timeout_ns;   /* for the broker to answer or come back */
        uint32_t flags;       /* SHMB_EXCLUSIVE */
        uint32_t kind;        /* enum shmb_kind: an expectation */
        uint64_t region_size; /* raw: bytes */
        uint64_t capacity;    /* others: items a lane; stream: bytes a lane */
};

/* Five seconds, and no choice. NULL for shmb_create() is the same. */
#define SHMB_CREATE_INIT { sizeof(struct shmb_create), 5000000000, 0, 0, 0, 0 }

/* @n items, @stride bytes from one to the next. Of a stream: @n bytes, stride 1. */
struct shmb_span {
        void *data;
        uint32_t n;
        uint32_t stride;
};

/* What a handle stands for; fixed from attach on. Strings end with the handle. */
struct shmb_info {
        size_t size; /* sizeof(struct shmb_info), set by the caller */
        const char *name;
        const char *type; /* "" if the declaration gives none */
        uint32_t kind;    /* enum shmb_kind */
        uint32_t role;    /* enum shmb_role */
        uint32_t index;   /* which lane or seat */
        uint32_t n_producers_max, n_consumers_max;
        uint32_t item_size, item_align, stride; /* bytes */
        uint64_t capacity;    /* items a lane */
        uint64_t region_size; /* raw: bytes */
        uint64_t generation;
        uint64_t lease; /* as `shmbrokerctl who` lists it */
};

/* The region as it is now, seen from any role. Counters start with the region, not the handle. */
struct shmb_stats {
        size_t size; /* sizeof(struct shmb_stats), set by the caller */
        uint32_t n_producers, n_consumers; /* lanes and seats that are held */
        uint64_t used;          /* items in the fullest lane */
        uint64_t n_pushed;      /* items, all lanes */
        uint64_t n_popped;      /* items released, all seats */
        uint64_t n_dropped;     /* overflow: drop_newest */
        uint64_t n_redelivered; /* items that a dead consumer had held */
        uint64_t n_missed;      /* lossy: items lapped */
        uint64_t n_waits;       /* how often somebody slept */
        uint64_t n_wakes;       /* how often somebody was woken */
        uint64_t n_deaths;      /* peers that went without detach */
        uint64_t high_water;    /* most items that a lane had in flight */
};

enum shmb_event_type {
        SHMB_DECLARED = 1, /* it can be attached from now on */
        SHMB_CREATED,      /* its memory exists */
        SHMB_CHANGED,      /* its declaration, an object of it, its memory was lost: `reason` */
        SHMB_ATTACHED,     /* a lease began */
        SHMB_DETACHED,     /* a lease is over; `reason`, if that was not its holder's wish */
        SHMB_REFUSED,      /* the rules refused somebody; on the admin socket only */
        SHMB_REAPED,       /* its memory is gone; it may still be declared */
        SHMB_REMOVED,      /* it cannot be attached any more */
        SHMB_PRESENT = 64, /* it was there when the watch began, or began anew */
        SHMB_MISSED        /* something was missed: forget what was known, it comes again */
};

struct shmb_event {
        size_t size;        /* sizeof(struct shmb_event), set by the caller */
        uint32_t type;      /* enum shmb_event_type, or a newer one: skip those */
        uint32_t ready;     /* 1: behind this the region can be attached */
        uint32_t role, uid, pid; /* of whose lease or wish it is; 0 if nobody's */
        uint64_t sequence;  /* of all events in this boot: ascends, with gaps where others' are */
        uint64_t time_ns;   /* CLOCK_BOOTTIME */
        uint64_t generation, lease; /* 0 if there is none */
        const char *region, *command, *reason; /* "" if there is none; never NULL */
};

/* Connection. NULL: $SHMBROKER_SOCKET, else the user's own broker if it is there, else the
 * system's. */
int shmb_connect(const char *socket_path, struct shmb **ret);
struct shmb *shmb_close(struct shmb *c);
/* For an event loop: readable means call shmb_dispatch. Needed by nobody who only moves items. */
int shmb_fd(struct shmb *c);
int shmb_dispatch(struct shmb *c);
/* Why the last control call on @c was refused: one sentence, "" if it was not. */
const char *shmb_error(const struct shmb *c);
const char *shmb_version(void);

#if defined(__cplusplus) && defined(__GNUC__)
/* A struct and a function of one name, as with stat(2): C++ warns that one hides a constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

/* A role in a region. Both handles may be closed in either order. */
int shmb_attach(struct shmb *c, const char *name, enum shmb_role role,
                const struct shmb_attach *want, struct shmb_region **ret);
/* Return: 1 if this call created it, 0 if it was there. It gives no role in it. */
int shmb_create(struct shmb *c, const char *name, const struct shmb_create *want);
/* What happens to one region, or with NULL to all that give this user a role. */
int shmb_watch(struct shmb *c, const char *name, int64_t timeout_ns, struct shmb_watch **ret);

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

struct shmb_region *shmb_detach(struct shmb_region *r);
int shmb_get_info(const struct shmb_region *r, struct shmb_info *info);
int shmb_get_stats(struct shmb_region *r, struct shmb_stats *stats);
/* 0, or what the next operation would have to say: -EOWNERDEAD, -ESTALE, -EIDRM... Never waits. */
int shmb_check(struct shmb_region *r);

/* One item, copied in and out. */
int shmb_push(struct shmb_region *r, const void *item, int64_t timeout_ns);
int shmb_pop(struct shmb_region *r, void *item, int64_t timeout_ns);
/* Up to @n items: waits for the first only. Return: how many were moved, at least 1. */
int shmb_push_n(struct shmb_region *r, const void *items, uint32_t n, int64_t timeout_ns);
int shmb_pop_n(struct shmb_region *r, void *items, uint32_t n, int64_t timeout_ns);

/* One item in place. A second claim or peek before the first is settled gives the same slot. */
int shmb_claim(struct shmb_region *r, void **ret_slot, int64_t timeout_ns);
int shmb_commit(struct shmb_region *r);
int shmb_abort(struct shmb_region *r);
int shmb_peek(struct shmb_region *r, const void **ret_item, int64_t timeout_ns);
int shmb_release(struct shmb_region *r);

/* Up to @n items in place, contiguous; commit or release any number of them from the front. */
int shmb_claim_n(struct shmb_region *r, uint32_t n, struct shmb_span *ret, int64_t timeout_ns);
int shmb_commit_n(struct shmb_region *r, uint32_t n);
int shmb_peek_n(struct shmb_region *r, uint32_t n, struct shmb_span *ret, int64_t timeout_ns);
int shmb_release_n(struct shmb_region *r, uint32_t n);

/*
 * stream: one message of @n_bytes. shmb_recv gives its length, or -EMSGSIZE and keeps it. In place:
 * shmb_claim_n gives @n bytes, shmb_commit_n publishes the first of them as a message; shmb_peek_n
 * shows the next message whole, unless it is longer than @n (-EMSGSIZE), and shmb_release_n with
 * any number up to its length lets go of all of it. Single items are -EOPNOTSUPP.
 */
int shmb_send(struct shmb_region *r, const void *data, size_t n_bytes, int64_t timeout_ns);
ssize_t shmb_recv(struct shmb_region *r, void *data, size_t n_bytes_max, int64_t timeout_ns);

/*
 * A descriptor for event loops: readable until an operation was -EAGAIN or -ETIMEDOUT, and again
 * when one would not be. Poll it, do not read it; shmb_detach() closes it.
 */
int shmb_poll_fd(struct shmb_region *r);
/* lossy: items lapped since the last call. */
uint64_t shmb_missed(struct shmb_region *r);

/* raw: the bytes; a store by a SHMB_READ handle is a SIGSEGV. NULL and 0 for other kinds. */
void *shmb_data(struct shmb_region *r);
size_t shmb_size(const struct shmb_region *r);

/* First a SHMB_PRESENT for each that is there, then what happens. */
int shmb_watch_next(struct shmb_watch *w, struct shmb_event *event, int64_t timeout_ns);
/* Readable: call shmb_watch_next() until it is -EAGAIN. */
int shmb_watch_fd(struct shmb_watch *w);
struct shmb_watch *shmb_unwatch(struct shmb_watch *w);
/* Until it can be attached. */
int shmb_wait_region(struct shmb *c, const char *name, int64_t timeout_ns);
/* What was created: its name is free, its holders are told, its memory goes with the last one. */
int shmb_remove(struct shmb *c, const char *name, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
