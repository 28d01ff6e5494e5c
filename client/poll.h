/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Descriptor to Poll
 *
 * shmb_poll_fd() is the read end of a FIFO. It is readable from the start and until an operation
 * found nothing to do: that operation empties it, says in our sleep words that we sleep (armed) and
 * looks once more, so that nothing which came meanwhile is missed (S2 to S4 of memory/sleep.h). A
 * peer that has to wake an armed one writes a byte besides ringing its bell; a peer of one that is
 * not armed has nothing to do, and does not look at this at all.
 *
 * Peers fetch the end to write to when they hear that there is one (`polls` in control). What was
 * to be said before that is made up for: the first thing that a new end gets is a byte.
 */

#include <stdbool.h>
#include <stdint.h>

#include "memory/atomics.h"
#include "memory/layout.h"
#include "protocol/bits.h"

struct shmb_region;

/* The end to write to of one peer; lease 0 is none. */
typedef struct ShmbPollPeer {
        uint64_t lease; /* whose FIFO it is */
        int fd;         /* owned */
} ShmbPollPeer;

/* Allocated with the first FIFO that a handle has to do with. */
typedef struct ShmbPoll {
        int read_fd, write_fd; /* of our own FIFO, -1 where we do not poll; owned */
        bool armed;            /* our sleep words say that we sleep */
        bool drained;          /* nothing is in there, but for what came since we were armed */
        ShmbPollPeer lanes[SHMB_LANES_MAX], seats[SHMB_SEATS_MAX];
} ShmbPoll;

/**
 * shmb__poll_arm() - an operation ends without having found anything
 * @r:          handle
 * @result:     with which it would end: -EAGAIN, -ETIMEDOUT
 *
 * Return: @result, and the descriptor becomes readable with whatever changes; 0 (there is something
 * after all: go on); what shmb__judge() has to say.
 */
int shmb__poll_arm(struct shmb_region *r, int result);

/* An operation begins: we are awake, and readable until it finds nothing. */
void shmb__poll_disarm(struct shmb_region *r);

/* An operation that waited found something: what else there is must not go unnoticed. */
void shmb__poll_found(struct shmb_region *r);

/* Fetch the ends of peers that poll, let go of those that do not. Return: whether all are there. */
bool shmb__poll_hear(struct shmb_region *r);

/* Closes everything; the handle goes. */
void shmb__poll_free(struct shmb_region *r);

/* A byte to one peer, if it can be had by now. */
void shmb__poll_poke(struct shmb_region *r, ShmbObjectKind kind, uint32_t index);

/* W5 for a peer that is rung for: if it polls, which is what is returned. */
static inline bool shmb__poke(struct shmb_region *r, const ShmbSleep *peer, ShmbObjectKind kind,
                              uint32_t index) {
        /* relaxed: constant from before the peer can be armed on */
        if (!shmb_unlikely(shmb_load_relaxed(&peer->flags) & SHMB_SLEEP_POLL))
                return false;
        shmb__poll_poke(r, kind, index);
        return true;
}
