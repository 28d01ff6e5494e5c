/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An Input as a Program
 *
 * What the fuzz targets of the memory protocol read: numbers of some bytes each, zeros behind the
 * end.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Program {
        const uint8_t *data;
        size_t size;
} Program;

static inline uint64_t program_take(Program *program, size_t n_bytes) {
        uint64_t value = 0;

        if (n_bytes > program->size)
                n_bytes = program->size;
        memcpy(&value, program->data, n_bytes);
        program->data += n_bytes;
        program->size -= n_bytes;
        return value;
}
