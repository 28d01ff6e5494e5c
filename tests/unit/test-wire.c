/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Wire Codec
 *
 * A specimen of every message with every field filled is encoded, held against pinned bytes,
 * decoded and encoded again. Each specimen is then cut at every byte and hit in every bit, in a
 * buffer of exactly its length, so that a sanitizer sees the first byte that is read too far. What
 * the tables cannot make by themselves is built by hand from frames.
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
#include "protocol/wire-table.h"
#include "tests/unit/wire-specimens.h"

static const uint16_t types[] = {
        WIRE_HELLO,    WIRE_ATTACH,   WIRE_MAPPED,  WIRE_DETACH,      WIRE_FETCH,
        WIRE_RESUME,   WIRE_LIST,     WIRE_WHO,     WIRE_STATUS,      WIRE_RELOAD,
        WIRE_GC,       WIRE_POLL,     WIRE_SEGMENT, WIRE_OK,          WIRE_ERROR,
        WIRE_WELCOME,  WIRE_ATTACHED, WIRE_RESUMED, WIRE_LISTING,     WIRE_HOLDERS,
        WIRE_STATUS_INFO, WIRE_REPORT,  WIRE_KICK,  WIRE_WATCH,       WIRE_EVENTS,
        WIRE_CREATE,   WIRE_REMOVE,   WIRE_CREATED,
        WIRE_OFFER,
};
#define N_TYPES (sizeof(types) / sizeof(*types))

/* A packet under construction by hand. */
typedef struct Packet {
        uint8_t bytes[SHMB_MESSAGE_MAX + 64];
        size_t n;
} Packet;

static void packet_start(Packet *p, uint16_t type) {
        memset(p, 0, sizeof(*p));
        p->n = WIRE_HEADER_SIZE;
        p->bytes[4] = (uint8_t)type;
        p->bytes[5] = (uint8_t)(type >> 8);
        p->bytes[8] = 7;
}

static void packet_add(Packet *p, uint16_t tag, const void *payload, uint16_t n) {
        p->bytes[p->n] = (uint8_t)tag;
        p->bytes[p->n + 1] = (uint8_t)(tag >> 8);
        p->bytes[p->n + 2] = (uint8_t)n;
        p->bytes[p->n + 3] = (uint8_t)(n >> 8);
        memcpy(p->bytes + p->n + 4, payload, n);
        p->n = (p->n + 4 + n + 7) & ~(size_t)7;
}

/* Decode a copy of exactly @n bytes, so that reading beyond them is seen. */
static int decode_exact(const uint8_t *bytes, size_t n, WireMessage *ret_message,
                        uint8_t **ret_copy) {
        uint8_t *copy = malloc(n ? n : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        r = wire_decode(copy, n, ret_message);
        *ret_copy = copy;
        return r;
}

static int packet_decode(Packet *p, WireMessage *ret_message) {
        uint8_t *copy;
        int r;

        p->bytes[0] = (uint8_t)p->n;
        p->bytes[1] = (uint8_t)(p->n >> 8);
        r = decode_exact(p->bytes, p->n, ret_message, &copy);
        free(copy);
        return r;
}

static size_t encode(const WireMessage *message, uint8_t *buffer) {
        size_t n = 0;

        assert_int_equal(wire_encode(message, buffer, SHMB_MESSAGE_MAX, &n), 0);
        return n;
}

/* Look at everything that a receiver would; only documented results may come out. */
static void walk(const WireMessage *m) {
        WireHolder holder;
        WireRegion region;
        const char *line;
        size_t at = 0;
        int r = 0;

        if (m->type == WIRE_LISTING)
                while ((r = wire_region_next(&m->listing, &at, &region)) > 0)
                        assert_true(strlen(region.access) <= WIRE_TEXT_MAX);
        if (m->type == WIRE_HOLDERS)
                while ((r = wire_holder_next(&m->holders, &at, &holder)) > 0)
                        assert_true(strlen(holder.region) <= SHMB_NAME_MAX);
        if (m->type == WIRE_REPORT)
                while ((r = wire_line_next(&m->report, &at, &line)) > 0)
                        assert_true(strlen(line) <= WIRE_TEXT_MAX);
        if (r < 0)
                assert_int_equal(r, -EBADMSG);
}

/* What the decoder took, the encoder can say again. */
static void assert_sound(int r, const WireMessage *m) {
        static uint8_t again[SHMB_MESSAGE_MAX];
        size_t n;

        if (r == 0) {
                walk(m);
                assert_int_equal(wire_encode(m, again, sizeof(again), &n), 0);
        } else if (r != -EOPNOTSUPP) {
                assert_int_equal(r, -EBADMSG);
        }
}

static void test_wire_bytes_of_every_message_are_pinned(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        char hex[8 * 1024];
        size_t i, j, n;

        for (i = 0; i < N_TYPES; i++) {
                n = encode(wire_specimen(types[i]), bytes);
                assert_true(2 * n < sizeof(hex));
                for (j = 0; j < n; j++)
                        sprintf(hex + 2 * j, "%02x", bytes[j]);
                if (strcmp(hex, wire_specimen_hex(types[i])) != 0)
                        fail_msg("message %u is now %s", types[i], hex);
        }
}

static void test_wire_every_message_survives_the_round_trip(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX], again[SHMB_MESSAGE_MAX];
        WireMessage message;
        size_t i, n;

        for (i = 0; i < N_TYPES; i++) {
                memset(&message, 0xa5, sizeof(message));
                n = encode(wire_specimen(types[i]), bytes);
                assert_int_equal(wire_decode(bytes, n, &message), 0);
                assert_int_equal(message.type, types[i]);
                assert_int_equal(message.id, wire_specimen(types[i])->id);
                assert_int_equal(encode(&message, again), n);
                assert_memory_equal(bytes, again, n);
        }
}

