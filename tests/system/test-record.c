/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Record that Somebody Changed
 *
 * A broker is killed, and its record is changed: a byte, a cut, or an entry with sound checksums
 * that no broker would have written. The next broker takes everything over or refuses to start with
 * one sentence that names the file and the offset; then nothing in /dev/shm was touched, nor the
 * record, nor the FIFOs of clients. When the record is as it was, everything is there again.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/record.h"
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"

enum {
        /* All bytes take some 20 s: of the header and the first entries each, of the rest one
         * in so many, and likewise for cuts. */
        STRIDE = 4,
        EACH = 96,
        SANITIZED_STRIDE = 131,
        SANITIZED_EACH = 24,
        RECORD_MAX = 65536,
        N_RAW = 2,  /* names: control and data */
        N_RING = 5, /* control, two lanes, two seats */
        N_GROUP = 1,
        N_NAMES = 2 * N_RAW + N_RING + N_GROUP,
        N_HOLDERS = 6,
};

static const char yaml[] =
                "version: 1\n"
                "regions:\n"
                "  - name: $/ring\n"
                "    kind: ring\n"
                "    item: {size: 64}\n"
                "    capacity: 64\n"
                "    producers: 2\n"
                "    consumers: 2\n"
                "    access: {produce: [any], consume: [any], observe: [any]}\n"
                "  - {name: $/raw, kind: raw, size: 4K, access: {read: [any], write: [any]}}\n"
                "  - name: $/fixed\n"
                "    kind: raw\n"
                "    size: 4K\n"
                "    posix_name: $-fixed\n"
                "    access: {read: [any]}\n"
                "  - name: $/sealed\n"
                "    kind: raw\n"
                "    size: 4K\n"
                "    backing: memfd\n"
                "    access: {read: [any]}\n";

/* What a broker that was killed left. */
typedef struct Left {
        uint8_t record[RECORD_MAX];
        size_t n_record;
        BrokerName names[BROKER_NAMES_MAX];
        size_t n_names;
        uint64_t leases[N_HOLDERS];
} Left;

static Broker broker;
static Caller holder;
static Left left;

static int teardown(void **state) {
        caller_close(&holder);
        broker_deinit(&broker);
        return 0;
}

static int open_runtime(void) {
        int fd = open(broker.runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static size_t read_record(uint8_t ret_bytes[static RECORD_MAX]) {
        int dir_fd = open_runtime();
        int fd = openat(dir_fd, RECORD_NAME, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, ret_bytes, RECORD_MAX);
        assert_true(n >= 0 && n < RECORD_MAX);
        close(fd);
        close(dir_fd);
        return (size_t)n;
}

static void write_record(const uint8_t *bytes, size_t n_bytes) {
        int dir_fd = open_runtime();
        int fd = openat(dir_fd, RECORD_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n_bytes), n_bytes);
        close(fd);
        close(dir_fd);
}

/* The record as it was, with these bytes behind it. */
static void write_with(const uint8_t *more, size_t n_more) {
        static uint8_t bytes[2 * RECORD_MAX];

        memcpy(bytes, left.record, left.n_record);
        memcpy(bytes + left.n_record, more, n_more);
        write_record(bytes, left.n_record + n_more);
}

static void hold(const char *name, ShmbRole role, size_t nth) {
        CallerLease lease;

        assert_int_equal(caller_attach(&holder, broker_name(&broker, name), role, &lease), 0);
        left.leases[nth] = lease.attached.lease;
        caller_lease_close(&lease);
}

/* Leases in order, as an administrator sees them. */
static size_t holders(uint64_t ret_leases[static N_HOLDERS]) {
        WireMessage message = { .type = WIRE_WHO };
        WireHolder found;
        Caller caller;
        size_t at = 0, n = 0;

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_call(&caller, &message), 0);
        while (wire_holder_next(&caller.reply.holders, &at, &found) == 1) {
                assert_true(n < N_HOLDERS);
                ret_leases[n++] = found.lease;
        }
        caller_close(&caller);
        return n;
}

/* Regions, and leases of this process, which lives on; then the end of the broker. */
static void begin(void) {
        uint64_t now[N_HOLDERS];

        broker_begin(&broker, yaml);
        assert_int_equal(caller_begin(&holder, broker.socket), 0);
        hold("ring", SHMB_ROLE_PRODUCE, 0);
        hold("ring", SHMB_ROLE_CONSUME, 1);
        hold("raw", SHMB_ROLE_WRITE, 2);
        hold("ring", SHMB_ROLE_PRODUCE, 3);
        hold("fixed", SHMB_ROLE_READ, 4);
        hold("raw", SHMB_ROLE_READ, 5);
        assert_int_equal(caller_detach(&holder, left.leases[3]), 0);
        hold("ring", SHMB_ROLE_OBSERVE, 3);
        assert_int_equal(holders(now), N_HOLDERS);
        memcpy(left.leases, now, sizeof(now));
        broker_kill(&broker);
        left.n_record = read_record(left.record);
        left.n_names = broker_shm(&broker, left.names);
        assert_int_equal(left.n_names, N_NAMES);
}

