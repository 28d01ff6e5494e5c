/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Geometry: bounds, sizes of objects, and headers
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "memory/geometry.h"

static const ShmbGeometry ring = {
        .kind = SHMB_KIND_RING,
        .n_lanes = 2,
        .n_seats = 3,
        .item_size = 60,
        .item_align = 8,
        .capacity = 128,
};

static void test_geometry_seal_rounds_the_stride_up(void **state) {
        static const uint32_t cases[][3] = {
                /* size, align, stride */
                {1, 1, 1},    {1, 8, 8},      {8, 8, 8},          {9, 8, 16},
                {60, 4, 60},  {60, 64, 64},   {64, 1, 64},        {65, 4096, 4096},
                {1 << 26, 4096, 1 << 26},     {(1 << 26) - 1, 4096, 1 << 26},
        };
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                ShmbGeometry geometry = ring;

                geometry.item_size = cases[i][0];
                geometry.item_align = cases[i][1];
                assert_int_equal(shmb_geometry_seal(&geometry), 0);
                assert_int_equal(geometry.stride, cases[i][2]);
        }
}

static void check_refused(ShmbGeometry geometry, int expected) {
        ShmbGeometry before;

        geometry.stride = 4711;
        memcpy(&before, &geometry, sizeof(before));
        assert_int_equal(shmb_geometry_seal(&geometry), expected);
        assert_memory_equal(&geometry, &before, sizeof(before));
}

#define REFUSED(_base, _member, _value, _expected)                      \
        do {                                                            \
                ShmbGeometry _geometry;                                 \
                                                                        \
                memcpy(&_geometry, &(_base), sizeof(_geometry));        \
                _geometry._member = (_value);                           \
                check_refused(_geometry, (_expected));                  \
        } while (0)

static void test_geometry_seal_refuses_out_of_bounds_and_changes_nothing(void **state) {
        static const ShmbGeometry raw = {.kind = SHMB_KIND_RAW, .region_size = 1};

        REFUSED(ring, n_lanes, 0, -EINVAL);
        REFUSED(ring, n_lanes, SHMB_LANES_MAX + 1, -EINVAL);
        REFUSED(ring, n_seats, 0, -EINVAL);
        REFUSED(ring, n_seats, SHMB_SEATS_MAX + 1, -EINVAL);
        REFUSED(ring, n_seats, UINT32_MAX, -EINVAL);
        REFUSED(ring, item_size, 0, -EINVAL);
        REFUSED(ring, item_size, SHMB_ITEM_SIZE_MAX + 1, -EINVAL);
        REFUSED(ring, item_size, UINT32_MAX, -EINVAL);
        REFUSED(ring, item_align, 0, -EINVAL);
        REFUSED(ring, item_align, 3, -EINVAL);
        REFUSED(ring, item_align, SHMB_ITEM_ALIGN_MAX * 2, -EINVAL);
        REFUSED(ring, capacity, 0, -EINVAL);
        REFUSED(ring, capacity, 3, -EINVAL);
        REFUSED(ring, capacity, SHMB_CAPACITY_MAX * 2, -EINVAL);
        REFUSED(ring, capacity, UINT64_MAX, -EINVAL);
        REFUSED(raw, region_size, 0, -EINVAL);
        REFUSED(raw, region_size, SHMB_OBJECT_SIZE_MAX + 1, -EFBIG);
        REFUSED(raw, region_size, UINT64_MAX, -EFBIG);
}

static void test_geometry_seal_refuses_objects_that_are_too_long(void **state) {
        ShmbGeometry geometry;

        memcpy(&geometry, &ring, sizeof(geometry));
        geometry.item_size = SHMB_ITEM_SIZE_MAX;
        geometry.capacity = SHMB_CAPACITY_MAX;
        check_refused(geometry, -EFBIG);

        /* The header page makes the difference. */
        geometry.capacity = SHMB_OBJECT_SIZE_MAX / SHMB_ITEM_SIZE_MAX;
        check_refused(geometry, -EFBIG);
        geometry.capacity /= 2;
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
}

