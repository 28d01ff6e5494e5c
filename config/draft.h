/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Drafts
 *
 * What one mapping of the file says, before anybody asked whether it makes sense: a value for each
 * key, each with its place. A draft becomes a Decl when defaults are put under it and all its keys
 * fit each other. Pure.
 *
 * A draft borrows text from the tree that it was read from.
 */

#include <stdbool.h>
#include <stdint.h>

#include "config/decl.h"
#include "config/errors.h"
#include "config/key.h"
#include "config/tree.h"

typedef struct ConfigDraft ConfigDraft;
typedef struct ConfigValue ConfigValue;

/* Of `lifetime: {policy: on_demand}` without linger: long enough for a program that restarts. */
#define CONFIG_LINGER_DEFAULT_NS UINT64_C(10000000000)
/* Of a queue: what is reserved and given back at a time; a whole page for small ones. */
#define CONFIG_SEGMENT_DEFAULT (UINT64_C(1) << 20)

enum {
        /* item.align not given: the largest power of two that divides item.size, up to this; the
         * strictest alignment of a scalar that 32-bit and 64-bit programs share. */
        CONFIG_ALIGN_NATURAL_MAX = 8,
        /* latest: so that a reader is overtaken only by who writes three times meanwhile */
        CONFIG_SLOTS_DEFAULT = 4,
        CONFIG_READERS_DEFAULT = 8,
};

typedef enum ConfigValueState {
        CONFIG_VALUE_ABSENT,
        CONFIG_VALUE_BAD, /* given, and wrong in itself, which has been said */
        CONFIG_VALUE_GOOD,
} ConfigValueState;

struct ConfigValue {
        ConfigValueState state;
        bool inherited;         /* from defaults */
        DeclOrigin origin;      /* of the value; file borrowed */
        uint64_t number;        /* all but TEXT and RULES */
        const ConfigNode *node; /* TEXT: its text; RULES: the list */
};

struct ConfigDraft {
        ConfigScope scope;
        DeclOrigin origin; /* where it begins; file borrowed */
        ConfigValue values[_CONFIG_KEY_N];
};

/** config_draft_has() - given, inherited included, and good in itself */
bool config_draft_has(const ConfigDraft *draft, ConfigKey key);

/** config_draft_number() - the number of a key, or @otherwise if it is absent or bad */
uint64_t config_draft_number(const ConfigDraft *draft, ConfigKey key, uint64_t otherwise);

/** config_draft_kind() - kind of the region, SHMB_KIND_NONE if it is absent or bad */
ShmbKind config_draft_kind(const ConfigDraft *draft);

/**
 * config_draft_bounds() - the keys of a template between which a size of its regions may be
 * @key:                CONFIG_KEY_SIZE, CONFIG_KEY_CAPACITY, CONFIG_KEY_MAX_BYTES
 * @ret_min:            its key for the least
 * @ret_max:            and for the most
 *
 * Return: true if @key is one of those.
 */
bool config_draft_bounds(ConfigKey key, ConfigKey *ret_min, ConfigKey *ret_max);

/**
 * config_draft_inherit() - put defaults under a draft
 * @draft:              region or template
 * @defaults:           what holds where @draft says nothing; NULL = nothing
 *
 * Key by key ("item.size" and "item.align" apart), and only keys that fit what the region is: a
 * default of `overflow` says nothing to a raw region.
 */
void config_draft_inherit(ConfigDraft *draft, const ConfigDraft *defaults);

/**
 * config_draft_check() - do the keys of a region or template fit its kind and each other?
 * @draft:              with its defaults under it; values that do not fit become bad
 * @errors:             what is wrong, what is missing, what this version cannot do
 */
void config_draft_check(ConfigDraft *draft, DeclErrors *errors);

/**
 * config_later_check() - what the schema has and this version does not
 * @draft:              checked otherwise
 * @errors:             each such key is refused by its name
 */
void config_later_check(const ConfigDraft *draft, DeclErrors *errors);

/**
 * config_draft_to_decl() - the declaration
 * @draft:              checked
 * @errors:             sizes that are too large together, too many rules
 * @ret_decl:           the declaration; NULL if there is no name to call it by. It can be used only
 *                      if nothing was ever added to @errors.
 *
 * Of a template the declaration has a DeclTemplate.
 *
 * Return: 0, whatever was added to @errors; or -ENOMEM.
 */
int config_draft_to_decl(const ConfigDraft *draft, DeclErrors *errors, Decl **ret_decl);
