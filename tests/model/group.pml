/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Competing Consumers, as a Model
 *
 * One producer, MEMBERS consumers that share a group object, the broker; N items, two slots, DEATHS
 * deaths at any step. A death is one of two: the member stops for ever, and the broker proves it
 * (the seat is vacant); or the broker gives its lease up and cannot prove it (it hung up and goes
 * on), so the broker replaces the group object. The latter is the zombie: it goes on in the old
 * object, never hears of anything and checks no epoch. A member that is merely slow is every
 * interleaving.
 *
 * Memory: the stores of the producer and of the broker wait in a buffer and reach the memory in any
 * order, but for one word's own order and for release stores, which wait for all before them (PSO
 * with release: weaker than x86). A compare-and-swap acts on memory and empties its caller's
 * buffer, which is what a full fence behind it does elsewhere. Loads are done in program order:
 * what that needs of a processor that reorders them is said in shmbroker-memory(7), COMPETING CONSUMERS.
 * A load that finds nothing to do is left out: it is a guard that waits.
 *
 * Searched for: an item that two members hold, neither of them given up; an item that is taken
 * again after it was released; a slot that is overwritten while its item is held or still to be
 * delivered; a state in which nobody can go on and not all items are done.
 *
 * Mutants, each of which must be caught:
 *
 *     NO_RECHECK             a claim counts without a look at the group's epoch behind it
 *     RECHECK_BEFORE         that look comes before the claim: no fence between the two
 *     RELEASE_NO_RECHECK     a release is not repeated in the object that replaced this one
 *     RELEASE_PLAIN          a release is a store, not a compare-and-swap
 *     PRODUCER_NO_RECHECK    the producer believes a DONE of an object that was replaced
 *     NO_REPAIR_AFTER_MOVE   the dead one's words are not repaired in the new object
 *     NO_RESET               news do not take the scan back to its low bound
 *     NO_FENCE               the broker copies before its new epoch is visible
 *     NEWS_FIRST             the broker tells before it has written
 *     ROB_THE_SLOW           a member takes what a live one holds
 *     TAIL_NOT_RELEASE       tail may be visible before the item
 *     ADOPT_NOTHING          what is held in the new object is not looked for
 */

#ifndef N
#define N 4
#endif
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define OBJECTS (DEATHS + 1)

/* {lap, lease, state} */
#define READY(_lap) ((_lap) * 32)
#define HELD(_lap, _lease) ((_lap) * 32 + (_lease) * 4 + 1)
#define DONE(_lap) ((_lap) * 32 + 2)
#define STATE(_word) ((_word) & 3)
#define LEASE(_word) (((_word) >> 2) & 7)
#define LAP(_word) ((_word) >> 5)
#define LAP_OF(_i) ((_i) / CAPACITY)
#define CLAIMABLE(_word, _i)                                                                       \
        ((_word) == READY(LAP_OF(_i)) || (LAP_OF(_i) > 0 && (_word) == DONE(LAP_OF(_i) - 1)))

/* Words of the memory but for those of the group. */
#define TAIL 0
#define SLOT 1
#define EPOCH 3
#define NEWS 4
#define VACANT 5
byte memory[VACANT + MEMBERS];

/* The group objects, a row each; the newest one that the broker hands out. */
#define WORD(_object, _i) words[(_object) * CAPACITY + (_i) % CAPACITY]
byte words[OBJECTS * CAPACITY];
byte handed_out;

/* Store buffers: 0 the producer's, 1 the broker's. */
#define BUFFER 4
typedef Store {
        byte word;
        byte value;
        bool release
};
typedef Buffer {
        Store store[BUFFER];
        byte n
};
Buffer buffers[2];

/* What nobody in the program knows: who was given up, who is dead, who holds what. */
bool given_up[MEMBERS];
bool killed[MEMBERS];
byte holder[N];         /* 0, or the lease */
bool released[N];       /* by anybody, in whatever object */
bool settled[N];        /* by a member that counts, and who looked at the epoch behind it */

#define NONE 255
#define ALL_DONE                                                                                   \
        (WORD(handed_out, N - 1) == DONE(LAP_OF(N - 1)) &&                                         \
         WORD(handed_out, N - CAPACITY) == DONE(LAP_OF(N - CAPACITY)))