static void test_geometry_seal_bounds_what_only_one_kind_has(void **state) {
        static const ShmbGeometry
                stream = {.kind = SHMB_KIND_STREAM, .n_lanes = 2, .n_seats = 1, .item_size = 1,
                          .item_align = 1, .capacity = 4096, .max_message = 4088},
                broadcast = {.kind = SHMB_KIND_BROADCAST, .n_lanes = 2, .n_seats = 3,
                             .item_size = 60, .item_align = 8, .capacity = 128,
                             .delivery = SHMB_DELIVERY_RELIABLE},
                latest = {.kind = SHMB_KIND_LATEST, .n_lanes = 1, .n_seats = 8, .item_size = 60,
                          .item_align = 8, .capacity = 3},
                queue = {.kind = SHMB_KIND_QUEUE, .n_lanes = 2, .n_seats = 3, .item_size = 60,
                         .item_align = 8, .capacity = 4096, .segment = 8192};
        const ShmbGeometry *const all[] = {&stream, &broadcast, &latest, &queue};
        ShmbGeometry geometry;
        size_t i;

        for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
                memcpy(&geometry, all[i], sizeof(geometry));
                assert_int_equal(shmb_geometry_seal(&geometry), 0);
                assert_int_equal(geometry.stride, i == 0 ? 1 : 64);
        }
        REFUSED(stream, item_size, 2, -EINVAL);
        REFUSED(stream, capacity, 2048, -EINVAL);
        REFUSED(stream, capacity, 6144, -EINVAL);
        REFUSED(stream, max_message, 0, -EINVAL);
        REFUSED(stream, max_message, 4089, -EINVAL);
        REFUSED(stream, max_message, UINT32_MAX, -EINVAL);
        REFUSED(broadcast, delivery, SHMB_DELIVERY_NONE, -EINVAL);
        REFUSED(broadcast, delivery, _SHMB_DELIVERY_N, -EINVAL);
        REFUSED(broadcast, capacity, 3, -EINVAL);
        REFUSED(latest, capacity, 1, -EINVAL);
        REFUSED(latest, n_lanes, 2, -EINVAL);
        REFUSED(queue, segment, 0, -EINVAL);
        REFUSED(queue, segment, 2048, -EINVAL);
        REFUSED(queue, segment, 12288, -EINVAL);
}

static void test_geometry_seal_refuses_what_is_no_kind(void **state) {
        ShmbGeometry geometry;

        memcpy(&geometry, &ring, sizeof(geometry));
        geometry.kind = SHMB_KIND_NONE;
        check_refused(geometry, -EINVAL);
        geometry.kind = _SHMB_KIND_N;
        check_refused(geometry, -EINVAL);
}

static void test_geometry_has_a_group_where_consumers_compete(void **state) {
        ShmbGeometry geometry;

        memcpy(&geometry, &ring, sizeof(geometry));
        geometry.n_seats = 2;
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        assert_int_equal(shmb_geometry_object_count(&geometry, SHMB_OBJECT_GROUP), 1);
        assert_int_equal(shmb_geometry_party_count(&geometry), geometry.n_lanes + 2 + 1);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_GROUP),
                         0x1000 + (geometry.n_lanes * 128 * 8 + 4095) / 4096 * 4096);
        geometry.kind = SHMB_KIND_BROADCAST;
        assert_int_equal(shmb_geometry_object_count(&geometry, SHMB_OBJECT_GROUP), 0);
        geometry.kind = SHMB_KIND_RING;
        geometry.n_seats = 1;
        assert_int_equal(shmb_geometry_object_count(&geometry, SHMB_OBJECT_GROUP), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_GROUP), 0);
}

static void test_geometry_object_size_is_whole_pages_and_fits_the_layout(void **state) {
        ShmbGeometry geometry;

        memcpy(&geometry, &ring, sizeof(geometry));
        geometry.n_seats = 1;
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_CONTROL), 0x2000);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_LANE),
                         0x1000 + 128 * 64);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT), 0x2000);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_DATA), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_GROUP), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_NONE), 0);

        /* 64 + 64 + 1 parties and 64 places: more than one page each */
        geometry.n_lanes = SHMB_LANES_MAX;
        geometry.n_seats = SHMB_SEATS_MAX;
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_CONTROL), 0x4000);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT), 0x5000);
}

static void test_geometry_object_size_of_raw_is_its_data(void **state) {
        ShmbGeometry geometry = {.kind = SHMB_KIND_RAW, .region_size = 4097};

        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_DATA), 8192);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_CONTROL), 4096);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_LANE), 0);
        assert_int_equal(shmb_geometry_object_size(&geometry, SHMB_OBJECT_SEAT), 0);
}

static void test_header_init_writes_every_byte(void **state) {
        ShmbHeader first, second;
        ShmbGeometry geometry;

        memcpy(&geometry, &ring, sizeof(geometry));
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        memset(&first, 0x00, sizeof(first));
        memset(&second, 0xff, sizeof(second));
        shmb_header_init(&first, &geometry, SHMB_OBJECT_LANE, 1, 7, 0x1122, 3);
        shmb_header_init(&second, &geometry, SHMB_OBJECT_LANE, 1, 7, 0x1122, 3);
        assert_memory_equal(&first, &second, sizeof(first));
        assert_memory_equal(first.magic, "shmbrokr", 8);
        assert_int_equal(first.slots_offset, 0x1000);
        assert_int_equal(first.object_size, 0x1000 + 128 * 64);
        assert_int_equal(first.stride, 64);
}

