/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Record
 *
 * The file alone; what its bytes mean is daemon/record-format.c.
 *
 * A new file is written under another name and renamed when it is complete: whoever is killed
 * before leaves the old record, whoever is killed after the new one. Entries go behind the end
 * first, then the header is written over with the new length: 40 bytes of one page, which a process
 * that is killed writes or does not. Appending that fails halfway (the file system is full) is
 * undone by truncation. Where even that fails the record is broken: nothing is appended behind half
 * an entry, because a reader would stop there.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/record.h"

#define RECORD_NAME_NEW "record.new"
#define RECORD_BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

enum {
        /* Entries that go out with one write(2). */
        RECORD_BATCH_SIZE = 16 * RECORD_ENTRY_MAX,
        RECORD_ENTRIES_FIRST = 64,
        /* Below this, writing it anew saves nothing. */
        RECORD_COMPACTION_MIN = 64 * 1024,
        RECORD_BOOT_ID_TEXT = 36, /* 32 digits and four hyphens */
};

typedef struct RecordBatch {
        int fd;
        size_t n;
        uint64_t at; /* in the file */
        uint8_t bytes[RECORD_BATCH_SIZE];
} RecordBatch;

static int record_write(int fd, const uint8_t *bytes, size_t n_bytes, uint64_t offset) {
        size_t at = 0;
        ssize_t n;

        while (at < n_bytes) {
                n = pwrite(fd, bytes + at, n_bytes - at, (off_t)(offset + at));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                at += (size_t)n;
        }
        return 0;
}

static int record_flush(RecordBatch *batch) {
        int r;

        r = record_write(batch->fd, batch->bytes, batch->n, batch->at);
        if (r < 0)
                return r;
        batch->at += batch->n;
        batch->n = 0;
        return 0;
}

/* Behind all entries: who reads it knows then that they must be there. */
static int record_write_header(const RecordBatch *batch,
                               const uint8_t boot_id[static RECORD_BOOT_ID_SIZE]) {
        uint8_t header[RECORD_FILE_HEADER_SIZE];

        if (batch->at > RECORD_FILE_MAX)
                return -EFBIG;
        record_encode_header(boot_id, (uint32_t)batch->at, header);
        return record_write(batch->fd, header, sizeof(header), 0);
}

static int record_write_entries(RecordBatch *batch, const RecordEntry *entries,
                                size_t n_entries) {
        size_t i, n_bytes;
        int r;

        for (i = 0; i < n_entries; i++) {
                if (sizeof(batch->bytes) - batch->n < RECORD_ENTRY_MAX) {
                        r = record_flush(batch);
                        if (r < 0)
                                return r;
                }
                r = record_encode(&entries[i], batch->bytes + batch->n,
                                  sizeof(batch->bytes) - batch->n, &n_bytes);
                if (r < 0)
                        return r;
                batch->n += n_bytes;
        }
        return record_flush(batch);
}

