/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Wire Codec
 *
 * One encoder and one decoder for every message, driven by the tables of wire-table.c.
 *
 * The decoder takes any bytes. It reads them once, byte by byte (nothing is assumed of their
 * alignment), never past the length that recv gave, and recurses as deep as the tables do (message,
 * struct, no further), never as deep as the packet says. What it accepts is close to canonical:
 * padding is zero, a fixed field has exactly its size, a string ends where its field ends. So a
 * packet that was cut or hit by a flipped bit is refused or differs in a value, and is never half
 * read.
 *
 * The encoder trusts its caller's pointers and nothing else: bounds are those of the tables, so
 * that it never makes what the decoder would refuse.
 */

#include <errno.h>
#include <string.h>

#include "protocol/wire-table.h"

typedef struct Writer {
        uint8_t *bytes;
        size_t size, n;
} Writer;

/* One field of a packet, or one entry of a page. */
typedef struct Frame {
        uint16_t tag, n;
        const uint8_t *payload;
} Frame;

/*
 * Members of a message by offset. Copied rather than cast: a table must not invent alignment.
 */

static uint32_t load_u32(const void *base, size_t offset) {
        uint32_t value;

        memcpy(&value, (const char *)base + offset, sizeof(value));
        return value;
}

static uint64_t load_u64(const void *base, size_t offset) {
        uint64_t value;

        memcpy(&value, (const char *)base + offset, sizeof(value));
        return value;
}

static const void *load_pointer(const void *base, size_t offset) {
        const void *value;

        memcpy(&value, (const char *)base + offset, sizeof(value));
        return value;
}

static void store(void *base, size_t offset, const void *value, size_t n) {
        memcpy((char *)base + offset, value, n);
}

/*
 * Integers on the wire, little endian at any alignment.
 */

static uint64_t get_uint(const uint8_t *bytes, size_t n) {
        uint64_t value = 0;

        while (n-- > 0)
                value = value << 8 | bytes[n];
        return value;
}

static void put_uint(uint8_t *bytes, size_t n, uint64_t value) {
        size_t i;

        for (i = 0; i < n; i++, value >>= 8)
                bytes[i] = (uint8_t)value;
}

static size_t padded(size_t n) {
        return (n + 7) & ~(size_t)7;
}

/*
 * Encoding
 */

static int encode_fields(Writer *w, const WireTable *table, const void *base);

/* Room for a field of @n bytes of payload, padding written; its header and payload are the
 * caller's. */
static int open_field(Writer *w, uint16_t tag, size_t n, uint8_t **ret_payload) {
        size_t n_frame = padded(WIRE_FIELD_HEADER_SIZE + n);
        uint8_t *frame = w->bytes + w->n;

        if (n > UINT16_MAX || n_frame > w->size - w->n)
                return -EMSGSIZE;

        memset(frame + n_frame - 8, 0, 8);
        put_uint(frame, 2, tag);
        put_uint(frame + 2, 2, n);
        w->n += n_frame;
        *ret_payload = frame + WIRE_FIELD_HEADER_SIZE;
        return 0;
}

static int encode_uint(Writer *w, uint16_t tag, size_t n, uint64_t value) {
        uint8_t *payload;
        int r;

        if (value == 0)
                return 0;
        r = open_field(w, tag, n, &payload);
        if (r == 0)
                put_uint(payload, n, value);
        return r;
}

static int encode_bytes(Writer *w, uint16_t tag, const void *bytes, size_t n) {
        uint8_t *payload;
        int r = open_field(w, tag, n, &payload);

        if (r == 0 && n > 0)
                memcpy(payload, bytes, n);
        return r;
}

static int encode_string(Writer *w, const WireField *field, const char *text) {
        size_t n;

        if (!text || (field->type == WIRE_FIELD_STRING && !*text))
                return 0;
        n = strnlen(text, (size_t)field->max + 1);
        if (n > field->max)
                return -EINVAL;
        return encode_bytes(w, field->tag, text, n + 1);
}

/* The length of a struct is known when it is written: its header is put in afterwards. */
static int encode_struct(Writer *w, uint16_t tag, const WireTable *table, const void *base) {
        size_t start = w->n, n, n_padding;
        uint8_t *payload;
        int r = open_field(w, tag, 0, &payload);

        if (r < 0)
                return r;
        w->n = start + WIRE_FIELD_HEADER_SIZE;
        r = encode_fields(w, table, base);
        if (r < 0)
                return r;

        n = w->n - start - WIRE_FIELD_HEADER_SIZE;
        n_padding = padded(w->n - start) - (w->n - start);
        if (n > UINT16_MAX || n_padding > w->size - w->n)
                return -EMSGSIZE;
        memset(w->bytes + w->n, 0, n_padding);
        w->n += n_padding;
        put_uint(w->bytes + start + 2, 2, n);
        return 0;
}

