/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a Service Manager Keeps
 *
 * The store of systemd in the hands of a test: descriptors that a broker asks to be kept
 * (FDSTORE=1 of sd_notify(3)), handed to the next one as systemd does ($LISTEN_FDS). As with
 * FDPOLL=0 none is ever dropped because its peer hung up.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct Keeper Keeper;

enum {
        KEEPER_MAX = 64,
        KEEPER_NAME_MAX = 255,
};

struct Keeper {
        struct {
                int fd;
                char name[KEEPER_NAME_MAX + 1];
        } entries[KEEPER_MAX];
        size_t n_entries;
};

/** keeper_put() - keep @fd, which is the keeper's then */
void keeper_put(Keeper *keeper, const char *name, int fd);

/** keeper_hear() - one notification and what came with it (-1), which is closed or kept; whether it
 *  was for a store */
bool keeper_hear(Keeper *keeper, const char *message, int fd);

/** keeper_count() - how many have a name that begins so */
size_t keeper_count(const Keeper *keeper, const char *prefix);

/** keeper_pass() - in the child, last before exec: newest first */
void keeper_pass(const Keeper *keeper);

/** keeper_clear() - let go of all */
void keeper_clear(Keeper *keeper);
