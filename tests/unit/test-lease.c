/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases: who gets which lane or seat, what the daemon is told to do about it, and that nothing
 * else moves. The last test plays random sequences and holds the invariants of registry.h after
 * each step.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/core/lease.h"

typedef struct Fixture {
        DeadlineQueue deadlines;
        Quota quota;
        Registry registry;
        Region *ring, *raw;
        LeaseClient clients[3];
} Fixture;

static Decl *declare(const char *name, ShmbKind kind) {
        Decl *decl = calloc(1, sizeof(*decl));

        decl->name = strdup(name);
        decl->geometry.kind = kind;
        decl->backing = SHMB_BACKING_POSIX;
        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = 50;
        decl->geometry.region_size = kind == SHMB_KIND_RAW ? 4096 : 0;
        if (kind != SHMB_KIND_RAW) {
                decl->geometry.n_lanes = 2;
                decl->geometry.n_seats = 2;
                decl->geometry.item_size = 16;
                decl->geometry.item_align = 8;
                decl->geometry.capacity = 8;
        }
        assert_int_equal(shmb_geometry_seal(&decl->geometry), 0);
        return decl;
}

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        Registry *registry = &fixture->registry;

        deadline_queue_init(&fixture->deadlines);
        quota_init(&fixture->quota, &(DeclLimits){ .leases_per_uid = 1000, .bytes_total = 1 });
        registry_init(registry, &fixture->deadlines, &fixture->quota, 100, 1);
        assert_int_equal(registry_add(registry, declare("ring", SHMB_KIND_RING),
                                      &fixture->ring), 0);
        assert_int_equal(registry_add(registry, declare("raw", SHMB_KIND_RAW),
                                      &fixture->raw), 0);
        assert_int_equal(region_begin(fixture->ring, 1, 0), 0);
        assert_int_equal(region_begin(fixture->raw, 2, 0), 0);
        region_go_live(fixture->ring, 0);
        region_go_live(fixture->raw, 0);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease;

        assert_true(registry_check(&fixture->registry));
        while ((lease = lease_after(&fixture->registry, 0)))
                lease_end(&fixture->registry, lease, LEASE_END_DEATH, 0, &effects);
        registry_deinit(&fixture->registry);
        deadline_queue_deinit(&fixture->deadlines);
        quota_deinit(&fixture->quota);
        free(fixture);
        return 0;
}

static Lease *grant(Fixture *fixture, Region *region, size_t client, ShmbRole role,
                    LeaseEffects *ret_effects) {
        Lease *lease = NULL;

        assert_int_equal(lease_grant(&fixture->registry, region, &fixture->clients[client], role,
                                     10, &lease, ret_effects), 0);
        return lease;
}

static void test_lease_grant_takes_the_lowest_vacant_lane(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *first, *second;

        first = grant(fixture, fixture->ring, 0, SHMB_ROLE_PRODUCE, &effects);
        assert_int_equal(first->id, 100);
        assert_int_equal(first->index, 0);
        assert_ptr_equal(effects.party, first->party);
        assert_false(effects.prove);

        second = grant(fixture, fixture->ring, 1, SHMB_ROLE_PRODUCE, &effects);
        assert_int_equal(second->id, 101);
        assert_int_equal(second->index, 1);
        assert_int_equal(fixture->ring->n_roles[SHMB_ROLE_PRODUCE], 2);
        /* seats are nobody's yet */
        assert_int_equal(region_party(fixture->ring, SHMB_ROLE_CONSUME, 0)->occupancy,
                         SHMB_PARTY_VACANT);
}

static void test_lease_grant_refuses_when_all_are_held_and_changes_nothing(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects, before;
        Lease *lease = NULL;

        grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        before = effects;
        assert_int_equal(lease_grant(&fixture->registry, fixture->ring, &fixture->clients[1],
                                     SHMB_ROLE_CONSUME, 11, &lease, &effects), LEASE_E_BUSY);
        assert_null(lease);
        assert_memory_equal(&effects, &before, sizeof(effects));
        assert_int_equal(fixture->registry.n_leases, 2);
        assert_int_equal(fixture->registry.next_lease, 102);
        assert_int_equal(fixture->clients[1].n_leases, 0);
}

