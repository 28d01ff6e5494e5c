/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Status
 *
 * The code in an error reply. Each has one errno that the library returns for it
 * (status_to_errno()) and travels with one sentence that says what, where and what to do. Values
 * are ABI.
 */

typedef enum ShmbStatus {
        SHMB_STATUS_OK,
        /* malformed or out of order; the connection is closed after it: EPROTO */
        SHMB_STATUS_PROTOCOL,
        SHMB_STATUS_VERSION,       /* no common major version: EPROTONOSUPPORT */
        SHMB_STATUS_UNSUPPORTED,   /* well-formed, not known or not built: EOPNOTSUPP */
        SHMB_STATUS_INVALID,       /* a value that no region accepts: EINVAL */
        SHMB_STATUS_NO_REGION,     /* not declared, or hidden from this peer: ENOENT */
        SHMB_STATUS_DENIED,        /* no rule of the region grants this role: EACCES */
        SHMB_STATUS_NOT_ADMIN,     /* only on the admin socket: EPERM */
        /* the attach contract differs; the sentence names both values: EPROTOTYPE */
        SHMB_STATUS_MISMATCH,
        SHMB_STATUS_BUSY,          /* every lane or seat is held: EBUSY */
        SHMB_STATUS_QUOTA,         /* the peer's uid is at its limit: EDQUOT */
        SHMB_STATUS_NO_MEMORY,     /* pages could not be reserved: ENOMEM */
        SHMB_STATUS_NO_LEASE,      /* not a lease of this client: ENOKEY */
        SHMB_STATUS_REMOVED,       /* the region is no longer declared, or removed: EIDRM */
        SHMB_STATUS_LOST,          /* its objects vanished under the broker: ENODATA */
        SHMB_STATUS_SHUTTING_DOWN, /* ESHUTDOWN */
        SHMB_STATUS_CONFIG,        /* reload: the files are wrong, nothing was changed: ENOEXEC */
        SHMB_STATUS_INTERNAL,      /* the broker failed; its journal says how: EIO */
        SHMB_STATUS_EXISTS,        /* create: exclusive, and it is there: EEXIST */
        _SHMB_STATUS_N,
} ShmbStatus;

/* Positive errno for @status; unknown (newer) values give EIO. SHMB_STATUS_OK gives 0. */
int shmb_status_to_errno(unsigned status);
const char *shmb_status_to_string(unsigned status);
