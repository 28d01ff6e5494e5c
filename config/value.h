/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Values
 *
 * From a node to the value of a key, by the key's type and bounds. Only for config/.
 */

#include "config/draft.h"

/**
 * config_value_read() - read what stands behind a key
 * @node:               what stands there
 * @key:                the key
 * @shown:              the key as errors name it, "defaults.item.size"
 * @errors:             what is wrong
 *
 * Return: the value; bad if anything was wrong, which has been said.
 */
ConfigValue config_value_read(const ConfigNode *node, ConfigKey key, const char *shown,
                              DeclErrors *errors);

/** config_node_is_empty() - nothing written: "key:", "key: ~", "key: null" */
bool config_node_is_empty(const ConfigNode *node);

/** config_node_describe() - "a list", "a mapping", "a value" */
const char *config_node_describe(const ConfigNode *node);
