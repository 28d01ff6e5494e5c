/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Shared-Memory Contract
 *
 * What stands where in the objects of a region, on one screen. One rule makes it safe: every word
 * has one writer, and the kernel enforces it, because each object is an inode of its own that one
 * party has mapped writable and everyone else read-only (shmbroker-memory(7)).
 *
 *     control   written by the broker        state, news, and a party entry for each lane and seat
 *     lane i    written by producer i        tail, bell, sleep_seq, counters, then the slots
 *     seat j    written by consumer j        bell, sleep_seq, counters; {head, done, taken} a lane
 *     group     written by all consumers     one word a slot; only where consumers compete
 *     data      raw regions: the users' own bytes, no header
 *
 * Indices (tail, head, done, taken) are free-running counts of items, so all `capacity` slots are
 * usable. No pointer and no pthread object stands here; integers have fixed size and natural
 * alignment, so 32-bit and 64-bit processes share one region. Words with different writers' readers
 * stand SHMB_LINE bytes apart (two lines: adjacent-line prefetch).
 *
 * The header is written once by the broker before an object is published. That of the control
 * object is checked at attach. In a lane or seat it lies in memory that its party may write: it is
 * for tools, and nobody acts on it; geometry comes from the broker's reply.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/limits.h"

#define SHMB_LINE 128
#define SHMB_PAGE 4096 /* offset granularity of the layout, not the machine's page size */
#define SHMB_ENDIAN UINT32_C(0x01020304)
#define SHMB_MAGIC "shmbrokr" /* 8 bytes, no terminator */

enum {
        SHMB_LAYOUT_MAJOR = 1, /* a reader that knows another major refuses */
        SHMB_LAYOUT_MINOR = 0, /* a reader ignores what a newer minor put into reserved space */
};

/* Every object but `data` starts with this. Written by the broker once. Since 1.0. */
typedef struct ShmbHeader {
        uint8_t magic[8];
        uint32_t endian;      /* SHMB_ENDIAN in the writer's byte order */
        uint16_t major, minor;
        uint32_t header_size; /* sizeof(ShmbHeader) */
        uint32_t object_kind; /* ShmbObjectKind */
        uint32_t index;       /* which lane or seat */
        uint32_t epoch;       /* of this object */
        uint64_t tag;         /* of the region's generation */
        uint64_t generation;
        uint64_t object_size; /* bytes */
        uint32_t region_kind; /* ShmbKind */
        uint32_t n_lanes;
        uint32_t n_seats;
        uint32_t item_size, item_align, stride; /* bytes */
        uint64_t capacity;    /* slots a lane; stream: bytes */
        uint64_t slots_offset;
        uint64_t segment;     /* queue: bytes */
        uint32_t max_message; /* stream: bytes */
        uint32_t delivery;    /* broadcast: ShmbDelivery */
        uint8_t reserved[144]; /* zero, checked at attach */
} ShmbHeader;

/* A lane or seat as the broker sees it. Written by the broker, read by all. 64 bytes. Since 1.0. */
typedef struct ShmbParty {
        /* newest epoch of the object; a peer with an older one fetches it */
        _Atomic uint32_t epoch;
        _Atomic uint32_t occupancy; /* ShmbOccupancy */
        _Atomic uint64_t lease;     /* who holds it, 0 for nobody */
        /* leases that ended without detach; each is said once: EOWNERDEAD */
        _Atomic uint32_t n_deaths;
        _Atomic uint32_t n_detaches;
        /* lane of a queue: items [freed, backed) have memory behind them */
        _Atomic uint64_t freed;
        _Atomic uint64_t backed;
        /* 1: its holder polls a FIFO, to which who wakes it writes (client/poll.h) */
        _Atomic uint32_t polls;
        uint8_t reserved[20];
} ShmbParty;

typedef struct ShmbControl {
        ShmbHeader header;
        /* +0x100 written by the broker, waited on by every sleeper */
        _Atomic uint32_t news;  /* futex word: changes after any other word of this object did */
        _Atomic uint32_t state; /* ShmbRegionState */
        _Atomic uint64_t generation;
        uint8_t reserved[0x1000 - 0x110];
        /* +0x1000 n_lanes entries, then n_seats entries, then one for the group if there is one */
        ShmbParty parties[];
} ShmbControl;

/* Written by the party that sleeps (its own object), read by those that may wake it. One line. */
typedef struct ShmbSleep {
        /* odd while asleep or about to be; one wake per odd value and waker */
        _Atomic uint32_t seq;
        _Atomic uint32_t flags; /* SHMB_SLEEP_* */
        uint8_t reserved[SHMB_LINE - 8];
} ShmbSleep;

