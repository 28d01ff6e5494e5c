/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Drafts
 *
 * Which keys fit a kind stands in the table of keys; which fit each other stands here. A value that
 * does not fit becomes bad once it has been said, so that one mistake is one sentence.
 */

#include "config/draft.h"

#include <stdio.h>
#include <string.h>

#include "protocol/name.h"

bool config_draft_has(const ConfigDraft *draft, ConfigKey key) {
        return draft->values[key].state == CONFIG_VALUE_GOOD;
}

uint64_t config_draft_number(const ConfigDraft *draft, ConfigKey key, uint64_t otherwise) {
        return config_draft_has(draft, key) ? draft->values[key].number : otherwise;
}

ShmbKind config_draft_kind(const ConfigDraft *draft) {
        return (ShmbKind)config_draft_number(draft, CONFIG_KEY_KIND, SHMB_KIND_NONE);
}

static bool backing_is(const ConfigDraft *draft, ShmbBacking backing) {
        return config_draft_number(draft, CONFIG_KEY_BACKING, SHMB_BACKING_POSIX) == backing;
}

/* Was something written here whose meaning is not known? Then it may have been the right thing. */
static bool is_bad(const ConfigDraft *draft, ConfigKey key) {
        return draft->values[key].state == CONFIG_VALUE_BAD;
}

bool config_draft_bounds(ConfigKey key, ConfigKey *ret_min, ConfigKey *ret_max) {
        static const ConfigKey bounds[][3] = {
                {CONFIG_KEY_SIZE, CONFIG_KEY_SIZE_MIN, CONFIG_KEY_SIZE_MAX},
                {CONFIG_KEY_CAPACITY, CONFIG_KEY_CAPACITY_MIN, CONFIG_KEY_CAPACITY_MAX},
                {CONFIG_KEY_MAX_BYTES, CONFIG_KEY_MAX_BYTES_MIN, CONFIG_KEY_MAX_BYTES_MAX},
        };

        for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
                if (bounds[i][0] != key)
                        continue;

                *ret_min = bounds[i][1];
                *ret_max = bounds[i][2];
                return true;
        }

        return false;
}

/* What a key needs of other keys. Return: NULL, or what is missing. */
static const char *misfit(const ConfigDraft *draft, ConfigKey key) {
        bool any_backing = is_bad(draft, CONFIG_KEY_BACKING);

        switch (key) {
        case CONFIG_KEY_LINGER:
                if (config_draft_number(draft, CONFIG_KEY_LIFETIME, SHMB_LIFETIME_STATIC) !=
                            SHMB_LIFETIME_ON_DEMAND &&
                    !is_bad(draft, CONFIG_KEY_LIFETIME))
                        return "belongs to policy on_demand; other regions do not wait to be "
                               "removed";
                break;
        case CONFIG_KEY_POSIX_NAME:
                if (!any_backing && !backing_is(draft, SHMB_BACKING_POSIX))
                        return "belongs to backing posix";
                break;
        case CONFIG_KEY_SYSV_KEY:
                if (!any_backing && !backing_is(draft, SHMB_BACKING_SYSV))
                        return "belongs to backing sysv";
                break;
        case CONFIG_KEY_OWNER:
        case CONFIG_KEY_GROUP:
        case CONFIG_KEY_MODE:
                if (!any_backing && draft->values[CONFIG_KEY_POSIX_NAME].state ==
                                            CONFIG_VALUE_ABSENT &&
                    !backing_is(draft, SHMB_BACKING_SYSV) && !backing_is(draft, SHMB_BACKING_FILE))
                        return "belongs to regions with posix_name, or with backing sysv or file; "
                               "others are opened by nobody but the broker";
                break;
        case CONFIG_KEY_SYNC:
                if (!any_backing && !backing_is(draft, SHMB_BACKING_FILE))
                        return "belongs to backing file";
                break;
        default:
                break;
        }

        return NULL;
}

static bool fits_scope(const ConfigDraft *draft, ConfigKey key) {
        return config_key_info(key)->scopes & (1u << draft->scope);
}

static bool fits_kind(const ConfigDraft *draft, ConfigKey key) {
        ShmbKind kind = config_draft_kind(draft);

        return kind == SHMB_KIND_NONE || (config_key_info(key)->kinds & CONFIG_KIND_BIT(kind));
}

void config_draft_inherit(ConfigDraft *draft, const ConfigDraft *defaults) {
        if (!defaults)
                return;

        /* In order of the enumeration: what others depend on (kind, backing, policy) comes first.
         * */
        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                ConfigValue *value = &draft->values[key];

                if (value->state != CONFIG_VALUE_ABSENT || !config_draft_has(defaults, key))
                        continue;
                if (!fits_scope(draft, key) || !fits_kind(draft, key) || misfit(draft, key))
                        continue;

                *value = defaults->values[key];
                value->inherited = true;
        }
}

