/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Declarations: rules of access, sets in order, what is the same and what is not, what it costs.
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

#include "config/cost.h"
#include "config/decl.h"
#include "tests/unit/config-world.h"

static Decl *make_raw(const char *name, uint64_t size) {
        Decl *decl = NULL;

        assert_int_equal(decl_new(name, &decl), 0);
        decl->geometry = (ShmbGeometry){.kind = SHMB_KIND_RAW, .region_size = size};
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        decl->backing = SHMB_BACKING_POSIX;
        decl->lifetime = SHMB_LIFETIME_STATIC;
        return decl;
}

static Decl *make_ring(const char *name) {
        Decl *decl = NULL;

        assert_int_equal(decl_new(name, &decl), 0);
        decl->geometry = (ShmbGeometry){
                .kind = SHMB_KIND_RING,
                .n_lanes = 1,
                .n_seats = 1,
                .item_size = 64,
                .item_align = 8,
                .capacity = 64,
        };
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        decl->backing = SHMB_BACKING_MEMFD;
        decl->overflow = SHMB_OVERFLOW_BLOCK;
        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = 1;
        decl->description = strdup("a ring");
        decl->type = strdup("sample/1");
        decl->origin = (DeclOrigin){strdup("x.yaml"), 3, 4};
        assert_int_equal(decl_allow(decl, SHMB_ROLE_PRODUCE, "user:sensors",
                                    &(DeclOrigin){(char *)"x.yaml", 5, 6}, NULL),
                         0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_CONSUME, "any", NULL, NULL), 0);
        return decl;
}

static void test_rule_keeps_its_text_and_its_numbers(void **state) {
        Decl *decl = make_raw("a", 1);
        const DeclRule *rule;

        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "uid:1000-1999",
                                    &(DeclOrigin){(char *)"f", 7, 8}, NULL),
                         0);
        rule = &decl->access[SHMB_ROLE_READ].rules[0];
        assert_int_equal(rule->type, DECL_RULE_UID);
        assert_string_equal(rule->text, "uid:1000-1999");
        assert_int_equal(rule->uid_first, 1000);
        assert_int_equal(rule->uid_last, 1999);
        assert_int_equal(rule->gid, DECL_ID_NONE);
        assert_string_equal(rule->origin.file, "f");
        assert_int_equal(rule->origin.line, 7);
        assert_int_equal(decl->access[SHMB_ROLE_WRITE].n_rules, 0);

        decl_free(decl);
}

static void test_root_is_a_user_like_any_other(void **state) {
        Decl *decl = make_raw("a", 1);

        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "uid:0", NULL, NULL), 0);
        assert_int_equal(decl->access[SHMB_ROLE_READ].rules[0].uid_first, 0);
        assert_int_equal(decl->access[SHMB_ROLE_READ].rules[0].uid_last, 0);
        decl_free(decl);
}

static void test_text_that_is_no_rule_is_refused_with_a_reason(void **state) {
        static const char *const texts[] = {
                "", "ANY", "any ", "root", "user:", "user:a b", "user:a,b", "user:-a", "user:12",
                "user:a/b", "user:a:b", "group:", "group:7", "gid:7", "uid:", "uid:-1", "uid:x",
                "uid:1x", "uid:01", "uid:2-1", "uid:1-", "uid:-", "uid:4294967295", "uid:65534",
                "uid:65535", "uid:65534-65535", "uid:1-65534", "uid:65535-70000", "uid:4294967296",
                "uid:70000-4294967295", "unit:", "unit:.service", "unit:a", "unit:a.socket",
                "unit:a@.service", "unit:a b.service", "unit:../a.service",
        };
        Decl *decl = make_raw("a", 1);

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                const char *fault = NULL;

                if (decl_allow(decl, SHMB_ROLE_READ, texts[i], NULL, &fault) != DECL_E_INVALID)
                        fail_msg("'%s' was taken for a rule", texts[i]);
                assert_non_null(fault);
        }

        assert_int_equal(decl->access[SHMB_ROLE_READ].n_rules, 0);
        decl_free(decl);
}

