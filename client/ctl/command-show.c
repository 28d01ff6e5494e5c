/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `show`: all that can be said of one region. For people in sections, for programs as one
 * document of three arrays: regions (of one), objects, holders.
 */

#include <stdlib.h>
#include <string.h>

#include "client/ctl/objects.h"
#include "client/ctl/rows.h"
#include "client/ctl/who.h"

typedef struct Show {
        Ctl *ctl;
        Table *region, *objects, *holders;
        bool found;
} Show;

static int show_each(void *userdata, const WireRegion *region) {
        Show *show = userdata;
        Ctl *ctl = show->ctl;
        int r = CTL_DONE;

        show->found = true;
        /*
         * The sections of a region are written while its message is there; a document all at
         * once.
         */
        if (ctl->style.json)
                r = ctl_printed(ctl, table_add(show->region, region));
        else
                r = ctl_printed(ctl, table_print_sections(&shape_region, &ctl->style, region,
                                                          ctl->out));
        if (r == CTL_DONE)
                r = ctl_printed(ctl, objects_fill(region, "/dev/shm", show->objects));
        return r;
}

/* A table as a section; one without rows is left out like any section of which nothing is there. */
static int show_table(Ctl *ctl, const char *section, Table *table) {
        if (table_is_empty(table))
                return CTL_DONE;
        fprintf(ctl->out, "\n%s\n", section);
        return ctl_printed(ctl, table_print(table, ctl->out));
}

static int show_tables(Show *show) {
        Ctl *ctl = show->ctl;
        int r;

        if (ctl->style.json) {
                Table *tables[] = { show->region, show->objects, show->holders };

                return ctl_printed(ctl, table_print_document(tables, 3, ctl->out));
        }

        r = show_table(ctl, "objects", show->objects);
        return r == CTL_DONE ? show_table(ctl, "holders", show->holders) : r;
}

static int show_new(Ctl *ctl, Show *show) {
        Ctl every = *ctl;
        int r;

        every.style.all = true;
        every.style.output = NULL;
        r = ctl_table_new(&every, &shape_region, &show->region);
        if (r == CTL_DONE)
                r = ctl_table_new(&every, &shape_object, &show->objects);
        if (r == CTL_DONE) {
                /* A person gets the columns of `who`, a program all of them. */
                every.style.all = ctl->style.json;
                r = ctl_table_new(&every, &shape_holder, &show->holders);
        }
        return r;
}

int command_show(Ctl *ctl, int n_arguments, char **arguments) {
        Show show = { .ctl = ctl };
        Talk *talk = NULL;
        int r;

        r = ctl_check_name(ctl, arguments[0]);
        if (r == CTL_DONE)
                r = show_new(ctl, &show);
        if (r == CTL_DONE)
                r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = talk_list(talk, arguments[0], show_each, &show);
        if (r == CTL_DONE && !show.found)
                r = ctl_fail(ctl, "%s: no such region, or none that you may attach: see "
                             "`shmbrokerctl list`", arguments[0]);
        if (r == CTL_DONE)
                r = who_fill(ctl, talk, arguments[0], show.holders);
        if (r == CTL_DONE)
                r = show_tables(&show);

        talk_close(talk);
        table_free(show.region);
        table_free(show.objects);
        table_free(show.holders);
        return r;
}
