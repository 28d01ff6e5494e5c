/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Broadcast without Regard for the Slow, and the Latest Value
 *
 * Invariant of a producer: tail <= claimed <= tail + capacity, and claimed never goes back. Of a
 * consumer, for each lane: next <= tail; items in between are whole as long as claimed is at most
 * `capacity` ahead of them, which is asked again behind each copy.
 */

#include "memory/cast.h"
#include "memory/copy.h"

enum {
        /* A consumer that is lapped leaves so much of the capacity to the producer, or it would be
         * lapped again at once. */
        CAST_SLACK_PARTS = 8,
        /* How often a copy is tried that is overtaken each time. */
        CAST_TRIES = 1000,
};

static bool cast_has_kind(const ShmbGeometry *geometry) {
        return geometry->kind == SHMB_KIND_LATEST ||
               (geometry->kind == SHMB_KIND_BROADCAST &&
                geometry->delivery == SHMB_DELIVERY_LOSSY);
}

static uint64_t cast_slot(uint64_t capacity, uint64_t item) {
        return (capacity & (capacity - 1)) == 0 ? item & (capacity - 1) : item % capacity;
}

/*
 * Producer
 */

int shmb_cast_producer_init(ShmbCastProducer *producer, const ShmbGeometry *geometry,
                            const ShmbMapped *lane, const ShmbMapped *seats, bool fence_always) {
        uint64_t seat_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT);
        uint64_t tail, claimed;
        ShmbLane *memory = lane->memory;
        uint32_t i;

        if (!cast_has_kind(geometry) ||
            !shmb_mapped_fits(lane, shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE)))
                return -EINVAL;
        for (i = 0; i < geometry->n_seats; i++)
                if (!shmb_mapped_fits(&seats[i], seat_size))
                        return -EINVAL;
        /* relaxed, both: only we write them; the broker ordered our predecessor before us */
        tail = shmb_load_relaxed(&memory->tail);
        claimed = shmb_load_relaxed(&memory->claimed);
        /* Half of all numbers are left: none of ours will ever pass the last one. */
        if (tail > UINT64_MAX / 2 || claimed < tail || claimed - tail > geometry->capacity)
                return -EBADMSG;
        *producer = (ShmbCastProducer){
                .lane = memory,
                .tail = tail,
                .claimed = claimed,
                .capacity = geometry->capacity,
                .stride = geometry->stride,
                .item_size = geometry->item_size,
        };
        shmb_waker_init(&producer->waker, &memory->bell, &memory->counters.n_wakes, fence_always);
        for (i = 0; i < geometry->n_seats; i++)
                shmb_waker_set_peer(&producer->waker, i,
                                    &((const ShmbSeat *)seats[i].memory)->sleep);
        return 0;
}

/* P1 and P2: 1 to @n slots from tail on, contiguous, and not so many that nothing would be left. */
static uint32_t cast_begin(ShmbCastProducer *producer, uint32_t n) {
        uint64_t most = producer->capacity > 1 ? producer->capacity / 2 : 1;
        uint64_t straight = producer->capacity - cast_slot(producer->capacity, producer->tail);

        if (n > most)
                n = (uint32_t)most;
        if (n > straight)
                n = (uint32_t)straight;
        if (producer->tail + n > producer->claimed) {
                producer->claimed = producer->tail + n;
                /* relaxed: ordered before the slots by the fence */
                shmb_store_relaxed(&producer->lane->claimed, producer->claimed);
        }
        /* release fence: claimed stands before anything of the slots changes; pairs with the
         * acquire fence of cast_is_whole() */
        atomic_thread_fence(memory_order_release);
        return n;
}

/* P4 */
static void cast_end(ShmbCastProducer *producer, uint32_t n) {
        ShmbCounters *counters = &producer->lane->counters;

        producer->tail += n;
        /* release: publishes the items below tail; pairs with acquire of it in cast_read_tail() */
        shmb_store_release(&producer->lane->tail, producer->tail);
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(&counters->n_items, shmb_load_relaxed(&counters->n_items) + n);
}

static uint8_t *cast_place(const ShmbCastProducer *producer) {
        return producer->lane->slots +
               cast_slot(producer->capacity, producer->tail) * producer->stride;
}

