/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Plan
 *
 * What must be done to come from one configuration to another, as a list of steps in the order in
 * which they are to be done: limits, then what goes (its bytes and names are free for what comes),
 * then what is made anew, then what comes, then what changes in place, then what stays. A region
 * whose rules and whose lifetime both changed has two steps.
 *
 * A configuration is applied whole or not at all. What can fail in doing the steps is memory, so
 * drafts of all new objects are made first and named last (daemon/sys/backing.h). Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"
#include "protocol/limits.h"

typedef struct Plan Plan;
typedef struct PlanStep PlanStep;

enum {
        /* One printable line: two names, two sizes and a sentence around them. */
        PLAN_LINE_MAX = 511,
};

typedef enum PlanAction {
        PLAN_CHANGE_LIMITS,
        PLAN_REMOVE,        /* peers drain what they hold, then it is gone */
        PLAN_RESHAPE,       /* other objects: removed and made anew; refused while it is held */
        PLAN_ADD,
        PLAN_CHANGE_META,   /* description, overflow, lifetime, linger: same objects */
        PLAN_CHANGE_ACCESS, /* leases that were given stay; the next attach meets the new rules */
        /* Of a template nothing is there; its regions follow it: core/dynamic.h. */
        PLAN_REMOVE_TEMPLATE,
        PLAN_ADD_TEMPLATE,
        PLAN_CHANGE_TEMPLATE,
        PLAN_KEEP,          /* at most it is written elsewhere now */
        _PLAN_ACTION_N,
} PlanAction;

/* Borrows from the two sets. */
struct PlanStep {
        PlanAction action;
        const Decl *old; /* NULL for ADD and CHANGE_LIMITS */
        const Decl *new; /* NULL for REMOVE and CHANGE_LIMITS */
};

struct Plan {
        const DeclSet *old; /* NULL at the first start */
        const DeclSet *new;
        PlanStep *steps;
        size_t n_steps;
        size_t n_actions[_PLAN_ACTION_N]; /* steps by action */
};

/**
 * plan_new() - compare two configurations
 * @old:        what is in force, or NULL
 * @new:        what shall be; both must outlive the plan
 * @ret_plan:   the plan, for plan_free()
 *
 * Return: 0, or -ENOMEM.
 */
int plan_new(const DeclSet *old, const DeclSet *new, Plan **ret_plan);

/** plan_free() - accepts NULL, returns NULL */
Plan *plan_free(Plan *plan);

/** plan_is_empty() - whether every step is a KEEP */
bool plan_is_empty(const Plan *plan);

/**
 * plan_step_format() - one line for `shmbrokerctl reload --plan` and the journal
 * @plan:       plan
 * @step:       one of its steps
 * @buffer:     where to write; always terminated, no newline
 * @size:       its bytes; PLAN_LINE_MAX + 1 is enough
 */
void plan_step_format(const Plan *plan, const PlanStep *step, char *buffer, size_t size);

/** plan_action_to_string() - "add", "remove", ...; never NULL */
const char *plan_action_to_string(PlanAction action);
