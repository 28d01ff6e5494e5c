/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys
 *
 * The table, and how it is searched. A row has the place of the key in the file (its path, with a
 * dot for each nesting), so that one reader serves all mappings, and a new key is one row.
 */

#include "config/key.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "protocol/limits.h"

#define KIB UINT64_C(1024)
#define DAY_NS UINT64_C(86400000000000)

/* A year: who wants to wait longer wants another policy. Far from where 64 bits of ns end. */
#define DURATION_MAX (365 * DAY_NS)

#define REGION (1u << CONFIG_SCOPE_REGION)
#define DEFAULTS (1u << CONFIG_SCOPE_DEFAULTS)
#define TEMPLATE (1u << CONFIG_SCOPE_TEMPLATE)
#define LIMITS (1u << CONFIG_SCOPE_LIMITS)
/* Of one region only: a default would give the same to all of them. */
#define SINGLE (REGION | TEMPLATE)
#define SHARED (REGION | DEFAULTS | TEMPLATE)

#define RAW CONFIG_KIND_BIT(SHMB_KIND_RAW)
#define RING CONFIG_KIND_BIT(SHMB_KIND_RING)
#define STREAM CONFIG_KIND_BIT(SHMB_KIND_STREAM)
#define BROADCAST CONFIG_KIND_BIT(SHMB_KIND_BROADCAST)
#define LATEST CONFIG_KIND_BIT(SHMB_KIND_LATEST)
#define QUEUE CONFIG_KIND_BIT(SHMB_KIND_QUEUE)
#define ITEMS (RING | BROADCAST | LATEST | QUEUE)
#define FLOWS (ITEMS | STREAM)
#define ALL (FLOWS | RAW)

/* Neither "none" nor anything behind the last may be written. */
#define WORD_OF(_name, _n)                                                                         \
        static const char *word_##_name(unsigned value) {                                          \
                return value < (_n) ? shmb_##_name##_to_string(value) : NULL;                      \
        }

WORD_OF(kind, _SHMB_KIND_N)
WORD_OF(backing, _SHMB_BACKING_N)
WORD_OF(overflow, _SHMB_OVERFLOW_N)
WORD_OF(delivery, _SHMB_DELIVERY_N)
WORD_OF(lifetime, _SHMB_LIFETIME_N)

#define WORDS(_name, ...)                                                                          \
        static const char *word_##_name(unsigned value) {                                          \
                static const char *const words[] = {"", __VA_ARGS__};                              \
                return value < sizeof(words) / sizeof(*words) ? words[value] : NULL;               \
        }

WORDS(protection, "auto", "sealed", "frozen", "trusting")
WORDS(hugepages, "2M", "1G")
WORDS(sync, "none", "async", "interval", "commit")

