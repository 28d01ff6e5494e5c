/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Read-Only is the Kernel's Word
 *
 * What a consumer or a reader is given cannot be written, whatever its process does with it: by
 * another open, mapping, resize, mode, seal or lock. Each attack runs under another uid against the
 * descriptor that the broker really handed out, on both backings, and each is first shown to work
 * on an inode that was made carelessly: an attack that fails everywhere proves nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "memory/layout.h"
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

static Broker broker;

static const ChildIdentity alice = CHILD_ALICE, bob = CHILD_BOB;

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - {name: $/raw-posix, kind: raw, size: 64K, access: {read: [any]}}\n"
                "  - name: $/raw-memfd\n"
                "    kind: raw\n"
                "    size: 64K\n"
                "    backing: memfd\n"
                "    access: {read: [any]}\n"
                "  - name: $/ring-posix\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    backing: posix\n"
                "    access: {produce: [uid:61001], consume: [any], observe: [any]}\n"
                "  - name: $/ring-memfd\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    backing: memfd\n"
                "    access: {produce: [uid:61001], consume: [any], observe: [any]}\n";

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

static int reopen(int fd, int flags) {
        char path[64];
        int again;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, flags | O_CLOEXEC);
        if (again < 0)
                return -errno;
        close(again);
        return 0;
}

static int map_writable(int fd) {
        void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (memory == MAP_FAILED)
                return -errno;
        munmap(memory, 4096);
        return 0;
}

static int protect_writable(int fd) {
        void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        int r;

        if (memory == MAP_FAILED)
                return 0;
        r = mprotect(memory, 4096, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
        munmap(memory, 4096);
        return r;
}

static int remove_pages(int fd) {
        void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        int r;

        if (memory == MAP_FAILED)
                return 0;
        r = madvise(memory, 4096, MADV_REMOVE) < 0 ? -errno : 0;
        munmap(memory, 4096);
        return r;
}

/* An inode as a careless broker would make it shows that this process attacks in earnest. */
static void attack_careless(void) {
        int fd;

        fd = memfd_create("careless", MFD_CLOEXEC);
        child_check(fd >= 0);
        child_equal(ftruncate(fd, 4096), 0);
        child_equal(reopen(fd, O_RDWR), 0);
        child_equal(map_writable(fd), 0);
        child_equal(protect_writable(fd), 0);
        child_equal(remove_pages(fd), 0);
        child_equal(reopen(fd, O_RDWR | O_TRUNC), 0);
        child_equal(fchmod(fd, 0666), 0);
        close(fd);
}

static void attack_readonly(int fd) {
        struct stat before, after;

        child_equal(fstat(fd, &before), 0);
        child_equal(before.st_uid, 0);
        child_equal(before.st_mode & 07777, 0600);
        child_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        child_check(fcntl(fd, F_GETFD) & FD_CLOEXEC);

        child_equal(reopen(fd, O_RDWR), -EACCES);
        child_equal(reopen(fd, O_WRONLY), -EACCES);
        child_equal(reopen(fd, O_RDWR | O_TRUNC), -EACCES);
        child_equal(reopen(fd, O_RDONLY | O_TRUNC), -EACCES);
        child_equal(map_writable(fd), -EACCES);
        child_equal(protect_writable(fd), -EACCES);
        child_equal(remove_pages(fd), -EACCES);
        child_equal(pwrite(fd, "x", 1, 0), -1);
        child_equal(errno, EBADF);
        child_equal(ftruncate(fd, 0), -1);
        child_equal(errno, EINVAL);
        child_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
        child_equal(errno, EBADF);
        child_equal(fchmod(fd, 0666), -1);
        child_equal(errno, EPERM);
        child_equal(fchown(fd, 61002, 61002), -1);
        child_equal(errno, EPERM);
        child_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        child_equal(errno, EPERM);
        /* A lock is allowed, and nobody's business: the broker locks no region. */
        child_equal(flock(fd, LOCK_EX | LOCK_NB), 0);

        child_equal(fstat(fd, &after), 0);
        child_equal(after.st_size, before.st_size);
        child_equal(after.st_mode, before.st_mode);
}

typedef struct Attack {
        char name[256];
        ShmbRole role;
        int n_readonly, n_writable; /* objects */
} Attack;

static void attack_in_child(void *data) {
        const Attack *attack = data;
        int n_readonly = 0, n_writable = 0;
        CallerLease lease;
        Caller caller;
        uint32_t i;

        attack_careless();
        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, attack->name, attack->role, &lease), 0);
        child_equal(caller_mapped(&caller, &lease, 0), 0);
        for (i = 0; i < lease.attached.n_objects; i++) {
                if (lease.attached.objects[i].writable) {
                        n_writable++;
                        continue;
                }
                attack_readonly(lease.fds[i]);
                n_readonly++;
        }
        child_equal(n_readonly, attack->n_readonly);
        child_equal(n_writable, attack->n_writable);
        child_equal(caller_detach(&caller, lease.attached.lease), 0);
        child_say("held");
}

