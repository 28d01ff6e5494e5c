/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Quota: what was taken is given back exactly once, one uid's limit is nobody else's, and limits
 * may change while charges are out.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/core/quota.h"
#include "protocol/limits.h"
#include "tests/harness/fault.h"

FAULT_MEMORY(realloc, (void *memory, size_t size), (memory, size))

static const DeclLimits LIMITS = {
        .connections_per_uid = 2,
        .leases_per_uid = 3,
        .bytes_per_uid = 1000,
        .bytes_total = 1500,
};

static int setup(void **state) {
        Quota *quota = malloc(sizeof(*quota));

        if (!quota)
                return -1;
        quota_init(quota, &LIMITS);
        *state = quota;
        return 0;
}

/* Every test gives everything back: the destructor asserts it. */
static int teardown(void **state) {
        quota_deinit(*state);
        free(*state);
        return 0;
}

static void test_charge_refuses_over_the_uids_limit_and_changes_nothing(void **state) {
        Quota *quota = *state;
        QuotaCharge first = {}, second = {}, third = {}, other = {};

        assert_int_equal(quota_charge(quota, &first, 1000, QUOTA_CONNECTIONS, 1), 0);
        assert_int_equal(quota_charge(quota, &second, 1000, QUOTA_CONNECTIONS, 1), 0);
        assert_int_equal(quota_charge(quota, &third, 1000, QUOTA_CONNECTIONS, 1), QUOTA_E_UID);
        assert_null(third.quota);
        assert_int_equal(quota_used(quota, 1000, QUOTA_CONNECTIONS), 2);
        /* Neither another uid nor another slot of this one is affected. */
        assert_int_equal(quota_charge(quota, &other, 1001, QUOTA_CONNECTIONS, 2), 0);
        assert_int_equal(quota_charge(quota, &third, 1000, QUOTA_LEASES, 3), 0);

        quota_charge_deinit(&first);
        assert_int_equal(quota_used(quota, 1000, QUOTA_CONNECTIONS), 1);
        assert_int_equal(quota_charge(quota, &first, 1000, QUOTA_CONNECTIONS, 1), 0);

        quota_charge_deinit(&first);
        quota_charge_deinit(&second);
        quota_charge_deinit(&third);
        quota_charge_deinit(&other);
}

static void test_charge_refuses_over_the_total_and_changes_nothing(void **state) {
        Quota *quota = *state;
        QuotaCharge first = {}, second = {};

        assert_int_equal(quota_charge(quota, &first, 1000, QUOTA_BYTES, 900), 0);
        assert_int_equal(quota_charge(quota, &second, 1001, QUOTA_BYTES, 601), QUOTA_E_TOTAL);
        assert_null(second.quota);
        assert_int_equal(quota_used(quota, 1001, QUOTA_BYTES), 0);
        assert_int_equal(quota->n_users, 1);
        assert_int_equal(quota_charge(quota, &second, 1001, QUOTA_BYTES, 600), 0);
        quota_charge_deinit(&first);
        quota_charge_deinit(&second);
}

static void test_broker_has_no_limit_of_its_own_but_counts_in_total(void **state) {
        Quota *quota = *state;
        QuotaCharge broker = {}, client = {};

        assert_int_equal(quota_charge(quota, &broker, QUOTA_UID_BROKER, QUOTA_BYTES, 1501),
                         QUOTA_E_TOTAL);
        assert_int_equal(quota_charge(quota, &broker, QUOTA_UID_BROKER, QUOTA_BYTES, 1400), 0);
        assert_int_equal(quota->n_users, 0);
        assert_int_equal(quota_charge(quota, &client, 1000, QUOTA_BYTES, 101), QUOTA_E_TOTAL);
        quota_charge_deinit(&broker);
}

static void test_sums_do_not_wrap(void **state) {
        Quota *quota = *state;
        QuotaCharge charge = {}, second = {};

        assert_int_equal(quota_charge(quota, &charge, 1000, QUOTA_BYTES, 1), 0);
        assert_int_equal(quota_charge(quota, &second, 1000, QUOTA_BYTES, UINT64_MAX),
                         QUOTA_E_UID);
        assert_int_equal(quota_charge(quota, &second, QUOTA_UID_BROKER, QUOTA_BYTES, UINT64_MAX),
                         QUOTA_E_TOTAL);
        quota_charge_deinit(&charge);
}

static void test_giving_back_twice_gives_back_once(void **state) {
        Quota *quota = *state;
        QuotaCharge first = {}, second = {};

        assert_int_equal(quota_charge(quota, &first, 1000, QUOTA_LEASES, 1), 0);
        assert_int_equal(quota_charge(quota, &second, 1000, QUOTA_LEASES, 1), 0);
        quota_charge_deinit(&first);
        quota_charge_deinit(&first);
        assert_int_equal(quota_used(quota, 1000, QUOTA_LEASES), 1);
        quota_charge_deinit(&second);
        quota_charge_deinit(&(QuotaCharge){});
}

