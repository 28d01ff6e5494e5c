/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Errors of a Configuration
 *
 * What is wrong with a configuration is a value: a bounded list, one sentence each, every one with
 * the place it was written at. Nothing here decides to go on or to stop; who checks adds and
 * carries on, so that an operator sees every mistake at once. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct DeclError DeclError;
typedef struct DeclErrors DeclErrors;

enum {
        /* A person reads no more than this at once; the rest is counted. */
        DECL_ERRORS_MAX = 100,
        /* Of the sentence; longer ones are cut. Quoted input is cut to DECL_QUOTE_MAX before. */
        DECL_ERROR_TEXT_MAX = 512,
        DECL_QUOTE_MAX = 64,
        /* Path (cut at its front), line, column, key and sentence on one line. */
        DECL_ERROR_LINE_MAX = 1024,
};

/* Where something was written. The text at `file` is owned by whoever holds the origin. */
typedef struct DeclOrigin {
        char *file;
        uint32_t line, column; /* from 1; 0 = not known, or the file as a whole */
} DeclOrigin;

struct DeclError {
        DeclOrigin origin;
        char *key;  /* "item.size", or NULL where no key is concerned */
        char *text; /* what is wrong, what was expected; no key, no place, no full stop */
};

struct DeclErrors {
        DeclError *errors;
        size_t n_errors, n_allocated;
        size_t n_dropped;   /* beyond DECL_ERRORS_MAX */
        bool out_of_memory; /* at least one error was not written down, the list is worth nothing */
};

/* An empty list; no other initialisation is needed. */
#define DECL_ERRORS_NULL ((DeclErrors){})

/** decl_errors_deinit() - free what the list holds; it is empty then and can be used again */
void decl_errors_deinit(DeclErrors *errors);

/**
 * decl_errors_add() - write down one error
 * @errors:             list
 * @origin:             where; copied. NULL = nowhere
 * @key:                key concerned, or NULL; copied
 * @format:             sentence for printf(); text of the user goes in by decl_quote() only
 *
 * The same sentence about the same key and place is written down once. Want of memory is kept in
 * the list and reported by decl_errors_status().
 */
void decl_errors_add(DeclErrors *errors, const DeclOrigin *origin, const char *key,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/**
 * decl_errors_status() - what the list amounts to
 *
 * Return: 0 if nothing is wrong; DECL_E_INVALID (config/decl.h) if anything is; -ENOMEM.
 */
int decl_errors_status(const DeclErrors *errors);

/** decl_errors_sort() - by file, line and column; equal places stay in the order they came in */
void decl_errors_sort(DeclErrors *errors);

/**
 * decl_error_format() - "file:line:column: key: sentence", on one line, as text for a terminal
 * @error:              error
 * @buffer:             where; DECL_ERROR_LINE_MAX holds all of it
 * @size:               bytes at @buffer; more than 0
 *
 * Place and key are left out where they are not known. Control bytes in names of files are escaped.
 */
void decl_error_format(const DeclError *error, char *buffer, size_t size);

/**
 * decl_quote() - text of a user as it may stand in a sentence: 'text'
 * @buffer:             where, DECL_QUOTE_MAX bytes
 * @text:               bytes, any
 * @n:                  how many
 *
 * Bytes that are not printable ASCII are written as \xNN; long text is cut and ends in "...".
 *
 * Return: @buffer.
 */
const char *decl_quote(char *buffer, const char *text, size_t n);
