/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Place for Configurations
 *
 * On tmpfs, and removed whole after each test.
 */

#include "tests/unit/config-place.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"

char *place_join(const Place *place, const char *name) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", place->root, name) > 0);
        return path;
}

void place_put_dir(const Place *place, const char *name, mode_t mode) {
        char *path = place_join(place, name);

        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chmod(path, mode), 0);
        free(path);
}

void place_put_file(const Place *place, const char *name, const char *text) {
        char *path = place_join(place, name);
        size_t n = strlen(text);
        int fd;

        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, n), n);
        close(fd);
        free(path);
}

void place_put_link(const Place *place, const char *name, const char *target) {
        char *path = place_join(place, name);

        assert_int_equal(symlink(target, path), 0);
        free(path);
}

void place_set_mode(const Place *place, const char *name, mode_t mode) {
        char *path = place_join(place, name);

        assert_int_equal(chmod(path, mode), 0);
        free(path);
}

int place_setup(void **state) {
        static const char *const folders[] = {"etc/regions.d", "run/regions.d", "lib/regions.d"};
        Place *place = calloc(1, sizeof(*place));

        assert_non_null(place);
        assert_int_equal(scratch_make(place->root), 0);
        place_put_dir(place, "etc", 0755);
        place_put_dir(place, "run", 0755);
        place_put_dir(place, "lib", 0755);

        place->paths.main = place_join(place, "etc/shmbrokerd.yaml");
        for (size_t i = 0; i < 3; i++) {
                place_put_dir(place, folders[i], 0755);
                place->paths.folders[place->paths.n_folders++] = place_join(place, folders[i]);
        }

        *state = place;
        return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
        return remove(path);
}

int place_teardown(void **state) {
        Place *place = *state;

        config_file_read = read;
        config_paths_deinit(&place->paths);
        assert_int_equal(nftw(place->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(place);
        return 0;
}

DeclSet *place_load_good(const Place *place) {
        DeclErrors errors = DECL_ERRORS_NULL;
        char line[DECL_ERROR_LINE_MAX];
        DeclSet *set = NULL;
        int r;

        r = config_load(&place->paths, &set, &errors);
        if (r > 0) {
                decl_error_format(&errors.errors[0], line, sizeof(line));
                fail_msg("%s", line);
        }

        assert_int_equal(r, 0);
        assert_int_equal(errors.n_errors, 0);
        return set;
}

/* The one error there is, without the scratch folder in front; @expected may end early. */
void place_assert_refused(const Place *place, const char *expected) {
        DeclErrors errors = DECL_ERRORS_NULL;
        char line[DECL_ERROR_LINE_MAX];
        DeclSet *set = NULL;
        size_t n = strlen(place->root);

        assert_int_equal(config_load(&place->paths, &set, &errors), DECL_E_INVALID);
        assert_null(set);
        assert_int_equal(errors.n_errors, 1);

        decl_error_format(&errors.errors[0], line, sizeof(line));
        assert_int_equal(strncmp(line, place->root, n), 0);
        if (strncmp(line + n + 1, expected, strlen(expected)) != 0)
                fail_msg("said: %s", line + n + 1);
        decl_errors_deinit(&errors);
}
