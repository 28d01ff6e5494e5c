/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One Wake for Competing Consumers, as a Model
 *
 * One producer that publishes N items and never waits for room, MEMBERS members that claim them with
 * a word an item (tests/model/group.pml has the rest of that), each asleep when it finds nothing.
 * Whoever publishes, or takes something and leaves items behind, wakes one sleeping member: by the
 * futex word that it has for that member alone, `bells[seat]` of the lane or of its own seat. A
 * member may be killed at any step, at most DEATHS of them and never the last; the broker then wakes
 * all by `news`. What a dead member held is ready again for whoever hears the news.
 *
 * Memory is that of x86 (TSO): each side's stores wait in order in a buffer of its own. A futex call
 * acts on memory and empties the caller's buffer, as does a compare-and-swap. Time-outs are left
 * out: a wake-up that is lost is a deadlock.
 *
 * Mutants, each of which must be caught:
 *
 *     NO_MEMBARRIER     S3 left out
 *     NO_BELL           W4 left out: the wake without the change of a value
 *     NO_CHAIN          a member that leaves items behind wakes nobody
 *     NO_NEWS           the broker wakes nobody for a death
 *     WAKE_ONCE         who was rung for already and is awake by now counts as woken once more
 *     NO_LEAVE_BARRIER  S7 left out, below
 *     WAKE_THE_DEAD     the seq of a dead member stays odd, and is rung for
 *
 * The last two are what the model taught. A member that wakes and takes an item is still seen asleep
 * for as long as its even seq is on its way: a producer that publishes then rings for it, believes
 * one member woken, and the other sleeps on while the first is busy. So it puts a membarrier between
 * its even seq and the look at what it leaves behind (S7); or FUTEX_WAKE's count decides, and where
 * it woke nobody the next one is rung for (COUNT_WOKEN), which also sees through the dead.
 */

#ifndef N
#define N 2
#endif
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
/* Sides: the members, then the producer. */
#define PRODUCER MEMBERS
#define SIDES (MEMBERS + 1)

/* Words of the memory. BELL: of side @_from for member @_to. */
#define TAIL 0
#define NEWS 1
#define SEQ(_m) (2 + (_m))
#define BELL(_from, _to) (2 + MEMBERS + (_from) * MEMBERS + (_to))
#define WORDS (2 + MEMBERS + SIDES * MEMBERS)
#define BUFFER 5

byte memory[WORDS];

typedef Store {
        byte word;
        byte value
};
typedef Buffer {
        Store store[BUFFER];
        byte n
};
Buffer buffers[SIDES];

bool asleep[MEMBERS];
bool killed[MEMBERS];
bool vacant[MEMBERS];   /* control; the broker's stores are not held back here */

/* The word of each item: 0 ready, a lease, or DONE. */
#define DONE 255
byte words[N];
byte n_done;

/* Whom a waker passes over: a dead member's seq stays odd. */
#ifdef WAKE_THE_DEAD
#define SKIPPED(_m) false
#else
#define SKIPPED(_m) vacant[_m]
#endif

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

inline drain_all(side) {
        do
        :: buffers[side].n > 0 -> drain_one(side)
        :: else -> break
        od
}

proctype hardware(byte side) {
        byte k;
end:
        do
        :: atomic { buffers[side].n > 0 -> drain_one(side) }
        od
}

/*
 * W2 to W5 for one member that sleeps: shmb_waker_read(), then shmb_waker_ring(), of each in turn
 * until one was woken.
 */
inline wake_one(side) {
        m = 0;
        do
        :: m == MEMBERS -> break
        :: m < MEMBERS && (m == side || SKIPPED(m)) -> m++
        :: m < MEMBERS && m != side && !SKIPPED(m) ->
                load(side, SEQ(m), seq);
                if
                :: seq % 2 == 1 && seq != woken[m] ->
                        woken[m] = seq;
#ifndef NO_BELL
                        load(side, BELL(side, m), bell);
                        store_to_buffer(side, BELL(side, m), bell + 1);
                        bell = 0;
#endif
                        /* W5: FUTEX_WAKE says whether it woke somebody */
                        atomic {
                                drain_all(side);
                                seq = 0;
                                if
                                :: asleep[m] -> asleep[m] = false; break
#ifdef COUNT_WOKEN
                                :: !asleep[m] -> m++
#else
                                :: !asleep[m] -> break
#endif
                                fi
                        }
#ifdef WAKE_ONCE
                :: seq % 2 == 1 && seq == woken[m] -> break
                :: seq % 2 == 0 -> m++
#else
                :: else -> m++
#endif
                fi
        od;
        m = 0;
        seq = 0
}

proctype producer() {
        byte tail, m, seq, bell, k;
        byte woken[MEMBERS];

        do
        :: tail == N -> break
        :: tail < N ->
                /* shmb_ring_producer_publish(): W1 */
                tail++;
                store_to_buffer(PRODUCER, TAIL, tail);
                wake_one(PRODUCER)
        od
}

