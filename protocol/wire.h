/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Wire Messages, protocol version 1
 *
 * One SOCK_SEQPACKET packet is one message of at most SHMB_MESSAGE_MAX bytes, little endian:
 *
 *     header  u32 n_bytes (whole message) | u16 type | u16 flags (0) | u64 id
 *     fields  u16 tag | u16 n_bytes | payload, padded with zeros to 8 bytes; ascending tags are not
 *             required; a tag that a message does not know is skipped (a newer minor version),
 *             a known tag twice is an error unless it is repeatable. A field that is zero,
 *             false, NULL or "" is not sent, and a missing one decodes to that.
 *
 * Every request has an id of the client's choice other than 0; its one reply carries the same id
 * and either the type named here or WIRE_ERROR. Messages with id 0 are events from the broker. A
 * type that the broker does not know is answered with SHMB_STATUS_UNSUPPORTED, so that a newer
 * client can ask. fds travel only from broker to client, in the order of the reply's `objects`.
 *
 * Decoding is total: any byte string gives a message or -EBADMSG, strings are NUL-terminated inside
 * the packet without embedded NULs and within their *_MAX, enumerations are left as numbers (the
 * receiver bounds them), and nothing is copied: pointers point into the packet and live as long as
 * it does. Pure: no system call, no allocation.
 */

#include <stddef.h>
#include <stdint.h>

#include "protocol/message.h"
#include "protocol/status.h"

/* The build that a test alternates with ours: one minor version on, and nothing new. */
#ifndef WIRE_VERSION_AHEAD
#define WIRE_VERSION_AHEAD 0
#endif

enum {
        WIRE_VERSION_MAJOR = 1,
        WIRE_VERSION_MINOR = 0 + WIRE_VERSION_AHEAD,

        /* Texts for display: a path and a line number, the rules of a region, a line of a report.
         * One entry with every string at its bound still fits a page. */
        WIRE_TEXT_MAX = 4159,
        /* Entries that surely fit one message together with what stands around them. */
        WIRE_PAGE_MAX = SHMB_MESSAGE_MAX - 64,
};

/*
 * Encode @message into @buffer. `entries`/`lines` are copied as they are (made by the *_append()
 * functions below). Return: 0 with *ret_n_bytes, or -EMSGSIZE where @size does not hold it, or
 * -EINVAL where a string or array is longer than its bound or the type is unknown.
 */
int wire_encode(const WireMessage *message, void *buffer, size_t size, size_t *ret_n_bytes);

/*
 * Decode one packet. Return: 0 and *ret_message, whose pointers borrow from @packet; -EBADMSG where
 * it is malformed (close the connection); -EOPNOTSUPP where header and fields are well formed but
 * the type is unknown, and then only type and id of *ret_message are set.
 */
int wire_decode(const void *packet, size_t n_bytes, WireMessage *ret_message);

/*
 * Append one entry to a page under construction (WIRE_PAGE_MAX bytes): *n_bytes of it are in use
 * and grow. Return: 0, or -EMSGSIZE where the entry does not fit (*n_bytes unchanged: send the page
 * with `more`), or -EINVAL where a string is longer than its bound.
 */
int wire_region_append(void *page, size_t size, size_t *n_bytes, const WireRegion *region);
int wire_holder_append(void *page, size_t size, size_t *n_bytes, const WireHolder *holder);
int wire_line_append(void *page, size_t size, size_t *n_bytes, const char *line);
int wire_event_append(void *page, size_t size, size_t *n_bytes, const WireEvent *event);

/*
 * Walk the entries of a decoded reply. @at starts at 0 and is the caller's cursor.
 * Return: 1 with an entry, 0 at the end, -EBADMSG where the entry is malformed.
 */
int wire_region_next(const WireListing *listing, size_t *at, WireRegion *ret_region);
int wire_holder_next(const WireHolders *holders, size_t *at, WireHolder *ret_holder);
int wire_line_next(const WireReport *report, size_t *at, const char **ret_line);
int wire_event_next(const WireEvents *events, size_t *at, WireEvent *ret_event);