/* control, lane and seat of a ring; control and data of a raw region */
static const struct {
        const char *name;
        ShmbRole role;
        int n_readonly, n_writable;
} attacks[] = {
        { "raw-posix", SHMB_ROLE_READ, 2, 0 },     { "raw-memfd", SHMB_ROLE_READ, 2, 0 },
        { "ring-posix", SHMB_ROLE_CONSUME, 2, 1 }, { "ring-memfd", SHMB_ROLE_CONSUME, 2, 1 },
        { "ring-posix", SHMB_ROLE_OBSERVE, 3, 0 }, { "ring-memfd", SHMB_ROLE_OBSERVE, 3, 0 },
};

static void test_readonly_descriptor_cannot_be_made_writable(void **state) {
        Attack attack;
        Child child;
        size_t i;

        broker_begin(&broker, yaml);
        for (i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
                print_message("%s\n", attacks[i].name);
                strcpy(attack.name, broker_name(&broker, attacks[i].name));
                attack.role = attacks[i].role;
                attack.n_readonly = attacks[i].n_readonly;
                attack.n_writable = attacks[i].n_writable;
                child_spawn(&child, &bob, attack_in_child, &attack);
                child_expect(&child, "held");
                child_finish(&child);
        }
        broker_end(&broker);
}

static void attack_owned_in_child(void *data) {
        static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_GROW };
        CallerLease lease;
        struct stat st;
        Caller caller;
        size_t i;
        int at;

        child_equal(caller_begin(&caller, broker.socket), 0);
        child_equal(caller_attach(&caller, data, SHMB_ROLE_PRODUCE, &lease), 0);
        at = caller_object(&lease, SHMB_OBJECT_LANE, 0);
        child_check(at >= 0 && lease.attached.objects[at].writable);
        child_equal(map_writable(lease.fds[at]), 0);
        /* newer kernels add F_SEAL_EXEC */
        child_equal(fcntl(lease.fds[at], F_GET_SEALS) &
                                    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE),
                    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        child_equal(ftruncate(lease.fds[at], 0), -1);
        child_equal(errno, EPERM);
        child_equal(ftruncate(lease.fds[at], 1 << 24), -1);
        child_equal(errno, EPERM);
        child_equal(reopen(lease.fds[at], O_RDWR), -EACCES);
        child_equal(reopen(lease.fds[at], O_RDWR | O_TRUNC), -EACCES);
        child_equal(fchmod(lease.fds[at], 0666), -1);
        child_equal(errno, EPERM);
        for (i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
                child_equal(fcntl(lease.fds[at], F_ADD_SEALS, seals[i]), -1);
                child_equal(errno, EPERM);
        }
        child_equal(fstat(lease.fds[at], &st), 0);
        child_equal(st.st_size, lease.attached.objects[at].size_bytes);
        child_say("held");
}