/* A complete file under the other name; on failure there is none. */
static int record_write_new(int dir_fd, const uint8_t boot_id[static RECORD_BOOT_ID_SIZE],
                            const RecordEntry *entries, size_t n_entries, int *ret_fd,
                            uint64_t *ret_size_bytes) {
        RecordBatch batch;
        int r;

        /* Left by a broker that was killed here. */
        if (unlinkat(dir_fd, RECORD_NAME_NEW, 0) < 0 && errno != ENOENT)
                return -errno;
        batch.fd = openat(dir_fd, RECORD_NAME_NEW,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (batch.fd < 0)
                return -errno;

        batch.n = 0;
        batch.at = RECORD_FILE_HEADER_SIZE;
        /* Whatever the umask was. */
        r = fchmod(batch.fd, 0600) < 0 ? -errno : 0;
        if (r == 0)
                r = record_write_entries(&batch, entries, n_entries);
        if (r == 0)
                r = record_write_header(&batch, boot_id);
        if (r < 0) {
                close(batch.fd);
                (void)unlinkat(dir_fd, RECORD_NAME_NEW, 0);
                return r;
        }

        *ret_fd = batch.fd;
        *ret_size_bytes = batch.at;
        return 0;
}

int record_open(Record *record, int dir_fd, const uint8_t boot_id[static RECORD_BOOT_ID_SIZE],
                const RecordEntry *entries, size_t n_entries) {
        Record begun = RECORD_NULL(begun);
        uint64_t size_bytes;
        int fd, r;

        r = record_write_new(dir_fd, boot_id, entries, n_entries, &fd, &size_bytes);
        if (r < 0)
                return r;

        if (renameat(dir_fd, RECORD_NAME_NEW, dir_fd, RECORD_NAME) < 0) {
                r = -errno;
                close(fd);
                (void)unlinkat(dir_fd, RECORD_NAME_NEW, 0);
                return r;
        }

        begun.dir_fd = dir_fd;
        begun.fd = fd;
        begun.size_bytes = size_bytes;
        begun.size_at_compaction = size_bytes;
        /* A compaction gives @record's own: it is read before @record is written. */
        memcpy(begun.boot_id, boot_id, RECORD_BOOT_ID_SIZE);
        *record = begun;
        return 0;
}

int record_append(Record *record, const RecordEntry *entries, size_t n_entries) {
        RecordBatch batch;
        int r;

        if (record->broken)
                return -EIO;

        /* Not its bytes: this is on the way of every attach. */
        batch.fd = record->fd;
        batch.n = 0;
        batch.at = record->size_bytes;
        r = record_write_entries(&batch, entries, n_entries);
        if (r == 0)
                r = record_write_header(&batch, record->boot_id);
        if (r < 0) {
                if (ftruncate(record->fd, (off_t)record->size_bytes) < 0)
                        record->broken = true;
                return r;
        }

        record->size_bytes = batch.at;
        return 0;
}

bool record_wants_compaction(const Record *record) {
        return record->broken || (record->size_bytes > RECORD_COMPACTION_MIN &&
                                  record->size_bytes / 2 > record->size_at_compaction);
}

int record_compact(Record *record, const RecordEntry *entries, size_t n_entries) {
        int fd = record->fd, r;

        r = record_open(record, record->dir_fd, record->boot_id, entries, n_entries);
        if (r < 0)
                return r;

        close(fd);
        return 0;
}

void record_close(Record *record) {
        if (record->fd >= 0)
                close(record->fd);
        *record = (Record)RECORD_NULL(*record);
}

/* 0 or -errno: everything that @fd has, at most @n_max bytes. */
static int record_slurp(int fd, size_t n_max, uint8_t **ret_bytes, size_t *ret_n_bytes) {
        uint8_t *bytes;
        size_t n_bytes = 0;
        ssize_t n;

        bytes = malloc(n_max ? n_max : 1);
        if (!bytes)
                return -ENOMEM;

        while (n_bytes < n_max) {
                n = read(fd, bytes + n_bytes, n_max - n_bytes);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        n = -errno;
                        free(bytes);
                        return (int)n;
                }
                if (n == 0)
                        break;
                n_bytes += (size_t)n;
        }

        *ret_bytes = bytes;
        *ret_n_bytes = n_bytes;
        return 0;
}

