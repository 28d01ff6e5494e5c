/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Loader: which files count, in which order, and that a load is all or nothing.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "config/users.h"
#include "tests/unit/config-place.h"

static void test_main_file_and_drop_ins_are_one_set(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/b.yaml", "regions: [{name: b}]\n");
        place_put_file(place, "run/regions.d/c.yaml", "regions: [{name: c}]\n");
        place_put_file(place, "lib/regions.d/a.yaml", "regions: [{name: a}]\n");

        set = place_load_good(place);
        assert_int_equal(set->n_decls, 4);
        assert_int_equal(set->n_files, 4);
        /* by name, wherever they lie */
        assert_string_equal(strrchr(set->files[0], '/'), "/shmbrokerd.yaml");
        assert_string_equal(strrchr(set->files[1], '/'), "/a.yaml");
        assert_string_equal(strrchr(set->files[2], '/'), "/b.yaml");
        assert_string_equal(strrchr(set->files[3], '/'), "/c.yaml");
        decl_set_free(set);
}

static void test_a_name_in_etc_hides_it_in_run_and_lib(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/x.yaml", "regions: [{name: x, size: 1}]\n");
        place_put_file(place, "run/regions.d/x.yaml", "regions: [{name: x, size: 2}]\n");
        place_put_file(place, "lib/regions.d/x.yaml", "this is not even YAML: [\n");
        place_put_file(place, "run/regions.d/y.yaml", "regions: [{name: y, size: 3}]\n");
        place_put_file(place, "lib/regions.d/y.yaml", "regions: [{name: y, size: 4}]\n");

        set = place_load_good(place);
        assert_int_equal(set->n_decls, 3);
        assert_int_equal(decl_set_find(set, "x")->geometry.region_size, 1);
        assert_int_equal(decl_set_find(set, "y")->geometry.region_size, 3);
        decl_set_free(set);
}

static void test_a_link_to_null_or_an_empty_file_masks(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_link(place, "etc/regions.d/x.yaml", "/dev/null");
        place_put_file(place, "lib/regions.d/x.yaml", "regions: [{name: x}]\n");
        place_put_file(place, "run/regions.d/y.yaml", "");
        place_put_file(place, "lib/regions.d/y.yaml", "regions: [{name: y}]\n");

        set = place_load_good(place);
        assert_int_equal(set->n_decls, 1);
        decl_set_free(set);
}

static void test_other_files_in_the_folder_are_left_alone(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/x.yaml~", "][\n");
        place_put_file(place, "etc/regions.d/x.yaml.dpkg-old", "][\n");
        place_put_file(place, "etc/regions.d/x.yml", "][\n");
        place_put_file(place, "etc/regions.d/.x.yaml", "][\n");
        place_put_file(place, "etc/regions.d/.yaml", "][\n");
        place_put_dir(place, "etc/regions.d/folder", 0777);

        set = place_load_good(place);
        assert_int_equal(set->n_decls, 1);
        assert_int_equal(set->n_files, 1);
        decl_set_free(set);
}

static void test_no_file_anywhere_is_no_regions(void **state) {
        Place *place = *state;
        DeclSet *set;

        set = place_load_good(place);
        assert_int_equal(set->n_decls, 0);
        assert_int_equal(set->n_files, 0);
        assert_true(set->limits.bytes_total > 0);
        decl_set_free(set);
}

static void test_drop_ins_stand_without_a_main_file(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "lib/regions.d/a.yaml",
                       "regions: [{name: a, kind: raw, size: 4K}]\n");
        set = place_load_good(place);
        assert_int_equal(set->n_decls, 1);
        decl_set_free(set);
}

static void test_a_main_file_that_was_named_must_be_there(void **state) {
        Place *place = *state;

        place->paths.required = true;
        place_assert_refused(place, "etc/shmbrokerd.yaml: there is no such file");
}

static void test_naming_a_file_means_the_folder_beside_it(void **state) {
        Place *place = *state;
        char *file = place_join(place, "etc/other.yaml");
        DeclSet *set;

        place_put_file(place, "etc/other.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/a.yaml", "regions: [{name: a}]\n");
        place_put_file(place, "run/regions.d/b.yaml", "regions: [{name: b}]\n");

        config_paths_deinit(&place->paths);
        assert_int_equal(config_paths_init_file(&place->paths, file), 0);
        set = place_load_good(place);
        assert_int_equal(set->n_decls, 2);
        assert_null(decl_set_find(set, "b"));

        decl_set_free(set);
        free(file);
}

static void test_a_name_without_a_folder_is_in_this_one(void **state) {
        Place *place = *state;
        char *etc = place_join(place, "etc");
        int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        DeclSet *set;

        assert_true(here >= 0);
        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "etc/regions.d/a.yaml", "regions: [{name: a}]\n");
        assert_int_equal(chdir(etc), 0);

        config_paths_deinit(&place->paths);
        assert_int_equal(config_paths_init_file(&place->paths, "shmbrokerd.yaml"), 0);
        set = place_load_good(place);
        assert_int_equal(set->n_decls, 2);

        decl_set_free(set);
        assert_int_equal(fchdir(here), 0);
        close(here);
        free(etc);
}

