/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Record: what was appended is read back, whoever killed the writer and wherever; a failure leaves
 * the record as it was; what is not ours or not understood is not touched.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/record.h"
#include "tests/harness/fault.h"
#include "tests/harness/fork.h"
#include "tests/harness/scratch.h"

typedef struct Fixture {
        char path[SCRATCH_PATH_MAX];
        int dir_fd;
        Record record;
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
} Fixture;

/* How many bytes pwrite() takes before it fails; SIZE_MAX all. */
static size_t n_room = SIZE_MAX;

FAULT_CALL(int, openat64, (int dir, const char *path, int flags, mode_t mode),
           (dir, path, flags, mode))
FAULT_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
FAULT_CALL(int, renameat, (int dir, const char *path, int dir_new, const char *path_new),
           (dir, path, dir_new, path_new))
FAULT_CALL(int, ftruncate64, (int fd, off_t size), (fd, size))
FAULT_CALL(int, fstat64, (int fd, struct stat *st), (fd, st))
FAULT_MEMORY(malloc, (size_t n), (n))
FAULT_MEMORY(reallocarray, (void *memory, size_t n, size_t size), (memory, n, size))
FAULT_CALL(ssize_t, read, (int fd, void *buffer, size_t n), (fd, buffer, n))

ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset) {
        if (fault_step("pwrite"))
                return -1;
        if (n_room == SIZE_MAX)
                return __real_pwrite64(fd, bytes, n, offset);
        if (n_room == 0) {
                errno = ENOSPC;
                return -1;
        }
        /* As a file system that fills up: first a part, then an error. */
        n = n < n_room ? n : n_room;
        n_room -= n;
        return __real_pwrite64(fd, bytes, n, offset);
}

static RecordEntry lease(uint64_t number) {
        return (RecordEntry){
                .type = RECORD_LEASE,
                .lease = { .lease = number, .tag = 1, .role = SHMB_ROLE_READ, .uid = 1000,
                           .command = "command", .unit = "" },
        };
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || scratch_make(fixture->path) < 0 || record_boot_id(fixture->boot_id) < 0)
                return -1;
        fixture->record = (Record)RECORD_NULL(fixture->record);
        fixture->dir_fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = fixture;
        return fixture->dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        n_room = SIZE_MAX;
        record_close(&fixture->record);
        record_close(&fixture->record);
        close(fixture->dir_fd);
        scratch_remove(fixture->path);
        free(fixture);
        return 0;
}

static int begin(Fixture *fixture, uint64_t n_leases) {
        RecordEntry entries[256];
        uint64_t i;

        for (i = 0; i < n_leases; i++)
                entries[i] = lease(i + 1);
        return record_open(&fixture->record, fixture->dir_fd, fixture->boot_id, entries, n_leases);
}

static int append(Fixture *fixture, uint64_t number) {
        RecordEntry entry = lease(number);

        return record_append(&fixture->record, &entry, 1);
}

/* That leases 1 .. @n are there and nothing else. */
static void expect(Fixture *fixture, uint64_t n, bool torn) {
        RecordContent content = {};
        uint64_t i;

        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content), 0);
        assert_int_equal(content.n_entries, n);
        for (i = 0; i < n; i++) {
                assert_int_equal(content.entries[i].type, RECORD_LEASE);
                assert_int_equal(content.entries[i].lease.lease, i + 1);
                assert_string_equal(content.entries[i].lease.command, "command");
        }
        assert_int_equal(content.torn, torn);
        assert_false(content.other_boot);
        record_content_deinit(&content);
        record_content_deinit(&content);
}

static void test_nothing_is_an_empty_record(void **state) {
        Fixture *fixture = *state;

        expect(fixture, 0, false);
        assert_int_equal(scratch_count(fixture->path), 0);
        assert_int_equal(begin(fixture, 0), 0);
        expect(fixture, 0, false);
}

static void expect_damage(Fixture *fixture, uint64_t at) {
        RecordContent content = {};

        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                         RECORD_E_CORRUPT);
        assert_int_equal(content.fault_at, at);
        record_content_deinit(&content);
}

/* A broker that is killed leaves whole what it had finished. */
static void test_record_that_was_cut_anywhere_is_damaged(void **state) {
        Fixture *fixture = *state;
        uint64_t ends[5] = { 0, RECORD_FILE_HEADER_SIZE }, size;
        size_t i = 4;

        assert_int_equal(begin(fixture, 1), 0);
        ends[2] = fixture->record.size_bytes;
        assert_int_equal(append(fixture, 2), 0);
        ends[3] = fixture->record.size_bytes;
        assert_int_equal(append(fixture, 3), 0);
        ends[4] = fixture->record.size_bytes;
        for (size = ends[4]; size-- > 0;) {
                i -= size < ends[i];
                assert_int_equal(ftruncate(fixture->record.fd, (off_t)size), 0);
                expect_damage(fixture, ends[i]);
        }
}

