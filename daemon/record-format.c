/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Record Format
 *
 * Fields are written and read one by one through a cursor that goes bad instead of out of bounds,
 * so each entry has one function that lays it out and one that reads it back, in the same order.
 * Texts carry their length and a terminator: they can be pointed to where they stand.
 *
 * What was decoded is within the bounds of its types (enumerations, names, geometry), so the rest
 * of the broker need not ask again. Checksums guard against damage, not against an author: the file
 * is the broker's alone.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "daemon/record-format.h"

/* What four bits shifted out add to the rest: polynomial 0x1edc6f41, reflected (RFC 3720). */
static const uint32_t RECORD_CRC[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
        0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

enum {
        RECORD_ALIGN = 8,
};

static const uint8_t RECORD_MAGIC[8] = { 's', 'h', 'm', 'b', 'r', 'e', 'c', '\n' };

typedef struct RecordCursor {
        uint8_t *to;         /* encoding */
        const uint8_t *from; /* decoding */
        size_t n, size;
        bool bad;
} RecordCursor;

uint32_t record_crc32c(const void *bytes, size_t n_bytes) {
        const uint8_t *at = bytes;
        uint32_t crc = UINT32_MAX;
        size_t i;

        for (i = 0; i < n_bytes; i++) {
                crc ^= at[i];
                crc = crc >> 4 ^ RECORD_CRC[crc & 15];
                crc = crc >> 4 ^ RECORD_CRC[crc & 15];
        }
        return ~crc;
}

/* The next @n bytes, or false and the cursor is bad for good. */
static bool record_step(RecordCursor *cursor, size_t n) {
        if (cursor->bad || n > cursor->size - cursor->n) {
                cursor->bad = true;
                return false;
        }
        cursor->n += n;
        return true;
}

static void record_put(RecordCursor *cursor, uint64_t value, size_t n_bytes) {
        size_t i, at = cursor->n;

        if (!record_step(cursor, n_bytes))
                return;
        for (i = 0; i < n_bytes; i++)
                cursor->to[at + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t record_get(RecordCursor *cursor, size_t n_bytes) {
        uint64_t value = 0;
        size_t i, at = cursor->n;

        if (!record_step(cursor, n_bytes))
                return 0;
        for (i = 0; i < n_bytes; i++)
                value |= (uint64_t)cursor->from[at + i] << (8 * i);
        return value;
}

static void record_put_bytes(RecordCursor *cursor, const uint8_t *bytes, size_t n) {
        size_t at = cursor->n;

        if (record_step(cursor, n))
                memcpy(cursor->to + at, bytes, n);
}

static void record_get_bytes(RecordCursor *cursor, uint8_t *bytes, size_t n) {
        size_t at = cursor->n;

        if (record_step(cursor, n))
                memcpy(bytes, cursor->from + at, n);
}

static void record_put_text(RecordCursor *cursor, const char *text, size_t n_max) {
        size_t n = strnlen(text, n_max + 1);

        if (n > n_max)
                cursor->bad = true;
        record_put(cursor, n, 2);
        record_put_bytes(cursor, (const uint8_t *)text, n + 1);
}

static const char *record_get_text(RecordCursor *cursor, size_t n_max) {
        size_t n = record_get(cursor, 2), at = cursor->n;

        if (n > n_max || !record_step(cursor, n + 1) ||
            memchr(cursor->from + at, '\0', n + 1) != cursor->from + at + n) {
                cursor->bad = true;
                return "";
        }
        return (const char *)cursor->from + at;
}

/* An enumeration whose zero means "none". */
static unsigned record_get_enum(RecordCursor *cursor, unsigned n_values) {
        uint64_t value = record_get(cursor, 2);

        if (value == 0 || value >= n_values)
                cursor->bad = true;
        return (unsigned)value;
}

static const char *record_get_name(RecordCursor *cursor) {
        const char *name = record_get_text(cursor, SHMB_NAME_MAX);

        if (shmb_name_check(name, strlen(name), NULL) != SHMB_NAME_FINE)
                cursor->bad = true;
        return name;
}

static void record_put_geometry(RecordCursor *cursor, const ShmbGeometry *geometry) {
        record_put(cursor, geometry->kind, 2);
        record_put(cursor, geometry->n_lanes, 4);
        record_put(cursor, geometry->n_seats, 4);
        record_put(cursor, geometry->item_size, 4);
        record_put(cursor, geometry->item_align, 4);
        record_put(cursor, geometry->capacity, 8);
        record_put(cursor, geometry->region_size, 8);
        record_put(cursor, geometry->segment, 8);
        record_put(cursor, geometry->max_message, 4);
        record_put(cursor, geometry->delivery, 2);
}

static void record_get_geometry(RecordCursor *cursor, ShmbGeometry *geometry) {
        geometry->kind = record_get_enum(cursor, _SHMB_KIND_N);
        geometry->n_lanes = (uint32_t)record_get(cursor, 4);
        geometry->n_seats = (uint32_t)record_get(cursor, 4);
        geometry->item_size = (uint32_t)record_get(cursor, 4);
        geometry->item_align = (uint32_t)record_get(cursor, 4);
        geometry->capacity = record_get(cursor, 8);
        geometry->region_size = record_get(cursor, 8);
        geometry->segment = record_get(cursor, 8);
        geometry->max_message = (uint32_t)record_get(cursor, 4);
        geometry->delivery = (ShmbDelivery)record_get(cursor, 2);
        if (!cursor->bad && shmb_geometry_seal(geometry) < 0)
                cursor->bad = true;
}

static void record_put_region(RecordCursor *cursor, const RecordRegion *region) {
        record_put(cursor, region->tag, 8);
        record_put(cursor, region->generation, 8);
        record_put_text(cursor, region->name, SHMB_NAME_MAX);
        record_put_text(cursor, region->type, SHMB_TYPE_MAX);
        record_put_text(cursor, region->posix_name, SHMB_KERNEL_NAME_MAX);
        record_put(cursor, region->backing, 2);
        record_put_geometry(cursor, &region->geometry);
        record_put(cursor, region->uid, 4);
}

static void record_get_region(RecordCursor *cursor, RecordRegion *region) {
        region->tag = record_get(cursor, 8);
        region->generation = record_get(cursor, 8);
        region->name = record_get_name(cursor);
        region->type = record_get_text(cursor, SHMB_TYPE_MAX);
        region->posix_name = record_get_text(cursor, SHMB_KERNEL_NAME_MAX);
        if (*region->posix_name && !shmb_posix_name_is_valid(region->posix_name))
                cursor->bad = true;
        region->backing = record_get_enum(cursor, _SHMB_BACKING_N);
        record_get_geometry(cursor, &region->geometry);
        region->uid = (uint32_t)record_get(cursor, 4);
}

static void record_put_object(RecordCursor *cursor, const RecordObject *object) {
        record_put(cursor, object->tag, 8);
        record_put(cursor, object->kind, 2);
        record_put(cursor, object->index, 4);
        record_put(cursor, object->epoch, 4);
        record_put(cursor, object->dev, 8);
        record_put(cursor, object->ino, 8);
        record_put(cursor, object->size_bytes, 8);
        record_put(cursor, object->uid, 4);
        record_put(cursor, object->backing, 2);
        record_put_text(cursor, object->name, SHMB_KERNEL_NAME_MAX);
}

static void record_get_object(RecordCursor *cursor, RecordObject *object) {
        object->tag = record_get(cursor, 8);
        object->kind = record_get_enum(cursor, _SHMB_OBJECT_N);
        object->index = (uint32_t)record_get(cursor, 4);
        object->epoch = (uint32_t)record_get(cursor, 4);
        object->dev = record_get(cursor, 8);
        object->ino = record_get(cursor, 8);
        object->size_bytes = record_get(cursor, 8);
        object->uid = (uint32_t)record_get(cursor, 4);
        object->backing = record_get_enum(cursor, _SHMB_BACKING_N);
        object->name = record_get_text(cursor, SHMB_KERNEL_NAME_MAX);
        /* It is handed to unlinkat(): no path. */
        if (!shmb_posix_name_is_valid(object->name) || object->name[0] == '/')
                cursor->bad = true;
}

static void record_put_object_removed(RecordCursor *cursor, const RecordObjectRemoved *object) {
        record_put(cursor, object->tag, 8);
        record_put(cursor, object->kind, 2);
        record_put(cursor, object->index, 4);
        record_put(cursor, object->epoch, 4);
}

static void record_get_object_removed(RecordCursor *cursor, RecordObjectRemoved *object) {
        object->tag = record_get(cursor, 8);
        object->kind = record_get_enum(cursor, _SHMB_OBJECT_N);
        object->index = (uint32_t)record_get(cursor, 4);
        object->epoch = (uint32_t)record_get(cursor, 4);
}

static void record_put_lease(RecordCursor *cursor, const RecordLease *lease) {
        record_put(cursor, lease->lease, 8);
        record_put(cursor, lease->tag, 8);
        record_put(cursor, lease->role, 2);
        record_put(cursor, lease->index, 4);
        record_put(cursor, lease->epoch, 4);
        record_put(cursor, lease->uid, 4);
        record_put(cursor, lease->pid, 4);
        record_put(cursor, lease->pid_started, 8);
        record_put(cursor, lease->since_ns, 8);
        record_put(cursor, lease->request, 8);
        record_put_bytes(cursor, lease->client, SHMB_UUID_SIZE);
        record_put_text(cursor, lease->command, RECORD_COMMAND_MAX);
        record_put_text(cursor, lease->unit, RECORD_UNIT_MAX);
        if (lease->connection != 0)
                record_put(cursor, lease->connection, 8);
}

static void record_get_lease(RecordCursor *cursor, RecordLease *lease) {
        lease->lease = record_get(cursor, 8);
        lease->tag = record_get(cursor, 8);
        lease->role = record_get_enum(cursor, _SHMB_ROLE_N);
        lease->index = (uint32_t)record_get(cursor, 4);
        lease->epoch = (uint32_t)record_get(cursor, 4);
        lease->uid = (uint32_t)record_get(cursor, 4);
        lease->pid = (uint32_t)record_get(cursor, 4);
        lease->pid_started = record_get(cursor, 8);
        lease->since_ns = record_get(cursor, 8);
        lease->request = record_get(cursor, 8);
        record_get_bytes(cursor, lease->client, SHMB_UUID_SIZE);
        lease->command = record_get_text(cursor, RECORD_COMMAND_MAX);
        lease->unit = record_get_text(cursor, RECORD_UNIT_MAX);
        /* All others end here, and those of 1.0. */
        if (cursor->n == cursor->size)
                return;
        lease->connection = record_get(cursor, 8);
        if (lease->connection == 0)
                cursor->bad = true;
}

enum {
        RECORD_CONNECTION_ADMIN = 1,
        RECORD_CONNECTION_GREETED = 2,
};

static void record_put_connection(RecordCursor *cursor, const RecordConnection *connection) {
        record_put(cursor, connection->connection, 8);
        record_put(cursor, connection->uid, 4);
        record_put(cursor, connection->pid, 4);
        record_put(cursor, connection->pid_started, 8);
        record_put_bytes(cursor, connection->client, SHMB_UUID_SIZE);
        record_put(cursor,
                   (connection->admin ? RECORD_CONNECTION_ADMIN : 0) |
                                   (connection->greeted ? RECORD_CONNECTION_GREETED : 0),
                   4);
        record_put(cursor, connection->pending, 4);
        record_put(cursor, connection->n_returns, 4);
}

static void record_get_connection(RecordCursor *cursor, RecordConnection *connection) {
        uint64_t flags;

        connection->connection = record_get(cursor, 8);
        connection->uid = (uint32_t)record_get(cursor, 4);
        connection->pid = (uint32_t)record_get(cursor, 4);
        connection->pid_started = record_get(cursor, 8);
        record_get_bytes(cursor, connection->client, SHMB_UUID_SIZE);
        flags = record_get(cursor, 4);
        connection->admin = flags & RECORD_CONNECTION_ADMIN;
        connection->greeted = flags & RECORD_CONNECTION_GREETED;
        connection->pending = (uint32_t)record_get(cursor, 4);
        connection->n_returns = (uint32_t)record_get(cursor, 4);
        if (connection->connection == 0 ||
            flags > (RECORD_CONNECTION_ADMIN | RECORD_CONNECTION_GREETED))
                cursor->bad = true;
}

static void record_put_created(RecordCursor *cursor, const RecordCreated *created) {
        record_put(cursor, created->tag, 8);
        record_put(cursor, created->uid, 4);
        record_put(cursor, created->pid, 4);
        record_put(cursor, created->pid_started, 8);
        record_put(cursor, created->since_ns, 8);
        record_put(cursor, created->request, 8);
        record_put_bytes(cursor, created->client, SHMB_UUID_SIZE);
        record_put(cursor, created->bond, 4);
}

static void record_get_created(RecordCursor *cursor, RecordCreated *created) {
        created->tag = record_get(cursor, 8);
        created->uid = (uint32_t)record_get(cursor, 4);
        created->pid = (uint32_t)record_get(cursor, 4);
        created->pid_started = record_get(cursor, 8);
        created->since_ns = record_get(cursor, 8);
        created->request = record_get(cursor, 8);
        record_get_bytes(cursor, created->client, SHMB_UUID_SIZE);
        created->bond = (uint32_t)record_get(cursor, 4);
        if (created->bond >= _RECORD_BOND_N)
                cursor->bad = true;
}

/* The payload of @entry; a type that is none makes the cursor bad. */
static void record_put_payload(RecordCursor *cursor, const RecordEntry *entry) {
        switch (entry->type) {
        case RECORD_MARK:
                record_put(cursor, entry->mark.next_lease, 8);
                record_put(cursor, entry->mark.next_generation, 8);
                return;
        case RECORD_REGION:
                record_put_region(cursor, &entry->region);
                return;
        case RECORD_REGION_REMOVED:
                record_put(cursor, entry->region_removed.tag, 8);
                return;
        case RECORD_OBJECT:
                record_put_object(cursor, &entry->object);
                return;
        case RECORD_OBJECT_REMOVED:
                record_put_object_removed(cursor, &entry->object_removed);
                return;
        case RECORD_LEASE:
                record_put_lease(cursor, &entry->lease);
                return;
        case RECORD_LEASE_ENDED:
                record_put(cursor, entry->lease_ended.lease, 8);
                record_put(cursor, entry->lease_ended.how, 4);
                return;
        case RECORD_CONNECTION:
                record_put_connection(cursor, &entry->connection);
                return;
        case RECORD_CONNECTION_ENDED:
                record_put(cursor, entry->connection_ended.connection, 8);
                return;
        case RECORD_CREATED:
                record_put_created(cursor, &entry->created);
                return;
        case RECORD_REMOVAL:
                record_put_bytes(cursor, entry->removal.client, SHMB_UUID_SIZE);
                record_put(cursor, entry->removal.request, 8);
                record_put(cursor, entry->removal.tag, 8);
                return;
        case RECORD_NONE:
        case _RECORD_TYPE_N:
                break;
        }
        cursor->bad = true;
}

static void record_get_payload(RecordCursor *cursor, RecordEntry *entry) {
        switch (entry->type) {
        case RECORD_MARK:
                entry->mark.next_lease = record_get(cursor, 8);
                entry->mark.next_generation = record_get(cursor, 8);
                return;
        case RECORD_REGION:
                record_get_region(cursor, &entry->region);
                return;
        case RECORD_REGION_REMOVED:
                entry->region_removed.tag = record_get(cursor, 8);
                return;
        case RECORD_OBJECT:
                record_get_object(cursor, &entry->object);
                return;
        case RECORD_OBJECT_REMOVED:
                record_get_object_removed(cursor, &entry->object_removed);
                return;
        case RECORD_LEASE:
                record_get_lease(cursor, &entry->lease);
                return;
        case RECORD_LEASE_ENDED:
                entry->lease_ended.lease = record_get(cursor, 8);
                entry->lease_ended.how = (uint32_t)record_get(cursor, 4);
                return;
        case RECORD_CONNECTION:
                record_get_connection(cursor, &entry->connection);
                return;
        case RECORD_CONNECTION_ENDED:
                entry->connection_ended.connection = record_get(cursor, 8);
                return;
        case RECORD_CREATED:
                record_get_created(cursor, &entry->created);
                return;
        case RECORD_REMOVAL:
                record_get_bytes(cursor, entry->removal.client, SHMB_UUID_SIZE);
                entry->removal.request = record_get(cursor, 8);
                entry->removal.tag = record_get(cursor, 8);
                return;
        case RECORD_NONE:
        case _RECORD_TYPE_N:
                break;
        }
        cursor->bad = true;
}

void record_encode_header(const uint8_t boot_id[static RECORD_BOOT_ID_SIZE], uint32_t n_whole,
                          uint8_t ret_bytes[static RECORD_FILE_HEADER_SIZE]) {
        RecordCursor cursor = { .to = ret_bytes, .size = RECORD_FILE_HEADER_SIZE };

        record_put_bytes(&cursor, RECORD_MAGIC, sizeof(RECORD_MAGIC));
        record_put(&cursor, RECORD_MAJOR, 2);
        record_put(&cursor, RECORD_MINOR, 2);
        record_put(&cursor, n_whole, 4);
        record_put_bytes(&cursor, boot_id, RECORD_BOOT_ID_SIZE);
        record_put(&cursor, 0, 4);
        record_put(&cursor, record_crc32c(ret_bytes, cursor.n), 4);
}

int record_decode_header(const uint8_t *bytes, size_t n_bytes,
                         uint8_t ret_boot_id[static RECORD_BOOT_ID_SIZE], uint32_t *ret_n_whole) {
        RecordCursor cursor = { .from = bytes, .size = RECORD_FILE_HEADER_SIZE };
        uint8_t magic[sizeof(RECORD_MAGIC)], boot_id[RECORD_BOOT_ID_SIZE];
        uint64_t major, minor, n_whole, zeros;

        if (n_bytes == 0)
                return RECORD_FORMAT_E_END;
        if (n_bytes < RECORD_FILE_HEADER_SIZE)
                return RECORD_FORMAT_E_CORRUPT;

        record_get_bytes(&cursor, magic, sizeof(magic));
        major = record_get(&cursor, 2);
        minor = record_get(&cursor, 2);
        n_whole = record_get(&cursor, 4);
        record_get_bytes(&cursor, boot_id, sizeof(boot_id));
        zeros = record_get(&cursor, 4);
        if (memcmp(magic, RECORD_MAGIC, sizeof(magic)) != 0 ||
            record_crc32c(bytes, cursor.n) != record_get(&cursor, 4))
                return RECORD_FORMAT_E_CORRUPT;
        if (major > RECORD_MAJOR || (major == RECORD_MAJOR && minor > RECORD_MINOR))
                return RECORD_FORMAT_E_NEWER;
        /* 1.0 did not say. */
        if (major == RECORD_MAJOR && minor == 0 && n_whole == 0)
                n_whole = RECORD_FILE_HEADER_SIZE;
        if (major == 0 || zeros != 0 || n_whole < RECORD_FILE_HEADER_SIZE)
                return RECORD_FORMAT_E_CORRUPT;

        memcpy(ret_boot_id, boot_id, sizeof(boot_id));
        *ret_n_whole = (uint32_t)n_whole;
        return 0;
}

static size_t record_padded(size_t n) {
        return (n + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

int record_encode(const RecordEntry *entry, uint8_t *buffer, size_t size, size_t *ret_n_bytes) {
        uint8_t payload[RECORD_ENTRY_MAX - RECORD_ENTRY_HEADER_SIZE] = {};
        RecordCursor cursor = { .to = payload, .size = sizeof(payload) };
        RecordCursor header = { .to = buffer, .size = RECORD_ENTRY_HEADER_SIZE };
        size_t n_padded;

        record_put_payload(&cursor, entry);
        if (cursor.bad)
                return -EINVAL;
        n_padded = record_padded(cursor.n);
        if (size < RECORD_ENTRY_HEADER_SIZE || n_padded > size - RECORD_ENTRY_HEADER_SIZE)
                return -EMSGSIZE;

        record_put(&header, cursor.n, 4);
        record_put(&header, entry->type, 2);
        record_put(&header, 0, 2);
        record_put(&header, record_crc32c(payload, cursor.n), 4);
        record_put(&header, record_crc32c(buffer, header.n), 4);
        memcpy(buffer + RECORD_ENTRY_HEADER_SIZE, payload, n_padded);
        *ret_n_bytes = RECORD_ENTRY_HEADER_SIZE + n_padded;
        return 0;
}

/* The payload of an entry whose header was sound: @n bytes, and zeros up to @n_padded. */
static int record_decode_payload(const uint8_t *payload, size_t n, size_t n_padded, uint32_t crc,
                                 RecordEntry *entry) {
        RecordCursor cursor = { .from = payload, .size = n };
        size_t i;

        if (record_crc32c(payload, n) != crc)
                return RECORD_FORMAT_E_CORRUPT;
        for (i = n; i < n_padded; i++)
                if (payload[i] != 0)
                        return RECORD_FORMAT_E_CORRUPT;

        record_get_payload(&cursor, entry);
        return cursor.bad || cursor.n != n ? RECORD_FORMAT_E_CORRUPT : 0;
}

int record_decode(const uint8_t *bytes, size_t n_bytes, RecordEntry *ret_entry,
                  size_t *ret_n_bytes) {
        RecordCursor header = { .from = bytes, .size = RECORD_ENTRY_HEADER_SIZE };
        uint64_t n, type, flags, crc;
        RecordEntry entry = {};
        size_t n_padded;
        int r;

        if (n_bytes == 0)
                return RECORD_FORMAT_E_END;
        if (n_bytes < RECORD_ENTRY_HEADER_SIZE)
                return RECORD_FORMAT_E_TORN;

        n = record_get(&header, 4);
        type = record_get(&header, 2);
        flags = record_get(&header, 2);
        crc = record_get(&header, 4);
        if (record_crc32c(bytes, header.n) != record_get(&header, 4) || type == RECORD_NONE ||
            n > RECORD_ENTRY_MAX - RECORD_ENTRY_HEADER_SIZE)
                return RECORD_FORMAT_E_CORRUPT;
        if (type >= _RECORD_TYPE_N || flags != 0)
                return RECORD_FORMAT_E_NEWER;
        n_padded = record_padded(n);
        if (n_padded > n_bytes - RECORD_ENTRY_HEADER_SIZE)
                return RECORD_FORMAT_E_TORN;

        entry.type = type;
        r = record_decode_payload(bytes + RECORD_ENTRY_HEADER_SIZE, n, n_padded, (uint32_t)crc,
                                  &entry);
        if (r)
                return r;

        *ret_entry = entry;
        *ret_n_bytes = RECORD_ENTRY_HEADER_SIZE + n_padded;
        return 0;
}
