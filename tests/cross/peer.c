/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One End of a Ring, in Whatever Word Size it is Built for
 *
 *     peer produce REGION N    push items 0 .. N - 1
 *     peer consume REGION N    pop as many; each must be the next one, whole
 *     peer careless REGION     attach with an item type whose size depends on that of a long
 *
 * Uses the public header only, by all the ways that there are to move items. Says what went, or
 * what was refused, in one line.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <shmbroker.h>
#include "tests/harness/items.h"

enum {
        BATCH = 50, /* does not divide the capacity: batches are cut at the end of the lane */
        SLICE = 1000, /* items moved in one way, before the next one's turn */
};

/* What nobody should share between word sizes. */
typedef struct Careless {
        long numbers[8];
} Careless;

static _Noreturn void die(const char *what, long value) {
        printf("%zu bits: %s: %ld\n", 8 * sizeof(void *), what, value);
        exit(1);
}

static void expect(long value, long least, long most, const char *what) {
        if (value < least || value > most)
                die(what, value);
}

static uint32_t push_some(struct shmb_region *r, uint64_t at, uint32_t n) {
        Item items[BATCH];
        struct shmb_span span;
        void *slot;
        uint32_t i;
        int moved;

        switch (at / SLICE % 4) {
        case 0:
                item_make(&items[0], at);
                expect(shmb_push(r, &items[0], -1), 0, 0, "push");
                return 1;
        case 1:
                expect(shmb_claim(r, &slot, -1), 0, 0, "claim");
                item_make(slot, at);
                expect(shmb_commit(r), 0, 0, "commit");
                return 1;
        case 2:
                for (i = 0; i < n; i++)
                        item_make(&items[i], at + i);
                moved = shmb_push_n(r, items, n, -1);
                expect(moved, 1, (long)n, "push_n");
                return (uint32_t)moved;
        default:
                expect(shmb_claim_n(r, n, &span, -1), 1, (long)n, "claim_n");
                for (i = 0; i < span.n; i++)
                        item_make((void *)((uint8_t *)span.data + (size_t)i * span.stride), at + i);
                expect(shmb_commit_n(r, span.n), 0, (long)span.n, "commit_n");
                return span.n;
        }
}

static void check(const void *item, uint64_t number) {
        if (!item_is(item, number))
                die("another item than the next", (long)((const Item *)item)->number);
}

static uint32_t pop_some(struct shmb_region *r, uint64_t at, uint32_t n) {
        Item items[BATCH];
        struct shmb_span span;
        const void *item;
        uint32_t i;
        int moved;

        /* Not the way that the producer went at the time. */
        switch (at / (SLICE / 2) % 4) {
        case 0:
                expect(shmb_pop(r, &items[0], -1), 0, 0, "pop");
                check(&items[0], at);
                return 1;
        case 1:
                expect(shmb_peek(r, &item, -1), 0, 0, "peek");
                check(item, at);
                expect(shmb_release(r), 0, 0, "release");
                return 1;
        case 2:
                moved = shmb_pop_n(r, items, n, -1);
                expect(moved, 1, (long)n, "pop_n");
                for (i = 0; i < (uint32_t)moved; i++)
                        check(&items[i], at + i);
                return (uint32_t)moved;
        default:
                expect(shmb_peek_n(r, n, &span, -1), 1, (long)n, "peek_n");
                for (i = 0; i < span.n; i++)
                        check((uint8_t *)span.data + (size_t)i * span.stride, at + i);
                expect(shmb_release_n(r, span.n), 0, (long)span.n, "release_n");
                return span.n;
        }
}

static void move(struct shmb_region *r, bool is_producer, uint64_t n_items) {
        uint64_t at = 0;

        while (at < n_items) {
                uint32_t n = n_items - at < BATCH ? (uint32_t)(n_items - at) : BATCH;

                at += is_producer ? push_some(r, at, n) : pop_some(r, at, n);
        }
        printf("%zu bits: %s %llu\n", 8 * sizeof(void *), is_producer ? "pushed" : "popped",
               (unsigned long long)at);
}

int main(int argc, char **argv) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;
        struct shmb *c = NULL;
        bool is_careless = argc == 3 && strcmp(argv[1], "careless") == 0;
        bool is_producer = argc == 4 && strcmp(argv[1], "produce") == 0;
        int result;

        if (!is_careless && argc != 4)
                return 2;
        want.item_size = is_careless ? sizeof(Careless) : sizeof(Item);
        want.item_align = 8;
        expect(shmb_connect(NULL, &c), 0, 0, "connect");
        result = shmb_attach(c, argv[2], is_producer ? SHMB_PRODUCE : SHMB_CONSUME, &want, &r);
        if (result < 0) {
                printf("%zu bits: %s: %s\n", 8 * sizeof(void *), strerrorname_np(-result),
                       shmb_error(c));
                return 1;
        }
        if (is_careless)
                printf("%zu bits: attached\n", 8 * sizeof(void *));
        else
                move(r, is_producer, strtoull(argv[3], NULL, 10));
        shmb_detach(r);
        shmb_close(c);
        return 0;
}