static void test_what_was_appended_is_read_back_in_order(void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[100];
        struct stat st;
        uint64_t i;

        assert_int_equal(begin(fixture, 2), 0);
        assert_int_equal(append(fixture, 3), 0);
        for (i = 0; i < 100; i++)
                entries[i] = lease(4 + i);
        assert_int_equal(record_append(&fixture->record, entries, 100), 0);
        expect(fixture, 103, false);
        assert_int_equal(fstatat(fixture->dir_fd, RECORD_NAME, &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_size, fixture->record.size_bytes);
        assert_int_equal(scratch_count(fixture->path), 1);
}

static void test_new_record_takes_the_place_of_the_old_one(void **state) {
        Fixture *fixture = *state;
        int fd;

        assert_int_equal(begin(fixture, 5), 0);
        record_close(&fixture->record);
        /* What a killed broker left of its own attempt. */
        fd = openat(fixture->dir_fd, "record.new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        close(fd);
        assert_int_equal(begin(fixture, 3), 0);
        expect(fixture, 3, false);
        assert_int_equal(scratch_count(fixture->path), 1);
}

static void test_record_that_grew_wants_compaction_and_goes_on_behind_it(void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[2] = { lease(1), lease(2) };
        int i;

        assert_int_equal(begin(fixture, 2), 0);
        assert_false(record_wants_compaction(&fixture->record));
        for (i = 0; !record_wants_compaction(&fixture->record); i++)
                assert_int_equal(append(fixture, 1000), 0);
        assert_true(i > 100 && i < 10000);
        assert_int_equal(record_compact(&fixture->record, entries, 2), 0);
        assert_false(record_wants_compaction(&fixture->record));
        assert_int_equal(append(fixture, 3), 0);
        expect(fixture, 3, false);
}

/* The first one is begun with the caller's boot id, the next ones with the record's own. */
static void test_record_is_of_this_boot_however_often_it_was_compacted(void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[2] = { lease(1), lease(2) };
        int i;

        assert_int_equal(begin(fixture, 2), 0);
        for (i = 0; i < 3; i++) {
                assert_int_equal(record_compact(&fixture->record, entries, 2), 0);
                expect(fixture, 2, false);
        }
}

/* Killed in the middle of an append: the header does not tell of it yet. */
static void test_torn_end_is_told_and_what_was_before_is_there(void **state) {
        uint8_t header[RECORD_FILE_HEADER_SIZE];
        Fixture *fixture = *state;
        uint64_t size, whole;
        int fd;

        assert_int_equal(begin(fixture, 2), 0);
        whole = fixture->record.size_bytes;
        fd = openat(fixture->dir_fd, RECORD_NAME, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
        close(fd);
        assert_int_equal(append(fixture, 3), 0);
        assert_int_equal(pwrite(fixture->record.fd, header, sizeof(header), 0), sizeof(header));
        expect(fixture, 3, false);
        for (size = fixture->record.size_bytes - 1; size > whole; size--) {
                assert_int_equal(ftruncate(fixture->record.fd, (off_t)size), 0);
                expect(fixture, 2, true);
        }
        assert_int_equal(ftruncate(fixture->record.fd, (off_t)whole), 0);
        expect(fixture, 2, false);
}

static void test_damage_is_told_with_its_offset_and_nothing_is_touched(void **state) {
        Fixture *fixture = *state;
        RecordContent content = {};
        uint64_t second;
        uint8_t byte = 0xff;
        struct stat st;
        int fd;

        assert_int_equal(begin(fixture, 1), 0);
        second = fixture->record.size_bytes;
        assert_int_equal(append(fixture, 2), 0);
        assert_int_equal(append(fixture, 3), 0);
        fd = openat(fixture->dir_fd, RECORD_NAME, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)second + 20), 1);
        close(fd);

        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                         RECORD_E_CORRUPT);
        assert_int_equal(content.fault_at, second);
        assert_int_equal(content.n_entries, 1);
        record_content_deinit(&content);
        assert_int_equal(fstatat(fixture->dir_fd, RECORD_NAME, &st, 0), 0);
        assert_int_equal(st.st_size, fixture->record.size_bytes);
}

