/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Policy: default deny, every kind of rule from both sides, and nobody is special but by the admin
 * socket.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "config/decl.h"
#include "daemon/core/policy.h"
#include "protocol/limits.h"

enum {
        UID_SENSORS = 998,
        GID_ANALYTICS = 2000,
        GID_OPS = 3000,
};

static int look_up_user(void *data, const char *name, uint32_t *ret_uid) {
        if (strcmp(name, "sensors") != 0)
                return DECL_E_UNKNOWN;
        *ret_uid = UID_SENSORS;
        return 0;
}

static int look_up_group(void *data, const char *name, uint32_t *ret_gid) {
        if (strcmp(name, "analytics") == 0)
                *ret_gid = GID_ANALYTICS;
        else if (strcmp(name, "ops") == 0)
                *ret_gid = GID_OPS;
        else
                return DECL_E_UNKNOWN;
        return 0;
}

/* The region of DESIGN 6: produce by user and unit, consume by group, observe by group. */
static DeclSet *new_set(void) {
        static const DeclLookup lookup = { .user = look_up_user, .group = look_up_group };
        DeclErrors errors = {};
        DeclSet *set = NULL;
        Decl *decl = NULL;

        assert_int_equal(decl_set_new(0, &set), 0);
        assert_int_equal(decl_new("telemetry/imu", &decl), 0);
        decl->geometry.kind = SHMB_KIND_RING;
        assert_int_equal(decl_allow(decl, SHMB_ROLE_PRODUCE, "user:sensors", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_PRODUCE, "unit:imu.service", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_CONSUME, "group:analytics", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_OBSERVE, "group:ops", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_OBSERVE, "uid:1000-1999", NULL, NULL), 0);
        assert_int_equal(decl_set_add(set, decl), 0);
        assert_int_equal(decl_set_resolve(set, &lookup, &errors), 0);
        decl_errors_deinit(&errors);
        return set;
}

static int setup(void **state) {
        *state = new_set();
        return 0;
}

static int teardown(void **state) {
        decl_set_free(*state);
        return 0;
}

static const Decl *imu(void **state) {
        return decl_set_find(*state, "telemetry/imu");
}

static void check(const Decl *decl, const PolicyIdentity *identity, ShmbRole role,
                  const char *rule_text) {
        const DeclRule *rule = (const DeclRule *)decl, *untouched = rule;
        int r = policy_check(decl, role, identity, &rule);

        if (rule_text) {
                assert_int_equal(r, 0);
                assert_string_equal(rule->text, rule_text);
        } else {
                assert_int_equal(r, POLICY_E_DENIED);
                assert_ptr_equal(rule, untouched);
        }
}

static void test_user_rule_admits_its_uid_alone(void **state) {
        const Decl *decl = imu(state);

        check(decl, &(PolicyIdentity){ .uid = UID_SENSORS }, SHMB_ROLE_PRODUCE, "user:sensors");
        check(decl, &(PolicyIdentity){ .uid = UID_SENSORS - 1 }, SHMB_ROLE_PRODUCE, NULL);
        check(decl, &(PolicyIdentity){ .uid = UID_SENSORS + 1 }, SHMB_ROLE_PRODUCE, NULL);
        check(decl, &(PolicyIdentity){ .uid = UID_SENSORS }, SHMB_ROLE_CONSUME, NULL);
}

static void test_group_rule_admits_primary_and_supplementary_groups(void **state) {
        static const uint32_t only[] = { GID_ANALYTICS };
        static const uint32_t first[] = { GID_ANALYTICS, GID_ANALYTICS + 1, 9999 };
        static const uint32_t last[] = { 1, 5, GID_ANALYTICS };
        static const uint32_t none[] = { 1, GID_ANALYTICS - 1, GID_ANALYTICS + 1, 9999 };
        const Decl *decl = imu(state);

        check(decl, &(PolicyIdentity){ .uid = 1, .gids = only, .n_gids = 1 }, SHMB_ROLE_CONSUME,
              "group:analytics");
        check(decl, &(PolicyIdentity){ .uid = 1, .gids = first, .n_gids = 3 }, SHMB_ROLE_CONSUME,
              "group:analytics");
        check(decl, &(PolicyIdentity){ .uid = 1, .gids = last, .n_gids = 3 }, SHMB_ROLE_CONSUME,
              "group:analytics");
        check(decl, &(PolicyIdentity){ .uid = 1, .gids = none, .n_gids = 4 }, SHMB_ROLE_CONSUME,
              NULL);
        check(decl, &(PolicyIdentity){ .uid = GID_ANALYTICS }, SHMB_ROLE_CONSUME, NULL);
}

