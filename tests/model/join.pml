/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Joining a Reliable Broadcast, as a Model
 *
 * One producer, N items, two slots; a seat that is taken by one consumer (lease 1), who may die at
 * any step, and then by its successor (lease 2), who finds its place as the dead one left it. Store
 * buffers as in group.pml (PSO with release); the broker's stores to control are not held back.
 *
 * Searched for: an item that is not what its index says (lapped, or a gap), a consumer that waits
 * for ever.
 *
 * Mutants, each of which must be caught:
 *
 *     AT_LATE      joins[j].lease may be visible before joins[j].at
 *     NO_FLOOR     the seat counts only when its place says the lease, not from `at` on
 *     NO_WAIT      the consumer starts at tail instead of waiting to be admitted
 */

#define N 4
#define CAPACITY 2
#define TAIL 0
#define SLOT 1
#define AT 3
#define JOIN_LEASE 4
#define HEAD 5
#define PLACE_LEASE 6
#define LEASE 7
byte memory[8];
bool killed[3];

/* Store buffers: 0 the producer's, 1 and 2 those of the leases. */
#define BUFFER 3
typedef Store {
        byte word;
        byte value;
        bool release
};
typedef Buffer {
        Store store[BUFFER];
        byte n
};
Buffer buffers[3];

inline store_to_buffer(side, w, v, r) {
        d_step {
                buffers[side].n < BUFFER ->
                buffers[side].store[buffers[side].n].word = w;
                buffers[side].store[buffers[side].n].value = v;
                buffers[side].store[buffers[side].n].release = r;
                buffers[side].n++
        }
}

/* The store at @at reaches the memory. */
inline drain(side, at) {
        memory[buffers[side].store[at].word] = buffers[side].store[at].value;
        k = at + 1;
        do
        :: k < buffers[side].n ->
                buffers[side].store[k - 1].word = buffers[side].store[k].word;
                buffers[side].store[k - 1].value = buffers[side].store[k].value;
                buffers[side].store[k - 1].release = buffers[side].store[k].release;
                k++
        :: else -> break
        od;
        buffers[side].n--;
        buffers[side].store[buffers[side].n].word = 0;
        buffers[side].store[buffers[side].n].value = 0;
        buffers[side].store[buffers[side].n].release = false;
        k = 0
}

inline drain_all(side) {
        do
        :: buffers[side].n > 0 -> drain(side, 0)
        :: else -> break
        od
}

proctype hardware(byte side) {
        byte k;
end:
        do
        :: atomic { buffers[side].n > 0 -> drain(side, 0) }
        :: atomic {
                buffers[side].n > 1 && !buffers[side].store[1].release &&
                buffers[side].store[1].word != buffers[side].store[0].word -> drain(side, 1)
        }
        od
}

#ifdef AT_LATE
#define JOIN_RELEASE false
#else
#define JOIN_RELEASE true
#endif

proctype producer() {
        byte tail, known, floor, head;

end:
        do
        :: memory[LEASE] != known ->
                /* shmb_cast_publish(), on news: at first, then the lease, release */
                atomic { known = memory[LEASE]; head = 0 };
                if
                :: known != 0 ->
                        floor = tail;
                        store_to_buffer(0, AT, tail, false);
                        store_to_buffer(0, JOIN_LEASE, known, JOIN_RELEASE)
                :: else
                fi
        :: tail < N ->
                /* shmb_cast_publish(): the limit. acquire the place's lease, then its head */
                if
                :: known == 0 -> head = tail
                :: known != 0 && memory[PLACE_LEASE] == known -> head = memory[HEAD]
#ifdef NO_FLOOR
                :: known != 0 && memory[PLACE_LEASE] != known -> head = tail
#else
                :: known != 0 && memory[PLACE_LEASE] != known -> head = floor
#endif
                fi;
                if
                :: tail - head < CAPACITY ->
                        store_to_buffer(0, SLOT + tail % CAPACITY, tail + 1, false);
                        tail++;
                        store_to_buffer(0, TAIL, tail, true)
                :: else ->
                        /* full: until a head or the lease changes */
                        (memory[LEASE] != known || (memory[PLACE_LEASE] == known &&
                         tail - memory[HEAD] < CAPACITY))
                fi;
                head = 0
        od
}

proctype consumer(byte lease) {
        byte next, item;

        {
#ifdef NO_WAIT
        next = memory[TAIL];
#else
        /* shmb_cast_read(): admitted? acquire the lease, then at */
        memory[JOIN_LEASE] == lease;
        next = memory[AT];
#endif
        store_to_buffer(lease, HEAD, next, false);
        store_to_buffer(lease, PLACE_LEASE, lease, true);
        do
        :: next == N -> break
        :: next < N && memory[TAIL] > next ->
                /* shmb_cast_read(): acquire tail, the item */
                item = memory[SLOT + next % CAPACITY];
                assert(item == next + 1);
                item = 0;
                next++;
                store_to_buffer(lease, HEAD, next, true)
        od
        } unless { killed[lease] }
}

proctype broker() {
        byte k;

        memory[LEASE] = 1;
        /* proof: nothing of the dead one is still on its way */
        atomic { killed[1] = true; drain_all(1) };
        memory[LEASE] = 0;
        memory[LEASE] = 2;
        run consumer(2)
}

init {
        atomic {
                run hardware(0);
                run hardware(1);
                run hardware(2);
                run producer();
                run consumer(1);
                run broker()
        }
}
