/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reader: what a configuration means, and what is said when it means nothing.
 *
 * The sentences are pinned: data/config/broken/NAME.yaml says NAME.errors, byte for byte.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/tree.h"
#include "tests/unit/config-world.h"

enum {
        BROKEN_MIN = 60,
};

static void assert_errors(int r, DeclSet *set, DeclErrors *errors, const char *expected) {
        char *said = world_errors_to_string(errors);

        assert_string_equal(said, expected);
        assert_int_equal(r, DECL_E_INVALID);
        assert_null(set);
        free(said);
        decl_errors_deinit(errors);
}

static DeclSet *read_good(const WorldFile *files, size_t n_files) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;
        int r;

        r = world_read(files, n_files, &set, &errors);
        if (r != 0) {
                char *said = world_errors_to_string(&errors);

                fail_msg("%s: %d\n%s", files[0].name, r, said);
        }

        assert_int_equal(errors.n_errors, 0);
        return set;
}

static DeclSet *read_good_text(const char *text) {
        return read_good(&(WorldFile){.name = "main.yaml", .text = text}, 1);
}

static void test_broken_files_say_what_is_pinned(void **state) {
        char **names;
        size_t n;

        n = world_list("config/broken", ".yaml", &names);
        assert_true(n >= BROKEN_MIN);

        for (size_t i = 0; i < n; i++) {
                DeclErrors errors = DECL_ERRORS_NULL;
                DeclSet *set = NULL;
                WorldFile file = {.name = names[i]};
                char pinned_name[256], *text, *pinned;
                size_t n_pinned;

                snprintf(pinned_name, sizeof(pinned_name), "%.*s.errors",
                         (int)(strlen(names[i]) - strlen(".yaml")), names[i]);
                text = world_load("config/broken", names[i], &file.n_bytes);
                pinned = world_load("config/broken", pinned_name, &n_pinned);
                file.text = text;

                assert_true(n_pinned > 0);
                assert_errors(world_read(&file, 1, &set, &errors), set, &errors, pinned);

                free(pinned);
                free(text);
                free(names[i]);
        }

        free(names);
}

static void test_good_files_are_taken(void **state) {
        char **names;
        size_t n;

        n = world_list("config/good", ".yaml", &names);
        assert_true(n > 0);

        for (size_t i = 0; i < n; i++) {
                WorldFile file = {.name = names[i]};
                char *text = world_load("config/good", names[i], &file.n_bytes);
                DeclSet *set;

                file.text = text;
                set = read_good(&file, 1);
                assert_int_equal(set->n_files, 1);
                assert_string_equal(set->files[0], names[i]);

                decl_set_free(set);
                free(text);
                free(names[i]);
        }

        free(names);
}

/* Either outcome is fine; a crash, a leak or an endless loop is not. */
static void read_mutant(const char *data, size_t n_bytes) {
        DeclErrors errors = DECL_ERRORS_NULL;
        char *copy = malloc(n_bytes + 1);
        WorldFile file = {.name = "mutant", .text = copy, .n_bytes = n_bytes};
        DeclSet *set = NULL;
        int r;

        assert_non_null(copy);
        memcpy(copy, data, n_bytes);
        copy[n_bytes] = '\0';

        r = world_read(&file, 1, &set, &errors);
        assert_true((r == 0 && set) || (r == DECL_E_INVALID && !set && errors.n_errors > 0));

        decl_set_free(set);
        decl_errors_deinit(&errors);
        free(copy);
}

static void test_good_files_cut_and_flipped_at_each_byte_do_no_harm(void **state) {
        char **names;
        size_t n;

        n = world_list("config/good", ".yaml", &names);

        for (size_t i = 0; i < n; i++) {
                size_t n_bytes;
                char *text = world_load("config/good", names[i], &n_bytes);

                for (size_t at = 0; at < n_bytes; at++) {
                        char byte = text[at];

                        read_mutant(text, at);
                        text[at] = (char)(byte ^ (1 << (at % 8)));
                        read_mutant(text, n_bytes);
                        text[at] = byte;
                }

                free(text);
                free(names[i]);
        }

        free(names);
}

