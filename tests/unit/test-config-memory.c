/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Want of memory: each allocation of a read fails once. Then the read says -ENOMEM, gives nothing,
 * and every block is freed. libyaml allocates out of reach of the wrappers; its calls fail by
 * themselves.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include <cmocka.h>

#include "tests/harness/fault.h"
#include "tests/unit/fault-blocks.h"
#include "tests/unit/config-world.h"

int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser) {
        return fault_step("yaml_parser_initialize") ? 0 : __real_yaml_parser_initialize(parser);
}

int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event) {
        if (!fault_step("yaml_parser_parse"))
                return __real_yaml_parser_parse(parser, event);

        parser->error = YAML_MEMORY_ERROR;
        return 0;
}

/* Read @file again and again, and let the next allocation fail each time. */
static void read_with_faults(const WorldFile *files, size_t n_files, int expected) {
        for (unsigned nth = 1;; nth++) {
                DeclErrors errors = DECL_ERRORS_NULL;
                long n_before = fault_blocks;
                DeclSet *set = NULL;
                bool happened;
                int r;

                fault_arm(nth, ENOMEM);
                r = world_read(files, n_files, &set, &errors);
                happened = fault_disarm();

                if (happened && (r != -ENOMEM || set || errors.errors))
                        fail_msg("%s: call %u (%s) failed, and the read returned %d",
                                 files[0].name, nth, fault_name(), r);

                decl_set_free(set);
                decl_errors_deinit(&errors);
                assert_int_equal(fault_blocks, n_before);

                if (!happened) {
                        assert_int_equal(r, expected);
                        assert_true(nth > 1);
                        break;
                }
        }
}

static void read_one(const char *folder, const char *name, int expected) {
        WorldFile file = {.name = name};
        char *text = world_load(folder, name, &file.n_bytes);

        file.text = text;
        read_with_faults(&file, 1, expected);
        free(text);
}

static void test_good_files_and_each_allocation_failing(void **state) {
        read_one("config/good", "ring.yaml", 0);
        read_one("config/good", "raw.yaml", 0);
        read_one("config/good", "defaults.yaml", 0);
        read_one("config/good", "json.yaml", 0);
        read_one("config/good", "templates.yaml", 0);
}

static void test_broken_files_and_each_allocation_failing(void **state) {
        read_one("config/broken", "everything-at-once.yaml", DECL_E_INVALID);
        read_one("config/broken", "yaml-merge-key.yaml", DECL_E_INVALID);
        read_one("config/broken", "yaml-unclosed-flow.yaml", DECL_E_INVALID);
        read_one("config/broken", "access-unknown-users.yaml", DECL_E_INVALID);
        read_one("config/broken", "posix-name-twice.yaml", DECL_E_INVALID);
        read_one("config/broken", "bytes-crlf.yaml", DECL_E_INVALID);
        read_one("config/broken", "templates-bounds.yaml", DECL_E_INVALID);
}

static void test_drop_ins_and_each_allocation_failing(void **state) {
        static const WorldFile files[] = {
                {"main.yaml", "version: 1\ndefaults: {kind: raw, size: 4K}\n"},
                {"10.yaml", "defaults: {backing: memfd}\nregions: [{name: a}, {name: b}]\n",
                 .drop_in = true},
                {"20.yaml", "regions: [{name: c, access: {read: [user:alice]}}]\n",
                 .drop_in = true},
        };

        read_with_faults(files, 3, 0);
}

static void test_copies_and_each_allocation_failing(void **state) {
        static const WorldFile file = {
                "main.yaml", "version: 1\n"
                             "regions:\n"
                             "  - {name: a, description: b, kind: raw, size: 4K, posix_name: c,\n"
                             "     access: {read: [any, user:alice]}}\n"
                             "  - {name: d, kind: ring, item: {size: 8, type: e}, capacity: 8}\n"};
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;

        assert_int_equal(world_read(&file, 1, &set, &errors), 0);

        for (size_t i = 0; i < set->n_decls; i++)
                for (unsigned nth = 1;; nth++) {
                        long n_before = fault_blocks;
                        Decl *copy;
                        bool happened;

                        fault_arm(nth, ENOMEM);
                        copy = decl_dup(set->decls[i]);
                        happened = fault_disarm();

                        assert_int_equal(copy == NULL, happened);
                        decl_free(copy);
                        assert_int_equal(fault_blocks, n_before);
                        if (!happened)
                                break;
                }

        decl_set_free(set);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_files_and_each_allocation_failing),
                cmocka_unit_test(test_broken_files_and_each_allocation_failing),
                cmocka_unit_test(test_drop_ins_and_each_allocation_failing),
                cmocka_unit_test(test_copies_and_each_allocation_failing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
