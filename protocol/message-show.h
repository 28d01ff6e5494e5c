/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages: what is shown, and what administrators ask for
 *
 * A part of protocol/message.h, which see. Listings come in pages; their entries are packed, and
 * walked with the functions of protocol/wire.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct WireGeometry {
        uint32_t kind, backing, overflow, n_lanes, n_seats;
        uint32_t item_size, item_align, stride; /* bytes */
        uint64_t capacity;    /* slots a lane; stream: bytes */
        uint64_t region_size; /* raw: bytes */
        uint64_t segment;     /* queue: bytes */
        uint32_t max_message, delivery; /* stream: bytes; broadcast: ShmbDelivery */
} WireGeometry;

typedef struct WireList {
        const char *name;  /* only this region, or NULL */
        const char *after; /* names greater than this, or NULL for the first page */
} WireList;

/* One region of a listing. Depth and counters are read by pread() for display and may be
 * anything. */
typedef struct WireRegion {
        const char *name;
        const char *description; /* "" if none */
        const char *type;
        const char *reason;      /* why the state is what it is, "" if plain */
        const char *origin;      /* FILE:LINE of the declaration */
        const char *access;      /* "produce: user:sensors; consume: any", as declared */
        WireGeometry geometry;
        uint64_t tag, generation;
        uint32_t lifetime, state;
        uint64_t linger_ns;
        uint64_t size_bytes;     /* of all objects */
        uint64_t used;           /* live depth of the fullest lane (ring) */
        uint64_t moved;          /* items ever published, all lanes */
        uint64_t dropped, redelivered, waits, wakes;
        uint64_t missed;         /* lossy, latest: items that consumers did not get */
        uint32_t n_producers, n_consumers, n_observers, n_readers, n_writers;
} WireRegion;

typedef struct WireListing {
        bool more;
        uint32_t n_entries;
        const uint8_t *entries; /* walk with wire_region_next() */
        size_t n_bytes_entries;
} WireListing;

typedef struct WireWho {
        const char *name; /* only this region, or NULL */
        uint64_t after;   /* lease ids greater than this */
} WireWho;

typedef struct WireHolder {
        uint64_t lease;
        const char *region;
        uint32_t role, index;
        uint32_t uid;
        uint32_t pid;        /* advisory, as at connect */
        const char *command; /* comm of the process, "" if unknown */
        const char *unit;    /* systemd unit, "" if unknown */
        uint64_t since_ns;   /* CLOCK_BOOTTIME of the grant */
        uint32_t occupancy;  /* ShmbOccupancy */
        bool connected;      /* false: kept for a client that has not come back after a restart */
} WireHolder;

typedef struct WireHolders {
        bool more;
        uint32_t n_entries;
        const uint8_t *entries; /* walk with wire_holder_next() */
        size_t n_bytes_entries;
} WireHolders;

typedef struct WireStatusInfo {
        const char *version;
        const char *config;   /* main file */
        const char *runtime;  /* runtime directory */
        const char *features; /* "pidfd=SO_PEERPIDFD rights=SO_PASSRIGHTS ...": what is in force */
        const char *reload;   /* outcome of the last reload, "" if none */
        uint32_t pid, uid;
        uint64_t started_ns, now_ns; /* CLOCK_BOOTTIME */
        uint32_t n_regions, n_live, n_leases, n_connections;
        uint64_t size_bytes, size_bytes_max;
        uint64_t n_granted, n_refused, n_reaped, n_deaths, n_replaced;
} WireStatusInfo;

typedef struct WireReload {
        bool plan_only;
} WireReload;

typedef struct WireGc {
        bool dry_run;
} WireGc;

typedef struct WireKick {
        uint64_t lease;
} WireKick;

/* What was or would be done, one line each, ready to print. */
typedef struct WireReport {
        bool applied;
        bool truncated; /* more lines than fit one message */
        uint32_t n_lines;
        const uint8_t *lines; /* walk with wire_line_next() */
        size_t n_bytes_lines;
} WireReport;

/*
 * The first watch of a connection is answered at once, with `resync`, and from there on the broker
 * keeps for it what happens, as much as fits one reply. Every later one is answered when there is
 * something; a watch that comes while another one waits takes its place, and that one is never
 * answered.
 */
typedef struct WireWatch {
        const char *name; /* only this region, or NULL; another one than before begins anew */
} WireWatch;

/* What was there to see when it happened: role, uid, pid and command are of a lease's holder. */
typedef struct WireEvent {
        uint64_t sequence; /* of all events of the broker, seen or not; ascends beyond its end */
        uint64_t at_ns;    /* CLOCK_BOOTTIME */
        uint32_t event;    /* ShmbEvent */
        uint32_t state;    /* ShmbRegionState, behind the event */
        const char *region;
        uint64_t generation; /* 0 if it has no objects */
        uint64_t lease;      /* 0 if it is no lease's */
        uint32_t role, uid, pid;
        const char *command;
        const char *reason; /* "" if plain */
} WireEvent;

typedef struct WireEvents {
        bool resync; /* something before these was missed: list, then go on */
        uint64_t sequence; /* of the last event of the broker */
        uint32_t n_entries;
        const uint8_t *entries; /* walk with wire_event_next() */
        size_t n_bytes_entries;
} WireEvents;
