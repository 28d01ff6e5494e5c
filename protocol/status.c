/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Status Codes
 *
 * One row a code: the errno that the library returns for it and its spelling in logs and in JSON.
 * No two refusals share an errno, so a program can tell them apart without reading the sentence.
 */

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "protocol/status.h"

static const struct {
        int errno_positive;
        const char *spelling;
} rows[] = {
        [SHMB_STATUS_OK] = { 0, "ok" },
        [SHMB_STATUS_PROTOCOL] = { EPROTO, "protocol" },
        [SHMB_STATUS_VERSION] = { EPROTONOSUPPORT, "version" },
        [SHMB_STATUS_UNSUPPORTED] = { EOPNOTSUPP, "unsupported" },
        [SHMB_STATUS_INVALID] = { EINVAL, "invalid" },
        [SHMB_STATUS_NO_REGION] = { ENOENT, "no-region" },
        [SHMB_STATUS_DENIED] = { EACCES, "denied" },
        [SHMB_STATUS_NOT_ADMIN] = { EPERM, "not-admin" },
        [SHMB_STATUS_MISMATCH] = { EPROTOTYPE, "mismatch" },
        [SHMB_STATUS_BUSY] = { EBUSY, "busy" },
        [SHMB_STATUS_QUOTA] = { EDQUOT, "quota" },
        [SHMB_STATUS_NO_MEMORY] = { ENOMEM, "no-memory" },
        [SHMB_STATUS_NO_LEASE] = { ENOKEY, "no-lease" },
        [SHMB_STATUS_REMOVED] = { EIDRM, "removed" },
        [SHMB_STATUS_LOST] = { ENODATA, "lost" },
        [SHMB_STATUS_SHUTTING_DOWN] = { ESHUTDOWN, "shutting-down" },
        [SHMB_STATUS_CONFIG] = { ENOEXEC, "config" },
        [SHMB_STATUS_INTERNAL] = { EIO, "internal" },
        [SHMB_STATUS_EXISTS] = { EEXIST, "exists" },
};

static_assert(sizeof(rows) / sizeof(*rows) == _SHMB_STATUS_N, "a status has no row");

int shmb_status_to_errno(unsigned status) {
        return status < _SHMB_STATUS_N ? rows[status].errno_positive : EIO;
}

const char *shmb_status_to_string(unsigned status) {
        return status < _SHMB_STATUS_N ? rows[status].spelling : "unknown";
}
