/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plan
 *
 * Both sets are in order of name, so one walk over them side by side meets every region once. The
 * walk is made once for each action, in the order in which steps are to be done; a plan is made at
 * a reload, not in a request.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "config/template.h"
#include "daemon/core/plan.h"
#include "daemon/core/text.h"

static const DeclSet plan_empty_set;

static const char *plan_text(const char *text) {
        return text ? text : "";
}

static bool plan_same_access(const Decl *a, const Decl *b) {
        const DeclRule *x, *y;
        size_t right, i;

        for (right = 0; right < _DECL_RIGHT_N; right++) {
                if (a->access[right].n_rules != b->access[right].n_rules)
                        return false;
                for (i = 0; i < a->access[right].n_rules; i++) {
                        x = &a->access[right].rules[i];
                        y = &b->access[right].rules[i];
                        /* A user may have another number now under the same name. */
                        if (x->type != y->type || strcmp(x->text, y->text) != 0 ||
                            x->uid_first != y->uid_first || x->uid_last != y->uid_last ||
                            x->gid != y->gid)
                                return false;
                }
        }
        return true;
}

static bool plan_same_meta(const Decl *a, const Decl *b) {
        return strcmp(plan_text(a->description), plan_text(b->description)) == 0 &&
               a->overflow == b->overflow && a->lifetime == b->lifetime &&
               a->linger_ns == b->linger_ns;
}

static bool plan_same_limits(const DeclLimits *a, const DeclLimits *b) {
        return a->connections_per_uid == b->connections_per_uid &&
               a->leases_per_uid == b->leases_per_uid && a->bytes_per_uid == b->bytes_per_uid &&
               a->regions_per_uid == b->regions_per_uid && a->bytes_total == b->bytes_total;
}

/* Whether a region that is @old in one set and @new in the other needs @action. */
static bool plan_needs(PlanAction action, const Decl *old, const Decl *new) {
        bool stays = old && new && decl_same_shape(old, new);

        switch (action) {
        case PLAN_REMOVE:
                return !new;
        case PLAN_ADD:
                return !old;
        case PLAN_RESHAPE:
                return old && new && !stays;
        case PLAN_CHANGE_META:
                return stays && !plan_same_meta(old, new);
        case PLAN_CHANGE_ACCESS:
                return stays && !plan_same_access(old, new);
        case PLAN_KEEP:
                return stays && plan_same_meta(old, new) && plan_same_access(old, new);
        case PLAN_CHANGE_LIMITS:
        case PLAN_REMOVE_TEMPLATE:
        case PLAN_ADD_TEMPLATE:
        case PLAN_CHANGE_TEMPLATE:
        case _PLAN_ACTION_N:
                break;
        }
        return false;
}

static bool plan_needs_template(PlanAction action, const Decl *old, const Decl *new) {
        if (action == PLAN_REMOVE_TEMPLATE)
                return !new;
        if (action == PLAN_ADD_TEMPLATE)
                return !old;
        return old && new && !decl_equal(old, new);
}

static bool plan_is_of_templates(PlanAction action) {
        return action == PLAN_REMOVE_TEMPLATE || action == PLAN_ADD_TEMPLATE ||
               action == PLAN_CHANGE_TEMPLATE;
}

static void plan_add(Plan *plan, PlanAction action, const Decl *old, const Decl *new) {
        plan->steps[plan->n_steps++] = (PlanStep){ .action = action, .old = old, .new = new };
        plan->n_actions[action]++;
}

static void plan_walk(Plan *plan, PlanAction action, const DeclSet *old_set,
                      const DeclSet *new_set) {
        bool templates = plan_is_of_templates(action);
        Decl **olds = templates ? old_set->templates : old_set->decls;
        Decl **news = templates ? new_set->templates : new_set->decls;
        size_t n_olds = templates ? old_set->n_templates : old_set->n_decls;
        size_t n_news = templates ? new_set->n_templates : new_set->n_decls;
        const Decl *old, *new;
        size_t i = 0, j = 0;
        int order;

        while (i < n_olds || j < n_news) {
                old = i < n_olds ? olds[i] : NULL;
                new = j < n_news ? news[j] : NULL;
                order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
                if (order < 0)
                        new = NULL;
                if (order > 0)
                        old = NULL;
                if (templates ? plan_needs_template(action, old, new)
                              : plan_needs(action, old, new))
                        plan_add(plan, action, old, new);
                i += old != NULL;
                j += new != NULL;
        }
}

