/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Record format: what goes in comes out; a file that was cut anywhere holds the entries before the
 * cut and says so; a file with any one byte changed is refused where the change is.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/record-format.h"

enum {
        N_ENTRIES = 11,
        FILE_SIZE_MAX = N_ENTRIES * RECORD_ENTRY_MAX,
};

/* One of each type, with values that differ in every byte. */
static const RecordEntry ENTRIES[N_ENTRIES] = {
        { .type = RECORD_MARK, .mark = { 0x0102030405060708, 0x1112131415161718 } },
        { .type = RECORD_REGION, .region = {
                .tag = 0xa1a2a3a4a5a6a7a8,
                .generation = 7,
                .name = "telemetry/imu",
                .type = "imu_sample/3",
                .posix_name = "",
                .backing = SHMB_BACKING_POSIX,
                .geometry = { .kind = SHMB_KIND_RING, .n_lanes = 2, .n_seats = 1, .item_size = 60,
                              .item_align = 8, .stride = 64, .capacity = 4096,
                              .segment = 0x0807060504030201, .max_message = 0x04030201,
                              .delivery = SHMB_DELIVERY_RELIABLE },
                .uid = 1234,
        } },
        { .type = RECORD_OBJECT, .object = {
                .tag = 0xa1a2a3a4a5a6a7a8,
                .kind = SHMB_OBJECT_LANE,
                .index = 1,
                .epoch = 2,
                .dev = 0x1b,
                .ino = 0xfedcba9876543210,
                .size_bytes = 266240,
                .uid = 998,
                .backing = SHMB_BACKING_POSIX,
                .name = "shmb.telemetry.imu@a1a2a3a4a5a6a7a8.lane1.e2",
        } },
        { .type = RECORD_LEASE, .lease = {
                .lease = 42,
                .tag = 0xa1a2a3a4a5a6a7a8,
                .role = SHMB_ROLE_PRODUCE,
                .index = 1,
                .epoch = 2,
                .uid = 1000,
                .pid = 4711,
                .pid_started = 123456,
                .since_ns = 9876543210,
                .request = 3,
                .client = "0123456789abcdef",
                .command = "imu (driver)\n",
                .unit = "imu.service",
                .connection = 0x2122232425262728,
        } },
        { .type = RECORD_LEASE_ENDED, .lease_ended = { .lease = 42, .how = 1 } },
        { .type = RECORD_OBJECT_REMOVED, .object_removed = {
                .tag = 0xa1a2a3a4a5a6a7a8, .kind = SHMB_OBJECT_LANE, .index = 1, .epoch = 2 } },
        { .type = RECORD_REGION_REMOVED, .region_removed = { .tag = 0xa1a2a3a4a5a6a7a8 } },
        { .type = RECORD_CONNECTION, .connection = {
                .connection = 0x2122232425262728,
                .uid = 1000,
                .pid = 4711,
                .pid_started = 0x3132333435363738,
                .client = "0123456789abcdef",
                .admin = true,
                .greeted = true,
                .pending = 0x41424344,
                .n_returns = 3,
        } },
        { .type = RECORD_CONNECTION_ENDED,
          .connection_ended = { .connection = 0x2122232425262728 } },
        { .type = RECORD_CREATED, .created = {
                .tag = 0xa1a2a3a4a5a6a7a8, .uid = 0x31323334, .pid = 0x41424344,
                .pid_started = 0x5152535455565758, .since_ns = 0x6162636465666768,
                .request = 0x7172737475767778, .client = { 1, 2, 3, 4, 5, 6, 7, 8, 9 },
                .bond = RECORD_BOND_KEPT } },
        { .type = RECORD_REMOVAL, .removal = {
                .client = { 9, 8, 7, 6, 5, 4, 3, 2, 1 }, .request = 0x7172737475767778,
                .tag = 0xa1a2a3a4a5a6a7a8 } },
};

