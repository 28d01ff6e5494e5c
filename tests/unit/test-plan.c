/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plan: every region of either set has its steps, in the order in which they can be done, and what
 * cannot be done live is refused with a sentence.
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
#include "daemon/core/plan.h"
#include "tests/harness/fault.h"

FAULT_MEMORY(calloc, (size_t n, size_t size), (n, size))

static DeclSet *set_new(void) {
        DeclSet *set = NULL;

        assert_int_equal(decl_set_new(0, &set), 0);
        return set;
}

/* A ring of the set, to be changed by the test. */
static Decl *ring(DeclSet *set, const char *name) {
        Decl *decl = NULL;

        assert_int_equal(decl_new(name, &decl), 0);
        decl->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = 64,
                .item_align = 8,
                .capacity = 4096,
        };
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        decl->backing = SHMB_BACKING_POSIX;
        decl->overflow = SHMB_OVERFLOW_BLOCK;
        decl->lifetime = SHMB_LIFETIME_STATIC;
        assert_int_equal(decl_allow(decl, SHMB_ROLE_CONSUME, "uid:1000", NULL, NULL), 0);
        assert_int_equal(decl_set_add(set, decl), 0);
        return decl;
}

static Plan *plan(const DeclSet *old, const DeclSet *new) {
        Plan *made = NULL;

        assert_int_equal(plan_new(old, new, &made), 0);
        return made;
}

static void expect_line(const Plan *made, size_t i, const char *expected) {
        char line[PLAN_LINE_MAX + 1];

        assert_true(i < made->n_steps);
        plan_step_format(made, &made->steps[i], line, sizeof(line));
        assert_string_equal(line, expected);
}

static void test_first_configuration_is_added_in_order_of_name(void **state) {
        DeclSet *new = set_new();
        Plan *made;
        char expected[128];

        ring(new, "b");
        ring(new, "a/x");
        made = plan(NULL, new);
        assert_int_equal(made->n_steps, 2);
        assert_int_equal(made->n_actions[PLAN_ADD], 2);
        snprintf(expected, sizeof(expected), "add a/x: ring, posix, %llu bytes",
                 (unsigned long long)decl_size_bytes(new->decls[0]));
        expect_line(made, 0, expected);
        assert_ptr_equal(made->steps[1].new, decl_set_find(new, "b"));
        assert_null(made->steps[1].old);
        assert_false(plan_is_empty(made));
        assert_null(plan_free(made));
        decl_set_free(new);
}

static void test_same_configuration_is_an_empty_plan(void **state) {
        DeclSet *old = set_new(), *new = set_new();
        Plan *made;

        ring(old, "a");
        ring(new, "a");
        /* Another line of another file is no change. */
        new->decls[0]->origin.line = 77;
        made = plan(old, new);
        assert_true(plan_is_empty(made));
        assert_int_equal(made->n_steps, 1);
        expect_line(made, 0, "keep a");
        plan_free(made);

        made = plan(NULL, set_new());
        assert_true(plan_is_empty(made));
        decl_set_free((DeclSet *)made->new);
        plan_free(made);
        decl_set_free(old);
        decl_set_free(new);
}

