/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Errors of a Configuration
 *
 * The list is bounded and sticky: want of memory does not stop a check half way, it marks the list,
 * and decl_errors_status() says so at the end. So checks read as a plain sequence of sentences.
 * A path is cut at its front, where it says least.
 */

#include "config/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/decl.h"

enum {
        PATH_SHOWN_MAX = 300,
};

static void error_deinit(DeclError *error) {
        free(error->origin.file);
        free(error->key);
        free(error->text);
}

void decl_errors_deinit(DeclErrors *errors) {
        for (size_t i = 0; i < errors->n_errors; i++)
                error_deinit(&errors->errors[i]);
        free(errors->errors);
        *errors = DECL_ERRORS_NULL;
}

static int error_init(DeclError *error, const DeclOrigin *origin, const char *key,
                      const char *text) {
        *error = (DeclError){};

        if (origin) {
                error->origin.line = origin->line;
                error->origin.column = origin->column;
        }

        if ((origin && origin->file && !(error->origin.file = strdup(origin->file))) ||
            (key && !(error->key = strdup(key))) || !(error->text = strdup(text))) {
                error_deinit(error);
                return -ENOMEM;
        }

        return 0;
}

static int errors_reserve(DeclErrors *errors) {
        size_t n = errors->n_allocated ? 2 * errors->n_allocated : 8;
        DeclError *grown;

        if (errors->n_errors < errors->n_allocated)
                return 0;

        grown = realloc(errors->errors, n * sizeof(*grown));
        if (!grown)
                return -ENOMEM;

        errors->errors = grown;
        errors->n_allocated = n;
        return 0;
}

/* A default that is wrong would be said again for each region that inherits it. */
static bool errors_have(const DeclErrors *errors, const DeclOrigin *origin, const char *key,
                        const char *text) {
        for (size_t i = 0; i < errors->n_errors; i++) {
                const DeclError *error = &errors->errors[i];

                if (origin && error->origin.line == origin->line &&
                    error->origin.column == origin->column && strcmp(error->text, text) == 0 &&
                    strcmp(error->key ?: "", key ?: "") == 0 &&
                    strcmp(error->origin.file ?: "", origin->file ?: "") == 0)
                        return true;
        }

        return false;
}

void decl_errors_add(DeclErrors *errors, const DeclOrigin *origin, const char *key,
                     const char *format, ...) {
        char text[DECL_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);

        if (errors_have(errors, origin, key, text))
                return;

        if (errors->n_errors >= DECL_ERRORS_MAX) {
                errors->n_dropped++;
                return;
        }

        if (errors_reserve(errors) < 0 ||
            error_init(&errors->errors[errors->n_errors], origin, key, text) < 0) {
                errors->out_of_memory = true;
                return;
        }

        errors->n_errors++;
}

int decl_errors_status(const DeclErrors *errors) {
        if (errors->out_of_memory)
                return -ENOMEM;

        return errors->n_errors > 0 ? DECL_E_INVALID : 0;
}

static int compare_u32(uint32_t a, uint32_t b) {
        return (a > b) - (a < b);
}

static int error_compare(const DeclError *a, const DeclError *b) {
        int r = strcmp(a->origin.file ?: "", b->origin.file ?: "");

        if (r == 0)
                r = compare_u32(a->origin.line, b->origin.line);
        if (r == 0)
                r = compare_u32(a->origin.column, b->origin.column);

        return r;
}

void decl_errors_sort(DeclErrors *errors) {
        /* Insertion: stable, which qsort() is not, and the list is short. */
        for (size_t i = 1; i < errors->n_errors; i++) {
                DeclError error = errors->errors[i];
                size_t j = i;

                for (; j > 0 && error_compare(&errors->errors[j - 1], &error) > 0; j--)
                        errors->errors[j] = errors->errors[j - 1];
                errors->errors[j] = error;
        }
}

/* Append to a string of @size bytes of which *at are in use; what does not fit is cut. */
static void append(char *buffer, size_t size, size_t *at, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static void append(char *buffer, size_t size, size_t *at, const char *format, ...) {
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(buffer + *at, size - *at, format, args);
        va_end(args);

        if (n > 0)
                *at = (size_t)n < size - *at ? *at + (size_t)n : size - 1;
}

static void append_path(char *buffer, size_t size, size_t *at, const char *path) {
        size_t n = strlen(path);

        if (n > PATH_SHOWN_MAX) {
                append(buffer, size, at, "...");
                path += n - PATH_SHOWN_MAX;
        }

        for (; *path; path++) {
                unsigned char c = (unsigned char)*path;

                /* Bytes above ASCII stay: paths are UTF-8 where people live that write it so. */
                if (c < 0x20 || c == 0x7f)
                        append(buffer, size, at, "\\x%02x", c);
                else
                        append(buffer, size, at, "%c", c);
        }
}

void decl_error_format(const DeclError *error, char *buffer, size_t size) {
        size_t at = 0;

        buffer[0] = '\0';

        if (error->origin.file) {
                append_path(buffer, size, &at, error->origin.file);
                if (error->origin.line > 0)
                        append(buffer, size, &at, ":%u", error->origin.line);
                if (error->origin.line > 0 && error->origin.column > 0)
                        append(buffer, size, &at, ":%u", error->origin.column);
                append(buffer, size, &at, ": ");
        }

        if (error->key)
                append(buffer, size, &at, "%s: ", error->key);

        append(buffer, size, &at, "%s", error->text);
}

const char *decl_quote(char *buffer, const char *text, size_t n) {
        /* The longest byte is "\xNN"; then "..." and the closing quote. */
        size_t at = 0, room = DECL_QUOTE_MAX - sizeof("...'");

        append(buffer, DECL_QUOTE_MAX, &at, "'");

        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)text[i];

                if (at + (c >= 0x20 && c < 0x7f ? 1 : 4) > room) {
                        append(buffer, DECL_QUOTE_MAX, &at, "...");
                        break;
                }

                if (c >= 0x20 && c < 0x7f)
                        append(buffer, DECL_QUOTE_MAX, &at, "%c", c);
                else
                        append(buffer, DECL_QUOTE_MAX, &at, "\\x%02x", c);
        }

        append(buffer, DECL_QUOTE_MAX, &at, "'");
        return buffer;
}
