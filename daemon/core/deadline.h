/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Deadlines
 *
 * The one index of everything in the broker that happens because time passed: a region whose linger
 * is over, a connection that never said hello, a reader that does not drain its replies. Never a
 * lease: that a lease is over is proven, not timed. The event loop keeps one timer, set to
 * deadline_queue_next(); while the queue is empty the daemon does not wake up at all.
 *
 * A binary heap of embedded entries. Room is reserved when an entry joins, so that setting a
 * deadline cannot fail. Pure: the clock is an argument.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct Deadline Deadline;
typedef struct DeadlineQueue DeadlineQueue;

#define DEADLINE_NEVER UINT64_MAX

typedef enum DeadlineType {
        DEADLINE_REGION,     /* embedded in a Region: its linger */
        DEADLINE_CONNECTION, /* embedded in a connection: hello, or drain */
        DEADLINE_AGE,        /* embedded in a Region of a template: its max_age */
        DEADLINE_PROOF,      /* embedded in a RegionProof: look again whether nobody writes */
        DEADLINE_VAULT,      /* of the server: say again what PID 1 did not hear */
        _DEADLINE_TYPE_N,
} DeadlineType;

struct Deadline {
        DeadlineType type;
        uint64_t at_ns;
        size_t slot; /* in the heap, SIZE_MAX while not set */
        DeadlineQueue *queue;
};

struct DeadlineQueue {
        Deadline **heap;
        size_t n_set, n_joined, n_allocated;
};

/** deadline_queue_init() - an empty queue */
void deadline_queue_init(DeadlineQueue *queue);

/** deadline_queue_deinit() - free the heap; every entry must have left */
void deadline_queue_deinit(DeadlineQueue *queue);

/**
 * deadline_join() - reserve room for an entry
 * @queue:      queue to join
 * @deadline:   entry, embedded in what it is about; must stay in place until deadline_leave()
 * @type:       what it is embedded in
 *
 * Return: 0, or -ENOMEM (the entry is then as if it had never been touched: leaving is harmless).
 */
int deadline_join(DeadlineQueue *queue, Deadline *deadline, DeadlineType type);

/**
 * deadline_leave() - take an entry out and give its room back; idempotent, also for a zeroed
 * entry
 */
void deadline_leave(Deadline *deadline);

/**
 * deadline_set() - set, move or (DEADLINE_NEVER) clear a deadline
 * @deadline:   an entry that joined
 * @at_ns:      when, on the clock of the caller
 */
void deadline_set(Deadline *deadline, uint64_t at_ns);

/** deadline_queue_next() - when the earliest one is due, DEADLINE_NEVER if none is set */
uint64_t deadline_queue_next(const DeadlineQueue *queue);

/**
 * deadline_queue_pop() - take the earliest one that is due
 * @queue:      queue
 * @now_ns:     now
 *
 * Return: the entry, cleared but still joined, or NULL if none is due.
 */
Deadline *deadline_queue_pop(DeadlineQueue *queue, uint64_t now_ns);
