/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Deadlines
 *
 * A binary min-heap of pointers to embedded entries; each entry knows its slot, so that moving one
 * is O(log n) without a search. The array grows when an entry joins and never shrinks: n_joined
 * bounds n_set, so sifting never allocates.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/deadline.h"

#define DEADLINE_UNSET SIZE_MAX

void deadline_queue_init(DeadlineQueue *queue) {
        *queue = (DeadlineQueue){};
}

void deadline_queue_deinit(DeadlineQueue *queue) {
        assert(queue->n_joined == 0);

        free(queue->heap);
        *queue = (DeadlineQueue){};
}

static void deadline_put(DeadlineQueue *queue, size_t slot, Deadline *deadline) {
        queue->heap[slot] = deadline;
        deadline->slot = slot;
}

static void deadline_sift_up(DeadlineQueue *queue, Deadline *deadline) {
        size_t slot = deadline->slot, parent;

        while (slot > 0) {
                parent = (slot - 1) / 2;
                if (queue->heap[parent]->at_ns <= deadline->at_ns)
                        break;
                deadline_put(queue, slot, queue->heap[parent]);
                slot = parent;
        }
        deadline_put(queue, slot, deadline);
}

static void deadline_sift_down(DeadlineQueue *queue, Deadline *deadline) {
        size_t slot = deadline->slot, child;

        while ((child = 2 * slot + 1) < queue->n_set) {
                if (child + 1 < queue->n_set &&
                    queue->heap[child + 1]->at_ns < queue->heap[child]->at_ns)
                        child++;
                if (deadline->at_ns <= queue->heap[child]->at_ns)
                        break;
                deadline_put(queue, slot, queue->heap[child]);
                slot = child;
        }
        deadline_put(queue, slot, deadline);
}

static void deadline_clear(Deadline *deadline) {
        DeadlineQueue *queue = deadline->queue;
        Deadline *last;

        last = queue->heap[--queue->n_set];
        if (last != deadline) {
                deadline_put(queue, deadline->slot, last);
                deadline_sift_up(queue, last);
                deadline_sift_down(queue, last);
        }
        deadline->slot = DEADLINE_UNSET;
        deadline->at_ns = DEADLINE_NEVER;
}

int deadline_join(DeadlineQueue *queue, Deadline *deadline, DeadlineType type) {
        size_t n_allocated;
        Deadline **heap;

        if (queue->n_joined == queue->n_allocated) {
                n_allocated = queue->n_allocated > 0 ? 2 * queue->n_allocated : 8;
                heap = reallocarray(queue->heap, n_allocated, sizeof(*heap));
                if (!heap)
                        return -ENOMEM;
                queue->heap = heap;
                queue->n_allocated = n_allocated;
        }

        queue->n_joined++;
        *deadline = (Deadline){
                .type = type,
                .at_ns = DEADLINE_NEVER,
                .slot = DEADLINE_UNSET,
                .queue = queue,
        };
        return 0;
}

void deadline_leave(Deadline *deadline) {
        if (!deadline->queue)
                return;

        deadline_set(deadline, DEADLINE_NEVER);
        deadline->queue->n_joined--;
        deadline->queue = NULL;
}

void deadline_set(Deadline *deadline, uint64_t at_ns) {
        DeadlineQueue *queue = deadline->queue;

        if (at_ns == DEADLINE_NEVER) {
                if (deadline->slot != DEADLINE_UNSET)
                        deadline_clear(deadline);
                return;
        }

        deadline->at_ns = at_ns;
        if (deadline->slot == DEADLINE_UNSET)
                deadline_put(queue, queue->n_set++, deadline);
        deadline_sift_up(queue, deadline);
        deadline_sift_down(queue, deadline);
}

uint64_t deadline_queue_next(const DeadlineQueue *queue) {
        return queue->n_set > 0 ? queue->heap[0]->at_ns : DEADLINE_NEVER;
}

Deadline *deadline_queue_pop(DeadlineQueue *queue, uint64_t now_ns) {
        Deadline *deadline;

        if (queue->n_set == 0 || queue->heap[0]->at_ns > now_ns)
                return NULL;

        deadline = queue->heap[0];
        deadline_set(deadline, DEADLINE_NEVER);
        return deadline;
}
