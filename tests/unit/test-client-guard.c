/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard holds one handler a process, so each test is a process of its own, which says by its
 * exit status how it went.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "client/guard.h"
#include "memory/atomics.h"
#include "tests/harness/fork.h"

enum {
        SIZE = 65536,
        THREADS = 4,
        ROUNDS = 200,
        SAW = 42, /* exit status of a handler that was reached as it should be */
};

/* An object that its writer, the test, can cut short. */
typedef struct Object {
        int fd;
        uint8_t *memory;
        _Atomic uint32_t lost;
        ShmbGuard *guard;
} Object;

static ShmbProcess process;

/* In a child cmocka's assertions would run the rest of the tests once more. */
static void need_at(bool holds, int line) {
        if (holds)
                return;
        fprintf(stderr, "%s:%d: does not hold\n", __FILE__, line);
        _exit(1);
}

#define need(_condition) need_at(_condition, __LINE__)

static void map_object(Object *object, bool writable) {
        *object = (Object){ .fd = memfd_create("object", MFD_CLOEXEC) };
        need(object->fd >= 0 && ftruncate(object->fd, SIZE) == 0);
        need(pwrite(object->fd, "item", 4, 100) == 4);
        object->memory = mmap(NULL, SIZE, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
                              object->fd, 0);
        need(object->memory != MAP_FAILED);
        if (writable)
                need(madvise(object->memory, SIZE, MADV_DONTFORK) == 0);
}

static int guard_object(Object *object, bool writable) {
        const ShmbGuarded guarded = { object->memory, SIZE, writable, &process, &object->lost };

        return shmb__guard_add(&guarded, &object->guard);
}

static void make_object(Object *object, bool writable) {
        need(shmb__process_enter(&process) == 0);
        map_object(object, writable);
        need(guard_object(object, writable) == 0);
}

static void drop_object(Object *object) {
        shmb__guard_remove(object->guard);
        munmap(object->memory, SIZE);
        close(object->fd);
}

static uint8_t look_at(const Object *object, size_t at) {
        /* relaxed, here and below: the test only wants the access to be made */
        return shmb_load_relaxed((const _Atomic uint8_t *)&object->memory[at]);
}

static void cut(const Object *object) {
        need(ftruncate(object->fd, 0) == 0);
}

static void foreign_fault(void) {
        Object object;

        map_object(&object, false);
        cut(&object);
        look_at(&object, 0);
}

/*
 * What lies in an object
 */

static int contains_in_child(void *userdata) {
        Object first, second, third;
        sigset_t mask;

        make_object(&first, false);
        make_object(&second, false);
        make_object(&third, false);
        need(look_at(&first, 100) == 'i' && !shmb__guard_is_lost(first.guard));
        errno = ERANGE;
        cut(&first);
        need(look_at(&first, 100) == 0 && look_at(&first, SIZE - 1) == 0);
        need(errno == ERANGE && shmb__guard_is_lost(first.guard));
        need(shmb_load_relaxed(&first.lost) == 1);

        /* the signal mask is what it was, so the second one is contained as the first */
        need(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGBUS));
        need(look_at(&second, 100) == 'i' && !shmb__guard_is_lost(second.guard));
        cut(&second);
        need(look_at(&second, 0) == 0 && shmb__guard_is_lost(second.guard));
        need(look_at(&third, 100) == 'i' && shmb_load_relaxed(&third.lost) == 0);

        /* what is cut in the middle is lost as a whole */
        need(ftruncate(third.fd, 4096) == 0 && look_at(&third, 100) == 'i');
        need(look_at(&third, 8192) == 0 && look_at(&third, 100) == 0);
        drop_object(&first);
        drop_object(&second);
        drop_object(&third);
        return 0;
}

static void test_guard_contains_one_object_after_the_other(void **state) {
        assert_int_equal(fork_run(contains_in_child, NULL), 0);
}

static int reuses_in_child(void *userdata) {
        Object object;
        int i;

        for (i = 0; i < 3; i++) {
                make_object(&object, false);
                need(!shmb__guard_is_lost(object.guard));
                cut(&object);
                need(look_at(&object, 0) == 0 && shmb__guard_is_lost(object.guard));
                drop_object(&object);
        }
        return 0;
}

static void test_guard_forgets_what_an_entry_stood_for(void **state) {
        assert_int_equal(fork_run(reuses_in_child, NULL), 0);
        assert_false(shmb__guard_is_lost(NULL));
        shmb__guard_remove(NULL);
}

static int keeps_protection_in_child(void *userdata) {
        Object object;

        signal(SIGSEGV, SIG_DFL);
        make_object(&object, *(bool *)userdata);
        cut(&object);
        need(look_at(&object, 0) == 0);
        object.memory[7] = 1;
        need(object.memory[7] == 1);
        return 0;
}