static void test_each_of_many_groups_is_found(void **state) {
        static uint32_t gids[POLICY_GROUPS_MAX];
        const Decl *decl = imu(state);
        uint32_t i, first;

        for (first = GID_ANALYTICS - 700; first <= GID_ANALYTICS; first += 7) {
                for (i = 0; i < 701; i++)
                        gids[i] = first + i;
                check(decl, &(PolicyIdentity){ .uid = 1, .gids = gids, .n_gids = 701 },
                      SHMB_ROLE_CONSUME, "group:analytics");
        }
        for (i = 0; i < POLICY_GROUPS_MAX; i++)
                gids[i] = GID_OPS + 1 + i;
        check(decl, &(PolicyIdentity){ .uid = 1, .gids = gids, .n_gids = POLICY_GROUPS_MAX },
              SHMB_ROLE_CONSUME, NULL);
}

static void test_uid_range_has_both_its_ends(void **state) {
        const Decl *decl = imu(state);

        check(decl, &(PolicyIdentity){ .uid = 999 }, SHMB_ROLE_OBSERVE, NULL);
        check(decl, &(PolicyIdentity){ .uid = 1000 }, SHMB_ROLE_OBSERVE, "uid:1000-1999");
        check(decl, &(PolicyIdentity){ .uid = 1999 }, SHMB_ROLE_OBSERVE, "uid:1000-1999");
        check(decl, &(PolicyIdentity){ .uid = 2000 }, SHMB_ROLE_OBSERVE, NULL);
}

static void test_unit_rule_admits_a_known_unit_of_this_very_name(void **state) {
        const Decl *decl = imu(state);

        check(decl, &(PolicyIdentity){ .uid = 1, .unit = "imu.service" }, SHMB_ROLE_PRODUCE,
              "unit:imu.service");
        check(decl, &(PolicyIdentity){ .uid = 1, .unit = NULL }, SHMB_ROLE_PRODUCE, NULL);
        check(decl, &(PolicyIdentity){ .uid = 1, .unit = "" }, SHMB_ROLE_PRODUCE, NULL);
        check(decl, &(PolicyIdentity){ .uid = 1, .unit = "imu.servic" }, SHMB_ROLE_PRODUCE, NULL);
        check(decl, &(PolicyIdentity){ .uid = 1, .unit = "imu.service2" }, SHMB_ROLE_PRODUCE,
              NULL);
        check(decl, &(PolicyIdentity){ .uid = 1, .unit = "unit:imu.service" }, SHMB_ROLE_PRODUCE,
              NULL);
}

static void test_root_is_nobody_special(void **state) {
        static const uint32_t gids[] = { 0 };
        const Decl *decl = imu(state);
        ShmbRole role;

        for (role = SHMB_ROLE_NONE; role <= _SHMB_ROLE_N; role++)
                check(decl, &(PolicyIdentity){ .uid = 0, .gids = gids, .n_gids = 1 }, role, NULL);
}

static void test_admin_socket_opens_every_role_without_a_rule(void **state) {
        PolicyIdentity admin = { .uid = 1234, .admin = true };
        const DeclRule *rule = (const DeclRule *)state;
        ShmbRole role;

        for (role = SHMB_ROLE_NONE + 1; role < _SHMB_ROLE_N; role++) {
                assert_int_equal(policy_check(imu(state), role, &admin, &rule), 0);
                assert_null(rule);
        }
        assert_int_equal(policy_check(imu(state), SHMB_ROLE_NONE, &admin, NULL), POLICY_E_DENIED);
        assert_int_equal(policy_check(imu(state), _SHMB_ROLE_N, &admin, NULL), POLICY_E_DENIED);
        assert_int_equal(policy_check(imu(state), (ShmbRole)-1, &admin, NULL), POLICY_E_DENIED);
}

static void test_any_admits_everybody_to_its_role_alone(void **state) {
        Decl *decl = NULL;

        assert_int_equal(decl_new("open", &decl), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "any", NULL, NULL), 0);
        check(decl, &(PolicyIdentity){ .uid = 0 }, SHMB_ROLE_READ, "any");
        check(decl, &(PolicyIdentity){ .uid = 65534 }, SHMB_ROLE_READ, "any");
        check(decl, &(PolicyIdentity){ .uid = 0 }, SHMB_ROLE_WRITE, NULL);
        decl_free(decl);
}

static void test_rule_that_was_not_resolved_admits_nobody(void **state) {
        static const uint32_t gids[] = { 0, DECL_ID_NONE };
        Decl *decl = NULL;

        assert_int_equal(decl_new("unresolved", &decl), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "user:sensors", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "group:ops", NULL, NULL), 0);
        check(decl, &(PolicyIdentity){ .uid = 0, .gids = gids, .n_gids = 2 }, SHMB_ROLE_READ,
              NULL);
        check(decl, &(PolicyIdentity){ .uid = DECL_ID_NONE, .gids = gids, .n_gids = 2 },
              SHMB_ROLE_READ, NULL);
        decl_free(decl);
}

