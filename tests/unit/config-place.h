/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Place for Configurations
 *
 * A system of its own for each test: etc, run and lib in a scratch folder, each with a regions.d.
 * Names are relative to it.
 */

#include <sys/types.h>

#include "config/load.h"
#include "tests/harness/scratch.h"

typedef struct Place Place;

struct Place {
        char root[SCRATCH_PATH_MAX];
        ConfigPaths paths; /* etc/shmbrokerd.yaml, and the three folders */
};

#define MAIN_TEXT "version: 1\ndefaults: {kind: raw, size: 4K}\nregions: [{name: main}]\n"

/* For cmocka_unit_test_setup_teardown(); the state is a Place. */
int place_setup(void **state);
int place_teardown(void **state);

/** place_join() - the whole path of a name; malloc'd */
char *place_join(const Place *place, const char *name);

void place_put_dir(const Place *place, const char *name, mode_t mode);
/** place_put_file() - create or replace, mode 0600 if it is new */
void place_put_file(const Place *place, const char *name, const char *text);
void place_put_link(const Place *place, const char *name, const char *target);
void place_set_mode(const Place *place, const char *name, mode_t mode);

/** place_load_good() - load; fails the test with the first error if there is one */
DeclSet *place_load_good(const Place *place);

/** place_assert_refused() - there is one error, and its line begins with @expected */
void place_assert_refused(const Place *place, const char *expected);