static void test_record_of_another_boot_is_no_record(void **state) {
        Fixture *fixture = *state;
        RecordContent content = {};
        uint8_t other[RECORD_BOOT_ID_SIZE] = { 1 };

        assert_int_equal(begin(fixture, 3), 0);
        assert_int_equal(record_read(fixture->dir_fd, other, &content), 0);
        assert_true(content.other_boot);
        assert_int_equal(content.n_entries, 0);
        record_content_deinit(&content);
}

static void test_record_that_others_could_write_is_refused(void **state) {
        Fixture *fixture = *state;
        RecordContent content = {};

        assert_int_equal(begin(fixture, 1), 0);
        assert_int_equal(fchmodat(fixture->dir_fd, RECORD_NAME, 0660, 0), 0);
        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                         RECORD_E_UNSAFE);
        assert_int_equal(fchmodat(fixture->dir_fd, RECORD_NAME, 0600, 0), 0);
        if (fork_can_become()) {
                assert_int_equal(fchownat(fixture->dir_fd, RECORD_NAME, FORK_OTHER_UID, 0, 0), 0);
                assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                                 RECORD_E_UNSAFE);
        }
        assert_int_equal(unlinkat(fixture->dir_fd, RECORD_NAME, 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", fixture->dir_fd, RECORD_NAME), 0);
        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                         RECORD_E_UNSAFE);
        assert_int_equal(unlinkat(fixture->dir_fd, RECORD_NAME, 0), 0);
        assert_int_equal(mkfifoat(fixture->dir_fd, RECORD_NAME, 0600), 0);
        assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content),
                         RECORD_E_UNSAFE);
        assert_null(content.bytes);
}

static void test_append_into_a_full_file_system_is_undone(void **state) {
        Fixture *fixture = *state;
        uint64_t size, n_entry;
        size_t room;

        assert_int_equal(begin(fixture, 1), 0);
        size = fixture->record.size_bytes;
        assert_int_equal(append(fixture, 2), 0);
        n_entry = fixture->record.size_bytes - size;
        for (room = 0; room <= n_entry; room++) {
                n_room = room;
                assert_int_equal(append(fixture, 3), -ENOSPC);
                expect(fixture, 2, false);
        }
        n_room = SIZE_MAX;
        assert_int_equal(append(fixture, 3), 0);
        expect(fixture, 3, false);
}

static void test_half_entry_that_cannot_be_cut_off_ends_the_record_until_it_is_rewritten(
                void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[2] = { lease(1), lease(2) };

        assert_int_equal(begin(fixture, 1), 0);
        n_room = 10;
        fault_arm(3, EIO); /* pwrite, pwrite, ftruncate */
        assert_int_equal(append(fixture, 2), -ENOSPC);
        assert_true(fault_disarm());
        n_room = SIZE_MAX;
        assert_int_equal(append(fixture, 2), -EIO);
        expect(fixture, 1, true);

        assert_true(record_wants_compaction(&fixture->record));
        assert_int_equal(record_compact(&fixture->record, entries, 2), 0);
        assert_int_equal(append(fixture, 3), 0);
        expect(fixture, 3, false);
}

static void test_compaction_that_fails_anywhere_goes_on_as_before(void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[2] = { lease(1), lease(2) };
        size_t n_fds;
        unsigned nth;
        int r;

        assert_int_equal(begin(fixture, 3), 0);
        n_fds = scratch_count_fds();
        for (nth = 1; nth < 10; nth++) {
                fault_arm(nth, ENOSPC);
                r = record_compact(&fixture->record, entries, 2);
                if (!fault_disarm())
                        break;
                assert_int_equal(r, -ENOSPC);
                assert_int_equal(scratch_count_fds(), n_fds);
                assert_int_equal(scratch_count(fixture->path), 1);
                expect(fixture, 3, false);
        }
        assert_int_equal(r, 0);
        assert_int_equal(nth, 6);
        assert_int_equal(scratch_count_fds(), n_fds);
        expect(fixture, 2, false);
}

static void test_reading_that_fails_anywhere_leaves_nothing(void **state) {
        Fixture *fixture = *state;
        RecordContent content = {};
        size_t n_fds = scratch_count_fds() + 1;
        unsigned nth;
        int r;

        /* More entries than there is room for at first. */
        assert_int_equal(begin(fixture, 100), 0);
        for (nth = 1; nth < 10; nth++) {
                fault_arm(nth, EIO);
                r = record_read(fixture->dir_fd, fixture->boot_id, &content);
                if (!fault_disarm())
                        break;
                assert_true(r == -EIO || r == -ENOMEM);
                assert_null(content.bytes);
                assert_int_equal(scratch_count_fds(), n_fds);
        }
        assert_int_equal(r, 0);
        assert_int_equal(nth, 7);
        record_content_deinit(&content);
}

typedef struct Killing {
        Fixture *fixture;
        unsigned nth;
} Killing;

