/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text
 *
 * A line that is put together of parts in a buffer of the caller's. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct Text Text;

struct Text {
        char *buffer;
        size_t size; /* of the buffer, at least 1 */
        size_t n;    /* in use, without the terminator */
};

#define TEXT_INIT(_buffer, _size) { .buffer = (_buffer), .size = (_size) }

/**
 * text_add() - append a part whole, or leave it out
 * @text:       text; terminated from the first call on
 *
 * Return: whether it fitted.
 */
bool text_add(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
