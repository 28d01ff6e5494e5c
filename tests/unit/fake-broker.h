/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Broker That Does What the Test Says
 *
 * A thread that listens on a private socket, speaks the real protocol with the real codec and hands
 * out real memfds; and, where the test asks for it, gets one thing wrong. The test reaches into the
 * same memory as a broker would: it announces deaths, replaces objects, ends regions.
 *
 * It keeps one region, and grants its lanes and seats in order.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "memory/geometry.h"
#include "protocol/wire.h"
#include "tests/harness/scratch.h"

typedef struct FakeBroker FakeBroker;
typedef struct FakeObject FakeObject;

/* What is wrong with answers to ATTACH (and to MAPPED with EBADMSG, FETCH). */
typedef enum FakeFault {
        FAKE_FINE,
        FAKE_FD_MISSING,
        FAKE_FD_TOO_MANY,
        FAKE_OBJECT_MISSING,   /* neither said nor sent */
        FAKE_OBJECT_TWICE,
        FAKE_OBJECT_UNKNOWN,   /* a kind that no region has */
        FAKE_INDEX_BEYOND,
        FAKE_SIZE_SAID,        /* another length than the geometry gives */
        FAKE_SIZE_REAL,        /* the file is shorter than said */
        FAKE_NOT_A_FILE,       /* a pipe */
        FAKE_OWN_READ_ONLY,
        FAKE_PEER_WRITABLE,    /* fd writable, said read-only */
        FAKE_PEER_SAID_WRITABLE,
        FAKE_UNSEALED,
        FAKE_HEADER,           /* of another epoch */
        FAKE_LAYOUT_MAJOR,
        FAKE_STRIDE,
        FAKE_CAPACITY,         /* not a power of two */
        FAKE_KIND,             /* one that this version does not have */
        FAKE_OTHER_ITEM,       /* a sound region, with items of another size */
        FAKE_ROLE,
        FAKE_OWN_INDEX,
        FAKE_OTHER_REPLY,      /* OK instead of ATTACHED */
        FAKE_GARBAGE,          /* a packet that is no message */
        FAKE_UNKNOWN_TYPE,     /* a message of the future, with our id */
        FAKE_EMPTY_PACKET,
        FAKE_TOO_LONG,         /* more than SHMB_MESSAGE_MAX */
        FAKE_HANG_UP,          /* takes the request, and goes */
        FAKE_SILENT,
        FAKE_ERROR_OK,         /* an error reply with status 0 */
        FAKE_TWICE,            /* nothing, but each grant is sent a second time */
        FAKE_FLIP,             /* bit `flip` of the packet */
        _FAKE_FAULT_N,
} FakeFault;

struct FakeObject {
        WireObject said;
        int rw, ro;
        void *memory;
};

enum {
        FAKE_CONNECTIONS_MAX = 8,
        FAKE_OBJECTS_MAX = 16,
};

struct FakeBroker {
        char directory[SCRATCH_PATH_MAX];
        char path[SCRATCH_PATH_MAX + 16];
        ShmbGeometry geometry;
        uint64_t tag, generation;
        FakeObject objects[FAKE_OBJECTS_MAX]; /* control, lanes, seats; or control, data */
        size_t n_objects;
        pthread_t thread;
        _Atomic bool serves; /* the thread has begun to wait for clients */
        pthread_mutex_t lock;
        int listener, stop[2];
        int connections[FAKE_CONNECTIONS_MAX];
        uint64_t last_lease;
        /* what it does; set by the test at any time */
        _Atomic int fault;
        _Atomic int hello_fault;
        _Atomic uint32_t hello_major;
        _Atomic size_t flip, n_flippable; /* bits of the last grant */
        _Atomic uint32_t attach_status;  /* ShmbStatus of the answer to ATTACH, 0 grants */
        _Atomic uint32_t resume_verdict; /* WireVerdict, or 0 for NO_LEASE */
        _Atomic uint32_t overflow;       /* ShmbOverflow of the region */
        _Atomic uint32_t backing;
        _Atomic bool there;              /* the region that is created and removed */
        _Atomic uint32_t n_lost;         /* answers to CREATE and REMOVE, with the connection */
        /* what it saw */
        _Atomic uint32_t n_requests[WIRE_CREATED + 1]; /* by type */
        _Atomic uint32_t mapped_status;  /* of the last MAPPED */
        _Atomic uint64_t mapped_id;      /* header id of it */
        _Atomic uint64_t create_id, remove_id; /* of what made it, and what removed it */
        WireCreate create;               /* the last one; its name is not kept */
        uint8_t uuid[SHMB_UUID_SIZE];    /* of the last hello */
};

/* An answer under construction. */
typedef struct FakeAnswer {
        WireMessage message;
        int fds[FAKE_OBJECTS_MAX + 2];
        size_t n_fds;
        int to_close[2]; /* made for this answer only */
        size_t n_to_close;
} FakeAnswer;

/* A ring of @capacity items of @item_size bytes; ends the test where it cannot be made. */
void fake_start_ring(FakeBroker *fake, uint32_t n_lanes, uint32_t n_seats, uint32_t item_size,
                     uint64_t capacity);
void fake_start_stream(FakeBroker *fake, uint64_t capacity, uint32_t max_message);
void fake_start_raw(FakeBroker *fake, uint64_t size);
void fake_stop(FakeBroker *fake);

/* Close all connections; and stay away until fake_return(). */
void fake_hang_up(FakeBroker *fake);
void fake_go_away(FakeBroker *fake);
void fake_return(FakeBroker *fake);

FakeObject *fake_object(FakeBroker *fake, ShmbObjectKind kind, uint32_t index);
ShmbControl *fake_control(FakeBroker *fake);
ShmbParty *fake_party(FakeBroker *fake, ShmbObjectKind kind, uint32_t index);
/* Change news and wake who sleeps on it. */
void fake_announce(FakeBroker *fake);
void fake_set_state(FakeBroker *fake, ShmbRegionState state);
/* The holder is gone without a word. */
void fake_kill_party(FakeBroker *fake, ShmbObjectKind kind, uint32_t index);
/* Nobody is there any more. */
void fake_vacate(FakeBroker *fake);
/* A new object in the next epoch, empty; the old one stays mapped where it is mapped. */
void fake_replace(FakeBroker *fake, ShmbObjectKind kind, uint32_t index);

/* Of the fake itself: fake-faults.c. */
int fake_memfd(uint64_t n_bytes, bool seal);
void fake_add_object(FakeAnswer *a, const FakeObject *object, bool writable);
void fake_spoil(FakeBroker *fake, FakeAnswer *a, FakeFault fault);
