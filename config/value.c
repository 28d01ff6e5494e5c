/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values
 *
 * One reader a type. Each says what it found and what it expected, in the notation of the file,
 * with the bounds of the key at hand.
 */

#include "config/value.h"

#include <stdio.h>
#include <string.h>

#include "config/rule.h"
#include "config/scalar.h"

enum {
        EXPECTED_MAX = 128,
        NUMBER_MAX = CONFIG_DURATION_TEXT_MAX,
};

/* What a reader needs to complain. */
typedef struct Context {
        const ConfigNode *node;
        const ConfigKeyInfo *info;
        ConfigKey key;
        const char *shown;
        DeclErrors *errors;
} Context;

bool config_node_is_empty(const ConfigNode *node) {
        return node->type == CONFIG_NODE_SCALAR && node->plain &&
               (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

const char *config_node_describe(const ConfigNode *node) {
        switch (node->type) {
        case CONFIG_NODE_SEQUENCE:
                return "a list";
        case CONFIG_NODE_MAPPING:
                return "a mapping";
        case CONFIG_NODE_SCALAR:
        case CONFIG_NODE_BAD:
        case _CONFIG_NODE_N:
                break;
        }

        return "a value";
}

/* A number in the notation of its key. @buffer holds NUMBER_MAX bytes. */
static const char *format_number(const Context *context, uint64_t number, char *buffer) {
        if (context->info->type == CONFIG_TYPE_SIZE)
                return config_format_size(buffer, number);
        if (context->info->type == CONFIG_TYPE_DURATION)
                return config_format_duration(buffer, number);

        snprintf(buffer, NUMBER_MAX, "%llu", (unsigned long long)number);
        return buffer;
}

/* What the key takes, in words. @buffer holds EXPECTED_MAX bytes. */
static const char *expected(const Context *context, char *buffer) {
        char min[NUMBER_MAX], max[NUMBER_MAX];

        switch (context->info->type) {
        case CONFIG_TYPE_TEXT:
                return "one line of text";
        case CONFIG_TYPE_BOOLEAN:
                return "true or false";
        case CONFIG_TYPE_MODE:
                return "a mode like 0640, read and write only";
        case CONFIG_TYPE_SYSV_KEY:
                return "a key like 4711 or 0x1267, from 1 to 0xffffffff";
        case CONFIG_TYPE_RULES:
                return "a list of rules like [user:NAME, group:NAME, any]";
        case CONFIG_TYPE_WORD:
                config_word_list(context->key, buffer, EXPECTED_MAX);
                return buffer;
        case CONFIG_TYPE_COUNT:
        case CONFIG_TYPE_SIZE:
        case CONFIG_TYPE_DURATION:
        case _CONFIG_TYPE_N:
                break;
        }

        snprintf(buffer, EXPECTED_MAX, "%s from %s to %s",
                 context->info->type == CONFIG_TYPE_SIZE       ? "a size like 64, 4K or 1M,"
                 : context->info->type == CONFIG_TYPE_DURATION ? "a duration like 500ms, 30s or 2h,"
                                                               : "a number",
                 format_number(context, context->info->min, min),
                 format_number(context, context->info->max, max));
        return buffer;
}

/* "'text' FAULT; expected ..." */
static void complain(const Context *context, const ConfigNode *node, const char *fault) {
        char buffer[EXPECTED_MAX], quote[DECL_QUOTE_MAX];

        decl_errors_add(context->errors, &node->origin, context->shown, "%s %s; expected %s",
                        decl_quote(quote, node->text, strlen(node->text)), fault,
                        expected(context, buffer));
}

static const char *fault_text(ConfigType type, ConfigFault fault) {
        switch (fault) {
        case CONFIG_FAULT_ZERO:
                return "has a leading zero, which is octal to some";
        case CONFIG_FAULT_OVERFLOW:
                return "is out of range";
        case CONFIG_FAULT_UNIT:
                if (type == CONFIG_TYPE_SIZE)
                        return "has an unknown unit (known: K, M, G, T, powers of 1024)";
                if (type == CONFIG_TYPE_DURATION)
                        return "has no unit or an unknown one (known: us, ms, s, min, h, d)";
                return "allows execution";
        case CONFIG_FAULT_FORM:
        case CONFIG_FAULT_NONE:
        case _CONFIG_FAULT_N:
                break;
        }

        switch (type) {
        case CONFIG_TYPE_SIZE:
                return "is no size";
        case CONFIG_TYPE_DURATION:
                return "is no duration";
        case CONFIG_TYPE_MODE:
                return "is no mode";
        case CONFIG_TYPE_SYSV_KEY:
                return "is no System V key";
        default:
                return "is no number";
        }
}

static ConfigFault parse_number(ConfigType type, const char *text, uint64_t *ret_number) {
        switch (type) {
        case CONFIG_TYPE_SIZE:
                return config_parse_size(text, ret_number);
        case CONFIG_TYPE_DURATION:
                return config_parse_duration(text, ret_number);
        case CONFIG_TYPE_MODE:
                return config_parse_mode(text, ret_number);
        case CONFIG_TYPE_SYSV_KEY:
                return config_parse_key(text, ret_number);
        default:
                return config_parse_count(text, ret_number);
        }
}

static bool check_power_of_two(const Context *context, uint64_t number) {
        char below[NUMBER_MAX], above[NUMBER_MAX], quote[DECL_QUOTE_MAX];
        const char *text = context->node->text;
        uint64_t power = 1;

        if ((number & (number - 1)) == 0)
                return true;

        while (2 * power < number)
                power *= 2;

        /* Small ones are known by their digits. */
        if (power < 65536) {
                snprintf(below, sizeof(below), "%u", (unsigned)power);
                snprintf(above, sizeof(above), "%u", 2 * (unsigned)power);
        } else {
                format_number(context, power, below);
                format_number(context, 2 * power, above);
        }

        decl_errors_add(context->errors, &context->node->origin, context->shown,
                        "%s is no power of two; expected %s or %s",
                        decl_quote(quote, text, strlen(text)), below, above);
        return false;
}

static bool read_number(const Context *context, ConfigValue *value) {
        const ConfigKeyInfo *info = context->info;
        ConfigFault fault;
        uint64_t number;

        /* A quoted 4K is how JSON writes a size; a quoted 4096 where only a number may stand is
         * text that somebody's template made. */
        if (info->type == CONFIG_TYPE_COUNT && !context->node->plain) {
                complain(context, context->node, "is quoted and so is text");
                return false;
        }

        fault = parse_number(info->type, context->node->text, &number);
        if (fault) {
                complain(context, context->node, fault_text(info->type, fault));
                return false;
        }
        if (number < info->min || number > info->max) {
                complain(context, context->node,
                         number < info->min ? "is too small" : "is too large");
                return false;
        }
        if (info->power_of_two && !check_power_of_two(context, number))
                return false;

        value->number = number;
        return true;
}

static bool read_boolean(const Context *context, ConfigValue *value) {
        const char *text = context->node->text;

        if (!context->node->plain ||
            (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)) {
                complain(context, context->node,
                         context->node->plain ? "is no boolean" : "is quoted and so is text");
                return false;
        }

        value->number = *text == 't';
        return true;
}

static bool read_word(const Context *context, ConfigValue *value) {
        const char *text = context->node->text, *near;
        char fault[64];
        unsigned found;

        found = config_word_find(context->key, text);
        if (found == 0) {
                near = config_word_suggest(context->key, text);
                snprintf(fault, sizeof(fault), near ? "is unknown, did you mean %s?" : "is unknown",
                         near);
                complain(context, context->node, fault);
                return false;
        }

        value->number = found;
        return true;
}

/* Does the text hold what a terminal or a table would not show as one line? It is UTF-8 by now. */
static bool is_printable(const char *text) {
        for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
                if (*at < 0x20 || *at == 0x7f)
                        return false;
                /* C1 controls, then LINE and PARAGRAPH SEPARATOR */
                if (at[0] == 0xc2 && at[1] < 0xa0)
                        return false;
                if (at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9))
                        return false;
        }

        return true;
}