enum {
        /* this sleeper may not call membarrier(2): its wakers put a full fence before they look */
        SHMB_SLEEP_FENCE = 1,
        /* this sleeper polls a descriptor: its wakers write to its FIFO as well */
        SHMB_SLEEP_POLL = 2,
};

/* Written by the party that wakes (its own object); a futex word, waited on by its sleepers. */
typedef struct ShmbBell {
        _Atomic uint32_t bell;
        uint8_t reserved[SHMB_LINE - 4];
} ShmbBell;

/* Relaxed counters of one party, for display only; nobody decides by them. */
typedef struct ShmbCounters {
        _Atomic uint64_t n_items;   /* moved by this party under all its leases */
        _Atomic uint64_t n_bytes;   /* streams; a ring's items have one size */
        _Atomic uint64_t n_dropped; /* lane: drop_newest */
        _Atomic uint64_t n_redelivered; /* seat */
        _Atomic uint64_t n_missed;  /* seat, lossy */
        _Atomic uint64_t n_waits;   /* how often it went to sleep */
        _Atomic uint64_t n_wakes;   /* how often it woke a peer */
        _Atomic uint64_t high_water; /* lane: most items that it saw in flight */
        uint8_t reserved[2 * SHMB_LINE - 64];
} ShmbCounters;

/* Reliable broadcast: from where on a seat's lease counts. Written by the producer. */
typedef struct ShmbJoin {
        _Atomic uint64_t at;    /* stored before lease */
        _Atomic uint64_t lease; /* whose admission this is; 0 for none yet */
} ShmbJoin;

typedef struct ShmbLane {
        ShmbHeader header;
        /* +0x100 release-stored by the producer at each commit, acquire-loaded by consumers */
        _Atomic uint64_t tail;
        /* lossy, latest: what is below claimed - capacity may be torn; stored before that */
        _Atomic uint64_t claimed;
        uint8_t reserved_tail[SHMB_LINE - 16];
        ShmbBell bell;         /* +0x180 */
        ShmbSleep sleep;       /* +0x200 */
        ShmbCounters counters; /* +0x280 */
        /* +0x380 where consumers compete, in place of `bell`: one futex word for each seat */
        _Atomic uint32_t bells[SHMB_SEATS_MAX];
        ShmbJoin joins[SHMB_SEATS_MAX]; /* +0x480 */
        uint8_t reserved[0x1000 - 0x880];
        uint8_t slots[]; /* +0x1000 capacity * stride bytes */
} ShmbLane;

/* A consumer's place in one lane. Two lines: the producer polls the first only. */
typedef struct ShmbPlace {
        /* release-stored lazily: slots below are free to the producer, if `epoch` is its lane's */
        _Atomic uint64_t head;
        _Atomic uint32_t epoch; /* of the lane that these counts belong to; stored before head */
        uint32_t reserved_epoch;
        /* reliable broadcast: whose counts these are; stored behind them */
        _Atomic uint64_t lease;
        uint8_t reserved_head[SHMB_LINE - 24];
        /* exact, for the successor of a dead consumer */
        _Atomic uint64_t done;  /* items released; a successor starts here */
        _Atomic uint64_t taken; /* items peeked; taken - done is what is redelivered */
        uint8_t reserved_done[SHMB_LINE - 16];
} ShmbPlace;

typedef struct ShmbSeat {
        ShmbHeader header;
        ShmbSleep sleep;       /* +0x100 */
        ShmbBell bell;         /* +0x180 */
        ShmbCounters counters; /* +0x200 */
        /* +0x300 where consumers compete: rung for one who shall take what is left behind */
        _Atomic uint32_t bells[SHMB_SEATS_MAX];
        uint8_t reserved[0x1000 - 0x400];
        ShmbPlace places[]; /* +0x1000 one a lane */
} ShmbSeat;

/*
 * Where consumers compete: the state of each slot, {lap:40, lease:22, state:2}. The one object with
 * several writers: every word changes by compare-and-swap only (memory/group.h).
 */
typedef struct ShmbGroup {
        ShmbHeader header;
        uint8_t reserved[0x1000 - 0x100];
        _Atomic uint64_t words[]; /* +0x1000 capacity words a lane, lane after lane */
} ShmbGroup;

