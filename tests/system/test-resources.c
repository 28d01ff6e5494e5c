/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When There is Not Enough
 *
 * Descriptors and memory run out. What cannot be had is refused with a sentence that says what is
 * missing; what was had already works on; and when there is enough again, there is service again.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"
#include "tests/harness/scratch.h"

enum {
        NOFILE = 40,
        CALLERS = 60,
        N_RAW = 2, /* names of a raw region: control and data */
        EXIT_CONFIG = 78,
};

static Broker broker;

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static void limit_descriptors(void *data) {
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){ NOFILE, NOFILE });
}

static const char yaml[] = "version: 1\n"
                           "regions:\n"
                           "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any]}}\n";

static bool is_served(void) {
        CallerLease lease;
        Caller caller;
        int r;

        if (caller_begin(&caller, broker.socket) != 0)
                return false;
        r = caller_attach(&caller, broker_name(&broker, "raw"), SHMB_ROLE_READ, &lease);
        if (r == 0)
                caller_lease_close(&lease);
        caller_close(&caller);
        return r == 0;
}

/* More connections than descriptors: those who are in are served, an administrator still gets in,
 * the loop does not spin on accept(2), and the next ones are let in when some have gone. */
static void test_resources_out_of_descriptors(void **state) {
        WireStatusInfo status;
        uint64_t cpu_ms, until_ns;
        Caller first, admin, callers[CALLERS];
        int i;

        broker_init(&broker, yaml);
        broker.prepare = limit_descriptors;
        broker_start(&broker);
        assert_int_equal(caller_begin(&first, broker.socket), 0);
        for (i = 0; i < CALLERS; i++) {
                /* The backlog takes them, or they are let in and thrown out; no hello is said. */
                if (caller_connect(&callers[i], broker.socket) < 0)
                        callers[i].fd = -1;
        }
        assert_int_equal(caller_status(&first, &status), 0);
        cpu_ms = broker_cpu_ms(&broker);
        until_ns = broker_now_ns() + 300000000;
        while (broker_now_ns() < until_ns)
                broker_pause();
        assert_true(broker_cpu_ms(&broker) - cpu_ms < 150);
        assert_int_equal(caller_begin(&admin, broker.admin), 0);
        assert_int_equal(caller_status(&admin, &status), 0);
        caller_close(&admin);

        for (i = 0; i < CALLERS; i++)
                caller_close(&callers[i]);
        broker_until(is_served());
        assert_int_equal(caller_status(&first, &status), 0);
        caller_close(&first);
        broker_end(&broker);
}

static void small_shm(void *data) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=256k,mode=1777") < 0)
                _exit(126);
}

static const char yaml_small[] =
                "version: 1\n"
                "defaults:\n"
                "  kind: raw\n"
                "  lifetime: {policy: on_demand, linger: 0s}\n"
                "  access: {read: [any], write: [any]}\n"
                "regions:\n"
                "  - {name: $/fits, size: 128K}\n"
                "  - {name: $/also, size: 64K}\n"
                "  - {name: $/big, size: 192K}\n"
                "  - {name: $/raw, size: 4K, lifetime: static}\n";

/* Writes all of it: every page was reserved when the region was made, so none can be missing. */
static void fill_in_child(void *data) {
        CallerLease lease;
        Caller caller;
        uint8_t *memory;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_WRITE, &lease), 0);
        memory = mmap(NULL, 128 << 10, PROT_READ | PROT_WRITE, MAP_SHARED,
                      lease.fds[caller_object(&lease, SHMB_OBJECT_DATA, 0)], 0);
        child_check(memory != MAP_FAILED);
        child_say("mapped");
        child_await("fill");
        memset(memory, 0xa5, 128 << 10);
        child_say("filled");
        child_await("end");
}

/* Names in the broker's own /dev/shm. */
static size_t count_small_shm(void) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/root/dev/shm", broker.pid);
        return scratch_count(path);
}

static void test_resources_out_of_shared_memory(void **state) {
        char name[256];
        CallerLease also, big;
        Caller caller;
        Child child;
        size_t n;
        int r;

        broker_init(&broker, yaml_small);
        broker.prepare = small_shm;
        broker_start(&broker);
        strcpy(name, broker_name(&broker, "fits"));
        child_spawn(&child, &(ChildIdentity)CHILD_ALICE, fill_in_child, name);
        child_expect(&child, "mapped");
        n = count_small_shm();

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        r = caller_attach(&caller, broker_name(&broker, "big"), SHMB_ROLE_WRITE, &big);
        assert_int_equal(r, SHMB_STATUS_NO_MEMORY);
        print_message("%s\n", caller.reply.error.sentence);
        assert_non_null(strstr(caller.reply.error.sentence, broker_name(&broker, "big")));
        /* how much is wanted, and how much there is */
        assert_non_null(strstr(caller.reply.error.sentence, "196608"));
        assert_int_equal(count_small_shm(), n);
        /* what fits into the rest does */
        r = caller_attach(&caller, broker_name(&broker, "also"), SHMB_ROLE_WRITE, &also);
        assert_int_equal(r, 0);
        assert_int_equal(count_small_shm(), n + N_RAW);
        assert_true(is_served());

        child_tell(&child, "fill");
        child_expect(&child, "filled");
        child_tell(&child, "end");
        child_finish(&child);
        caller_lease_close(&also);
        caller_close(&caller);
        broker_until(count_small_shm() == N_RAW);
        broker_stop(&broker);
        broker_deinit(&broker);
}

