/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Groups
 *
 * A mapping of the file, and the mappings nested in it, into a draft. Only for config/.
 */

#include "config/draft.h"

enum {
        /* A prefix of the table ("limits.per_uid."), and a key as long as a quote may be. */
        CONFIG_SHOWN_MAX = 128,
};

/**
 * config_group_read() - read all keys of a mapping
 * @node:               what stands there; anything but a mapping is an error
 * @draft:              its scope says which keys are known; its values are set
 * @errors:             unknown keys, keys that are given twice, values that are wrong
 */
void config_group_read(const ConfigNode *node, ConfigDraft *draft, DeclErrors *errors);

/**
 * config_group_is_repeated() - was this key given before in its mapping?
 * @mapping:            the mapping
 * @key:                a key of it
 * @prefix:             "item.", what the mapping is nested in, for the error
 * @errors:             said here if so
 */
bool config_group_is_repeated(const ConfigNode *mapping, const ConfigNode *key, const char *prefix,
                              DeclErrors *errors);

/** config_group_show() - a key as errors name it; any bytes, cut */
const char *config_group_show(char *buffer, const char *prefix, const char *key);
