/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting on Other Kernels, and With Other Settings
 *
 * Each in a child, which comes to the fake broker for itself: without futex_waitv(2) (Linux before
 * 5.16), without membarrier(2), and with $SHMB_NO_MEMBARRIER. Items must move and sleepers must be
 * woken all the same.
 */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <shmbroker.h>
#include "client/deadline.h"
#include "client/region.h"
#include "tests/harness/fork.h"
#include "tests/unit/fake-broker.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static FakeBroker fake;
static struct shmb_region *producer, *consumer;

/* From now on this process has a kernel without system call @number. */
static int take_away(unsigned number) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void *pop_one(void *userdata) {
        uint64_t item = 0;

        *(int *)userdata = shmb_pop(consumer, &item, -1);
        return NULL;
}

static void *push_one(void *userdata) {
        uint64_t item = 5;

        *(int *)userdata = shmb_push(producer, &item, -1);
        return NULL;
}

/* Start @run, wait until it sleeps. */
static int start_sleeper(pthread_t *ret_thread, void *(*run)(void *), const ShmbSleep *sleep,
                         int *ret_result) {
        int tries = 20000;

        *ret_result = 4711;
        if (pthread_create(ret_thread, NULL, run, ret_result) != 0)
                return -1;
        while (!(atomic_load(&sleep->seq) & 1) && --tries > 0)
                usleep(500);
        return tries > 0 ? 0 : -1;
}

/* Both sleep, both are woken. Return: 0, or which step failed. */
static int sleep_and_wake(void) {
        pthread_t thread;
        uint64_t item = 1;
        int i, result;

        for (i = 0; i < 5; i++) {
                if (start_sleeper(&thread, pop_one, &consumer->consumer.seat->sleep, &result) < 0)
                        return 10;
                if (shmb_push(producer, &item, 0) != 0)
                        return 11;
                pthread_join(thread, NULL);
                if (result != 0)
                        return 12;
        }
        while (shmb_push(producer, &item, 0) == 0)
                ;
        if (start_sleeper(&thread, push_one, &producer->producer.lane->sleep, &result) < 0)
                return 13;
        if (shmb_pop(consumer, &item, 0) != 0)
                return 14;
        pthread_join(thread, NULL);
        if (result != 0)
                return 15;
        while (shmb_pop(consumer, &item, 0) == 0)
                ;
        return shmb_pop(consumer, &item, 20 * SHMB__MS) == -ETIMEDOUT ? 0 : 16;
}

static int use(bool registered) {
        struct shmb *c;
        int r;

        if (shmb_connect(fake.path, &c) != 0 ||
            shmb_attach(c, "a/ring", SHMB_PRODUCE, NULL, &producer) != 0 ||
            shmb_attach(c, "a/ring", SHMB_CONSUME, NULL, &consumer) != 0)
                return 1;
        if (producer->registered != registered ||
            producer->producer.waker.fence_always == registered ||
            consumer->consumer.waker.fence_always == registered)
                return 2;
        /* who may not call membarrier says so to its wakers */
        if ((atomic_load(&consumer->consumer.seat->sleep.flags) & SHMB_SLEEP_FENCE) ==
            (registered ? SHMB_SLEEP_FENCE : 0))
                return 3;
        r = sleep_and_wake();
        shmb_detach(producer);
        shmb_detach(consumer);
        shmb_close(c);
        return r;
}

static int without_futex_waitv(void *userdata) {
        return take_away(SYS_futex_waitv) < 0 ? 100 : use(true);
}

static int without_membarrier(void *userdata) {
        return take_away(SYS_membarrier) < 0 ? 100 : use(false);
}

static int told_not_to(void *userdata) {
        setenv("SHMB_NO_MEMBARRIER", "1", 1);
        return use(false);
}

static int told_nothing(void *userdata) {
        setenv("SHMB_NO_MEMBARRIER", "", 1);
        return use(true);
}

static int on_one_cpu(void *userdata) {
        cpu_set_t one;
        int r;

        CPU_ZERO(&one);
        CPU_SET((size_t)sched_getcpu(), &one);
        if (sched_setaffinity(0, sizeof(one), &one) < 0)
                return 100;
        r = use(true);
        return r;
}

static void run(int (*child)(void *userdata)) {
        int status = fork_run(child, NULL);

        if (status == 100)
                skip();
        assert_int_equal(status, 0);
}

static void test_kernel_without_futex_waitv_waits_in_slices(void **state) {
        run(without_futex_waitv);
}

static void test_kernel_without_membarrier_fences(void **state) {
        run(without_membarrier);
}

static void test_process_that_is_told_so_fences(void **state) {
        run(told_not_to);
}

static void test_process_with_an_empty_variable_is_told_nothing(void **state) {
        run(told_nothing);
}

static void test_process_on_one_cpu_sleeps_and_wakes(void **state) {
        run(on_one_cpu);
}

static int setup(void **state) {
        fake_start_ring(&fake, 1, 1, sizeof(uint64_t), 8);
        return 0;
}

static int teardown(void **state) {
        fake_stop(&fake);
        return 0;
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_kernel_without_futex_waitv_waits_in_slices),
                TEST(test_kernel_without_membarrier_fences),
                TEST(test_process_that_is_told_so_fences),
                TEST(test_process_with_an_empty_variable_is_told_nothing),
                TEST(test_process_on_one_cpu_sleeps_and_wakes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
