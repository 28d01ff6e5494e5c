/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The textbook's consumer: takes items out of the bounded buffer, and waits where it is empty.
 *
 *     consumer REGION [COUNT]        a ring with item: {size: 16, align: 8}
 *
 * An item is looked at in place (shmb_peek), worked on, and only then released. A consumer that is
 * killed at work has not lost it: the broker lets its successor go on at the same item.
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

static int work(const struct item *item) {
        if (item->square != item->number * item->number) {
                fprintf(stderr, "item %" PRIu64 " is not what it should be\n", item->number);
                return EXIT_FAILURE;
        }
        printf("%" PRIu64 "\n", item->number);
        return EXIT_SUCCESS;
}

static int consume_all(struct shmb_region *region, uint64_t n_items) {
        const void *item;
        uint64_t i = 0;
        int r;

        while (i < n_items) {
                /* A second at a time: what else a program has to do, it does in between. */
                r = shmb_peek(region, &item, INT64_C(1000000000));
                if (r == -ETIMEDOUT)
                        continue;
                if (r == -EOWNERDEAD) {
                        fprintf(stderr, "a producer died; all that it published has arrived\n");
                        continue;
                }
                if (r == -EIDRM || r == -EPIPE)
                        break; /* drained, and no more will come */
                if (r < 0) {
                        fprintf(stderr, "after %" PRIu64 " items: %s\n", i, strerror(-r));
                        return EXIT_FAILURE;
                }

                if (work(item) != EXIT_SUCCESS)
                        return EXIT_FAILURE;
                shmb_release(region);
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
        want.kind = SHMB_RING;
        want.item_size = sizeof(struct item);
        r = shmb_attach(broker, argv[1], SHMB_CONSUME, &want, &region);
        if (r < 0) {
                fprintf(stderr, "%s: %s (%s)\n", argv[1], shmb_error(broker), strerror(-r));
                shmb_close(broker);
                return EXIT_FAILURE;
        }

        r = consume_all(region, argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX);
        shmb_detach(region);
        shmb_close(broker);
        return r;
}
