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
#include "memory/geometry.h"
#include "protocol/name.h"

enum {
        N_LANES = 3,
        N_NAMES = 32,
};

/* Of the objects of one test; entries borrow them. */
static char names[N_NAMES][SHMB_KERNEL_NAME_MAX + 1];
static size_t n_names;

static int setup(void **state) {
        n_names = 0;
        return 0;
}

static ShmbGeometry geometry(void) {
        ShmbGeometry geometry = {
                .kind = SHMB_KIND_RING, .n_lanes = N_LANES, .n_seats = 1, .item_size = 64,
                .item_align = 8, .capacity = 64,
        };

        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        return geometry;
}

static RecordEntry region(uint64_t tag, uint64_t generation) {
        return (RecordEntry){
                .type = RECORD_REGION,
                .region = { .tag = tag, .generation = generation, .name = "r", .type = "",
                            .posix_name = "", .backing = SHMB_BACKING_POSIX,
                            .geometry = geometry() },
        };
}

static RecordEntry object(uint64_t tag, ShmbObjectKind kind, uint32_t index, uint32_t epoch) {
        const ShmbGeometry of = geometry();
        char *name = names[n_names++];

        assert_true(n_names <= N_NAMES);
        assert_true(shmb_kernel_name(name, sizeof(names[0]), "r", tag, kind, index, epoch) > 0);
        return (RecordEntry){
                .type = RECORD_OBJECT,
                .object = { .tag = tag, .kind = kind, .index = index, .epoch = epoch, .ino = 9,
                            .size_bytes = shmb_geometry_object_size(&of, kind),
                            .backing = SHMB_BACKING_POSIX, .name = name },
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
                .lease = { .lease = number, .tag = tag, .pid = pid, .role = SHMB_ROLE_OBSERVE },
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
                object(7, SHMB_OBJECT_CONTROL, 0, 1),
                object(7, SHMB_OBJECT_LANE, 0, 1),
                object(7, SHMB_OBJECT_LANE, 0, 2),
                removed(7, SHMB_OBJECT_LANE, 0, 1),
                region(3, 2),
                object(3, SHMB_OBJECT_CONTROL, 0, 1),
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
                object(7, SHMB_OBJECT_CONTROL, 0, 1),
                object(7, SHMB_OBJECT_LANE, 2, 1),
                removed(7, SHMB_OBJECT_CONTROL, 0, 1),
                { .type = RECORD_REGION_REMOVED, .region_removed = { .tag = 7 } },
                region(8, 2),
                object(8, SHMB_OBJECT_CONTROL, 0, 1),
                removed(8, SHMB_OBJECT_CONTROL, 0, 1),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 1);
        assert_int_equal(fold.regions[0].region->tag, 7);
        assert_int_equal(fold.regions[0].objects[0]->kind, SHMB_OBJECT_LANE);
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
                object(7, SHMB_OBJECT_CONTROL, 0, 1),
                region(8, 2),
                object(8, SHMB_OBJECT_CONTROL, 0, 1),
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
                removed(1, SHMB_OBJECT_CONTROL, 0, 1),
                lease(1, 1, 100),
                ended(1),
                ended(3),
                { .type = RECORD_REGION_REMOVED, .region_removed = { .tag = 5 } },
                region(2, 1),
                object(2, SHMB_OBJECT_CONTROL, 0, 1),
                removed(2, SHMB_OBJECT_CONTROL, 1, 1),
        };
        Fold fold = {};

        FOLD(entries, &fold);
        assert_int_equal(fold.n_regions, 1);
        assert_int_equal(fold.regions[0].n_objects, 1);
        fold_deinit(&fold);
}

static RecordEntry holder(uint64_t number, ShmbRole role, uint32_t index) {
        RecordEntry entry = lease(number, 7, 100);

        entry.lease.role = role;
        entry.lease.index = index;
        return entry;
}

