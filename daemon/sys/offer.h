/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Offers
 *
 * Descriptors that a client sends, received at arm's length. Whoever closes a descriptor of a
 * stranger may wait for as long as the server of its file system, or the other end of its
 * connection, likes. So they come in over a socket of their own into a process of their own, which
 * opens what is wanted anew, passes that on and ends; if it never gets there, nobody waits for it.
 */

#include <stddef.h>

#include "daemon/sys/recall.h"

enum {
        OFFER_SECONDS = 5, /* between the start and the packet of the client */
};

/**
 * offer_start() - have one packet of descriptors received
 * @wanted:             in order, without descriptors
 * @n_wanted:           how many, at most SHMB_OBJECTS_MAX
 * @ret_client_fd:      for the client, which sends one packet there; the caller's
 * @ret_result_fd:      readable when there is a result, or none will come; the caller's
 *
 * SIGCHLD must be ignored: nobody waits for the process.
 *
 * Return: 0, or -errno of socketpair(2), fork(2).
 */
int offer_start(RecallWanted *wanted, size_t n_wanted, int *ret_client_fd, int *ret_result_fd);

/**
 * offer_finish() - what was wanted among them; call it once, when it is readable
 *
 * Return: how many of @wanted were found.
 */
size_t offer_finish(int result_fd, RecallWanted *wanted, size_t n_wanted);