static bool read_text(const Context *context, ConfigValue *value) {
        const char *text = context->node->text;
        char quote[DECL_QUOTE_MAX];
        size_t n = strlen(text);

        if (n < context->info->min || n > context->info->max) {
                decl_errors_add(context->errors, &context->node->origin, context->shown,
                                "%s has %zu bytes; expected %llu to %llu",
                                decl_quote(quote, text, n), n,
                                (unsigned long long)context->info->min,
                                (unsigned long long)context->info->max);
                return false;
        }
        if (!is_printable(text)) {
                complain(context, context->node,
                         "has a line break or another control character");
                return false;
        }

        value->node = context->node;
        return true;
}

static bool read_rule(const Context *context, const ConfigNode *node) {
        const char *fault;
        char quote[DECL_QUOTE_MAX];

        switch (node->type) {
        case CONFIG_NODE_SCALAR:
                fault = decl_rule_check(node->text);
                if (!fault)
                        return true;
                decl_errors_add(context->errors, &node->origin, context->shown, "%s %s",
                                decl_quote(quote, node->text, strlen(node->text)), fault);
                break;
        case CONFIG_NODE_MAPPING:
                decl_errors_add(context->errors, &node->origin, context->shown,
                                "a rule is a mapping; expected text like user:NAME, without a "
                                "blank behind the colon");
                break;
        case CONFIG_NODE_SEQUENCE:
                decl_errors_add(context->errors, &node->origin, context->shown,
                                "a rule is a list; expected text like user:NAME");
                break;
        case CONFIG_NODE_BAD:
        case _CONFIG_NODE_N:
                break;
        }

        return false;
}

