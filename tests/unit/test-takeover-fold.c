/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the history of a record to what was true at its end.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/takeover-fold.h"

static RecordEntry region(uint64_t tag, uint64_t generation) {
        return (RecordEntry){
                .type = RECORD_REGION,
                .region = { .tag = tag, .generation = generation, .name = "r" },
        };
}

static RecordEntry object(uint64_t tag, ShmbObjectKind kind, uint32_t index, uint32_t epoch) {
        return (RecordEntry){
                .type = RECORD_OBJECT,
                .object = { .tag = tag, .kind = kind, .index = index, .epoch = epoch, .ino = 9 },
        };
}

static RecordEntry removed(uint64_t tag, ShmbObjectKind kind, uint32_t index, uint32_t epoch) {
        return (RecordEntry){
                .type = RECORD_OBJECT_REMOVED,
                .object_removed = { .tag = tag, .kind = kind, .index = index, .epoch = epoch },
        };
}

static RecordEntry lease(uint64_t number, uint64_t tag, uint32_t pid) {
        return (RecordEntry){
                .type = RECORD_LEASE,
                .lease = { .lease = number, .tag = tag, .pid = pid },
        };
}

static RecordEntry ended(uint64_t number) {
        return (RecordEntry){
                .type = RECORD_LEASE_ENDED,
                .lease_ended = { .lease = number },
        };
}

#define FOLD(_entries, _fold) \
        assert_int_equal(fold_entries(_entries, sizeof(_entries) / sizeof(*(_entries)), _fold), 0)

static void test_fold_of_nothing_begins_numbers_at_one(void **state) {
        Fold fold = {};

        assert_int_equal(fold_entries(NULL, 0, &fold), 0);
        assert_int_equal(fold.n_regions, 0);
        assert_int_equal(fold.n_leases, 0);
        assert_int_equal(fold.next_lease, 1);
        assert_int_equal(fold.next_generation, 1);
        fold_deinit(&fold);
        fold_deinit(&fold);
}

static void test_fold_keeps_objects_that_were_not_removed(void **state) {
        RecordEntry entries[] = {
                region(7, 1),
                object(7, SHMB_OBJECT_CONTROL, 0, 0),
                object(7, SHMB_OBJECT_LANE, 0, 0),
                object(7, SHMB_OBJECT_LANE, 0, 1),
                removed(7, SHMB_OBJECT_LANE, 0, 0),
                region(3, 2),
                object(3, SHMB_OBJECT_CONTROL, 0, 0),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 2);
        assert_int_equal(fold.regions[0].region->tag, 3);
        assert_int_equal(fold.regions[1].region->tag, 7);
        assert_int_equal(fold.regions[1].n_objects, 2);
        assert_ptr_equal(fold.regions[1].objects[0], &entries[1].object);
        assert_ptr_equal(fold.regions[1].objects[1], &entries[3].object);
        fold_deinit(&fold);
}

static void test_fold_keeps_a_region_until_its_last_object_is_removed(void **state) {
        RecordEntry entries[] = {
                region(7, 1),
                object(7, SHMB_OBJECT_CONTROL, 0, 0),
                object(7, SHMB_OBJECT_DATA, 0, 0),
                removed(7, SHMB_OBJECT_CONTROL, 0, 0),
                { .type = RECORD_REGION_REMOVED, .region_removed = { .tag = 7 } },
                region(8, 2),
                object(8, SHMB_OBJECT_CONTROL, 0, 0),
                removed(8, SHMB_OBJECT_CONTROL, 0, 0),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 1);
        assert_int_equal(fold.regions[0].region->tag, 7);
        assert_int_equal(fold.regions[0].objects[0]->kind, SHMB_OBJECT_DATA);
        fold_deinit(&fold);
}

static void test_fold_keeps_the_newest_word_about_a_lease(void **state) {
        RecordEntry entries[] = {
                lease(5, 7, 100), lease(6, 7, 101), lease(9, 7, 102),
                lease(5, 7, 200), ended(6), ended(77),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_leases, 2);
        assert_int_equal(fold.leases[0]->lease, 5);
        assert_int_equal(fold.leases[0]->pid, 200);
        assert_int_equal(fold.leases[1]->lease, 9);
        fold_deinit(&fold);
}

static RecordEntry created(uint64_t tag, RecordBond bond) {
        return (RecordEntry){ .type = RECORD_CREATED, .created = { .tag = tag, .bond = bond } };
}

static void test_fold_keeps_the_newest_word_about_creator_and_removal(void **state) {
        RecordEntry entries[] = {
                region(7, 1),
                created(7, RECORD_BOND_CREATOR),
                object(7, SHMB_OBJECT_CONTROL, 0, 0),
                region(8, 2),
                object(8, SHMB_OBJECT_CONTROL, 0, 0),
                created(7, RECORD_BOND_NONE),
                created(9, RECORD_BOND_KEPT),
                { .type = RECORD_REMOVAL, .removal = { .request = 4 } },
                { .type = RECORD_REMOVAL, .removal = { .request = 5 } },
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 2);
        assert_ptr_equal(fold.regions[0].created, &entries[5].created);
        assert_null(fold.regions[1].created);
        assert_ptr_equal(fold.removal, &entries[8].removal);
        fold_deinit(&fold);
}

static void test_fold_never_gives_a_number_twice(void **state) {
        RecordEntry entries[] = {
                { .type = RECORD_MARK, .mark = { .next_lease = 50, .next_generation = 4 } },
                region(1, 9),
                lease(60, 1, 1),
                ended(60),
                { .type = RECORD_MARK, .mark = { .next_lease = 3, .next_generation = 3 } },
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.next_lease, 61);
        assert_int_equal(fold.next_generation, 10);
        assert_int_equal(fold.n_leases, 0);
        fold_deinit(&fold);
}

static void test_fold_leaves_out_what_refers_to_nothing(void **state) {
        RecordEntry entries[] = {
                object(1, SHMB_OBJECT_CONTROL, 0, 0),
                removed(1, SHMB_OBJECT_CONTROL, 0, 0),
                ended(1),
                region(2, 1),
                object(2, SHMB_OBJECT_CONTROL, 0, 0),
                removed(2, SHMB_OBJECT_CONTROL, 1, 0),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 1);
        assert_int_equal(fold.regions[0].n_objects, 1);
        fold_deinit(&fold);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fold_of_nothing_begins_numbers_at_one),
                cmocka_unit_test(test_fold_keeps_objects_that_were_not_removed),
                cmocka_unit_test(test_fold_keeps_a_region_until_its_last_object_is_removed),
                cmocka_unit_test(test_fold_keeps_the_newest_word_about_a_lease),
                cmocka_unit_test(test_fold_keeps_the_newest_word_about_creator_and_removal),
                cmocka_unit_test(test_fold_never_gives_a_number_twice),
                cmocka_unit_test(test_fold_leaves_out_what_refers_to_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