int shmb_cast_publish(ShmbCastProducer *producer, const void *items, uint32_t n) {
        const uint8_t *from = items;
        uint32_t i, n_now, n_left = n;

        if (producer->n_claimed > 0)
                return -EBUSY;
        for (; n_left > 0; n_left -= n_now) {
                n_now = cast_begin(producer, n_left);
                for (i = 0; i < n_now; i++, from += producer->item_size)
                        shmb_copy_in(cast_place(producer) + (size_t)i * producer->stride, from,
                                     producer->item_size);
                cast_end(producer, n_now);
        }
        return (int)n;
}

int shmb_cast_claim(ShmbCastProducer *producer, uint32_t n, ShmbRingSpan *ret_span) {
        producer->n_claimed = cast_begin(producer, n);
        *ret_span = (ShmbRingSpan){cast_place(producer), producer->n_claimed};
        return (int)producer->n_claimed;
}

int shmb_cast_commit(ShmbCastProducer *producer, uint32_t n) {
        if (n > producer->n_claimed)
                return -EINVAL;
        producer->n_claimed = 0;
        if (n > 0)
                cast_end(producer, n);
        return 0;
}

/*
 * Consumer
 */

static void cast_enter_lane(ShmbCastConsumer *consumer, uint32_t index, const ShmbMapped *mapped,
                            bool fresh) {
        const ShmbLane *lane = mapped->memory;
        ShmbPlace *place = &consumer->seat->places[index];
        /* acquire: as in cast_read_tail() */
        uint64_t tail = fresh ? 0 : shmb_load_acquire(&lane->tail);

        consumer->cursors[index] = (ShmbCastCursor){
                .lane = lane,
                .newest = mapped->newest,
                .place = place,
                .next = consumer->newest_only && tail > 0 ? tail - 1 : tail,
                .tail = tail,
                .epoch = mapped->epoch,
        };
        /* relaxed: for display */
        shmb_store_relaxed(&place->done, consumer->cursors[index].next);
        /* release: the count is that of the new lane; pairs with nothing, for display */
        shmb_store_release(&place->epoch, mapped->epoch);
}

int shmb_cast_consumer_init(ShmbCastConsumer *consumer, const ShmbGeometry *geometry,
                            const ShmbMapped *seat, const ShmbMapped *lanes, uint8_t *copies,
                            uint32_t n_copies_max) {
        uint64_t lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE);
        uint32_t i;

        if (!cast_has_kind(geometry) || n_copies_max < 1 ||
            !shmb_mapped_fits(seat, shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT)))
                return -EINVAL;
        for (i = 0; i < geometry->n_lanes; i++)
                if (!shmb_mapped_fits(&lanes[i], lane_size))
                        return -EINVAL;
        *consumer = (ShmbCastConsumer){
                .seat = seat->memory,
                .copies = copies,
                .n_copies_max = n_copies_max,
                .capacity = geometry->capacity,
                .stride = geometry->stride,
                .item_size = geometry->item_size,
                .n_lanes = geometry->n_lanes,
                .newest_only = geometry->kind == SHMB_KIND_LATEST,
                .lane_size = lane_size,
        };
        for (i = 0; i < geometry->n_lanes; i++)
                cast_enter_lane(consumer, i, &lanes[i], false);
        return 0;
}

static int cast_poison(ShmbCastConsumer *consumer, ShmbCastCursor *cursor) {
        cursor->poisoned = true;
        cursor->next = cursor->tail;
        consumer->n_poison_unsaid++;
        return -EBADMSG;
}

static int cast_read_tail(ShmbCastConsumer *consumer, ShmbCastCursor *cursor) {
        uint64_t tail;

        if (cursor->last || cursor->poisoned)
                return 0;
        /* acquire: makes the items below tail visible; pairs with release of tail in cast_end() */
        tail = shmb_load_acquire(&cursor->lane->tail);
        /* acquire: ordered after tail by its own; and before the tail that is the last one, lest
         * what was published in between is lost; pairs with release in control_set_party() */
        if (shmb_load_acquire(cursor->newest) != cursor->epoch) {
                cursor->last = true;
                /* acquire: as above */
                tail = shmb_load_acquire(&cursor->lane->tail);
        }
        /* The peer's word: not behind what he said before. */
        if (tail < cursor->tail)
                return cast_poison(consumer, cursor);
        cursor->tail = tail;
        return 0;
}