static void test_what_goes_comes_before_what_comes(void **state) {
        static const char *const expected[] = {
                "limits: leases per uid 1024 -> 7",
                "remove z",
                "reshape shape: capacity 4096 -> 8192",
                "add a",
                "change meta: lifetime static -> persistent",
                "change meta-access: description",
                "access access: consume: any",
                "access meta-access: consume: uid:1000; observe: any",
                "keep keep",
        };
        DeclSet *old = set_new(), *new = set_new();
        char line[PLAN_LINE_MAX + 1];
        Decl *decl;
        Plan *made;
        size_t i;

        ring(old, "z");
        ring(old, "shape");
        ring(old, "meta");
        ring(old, "access");
        ring(old, "meta-access");
        ring(old, "keep");

        ring(new, "keep");
        ring(new, "a");
        ring(new, "shape")->geometry.capacity = 8192;
        ring(new, "meta")->lifetime = SHMB_LIFETIME_PERSISTENT;
        decl = ring(new, "access");
        free(decl->access[SHMB_ROLE_CONSUME].rules[0].text);
        decl->access[SHMB_ROLE_CONSUME].n_rules = 0;
        assert_int_equal(decl_allow(decl, SHMB_ROLE_CONSUME, "any", NULL, NULL), 0);
        decl = ring(new, "meta-access");
        decl->description = strdup("said now");
        assert_int_equal(decl_allow(decl, SHMB_ROLE_OBSERVE, "any", NULL, NULL), 0);
        new->limits.leases_per_uid = 7;

        made = plan(old, new);
        assert_int_equal(made->n_steps, sizeof(expected) / sizeof(*expected));
        for (i = 0; i < made->n_steps; i++) {
                plan_step_format(made, &made->steps[i], line, sizeof(line));
                if (made->steps[i].action == PLAN_ADD || made->steps[i].action == PLAN_REMOVE)
                        *strchr(line, ':') = '\0';
                assert_string_equal(line, expected[i]);
                assert_int_equal(made->steps[i].old != NULL,
                                 made->steps[i].action != PLAN_ADD &&
                                                     made->steps[i].action !=
                                                                         PLAN_CHANGE_LIMITS);
        }
        plan_free(made);
        decl_set_free(old);
        decl_set_free(new);
}

static Decl *template_of(DeclSet *set, const char *name) {
        Decl *decl = NULL;

        assert_int_equal(decl_new(name, &decl), 0);
        decl->geometry = (ShmbGeometry){ .kind = SHMB_KIND_RAW, .region_size = 65536 };
        decl->backing = SHMB_BACKING_POSIX;
        decl->template = decl_template_new(name);
        decl->template->least = decl->geometry;
        decl->template->least.region_size = 4096;
        decl->template->ttl_ns = 10;
        assert_int_equal(decl_allow(decl, DECL_RIGHT_CREATE, "uid:1000", NULL, NULL), 0);
        assert_int_equal(decl_set_add_template(set, decl), 0);
        return decl;
}

static void test_templates_have_steps_of_their_own(void **state) {
        DeclSet *old = set_new(), *new = set_new();
        char added[128];
        Decl *decl;
        Plan *made;

        template_of(old, "goes/*");
        template_of(old, "changes/*");
        template_of(old, "opens/*");
        template_of(old, "stays/*");
        template_of(new, "stays/*");
        decl = template_of(new, "comes/*");
        snprintf(added, sizeof(added), "add comes/*: template of raw, posix, %llu to %llu bytes",
                 (unsigned long long)decl_size_bytes(decl) - 65536 + 4096,
                 (unsigned long long)decl_size_bytes(decl));
        decl = template_of(new, "changes/*");
        decl->geometry.region_size = 131072;
        decl->template->least.region_size = 8192;
        decl->template->ttl_ns = 20;
        decl->template->max_age_ns = 30;
        decl = template_of(new, "opens/*");
        assert_int_equal(decl_allow(decl, DECL_RIGHT_REMOVE, "any", NULL, NULL), 0);

        made = plan(old, new);
        assert_int_equal(made->n_steps, 4);
        assert_int_equal(made->n_actions[PLAN_REMOVE_TEMPLATE], 1);
        assert_non_null(made->steps[0].old);
        assert_null(made->steps[0].new);
        expect_line(made, 1, added);
        expect_line(made, 2, "change changes/*: size 65536 -> 131072, least 4096 -> 8192, "
                             "ttl ns 10 -> 20, max_age ns 0 -> 30");
        expect_line(made, 3, "change opens/*: create: uid:1000; remove: any");
        assert_false(plan_is_empty(made));
        plan_free(made);

        /* what stays needs nothing to be done */
        made = plan(old, old);
        assert_true(plan_is_empty(made));
        plan_free(made);
        decl_set_free(old);
        decl_set_free(new);
}