static void test_guard_keeps_the_protection(void **state) {
        bool writable = true;

        assert_int_equal(fork_run(keeps_protection_in_child, &writable), 0);
        writable = false;
#ifndef __SANITIZE_ADDRESS__ /* which reports it and exits */
        assert_int_equal(fork_run(keeps_protection_in_child, &writable), 128 + SIGSEGV);
#endif
}

static int forks_in_child(void *userdata) {
        Object shared, private;
        pid_t pid;
        void *there;
        int status;

        make_object(&shared, false);
        make_object(&private, true);
        pid = fork();
        if (pid == 0) {
                cut(&shared);
                need(look_at(&shared, 0) == 0 && shmb__guard_is_lost(shared.guard));
                /* where the parent has the other one, this process has its own affairs */
                there = mmap(private.memory, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
                             private.fd, 0);
                need(there == private.memory);
                cut(&private);
                look_at(&private, 0);
                _exit(1);
        }
        need(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        need(look_at(&shared, 0) == 0 && look_at(&private, 0) == 0);
        need(shmb__guard_is_lost(private.guard));
        return 0;
}

static int forks_with_default_in_child(void *userdata) {
        signal(SIGBUS, SIG_DFL);
        return forks_in_child(userdata);
}

static void test_guard_is_good_in_a_child_for_what_it_inherits(void **state) {
        assert_int_equal(fork_run(forks_with_default_in_child, NULL), 0);
}

/*
 * What does not
 */

static int action_in_child(void *userdata) {
        struct sigaction before, after;
        Object object;

        need(sigaction(SIGBUS, NULL, &before) == 0);
        need(shmb__process_enter(&process) == 0);
        map_object(&object, false);
        need(sigaction(SIGBUS, NULL, &after) == 0 && before.sa_handler == after.sa_handler);
        need(guard_object(&object, false) == 0);
        need(sigaction(SIGBUS, NULL, &after) == 0 && before.sa_handler != after.sa_handler);
        before = after;
        drop_object(&object);
        make_object(&object, false);
        need(sigaction(SIGBUS, NULL, &after) == 0 && before.sa_handler == after.sa_handler);
        return 0;
}

static void test_guard_installs_its_handler_once_and_not_before_it_is_needed(void **state) {
        assert_int_equal(fork_run(action_in_child, NULL), 0);
}

/* How a process ends, whole status, core flag included. */
static int status_of(void (*run)(void)) {
        pid_t pid = fork();
        int status = -1;

        if (pid == 0) {
                run();
                _exit(0);
        }
        assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
        return status;
}

static void guard_something(void) {
        static Object object;

        make_object(&object, false);
        cut(&object);
        need(look_at(&object, 0) == 0);
}

static void fault_by_default(void) {
        signal(SIGBUS, SIG_DFL);
        foreign_fault();
}

static void fault_by_default_guarded(void) {
        signal(SIGBUS, SIG_DFL);
        guard_something();
        foreign_fault();
}

static void fault_ignored(void) {
        signal(SIGBUS, SIG_IGN);
        foreign_fault();
}

static void fault_ignored_guarded(void) {
        signal(SIGBUS, SIG_IGN);
        guard_something();
        foreign_fault();
}

static void sent_by_default(void) {
        signal(SIGBUS, SIG_DFL);
        guard_something();
        kill(getpid(), SIGBUS);
}

static void sent_ignored(void) {
        signal(SIGBUS, SIG_IGN);
        guard_something();
        kill(getpid(), SIGBUS);
}

static void test_guard_leaves_a_foreign_fault_to_the_default(void **state) {
        int status = status_of(fault_by_default_guarded);

        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        assert_int_equal(status, status_of(fault_by_default));
        /* the kernel does not let a fault be ignored */
        assert_int_equal(status_of(fault_ignored_guarded), status_of(fault_ignored));
        assert_true(WIFSIGNALED(status_of(fault_ignored_guarded)));
}

static void test_guard_leaves_a_signal_that_was_sent_to_what_it_would_do(void **state) {
        int status = status_of(sent_by_default);

        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        assert_int_equal(status_of(sent_ignored), 0);
}

static void plain_handler(int signal) {
        _exit(signal == SIGBUS ? SAW : 1);
}

static void info_handler(int signal, siginfo_t *info, void *context) {
        sigset_t mask;

        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        _exit(signal == SIGBUS && info->si_code == BUS_ADRERR && info->si_addr && context &&
                              sigismember(&mask, SIGUSR1)
                      ? SAW
                      : 1);
}

static sigjmp_buf back;

static void jumping_handler(int signal) {
        siglongjmp(back, 1);
}

static void fault_to_plain(void) {
        signal(SIGBUS, plain_handler);
        guard_something();
        foreign_fault();
}

static void fault_to_info(void) {
        struct sigaction action = { .sa_sigaction = info_handler, .sa_flags = SA_SIGINFO };

        sigaddset(&action.sa_mask, SIGUSR1);
        sigaction(SIGBUS, &action, NULL);
        guard_something();
        foreign_fault();
}

/* The first fault goes to the handler, the second one kills; ours are contained all the time. */
static void fault_to_oneshot(void) {
        struct sigaction action = { .sa_handler = jumping_handler, .sa_flags = (int)SA_RESETHAND };

        sigaction(SIGBUS, &action, NULL);
        guard_something();
        if (sigsetjmp(back, 1) == 0)
                foreign_fault();
        guard_something();
        foreign_fault();
}

static void test_guard_passes_a_foreign_fault_to_the_handler_before_it(void **state) {
        int status;

        status = status_of(fault_to_plain);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SAW);
        status = status_of(fault_to_info);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SAW);
        status = status_of(fault_to_oneshot);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

