/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Lane that is replaced under Competing Consumers, as a Model
 *
 * The producer of the first object loses its lease and cannot be proven dead: the broker replaces
 * the lane, and the old producer may go on as long as it likes. KNOW members know the old object,
 * the others join at any time. DEATHS of the former stop for ever, or give back and leave, at any
 * step. With IDLES one of them may stop to call at some time, and live on. The successor writes the
 * new object, which uses the words of the old one.
 *
 * Memory is sequentially consistent here: what a store that is seen late can do is searched for in
 * group.pml. A load that finds nothing to do is left out but for the one of a tail, behind which
 * the lane may be replaced: it is a guard that waits.
 *
 * Searched for: an item that two get, or that is robbed of who lives; an item of one object that is
 * taken for one of the other; a state in which nobody can go on and not all items are done: all of
 * the new object, and those of the old one that were published before it was replaced, if one lives
 * who knew it.
 *
 * Mutants, each of which must be caught:
 *
 *     NO_REREAD         the last tail that is believed is the one loaded before the epoch
 *     NO_DRAIN          a member goes over to the new object without draining the old one
 *     NO_WAIT           who joins does not wait for a member that drained the old object
 *     WAIT_FOR_EPOCH    who joins waits for that even where nobody who knew the old object lives
 *     NO_ABANDON        who begins lets stand what was left in the old object
 *     ABANDON_HELD      what a member holds who lives ends as well
 *     NO_NEWS           what is left later does not end with the next news
 *     NO_RESCAN         a member that found nothing does not look again behind its low bound
 *     TAKE_OLDER        an item of the old object that is not done makes its slot free
 *     NO_REPAIR         what the dead held is not given back
 *     NO_REPAIR_BEHIND  nor when a member has gone over to the new object
 */

#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef N_OLD
#define N_OLD 1
#endif
#ifndef N_NEW
#define N_NEW 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef KNOW
#define KNOW 2 /* the old object; the others join */
#endif
#ifndef MEMBERS
#define MEMBERS 2
#endif
#define NONE 255

/* {epoch, lap, lease, state} */
#define WORD(_epoch, _i, _lease, _state)                                                           \
        ((_epoch) * 64 + ((_i) / CAPACITY) * 16 + (_lease) * 4 + (_state))
#define READY 0
#define HELD 1
#define DONE 2
#define STATE(_word) ((_word) & 3)
#define LEASE(_word) (((_word) >> 2) & 3)
#define LAP(_word) (((_word) >> 4) & 3)
#define EPOCH(_word) ((_word) >> 6)
#define AT(_i) words[(_i) % CAPACITY]

/* shmb_slots_is_older(), _is_free(), _is_past() */
#define IS_OLDER(_epoch, _word) ((_word) != 0 && EPOCH(_word) < (_epoch))
#ifdef TAKE_OLDER
#define LETS_GO(_epoch, _word) IS_OLDER(_epoch, _word)
#else
#define LETS_GO(_epoch, _word) (IS_OLDER(_epoch, _word) && STATE(_word) == DONE)
#endif
#define IS_FREE(_epoch, _i)                                                                        \
        (AT(_i) == WORD(_epoch, _i, 0, READY) ||                                                   \
         ((_i) >= CAPACITY && AT(_i) == WORD(_epoch, (_i) - CAPACITY, 0, DONE)) ||                 \
         ((_i) < CAPACITY && (AT(_i) == 0 || LETS_GO(_epoch, AT(_i)))))
#define IS_PAST(_epoch, _i)                                                                        \
        (EPOCH(AT(_i)) > (_epoch) || AT(_i) == WORD(_epoch, _i, 0, DONE) ||                        \
         (EPOCH(AT(_i)) == (_epoch) && LAP(AT(_i)) > (_i) / CAPACITY))

/* group_is_kept() */
#ifdef ABANDON_HELD
#define IS_KEPT(_word) false
#else
#define IS_KEPT(_word) (STATE(_word) == HELD && !vacant[LEASE(_word) - 1])
#endif
/* shmb_group_abandon() */
#define IS_LEFT(_epoch, _word)                                                                     \
        (IS_OLDER(_epoch, _word) && STATE(_word) != DONE && !IS_KEPT(_word))

/* The group, the lanes, the seats, control. */
byte words[CAPACITY];
byte tails[3];
byte slots[3 * CAPACITY];
byte places[MEMBERS];
bool vacant[MEMBERS];
byte epoch = 1;
byte news;

