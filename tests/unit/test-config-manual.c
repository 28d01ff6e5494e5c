/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is written about configurations: every example of shmbrokerd.yaml(5) is one that is taken,
 * every key of the schema stands in it, and the configuration that is shipped declares nothing
 * until its examples are switched on, and then is a good one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/key.h"
#include "tests/unit/config-world.h"

#define FENCE "\n```\n"

enum {
        EXAMPLES_MIN = 8,
};

static char *load_manual(void) {
        size_t n;

        return world_load("../../../man", "shmbrokerd.yaml.5.scd", &n);
}

/* One without a version is a drop-in, as the page says. */
static void check_example(const char *text) {
        WorldFile file = {.name = text, .text = text};
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;

        file.drop_in = strncmp(text, "version:", strlen("version:")) != 0;
        if (world_read(&file, 1, &set, &errors) != 0)
                fail_msg("%s: %s", text, errors.errors ? errors.errors[0].text : "-");
        decl_set_free(set);
}

static void test_every_example_of_the_manual_is_taken(void **state) {
        char *manual = load_manual(), *at = manual, *end;
        unsigned n = 0;

        while ((at = strstr(at, FENCE))) {
                at += strlen(FENCE);
                end = strstr(at, FENCE);
                assert_non_null(end);
                end[1] = '\0';
                check_example(at);
                at = end + strlen(FENCE);
                n++;
        }

        assert_true(n >= EXAMPLES_MIN);
        free(manual);
}

static void test_every_key_stands_in_the_manual(void **state) {
        char *manual = load_manual();

        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                const char *path = config_key_info(key)->path, *leaf = strrchr(path, '.');
                char bold[CONFIG_PATH_MAX + 2];

                snprintf(bold, sizeof(bold), "*%s*", leaf ? leaf + 1 : path);
                if (!strstr(manual, bold) && !strstr(manual, path))
                        fail_msg("%s is not in shmbrokerd.yaml(5)", path);
        }

        free(manual);
}

static void test_every_word_stands_in_the_manual(void **state) {
        char *manual = load_manual();

        for (ConfigKey key = CONFIG_KEY_NONE + 1; key < _CONFIG_KEY_N; key++) {
                const ConfigKeyInfo *info = config_key_info(key);

                for (unsigned value = 1; info->word && info->word(value); value++) {
                        char bold[CONFIG_PATH_MAX + 2];

                        snprintf(bold, sizeof(bold), "*%s*", info->word(value));
                        if (!strstr(manual, bold))
                                fail_msg("%s: %s is not in shmbrokerd.yaml(5)", info->path,
                                         info->word(value));
                }
        }

        free(manual);
}

static void test_shipped_configuration_declares_nothing(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;
        size_t n;
        char *text = world_load("../../../config", "shmbrokerd.yaml", &n);

        assert_int_equal(world_read_text(text, &set, &errors), 0);
        assert_int_equal(set->n_decls, 0);
        decl_set_free(set);
        free(text);
}

/* Blocks that begin with a key of the top level are examples: take the "# " away up to their end.
 * */
static char *switch_on(const char *text) {
        static const char *const starts[] = {"# limits:", "# defaults:", "# regions:",
                                             "# templates:"};
        char *out = calloc(1, strlen(text) + 1);
        bool example = false;
        size_t n = 0;

        assert_non_null(out);
        while (*text) {
                size_t length = strcspn(text, "\n") + 1;

                for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
                        example |= strncmp(text, starts[i], strlen(starts[i])) == 0;
                example &= *text == '#';

                if (example && text[1] == ' ') {
                        memcpy(out + n, text + 2, length - 2);
                        n += length - 2;
                } else {
                        memcpy(out + n, text, length);
                        n += length;
                }
                text += length;
        }

        return out;
}

static void test_shipped_examples_are_good(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;
        size_t n;
        char *text = world_load("../../../config", "shmbrokerd.yaml", &n), *on = switch_on(text);

        if (world_read_text(on, &set, &errors) != 0)
                fail_msg("line %u: %s", errors.errors[0].origin.line, errors.errors[0].text);
        assert_int_equal(set->n_decls, 2);
        assert_int_equal(set->n_templates, 1);
        /* what the comment calls the defaults are the defaults */
        assert_int_equal(set->limits.connections_per_uid, DECL_CONNECTIONS_PER_UID);
        assert_int_equal(set->limits.leases_per_uid, DECL_LEASES_PER_UID);
        assert_int_equal(set->limits.bytes_per_uid, DECL_BYTES_PER_UID);
        assert_int_equal(set->limits.regions_per_uid, DECL_CREATED_PER_UID);

        decl_set_free(set);
        free(on);
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_example_of_the_manual_is_taken),
                cmocka_unit_test(test_every_key_stands_in_the_manual),
                cmocka_unit_test(test_every_word_stands_in_the_manual),
                cmocka_unit_test(test_shipped_configuration_declares_nothing),
                cmocka_unit_test(test_shipped_examples_are_good),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
