/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Producer's End of a Ring, the part that looks at the peer
 *
 * Invariant: for each seat, head <= freed <= tail <= freed + capacity, with `head` and `freed` the
 * newest that were believed; limit == the least freed + capacity, and it only rises. So slots
 * [tail, limit) are ours whatever a consumer does later.
 *
 * A head is believed only if, after it was loaded, the broker still names that seat's object as the
 * newest. Otherwise a superseded consumer that runs on could free slots which its successor, who
 * started from an older copy of the same words, has not read yet: the broker first publishes the
 * new epoch and then copies, so a head that is newer than the copy is also newer than the epoch.
 * The same question about our own lane decides whether a place that went backwards is a lie or a
 * consumer that has moved on to our successor's lane.
 */

#include "memory/ring-producer.h"

enum {
        /* What one call of shmb_ring_producer_warm() fetches: as many lines as processors move at a
         * time. */
        PRODUCER_WARM_BYTES = 2048,
        /* Lines are this long at least. */
        PRODUCER_WARM_STEP = 64,
        /* Copying a larger item is itself a run of stores to one line after the other. */
        PRODUCER_WARM_STRIDE_MAX = 256,
};

static int producer_poison(ShmbRingProducer *producer) {
        producer->poisoned = true;
        producer->n_claimed = 0;
        /* The fast path finds no room, and comes here. */
        producer->limit = producer->tail;
        return -EBADMSG;
}

static void producer_set_seat(ShmbRingProducer *producer, uint32_t index,
                              const ShmbMapped *mapped) {
        const ShmbSeat *seat = mapped->memory;
        ShmbRingSeat *known = &producer->seats[index];

        known->place = &seat->places[producer->lane_index];
        known->newest = mapped->newest;
        known->bell = &seat->bell;
        known->epoch = mapped->epoch;
        shmb_waker_set_peer(&producer->waker, index, &seat->sleep);
}

/* Believes what one seat says of its place in our lane, or leaves it as it is. */
static int producer_read_head(const ShmbRingProducer *producer, ShmbRingSeat *seat,
                              ShmbRingLook look) {
        bool is_exact = look == SHMB_RING_EXACT;
        uint64_t freed, floor = is_exact ? seat->freed : seat->head;

        /* acquire: counts that belong to our epoch are read, or newer; pairs with release of epoch
         * in consumer_enter_lane() */
        if (shmb_load_acquire(&seat->place->epoch) != producer->epoch)
                return 0;
        /* acquire: counts of that lease are read, or newer; pairs with release of lease in
         * consumer_join() */
        if (producer->admits && shmb_load_acquire(&seat->place->lease) != seat->lease)
                return 0;
        /* acquire: the consumer has read all items below, their slots may be filled again; pairs
         * with release of head and done in shmb_ring_consumer_done() */
        freed = shmb_load_acquire(is_exact ? &seat->place->done : &seat->place->head);
        /* relaxed: both are ordered after head by its acquire, and that is the order that counts */
        if (shmb_load_relaxed(seat->newest) != seat->epoch)
                return 0;
        if (shmb_load_relaxed(producer->newest) != producer->epoch)
                return 0;
        /* The peer's word: not behind what he said before, not beyond what we published. */
        if (freed - floor > producer->tail - floor)
                return -EBADMSG;
        if (!is_exact)
                seat->head = freed;
        /* head lags behind the done that we may have seen */
        if (producer->tail - freed < producer->tail - seat->freed)
                seat->freed = freed;
        return 0;
}

/* Goes on over what members of the group are done with. */
static uint64_t producer_read_group(ShmbRingProducer *producer) {
        uint64_t freed = shmb_slots_done_below(&producer->group, producer->group_freed,
                                               producer->tail);

        /* relaxed, both: ordered after the words by their acquire; a word of a group that was
         * replaced, or of a lane that is somebody else's by now, says nothing */
        if (shmb_load_relaxed(producer->group_newest) == producer->group_epoch &&
            shmb_load_relaxed(producer->newest) == producer->epoch)
                producer->group_freed = freed;
        return producer->tail - producer->group_freed;
}