static void test_wire_attached_arrives_field_by_field(void **state) {
        const WireAttached *sent = &wire_specimen(WIRE_ATTACHED)->attached;
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        WireMessage m;
        uint32_t i;

        assert_int_equal(
                wire_decode(bytes, encode(wire_specimen(WIRE_ATTACHED), bytes), &m), 0);
        assert_int_equal(m.attached.lease, sent->lease);
        assert_int_equal(m.attached.generation, sent->generation);
        assert_int_equal(m.attached.tag, sent->tag);
        assert_int_equal(m.attached.role, sent->role);
        assert_int_equal(m.attached.index, sent->index);
        assert_memory_equal(&m.attached.geometry, &sent->geometry, sizeof(WireGeometry));
        assert_string_equal(m.attached.type, sent->type);
        assert_int_equal(m.attached.n_objects, sent->n_objects);
        for (i = 0; i < sent->n_objects; i++) {
                assert_int_equal(m.attached.objects[i].kind, sent->objects[i].kind);
                assert_int_equal(m.attached.objects[i].index, sent->objects[i].index);
                assert_int_equal(m.attached.objects[i].epoch, sent->objects[i].epoch);
                assert_int_equal(m.attached.objects[i].writable, sent->objects[i].writable);
                assert_int_equal(m.attached.objects[i].size_bytes, sent->objects[i].size_bytes);
        }
}

static void test_wire_pages_are_walked_entry_by_entry(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        WireMessage m;
        WireHolder holder;
        WireRegion region;
        const char *line;
        size_t at = 0;

        assert_int_equal(wire_decode(bytes, encode(wire_specimen(WIRE_LISTING), bytes), &m), 0);
        assert_true(m.listing.more);
        assert_int_equal(m.listing.n_entries, 2);
        assert_int_equal(wire_region_next(&m.listing, &at, &region), 1);
        assert_string_equal(region.name, "telemetry/imu");
        assert_string_equal(region.access, "produce: user:sensors; consume: any");
        assert_int_equal(region.geometry.capacity, 4096);
        assert_int_equal(region.n_writers, 38);
        assert_int_equal(wire_region_next(&m.listing, &at, &region), 1);
        assert_string_equal(region.name, "a/raw");
        assert_string_equal(region.description, "");
        assert_int_equal(region.geometry.capacity, 0);
        assert_int_equal(wire_region_next(&m.listing, &at, &region), 0);
        assert_string_equal(region.name, "a/raw");

        at = 0;
        assert_int_equal(wire_decode(bytes, encode(wire_specimen(WIRE_HOLDERS), bytes), &m), 0);
        assert_int_equal(m.holders.n_entries, 1);
        assert_int_equal(wire_holder_next(&m.holders, &at, &holder), 1);
        assert_string_equal(holder.unit, "imu.service");
        assert_true(holder.connected);
        assert_int_equal(wire_holder_next(&m.holders, &at, &holder), 0);

        at = 0;
        assert_int_equal(wire_decode(bytes, encode(wire_specimen(WIRE_REPORT), bytes), &m), 0);
        assert_int_equal(m.report.n_lines, 3);
        assert_int_equal(wire_line_next(&m.report, &at, &line), 1);
        assert_string_equal(line, "add a/raw");
        assert_int_equal(wire_line_next(&m.report, &at, &line), 1);
        assert_string_equal(line, "");
        assert_int_equal(wire_line_next(&m.report, &at, &line), 1);
        assert_string_equal(line, "remove b");
        assert_int_equal(wire_line_next(&m.report, &at, &line), 0);
}

