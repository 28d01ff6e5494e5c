/* SPDX-License-Identifier: Apache-2.0 */

/*
 * holder FILE VISITED ROLE:REGION...: take these roles for good, and attach and detach VISITED all
 * the time, until there is a FILE; then move an item through each region that is held by its other
 * end as well, and say how often, how long at most, and what failed.
 *
 * Whose connection is looked at from outside while brokers come and go.
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <shmbroker.h>

#define SECOND INT64_C(1000000000)

enum {
        HELD_MAX = 8,
        ITEM_SIZE = 64,
};

static int64_t now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * SECOND + now.tv_nsec;
}

static struct shmb_region *attach(struct shmb *c, const char *name, enum shmb_role role) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *r = NULL;

        want.timeout_ns = 20 * SECOND;
        if (shmb_attach(c, name, role, &want, &r) < 0)
                fprintf(stderr, "%s: %s\n", name, shmb_error(c));
        return r;
}

static int use(struct shmb_region *r, enum shmb_role role) {
        char item[ITEM_SIZE] = "through many lives";

        return role == SHMB_PRODUCE ? shmb_push(r, item, 20 * SECOND)
                                    : shmb_pop(r, item, 20 * SECOND);
}

int main(int argc, char **argv) {
        uint64_t n_calls = 0, n_failed = 0;
        struct shmb_region *held[HELD_MAX], *r;
        int64_t began, took, longest = 0;
        enum shmb_role roles[HELD_MAX];
        struct shmb *c;
        int i, n_held = argc - 3;

        if (n_held < 1 || n_held > HELD_MAX || shmb_connect(NULL, &c) < 0)
                return 2;
        for (i = 0; i < n_held; i++) {
                roles[i] = argv[i + 3][0] == 'p' ? SHMB_PRODUCE : SHMB_CONSUME;
                held[i] = attach(c, strchr(argv[i + 3], ':') + 1, roles[i]);
                if (!held[i])
                        return 1;
        }
        printf("%d\n", (int)getpid());
        fflush(stdout);
        while (access(argv[1], F_OK) != 0) {
                began = now_ns();
                r = attach(c, argv[2], SHMB_READ);
                n_failed += !r;
                shmb_detach(r);
                took = now_ns() - began;
                if (took > longest)
                        longest = took;
                n_calls++;
        }
        for (i = 0; i < n_held; i++) {
                n_failed += use(held[i], roles[i]) < 0;
                shmb_detach(held[i]);
        }
        shmb_close(c);
        printf("%" PRIu64 " %" PRIu64 " %" PRId64 "\n", n_calls, n_failed, longest / 1000000);
        return 0;
}