static void mount_over_in_child(void *data) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/ns/mnt", *(const pid_t *)data);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        child_equal(setns(fd, CLONE_NEWNS), 0);
        child_equal(mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=256k,mode=1777"), 0);
        child_say("mounted");
}

/* Something is mounted over /dev/shm: names there are out of reach, descriptors are not. Who comes
 * is served, or told which region it is about; the broker neither ends nor spins. */
static void test_resources_shared_memory_mounted_over(void **state) {
        static const char yaml_both[] =
                        "version: 1\n"
                        "defaults: {kind: raw, size: 4K, access: {read: [any]}}\n"
                        "regions:\n"
                        "  - {name: $/raw}\n"
                        "  - {name: $/sealed, backing: memfd}\n"
                        "  - {name: $/later, lifetime: {policy: on_demand, linger: 0s}}\n";
        CallerLease before, after;
        uint64_t cpu_ms;
        Caller caller;
        Child child;
        int r;

        broker_init(&broker, yaml_both);
        broker.prepare = small_shm;
        broker_start(&broker);
        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        assert_int_equal(caller_attach(&caller, broker_name(&broker, "raw"), SHMB_ROLE_READ,
                                       &before),
                         0);
        child_spawn(&child, &(ChildIdentity){}, mount_over_in_child, &broker.pid);
        child_expect(&child, "mounted");
        child_finish(&child);

        r = caller_attach(&caller, broker_name(&broker, "later"), SHMB_ROLE_READ, &after);
        if (r == 0)
                caller_lease_close(&after);
        else
                assert_non_null(strstr(caller.reply.error.sentence,
                                       broker_name(&broker, "later")));
        r = caller_attach(&caller, broker_name(&broker, "sealed"), SHMB_ROLE_READ, &after);
        assert_int_equal(r, 0);
        caller_lease_close(&after);
        cpu_ms = broker_cpu_ms(&broker);
        assert_int_equal(caller_detach(&caller, before.attached.lease), 0);
        assert_true(broker_cpu_ms(&broker) - cpu_ms < 1000);
        caller_lease_close(&before);
        caller_close(&caller);
        broker_stop(&broker);
        broker_deinit(&broker);
}

/* What can never fit is known before anything is made. */
static void test_resources_too_small_for_what_is_declared(void **state) {
        broker_init(&broker,
                    "version: 1\n"
                    "regions:\n"
                    "  - {name: $/a, kind: raw, size: 128K, access: {read: [any]}}\n"
                    "  - {name: $/b, kind: raw, size: 1M, access: {read: [any]}}\n");
        broker.prepare = small_shm;
        broker_spawn(&broker, NULL);
        assert_int_equal(broker_wait(&broker), EXIT_CONFIG);
        assert_true(broker_said(&broker, broker_name(&broker, "b"), "256K"));
        assert_int_equal(broker_n_shm(&broker), 0);
        assert_int_equal(broker.n_ready, 0);
        broker_deinit(&broker);
}

/* The receiver has no descriptor left: the kernel cuts the grant, the lease must not stay. */
static void starve_in_child(void *data) {
        struct rlimit limit;
        WireStatusInfo status;
        CallerLease lease;
        Caller caller;
        int fd;

        child_equal(caller_begin(&caller, broker.socket), 0);
        fd = dup(caller.fd);
        child_check(fd >= 0);
        close(fd);
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = (rlim_t)fd;
        child_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        /* nothing came with it that was promised */
        child_equal(caller_attach(&caller, data, SHMB_ROLE_READ, &lease), -EPROTO);
        child_equal(caller_status(&caller, &status), 0);
        child_say("starved");
        child_await("end");
}

static void test_resources_receiver_without_descriptors(void **state) {
        WireStatusInfo status;
        Caller caller;
        Child child;

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        child_spawn(&child, &(ChildIdentity)CHILD_ALICE, starve_in_child,
                    (void *)broker_name(&broker, "raw"));
        child_expect(&child, "starved");
        assert_true(is_served());
        child_tell(&child, "end");
        child_finish(&child);
        broker_until(caller_status(&caller, &status) == 0 && status.n_leases == 0);
        caller_close(&caller);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_resources_out_of_descriptors),
                TEST(test_resources_out_of_shared_memory),
                TEST(test_resources_shared_memory_mounted_over),
                TEST(test_resources_too_small_for_what_is_declared),
                TEST(test_resources_receiver_without_descriptors),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