proctype member(byte me) {
        byte tail, i, m, seq, bell, news, k, n_left;
        byte known[SIDES];
        byte woken[MEMBERS];

        {
        do
        :: n_done == N -> break
        :: else ->
look:
                /* shmb_group_claim(): S4 when we come from below, and the normal look. Words of the dead
                 * are ready again: shmb_group_repair(). */
                load(me, TAIL, tail);
                i = 0;
                do
                :: atomic { i == tail -> i = 0; goto nothing }
                :: atomic {
                        i < tail ->
                        if
                        :: words[i] == 0 || (words[i] != DONE && vacant[words[i] - 1]) ->
                                drain_all(me);
                                words[i] = me + 1;
                                break
                        :: else -> i++
                        fi
                   }
                od;
                /* S6: shmb_sleep_leave() */
                atomic {
                        load(me, SEQ(me), seq);
                        if
                        :: seq % 2 == 1 ->
                                store_to_buffer(me, SEQ(me), seq + 1);
#if !defined(COUNT_WOKEN) && !defined(NO_LEAVE_BARRIER)
                                seq = 0;
                                goto barrier
#endif
                        :: else
                        fi;
                        seq = 0;
                        goto left
                };
barrier:
                /* S7: on every processor: whoever still saw us asleep has published before the look
                 * that follows, whoever comes later sees us awake and wakes another */
                atomic {
                        m = 0;
                        do
                        :: m < SIDES -> drain_all(m); m++
                        :: else -> break
                        od;
                        m = 0
                };
left:
                skip;
#ifndef NO_CHAIN
                /* what is left behind: someone else shall have it */
                load(me, TAIL, tail);
                atomic {
                        n_left = 0;
                        m = 0;
                        do
                        :: m < tail ->
                                n_left = n_left + (words[m] == 0 -> 1 : 0);
                                m++
                        :: else -> break
                        od;
                        m = 0
                };
                if
                :: n_left > 0 -> n_left = 0; wake_one(me)
                :: else
                fi;
#endif
                tail = 0;
#ifdef HOLDS
                /* at work, for as long as it likes: others must be served meanwhile */
                if
                :: me == 0 -> (n_done >= N - 1)
                :: else
                fi;
#endif
                /* shmb_group_release() */
                atomic {
                        drain_all(me);
                        words[i] = DONE;
                        i = 0;
                        n_done++;
                        if
                        :: n_done == N ->
                                /* the end of the run: the test lets everybody go home */
                                m = 0;
                                do
                                :: m < MEMBERS -> asleep[m] = false; m++
                                :: else -> break
                                od;
                                m = 0
                        :: else
                        fi
                };
                goto next;

nothing:
                tail = 0;
                load(me, SEQ(me), seq);
                if
                :: seq % 2 == 1 ->
                        /* S5: futex_waitv() on each bell for us, and on news */
                        seq = 0;
                        atomic {
                                drain_all(me);
                                m = 0;
                                asleep[me] = (n_done < N);
                                do
                                :: m < SIDES ->
                                        asleep[me] = asleep[me] && memory[BELL(m, me)] == known[m];
                                        m++
                                :: else -> break
                                od;
                                m = 0;
                                asleep[me] = asleep[me] && memory[NEWS] == news
                        };
                        !asleep[me];
                        /* S6 */
                        load(me, SEQ(me), seq);
                        store_to_buffer(me, SEQ(me), seq + 1);
                        seq = 0
                :: else ->
                        /* S1: bells and news. One step: they change only upwards, and an older value
                         * only ends the wait too early. */
                        atomic {
                                m = 0;
                                do
                                :: m < SIDES -> known[m] = memory[BELL(m, me)]; m++
                                :: else -> break
                                od;
                                m = 0;
                                news = memory[NEWS]
                        };
                        /* S2: shmb_sleep_enter() */
                        store_to_buffer(me, SEQ(me), seq + 1);
                        seq = 0;
#ifndef NO_MEMBARRIER
                        /* S3: on every processor */
                        atomic {
                                m = 0;
                                do
                                :: m < SIDES -> drain_all(m); m++
                                :: else -> break
                                od;
                                m = 0
                        };
#endif
                        goto look
                fi;
next:
                skip
        od
        } unless { killed[me] }
}

/* Kills, and says so: control, news, FUTEX_WAKE. */
proctype broker() {
        byte n, m;

end:
        do
        :: atomic {
                n < DEATHS && n_done < N ->
                killed[n] = true;
                asleep[n] = false;
                n++
           };
           vacant[n - 1] = true;
#ifndef NO_NEWS
           atomic {
                memory[NEWS] = memory[NEWS] + 1;
                m = 0;
                do
                :: m < MEMBERS -> asleep[m] = false; m++
                :: else -> break
                od;
                m = 0
           }
#endif
        od
}

init {
        atomic {
                run hardware(0);
                run hardware(1);
                run hardware(PRODUCER);
                run producer();
                run broker();
                run member(0);
                run member(1)
#if MEMBERS > 2
                ;
                run hardware(2);
                run member(2)
#endif
        }
}