static int compact_until_killed(void *userdata) {
        Killing *killing = userdata;
        RecordEntry entries[2] = { lease(1), lease(2) };

        fault_arm(killing->nth, FAULT_KILL);
        return record_compact(&killing->fixture->record, entries, 2) == 0 ? 0 : 1;
}

static void test_killed_before_any_call_of_a_compaction_it_is_the_old_or_the_new_record(
                void **state) {
        Killing killing = { .fixture = *state };
        int r;

        for (killing.nth = 1; killing.nth < 20; killing.nth++) {
                record_close(&killing.fixture->record);
                assert_int_equal(begin(killing.fixture, 3), 0);
                r = fork_run(compact_until_killed, &killing);
                if (r == 0)
                        break;
                assert_int_equal(r, 128 + SIGKILL);
                expect(killing.fixture, 3, false);
        }
        assert_int_equal(killing.nth, 6);
        expect(killing.fixture, 2, false);
}

/* Appends and rewrites until it is killed. */
static int write_for_ever(void *userdata) {
        Fixture *fixture = userdata;
        RecordEntry entries[256];
        uint64_t i, n = 0;

        for (i = 0; i < 256; i++)
                entries[i] = lease(i + 1);
        for (;;) {
                if (record_append(&fixture->record, &entries[n], 1) < 0)
                        return 1;
                n++;
                if (n == 256) {
                        n = 1;
                        if (record_compact(&fixture->record, entries, n) < 0)
                                return 2;
                }
        }
}

static void test_killed_at_any_time_it_is_a_record(void **state) {
        enum { N_KILLS = 200 };
        Fixture *fixture = *state;
        RecordContent content = {};
        struct timespec pause = {};
        unsigned i;
        uint64_t j;
        pid_t pid;

        for (i = 0; i < N_KILLS; i++) {
                assert_int_equal(begin(fixture, 0), 0);
                pid = fork_start(write_for_ever, fixture);
                assert_true(pid > 0);
                /* Not a wait for something: the moment is what is tried. */
                pause.tv_nsec = (long)(i * 7919 % 1500) * 1000;
                nanosleep(&pause, NULL);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(fork_wait(pid), 128 + SIGKILL);
                record_close(&fixture->record);

                assert_int_equal(record_read(fixture->dir_fd, fixture->boot_id, &content), 0);
                for (j = 0; j < content.n_entries; j++)
                        assert_int_equal(content.entries[j].lease.lease, j + 1);
                record_content_deinit(&content);
        }
}

static void test_boot_id_is_that_of_the_kernel(void **state) {
        uint8_t first[RECORD_BOOT_ID_SIZE] = {}, second[RECORD_BOOT_ID_SIZE] = {};
        char text[64] = "", expected[33] = "", *at = expected;
        FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
        size_t i;

        assert_non_null(file);
        assert_non_null(fgets(text, sizeof(text), file));
        fclose(file);
        assert_int_equal(record_boot_id(first), 0);
        assert_int_equal(record_boot_id(second), 0);
        assert_memory_equal(first, second, sizeof(first));
        for (i = 0; i < sizeof(first); i++)
                at += sprintf(at, "%02x", first[i]);
        at = expected;
        for (i = 0; text[i] && text[i] != '\n'; i++)
                if (text[i] != '-')
                        assert_int_equal(text[i], *at++);
        assert_int_equal(*at, '\0');
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_nothing_is_an_empty_record),
                TEST(test_what_was_appended_is_read_back_in_order),
                TEST(test_new_record_takes_the_place_of_the_old_one),
                TEST(test_record_that_grew_wants_compaction_and_goes_on_behind_it),
                TEST(test_record_is_of_this_boot_however_often_it_was_compacted),
                TEST(test_record_that_was_cut_anywhere_is_damaged),
                TEST(test_torn_end_is_told_and_what_was_before_is_there),
                TEST(test_damage_is_told_with_its_offset_and_nothing_is_touched),
                TEST(test_record_of_another_boot_is_no_record),
                TEST(test_record_that_others_could_write_is_refused),
                TEST(test_append_into_a_full_file_system_is_undone),
                TEST(test_half_entry_that_cannot_be_cut_off_ends_the_record_until_it_is_rewritten),
                TEST(test_compaction_that_fails_anywhere_goes_on_as_before),
                TEST(test_reading_that_fails_anywhere_leaves_nothing),
                TEST(test_killed_before_any_call_of_a_compaction_it_is_the_old_or_the_new_record),
                TEST(test_killed_at_any_time_it_is_a_record),
                cmocka_unit_test(test_boot_id_is_that_of_the_kernel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
