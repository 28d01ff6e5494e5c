/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `check`: the verdict of `shmbrokerd --check`, from the same function.
 */

#include "client/ctl/ctl.h"
#include "config/check.h"

int command_check(Ctl *ctl, int n_arguments, char **arguments) {
        int r;

        r = config_check_files((const char *const *)arguments, (size_t)n_arguments, ctl->out,
                               ctl->err);
        if (r < 0)
                return ctl_fail(ctl, "out of memory");
        return r == 0 ? CTL_DONE : CTL_FAILED;
}
