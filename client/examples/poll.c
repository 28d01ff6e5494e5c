/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two bounded buffers and a clock in one event loop.
 *
 *     poll REGION REGION [SECONDS]    rings with any items
 *
 * Each descriptor is readable as long as there may be something to do. What there is is taken until
 * -EAGAIN, which is what makes shmb_poll_fd() quiet again; nobody is called while nothing happens.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <shmbroker.h>

enum {
        N_REGIONS = 2,
};

struct loop {
        struct shmb *broker;
        struct shmb_region *regions[N_REGIONS];
        uint64_t n_items[N_REGIONS], n_seconds, n_seconds_max;
        int epoll_fd, timer_fd;
};

static int watch(struct loop *loop, int fd, uint32_t what) {
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };

        if (fd < 0) {
                fprintf(stderr, "nothing to poll: %s\n", strerror(-fd));
                return -1;
        }
        return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Everything that there is. Return: 0, or -1 where no more will come. */
static int take_all(struct loop *loop, uint32_t i) {
        const void *item;
        int r;

        for (;;) {
                r = shmb_peek(loop->regions[i], &item, 0);
                if (r == -EAGAIN)
                        return 0;
                if (r == -EOWNERDEAD)
                        continue;
                if (r < 0)
                        return -1;
                loop->n_items[i]++;
                shmb_release(loop->regions[i]);
        }
}

/* Return: 0, or -1 when it is time to end. */
static int tick(struct loop *loop) {
        uint64_t n = 0;

        if (read(loop->timer_fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
                return 0;
        printf("%" PRIu64 " and %" PRIu64 " items\n", loop->n_items[0], loop->n_items[1]);
        fflush(stdout);
        loop->n_seconds += n;
        return loop->n_seconds < loop->n_seconds_max ? 0 : -1;
}

static int run(struct loop *loop) {
        struct epoll_event event;
        int r = 0;

        while (r == 0) {
                r = epoll_wait(loop->epoll_fd, &event, 1, -1);
                if (r < 0 && errno == EINTR)
                        r = 0;
                else if (r == 1)
                        r = event.data.u32 < N_REGIONS ? take_all(loop, event.data.u32)
                                                       : tick(loop);
        }
        return EXIT_SUCCESS;
}

static int begin(struct loop *loop, char **names) {
        const struct itimerspec second = { { 1, 0 }, { 1, 0 } };
        uint32_t i;

        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (loop->epoll_fd < 0 || loop->timer_fd < 0 ||
            timerfd_settime(loop->timer_fd, 0, &second, NULL) < 0 ||
            watch(loop, loop->timer_fd, N_REGIONS) < 0)
                return -1;
        if (shmb_connect(NULL, &loop->broker) < 0) {
                fprintf(stderr, "%s\n", shmb_error(NULL));
                return -1;
        }
        for (i = 0; i < N_REGIONS; i++) {
                if (shmb_attach(loop->broker, names[i], SHMB_CONSUME, NULL,
                                &loop->regions[i]) < 0) {
                        fprintf(stderr, "%s\n", shmb_error(loop->broker));
                        return -1;
                }
                if (watch(loop, shmb_poll_fd(loop->regions[i]), i) < 0)
                        return -1;
        }
        return 0;
}

int main(int argc, char **argv) {
        struct loop loop = { .epoll_fd = -1, .timer_fd = -1, .n_seconds_max = UINT64_MAX };
        int r = EXIT_FAILURE;

        if (argc < 3 || argc > 4) {
                fprintf(stderr, "usage: %s REGION REGION [SECONDS]\n", argv[0]);
                return 2;
        }
        if (argc == 4)
                loop.n_seconds_max = strtoull(argv[3], NULL, 10);
        if (begin(&loop, argv + 1) == 0)
                r = run(&loop);
        shmb_detach(loop.regions[0]);
        shmb_detach(loop.regions[1]);
        shmb_close(loop.broker);
        close(loop.timer_fd);
        close(loop.epoll_fd);
        return r;
}
