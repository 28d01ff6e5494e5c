/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lossy Broadcast, as a Model
 *
 * One producer that overwrites, one reader, N items of two words each, two slots. The producer's
 * stores wait in a buffer and may reach the memory in any order, but for one word's own order; a
 * release store waits for all before it, and no store below a release fence overtakes one above it
 * (PSO with release: weaker than x86). Loads are done in program order: the reader's acquire and its
 * acquire fence are what asks that of a processor that reorders them.
 *
 * An item is valid if `claimed` - index <= capacity behind the copy; a valid one is never torn.
 *
 * Mutants, each of which must be caught:
 *
 *     NO_FENCE         no release fence between claimed and the slots
 *     CLAIM_LATE       claimed is stored behind the slots
 *     NO_CHECK         the reader does not look at claimed behind the copy
 *     CHECK_BEFORE     it looks before the copy: no acquire fence
 *     TAIL_NOT_RELEASE tail may be visible before the item
 */

#define N 4
#define CAPACITY 2
#define TAIL 0
#define CLAIMED 1
#define SLOT(_i, _half) (2 + ((_i) % CAPACITY) * 2 + (_half))
#define BUFFER 12

byte memory[6];

/* The store buffer; a store with @fence is overtaken by none, one with @release overtakes none. */
typedef Store {
        byte word;
        byte value;
        bool fence;
        bool release
};
Store store[BUFFER];
byte n;

inline store_to_buffer(w, v, f, r) {
        atomic {
                n < BUFFER ->
                store[n].word = w;
                store[n].value = v;
                store[n].fence = f;
                store[n].release = r;
                n++
        }
}

/* May the store at @at pass those before it? */
inline drain_if_free(at) {
        k = 0;
        do
        :: k < at && !store[k].fence && store[k].word != store[at].word -> k++
        :: else -> break
        od;
        if
        :: k == at && (at == 0 || !store[at].release) ->
                memory[store[at].word] = store[at].value;
                do
                :: k + 1 < n ->
                        store[k].word = store[k + 1].word;
                        store[k].value = store[k + 1].value;
                        store[k].fence = store[k + 1].fence;
                        store[k].release = store[k + 1].release;
                        k++
                :: else -> break
                od;
                n--;
                store[n].word = 0;
                store[n].value = 0;
                store[n].fence = false;
                store[n].release = false
        :: else
        fi;
        k = 0
}

proctype hardware() {
        byte k;
end:
        do
        :: atomic { n > 0 -> drain_if_free(0) }
        :: atomic { n > 1 -> drain_if_free(1) }
        :: atomic { n > 2 -> drain_if_free(2) }
        :: atomic { n > 3 -> drain_if_free(3) }
        od
}

#ifdef NO_FENCE
#define FENCE false
#else
#define FENCE true
#endif
#ifdef TAIL_NOT_RELEASE
#define RELEASE false
#else
#define RELEASE true
#endif

proctype producer() {
        byte tail;

        do
        :: tail == N -> break
        :: tail < N ->
                /* shmb_cast_publish(): claimed relaxed, release fence, the slots, tail release */
#ifndef CLAIM_LATE
                store_to_buffer(CLAIMED, tail + 1, FENCE, false);
#endif
                store_to_buffer(SLOT(tail, 0), tail + 1, false, false);
                store_to_buffer(SLOT(tail, 1), tail + 1, false, false);
#ifdef CLAIM_LATE
                store_to_buffer(CLAIMED, tail + 1, FENCE, false);
#endif
                tail++;
                store_to_buffer(TAIL, tail, false, RELEASE)
        od
}

proctype reader() {
        byte tail, claimed, next, first, second;

        do
        :: next >= N -> break
        :: next < N && memory[TAIL] > next ->
                /* shmb_cast_read(): acquire tail; what is lapped for certain is passed over */
                tail = memory[TAIL];
                if
                :: tail - next > CAPACITY -> next = tail - CAPACITY
                :: else
                fi;
#ifdef CHECK_BEFORE
                claimed = memory[CLAIMED];
#endif
                first = memory[SLOT(next, 0)];
                second = memory[SLOT(next, 1)];
#ifndef CHECK_BEFORE
                /* shmb_cast_read(): acquire fence, claimed */
                claimed = memory[CLAIMED];
#endif
                if
#ifdef NO_CHECK
                :: true ->
#else
                :: claimed > next + CAPACITY -> next++
                :: claimed <= next + CAPACITY ->
#endif
                        assert(first == next + 1 && second == next + 1);
                        next++
                fi;
                first = 0;
                second = 0;
                claimed = 0;
                tail = 0
        od
}

init {
        atomic {
                run hardware();
                run producer();
                run reader()
        }
}