/* What nobody in the program knows. */
bool killed[MEMBERS];
byte n_gone;
byte promised; /* items that were published before the lane was replaced */
bool done[3 * 4];
#define IS_DONE(_epoch, _i) done[(_epoch) * 4 + (_i)]

#define OLD_DONE                                                                                   \
        (n_gone == KNOW || ((promised < 1 || IS_DONE(1, 0)) && (promised < 2 || IS_DONE(1, 1))))
#define ALL_DONE                                                                                   \
        (epoch == 2 && OLD_DONE && IS_DONE(2, 0) && (N_NEW < 2 || IS_DONE(2, 1)) &&                \
         (N_NEW < 3 || IS_DONE(2, 2)))

/* Nobody who is in the old object; member 1 joins itself where it does not know that. */
#define IS_OVER(_seat) (vacant[_seat] || places[_seat] == 2 || places[_seat] == 0)

proctype old_producer() {
        byte i;

        do
        :: i < N_OLD ->
                slots[CAPACITY + i] = i + 1;
                i++;
                /* shmb_ring_producer_publish() */
                tails[1] = i
        :: break
        :: i == N_OLD -> break
        od
}

proctype successor() {
        byte i;

        epoch == 2;
        do
        :: i == N_NEW -> break
        :: i < N_NEW ->
                /* producer_read_group(), shmb_slots_done_below() */
                if
                :: i < CAPACITY
                :: i >= CAPACITY && AT(i) == WORD(2, i - CAPACITY, 0, DONE) ->
                        assert(IS_DONE(2, i - CAPACITY))
                fi;
                slots[2 * CAPACITY + i % CAPACITY] = 8 + i;
                i++;
                tails[2] = i
        od
}

/* The lane is empty, or it is open: group_enter_lane(). */
inline enter(drained) {
        tail = 0;
        last = false;
        low = (tails[mine] > CAPACITY -> tails[mine] - CAPACITY : 0);
        next = low;
        tail = low;
        open = drained || mine == 1 || low > 0;
        places[me] = (open -> mine : 0)
}

/* shmb_group_abandon(), of one slot */
inline abandon(i) {
        if
        :: IS_LEFT(mine, words[i]) -> words[i] = WORD(EPOCH(words[i]), 0, 0, DONE)
        :: else
        fi
}

