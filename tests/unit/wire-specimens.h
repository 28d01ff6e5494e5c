/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Wire Specimens
 *
 * One message of each type with every field filled, no two fields alike, and the bytes that it has
 * on the wire. The bytes are ABI: a change of them breaks every client that is installed.
 */

#include "protocol/wire.h"

/* Never NULL for a type of protocol/message.h. Valid until the next call. */
const WireMessage *wire_specimen(unsigned type);
/* Its packet as hex digits; "" for no such message. */
const char *wire_specimen_hex(unsigned type);
