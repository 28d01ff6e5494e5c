/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Record
 *
 * What the next broker must know to go on where this one was killed: which inodes are ours and
 * which leases are out. A file under the runtime directory that is only ever appended to
 * (daemon/record-format.h), and replaced by rename(2) when it is written anew. At every instant it
 * is a complete record, or a complete one and the beginning of an entry. Its header says how far it
 * was complete when the last append was over: what ends before that was cut by somebody else.
 *
 * Entries go ahead of what they tell of where that can be seen by others: an object is recorded
 * before it is published, a lease before the client is answered; a removal behind it. No fsync(2):
 * it guards against the death of the broker, not of the machine, with which the regions die too. A
 * record of another boot is therefore no record.
 *
 * Any fault but such a torn end is an error that names its offset, and nothing is touched: losing
 * track of live regions is worse than not starting.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record-format.h"

typedef struct Record Record;
typedef struct RecordContent RecordContent;

#define RECORD_NAME "record"

/* 20,000 leases and objects; more is no file of ours. */
#define RECORD_FILE_MAX (UINT64_C(64) << 20)

enum {
        _RECORD_E_SUCCESS,

        RECORD_E_CORRUPT, /* damaged; content: offset */
        RECORD_E_NEWER,   /* written by a newer broker; content: offset */
        RECORD_E_UNSAFE,  /* not a regular file that only the broker can write */
};

/* What a predecessor left. Strings of the entries point into `bytes`. */
struct RecordContent {
        RecordEntry *entries;
        size_t n_entries;
        uint8_t *bytes;
        size_t n_bytes;
        bool torn;         /* it was killed while writing its last entry */
        bool other_boot;   /* it was of an earlier boot: there are no entries then */
        uint64_t fault_at; /* offset, for RECORD_E_CORRUPT and RECORD_E_NEWER */
};

struct Record {
        int dir_fd;  /* borrowed */
        int fd;      /* owned; -1 */
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
        uint64_t size_bytes;
        uint64_t size_at_compaction;
        bool broken; /* an entry is half written and could not be cut off: nothing may follow */
};

#define RECORD_NULL(_record) { .dir_fd = -1, .fd = -1 }

/**
 * record_read() - read what is there; writes nothing
 * @dir_fd:             runtime directory
 * @boot_id:            of this boot; record_boot_id()
 * @ret_content:        entries in order, for record_content_deinit(); set also on RECORD_E_*
 *
 * Return: 0 (a missing file is an empty record); RECORD_E_CORRUPT, RECORD_E_NEWER,
 * RECORD_E_UNSAFE; -errno (-EFBIG, -ENOMEM).
 */
int record_read(int dir_fd, const uint8_t boot_id[static RECORD_BOOT_ID_SIZE],
                RecordContent *ret_content);

/** record_content_deinit() - idempotent */
void record_content_deinit(RecordContent *content);

/**
 * record_open() - begin a record with what is true now, in place of the file that is there
 * @record:             where; fd must be -1
 * @dir_fd:             runtime directory; borrowed as long as the record is open
 * @boot_id:            of this boot
 * @entries:            everything that is true
 * @n_entries:          how many
 *
 * The new file takes the place of the old one in one step, when it is complete.
 *
 * Return: 0; -errno (the old file is as it was).
 */
int record_open(Record *record, int dir_fd, const uint8_t boot_id[static RECORD_BOOT_ID_SIZE],
                const RecordEntry *entries, size_t n_entries);

/**
 * record_append() - write entries down
 * @record:             record
 * @entries:            in order
 * @n_entries:          how many
 *
 * What was written of a call that fails is cut off again; a broker that is killed in it leaves the
 * first few of them.
 *
 * Return: 0; -errno (-ENOSPC, ...; -EIO for ever after a half entry that could not be cut off).
 */
int record_append(Record *record, const RecordEntry *entries, size_t n_entries);

/** record_wants_compaction() - whether it is over 64 K and twice what record_open() wrote */
bool record_wants_compaction(const Record *record);

/** record_compact() - as record_open() on an open record; on failure it goes on as it was */
int record_compact(Record *record, const RecordEntry *entries, size_t n_entries);

/** record_close() - the file stays; idempotent */
void record_close(Record *record);

/**
 * record_boot_id() - what tells this boot from others
 *
 * Return: 0; -errno of /proc/sys/kernel/random/boot_id; -EBADMSG (it is no UUID).
 */
int record_boot_id(uint8_t ret_boot_id[static RECORD_BOOT_ID_SIZE]);
