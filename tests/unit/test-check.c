/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Check: what `shmbrokerd --check` and `shmbrokerctl check` print.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/check.h"
#include "tests/unit/config-place.h"

/* What config_check_files() prints, with '\n' between lines of both streams. */
static int check(const Place *place, char **ret_out, char **ret_err) {
        size_t n_out, n_err;
        FILE *out = open_memstream(ret_out, &n_out), *err = open_memstream(ret_err, &n_err);
        const char *const files[] = {place->paths.main};
        int r;

        assert_true(out && err);
        r = config_check_files(files, 1, out, err);
        fclose(out);
        fclose(err);
        return r;
}

static void test_check_says_what_it_will_take(void **state) {
        Place *place = *state;
        char *out, *err, *expected;

        place_put_file(place, "etc/shmbrokerd.yaml",
                 "version: 1\n"
                 "limits: {total: {bytes: 1M}}\n"
                 "regions:\n"
                 "  - {name: a, kind: raw, size: 60K}\n"
                 "  - {name: b, kind: raw, size: 28K, backing: memfd, lifetime: on_demand}\n");
        place_put_file(place, "etc/regions.d/c.yaml",
                 "regions: [{name: c, kind: raw, size: 28K, backing: memfd}]\n");

        assert_int_equal(check(place, &out, &err), 0);
        assert_true(asprintf(&expected,
                             "%s: 3 regions in 2 files, nothing is wrong\n"
                             "  memory      96K from the start, 128K if all regions exist, of 1M "
                             "(limits.total.bytes)\n"
                             "  posix       1 region, 64K\n"
                             "  memfd       2 regions, 64K\n"
                             "  objects     6\n"
                             "  descriptors 4 in the broker, at most 2 to a client in one attach\n",
                             place->paths.main) > 0);
        assert_string_equal(out, expected);
        assert_string_equal(err, "");
        free(expected);
        free(out);
        free(err);
}

static void test_check_says_all_errors_and_how_many(void **state) {
        Place *place = *state;
        char *out, *err, *expected;

        place_put_file(place, "etc/shmbrokerd.yaml", "version: 1\nregion: []\nregions:\n");

        assert_int_equal(check(place, &out, &err), DECL_E_INVALID);
        assert_true(asprintf(&expected,
                             "%s:2:1: region: unknown key, did you mean regions?\n"
                             "%s:3:9: regions: has no value; expected a list, [] if empty\n"
                             "2 errors\n",
                             place->paths.main, place->paths.main) > 0);
        assert_string_equal(err, expected);
        assert_string_equal(out, "");
        free(expected);
        free(out);
        free(err);
}

static void test_check_of_several_files_judges_each(void **state) {
        Place *place = *state;
        char *good = place_join(place, "etc/shmbrokerd.yaml");
        char *bad = place_join(place, "etc/bad.yaml");
        const char *const files[] = {bad, good};
        char *text;
        size_t n;
        FILE *stream = open_memstream(&text, &n);

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/bad.yaml", "");
        assert_int_equal(config_check_files(files, 2, stream, stream), DECL_E_INVALID);
        fclose(stream);
        assert_non_null(strstr(text, "1 error\n"));
        assert_non_null(strstr(text, "1 region in 1 file, nothing is wrong\n"));

        free(text);
        free(bad);
        free(good);
}

#define TEST(_function)                                                                            \
        cmocka_unit_test_setup_teardown(_function, place_setup, place_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_check_says_what_it_will_take),
                TEST(test_check_says_all_errors_and_how_many),
                TEST(test_check_of_several_files_judges_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