static void test_role_has_64_rules_at_most(void **state) {
        Decl *decl = make_raw("a", 1);

        for (size_t i = 0; i < DECL_RULES_MAX; i++)
                assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "any", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "any", NULL, NULL), -E2BIG);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_WRITE, "any", NULL, NULL), 0);
        decl_free(decl);
}

static void test_copy_is_equal_and_owns_all_it_has(void **state) {
        Decl *decl = make_ring("a"), *copy = decl_dup(decl);

        assert_non_null(copy);
        assert_true(decl_equal(decl, copy));
        assert_ptr_not_equal(copy->origin.file, decl->origin.file);
        assert_ptr_not_equal(copy->access[SHMB_ROLE_PRODUCE].rules,
                             decl->access[SHMB_ROLE_PRODUCE].rules);
        decl_free(decl);

        assert_string_equal(copy->origin.file, "x.yaml");
        assert_int_equal(copy->origin.column, 4);
        assert_string_equal(copy->access[SHMB_ROLE_PRODUCE].rules[0].origin.file, "x.yaml");
        assert_string_equal(copy->type, "sample/1");
        decl_free(copy);
}

typedef void (*Change)(Decl *decl);

static void change_text(char **text, const char *to) {
        free(*text);
        *text = to ? strdup(to) : NULL;
}

static void change_nothing(Decl *decl) {
}
static void change_origin(Decl *decl) {
        decl->origin.line++;
        change_text(&decl->origin.file, "elsewhere");
}
static void change_description(Decl *decl) {
        change_text(&decl->description, NULL);
}
static void change_linger(Decl *decl) {
        decl->linger_ns++;
}
static void change_lifetime(Decl *decl) {
        decl->lifetime = SHMB_LIFETIME_PERSISTENT;
}
static void change_overflow(Decl *decl) {
        decl->overflow = SHMB_OVERFLOW_FAIL;
}
static void change_access(Decl *decl) {
        assert_int_equal(decl_allow(decl, SHMB_ROLE_OBSERVE, "any", NULL, NULL), 0);
}
static void change_resolved(Decl *decl) {
        decl->access[SHMB_ROLE_PRODUCE].rules[0].uid_first++;
}
static void change_type(Decl *decl) {
        change_text(&decl->type, "sample/2");
}
static void change_backing(Decl *decl) {
        decl->backing = SHMB_BACKING_POSIX;
}
static void change_capacity(Decl *decl) {
        decl->geometry.capacity *= 2;
}
static void change_item(Decl *decl) {
        decl->geometry.item_size--;
}
static void change_posix_name(Decl *decl) {
        change_text(&decl->posix_name, "fixed");
}
static void change_name(Decl *decl) {
        change_text(&decl->name, "b");
}

static void test_shape_is_what_objects_depend_on_and_the_rest_only_differs(void **state) {
        static const struct {
                Change change;
                bool equal, same_shape;
        } cases[] = {
                {change_nothing, true, true},        {change_origin, true, true},
                {change_description, false, true},   {change_linger, false, true},
                {change_lifetime, false, true},      {change_overflow, false, true},
                {change_access, false, true},        {change_resolved, false, true},
                {change_type, false, false},         {change_backing, false, false},
                {change_capacity, false, false},     {change_item, false, false},
                {change_posix_name, false, false},   {change_name, false, false},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                Decl *a = make_ring("a"), *b = make_ring("a");

                cases[i].change(b);
                if (decl_equal(a, b) != cases[i].equal || decl_equal(b, a) != cases[i].equal ||
                    decl_same_shape(a, b) != cases[i].same_shape ||
                    decl_same_shape(b, a) != cases[i].same_shape)
                        fail_msg("case %zu", i);
                decl_free(a);
                decl_free(b);
        }
}

