/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The World of a Configuration
 *
 * What tests of config/ read against: a machine with 16 GiB of memory and 8 GiB for /dev/shm; users
 * sensors (1000) and alice (1001); groups analytics (1002), ops (1003) and shmbroker-admin (1004);
 * nobody and nogroup, which have the overflow id; and `broken`, whose look-up fails.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/decl.h"
#include "config/yaml.h"

typedef struct WorldFile WorldFile;

/* One input, in the order in which it is fed. */
struct WorldFile {
        const char *name;
        const char *text;
        size_t n_bytes; /* 0 = text is a string */
        bool drop_in;
};

extern const DeclMachine world_machine;

/** world_lookup() - who there is */
DeclLookup world_lookup(void);

/** world_read() - feed and seal; the reader's return value, or what feeding returned below 0 */
int world_read(const WorldFile *files, size_t n_files, DeclSet **ret_set, DeclErrors *ret_errors);

/** world_read_text() - one main file, called "main.yaml" */
int world_read_text(const char *text, DeclSet **ret_set, DeclErrors *ret_errors);

/** world_errors_to_string() - the errors as `--check` prints them, each with a newline; malloc'd */
char *world_errors_to_string(const DeclErrors *errors);

/** world_load() - a file of the folder that TEST_DATA names; malloc'd, with a NUL behind it */
char *world_load(const char *folder, const char *name, size_t *ret_n_bytes);

/** world_list() - names in a folder below TEST_DATA that end in @suffix, in order; malloc'd */
size_t world_list(const char *folder, const char *suffix, char ***ret_names);