static void test_ring_is_read_whole(void **state) {
        DeclSet *set = read_good_text(
                "version: 1\n"
                "regions:\n"
                "  - name: telemetry/imu\n"
                "    description: six-axis samples\n"
                "    kind: ring\n"
                "    item: {size: 60, align: 16, type: imu_sample/3}\n"
                "    capacity: 4K\n"
                "    overflow: drop_newest\n"
                "    backing: memfd\n"
                "    access:\n"
                "      produce: [user:sensors, unit:imu.service]\n"
                "      consume: [group:analytics]\n"
                "      observe: ['uid:1000-1999', any]\n"
                "    lifetime: {policy: on_demand, linger: 30s}\n");
        const Decl *decl = decl_set_find(set, "telemetry/imu");
        const DeclRule *rules = decl->access[SHMB_ROLE_PRODUCE].rules;

        assert_string_equal(decl->description, "six-axis samples");
        assert_string_equal(decl->type, "imu_sample/3");
        assert_int_equal(decl->geometry.kind, SHMB_KIND_RING);
        assert_int_equal(decl->geometry.item_size, 60);
        assert_int_equal(decl->geometry.item_align, 16);
        assert_int_equal(decl->geometry.stride, 64);
        assert_int_equal(decl->geometry.capacity, 4096);
        assert_int_equal(decl->geometry.n_lanes, 1);
        assert_int_equal(decl->geometry.n_seats, 1);
        assert_int_equal(decl->overflow, SHMB_OVERFLOW_DROP_NEWEST);
        assert_int_equal(decl->backing, SHMB_BACKING_MEMFD);
        assert_int_equal(decl->lifetime, SHMB_LIFETIME_ON_DEMAND);
        assert_int_equal(decl->linger_ns, 30000000000);
        assert_null(decl->posix_name);
        assert_string_equal(decl->origin.file, "main.yaml");
        assert_int_equal(decl->origin.line, 3);
        assert_int_equal(decl->origin.column, 5);

        assert_int_equal(decl->access[SHMB_ROLE_PRODUCE].n_rules, 2);
        assert_int_equal(rules[0].type, DECL_RULE_USER);
        assert_int_equal(rules[0].uid_first, 1000);
        assert_int_equal(rules[0].uid_last, 1000);
        assert_int_equal(rules[1].type, DECL_RULE_UNIT);
        assert_string_equal(rules[1].text, "unit:imu.service");
        assert_int_equal(decl->access[SHMB_ROLE_CONSUME].rules[0].gid, 1002);
        assert_int_equal(decl->access[SHMB_ROLE_OBSERVE].rules[0].uid_first, 1000);
        assert_int_equal(decl->access[SHMB_ROLE_OBSERVE].rules[0].uid_last, 1999);
        assert_int_equal(decl->access[SHMB_ROLE_OBSERVE].rules[1].type, DECL_RULE_ANY);
        assert_int_equal(decl->access[SHMB_ROLE_READ].n_rules, 0);

        decl_set_free(set);
}

static void test_what_is_not_given_has_its_documented_default(void **state) {
        DeclSet *set = read_good_text("version: 1\n"
                                      "regions:\n"
                                      "  - {name: a, kind: ring, item: {size: 12}, capacity: 8}\n"
                                      "  - {name: b, kind: raw, size: 5, lifetime: on_demand}\n");
        const Decl *ring = decl_set_find(set, "a"), *raw = decl_set_find(set, "b");

        assert_int_equal(ring->backing, SHMB_BACKING_POSIX);
        assert_int_equal(ring->lifetime, SHMB_LIFETIME_STATIC);
        assert_int_equal(ring->linger_ns, 0);
        assert_int_equal(ring->overflow, SHMB_OVERFLOW_BLOCK);
        assert_int_equal(ring->geometry.item_align, 4);
        assert_int_equal(ring->geometry.n_lanes, 1);
        assert_int_equal(ring->geometry.n_seats, 1);
        for (ShmbRole role = SHMB_ROLE_NONE; role < _SHMB_ROLE_N; role++)
                assert_int_equal(ring->access[role].n_rules, 0);

        assert_int_equal(raw->overflow, SHMB_OVERFLOW_NONE);
        assert_int_equal(raw->geometry.n_lanes, 0);
        assert_int_equal(raw->geometry.region_size, 5);
        assert_int_equal(raw->linger_ns, 10000000000);

        assert_int_equal(set->limits.connections_per_uid, 128);
        assert_int_equal(set->limits.leases_per_uid, 1024);
        assert_int_equal(set->limits.bytes_per_uid, UINT64_C(1) << 30);
        assert_int_equal(set->limits.bytes_total, world_machine.memory_bytes / 2);

        decl_set_free(set);
}