static int encode_array(Writer *w, const WireField *field, const void *base) {
        uint32_t i, n = load_u32(base, field->offset_count);
        const char *element = (const char *)base + field->offset;
        int r = 0;

        if (n > field->max)
                return -EINVAL;
        for (i = 0; r == 0 && i < n; i++, element += field->table->size)
                r = encode_struct(w, field->tag, field->table, element);
        return r;
}

static int encode_page(Writer *w, const WireField *field, const void *base) {
        size_t n;

        memcpy(&n, (const char *)base + field->offset_bytes, sizeof(n));
        if (n == 0)
                return 0;
        return encode_bytes(w, field->tag, load_pointer(base, field->offset), n);
}

static int encode_field(Writer *w, const WireField *field, const void *base) {
        static const uint8_t nil[SHMB_UUID_SIZE];
        const char *at = (const char *)base + field->offset;

        switch ((WireFieldType)field->type) {
        case WIRE_FIELD_U32:
                return encode_uint(w, field->tag, 4, load_u32(base, field->offset));
        case WIRE_FIELD_U64:
                return encode_uint(w, field->tag, 8, load_u64(base, field->offset));
        case WIRE_FIELD_BOOL:
                return encode_uint(w, field->tag, 4, *at != 0);
        case WIRE_FIELD_UUID:
                if (memcmp(at, nil, sizeof(nil)) == 0)
                        return 0;
                return encode_bytes(w, field->tag, at, SHMB_UUID_SIZE);
        case WIRE_FIELD_STRING:
        case WIRE_FIELD_OPTIONAL:
                return encode_string(w, field, load_pointer(base, field->offset));
        case WIRE_FIELD_STRUCT:
                return encode_struct(w, field->tag, field->table, at);
        case WIRE_FIELD_ARRAY:
                return encode_array(w, field, base);
        case WIRE_FIELD_PAGE:
                return encode_page(w, field, base);
        case _WIRE_FIELD_N:
                break;
        }
        return -EINVAL;
}

static int encode_fields(Writer *w, const WireTable *table, const void *base) {
        size_t i;
        int r = 0;

        for (i = 0; r == 0 && i < table->n_fields; i++)
                r = encode_field(w, &table->fields[i], base);
        return r;
}

/**
 * wire_encode() - make the packet of a message
 * @message:            what to say; fields that are zero, NULL or "" are not sent
 * @buffer:             where to write it; scribbled on also on failure
 * @size:               its size, bytes; no more than SHMB_MESSAGE_MAX of them are used
 * @ret_n_bytes:        length of the packet
 *
 * Return: 0; -EMSGSIZE where it does not fit; -EINVAL where a string or array is longer than its
 * bound or the type is unknown.
 */
int wire_encode(const WireMessage *message, void *buffer, size_t size, size_t *ret_n_bytes) {
        const WireTable *table = wire_table_of(message->type);
        Writer w = { .bytes = buffer, .size = size, .n = WIRE_HEADER_SIZE };
        int r;

        if (!table)
                return -EINVAL;
        if (w.size > SHMB_MESSAGE_MAX)
                w.size = SHMB_MESSAGE_MAX;
        if (w.size < WIRE_HEADER_SIZE)
                return -EMSGSIZE;

        r = encode_fields(&w, table, &message->hello);
        if (r < 0)
                return r;

        put_uint(w.bytes, 4, w.n);
        put_uint(w.bytes + 4, 2, message->type);
        put_uint(w.bytes + 6, 2, 0);
        put_uint(w.bytes + 8, 8, message->id);
        *ret_n_bytes = w.n;
        return 0;
}

/* Append one entry to a page; nothing is counted as written unless all of it is. */
static int append(void *page, size_t size, size_t *n_bytes, const WireTable *table,
                  const void *entry) {
        Writer w = { .bytes = page, .size = size, .n = *n_bytes };
        int r;

        if (*n_bytes > size)
                return -EMSGSIZE;
        r = encode_struct(&w, WIRE_ENTRY, table, entry);
        if (r == 0)
                *n_bytes = w.n;
        return r;
}

int wire_region_append(void *page, size_t size, size_t *n_bytes, const WireRegion *region) {
        return append(page, size, n_bytes, &wire_table_region, region);
}

int wire_holder_append(void *page, size_t size, size_t *n_bytes, const WireHolder *holder) {
        return append(page, size, n_bytes, &wire_table_holder, holder);
}

int wire_line_append(void *page, size_t size, size_t *n_bytes, const char *line) {
        return append(page, size, n_bytes, &wire_table_line, &line);
}

