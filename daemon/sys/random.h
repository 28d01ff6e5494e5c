/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Randomness
 *
 * From getrandom(2): what names cannot be guessed by, and what one broker is told from another by.
 */

#include <stddef.h>
#include <stdint.h>

#include "protocol/limits.h"

/**
 * random_bytes() - fill a buffer
 * @buffer:     where to
 * @n_bytes:    how many, at most 256 (above that getrandom(2) may be cut short)
 *
 * Return: 0, or -errno (-EINVAL: too many; -ENOSYS).
 */
int random_bytes(void *buffer, size_t n_bytes);

/** random_u64() - never 0, so that 0 can mean "none"; errors as random_bytes() */
int random_u64(uint64_t *ret_number);

/** random_uuid() - version 4 of RFC 9562; errors as random_bytes() */
int random_uuid(uint8_t ret_uuid[static SHMB_UUID_SIZE]);