static void test_natural_alignment_divides_the_size_up_to_8(void **state) {
        static const struct {
                uint32_t size, align;
        } cases[] = {{1, 1}, {2, 2}, {3, 1}, {6, 2}, {8, 8}, {12, 4}, {16, 8}, {60, 4}, {64, 8}};

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char text[128];
                DeclSet *set;

                snprintf(text, sizeof(text),
                         "version: 1\n"
                         "regions: [{name: a, kind: ring, item: {size: %u}, capacity: 8}]\n",
                         cases[i].size);
                set = read_good_text(text);
                assert_int_equal(set->decls[0]->geometry.item_align, cases[i].align);
                decl_set_free(set);
        }
}

static void test_limits_are_read(void **state) {
        DeclSet *set = read_good_text("version: 1\n"
                                      "limits:\n"
                                      "  per_uid: {connections: 7, leases: 9, bytes: 64K}\n"
                                      "  total: {bytes: 3G}\n");

        assert_int_equal(set->limits.connections_per_uid, 7);
        assert_int_equal(set->limits.leases_per_uid, 9);
        assert_int_equal(set->limits.bytes_per_uid, 65536);
        assert_int_equal(set->limits.bytes_total, UINT64_C(3) << 30);
        decl_set_free(set);
}

static const char defaults_text[] = "version: 1\n"
                                    "defaults:\n"
                                    "  kind: ring\n"
                                    "  item: {size: 32, align: 4}\n"
                                    "  capacity: 64\n"
                                    "  backing: memfd\n"
                                    "  overflow: fail\n"
                                    "  lifetime: {policy: on_demand, linger: 2min}\n"
                                    "  access: {observe: [group:ops], produce: [user:alice]}\n"
                                    "regions:\n";

static void test_defaults_hold_key_by_key_and_regions_win(void **state) {
        char text[1024];
        DeclSet *set;
        const Decl *all, *some;

        snprintf(text, sizeof(text), "%s%s", defaults_text,
                 "  - {name: all}\n"
                 "  - {name: some, item: {size: 48}, overflow: block, access: {produce: []}}\n");
        set = read_good_text(text);
        all = decl_set_find(set, "all");
        some = decl_set_find(set, "some");

        assert_int_equal(all->geometry.item_size, 32);
        assert_int_equal(all->overflow, SHMB_OVERFLOW_FAIL);
        assert_int_equal(all->linger_ns, 120000000000);
        assert_int_equal(all->access[SHMB_ROLE_PRODUCE].n_rules, 1);

        assert_int_equal(some->geometry.item_size, 48);
        assert_int_equal(some->geometry.item_align, 4);
        assert_int_equal(some->geometry.capacity, 64);
        assert_int_equal(some->overflow, SHMB_OVERFLOW_BLOCK);
        assert_int_equal(some->access[SHMB_ROLE_PRODUCE].n_rules, 0);
        assert_int_equal(some->access[SHMB_ROLE_OBSERVE].n_rules, 1);

        decl_set_free(set);
}

static void test_defaults_that_do_not_fit_a_region_are_not_for_it(void **state) {
        char text[1024];
        DeclSet *set;
        const Decl *raw;

        snprintf(text, sizeof(text), "%s%s", defaults_text,
                 "  - {name: raw, kind: raw, size: 4K, lifetime: static}\n");
        set = read_good_text(text);
        raw = decl_set_find(set, "raw");

        assert_int_equal(raw->overflow, SHMB_OVERFLOW_NONE);
        assert_int_equal(raw->linger_ns, 0);
        assert_int_equal(raw->access[SHMB_ROLE_OBSERVE].n_rules, 0);
        assert_int_equal(raw->backing, SHMB_BACKING_MEMFD);

        decl_set_free(set);
}

