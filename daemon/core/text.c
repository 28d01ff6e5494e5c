/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text
 */

#include <stdarg.h>
#include <stdio.h>
#include "daemon/core/text.h"

bool text_add(Text *text, const char *format, ...) {
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(text->buffer + text->n, text->size - text->n, format, arguments);
        va_end(arguments);

        if (n < 0 || (size_t)n >= text->size - text->n) {
                text->buffer[text->n] = '\0';
                return false;
        }
        text->n += (size_t)n;
        return true;
}
