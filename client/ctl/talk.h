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

/**
 * talk_open() - connect and say hello
 * @ctl:        names the socket (ctl->connected, ctl->socket, else the default); outlives the talk
 * @ret_talk:   the connection, owned by the caller
 *
 * Return: CTL_DONE or CTL_FAILED.
 */
int talk_open(Ctl *ctl, Talk **ret_talk);
Talk *talk_close(Talk *talk);

/**
 * talk_request() - one question and its answer
 * @talk:       whom to ask
 * @request:    what; its id is set here
 * @type:       of the reply that is due; a refusal (WIRE_ERROR) is said as the broker puts it
 * @ret_reply:  the reply; borrowed from @talk until the next request
 *
 * Return: CTL_DONE, CTL_FAILED, or CTL_USAGE (an argument does not fit a message).
 */
int talk_request(Talk *talk, WireMessage *request, WireType type, const WireMessage **ret_reply);

/* The socket that answered; borrowed until talk_close(). */
const char *talk_path(const Talk *talk);

/**
 * talk_list() - ask for all regions, page by page
 * @talk:       whom to ask
 * @name:       only this one, or NULL
 * @each:       called for every region, in the order of names; what it is given is borrowed until
 *              it returns, CTL_DONE to go on; it asks nothing
 * @userdata:   its first argument
 *
 * A page that is no later than its predecessor ends the talk, so that it is finite.
 *
 * Return: CTL_DONE, or what failed, and why was said.
 */
int talk_list(Talk *talk, const char *name, int (*each)(void *userdata, const WireRegion *region),
              void *userdata);

/*
 * talk_who() - the same for leases, in the order of their numbers; @name: of one region, or NULL
 */
int talk_who(Talk *talk, const char *name, int (*each)(void *userdata, const WireHolder *holder),
             void *userdata);