static void test_region_is_seen_by_who_has_a_role_of_it(void **state) {
        static const uint32_t ops[] = { GID_OPS };
        const Decl *decl = imu(state);

        assert_true(policy_any_role(decl, &(PolicyIdentity){ .uid = UID_SENSORS }));
        assert_true(policy_any_role(decl, &(PolicyIdentity){ .uid = 1, .gids = ops,
                                                             .n_gids = 1 }));
        assert_true(policy_any_role(decl, &(PolicyIdentity){ .uid = 1, .admin = true }));
        assert_false(policy_any_role(decl, &(PolicyIdentity){ .uid = 0 }));
}

static void test_unit_is_asked_for_only_where_a_rule_needs_it(void **state) {
        Decl *decl = NULL;

        assert_true(policy_needs_unit(imu(state)));
        assert_int_equal(decl_new("plain", &decl), 0);
        assert_false(policy_needs_unit(decl));
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "user:unit", NULL, NULL), 0);
        assert_false(policy_needs_unit(decl));
        decl_free(decl);
}

static void test_denial_says_who_and_what_and_to_insiders_whom_else(void **state) {
        char sentence[SHMB_SENTENCE_MAX + 1];

        policy_format_denial(imu(state), SHMB_ROLE_CONSUME, &(PolicyIdentity){ .uid = 1000 },
                             sentence, sizeof(sentence));
        assert_string_equal(sentence, "uid 1000 may not consume in telemetry/imu: no rule of its "
                                      "`access: consume:` fits; they are group:analytics");
        policy_format_denial(imu(state), SHMB_ROLE_CONSUME, &(PolicyIdentity){ .uid = 0 },
                             sentence, sizeof(sentence));
        assert_non_null(strstr(sentence, "uid 0 may not consume in telemetry/imu"));
        assert_null(strstr(sentence, "analytics"));
        policy_format_denial(imu(state), SHMB_ROLE_READ, &(PolicyIdentity){ .uid = 0 }, sentence,
                             sizeof(sentence));
        assert_non_null(strstr(sentence, "nobody may, because its `access:` has no `read:`"));
        policy_format_denial(imu(state), 77, &(PolicyIdentity){ .uid = 0 }, sentence,
                             sizeof(sentence));
        assert_string_equal(sentence, "no region has a role of number 77");
}

static void test_denial_leaves_out_rules_that_do_not_fit_and_says_so(void **state) {
        char sentence[SHMB_SENTENCE_MAX + 1], tail[4], rule[32];
        Decl *decl = NULL;
        size_t size;
        int i;

        assert_int_equal(decl_new("crowded", &decl), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_OBSERVE, "any", NULL, NULL), 0);
        for (i = 0; i < DECL_RULES_MAX; i++) {
                snprintf(rule, sizeof(rule), "uid:%d", 100000 + i);
                assert_int_equal(decl_allow(decl, SHMB_ROLE_CONSUME, rule, NULL, NULL), 0);
        }
        policy_format_denial(decl, SHMB_ROLE_CONSUME, &(PolicyIdentity){ .uid = 1 }, sentence,
                             sizeof(sentence));
        strcpy(tail, sentence + strlen(sentence) - 3);
        assert_string_equal(tail, "...");
        assert_string_equal(strrchr(sentence, ','), ", ...");

        /* At any size it stays inside and is terminated. */
        for (size = 1; size < sizeof(sentence); size++) {
                memset(sentence, '#', sizeof(sentence));
                policy_format_denial(decl, SHMB_ROLE_CONSUME, &(PolicyIdentity){ .uid = 1 },
                                     sentence, size);
                assert_true(strlen(sentence) < size);
                assert_int_equal(sentence[size], '#');
        }
        decl_free(decl);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_user_rule_admits_its_uid_alone),
                TEST(test_group_rule_admits_primary_and_supplementary_groups),
                TEST(test_each_of_many_groups_is_found),
                TEST(test_uid_range_has_both_its_ends),
                TEST(test_unit_rule_admits_a_known_unit_of_this_very_name),
                TEST(test_root_is_nobody_special),
                TEST(test_admin_socket_opens_every_role_without_a_rule),
                TEST(test_any_admits_everybody_to_its_role_alone),
                TEST(test_rule_that_was_not_resolved_admits_nobody),
                TEST(test_region_is_seen_by_who_has_a_role_of_it),
                TEST(test_unit_is_asked_for_only_where_a_rule_needs_it),
                TEST(test_denial_says_who_and_what_and_to_insiders_whom_else),
                TEST(test_denial_leaves_out_rules_that_do_not_fit_and_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