static void cast_miss(ShmbCastConsumer *consumer, ShmbCastCursor *cursor, uint64_t next) {
        _Atomic uint64_t *n_missed = &consumer->seat->counters.n_missed;
        uint64_t n = next - cursor->next;

        cursor->next = next;
        consumer->n_missed += n;
        /* relaxed: for display, only we write it */
        shmb_store_relaxed(n_missed, shmb_load_relaxed(n_missed) + n);
}

/*
 * C3 to C5, of the oldest item that was copied; before a copy, whether it is worth it. Return: 1; 0
 * (it is not: the cursor stands where it may be tried again); -EBADMSG.
 */
static int cast_is_whole(ShmbCastConsumer *consumer, ShmbCastCursor *cursor) {
        uint64_t claimed, next;

        /* acquire fence: what was copied was copied before; pairs with the release fence of
         * cast_begin() */
        atomic_thread_fence(memory_order_acquire);
        /* relaxed: ordered by the fence */
        claimed = shmb_load_relaxed(&cursor->lane->claimed);
        /* The peer's word: never behind a tail; it may be newer than the one that is known here. */
        if (claimed < cursor->tail)
                return cast_poison(consumer, cursor);
        if (claimed - cursor->next <= consumer->capacity)
                return 1;
        next = claimed - consumer->capacity + consumer->capacity / CAST_SLACK_PARTS;
        if (cast_read_tail(consumer, cursor) < 0)
                return -EBADMSG;
        cast_miss(consumer, cursor, next < cursor->tail ? next : cursor->tail);
        return 0;
}

/* `latest`: everything but the newest is missed. */
static void cast_skip_to_newest(ShmbCastConsumer *consumer, ShmbCastCursor *cursor) {
        if (consumer->newest_only && cursor->tail - cursor->next > 1)
                cast_miss(consumer, cursor, cursor->tail - 1);
}

/* Up to @n whole items of one lane, copied. Return: how many; 0: none; -EBADMSG. */
static int cast_copy(ShmbCastConsumer *consumer, ShmbCastCursor *cursor, uint8_t *to,
                     uint32_t to_stride, uint32_t n) {
        const uint8_t *slots = cursor->lane->slots;
        uint64_t slot;
        uint32_t i, k;
        int r = 0;

        for (k = 0; r == 0 && k < CAST_TRIES; k++) {
                if (cast_read_tail(consumer, cursor) < 0)
                        return -EBADMSG;
                cast_skip_to_newest(consumer, cursor);
                r = cast_is_whole(consumer, cursor);
                if (r <= 0)
                        continue;
                if (cursor->next == cursor->tail)
                        return 0;
                if (n > cursor->tail - cursor->next)
                        n = (uint32_t)(cursor->tail - cursor->next);
                for (i = 0; i < n; i++) {
                        slot = cast_slot(consumer->capacity, cursor->next + i);
                        shmb_copy_out(to + (size_t)i * to_stride, slots + slot * consumer->stride,
                                      consumer->item_size);
                }
                r = cast_is_whole(consumer, cursor);
        }
        return r > 0 ? (int)n : r;
}

static int cast_nothing(ShmbCastConsumer *consumer) {
        uint32_t i;

        if (consumer->n_poison_unsaid > 0) {
                consumer->n_poison_unsaid--;
                return -EBADMSG;
        }
        for (i = 0; i < consumer->n_lanes; i++)
                if (!consumer->cursors[i].poisoned)
                        return -EAGAIN;
        return -EBADMSG;
}

int shmb_cast_look(ShmbCastConsumer *consumer) {
        ShmbCastCursor *cursor;
        uint32_t i;

        if (consumer->n_peeked > 0)
                return 0;
        for (i = 0; i < consumer->n_lanes; i++) {
                cursor = &consumer->cursors[(consumer->turn + i) % consumer->n_lanes];
                if (!cursor->poisoned && cast_read_tail(consumer, cursor) == 0 &&
                    cursor->tail != cursor->next)
                        return 0;
        }
        return cast_nothing(consumer);
}

/* Copies from the next lane that has anything. Return: how many, -EAGAIN, -EBADMSG. */
static int cast_copy_next(ShmbCastConsumer *consumer, uint8_t *to, uint32_t to_stride,
                          uint32_t n) {
        uint32_t i, index;
        int r;

        for (i = 0; i < consumer->n_lanes; i++) {
                index = (consumer->turn + i) % consumer->n_lanes;
                if (consumer->cursors[index].poisoned)
                        continue;
                r = cast_copy(consumer, &consumer->cursors[index], to, to_stride, n);
                if (r <= 0)
                        continue;
                consumer->turn = index;
                return r;
        }
        return cast_nothing(consumer);
}

