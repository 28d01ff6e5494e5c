/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Drop-ins
 *
 * Which files of several folders count, as systemd decides it (systemd.unit(5), "drop-in"): by
 * name, not by place. Only for config/.
 */

#include <stddef.h>

#include "config/errors.h"
#include "config/load.h"

typedef struct ConfigDropIn ConfigDropIn;
typedef struct ConfigDropIns ConfigDropIns;

struct ConfigDropIn {
        char *name;    /* "50-sensors.yaml" */
        size_t folder; /* index into the folders */
        bool masked;   /* a link to /dev/null: hides its name in later folders, says nothing */
};

struct ConfigDropIns {
        int fds[CONFIG_FOLDERS_MAX]; /* open folders, -1 where there is none */
        ConfigDropIn *files;         /* in order of name, each name once */
        size_t n_files;
};

/**
 * config_drop_ins_init() - look for drop-ins
 * @drop_ins:           where; nothing to free on failure
 * @paths:              the folders
 * @errors:             folders that must not or cannot be read
 *
 * Names that do not end in ".yaml", or begin with a dot, are left alone: backups of editors and of
 * dpkg lie beside what they are copies of.
 *
 * Return: 0, whatever is wrong with folders; -ENOMEM.
 */
int config_drop_ins_init(ConfigDropIns *drop_ins, const ConfigPaths *paths, DeclErrors *errors);

/** config_drop_ins_deinit() - close and free */
void config_drop_ins_deinit(ConfigDropIns *drop_ins);