static const ConfigKeyInfo keys[_CONFIG_KEY_N] = {
        [CONFIG_KEY_NONE] = {""},

        [CONFIG_KEY_NAME] = {"name", CONFIG_TYPE_TEXT, SINGLE, ALL, ALL, 1, SHMB_NAME_MAX},
        [CONFIG_KEY_DESCRIPTION] = {"description", CONFIG_TYPE_TEXT, SINGLE, ALL, 0,
                                    1, SHMB_DESCRIPTION_MAX},
        [CONFIG_KEY_KIND] = {"kind", CONFIG_TYPE_WORD, SHARED, ALL, ALL, .word = word_kind},
        [CONFIG_KEY_SIZE] = {"size", CONFIG_TYPE_SIZE, SHARED, RAW, RAW, 1, SHMB_OBJECT_SIZE_MAX},

        [CONFIG_KEY_ITEM_SIZE] = {"item.size", CONFIG_TYPE_SIZE, SHARED, ITEMS, ITEMS,
                                  1, SHMB_ITEM_SIZE_MAX},
        [CONFIG_KEY_ITEM_ALIGN] = {"item.align", CONFIG_TYPE_SIZE, SHARED, ITEMS, 0,
                                   1, SHMB_ITEM_ALIGN_MAX, true},
        [CONFIG_KEY_ITEM_TYPE] = {"item.type", CONFIG_TYPE_TEXT, SHARED, ITEMS, 0,
                                  1, SHMB_TYPE_MAX},
        [CONFIG_KEY_CAPACITY] = {"capacity", CONFIG_TYPE_SIZE, SHARED, RING | STREAM | BROADCAST,
                                 RING | STREAM | BROADCAST, 1, SHMB_CAPACITY_MAX, true},
        [CONFIG_KEY_MAX_MESSAGE] = {"max_message", CONFIG_TYPE_SIZE, SHARED, STREAM, STREAM,
                                    1, SHMB_CAPACITY_MAX},
        [CONFIG_KEY_SLOTS] = {"slots", CONFIG_TYPE_COUNT, SHARED, LATEST, 0, 2, 64},
        [CONFIG_KEY_MAX_BYTES] = {"max_bytes", CONFIG_TYPE_SIZE, SHARED, QUEUE, QUEUE,
                                  4 * KIB, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_SEGMENT] = {"segment", CONFIG_TYPE_SIZE, SHARED, QUEUE, 0,
                                4 * KIB, UINT64_C(1) << 30, true},

        [CONFIG_KEY_PRODUCERS] = {"producers", CONFIG_TYPE_COUNT, SHARED,
                                  RING | STREAM | BROADCAST | QUEUE, 0, 1, SHMB_LANES_MAX},
        [CONFIG_KEY_CONSUMERS] = {"consumers", CONFIG_TYPE_COUNT, SHARED,
                                  FLOWS, 0, 1, SHMB_SEATS_MAX},
        [CONFIG_KEY_OVERFLOW] = {"overflow", CONFIG_TYPE_WORD, SHARED, RING | STREAM, 0,
                                 .word = word_overflow},
        [CONFIG_KEY_DELIVERY] = {"delivery", CONFIG_TYPE_WORD, SHARED, BROADCAST, 0,
                                 .word = word_delivery},

        [CONFIG_KEY_BACKING] = {"backing", CONFIG_TYPE_WORD, SHARED, ALL, 0, .word = word_backing},
        /* A template has ttl and max_age instead. */
        [CONFIG_KEY_LIFETIME] = {"lifetime.policy", CONFIG_TYPE_WORD, REGION | DEFAULTS, ALL, 0,
                                 .word = word_lifetime},
        [CONFIG_KEY_LINGER] = {"lifetime.linger", CONFIG_TYPE_DURATION, REGION | DEFAULTS, ALL, 0,
                               0, DURATION_MAX},

        [CONFIG_KEY_PRODUCE] = {"access.produce", CONFIG_TYPE_RULES, SHARED, FLOWS},
        [CONFIG_KEY_CONSUME] = {"access.consume", CONFIG_TYPE_RULES, SHARED, FLOWS},
        [CONFIG_KEY_OBSERVE] = {"access.observe", CONFIG_TYPE_RULES, SHARED, FLOWS},
        [CONFIG_KEY_READ] = {"access.read", CONFIG_TYPE_RULES, SHARED, RAW},
        [CONFIG_KEY_WRITE] = {"access.write", CONFIG_TYPE_RULES, SHARED, RAW},

        [CONFIG_KEY_POSIX_NAME] = {"posix_name", CONFIG_TYPE_TEXT, REGION, RAW, 0, 1, 256},
        [CONFIG_KEY_SYSV_KEY] = {"sysv_key", CONFIG_TYPE_SYSV_KEY, REGION, RAW, 0, 1, UINT32_MAX},
        [CONFIG_KEY_OWNER] = {"owner", CONFIG_TYPE_TEXT, SHARED, ALL, 0, 1, 255},
        [CONFIG_KEY_GROUP] = {"group", CONFIG_TYPE_TEXT, SHARED, ALL, 0, 1, 255},
        [CONFIG_KEY_MODE] = {"mode", CONFIG_TYPE_MODE, SHARED, ALL, 0, 0, 0666},

        [CONFIG_KEY_PROTECTION] = {"protection", CONFIG_TYPE_WORD, SHARED, ALL, 0,
                                   .word = word_protection},
        [CONFIG_KEY_PREFAULT] = {"prefault", CONFIG_TYPE_BOOLEAN, SHARED, ALL, 0, 0, 1},
        [CONFIG_KEY_HUGEPAGES] = {"hugepages", CONFIG_TYPE_WORD, SHARED, ALL, 0,
                                  .word = word_hugepages},
        /* MAX_NUMNODES of x86-64 */
        [CONFIG_KEY_NUMA] = {"numa", CONFIG_TYPE_COUNT, SHARED, ALL, 0, 0, 1023},
        [CONFIG_KEY_SYNC] = {"sync", CONFIG_TYPE_WORD, SHARED, ALL, 0, .word = word_sync},

        [CONFIG_KEY_SIZE_MIN] = {"size.min", CONFIG_TYPE_SIZE, TEMPLATE, RAW, 0,
                                 1, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_SIZE_MAX] = {"size.max", CONFIG_TYPE_SIZE, TEMPLATE, RAW, 0,
                                 1, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_CAPACITY_MIN] = {"capacity.min", CONFIG_TYPE_SIZE, TEMPLATE,
                                     RING | STREAM | BROADCAST, 0, 1, SHMB_CAPACITY_MAX, true},
        [CONFIG_KEY_CAPACITY_MAX] = {"capacity.max", CONFIG_TYPE_SIZE, TEMPLATE,
                                     RING | STREAM | BROADCAST, 0, 1, SHMB_CAPACITY_MAX, true},
        [CONFIG_KEY_MAX_BYTES_MIN] = {"max_bytes.min", CONFIG_TYPE_SIZE, TEMPLATE, QUEUE, 0,
                                      4 * KIB, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_MAX_BYTES_MAX] = {"max_bytes.max", CONFIG_TYPE_SIZE, TEMPLATE, QUEUE, 0,
                                      4 * KIB, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_CREATE] = {"access.create", CONFIG_TYPE_RULES, TEMPLATE, ALL},
        [CONFIG_KEY_REMOVE] = {"access.remove", CONFIG_TYPE_RULES, TEMPLATE, ALL},
        [CONFIG_KEY_TTL] = {"ttl", CONFIG_TYPE_DURATION, TEMPLATE, ALL, 0, 1, DURATION_MAX},
        [CONFIG_KEY_MAX_AGE] = {"max_age", CONFIG_TYPE_DURATION, TEMPLATE, ALL, 0,
                                1, DURATION_MAX},

        /* More connections than RLIMIT_NOFILE of any unit; a lease costs some 200 bytes. */
        [CONFIG_KEY_LIMIT_CONNECTIONS] = {"per_uid.connections", CONFIG_TYPE_COUNT, LIMITS, 0, 0,
                                          1, 65536},
        [CONFIG_KEY_LIMIT_LEASES] = {"per_uid.leases", CONFIG_TYPE_COUNT, LIMITS, 0, 0,
                                     1, 1048576},
        [CONFIG_KEY_LIMIT_BYTES] = {"per_uid.bytes", CONFIG_TYPE_SIZE, LIMITS, 0, 0,
                                    4 * KIB, SHMB_OBJECT_SIZE_MAX},
        [CONFIG_KEY_LIMIT_REGIONS] = {"per_uid.regions", CONFIG_TYPE_COUNT, LIMITS, 0, 0,
                                      1, 16384},
        [CONFIG_KEY_LIMIT_TOTAL] = {"total.bytes", CONFIG_TYPE_SIZE, LIMITS, 0, 0,
                                    4 * KIB, SHMB_OBJECT_SIZE_MAX},
};

