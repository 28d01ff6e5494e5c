/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Scalars
 *
 * Sizes, counts, durations and the like, from text and back. Strict: one spelling a value, so that
 * nothing means one number to YAML 1.1, another to YAML 1.2 and a third to a person: no sign, no
 * leading zero, no underscore, no fraction, no exponent, no `yes`. Pure.
 */

#include <stddef.h>
#include <stdint.h>

enum {
        /* "18446744073709551615" and a unit */
        CONFIG_SIZE_TEXT_MAX = 24,
        CONFIG_DURATION_TEXT_MAX = 28,
};

typedef enum ConfigFault {
        CONFIG_FAULT_NONE,
        CONFIG_FAULT_FORM,     /* not of the form at all */
        CONFIG_FAULT_ZERO,     /* a leading zero: octal to some */
        CONFIG_FAULT_UNIT,     /* a unit that is not known, or none where one is needed */
        CONFIG_FAULT_OVERFLOW, /* does not fit 64 bits */
        _CONFIG_FAULT_N,
} ConfigFault;

/** config_parse_count() - "0", "4096"; at most UINT64_MAX */
ConfigFault config_parse_count(const char *text, uint64_t *ret_count);

/** config_parse_size() - "64", "4K", "1M", "1G", "2T": bytes, units are powers of 1024 */
ConfigFault config_parse_size(const char *text, uint64_t *ret_bytes);

/** config_parse_duration() - "500us", "500ms", "30s", "2min", "1h", "1d", "0": nanoseconds */
ConfigFault config_parse_duration(const char *text, uint64_t *ret_ns);

/** config_parse_mode() - "0640": four octal digits of which the first is 0; no execute bit */
ConfigFault config_parse_mode(const char *text, uint64_t *ret_mode);

/** config_parse_key() - "4711" or "0x1267": a System V key, 1 to 0xffffffff */
ConfigFault config_parse_key(const char *text, uint64_t *ret_key);

/**
 * config_format_size() - as config_parse_size() reads it, where it divides
 * @buffer:             where, CONFIG_SIZE_TEXT_MAX bytes
 *
 * Otherwise rounded up, with at least four digits ("8193M"), so that what does not fit is never
 * shown as if it did.
 *
 * Return: @buffer.
 */
const char *config_format_size(char *buffer, uint64_t n_bytes);

/** config_format_duration() - as config_parse_duration() reads it, exact. Return: @buffer */
const char *config_format_duration(char *buffer, uint64_t ns);
