/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Talk
 *
 * One connection to the broker for questions: connect, hello, then request and reply in turn. The
 * admin socket beside broker.sock is tried first: it answers more. Every failure is said on
 * ctl->err with what to do about it, so that a command only passes CTL_FAILED on.
 *
 * The other end is not trusted to be a broker: a reply that is late, too long, malformed or of
 * another type than asked for ends the talk.
 */

#include "client/ctl/ctl.h"
#include "protocol/wire.h"

typedef struct Talk Talk;

/* Connect and say hello; the socket is ctl->connected, else ctl->socket, else the default one. */
int talk_open(Ctl *ctl, Talk **ret_talk);
Talk *talk_close(Talk *talk);

/*
 * Send @request (its id is set here) and wait for a reply of @type. *ret_reply borrows from @talk
 * until the next request. Return: CTL_DONE or CTL_FAILED.
 */
int talk_request(Talk *talk, WireMessage *request, WireType type, const WireMessage **ret_reply);

/* The socket that answered; borrowed until talk_close(). */
const char *talk_path(const Talk *talk);

/*
 * Ask for all regions or all holders, page by page, @name or NULL for all, and call @each for every
 * one, in order; a page that is no later than its predecessor ends it, so that the talk is finite.
 * @each returns CTL_DONE to go on. Return: CTL_DONE or what failed.
 */
int talk_list(Talk *talk, const char *name, int (*each)(void *userdata, const WireRegion *region),
              void *userdata);
int talk_who(Talk *talk, const char *name, int (*each)(void *userdata, const WireHolder *holder),
             void *userdata);