static void test_user_with_another_number_is_a_change_of_access(void **state) {
        DeclSet *old = set_new(), *new = set_new();
        DeclRule *rule;
        Plan *made;

        ring(old, "a");
        ring(new, "a");
        rule = &new->decls[0]->access[SHMB_ROLE_CONSUME].rules[0];
        rule->uid_first = rule->uid_last = 1001;
        made = plan(old, new);
        assert_int_equal(made->n_actions[PLAN_CHANGE_ACCESS], 1);
        assert_int_equal(made->n_steps, 1);
        plan_free(made);
        decl_set_free(old);
        decl_set_free(new);
}

static void change_backing(Decl *decl) {
        decl->backing = SHMB_BACKING_MEMFD;
}

static void change_type(Decl *decl) {
        decl->type = strdup("imu/3");
}

static void change_lanes(Decl *decl) {
        decl->geometry.n_lanes = 2;
}

static void change_seats(Decl *decl) {
        decl->geometry.n_seats = 2;
}

static void change_item(Decl *decl) {
        decl->geometry.item_size = 32;
        decl->geometry.stride = 32;
}

static void change_align(Decl *decl) {
        decl->geometry.item_align = 16;
}

static void test_each_part_of_the_shape_makes_other_objects(void **state) {
        static const struct {
                void (*change)(Decl *decl);
                const char *line;
        } cases[] = {
                { change_backing, "reshape a: backing posix -> memfd" },
                { change_type, "reshape a: type none -> imu/3" },
                { change_lanes, "reshape a: producers 1 -> 2" },
                { change_seats, "reshape a: consumers 1 -> 2" },
                { change_item, "reshape a: item size 64 -> 32" },
                { change_align, "reshape a: item align 8 -> 16" },
        };
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                DeclSet *old = set_new(), *new = set_new();
                Plan *made;

                ring(old, "a");
                cases[i].change(ring(new, "a"));
                made = plan(old, new);
                assert_int_equal(made->n_steps, 1);
                expect_line(made, 0, cases[i].line);
                plan_free(made);
                decl_set_free(old);
                decl_set_free(new);
        }
}

static void test_longest_names_fit_their_line(void **state) {
        DeclSet *old = set_new(), *new = set_new();
        char name[SHMB_NAME_MAX + 1], line[PLAN_LINE_MAX + 1];
        Decl *decl;
        Plan *made;

        memset(name, 'n', SHMB_NAME_MAX);
        name[SHMB_NAME_MAX] = '\0';
        decl = ring(old, name);
        decl->type = calloc(1, SHMB_TYPE_MAX + 1);
        memset(decl->type, 't', SHMB_TYPE_MAX);
        decl = ring(new, name);
        decl->type = calloc(1, SHMB_TYPE_MAX + 1);
        memset(decl->type, 'u', SHMB_TYPE_MAX);
        decl->geometry.capacity = 8192;

        made = plan(old, new);
        plan_step_format(made, &made->steps[0], line, sizeof(line));
        assert_non_null(strstr(line, name));
        assert_non_null(strstr(line, "type t"));
        plan_free(made);
        decl_set_free(old);
        decl_set_free(new);
}

static void test_want_of_memory_leaves_no_plan(void **state) {
        DeclSet *new = set_new();
        Plan *made = NULL;
        unsigned nth;
        int r;

        ring(new, "a");
        for (nth = 1; nth < 10; nth++) {
                fault_arm(nth, ENOMEM);
                r = plan_new(NULL, new, &made);
                if (!fault_disarm())
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_null(made);
        }
        assert_int_equal(r, 0);
        assert_int_equal(nth, 3);
        plan_free(made);
        decl_set_free(new);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_configuration_is_added_in_order_of_name),
                cmocka_unit_test(test_same_configuration_is_an_empty_plan),
                cmocka_unit_test(test_what_goes_comes_before_what_comes),
                cmocka_unit_test(test_templates_have_steps_of_their_own),
                cmocka_unit_test(test_user_with_another_number_is_a_change_of_access),
                cmocka_unit_test(test_each_part_of_the_shape_makes_other_objects),
                cmocka_unit_test(test_longest_names_fit_their_line),
                cmocka_unit_test(test_want_of_memory_leaves_no_plan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
