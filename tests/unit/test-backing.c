/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backings: made whole or not at all, identified before use, opened anew for each grant. Every
 * test has a directory of its own in the tmpfs of shared memory. What needs another uid or a mount
 * namespace is skipped without root.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/backing.h"
#include "tests/harness/scratch.h"

enum {
        SIZE = 64 * 1024,
        OTHER_UID = 54321,
};

#define NAME "shmb.test@0123456789abcdef.data"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        BackingDir dir;
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 ||
            backing_dir_open(fixture->path, &fixture->dir) != 0)
                return -1;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        backing_dir_close(&fixture->dir);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static BackingParams params_of(ShmbBacking backing) {
        return (BackingParams){
                .backing = backing,
                .name = NAME,
                .size_bytes = SIZE,
                .header = "header",
                .n_header = 6,
        };
}

static BackingObject make(Fixture *fixture, ShmbBacking backing) {
        BackingParams params = params_of(backing);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingObject object = BACKING_OBJECT_NULL(object);
        BackingFault fault = {};

        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
        assert_int_equal(backing_publish(&fixture->dir, &draft, &object, &fault), 0);
        assert_int_equal(draft.fd, -1);
        return object;
}

static void drop(Fixture *fixture, BackingObject *object) {
        BackingFault fault = {};

        assert_int_equal(backing_unlink(&fixture->dir, object, &fault), 0);
        assert_int_equal(object->fd, -1);
}

static void test_directory_must_be_on_a_tmpfs(void **state) {
        BackingDir dir = BACKING_DIR_NULL(dir);

        assert_int_equal(backing_dir_open("/proc", &dir), BACKING_E_NOT_TMPFS);
        assert_int_equal(backing_dir_open("/dev/null", &dir), -ENOTDIR);
        assert_int_equal(backing_dir_open("/nowhere", &dir), -ENOENT);
        assert_int_equal(dir.fd, -1);
}

static void test_directory_check_sees_that_another_one_took_its_place(void **state) {
        Fixture *fixture = *state;
        char aside[80];

        assert_int_equal(backing_dir_check(&fixture->dir), 0);

        snprintf(aside, sizeof(aside), "%s.aside", fixture->path);
        assert_int_equal(rename(fixture->path, aside), 0);
        assert_int_equal(backing_dir_check(&fixture->dir), BACKING_E_REMOUNTED);
        assert_int_equal(mkdir(fixture->path, 0700), 0);
        assert_int_equal(backing_dir_check(&fixture->dir), BACKING_E_REMOUNTED);

        assert_int_equal(rmdir(fixture->path), 0);
        assert_int_equal(rename(aside, fixture->path), 0);
        assert_int_equal(backing_dir_check(&fixture->dir), 0);
}

static void test_draft_has_no_name_until_it_is_published(void **state) {
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingObject object = BACKING_OBJECT_NULL(object);
        BackingFault fault = {};

        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
        assert_int_equal(scratch_count(fixture->path), 0);
        backing_discard(&draft);
        backing_discard(&draft);
        assert_int_equal(scratch_count(fixture->path), 0);

        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
        assert_int_equal(backing_publish(&fixture->dir, &draft, &object, &fault), 0);
        assert_int_equal(scratch_count(fixture->path), 1);
        drop(fixture, &object);
        assert_int_equal(scratch_count(fixture->path), 0);
}

static void check_object_is_whole(Fixture *fixture, ShmbBacking backing) {
        mode_t umask_before = umask(0);
        BackingObject object = make(fixture, backing);
        BackingFault fault = {};
        char header[8] = {};
        struct stat st;
        int fd = -1;

        umask(umask_before);
        assert_int_equal(backing_open(&fixture->dir, &object, false, &fd, &fault), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_size, SIZE);
        assert_int_equal(st.st_ino, object.ino);
        assert_int_equal(st.st_dev, object.dev);
        /* Every page is there: 512-byte blocks. */
        assert_true(st.st_blocks * 512 >= SIZE);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);

        assert_int_equal(backing_read(fd, 0, header, 7), 0);
        assert_memory_equal(header, "header\0", 7);
        assert_int_equal(backing_read(fd, SIZE - 1, header, 1), 0);
        assert_int_equal(backing_read(fd, SIZE - 1, header, 2), BACKING_E_TRUNCATED);
        assert_int_equal(backing_read(-1, 0, header, 1), -EBADF);

        close(fd);
        drop(fixture, &object);
}

