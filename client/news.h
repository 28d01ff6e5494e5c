/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * News
 *
 * What the broker says through the control object: that the region ends, that a peer died, that an
 * object was replaced, that our own lease is over. Read when `news` has changed, never polled for.
 */

#include "client/region.h"

/**
 * shmb__hear() - read the news, and fetch what was replaced
 *
 * A replaced object costs one round trip to the broker, also in a call that only tries; while the
 * broker is away it is asked for again and again, later and later, and the rest goes on.
 *
 * Return: 0, or the errno of a handle that is shut now.
 */
int shmb__hear(struct shmb_region *r);

/* What there was before we came is no news. */
void shmb__hear_first(struct shmb_region *r);

/* Whether a live lease stands on any lane (for consumers) or seat (for producers). */
bool shmb__peer_lives(const struct shmb_region *r);
