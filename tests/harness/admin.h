/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Administrators
 *
 * What a test asks and orders on the admin socket, on a connection for each. Fails the test where
 * there is no answer.
 */

#include <stdbool.h>
#include "protocol/message.h"
#include "tests/harness/broker.h"

/**
 * admin_region() - a region as an administrator sees it
 * @broker:     broker
 * @name:       as of broker_name()
 *
 * Return: its entry of the listing without its texts; state SHMB_REGION_NONE if it is not listed.
 */
WireRegion admin_region(const Broker *broker, const char *name);

/**
 * admin_order() - have something done, or planned, and look at the report
 * @broker:     broker
 * @message:    WIRE_RELOAD, WIRE_GC or WIRE_KICK
 * @text:       what is looked for
 * @ret_applied: whether it was done
 *
 * Return: how many lines of the report hold @text.
 */
unsigned admin_order(const Broker *broker, WireMessage message, const char *text,
                     bool *ret_applied);
