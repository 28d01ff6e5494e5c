/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dynamic regions: who gets what he wants to create, who may remove it, and when it has to go.
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

#include "daemon/core/dynamic.h"
#include "daemon/core/lease.h"

enum {
        MEMBER = 1000, /* may create and remove */
        STRANGER = 1001,
        TTL_NS = 50,
        MAX_AGE_NS = 500,
};

typedef struct Fixture {
        DeadlineQueue deadlines;
        Quota quota;
        Registry registry;
        DeclSet *set;
        char sentence[SHMB_SENTENCE_MAX + 1];
} Fixture;

static const PolicyIdentity member = { .uid = MEMBER }, stranger = { .uid = STRANGER };

static Decl *add_template(DeclSet *set, const char *name, ShmbGeometry most, uint64_t least) {
        Decl *decl = NULL;

        assert_int_equal(decl_new(name, &decl), 0);
        decl->geometry = most;
        decl->backing = SHMB_BACKING_POSIX;
        decl->template = decl_template_new(name);
        decl->template->least = most;
        if (most.kind == SHMB_KIND_RAW)
                decl->template->least.region_size = least;
        else
                decl->template->least.capacity = least;
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        assert_int_equal(shmb_geometry_seal(&decl->template->least), 0);
        assert_int_equal(decl_allow(decl, DECL_RIGHT_CREATE, "uid:1000", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, DECL_RIGHT_REMOVE, "uid:1000", NULL, NULL), 0);
        assert_int_equal(decl_allow(decl, SHMB_ROLE_READ, "any", NULL, NULL), 0);
        assert_int_equal(decl_set_add_template(set, decl), 0);
        return decl;
}

static Decl *template_of(Fixture *fixture, const char *pattern) {
        return (Decl *)decl_set_find_template(fixture->set, pattern);
}

static int setup(void **state) {
        const ShmbGeometry raw = { .kind = SHMB_KIND_RAW, .region_size = 65536 };
        const ShmbGeometry ring = { .kind = SHMB_KIND_RING, .n_lanes = 1, .n_seats = 1,
                                    .item_size = 64, .item_align = 8, .capacity = 256 };
        Fixture *fixture = calloc(1, sizeof(*fixture));

        deadline_queue_init(&fixture->deadlines);
        quota_init(&fixture->quota, &(DeclLimits){ .leases_per_uid = 1000, .regions_per_uid = 2,
                                                   .bytes_total = 1 });
        registry_init(&fixture->registry, &fixture->deadlines, &fixture->quota, 1, 1);
        assert_int_equal(decl_set_new(0, &fixture->set), 0);
        add_template(fixture->set, "own/*", raw, 4096);
        add_template(fixture->set, "ttl/*", raw, 4096)->template->ttl_ns = TTL_NS;
        add_template(fixture->set, "aged/*", raw, 4096)->template->max_age_ns = MAX_AGE_NS;
        add_template(fixture->set, "ring/*", ring, 16);
        add_template(fixture->set, "fixed/*", raw, 65536);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        assert_true(registry_check(&fixture->registry));
        registry_deinit(&fixture->registry);
        decl_set_free(fixture->set);
        deadline_queue_deinit(&fixture->deadlines);
        quota_deinit(&fixture->quota);
        free(fixture);
        return 0;
}

static int judge(Fixture *fixture, const DynamicWant *want, const PolicyIdentity *identity,
                 Decl **ret_decl) {
        return dynamic_judge_create(fixture->set, &fixture->registry, want, identity, ret_decl,
                                    fixture->sentence, sizeof(fixture->sentence));
}

/* A region of a template, LIVE, of which @client (or nobody) is the creator. */
static Region *make(Fixture *fixture, const char *name, LeaseClient *client, uint64_t now_ns) {
        const Decl *template = decl_set_template_of(fixture->set, name);
        RegionCreation creation = { .uid = MEMBER, .request = 7, .since_ns = now_ns };
        Region *region = NULL;
        Decl *decl = NULL;
        int charged = -1;

        assert_int_equal(decl_from_template(template, name, decl_extent(&template->geometry),
                                            &decl),
                         0);
        assert_int_equal(registry_add(&fixture->registry, decl, &region), 0);
        memcpy(creation.client, "0123456789abcdef", SHMB_UUID_SIZE);
        assert_int_equal(dynamic_begin(region, &creation, &charged), 0);
        assert_int_equal(charged, 0);
        if (client)
                dynamic_set_creator(region, client, now_ns);
        assert_int_equal(region_begin(region, 1, 0), 0);
        region_go_live(region, now_ns);
        return region;
}

static void unmake(Fixture *fixture, Region *region) {
        region_retire(region);
        registry_remove(&fixture->registry, region);
}