static void test_posix_object_is_whole_and_owned_by_the_broker(void **state) {
        check_object_is_whole(*state, SHMB_BACKING_POSIX);
}

static void test_memfd_object_is_whole_and_owned_by_the_broker(void **state) {
        check_object_is_whole(*state, SHMB_BACKING_MEMFD);
}

static void check_grants(Fixture *fixture, ShmbBacking backing) {
        BackingObject object = make(fixture, backing);
        BackingFault fault = {};
        int first = -1, second = -1, writable = -1;
        void *memory;

        assert_int_equal(backing_open(&fixture->dir, &object, false, &first, &fault), 0);
        assert_int_equal(backing_open(&fixture->dir, &object, false, &second, &fault), 0);
        assert_int_equal(backing_open(&fixture->dir, &object, true, &writable, &fault), 0);

        /* A description each: what one does to it, the other does not see. */
        assert_int_equal(lseek(first, 100, SEEK_SET), 100);
        assert_int_equal(lseek(second, 0, SEEK_CUR), 0);

        assert_ptr_equal(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, first, 0),
                         MAP_FAILED);
        memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, writable, 0);
        assert_ptr_not_equal(memory, MAP_FAILED);

        munmap(memory, SIZE);
        close(first);
        close(second);
        close(writable);
        drop(fixture, &object);
}

static void test_posix_grants_are_descriptions_of_their_own(void **state) {
        check_grants(*state, SHMB_BACKING_POSIX);
}

static void test_memfd_grants_are_descriptions_of_their_own(void **state) {
        check_grants(*state, SHMB_BACKING_MEMFD);
}

static void test_memfd_is_sealed_and_kept_for_reading_only(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_MEMFD);
        BackingFault fault = {};
        int fd = -1;

        assert_int_equal(fcntl(object.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(backing_open(&fixture->dir, &object, true, &fd, &fault), 0);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 2 * SIZE), -1);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);

        close(fd);
        drop(fixture, &object);
}

static void test_squatted_name_is_refused_and_says_who(void **state) {
        static const mode_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO };
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingObject object = BACKING_OBJECT_NULL(object);
        BackingFault fault = {};
        char clause[128];
        size_t i;

        for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
                if (types[i] == S_IFDIR)
                        assert_int_equal(mkdirat(fixture->dir.fd, NAME, 0700), 0);
                else if (types[i] == S_IFLNK)
                        assert_int_equal(symlinkat("/nowhere", fixture->dir.fd, NAME), 0);
                else
                        assert_int_equal(mknodat(fixture->dir.fd, NAME, types[i] | 0600, 0), 0);
                if (geteuid() == 0)
                        assert_int_equal(fchownat(fixture->dir.fd, NAME, OTHER_UID, 0,
                                                  AT_SYMLINK_NOFOLLOW), 0);

                assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), 0);
                assert_int_equal(backing_publish(&fixture->dir, &draft, &object, &fault),
                                 BACKING_E_SQUATTED);
                assert_int_equal(fault.type, types[i]);
                assert_int_equal(fault.uid, geteuid() == 0 ? OTHER_UID : geteuid());
                backing_format_fault(BACKING_E_SQUATTED, &fault, clause, sizeof(clause));
                assert_non_null(strstr(clause, " of uid "));
                /* The draft is still whole: it can be published under another name. */
                assert_true(draft.fd >= 0);
                assert_int_equal(object.ino, 0);
                backing_discard(&draft);
                assert_int_equal(unlinkat(fixture->dir.fd, NAME,
                                          types[i] == S_IFDIR ? AT_REMOVEDIR : 0), 0);
        }
}

