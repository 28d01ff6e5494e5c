/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Realtime Clock that a Test Sets
 *
 * Stands in for the functions of the C library by which a program can learn the time of day. A
 * timer by an absolute time of day is set by as much earlier as the clock is ahead, which is what
 * the kernel makes of it when a clock is really set.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "tests/system/clock-step.h"

enum {
        FDS_MAX = 1024,
};

static ClockStep *page;
static bool by_time_of_day[FDS_MAX]; /* timers */

__attribute__((constructor)) static void begin(void) {
        const char *path = getenv(CLOCK_STEP_VARIABLE);
        void *memory;
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

        if (fd < 0)
                return;
        memory = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (memory == MAP_FAILED)
                return;
        page = memory;
        atomic_fetch_add(&page->n_loaded, 1);
}

static time_t ahead(clockid_t clock) {
        bool real = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ||
                    clock == CLOCK_TAI || clock == CLOCK_REALTIME_ALARM;

        if (!page)
                return 0;
        atomic_fetch_add(real ? &page->n_real : &page->n_other, 1);
        return real ? (time_t)atomic_load(&page->offset_s) : 0;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ts) {
        int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
        int r = real(clock, ts);

        if (r == 0)
                ts->tv_sec += ahead(clock);
        return r;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv,
                                                        void *restrict zone) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        *tv = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
        return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *ret) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (ret)
                *ret = now.tv_sec;
        return now.tv_sec;
}

__attribute__((visibility("default"))) int timerfd_create(clockid_t clock, int flags) {
        int (*real)(clockid_t, int) = dlsym(RTLD_NEXT, "timerfd_create");
        int fd = real(clock, flags);

        if (fd >= 0 && fd < FDS_MAX)
                by_time_of_day[fd] = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
        return fd;
}

__attribute__((visibility("default"))) int timerfd_settime(int fd, int flags,
                                                           const struct itimerspec *value,
                                                           struct itimerspec *old) {
        int (*real)(int, int, const struct itimerspec *, struct itimerspec *) =
                        dlsym(RTLD_NEXT, "timerfd_settime");
        struct itimerspec moved = *value;

        if (fd >= 0 && fd < FDS_MAX && by_time_of_day[fd] && (flags & TFD_TIMER_ABSTIME) &&
            (moved.it_value.tv_sec || moved.it_value.tv_nsec))
                moved.it_value.tv_sec -= ahead(CLOCK_REALTIME);
        return real(fd, flags, &moved, old);
}
