/* SPDX-License-Identifier: Apache-2.0 */

/*
 * shmbrokerctl: the command line.
 *
 * Two tables, of options and of commands, say what there is; from them come getopt's tables, the
 * check which option belongs to which command, and --help. Commands are in command-*.c.
 */

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/ctl.h"
#include "client/ctl/format.h"
#include "client/ctl/rows.h"

typedef struct Option Option;
typedef struct Command Command;

typedef enum OptionId {
        OPTION_SOCKET,
        OPTION_JSON,
        OPTION_NO_HEADINGS,
        OPTION_OUTPUT,
        OPTION_OUTPUT_ALL,
        OPTION_BYTES,
        OPTION_PLAN,
        OPTION_DRY_RUN,
        OPTION_COUNT,
        OPTION_TIMEOUT,
        OPTION_OFFSET,
        OPTION_SIZE,
        OPTION_CAPACITY,
        OPTION_EXCLUSIVE,
        OPTION_HELP,
        OPTION_VERSION,
        _OPTION_N,
} OptionId;

struct Option {
        const char *name;
        char letter;          /* or 0 */
        const char *argument; /* what --help calls it, or NULL: it takes none */
        const char *help;
};

struct Command {
        const char *name;
        const char *arguments;
        int n_min, n_max;
        uint32_t options; /* bits of the options that are its own */
        CtlRun run;
        const char *help;
};

#define BIT(_option) (UINT32_C(1) << (_option))

/* Options that make sense with any command. */
#define OPTIONS_COMMON (BIT(OPTION_SOCKET) | BIT(OPTION_HELP) | BIT(OPTION_VERSION))
#define OPTIONS_TABLE                                                                \
        (BIT(OPTION_JSON) | BIT(OPTION_NO_HEADINGS) | BIT(OPTION_OUTPUT) |           \
         BIT(OPTION_OUTPUT_ALL) | BIT(OPTION_BYTES))
#define OPTIONS_SECTIONS (BIT(OPTION_JSON) | BIT(OPTION_BYTES))

static const Option options[_OPTION_N] = {
        [OPTION_SOCKET] = { "socket", 's', "PATH",
                            "the broker's socket (default: $SHMBROKER_SOCKET, else the user's "
                            "or the\nsystem's broker); admin.sock beside it is used if you may" },
        [OPTION_JSON] = { "json", 'J', NULL, "print JSON; sizes in bytes, times in nanoseconds" },
        [OPTION_NO_HEADINGS] = { "no-headings", 'n', NULL, "print no headings" },
        [OPTION_OUTPUT] = { "output", 'o', "COLUMNS",
                            "which columns, NAME,KIND,...; +TYPE,... adds to the default" },
        [OPTION_OUTPUT_ALL] = { "output-all", 'O', NULL, "all columns" },
        [OPTION_BYTES] = { "bytes", 'b', NULL, "sizes in bytes" },
        [OPTION_PLAN] = { "plan", 0, NULL, "only say what would change" },
        [OPTION_DRY_RUN] = { "dry-run", 0, NULL, "only say what would be collected" },
        [OPTION_COUNT] = { "count", 0, "N",
                           "end after N items (default 1; 0: no end); raw: N bytes (default\n"
                           "all); events: N events (default: no end)" },
        [OPTION_TIMEOUT] = { "timeout", 0, "TIME",
                             "wait this long for an item, room or an event: 0, 500ms, 2s\n"
                             "(default: for ever)" },
        [OPTION_OFFSET] = { "offset", 0, "BYTES", "where to begin in a raw region: 0, 4096, 64K" },
        [OPTION_SIZE] = { "size", 0, "BYTES", "of a raw region to create: 4096, 64K" },
        [OPTION_CAPACITY] = { "capacity", 0, "N",
                              "of a region to create: items a lane; stream: bytes" },
        [OPTION_EXCLUSIVE] = { "exclusive", 0, NULL, "refuse to create what is there already" },
        [OPTION_HELP] = { "help", 'h', NULL, "print this" },
        [OPTION_VERSION] = { "version", 'V', NULL, "print the version" },
};

