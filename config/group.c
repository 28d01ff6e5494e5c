/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Groups
 *
 * One walk serves every mapping: the path of a key is looked up in the table, and a key that is the
 * beginning of a path is a nested mapping. There is no code for any single key, but for `lifetime`,
 * whose short form is its policy.
 */

#include "config/group.h"

#include <stdio.h>
#include <string.h>

#include "config/value.h"

typedef struct Walk {
        ConfigDraft *draft;
        DeclErrors *errors;
} Walk;

/* Before the path in errors: regions are told apart by their lines, these by their names. */
static const char *scope_prefix(ConfigScope scope) {
        switch (scope) {
        case CONFIG_SCOPE_DEFAULTS:
                return "defaults.";
        case CONFIG_SCOPE_LIMITS:
                return "limits.";
        case CONFIG_SCOPE_REGION:
        case CONFIG_SCOPE_TEMPLATE:
        case _CONFIG_SCOPE_N:
                break;
        }

        return "";
}

const char *config_group_show(char *buffer, const char *prefix, const char *key) {
        char quote[DECL_QUOTE_MAX];
        size_t n;

        /* A quote without its quotes. */
        decl_quote(quote, key, strlen(key));
        n = strlen(quote);
        snprintf(buffer, CONFIG_SHOWN_MAX, "%.*s%.*s", CONFIG_PATH_MAX, prefix, (int)n - 2,
                 quote + 1);
        return buffer;
}

bool config_group_is_repeated(const ConfigNode *mapping, const ConfigNode *key, const char *prefix,
                              DeclErrors *errors) {
        char shown[CONFIG_SHOWN_MAX];

        for (const ConfigNode *other = mapping->first; other != key; other = other->next->next) {
                if (other->type != CONFIG_NODE_SCALAR || strcmp(other->text, key->text) != 0)
                        continue;

                decl_errors_add(errors, &key->origin, config_group_show(shown, prefix, key->text),
                                "is given twice; the first is in line %u", other->origin.line);
                return true;
        }

        return false;
}

static void refuse_unknown(Walk *walk, const ConfigNode *key, const char *prefix,
                           const char *path) {
        ConfigScope scope = walk->draft->scope;
        char shown[CONFIG_SHOWN_MAX], full[64], near[CONFIG_PATH_MAX], list[384];

        snprintf(full, sizeof(full), "%s%s", scope_prefix(scope), prefix);
        config_group_show(shown, full, key->text);

        if (scope == CONFIG_SCOPE_DEFAULTS &&
            (config_key_find(CONFIG_SCOPE_REGION, path) ||
             config_key_is_group(CONFIG_SCOPE_REGION, path))) {
                decl_errors_add(walk->errors, &key->origin, shown,
                                "cannot be a default; each region has its own");
        } else if (scope == CONFIG_SCOPE_REGION && config_key_find(CONFIG_SCOPE_TEMPLATE, path)) {
                decl_errors_add(walk->errors, &key->origin, shown,
                                "belongs to templates, not to regions");
        } else if (scope == CONFIG_SCOPE_TEMPLATE &&
                   (config_key_find(CONFIG_SCOPE_REGION, path) ||
                    config_key_is_group(CONFIG_SCOPE_REGION, path))) {
                decl_errors_add(walk->errors, &key->origin, shown,
                                "belongs to regions, not to templates");
        } else if (config_key_suggest(scope, prefix, key->text, near)) {
                decl_errors_add(walk->errors, &key->origin, shown,
                                "unknown key, did you mean %s%s?", scope_prefix(scope), near);
        } else {
                config_key_list(scope, prefix, list, sizeof(list));
                decl_errors_add(walk->errors, &key->origin, shown, "unknown key; expected %s",
                                list);
        }
}

static void read_value(Walk *walk, const ConfigNode *node, ConfigKey key) {
        char shown[CONFIG_SHOWN_MAX];

        snprintf(shown, sizeof(shown), "%s%s", scope_prefix(walk->draft->scope),
                 config_key_info(key)->path);
        walk->draft->values[key] = config_value_read(node, key, shown, walk->errors);
}

static void read_mapping(Walk *walk, const ConfigNode *mapping, const char *prefix);

/* What stands behind a key that is a group: its mapping, or the short form of it. */
static void read_nested(Walk *walk, const ConfigNode *node, const char *path) {
        char prefix[CONFIG_SHOWN_MAX], shown[CONFIG_SHOWN_MAX], list[128];
        ConfigScope scope = walk->draft->scope;
        ConfigKey key;

        if (node->type == CONFIG_NODE_BAD)
                return;

        snprintf(prefix, sizeof(prefix), "%s.", path);
        if (node->type == CONFIG_NODE_MAPPING) {
                read_mapping(walk, node, prefix);
                return;
        }

        snprintf(shown, sizeof(shown), "%s.policy", path);
        key = config_key_find(scope, shown);
        if (key && node->type == CONFIG_NODE_SCALAR) {
                read_value(walk, node, key);
                return;
        }

        config_key_list(scope, prefix, list, sizeof(list));
        snprintf(shown, sizeof(shown), "%s%s", scope_prefix(scope), path);
        decl_errors_add(walk->errors, &node->origin, shown,
                        "is no mapping; expected {KEY: VALUE} with %s", list);
}

static void read_pair(Walk *walk, const ConfigNode *key, const char *prefix) {
        ConfigScope scope = walk->draft->scope;
        char path[2 * CONFIG_PATH_MAX];
        ConfigKey found = CONFIG_KEY_NONE;
        bool group = false;
        int n;

        n = snprintf(path, sizeof(path), "%s%s", prefix, key->text);

        /* A dot inside a key would address what is nested without being nested. */
        if (n > 0 && n < CONFIG_PATH_MAX && !strchr(key->text, '.')) {
                found = config_key_find(scope, path);
                group = config_key_is_group(scope, path);
        }

        if (group && (!found || key->next->type == CONFIG_NODE_MAPPING))
                read_nested(walk, key->next, path);
        else if (found)
                read_value(walk, key->next, found);
        else
                refuse_unknown(walk, key, prefix, path);
}

static void read_mapping(Walk *walk, const ConfigNode *mapping, const char *prefix) {
        char full[64];

        snprintf(full, sizeof(full), "%s%s", scope_prefix(walk->draft->scope), prefix);

        for (const ConfigNode *key = mapping->first; key; key = key->next->next)
                if (key->type == CONFIG_NODE_SCALAR &&
                    !config_group_is_repeated(mapping, key, full, walk->errors))
                        read_pair(walk, key, prefix);
}

void config_group_read(const ConfigNode *node, ConfigDraft *draft, DeclErrors *errors) {
        Walk walk = {draft, errors};
        const char *prefix = scope_prefix(draft->scope);
        char key[16], list[384];

        if (node->type == CONFIG_NODE_MAPPING) {
                read_mapping(&walk, node, "");
                return;
        }
        if (node->type == CONFIG_NODE_BAD)
                return;

        snprintf(key, sizeof(key), "%.*s", (int)strlen(prefix) - 1, prefix);
        config_key_list(draft->scope, "", list, sizeof(list));
        decl_errors_add(errors, &node->origin, key, "is no mapping; expected one with %s", list);
}