static void test_lease_grant_refuses_a_uid_at_its_limit_and_serves_others(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease = NULL;

        quota_set_limits(&fixture->quota, &(DeclLimits){ .leases_per_uid = 1, .bytes_total = 1 });
        fixture->clients[1].uid = 1001;
        grant(fixture, fixture->raw, 0, SHMB_ROLE_READ, &effects);
        assert_int_equal(lease_grant(&fixture->registry, fixture->ring, &fixture->clients[0],
                                     SHMB_ROLE_CONSUME, 11, &lease, &effects), LEASE_E_QUOTA);
        assert_null(lease);
        assert_int_equal(region_party(fixture->ring, SHMB_ROLE_CONSUME, 0)->occupancy,
                         SHMB_PARTY_VACANT);
        grant(fixture, fixture->ring, 1, SHMB_ROLE_CONSUME, &effects);
        /* what a predecessor gave is not taken back */
        fixture->registry.next_lease = 500;
        assert_int_equal(lease_restore(&fixture->registry, fixture->ring, &fixture->clients[0],
                                       SHMB_ROLE_PRODUCE, 0, 400, 1, &lease), 0);
}

static void test_lease_roles_belong_to_kinds(void **state) {
        Fixture *fixture = *state;
        static const bool fits[2][_SHMB_ROLE_N] = {
                { [SHMB_ROLE_PRODUCE] = true, [SHMB_ROLE_CONSUME] = true,
                  [SHMB_ROLE_OBSERVE] = true },
                { [SHMB_ROLE_READ] = true, [SHMB_ROLE_WRITE] = true },
        };
        LeaseEffects effects;
        unsigned kind, role;
        Lease *lease;
        int r;

        for (kind = 0; kind < 2; kind++)
                for (role = 0; role <= _SHMB_ROLE_N; role++) {
                        r = lease_grant(&fixture->registry, kind ? fixture->raw : fixture->ring,
                                        &fixture->clients[0], role, 1, &lease, &effects);
                        assert_int_equal(r, role < _SHMB_ROLE_N && fits[kind][role]
                                                    ? 0 : LEASE_E_ROLE);
                }
}

static void test_lease_observers_and_raw_users_share(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease;
        int i;

        for (i = 0; i < 5; i++) {
                lease = grant(fixture, fixture->ring, i % 3, SHMB_ROLE_OBSERVE, &effects);
                assert_null(lease->party);
                assert_null(effects.party);
                lease = grant(fixture, fixture->raw, i % 3, SHMB_ROLE_WRITE, &effects);
                assert_null(lease->party);
        }
        lease_end(&fixture->registry, lease, LEASE_END_DEATH, 1, &effects);
        assert_false(effects.prove);
        assert_null(effects.party);
        assert_int_equal(fixture->raw->n_roles[SHMB_ROLE_WRITE], 4);
}

static void test_lease_that_is_over_leaves_its_seat_unproven(void **state) {
        static const struct {
                LeaseEnd how;
                uint32_t n_deaths, n_detaches;
        } cases[] = {
                { LEASE_END_DETACH, 0, 1 },
                { LEASE_END_DEATH, 1, 0 },
                { LEASE_END_ROLLBACK, 0, 0 },
        };
        Fixture *fixture = *state;
        LeaseEffects effects;
        RegionParty *party, before;
        Lease *lease;
        size_t i;

        for (i = 0; i < 3; i++) {
                lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
                party = lease->party;
                before = *party;
                lease_end(&fixture->registry, lease, cases[i].how, 20, &effects);
                assert_int_equal(party->occupancy, SHMB_PARTY_UNPROVEN);
                assert_null(party->lease);
                assert_int_equal(party->n_deaths, before.n_deaths + cases[i].n_deaths);
                assert_int_equal(party->n_detaches, before.n_detaches + cases[i].n_detaches);
                assert_ptr_equal(effects.party, party);
                assert_true(effects.prove);
                assert_true(effects.idle);
                region_party_set_proven(fixture->ring, party);
                assert_int_equal(party->occupancy, SHMB_PARTY_VACANT);
        }
        assert_int_equal(fixture->registry.n_deaths, 1);
}

static void test_party_tells_whose_it_was_until_that_is_proven(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        RegionParty *party;
        Lease *lease;
        uint64_t id;

        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        /* No other seat is vacant. */
        grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        party = lease->party;
        id = lease->id;
        lease_end(&fixture->registry, lease, LEASE_END_DEATH, 20, &effects);
        assert_int_equal(party->last_lease, id);

        /* A grant that failed while the group was replaced for it. */
        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        assert_ptr_equal(lease->party, party);
        lease_end(&fixture->registry, lease, LEASE_END_ROLLBACK, 20, &effects);
        assert_int_equal(party->last_lease, id);
}

