/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Record Format
 *
 * The bytes of the broker's record (daemon/record.h), apart from the file that they stand in. Pure
 * and total: any byte string gives entries or one of the codes below, with the offset of the fault.
 *
 *     file    "shmbrec\n" | u16 major | u16 minor | u32 n_whole | boot id (16) | u32 0 |
 *             u32 crc32c of the 36 bytes before it
 *     entry   u32 n_bytes (of the payload) | u16 type | u16 0 | u32 crc32c of the payload |
 *             u32 crc32c of the 12 bytes before it | payload, padded with zeros to 8 bytes
 *
 * Little endian. A file comes into its place complete, and entries are appended; a broker that is
 * killed in write(2) leaves a prefix. So a file may end anywhere inside its last entry, and that
 * entry never was. Since the length has a checksum of its own, a bad byte elsewhere cannot pass for
 * such an end. And since the header says how many bytes of the file there were when the last write
 * was over (since minor version 1), a file that was cut cannot either.
 *
 * An entry whose type a reader does not know makes the file one of a newer minor version, which it
 * refuses: state that was not understood must not be dropped by the next compaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/geometry.h"
#include "protocol/bits.h"
#include "protocol/limits.h"
#include "protocol/name.h"

typedef struct RecordConnection RecordConnection;
typedef struct RecordCreated RecordCreated;
typedef struct RecordEntry RecordEntry;
typedef struct RecordLease RecordLease;
typedef struct RecordObject RecordObject;
typedef struct RecordRegion RecordRegion;
typedef struct RecordRemoval RecordRemoval;

enum {
        RECORD_MAJOR = 1,
        RECORD_MINOR = 1,

        RECORD_FILE_HEADER_SIZE = 40,
        RECORD_ENTRY_HEADER_SIZE = 16,
        /* The longest entry is a region or object: two names of 255, a type of 127, numbers. */
        RECORD_ENTRY_MAX = 1024,
        RECORD_BOOT_ID_SIZE = 16,
        RECORD_COMMAND_MAX = 15,
        RECORD_UNIT_MAX = 255,
};

typedef enum RecordType {
        RECORD_NONE,
        RECORD_MARK,           /* numbers that are not to be given again */
        RECORD_REGION,         /* a region is about to have objects */
        RECORD_REGION_REMOVED, /* it has none any more */
        RECORD_OBJECT,         /* an object is about to be published */
        RECORD_OBJECT_REMOVED, /* it was unlinked */
        RECORD_LEASE,
        RECORD_LEASE_ENDED,
        RECORD_CONNECTION,       /* the service manager keeps a connection; since 1.1 */
        RECORD_CONNECTION_ENDED, /* it need not any more; since 1.1 */
        RECORD_CREATED, /* a region is of a template; again where its creator went; since 1.1 */
        RECORD_REMOVAL, /* a client is about to have a region removed; since 1.1 */
        _RECORD_TYPE_N,
} RecordType;

typedef struct RecordMark {
        uint64_t next_lease, next_generation;
} RecordMark;

/* A generation of a region; `tag` is its key in all other entries. */
struct RecordRegion {
        uint64_t tag, generation;
        const char *name;       /* of the region, declared */
        const char *type;       /* item.type, "" if none */
        const char *posix_name; /* "" if none */
        ShmbBacking backing;
        ShmbGeometry geometry;  /* sealed */
        uint32_t uid;           /* on whose account its bytes are; UINT32_MAX the broker's */
};

typedef struct RecordRegionRemoved {
        uint64_t tag;
} RecordRegionRemoved;

struct RecordObject {
        uint64_t tag;
        ShmbObjectKind kind;
        uint32_t index, epoch;
        uint64_t dev, ino, size_bytes;
        uint32_t uid;     /* owner of the inode */
        ShmbBacking backing;
        const char *name; /* kernel name */
};

typedef struct RecordObjectRemoved {
        uint64_t tag;
        ShmbObjectKind kind;
        uint32_t index, epoch;
} RecordObjectRemoved;

struct RecordLease {
        uint64_t lease, tag;
        ShmbRole role;
        uint32_t index, epoch;
        uint32_t uid, pid;
        uint64_t pid_started;  /* clock ticks since boot, 0 = not known */
        uint64_t since_ns;     /* CLOCK_BOOTTIME */
        uint64_t request;      /* id of the attach, so that a repeated one is the same one */
        uint8_t client[SHMB_UUID_SIZE];
        const char *command;   /* "" if not known */
        const char *unit;      /* "" if not known */
        uint64_t connection;   /* that holds it, 0 if that is not kept; since 1.1 */
};

typedef struct RecordLeaseEnded {
        uint64_t lease;
        uint32_t how; /* of daemon/core/lease.h; for whoever reads the file */
} RecordLeaseEnded;

