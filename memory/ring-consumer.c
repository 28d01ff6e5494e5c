/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Consumer's End of a Ring, the part that looks at the peers
 *
 * Invariant, for each lane: head <= next <= edge <= tail <= next + capacity, with `tail` the newest
 * that was believed. Items [next, tail) stay readable until `done` passes them, whatever the
 * producer does: his own bound keeps him off, and if he breaks it he garbles data that was his to
 * write, nothing else.
 *
 * A tail is believed as long as the broker names the lane's object as the newest; the one that was
 * loaded when it no longer did is the last, so draining a replaced lane ends even if somebody still
 * writes there.
 */

#include "memory/ring-consumer.h"

enum {
        /* Items of one turn while there are other lanes. */
        CONSUMER_TURN_MAX = 256,
        /* The same of a stream, in bytes. */
        CONSUMER_TURN_BYTES_MAX = 16384,
        /* What makes the cache misses of a look at tail small against those of the items; measured
         * with 64-byte items. */
        CONSUMER_BATCH_BYTES = 4096,
        CONSUMER_BATCH_ITEMS_MIN = 8,
        CONSUMER_BATCH_ITEMS_MAX = 64,
        /* How long to wait for it: at first, and the bounds of what is learned. */
        CONSUMER_PAUSES = 16,
        CONSUMER_PAUSES_MIN = 4,
        CONSUMER_PAUSES_MAX = 128,
        /* Looks that found few, between two tries: a vain one costs 16 pauses, 0.3 us. */
        CONSUMER_SMALL_MIN = 16,
        CONSUMER_SMALL_MAX = 1024,
        /* Parts of the capacity after which head is published. */
        CONSUMER_HEAD_PARTS = 8,
};

/* What stands, or shall stand, in our place in one lane. */
typedef struct ConsumerPlace {
        uint64_t head, done, taken;
        uint64_t n_missed, n_redelivered;
        bool fresh; /* the place belongs to another epoch of the lane */
} ConsumerPlace;

static void consumer_count(_Atomic uint64_t *counter, uint64_t n) {
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(counter, shmb_load_relaxed(counter) + n);
}

static void consumer_publish_head(ShmbRingCursor *cursor) {
        if (cursor->head == cursor->next)
                return;
        cursor->head = cursor->next;
        /* release: our reads of the items come before; pairs with acquire of head in
         * producer_read_head() */
        shmb_store_release(&cursor->place->head, cursor->head);
}

static int consumer_poison(ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        cursor->poisoned = true;
        cursor->tail = cursor->next;
        cursor->edge = cursor->next;
        if (cursor == consumer->cursor)
                consumer->n_peeked = 0;
        consumer->n_poisoned++;
        consumer->n_poison_unsaid++;
        return -EBADMSG;
}

static void consumer_cure(ShmbRingConsumer *consumer, const ShmbRingCursor *cursor) {
        if (!cursor->poisoned)
                return;
        consumer->n_poisoned--;
        if (consumer->n_poison_unsaid > consumer->n_poisoned)
                consumer->n_poison_unsaid = consumer->n_poisoned;
}

/* Whether the producer has admitted us: then we begin where he says. */
static bool consumer_join(const ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        const ShmbJoin *join = &cursor->lane->joins[consumer->index];
        uint64_t at;

        /* acquire: `at` goes with it; pairs with release in shmb_ring_producer_admit() */
        if (consumer->lease == 0 || shmb_load_acquire(&join->lease) != consumer->lease)
                return false;
        /* relaxed: ordered by the above; a lie shows against tail */
        at = shmb_load_relaxed(&join->at);
        cursor->next = cursor->edge = cursor->tail = cursor->head = cursor->taken = at;
        /* relaxed, all: published by the next store */
        shmb_store_relaxed(&cursor->place->taken, at);
        shmb_store_relaxed(&cursor->place->done, at);
        shmb_store_relaxed(&cursor->place->head, at);
        /* release: these are the counts of our lease; pairs with acquire in producer_read_head() */
        shmb_store_release(&cursor->place->lease, consumer->lease);
        cursor->joined = true;
        return true;
}