proctype member(byte me) {
        byte mine, low, next, tail, last_tail, item = NONE, heard, i;
        bool last, open, alone;

        {
        /* attach: the seat is held, and that is news, before anybody knows the objects */
        atomic {
                if
                :: vacant[me] -> vacant[me] = false; news++
                :: else
                fi;
                mine = (me >= KNOW -> epoch : 1)
        };
        /* shmb_group_init() */
        atomic { heard = news; enter(false); goto repair };
again:
        do
        :: atomic { ALL_DONE -> goto over }
        :: atomic { heard != news -> heard = news; i = 0; goto repair }
        /* shmb_group_switch_lane() */
        :: atomic { epoch != mine && !last -> tail = tails[mine]; last = true }
        :: atomic {
                last && low < tail && IS_PAST(mine, low) ->
                low++;
                next = (next < low -> low : next)
           }
        :: atomic {
#ifdef NO_DRAIN
                last ->
#else
                last && (low == tail || !open) ->
#endif
                mine = epoch;
                alone = open;
                enter(alone);
                alone = false;
#ifndef NO_REPAIR_BEHIND
                goto repair
#endif
           }
        /* group_read_tail(): acquire tail, then the epoch; behind it the last one */
        :: atomic { !last && (tails[mine] > tail || epoch == 1) -> last_tail = tails[mine] };
           atomic {
                if
                :: epoch != mine ->
                        last = true;
#ifndef NO_REREAD
                        last_tail = tails[mine]
#endif
                :: else
                fi;
                tail = last_tail;
                last_tail = 0
           }
        /* group_find(), group_take() */
        :: atomic {
                open && next < tail ->
                if
                :: IS_FREE(mine, next) ->
                        AT(next) = WORD(mine, next, me + 1, HELD);
                        item = next;
                        next++;
                        goto held
                :: else ->
                        low = (next == low && IS_PAST(mine, low) -> low + 1 : low);
                        next++
                fi
           }
#ifndef NO_RESCAN
        /* group_look_at() */
        :: atomic {
                open && mine > 1 && low < CAPACITY && next == tail && !last &&
                ((low <= 0 && 0 < tail && IS_FREE(mine, 0)) ||
                 (low <= 1 && 1 < CAPACITY && 1 < tail && IS_FREE(mine, 1))) ->
                next = low
           }
#endif
        /* shmb_group_may_open() */
        :: atomic {
                !open && !last &&
#if defined(NO_WAIT)
                true ->
#elif defined(WAIT_FOR_EPOCH)
                (!vacant[0] && places[0] == mine) || (!vacant[1] && places[1] == mine) ->
#else
                (IS_OVER(0) || !vacant[1] && places[1] == mine) &&
                (IS_OVER(1) || !vacant[0] && places[0] == mine) ->
#endif
                i = 0;
                alone = true
           };
           goto opening
        od;

held:
        atomic {
                assert(slots[mine * CAPACITY + item % CAPACITY] ==
                       (mine == 1 -> item + 1 : 8 + item));
                assert(!IS_DONE(mine, item))
        };
        if
        :: atomic {
                /* shmb_group_release(), shmb_slots_settle() */
                assert(AT(item) == WORD(mine, item, me + 1, HELD));
                AT(item) = WORD(mine, item, 0, DONE);
                IS_DONE(mine, item) = true;
                low = (low == item -> low + 1 : low);
                item = NONE;
                if
#ifdef IDLES
                :: me == 1 -> goto over
#endif
                :: goto again
                fi
           }
        :: atomic {
                /* shmb_group_give_back(), and the broker hears of the detach */
                me < KNOW && n_gone < DEATHS ->
                n_gone++;
                assert(AT(item) == WORD(mine, item, me + 1, HELD));
                AT(item) = WORD(mine, item, 0, READY)
           };
           vacant[me] = true;
           news++;
           goto over
        fi;

repair:
        /* shmb_group_repair() */
        do
        :: atomic { i == CAPACITY -> i = 0; next = low; goto again }
        :: atomic {
                i < CAPACITY ->
#ifndef NO_NEWS
                if
                :: open && mine > 1 && low < CAPACITY -> abandon(i)
                :: else
                fi;
#endif
                /* group_repair_slot(): whose lease is over, stays dead; one step */
                if
#ifndef NO_REPAIR
                :: EPOCH(words[i]) == mine && STATE(words[i]) == HELD &&
                   vacant[LEASE(words[i]) - 1] ->
                        words[i] = words[i] - HELD - LEASE(words[i]) * 4
#endif
                :: else
                fi;
                i++
           }
        od;

opening:
#ifndef NO_WAIT
        /* shmb_group_may_open(): seat by seat */
        do
        :: atomic { i == MEMBERS && alone -> break }
        :: atomic { i == MEMBERS && !alone -> i = 0; goto again }
        :: atomic {
                i < MEMBERS ->
                if
                :: i != me && !vacant[i] && places[i] == mine -> alone = true; break
                :: i != me && !vacant[i] && places[i] != mine ->
                        alone = alone && places[i] == 0
                :: else
                fi;
                i++
           }
        od;
#endif
        i = 0;
        do
        :: atomic {
                i < CAPACITY ->
#ifndef NO_ABANDON
                abandon(i);
#endif
                i++
           }
        :: atomic { i == CAPACITY -> break }
        od;
        /* group_open() */
        atomic { i = 0; alone = false; open = true; places[me] = mine };
        goto again

        } unless { killed[me] };
over:
        skip
}

proctype broker() {
        byte m;
        bool is_replaced;

        do
        :: !is_replaced ->
                /* control_set_party(), then control_announce() */
                atomic { epoch = 2; promised = tails[1]; is_replaced = true };
                news++
        :: atomic {
                n_gone < DEATHS ->
                if
                :: !vacant[0] -> m = 0
                :: KNOW > 1 && !vacant[1] -> m = 1
                fi;
                n_gone++;
                killed[m] = true
           };
           /* proven: the seat first, news behind it */
           vacant[m] = true;
           m = 0;
           news++
        :: is_replaced -> break
        od
}

init {
        atomic {
                vacant[MEMBERS - 1] = MEMBERS > KNOW;
                places[0] = 1;
                places[1] = (KNOW > 1 -> 1 : 0);
                run old_producer();
                run successor();
                run broker();
                run member(0);
                run member(1)
#if MEMBERS > 2
                ;
                run member(2)
#endif
        }
}