static void test_create_is_judged_in_order(void **state) {
        static const struct {
                DynamicWant want;
                const PolicyIdentity *identity;
                int code;
                const char *says;
        } rows[] = {
                { { .name = "x/a" }, &member, DYNAMIC_E_NO_TEMPLATE, "no template" },
                { { .name = "own" }, &member, DYNAMIC_E_NO_TEMPLATE, "no template" },
                /* a stranger learns nothing but that he may not */
                { { .name = "own/there" }, &stranger, DYNAMIC_E_DENIED, "may not create own/*" },
                { { .name = "own/a" }, &stranger, DYNAMIC_E_DENIED, "may not create own/*" },
                { { .name = "own/there", .exclusive = true }, &member, DYNAMIC_E_EXISTS, "there" },
                { { .name = "own/there" }, &member, DYNAMIC_E_THERE, "" },
                { { .name = "own/there", .region_size = 65536 }, &member, DYNAMIC_E_THERE, "" },
                { { .name = "own/there", .region_size = 4096 }, &member, DYNAMIC_E_MISMATCH,
                  "size is 65536 here" },
                { { .name = "own/there", .capacity = 4096 }, &member, DYNAMIC_E_MISMATCH,
                  "capacity is 0 here" },
                { { .name = "own/there", .kind = SHMB_KIND_RING }, &member, DYNAMIC_E_MISMATCH,
                  "kind is raw here" },
                { { .name = "own/there", .kind = 4711 }, &member, DYNAMIC_E_MISMATCH, "newer" },
                { { .name = "own/a", .kind = SHMB_KIND_RING, .region_size = 4096 }, &member,
                  DYNAMIC_E_MISMATCH, "kind is raw here" },
                { { .name = "own/a", .capacity = 16 }, &member, DYNAMIC_E_MISMATCH,
                  "has no capacity" },
                { { .name = "ring/a", .region_size = 4096 }, &member, DYNAMIC_E_MISMATCH,
                  "has no size" },
                { { .name = "own/a" }, &member, DYNAMIC_E_SIZE, "say its size" },
                { { .name = "own/a", .region_size = 4095 }, &member, DYNAMIC_E_SIZE, "4096" },
                { { .name = "own/a", .region_size = UINT64_MAX }, &member, DYNAMIC_E_SIZE,
                  "65536" },
                { { .name = "ring/a", .capacity = 24 }, &member, DYNAMIC_E_SIZE, "power of two" },
                { { .name = "fixed/a", .region_size = 4096 }, &member, DYNAMIC_E_SIZE,
                  "expected 65536" },
        };
        Fixture *fixture = *state;
        Region *there = make(fixture, "own/there", NULL, 1);
        Decl *decl = NULL;
        size_t i;
        int r;

        for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                r = judge(fixture, &rows[i].want, rows[i].identity, &decl);
                if (r != rows[i].code || !strstr(fixture->sentence, rows[i].says))
                        fail_msg("row %zu: %d, %s", i, r, fixture->sentence);
                assert_null(decl);
        }
        unmake(fixture, there);
}

static void test_create_gives_a_declaration(void **state) {
        const DynamicWant raw = { .name = "ttl/a", .region_size = 8192, .exclusive = true };
        const DynamicWant ring = { .name = "ring/a", .capacity = 32, .kind = SHMB_KIND_RING };
        const DynamicWant fixed = { .name = "fixed/a" };
        Fixture *fixture = *state;
        Decl *decl = NULL;

        assert_int_equal(judge(fixture, &raw, &member, &decl), 0);
        assert_string_equal(decl->name, "ttl/a");
        assert_int_equal(decl->geometry.region_size, 8192);
        assert_int_equal(decl->linger_ns, TTL_NS);
        decl_free(decl);
        assert_int_equal(judge(fixture, &ring, &member, &decl), 0);
        assert_int_equal(decl->geometry.capacity, 32);
        decl_free(decl);
        /* where there is no choice none need be made */
        assert_int_equal(judge(fixture, &fixed, &(PolicyIdentity){ .admin = true }, &decl), 0);
        assert_int_equal(decl->geometry.region_size, 65536);
        decl_free(decl);
}

static void test_lost_region_is_created_anew(void **state) {
        const DynamicWant want = { .name = "own/a", .region_size = 4096, .exclusive = true };
        Fixture *fixture = *state;
        Region *region = make(fixture, "own/a", NULL, 1);
        Decl *decl = NULL;

        assert_int_equal(judge(fixture, &want, &member, &decl), DYNAMIC_E_EXISTS);
        region_lose(region);
        assert_int_equal(judge(fixture, &want, &member, &decl), 0);
        decl_free(decl);
        unmake(fixture, region);
}

