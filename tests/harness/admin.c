/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Administrators
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/admin.h"
#include "tests/harness/caller.h"

WireRegion admin_region(const Broker *broker, const char *name) {
        WireRegion region = {};
        Caller caller;
        int r;

        assert_int_equal(caller_begin(&caller, broker->admin), 0);
        r = caller_list(&caller, broker_name(broker, name), &region);
        assert_true(r == 0 || r == SHMB_STATUS_NO_REGION);
        caller_close(&caller);
        /* Its texts stood in the packet. */
        region.name = region.description = region.type = region.reason = NULL;
        region.origin = region.access = NULL;
        return region;
}

unsigned admin_order(const Broker *broker, WireMessage message, const char *text,
                     bool *ret_applied) {
        const char *line;
        unsigned n = 0;
        Caller caller;
        size_t at = 0;
        int r;

        assert_int_equal(caller_begin(&caller, broker->admin), 0);
        r = caller_call(&caller, &message);
        if (r != 0)
                fail_msg("%d: %s", r, r > 0 ? caller.reply.error.sentence : "no answer");
        while (wire_line_next(&caller.reply.report, &at, &line) == 1)
                n += strstr(line, text) != NULL;
        *ret_applied = caller.reply.report.applied;
        caller_close(&caller);
        return n;
}