/* Believes the lane's tail, or finds out that it cannot. */
static int consumer_read_tail(const ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        uint64_t tail, backed = UINT64_MAX, most = consumer->mask + 1;

        if (cursor->last || cursor->poisoned)
                return 0;
        if (!cursor->joined && !consumer_join(consumer, cursor))
                return 0;
        /* acquire: makes the items below tail visible; pairs with release of tail in
         * shmb_ring_producer_publish() */
        tail = shmb_load_acquire(&cursor->lane->tail);
        /* acquire: behind tail, so not older than what its writer saw; and before newest: one that
         * belongs to the next epoch is found out there; pairs with control_set_party() */
        if (cursor->backed)
                backed = shmb_load_acquire(cursor->backed);
        /* acquire: ordered after both by theirs; and before the tail that is the last one, lest
         * what was published in between is lost; pairs with release in control_set_party() */
        if (shmb_load_acquire(cursor->newest) != cursor->epoch) {
                cursor->last = true;
                /* acquire: as above */
                tail = shmb_load_acquire(&cursor->lane->tail);
        } else if (cursor->backed && backed - cursor->next < most) {
                most = backed - cursor->next;
        }
        /* The peer's word: not behind what he said before, not beyond what we freed, nor where no
         * memory is. */
        if (tail - cursor->next < cursor->tail - cursor->next || tail - cursor->next > most)
                return -EBADMSG;
        cursor->tail = tail;
        return 0;
}

/*
 * Few items came. If the producer is at work, taking them one by one costs a move of the line of
 * `tail` for each; leaving it with him for some pauses lets a batch form. Whether he is shows only
 * by trying: as long as the wait is worth it, it is repeated, and made as long as a batch takes at
 * this size of items and this distance between the processors. If it is not, somebody waits for
 * single items, and the next try is put off twice as long.
 */
static int consumer_let_batch_form(const ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        uint64_t before = cursor->tail;
        uint32_t i;
        int r;

        for (i = 0; i < cursor->n_pauses; i++)
                shmb_cpu_relax();
        r = consumer_read_tail(consumer, cursor);
        if (r < 0)
                return r;
        if (cursor->tail - before < (consumer->batch_min + 3) / 4) {
                cursor->patient = false;
                cursor->n_small = 0;
                if (cursor->small_max < CONSUMER_SMALL_MAX)
                        cursor->small_max *= 2;
                return 0;
        }
        cursor->small_max = CONSUMER_SMALL_MIN;
        if (cursor->tail - cursor->next < consumer->batch_min) {
                if (cursor->n_pauses < CONSUMER_PAUSES_MAX)
                        cursor->n_pauses *= 2;
        } else if (cursor->tail - cursor->next > (uint64_t)4 * consumer->batch_min) {
                if (cursor->n_pauses > CONSUMER_PAUSES_MIN)
                        cursor->n_pauses /= 2;
        }
        return 0;
}

/* A look that found less than a batch. */
static int consumer_found_few(const ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        if (cursor->patient)
                return consumer_let_batch_form(consumer, cursor);
        if (cursor->tail != cursor->next && ++cursor->n_small >= cursor->small_max)
                cursor->patient = true;
        return 0;
}

static int consumer_look_at(ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        uint64_t n;
        int r;

        if (cursor->tail == cursor->next) {
                r = consumer_read_tail(consumer, cursor);
                if (r == 0 && cursor->tail - cursor->next < consumer->batch_min)
                        r = consumer_found_few(consumer, cursor);
                if (r < 0)
                        return consumer_poison(consumer, cursor);
        }
        n = cursor->tail - cursor->next;
        if (n == 0) {
                consumer_publish_head(cursor);
                return -EAGAIN;
        }
        if (n > consumer->turn_max)
                n = consumer->turn_max;
        cursor->edge = cursor->next + n;
        return 0;
}