/* That a lease was over could not be written down: the file system was full. */
static void test_fold_leaves_a_lane_to_who_was_given_it_last(void **state) {
        RecordEntry entries[] = {
                region(7, 1),
                object(7, SHMB_OBJECT_LANE, 0, 1),
                holder(3, SHMB_ROLE_PRODUCE, 1),
                holder(4, SHMB_ROLE_OBSERVE, 0),
                holder(5, SHMB_ROLE_CONSUME, 0),
                holder(6, SHMB_ROLE_PRODUCE, 0),
                holder(7, SHMB_ROLE_OBSERVE, 0),
                holder(8, SHMB_ROLE_PRODUCE, 1),
                holder(9, SHMB_ROLE_PRODUCE, 1),
                ended(9),
        };
        static const uint64_t left[] = { 4, 5, 6, 7, 8 };
        Fold fold = {};
        size_t i;

        FOLD(entries, &fold);
        assert_int_equal(fold.n_leases, sizeof(left) / sizeof(left[0]));
        for (i = 0; i < fold.n_leases; i++)
                assert_int_equal(fold.leases[i]->lease, left[i]);
        fold_deinit(&fold);
}

/* A sound history, and one entry @wrong behind it. */
static void expect_senseless(RecordEntry wrong) {
        RecordEntry entries[] = {
                region(7, 1),
                object(7, SHMB_OBJECT_CONTROL, 0, 1),
                holder(3, SHMB_ROLE_PRODUCE, 1),
                wrong,
        };
        Fold fold = {};

        entries[3].at = 4711;
        assert_int_equal(fold_entries(entries, 3, &fold), 0);
        fold_deinit(&fold);
        assert_int_equal(fold_entries(entries, 4, &fold), FOLD_E_SENSELESS);
        assert_int_equal(fold.fault_at, 4711);
        assert_non_null(fold.fault);
        fold_deinit(&fold);
}

static void test_fold_refuses_what_no_broker_wrote(void **state) {
        RecordEntry changed;

        expect_senseless(region(7, 1));
        expect_senseless(region(8, 0));
        expect_senseless(region(8, UINT64_MAX));
        expect_senseless(object(8, SHMB_OBJECT_CONTROL, 0, 1));
        expect_senseless(object(7, SHMB_OBJECT_LANE, N_LANES, 1));
        expect_senseless(object(7, SHMB_OBJECT_GROUP, 0, 1));
        expect_senseless(object(7, SHMB_OBJECT_LANE, 0, 0));
        expect_senseless(holder(0, SHMB_ROLE_OBSERVE, 0));
        expect_senseless(holder(UINT64_MAX, SHMB_ROLE_OBSERVE, 0));
        expect_senseless(holder(4, SHMB_ROLE_PRODUCE, N_LANES));
        expect_senseless(holder(4, SHMB_ROLE_CONSUME, 1));
        expect_senseless(holder(4, SHMB_ROLE_OBSERVE, 1));
        expect_senseless(holder(4, SHMB_ROLE_READ, 0));
        expect_senseless(holder(3, SHMB_ROLE_PRODUCE, 0));
        expect_senseless((RecordEntry){ .type = RECORD_MARK,
                                        .mark = { .next_lease = UINT64_MAX } });
        expect_senseless((RecordEntry){ .type = RECORD_MARK,
                                        .mark = { .next_generation = UINT64_MAX } });

        n_names = 0;
        changed = object(7, SHMB_OBJECT_LANE, 0, 1);
        changed.object.size_bytes *= 2;
        expect_senseless(changed);
        changed = object(7, SHMB_OBJECT_LANE, 0, 1);
        changed.object.ino = 0;
        expect_senseless(changed);
        changed = object(7, SHMB_OBJECT_LANE, 0, 1);
        changed.object.backing = SHMB_BACKING_MEMFD;
        expect_senseless(changed);
        changed = object(7, SHMB_OBJECT_LANE, 0, 1);
        changed.object.epoch = 2;
        expect_senseless(changed);
        changed = object(7, SHMB_OBJECT_LANE, 0, 1);
        changed.object.name = "somebody_elses";
        expect_senseless(changed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup(_name, setup)
                TEST(test_fold_of_nothing_begins_numbers_at_one),
                TEST(test_fold_keeps_objects_that_were_not_removed),
                TEST(test_fold_keeps_a_region_until_its_last_object_is_removed),
                TEST(test_fold_keeps_the_newest_word_about_a_lease),
                TEST(test_fold_keeps_the_newest_word_about_creator_and_removal),
                TEST(test_fold_never_gives_a_number_twice),
                TEST(test_fold_leaves_out_what_refers_to_nothing),
                TEST(test_fold_leaves_a_lane_to_who_was_given_it_last),
                TEST(test_fold_refuses_what_no_broker_wrote),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
