/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rules of Access
 *
 * One entry of a list under `access:`, from its text. Only for config/; others see DeclRule.
 */

#include "config/decl.h"

/** decl_rule_check() - NULL if @text is a rule, or half a sentence that says why not; static */
const char *decl_rule_check(const char *text);

/**
 * decl_rule_init() - read a rule
 * @rule:               where; nothing to free on failure
 * @text:               the rule; copied
 * @origin:             where it was written, or NULL; copied
 * @ret_fault:          NULL, or: half a sentence that says what is wrong with @text; static
 *
 * Return: 0; DECL_E_INVALID, and *ret_fault is set; -ENOMEM.
 */
int decl_rule_init(DeclRule *rule, const char *text, const DeclOrigin *origin,
                   const char **ret_fault);

/** decl_rule_deinit() - free what @rule owns */
void decl_rule_deinit(DeclRule *rule);

/** decl_rule_copy() - deep copy. Return: 0, or -ENOMEM with nothing to free */
int decl_rule_copy(const DeclRule *rule, DeclRule *ret_copy);

/** decl_rule_equal() - same text and same numbers, wherever written */
bool decl_rule_equal(const DeclRule *a, const DeclRule *b);

/**
 * decl_id_fault() - may this number be granted anything?
 * @id:                 a uid or gid
 *
 * The kernel shows 65534 for every user that it cannot name (another user namespace), and -1 and
 * 65535 mean "no user" to setresuid(2) and to 16-bit system calls: a grant to one of them is a
 * grant to whoever comes.
 *
 * Return: NULL, or half a sentence that says what is wrong; static.
 */
const char *decl_id_fault(uint32_t id);

/**
 * decl_rule_resolve() - names to numbers
 * @rule:               rule
 * @lookup:             who knows users and groups
 * @key:                key for errors
 * @errors:             what is wrong goes there
 */
void decl_rule_resolve(DeclRule *rule, const DeclLookup *lookup, const char *key,
                       DeclErrors *errors);
