/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A raw region: plain bytes that one program writes and others read, here a line of text with a
 * counter of its changes.
 *
 *     raw REGION TEXT...     writes
 *     raw REGION             reads
 *
 * The broker says who may; how the bytes are laid out, and how a reader knows that it has not
 * caught a writer in the middle, is up to its users: here the counter is odd while the text changes
 * (a sequence lock). A reader's mapping is read-only: a store to it is a SIGSEGV.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <shmbroker.h>

struct board {
        _Atomic uint32_t changes; /* odd: being written */
        uint32_t n_bytes;
        char text[248];
};

static void write_board(struct board *board, int n_words, char **words) {
        char text[sizeof(board->text)] = "";
        size_t n = 0;
        int i;

        for (i = 0; i < n_words && n < sizeof(text) - 1; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", words[i]);
        if (n > sizeof(text) - 1)
                n = sizeof(text) - 1;

        /* seq_cst: odd before any byte of the text changes; pairs with the loads of read_board() */
        atomic_fetch_or(&board->changes, 1);
        memcpy(board->text, text, sizeof(text));
        board->n_bytes = (uint32_t)n;
        /* release: the text, then the even count; pairs with acquire in read_board() */
        atomic_fetch_add_explicit(&board->changes, 1, memory_order_release);
}

/* Return: 0, or -1 if the text kept changing: its writer is very busy, or died in the middle. */
static int read_board(const struct board *board) {
        char text[sizeof(board->text)];
        uint32_t before, after, n_bytes;
        int i;

        for (i = 0; i < 1000; i++) {
                /* acquire: the text that belongs to this count, or a newer one; pairs with release
                 * in write_board() */
                before = atomic_load_explicit(&board->changes, memory_order_acquire);
                memcpy(text, board->text, sizeof(text));
                n_bytes = board->n_bytes;
                /* acquire: a fence; the copy is done before the count is looked at again */
                atomic_thread_fence(memory_order_acquire);
                /* relaxed: ordered by the fence above */
                after = atomic_load_explicit(&board->changes, memory_order_relaxed);
                if (before != after || (before & 1))
                        continue;

                /* What a peer wrote is bounded before it is used. */
                if (n_bytes > sizeof(text))
                        n_bytes = sizeof(text);
                printf("%.*s\n", (int)n_bytes, text);
                return 0;
        }
        return -1;
}

/* Return: exit status. */
static int use(struct shmb_region *region, int n_words, char **words) {
        struct board *board = shmb_data(region);

        if (shmb_size(region) < sizeof(*board)) {
                fprintf(stderr, "the region is too small for a line of text\n");
                return EXIT_FAILURE;
        }
        if (n_words > 0) {
                write_board(board, n_words, words);
        } else if (read_board(board) < 0) {
                fprintf(stderr, "the text keeps changing\n");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *region;
        struct shmb *broker;
        int r;

        if (argc < 2) {
                fprintf(stderr, "usage: %s REGION [TEXT...]\n", argv[0]);
                return 2;
        }

        if (shmb_connect(NULL, &broker) < 0) {
                fprintf(stderr, "%s\n", shmb_error(NULL));
                return EXIT_FAILURE;
        }
        want.kind = SHMB_RAW;
        r = shmb_attach(broker, argv[1], argc > 2 ? SHMB_WRITE : SHMB_READ, &want, &region);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], shmb_error(broker));
                shmb_close(broker);
                return EXIT_FAILURE;
        }

        r = use(region, argc - 2, argv + 2);
        shmb_detach(region);
        shmb_close(broker);
        return r;
}