/* Sets the limit by the place of the slowest seat. */
static int producer_read_heads(ShmbRingProducer *producer, ShmbRingLook look) {
        uint64_t n_in_flight = 0;
        uint32_t i;
        int r, result = 0;

        if (producer->group.words) {
                n_in_flight = producer_read_group(producer);
                producer->limit = producer->tail - n_in_flight + producer->mask + 1;
                return 0;
        }
        for (i = 0; i < producer->n_seats; i++) {
                ShmbRingSeat *seat = &producer->seats[i];

                if (producer->admits && (seat->lease == 0 || seat->lost))
                        continue;
                r = producer_read_head(producer, seat, look);
                if (r < 0) {
                        seat->lost = true;
                        result = r;
                        continue;
                }
                if (producer->tail - seat->freed > n_in_flight)
                        n_in_flight = producer->tail - seat->freed;
        }
        producer->limit = producer->tail - n_in_flight + producer->mask + 1;
        return result;
}

/* In a queue: no further than there is memory; and short of that once, to ask for more. */
static void producer_stop_at_backed(ShmbRingProducer *producer) {
        uint64_t backed, n;

        if (!producer->backed)
                return;
        /* acquire: the memory is there; pairs with release of backed in control_set_party() */
        backed = shmb_load_acquire(producer->backed);
        n = backed - producer->tail;
        /* Less than there was: it belongs to our lane's next epoch. */
        if (n > UINT64_MAX / 2)
                n = 0;
        if (producer->limit - producer->tail < n)
                return;
        if (n > producer->ahead)
                n -= producer->ahead;
        else
                producer->hungry = backed;
        producer->limit = producer->tail + n;
}

/* Before heads are read anew, they tell how full the lane was at the most. */
static void producer_note_high_water(ShmbRingProducer *producer) {
        _Atomic uint64_t *high_water = &producer->lane->counters.high_water;
        uint64_t n_in_flight = producer->mask + 1 - (producer->limit - producer->tail);

        /* relaxed: for display, only we write it */
        if (n_in_flight > shmb_load_relaxed(high_water))
                shmb_store_relaxed(high_water, n_in_flight);
}

int shmb_ring_producer_look(ShmbRingProducer *producer, ShmbRingLook look) {
        int r;

        if (producer->poisoned)
                return -EBADMSG;
        r = producer_read_heads(producer, SHMB_RING_LAZY);
        if (r == 0 && look == SHMB_RING_EXACT &&
            producer->limit - producer->tail < producer->n_wanted)
                r = producer_read_heads(producer, SHMB_RING_EXACT);
        /* Of a broadcast only who lied is out: he held back the others. */
        if (r < 0)
                return producer->admits ? r : producer_poison(producer);
        producer_note_high_water(producer);
        producer_stop_at_backed(producer);
        return producer->limit - producer->tail < producer->n_wanted ? -EAGAIN : 0;
}

int shmb_ring_producer_lose(ShmbRingProducer *producer) {
        return producer_poison(producer);
}

void shmb_ring_producer_warm(ShmbRingProducer *producer) {
        uint64_t n = producer->warm_mask + 1, offset, nothing = 0;
        uint8_t *block;

        /* Only what is free for sure: [tail + n, tail + 2n), which starts at a multiple of n. */
        if (producer->limit - producer->tail < 2 * n)
                return;
        block = producer->slots + ((producer->tail + n) & producer->mask) * producer->stride;
        for (offset = 0; offset + sizeof(nothing) <= n * producer->stride;
             offset += PRODUCER_WARM_STEP)
                memcpy(block + offset, &nothing, sizeof(nothing));
}

/* Items of a block of PRODUCER_WARM_BYTES, a power of two or 0, less one. */
static uint64_t producer_warm_mask(uint32_t stride) {
        uint64_t n = 1;

        if (stride > PRODUCER_WARM_STRIDE_MAX)
                return UINT64_MAX;
        while (2 * n * stride <= PRODUCER_WARM_BYTES)
                n *= 2;
        return n - 1;
}

