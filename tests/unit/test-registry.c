/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Regions: names, object tables, states; every test ends with the invariants of registry.h.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/core/lease.h"
#include "daemon/core/registry.h"

typedef struct Fixture {
        DeadlineQueue deadlines;
        Quota quota;
        Registry registry;
} Fixture;

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        deadline_queue_init(&fixture->deadlines);
        quota_init(&fixture->quota, &(DeclLimits){ .leases_per_uid = 1000, .bytes_total = 1 });
        registry_init(&fixture->registry, &fixture->deadlines, &fixture->quota, 1, 1);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        assert_true(registry_check(&fixture->registry));
        registry_deinit(&fixture->registry);
        deadline_queue_deinit(&fixture->deadlines);
        quota_deinit(&fixture->quota);
        free(fixture);
        return 0;
}

static Decl *declare(const char *name, ShmbKind kind, uint32_t n_lanes, uint32_t n_seats) {
        Decl *decl = calloc(1, sizeof(*decl));

        decl->name = strdup(name);
        decl->geometry.kind = kind;
        decl->backing = SHMB_BACKING_POSIX;
        decl->lifetime = SHMB_LIFETIME_STATIC;
        if (kind == SHMB_KIND_RAW) {
                decl->geometry.region_size = 8192;
        } else {
                decl->geometry.n_lanes = n_lanes;
                decl->geometry.n_seats = n_seats;
                decl->geometry.item_size = 64;
                decl->geometry.item_align = 8;
                decl->geometry.capacity = 64;
        }
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        return decl;
}

static Region *add(Registry *registry, Decl *decl) {
        Region *region = NULL;

        assert_int_equal(registry_add(registry, decl, &region), 0);
        return region;
}

static void test_registry_finds_names_whatever_order_they_came_in(void **state) {
        Fixture *fixture = *state;
        static const char *const names[] = { "m", "a/b", "z", "a", "m-1", "a/a" };
        static const char *const sorted[] = { "a", "a/a", "a/b", "m", "m-1", "z" };
        const char *after = NULL;
        Region *region;
        size_t i;

        for (i = 0; i < 6; i++)
                add(&fixture->registry, declare(names[i], SHMB_KIND_RAW, 0, 0));
        for (i = 0; i < 6; i++) {
                assert_string_equal(registry_find(&fixture->registry, names[i])->decl->name,
                                    names[i]);
                region = registry_after(&fixture->registry, after);
                assert_string_equal(region->decl->name, sorted[i]);
                after = sorted[i];
        }
        assert_null(registry_after(&fixture->registry, "z"));
        assert_null(registry_find(&fixture->registry, "a/"));
        /* paging goes on behind a name that has left meanwhile */
        assert_string_equal(registry_after(&fixture->registry, "b")->decl->name, "m");
}

static void test_registry_add_refuses_a_name_twice_and_keeps_the_first(void **state) {
        Fixture *fixture = *state;
        Region *first, *second = NULL;
        Decl *decl = declare("one", SHMB_KIND_RAW, 0, 0);

        first = add(&fixture->registry, declare("one", SHMB_KIND_RAW, 0, 0));
        assert_int_equal(registry_add(&fixture->registry, decl, &second), REGISTRY_E_EXISTS);
        assert_null(second);
        assert_ptr_equal(registry_find(&fixture->registry, "one"), first);
        assert_int_equal(fixture->registry.n_regions, 1);
        decl_free(decl);
}

static void test_region_begin_lays_out_control_lanes_seats_and_the_group(void **state) {
        Fixture *fixture = *state;
        Region *region = add(&fixture->registry, declare("r", SHMB_KIND_RING, 2, 3));
        static const ShmbObjectKind kinds[] = {
                SHMB_OBJECT_CONTROL, SHMB_OBJECT_LANE, SHMB_OBJECT_LANE,
                SHMB_OBJECT_SEAT, SHMB_OBJECT_SEAT, SHMB_OBJECT_SEAT, SHMB_OBJECT_GROUP,
        };
        size_t i;

        assert_int_equal(region_begin(region, 0x1234, 0), 0);
        assert_int_equal(region->state, SHMB_REGION_DECLARED);
        assert_int_equal(region->n_objects, 7);
        for (i = 0; i < 7; i++) {
                assert_int_equal(region->objects[i].kind, kinds[i]);
                assert_true(region->objects[i].size_bytes > 0);
                assert_int_equal(region->objects[i].epoch, 1);
                assert_int_equal(region->objects[i].fd, -1);
        }
        assert_int_equal(region->objects[2].index, 1);
        assert_int_equal(region->objects[5].index, 2);
        assert_ptr_equal(region_object(region, SHMB_OBJECT_SEAT, 2), &region->objects[5]);
        assert_null(region_object(region, SHMB_OBJECT_SEAT, 3));
        assert_null(region_object(region, SHMB_OBJECT_DATA, 0));
        assert_ptr_equal(region_party_object(region,
                                             region_party(region, SHMB_ROLE_CONSUME, 0)),
                         &region->objects[3]);
        assert_ptr_equal(region_party_object(region, region_party(region, SHMB_ROLE_NONE, 0)),
                         &region->objects[6]);
        assert_true(fixture->registry.size_bytes == region_size_bytes(region));
}

