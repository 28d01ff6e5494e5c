/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names
 *
 * The alphabet of region names has no '.', so turning '/' into '.' maps no two regions to one
 * kernel name, and neither "." nor ".." nor a path can come out. Recognising a kernel name is a
 * small parser over its parts, each of which takes what is its own and says where it stopped.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/name.h"

static bool is_name_byte(char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static ShmbNameFault fault_at(ShmbNameFault fault, size_t at, size_t *ret_at) {
        if (fault != SHMB_NAME_FINE && ret_at)
                *ret_at = at;
        return fault;
}

/**
 * shmb_name_check() - judge a region name
 * @name:       first byte, not terminated
 * @n:          number of bytes
 * @ret_at:     where to put the offset of the fault, or NULL; untouched if there is none
 *
 * Return: SHMB_NAME_FINE, or the first fault from the left; too long is a fault of the whole.
 */
ShmbNameFault shmb_name_check(const char *name, size_t n, size_t *ret_at) {
        size_t i;

        if (n == 0)
                return fault_at(SHMB_NAME_EMPTY, 0, ret_at);
        if (n > SHMB_NAME_MAX)
                return fault_at(SHMB_NAME_TOO_LONG, SHMB_NAME_MAX, ret_at);

        for (i = 0; i < n; i++) {
                if (name[i] == '/') {
                        if (i == 0 || i == n - 1 || name[i - 1] == '/')
                                return fault_at(SHMB_NAME_EMPTY_PART, i, ret_at);
                } else if (!is_name_byte(name[i])) {
                        return fault_at(SHMB_NAME_CHARACTER, i, ret_at);
                }
        }
        return SHMB_NAME_FINE;
}

const char *shmb_name_fault_to_string(ShmbNameFault fault) {
        switch (fault) {
        case SHMB_NAME_FINE:
                return "is fine";
        case SHMB_NAME_EMPTY:
                return "is empty";
        case SHMB_NAME_TOO_LONG:
                return "is longer than 200 bytes";
        case SHMB_NAME_EMPTY_PART:
                return "has an empty part (a '/' at an end, or two in a row)";
        case SHMB_NAME_CHARACTER:
                return "has a byte other than a-z, 0-9, '_', '-' and '/'";
        case _SHMB_NAME_FAULT_N:
                break;
        }
        return "is not valid";
}

/* "lane3", "ctl", ...; @text holds SHMB_OBJECT_NAME_MAX + 1. */
static int object_name(char *text, ShmbObjectKind kind, uint32_t index, uint32_t epoch) {
        const size_t size = SHMB_OBJECT_NAME_MAX + 1;
        int n = 0;

        switch (kind) {
        case SHMB_OBJECT_CONTROL:
                n = snprintf(text, size, "ctl");
                break;
        case SHMB_OBJECT_LANE:
                n = snprintf(text, size, "lane%" PRIu32, index);
                break;
        case SHMB_OBJECT_SEAT:
                n = snprintf(text, size, "seat%" PRIu32, index);
                break;
        case SHMB_OBJECT_GROUP:
                n = snprintf(text, size, "group");
                break;
        case SHMB_OBJECT_DATA:
                n = snprintf(text, size, "data");
                break;
        case SHMB_OBJECT_NONE:
        case _SHMB_OBJECT_N:
                return -EINVAL;
        }
        if (epoch > 1)
                snprintf(text + n, size - (size_t)n, ".e%" PRIu32, epoch);
        return 0;
}

/**
 * shmb_kernel_name() - the name of an object in the kernel
 * @buffer:     where to write it; untouched on failure
 * @size:       its size in bytes, SHMB_KERNEL_NAME_MAX + 1 always suffices
 * @name:       valid region name
 * @tag:        random number of the region's generation
 * @kind:       which object
 * @index:      which lane or seat; not written for the others
 * @epoch:      1 for the first
 *
 * Return: bytes written without the terminator; -ENAMETOOLONG if @size is too small, -EINVAL if
 * @kind is no object.
 */
int shmb_kernel_name(char *buffer, size_t size, const char *name, uint64_t tag,
                     ShmbObjectKind kind, uint32_t index, uint32_t epoch) {
        char whole[SHMB_KERNEL_NAME_MAX + 1], object[SHMB_OBJECT_NAME_MAX + 1];
        int n, r;

        r = object_name(object, kind, index, epoch);
        if (r < 0)
                return r;

        n = snprintf(whole, sizeof(whole), "shmb.%s@%016" PRIx64 ".%s", name, tag, object);
        if (n < 0 || (size_t)n >= sizeof(whole) || (size_t)n >= size)
                return -ENAMETOOLONG;

        memcpy(buffer, whole, (size_t)n + 1);
        for (; *buffer; buffer++)
                if (*buffer == '/')
                        *buffer = '.';
        return n;
}

/* "a.b.c" of "a.b.c@...": behind it, or NULL. */
static const char *skip_name(const char *at) {
        const char *start = at;

        for (; *at != '@'; at++)
                if (*at == '.' ? at == start || at[-1] == '.' : !is_name_byte(*at))
                        return NULL;
        if (at == start || at[-1] == '.' || at - start > SHMB_NAME_MAX)
                return NULL;
        return at;
}

static const char *skip_tag(const char *at) {
        int i;

        for (i = 0; i < 16; i++, at++)
                if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f')))
                        return NULL;
        return at;
}

/* A 32-bit number as printf writes it. */
static const char *skip_number(const char *at) {
        const char *start = at;

        while (*at >= '0' && *at <= '9')
                at++;
        if (at == start || at - start > 10 || (*start == '0' && at - start > 1))
                return NULL;
        return at;
}

static const char *skip_object(const char *at) {
        static const struct {
                const char *word;
                bool numbered;
        } objects[] = {
                { "ctl", false }, { "data", false }, { "group", false },
                { "lane", true }, { "seat", true },
        };
        size_t i, n;

        for (i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
                n = strlen(objects[i].word);
                if (strncmp(at, objects[i].word, n) == 0)
                        return objects[i].numbered ? skip_number(at + n) : at + n;
        }
        return NULL;
}

/**
 * shmb_kernel_name_is_ours() - does this look like a name that shmb_kernel_name() writes
 * @kernel_name:        any string, without a leading '/'
 *
 * Return: whether it does. Anybody may create such a file: never act on the name alone.
 */
bool shmb_kernel_name_is_ours(const char *kernel_name) {
        const char *at = kernel_name;

        if (strncmp(at, "shmb.", 5) != 0)
                return false;
        at = skip_name(at + 5);
        if (at)
                at = skip_tag(at + 1);
        if (at)
                at = *at == '.' ? skip_object(at + 1) : NULL;
        if (at && at[0] == '.')
                at = at[1] == 'e' && at[2] != '0' ? skip_number(at + 2) : NULL;
        return at && *at == '\0';
}

bool shmb_posix_name_is_valid(const char *posix_name) {
        size_t n;

        if (*posix_name == '/')
                posix_name++;
        n = strnlen(posix_name, SHMB_KERNEL_NAME_MAX + 1);
        return n > 0 && n <= SHMB_KERNEL_NAME_MAX && !strchr(posix_name, '/') &&
               strcmp(posix_name, ".") != 0 && strcmp(posix_name, "..") != 0;
}