static void test_header_check_accepts_its_own_and_refuses_each_flipped_bit(void **state) {
        ShmbGeometry geometry;
        ShmbHeader header;
        size_t bit;

        memcpy(&geometry, &ring, sizeof(geometry));
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        shmb_header_init(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 0x1122, 3);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 0x1122, 3),
                         0);

        for (bit = 0; bit < 8 * sizeof(header); bit++) {
                uint8_t *byte = (uint8_t *)&header + bit / 8;
                int r;

                *byte ^= (uint8_t)(1u << bit % 8);
                r = shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 0x1122, 3);
                if (bit / 8 >= offsetof(ShmbHeader, minor) &&
                    bit / 8 < offsetof(ShmbHeader, header_size))
                        assert_int_equal(r, 0); /* a newer minor version */
                else if (bit / 8 >= offsetof(ShmbHeader, endian) &&
                         bit / 8 < offsetof(ShmbHeader, minor))
                        assert_int_equal(r, -EPROTONOSUPPORT);
                else
                        assert_int_equal(r, -EBADMSG);
                *byte ^= (uint8_t)(1u << bit % 8);
        }
}

static void test_header_check_refuses_another_place_in_the_region(void **state) {
        ShmbGeometry geometry;
        ShmbHeader header;

        memcpy(&geometry, &ring, sizeof(geometry));
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        shmb_header_init(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 9, 3);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_LANE, 2, 7, 9, 3),
                         -EBADMSG);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 1, 7, 9, 3),
                         -EBADMSG);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 2, 8, 9, 3),
                         -EBADMSG);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 8, 3),
                         -EBADMSG);
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_SEAT, 2, 7, 9, 4),
                         -EBADMSG);
}

static void test_header_check_ignores_reserved_bytes_of_a_newer_minor(void **state) {
        ShmbGeometry geometry;
        ShmbHeader header;

        memcpy(&geometry, &ring, sizeof(geometry));
        assert_int_equal(shmb_geometry_seal(&geometry), 0);
        shmb_header_init(&header, &geometry, SHMB_OBJECT_LANE, 0, 1, 9, 3);
        header.reserved[5] = 1;
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_LANE, 0, 1, 9, 3),
                         -EBADMSG);
        header.minor++;
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_LANE, 0, 1, 9, 3), 0);
        /* but not what is known */
        header.stride++;
        assert_int_equal(shmb_header_check(&header, &geometry, SHMB_OBJECT_LANE, 0, 1, 9, 3),
                         -EBADMSG);
}

static void test_geometry_of_a_stream_repeats_on_small_pages_only(void **state) {
        const ShmbGeometry stream = {.kind = SHMB_KIND_STREAM, .capacity = 1 << 20};
        const ShmbGeometry smallest = {.kind = SHMB_KIND_STREAM, .capacity = SHMB_PAGE};

        assert_true(shmb_geometry_repeats(&stream, SHMB_PAGE));
        assert_true(shmb_geometry_repeats(&smallest, SHMB_PAGE));
        /* arm64 and others: the slots begin inside of a page. */
        assert_false(shmb_geometry_repeats(&stream, 16 << 10));
        assert_false(shmb_geometry_repeats(&stream, 64 << 10));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_geometry_seal_rounds_the_stride_up),
                cmocka_unit_test(test_geometry_seal_refuses_out_of_bounds_and_changes_nothing),
                cmocka_unit_test(test_geometry_seal_refuses_objects_that_are_too_long),
                cmocka_unit_test(test_geometry_seal_bounds_what_only_one_kind_has),
                cmocka_unit_test(test_geometry_seal_refuses_what_is_no_kind),
                cmocka_unit_test(test_geometry_has_a_group_where_consumers_compete),
                cmocka_unit_test(test_geometry_object_size_is_whole_pages_and_fits_the_layout),
                cmocka_unit_test(test_geometry_object_size_of_raw_is_its_data),
                cmocka_unit_test(test_header_init_writes_every_byte),
                cmocka_unit_test(test_header_check_accepts_its_own_and_refuses_each_flipped_bit),
                cmocka_unit_test(test_header_check_refuses_another_place_in_the_region),
                cmocka_unit_test(test_geometry_of_a_stream_repeats_on_small_pages_only),
                cmocka_unit_test(test_header_check_ignores_reserved_bytes_of_a_newer_minor),
        };

        return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