static void expect_names(void) {
        BrokerName names[BROKER_NAMES_MAX];

        broker_expect_shm(&broker, left.n_names);
        broker_shm(&broker, names);
        assert_memory_equal(names, left.names, left.n_names * sizeof(names[0]));
}

static void forget_journal(void) {
        assert_int_equal(truncate(broker.journal, 0), 0);
}

/* One sentence, and everything as it was. */
static void expect_refusal(const char *what) {
        static uint8_t before[RECORD_MAX], after[RECORD_MAX];
        size_t n = read_record(before);
        char path[BROKER_PATH_MAX + 16];
        int status;

        forget_journal();
        broker_spawn(&broker, NULL);
        status = broker_wait(&broker);
        snprintf(path, sizeof(path), "%s/%s", broker.runtime, RECORD_NAME);
        if (status != 1 || broker_n_said(&broker, "") != 1 || !broker_said(&broker, path, what))
                fail_msg("exit status %d: %s", status, broker_journal(&broker));
        assert_int_equal(read_record(after), n);
        assert_memory_equal(after, before, n);
        expect_names();
}

/* As if nobody had ever touched it; and killed again. */
static void expect_takeover(void) {
        uint64_t leases[N_HOLDERS];

        forget_journal();
        broker_start(&broker);
        expect_names();
        assert_int_equal(holders(leases), N_HOLDERS);
        assert_memory_equal(leases, left.leases, sizeof(leases));
        broker_kill(&broker);
}

static void end(void) {
        write_record(left.record, left.n_record);
        expect_takeover();
        caller_close(&holder);
        broker_start(&broker);
        broker_end(&broker);
}

static size_t after(size_t at) {
        bool sanitized = broker_is_sanitized();

        return at + (at < (size_t)(sanitized ? SANITIZED_EACH : EACH) ? 1 :
                     sanitized ? SANITIZED_STRIDE : STRIDE);
}

static void test_record_with_a_wrong_byte_is_refused(void **state) {
        static const uint8_t changes[] = { 0x01, 0x80, 0xff, 0x10 };
        size_t at, n = 0;

        begin();
        for (at = 0; at < left.n_record; at = after(at)) {
                left.record[at] ^= changes[n % sizeof(changes)];
                write_record(left.record, left.n_record);
                left.record[at] ^= changes[n++ % sizeof(changes)];
                expect_refusal("at offset ");
        }
        print_message("%zu of %zu bytes were changed\n", n, left.n_record);
        end();
}

static void test_record_that_was_cut_is_refused(void **state) {
        size_t n_bytes, n = 0;

        begin();
        for (n_bytes = 0; n_bytes < left.n_record; n_bytes = after(n_bytes), n++) {
                write_record(left.record, n_bytes);
                expect_refusal("at offset ");
        }
        print_message("%zu of %zu cuts\n", n, left.n_record);
        end();
}

/* What a broker that is killed in the middle of write(2) leaves. */
static void test_record_with_a_torn_end_is_taken_over(void **state) {
        RecordEntry entry = { .type = RECORD_LEASE_ENDED };
        uint8_t bytes[RECORD_ENTRY_MAX];
        size_t n_bytes, n;

        begin();
        entry.lease_ended.lease = left.leases[0];
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n_bytes), 0);
        for (n = 0; n < n_bytes; n++) {
                write_with(bytes, n);
                expect_takeover();
                assert_int_equal(broker_said(&broker, RECORD_NAME, "killed while it wrote"), n > 0);
        }
        end();
}

static void put_u32(uint8_t *at, uint32_t value) {
        size_t i;

        for (i = 0; i < 4; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static void test_record_of_a_newer_broker_is_refused(void **state) {
        RecordEntry entry = { .type = RECORD_LEASE_ENDED };
        uint8_t bytes[RECORD_ENTRY_MAX], header[RECORD_FILE_HEADER_SIZE];
        size_t n_bytes;

        begin();
        /* an entry that this version does not have */
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n_bytes), 0);
        bytes[4] = 0xee;
        put_u32(bytes + 12, record_crc32c(bytes, 12));
        write_with(bytes, n_bytes);
        expect_refusal("newer broker");
        /* a minor, and a major version that it does not have */
        memcpy(header, left.record, sizeof(header));
        left.record[10] = RECORD_MINOR + 1;
        put_u32(left.record + 36, record_crc32c(left.record, 36));
        write_with(NULL, 0);
        expect_refusal("newer broker");
        memcpy(left.record, header, sizeof(header));
        left.record[8] = RECORD_MAJOR + 1;
        put_u32(left.record + 36, record_crc32c(left.record, 36));
        write_with(NULL, 0);
        expect_refusal("newer broker");
        memcpy(left.record, header, sizeof(header));
        end();
}

