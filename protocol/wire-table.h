/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Wire Tables
 *
 * A message is a table of fields and nothing else: which tag, what it looks like on the wire, where
 * it stands in its struct, how long it may be. wire.c encodes and decodes any of them by walking
 * the table, so adding a field is adding a row. Private to protocol/.
 *
 * Rules for who adds a row: tags of a table are unique and never reused, at most WIRE_FIELDS_MAX of
 * them; a field that is zero, false, NULL or "" is not sent, so a new one must mean "as before"
 * then.
 */

#include <stddef.h>
#include <stdint.h>

#include "protocol/wire.h"

typedef struct WireField WireField;
typedef struct WireTable WireTable;

typedef enum WireFieldType {
        WIRE_FIELD_U32,
        WIRE_FIELD_U64,
        WIRE_FIELD_BOOL,     /* u32 on the wire, 0 or 1 */
        WIRE_FIELD_UUID,     /* SHMB_UUID_SIZE bytes */
        WIRE_FIELD_STRING,   /* terminated; missing decodes as "" */
        WIRE_FIELD_OPTIONAL, /* a string; missing decodes as NULL */
        WIRE_FIELD_STRUCT,   /* fields of `table` */
        WIRE_FIELD_ARRAY,    /* repeatable: a struct each */
        WIRE_FIELD_PAGE,     /* framed entries, one behind the other: see WIRE_ENTRY */
        _WIRE_FIELD_N,
} WireFieldType;

enum {
        WIRE_HEADER_SIZE = 16,
        WIRE_FIELD_HEADER_SIZE = 4,
        WIRE_FIELDS_MAX = 64, /* bits of the word that remembers which tags were seen */
        WIRE_ENTRY = 1,       /* tag of an entry of a page */
};

struct WireField {
        uint16_t tag;
        uint8_t type; /* WireFieldType */
        uint16_t max; /* strings: bytes without the terminator; arrays: elements */
        uint32_t offset; /* of the value in the struct; arrays: of the first element */
        /* arrays and pages: of the uint32_t that counts; pages: of the size_t with their bytes */
        uint32_t offset_count, offset_bytes;
        const WireTable *table; /* structs and arrays */
};

struct WireTable {
        const WireField *fields;
        size_t n_fields;
        size_t size; /* of the struct, bytes */
};

/* The body of messages of @type, or NULL if that type is unknown. */
const WireTable *wire_table_of(unsigned type);

/* Entries of pages. */
extern const WireTable wire_table_region;
extern const WireTable wire_table_holder;
extern const WireTable wire_table_line; /* of one const char * */
extern const WireTable wire_table_event;