/*
 * The table
 */

static int fills_in_child(void *userdata) {
        static Object all[SHMB__GUARDS_MAX];
        ShmbGuard *untouched = NULL;
        Object object;
        size_t i;

        make_object(&object, false);
        for (i = 1; i < SHMB__GUARDS_MAX; i++) {
                all[i] = object;
                need(guard_object(&all[i], false) == 0);
        }
        all[0] = object;
        all[0].guard = untouched;
        need(guard_object(&all[0], false) == -ENOBUFS && !all[0].guard);
        shmb__guard_remove(all[SHMB__GUARDS_MAX / 2].guard);
        need(guard_object(&all[0], false) == 0);
        need(guard_object(&all[SHMB__GUARDS_MAX / 2], false) == -ENOBUFS);
        return 0;
}

static void test_guard_table_that_is_full_says_so_and_takes_again(void **state) {
        assert_int_equal(fork_run(fills_in_child, NULL), 0);
}

static void *lose_in_thread(void *userdata) {
        Object object;
        int i;

        for (i = 0; i < ROUNDS; i++) {
                make_object(&object, i & 1);
                need(look_at(&object, 100) == 'i');
                cut(&object);
                need(look_at(&object, 100) == 0 && look_at(&object, SIZE - 1) == 0);
                need(shmb__guard_is_lost(object.guard) && shmb_load_relaxed(&object.lost) == 1);
                drop_object(&object);
        }
        return NULL;
}

static int threads_in_child(void *userdata) {
        pthread_t threads[THREADS];
        int i;

        for (i = 0; i < THREADS; i++)
                need(pthread_create(&threads[i], NULL, lose_in_thread, NULL) == 0);
        for (i = 0; i < THREADS; i++)
                need(pthread_join(threads[i], NULL) == 0);
        return 0;
}

static void test_guard_serves_threads_that_come_and_go(void **state) {
        assert_int_equal(fork_run(threads_in_child, NULL), 0);
}

static Object shared;

static void *look_in_thread(void *userdata) {
        need(look_at(&shared, (size_t)(uintptr_t)userdata) == 0);
        return NULL;
}

/* All at once in the same object: one maps, nobody is hurt. */
static int together_in_child(void *userdata) {
        pthread_t threads[THREADS];
        int i, j;

        for (i = 0; i < ROUNDS; i++) {
                make_object(&shared, false);
                cut(&shared);
                for (j = 0; j < THREADS; j++)
                        need(pthread_create(&threads[j], NULL, look_in_thread,
                                            (void *)(uintptr_t)(j * 4096)) == 0);
                for (j = 0; j < THREADS; j++)
                        need(pthread_join(threads[j], NULL) == 0);
                drop_object(&shared);
        }
        return 0;
}

static void test_guard_serves_threads_that_fault_together(void **state) {
        assert_int_equal(fork_run(together_in_child, NULL), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_guard_contains_one_object_after_the_other),
                cmocka_unit_test(test_guard_forgets_what_an_entry_stood_for),
                cmocka_unit_test(test_guard_keeps_the_protection),
                cmocka_unit_test(test_guard_is_good_in_a_child_for_what_it_inherits),
                cmocka_unit_test(test_guard_installs_its_handler_once_and_not_before_it_is_needed),
                cmocka_unit_test(test_guard_leaves_a_foreign_fault_to_the_default),
                cmocka_unit_test(test_guard_leaves_a_signal_that_was_sent_to_what_it_would_do),
                cmocka_unit_test(test_guard_passes_a_foreign_fault_to_the_handler_before_it),
                cmocka_unit_test(test_guard_table_that_is_full_says_so_and_takes_again),
                cmocka_unit_test(test_guard_serves_threads_that_come_and_go),
                cmocka_unit_test(test_guard_serves_threads_that_fault_together),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
