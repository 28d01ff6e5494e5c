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

/**
 * format_size() - "0B", "512B", "4K", "1.5M": one decimal at most, rounded, as lsblk does
 * @buffer:     where to; always terminated
 * @size:       its bytes; FORMAT_NUMBER_MAX is enough
 * @n_bytes:    what to write
 */
void format_size(char *buffer, size_t size, uint64_t n_bytes);

/**
 * format_duration() - its two greatest units: "2d 3h", "5min 1s", "30s", "250ms", "0s"
 * @buffer:     where to; always terminated
 * @size:       its bytes; FORMAT_NUMBER_MAX is enough
 * @duration_ns: what to write
 */
void format_duration(char *buffer, size_t size, uint64_t duration_ns);

/**
 * format_moment() - "2026-11-22T08:15:00+00:00", local time
 * @buffer:     where to; always terminated
 * @size:       its bytes; FORMAT_NUMBER_MAX is enough
 * @realtime_ns: of CLOCK_REALTIME
 */
void format_moment(char *buffer, size_t size, uint64_t realtime_ns);

/**
 * format_printable() - a copy that can do nothing to a terminal
 * @text:       any bytes
 *
 * What is not printable in the locale becomes \xNN, byte by byte.
 *
 * Return: a text that the caller frees; NULL for want of memory.
 */
char *format_printable(const char *text);

/**
 * format_utf8() - a copy that is UTF-8 whatever was given
 * @text:       any bytes
 *
 * Bytes that are no UTF-8, and the control characters U+007F to U+009F (a terminal obeys some of
 * them, and JSON does not escape them), become U+FFFD.
 *
 * Return: a text that the caller frees; NULL for want of memory.
 */
char *format_utf8(const char *text);

/**
 * parse_number() - a decimal number and nothing else
 * @text:       what to read
 * @ret_number: where to
 *
 * Return: 0; -EINVAL (it is none), -ERANGE (it is too great).
 */
int parse_number(const char *text, uint64_t *ret_number);

/** parse_size() - as parse_number(), perhaps with K, M, G or T behind it (powers of 1024) */
int parse_size(const char *text, uint64_t *ret_n_bytes);

/*
 * parse_duration() - as parse_number(), with ns, us, ms, s, min, h or d behind it; none is
 * seconds
 */
int parse_duration(const char *text, uint64_t *ret_duration_ns);