static void test_wire_missing_fields_read_as_nothing(void **state) {
        WireMessage m;
        Packet p;

        packet_start(&p, WIRE_ATTACH);
        assert_int_equal(packet_decode(&p, &m), 0);
        assert_string_equal(m.attach.name, "");
        assert_null(m.attach.type);
        assert_int_equal(m.attach.role, 0);

        packet_start(&p, WIRE_LISTING);
        assert_int_equal(packet_decode(&p, &m), 0);
        assert_false(m.listing.more);
        assert_int_equal(m.listing.n_entries, 0);
        walk(&m);

        packet_start(&p, WIRE_ATTACHED);
        assert_int_equal(packet_decode(&p, &m), 0);
        assert_int_equal(m.attached.n_objects, 0);
        assert_int_equal(m.attached.geometry.n_lanes, 0);
}

static void test_wire_every_truncation_is_refused(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        WireMessage m = { .type = 4711 };
        size_t i, n, cut;
        uint8_t *copy;

        for (i = 0; i < N_TYPES; i++) {
                n = encode(wire_specimen(types[i]), bytes);
                for (cut = 0; cut < n; cut++) {
                        assert_int_equal(decode_exact(bytes, cut, &m, &copy), -EBADMSG);
                        free(copy);
                        assert_int_equal(m.type, 4711);
                }
        }
}

/* The length in the header says what there is, so the fields themselves are cut short. */
static void test_wire_every_truncation_that_agrees_with_its_header_is_survived(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        size_t i, n, cut;
        WireMessage m;
        uint8_t *copy;
        int r;

        for (i = 0; i < N_TYPES; i++) {
                n = encode(wire_specimen(types[i]), bytes);
                for (cut = WIRE_HEADER_SIZE; cut < n; cut++) {
                        bytes[0] = (uint8_t)cut;
                        bytes[1] = (uint8_t)(cut >> 8);
                        r = decode_exact(bytes, cut, &m, &copy);
                        assert_sound(r, &m);
                        if (cut % 8)
                                assert_int_equal(r, -EBADMSG);
                        free(copy);
                }
        }
}

static void test_wire_every_flipped_bit_is_survived(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        size_t i, n, bit;
        WireMessage m;
        uint8_t *copy;

        for (i = 0; i < N_TYPES; i++) {
                n = encode(wire_specimen(types[i]), bytes);
                for (bit = 0; bit < 8 * n; bit++) {
                        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                        assert_sound(decode_exact(bytes, n, &m, &copy), &m);
                        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                        free(copy);
                }
        }
}

static void test_wire_header_is_judged_whole(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX + 8];
        size_t n = encode(wire_specimen(WIRE_OK), bytes);
        WireMessage m = { .type = 4711 };

        assert_int_equal(n, WIRE_HEADER_SIZE);
        bytes[6] = 1; /* flags */
        assert_int_equal(wire_decode(bytes, n, &m), -EBADMSG);
        bytes[6] = 0;
        bytes[0]++;
        assert_int_equal(wire_decode(bytes, n, &m), -EBADMSG);
        assert_int_equal(wire_decode(bytes, n + 1, &m), -EBADMSG); /* no frame of one byte */
        assert_int_equal(wire_decode(bytes, 0, &m), -EBADMSG);
        assert_int_equal(wire_decode(bytes, SHMB_MESSAGE_MAX + 1, &m), -EBADMSG);
        assert_int_equal(m.type, 4711);
}

