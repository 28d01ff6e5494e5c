/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Loader
 *
 * Where the configuration lies, and all of it into one DeclSet: the main file, the drop-ins over it
 * in the order of systemd, users and groups looked up once. All or nothing: a set, or errors.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/decl.h"
#include "config/errors.h"

typedef struct ConfigPaths ConfigPaths;

enum {
        CONFIG_FOLDERS_MAX = 3,
        /* A file a service, on a machine with more services than any has. */
        CONFIG_DROP_INS_MAX = 1024,
};

struct ConfigPaths {
        char *main;
        bool required; /* a main file that is missing is an error; else it says nothing */
        /* Folders of drop-ins, the strongest first: a name in one hides that name in later ones. */
        char *folders[CONFIG_FOLDERS_MAX];
        size_t n_folders;
};

#define CONFIG_PATHS_NULL ((ConfigPaths){})

/**
 * config_paths_init_file() - what `--config FILE` means: FILE, and regions.d beside it
 * @paths:              where; nothing to free on failure
 * @file:               the main file
 *
 * Return: 0, or -ENOMEM.
 */
int config_paths_init_file(ConfigPaths *paths, const char *file);

/**
 * config_paths_init_system() - /etc/shmbroker/shmbrokerd.yaml, and regions.d in /etc/shmbroker,
 *                              /run/shmbroker and /usr/lib/shmbroker
 *
 * The first and the last are those that this was built for (prefix).
 *
 * Return: 0, or -ENOMEM.
 */
int config_paths_init_system(ConfigPaths *paths);

/**
 * config_paths_init_user() - the same for a broker of an ordinary user
 * @paths:              where; nothing to free on failure
 * @config_home:        $XDG_CONFIG_HOME; shmbroker/ below it
 * @runtime_dir:        $XDG_RUNTIME_DIR, or NULL; shmbroker/ below it
 *
 * Return: 0, or -ENOMEM.
 */
int config_paths_init_user(ConfigPaths *paths, const char *config_home, const char *runtime_dir);

/** config_paths_deinit() - free the paths */
void config_paths_deinit(ConfigPaths *paths);

/**
 * config_load() - read everything
 * @paths:              where it lies
 * @ret_set:            the set; owned by the caller
 * @ret_errors:         what is wrong, in order of place; owned by the caller. Files that cannot be
 *                      read stand here too.
 *
 * Return: 0 with *ret_set; DECL_E_INVALID with *ret_errors; -ENOMEM.
 */
int config_load(const ConfigPaths *paths, DeclSet **ret_set, DeclErrors *ret_errors);