typedef struct Fixture {
        uint8_t bytes[FILE_SIZE_MAX]; /* the entries without a file header */
        size_t ends[N_ENTRIES];       /* of each */
        size_t n;
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        size_t i, n;

        if (!fixture)
                return -1;
        for (i = 0; i < N_ENTRIES; i++) {
                if (record_encode(&ENTRIES[i], fixture->bytes + fixture->n,
                                  sizeof(fixture->bytes) - fixture->n, &n) < 0)
                        return -1;
                fixture->n += n;
                fixture->ends[i] = fixture->n;
        }
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        free(*state);
        return 0;
}

/* Bytes on the heap at their exact size, so that a sanitizer sees one byte too far. */
static uint8_t *copy(const uint8_t *bytes, size_t n) {
        uint8_t *copied = malloc(n ? n : 1);

        assert_non_null(copied);
        memcpy(copied, bytes, n);
        return copied;
}

/* How many entries there are before the end or fault, whose code is returned. */
static int walk(const uint8_t *bytes, size_t n, size_t *ret_n_entries, size_t *ret_at) {
        RecordEntry entry;
        size_t n_entry;
        int r;

        *ret_n_entries = 0;
        for (*ret_at = 0;; *ret_at += n_entry) {
                r = record_decode(bytes + *ret_at, n - *ret_at, &entry, &n_entry);
                if (r)
                        return r;
                (*ret_n_entries)++;
        }
}

static void test_checksum_is_the_one_of_rfc_3720(void **state) {
        uint8_t zeros[32] = {}, ones[32];

        memset(ones, 0xff, sizeof(ones));
        assert_int_equal(record_crc32c("123456789", 9), 0xe3069283);
        assert_int_equal(record_crc32c(zeros, sizeof(zeros)), 0x8a9136aa);
        assert_int_equal(record_crc32c(ones, sizeof(ones)), 0x62a8ab43);
        assert_int_equal(record_crc32c("", 0), 0);
}

static void expect_region(const RecordRegion *region) {
        const RecordRegion *wanted = &ENTRIES[1].region;

        assert_int_equal(region->tag, wanted->tag);
        assert_int_equal(region->generation, wanted->generation);
        assert_string_equal(region->name, wanted->name);
        assert_string_equal(region->type, wanted->type);
        assert_string_equal(region->posix_name, wanted->posix_name);
        assert_int_equal(region->backing, wanted->backing);
        assert_memory_equal(&region->geometry, &wanted->geometry, sizeof(region->geometry));
        assert_int_equal(region->uid, wanted->uid);
}

static void expect_object(const RecordObject *object) {
        const RecordObject *wanted = &ENTRIES[2].object;

        assert_int_equal(object->tag, wanted->tag);
        assert_int_equal(object->kind, wanted->kind);
        assert_int_equal(object->index, wanted->index);
        assert_int_equal(object->epoch, wanted->epoch);
        assert_int_equal(object->dev, wanted->dev);
        assert_int_equal(object->ino, wanted->ino);
        assert_int_equal(object->size_bytes, wanted->size_bytes);
        assert_int_equal(object->uid, wanted->uid);
        assert_int_equal(object->backing, wanted->backing);
        assert_string_equal(object->name, wanted->name);
}

static void expect_lease(const RecordLease *lease) {
        const RecordLease *wanted = &ENTRIES[3].lease;

        assert_int_equal(lease->lease, wanted->lease);
        assert_int_equal(lease->tag, wanted->tag);
        assert_int_equal(lease->role, wanted->role);
        assert_int_equal(lease->index, wanted->index);
        assert_int_equal(lease->epoch, wanted->epoch);
        assert_int_equal(lease->uid, wanted->uid);
        assert_int_equal(lease->pid, wanted->pid);
        assert_int_equal(lease->pid_started, wanted->pid_started);
        assert_int_equal(lease->since_ns, wanted->since_ns);
        assert_int_equal(lease->request, wanted->request);
        assert_memory_equal(lease->client, wanted->client, SHMB_UUID_SIZE);
        assert_string_equal(lease->command, wanted->command);
        assert_string_equal(lease->unit, wanted->unit);
        assert_int_equal(lease->connection, wanted->connection);
}

