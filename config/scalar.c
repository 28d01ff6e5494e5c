/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Scalars
 *
 * Digits, then at most one unit, then the end. Overflow is found before it happens. Neither
 * strtoull() nor its kin: they skip blanks, take signs and read octal.
 */

#include "config/scalar.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct Unit {
        const char *suffix;
        uint64_t factor;
} Unit;

static const Unit units_size[] = {
        {"T", UINT64_C(1) << 40},
        {"G", UINT64_C(1) << 30},
        {"M", UINT64_C(1) << 20},
        {"K", UINT64_C(1) << 10},
        {"", 1},
        {NULL, 0},
};

static const Unit units_duration[] = {
        {"d", UINT64_C(86400000000000)},
        {"h", UINT64_C(3600000000000)},
        {"min", UINT64_C(60000000000)},
        {"s", UINT64_C(1000000000)},
        {"ms", UINT64_C(1000000)},
        {"us", UINT64_C(1000)},
        {NULL, 0},
};

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* The digits that @text starts with; *ret_rest is what stands behind them. */
static ConfigFault parse_digits(const char *text, uint64_t *ret_value, const char **ret_rest) {
        uint64_t value = 0;

        if (!is_digit(*text))
                return CONFIG_FAULT_FORM;
        if (text[0] == '0' && is_digit(text[1]))
                return CONFIG_FAULT_ZERO;

        for (; is_digit(*text); text++) {
                uint64_t digit = (uint64_t)(*text - '0');

                if (value > (UINT64_MAX - digit) / 10)
                        return CONFIG_FAULT_OVERFLOW;
                value = 10 * value + digit;
        }

        *ret_value = value;
        *ret_rest = text;
        return CONFIG_FAULT_NONE;
}

static ConfigFault parse_unit(const char *text, const Unit *units, uint64_t *ret_value) {
        ConfigFault fault;
        uint64_t value;

        fault = parse_digits(text, &value, &text);
        if (fault)
                return fault;

        for (; units->suffix; units++)
                if (strcmp(text, units->suffix) == 0)
                        break;

        /* Letters are a unit that is not ours; anything else never was a number with a unit. */
        if (!units->suffix)
                return !*text || (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
                               ? CONFIG_FAULT_UNIT
                               : CONFIG_FAULT_FORM;
        if (value > UINT64_MAX / units->factor)
                return CONFIG_FAULT_OVERFLOW;

        *ret_value = value * units->factor;
        return CONFIG_FAULT_NONE;
}

ConfigFault config_parse_count(const char *text, uint64_t *ret_count) {
        ConfigFault fault;
        uint64_t count;

        fault = parse_digits(text, &count, &text);
        if (fault)
                return fault;
        if (*text)
                return CONFIG_FAULT_FORM;

        *ret_count = count;
        return CONFIG_FAULT_NONE;
}

ConfigFault config_parse_size(const char *text, uint64_t *ret_bytes) {
        return parse_unit(text, units_size, ret_bytes);
}

ConfigFault config_parse_duration(const char *text, uint64_t *ret_ns) {
        if (strcmp(text, "0") == 0) {
                *ret_ns = 0;
                return CONFIG_FAULT_NONE;
        }

        return parse_unit(text, units_duration, ret_ns);
}

ConfigFault config_parse_mode(const char *text, uint64_t *ret_mode) {
        uint64_t mode = 0;

        if (strlen(text) != 4 || text[0] != '0')
                return CONFIG_FAULT_FORM;

        for (; *text; text++) {
                if (*text < '0' || *text > '7')
                        return CONFIG_FAULT_FORM;
                mode = 8 * mode + (uint64_t)(*text - '0');
        }

        if (mode & 0111)
                return CONFIG_FAULT_UNIT;

        *ret_mode = mode;
        return CONFIG_FAULT_NONE;
}

static ConfigFault parse_hex(const char *text, uint64_t *ret_value) {
        uint64_t value = 0;
        size_t n = strlen(text);

        if (n < 1 || n > 8)
                return n < 1 ? CONFIG_FAULT_FORM : CONFIG_FAULT_OVERFLOW;

        for (; *text; text++) {
                char c = *text;

                if (is_digit(c))
                        value = 16 * value + (uint64_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        value = 16 * value + (uint64_t)(c - 'a' + 10);
                else if (c >= 'A' && c <= 'F')
                        value = 16 * value + (uint64_t)(c - 'A' + 10);
                else
                        return CONFIG_FAULT_FORM;
        }

        *ret_value = value;
        return CONFIG_FAULT_NONE;
}

ConfigFault config_parse_key(const char *text, uint64_t *ret_key) {
        ConfigFault fault;
        uint64_t key;

        if (strncmp(text, "0x", 2) == 0)
                fault = parse_hex(text + 2, &key);
        else
                fault = config_parse_count(text, &key);
        if (fault)
                return fault;

        /* 0 is IPC_PRIVATE, which shmget(2) never finds again. */
        if (key == 0 || key > UINT32_MAX)
                return CONFIG_FAULT_OVERFLOW;

        *ret_key = key;
        return CONFIG_FAULT_NONE;
}

const char *config_format_size(char *buffer, uint64_t n_bytes) {
        const Unit *unit = units_size;
        uint64_t n;

        while (unit->factor > 1 && n_bytes < unit->factor)
                unit++;

        /* What it does not divide is said in the next smaller unit. */
        if (n_bytes % unit->factor != 0)
                unit++;

        n = n_bytes / unit->factor + (n_bytes % unit->factor != 0);
        snprintf(buffer, CONFIG_SIZE_TEXT_MAX, "%llu%s", (unsigned long long)n, unit->suffix);
        return buffer;
}

const char *config_format_duration(char *buffer, uint64_t ns) {
        const Unit *unit = units_duration;

        if (ns == 0) {
                snprintf(buffer, CONFIG_DURATION_TEXT_MAX, "0");
                return buffer;
        }

        while (unit->suffix && ns % unit->factor != 0)
                unit++;

        /* Nothing that was read is finer than a microsecond. */
        snprintf(buffer, CONFIG_DURATION_TEXT_MAX, "%llu%s",
                 (unsigned long long)(unit->suffix ? ns / unit->factor : ns),
                 unit->suffix ?: "ns");
        return buffer;
}
