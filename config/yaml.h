/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reader
 *
 * From the bytes of files to one DeclSet: the main file first, then drop-ins, then seal. Nothing is
 * opened and nobody is looked up here; whoever feeds does (config/load.h). Everything wrong in all
 * files is said at once, and then there is no set: all or nothing.
 *
 * A file is at most CONFIG_FILE_SIZE_MAX bytes (config/tree.h). The main file holds version,
 * limits, defaults, regions and templates. A drop-in holds no limits, which are for the
 * administrator of the machine; its version may be left out; its defaults are for its own regions,
 * and win over those of the main file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"
#include "config/errors.h"

typedef struct DeclReader DeclReader;

enum {
        /* `version:` of the schema. */
        CONFIG_VERSION = 1,
};

/**
 * decl_reader_new() - a reader that has read nothing
 * @memory_bytes:       memory of the machine, for the default of limits.total.bytes and a bound of
 * it @ret_reader:         the reader
 *
 * Return: 0, or -ENOMEM.
 */
int decl_reader_new(const DeclMachine *machine, DeclReader **ret_reader);

/** decl_reader_free() - NULL is fine. Return: NULL */
DeclReader *decl_reader_free(DeclReader *reader);

/**
 * decl_reader_feed() - read one file, whole
 * @reader:             reader
 * @file:               its name, for origins and errors; copied
 * @data:               its bytes, any; not kept
 * @n_bytes:            how many
 * @drop_in:            false for the main file, which comes first
 *
 * Return: 0, whatever is wrong in it; or -ENOMEM, after which the reader can only be freed.
 */
int decl_reader_feed(DeclReader *reader, const char *file, const void *data, size_t n_bytes,
                     bool drop_in);

/** decl_reader_errors() - the list, for what is wrong with files before they can be read */
DeclErrors *decl_reader_errors(DeclReader *reader);

/**
 * decl_reader_seal() - look users up, check the regions together, give the set away
 * @reader:             reader; empty afterwards, can only be freed
 * @lookup:             who knows users and groups
 * @ret_set:            the set; owned by the caller
 * @ret_errors:         what is wrong, in order of place; owned by the caller
 *
 * Return: 0 with *ret_set; DECL_E_INVALID with *ret_errors; -ENOMEM.
 */
int decl_reader_seal(DeclReader *reader, const DeclLookup *lookup, DeclSet **ret_set,
                     DeclErrors *ret_errors);

/* For __attribute__((cleanup)). */
void decl_reader_freep(DeclReader **reader);