int plan_new(const DeclSet *old, const DeclSet *new, Plan **ret_plan) {
        const DeclSet *old_set = old ? old : &plan_empty_set;
        PlanAction action;
        Plan *plan;

        plan = calloc(1, sizeof(*plan));
        if (!plan)
                return -ENOMEM;

        /* The limits, and two steps for each region at most, and one for each template. */
        plan->steps = calloc(1 + 2 * (old_set->n_decls + new->n_decls) + old_set->n_templates +
                                             new->n_templates,
                             sizeof(*plan->steps));
        if (!plan->steps) {
                free(plan);
                return -ENOMEM;
        }

        plan->old = old;
        plan->new = new;
        if (old && !plan_same_limits(&old->limits, &new->limits))
                plan_add(plan, PLAN_CHANGE_LIMITS, NULL, NULL);
        for (action = PLAN_CHANGE_LIMITS + 1; action < _PLAN_ACTION_N; action++)
                plan_walk(plan, action, old_set, new);

        *ret_plan = plan;
        return 0;
}

Plan *plan_free(Plan *plan) {
        if (plan)
                free(plan->steps);
        free(plan);
        return NULL;
}

bool plan_is_empty(const Plan *plan) {
        return plan->n_steps == plan->n_actions[PLAN_KEEP];
}

static void plan_add_number(Text *text, const char *what, uint64_t old, uint64_t new) {
        if (old != new)
                text_add(text, "%s%s %" PRIu64 " -> %" PRIu64, text->n > 0 ? ", " : "", what, old,
                         new);
}

static void plan_add_word(Text *text, const char *what, const char *old, const char *new) {
        old = old && *old ? old : "none";
        new = new && *new ? new : "none";
        if (strcmp(old, new) != 0)
                text_add(text, "%s%s %s -> %s", text->n > 0 ? ", " : "", what, old, new);
}

/* In the words of the configuration: what is other about the objects. */
static void plan_add_shape(Text *text, const Decl *old, const Decl *new) {
        const ShmbGeometry *a = &old->geometry, *b = &new->geometry;

        plan_add_word(text, "kind", shmb_kind_to_string(a->kind), shmb_kind_to_string(b->kind));
        plan_add_word(text, "backing", shmb_backing_to_string(old->backing),
                      shmb_backing_to_string(new->backing));
        plan_add_word(text, "type", old->type, new->type);
        plan_add_word(text, "posix_name", old->posix_name, new->posix_name);
        plan_add_number(text, "size", a->region_size, b->region_size);
        plan_add_number(text, "producers", a->n_lanes, b->n_lanes);
        plan_add_number(text, "consumers", a->n_seats, b->n_seats);
        plan_add_number(text, "item size", a->item_size, b->item_size);
        plan_add_number(text, "item align", a->item_align, b->item_align);
        plan_add_number(text, "capacity", a->capacity, b->capacity);
}

static void plan_add_meta(Text *text, const Decl *old, const Decl *new) {
        plan_add_word(text, "lifetime", shmb_lifetime_to_string(old->lifetime),
                      shmb_lifetime_to_string(new->lifetime));
        plan_add_number(text, "linger ns", old->linger_ns, new->linger_ns);
        plan_add_word(text, "overflow", shmb_overflow_to_string(old->overflow),
                      shmb_overflow_to_string(new->overflow));
        if (strcmp(plan_text(old->description), plan_text(new->description)) != 0)
                text_add(text, "%sdescription", text->n > 0 ? ", " : "");
}

static void plan_add_limits(Text *text, const DeclLimits *old, const DeclLimits *new) {
        plan_add_number(text, "connections per uid", old->connections_per_uid,
                        new->connections_per_uid);
        plan_add_number(text, "leases per uid", old->leases_per_uid, new->leases_per_uid);
        plan_add_number(text, "regions per uid", old->regions_per_uid, new->regions_per_uid);
        plan_add_number(text, "bytes per uid", old->bytes_per_uid, new->bytes_per_uid);
        plan_add_number(text, "bytes in total", old->bytes_total, new->bytes_total);
}