static void test_lease_grant_prefers_a_proven_seat_to_a_lower_unproven_one(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease;

        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        lease_end(&fixture->registry, lease, LEASE_END_DEATH, 20, &effects);

        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        assert_int_equal(lease->index, 1);
        assert_false(effects.prove);
        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_CONSUME, &effects);
        assert_int_equal(lease->index, 0);
        assert_true(effects.prove);
}

static void test_party_renew_makes_that_object_alone_anew(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease;
        size_t i;

        lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_PRODUCE, &effects);
        fixture->ring->objects[1].ino = 77;
        fixture->ring->objects[2].ino = 78;
        region_party_renew(fixture->ring, lease->party);
        assert_int_equal(lease->party->occupancy, SHMB_PARTY_HELD);
        assert_int_equal(fixture->ring->objects[1].epoch, 2);
        assert_int_equal(fixture->ring->objects[1].ino, 0);
        assert_int_equal(fixture->ring->objects[2].ino, 78);
        for (i = 0; i < fixture->ring->n_objects; i++)
                assert_int_equal(fixture->ring->objects[i].epoch, i == 1 ? 2 : 1);
        assert_int_equal(fixture->registry.n_replaced, 1);
}

static void test_lease_numbers_are_found_paged_and_never_reused(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *leases[4];
        size_t i;

        for (i = 0; i < 4; i++)
                leases[i] = grant(fixture, fixture->raw, i % 2, SHMB_ROLE_READ, &effects);
        lease_end(&fixture->registry, leases[1], LEASE_END_DETACH, 1, &effects);
        assert_null(lease_find(&fixture->registry, 0));
        assert_null(lease_find(&fixture->registry, 101));
        assert_ptr_equal(lease_find(&fixture->registry, 102), leases[2]);
        assert_ptr_equal(lease_after(&fixture->registry, 0), leases[0]);
        assert_ptr_equal(lease_after(&fixture->registry, 100), leases[2]);
        assert_null(lease_after(&fixture->registry, 103));
        assert_null(lease_after(&fixture->registry, UINT64_MAX));
        assert_int_equal(grant(fixture, fixture->raw, 0, SHMB_ROLE_READ, &effects)->id, 104);
}

static void test_lease_moves_with_its_client(void **state) {
        Fixture *fixture = *state;
        LeaseEffects effects;
        Lease *lease = grant(fixture, fixture->ring, 0, SHMB_ROLE_PRODUCE, &effects);

        lease_move(lease, &fixture->clients[2]);
        assert_int_equal(fixture->clients[0].n_leases, 0);
        assert_null(fixture->clients[0].leases);
        assert_ptr_equal(fixture->clients[2].leases, lease);
        assert_ptr_equal(lease->client, &fixture->clients[2]);
        assert_ptr_equal(lease->party->lease, lease);
}

static void test_lease_restore_accepts_only_what_could_have_been_granted(void **state) {
        Fixture *fixture = *state;
        Registry *registry = &fixture->registry;
        LeaseClient *client = &fixture->clients[0];
        Lease *lease = NULL;

        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_PRODUCE, 1, 40,
                                       7, &lease), 0);
        assert_int_equal(lease->id, 40);
        assert_int_equal(lease->index, 1);
        assert_int_equal(lease->since_ns, 7);
        assert_true(lease->mapped);
        assert_int_equal(lease->party->occupancy, SHMB_PARTY_HELD);

        lease = NULL;
        /* the same lane, a lane that is not there, an older number, one not yet given, a wrong
         * role */
        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_PRODUCE, 1, 41,
                                       7, &lease), LEASE_E_BUSY);
        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_PRODUCE, 2, 41,
                                       7, &lease), LEASE_E_BUSY);
        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_PRODUCE, 0, 40,
                                       7, &lease), LEASE_E_BUSY);
        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_PRODUCE, 0, 100,
                                       7, &lease), LEASE_E_BUSY);
        assert_int_equal(lease_restore(registry, fixture->ring, client, SHMB_ROLE_READ, 0, 41,
                                       7, &lease), LEASE_E_ROLE);
        assert_null(lease);
        assert_int_equal(registry->n_leases, 1);
        assert_int_equal(registry->n_granted, 0);
}

