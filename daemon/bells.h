/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bells
 *
 * The FIFOs behind shmb_poll_fd(): one for each lease that asked for it, below the runtime
 * directory, where the next broker finds it again. Its holder reads, whoever wakes him writes, and
 * so does the broker when it has news. A FIFO because each party opens a description of its own: an
 * eventfd is one description for all, and who clears its O_NONBLOCK blocks the others (FACTS 2.4b).
 *
 * The broker keeps each one open for reading and writing: so it never ends, and nobody who writes
 * to it while its holder is there gets SIGPIPE.
 */

#include "daemon/objects.h"

#define BELLS_DIRECTORY "bells"

/** bells_sweep() - remove what no lease needs, and the directory if there is none at all */
void bells_sweep(Server *server);

/**
 * bells_give() - the FIFO of a lane or seat, to its holder; made where there is none
 * @server:     server
 * @region:     region
 * @party:      held
 * @ret_fds:    its ends: to read, to write; owned by the caller
 *
 * It is readable at once, so that its holder looks before he waits.
 *
 * Return: 0, or -errno.
 */
int bells_give(Server *server, Region *region, RegionParty *party, int ret_fds[static 2]);

/**
 * bells_lend() - the end to which who wakes the holder of @party writes
 *
 * Return: 0; -ENOENT (its holder polls nothing); -errno.
 */
int bells_lend(Region *region, const RegionParty *party, int *ret_fd);

/** bells_restore() - the FIFO that a predecessor gave to the holder of @party; 0 or -errno */
int bells_restore(Server *server, Region *region, const RegionParty *party);

/** bells_take() - the lease on @party is over: remove its FIFO; harmless where there is none */
void bells_take(Server *server, Region *region, const RegionParty *party);

/** bells_take_all() - the objects of @region go */
void bells_take_all(Server *server, Region *region);

/** bells_close() - what is open; the FIFOs stay for the next broker */
void bells_close(RegionBody *body, size_t n_parties);

/** bells_has() - whether the holder of @party polls */
bool bells_has(const Region *region, const RegionParty *party);

/** bells_ring() - there is news: to everybody who polls */
void bells_ring(Region *region);
