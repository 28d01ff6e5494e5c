/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Suggestions
 *
 * What somebody who wrote an unknown word may have meant: the candidate with the fewest insertions,
 * deletions, replacements and swaps of neighbours (optimal string alignment). Case is free, and '-'
 * is '_', because those are slips of the hand, not of the mind.
 */

#include <stdio.h>
#include <string.h>

#include "config/key.h"

enum {
        /* Longer than any word of the schema; longer input means none of them. */
        WORD_MAX = 32,
};

static char fold(char c) {
        if (c >= 'A' && c <= 'Z')
                return (char)(c - 'A' + 'a');

        return c == '-' ? '_' : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c) {
        unsigned ab = a < b ? a : b;

        return ab < c ? ab : c;
}

static unsigned distance(const char *a, const char *b) {
        unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
        size_t n_a = strlen(a), n_b = strlen(b);

        for (size_t j = 0; j <= n_b; j++)
                last[j] = (unsigned)j;

        for (size_t i = 1; i <= n_a; i++) {
                unsigned *oldest = before;

                now[0] = (unsigned)i;
                for (size_t j = 1; j <= n_b; j++) {
                        bool same = fold(a[i - 1]) == fold(b[j - 1]);

                        now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
                        if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                            fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < now[j])
                                now[j] = before[j - 2] + 1;
                }

                before = last;
                last = now;
                now = oldest;
        }

        return last[n_b];
}

const char *config_suggest(const char *text, const char *const *candidates) {
        const char *best = NULL;
        unsigned best_distance = 0;

        if (strlen(text) > WORD_MAX)
                return NULL;

        for (; *candidates; candidates++) {
                size_t n = strlen(*candidates);
                unsigned d;

                if (n > WORD_MAX)
                        continue;

                d = distance(text, *candidates);
                if (d > (n + 2) / 3 || (best && d >= best_distance))
                        continue;

                best = *candidates;
                best_distance = d;
        }

        return best;
}

void config_list_join(const char *const *words, size_t n, const char *conjunction, char *buffer,
                      size_t size) {
        size_t at = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < n && at < size - 1; i++) {
                snprintf(buffer + at, size - at, "%s%s",
                         i == 0 ? "" : i + 1 == n ? conjunction : ", ", words[i]);
                at += strlen(buffer + at);
        }
}