/* A connection that outlives the broker; `connection` is its key in the leases, part of its name
 * with the service manager, and a number that the kernel gave to no other socket of this boot. */
struct RecordConnection {
        uint64_t connection;
        uint32_t uid, pid;
        uint64_t pid_started;      /* as in a lease */
        uint8_t client[SHMB_UUID_SIZE];
        bool admin;                /* of the administrators' socket */
        bool greeted;              /* hello was said */
        /* The request that was its next one when a broker took it over (checksum, 0 if there was
         * none), and how many brokers in a row had found that one there before */
        uint32_t pending, n_returns;
};

typedef struct RecordConnectionEnded {
        uint64_t connection;
} RecordConnectionEnded;

/* What holds a region without a ttl while it has no lease. */
typedef enum RecordBond {
        RECORD_BOND_NONE,
        RECORD_BOND_CREATOR,
        RECORD_BOND_KEPT, /* nothing need */
        _RECORD_BOND_N,
} RecordBond;

struct RecordCreated {
        uint64_t tag;
        uint32_t uid, pid;
        uint64_t pid_started;  /* as of a lease */
        uint64_t since_ns;     /* CLOCK_BOOTTIME */
        uint64_t request;      /* id of the create */
        uint8_t client[SHMB_UUID_SIZE];
        uint32_t bond;         /* RecordBond */
};

/* Only the last one counts: at most one request was done and not yet answered. */
struct RecordRemoval {
        uint8_t client[SHMB_UUID_SIZE];
        uint64_t request; /* id of the remove: a repeated one is the same one */
        uint64_t tag;
};

/* Strings are borrowed: from the caller when encoding, from the bytes when decoding. */
struct RecordEntry {
        RecordType type;
        uint64_t at; /* of its first byte in the file, as record_read() found it */
        union {
                RecordMark mark;
                RecordRegion region;
                RecordRegionRemoved region_removed;
                RecordObject object;
                RecordObjectRemoved object_removed;
                RecordLease lease;
                RecordLeaseEnded lease_ended;
                RecordConnection connection;
                RecordConnectionEnded connection_ended;
                RecordCreated created;
                RecordRemoval removal;
        };
};

enum {
        _RECORD_FORMAT_E_SUCCESS,

        RECORD_FORMAT_E_END,     /* no more bytes */
        RECORD_FORMAT_E_TORN,    /* the bytes end inside an entry, which never was */
        RECORD_FORMAT_E_CORRUPT, /* no broker wrote this */
        RECORD_FORMAT_E_NEWER,   /* a newer broker did */
};

/** record_crc32c() - checksum (Castagnoli, reflected, as in RFC 3720) */
uint32_t record_crc32c(const void *bytes, size_t n_bytes);

/**
 * record_encode_header() - the first bytes of a file
 * @boot_id:            of this boot
 * @n_whole:            bytes of the file that end with a whole entry; with the header
 * @ret_bytes:          gets them
 */
void record_encode_header(const uint8_t boot_id[static RECORD_BOOT_ID_SIZE], uint32_t n_whole,
                          uint8_t ret_bytes[static RECORD_FILE_HEADER_SIZE]);

/**
 * record_decode_header() - judge the beginning of a file
 * @bytes:              of the file
 * @n_bytes:            how many there are
 * @ret_boot_id:        boot that the entries are of: inode numbers of another one mean nothing
 * @ret_n_whole:        bytes that must be there; those of the header where it does not say
 *
 * Return: 0; RECORD_FORMAT_E_END (no byte at all), _CORRUPT, _NEWER (output untouched).
 */
int record_decode_header(const uint8_t *bytes, size_t n_bytes,
                         uint8_t ret_boot_id[static RECORD_BOOT_ID_SIZE], uint32_t *ret_n_whole);

/**
 * record_encode() - bytes of one entry
 * @entry:              entry
 * @buffer:             where to; RECORD_ENTRY_MAX bytes are always enough
 * @size:               its bytes
 * @ret_n_bytes:        how many were written, a multiple of 8
 *
 * Return: 0; -EMSGSIZE (@size); -EINVAL (no such type, or a string longer than its bound).
 */
int record_encode(const RecordEntry *entry, uint8_t *buffer, size_t size, size_t *ret_n_bytes);

/**
 * record_decode() - the next entry
 * @bytes:              from its first byte on
 * @n_bytes:            to the end of the file
 * @ret_entry:          entry, borrowing from @bytes; enumerations and names are within bounds
 * @ret_n_bytes:        how far to go on
 *
 * Return: 0; RECORD_FORMAT_E_END, _TORN, _CORRUPT, _NEWER (outputs untouched).
 */
int record_decode(const uint8_t *bytes, size_t n_bytes, RecordEntry *ret_entry,
                  size_t *ret_n_bytes);