static void test_size_is_that_of_all_objects(void **state) {
        Decl *raw = make_raw("a", 5), *ring = make_ring("b");

        /* control and data; control, lane (a page and 64 slots of 64 bytes) and seat */
        assert_int_equal(decl_n_objects(raw), 2);
        assert_int_equal(decl_size_bytes(raw),
                         shmb_geometry_object_size(&raw->geometry, SHMB_OBJECT_CONTROL) +
                                 shmb_geometry_object_size(&raw->geometry, SHMB_OBJECT_DATA));
        assert_int_equal(decl_n_objects(ring), 3);
        assert_int_equal(decl_size_bytes(ring),
                         shmb_geometry_object_size(&ring->geometry, SHMB_OBJECT_CONTROL) +
                                 shmb_geometry_object_size(&ring->geometry, SHMB_OBJECT_LANE) +
                                 shmb_geometry_object_size(&ring->geometry, SHMB_OBJECT_SEAT));
        assert_true(decl_size_bytes(ring) >= 4096 + 64 * 64);

        decl_free(raw);
        decl_free(ring);
}

static void test_roles_belong_to_kinds(void **state) {
        for (ShmbKind kind = SHMB_KIND_RAW; kind < _SHMB_KIND_N; kind++) {
                bool raw = kind == SHMB_KIND_RAW;

                assert_int_equal(decl_has_role(kind, SHMB_ROLE_READ), raw);
                assert_int_equal(decl_has_role(kind, SHMB_ROLE_WRITE), raw);
                assert_int_equal(decl_has_role(kind, SHMB_ROLE_PRODUCE), !raw);
                assert_int_equal(decl_has_role(kind, SHMB_ROLE_CONSUME), !raw);
                assert_int_equal(decl_has_role(kind, SHMB_ROLE_OBSERVE), !raw);
                assert_false(decl_has_role(kind, SHMB_ROLE_NONE));
        }
        assert_false(decl_has_role(SHMB_KIND_NONE, SHMB_ROLE_OBSERVE));
}

static void test_access_is_shown_as_declared(void **state) {
        char buffer[DECL_ACCESS_TEXT_MAX];
        Decl *decl = make_ring("a"), *nobody = make_raw("b", 1);

        assert_int_equal(decl_allow(decl, SHMB_ROLE_PRODUCE, "unit:imu.service", NULL, NULL), 0);
        decl_access_to_string(decl, buffer, sizeof(buffer));
        assert_string_equal(buffer, "produce: user:sensors, unit:imu.service; consume: any");

        decl_access_to_string(nobody, buffer, sizeof(buffer));
        assert_string_equal(buffer, "nobody");

        decl_free(nobody);
        decl_free(decl);
}

static void test_access_that_does_not_fit_ends_at_a_rule(void **state) {
        static const char whole[] = "produce: user:sensors; consume: any";
        Decl *decl = make_ring("a");

        for (size_t size = 1; size <= sizeof(whole) + 8; size++) {
                char *buffer = malloc(size);

                assert_non_null(buffer);
                decl_access_to_string(decl, buffer, size);
                assert_true(strlen(buffer) < size);
                if (size >= sizeof(whole) - 1 + sizeof(", ..."))
                        assert_string_equal(buffer, whole);
                else if (size > strlen("produce: user:sensors, ...") + 1)
                        assert_string_equal(buffer, "produce: user:sensors, ...");
                free(buffer);
        }

        decl_free(decl);
}

static void test_set_is_in_order_and_has_each_name_once(void **state) {
        static const char *const names[] = {"m", "a", "z", "a/b", "a-b"};
        DeclSet *set = NULL;
        Decl *again;

        assert_int_equal(decl_set_new(0, &set), 0);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(decl_set_add(set, make_raw(names[i], i + 1)), 0);

        again = make_raw("a/b", 9);
        assert_int_equal(decl_set_add(set, again), DECL_E_EXISTS);
        decl_free(again);

        assert_int_equal(set->n_decls, 5);
        for (size_t i = 1; i < 5; i++)
                assert_true(strcmp(set->decls[i - 1]->name, set->decls[i]->name) < 0);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(decl_set_find(set, names[i])->geometry.region_size, i + 1);
        assert_null(decl_set_find(set, "b"));
        assert_null(decl_set_find(set, ""));

        decl_set_free(set);
}

