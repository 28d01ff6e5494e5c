/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Passing Descriptors
 *
 * One packet out with descriptors, one packet in without. A client has no reason to send one, and a
 * descriptor from a hostile client can hold the broker up for as long as that client likes (closing
 * a TCP socket that lingers): so none is ever installed here, and none shall ever be closed here.
 *
 *     Linux >= 6.16   SO_PASSRIGHTS = 0, inherited from the listener: the sender gets EPERM
 *     older           the control buffer has room for credentials only, so rights are dropped by
 *                     recvmsg(2); dropping closes, and an interval timer cuts the wait into pieces
 *                     of FDPASS_TICK_MS
 *
 * Every packet carries the credentials of who sent it (SO_PASSCRED): a connection that was handed
 * on to another uid is recognised by them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "protocol/limits.h"

typedef struct FdpassGuard FdpassGuard;
typedef struct FdpassPacket FdpassPacket;

enum {
        FDPASS_FDS_MAX = SHMB_OBJECTS_MAX,
        FDPASS_TICK_MS = 20,
};

enum {
        _FDPASS_E_SUCCESS,

        FDPASS_E_AGAIN,    /* would block: wait for EPOLLIN or EPOLLOUT */
        FDPASS_E_CLOSED,   /* the peer hung up */
        FDPASS_E_EMPTY,    /* a packet of no bytes: reads like an end, is a violation */
        FDPASS_E_TOO_LONG, /* a packet longer than the buffer */
        FDPASS_E_RIGHTS,   /* a packet that tried to carry descriptors; they were dropped */
        FDPASS_E_NO_CREDENTIALS, /* the packet did not say who sent it */
        FDPASS_E_IN_FLIGHT, /* too many descriptors of the broker are in flight (ETOOMANYREFS) */
};

/* The fallback's timer; of the thread that made it. */
struct FdpassGuard {
        bool refuses; /* the kernel refuses rights: no timer needed */
        bool has_timer;
        timer_t timer;
};

#define FDPASS_GUARD_NULL(_guard) {}

struct FdpassPacket {
        size_t n_bytes;
        uint32_t uid, gid; /* of the sender of this packet */
        pid_t pid;
};

/**
 * fdpass_guard_init() - find out what the kernel can do, and make the timer if it must be
 * @guard:      where
 *
 * Takes SIGRTMIN with an empty handler, without SA_RESTART, where the timer is needed.
 *
 * Return: 0, or -errno of socket(2), sigaction(2), timer_create(2).
 */
int fdpass_guard_init(FdpassGuard *guard);

/** fdpass_guard_deinit() - idempotent */
void fdpass_guard_deinit(FdpassGuard *guard);

/**
 * fdpass_prepare() - set up a listener before listen(2), and each connection behind accept(2)
 * @socket_fd:  SOCK_SEQPACKET socket
 *
 * Options are inherited by accepted sockets; packets that a client sent before they were set are
 * not covered, so a listener that somebody else bound (socket activation) needs both.
 *
 * Return: 0, or -errno of setsockopt(2); a kernel without SO_PASSRIGHTS is no error.
 */
int fdpass_prepare(int socket_fd);

/**
 * fdpass_send() - one packet, whole or not at all
 * @socket_fd:  connection; never blocks, never raises SIGPIPE
 * @data:       bytes of the packet, at least one
 * @n_bytes:    how many
 * @fds:        descriptors to send along, borrowed; NULL if none
 * @n_fds:      how many, at most FDPASS_FDS_MAX
 *
 * Return: 0; FDPASS_E_AGAIN, FDPASS_E_CLOSED, FDPASS_E_IN_FLIGHT; -EINVAL; -EMSGSIZE (longer than
 * the send buffer); -ENOMEM; other -errno.
 */
int fdpass_send(int socket_fd, const void *data, size_t n_bytes, const int *fds, size_t n_fds);

/**
 * fdpass_receive() - one packet, never with a descriptor
 * @guard:      guard
 * @socket_fd:  connection that went through fdpass_prepare(); never blocks
 * @buffer:     where to
 * @size:       its bytes
 * @ret_packet: what came; set for 0 only
 *
 * Every code but 0 and FDPASS_E_AGAIN is a reason to close.
 *
 * Return: 0; FDPASS_E_AGAIN, _CLOSED, _EMPTY, _TOO_LONG, _RIGHTS, _NO_CREDENTIALS; -errno.
 */
int fdpass_receive(FdpassGuard *guard, int socket_fd, void *buffer, size_t size,
                   FdpassPacket *ret_packet);

/**
 * fdpass_peek() - as fdpass_receive(), but the packet stays in the queue
 *
 * Who peeks, answers and then takes it with fdpass_consume() can be killed anywhere: the packet is
 * still there for its successor.
 */
int fdpass_peek(FdpassGuard *guard, int socket_fd, void *buffer, size_t size,
                FdpassPacket *ret_packet);

/**
 * fdpass_consume() - take the packet that was peeked off the queue
 * @socket_fd:  connection whose next packet fdpass_peek() found in order; never blocks
 *
 * Return: 0; -errno of recv(2).
 */
int fdpass_consume(int socket_fd);

/**
 * fdpass_hang_up() - end a connection whose socket somebody else has open as well
 * @guard:      guard
 * @socket_fd:  connection; stays open
 *
 * The peer can read what was sent to it, and sees the end behind that. What the peer sent and
 * nobody read is dropped here, within bounded time: whoever closes the socket last has nothing left
 * in it that could hold him up.
 */
void fdpass_hang_up(FdpassGuard *guard, int socket_fd);

/**
 * fdpass_close() - close a connection within bounded time, whatever is queued in it
 * @guard:      guard
 * @socket_fd:  connection
 */
void fdpass_close(FdpassGuard *guard, int socket_fd);

/**
 * fdpass_unread() - how much was sent and the peer has not read (SIOCOUTQ)
 * @ret_n_bytes:        0 exactly if all was read; else in bytes of the kernel's bookkeeping
 *
 * What was read last is still counted while the kernel wakes who waits for room, as one byte that
 * it takes off behind that (sock_wfree() in net/core/sock.c, since 2.6.31): it is read.
 *
 * Descriptors of an unread reply are charged to the broker's uid: none is sent on top of it.
 *
 * Return: 0, or -errno.
 */
int fdpass_unread(int socket_fd, size_t *ret_n_bytes);

/** fdpass_guard_to_string() - "SO_PASSRIGHTS" or "timer"; for status */
const char *fdpass_guard_to_string(const FdpassGuard *guard);