static void refuse(ConfigDraft *draft, ConfigKey key, DeclErrors *errors, const char *sentence) {
        decl_errors_add(errors, &draft->values[key].origin, config_key_info(key)->path, "%s",
                        sentence);
        draft->values[key].state = CONFIG_VALUE_BAD;
}

/* Keys that were written into this region and have no business there. */
static void check_misfits(ConfigDraft *draft, DeclErrors *errors) {
        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                const ConfigKeyInfo *info = config_key_info(key);
                char kinds[64], sentence[128];
                const char *missing;

                if (draft->values[key].state == CONFIG_VALUE_ABSENT ||
                    draft->values[key].inherited)
                        continue;

                if (!fits_kind(draft, key)) {
                        config_kind_list(info->kinds, kinds, sizeof(kinds));
                        snprintf(sentence, sizeof(sentence), "does not belong to kind %s; it "
                                 "belongs to %s",
                                 shmb_kind_to_string(config_draft_kind(draft)), kinds);
                        refuse(draft, key, errors, sentence);
                        continue;
                }

                missing = misfit(draft, key);
                if (missing)
                        refuse(draft, key, errors, missing);
        }
}

static bool is_absent(const ConfigDraft *draft, ConfigKey key) {
        return draft->values[key].state == CONFIG_VALUE_ABSENT;
}

static bool is_missing(const ConfigDraft *draft, ConfigKey key) {
        ConfigKey min, max;

        /* A template says how large a region may become, or how large all of them are. */
        if (config_draft_bounds(key, &min, &max) &&
            (!is_absent(draft, min) || !is_absent(draft, max)))
                return false;

        return is_absent(draft, key);
}

/* A template that says one end of what its creators may choose says the other one too. */
static void check_bound(ConfigDraft *draft, ConfigKey key, DeclErrors *errors) {
        ConfigKey min, max, given, missing;

        if (!config_draft_bounds(key, &min, &max) || is_absent(draft, min) == is_absent(draft, max))
                return;

        given = is_absent(draft, min) ? max : min;
        missing = is_absent(draft, min) ? min : max;
        decl_errors_add(errors, &draft->values[given].origin, config_key_info(missing)->path,
                        "is missing; expected both, or one size for all regions");
        draft->values[given].state = CONFIG_VALUE_BAD;
}

static void check_missing(const ConfigDraft *draft, DeclErrors *errors) {
        ShmbKind kind = config_draft_kind(draft);
        char kinds[64];

        if (is_missing(draft, CONFIG_KEY_NAME))
                decl_errors_add(errors, &draft->origin, "name",
                                "is missing; clients ask for a region by its name");

        if (is_missing(draft, CONFIG_KEY_KIND)) {
                config_word_list(CONFIG_KEY_KIND, kinds, sizeof(kinds));
                decl_errors_add(errors, &draft->origin, "kind", "is missing; expected %s", kinds);
        }

        if (kind == SHMB_KIND_NONE)
                return;

        for (ConfigKey key = CONFIG_KEY_KIND + 1; key < _CONFIG_KEY_N; key++) {
                const ConfigKeyInfo *info = config_key_info(key);

                if ((info->required & CONFIG_KIND_BIT(kind)) && is_missing(draft, key))
                        decl_errors_add(errors, &draft->origin, info->path,
                                        "is missing; a region of kind %s needs it",
                                        shmb_kind_to_string(kind));
        }

        if (backing_is(draft, SHMB_BACKING_SYSV) && is_missing(draft, CONFIG_KEY_SYSV_KEY))
                decl_errors_add(errors, &draft->origin, "sysv_key",
                                "is missing; backing sysv needs it");
}

static void check_name(ConfigDraft *draft, DeclErrors *errors) {
        char quote[DECL_QUOTE_MAX], sentence[256];
        ShmbNameFault fault;
        const char *name;
        size_t n;

        if (!config_draft_has(draft, CONFIG_KEY_NAME))
                return;

        name = draft->values[CONFIG_KEY_NAME].node->text;
        n = strlen(name);

        if (draft->scope == CONFIG_SCOPE_TEMPLATE) {
                if (n < 2 || strcmp(name + n - 2, "/*") != 0) {
                        refuse(draft, CONFIG_KEY_NAME, errors,
                               "is no pattern; the name of a template ends in '/*'");
                        return;
                }
                n -= 2;
        }

        fault = shmb_name_check(name, n, NULL);
        if (fault == SHMB_NAME_FINE)
                return;

        snprintf(sentence, sizeof(sentence), "%s %s; expected parts of a-z, 0-9, '_' and '-' "
                 "joined by '/'",
                 decl_quote(quote, name, strlen(name)), shmb_name_fault_to_string(fault));
        refuse(draft, CONFIG_KEY_NAME, errors, sentence);
}

