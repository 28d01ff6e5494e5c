/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Failing Allocations
 *
 * For programs that are linked with --wrap for malloc, calloc, realloc, strdup, strndup, asprintf
 * and free (tests/harness/fault.h).
 */

/* Blocks that the code under test has and has not given back. */
extern long fault_blocks;