static const Command commands[] = {
        { "list", "", 0, 0, OPTIONS_TABLE, command_list, "list the regions" },
        { "show", "NAME", 1, 1, OPTIONS_SECTIONS, command_show,
          "all about one region: declaration, objects, counters, holders" },
        { "who", "[NAME]", 0, 1, OPTIONS_TABLE, command_who, "who holds a region, or any" },
        { "status", "", 0, 0, OPTIONS_SECTIONS, command_status, "how the broker is" },
        { "check", "FILE...", 1, 4096, 0, command_check,
          "check configuration files as the broker would; needs no broker" },
        { "reload", "", 0, 0, BIT(OPTION_JSON) | BIT(OPTION_PLAN), command_reload,
          "read the configuration again, all of it or nothing" },
        { "gc", "", 0, 0, BIT(OPTION_JSON) | BIT(OPTION_DRY_RUN), command_gc,
          "collect what no lease holds any more" },
        { "kick", "LEASE...", 1, 4096, 0, command_kick,
          "end leases, by their numbers in `who`" },
        { "create", "NAME", 1, 1,
          BIT(OPTION_SIZE) | BIT(OPTION_CAPACITY) | BIT(OPTION_EXCLUSIVE), command_create,
          "create a region of a template, if it is not there" },
        { "remove", "NAME...", 1, 4096, 0, command_remove,
          "remove regions that were created, whoever holds them" },
        { "events", "[NAME]", 0, 1, BIT(OPTION_JSON) | BIT(OPTION_COUNT) | BIT(OPTION_TIMEOUT),
          command_events, "what is there, and what happens to it from now on" },
        { "push", "NAME", 1, 1, BIT(OPTION_TIMEOUT) | BIT(OPTION_OFFSET), command_push,
          "standard input into a region, item by item" },
        { "pop", "NAME", 1, 1, BIT(OPTION_COUNT) | BIT(OPTION_TIMEOUT) | BIT(OPTION_OFFSET),
          command_pop, "items of a region to standard output" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const Command *command_find(const char *name) {
        for (size_t i = 0; i < N_COMMANDS; i++)
                if (strcmp(commands[i].name, name) == 0)
                        return &commands[i];
        return NULL;
}

static void help_option(const Option *option) {
        const char *help = option->help;
        char name[32];

        snprintf(name, sizeof(name), "--%s%s%s", option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        if (option->letter)
                printf("  -%c, %-18s ", option->letter, name);
        else
                printf("      %-18s ", name);

        for (;;) {
                int n = (int)strcspn(help, "\n");

                printf("%.*s\n", n, help);
                if (!help[n])
                        return;
                help += n + 1;
                printf("%25s", "");
        }
}

static void help_columns(const char *title, const Shape *shape) {
        printf("\n%s (* by default):\n", title);
        for (size_t i = 0; i < shape->n_columns; i++)
                printf(" %s%-12s %s\n", shape->columns[i].by_default ? "*" : " ",
                       shape->columns[i].name, shape->columns[i].meaning);
}

static void help(void) {
        printf("Usage: shmbrokerctl [OPTION...] COMMAND\n\n"
               "Ask the shared memory broker, or tell it something.\n\nCommands:\n");
        for (size_t i = 0; i < N_COMMANDS; i++) {
                char name[32];

                snprintf(name, sizeof(name), "%s %s", commands[i].name, commands[i].arguments);
                printf("  %-14s %s\n", name, commands[i].help);
        }

        printf("\nOptions:\n");
        for (size_t i = 0; i < _OPTION_N; i++)
                help_option(&options[i]);

        help_columns("Columns of list", &shape_region);
        help_columns("Columns of who", &shape_holder);
        printf("\nExit status: 0 done, 1 refused or failed, 2 wrong usage.\n"
               "See shmbrokerctl(1).\n");
}

/* getopt's tables from ours; the values of long options lie beyond any letter. */
static void getopt_tables(char *letters, struct option *longs) {
        for (int i = 0; i < _OPTION_N; i++) {
                longs[i] = (struct option){
                        .name = options[i].name,
                        .has_arg = options[i].argument ? required_argument : no_argument,
                        .val = 256 + i,
                };
                if (options[i].letter) {
                        *letters++ = options[i].letter;
                        if (options[i].argument)
                                *letters++ = ':';
                }
        }
        *letters = '\0';
        longs[_OPTION_N] = (struct option){};
}

static int option_number(Ctl *ctl, OptionId id, int (*parse)(const char *, uint64_t *),
                         uint64_t max, uint64_t *ret_number) {
        uint64_t number;
        int r;

        r = parse(optarg, &number);
        if (r < 0 || number > max)
                return ctl_usage(ctl, "--%s %s: %s", options[id].name, optarg,
                                 r == -EINVAL ? "not a number that it understands" : "too great");
        *ret_number = number;
        return CTL_DONE;
}

static int option_apply(Ctl *ctl, OptionId id) {
        uint64_t number = 0;
        int r;

        switch (id) {
        case OPTION_SOCKET:
                ctl->socket = optarg;
                break;
        case OPTION_JSON:
                ctl->style.json = true;
                break;
        case OPTION_NO_HEADINGS:
                ctl->style.no_headings = true;
                break;
        case OPTION_OUTPUT:
                ctl->style.output = optarg;
                break;
        case OPTION_OUTPUT_ALL:
                ctl->style.all = true;
                break;
        case OPTION_BYTES:
                ctl->style.bytes = true;
                break;
        case OPTION_PLAN:
                ctl->plan = true;
                break;
        case OPTION_DRY_RUN:
                ctl->dry_run = true;
                break;
        case OPTION_COUNT:
                ctl->has_count = true;
                return option_number(ctl, id, parse_size, UINT64_MAX, &ctl->count);
        case OPTION_TIMEOUT:
                r = option_number(ctl, id, parse_duration, INT64_MAX, &number);
                ctl->timeout_ns = (int64_t)number;
                return r;
        case OPTION_OFFSET:
                return option_number(ctl, id, parse_size, INT64_MAX, &ctl->offset);
        case OPTION_SIZE:
                return option_number(ctl, id, parse_size, UINT64_MAX, &ctl->size);
        case OPTION_CAPACITY:
                return option_number(ctl, id, parse_size, UINT64_MAX, &ctl->capacity);
        case OPTION_EXCLUSIVE:
                ctl->exclusive = true;
                break;
        case OPTION_HELP:
        case OPTION_VERSION:
        case _OPTION_N:
                break;
        }
        return CTL_DONE;
}

static OptionId option_of(int value) {
        for (int i = 0; i < _OPTION_N; i++)
                if (value == 256 + i || (options[i].letter && value == options[i].letter))
                        return (OptionId)i;
        return _OPTION_N;
}

/* Options anywhere on the line; *ret_seen gets a bit for each. */
static int parse_options(Ctl *ctl, int argc, char **argv, uint32_t *ret_seen) {
        char letters[2 * _OPTION_N + 1];
        struct option longs[_OPTION_N + 1];
        uint32_t seen = 0;
        int value, r;

        getopt_tables(letters, longs);
        while ((value = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
                OptionId id = option_of(value);

                /* getopt has said what was wrong. */
                if (id == _OPTION_N) {
                        fprintf(stderr, "Try 'shmbrokerctl --help'.\n");
                        return CTL_USAGE;
                }
                r = option_apply(ctl, id);
                if (r != CTL_DONE)
                        return r;
                seen |= BIT(id);
        }

        *ret_seen = seen;
        return CTL_DONE;
}

static int dispatch(Ctl *ctl, uint32_t seen, int n, char **words) {
        const Command *command;

        if (n == 0)
                return ctl_usage(ctl, "a command is missing");
        command = command_find(words[0]);
        if (!command)
                return ctl_usage(ctl, "there is no command '%s'", words[0]);

        for (size_t i = 0; i < _OPTION_N; i++)
                if (seen & BIT(i) & ~(command->options | OPTIONS_COMMON))
                        return ctl_usage(ctl, "--%s is no option of %s", options[i].name,
                                         command->name);

        if (n - 1 < command->n_min)
                return ctl_usage(ctl, "%s: %s is missing", command->name, command->arguments);
        if (n - 1 > command->n_max)
                return ctl_usage(ctl, "%s: '%s' is too much", command->name,
                                 words[command->n_max + 1]);
        return command->run(ctl, n - 1, words + 1);
}

/* What was not written is not done: a full disk shows at the last flush only. */
static int close_stdout(Ctl *ctl, int status) {
        bool failed = ferror(stdout);

        errno = 0;
        if (fclose(stdout) != 0 || failed)
                return ctl_fail(ctl, "standard output: %s", strerror(errno ? errno : EIO));
        return status;
}

int main(int argc, char **argv) {
        Ctl ctl = {
                .timeout_ns = -1,
                .in = STDIN_FILENO,
                .out = stdout,
                .err = stderr,
                .connected = -1,
        };
        uint32_t seen = 0;
        int status;

        setlocale(LC_ALL, "");

        status = parse_options(&ctl, argc, argv, &seen);
        if (status == CTL_DONE && (seen & BIT(OPTION_HELP)))
                help();
        else if (status == CTL_DONE && (seen & BIT(OPTION_VERSION)))
                printf("shmbrokerctl %s\n", PACKAGE_VERSION);
        else if (status == CTL_DONE)
                status = dispatch(&ctl, seen, argc - optind, argv + optind);

        return close_stdout(&ctl, status);
}