const ConfigKeyInfo *config_key_info(ConfigKey key) {
        assert(key < _CONFIG_KEY_N);

        return &keys[key];
}

static bool in_scope(ConfigKey key, ConfigScope scope) {
        return keys[key].scopes & (1u << scope);
}

ConfigKey config_key_find(ConfigScope scope, const char *path) {
        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++)
                if (in_scope(key, scope) && strcmp(keys[key].path, path) == 0)
                        return key;

        return CONFIG_KEY_NONE;
}

bool config_key_is_group(ConfigScope scope, const char *path) {
        size_t n = strlen(path);

        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++)
                if (in_scope(key, scope) && strncmp(keys[key].path, path, n) == 0 &&
                    keys[key].path[n] == '.')
                        return true;

        return false;
}

/* The one part of the key's path that stands right below @prefix, if it begins with that. */
static bool part_below(ConfigKey key, ConfigScope scope, const char *prefix, char *part) {
        size_t n = strlen(prefix);
        const char *path = keys[key].path;

        if (!in_scope(key, scope) || strncmp(path, prefix, n) != 0)
                return false;

        snprintf(part, CONFIG_PATH_MAX, "%.*s", (int)strcspn(path + n, "."), path + n);
        return true;
}

/* All parts below @prefix, each once, in the order of the table. Return: how many. */
static size_t parts_below(ConfigScope scope, const char *prefix,
                          char parts[_CONFIG_KEY_N][CONFIG_PATH_MAX]) {
        size_t n = 0;

        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                size_t i = 0;

                if (!part_below(key, scope, prefix, parts[n]))
                        continue;

                while (i < n && strcmp(parts[i], parts[n]) != 0)
                        i++;
                n += i == n;
        }

        return n;
}

