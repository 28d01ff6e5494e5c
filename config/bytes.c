/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes
 *
 * What must be refused before YAML sees it, because YAML and the person who wrote it would not see
 * the same: YAML 1.1 breaks lines at CR, NEL, LS and PS, so a comment that looks like one line in
 * an editor could hold a second line that is none. Columns count characters, as libyaml does.
 */

#include <string.h>

#include "config/tree.h"

typedef enum Offence {
        OFFENCE_NONE,
        OFFENCE_BOM,
        OFFENCE_UTF16,
        OFFENCE_ENCODING,
        OFFENCE_NUL,
        OFFENCE_CONTROL,
        OFFENCE_CR,
        OFFENCE_BREAK,
        OFFENCE_TAB,
        _OFFENCE_N,
} Offence;

static const char *const sentences[_OFFENCE_N] = {
        [OFFENCE_NONE] = "",
        [OFFENCE_BOM] = "there is a byte order mark; save the file as UTF-8 without one",
        [OFFENCE_UTF16] = "the file is UTF-16; save it as UTF-8",
        [OFFENCE_ENCODING] = "the text is not UTF-8; save the file as UTF-8",
        [OFFENCE_NUL] = "there is a NUL byte; a configuration is text",
        [OFFENCE_CONTROL] = "there is a control character; remove it",
        [OFFENCE_CR] = "there is a carriage return (CR, a line end of Windows or of the old Mac); "
                       "end lines with LF alone",
        [OFFENCE_BREAK] = "there is a line break of Unicode (U+0085, U+2028 or U+2029), which "
                          "editors do not show; remove it",
        [OFFENCE_TAB] = "there is a tab in the indentation, which YAML does not allow; use spaces",
};

typedef struct Scan {
        const char *file;
        DeclErrors *errors;
        uint32_t line, column; /* from 1 */
        bool indenting;        /* nothing but blanks in this line so far */
        unsigned seen;         /* bits: 1 << Offence */
} Scan;

static void scan_offend(Scan *scan, Offence offence) {
        DeclOrigin origin = {(char *)scan->file, scan->line, scan->column};

        if (!(scan->seen & (1u << offence)))
                decl_errors_add(scan->errors, &origin, NULL, "%s", sentences[offence]);
        scan->seen |= 1u << offence;
}

/* The code point at @at, strictly as RFC 3629. Return: its length in bytes, or 0. */
static size_t decode(const unsigned char *at, size_t n, uint32_t *ret_code) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
        uint32_t code;

        if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4 || length > n)
                return 0;

        code = length == 1 ? at[0] : at[0] & (0xffu >> (length + 1));
        for (size_t i = 1; i < length; i++) {
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (at[i] & 0x3f);
        }

        if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;

        *ret_code = code;
        return length;
}

static Offence judge(const Scan *scan, uint32_t code) {
        switch (code) {
        case '\0':
                return OFFENCE_NUL;
        case '\t':
                return scan->indenting ? OFFENCE_TAB : OFFENCE_NONE;
        case '\n':
                return OFFENCE_NONE;
        case '\r':
                return OFFENCE_CR;
        case 0x85:
        case 0x2028:
        case 0x2029:
                return OFFENCE_BREAK;
        case 0xfeff:
                return OFFENCE_BOM;
        }

        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
                return OFFENCE_CONTROL;
        /* Neither is a character, and libyaml takes them for none. */
        if (code == 0xfffe || code == 0xffff)
                return OFFENCE_ENCODING;

        return OFFENCE_NONE;
}

static void scan_text(Scan *scan, const unsigned char *at, size_t n) {
        while (n > 0) {
                uint32_t code = 0;
                size_t length = decode(at, n, &code);
                Offence offence = length ? judge(scan, code) : OFFENCE_ENCODING;

                if (offence)
                        scan_offend(scan, offence);

                /* Behind the first byte that is no UTF-8, all further words would be guesses. */
                if (!length)
                        return;

                if (code == '\n') {
                        scan->line++;
                        scan->column = 1;
                        scan->indenting = true;
                } else {
                        scan->column++;
                        scan->indenting = scan->indenting && (code == ' ' || code == '\t');
                }

                at += length;
                n -= length;
        }
}

bool config_bytes_check(const char *file, const void *data, size_t n, DeclErrors *errors) {
        Scan scan = {.file = file, .errors = errors, .line = 1, .column = 1, .indenting = true};
        const unsigned char *bytes = data;

        if (n > CONFIG_FILE_SIZE_MAX) {
                DeclOrigin origin = {(char *)file, 0, 0};

                decl_errors_add(errors, &origin, NULL,
                                "the file is larger than 1M; spread regions over files in "
                                "regions.d");
                return false;
        }

        if (n >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
                scan_offend(&scan, OFFENCE_UTF16);
        else
                scan_text(&scan, bytes, n);

        return scan.seen == 0;
}