static void test_wire_unknown_tags_are_skipped(void **state) {
        uint32_t lease_and_more[2] = { 5, 0 };
        WireMessage m;
        Packet p;

        packet_start(&p, WIRE_DETACH);
        packet_add(&p, 999, "from the future", 15);
        packet_add(&p, 1, lease_and_more, 8);
        packet_add(&p, 0, "", 0);
        assert_int_equal(packet_decode(&p, &m), 0);
        assert_int_equal(m.detach.lease, 5);
}

static void test_wire_known_tag_twice_is_refused(void **state) {
        uint64_t lease = 5;
        WireMessage m = { .type = 4711 };
        Packet p;

        packet_start(&p, WIRE_DETACH);
        packet_add(&p, 1, &lease, 8);
        packet_add(&p, 1, &lease, 8);
        assert_int_equal(packet_decode(&p, &m), -EBADMSG);
        assert_int_equal(m.type, 4711);
}

static void test_wire_unknown_type_tells_type_and_id_only(void **state) {
        WireMessage m;
        Packet p;

        memset(&m, 0xa5, sizeof(m));
        packet_start(&p, 4000);
        packet_add(&p, 1, "x", 1);
        assert_int_equal(packet_decode(&p, &m), -EOPNOTSUPP);
        assert_int_equal(m.type, 4000);
        assert_int_equal(m.id, 7);
        assert_int_equal(m.hello.major, 0xa5a5a5a5);

        /* fields must be well formed all the same */
        p.bytes[p.n - 1] = 1;
        assert_int_equal(packet_decode(&p, &m), -EBADMSG);

        /* holes of the numbering are no messages */
        packet_start(&p, WIRE_NONE);
        assert_int_equal(packet_decode(&p, &m), -EOPNOTSUPP);
        packet_start(&p, WIRE_OFFER + 1);
        assert_int_equal(packet_decode(&p, &m), -EOPNOTSUPP);
}

static void test_wire_values_of_the_wrong_shape_are_refused(void **state) {
        static const struct {
                uint16_t type, tag;
                const char *payload;
                uint16_t n;
        } rows[] = {
                { WIRE_DETACH, 1, "\1\0\0\0", 4 },              /* u64 of 4 bytes */
                { WIRE_MAPPED, 2, "\1\0\0\0\0\0\0\0", 8 },      /* u32 of 8 bytes */
                { WIRE_MAPPED, 2, "", 0 },                      /* of none */
                { WIRE_GC, 1, "\2\0\0\0", 4 },                  /* neither true nor false */
                { WIRE_GC, 1, "\0\0\0\1", 4 },
                { WIRE_HELLO, 3, "0123456789abcde", 15 },       /* short uuid */
                { WIRE_HELLO, 3, "0123456789abcdefg", 17 },
                { WIRE_ATTACH, 1, "", 0 },                      /* string without terminator */
                { WIRE_ATTACH, 1, "ab", 2 },
                { WIRE_ATTACH, 1, "a\0b", 4 },                  /* embedded NUL */
                { WIRE_ATTACHED, 6, "\1\0\1", 3 },              /* half a frame in a struct */
                { WIRE_ATTACHED, 6, "\1\0\4\0\0\0\0", 7 },
                { WIRE_ATTACHED, 8, "\1\0\377\377\0\0\0\0", 8 }, /* frame longer than its struct */
                { WIRE_LISTING, 2, "\1\0\x20\0\0\0\0\0", 8 },   /* entry longer than its page */
                { WIRE_REPORT, 3, "\1\0", 2 },
        };
        WireMessage m = { .type = 4711 };
        Packet p;
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                packet_start(&p, rows[i].type);
                packet_add(&p, rows[i].tag, rows[i].payload, rows[i].n);
                if (packet_decode(&p, &m) != -EBADMSG)
                        fail_msg("row %zu was taken", i);
                assert_int_equal(m.type, 4711);
        }
}

static void test_wire_padding_must_be_zero(void **state) {
        uint32_t value = 1;
        WireMessage m;
        Packet p;

        packet_start(&p, WIRE_MAPPED);
        packet_add(&p, 1, "\1\0\0\0\0\0\0\0", 8);
        packet_add(&p, 2, &value, 4);
        assert_int_equal(packet_decode(&p, &m), 0);
        p.bytes[WIRE_HEADER_SIZE + 12] = 1;
        assert_int_equal(packet_decode(&p, &m), -EBADMSG);
}