static void test_regions_come_in_order_of_name(void **state) {
        DeclSet *set = read_good_text("version: 1\n"
                                      "defaults: {kind: raw, size: 4K}\n"
                                      "regions: [{name: b}, {name: a}, {name: a/b}, "
                                      "{name: a-b}]\n");
        static const char *const order[] = {"a", "a-b", "a/b", "b"};

        assert_int_equal(set->n_decls, 4);
        for (size_t i = 0; i < 4; i++)
                assert_string_equal(set->decls[i]->name, order[i]);
        decl_set_free(set);
}

static void test_drop_ins_add_regions_over_both_defaults(void **state) {
        static const WorldFile files[] = {
                {"main.yaml", "version: 1\n"
                              "defaults: {kind: raw, size: 4K, backing: memfd}\n"
                              "regions: [{name: a}]\n"},
                {"10-b.yaml", "regions: [{name: b, size: 8K}]\n", .drop_in = true},
                {"20-c.yaml", "version: 1\n"
                              "defaults: {backing: posix}\n"
                              "regions: [{name: c}]\n",
                 .drop_in = true},
                {"30-d.yaml", "# switched off\n", .drop_in = true},
                {"40-e.yaml", "regions: [{name: e}]\n", .drop_in = true},
        };
        DeclSet *set = read_good(files, 5);

        assert_int_equal(set->n_decls, 4);
        assert_int_equal(set->n_files, 5);
        assert_int_equal(decl_set_find(set, "a")->backing, SHMB_BACKING_MEMFD);
        assert_int_equal(decl_set_find(set, "b")->backing, SHMB_BACKING_MEMFD);
        assert_int_equal(decl_set_find(set, "b")->geometry.region_size, 8192);
        assert_int_equal(decl_set_find(set, "c")->backing, SHMB_BACKING_POSIX);
        assert_int_equal(decl_set_find(set, "c")->geometry.region_size, 4096);
        /* defaults of one drop-in say nothing to the next */
        assert_int_equal(decl_set_find(set, "e")->backing, SHMB_BACKING_MEMFD);
        assert_string_equal(decl_set_find(set, "e")->origin.file, "40-e.yaml");

        decl_set_free(set);
}

static void test_drop_ins_may_not_set_limits_or_declare_twice(void **state) {
        static const WorldFile files[] = {
                {"main.yaml", "version: 1\nregions: [{name: a, kind: raw, size: 4K}]\n"},
                {"10-b.yaml", "limits: {total: {bytes: 1G}}\n", .drop_in = true},
                {"20-c.yaml", "version: 3\nfuture: stuff\n", .drop_in = true},
                {"30-d.yaml", "regions: [{name: a, kind: raw, size: 8K}]\n", .drop_in = true},
        };
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;
        int r;

        r = world_read(files, 4, &set, &errors);
        assert_errors(r, set, &errors,
                      "10-b.yaml:1:9: limits: belongs to the main file; a drop-in declares "
                      "regions\n"
                      "20-c.yaml:1:10: version: '3' is not supported by this version, which reads "
                      "version 1\n"
                      "30-d.yaml:1:11: name: region a is declared twice; the first is at "
                      "main.yaml:2\n");
}

static void test_no_main_file_is_no_regions(void **state) {
        DeclSet *set = read_good(NULL, 0);

        assert_int_equal(set->n_decls, 0);
        assert_int_equal(set->n_files, 0);
        assert_int_equal(set->limits.leases_per_uid, 1024);
        decl_set_free(set);
}