static void test_lease_gives_each_role_its_objects_and_one_of_them_writable(void **state) {
        /* control, lane 0, lane 1, seat 0, seat 1, group: '-' not given, 'r', 'w' */
        static const struct {
                ShmbRole role;
                const char *given;
        } cases[] = {
                { SHMB_ROLE_PRODUCE, "rw-rrr" },
                { SHMB_ROLE_CONSUME, "rrrwrw" },
                { SHMB_ROLE_OBSERVE, "rrrrrr" },
        };
        Fixture *fixture = *state;
        LeaseEffects effects;
        RegionObject *object;
        Lease *lease;
        size_t i, j;

        for (i = 0; i < 3; i++) {
                lease = grant(fixture, fixture->ring, 0, cases[i].role, &effects);
                for (j = 0; j < 6; j++) {
                        object = &fixture->ring->objects[j];
                        assert_int_equal(lease_object_is_granted(lease, object),
                                         cases[i].given[j] != '-');
                        assert_int_equal(lease_object_is_writable(lease, object),
                                         cases[i].given[j] == 'w');
                }
        }
        lease = grant(fixture, fixture->raw, 0, SHMB_ROLE_READ, &effects);
        assert_false(lease_object_is_writable(lease, &fixture->raw->objects[0]));
        assert_false(lease_object_is_writable(lease, &fixture->raw->objects[1]));
        lease = grant(fixture, fixture->raw, 0, SHMB_ROLE_WRITE, &effects);
        assert_false(lease_object_is_writable(lease, &fixture->raw->objects[0]));
        assert_true(lease_object_is_writable(lease, &fixture->raw->objects[1]));
}

static void step(Fixture *fixture, unsigned *seed) {
        static const ShmbRole roles[] = {
                SHMB_ROLE_PRODUCE, SHMB_ROLE_CONSUME, SHMB_ROLE_OBSERVE,
                SHMB_ROLE_READ, SHMB_ROLE_WRITE,
        };
        Registry *registry = &fixture->registry;
        LeaseEffects effects = {};
        uint64_t now = (uint64_t)rand_r(seed);
        Lease *lease, *held;
        size_t n = registry->n_leases;
        int r;

        held = n > 0 ? registry->leases[(size_t)rand_r(seed) % n] : NULL;
        switch (rand_r(seed) % 4) {
        case 0:
        case 1:
                r = lease_grant(registry, rand_r(seed) % 2 ? fixture->ring : fixture->raw,
                                &fixture->clients[rand_r(seed) % 3], roles[rand_r(seed) % 5],
                                now, &lease, &effects);
                assert_int_equal(registry->n_leases, n + (r == 0));
                if (r == 0 && effects.prove) {
                        assert_ptr_equal(effects.party, lease->party);
                        if (rand_r(seed) % 2)
                                region_party_renew(effects.region, effects.party);
                }
                break;
        case 2:
                if (!held)
                        break;
                lease_end(registry, held, rand_r(seed) % _LEASE_END_N, now, &effects);
                assert_int_equal(registry->n_leases, n - 1);
                assert_int_equal(effects.idle, effects.region->n_leases == 0);
                if (effects.prove && rand_r(seed) % 2)
                        region_party_set_proven(effects.region, effects.party);
                break;
        default:
                if (held)
                        lease_move(held, &fixture->clients[rand_r(seed) % 3]);
        }
}

static void test_lease_invariants_hold_in_random_sequences(void **state) {
        Fixture *fixture = *state;
        size_t i, n_of_clients;
        unsigned seed = 1;

        for (i = 0; i < 10000; i++) {
                step(fixture, &seed);
                assert_true(registry_check(&fixture->registry));
                n_of_clients = fixture->clients[0].n_leases + fixture->clients[1].n_leases +
                               fixture->clients[2].n_leases;
                assert_int_equal(n_of_clients, fixture->registry.n_leases);
        }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_lease_grant_takes_the_lowest_vacant_lane),
                TEST(test_lease_grant_refuses_when_all_are_held_and_changes_nothing),
                TEST(test_lease_grant_refuses_a_uid_at_its_limit_and_serves_others),
                TEST(test_lease_roles_belong_to_kinds),
                TEST(test_lease_observers_and_raw_users_share),
                TEST(test_lease_that_is_over_leaves_its_seat_unproven),
                TEST(test_party_tells_whose_it_was_until_that_is_proven),
                TEST(test_lease_grant_prefers_a_proven_seat_to_a_lower_unproven_one),
                TEST(test_party_renew_makes_that_object_alone_anew),
                TEST(test_lease_numbers_are_found_paged_and_never_reused),
                TEST(test_lease_moves_with_its_client),
                TEST(test_lease_restore_accepts_only_what_could_have_been_granted),
                TEST(test_lease_gives_each_role_its_objects_and_one_of_them_writable),
                TEST(test_lease_invariants_hold_in_random_sequences),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
