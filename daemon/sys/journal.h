/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Journal
 *
 * sd_journal_sendv(3) waits for as long as journald does not read, which on a machine that is busy,
 * or whose journald hangs, is for seconds or for ever; who answers clients cannot. The protocol is
 * a datagram (systemd.io/JOURNAL_NATIVE_PROTOCOL): only what is longer than one needs the library.
 */

#include <stddef.h>
#include <sys/uio.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum {
        JOURNAL_FIELDS_MAX = 32,
};

/**
 * journal_send() - send one entry, or do not
 * @path:       where journald listens
 * @fields:     "KEY=value" each, without a newline; borrowed
 * @n_fields:   JOURNAL_FIELDS_MAX at most
 *
 * Return: 0; -EAGAIN: journald does not read just now; -errno of sendmsg(2), -E2BIG.
 */
int journal_send(const char *path, const struct iovec *fields, size_t n_fields);