static void test_remove_wants_a_rule_and_a_region_that_was_created(void **state) {
        Fixture *fixture = *state;
        Region *created = make(fixture, "own/a", NULL, 1), *declared = NULL;
        char *sentence = fixture->sentence;
        size_t size = sizeof(fixture->sentence);
        Decl *decl = NULL;

        assert_int_equal(decl_new("own/declared", &decl), 0);
        assert_int_equal(registry_add(&fixture->registry, decl, &declared), 0);
        assert_int_equal(dynamic_judge_remove(created, "own/a", &member, sentence, size), 0);
        assert_int_equal(dynamic_judge_remove(created, "own/a", &stranger, sentence, size),
                         DYNAMIC_E_DENIED);
        assert_non_null(strstr(sentence, "may not remove own/a"));
        assert_int_equal(dynamic_judge_remove(NULL, "own/b", &member, sentence, size),
                         DYNAMIC_E_NO_REGION);
        assert_int_equal(dynamic_judge_remove(declared, "own/declared",
                                              &(PolicyIdentity){ .admin = true }, sentence, size),
                         DYNAMIC_E_DECLARED);
        registry_remove(&fixture->registry, declared);
        unmake(fixture, created);
}

static void test_region_is_on_its_creators_account(void **state) {
        const RegionCreation creation = { .uid = MEMBER };
        Fixture *fixture = *state;
        Region *a = make(fixture, "own/a", NULL, 1), *b = make(fixture, "own/b", NULL, 1);
        Region *third = NULL;
        Decl *decl = NULL;
        int charged = 0;

        assert_int_equal(decl_from_template(template_of(fixture, "own/*"), "own/c", 4096, &decl),
                         0);
        assert_int_equal(registry_add(&fixture->registry, decl, &third), 0);
        assert_int_equal(dynamic_begin(third, &creation, &charged), 0);
        assert_int_equal(charged, QUOTA_E_UID);
        registry_remove(&fixture->registry, third);
        assert_int_equal(quota_used(&fixture->quota, MEMBER, QUOTA_REGIONS), 2);
        unmake(fixture, a);
        assert_int_equal(quota_used(&fixture->quota, MEMBER, QUOTA_REGIONS), 1);
        unmake(fixture, b);
        assert_int_equal(quota_used(&fixture->quota, MEMBER, QUOTA_REGIONS), 0);
}

static void test_ttl_counts_from_creation_and_from_the_last_lease(void **state) {
        Fixture *fixture = *state;
        LeaseClient creator = { .uid = MEMBER }, reader = { .uid = STRANGER };
        Region *region = make(fixture, "ttl/a", &creator, 100);
        LeaseEffects effects;
        Lease *lease;

        /* for all that its creator is there */
        assert_int_equal(region->linger.at_ns, 100 + TTL_NS);
        assert_int_equal(lease_grant(&fixture->registry, region, &reader, SHMB_ROLE_READ, 120,
                                     &lease, &effects),
                         0);
        assert_true(region->linger.at_ns == DEADLINE_NEVER);
        /* and when he goes time is not counted anew */
        lease_end(&fixture->registry, lease, LEASE_END_DETACH, 200, &effects);
        assert_int_equal(region->linger.at_ns, 200 + TTL_NS);
        dynamic_set_creator(region, NULL, 230);
        assert_int_equal(region->linger.at_ns, 200 + TTL_NS);
        unmake(fixture, region);
}

static void test_without_ttl_the_creator_keeps_it(void **state) {
        Fixture *fixture = *state;
        LeaseClient creator = { .uid = MEMBER }, other = { .uid = MEMBER };
        LeaseClient reader = { .uid = STRANGER };
        Region *a = make(fixture, "own/a", &creator, 100);
        Region *b = make(fixture, "own/b", &creator, 100);
        LeaseEffects effects;
        Lease *lease;

        assert_true(a->linger.at_ns == DEADLINE_NEVER && dynamic_is_owned(a));
        assert_int_equal(lease_grant(&fixture->registry, b, &reader, SHMB_ROLE_READ, 120, &lease,
                                     &effects),
                         0);
        /* it comes back on another connection, and ends */
        dynamic_move(&creator, &other);
        assert_null(creator.created);
        assert_true(a->creator == &other && b->creator == &other);
        assert_true(a->linger.at_ns == DEADLINE_NEVER);
        while (other.created)
                dynamic_set_creator(other.created, NULL, 130);
        assert_int_equal(a->linger.at_ns, 130);
        assert_true(b->linger.at_ns == DEADLINE_NEVER);
        lease_end(&fixture->registry, lease, LEASE_END_DETACH, 140, &effects);
        assert_int_equal(b->linger.at_ns, 140);
        assert_true(registry_check(&fixture->registry));
        unmake(fixture, a);
        unmake(fixture, b);
}