static bool read_rules(const Context *context, ConfigValue *value) {
        char quote[DECL_QUOTE_MAX];
        bool good = true;

        if (context->node->type == CONFIG_NODE_SCALAR) {
                const char *text = context->node->text;

                decl_errors_add(context->errors, &context->node->origin, context->shown,
                                "%s is no list; expected one in brackets, like [user:NAME, any]",
                                decl_quote(quote, text, strlen(text)));
                return false;
        }

        for (const ConfigNode *node = context->node->first; node; node = node->next)
                good &= read_rule(context, node);

        value->node = context->node;
        return good;
}

/* Is there anything, and of the right form? */
static bool check_form(const Context *context) {
        const ConfigNode *node = context->node;
        bool list = context->info->type == CONFIG_TYPE_RULES;
        char buffer[EXPECTED_MAX];

        if (node->type == CONFIG_NODE_BAD)
                return false;

        if (config_node_is_empty(node)) {
                decl_errors_add(context->errors, &node->origin, context->shown,
                                "has no value; expected %s", expected(context, buffer));
                return false;
        }

        if (node->type == CONFIG_NODE_MAPPING ||
            (node->type == CONFIG_NODE_SEQUENCE && !list)) {
                decl_errors_add(context->errors, &node->origin, context->shown,
                                "is %s; expected %s", config_node_describe(node),
                                expected(context, buffer));
                return false;
        }

        return true;
}

static bool read_value(const Context *context, ConfigValue *value) {
        switch (context->info->type) {
        case CONFIG_TYPE_TEXT:
                return read_text(context, value);
        case CONFIG_TYPE_BOOLEAN:
                return read_boolean(context, value);
        case CONFIG_TYPE_WORD:
                return read_word(context, value);
        case CONFIG_TYPE_RULES:
                return read_rules(context, value);
        case CONFIG_TYPE_COUNT:
        case CONFIG_TYPE_SIZE:
        case CONFIG_TYPE_DURATION:
        case CONFIG_TYPE_MODE:
        case CONFIG_TYPE_SYSV_KEY:
        case _CONFIG_TYPE_N:
                break;
        }

        return read_number(context, value);
}

ConfigValue config_value_read(const ConfigNode *node, ConfigKey key, const char *shown,
                              DeclErrors *errors) {
        Context context = {node, config_key_info(key), key, shown, errors};
        ConfigValue value = {.state = CONFIG_VALUE_BAD, .origin = node->origin};

        if (check_form(&context) && read_value(&context, &value))
                value.state = CONFIG_VALUE_GOOD;

        return value;
}