static void test_lower_limit_takes_nothing_away_and_gives_nothing_more(void **state) {
        static const DeclLimits lower = { .leases_per_uid = 1, .bytes_per_uid = 1000,
                                          .bytes_total = 1500 };
        Quota *quota = *state;
        QuotaCharge first = {}, second = {}, third = {};

        assert_int_equal(quota_charge(quota, &first, 1000, QUOTA_LEASES, 1), 0);
        assert_int_equal(quota_charge(quota, &second, 1000, QUOTA_LEASES, 1), 0);
        quota_set_limits(quota, &lower);
        assert_int_equal(quota_used(quota, 1000, QUOTA_LEASES), 2);
        assert_int_equal(quota_charge(quota, &third, 1000, QUOTA_LEASES, 1), QUOTA_E_UID);
        quota_charge_deinit(&first);
        assert_int_equal(quota_charge(quota, &third, 1000, QUOTA_LEASES, 1), QUOTA_E_UID);
        quota_charge_deinit(&second);
        assert_int_equal(quota_charge(quota, &third, 1000, QUOTA_LEASES, 1), 0);

        quota_set_limits(quota, &LIMITS);
        assert_int_equal(quota_charge(quota, &second, 1000, QUOTA_LEASES, 2), 0);
        quota_charge_deinit(&second);
        quota_charge_deinit(&third);
}

static void test_uids_leave_with_their_last_charge(void **state) {
        Quota *quota = *state;
        QuotaCharge charges[3] = {}, nothing = {};

        assert_int_equal(quota_charge(quota, &nothing, 5, QUOTA_LEASES, 0), 0);
        assert_int_equal(quota->n_users, 0);
        assert_int_equal(quota_charge(quota, &charges[0], 5, QUOTA_LEASES, 1), 0);
        assert_int_equal(quota_charge(quota, &charges[1], 5, QUOTA_BYTES, 1), 0);
        assert_int_equal(quota->n_users, 1);
        quota_charge_deinit(&charges[0]);
        assert_int_equal(quota->n_users, 1);
        quota_charge_deinit(&charges[1]);
        assert_int_equal(quota->n_users, 0);
        quota_charge_deinit(&nothing);
}

/* Against a plain array, over many uids in no order. */
static void test_many_uids_keep_their_own_counts(void **state) {
        enum { N_UIDS = 64, N_CHARGES = 96, N_STEPS = 20000 };
        Quota *quota = *state;
        QuotaCharge charges[N_CHARGES] = {};
        uint64_t expected[N_UIDS] = {}, total = 0, seed = 1;
        uint32_t uid, slot;
        int i, r;

        for (i = 0; i < N_STEPS; i++) {
                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
                slot = (seed >> 33) % N_CHARGES;
                uid = (seed >> 40) % N_UIDS;
                if (charges[slot].quota) {
                        expected[charges[slot].uid]--;
                        total--;
                        quota_charge_deinit(&charges[slot]);
                } else {
                        r = quota_charge(quota, &charges[slot], uid, QUOTA_LEASES, 1);
                        assert_int_equal(r, expected[uid] == 3 ? QUOTA_E_UID : 0);
                        expected[uid] += r == 0;
                        total += r == 0;
                }
                assert_int_equal(quota_used(quota, uid, QUOTA_LEASES), expected[uid]);
                assert_int_equal(quota->used[QUOTA_LEASES], total);
        }
        for (slot = 0; slot < N_CHARGES; slot++)
                quota_charge_deinit(&charges[slot]);
}

static void test_want_of_memory_charges_nothing(void **state) {
        Quota *quota = *state;
        QuotaCharge charges[16] = {};
        uint32_t uid;
        int r;

        for (uid = 0; uid < 16; uid++) {
                fault_arm(1, ENOMEM);
                r = quota_charge(quota, &charges[uid], uid, QUOTA_LEASES, 1);
                if (!fault_disarm())
                        continue;
                assert_int_equal(r, -ENOMEM);
                assert_null(charges[uid].quota);
                assert_int_equal(quota_used(quota, uid, QUOTA_LEASES), 0);
                assert_int_equal(quota->used[QUOTA_LEASES], uid);
                assert_int_equal(quota_charge(quota, &charges[uid], uid, QUOTA_LEASES, 1), 0);
        }
        for (uid = 0; uid < 16; uid++)
                quota_charge_deinit(&charges[uid]);
}

static void test_refusal_names_the_limit_and_its_key(void **state) {
        Quota *quota = *state;
        QuotaCharge charge = {};
        char sentence[SHMB_SENTENCE_MAX + 1];

        assert_int_equal(quota_charge(quota, &charge, 1000, QUOTA_LEASES, 3), 0);
        quota_format_refusal(quota, QUOTA_E_UID, 1000, QUOTA_LEASES, 1, sentence,
                             sizeof(sentence));
        assert_string_equal(sentence, "uid 1000 uses 3 of 3 leases, and 1 more are asked for: give "
                                      "some back, or raise `limits: per_uid: leases:`");
        quota_format_refusal(quota, QUOTA_E_TOTAL, 1000, QUOTA_BYTES, 2000, sentence,
                             sizeof(sentence));
        assert_non_null(strstr(sentence, "0 of 1500 bytes"));
        assert_non_null(strstr(sentence, "`limits: total: bytes:`"));
        quota_charge_deinit(&charge);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_charge_refuses_over_the_uids_limit_and_changes_nothing),
                TEST(test_charge_refuses_over_the_total_and_changes_nothing),
                TEST(test_broker_has_no_limit_of_its_own_but_counts_in_total),
                TEST(test_sums_do_not_wrap),
                TEST(test_giving_back_twice_gives_back_once),
                TEST(test_lower_limit_takes_nothing_away_and_gives_nothing_more),
                TEST(test_uids_leave_with_their_last_charge),
                TEST(test_many_uids_keep_their_own_counts),
                TEST(test_want_of_memory_charges_nothing),
                TEST(test_refusal_names_the_limit_and_its_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