static void test_sealed_object_cannot_be_resized_by_its_own_writer(void **state) {
        Child child;

        broker_begin(&broker, yaml);
        child_spawn(&child, &alice, attack_owned_in_child,
                    (void *)broker_name(&broker, "ring-memfd"));
        child_expect(&child, "held");
        child_finish(&child);
        broker_end(&broker);
}

static void attack_names_in_child(void *data) {
        BrokerName names[BROKER_NAMES_MAX];
        char path[300], other[300];
        size_t i, n;

        n = broker_shm(&broker, names);
        child_check(n >= 5);
        for (i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "/dev/shm/%.255s", names[i].name);
                snprintf(other, sizeof(other), "/dev/shm/stolen-%.200s", names[i].name);
                child_check(open(path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
                child_check(open(path, O_RDWR | O_CLOEXEC) < 0 && errno == EACCES);
                child_check(truncate(path, 0) < 0 && errno == EACCES);
                child_check(chmod(path, 0666) < 0 && errno == EPERM);
                child_check(unlink(path) < 0 && (errno == EPERM || errno == EACCES));
                child_check(rename(path, other) < 0 && (errno == EPERM || errno == EACCES));
        }
        child_say("held");
}

/* Every name is an inode of the broker that nobody else can open, whatever his rules say. */
static void test_names_in_shm_are_of_no_use_to_anybody_else(void **state) {
        BrokerName names[BROKER_NAMES_MAX];
        Child child;
        size_t i, n;

        broker_begin(&broker, yaml);
        n = broker_shm(&broker, names);
        assert_int_equal(n, 5);
        for (i = 0; i < n; i++) {
                assert_true(S_ISREG(names[i].mode));
                assert_int_equal(names[i].mode & 07777, 0600);
                assert_int_equal(names[i].uid, 0);
                assert_memory_equal(names[i].name, "shmb.", 5);
        }
        child_spawn(&child, &alice, attack_names_in_child, NULL);
        child_expect(&child, "held");
        child_finish(&child);
        assert_int_equal(broker_n_shm(&broker), n);
        broker_end(&broker);
}

/* Grants do not share a file description: what one client does to its flags and offset stays its
 * own. */
static void test_grants_are_opened_anew_for_each_client(void **state) {
        CallerLease first, second;
        Caller a, b;
        struct stat st[2];

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&a, broker.socket), 0);
        assert_int_equal(caller_begin(&b, broker.socket), 0);
        assert_int_equal(caller_attach(&a, broker_name(&broker, "raw-memfd"), SHMB_ROLE_READ,
                                       &first),
                         0);
        assert_int_equal(caller_attach(&b, broker_name(&broker, "raw-memfd"), SHMB_ROLE_READ,
                                       &second),
                         0);
        assert_int_equal(fstat(first.fds[0], &st[0]), 0);
        assert_int_equal(fstat(second.fds[0], &st[1]), 0);
        assert_true(st[0].st_ino == st[1].st_ino);
        assert_int_equal(lseek(first.fds[0], 100, SEEK_SET), 100);
        assert_int_equal(fcntl(first.fds[0], F_SETFL, O_APPEND), 0);
        assert_int_equal(flock(first.fds[0], LOCK_EX | LOCK_NB), 0);
        assert_int_equal(lseek(second.fds[0], 0, SEEK_CUR), 0);
        assert_int_equal(fcntl(second.fds[0], F_GETFL) & O_APPEND, 0);
        assert_int_equal(flock(second.fds[0], LOCK_SH | LOCK_NB), -1);
        caller_lease_close(&first);
        caller_lease_close(&second);
        caller_close(&a);
        caller_close(&b);
        broker_end(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_readonly_descriptor_cannot_be_made_writable),
                TEST(test_sealed_object_cannot_be_resized_by_its_own_writer),
                TEST(test_names_in_shm_are_of_no_use_to_anybody_else),
                TEST(test_grants_are_opened_anew_for_each_client),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