static void test_set_has_16384_regions_at_most(void **state) {
        DeclSet *set = NULL;
        Decl *more;
        char name[16];

        assert_int_equal(decl_set_new(0, &set), 0);
        for (unsigned i = 0; i < DECL_REGIONS_MAX; i++) {
                snprintf(name, sizeof(name), "%05u", i);
                assert_int_equal(decl_set_add(set, make_raw(name, 1)), 0);
        }

        more = make_raw("more", 1);
        assert_int_equal(decl_set_add(set, more), -E2BIG);
        assert_int_equal(set->n_decls, DECL_REGIONS_MAX);
        decl_free(more);
        decl_set_free(set);
}

static void test_resolve_fills_in_numbers_and_says_who_is_unknown(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclLookup lookup = world_lookup();
        DeclSet *set = NULL;
        Decl *decl = make_ring("a");

        assert_int_equal(decl_set_new(0, &set), 0);
        assert_int_equal(decl_set_add(set, decl), 0);
        assert_int_equal(decl->access[SHMB_ROLE_PRODUCE].rules[0].uid_first, DECL_ID_NONE);
        assert_int_equal(decl_set_resolve(set, &lookup, &errors), 0);
        assert_int_equal(decl->access[SHMB_ROLE_PRODUCE].rules[0].uid_first, 1000);
        assert_int_equal(decl->access[SHMB_ROLE_PRODUCE].rules[0].uid_last, 1000);

        assert_int_equal(decl_allow(decl, SHMB_ROLE_PRODUCE, "group:sensors", NULL, NULL), 0);
        assert_int_equal(decl_set_resolve(set, &lookup, &errors), DECL_E_INVALID);
        assert_int_equal(errors.n_errors, 1);
        assert_string_equal(errors.errors[0].key, "access.produce");
        assert_int_equal(decl->access[SHMB_ROLE_PRODUCE].rules[1].gid, DECL_ID_NONE);

        decl_errors_deinit(&errors);
        decl_set_free(set);
}

static void test_cost_adds_up_and_does_not_wrap(void **state) {
        DeclSet *set = NULL;
        Decl *huge[2];
        DeclCost cost;

        assert_int_equal(decl_set_new(0, &set), 0);
        assert_int_equal(decl_set_add(set, make_ring("a")), 0);
        assert_int_equal(decl_set_add(set, make_raw("b", 4096)), 0);

        cost = decl_cost_of(set);
        assert_int_equal(cost.n_regions, 2);
        assert_int_equal(cost.n_regions_by_backing[SHMB_BACKING_POSIX], 1);
        assert_int_equal(cost.n_bytes_by_backing[SHMB_BACKING_MEMFD],
                         decl_size_bytes(set->decls[0]));
        assert_int_equal(cost.n_bytes,
                         decl_size_bytes(set->decls[0]) + decl_size_bytes(set->decls[1]));
        assert_int_equal(cost.n_bytes_permanent, decl_size_bytes(set->decls[1]));
        assert_int_equal(cost.n_objects, 5);
        assert_int_equal(cost.n_fds, 3);
        assert_int_equal(cost.n_fds_attach, 3);

        for (size_t i = 0; i < 2; i++) {
                huge[i] = make_raw(i ? "d" : "c", 1);
                huge[i]->geometry.region_size = UINT64_MAX / 2;
                assert_int_equal(decl_set_add(set, huge[i]), 0);
        }
        assert_int_equal(decl_cost_of(set).n_bytes, UINT64_MAX);

        decl_set_free(set);
}