inline store_to_buffer(side, w, v, r) {
        d_step {
                assert(buffers[side].n < BUFFER);
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

proctype producer() {
        byte tail, head, object;

        do
        :: tail == N -> break
        :: tail < N && tail - head < CAPACITY ->
                /* shmb_ring_producer_publish(): the item, then tail. What is overwritten is done, and
                 * with nobody who still counts. */
                d_step {
                        if
                        :: tail >= CAPACITY ->
                                assert(released[tail - CAPACITY]);
                                assert(holder[tail - CAPACITY] == 0)
                        :: else
                        fi;
                }
                store_to_buffer(0, SLOT + tail % CAPACITY, tail + 1, false);
                tail++;
#ifdef TAIL_NOT_RELEASE
                store_to_buffer(0, TAIL, tail, false)
#else
                store_to_buffer(0, TAIL, tail, true)
#endif
        :: tail < N && tail - head == CAPACITY ->
                /* shmb_group_done_below(): acquire a word ... */
                if
                :: WORD(object, head) == DONE(LAP_OF(head)) ->
#ifdef PRODUCER_NO_RECHECK
                        head++
#else
                        /* ... then the epoch, behind it */
                        if
                        :: memory[EPOCH] == object -> head++
                        :: else
                        fi
#endif
                :: memory[EPOCH] != object ->
                        /* the next object comes from the broker */
                        atomic { handed_out == memory[EPOCH] -> object = handed_out }
                fi
        od
}

proctype member(byte me) {
        byte object, pos, word, item = NONE, epoch, news, i, k;
        bool releasing;

        {
again:
        do
        :: atomic { ALL_DONE -> goto over }
        :: atomic { given_up[me] && !killed[me] -> goto zombie }
        :: atomic { memory[NEWS] != news -> news = memory[NEWS]; goto repair }
        :: atomic {
                memory[TAIL] > pos ->
                /* shmb_group_claim(): acquire tail, look at the word of the next index */
                word = WORD(object, pos);
                if
                :: CLAIMABLE(word, pos)
                :: else -> pos++; word = 0; goto again
                fi;
#ifdef RECHECK_BEFORE
                epoch = memory[EPOCH];
#endif
           };
           /* shmb_group_claim(): compare and swap */
           atomic {
                if
                :: WORD(object, pos) == word ->
                        WORD(object, pos) = HELD(LAP_OF(pos), me + 1);
                        item = pos;
                        word = 0;
                        pos++
                :: else -> word = 0; epoch = 0; goto again
                fi
           };
recheck:
           /* shmb_group_claim(): full fence, then does the claim count? */
           atomic {
#ifndef RECHECK_BEFORE
                epoch = memory[EPOCH];
#endif
                if
#ifdef NO_RECHECK
                :: true
#else
                :: epoch == object
                :: epoch != object -> epoch = 0; item = NONE; goto move
#endif
                fi;
                epoch = 0;
                if
                :: !given_up[me] ->
                        assert(!settled[item]);
                        assert(holder[item] == 0);
                        holder[item] = me + 1
                :: else
                fi
           };
           /* held; its bytes are read */
           assert(given_up[me] || memory[SLOT + item % CAPACITY] == item + 1);
release:
           /* shmb_group_release(): compare and swap, full fence */
#ifdef RELEASE_PLAIN
           atomic { epoch = memory[EPOCH]; releasing = true };
#endif
           atomic {
                if
                :: WORD(object, item) == HELD(LAP_OF(item), me + 1) ->
                        WORD(object, item) = DONE(LAP_OF(item));
                        if
                        :: !given_up[me] ->
                                if
                                :: holder[item] == me + 1 -> holder[item] = 0
                                :: else
                                fi
                        :: else
                        fi;
                        released[item] = true
                :: else
                        /* after a move: the copy was made behind our release. Else: given up. */
                        assert(releasing || given_up[me])
                fi;
                releasing = true
           };
           /* shmb_group_release(): the epoch behind it; a newer object has to be told as well */
           atomic {
#ifndef RELEASE_PLAIN
                epoch = memory[EPOCH];
#endif
                if
#ifndef RELEASE_NO_RECHECK
                :: epoch != object -> epoch = 0; goto move
                :: epoch == object
#else
                :: true
#endif
                fi;
                epoch = 0;
                releasing = false;
                settled[item] = settled[item] || !given_up[me];
                item = NONE
           }
        od;

move:
        /* shmb_group_move(): the newest object comes from the broker; what do we hold in it? */
        atomic {
                given_up[me] || handed_out == memory[EPOCH] ->
                if
                :: given_up[me] -> goto zombie
                :: else
                fi;
                object = handed_out;
#ifndef NO_RESET
                pos = 0;
#endif
                item = NONE;
#ifndef ADOPT_NOTHING
                i = 0;
                do
                :: i < CAPACITY ->
                        if
                        :: STATE(WORD(object, i)) == 1 && LEASE(WORD(object, i)) == me + 1 ->
                                item = LAP(WORD(object, i)) * CAPACITY + i
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
                i = 0;
#endif
                if
                :: item != NONE && releasing -> goto release
                :: item != NONE && !releasing ->
#ifdef RECHECK_BEFORE
                        epoch = memory[EPOCH];
#endif
                        goto recheck
                :: else -> releasing = false
                fi
#ifdef NO_REPAIR_AFTER_MOVE
                ;
                goto again
#endif
        };

repair:
        /* shmb_group_repair(): for each word that a lease holds whose seat is not its any more */
        i = 0;
        do
        :: atomic { i == CAPACITY -> i = 0; break }
        :: atomic {
                i < CAPACITY ->
                word = WORD(object, i);
#ifdef ROB_THE_SLOW
                if
                :: STATE(word) == 1 && LEASE(word) != me + 1
#else
                if
                :: STATE(word) == 1 && memory[VACANT + LEASE(word) - 1]
#endif
                :: else -> word = 0; i++; goto repair_next
                fi
           };
           /* shmb_group_repair(): compare and swap; redelivered is counted if it worked */
           atomic {
                if
                :: WORD(object, i) == word -> WORD(object, i) = READY(LAP(word))
                :: else
                fi;
                word = 0;
                i++
           };
repair_next:
           skip
        od;
        atomic {
#ifndef NO_RESET
                pos = 0;
#endif
                if
                :: memory[EPOCH] != object -> goto move
                :: else -> goto again
                fi
        }

        } unless { killed[me] };
        goto over;

zombie:
        /* Its own object for ever: claims, releases, in any order, and then no more. */
        do
        :: break
        :: atomic {
                item == NONE && pos < memory[TAIL] ->
                if
                :: CLAIMABLE(WORD(object, pos), pos) ->
                        WORD(object, pos) = HELD(LAP_OF(pos), me + 1);
                        item = pos
                :: else
                fi;
                pos++
           }
        :: atomic {
                item != NONE ->
                if
                :: WORD(object, item) == HELD(LAP_OF(item), me + 1) ->
                        WORD(object, item) = DONE(LAP_OF(item));
                        released[item] = true
                :: else
                fi;
                item = NONE
           }
        od;
over:
        skip
}

proctype broker() {
        byte n, m, i, k, epoch;

end:
        do
        :: atomic { ALL_DONE -> break }
        :: atomic {
                n < DEATHS ->
                n++;
                /* the last member lives */
                if
                :: m = 0
                :: MEMBERS > 2 -> m = 1
                fi;
                if
                :: given_up[m] -> m = 1 - m; assert(!given_up[m])
                :: else
                fi;
                given_up[m] = true;
                i = 0;
                do
                :: i < N ->
                        if
                        :: holder[i] == m + 1 -> holder[i] = 0
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
                i = 0;
                if
                :: killed[m] = true; goto tell
                :: skip
                fi
           };
           /* registry, no proof: the new epoch, a full fence, the words, and only then hand it out */
           epoch++;
           store_to_buffer(1, EPOCH, epoch, false);
#ifndef NO_FENCE
           atomic { drain_all(1) };
#endif
           do
           :: atomic { i < CAPACITY -> WORD(epoch, i) = WORD(epoch - 1, i); i++ }
           :: atomic { i == CAPACITY -> i = 0; break }
           od;
           atomic { drain_all(1); handed_out = epoch };
tell:
           /* control: the seat first, news behind it */
#ifdef NEWS_FIRST
           store_to_buffer(1, NEWS, n, true);
           store_to_buffer(1, VACANT + m, 1, false);
#else
           store_to_buffer(1, VACANT + m, 1, false);
           store_to_buffer(1, NEWS, n, true);
#endif
           m = 0
        od
}

init {
        atomic {
                run hardware(0);
                run hardware(1);
                run producer();
                run broker();
                run member(0);
                run member(1)
#if MEMBERS > 2
                ;
                run member(2)
#endif
        }
}
