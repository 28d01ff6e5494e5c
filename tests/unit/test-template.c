/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Templates: which names are of which, what a region of one is, and what a copy keeps.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/template.h"
#include "tests/unit/config-world.h"

static const char text[] =
                "version: 1\n"
                "templates:\n"
                "  - {name: session/*, kind: raw, size: {min: 4K, max: 16M}, ttl: 1h,\n"
                "     access: {create: [user:alice], remove: [any], read: [any]}}\n"
                "  - {name: a/b/*, kind: ring, item: {size: 64}, capacity: {min: 16, max: 4K},\n"
                "     max_age: 1d, backing: memfd}\n"
                "  - {name: a/*, kind: queue, item: {size: 48, align: 16},\n"
                "     max_bytes: {min: 64K, max: 64M}}\n"
                "  - {name: fixed/*, kind: latest, item: {size: 8}, slots: 3}\n"
                "regions:\n"
                "  - {name: session/main, kind: raw, size: 1}\n";

static int setup(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclSet *set = NULL;

        if (world_read_text(text, &set, &errors) != 0)
                fail_msg("line %u: %s", errors.errors[0].origin.line, errors.errors[0].text);
        *state = set;
        return 0;
}

static int teardown(void **state) {
        decl_set_free(*state);
        return 0;
}

static void test_star_is_one_part_of_a_name(void **state) {
        static const struct {
                const char *name, *pattern;
        } rows[] = {
                { "session/a", "session/*" },
                { "session/main", "session/*" },
                { "session", NULL },
                { "session/a/b", NULL },
                { "sessions/a", NULL },
                { "sessio/a", NULL },
                { "x/session/a", NULL },
                { "a/x", "a/*" },
                { "a/b", "a/*" },
                { "a/b/x", "a/b/*" },
                { "a/b/x/y", NULL },
                { "a/c/x", NULL },
                { "b", NULL },
        };
        const Decl *found;
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                found = decl_set_template_of(*state, rows[i].name);
                if (!rows[i].pattern != !found ||
                    (found && strcmp(found->name, rows[i].pattern) != 0))
                        fail_msg("%s is of %s", rows[i].name, found ? found->name : "none");
        }
}

static void test_template_is_found_by_its_own_name_and_is_no_region(void **state) {
        const DeclSet *set = *state;

        assert_int_equal(set->n_templates, 4);
        assert_int_equal(set->n_decls, 1);
        assert_null(decl_set_find(set, "session/*"));
        assert_null(decl_set_find_template(set, "session/a"));
        assert_string_equal(decl_set_find_template(set, "a/b/*")->name, "a/b/*");
        assert_null(decl_set_find(set, "session/main")->template);
}

static void test_template_says_what_a_creator_may_choose(void **state) {
        const Decl *session = decl_set_find_template(*state, "session/*");
        const Decl *ring = decl_set_find_template(*state, "a/b/*");
        const Decl *queue = decl_set_find_template(*state, "a/*");
        const Decl *fixed = decl_set_find_template(*state, "fixed/*");

        assert_false(decl_template_admits(session, 4095));
        assert_true(decl_template_admits(session, 4096));
        assert_true(decl_template_admits(session, 16 << 20));
        assert_false(decl_template_admits(session, (16 << 20) + 1));
        assert_false(decl_template_admits(ring, 8));
        assert_true(decl_template_admits(ring, 4096));
        /* items of 48 bytes in so many bytes, a power of two of them */
        assert_int_equal(decl_extent(&queue->template->least), 1024);
        assert_int_equal(decl_extent(&queue->geometry), 1 << 20);
        /* a segment that the smallest can have too */
        assert_int_equal(queue->geometry.segment, 4096);
        assert_true(decl_template_admits(fixed, 3));
        assert_false(decl_template_admits(fixed, 2));
        assert_false(decl_template_admits(fixed, 0));

        assert_true(session->template->ttl_ns == UINT64_C(3600000000000));
        assert_true(session->template->max_age_ns == 0);
        assert_true(ring->template->ttl_ns == 0);
        assert_true(ring->template->max_age_ns == UINT64_C(86400000000000));
}