static void expect_connection(const RecordConnection *connection) {
        const RecordConnection *wanted = &ENTRIES[7].connection;

        assert_int_equal(connection->connection, wanted->connection);
        assert_int_equal(connection->uid, wanted->uid);
        assert_int_equal(connection->pid, wanted->pid);
        assert_int_equal(connection->pid_started, wanted->pid_started);
        assert_memory_equal(connection->client, wanted->client, SHMB_UUID_SIZE);
        assert_true(connection->admin && connection->greeted);
        assert_int_equal(connection->pending, wanted->pending);
        assert_int_equal(connection->n_returns, wanted->n_returns);
}

static void test_entries_come_out_as_they_went_in(void **state) {
        Fixture *fixture = *state;
        RecordEntry entries[N_ENTRIES];
        size_t i, at = 0, n;

        for (i = 0; i < N_ENTRIES; i++) {
                assert_int_equal(record_decode(fixture->bytes + at, fixture->n - at, &entries[i],
                                               &n), 0);
                assert_int_equal(entries[i].type, ENTRIES[i].type);
                assert_int_equal(n % 8, 0);
                at += n;
                assert_int_equal(at, fixture->ends[i]);
        }
        assert_int_equal(record_decode(fixture->bytes + at, 0, &entries[0], &n),
                         RECORD_FORMAT_E_END);

        assert_int_equal(entries[0].mark.next_lease, ENTRIES[0].mark.next_lease);
        assert_int_equal(entries[0].mark.next_generation, ENTRIES[0].mark.next_generation);
        expect_region(&entries[1].region);
        expect_object(&entries[2].object);
        expect_lease(&entries[3].lease);
        assert_int_equal(entries[4].lease_ended.lease, 42);
        assert_int_equal(entries[4].lease_ended.how, 1);
        assert_int_equal(entries[5].object_removed.tag, ENTRIES[5].object_removed.tag);
        assert_int_equal(entries[5].object_removed.kind, SHMB_OBJECT_LANE);
        assert_int_equal(entries[5].object_removed.index, 1);
        assert_int_equal(entries[5].object_removed.epoch, 2);
        assert_int_equal(entries[6].region_removed.tag, ENTRIES[6].region_removed.tag);
        expect_connection(&entries[7].connection);
        assert_int_equal(entries[8].connection_ended.connection,
                         ENTRIES[8].connection_ended.connection);
        assert_memory_equal(&entries[9].created, &ENTRIES[9].created,
                            offsetof(RecordCreated, bond));
        assert_int_equal(entries[9].created.bond, RECORD_BOND_KEPT);
        assert_memory_equal(&entries[10].removal, &ENTRIES[10].removal, sizeof(RecordRemoval));
}

/* The broker that reads them may be of another version than the one that wrote them. */
static void test_bytes_are_pinned(void **state) {
        static const uint8_t entry[] = {
                12, 0, 0, 0, 7, 0, 0, 0, 0xd2, 0xd0, 0xf7, 0x28, 0xb6, 0x88, 0xea, 0x9d,
                42, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        };
        Fixture *fixture = *state;
        uint8_t header[RECORD_FILE_HEADER_SIZE];

        assert_int_equal(fixture->ends[4] - fixture->ends[3], sizeof(entry));
        assert_memory_equal(fixture->bytes + fixture->ends[3], entry, sizeof(entry));

        record_encode_header((const uint8_t *)"0123456789abcdef", 0x1234, header);
        assert_memory_equal(header,
                            "shmbrec\n\1\0\1\0\x34\x12\0\0" "0123456789abcdef" "\0\0\0\0", 36);
}

static void test_file_cut_anywhere_holds_what_was_before_the_cut(void **state) {
        Fixture *fixture = *state;
        size_t cut, i, n_expected, n_entries, at;
        uint8_t *bytes;
        int r;

        for (cut = 0; cut <= fixture->n; cut++) {
                n_expected = 0;
                for (i = 0; i < N_ENTRIES; i++)
                        n_expected += fixture->ends[i] <= cut;
                bytes = copy(fixture->bytes, cut);
                r = walk(bytes, cut, &n_entries, &at);
                assert_int_equal(n_entries, n_expected);
                assert_int_equal(r, cut == at ? RECORD_FORMAT_E_END : RECORD_FORMAT_E_TORN);
                assert_int_equal(at, n_expected ? fixture->ends[n_expected - 1] : 0);
                free(bytes);
        }
}

