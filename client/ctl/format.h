/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Format
 *
 * Numbers and text as a person reads them, in the manner of lsblk(8) and systemd; and back again
 * for options. Pure: what is printed depends on the arguments and, for text, on the locale.
 */

#include <stddef.h>
#include <stdint.h>

enum {
        /* The longest text of a number here: 20 digits, a point, a unit and a terminator. */
        FORMAT_NUMBER_MAX = 48,
};

/*
 * Write @n_bytes as "0B", "512B", "4K", "1.5M", ... with at most one decimal, rounded, as lsblk
 * does.
 */
void format_size(char *buffer, size_t size, uint64_t n_bytes);
/* Write @duration_ns in its two greatest units: "2d 3h", "5min 1s", "30s", "250ms", "0s". */
void format_duration(char *buffer, size_t size, uint64_t duration_ns);
/* Write the moment @realtime_ns (CLOCK_REALTIME) as "2026-11-22T08:15:00+00:00", local time. */
void format_moment(char *buffer, size_t size, uint64_t realtime_ns);

/*
 * A copy of @text that can do nothing to a terminal: what is not printable in the locale becomes
 * \xNN, byte by byte. The caller frees it; NULL for want of memory.
 */
char *format_printable(const char *text);
/*
 * A copy of @text that is UTF-8 whatever was given: bytes that are none, and the control
 * characters U+007F to U+009F (a terminal obeys some of them, and JSON does not escape them),
 * become U+FFFD. The caller frees it; NULL for want of memory.
 */
char *format_utf8(const char *text);

/*
 * Return: 0 and *ret_number, -EINVAL where @text is no decimal number, -ERANGE where it is too
 * great.
 */
int parse_number(const char *text, uint64_t *ret_number);
/* As parse_number(), with one of the units K, M, G, T behind it (powers of 1024). */
int parse_size(const char *text, uint64_t *ret_n_bytes);
/* As parse_number(), with one of the units ns, us, ms, s, min, h behind it; no unit is seconds. */
int parse_duration(const char *text, uint64_t *ret_duration_ns);
