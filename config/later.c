/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Later
 *
 * The schema is complete, the broker is not yet. What a version cannot do stands in one table, a
 * line each, and is refused by name instead of being ignored. Building it means deleting its line.
 */

#include <stdio.h>

#include "config/draft.h"

typedef enum LaterWhen {
        LATER_GIVEN, /* the key at all */
        LATER_IS,    /* this value */
        LATER_ABOVE, /* any greater number */
} LaterWhen;

typedef struct Later {
        ConfigKey key;
        LaterWhen when;
        uint64_t number;
        /* only where another key has this value; CONFIG_KEY_NONE = always */
        ConfigKey beside;
        uint64_t beside_number;
} Later;

static const Later laters[] = {
        /* They would need a word for each message, which has no place of its own. */
        {CONFIG_KEY_CONSUMERS, LATER_ABOVE, 1, CONFIG_KEY_KIND, SHMB_KIND_STREAM},

        {CONFIG_KEY_BACKING, LATER_IS, SHMB_BACKING_FILE},
        {CONFIG_KEY_BACKING, LATER_IS, SHMB_BACKING_SYSV},
        /* A memfd has no name by which a later broker could find it again. */
        {CONFIG_KEY_LIFETIME, LATER_IS, SHMB_LIFETIME_PERSISTENT,
         CONFIG_KEY_BACKING, SHMB_BACKING_MEMFD},

        {CONFIG_KEY_OWNER, LATER_GIVEN},
        {CONFIG_KEY_GROUP, LATER_GIVEN},
        {CONFIG_KEY_MODE, LATER_GIVEN},
        {CONFIG_KEY_PROTECTION, LATER_ABOVE, CONFIG_PROTECTION_AUTO},
        {CONFIG_KEY_PREFAULT, LATER_IS, true},
        {CONFIG_KEY_HUGEPAGES, LATER_GIVEN},
        {CONFIG_KEY_NUMA, LATER_GIVEN},
        {CONFIG_KEY_SYNC, LATER_GIVEN},
};

/* What is not given has its default value; where that matters it is the enumeration's first. */
static uint64_t number_of(const ConfigDraft *draft, ConfigKey key) {
        return config_draft_number(draft, key, key == CONFIG_KEY_BACKING ? SHMB_BACKING_POSIX : 0);
}

static bool applies(const Later *later, const ConfigDraft *draft) {
        uint64_t number = number_of(draft, later->key);

        if (!config_draft_has(draft, later->key))
                return false;
        if (later->beside && number_of(draft, later->beside) != later->beside_number)
                return false;

        switch (later->when) {
        case LATER_GIVEN:
                return true;
        case LATER_IS:
                return number == later->number;
        case LATER_ABOVE:
                return number > later->number;
        }

        return false;
}

static bool is_later(ConfigKey key, uint64_t number) {
        for (size_t i = 0; i < sizeof(laters) / sizeof(*laters); i++)
                if (laters[i].key == key && laters[i].when == LATER_IS && !laters[i].beside &&
                    laters[i].number == number)
                        return true;

        return false;
}

/* "raw or ring": the words of a key that this version has, in this company. */
static void list_words(const Later *later, char *buffer, size_t size) {
        const char *(*word)(unsigned) = config_key_info(later->key)->word;
        const char *words[CONFIG_WORDS_MAX];
        size_t n = 0;

        for (unsigned value = 1; word(value) && n < CONFIG_WORDS_MAX; value++) {
                bool here = later->beside && value == later->number;
                bool above = later->when == LATER_ABOVE && value > later->number;

                if (!here && !above && !is_later(later->key, value))
                        words[n++] = word(value);
        }

        config_list_join(words, n, " or ", buffer, size);
}

static void refuse(const Later *later, const ConfigDraft *draft, DeclErrors *errors) {
        const ConfigKeyInfo *info = config_key_info(later->key);
        const ConfigValue *value = &draft->values[later->key];
        char beside[64] = "", words[64];

        if (later->beside && config_key_info(later->beside)->word)
                snprintf(beside, sizeof(beside), " for %s %s",
                         config_key_info(later->beside)->path,
                         config_key_info(later->beside)->word((unsigned)later->beside_number));

        if (later->when == LATER_GIVEN) {
                decl_errors_add(errors, &value->origin, info->path,
                                "is not supported by this version; leave it out");
        } else if (info->word) {
                list_words(later, words, sizeof(words));
                decl_errors_add(errors, &value->origin, info->path,
                                "%s is not supported by this version%s; expected %s",
                                info->word((unsigned)value->number), beside, words);
        } else if (info->type == CONFIG_TYPE_BOOLEAN) {
                decl_errors_add(errors, &value->origin, info->path,
                                "%s is not supported by this version; expected %s",
                                value->number ? "true" : "false", value->number ? "false" : "true");
        } else {
                decl_errors_add(errors, &value->origin, info->path,
                                "%llu is not supported by this version%s; expected at most %llu",
                                (unsigned long long)value->number, beside,
                                (unsigned long long)later->number);
        }
}

void config_later_check(const ConfigDraft *draft, DeclErrors *errors) {
        for (size_t i = 0; i < sizeof(laters) / sizeof(*laters); i++)
                if (applies(&laters[i], draft))
                        refuse(&laters[i], draft, errors);
}
