/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reload of Dynamic Regions
 *
 * What clients created follows its template as what is declared follows its declaration: it goes on
 * under the new rules while a template of the same shape is there, and is removed where none is. It
 * stands in neither set of a plan, so it is planned here, beside that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/server.h"

typedef struct ReloadDynamic {
        Region *region;
        Decl *decl;    /* its next declaration, owned; NULL: it goes */
        bool declared; /* a declared region takes its name */
        bool changed;  /* worth a line of the report */
} ReloadDynamic;

typedef struct ReloadDynamics {
        ReloadDynamic *entries;
        size_t n_entries;
} ReloadDynamics;

/** reload_dynamics_init() - what is to become of each; 0, or -ENOMEM (nothing to deinit) */
int reload_dynamics_init(ReloadDynamics *dynamics, const Server *server, const DeclSet *set);

/** reload_dynamics_deinit() - idempotent, also for a zeroed one */
void reload_dynamics_deinit(ReloadDynamics *dynamics);

/** reload_dynamics_bytes_going() - of all that go */
uint64_t reload_dynamics_bytes_going(const ReloadDynamics *dynamics);

/** reload_dynamics_commit() - do it; cannot fail. Who lost its name to another is left alone */
void reload_dynamics_commit(Server *server, ReloadDynamics *dynamics);

/** reload_dynamic_format() - one line of the report; @buffer is always terminated */
void reload_dynamic_format(const ReloadDynamic *entry, char *buffer, size_t size);
