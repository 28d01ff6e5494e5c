/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory that Only Clients Still Have
 *
 * Objects without a name (memfd) that no service manager kept. The processes whose leases the
 * record names may have them mapped, and a broker that may look into them (daemon/sys/recall.h)
 * takes them back from there; what it takes is held against the record like anything else.
 */

#include "daemon/server.h"
#include "daemon/takeover-fold.h"

/**
 * takeover_recall() - find what is missing, and put it into the vault
 *
 * Return: 0, or -ENOMEM.
 */
int takeover_recall(Server *server, const Fold *fold);