static void test_file_with_any_changed_byte_is_refused_where_it_is_changed(void **state) {
        Fixture *fixture = *state;
        size_t i, entry, n_entries, at;
        uint8_t *bytes = copy(fixture->bytes, fixture->n);
        unsigned change;
        int r;

        for (i = 0, entry = 0; i < fixture->n; i++) {
                if (i == fixture->ends[entry])
                        entry++;
                for (change = 1; change < 256; change++) {
                        bytes[i] ^= (uint8_t)change;
                        r = walk(bytes, fixture->n, &n_entries, &at);
                        bytes[i] ^= (uint8_t)change;
                        if (r != RECORD_FORMAT_E_CORRUPT || n_entries != entry)
                                fail_msg("byte %zu changed by %u: %d after %zu entries", i, change,
                                         r, n_entries);
                }
        }
        free(bytes);
}

static void test_header_cut_or_changed_anywhere_is_refused(void **state) {
        uint8_t bytes[RECORD_FILE_HEADER_SIZE], boot_id[RECORD_BOOT_ID_SIZE] = "untouched";
        uint32_t n_whole = 7;
        size_t i;
        unsigned change;

        record_encode_header((const uint8_t *)"0123456789abcdef", 96, bytes);
        assert_int_equal(record_decode_header(bytes, 0, boot_id, &n_whole), RECORD_FORMAT_E_END);
        for (i = 1; i < sizeof(bytes); i++)
                assert_int_equal(record_decode_header(bytes, i, boot_id, &n_whole),
                                 RECORD_FORMAT_E_CORRUPT);
        for (i = 0; i < sizeof(bytes); i++)
                for (change = 1; change < 256; change++) {
                        bytes[i] ^= (uint8_t)change;
                        assert_int_equal(record_decode_header(bytes, sizeof(bytes), boot_id,
                                                              &n_whole),
                                         RECORD_FORMAT_E_CORRUPT);
                        bytes[i] ^= (uint8_t)change;
                }
        assert_string_equal((const char *)boot_id, "untouched");
        assert_int_equal(n_whole, 7);
        assert_int_equal(record_decode_header(bytes, sizeof(bytes), boot_id, &n_whole), 0);
        assert_memory_equal(boot_id, "0123456789abcdef", sizeof(boot_id));
        assert_int_equal(n_whole, 96);
}

static void put_u32(uint8_t *at, uint32_t value) {
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)(value >> 16);
        at[3] = (uint8_t)(value >> 24);
}

/* It had zeros where the length is now. */
static void test_header_of_the_first_version_is_read(void **state) {
        uint8_t header[RECORD_FILE_HEADER_SIZE], boot_id[RECORD_BOOT_ID_SIZE];
        uint32_t n_whole;

        record_encode_header((const uint8_t *)"0123456789abcdef", 0, header);
        assert_int_equal(record_decode_header(header, sizeof(header), boot_id, &n_whole),
                         RECORD_FORMAT_E_CORRUPT);
        header[10] = 0;
        put_u32(header + 36, record_crc32c(header, 36));
        assert_int_equal(record_decode_header(header, sizeof(header), boot_id, &n_whole), 0);
        assert_int_equal(n_whole, RECORD_FILE_HEADER_SIZE);
}

