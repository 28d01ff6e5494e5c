/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Scripted Broker
 *
 * The other end of a socket pair that has its replies queued before a command runs, so there is no
 * second process and nothing to wait for: what is asked can be read afterwards.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/ctl/ctl.h"
#include "protocol/wire.h"

typedef struct Broker {
        int fds[2]; /* ctl's end (its owner closes it), the broker's */
        uint64_t id;
        Ctl ctl;
        char *out, *err;
        size_t n_out, n_err;
} Broker;

extern const WireRegion region_imu, region_raw;
extern const WireHolder holder_imu;

/* cmocka's setup and teardown; *state is a Broker that has said welcome. */
int broker_setup(void **state);
int broker_teardown(void **state);

/* Queue @message with the id of the next request. */
void broker_reply(Broker *broker, WireMessage *message);
/* Queue one page of @n regions, leases or lines. */
void broker_list(Broker *broker, const WireRegion *regions, size_t n, bool more);
void broker_holders(Broker *broker, const WireHolder *holders, size_t n, bool more);
void broker_report(Broker *broker, const char *const *lines, size_t n, bool truncated);

/* The next request that the command sent, decoded; its strings live until the next call. */
void broker_request(Broker *broker, WireMessage *ret_message);

/* Run @run and hold its result and both streams against what is expected. */
void broker_assert_runs(Broker *broker, CtlRun run, char *argument, int result, const char *out,
                        const char *err);