/* Something else under the name of a live object, which goes on without it. */
static void replace(Fixture *fixture, mode_t type) {
        assert_int_equal(unlinkat(fixture->dir.fd, NAME, 0), 0);
        if (type == S_IFLNK)
                assert_int_equal(symlinkat("/etc/passwd", fixture->dir.fd, NAME), 0);
        else
                assert_int_equal(mknodat(fixture->dir.fd, NAME, type | 0600, 0), 0);
}

static void test_foreign_inode_is_neither_opened_nor_unlinked(void **state) {
        static const mode_t types[] = { S_IFREG, S_IFLNK, S_IFIFO };
        Fixture *fixture = *state;
        BackingFault fault = {};
        size_t i;
        int fd = -1;

        for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
                BackingObject object = make(fixture, SHMB_BACKING_POSIX);

                replace(fixture, types[i]);
                assert_int_equal(backing_open(&fixture->dir, &object, false, &fd, &fault),
                                 BACKING_E_FOREIGN);
                assert_int_equal(fault.type, types[i]);
                assert_int_equal(backing_open(&fixture->dir, &object, true, &fd, &fault),
                                 BACKING_E_FOREIGN);
                assert_int_equal(backing_check(&fixture->dir, &object, &fault),
                                 BACKING_E_FOREIGN);
                assert_int_equal(backing_unlink(&fixture->dir, &object, &fault),
                                 BACKING_E_FOREIGN);
                assert_int_equal(fd, -1);
                assert_int_equal(scratch_count(fixture->path), 1);
                assert_int_equal(unlinkat(fixture->dir.fd, NAME, 0), 0);
        }
}

static void test_removed_name_is_gone(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_POSIX);
        BackingFault fault = {};
        int fd = -1;

        assert_int_equal(unlinkat(fixture->dir.fd, NAME, 0), 0);
        assert_int_equal(backing_check(&fixture->dir, &object, &fault), BACKING_E_GONE);
        assert_int_equal(backing_open(&fixture->dir, &object, true, &fd, &fault), BACKING_E_GONE);
        assert_int_equal(backing_unlink(&fixture->dir, &object, &fault), BACKING_E_GONE);
        assert_int_equal(fd, -1);
}

static void test_truncated_object_is_told_but_still_ours_to_unlink(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_POSIX);
        BackingFault fault = {};
        int fd = -1;

        assert_int_equal(backing_open(&fixture->dir, &object, true, &fd, &fault), 0);
        assert_int_equal(ftruncate(fd, 4096), 0);
        close(fd);
        fd = -1;

        assert_int_equal(backing_open(&fixture->dir, &object, false, &fd, &fault),
                         BACKING_E_TRUNCATED);
        assert_int_equal(fault.available_bytes, 4096);
        assert_int_equal(fault.wanted_bytes, SIZE);
        assert_int_equal(fd, -1);
        drop(fixture, &object);
}

static void test_object_that_others_could_open_is_not_granted(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_POSIX);
        BackingFault fault = {};
        int fd = -1;

        assert_int_equal(fchmodat(fixture->dir.fd, NAME, 0666, 0), 0);
        assert_int_equal(backing_open(&fixture->dir, &object, false, &fd, &fault),
                         BACKING_E_FOREIGN);
        assert_int_equal(fd, -1);
        drop(fixture, &object);
}

static void test_hard_link_of_somebody_takes_nothing_away(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_POSIX);
        BackingFault fault = {};

        assert_int_equal(linkat(fixture->dir.fd, NAME, fixture->dir.fd, "link", 0), 0);
        assert_int_equal(backing_check(&fixture->dir, &object, &fault), 0);
        drop(fixture, &object);
        assert_int_equal(scratch_count(fixture->path), 1);
}