static void test_region_of_a_template_is_a_declaration(void **state) {
        const Decl *session = decl_set_find_template(*state, "session/*");
        Decl *decl = NULL;

        assert_int_equal(decl_from_template(session, "session/a", 8192, &decl), 0);
        assert_string_equal(decl->name, "session/a");
        assert_string_equal(decl->template->name, "session/*");
        assert_int_equal(decl->geometry.region_size, 8192);
        assert_int_equal(decl->lifetime, SHMB_LIFETIME_ON_DEMAND);
        assert_true(decl->linger_ns == session->template->ttl_ns);
        assert_int_equal(decl->origin.line, session->origin.line);
        assert_int_equal(decl->access[DECL_RIGHT_CREATE].rules[0].uid_first, 1001);
        assert_int_equal(decl->access[DECL_RIGHT_REMOVE].n_rules, 1);
        assert_int_equal(decl->access[SHMB_ROLE_READ].n_rules, 1);
        assert_int_equal(decl->access[SHMB_ROLE_WRITE].n_rules, 0);
        decl_free(decl);
}

static void test_region_that_cannot_be_laid_out_is_refused(void **state) {
        const Decl *ring = decl_set_find_template(*state, "a/b/*");
        Decl *decl = NULL;

        assert_int_equal(decl_from_template(ring, "a/b/x", 24, &decl), DECL_E_INVALID);
        assert_int_equal(decl_from_template(ring, "a/b/x", 0, &decl), DECL_E_INVALID);
        assert_null(decl);
        assert_int_equal(decl_from_template(ring, "a/b/x", 32, &decl), 0);
        assert_int_equal(decl->geometry.capacity, 32);
        assert_int_equal(decl->backing, SHMB_BACKING_MEMFD);
        decl_free(decl);
}

static void test_copy_of_a_template_is_equal_until_it_is_changed(void **state) {
        const Decl *session = decl_set_find_template(*state, "session/*");
        Decl *copy = decl_dup(session), *region = NULL;

        assert_true(decl_equal(session, copy));
        copy->template->ttl_ns++;
        assert_false(decl_equal(session, copy));
        copy->template->ttl_ns--;
        copy->template->max_age_ns++;
        assert_false(decl_equal(session, copy));
        copy->template->max_age_ns--;
        copy->template->least.region_size++;
        assert_false(decl_equal(session, copy));
        copy->template->least.region_size--;
        assert_true(decl_equal(session, copy));
        copy->access[DECL_RIGHT_REMOVE].rules[0].uid_first++;
        assert_false(decl_equal(session, copy));
        decl_free(copy);

        /* one that was declared is never one that was created */
        assert_int_equal(decl_from_template(session, "session/a", 4096, &region), 0);
        copy = decl_dup(region);
        copy->template = decl_template_free(copy->template);
        assert_false(decl_equal(region, copy));
        decl_free(copy);
        decl_free(region);
}

static void test_rules_are_shown_with_the_rights_behind_the_roles(void **state) {
        char access[DECL_ACCESS_TEXT_MAX];

        decl_access_to_string(decl_set_find_template(*state, "session/*"), access,
                              sizeof(access));
        assert_string_equal(access, "read: any; create: user:alice; remove: any");
}

static void test_set_takes_so_many_templates(void **state) {
        DeclSet *set = NULL;
        char name[32];
        Decl *decl;
        int i;

        assert_int_equal(decl_set_new(0, &set), 0);
        for (i = 0; i <= DECL_TEMPLATES_MAX; i++) {
                snprintf(name, sizeof(name), "x%d/*", i);
                assert_int_equal(decl_new(name, &decl), 0);
                decl->template = decl_template_new(name);
                assert_int_equal(decl_set_add_template(set, decl),
                                 i < DECL_TEMPLATES_MAX ? 0 : -E2BIG);
        }
        decl_free(decl);
        for (i = 0; i < DECL_TEMPLATES_MAX; i++) {
                snprintf(name, sizeof(name), "x%d/y", i);
                assert_non_null(decl_set_template_of(set, name));
        }
        decl_set_free(set);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_star_is_one_part_of_a_name),
                cmocka_unit_test(test_template_is_found_by_its_own_name_and_is_no_region),
                cmocka_unit_test(test_template_says_what_a_creator_may_choose),
                cmocka_unit_test(test_region_of_a_template_is_a_declaration),
                cmocka_unit_test(test_region_that_cannot_be_laid_out_is_refused),
                cmocka_unit_test(test_copy_of_a_template_is_equal_until_it_is_changed),
                cmocka_unit_test(test_rules_are_shown_with_the_rights_behind_the_roles),
                cmocka_unit_test(test_set_takes_so_many_templates),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
