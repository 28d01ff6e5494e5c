/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Numbers and text for people, and back.
 *
 * Sizes look like those of lsblk(8), times like those of systemctl(1), because they are read beside
 * them. Whoever parses wants --bytes or --json, where every number is exact.
 */

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "client/ctl/format.h"

typedef struct Unit {
        const char *name;
        uint64_t value;
} Unit;

static const Unit units_of_size[] = {
        { "", 1 },
        { "K", UINT64_C(1) << 10 },
        { "M", UINT64_C(1) << 20 },
        { "G", UINT64_C(1) << 30 },
        { "T", UINT64_C(1) << 40 },
};

/* Greatest first: the order in which they are written. */
static const Unit units_of_time[] = {
        { "d", UINT64_C(86400000000000) },
        { "h", UINT64_C(3600000000000) },
        { "min", UINT64_C(60000000000) },
        { "s", UINT64_C(1000000000) },
        { "ms", UINT64_C(1000000) },
        { "us", UINT64_C(1000) },
        { "ns", UINT64_C(1) },
};

#define N_ELEMENTS(_array) (sizeof(_array) / sizeof((_array)[0]))

void format_size(char *buffer, size_t size, uint64_t n_bytes) {
        static const char letters[] = "BKMGTPE";
        unsigned shift = 0;
        uint64_t tenths;

        while (shift < 60 && n_bytes >> shift >= 1024)
                shift += 10;

        /* In two parts, because ten times the greatest size does not fit 64 bits. */
        tenths = (n_bytes >> shift) * 10;
        if (shift > 0)
                tenths += ((n_bytes >> (shift - 10) & 1023) * 10 + 512) / 1024;
        /* 1023.96K is 1M: rounding may reach the next unit. */
        if (tenths >= 10240 && shift < 60) {
                tenths = 10;
                shift += 10;
        }

        if (tenths % 10)
                snprintf(buffer, size, "%llu.%llu%c", (unsigned long long)tenths / 10,
                         (unsigned long long)tenths % 10, letters[shift / 10]);
        else
                snprintf(buffer, size, "%llu%c", (unsigned long long)tenths / 10,
                         letters[shift / 10]);
}

void format_duration(char *buffer, size_t size, uint64_t duration_ns) {
        size_t i;

        for (i = 0; i < N_ELEMENTS(units_of_time); i++)
                if (duration_ns >= units_of_time[i].value)
                        break;

        if (i == N_ELEMENTS(units_of_time)) {
                snprintf(buffer, size, "0s");
        } else {
                const Unit *first = &units_of_time[i], *second = first + 1;
                uint64_t rest = duration_ns % first->value;

                /* Below a second one unit is exact enough. */
                if (first->value > units_of_time[3].value && rest >= second->value)
                        snprintf(buffer, size, "%llu%s %llu%s",
                                 (unsigned long long)(duration_ns / first->value), first->name,
                                 (unsigned long long)(rest / second->value), second->name);
                else
                        snprintf(buffer, size, "%llu%s",
                                 (unsigned long long)(duration_ns / first->value), first->name);
        }
}

void format_moment(char *buffer, size_t size, uint64_t realtime_ns) {
        time_t seconds = (time_t)(realtime_ns / UINT64_C(1000000000));
        char moment[32], zone[8];
        struct tm local;

        /*
         * A clock out of all bounds: better its number than nothing. ISO 8601 wants the colon in
         * the zone that %z has not.
         */
        if (localtime_r(&seconds, &local) &&
            strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%S", &local) &&
            strftime(zone, sizeof(zone), "%z", &local))
                snprintf(buffer, size, "%s%.3s:%.2s", moment, zone, zone + 3);
        else
                snprintf(buffer, size, "@%lld", (long long)seconds);
}