static void test_stored_memfd_is_adopted_only_if_it_is_the_very_one(void **state) {
        Fixture *fixture = *state;
        BackingObject object = make(fixture, SHMB_BACKING_MEMFD), other, wanted;
        BackingFault fault = {};
        int writable = -1, plain;

        wanted = object;
        wanted.fd = -1;
        other = make(fixture, SHMB_BACKING_MEMFD);
        assert_int_equal(backing_adopt_consume_fd(&wanted, other.fd, &fault), BACKING_E_FOREIGN);

        /* The right inode, but the proof that nobody writes would never succeed. */
        assert_int_equal(backing_open(&fixture->dir, &object, true, &writable, &fault), 0);
        assert_int_equal(backing_adopt_consume_fd(&wanted, writable, &fault), BACKING_E_FOREIGN);
        close(writable);

        wanted.size_bytes = 2 * SIZE;
        assert_int_equal(backing_adopt_consume_fd(&wanted, object.fd, &fault),
                         BACKING_E_TRUNCATED);
        wanted.size_bytes = SIZE;

        plain = memfd_create("plain", MFD_CLOEXEC);
        assert_int_equal(backing_adopt_consume_fd(&wanted, plain, &fault), BACKING_E_FOREIGN);
        close(plain);
        assert_int_equal(wanted.fd, -1);

        assert_int_equal(backing_adopt_consume_fd(&wanted, object.fd, &fault), 0);
        assert_int_equal(wanted.fd, object.fd);
        drop(fixture, &wanted);
        drop(fixture, &other);
}

static void test_params_out_of_bounds_are_refused(void **state) {
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_SYSV);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};

        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), -EINVAL);
        params = params_of(SHMB_BACKING_POSIX);
        params.size_bytes = 0;
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), -EINVAL);
        params.size_bytes = 5;
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), -EINVAL);
        params.size_bytes = UINT64_MAX;
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault), -EINVAL);
        assert_int_equal(draft.fd, -1);
}

static void test_more_than_memory_holds_is_refused_before_it_is_begun(void **state) {
        Fixture *fixture = *state;
        BackingParams params = params_of(SHMB_BACKING_MEMFD);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};
        char clause[128];

        if (backing_room(&fixture->dir, SHMB_BACKING_MEMFD) == BACKING_UNKNOWN)
                skip();
        params.size_bytes = UINT64_C(1) << 46;
        assert_int_equal(backing_create(&fixture->dir, &params, &draft, &fault),
                         BACKING_E_NO_MEMORY);
        assert_int_equal(fault.wanted_bytes, UINT64_C(1) << 46);
        assert_true(fault.available_bytes < fault.wanted_bytes);
        backing_format_fault(BACKING_E_NO_MEMORY, &fault, clause, sizeof(clause));
        assert_non_null(strstr(clause, "70368744177664 bytes are needed and "));
        assert_int_equal(draft.fd, -1);
}

/* As a child: 0 done, 77 cannot have a mount namespace here. */
static int fill_tiny_tmpfs(void) {
        BackingDir dir = BACKING_DIR_NULL(dir);
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};
        int r;

        if (unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tiny", "/dev/shm", "tmpfs", 0, "size=1m,nr_inodes=2") < 0)
                return 77;
        if (backing_dir_open("/dev/shm", &dir) != 0)
                return 1;

        params.size_bytes = 2 << 20;
        r = backing_create(&dir, &params, &draft, &fault);
        if (r != BACKING_E_NO_MEMORY || fault.available_bytes != 1 << 20 || draft.fd != -1)
                return 2;
        /* All of it, to the last page, and nothing was left of the failed try. */
        params.size_bytes = 1 << 20;
        if (backing_create(&dir, &params, &draft, &fault) != 0)
                return 3;
        /* The root directory and the draft are its two inodes. */
        params.size_bytes = 4096;
        r = backing_create(&dir, &params, &draft, &fault);
        return r == BACKING_E_NO_MEMORY ? 0 : 4;
}

