/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `list`, `who` and `status`: ask, and print what came.
 */

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/rows.h"
#include "client/ctl/talk.h"
#include "client/ctl/who.h"

/* What the callbacks of a listing need. */
typedef struct Listing {
        Ctl *ctl;
        Table *table;
} Listing;

static int list_each(void *userdata, const WireRegion *region) {
        Listing *listing = userdata;

        return ctl_printed(listing->ctl, table_add(listing->table, region));
}

int command_list(Ctl *ctl, int n_arguments, char **arguments) {
        Listing listing = { .ctl = ctl };
        Talk *talk = NULL;
        int r;

        r = ctl_table_new(ctl, &shape_region, &listing.table);
        if (r == CTL_DONE)
                r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = talk_list(talk, NULL, list_each, &listing);
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_print(listing.table, ctl->out));

        talk_close(talk);
        table_free(listing.table);
        return r;
}

static int who_each(void *userdata, const WireHolder *holder) {
        Listing *listing = userdata;
        const struct passwd *entry = getpwuid(holder->uid);
        HolderRow row = {
                .holder = *holder,
                .now_boot_ns = rows_now_ns(CLOCK_BOOTTIME),
                .now_real_ns = rows_now_ns(CLOCK_REALTIME),
                .user = entry ? entry->pw_name : NULL,
        };

        return ctl_printed(listing->ctl, table_add(listing->table, &row));
}

int who_fill(Ctl *ctl, Talk *talk, const char *name, Table *table) {
        Listing listing = { .ctl = ctl, .table = table };

        return talk_who(talk, name, who_each, &listing);
}

int command_who(Ctl *ctl, int n_arguments, char **arguments) {
        const char *name = n_arguments > 0 ? arguments[0] : NULL;
        Table *table = NULL;
        Talk *talk = NULL;
        int r = CTL_DONE;

        if (name)
                r = ctl_check_name(ctl, name);
        if (r == CTL_DONE)
                r = ctl_table_new(ctl, &shape_holder, &table);
        if (r == CTL_DONE)
                r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = who_fill(ctl, talk, name, table);
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_print(table, ctl->out));

        talk_close(talk);
        table_free(table);
        return r;
}

static int status_print(Ctl *ctl, const WireStatusInfo *status) {
        Table *table = NULL;
        int r;

        if (!ctl->style.json)
                return ctl_printed(ctl, table_print_sections(&shape_status, &ctl->style, status,
                                                             ctl->out));

        r = ctl_table_new(ctl, &shape_status, &table);
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_add(table, status));
        if (r == CTL_DONE)
                r = ctl_printed(ctl, table_print(table, ctl->out));
        table_free(table);
        return r;
}

int command_status(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_STATUS };
        const WireMessage *reply;
        Talk *talk = NULL;
        int r;

        r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = talk_request(talk, &request, WIRE_STATUS_INFO, &reply);
        if (r == CTL_DONE)
                r = status_print(ctl, &reply->status);

        talk_close(talk);
        return r;
}
