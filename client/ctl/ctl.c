/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How commands complain: one line, "shmbrokerctl: ", what, why and what to do, and nothing in it
 * that a terminal obeys, whoever wrote it.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/format.h"
#include "protocol/name.h"

__attribute__((format(printf, 3, 0))) static void
complain(Ctl *ctl, const char *hint, const char *format, va_list arguments) {
        char *text = NULL, *printable = NULL;

        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        if (text)
                printable = format_printable(text);

        fprintf(ctl->err, "shmbrokerctl: %s%s\n", printable ? printable : "out of memory", hint);
        free(printable);
        free(text);
}

int ctl_fail(Ctl *ctl, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        complain(ctl, "", format, arguments);
        va_end(arguments);
        return CTL_FAILED;
}

int ctl_usage(Ctl *ctl, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        complain(ctl, " (see shmbrokerctl --help)", format, arguments);
        va_end(arguments);
        return CTL_USAGE;
}

int ctl_check_name(Ctl *ctl, const char *name) {
        ShmbNameFault fault = shmb_name_check(name, strlen(name), NULL);

        if (fault == SHMB_NAME_FINE)
                return CTL_DONE;
        return ctl_usage(ctl, "'%s' is no name of a region: it %s", name,
                         shmb_name_fault_to_string(fault));
}

int ctl_printed(Ctl *ctl, int r) {
        if (r == 0)
                return CTL_DONE;
        return ctl_fail(ctl, "cannot print the result: %s", strerror(-r));
}

int ctl_table_new(Ctl *ctl, const Shape *shape, Table **ret_table) {
        const char *name = NULL;
        size_t n = 0;
        int r;

        r = table_new(shape, &ctl->style, ret_table, &name, &n);
        if (r == -ENOENT)
                return ctl_usage(ctl, "--output: there is no column '%.*s' among the %s", (int)n,
                                 name, shape->name);
        return ctl_printed(ctl, r);
}
