/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Failing Allocations
 *
 * malloc() and its kin, each a call that fault_arm() can let fail, and a count of what was not
 * given back. Everything that ends in free() is wrapped, or the count would be wrong.
 */

#include "tests/unit/fault-blocks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/fault.h"

long fault_blocks;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
        void *block = fault_step("malloc") ? NULL : __real_malloc(size);

        fault_blocks += block != NULL;
        return block;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
        void *block = fault_step("calloc") ? NULL : __real_calloc(n, size);

        fault_blocks += block != NULL;
        return block;
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size) {
        void *block = fault_step("realloc") ? NULL : __real_realloc(old, size);

        fault_blocks += block && !old;
        return block;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) {
        char *block = fault_step("strdup") ? NULL : __real_strdup(text);

        fault_blocks += block != NULL;
        return block;
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block) {
        fault_blocks -= block != NULL;
        __real_free(block);
}

char *__real_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n) {
        char *block = fault_step("strndup") ? NULL : __real_strndup(text, n);

        fault_blocks += block != NULL;
        return block;
}

int __wrap_asprintf(char **ret_text, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret_text, const char *format, ...) {
        va_list args;
        int n;

        if (fault_step("asprintf"))
                return -1;

        va_start(args, format);
        n = vasprintf(ret_text, format, args);
        va_end(args);
        fault_blocks += n >= 0;
        return n;
}
