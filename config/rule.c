/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rules of Access
 *
 * A rule is text with a word before its first colon. The text is kept as it was written, because
 * that is what an operator finds again in `show` and in a refusal; numbers stand beside it.
 */

#include "config/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        ID_OVERFLOW = 65534,    /* /proc/sys/kernel/overflowuid */
        ID_NONE_16_BIT = 65535, /* (uid16_t) -1 */
        NAME_OF_USER_MAX = 255, /* LOGIN_NAME_MAX (256) counts the terminator */
};

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

const char *decl_id_fault(uint32_t id) {
        switch (id) {
        case DECL_ID_NONE:
                return "is -1, which means no user";
        case ID_NONE_16_BIT:
                return "is 65535, which means no user to 16-bit system calls";
        case ID_OVERFLOW:
                return "is 65534, which the kernel shows for every user that it cannot name";
        }

        return NULL;
}

static const char *range_fault(uint32_t first, uint32_t last) {
        if (first > last)
                return "ends before it begins; expected uid:FIRST-LAST";
        if (first == last)
                return decl_id_fault(first);
        if (first <= ID_NONE_16_BIT && last >= ID_OVERFLOW)
                return "includes 65534 or 65535, which mean no user; split the range around them";
        if (last == DECL_ID_NONE)
                return "ends at -1, which means no user";

        return NULL;
}

/* Digits at *text to a number below 2^32, without leading zeros; *text moves behind them. */
static bool parse_id(const char **text, uint32_t *ret_id) {
        const char *at = *text;
        uint64_t id = 0;

        if (!is_digit(at[0]) || (at[0] == '0' && is_digit(at[1])))
                return false;

        for (; is_digit(*at); at++) {
                id = 10 * id + (uint64_t)(*at - '0');
                if (id > UINT32_MAX)
                        return false;
        }

        *text = at;
        *ret_id = (uint32_t)id;
        return true;
}

static const char *parse_uid(DeclRule *rule, const char *text) {
        static const char fault[] =
                "is no number of a user; expected uid:1000 or uid:1000-1999, at most 4294967294";

        if (!parse_id(&text, &rule->uid_first))
                return fault;

        rule->uid_last = rule->uid_first;
        if (*text == '-') {
                text++;
                if (!parse_id(&text, &rule->uid_last))
                        return fault;
        }

        if (*text)
                return fault;

        return range_fault(rule->uid_first, rule->uid_last);
}

/* What useradd(8) and the databases behind it allow, seen generously; never what a rule means. */
static const char *name_fault(const char *name) {
        size_t n = strlen(name);
        const char *at = name;

        if (n == 0)
                return "has no name behind its colon";
        if (n > NAME_OF_USER_MAX)
                return "has a name of more than 255 bytes";
        if (*name == '-')
                return "has a name that starts with '-'";

        for (; *at; at++)
                if ((unsigned char)*at <= ' ' || *at == 0x7f || strchr(":,/", *at))
                        return "has a name with a blank, a control character, ':', ',' or '/'";

        for (at = name; is_digit(*at);)
                at++;
        if (!*at)
                return "has a number for a name; for a user write uid:N, for a group its name";

        return NULL;
}

static const char *unit_fault(const char *name) {
        static const char suffix[] = ".service";
        size_t n = strlen(name), n_suffix = sizeof(suffix) - 1;

        if (n <= n_suffix || strcmp(name + n - n_suffix, suffix) != 0)
                return "names no service; expected unit:NAME.service";
        if (n > DECL_RULE_TEXT_MAX - strlen("unit:"))
                return "has a name of more than 255 bytes";
        if (name[n - n_suffix - 1] == '@')
                return "names a template, which nothing runs as; expected "
                       "unit:NAME@INSTANCE.service";

        /* VALID_CHARS of systemd, src/basic/unit-name.c */
        for (const char *at = name; *at; at++)
                if (!is_digit(*at) && !(*at >= 'a' && *at <= 'z') &&
                    !(*at >= 'A' && *at <= 'Z') && !strchr(":-_.\\@", *at))
                        return "has a character that names of units do not have";

        return NULL;
}

