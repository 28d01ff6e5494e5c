/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: Names
 *
 * Any bytes as a region name, as a kernel name and as a posix name. What is found fine must keep
 * what the header promises: its kernel name fits and is recognised, and no path can be made of it.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "protocol/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_region_name(const char *text, const uint8_t *data, size_t size) {
        char kernel[SHMB_KERNEL_NAME_MAX + 1];
        size_t at = size;
        int n;

        if (shmb_name_check((const char *)data, size, &at) != SHMB_NAME_FINE) {
                assert(at <= size);
                return;
        }
        assert(strlen(text) == size && size <= SHMB_NAME_MAX);
        n = shmb_kernel_name(kernel, sizeof(kernel), text, size, SHMB_OBJECT_SEAT, UINT32_MAX,
                             UINT32_MAX);
        assert(n > 0 && strlen(kernel) == (size_t)n);
        assert(!strchr(kernel, '/'));
        assert(shmb_kernel_name_is_ours(kernel));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text = calloc(1, size + 1);

        assert(text);
        if (size > 0)
                memcpy(text, data, size);

        check_region_name(text, data, size);
        if (shmb_kernel_name_is_ours(text))
                assert(!strchr(text, '/') && strlen(text) <= SHMB_KERNEL_NAME_MAX);
        if (shmb_posix_name_is_valid(text))
                assert(!strchr(text + 1, '/') && strlen(text) <= SHMB_KERNEL_NAME_MAX + 1);
        free(text);
        return 0;
}