static void test_wire_entry_of_a_page_is_judged_when_walked_to(void **state) {
        /* one entry, whose name is not terminated; the page's frames are fine */
        static const uint8_t page[] = { 1, 0, 8, 0, 1, 0, 1, 0, 'x', 0, 0, 0, 0, 0, 0, 0 };
        WireRegion region = { .n_readers = 4711 };
        WireMessage m;
        size_t at = 0;
        Packet p;

        packet_start(&p, WIRE_LISTING);
        packet_add(&p, 2, page, sizeof(page));
        p.bytes[0] = (uint8_t)p.n;
        assert_int_equal(wire_decode(p.bytes, p.n, &m), 0);
        assert_int_equal(m.listing.n_entries, 1);
        assert_int_equal(wire_region_next(&m.listing, &at, &region), -EBADMSG);
        assert_int_equal(at, 0);
        assert_int_equal(region.n_readers, 4711);
}

static void test_wire_arrays_have_a_bound(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        static WireMessage m;
        static Packet p;
        size_t n;
        int i;

        m.type = WIRE_ATTACHED;
        m.attached.n_objects = SHMB_OBJECTS_MAX;
        for (i = 0; i < SHMB_OBJECTS_MAX; i++)
                m.attached.objects[i] = (WireObject){ 2, (uint32_t)i, 9, true, UINT64_MAX };
        assert_int_equal(wire_encode(&m, bytes, sizeof(bytes), &n), 0);
        assert_int_equal(wire_decode(bytes, n, &m), 0);
        assert_int_equal(m.attached.n_objects, SHMB_OBJECTS_MAX);
        assert_int_equal(m.attached.objects[SHMB_OBJECTS_MAX - 1].index, SHMB_OBJECTS_MAX - 1);

        m.attached.n_objects = SHMB_OBJECTS_MAX + 1;
        assert_int_equal(wire_encode(&m, bytes, sizeof(bytes), &n), -EINVAL);

        packet_start(&p, WIRE_ATTACHED);
        for (i = 0; i <= SHMB_OBJECTS_MAX; i++)
                packet_add(&p, 8, "", 0);
        assert_int_equal(packet_decode(&p, &m), -EBADMSG);
}

static void test_wire_strings_have_bounds_on_both_sides(void **state) {
        char name[SHMB_NAME_MAX + 2] = {};
        WireMessage m = { .type = WIRE_ATTACH, .attach.name = name };
        uint8_t bytes[1024];
        size_t n = 4711;
        Packet p;

        memset(name, 'a', SHMB_NAME_MAX + 1);
        assert_int_equal(wire_encode(&m, bytes, sizeof(bytes), &n), -EINVAL);
        assert_int_equal(n, 4711);

        packet_start(&p, WIRE_ATTACH);
        packet_add(&p, 1, name, SHMB_NAME_MAX + 2);
        assert_int_equal(packet_decode(&p, &m), -EBADMSG);

        name[SHMB_NAME_MAX] = '\0';
        packet_start(&p, WIRE_ATTACH);
        packet_add(&p, 1, name, SHMB_NAME_MAX + 1);
        assert_int_equal(packet_decode(&p, &m), 0);
}

static void test_wire_encode_never_writes_past_a_small_buffer(void **state) {
        static uint8_t bytes[SHMB_MESSAGE_MAX];
        size_t i, n, size, n_again;
        uint8_t *small;

        for (i = 0; i < N_TYPES; i++) {
                n = encode(wire_specimen(types[i]), bytes);
                for (size = 0; size <= n; size++) {
                        small = malloc(size ? size : 1);
                        n_again = 4711;
                        assert_int_equal(
                                wire_encode(wire_specimen(types[i]), small, size, &n_again),
                                size < n ? -EMSGSIZE : 0);
                        assert_int_equal(n_again, size < n ? 4711 : n);
                        free(small);
                }
        }
}

static void test_wire_encode_refuses_what_is_no_message(void **state) {
        WireMessage m = { .type = 4000 };
        uint8_t bytes[64];
        size_t n;

        assert_int_equal(wire_encode(&m, bytes, sizeof(bytes), &n), -EINVAL);
}

