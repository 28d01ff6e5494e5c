/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Look at the Broker
 *
 * What a test asks between two steps, on a connection of its own. What goes wrong fails the test.
 */

#include "protocol/message.h"
#include "tests/harness/broker.h"

/** look_region() - what an administrator sees of region @name (`$/NAME`), without its texts */
WireRegion look_region(const Broker *broker, const char *name);