char *format_printable(const char *text) {
        /* One byte becomes four at most. */
        size_t n = strlen(text);
        char *copy = malloc(n * 4 + 1), *to = copy;
        mbstate_t state = {};

        if (!copy)
                return NULL;

        while (n > 0) {
                wchar_t wide;
                size_t n_char = mbrtowc(&wide, text, n, &state);

                if (n_char > 0 && n_char <= n && iswprint((wint_t)wide)) {
                        memcpy(to, text, n_char);
                        to += n_char;
                } else {
                        state = (mbstate_t){};
                        n_char = 1;
                        to += sprintf(to, "\\x%02x", (unsigned char)*text);
                }
                text += n_char;
                n -= n_char;
        }
        *to = '\0';
        return copy;
}

/* How many bytes of @text (@n are left) form one character that may stay; 0 if they form none. */
static size_t utf8_length(const unsigned char *text, size_t n) {
        size_t n_char = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 :
                        text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
        uint32_t point;

        if (n_char == 0 || n_char > n)
                return 0;
        if (n_char == 1)
                return text[0] != 0x7f;

        point = text[0] & (0xffu >> (n_char + 1));
        for (size_t i = 1; i < n_char; i++) {
                if (text[i] >> 6 != 2)
                        return 0;
                point = point << 6 | (text[i] & 0x3f);
        }

        /* Over-long forms, halves of surrogate pairs, what is beyond Unicode, and C1 controls. */
        if ((n_char == 2 && point < 0xa0) || (n_char == 3 && point < 0x800) ||
            (n_char == 4 && (point < 0x10000 || point > 0x10ffff)) ||
            (point >= 0xd800 && point <= 0xdfff))
                return 0;
        return n_char;
}

char *format_utf8(const char *text) {
        static const char replacement[] = "\xef\xbf\xbd";
        size_t n = strlen(text);
        char *copy = malloc(n * 3 + 1), *to = copy;

        if (!copy)
                return NULL;

        while (n > 0) {
                size_t n_char = utf8_length((const unsigned char *)text, n);

                if (n_char > 0)
                        to = mempcpy(to, text, n_char);
                else
                        to = mempcpy(to, replacement, 3);
                text += n_char ? n_char : 1;
                n -= n_char ? n_char : 1;
        }
        *to = '\0';
        return copy;
}

/* A number at the start of @text; *ret_rest is what stands behind it. */
static int parse_digits(const char *text, uint64_t *ret_number, const char **ret_rest) {
        uint64_t number = 0;

        if (!isdigit((unsigned char)*text))
                return -EINVAL;

        for (; isdigit((unsigned char)*text); text++)
                if (__builtin_mul_overflow(number, 10, &number) ||
                    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
                        return -ERANGE;

        *ret_number = number;
        *ret_rest = text;
        return 0;
}

static int parse_with_units(const char *text, const Unit *units, size_t n_units,
                            uint64_t *ret_number) {
        const char *rest;
        uint64_t number;
        int r;

        r = parse_digits(text, &number, &rest);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_units; i++) {
                if (strcmp(rest, units[i].name) != 0)
                        continue;
                if (__builtin_mul_overflow(number, units[i].value, &number))
                        return -ERANGE;
                *ret_number = number;
                return 0;
        }
        return -EINVAL;
}

int parse_number(const char *text, uint64_t *ret_number) {
        return parse_with_units(text, units_of_size, 1, ret_number);
}

int parse_size(const char *text, uint64_t *ret_n_bytes) {
        return parse_with_units(text, units_of_size, N_ELEMENTS(units_of_size), ret_n_bytes);
}

int parse_duration(const char *text, uint64_t *ret_duration_ns) {
        uint64_t seconds;
        int r;

        r = parse_number(text, &seconds);
        if (r == 0) {
                if (__builtin_mul_overflow(seconds, UINT64_C(1000000000), &seconds))
                        return -ERANGE;
                *ret_duration_ns = seconds;
                return 0;
        } else if (r != -EINVAL) {
                return r;
        }
        return parse_with_units(text, units_of_time, N_ELEMENTS(units_of_time), ret_duration_ns);
}
