/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Record
 *
 * Any bytes as a file of the broker's record. No fuzzer guesses checksums, so what is not sound as
 * it is is tried once more as the payload of an entry whose checksums are: first byte the type,
 * the rest the payload. What is decoded must encode to the same bytes.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/record-format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_u32(uint8_t *at, uint32_t value) {
        size_t i;

        for (i = 0; i < 4; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static void check_file(const uint8_t *bytes, size_t n_bytes) {
        uint8_t again[RECORD_ENTRY_MAX];
        size_t at = 0, n, n_again;
        RecordEntry entry;
        int r;

        for (;;) {
                n = 0;
                r = record_decode(bytes + at, n_bytes - at, &entry, &n);
                if (r)
                        break;
                assert(n > 0 && n <= n_bytes - at);
                assert(record_encode(&entry, again, sizeof(again), &n_again) == 0);
                assert(n_again == n && memcmp(again, bytes + at, n) == 0);
                at += n;
        }
        assert(n == 0);
        assert(r == RECORD_FORMAT_E_END ? at == n_bytes : r > 0 && r <= RECORD_FORMAT_E_NEWER);
}

static void check_payload(const uint8_t *data, size_t size) {
        size_t n = size - 1, n_whole = RECORD_ENTRY_HEADER_SIZE + (n + 7) / 8 * 8;
        uint8_t *bytes = calloc(1, n_whole);

        assert(bytes);
        put_u32(bytes, (uint32_t)n);
        bytes[4] = data[0];
        memcpy(bytes + RECORD_ENTRY_HEADER_SIZE, data + 1, n);
        put_u32(bytes + 8, record_crc32c(bytes + RECORD_ENTRY_HEADER_SIZE, n));
        put_u32(bytes + 12, record_crc32c(bytes, 12));
        check_file(bytes, n_whole);
        free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
        uint32_t n_whole;

        if (record_decode_header(data, size, boot_id, &n_whole) == 0)
                check_file(data + RECORD_FILE_HEADER_SIZE, size - RECORD_FILE_HEADER_SIZE);
        check_file(data, size);
        if (size > 0)
                check_payload(data, size);
        return 0;
}