static void test_a_file_may_have_1_mebibyte_and_no_more(void **state) {
        static const char start[] = "version: 1\nregions: []\n#";
        DeclErrors errors = DECL_ERRORS_NULL;
        char *text = malloc(CONFIG_FILE_SIZE_MAX + 1);
        WorldFile file = {.name = "main.yaml", .text = text, .n_bytes = CONFIG_FILE_SIZE_MAX};
        DeclSet *set = NULL;
        int r;

        assert_non_null(text);
        memset(text, 'x', CONFIG_FILE_SIZE_MAX + 1);
        memcpy(text, start, sizeof(start) - 1);
        decl_set_free(read_good(&file, 1));

        file.n_bytes++;
        r = world_read(&file, 1, &set, &errors);
        assert_errors(r, set, &errors,
                      "main.yaml: the file is larger than 1M; spread regions over files in "
                      "regions.d\n");
        free(text);
}

static void test_deep_nesting_ends_early(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        char *text = malloc(CONFIG_FILE_SIZE_MAX);
        WorldFile file = {.name = "main.yaml", .text = text, .n_bytes = CONFIG_FILE_SIZE_MAX};
        DeclSet *set = NULL;
        int r;

        assert_non_null(text);
        memset(text, '[', CONFIG_FILE_SIZE_MAX);
        r = world_read(&file, 1, &set, &errors);
        assert_errors(r, set, &errors,
                      "main.yaml:1:17: lists and mappings are nested more than 16 deep\n");
        free(text);
}

static void test_errors_come_in_order_of_place(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;

        /* the user is looked up last, the missing size is found after the unknown key */
        assert_int_equal(world_read_text("version: 1\n"
                                         "regions:\n"
                                         "  - name: a\n"
                                         "    access: {read: [user:mallory]}\n"
                                         "    kind: raw\n"
                                         "    zzz: 1\n",
                                         &set, &errors),
                         DECL_E_INVALID);
        assert_int_equal(errors.n_errors, 3);
        assert_int_equal(errors.errors[0].origin.line, 3);
        assert_int_equal(errors.errors[1].origin.line, 4);
        assert_int_equal(errors.errors[2].origin.line, 6);
        decl_errors_deinit(&errors);
}

static void test_ten_thousand_regions_are_read(void **state) {
        WorldFile files[11] = {{"main.yaml", "version: 1\ndefaults: {kind: raw, size: 4K}\n"}};
        char *texts[10];
        DeclSet *set;

        for (size_t i = 0; i < 10; i++) {
                char *text = texts[i] = malloc(1 << 16);
                size_t n;

                assert_non_null(text);
                n = (size_t)sprintf(text, "regions:\n");
                for (size_t j = 0; j < 1000; j++)
                        n += (size_t)sprintf(text + n, "- {name: r/%zu-%zu}\n", j, i);
                files[i + 1] = (WorldFile){"drop-in.yaml", text, .drop_in = true};
        }

        set = read_good(files, 11);
        assert_int_equal(set->n_decls, 10000);
        assert_non_null(decl_set_find(set, "r/999-9"));
        assert_null(decl_set_find(set, "r/1000-0"));

        decl_set_free(set);
        for (size_t i = 0; i < 10; i++)
                free(texts[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_broken_files_say_what_is_pinned),
                cmocka_unit_test(test_good_files_are_taken),
                cmocka_unit_test(test_good_files_cut_and_flipped_at_each_byte_do_no_harm),
                cmocka_unit_test(test_ring_is_read_whole),
                cmocka_unit_test(test_what_is_not_given_has_its_documented_default),
                cmocka_unit_test(test_natural_alignment_divides_the_size_up_to_8),
                cmocka_unit_test(test_limits_are_read),
                cmocka_unit_test(test_defaults_hold_key_by_key_and_regions_win),
                cmocka_unit_test(test_defaults_that_do_not_fit_a_region_are_not_for_it),
                cmocka_unit_test(test_regions_come_in_order_of_name),
                cmocka_unit_test(test_drop_ins_add_regions_over_both_defaults),
                cmocka_unit_test(test_drop_ins_may_not_set_limits_or_declare_twice),
                cmocka_unit_test(test_no_main_file_is_no_regions),
                cmocka_unit_test(test_a_file_may_have_1_mebibyte_and_no_more),
                cmocka_unit_test(test_deep_nesting_ends_early),
                cmocka_unit_test(test_errors_come_in_order_of_place),
                cmocka_unit_test(test_ten_thousand_regions_are_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
