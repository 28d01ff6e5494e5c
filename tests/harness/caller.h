/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Callers
 *
 * The protocol without the library, for clients that do not keep to it: every byte is the test's.
 * Works in the test and in its children alike, so nothing here asserts: 0 is done, and an error is
 * a negative errno, or a positive ShmbStatus where the broker answered with one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "protocol/message.h"
#include "protocol/status.h"

typedef struct Caller Caller;
typedef struct CallerLease CallerLease;

enum {
        CALLER_HUNG_UP = -1000, /* the broker closed the connection */
        CALLER_SILENT = -1001,  /* no answer within the deadline */
};

struct Caller {
        int fd;
        uint64_t id; /* of the last request */
        uint8_t uuid[SHMB_UUID_SIZE];
        uint8_t packet[SHMB_MESSAGE_MAX];
        size_t n_packet;
        WireMessage reply; /* borrows from the packet */
        int fds[SHMB_OBJECTS_MAX]; /* that came with it; caller_drop_fds() or taken over */
        size_t n_fds;
};

/* An attach as the broker answered it. */
struct CallerLease {
        WireAttached attached; /* `type` is not kept */
        int fds[SHMB_OBJECTS_MAX];
};

/** caller_connect() - connect and say nothing */
int caller_connect(Caller *caller, const char *path);

/** caller_close() - idempotent */
void caller_close(Caller *caller);

/** caller_send_bytes() - one packet as it is */
int caller_send_bytes(Caller *caller, const void *bytes, size_t n_bytes);

/** caller_send_fds() - one packet with descriptors attached */
int caller_send_fds(Caller *caller, const void *bytes, size_t n_bytes, const int *fds,
                    size_t n_fds);

/** caller_send() - one message; an id of 0 becomes the next one */
int caller_send(Caller *caller, WireMessage *message);

/** caller_tell() - one message as it is: with id 0 it wants no answer */
int caller_tell(Caller *caller, const WireMessage *message);

/** caller_receive() - the next packet; CALLER_HUNG_UP, CALLER_SILENT, -EBADMSG, or a status */
int caller_receive(Caller *caller, int timeout_ms);

/**
 * caller_await() - the reply to a request; -EPROTO where a later one is answered
 *
 * Skips what is said to earlier ones: a broker that dies leaves them to be answered twice.
 */
int caller_await(Caller *caller, uint64_t id);

/** caller_call() - send and await the reply */
int caller_call(Caller *caller, WireMessage *message);

/** caller_hello() - a hello of this version with the caller's uuid */
int caller_hello(Caller *caller);

/** caller_begin() - connect with a random uuid, and hello */
int caller_begin(Caller *caller, const char *path);

/** caller_attach() - a role of a region with what comes with it, not yet mapped */
int caller_attach(Caller *caller, const char *name, ShmbRole role, CallerLease *ret_lease);

/** caller_mapped() - say that it is mapped, or @status instead */
int caller_mapped(Caller *caller, const CallerLease *lease, uint32_t status);

/** caller_detach() - end a lease by its number */
int caller_detach(Caller *caller, uint64_t lease);

/** caller_object() - which of a lease's objects; -1 if there is none */
int caller_object(const CallerLease *lease, ShmbObjectKind kind, uint32_t index);

/** caller_lease_close() - close its descriptors */
void caller_lease_close(CallerLease *lease);

/** caller_list() - one region of the listing, borrowed from the packet; NO_REGION if hidden */
int caller_list(Caller *caller, const char *name, WireRegion *ret_region);

/** caller_status() - WIRE_STATUS */
int caller_status(Caller *caller, WireStatusInfo *ret_status);

/** caller_drop_fds() - close what came with the last reply */
void caller_drop_fds(Caller *caller);