static void test_errors_are_bounded_counted_and_said_once(void **state) {
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclOrigin origin = {(char *)"f", 1, 1};

        assert_int_equal(decl_errors_status(&errors), 0);
        for (uint32_t i = 0; i < DECL_ERRORS_MAX + 7; i++) {
                origin.line = DECL_ERRORS_MAX + 7 - i;
                decl_errors_add(&errors, &origin, "key", "is wrong");
                decl_errors_add(&errors, &origin, "key", "is wrong");
        }
        assert_int_equal(errors.n_errors, DECL_ERRORS_MAX);
        assert_true(errors.n_dropped >= 7);
        assert_int_equal(decl_errors_status(&errors), DECL_E_INVALID);

        decl_errors_sort(&errors);
        for (size_t i = 1; i < errors.n_errors; i++)
                assert_true(errors.errors[i - 1].origin.line < errors.errors[i].origin.line);

        decl_errors_deinit(&errors);
        assert_int_equal(decl_errors_status(&errors), 0);
}

static void test_error_is_one_line_of_text_whatever_is_in_it(void **state) {
        static const struct {
                DeclOrigin origin;
                const char *key, *line;
        } cases[] = {
                {{(char *)"f", 3, 4}, "k", "f:3:4: k: it's wrong"},
                {{(char *)"f", 3, 0}, NULL, "f:3: it's wrong"},
                {{(char *)"f", 0, 0}, NULL, "f: it's wrong"},
                {{NULL, 0, 0}, "k", "k: it's wrong"},
                {{(char *)"a\nb\x1b", 1, 1}, NULL, "a\\x0ab\\x1b:1:1: it's wrong"},
        };
        char line[DECL_ERROR_LINE_MAX];

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                DeclErrors errors = DECL_ERRORS_NULL;

                decl_errors_add(&errors, &cases[i].origin, cases[i].key, "it's wrong");
                decl_error_format(&errors.errors[0], line, sizeof(line));
                assert_string_equal(line, cases[i].line);
                decl_error_format(&errors.errors[0], line, 5);
                assert_int_equal(strlen(line), 4);
                decl_errors_deinit(&errors);
        }
}

static void test_quotes_are_printable_and_short(void **state) {
        char buffer[DECL_QUOTE_MAX], text[256];

        assert_string_equal(decl_quote(buffer, "a b", 3), "'a b'");
        assert_string_equal(decl_quote(buffer, "", 0), "''");
        assert_string_equal(decl_quote(buffer, "\0\x1b%n\xff", 5), "'\\x00\\x1b%n\\xff'");

        for (int c = 1; c < 256; c += 30)
                for (size_t n = 0; n < sizeof(text); n++) {
                        memset(text, c, sizeof(text));
                        decl_quote(buffer, text, n);
                        assert_true(strlen(buffer) < DECL_QUOTE_MAX);
                        assert_int_equal(buffer[strlen(buffer) - 1], '\'');
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rule_keeps_its_text_and_its_numbers),
                cmocka_unit_test(test_root_is_a_user_like_any_other),
                cmocka_unit_test(test_text_that_is_no_rule_is_refused_with_a_reason),
                cmocka_unit_test(test_role_has_64_rules_at_most),
                cmocka_unit_test(test_copy_is_equal_and_owns_all_it_has),
                cmocka_unit_test(test_shape_is_what_objects_depend_on_and_the_rest_only_differs),
                cmocka_unit_test(test_size_is_that_of_all_objects),
                cmocka_unit_test(test_roles_belong_to_kinds),
                cmocka_unit_test(test_access_is_shown_as_declared),
                cmocka_unit_test(test_access_that_does_not_fit_ends_at_a_rule),
                cmocka_unit_test(test_set_is_in_order_and_has_each_name_once),
                cmocka_unit_test(test_set_has_16384_regions_at_most),
                cmocka_unit_test(test_resolve_fills_in_numbers_and_says_who_is_unknown),
                cmocka_unit_test(test_cost_adds_up_and_does_not_wrap),
                cmocka_unit_test(test_errors_are_bounded_counted_and_said_once),
                cmocka_unit_test(test_error_is_one_line_of_text_whatever_is_in_it),
                cmocka_unit_test(test_quotes_are_printable_and_short),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