static void test_what_an_administrator_made_is_kept(void **state) {
        Fixture *fixture = *state;
        Region *region = make(fixture, "own/a", NULL, 100);

        assert_int_equal(region->linger.at_ns, 100);
        region->creation.kept = true;
        region_update_linger(region, 110);
        assert_true(region->linger.at_ns == DEADLINE_NEVER);
        assert_true(dynamic_is_owned(region));
        /* with a ttl it is as any other */
        region->decl->template->ttl_ns = region->decl->linger_ns = TTL_NS;
        region_update_linger(region, 120);
        assert_int_equal(region->linger.at_ns, 120 + TTL_NS);
        unmake(fixture, region);
}

static void test_max_age_counts_from_creation_whoever_holds_it(void **state) {
        Fixture *fixture = *state;
        LeaseClient creator = { .uid = MEMBER }, reader = { .uid = STRANGER };
        Region *region = make(fixture, "aged/a", &creator, 100);
        LeaseEffects effects;
        Lease *lease;

        assert_int_equal(region->age.at_ns, 100 + MAX_AGE_NS);
        assert_int_equal(lease_grant(&fixture->registry, region, &reader, SHMB_ROLE_READ, 120,
                                     &lease, &effects),
                         0);
        assert_int_equal(region->age.at_ns, 100 + MAX_AGE_NS);
        registry_depart(&fixture->registry, region, SHMB_REGION_STALE);
        assert_true(region->age.at_ns == DEADLINE_NEVER);
        registry_return(&fixture->registry, region, SHMB_REGION_LIVE, 300);
        assert_int_equal(region->age.at_ns, 100 + MAX_AGE_NS);
        lease_end(&fixture->registry, lease, LEASE_END_DETACH, 400, &effects);
        assert_int_equal(region->age.at_ns, 100 + MAX_AGE_NS);
        unmake(fixture, region);

        region = make(fixture, "own/a", &creator, 100);
        assert_true(region->age.at_ns == DEADLINE_NEVER);
        unmake(fixture, region);
}

static void test_create_is_known_by_client_and_number(void **state) {
        Fixture *fixture = *state;
        Region *region = make(fixture, "own/a", NULL, 1);
        LeaseClient client = { .uid = MEMBER };

        memcpy(client.uuid, "0123456789abcdef", SHMB_UUID_SIZE);
        assert_true(dynamic_was_created_by(region, &client, 7));
        assert_false(dynamic_was_created_by(region, &client, 8));
        client.uid = STRANGER;
        assert_false(dynamic_was_created_by(region, &client, 7));
        client.uid = MEMBER;
        client.uuid[15]++;
        assert_false(dynamic_was_created_by(region, &client, 7));
        unmake(fixture, region);
}

static void expect_successor(Fixture *fixture, const Region *region, bool there) {
        Decl *decl = NULL;

        assert_int_equal(dynamic_succeed(fixture->set, region->decl, &decl), 0);
        if (!there != !decl)
                fail_msg("%s goes %s", region->decl->name, decl ? "on" : "away");
        decl_free(decl);
}

static void test_region_goes_on_while_a_template_has_its_shape(void **state) {
        Fixture *fixture = *state;
        Region *region = make(fixture, "ttl/a", NULL, 1);
        Decl *template = template_of(fixture, "ttl/*"), *decl = NULL;

        expect_successor(fixture, region, true);
        /* it is what it is, whatever the bounds are now */
        template->template->least.region_size = template->geometry.region_size = 4096;
        expect_successor(fixture, region, true);
        template->template->ttl_ns = 99;
        assert_int_equal(dynamic_succeed(fixture->set, region->decl, &decl), 0);
        assert_int_equal(decl->linger_ns, 99);
        assert_int_equal(decl->geometry.region_size, 65536);
        decl_free(decl);

        template->backing = SHMB_BACKING_MEMFD;
        expect_successor(fixture, region, false);
        template->backing = SHMB_BACKING_POSIX;
        expect_successor(fixture, region, true);
        /* somebody declares one of its name */
        assert_int_equal(decl_new("ttl/a", &decl), 0);
        assert_int_equal(decl_set_add(fixture->set, decl), 0);
        expect_successor(fixture, region, false);
        unmake(fixture, region);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_create_is_judged_in_order),
                TEST(test_create_gives_a_declaration),
                TEST(test_lost_region_is_created_anew),
                TEST(test_remove_wants_a_rule_and_a_region_that_was_created),
                TEST(test_region_is_on_its_creators_account),
                TEST(test_ttl_counts_from_creation_and_from_the_last_lease),
                TEST(test_without_ttl_the_creator_keeps_it),
                TEST(test_what_an_administrator_made_is_kept),
                TEST(test_max_age_counts_from_creation_whoever_holds_it),
                TEST(test_create_is_known_by_client_and_number),
                TEST(test_region_goes_on_while_a_template_has_its_shape),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
