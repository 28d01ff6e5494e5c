/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leases of a Predecessor
 *
 * The holder of a lease is the process of the recorded number that was born at the recorded time.
 * If it lives, its lease does: on the connection that it had, where the service manager kept that
 * (daemon/takeover-conns.h), else without one until it comes back.
 */

#include "daemon/takeover-conns.h"
#include "daemon/takeover-fold.h"

/**
 * takeover_leases() - go on with what is held of the regions that were taken over, and with what
 *                     its creator holds together
 * @server:     behind takeover_conns_restore()
 * @fold:       regions and leases of the record
 * @conns:      connections that go on
 * @ret_n_leases: how many leases are held again
 *
 * Return: 0, or -ENOMEM.
 */
int takeover_leases(Server *server, const Fold *fold, const TakeoverConns *conns,
                    size_t *ret_n_leases);
