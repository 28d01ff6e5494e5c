/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Limits
 *
 * Every bound that both sides of the socket must agree on, each with its source. A bound that only
 * one layer knows lives in that layer's own header.
 */

enum {
        /* Region names: with "/shmb." + "@" + 16 digits + "." + object name they must fit NAME_MAX
         * (255) of /dev/shm: 5 + 200 + 1 + 16 + 1 + 32. */
        SHMB_NAME_MAX = 200,
        SHMB_OBJECT_NAME_MAX = 32,
        /* Free text of `item.type`: room for "package/message/version", short enough to print. */
        SHMB_TYPE_MAX = 127,
        SHMB_DESCRIPTION_MAX = 255,
        /* One sentence of an error reply. */
        SHMB_SENTENCE_MAX = 511,

        SHMB_LANES_MAX = 64,
        SHMB_SEATS_MAX = 64,
        /* control, lanes, seats, group, and one spare; below SCM_MAX_FD (253) of unix(7). */
        SHMB_OBJECTS_MAX = 131,

        /* One SOCK_SEQPACKET message. Far below the default SO_SNDBUF (212992), so that one reply
         * always fits into an empty socket. */
        SHMB_MESSAGE_MAX = 16384,

        SHMB_UUID_SIZE = 16,
};

/* Items: one slot must fit an object; 64 MiB keeps stride * capacity far from wrapping. */
#define SHMB_ITEM_SIZE_MAX (UINT32_C(1) << 26)
#define SHMB_ITEM_ALIGN_MAX UINT32_C(4096)
#define SHMB_CAPACITY_MAX (UINT64_C(1) << 32)
/* One object; below SSIZE_MAX and off_t on every ABI, and more than any machine has. */
#define SHMB_OBJECT_SIZE_MAX (UINT64_C(1) << 46)
