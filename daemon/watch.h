/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Watches
 *
 * What happens to regions, told to who asked to hear of it. Who may hear of an event is judged when
 * it happens, by the rules of then, and it is kept for each who may in a page of his own: one reply
 * long. Who falls behind further loses what does not fit and is told so, and that is all that a
 * client that does not ask for its events can do to anybody.
 *
 * A connection that watches therefore never has more unread than one reply and one page of events,
 * which fit its socket together.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/server.h"
#include "protocol/bits.h"

/** watch_begin() - number events on from those of every broker before, in this boot */
void watch_begin(Server *server);

/** watch_region() - something happened to a region; @reason: why, or NULL */
void watch_region(Server *server, const Region *region, ShmbEvent event, const char *reason);

/** watch_lease() - something happened to a lease; @reason: why, or NULL */
void watch_lease(Server *server, const Lease *lease, ShmbEvent event, const char *reason);

/** watch_refusal() - the rules of @region gave @client no @role: for administrators */
void watch_refusal(Server *server, const Region *region, const LeaseClient *client, ShmbRole role,
                   const char *reason);

/** watch_flush() - answer who waits for what happened; at the end of every handler */
void watch_flush(Server *server);

/** watch_free() - a connection ends; accepts NULL, returns NULL */
Watch *watch_free(Watch *watch);
