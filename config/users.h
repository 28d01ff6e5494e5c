/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Users and Groups
 *
 * The look-up that config_load() hands to the reader: the name services of the system, each name
 * asked for once a load. They may take long and may call the network, which is why nobody asks them
 * at any other time. Only for config/.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"

typedef struct ConfigUser ConfigUser;
typedef struct ConfigUsers ConfigUsers;

enum {
        /* Answers kept; names beyond are asked for each time. */
        CONFIG_USERS_KEPT_MAX = 256,
        /* An entry of a group with 70,000 members is about 1 MiB. */
        CONFIG_USERS_ENTRY_MAX = 1 << 24,
};

struct ConfigUser {
        bool group;
        char *name;
        int r; /* 0, DECL_E_UNKNOWN or -errno */
        uint32_t id;
};

struct ConfigUsers {
        ConfigUser *kept;
        size_t n_kept;
};

/** config_users_init() - nothing is known yet. Return: a look-up that borrows @users */
DeclLookup config_users_init(ConfigUsers *users);

/** config_users_deinit() - forget everything */
void config_users_deinit(ConfigUsers *users);