/* More of the lane whose turn it is; what is known of it stays. */
static int consumer_look_further(ShmbRingConsumer *consumer, ShmbRingCursor *cursor) {
        if (consumer->n_lanes > 1)
                return 0;
        if (consumer_read_tail(consumer, cursor) < 0)
                return consumer_poison(consumer, cursor);
        cursor->edge = cursor->tail;
        if (cursor->edge - cursor->next > consumer->turn_max)
                cursor->edge = cursor->next + consumer->turn_max;
        return 0;
}

int shmb_ring_consumer_look(ShmbRingConsumer *consumer) {
        ShmbRingCursor *turn = consumer->cursor;
        uint32_t i;

        if (turn->edge != turn->next)
                return consumer_look_further(consumer, turn);
        for (i = 0; i < consumer->n_lanes; i++) {
                if (++turn == consumer->cursors + consumer->n_lanes)
                        turn = consumer->cursors;
                if (consumer_look_at(consumer, turn) == 0) {
                        consumer->cursor = turn;
                        return 0;
                }
        }
        if (consumer->n_poison_unsaid > 0)
                consumer->n_poison_unsaid--;
        else if (consumer->n_poisoned < consumer->n_lanes)
                return -EAGAIN;
        return -EBADMSG;
}

/* From where to go on in one lane. Reads only. */
static int consumer_plan_place(const ShmbRingConsumer *consumer, const ShmbPlace *place,
                               const ShmbMapped *lane, ShmbRingResume resume,
                               ConsumerPlace *ret_plan) {
        uint64_t capacity = consumer->mask + 1;
        ConsumerPlace plan = {.fresh = true};
        uint64_t tail;

        if (consumer->joins) {
                *ret_plan = plan;
                return 0;
        }
        /* acquire: as in consumer_read_tail() */
        tail = shmb_load_acquire(&((const ShmbLane *)lane->memory)->tail);
        /* relaxed: only we write these; the broker ordered our predecessor before us */
        if (shmb_load_relaxed(&place->epoch) == lane->epoch) {
                plan.fresh = false;
                plan.head = shmb_load_relaxed(&place->head);
                plan.done = shmb_load_relaxed(&place->done);
                plan.taken = shmb_load_relaxed(&place->taken);
        }
        if (plan.done - plan.head > capacity || tail - plan.done > capacity ||
            plan.taken - plan.done > tail - plan.done) {
                if (resume == SHMB_RING_STRICT)
                        return -EBADMSG;
                plan.n_missed = tail - plan.done < capacity ? tail - plan.done : capacity;
                plan.head = plan.done = plan.taken = tail;
        }
        plan.n_redelivered = plan.taken - plan.done;
        /* One message is held at a time; how many were missed cannot be told. */
        if (consumer->counts_bytes) {
                plan.n_redelivered = plan.n_redelivered > 0;
                plan.n_missed = plan.n_missed > 0;
        }
        *ret_plan = plan;
        return 0;
}

/* Points a cursor at a lane and makes our place say so. */
static void consumer_enter_lane(ShmbRingConsumer *consumer, uint32_t index, const ShmbMapped *lane,
                                const ConsumerPlace *plan) {
        ShmbCounters *counters = &consumer->seat->counters;
        ShmbRingCursor *cursor = &consumer->cursors[index];
        const ShmbLane *memory = lane->memory;

        *cursor = (ShmbRingCursor){
                .next = plan->done,
                .edge = plan->done,
                .tail = plan->done,
                .head = plan->done,
                .taken = plan->done,
                .slots = memory->slots,
                .place = &consumer->seat->places[index],
                .lane = memory,
                .newest = lane->newest,
                .epoch = lane->epoch,
                .small_max = CONSUMER_SMALL_MIN,
                .n_pauses = CONSUMER_PAUSES,
                .joined = !consumer->joins,
        };
        shmb_waker_set_peer(&consumer->waker, index, &memory->sleep);

        /* First the counters: dying here counts twice rather than not at all. */
        consumer_count(&counters->n_redelivered, plan->n_redelivered);
        consumer_count(&counters->n_missed, plan->n_missed);
        /* relaxed: read by a successor only */
        shmb_store_relaxed(&cursor->place->taken, cursor->taken);
        /* release: pair with acquire of done and head in producer_read_head(): a producer whom the
         * broker has superseded, and who sees these go back, sees the newer epoch in control too */
        shmb_store_release(&cursor->place->done, cursor->next);
        shmb_store_release(&cursor->place->head, cursor->next);
        /* release: last, so that counts of the old epoch are never read under the new one; pairs
         * with acquire of epoch in producer_read_head() */
        shmb_store_release(&cursor->place->epoch, cursor->epoch);
}