/* The entries of what is left, for changing them. */
typedef struct Entries {
        RecordContent content;
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
} Entries;

static void read_entries(Entries *entries) {
        int dir_fd = open_runtime();

        write_record(left.record, left.n_record);
        assert_int_equal(record_boot_id(entries->boot_id), 0);
        assert_int_equal(record_read(dir_fd, entries->boot_id, &entries->content), 0);
        close(dir_fd);
}

static RecordEntry first_entry(const Entries *entries, RecordType type) {
        size_t i;

        for (i = 0; i < entries->content.n_entries; i++)
                if (entries->content.entries[i].type == type)
                        return entries->content.entries[i];
        fail_msg("no entry of type %d", type);
        return (RecordEntry){};
}

/* With a sound checksum behind all others, as if the last broker had written it. */
static void expect_senseless(const RecordEntry *entry, const char *what) {
        uint8_t bytes[RECORD_ENTRY_MAX];
        size_t n_bytes;

        assert_int_equal(record_encode(entry, bytes, sizeof(bytes), &n_bytes), 0);
        write_with(bytes, n_bytes);
        expect_refusal(what);
}

static void test_record_that_makes_no_sense_is_refused(void **state) {
        RecordEntry region, object, lease, entry;
        Entries entries = {};
        char offset[64];

        begin();
        read_entries(&entries);
        region = first_entry(&entries, RECORD_REGION);
        object = first_entry(&entries, RECORD_OBJECT);
        lease = first_entry(&entries, RECORD_LEASE);
        snprintf(offset, sizeof(offset), "at offset %zu (", left.n_record);

        expect_senseless(&region, offset);
        entry = object;
        entry.object.tag ^= 1;
        expect_senseless(&entry, offset);
        entry = object;
        entry.object.size_bytes = UINT64_MAX;
        expect_senseless(&entry, offset);
        entry = object;
        entry.object.epoch = UINT32_MAX;
        expect_senseless(&entry, offset);
        entry = object;
        entry.object.name = "..data";
        expect_senseless(&entry, offset);
        entry = object;
        entry.object.name = "a/b";
        expect_senseless(&entry, offset);
        entry = object;
        entry.object.kind = SHMB_OBJECT_LANE;
        entry.object.index = UINT32_MAX;
        expect_senseless(&entry, offset);
        entry = lease;
        entry.lease.role = SHMB_ROLE_PRODUCE;
        entry.lease.index = UINT32_MAX;
        expect_senseless(&entry, offset);
        entry = lease;
        entry.lease.lease = UINT64_MAX;
        expect_senseless(&entry, offset);
        entry = (RecordEntry){ .type = RECORD_MARK, .mark = { .next_lease = UINT64_MAX } };
        expect_senseless(&entry, offset);
        record_content_deinit(&entries.content);
        end();
}

/* A region that departed is not written down again; a holder of it that comes back is. */
static void test_record_with_a_lease_of_no_region_is_taken_over(void **state) {
        uint8_t bytes[RECORD_ENTRY_MAX];
        Entries entries = {};
        RecordEntry entry;
        size_t n_bytes;

        begin();
        read_entries(&entries);
        entry = first_entry(&entries, RECORD_LEASE);
        entry.lease.tag ^= 1;
        entry.lease.lease = left.leases[N_HOLDERS - 1] + 1;
        assert_int_equal(record_encode(&entry, bytes, sizeof(bytes), &n_bytes), 0);
        write_with(bytes, n_bytes);
        expect_takeover();
        record_content_deinit(&entries.content);
        end();
}

/* The files through which sleeping clients are woken are nobody's to remove who does not know. */
static void test_refusal_leaves_the_fifos_of_clients_alone(void **state) {
        char path[BROKER_PATH_MAX + 16];
        struct stat st;
        int fd;

        begin();
        snprintf(path, sizeof(path), "%s/bells", broker.runtime);
        (void)mkdir(path, 0700);
        strcat(path, "/one");
        assert_int_equal(mkfifo(path, 0600), 0);
        left.record[left.n_record / 2] ^= 1;
        write_record(left.record, left.n_record);
        left.record[left.n_record / 2] ^= 1;
        expect_refusal("at offset ");
        assert_int_equal(stat(path, &st), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        close(fd);
        end();
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_record_with_a_wrong_byte_is_refused),
                TEST(test_record_that_was_cut_is_refused),
                TEST(test_record_with_a_torn_end_is_taken_over),
                TEST(test_record_of_a_newer_broker_is_refused),
                TEST(test_record_that_makes_no_sense_is_refused),
                TEST(test_record_with_a_lease_of_no_region_is_taken_over),
                TEST(test_refusal_leaves_the_fifos_of_clients_alone),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
