/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `reload`, `gc` and `kick`: ask for something to be done, or what would be, and print the report.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "client/ctl/format.h"
#include "client/ctl/talk.h"

static int report_line(Ctl *ctl, const char *line) {
        char *printable = format_printable(line);

        if (!printable)
                return ctl_fail(ctl, "out of memory");
        fprintf(ctl->out, "%s\n", printable);
        free(printable);
        return CTL_DONE;
}

static int report_print(Ctl *ctl, const WireReport *report) {
        Table *table = NULL;
        const char *line;
        size_t at = 0;
        int r, next;

        r = ctl_table_new(ctl, &shape_line, &table);
        while (r == CTL_DONE && (next = wire_line_next(report, &at, &line)) != 0) {
                if (next < 0)
                        r = ctl_fail(ctl, "the broker sent a malformed report");
                else if (ctl->style.json)
                        r = ctl_printed(ctl, table_add(table, line));
                else
                        r = report_line(ctl, line);
        }

        if (r == CTL_DONE && ctl->style.json)
                r = ctl_printed(ctl, table_print(table, ctl->out));
        if (r == CTL_DONE && report->truncated)
                fprintf(ctl->err, "shmbrokerctl: the report is longer than one message: its end "
                        "is missing\n");
        table_free(table);
        return r;
}

static int request_report(Ctl *ctl, WireMessage *request, const char *nothing) {
        const WireMessage *reply;
        Talk *talk = NULL;
        int r;

        r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = talk_request(talk, request, WIRE_REPORT, &reply);
        if (r == CTL_DONE && reply->report.n_lines == 0 && !ctl->style.json)
                r = report_line(ctl, nothing);
        else if (r == CTL_DONE)
                r = report_print(ctl, &reply->report);

        talk_close(talk);
        return r;
}

int command_reload(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_RELOAD, .reload = { .plan_only = ctl->plan } };

        return request_report(ctl, &request, "nothing changed");
}

int command_gc(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_GC, .gc = { .dry_run = ctl->dry_run } };

        return request_report(ctl, &request, "nothing to collect");
}

static int kick_parse(Ctl *ctl, const char *text, uint64_t *ret_lease) {
        char *end;

        errno = 0;
        *ret_lease = strtoull(text, &end, 10);
        if (isdigit((unsigned char)*text) && *end == '\0' && errno == 0)
                return CTL_DONE;
        (void)ctl_fail(ctl, "%s: not the number of a lease: see `shmbrokerctl who`", text);
        return CTL_USAGE;
}

/* All of them are tried; nothing is, where one is no number. */
int command_kick(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_KICK };
        const WireMessage *reply;
        Talk *talk = NULL;
        int i, r, result = CTL_DONE;

        for (i = 0; i < n_arguments && result == CTL_DONE; i++)
                result = kick_parse(ctl, arguments[i], &request.kick.lease);
        if (result == CTL_DONE)
                result = talk_open(ctl, &talk);
        for (i = 0; i < n_arguments && talk; i++) {
                r = kick_parse(ctl, arguments[i], &request.kick.lease);
                if (r == CTL_DONE)
                        r = talk_request(talk, &request, WIRE_REPORT, &reply);
                if (r == CTL_DONE)
                        r = report_print(ctl, &reply->report);
                if (r != CTL_DONE)
                        result = r;
        }
        talk_close(talk);
        return result;
}
