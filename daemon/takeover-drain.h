/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Regions of a Predecessor whose Name Another One Has
 *
 * Of such a region only the control object is left that the broker can reach, and the leases. It
 * drains as it did before, or as it would have with this configuration: its consumers take what is
 * left, until no producer can add to that.
 */

#include "daemon/record-format.h"
#include "daemon/server.h"
#include "daemon/sys/backing.h"

/**
 * takeover_drain_begin() - the region, departed and DRAINING, ready for its leases
 * @server:     server
 * @decl:       what it was; owned, NULL fails
 * @record:     what is written down of it
 * @control:    its control object, which is there; always of epoch 1
 *
 * Return: the region, or NULL.
 */
Region *takeover_drain_begin(Server *server, Decl *decl, const RecordRegion *record,
                             const BackingObject *control);

/** takeover_drain_settle() - behind the leases: go on with those that drain, end the others */
void takeover_drain_settle(Server *server);