/* The part of @text behind @word and its colon, or NULL. */
static const char *behind(const char *text, const char *word) {
        size_t n = strlen(word);

        return strncmp(text, word, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

/* Return: NULL, or what is wrong. */
static const char *rule_parse(DeclRule *rule, const char *text) {
        const char *rest;

        if (strcmp(text, "any") == 0) {
                rule->type = DECL_RULE_ANY;
                return NULL;
        }
        if ((rest = behind(text, "user"))) {
                rule->type = DECL_RULE_USER;
                return name_fault(rest);
        }
        if ((rest = behind(text, "group"))) {
                rule->type = DECL_RULE_GROUP;
                return name_fault(rest);
        }
        if ((rest = behind(text, "uid"))) {
                rule->type = DECL_RULE_UID;
                return parse_uid(rule, rest);
        }
        if ((rest = behind(text, "unit"))) {
                rule->type = DECL_RULE_UNIT;
                return unit_fault(rest);
        }
        if (behind(text, "gid"))
                return "is not known; write group:NAME";

        return "is no rule; expected user:NAME, group:NAME, uid:N, uid:N-M, unit:NAME.service or "
               "any";
}

const char *decl_rule_check(const char *text) {
        return rule_parse(&(DeclRule){}, text);
}

int decl_rule_init(DeclRule *rule, const char *text, const DeclOrigin *origin,
                   const char **ret_fault) {
        const char *fault;

        *rule = (DeclRule){
                .uid_first = DECL_ID_NONE,
                .uid_last = DECL_ID_NONE,
                .gid = DECL_ID_NONE,
        };

        fault = rule_parse(rule, text);
        if (fault) {
                if (ret_fault)
                        *ret_fault = fault;
                return DECL_E_INVALID;
        }

        if (origin) {
                rule->origin.line = origin->line;
                rule->origin.column = origin->column;
        }
        if (!(rule->text = strdup(text)) ||
            (origin && origin->file && !(rule->origin.file = strdup(origin->file)))) {
                decl_rule_deinit(rule);
                return -ENOMEM;
        }

        return 0;
}

void decl_rule_deinit(DeclRule *rule) {
        free(rule->origin.file);
        free(rule->text);
        *rule = (DeclRule){};
}

int decl_rule_copy(const DeclRule *rule, DeclRule *ret_copy) {
        DeclRule copy = *rule;

        copy.origin.file = NULL;
        copy.text = strdup(rule->text);
        if (!copy.text ||
            (rule->origin.file && !(copy.origin.file = strdup(rule->origin.file)))) {
                free(copy.text);
                return -ENOMEM;
        }

        *ret_copy = copy;
        return 0;
}

bool decl_rule_equal(const DeclRule *a, const DeclRule *b) {
        return a->type == b->type && strcmp(a->text, b->text) == 0 &&
               a->uid_first == b->uid_first && a->uid_last == b->uid_last && a->gid == b->gid;
}

/* One look-up; @what is "user" or "group". */
static bool resolve_id(const DeclRule *rule, const DeclLookup *lookup, const char *what,
                       const char *key, DeclErrors *errors, uint32_t *ret_id) {
        const char *name = strchr(rule->text, ':') + 1, *fault;
        char quote[DECL_QUOTE_MAX];
        uint32_t id;
        int r;

        decl_quote(quote, name, strlen(name));

        r = (rule->type == DECL_RULE_USER ? lookup->user : lookup->group)(lookup->data, name, &id);
        if (r < 0) {
                decl_errors_add(errors, &rule->origin, key, "%s %s cannot be looked up: %s", what,
                                quote, strerror(-r));
                return false;
        }
        if (r > 0) {
                decl_errors_add(errors, &rule->origin, key,
                                "there is no %s %s on this system; create it, or correct the name",
                                what, quote);
                return false;
        }

        fault = decl_id_fault(id);
        if (fault) {
                decl_errors_add(errors, &rule->origin, key,
                                "%s %s cannot be granted anything: its number %s", what, quote,
                                fault);
                return false;
        }

        *ret_id = id;
        return true;
}

void decl_rule_resolve(DeclRule *rule, const DeclLookup *lookup, const char *key,
                       DeclErrors *errors) {
        if (rule->type == DECL_RULE_USER &&
            resolve_id(rule, lookup, "user", key, errors, &rule->uid_first))
                rule->uid_last = rule->uid_first;
        if (rule->type == DECL_RULE_GROUP)
                resolve_id(rule, lookup, "group", key, errors, &rule->gid);
}
