/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names
 *
 * A region name is parts of [a-z0-9_-] joined by '/', SHMB_NAME_MAX bytes at most, no empty part.
 * The kernel name of an object is "/shmb.NAME@TAG.OBJECT", with '/' of NAME turned into '.' and TAG
 * 16 hex digits drawn at random for each generation of a region. Pure.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "protocol/bits.h"
#include "protocol/limits.h"

enum {
        SHMB_KERNEL_NAME_MAX = 255, /* NAME_MAX of tmpfs, without the leading '/' */
};

typedef enum ShmbNameFault {
        SHMB_NAME_FINE,
        SHMB_NAME_EMPTY,
        SHMB_NAME_TOO_LONG,
        SHMB_NAME_EMPTY_PART, /* leading, trailing or doubled '/' */
        SHMB_NAME_CHARACTER,  /* a byte outside [a-z0-9_/-] */
        _SHMB_NAME_FAULT_N,
} ShmbNameFault;

/* Judge @n bytes at @name (no terminator needed); @ret_at, or NULL, gets where the fault is. */
ShmbNameFault shmb_name_check(const char *name, size_t n, size_t *ret_at);
/* A half sentence for @fault ("is empty", ...), never NULL. */
const char *shmb_name_fault_to_string(ShmbNameFault fault);

/*
 * Write "shmb.NAME@TAG.OBJECT" (no leading '/'), where OBJECT is "ctl", "lane3", "seat0", "group"
 * or "data", with ".eEPOCH" behind it from the second epoch (@epoch > 1) on. @name must be valid.
 * Return: bytes written without the terminator, -ENAMETOOLONG (only if @size is too small), or
 * -EINVAL (@kind is no object).
 */
int shmb_kernel_name(char *buffer, size_t size, const char *name, uint64_t tag,
                     ShmbObjectKind kind, uint32_t index, uint32_t epoch);
/* True if @kernel_name has the form above; used only to recognise candidates, never as a proof. */
bool shmb_kernel_name_is_ours(const char *kernel_name);

/* posix_name: of a raw region: 1..255 bytes, no '/' but a leading one, not "." or "..". */
bool shmb_posix_name_is_valid(const char *posix_name);