static void test_file_of_a_newer_broker_is_told_from_a_damaged_one(void **state) {
        Fixture *fixture = *state;
        uint8_t header[RECORD_FILE_HEADER_SIZE], boot_id[RECORD_BOOT_ID_SIZE], entry[32];
        RecordEntry decoded;
        uint32_t n_whole;
        size_t n;

        record_encode_header((const uint8_t *)"0123456789abcdef", sizeof(header), header);
        header[10] = RECORD_MINOR + 1;
        put_u32(header + 36, record_crc32c(header, 36));
        assert_int_equal(record_decode_header(header, sizeof(header), boot_id, &n_whole),
                         RECORD_FORMAT_E_NEWER);
        header[8] = 0;
        put_u32(header + 36, record_crc32c(header, 36));
        assert_int_equal(record_decode_header(header, sizeof(header), boot_id, &n_whole),
                         RECORD_FORMAT_E_CORRUPT);

        /* A type that this version does not have, and a flag. */
        memcpy(entry, fixture->bytes + fixture->ends[3], sizeof(entry));
        entry[4] = _RECORD_TYPE_N;
        put_u32(entry + 12, record_crc32c(entry, 12));
        assert_int_equal(record_decode(entry, sizeof(entry), &decoded, &n),
                         RECORD_FORMAT_E_NEWER);
        entry[4] = RECORD_LEASE_ENDED;
        entry[6] = 1;
        put_u32(entry + 12, record_crc32c(entry, 12));
        assert_int_equal(record_decode(entry, sizeof(entry), &decoded, &n),
                         RECORD_FORMAT_E_NEWER);
}

/* A whole entry around any payload, with good checksums. */
static size_t forge(RecordType type, const uint8_t *payload, size_t n, uint8_t *bytes) {
        memset(bytes, 0, 16 + (n + 7) / 8 * 8);
        put_u32(bytes, (uint32_t)n);
        bytes[4] = type;
        put_u32(bytes + 8, record_crc32c(payload, n));
        put_u32(bytes + 12, record_crc32c(bytes, 12));
        memcpy(bytes + 16, payload, n);
        return 16 + (n + 7) / 8 * 8;
}

/* Of the payload of entry @i, which is sound: what is said of it with byte @at set to @value. */
static int decode_with(const Fixture *fixture, size_t i, size_t at, uint8_t value) {
        size_t begin = fixture->ends[i - 1] + 16, n_whole;
        uint8_t payload[RECORD_ENTRY_MAX], bytes[RECORD_ENTRY_MAX + 16];
        size_t n = fixture->bytes[begin - 16] | fixture->bytes[begin - 15] << 8, n_entry;
        RecordEntry entry;

        memcpy(payload, fixture->bytes + begin, n);
        payload[at] = value;
        n_whole = forge(ENTRIES[i].type, payload, n, bytes);
        return record_decode(bytes, n_whole, &entry, &n_entry);
}

static void test_value_out_of_bounds_is_refused_though_its_checksum_is_good(void **state) {
        Fixture *fixture = *state;

        /* region: name "telemetry/imu" at 18 .. 30, its length at 16 */
        assert_int_equal(decode_with(fixture, 1, 18, 't'), 0);
        assert_int_equal(decode_with(fixture, 1, 18, 'T'), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 1, 18, '/'), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 1, 20, 0), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 1, 31, 'x'), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 1, 16, 0), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 1, 17, 255), RECORD_FORMAT_E_CORRUPT);
        /* object: kind at 8, backing at 46, name at 50 */
        assert_int_equal(decode_with(fixture, 2, 8, SHMB_OBJECT_SEAT), 0);
        assert_int_equal(decode_with(fixture, 2, 8, _SHMB_OBJECT_N), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 2, 8, 0), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 2, 46, _SHMB_BACKING_N), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 2, 50, 't'), 0);
        assert_int_equal(decode_with(fixture, 2, 50, '/'), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 2, 53, '/'), RECORD_FORMAT_E_CORRUPT);
        /* lease: role at 16 */
        assert_int_equal(decode_with(fixture, 3, 16, SHMB_ROLE_CONSUME), 0);
        assert_int_equal(decode_with(fixture, 3, 16, _SHMB_ROLE_N), RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(decode_with(fixture, 3, 17, 1), RECORD_FORMAT_E_CORRUPT);
        /* connection: flags at 40 */
        assert_int_equal(decode_with(fixture, 7, 40, 0), 0);
        assert_int_equal(decode_with(fixture, 7, 40, 4), RECORD_FORMAT_E_CORRUPT);
        /* created: bond at 56 */
        assert_int_equal(decode_with(fixture, 9, 56, RECORD_BOND_NONE), 0);
        assert_int_equal(decode_with(fixture, 9, 56, _RECORD_BOND_N), RECORD_FORMAT_E_CORRUPT);
}