static void test_region_of_raw_kind_has_data_and_no_parties(void **state) {
        Fixture *fixture = *state;
        Region *region = add(&fixture->registry, declare("raw", SHMB_KIND_RAW, 0, 0));

        assert_int_equal(region_begin(region, 1, 0), 0);
        assert_int_equal(region->n_objects, 2);
        assert_int_equal(region->objects[0].kind, SHMB_OBJECT_CONTROL);
        assert_int_equal(region->objects[1].kind, SHMB_OBJECT_DATA);
        assert_true(region->objects[1].size_bytes == 8192);
        assert_int_equal(region->n_parties, 0);
        assert_null(region_party(region, SHMB_ROLE_WRITE, 0));
}

static void test_region_generations_grow_and_are_not_reused(void **state) {
        Fixture *fixture = *state;
        Region *region = add(&fixture->registry, declare("r", SHMB_KIND_RING, 1, 1));
        uint64_t first;

        assert_int_equal(region_begin(region, 1, 0), 0);
        first = region->generation;
        region_go_live(region, 5);
        assert_int_equal(fixture->registry.n_live, 1);
        region_retire(region);
        assert_int_equal(region->state, SHMB_REGION_DECLARED);
        assert_int_equal(fixture->registry.n_live, 0);
        assert_int_equal(fixture->registry.size_bytes, 0);
        assert_null(region->objects);

        assert_int_equal(region_begin(region, 2, 0), 0);
        assert_true(region->generation > first);
}

static void test_region_on_demand_lingers_only_while_live_and_unused(void **state) {
        Fixture *fixture = *state;
        Decl *decl = declare("r", SHMB_KIND_RING, 1, 1);
        LeaseEffects effects = {};
        LeaseClient client = {};
        Region *region;
        Lease *lease;

        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = 30;
        region = add(&fixture->registry, decl);
        assert_int_equal(region_begin(region, 1, 0), 0);
        assert_true(deadline_queue_next(&fixture->deadlines) == DEADLINE_NEVER);

        region_go_live(region, 100);
        assert_true(deadline_queue_next(&fixture->deadlines) == 130);
        assert_int_equal(lease_grant(&fixture->registry, region, &client, SHMB_ROLE_OBSERVE, 110,
                                     &lease, &effects), 0);
        assert_true(deadline_queue_next(&fixture->deadlines) == DEADLINE_NEVER);
        lease_end(&fixture->registry, lease, LEASE_END_DETACH, 200, &effects);
        assert_true(effects.idle);
        assert_true(deadline_queue_next(&fixture->deadlines) == 230);
        region_lose(region);
        assert_true(deadline_queue_next(&fixture->deadlines) == DEADLINE_NEVER);
}

static void test_region_linger_that_overflows_the_clock_never_comes(void **state) {
        Fixture *fixture = *state;
        Decl *decl = declare("r", SHMB_KIND_RAW, 0, 0);
        Region *region;

        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = UINT64_MAX;
        region = add(&fixture->registry, decl);
        assert_int_equal(region_begin(region, 1, 0), 0);
        region_go_live(region, 100);
        assert_true(deadline_queue_next(&fixture->deadlines) == DEADLINE_NEVER);
}