enum {
        SHMB_SLOT_READY = 0, /* to be taken in this lap; zero is READY of lap 0 */
        SHMB_SLOT_HELD = 1,  /* by the lease whose lowest bits stand there */
        SHMB_SLOT_DONE = 2,  /* the producer may fill it for the next lap, which makes it READY */
        SHMB_SLOT_STATE_BITS = 2,
        SHMB_SLOT_LEASE_BITS = 22,
        SHMB_SLOT_LAP_BITS = 40,
};

static_assert(sizeof(ShmbHeader) == 0x100, "layout");
static_assert(offsetof(ShmbHeader, endian) == 8, "layout");
static_assert(offsetof(ShmbHeader, major) == 12, "layout");
static_assert(offsetof(ShmbHeader, minor) == 14, "layout");
static_assert(offsetof(ShmbHeader, object_kind) == 20, "layout");
static_assert(offsetof(ShmbHeader, index) == 24, "layout");
static_assert(offsetof(ShmbHeader, epoch) == 28, "layout");
static_assert(offsetof(ShmbHeader, tag) == 32, "layout");
static_assert(offsetof(ShmbHeader, generation) == 40, "layout");
static_assert(offsetof(ShmbHeader, object_size) == 48, "layout");
static_assert(offsetof(ShmbHeader, region_kind) == 56, "layout");
static_assert(offsetof(ShmbHeader, n_lanes) == 60, "layout");
static_assert(offsetof(ShmbHeader, n_seats) == 64, "layout");
static_assert(offsetof(ShmbHeader, item_size) == 68, "layout");
static_assert(offsetof(ShmbHeader, item_align) == 72, "layout");
static_assert(offsetof(ShmbHeader, stride) == 76, "layout");
static_assert(offsetof(ShmbHeader, capacity) == 80, "layout");
static_assert(offsetof(ShmbHeader, slots_offset) == 88, "layout");
static_assert(offsetof(ShmbHeader, segment) == 96, "layout");
static_assert(offsetof(ShmbHeader, delivery) == 108, "layout");
static_assert(offsetof(ShmbHeader, reserved) == 112, "layout");
static_assert(sizeof(ShmbParty) == 64, "layout");
static_assert(offsetof(ShmbParty, lease) == 8, "layout");
static_assert(offsetof(ShmbParty, n_deaths) == 16, "layout");
static_assert(offsetof(ShmbParty, freed) == 24, "layout");
static_assert(offsetof(ShmbParty, polls) == 40, "layout");
static_assert(offsetof(ShmbControl, news) == 0x100, "layout");
static_assert(offsetof(ShmbControl, state) == 0x104, "layout");
static_assert(offsetof(ShmbControl, parties) == 0x1000, "layout");
static_assert(sizeof(ShmbSleep) == SHMB_LINE && sizeof(ShmbBell) == SHMB_LINE, "layout");
static_assert(sizeof(ShmbCounters) == 0x100, "layout");
static_assert(sizeof(ShmbJoin) == 16, "layout");
static_assert(offsetof(ShmbLane, tail) == 0x100, "layout");
static_assert(offsetof(ShmbLane, claimed) == 0x108, "layout");
static_assert(offsetof(ShmbLane, bell) == 0x180, "layout");
static_assert(offsetof(ShmbLane, sleep) == 0x200, "layout");
static_assert(offsetof(ShmbLane, counters) == 0x280, "layout");
static_assert(offsetof(ShmbLane, bells) == 0x380, "layout");
static_assert(offsetof(ShmbLane, joins) == 0x480, "layout");
static_assert(offsetof(ShmbLane, slots) == 0x1000, "layout");
static_assert(sizeof(ShmbPlace) == 0x100, "layout");
static_assert(offsetof(ShmbPlace, epoch) == 8, "layout");
static_assert(offsetof(ShmbPlace, lease) == 16, "layout");
static_assert(offsetof(ShmbPlace, done) == SHMB_LINE, "layout");
static_assert(offsetof(ShmbPlace, taken) == SHMB_LINE + 8, "layout");
static_assert(offsetof(ShmbSeat, sleep) == 0x100, "layout");
static_assert(offsetof(ShmbSeat, bell) == 0x180, "layout");
static_assert(offsetof(ShmbSeat, counters) == 0x200, "layout");
static_assert(offsetof(ShmbSeat, bells) == 0x300, "layout");
static_assert(offsetof(ShmbSeat, places) == 0x1000, "layout");
static_assert(offsetof(ShmbGroup, words) == 0x1000, "layout");
static_assert(SHMB_SLOT_STATE_BITS + SHMB_SLOT_LEASE_BITS + SHMB_SLOT_LAP_BITS == 64, "layout");
