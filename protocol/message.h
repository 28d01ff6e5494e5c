/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages
 *
 * What can be said on the socket, as values; protocol/wire.h turns them into packets and back.
 * Every request has an id of the client's choice other than 0; its one reply carries the same id
 * and either the type named here or WIRE_ERROR. Messages with id 0 are events from the broker.
 *
 * Pointers of a decoded message borrow from its packet; enumerations are plain numbers, which the
 * receiver bounds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "protocol/bits.h"
#include "protocol/limits.h"
#include "protocol/message-show.h"

typedef enum WireType {
        WIRE_NONE,
        /* requests (client to broker) -> reply */
        WIRE_HELLO,  /* -> WIRE_WELCOME; must come first */
        WIRE_ATTACH, /* -> WIRE_ATTACHED + fds */
        /* -> WIRE_OK: the client holds its maps (status 0), or what it was given cannot be used */
        WIRE_MAPPED,
        WIRE_DETACH, /* -> WIRE_OK */
        /* -> WIRE_ATTACHED with one object + its fd: the newest epoch of a peer's object */
        WIRE_FETCH,
        WIRE_RESUME, /* -> WIRE_RESUMED: a lease that was given by this broker's predecessor */
        WIRE_LIST,   /* -> WIRE_LISTING: a page of regions, in order of name */
        WIRE_WHO,    /* -> WIRE_HOLDERS: a page of leases, in order of lease id */
        WIRE_STATUS, /* -> WIRE_STATUS_INFO */
        WIRE_RELOAD, /* -> WIRE_REPORT; admin */
        WIRE_GC,     /* -> WIRE_REPORT; admin */
        WIRE_POLL,   /* -> WIRE_OK + fds: ends of a FIFO that is polled */
        WIRE_SEGMENT, /* -> WIRE_OK: how far one is in a lane of a queue, and wants to go */
        WIRE_KICK,    /* -> WIRE_REPORT: end a lease, whoever holds it; admin */
        WIRE_CREATE,  /* -> WIRE_CREATED: a region of a template */
        WIRE_REMOVE,  /* -> WIRE_OK: one that was created */
        WIRE_WATCH,   /* -> WIRE_EVENTS, when there are some */
        WIRE_OFFER,   /* -> WIRE_OK + fd: a socket for what the client keeps of a region */
        /* replies */
        WIRE_OK = 64,
        WIRE_ERROR,
        WIRE_WELCOME,
        WIRE_ATTACHED,
        WIRE_RESUMED,
        WIRE_LISTING,
        WIRE_HOLDERS,
        WIRE_STATUS_INFO,
        WIRE_REPORT,
        WIRE_CREATED,
        WIRE_EVENTS,
} WireType;

typedef struct WireHello {
        uint32_t major, minor;
        uint8_t uuid[SHMB_UUID_SIZE]; /* one a process and shmb_connect(); survives reconnects */
} WireHello;

typedef struct WireWelcome {
        uint32_t major, minor; /* minor: the smaller of both sides' */
        uint8_t broker[SHMB_UUID_SIZE]; /* drawn at each start of the broker */
        const char *version;
        bool admin; /* this connection came in on the admin socket */
} WireWelcome;

typedef struct WireAttach {
        const char *name;
        uint32_t role; /* ShmbRole */
        /* what is expected; zero or NULL = no expectation */
        uint32_t kind;
        uint32_t item_size;
        uint32_t item_align;
        const char *type;
        uint64_t region_size;
        bool keeps; /* the client keeps descriptors where it is asked to */
} WireAttach;

/* One object of a region; repeated in WireAttached in the order of the fds. */
typedef struct WireObject {
        uint32_t kind;  /* ShmbObjectKind */
        uint32_t index; /* which lane or seat */
        uint32_t epoch;
        bool writable;
        uint64_t size_bytes; /* map exactly this; fstat() must agree */
} WireObject;

typedef struct WireAttached {
        uint64_t lease;
        uint64_t generation;
        uint64_t tag;    /* of the objects' names; equals the headers' */
        uint32_t role, index; /* own lane or seat */
        WireGeometry geometry;
        const char *type; /* item.type, "" if none */
        uint32_t n_objects;
        /* With `keep`, what the client may write comes once more behind them all, to read. */
        WireObject objects[SHMB_OBJECTS_MAX];
        bool keep; /* a successor of this broker will have them from its clients alone */
} WireAttached;

typedef struct WireMapped {
        uint64_t lease;
        /* 0, or a positive errno: EBADMSG asks for a fresh epoch of the client's own lane or seat,
         * the words of its predecessor being out of bounds (the reply is then WIRE_ATTACHED
         * again); anything else gives the lease up. */
        uint32_t status;
} WireMapped;

typedef struct WireDetach {
        uint64_t lease;
} WireDetach;

/* Of WIRE_POLL as well, where SHMB_OBJECT_NONE is our own lane or seat, and gets both ends. */
typedef struct WireFetch {
        uint64_t lease;
        uint32_t kind, index;
} WireFetch;

typedef struct WireSegment {
        uint64_t lease;
        uint32_t index, epoch; /* of the lane */
        uint64_t position;     /* items below are published, or released by a consumer */
        uint64_t wanted;       /* by a producer; 0 by a consumer */
} WireSegment;

typedef struct WireResume {
        uint64_t lease; /* 0: no more, all others of this client are over */
        uint64_t generation;
        uint32_t epoch; /* of the client's own object */
        bool keeps;     /* as of WireAttach */
} WireResume;

typedef struct WireCreate {
        const char *name;
        bool exclusive;       /* refuse where it is there */
        /* what is wanted; zero = no choice, any where it is there */
        uint32_t kind;
        uint64_t region_size; /* raw: bytes */
        uint64_t capacity;    /* others: as in WireGeometry */
} WireCreate;

typedef struct WireRemove {
        const char *name;
} WireRemove;

typedef struct WireCreated {
        bool created; /* by this request; else it was there */
        bool owned;   /* it goes with its creator's connection */
        uint64_t generation;
        uint64_t ttl_ns, max_age_ns; /* 0 = none */
} WireCreated;

typedef enum WireVerdict {
        WIRE_VERDICT_NONE,
        WIRE_VERDICT_SAME,    /* lease and objects as they were */
        WIRE_VERDICT_FENCED,  /* the lease is over: detach, attach again */
        WIRE_VERDICT_REPLACED, /* the region has a new generation: drain, attach again */
} WireVerdict;

typedef struct WireResumed {
        uint32_t verdict;
        bool wanted; /* the broker has not all of its objects: WIRE_OFFER what is kept */
} WireResumed;

typedef struct WireOffer {
        uint64_t lease;
} WireOffer;

typedef struct WireError {
        uint32_t status; /* ShmbStatus */
        const char *sentence;
} WireError;

typedef struct WireMessage {
        uint16_t type;
        uint64_t id;
        union {
                WireHello hello;
                WireWelcome welcome;
                WireAttach attach;
                WireAttached attached;
                WireMapped mapped;
                WireDetach detach;
                WireFetch fetch;
                WireSegment segment;
                WireResume resume;
                WireResumed resumed;
                WireCreate create;
                WireRemove remove;
                WireCreated created;
                WireOffer offer;
                WireList list;
                WireListing listing;
                WireWho who;
                WireHolders holders;
                WireStatusInfo status;
                WireReload reload;
                WireGc gc;
                WireKick kick;
                WireReport report;
                WireWatch watch;
                WireEvents events;
                WireError error;
        };
} WireMessage;