static void test_registry_depart_frees_the_name_and_keeps_the_lease(void **state) {
        Fixture *fixture = *state;
        Region *old = add(&fixture->registry, declare("r", SHMB_KIND_RING, 1, 1)), *young;
        LeaseEffects effects = {};
        LeaseClient client = {};
        Lease *lease;

        assert_int_equal(region_begin(old, 1, 0), 0);
        region_go_live(old, 1);
        assert_int_equal(lease_grant(&fixture->registry, old, &client, SHMB_ROLE_PRODUCE, 2,
                                     &lease, &effects), 0);
        registry_depart(&fixture->registry, old, SHMB_REGION_STALE);
        assert_null(registry_find(&fixture->registry, "r"));
        young = add(&fixture->registry, declare("r", SHMB_KIND_RING, 2, 2));
        assert_ptr_equal(registry_find(&fixture->registry, "r"), young);

        assert_int_equal(lease_grant(&fixture->registry, old, &client, SHMB_ROLE_CONSUME, 3,
                                     &lease, &effects), LEASE_E_STATE);
        assert_ptr_equal(lease_find(&fixture->registry, 1)->region, old);
        assert_true(registry_check(&fixture->registry));

        lease_end(&fixture->registry, lease_find(&fixture->registry, 1), LEASE_END_DEATH, 4,
                  &effects);
        assert_true(effects.idle);
        assert_int_equal(old->state, SHMB_REGION_STALE);
        region_retire(old);
        registry_remove(&fixture->registry, old);
        assert_int_equal(fixture->registry.n_departed, 0);
}

static void test_registry_return_takes_a_departure_back(void **state) {
        Fixture *fixture = *state;
        Decl *decl = declare("b", SHMB_KIND_RING, 1, 1);
        Region *region;

        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = 5;
        add(&fixture->registry, declare("a", SHMB_KIND_RAW, 0, 0));
        region = add(&fixture->registry, decl);
        add(&fixture->registry, declare("c", SHMB_KIND_RAW, 0, 0));
        assert_int_equal(region_begin(region, 1, 0), 0);
        region_go_live(region, 10);

        registry_depart(&fixture->registry, region, SHMB_REGION_STALE);
        assert_null(registry_find(&fixture->registry, "b"));
        assert_int_equal(fixture->registry.n_live, 0);
        assert_true(region->linger.at_ns == DEADLINE_NEVER);

        registry_return(&fixture->registry, region, SHMB_REGION_LIVE, 20);
        assert_ptr_equal(registry_find(&fixture->registry, "b"), region);
        assert_ptr_equal(registry_after(&fixture->registry, "a"), region);
        assert_int_equal(fixture->registry.n_live, 1);
        assert_true(region->linger.at_ns == 25);
}

static void test_region_redeclare_keeps_objects_and_leases(void **state) {
        Fixture *fixture = *state;
        Region *region = add(&fixture->registry, declare("r", SHMB_KIND_RING, 1, 1));
        Decl *decl = declare("r", SHMB_KIND_RING, 1, 1);
        LeaseEffects effects = {};
        LeaseClient client = {};
        Lease *lease;

        assert_int_equal(region_begin(region, 7, 0), 0);
        region_go_live(region, 1);
        assert_int_equal(lease_grant(&fixture->registry, region, &client, SHMB_ROLE_PRODUCE, 2,
                                     &lease, &effects), 0);
        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        region_redeclare(region, decl, 3);
        assert_int_equal(region->tag, 7);
        assert_ptr_equal(region->leases, lease);
        assert_true(region->linger.at_ns == DEADLINE_NEVER);
        lease_end(&fixture->registry, lease, LEASE_END_DETACH, 4, &effects);
        assert_true(region->linger.at_ns == 4);
}

static void test_region_redeclare_does_not_put_an_end_off(void **state) {
        Fixture *fixture = *state;
        Region *region;
        Decl *decl = declare("r", SHMB_KIND_RAW, 0, 0);

        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = 10;
        region = add(&fixture->registry, decl);
        assert_int_equal(region_begin(region, 7, 0), 0);
        region_go_live(region, 1);
        region_redeclare(region, decl_dup(region->decl), 5);
        assert_true(region->linger.at_ns == 11);
        /* one that is another one is counted from now on */
        decl = decl_dup(region->decl);
        decl->linger_ns = 20;
        region_redeclare(region, decl, 6);
        assert_true(region->linger.at_ns == 26);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_registry_finds_names_whatever_order_they_came_in),
                TEST(test_registry_add_refuses_a_name_twice_and_keeps_the_first),
                TEST(test_region_begin_lays_out_control_lanes_seats_and_the_group),
                TEST(test_region_of_raw_kind_has_data_and_no_parties),
                TEST(test_region_generations_grow_and_are_not_reused),
                TEST(test_region_on_demand_lingers_only_while_live_and_unused),
                TEST(test_region_linger_that_overflows_the_clock_never_comes),
                TEST(test_registry_depart_frees_the_name_and_keeps_the_lease),
                TEST(test_registry_return_takes_a_departure_back),
                TEST(test_region_redeclare_keeps_objects_and_leases),
                TEST(test_region_redeclare_does_not_put_an_end_off),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