/* Leases of version 1.0 say nothing of a connection. */
static void test_lease_of_an_older_broker_is_read(void **state) {
        Fixture *fixture = *state;
        const uint8_t *payload = fixture->bytes + fixture->ends[2] + 16;
        size_t n = payload[-16], n_entry;
        uint8_t bytes[RECORD_ENTRY_MAX];
        RecordEntry entry;

        assert_int_equal(record_decode(bytes, forge(RECORD_LEASE, payload, n - 8, bytes), &entry,
                                       &n_entry), 0);
        assert_int_equal(entry.lease.connection, 0);
        assert_string_equal(entry.lease.unit, "imu.service");
        assert_int_equal(record_decode(bytes, forge(RECORD_LEASE, payload, n - 1, bytes), &entry,
                                       &n_entry), RECORD_FORMAT_E_CORRUPT);
}

static void test_payload_of_another_length_is_refused(void **state) {
        static const uint8_t payload[24] = { 1 };
        uint8_t bytes[64];
        RecordEntry entry;
        size_t n, n_entry;

        for (n = 0; n <= sizeof(payload); n++)
                assert_int_equal(record_decode(bytes, forge(RECORD_MARK, payload, n, bytes),
                                               &entry, &n_entry),
                                 n == 16 ? 0 : RECORD_FORMAT_E_CORRUPT);
        assert_int_equal(record_decode(bytes, forge(RECORD_NONE, payload, 0, bytes), &entry,
                                       &n_entry), RECORD_FORMAT_E_CORRUPT);
}

static void test_longest_entry_fits_and_longer_texts_are_refused(void **state) {
        char name[SHMB_NAME_MAX + 2], type[SHMB_TYPE_MAX + 2], file[SHMB_KERNEL_NAME_MAX + 2];
        RecordEntry entry = ENTRIES[1], decoded;
        uint8_t bytes[RECORD_ENTRY_MAX];
        size_t n = 12345, n_entry;

        memset(name, 'n', sizeof(name));
        memset(type, 't', sizeof(type));
        memset(file, 'f', sizeof(file));
        name[SHMB_NAME_MAX] = type[SHMB_TYPE_MAX] = file[SHMB_KERNEL_NAME_MAX] = '\0';
        entry.region.name = name;
        entry.region.type = type;
        entry.region.posix_name = file;
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n), 0);
        assert_int_equal(record_decode(bytes, n, &decoded, &n_entry), 0);
        assert_string_equal(decoded.region.posix_name, file);

        assert_int_equal(record_encode(&entry, bytes, n - 1, &n_entry), -EMSGSIZE);
        assert_int_equal(record_encode(&entry, bytes, 15, &n_entry), -EMSGSIZE);
        entry.type = RECORD_NONE;
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n_entry), -EINVAL);
        entry.type = RECORD_REGION;
        type[SHMB_TYPE_MAX] = 't';
        type[SHMB_TYPE_MAX + 1] = '\0';
        n_entry = 12345;
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n_entry), -EINVAL);
        assert_int_equal(n_entry, 12345);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_checksum_is_the_one_of_rfc_3720),
                TEST(test_entries_come_out_as_they_went_in),
                TEST(test_bytes_are_pinned),
                TEST(test_file_cut_anywhere_holds_what_was_before_the_cut),
                TEST(test_file_with_any_changed_byte_is_refused_where_it_is_changed),
                cmocka_unit_test(test_header_cut_or_changed_anywhere_is_refused),
                cmocka_unit_test(test_header_of_the_first_version_is_read),
                TEST(test_file_of_a_newer_broker_is_told_from_a_damaged_one),
                TEST(test_value_out_of_bounds_is_refused_though_its_checksum_is_good),
                TEST(test_lease_of_an_older_broker_is_read),
                cmocka_unit_test(test_payload_of_another_length_is_refused),
                TEST(test_longest_entry_fits_and_longer_texts_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