static void check_posix_name(ConfigDraft *draft, DeclErrors *errors) {
        const char *name;

        if (!config_draft_has(draft, CONFIG_KEY_POSIX_NAME))
                return;

        name = draft->values[CONFIG_KEY_POSIX_NAME].node->text;
        if (!shmb_posix_name_is_valid(name)) {
                refuse(draft, CONFIG_KEY_POSIX_NAME, errors,
                       "is no name for shm_open(3); expected 1 to 255 bytes without '/' but one in "
                       "front");
                return;
        }

        name += *name == '/';
        if (strncmp(name, "shmb.", 5) == 0)
                refuse(draft, CONFIG_KEY_POSIX_NAME, errors,
                       "begins with 'shmb.', which names the broker's own objects; choose another");
        else if (strncmp(name, "sem.", 4) == 0)
                refuse(draft, CONFIG_KEY_POSIX_NAME, errors,
                       "begins with 'sem.', which names the semaphores of sem_open(3); choose "
                       "another");
}

static void check_not_above(ConfigDraft *draft, ConfigKey small, ConfigKey large,
                            DeclErrors *errors) {
        char sentence[128];

        if (!config_draft_has(draft, small) || !config_draft_has(draft, large) ||
            draft->values[small].number <= draft->values[large].number)
                return;

        snprintf(sentence, sizeof(sentence), "is more than %s; expected no more than that",
                 config_key_info(large)->path);
        refuse(draft, small, errors, sentence);
}

static void check_backing(ConfigDraft *draft, DeclErrors *errors) {
        ShmbKind kind = config_draft_kind(draft);

        if (backing_is(draft, SHMB_BACKING_SYSV) && kind != SHMB_KIND_NONE &&
            kind != SHMB_KIND_RAW)
                refuse(draft, CONFIG_KEY_BACKING, errors,
                       "sysv is only for kind raw; programs that know shmget(2) know no other");
}

/* The slots are mapped by the page, and each message has its length in front. */
static void check_stream(ConfigDraft *draft, DeclErrors *errors) {
        ConfigKey key = config_draft_has(draft, CONFIG_KEY_CAPACITY_MIN) ? CONFIG_KEY_CAPACITY_MIN
                                                                         : CONFIG_KEY_CAPACITY;
        uint64_t capacity = draft->values[key].number, most;
        char sentence[128];

        if (config_draft_kind(draft) != SHMB_KIND_STREAM || !config_draft_has(draft, key))
                return;
        if (capacity < SHMB_PAGE) {
                refuse(draft, key, errors,
                       "is too small for a stream, whose capacity is in bytes; expected 4K or "
                       "more");
                return;
        }
        most = capacity - SHMB_STREAM_ALIGN < INT32_MAX ? capacity - SHMB_STREAM_ALIGN : INT32_MAX;
        if (!config_draft_has(draft, CONFIG_KEY_MAX_MESSAGE) ||
            draft->values[CONFIG_KEY_MAX_MESSAGE].number <= most)
                return;
        snprintf(sentence, sizeof(sentence), "does not fit into capacity beside its length; "
                 "expected at most %llu bytes",
                 (unsigned long long)most);
        refuse(draft, CONFIG_KEY_MAX_MESSAGE, errors, sentence);
}

void config_draft_check(ConfigDraft *draft, DeclErrors *errors) {
        check_misfits(draft, errors);
        check_backing(draft, errors);
        check_missing(draft, errors);
        check_name(draft, errors);
        check_posix_name(draft, errors);
        check_stream(draft, errors);
        check_not_above(draft, CONFIG_KEY_SEGMENT, CONFIG_KEY_MAX_BYTES, errors);
        check_not_above(draft, CONFIG_KEY_SEGMENT, CONFIG_KEY_MAX_BYTES_MIN, errors);
        check_not_above(draft, CONFIG_KEY_SIZE_MIN, CONFIG_KEY_SIZE_MAX, errors);
        check_not_above(draft, CONFIG_KEY_CAPACITY_MIN, CONFIG_KEY_CAPACITY_MAX, errors);
        check_not_above(draft, CONFIG_KEY_MAX_BYTES_MIN, CONFIG_KEY_MAX_BYTES_MAX, errors);
        check_bound(draft, CONFIG_KEY_SIZE, errors);
        check_bound(draft, CONFIG_KEY_CAPACITY, errors);
        check_bound(draft, CONFIG_KEY_MAX_BYTES, errors);
        config_later_check(draft, errors);
}
