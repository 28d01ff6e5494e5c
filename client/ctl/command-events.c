/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `events`: what is there, then what happens, a line each, as it happens.
 */

#include <errno.h>
#include <shmbroker.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/format.h"
#include "client/ctl/rows.h"
#include "client/ctl/talk.h"
#include "client/socket.h"

typedef struct Events {
        Ctl *ctl;
        struct shmb *broker;
        struct shmb_watch *watch;
} Events;

/* On the socket that answers more. */
static int events_open(Events *events, const char *name) {
        Ctl *ctl = events->ctl;
        char path[SHMB__PATH_SIZE];
        Talk *talk = NULL;
        int r;

        r = talk_open(ctl, &talk);
        if (r != CTL_DONE)
                return r;
        strcpy(path, talk_path(talk));
        talk_close(talk);

        r = shmb_connect(path, &events->broker);
        if (r < 0)
                return ctl_fail(ctl, "%s: cannot connect: %s", path, shmb_error(NULL));
        r = shmb_watch(events->broker, name, 5000000000, &events->watch);
        if (r < 0)
                return ctl_fail(ctl, "%s: cannot watch: %s", path, shmb_error(events->broker));
        return CTL_DONE;
}

static void events_close(Events *events) {
        shmb_unwatch(events->watch);
        shmb_close(events->broker);
}

/* A document each: what reads one JSON value after the other can follow it. */
static int events_print_json(Ctl *ctl, const EventRow *row) {
        Table *table = NULL;
        Ctl every = *ctl;
        int r;

        every.style.all = true;
        r = ctl_table_new(&every, &shape_event, &table);
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_add(table, row));
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_print(table, ctl->out));
        table_free(table);
        return r;
}

static int events_print_line(Ctl *ctl, const EventRow *row) {
        const struct shmb_event *event = &row->event;
        char moment[FORMAT_NUMBER_MAX];
        char *printable, *line = NULL;
        int n;

        format_moment(moment, sizeof(moment), event_moment_ns(row));
        if (event->pid > 0 && event->lease > 0)
                n = asprintf(&line, "%s %s: lease %llu (%s), process %u (%s) of uid %u%s%s",
                             event_name(event->type), event->region,
                             (unsigned long long)event->lease, shmb_role_to_string(event->role),
                             event->pid, event->command, event->uid, *event->reason ? ", " : "",
                             event->reason);
        else
                n = asprintf(&line, "%s %s%s%s", event_name(event->type), event->region,
                             *event->reason ? ": " : "", event->reason);
        printable = n < 0 ? NULL : format_printable(line);
        if (printable)
                fprintf(ctl->out, "%s %s\n", moment, printable);
        if (n >= 0)
                free(line);
        free(printable);
        return printable ? CTL_DONE : ctl_fail(ctl, "out of memory");
}

static int events_print(Ctl *ctl, const struct shmb_event *event) {
        EventRow row = {
                .event = *event,
                .now_boot_ns = rows_now_ns(CLOCK_BOOTTIME),
                .now_real_ns = rows_now_ns(CLOCK_REALTIME),
        };
        int r;

        r = ctl->style.json ? events_print_json(ctl, &row) : events_print_line(ctl, &row);
        if (r == CTL_DONE && fflush(ctl->out) != 0)
                r = ctl_fail(ctl, "cannot write: %s", strerror(errno));
        return r;
}

static int events_follow(Events *events) {
        struct shmb_event event = { .size = sizeof(event) };
        Ctl *ctl = events->ctl;
        uint64_t left = ctl->has_count && ctl->count > 0 ? ctl->count : UINT64_MAX;
        int r;

        for (; left > 0; left--) {
                r = shmb_watch_next(events->watch, &event, ctl->timeout_ns);
                if (r == -ETIMEDOUT || r == -EAGAIN)
                        return ctl->has_count && ctl->count > 0
                                       ? ctl_fail(ctl, "nothing more happened in time")
                                       : CTL_DONE;
                if (r < 0)
                        return ctl_fail(ctl, "cannot hear of events any more: %s", strerror(-r));
                r = events_print(ctl, &event);
                if (r != CTL_DONE)
                        return r;
        }
        return CTL_DONE;
}

int command_events(Ctl *ctl, int n_arguments, char **arguments) {
        const char *name = n_arguments > 0 ? arguments[0] : NULL;
        Events events = { .ctl = ctl };
        int r = CTL_DONE;

        if (name)
                r = ctl_check_name(ctl, name);
        if (r == CTL_DONE)
                r = events_open(&events, name);
        if (r == CTL_DONE)
                r = events_follow(&events);
        events_close(&events);
        return r;
}
