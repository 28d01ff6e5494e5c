/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keys
 *
 * The schema of shmbrokerd.yaml as one table: each key with its type, its bounds and the kinds of
 * region that it belongs to. All of the schema stands here, also what this version cannot do; that
 * is said in one other table (config/later.c). Pure data.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bits.h"

typedef struct ConfigKeyInfo ConfigKeyInfo;

typedef enum ConfigKey {
        CONFIG_KEY_NONE,
        /* regions, templates, defaults */
        CONFIG_KEY_NAME,
        CONFIG_KEY_DESCRIPTION,
        CONFIG_KEY_KIND,
        CONFIG_KEY_SIZE,
        CONFIG_KEY_ITEM_SIZE,
        CONFIG_KEY_ITEM_ALIGN,
        CONFIG_KEY_ITEM_TYPE,
        CONFIG_KEY_CAPACITY,
        CONFIG_KEY_MAX_MESSAGE,
        CONFIG_KEY_SLOTS,
        CONFIG_KEY_MAX_BYTES,
        CONFIG_KEY_SEGMENT,
        CONFIG_KEY_PRODUCERS,
        CONFIG_KEY_CONSUMERS,
        CONFIG_KEY_OVERFLOW,
        CONFIG_KEY_DELIVERY,
        CONFIG_KEY_BACKING,
        CONFIG_KEY_LIFETIME,
        CONFIG_KEY_LINGER,
        CONFIG_KEY_PRODUCE,
        CONFIG_KEY_CONSUME,
        CONFIG_KEY_OBSERVE,
        CONFIG_KEY_READ,
        CONFIG_KEY_WRITE,
        CONFIG_KEY_POSIX_NAME,
        CONFIG_KEY_SYSV_KEY,
        CONFIG_KEY_OWNER,
        CONFIG_KEY_GROUP,
        CONFIG_KEY_MODE,
        CONFIG_KEY_PROTECTION,
        CONFIG_KEY_PREFAULT,
        CONFIG_KEY_HUGEPAGES,
        CONFIG_KEY_NUMA,
        CONFIG_KEY_SYNC,
        /* templates only */
        CONFIG_KEY_SIZE_MIN,
        CONFIG_KEY_SIZE_MAX,
        CONFIG_KEY_CAPACITY_MIN,
        CONFIG_KEY_CAPACITY_MAX,
        CONFIG_KEY_MAX_BYTES_MIN,
        CONFIG_KEY_MAX_BYTES_MAX,
        CONFIG_KEY_CREATE,
        CONFIG_KEY_REMOVE,
        CONFIG_KEY_TTL,
        CONFIG_KEY_MAX_AGE,
        /* limits */
        CONFIG_KEY_LIMIT_CONNECTIONS,
        CONFIG_KEY_LIMIT_LEASES,
        CONFIG_KEY_LIMIT_BYTES,
        CONFIG_KEY_LIMIT_REGIONS,
        CONFIG_KEY_LIMIT_TOTAL,
        _CONFIG_KEY_N,
} ConfigKey;

/* What stands behind a key. */
typedef enum ConfigType {
        CONFIG_TYPE_TEXT,     /* one line, printable */
        CONFIG_TYPE_COUNT,
        CONFIG_TYPE_SIZE,     /* bytes, or slots: units are powers of 1024 */
        CONFIG_TYPE_DURATION, /* nanoseconds */
        CONFIG_TYPE_BOOLEAN,
        CONFIG_TYPE_WORD,     /* one of a list; its value is that of the enumeration */
        CONFIG_TYPE_MODE,
        CONFIG_TYPE_SYSV_KEY,
        CONFIG_TYPE_RULES,    /* a list of rules of access */
        _CONFIG_TYPE_N,
} ConfigType;

/* A group of keys that one mapping of the file may hold. */
typedef enum ConfigScope {
        CONFIG_SCOPE_REGION,
        CONFIG_SCOPE_DEFAULTS,
        CONFIG_SCOPE_TEMPLATE,
        CONFIG_SCOPE_LIMITS,
        _CONFIG_SCOPE_N,
} ConfigScope;

