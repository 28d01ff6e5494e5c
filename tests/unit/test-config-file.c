/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files of the configuration: which must not be read, and what reading withstands.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"
#include "tests/unit/config-place.h"

static void test_errors_of_files_and_in_files_are_said_together(void **state) {
        Place *place = *state;
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;

        place_put_file(place, "etc/shmbrokerd.yaml", "version: 1\nregion: []\n");
        place_put_file(place, "etc/regions.d/a.yaml", "regions: []\n");
        place_set_mode(place, "etc/regions.d/a.yaml", 0666);
        place_put_link(place, "etc/regions.d/b.yaml", "a.yaml");
        place_put_file(place, "run/regions.d/c.yaml", "][\n");

        assert_int_equal(config_load(&place->paths, &set, &errors), DECL_E_INVALID);
        assert_int_equal(errors.n_errors, 4);
        decl_errors_deinit(&errors);
}

static void test_files_that_others_may_write_are_refused(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_set_mode(place, "etc/shmbrokerd.yaml", 0620);
        place_assert_refused(place,
                             "etc/shmbrokerd.yaml: the file can be written by others than its "
                             "owner (mode 0620); run chmod go-w on it");
        place_set_mode(place, "etc/shmbrokerd.yaml", 0602);
        place_assert_refused(place, "etc/shmbrokerd.yaml: the file can be written by anybody else");
        place_set_mode(place, "etc/shmbrokerd.yaml", 0644);
        decl_set_free(place_load_good(place));

        place_put_file(place, "run/regions.d/a.yaml", "regions: [{name: a}]\n");
        place_set_mode(place, "run/regions.d/a.yaml", 0666);
        place_assert_refused(place, "run/regions.d/a.yaml: the file can be written by");
}

static void test_folders_that_others_may_write_are_refused_unless_sticky(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_set_mode(place, "etc", 0777);
        place_assert_refused(place,
                             "etc/: the folder can be written by anybody else than its owner "
                             "(mode 0777)");
        place_set_mode(place, "etc", 01777);
        decl_set_free(place_load_good(place));
        place_set_mode(place, "etc", 0755);

        place_set_mode(place, "run/regions.d", 0775);
        place_assert_refused(place,
                             "run/regions.d: the folder can be written by others than its owner");
        place_set_mode(place, "run/regions.d", 0755);
        decl_set_free(place_load_good(place));
}

static void test_files_of_another_user_are_refused(void **state) {
        Place *place = *state;
        char *path = place_join(place, "etc/shmbrokerd.yaml");

        if (geteuid() != 0) {
                free(path);
                skip();
        }

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        assert_int_equal(chown(path, 1234, 0), 0);
        place_assert_refused(place,
                             "etc/shmbrokerd.yaml: the file belongs to uid 1234, who is neither "
                             "root nor uid 0 that reads it; change its owner");
        free(path);
}

static void test_links_are_refused(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/real.yaml", MAIN_TEXT);
        place_put_link(place, "etc/shmbrokerd.yaml", "real.yaml");
        place_assert_refused(place, "etc/shmbrokerd.yaml: is a symbolic link");
}

static void test_links_in_the_folder_of_drop_ins_are_refused(void **state) {
        Place *place = *state;

        place_put_link(place, "etc/regions.d/a.yaml", "/etc/passwd");
        place_assert_refused(place, "etc/regions.d/a.yaml: is a symbolic link");
}

static void test_what_is_no_regular_file_is_refused_at_once(void **state) {
        Place *place = *state;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char *path = place_join(place, "etc/shmbrokerd.yaml");
        int fd;

        /* a FIFO without a writer would hold open() for ever */
        assert_int_equal(mkfifo(path, 0600), 0);
        place_assert_refused(place, "etc/shmbrokerd.yaml: is no regular file");
        assert_int_equal(unlink(path), 0);

        assert_int_equal(mkdir(path, 0700), 0);
        place_assert_refused(place, "etc/shmbrokerd.yaml: is no regular file");
        assert_int_equal(rmdir(path), 0);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        place_assert_refused(place, "etc/shmbrokerd.yaml: is no regular file");
        close(fd);
        free(path);
}

static void test_a_file_in_the_way_of_a_folder_is_an_error(void **state) {
        Place *place = *state;
        char *folder = place_join(place, "lib/regions.d");

        assert_int_equal(rmdir(folder), 0);
        place_put_file(place, "lib/regions.d", "");
        place_assert_refused(place,
                             "lib/regions.d: cannot be opened: a part of its path is no folder");
        free(folder);
}

static void test_a_file_that_is_too_long_is_refused(void **state) {
        Place *place = *state;
        char *path = place_join(place, "etc/shmbrokerd.yaml");

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        assert_int_equal(truncate(path, (off_t)1 << 40), 0);
        place_assert_refused(place, "etc/shmbrokerd.yaml: the file is larger than 1M");
        free(path);
}

/* Reads as a slow disk under a busy operator would have it. */
static unsigned n_reads, n_changes;

static ssize_t read_with_signals(int fd, void *buffer, size_t n_bytes) {
        if (n_reads++ % 2 == 0) {
                errno = EINTR;
                return -1;
        }

        return read(fd, buffer, n_bytes > 3 ? 3 : n_bytes);
}

static ssize_t read_and_fail(int fd, void *buffer, size_t n_bytes) {
        errno = EIO;
        return -1;
}

/* The file is written to after the first bytes, as often as n_changes says. */
static ssize_t read_and_change(int fd, void *buffer, size_t n_bytes) {
        struct timespec times[2] = {{.tv_sec = n_changes}, {.tv_sec = n_changes}};

        if (n_changes > 0 && lseek(fd, 0, SEEK_CUR) == 0) {
                assert_int_equal(futimens(fd, times), 0);
                n_changes--;
        }

        return read(fd, buffer, n_bytes);
}

static void test_interrupted_and_short_reads_go_on(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        n_reads = 0;
        config_file_read = read_with_signals;
        set = place_load_good(place);
        assert_int_equal(set->n_decls, 1);
        assert_true(n_reads > 2 * strlen(MAIN_TEXT) / 3);
        decl_set_free(set);
}

static void test_a_file_that_cannot_be_read_is_said(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        config_file_read = read_and_fail;
        place_assert_refused(place, "etc/shmbrokerd.yaml: cannot be read: Input/output error");
}

static void test_a_file_that_changed_meanwhile_is_read_again(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        config_file_read = read_and_change;
        n_changes = 2;
        decl_set_free(place_load_good(place));
        assert_int_equal(n_changes, 0);

        n_changes = 3;
        place_assert_refused(place, "etc/shmbrokerd.yaml: changes while it is read");
}

#define TEST(_function)                                                                            \
        cmocka_unit_test_setup_teardown(_function, place_setup, place_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_errors_of_files_and_in_files_are_said_together),
                TEST(test_files_that_others_may_write_are_refused),
                TEST(test_folders_that_others_may_write_are_refused_unless_sticky),
                TEST(test_files_of_another_user_are_refused),
                TEST(test_links_are_refused),
                TEST(test_links_in_the_folder_of_drop_ins_are_refused),
                TEST(test_what_is_no_regular_file_is_refused_at_once),
                TEST(test_a_file_in_the_way_of_a_folder_is_an_error),
                TEST(test_a_file_that_is_too_long_is_refused),
                TEST(test_interrupted_and_short_reads_go_on),
                TEST(test_a_file_that_cannot_be_read_is_said),
                TEST(test_a_file_that_changed_meanwhile_is_read_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
