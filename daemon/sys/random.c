/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Randomness
 *
 * getrandom(2) waits until the kernel's pool was initialised once after boot, and not again. Up to
 * 256 bytes it is then neither interrupted nor cut short.
 */

#include <errno.h>
#include <sys/random.h>
#include "daemon/sys/random.h"

enum {
        RANDOM_BYTES_MAX = 256,
};

int random_bytes(void *buffer, size_t n_bytes) {
        ssize_t n;

        if (n_bytes > RANDOM_BYTES_MAX)
                return -EINVAL;

        do
                n = getrandom(buffer, n_bytes, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return (size_t)n == n_bytes ? 0 : -EIO;
}

int random_u64(uint64_t *ret_number) {
        uint64_t number;
        int r;

        do {
                r = random_bytes(&number, sizeof(number));
                if (r < 0)
                        return r;
        } while (number == 0);

        *ret_number = number;
        return 0;
}

int random_uuid(uint8_t ret_uuid[static SHMB_UUID_SIZE]) {
        int r;

        r = random_bytes(ret_uuid, SHMB_UUID_SIZE);
        if (r < 0)
                return r;

        /* Version and variant, RFC 9562 section 5.4. */
        ret_uuid[6] = (ret_uuid[6] & 0x0f) | 0x40;
        ret_uuid[8] = (ret_uuid[8] & 0x3f) | 0x80;
        return 0;
}