typedef enum ConfigProtection {
        CONFIG_PROTECTION_NONE,
        CONFIG_PROTECTION_AUTO,
        CONFIG_PROTECTION_SEALED,
        CONFIG_PROTECTION_FROZEN,
        CONFIG_PROTECTION_TRUSTING,
} ConfigProtection;

enum {
        CONFIG_PATH_MAX = 32, /* of any path of the table, with its terminator */
        CONFIG_WORDS_MAX = 8, /* of any CONFIG_TYPE_WORD */
};

#define CONFIG_KIND_BIT(_kind) (1u << (_kind))

struct ConfigKeyInfo {
        const char *path;  /* "item.size", as it is nested */
        ConfigType type;
        unsigned scopes;   /* bits: 1 << ConfigScope */
        unsigned kinds;    /* it belongs to these, CONFIG_KIND_BIT() */
        unsigned required; /* and must be given for these */
        uint64_t min, max; /* of a number; of a text its bytes */
        bool power_of_two;
        /* WORD: the spelling of a value from 1 on, NULL behind the last */
        const char *(*word)(unsigned value);
};

/** config_key_info() - what is known of a key, never NULL */
const ConfigKeyInfo *config_key_info(ConfigKey key);

/**
 * config_key_find() - the key of this path in a scope
 * @scope:              where it stands
 * @path:               "item.size"
 *
 * Return: the key, or CONFIG_KEY_NONE.
 */
ConfigKey config_key_find(ConfigScope scope, const char *path);

/** config_key_is_group() - true if keys of the scope begin with @path and a dot: "item" */
bool config_key_is_group(ConfigScope scope, const char *path);

/**
 * config_key_suggest() - what somebody who wrote this may have meant
 * @scope:              where it stands
 * @prefix:             "item.", or "" at the top of the scope
 * @word:               what was written behind it
 *
 * @ret_path:           CONFIG_PATH_MAX bytes: path of a key or group, relative to the scope
 *
 * The nearest key below @prefix by edit distance; or one of the same last part anywhere else in the
 * scope ("linger" is lifetime.linger).
 *
 * Return: true if something is near.
 */
bool config_key_suggest(ConfigScope scope, const char *prefix, const char *word, char *ret_path);

/**
 * config_key_list() - "size, align or type": what may stand below @prefix
 * @scope:              where it stands
 * @prefix:             "item.", or "" at the top of the scope
 * @buffer:             where
 * @size:               bytes at @buffer; what does not fit is cut
 */
void config_key_list(ConfigScope scope, const char *prefix, char *buffer, size_t size);

/** config_word_find() - value of a word of @key. Return: value from 1 on, or 0 if it is none */
unsigned config_word_find(ConfigKey key, const char *text);

/** config_word_suggest() - the nearest word of @key, or NULL. Static */
const char *config_word_suggest(ConfigKey key, const char *text);

/** config_word_list() - "block, fail or drop_newest" */
void config_word_list(ConfigKey key, char *buffer, size_t size);

/** config_kind_list() - "ring, stream and queue", for bits of CONFIG_KIND_BIT() */
void config_kind_list(unsigned kinds, char *buffer, size_t size);

/**
 * config_suggest() - the text of a list that is nearest to @text
 * @text:               what was written
 * @candidates:         NULL-terminated list of what might have been meant
 *
 * Return: a candidate at most a third of its length of edits away, or NULL.
 */
const char *config_suggest(const char *text, const char *const *candidates);

/**
 * config_list_join() - "a, b or c"
 * @words:              texts
 * @n:                  how many; 0 gives ""
 * @conjunction:        what stands before the last: " or "
 * @buffer:             where
 * @size:               bytes at @buffer, more than 0; what does not fit is cut
 */
void config_list_join(const char *const *words, size_t n, const char *conjunction, char *buffer,
                      size_t size);
