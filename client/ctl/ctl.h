/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * shmbrokerctl
 *
 * What main.c hands to a command: the options, three streams and nothing global, so that a test
 * runs a command like any other function. A command prints its result to `out`; if it fails it
 * has said why in one line on `err`.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/ctl/table.h"

/* What a command returns and the program exits with. */
enum {
        CTL_DONE = 0,
        CTL_FAILED = 1, /* refused or failed; said on err */
        CTL_USAGE = 2,  /* said on err */
};

typedef struct Ctl {
        const char *socket; /* --socket, or NULL for the default */
        Style style;
        bool plan;
        bool dry_run;
        bool has_count;
        uint64_t count;     /* items; raw: bytes */
        int64_t timeout_ns; /* -1: for ever */
        uint64_t offset;    /* raw: bytes */
        bool exclusive;
        uint64_t size, capacity; /* 0: no choice */
        int in;             /* borrowed fd that `push` reads */
        FILE *out, *err;
        int connected;      /* a connected socket to use (and close) instead of connecting, or -1 */
} Ctl;

typedef int (*CtlRun)(Ctl *ctl, int n_arguments, char **arguments);

/*
 * The commands. Each takes the words behind its name, as many as main.c's table says, and returns
 * what the program exits with; failures were said on ctl->err.
 */
int command_list(Ctl *ctl, int n_arguments, char **arguments);
int command_show(Ctl *ctl, int n_arguments, char **arguments);
int command_who(Ctl *ctl, int n_arguments, char **arguments);
int command_status(Ctl *ctl, int n_arguments, char **arguments);
int command_check(Ctl *ctl, int n_arguments, char **arguments);
int command_reload(Ctl *ctl, int n_arguments, char **arguments);
int command_gc(Ctl *ctl, int n_arguments, char **arguments);
int command_kick(Ctl *ctl, int n_arguments, char **arguments);
int command_create(Ctl *ctl, int n_arguments, char **arguments);
int command_remove(Ctl *ctl, int n_arguments, char **arguments);
int command_events(Ctl *ctl, int n_arguments, char **arguments);
int command_push(Ctl *ctl, int n_arguments, char **arguments);
int command_pop(Ctl *ctl, int n_arguments, char **arguments);

/** ctl_fail() - say one line on ctl->err, escaped; returns CTL_FAILED */
int ctl_fail(Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** ctl_usage() - say one line on ctl->err, escaped, and where to read more; returns CTL_USAGE */
int ctl_usage(Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * ctl_check_name() - whether a word can be the name of a region
 * @ctl:        where to complain
 * @name:       the word
 *
 * No broker is asked for what cannot be: "" would mean all regions.
 *
 * Return: CTL_DONE or CTL_USAGE.
 */
int ctl_check_name(Ctl *ctl, const char *name);

/** ctl_printed() - judge what a table function returned: CTL_DONE, or said on ctl->err */
int ctl_printed(Ctl *ctl, int r);

/**
 * ctl_table_new() - table_new() in ctl's style
 * @ctl:        style, and where to complain
 * @shape:      of the rows
 * @ret_table:  the table, owned by the caller
 *
 * Return: CTL_DONE, CTL_FAILED, or CTL_USAGE (--output names no column).
 */
int ctl_table_new(Ctl *ctl, const Shape *shape, Table **ret_table);
