/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Look at the Broker
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/harness/caller.h"
#include "tests/harness/look.h"

WireRegion look_region(const Broker *broker, const char *name) {
        WireRegion region;
        Caller caller;

        assert_int_equal(caller_begin(&caller, broker->admin), 0);
        assert_int_equal(caller_list(&caller, broker_name(broker, name), &region), 0);
        caller_close(&caller);
        /* They stood in the packet. */
        region.name = region.description = region.type = region.reason = NULL;
        region.origin = region.access = NULL;
        return region;
}