static void cast_taken(ShmbCastConsumer *consumer, uint32_t n) {
        ShmbCastCursor *cursor = &consumer->cursors[consumer->turn];
        ShmbCounters *counters = &consumer->seat->counters;

        cursor->next += n;
        /* relaxed, both: for display, only we write them */
        shmb_store_relaxed(&cursor->place->done, cursor->next);
        shmb_store_relaxed(&counters->n_items, shmb_load_relaxed(&counters->n_items) + n);
        consumer->turn = (consumer->turn + 1) % consumer->n_lanes;
}

int shmb_cast_read(ShmbCastConsumer *consumer, void *ret_items, uint32_t n) {
        int r;

        if (consumer->n_peeked > 0)
                return -EBUSY;
        if (n == 0)
                return 0;
        r = cast_copy_next(consumer, ret_items, consumer->item_size, n);
        if (r > 0)
                cast_taken(consumer, (uint32_t)r);
        return r;
}

int shmb_cast_peek(ShmbCastConsumer *consumer, uint32_t n, ShmbRingSpan *ret_span) {
        int r;

        if (consumer->n_peeked == 0) {
                if (n > consumer->n_copies_max)
                        n = consumer->n_copies_max;
                r = n > 0 ? cast_copy_next(consumer, consumer->copies, consumer->stride, n) : 0;
                if (r < 0)
                        return r;
                consumer->n_copied = (uint32_t)r;
        }
        consumer->n_peeked = n < consumer->n_copied ? n : consumer->n_copied;
        *ret_span = (ShmbRingSpan){consumer->copies, consumer->n_peeked};
        return (int)consumer->n_peeked;
}

int shmb_cast_release(ShmbCastConsumer *consumer, uint32_t n) {
        if (n > consumer->n_peeked)
                return -EINVAL;
        consumer->n_peeked = consumer->n_copied = 0;
        if (n > 0)
                cast_taken(consumer, n);
        return 0;
}

int shmb_cast_switch_lane(ShmbCastConsumer *consumer, uint32_t index, const ShmbMapped *lane) {
        ShmbCastCursor *cursor;

        if (index >= consumer->n_lanes || !shmb_mapped_fits(lane, consumer->lane_size))
                return -EINVAL;
        cursor = &consumer->cursors[index];
        if (consumer->n_peeked > 0 && consumer->turn == index)
                return -EBUSY;
        (void)cast_read_tail(consumer, cursor);
        cursor->last = true;
        if (cursor->tail != cursor->next && !cursor->poisoned)
                return -EAGAIN;
        cast_enter_lane(consumer, index, lane, true);
        return 0;
}

int shmb_cast_trust_lane(ShmbCastConsumer *consumer, uint32_t index) {
        ShmbCastCursor *cursor;

        if (index >= consumer->n_lanes)
                return -EINVAL;
        cursor = &consumer->cursors[index];
        /* relaxed: who calls has seen the broker's news of the holder, and with them the epoch */
        if (!cursor->poisoned || cursor->last ||
            shmb_load_relaxed(cursor->newest) != cursor->epoch)
                return 0;
        cursor->poisoned = false;
        cursor->tail = 0;
        (void)cast_read_tail(consumer, cursor);
        cursor->next = cursor->tail;
        return 0;
}

int shmb_cast_lose(ShmbCastConsumer *consumer, uint32_t index) {
        ShmbCastCursor *cursor = &consumer->cursors[index];

        if (cursor->poisoned)
                return 0;
        (void)cast_poison(consumer, cursor);
        if (index != consumer->turn)
                return 0;
        consumer->n_poison_unsaid--;
        consumer->n_peeked = consumer->n_copied = 0;
        return -EBADMSG;
}

uint32_t shmb_cast_words(const ShmbCastConsumer *consumer, ShmbSleepWord *ret_words) {
        const _Atomic uint32_t *bell;
        uint32_t i, n = 0;

        for (i = 0; i < consumer->n_lanes; i++) {
                /* Where the memory was lost nobody can wait. */
                if (consumer->cursors[i].poisoned)
                        continue;
                bell = &consumer->cursors[i].lane->bell.bell;
                /* relaxed: stays before the release of seq in shmb_sleep_enter() */
                ret_words[n++] = (ShmbSleepWord){bell, shmb_load_relaxed(bell)};
        }
        return n;
}
