/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The textbook's producer: makes items and puts them into the bounded buffer, and waits where it is
 * full.
 *
 *     producer REGION [COUNT]        a ring with item: {size: 16, align: 8}
 *
 * Two ways to put an item in are shown: a copy (shmb_push), and building it where it will be read
 * (shmb_claim, shmb_commit).
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <shmbroker.h>

struct item {
        uint64_t number;
        uint64_t square;
};

static int produce(struct shmb_region *region, uint64_t number) {
        struct item item = { number, number * number };
        struct item *slot;
        void *memory;
        int r;

        if (number % 2 == 0)
                return shmb_push(region, &item, -1);

        r = shmb_claim(region, &memory, -1);
        if (r < 0)
                return r;
        slot = memory;
        slot->number = number;
        slot->square = number * number;
        /* Nobody sees the slot before this; if we die here, nobody ever does. */
        return shmb_commit(region);
}

static int produce_all(struct shmb_region *region, uint64_t n_items) {
        uint64_t i = 0;
        int r;

        while (i < n_items) {
                r = produce(region, i);
                if (r == -EOWNERDEAD) {
                        fprintf(stderr, "a consumer died; waiting for the next one\n");
                        continue; /* said once; the item is still ours to put in */
                }
                if (r < 0) {
                        fprintf(stderr, "after %" PRIu64 " items: %s\n", i, strerror(-r));
                        return EXIT_FAILURE;
                }
                i++;
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *region;
        struct shmb *broker;
        int r;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: %s REGION [COUNT]\n", argv[0]);
                return 2;
        }

        if (shmb_connect(NULL, &broker) < 0) {
                fprintf(stderr, "%s\n", shmb_error(NULL));
                return EXIT_FAILURE;
        }
        /* What we are built for; a region declared otherwise is refused, and the reason names
         * both. */
        want.kind = SHMB_RING;
        want.item_size = sizeof(struct item);
        r = shmb_attach(broker, argv[1], SHMB_PRODUCE, &want, &region);
        if (r < 0) {
                fprintf(stderr, "%s: %s (%s)\n", argv[1], shmb_error(broker), strerror(-r));
                shmb_close(broker);
                return EXIT_FAILURE;
        }

        r = produce_all(region, argc == 3 ? strtoull(argv[2], NULL, 10) : 1000);
        shmb_detach(region);
        shmb_close(broker);
        return r;
}