int wire_event_append(void *page, size_t size, size_t *n_bytes, const WireEvent *event) {
        return append(page, size, n_bytes, &wire_table_event, event);
}

/*
 * Decoding
 */

static int decode_fields(const uint8_t *bytes, size_t n, const WireTable *table, void *base);

/* Take the frame at *@at and move on. Return: 1, 0 at the end, -EBADMSG. */
static int next_frame(const uint8_t *bytes, size_t n_bytes, size_t *at, Frame *ret_frame) {
        size_t n_frame, left, i;
        Frame frame;

        if (*at >= n_bytes)
                return 0;
        left = n_bytes - *at;
        if (left < WIRE_FIELD_HEADER_SIZE)
                return -EBADMSG;

        frame.tag = (uint16_t)get_uint(bytes + *at, 2);
        frame.n = (uint16_t)get_uint(bytes + *at + 2, 2);
        frame.payload = bytes + *at + WIRE_FIELD_HEADER_SIZE;
        n_frame = padded(WIRE_FIELD_HEADER_SIZE + (size_t)frame.n);
        if (n_frame > left)
                return -EBADMSG;
        for (i = WIRE_FIELD_HEADER_SIZE + (size_t)frame.n; i < n_frame; i++)
                if (bytes[*at + i] != 0)
                        return -EBADMSG;

        *at += n_frame;
        *ret_frame = frame;
        return 1;
}

static int decode_uint(const Frame *frame, const WireField *field, void *base) {
        size_t n = field->type == WIRE_FIELD_U64 ? 8 : 4;
        uint64_t u64;
        uint32_t u32;
        bool flag;

        if (frame->n != n)
                return -EBADMSG;

        u64 = get_uint(frame->payload, n);
        u32 = (uint32_t)u64;
        flag = u64 != 0;
        if (field->type == WIRE_FIELD_BOOL && u64 > 1)
                return -EBADMSG;

        if (field->type == WIRE_FIELD_U64)
                store(base, field->offset, &u64, sizeof(u64));
        else if (field->type == WIRE_FIELD_U32)
                store(base, field->offset, &u32, sizeof(u32));
        else
                store(base, field->offset, &flag, sizeof(flag));
        return 0;
}

static int decode_string(const Frame *frame, const WireField *field, void *base) {
        const char *text = (const char *)frame->payload;

        if (frame->n == 0 || frame->n > (size_t)field->max + 1)
                return -EBADMSG;
        if (strnlen(text, frame->n) != (size_t)frame->n - 1)
                return -EBADMSG;
        store(base, field->offset, &text, sizeof(text));
        return 0;
}

static int decode_element(const Frame *frame, const WireField *field, void *base) {
        uint32_t n = load_u32(base, field->offset_count);
        char *element = (char *)base + field->offset + n * field->table->size;

        if (n >= field->max)
                return -EBADMSG;
        n++;
        store(base, field->offset_count, &n, sizeof(n));
        return decode_fields(frame->payload, frame->n, field->table, element);
}

/* Frames only: what is in an entry is judged when it is walked to. */
static int decode_page(const Frame *frame, const WireField *field, void *base) {
        size_t at = 0, n_bytes = frame->n;
        uint32_t n = 0;
        Frame entry;
        int r;

        while ((r = next_frame(frame->payload, frame->n, &at, &entry)) > 0)
                n += entry.tag == WIRE_ENTRY;
        if (r < 0)
                return r;
        store(base, field->offset, &frame->payload, sizeof(frame->payload));
        store(base, field->offset_count, &n, sizeof(n));
        store(base, field->offset_bytes, &n_bytes, sizeof(n_bytes));
        return 0;
}

static int decode_field(const Frame *frame, const WireField *field, void *base) {
        switch ((WireFieldType)field->type) {
        case WIRE_FIELD_U32:
        case WIRE_FIELD_U64:
        case WIRE_FIELD_BOOL:
                return decode_uint(frame, field, base);
        case WIRE_FIELD_UUID:
                if (frame->n != SHMB_UUID_SIZE)
                        return -EBADMSG;
                store(base, field->offset, frame->payload, SHMB_UUID_SIZE);
                return 0;
        case WIRE_FIELD_STRING:
        case WIRE_FIELD_OPTIONAL:
                return decode_string(frame, field, base);
        case WIRE_FIELD_STRUCT:
                return decode_fields(frame->payload, frame->n, field->table,
                                     (char *)base + field->offset);
        case WIRE_FIELD_ARRAY:
                return decode_element(frame, field, base);
        case WIRE_FIELD_PAGE:
                return decode_page(frame, field, base);
        case _WIRE_FIELD_N:
                break;
        }
        return -EBADMSG;
}