static int consumer_check_init(const ShmbGeometry *geometry, const ShmbMapped *seat,
                               const ShmbMapped *lanes) {
        uint64_t lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE);
        uint64_t seat_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT);
        uint32_t i;

        if (!shmb_ring_has_kind(geometry->kind) || !shmb_mapped_fits(seat, seat_size))
                return -EINVAL;
        for (i = 0; i < geometry->n_lanes; i++)
                if (!shmb_mapped_fits(&lanes[i], lane_size))
                        return -EINVAL;
        return 0;
}

/* The larger an item, the less a look at tail matters; beyond 512 bytes nothing is waited for. */
static uint32_t consumer_batch_min(uint32_t stride) {
        uint32_t n = CONSUMER_BATCH_BYTES / stride;

        if (n < CONSUMER_BATCH_ITEMS_MIN)
                return 1;
        return n < CONSUMER_BATCH_ITEMS_MAX ? n : CONSUMER_BATCH_ITEMS_MAX;
}

/* Of a stream the counts are bytes, and a lane's slots are mapped twice. */
static void consumer_count_bytes(ShmbRingConsumer *consumer, const ShmbGeometry *geometry) {
        consumer->counts_bytes = true;
        consumer->batch_min = CONSUMER_BATCH_BYTES;
        consumer->lane_size += geometry->capacity;
        if (geometry->n_lanes > 1)
                consumer->turn_max = CONSUMER_TURN_BYTES_MAX;
}

int shmb_ring_consumer_init(ShmbRingConsumer *consumer, const ShmbGeometry *geometry,
                            const ShmbMapped *seat, const ShmbMapped *lanes, ShmbRingResume resume,
                            bool fence_always) {
        ConsumerPlace plans[SHMB_LANES_MAX];
        uint32_t i;
        int r;

        r = consumer_check_init(geometry, seat, lanes);
        if (r < 0)
                return r;
        *consumer = (ShmbRingConsumer){
                .cursor = consumer->cursors,
                .mask = geometry->capacity - 1,
                .head_every = geometry->capacity / CONSUMER_HEAD_PARTS,
                .seat = seat->memory,
                .stride = geometry->stride,
                .item_size = geometry->item_size,
                .n_lanes = geometry->n_lanes,
                .joins = geometry->kind == SHMB_KIND_BROADCAST,
                .turn_max = geometry->n_lanes > 1 ? CONSUMER_TURN_MAX : UINT64_MAX,
                .batch_min = consumer_batch_min(geometry->stride),
                .lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE),
        };
        if (geometry->kind == SHMB_KIND_STREAM)
                consumer_count_bytes(consumer, geometry);
        if (consumer->head_every < 1)
                consumer->head_every = 1;
        shmb_waker_init(&consumer->waker, &consumer->seat->bell, &consumer->seat->counters.n_wakes,
                        fence_always);
        for (i = 0; i < geometry->n_lanes; i++) {
                r = consumer_plan_place(consumer, &consumer->seat->places[i], &lanes[i], resume,
                                        &plans[i]);
                if (r < 0)
                        return r;
        }
        for (i = 0; i < geometry->n_lanes; i++)
                consumer_enter_lane(consumer, i, &lanes[i], &plans[i]);
        return 0;
}