static int record_read_file(int dir_fd, uint8_t **ret_bytes, size_t *ret_n_bytes) {
        struct stat st;
        int fd, r;

        fd = openat(dir_fd, RECORD_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == ELOOP || errno == ENXIO ? RECORD_E_UNSAFE : -errno;

        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
                r = RECORD_E_UNSAFE;
        else if ((uint64_t)st.st_size > RECORD_FILE_MAX)
                r = -EFBIG;
        else
                r = record_slurp(fd, (size_t)st.st_size, ret_bytes, ret_n_bytes);

        close(fd);
        return r;
}

static int record_add(RecordContent *content, RecordEntry *entry, size_t at,
                      size_t *n_allocated) {
        size_t n = *n_allocated ? 2 * *n_allocated : RECORD_ENTRIES_FIRST;
        RecordEntry *entries;

        if (content->n_entries == *n_allocated) {
                entries = reallocarray(content->entries, n, sizeof(*entries));
                if (!entries)
                        return -ENOMEM;
                content->entries = entries;
                *n_allocated = n;
        }

        entry->at = at;
        content->entries[content->n_entries++] = *entry;
        return 0;
}

/* What a fault at @offset means for the file as a whole. */
static int record_fault(RecordContent *content, size_t offset, int fault) {
        content->fault_at = offset;
        return fault == RECORD_FORMAT_E_NEWER ? RECORD_E_NEWER : RECORD_E_CORRUPT;
}

static int record_parse(RecordContent *content,
                        const uint8_t boot_id[static RECORD_BOOT_ID_SIZE]) {
        size_t at = RECORD_FILE_HEADER_SIZE, n_allocated = 0, n;
        uint8_t file_boot_id[RECORD_BOOT_ID_SIZE];
        RecordEntry entry;
        uint32_t n_whole;
        int r;

        r = record_decode_header(content->bytes, content->n_bytes, file_boot_id, &n_whole);
        if (r)
                return record_fault(content, 0, r);
        if (memcmp(file_boot_id, boot_id, sizeof(file_boot_id)) != 0) {
                content->other_boot = true;
                return 0;
        }

        for (;;) {
                r = record_decode(content->bytes + at, content->n_bytes - at, &entry, &n);
                content->torn = r == RECORD_FORMAT_E_TORN;
                if ((r == RECORD_FORMAT_E_END || r == RECORD_FORMAT_E_TORN) && at >= n_whole)
                        return 0;
                if (r)
                        return record_fault(content, at, r);
                r = record_add(content, &entry, at, &n_allocated);
                if (r < 0)
                        return r;
                at += n;
        }
}

int record_read(int dir_fd, const uint8_t boot_id[static RECORD_BOOT_ID_SIZE],
                RecordContent *ret_content) {
        RecordContent content = {};
        int r;

        r = record_read_file(dir_fd, &content.bytes, &content.n_bytes);
        if (r == 0)
                r = record_parse(&content, boot_id);
        else if (r == -ENOENT)
                /* None was ever begun: one that is begun is never empty. */
                r = 0;
        if (r < 0) {
                record_content_deinit(&content);
                return r;
        }

        *ret_content = content;
        return r;
}

void record_content_deinit(RecordContent *content) {
        free(content->entries);
        free(content->bytes);
        *content = (RecordContent){};
}

static int record_hex(char digit) {
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        if (digit >= 'a' && digit <= 'f')
                return digit - 'a' + 10;
        return -1;
}

static int record_parse_boot_id(const char *text, uint8_t boot_id[static RECORD_BOOT_ID_SIZE]) {
        int high, low;
        size_t i;

        for (i = 0; i < RECORD_BOOT_ID_SIZE; i++) {
                if (*text == '-')
                        text++;
                high = record_hex(text[0]);
                low = high < 0 ? -1 : record_hex(text[1]);
                if (low < 0)
                        return -EBADMSG;
                boot_id[i] = (uint8_t)(high << 4 | low);
                text += 2;
        }
        return 0;
}

int record_boot_id(uint8_t ret_boot_id[static RECORD_BOOT_ID_SIZE]) {
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
        char text[RECORD_BOOT_ID_TEXT + 2] = "";
        ssize_t n;
        int fd, r;

        fd = open(RECORD_BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        r = n < 0 ? -errno : 0;
        close(fd);
        if (r == 0)
                r = record_parse_boot_id(text, boot_id);
        if (r < 0)
                return r;

        memcpy(ret_boot_id, boot_id, sizeof(boot_id));
        return 0;
}