static void test_wire_full_page_stays_as_it_was(void **state) {
        static uint8_t page[WIRE_PAGE_MAX], bytes[SHMB_MESSAGE_MAX];
        WireMessage m = { .type = WIRE_REPORT, .id = 1 };
        char line[200] = {};
        size_t n = 0, n_before, n_packet, n_lines = 0;
        int r;

        memset(line, 'x', sizeof(line) - 1);
        do {
                n_before = n;
                r = wire_line_append(page, sizeof(page), &n, line);
                n_lines += r == 0;
        } while (r == 0);
        assert_int_equal(r, -EMSGSIZE);
        assert_int_equal(n, n_before);

        m.report = (WireReport){ true, true, 0, page, n };
        assert_int_equal(wire_encode(&m, bytes, sizeof(bytes), &n_packet), 0);
        assert_int_equal(wire_decode(bytes, n_packet, &m), 0);
        assert_int_equal(m.report.n_lines, n_lines);
}

static void test_wire_longest_region_fits_one_page(void **state) {
        static uint8_t page[WIRE_PAGE_MAX];
        static char text[WIRE_TEXT_MAX + 1];
        WireRegion region;
        size_t n = 0;

        memset(text, 'x', WIRE_TEXT_MAX);
        memset(&region, 0xff, sizeof(region));
        region.name = text + WIRE_TEXT_MAX - SHMB_NAME_MAX;
        region.description = text + WIRE_TEXT_MAX - SHMB_DESCRIPTION_MAX;
        region.type = text + WIRE_TEXT_MAX - SHMB_TYPE_MAX;
        region.reason = text + WIRE_TEXT_MAX - SHMB_SENTENCE_MAX;
        region.origin = region.access = text;
        assert_int_equal(wire_region_append(page, sizeof(page), &n, &region), 0);
}

/* The decoder remembers what it saw in one word, and a tag must mean one thing. */
static void test_wire_tables_are_sound(void **state) {
        const WireTable *tables[N_TYPES + 3] = { &wire_table_region, &wire_table_holder,
                                                 &wire_table_line };
        size_t i, j, k;

        for (i = 0; i < N_TYPES; i++)
                tables[3 + i] = wire_table_of(types[i]);
        for (i = 0; i < N_TYPES + 3; i++) {
                assert_non_null(tables[i]);
                assert_true(tables[i]->n_fields <= WIRE_FIELDS_MAX);
                for (j = 0; j < tables[i]->n_fields; j++)
                        for (k = 0; k < j; k++)
                                assert_int_not_equal(tables[i]->fields[j].tag,
                                                     tables[i]->fields[k].tag);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wire_bytes_of_every_message_are_pinned),
                cmocka_unit_test(test_wire_every_message_survives_the_round_trip),
                cmocka_unit_test(test_wire_attached_arrives_field_by_field),
                cmocka_unit_test(test_wire_pages_are_walked_entry_by_entry),
                cmocka_unit_test(test_wire_missing_fields_read_as_nothing),
                cmocka_unit_test(test_wire_every_truncation_is_refused),
                cmocka_unit_test(
                        test_wire_every_truncation_that_agrees_with_its_header_is_survived),
                cmocka_unit_test(test_wire_every_flipped_bit_is_survived),
                cmocka_unit_test(test_wire_header_is_judged_whole),
                cmocka_unit_test(test_wire_unknown_tags_are_skipped),
                cmocka_unit_test(test_wire_known_tag_twice_is_refused),
                cmocka_unit_test(test_wire_unknown_type_tells_type_and_id_only),
                cmocka_unit_test(test_wire_values_of_the_wrong_shape_are_refused),
                cmocka_unit_test(test_wire_padding_must_be_zero),
                cmocka_unit_test(test_wire_entry_of_a_page_is_judged_when_walked_to),
                cmocka_unit_test(test_wire_arrays_have_a_bound),
                cmocka_unit_test(test_wire_strings_have_bounds_on_both_sides),
                cmocka_unit_test(test_wire_encode_never_writes_past_a_small_buffer),
                cmocka_unit_test(test_wire_encode_refuses_what_is_no_message),
                cmocka_unit_test(test_wire_full_page_stays_as_it_was),
                cmocka_unit_test(test_wire_longest_region_fits_one_page),
                cmocka_unit_test(test_wire_tables_are_sound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