static void test_one_broken_drop_in_refuses_everything(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "lib/regions.d/a.yaml", "regions: [{name: a}, {name: B}]\n");
        place_assert_refused(place, "lib/regions.d/a.yaml:1:29: name: 'B' has a byte other than");
}

static void test_one_region_in_two_files_names_both(void **state) {
        Place *place = *state;

        place_put_file(place, "etc/shmbrokerd.yaml", MAIN_TEXT);
        place_put_file(place, "lib/regions.d/a.yaml", "regions: [{name: main}]\n");
        place_assert_refused(place,
                             "lib/regions.d/a.yaml:1:11: name: region main is declared twice; "
                             "the first is at ");
}

static void test_a_thousand_drop_ins_and_no_more(void **state) {
        Place *place = *state;
        char name[64];

        for (unsigned i = 0; i < CONFIG_DROP_INS_MAX; i++) {
                snprintf(name, sizeof(name), "etc/regions.d/%u.yaml", i);
                place_put_file(place, name, "");
        }
        decl_set_free(place_load_good(place));

        place_put_file(place, "etc/regions.d/more.yaml", "");
        place_assert_refused(place, "etc/regions.d: there are more than 1024 drop-ins");
}

static void test_users_of_this_system_are_looked_up_once(void **state) {
        ConfigUsers users;
        DeclLookup lookup = config_users_init(&users);
        uint32_t id = 4711;

        assert_int_equal(lookup.user(lookup.data, "root", &id), 0);
        assert_int_equal(id, 0);
        assert_int_equal(lookup.group(lookup.data, "root", &id), 0);
        assert_int_equal(lookup.user(lookup.data, "root", &id), 0);
        assert_int_equal(users.n_kept, 2);

        id = 4711;
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(lookup.user(lookup.data, "no-such-user-here", &id),
                                 DECL_E_UNKNOWN);
        assert_int_equal(id, 4711);
        assert_int_equal(users.n_kept, 3);

        config_users_deinit(&users);
        assert_int_equal(users.n_kept, 0);
}

static void test_rules_carry_the_numbers_of_this_system(void **state) {
        Place *place = *state;
        DeclSet *set;

        place_put_file(place, "etc/shmbrokerd.yaml",
                 "version: 1\n"
                 "regions: [{name: a, kind: raw, size: 1, access: {read: [user:root, group:root]}}]"
                 "\n");
        set = place_load_good(place);
        assert_int_equal(set->decls[0]->access[SHMB_ROLE_READ].rules[0].uid_last, 0);
        assert_int_equal(set->decls[0]->access[SHMB_ROLE_READ].rules[1].gid, 0);
        decl_set_free(set);

        place_put_file(place, "etc/shmbrokerd.yaml",
                 "version: 1\n"
                 "regions: [{name: a, kind: raw, size: 1, access: {read: [user:no-such-user]}}]\n");
        place_assert_refused(place,
                             "etc/shmbrokerd.yaml:2:57: access.read: there is no user "
                             "'no-such-user' on this system");
}

static void test_default_places(void **state) {
        ConfigPaths paths;

        assert_int_equal(config_paths_init_system(&paths), 0);
        assert_false(paths.required);
        assert_int_equal(paths.n_folders, 3);
        assert_non_null(strstr(paths.main, "etc/shmbroker/shmbrokerd.yaml"));
        assert_non_null(strstr(paths.folders[0], "etc/shmbroker/regions.d"));
        assert_string_equal(paths.folders[1], "/run/shmbroker/regions.d");
        assert_non_null(strstr(paths.folders[2], "lib/shmbroker/regions.d"));
        config_paths_deinit(&paths);

        assert_int_equal(config_paths_init_user(&paths, "/home/user/.config", "/run/user/5"), 0);
        assert_string_equal(paths.main, "/home/user/.config/shmbroker/shmbrokerd.yaml");
        assert_string_equal(paths.folders[0], "/home/user/.config/shmbroker/regions.d");
        assert_string_equal(paths.folders[1], "/run/user/5/shmbroker/regions.d");
        assert_int_equal(paths.n_folders, 2);
        config_paths_deinit(&paths);

        assert_int_equal(config_paths_init_user(&paths, "/home/user/.config", NULL), 0);
        assert_int_equal(paths.n_folders, 1);
        config_paths_deinit(&paths);
}

#define TEST(_function)                                                                            \
        cmocka_unit_test_setup_teardown(_function, place_setup, place_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_main_file_and_drop_ins_are_one_set),
                TEST(test_a_name_in_etc_hides_it_in_run_and_lib),
                TEST(test_a_link_to_null_or_an_empty_file_masks),
                TEST(test_other_files_in_the_folder_are_left_alone),
                TEST(test_no_file_anywhere_is_no_regions),
                TEST(test_drop_ins_stand_without_a_main_file),
                TEST(test_a_main_file_that_was_named_must_be_there),
                TEST(test_naming_a_file_means_the_folder_beside_it),
                TEST(test_a_name_without_a_folder_is_in_this_one),
                TEST(test_one_broken_drop_in_refuses_everything),
                TEST(test_one_region_in_two_files_names_both),
                TEST(test_a_thousand_drop_ins_and_no_more),
                TEST(test_users_of_this_system_are_looked_up_once),
                TEST(test_rules_carry_the_numbers_of_this_system),
                TEST(test_default_places),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