bool config_key_suggest(ConfigScope scope, const char *prefix, const char *word, char *ret_path) {
        char parts[_CONFIG_KEY_N][CONFIG_PATH_MAX];
        const char *list[_CONFIG_KEY_N + 1] = {}, *found;
        size_t n;

        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                const char *leaf = strrchr(keys[key].path, '.');

                if (in_scope(key, scope) && leaf && strcmp(leaf + 1, word) == 0) {
                        snprintf(ret_path, CONFIG_PATH_MAX, "%s", keys[key].path);
                        return true;
                }
        }

        n = parts_below(scope, prefix, parts);
        for (size_t i = 0; i < n; i++)
                list[i] = parts[i];

        found = config_suggest(word, list);
        if (!found)
                return false;

        snprintf(ret_path, CONFIG_PATH_MAX, "%s%s", prefix, found);
        return true;
}

void config_key_list(ConfigScope scope, const char *prefix, char *buffer, size_t size) {
        char parts[_CONFIG_KEY_N][CONFIG_PATH_MAX];
        const char *list[_CONFIG_KEY_N];
        size_t n;

        n = parts_below(scope, prefix, parts);
        for (size_t i = 0; i < n; i++)
                list[i] = parts[i];

        config_list_join(list, n, " or ", buffer, size);
}

unsigned config_word_find(ConfigKey key, const char *text) {
        const char *word;

        for (unsigned value = 1; (word = keys[key].word(value)); value++)
                if (strcmp(word, text) == 0)
                        return value;

        return 0;
}

/* The words of @key, and NULL behind them. Return: how many. */
static size_t words_of(ConfigKey key, const char *words[CONFIG_WORDS_MAX + 1]) {
        size_t n = 0;

        while (n < CONFIG_WORDS_MAX && (words[n] = keys[key].word((unsigned)n + 1)))
                n++;
        words[n] = NULL;
        return n;
}

const char *config_word_suggest(ConfigKey key, const char *text) {
        const char *words[CONFIG_WORDS_MAX + 1];

        words_of(key, words);
        return config_suggest(text, words);
}

void config_word_list(ConfigKey key, char *buffer, size_t size) {
        const char *words[CONFIG_WORDS_MAX + 1];
        size_t n;

        n = words_of(key, words);
        config_list_join(words, n, " or ", buffer, size);
}

void config_kind_list(unsigned kinds, char *buffer, size_t size) {
        const char *words[_SHMB_KIND_N];
        size_t n = 0;

        for (ShmbKind kind = SHMB_KIND_NONE + 1; kind < _SHMB_KIND_N; kind++)
                if (kinds & CONFIG_KIND_BIT(kind))
                        words[n++] = shmb_kind_to_string(kind);

        config_list_join(words, n, " and ", buffer, size);
}