/*
 * The first head of a seat. Where nothing can be believed yet, as if the lane were full: that
 * claims no slot that anybody may still read.
 */
static int producer_first_head(const ShmbRingProducer *producer, ShmbRingSeat *seat) {
        uint64_t capacity = producer->mask + 1;
        uint64_t head = 0;

        /* acquire twice: as in producer_read_head() */
        if (shmb_load_acquire(&seat->place->epoch) == producer->epoch)
                head = shmb_load_acquire(&seat->place->head);
        /* relaxed: as in producer_read_head() */
        if (shmb_load_relaxed(seat->newest) != seat->epoch)
                head = producer->tail < capacity ? 0 : producer->tail - capacity;
        if (producer->tail - head > capacity)
                return -EBADMSG;
        seat->head = head;
        seat->freed = head;
        return 0;
}

int shmb_ring_producer_init(ShmbRingProducer *producer, const ShmbGeometry *geometry,
                            uint32_t lane_index, const ShmbMapped *lane, const ShmbMapped *seats,
                            bool fence_always) {
        uint64_t lane_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_LANE);
        uint64_t seat_size = shmb_geometry_object_size(geometry, SHMB_OBJECT_SEAT);
        uint32_t i;
        int r;

        if (!shmb_ring_has_kind(geometry->kind) || lane_index >= geometry->n_lanes)
                return -EINVAL;
        if (!shmb_mapped_fits(lane, lane_size))
                return -EINVAL;
        for (i = 0; i < geometry->n_seats; i++)
                if (!shmb_mapped_fits(&seats[i], seat_size))
                        return -EINVAL;

        *producer = (ShmbRingProducer){
                .lane = lane->memory,
                .slots = ((ShmbLane *)lane->memory)->slots,
                .mask = geometry->capacity - 1,
                .warm_mask = producer_warm_mask(geometry->stride),
                .stride = geometry->stride,
                .item_size = geometry->item_size,
                .n_wanted = 1,
                .n_seats = geometry->n_seats,
                .lane_index = lane_index,
                .epoch = lane->epoch,
                .newest = lane->newest,
                .admits = geometry->kind == SHMB_KIND_BROADCAST,
                .seat_size = seat_size,
        };
        /* relaxed: only we write it; the broker ordered our predecessor before us */
        producer->tail = shmb_load_relaxed(&producer->lane->tail);
        producer->limit = producer->tail;
        shmb_waker_init(&producer->waker, &producer->lane->bell,
                        &producer->lane->counters.n_wakes, fence_always);
        for (i = 0; i < geometry->n_seats; i++) {
                producer_set_seat(producer, i, &seats[i]);
                /* Where consumers compete no seat has a head; of a broadcast, who is admitted. */
                r = shmb_geometry_competes(geometry) || producer->admits
                                    ? 0
                                    : producer_first_head(producer, &producer->seats[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Where the holder of a seat was there before us: whom our predecessor admitted, as both say. */
static void producer_resume_seat(const ShmbRingProducer *producer, ShmbRingSeat *seat,
                                const ShmbJoin *join) {
        /* relaxed: only we write it; the broker ordered our predecessor before us */
        uint64_t head = shmb_load_relaxed(&join->at);

        /* acquire, both: as in producer_read_head() */
        if (shmb_load_acquire(&seat->place->epoch) == producer->epoch &&
            shmb_load_acquire(&seat->place->lease) == seat->lease)
                head = shmb_load_acquire(&seat->place->head);
        seat->lost = producer->tail - head > producer->mask + 1;
        seat->head = seat->freed = head;
}

void shmb_ring_producer_admit(ShmbRingProducer *producer, uint32_t index, uint64_t lease,
                             bool resume) {
        ShmbJoin *join = &producer->lane->joins[index];
        ShmbRingSeat *seat = &producer->seats[index];

        if (seat->lease == lease)
                return;
        seat->lease = lease;
        seat->lost = false;
        if (lease == 0)
                return;
        /* relaxed: only we write it; a predecessor who was hostile denies whom he admitted.
         * acquire: as in producer_read_head() */
        if (resume && (shmb_load_relaxed(&join->lease) == lease ||
                       shmb_load_acquire(&seat->place->lease) == lease)) {
                producer_resume_seat(producer, seat, join);
                return;
        }
        seat->head = seat->freed = producer->tail;
        /* relaxed: published by the next store */
        shmb_store_relaxed(&join->at, producer->tail);
        /* release: `at` goes with it; pairs with acquire in consumer_join() */
        shmb_store_release(&join->lease, lease);
}

int shmb_ring_producer_set_group(ShmbRingProducer *producer, const ShmbGeometry *geometry,
                                 const ShmbMapped *group) {
        uint64_t capacity = producer->mask + 1;
        ShmbSlots slots;

        if (!shmb_mapped_fits(group, shmb_geometry_object_size(geometry, SHMB_OBJECT_GROUP)))
                return -EINVAL;
        slots = shmb_slots_of(geometry, group->memory, producer->lane_index, producer->epoch);
        if (!producer->group.words && !shmb_slots_fit(&slots, producer->tail, true))
                return -EBADMSG;
        if (!producer->group.words && producer->tail > capacity)
                producer->group_freed = producer->tail - capacity;
        producer->group = slots;
        producer->group_newest = group->newest;
        producer->group_epoch = group->epoch;
        producer->poisoned = false;
        shmb_waker_set_bells(&producer->waker, producer->lane->bells);
        return 0;
}

int shmb_ring_producer_set_backed(ShmbRingProducer *producer, const _Atomic uint64_t *backed,
                                  uint64_t ahead) {
        /* acquire: as in producer_stop_at_backed() */
        if (shmb_load_acquire(backed) - producer->tail > UINT64_MAX / 2)
                return -EBADMSG;
        producer->backed = backed;
        producer->ahead = ahead;
        producer->limit = producer->tail;
        return 0;
}

int shmb_ring_producer_switch_seat(ShmbRingProducer *producer, uint32_t index,
                                   const ShmbMapped *seat) {
        if (index >= producer->n_seats || !shmb_mapped_fits(seat, producer->seat_size))
                return -EINVAL;
        /* Its head is believed from where the old one stood: slots once freed stay ours. */
        producer_set_seat(producer, index, seat);
        producer->poisoned = false;
        return 0;
}

int shmb_ring_push_slow(ShmbRingProducer *producer, const void *items, uint32_t n,
                        ShmbRingLook look) {
        const uint8_t *from = items;
        uint32_t n_moved = 0;
        ShmbRingSpan span;
        int r;

        if (producer->poisoned)
                return -EBADMSG;
        if (producer->n_claimed > 0)
                return -EBUSY;
        if (n > INT32_MAX)
                n = INT32_MAX;
        while (n_moved < n) {
                r = shmb_ring_claim_n(producer, n - n_moved, look, &span);
                if (r < 0)
                        return n_moved > 0 ? (int)n_moved : r;
                shmb_ring_copy(span.data, producer->stride, from, producer->item_size,
                               producer->item_size, span.n);
                from += (size_t)span.n * producer->item_size;
                n_moved += span.n;
                producer->n_claimed = 0;
                shmb_ring_producer_publish(producer, span.n);
        }
        return (int)n_moved;
}

uint32_t shmb_ring_producer_words(const ShmbRingProducer *producer, ShmbSleepWord *ret_words) {
        uint32_t i;

        for (i = 0; i < producer->n_seats; i++) {
                const _Atomic uint32_t *bell = &producer->seats[i].bell->bell;

                /* relaxed: stays before the release of seq in shmb_sleep_enter() */
                ret_words[i] = (ShmbSleepWord){bell, shmb_load_relaxed(bell)};
        }
        return producer->n_seats;
}
