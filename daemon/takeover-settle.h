/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Settle
 *
 * The last step of taking a region over, when its objects and its leases are there: what the last
 * broker told peers goes on, and who held a lane or seat and has no lease now is dead.
 */

#include "daemon/core/registry.h"
#include "daemon/server.h"

/** settle_region() - of a region that was taken over; what fails is said in the journal */
void settle_region(Server *server, Region *region);