static int no_inodes_left(void) {
        BackingDir dir = BACKING_DIR_NULL(dir);
        BackingParams params = params_of(SHMB_BACKING_POSIX);
        BackingDraft draft = BACKING_DRAFT_NULL(draft);
        BackingFault fault = {};

        if (unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tiny", "/dev/shm", "tmpfs", 0, "size=1m,nr_inodes=2") < 0)
                return 77;
        if (backing_dir_open("/dev/shm", &dir) != 0 || mkdir("/dev/shm/taken", 0700) < 0)
                return 1;
        return backing_create(&dir, &params, &draft, &fault) == BACKING_E_NO_INODES ? 0 : 2;
}

static void run_child(int (*run)(void)) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(run());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_full_tmpfs_is_a_clean_error(void **state) {
        run_child(fill_tiny_tmpfs);
}

static void test_tmpfs_without_inodes_is_a_clean_error(void **state) {
        run_child(no_inodes_left);
}

static void check_other_uid_cannot_upgrade(Fixture *fixture, ShmbBacking backing) {
        BackingObject object = make(fixture, backing);
        BackingFault fault = {};
        char path[64];
        int fd = -1, status;
        pid_t pid;

        if (geteuid() != 0) {
                drop(fixture, &object);
                skip();
        }
        assert_int_equal(backing_open(&fixture->dir, &object, false, &fd, &fault), 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (setresuid(OTHER_UID, OTHER_UID, OTHER_UID) < 0)
                        _exit(1);
                if (open(path, O_RDWR) >= 0 || open(path, O_RDONLY | O_TRUNC) >= 0)
                        _exit(2);
                if (fchmod(fd, 0666) >= 0 || ftruncate(fd, 0) >= 0)
                        _exit(3);
                if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) >= 0)
                        _exit(4);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(fd);
        drop(fixture, &object);
}

static void test_posix_reader_of_another_uid_cannot_upgrade(void **state) {
        check_other_uid_cannot_upgrade(*state, SHMB_BACKING_POSIX);
}

static void test_memfd_reader_of_another_uid_cannot_upgrade(void **state) {
        check_other_uid_cannot_upgrade(*state, SHMB_BACKING_MEMFD);
}

static void test_every_fault_has_a_clause(void **state) {
        BackingFault fault = { .step = "fallocate", .available_bytes = BACKING_UNKNOWN };
        char clause[128], seen[16][128];
        int code, i;

        for (code = BACKING_E_NO_MEMORY; code <= BACKING_E_REMOUNTED; code++) {
                clause[0] = '\0';
                backing_format_fault(code, &fault, clause, sizeof(clause));
                assert_string_not_equal(clause, "");
                for (i = 1; i < code; i++)
                        assert_string_not_equal(clause, seen[i]);
                strcpy(seen[code], clause);
        }
        backing_format_fault(-EMFILE, &fault, clause, sizeof(clause));
        assert_string_equal(clause, "fallocate: Too many open files");
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_directory_must_be_on_a_tmpfs),
                TEST(test_directory_check_sees_that_another_one_took_its_place),
                TEST(test_draft_has_no_name_until_it_is_published),
                TEST(test_posix_object_is_whole_and_owned_by_the_broker),
                TEST(test_memfd_object_is_whole_and_owned_by_the_broker),
                TEST(test_posix_grants_are_descriptions_of_their_own),
                TEST(test_memfd_grants_are_descriptions_of_their_own),
                TEST(test_memfd_is_sealed_and_kept_for_reading_only),
                TEST(test_squatted_name_is_refused_and_says_who),
                TEST(test_foreign_inode_is_neither_opened_nor_unlinked),
                TEST(test_removed_name_is_gone),
                TEST(test_truncated_object_is_told_but_still_ours_to_unlink),
                TEST(test_object_that_others_could_open_is_not_granted),
                TEST(test_hard_link_of_somebody_takes_nothing_away),
                TEST(test_stored_memfd_is_adopted_only_if_it_is_the_very_one),
                TEST(test_params_out_of_bounds_are_refused),
                TEST(test_more_than_memory_holds_is_refused_before_it_is_begun),
                TEST(test_full_tmpfs_is_a_clean_error),
                TEST(test_tmpfs_without_inodes_is_a_clean_error),
                TEST(test_posix_reader_of_another_uid_cannot_upgrade),
                TEST(test_memfd_reader_of_another_uid_cannot_upgrade),
                cmocka_unit_test(test_every_fault_has_a_clause),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