int shmb_ring_consumer_switch_lane(ShmbRingConsumer *consumer, uint32_t index,
                                   const ShmbMapped *lane) {
        ConsumerPlace plan = {.fresh = true};
        ShmbRingCursor *cursor;

        if (index >= consumer->n_lanes || !shmb_mapped_fits(lane, consumer->lane_size))
                return -EINVAL;
        cursor = &consumer->cursors[index];
        if (cursor == consumer->cursor && consumer->n_peeked > 0)
                return -EBUSY;
        if (consumer_read_tail(consumer, cursor) < 0)
                consumer_poison(consumer, cursor);
        cursor->last = true;
        if (cursor->tail != cursor->next)
                return -EAGAIN;
        consumer_cure(consumer, cursor);
        consumer_enter_lane(consumer, index, lane, &plan);
        return 0;
}

void shmb_ring_consumer_set_lease(ShmbRingConsumer *consumer, uint32_t index, uint64_t lease) {
        consumer->index = index;
        consumer->lease = lease;
}

void shmb_ring_consumer_set_backed(ShmbRingConsumer *consumer, uint32_t index,
                                   const _Atomic uint64_t *backed, uint64_t turn_max) {
        consumer->cursors[index].backed = backed;
        if (turn_max < consumer->turn_max)
                consumer->turn_max = turn_max;
}

int shmb_ring_consumer_lose(ShmbRingConsumer *consumer, uint32_t index) {
        ShmbRingCursor *cursor = &consumer->cursors[index];

        if (cursor->poisoned)
                return 0;
        consumer_poison(consumer, cursor);
        if (cursor != consumer->cursor)
                return 0;
        consumer->n_poison_unsaid--;
        return -EBADMSG;
}

int shmb_ring_consumer_trust_lane(ShmbRingConsumer *consumer, uint32_t index) {
        ShmbRingCursor *cursor;

        if (index >= consumer->n_lanes)
                return -EINVAL;
        cursor = &consumer->cursors[index];
        /* relaxed: who calls has seen the broker's news of the holder, and with them the epoch */
        if (cursor->last || shmb_load_relaxed(cursor->newest) != cursor->epoch)
                return 0;
        if (cursor == consumer->cursor && consumer->n_peeked > 0)
                return -EBUSY;
        consumer_cure(consumer, cursor);
        cursor->poisoned = false;
        cursor->tail = cursor->next;
        cursor->edge = cursor->next;
        return 0;
}

int shmb_ring_pop_slow(ShmbRingConsumer *consumer, void *ret_items, uint32_t n) {
        uint8_t *to = ret_items;
        uint32_t n_moved = 0;
        ShmbRingSpan span;
        int r;

        if (consumer->n_peeked > 0)
                return -EBUSY;
        if (n > INT32_MAX)
                n = INT32_MAX;
        while (n_moved < n) {
                /* One lane a call, so that the caller knows whom to wake. */
                if (n_moved > 0 && consumer->n_lanes > 1 &&
                    consumer->cursor->edge == consumer->cursor->next)
                        break;
                r = shmb_ring_peek_n(consumer, n - n_moved, &span);
                if (r < 0)
                        return n_moved > 0 ? (int)n_moved : r;
                consumer->n_peeked = 0;
                shmb_ring_copy(to, consumer->item_size, span.data, consumer->stride,
                               consumer->item_size, span.n);
                to += (size_t)span.n * consumer->item_size;
                n_moved += span.n;
                shmb_ring_consumer_done(consumer, consumer->cursor, span.n);
        }
        return (int)n_moved;
}

uint32_t shmb_ring_consumer_words(const ShmbRingConsumer *consumer, ShmbSleepWord *ret_words) {
        uint32_t i, n = 0;

        for (i = 0; i < consumer->n_lanes; i++) {
                const _Atomic uint32_t *bell = &consumer->cursors[i].lane->bell.bell;

                /* Where the memory was lost nobody can wait, and a kernel that is asked to do so
                 * would not let us wait for the others. */
                if (consumer->cursors[i].poisoned)
                        continue;
                /* relaxed: stays before the release of seq in shmb_sleep_enter() */
                ret_words[n++] = (ShmbSleepWord){bell, shmb_load_relaxed(bell)};
        }
        return n;
}
