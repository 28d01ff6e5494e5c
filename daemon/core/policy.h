/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Policy
 *
 * Whether a peer may have a role of a region: its identity, as the kernel gave it at connect, held
 * against the rules of the declaration. Default deny: a role without rules is nobody's, and root is
 * nobody special. What opens every role is the admin socket, which has its own mode and group.
 *
 * Pure: names of users and groups became numbers when the configuration was loaded, so no request
 * asks the user database, and no answer of it can change between two requests.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"
#include "protocol/bits.h"

typedef struct PolicyIdentity PolicyIdentity;

enum {
        /* NGROUPS_MAX of Linux, and the primary group */
        POLICY_GROUPS_MAX = 65537,
};

enum {
        _POLICY_E_SUCCESS,

        POLICY_E_DENIED, /* no rule grants the role */
};

/* Who asks. Borrows its pointers; they must outlive the call only. */
struct PolicyIdentity {
        uint32_t uid;
        const uint32_t *gids; /* ascending; primary and supplementary groups */
        size_t n_gids;
        const char *unit;     /* system unit, "imu.service"; NULL = not known, matches no rule */
        bool admin;           /* the connection came in on the admin socket */
};

/**
 * policy_check() - judge one role of one region
 * @decl:       resolved declaration
 * @role:       role that is asked for; one that regions of this kind do not have has no rules
 * @identity:   who asks
 * @ret_rule:   rule that granted it, borrowed from @decl; NULL where the admin socket did; may be
 *              NULL
 *
 * Return: 0, or POLICY_E_DENIED (output untouched).
 */
int policy_check(const Decl *decl, ShmbRole role, const PolicyIdentity *identity,
                 const DeclRule **ret_rule);

/**
 * policy_check_right() - likewise, of what templates grant: whether @identity may create regions of
 * the template, or remove this one of it
 */
int policy_check_right(const Decl *decl, DeclRight right, const PolicyIdentity *identity);

/** policy_any_role() - whether a rule is for @identity at all: for whom none is does not see it */
bool policy_any_role(const Decl *decl, const PolicyIdentity *identity);

/** policy_needs_unit() - whether a rule of @decl asks for the peer's unit, which costs a look-up */
bool policy_needs_unit(const Decl *decl);

/**
 * policy_format_denial() - one sentence: who was refused what, and where that is written
 * @decl:       declaration
 * @right:      ShmbRole or DeclRight that was asked for
 * @identity:   who asked
 * @buffer:     where to write; always terminated
 * @size:       its bytes; SHMB_SENTENCE_MAX + 1 fits an error reply
 *
 * Whom the rules do admit is said only to those who have another role, and so see the region.
 */
void policy_format_denial(const Decl *decl, unsigned right, const PolicyIdentity *identity,
                          char *buffer, size_t size);
