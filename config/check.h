/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Check
 *
 * The face of `shmbrokerd --check` and `shmbrokerctl check FILE...`: one verdict for both, in the
 * same words. Needs no broker and no privileges, and changes nothing.
 */

#include <stddef.h>
#include <stdio.h>

#include "config/load.h"

/**
 * config_check() - load a configuration, say what is wrong with it or what it will take
 * @paths:              where it lies
 * @out:                gets the cost, if nothing is wrong
 * @err:                gets the errors, one a line, and how many there are
 *
 * Return: 0; DECL_E_INVALID; -ENOMEM, and nothing was printed.
 */
int config_check(const ConfigPaths *paths, FILE *out, FILE *err);

/**
 * config_check_files() - config_check() for each file, with the regions.d beside it
 * @files:              main files
 * @n_files:            how many
 *
 * Return: 0 if nothing is wrong with any of them; DECL_E_INVALID; -ENOMEM.
 */
int config_check_files(const char *const *files, size_t n_files, FILE *out, FILE *err);

/** config_print_errors() - what config_load() found, one a line, then how many there are */
void config_print_errors(const DeclErrors *errors, FILE *err);
