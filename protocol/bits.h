/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bits
 *
 * The enumerations that travel on the socket and stand in object headers. Values are ABI: they are
 * never reused, new ones go to the end. Zero is "not given" everywhere, so that a missing field and
 * "no expectation" are the same. The *_to_string()/_from_string() tables are the one spelling that
 * YAML, tables, JSON and log entries share.
 */

typedef enum ShmbKind {
        SHMB_KIND_NONE,
        SHMB_KIND_RAW,
        SHMB_KIND_RING,
        SHMB_KIND_STREAM,
        SHMB_KIND_BROADCAST,
        SHMB_KIND_LATEST,
        SHMB_KIND_QUEUE,
        _SHMB_KIND_N,
} ShmbKind;

typedef enum ShmbBacking {
        SHMB_BACKING_NONE,
        SHMB_BACKING_POSIX,
        SHMB_BACKING_MEMFD,
        SHMB_BACKING_FILE,
        SHMB_BACKING_SYSV,
        _SHMB_BACKING_N,
} ShmbBacking;

/* Roles are spelt as in the public header (SHMB_PRODUCE, ...); these are the wire values. */
typedef enum ShmbRole {
        SHMB_ROLE_NONE,
        SHMB_ROLE_PRODUCE,
        SHMB_ROLE_CONSUME,
        SHMB_ROLE_OBSERVE,
        SHMB_ROLE_READ,
        SHMB_ROLE_WRITE,
        _SHMB_ROLE_N,
} ShmbRole;

typedef enum ShmbOverflow {
        SHMB_OVERFLOW_NONE,
        SHMB_OVERFLOW_BLOCK,
        SHMB_OVERFLOW_FAIL,
        SHMB_OVERFLOW_DROP_NEWEST,
        _SHMB_OVERFLOW_N,
} ShmbOverflow;

/* Of a broadcast. */
typedef enum ShmbDelivery {
        SHMB_DELIVERY_NONE,
        SHMB_DELIVERY_LOSSY,    /* the slow miss items, and are told how many */
        SHMB_DELIVERY_RELIABLE, /* the slowest holds the producers back */
        _SHMB_DELIVERY_N,
} ShmbDelivery;

typedef enum ShmbLifetime {
        SHMB_LIFETIME_NONE,
        SHMB_LIFETIME_STATIC,
        SHMB_LIFETIME_ON_DEMAND,
        SHMB_LIFETIME_PERSISTENT,
        _SHMB_LIFETIME_N,
} ShmbLifetime;

typedef enum ShmbObjectKind {
        SHMB_OBJECT_NONE,
        SHMB_OBJECT_CONTROL,
        SHMB_OBJECT_LANE,
        SHMB_OBJECT_SEAT,
        SHMB_OBJECT_GROUP,
        SHMB_OBJECT_DATA, /* the plain bytes of a raw region */
        _SHMB_OBJECT_N,
} ShmbObjectKind;

/* What the broker says of a region; also the `state` word of the control object. */
typedef enum ShmbRegionState {
        SHMB_REGION_NONE,
        SHMB_REGION_DECLARED, /* on_demand, no objects now */
        SHMB_REGION_LIVE,     /* can be attached */
        SHMB_REGION_STALE,    /* replaced by a new generation; drain, then attach again */
        SHMB_REGION_REMOVED,  /* no longer declared; drain, then let go */
        SHMB_REGION_LOST,     /* its objects are gone or not ours any more */
        /* replaced: producers stop, consumers go on until the last producer is gone; then STALE */
        SHMB_REGION_DRAINING,
        _SHMB_REGION_N,
} ShmbRegionState;

/* What the broker says of a lane or seat; the `occupancy` word of a party in the control object. */
typedef enum ShmbOccupancy {
        SHMB_PARTY_VACANT,   /* nobody, and proven that nobody writes */
        SHMB_PARTY_HELD,     /* a live lease */
        SHMB_PARTY_UNPROVEN, /* the lease is over, a writable fd or mapping may be left somewhere */
        _SHMB_PARTY_N,
} ShmbOccupancy;

/* What happened to a region, or to a lease on it. */
typedef enum ShmbEvent {
        SHMB_EVENT_NONE,
        SHMB_EVENT_DECLARED, /* it can be attached from now on */
        SHMB_EVENT_CREATED,  /* its objects exist */
        SHMB_EVENT_CHANGED,  /* rules, an object that was replaced, its objects were lost */
        SHMB_EVENT_ATTACHED, /* a lease began */
        SHMB_EVENT_DETACHED, /* a lease is over, and why if it was not its holder's wish */
        SHMB_EVENT_REFUSED,  /* the rules gave somebody no lease; for administrators */
        SHMB_EVENT_REAPED,   /* its objects are gone, it may still be declared */
        SHMB_EVENT_REMOVED,  /* it cannot be attached any more */
        _SHMB_EVENT_N,
} ShmbEvent;

const char *shmb_kind_to_string(ShmbKind kind);
const char *shmb_backing_to_string(ShmbBacking backing);
const char *shmb_role_to_string(ShmbRole role);
const char *shmb_overflow_to_string(ShmbOverflow overflow);
const char *shmb_delivery_to_string(ShmbDelivery delivery);
const char *shmb_lifetime_to_string(ShmbLifetime lifetime);
const char *shmb_object_kind_to_string(ShmbObjectKind kind);
const char *shmb_region_state_to_string(ShmbRegionState state);
const char *shmb_occupancy_to_string(ShmbOccupancy occupancy);
const char *shmb_event_to_string(ShmbEvent event);

/* Each returns the *_NONE value where the text is none of the spellings; @text may be NULL. */
ShmbKind shmb_kind_from_string(const char *text);
ShmbBacking shmb_backing_from_string(const char *text);
ShmbRole shmb_role_from_string(const char *text);
ShmbOverflow shmb_overflow_from_string(const char *text);
ShmbLifetime shmb_lifetime_from_string(const char *text);
