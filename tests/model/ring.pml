/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Ring with a Sleeper, as a Model
 *
 * One producer, one consumer, N items, CAPACITY slots, either side asleep when it finds nothing to do:
 * memory/sleep.h step by step, S1-S6 and W1-W5, for both directions (tail wakes the consumer, done
 * wakes the producer). The memory is that of x86 (TSO): each side's stores wait in a buffer of its own,
 * in order, and may reach the memory at any later time; a load sees its own buffer first. A futex call
 * and an atomic comparison in the kernel act on memory; a system call empties the caller's buffer.
 * Time-outs are left out: a wake-up that is lost is a deadlock, which is what spin looks for.
 *
 * Four programs come of it (tests/model/meson.build):
 *
 *     spin -run ring.pml                  no deadlock, no assertion violated
 *     spin -run -DFENCE ring.pml          both sides fence instead (SHMB_SLEEP_FENCE): the same
 *     spin -run -DNO_MEMBARRIER ring.pml  S3 left out: must deadlock
 *     spin -run -DNO_BELL ring.pml        W4 left out: must deadlock
 */

#define N 3
#ifndef CAPACITY
#define CAPACITY 1
#endif

/* Words of the memory. Sides: 0 is the producer, 1 the consumer. */
#define TAIL 0
#define DONE 1
#define SEQ0 2
#define SEQ1 3
#define BELL0 4
#define BELL1 5
#define SLOT0 6
#define WORDS (SLOT0 + CAPACITY)

#define BUFFER 6

byte memory[WORDS];

/* Store buffers: word and value, oldest first. */
typedef Store {
        byte word;
        byte value
};
typedef Buffer {
        Store store[BUFFER];
        byte n
};
Buffer buffers[2];

/* Who waits in the kernel, on the other side's bell. */
bool asleep[2];

byte n_over;

inline store_to_buffer(side, w, v) {
        d_step {
                assert(buffers[side].n < BUFFER);
                buffers[side].store[buffers[side].n].word = w;
                buffers[side].store[buffers[side].n].value = v;
                buffers[side].n++
        }
}

/* Its own newest store, else the memory. */
inline load(side, w, into) {
        d_step {
                into = memory[w];
                k = 0;
                do
                :: k < buffers[side].n ->
                        if
                        :: buffers[side].store[k].word == w -> into = buffers[side].store[k].value
                        :: else
                        fi;
                        k++
                :: else -> break
                od;
                k = 0
        }
}

inline drain_one(side) {
        memory[buffers[side].store[0].word] = buffers[side].store[0].value;
        k = 1;
        do
        :: k < buffers[side].n ->
                buffers[side].store[k - 1].word = buffers[side].store[k].word;
                buffers[side].store[k - 1].value = buffers[side].store[k].value;
                k++
        :: else -> break
        od;
        buffers[side].n--;
        buffers[side].store[buffers[side].n].word = 0;
        buffers[side].store[buffers[side].n].value = 0;
        k = 0
}

/* A system call, or the barrier that membarrier runs on the other processor. */
inline drain_all(side) {
        do
        :: buffers[side].n > 0 -> drain_one(side)
        :: else -> break
        od
}

/* The hardware: any buffer gives its oldest store to the memory at any time. */
proctype hardware(byte side) {
        byte k;
end:
        do
        :: atomic { buffers[side].n > 0 -> drain_one(side) }
        od
}

/* W2 to W5; W1 was done. */
inline wake(side) {
#ifdef FENCE
        atomic { drain_all(side) }
#endif
        load(side, SEQ0 + (1 - side), seq);
        if
        :: seq % 2 == 1 && seq != woken ->
                woken = seq;
#ifndef NO_BELL
                load(side, BELL0 + side, bell);
                store_to_buffer(side, BELL0 + side, bell + 1);
#endif
                atomic {
                        drain_all(side);
                        asleep[1 - side] = false
                }
        :: else
        fi;
        seq = 0;
        bell = 0
}

/* S1 to S6; @word is what the other side publishes, @known what of it is of no use to us. */
inline sleep_unless(side, word, known) {
        load(side, BELL0 + (1 - side), bell);
        load(side, SEQ0 + side, seq);
        store_to_buffer(side, SEQ0 + side, seq + 1);
        seq = 0;
#ifdef FENCE
        atomic { drain_all(side) }
#else
#ifndef NO_MEMBARRIER
        atomic {
                drain_all(side);
                drain_all(1 - side)
        }
#endif
#endif
        load(side, word, other);
        if
        :: other == known ->
                atomic {
                        drain_all(side);
                        if
                        :: memory[BELL0 + (1 - side)] == bell -> asleep[side] = true
                        :: else
                        fi
                };
                !asleep[side]
        :: else
        fi;
        bell = 0;
        other = 0;
        load(side, SEQ0 + side, seq);
        store_to_buffer(side, SEQ0 + side, seq + 1);
        seq = 0
}

proctype producer() {
        byte tail, done, other, bell, seq, woken, k;

        do
        :: tail == N -> break
        :: else ->
                load(0, DONE, done);
                if
                :: tail - done == CAPACITY -> sleep_unless(0, DONE, done)
                :: else ->
                        store_to_buffer(0, SLOT0 + tail % CAPACITY, tail + 1);
                        tail++;
                        store_to_buffer(0, TAIL, tail);
                        wake(0)
                fi
        od;
        n_over++
}

proctype consumer() {
        byte tail, done, other, bell, seq, woken, item, k;

        do
        :: done == N -> break
        :: else ->
                load(1, TAIL, tail);
                if
                :: tail == done -> sleep_unless(1, TAIL, done)
                :: else ->
                        assert(tail - done <= CAPACITY);
                        load(1, SLOT0 + done % CAPACITY, item);
                        /* whole, and in order */
                        assert(item == done + 1);
                        item = 0;
                        done++;
                        store_to_buffer(1, DONE, done);
                        wake(1)
                fi
        od;
        n_over++
}

init {
        atomic {
                run hardware(0);
                run hardware(1);
                run producer();
                run consumer()
        }
}