const char *plan_action_to_string(PlanAction action) {
        switch (action) {
        case PLAN_CHANGE_LIMITS:
                return "limits";
        case PLAN_REMOVE:
        case PLAN_REMOVE_TEMPLATE:
                return "remove";
        case PLAN_RESHAPE:
                return "reshape";
        case PLAN_ADD:
        case PLAN_ADD_TEMPLATE:
                return "add";
        case PLAN_CHANGE_META:
        case PLAN_CHANGE_TEMPLATE:
                return "change";
        case PLAN_CHANGE_ACCESS:
                return "access";
        case PLAN_KEEP:
                return "keep";
        case _PLAN_ACTION_N:
                break;
        }
        return "nothing";
}

static uint64_t plan_least_bytes(const Decl *template) {
        const Decl least = { .geometry = template->template->least };

        return decl_size_bytes(&least);
}

static void plan_add_access(Text *text, const Decl *decl) {
        char access[DECL_ACCESS_TEXT_MAX];

        decl_access_to_string(decl, access, sizeof(access));
        if (!text_add(text, "%s%s", text->n > 0 ? "; " : "", access))
                text_add(text, "%sother rules", text->n > 0 ? "; " : "");
}

static void plan_add_template(Text *text, const Decl *old, const Decl *new) {
        plan_add_shape(text, old, new);
        plan_add_number(text, "least", decl_extent(&old->template->least),
                        decl_extent(&new->template->least));
        plan_add_number(text, "ttl ns", old->template->ttl_ns, new->template->ttl_ns);
        plan_add_number(text, "max_age ns", old->template->max_age_ns, new->template->max_age_ns);
        plan_add_meta(text, old, new);
        if (!plan_same_access(old, new))
                plan_add_access(text, new);
}

static void plan_add_detail(Text *text, const Plan *plan, const PlanStep *step) {
        const Decl *decl = step->new ? step->new : step->old;

        switch (step->action) {
        case PLAN_CHANGE_LIMITS:
                plan_add_limits(text, &plan->old->limits, &plan->new->limits);
                break;
        case PLAN_REMOVE:
        case PLAN_ADD:
                text_add(text, "%s, %s, %" PRIu64 " bytes",
                         shmb_kind_to_string(decl->geometry.kind),
                         shmb_backing_to_string(decl->backing), decl_size_bytes(decl));
                break;
        case PLAN_RESHAPE:
                plan_add_shape(text, step->old, step->new);
                break;
        case PLAN_CHANGE_META:
                plan_add_meta(text, step->old, step->new);
                break;
        case PLAN_CHANGE_ACCESS:
                plan_add_access(text, step->new);
                break;
        case PLAN_REMOVE_TEMPLATE:
        case PLAN_ADD_TEMPLATE:
                text_add(text, "template of %s, %s, %" PRIu64 " to %" PRIu64 " bytes",
                         shmb_kind_to_string(decl->geometry.kind),
                         shmb_backing_to_string(decl->backing), plan_least_bytes(decl),
                         decl_size_bytes(decl));
                break;
        case PLAN_CHANGE_TEMPLATE:
                plan_add_template(text, step->old, step->new);
                break;
        case PLAN_KEEP:
        case _PLAN_ACTION_N:
                break;
        }
}

void plan_step_format(const Plan *plan, const PlanStep *step, char *buffer, size_t size) {
        const Decl *decl = step->new ? step->new : step->old;
        char words[PLAN_LINE_MAX - SHMB_NAME_MAX] = "";
        Text text = TEXT_INIT(buffer, size), detail = TEXT_INIT(words, sizeof(words));

        plan_add_detail(&detail, plan, step);
        buffer[0] = '\0';
        text_add(&text, "%s", plan_action_to_string(step->action));
        if (decl)
                text_add(&text, " %s", decl->name);
        if (detail.n > 0)
                text_add(&text, ": %s", words);
}