/* As it would be decoded from no bytes at all. */
static void set_defaults(const WireTable *table, void *base) {
        static const char nothing[] = "", *const text = nothing;
        size_t i;

        memset(base, 0, table->size);
        for (i = 0; i < table->n_fields; i++) {
                const WireField *field = &table->fields[i];

                if (field->type == WIRE_FIELD_STRING)
                        store(base, field->offset, &text, sizeof(text));
                else if (field->type == WIRE_FIELD_STRUCT)
                        set_defaults(field->table, (char *)base + field->offset);
        }
}

static const WireField *find_field(const WireTable *table, uint16_t tag, size_t *ret_i) {
        size_t i;

        for (i = 0; i < table->n_fields; i++) {
                if (table->fields[i].tag == tag) {
                        *ret_i = i;
                        return &table->fields[i];
                }
        }
        return NULL;
}

static int decode_fields(const uint8_t *bytes, size_t n, const WireTable *table, void *base) {
        const WireField *field;
        uint64_t seen = 0;
        size_t at = 0, i;
        Frame frame;
        int r;

        set_defaults(table, base);
        while ((r = next_frame(bytes, n, &at, &frame)) > 0) {
                field = find_field(table, frame.tag, &i);
                if (!field)
                        continue; /* of a newer minor version */
                if ((seen & UINT64_C(1) << i) && field->type != WIRE_FIELD_ARRAY)
                        return -EBADMSG;
                seen |= UINT64_C(1) << i;
                r = decode_field(&frame, field, base);
                if (r < 0)
                        return r;
        }
        return r;
}

/**
 * wire_decode() - judge and read one packet
 * @packet:             any bytes
 * @n_bytes:            how many
 * @ret_message:        the message; its strings and pages point into @packet. Untouched on
 * -EBADMSG,
 *                      type and id alone are set on -EOPNOTSUPP
 *
 * Return: 0, -EBADMSG where it is malformed, -EOPNOTSUPP where it is well formed of an unknown
 * type.
 */
int wire_decode(const void *packet, size_t n_bytes, WireMessage *ret_message) {
        static const WireTable nothing = { .fields = NULL };
        const uint8_t *bytes = packet;
        const WireTable *table;
        WireMessage message;
        size_t n_fields;
        int r;

        if (n_bytes < WIRE_HEADER_SIZE || n_bytes > SHMB_MESSAGE_MAX)
                return -EBADMSG;
        if (get_uint(bytes, 4) != n_bytes || get_uint(bytes + 6, 2) != 0)
                return -EBADMSG;

        message.type = (uint16_t)get_uint(bytes + 4, 2);
        message.id = get_uint(bytes + 8, 8);
        table = wire_table_of(message.type);
        n_fields = n_bytes - WIRE_HEADER_SIZE;
        r = decode_fields(bytes + WIRE_HEADER_SIZE, n_fields, table ? table : &nothing,
                          &message.hello);
        if (r < 0)
                return r;

        ret_message->type = message.type;
        ret_message->id = message.id;
        if (!table)
                return -EOPNOTSUPP;
        if (table->size > 0)
                memcpy(&ret_message->hello, &message.hello, table->size);
        return 0;
}

/* Entries with a tag of a newer version are stepped over. */
static int next_entry(const uint8_t *page, size_t n_bytes, size_t *at, const WireTable *table,
                      void *entry) {
        size_t cursor = *at;
        Frame frame;
        int r;

        do {
                r = next_frame(page, n_bytes, &cursor, &frame);
                if (r <= 0)
                        return r;
        } while (frame.tag != WIRE_ENTRY);
        r = decode_fields(frame.payload, frame.n, table, entry);
        if (r < 0)
                return r;
        *at = cursor;
        return 1;
}

int wire_region_next(const WireListing *listing, size_t *at, WireRegion *ret_region) {
        WireRegion region;
        int r = next_entry(listing->entries, listing->n_bytes_entries, at, &wire_table_region,
                           &region);

        if (r > 0)
                *ret_region = region;
        return r;
}

int wire_holder_next(const WireHolders *holders, size_t *at, WireHolder *ret_holder) {
        WireHolder holder;
        int r = next_entry(holders->entries, holders->n_bytes_entries, at, &wire_table_holder,
                           &holder);

        if (r > 0)
                *ret_holder = holder;
        return r;
}

int wire_line_next(const WireReport *report, size_t *at, const char **ret_line) {
        const char *line;
        int r = next_entry(report->lines, report->n_bytes_lines, at, &wire_table_line, &line);

        if (r > 0)
                *ret_line = line;
        return r;
}

int wire_event_next(const WireEvents *events, size_t *at, WireEvent *ret_event) {
        WireEvent event;
        int r = next_entry(events->entries, events->n_bytes_entries, at, &wire_table_event,
                           &event);

        if (r > 0)
                *ret_event = event;
        return r;
}
