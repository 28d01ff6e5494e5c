/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Wire
 *
 * Any packet is decoded, walked through and said again. Only documented results may come out, what
 * the decoder took the encoder must take too, and the second packet must be a fixed point: decoded
 * and encoded once more it is the same.
 */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "protocol/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const WireMessage *m) {
        WireHolder holder;
        WireRegion region;
        const char *line;
        size_t at = 0;
        int r = 0;

        if (m->type == WIRE_LISTING)
                while ((r = wire_region_next(&m->listing, &at, &region)) > 0)
                        assert(strlen(region.name) <= SHMB_NAME_MAX);
        if (m->type == WIRE_HOLDERS)
                while ((r = wire_holder_next(&m->holders, &at, &holder)) > 0)
                        assert(strlen(holder.unit) <= SHMB_DESCRIPTION_MAX);
        if (m->type == WIRE_REPORT)
                while ((r = wire_line_next(&m->report, &at, &line)) > 0)
                        assert(strlen(line) <= WIRE_TEXT_MAX);
        assert(r == 0 || r == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t first[SHMB_MESSAGE_MAX], second[SHMB_MESSAGE_MAX];
        size_t n_first, n_second;
        WireMessage m;
        int r;

        r = wire_decode(data, size, &m);
        if (r < 0) {
                assert(r == -EBADMSG || r == -EOPNOTSUPP);
                return 0;
        }
        walk(&m);

        r = wire_encode(&m, first, sizeof(first), &n_first);
        assert(r == 0);
        r = wire_decode(first, n_first, &m);
        assert(r == 0);
        r = wire_encode(&m, second, sizeof(second), &n_second);
        assert(r == 0 && n_first == n_second && memcmp(first, second, n_first) == 0);
        return 0;
}
