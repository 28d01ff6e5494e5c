/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reload
 *
 * Three phases. Judge: read, plan, check every step against what is held. Prepare: declare and
 * create everything that is new, beside what is there; all that can fail happens here, and is
 * undone in reverse order if it does. Commit: take the new rules, let go of what is no longer
 * declared; nothing here can fail.
 *
 * While old and new stand side by side both count, so the limit of all bytes is lifted by what is
 * about to go; the configuration itself was held against its own limit when it was read.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/core/plan.h"
#include "daemon/core/policy.h"
#include "daemon/depth.h"
#include "daemon/lapse.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/objects.h"
#include "daemon/reload-dynamic.h"
#include "daemon/reload.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"

typedef struct ReloadWork ReloadWork;

/* What the prepare phase did for one step. */
struct ReloadWork {
        Decl *decl;             /* copy for the registry, until it takes it */
        Region *region;         /* added for it */
        /* RESHAPE: the old one, without its name; ADD: one that a client had created */
        Region *aside;
        ShmbRegionState before; /* of `aside` */
        Region *created;        /* objects were made: of `region`, or of one that was there */
        bool postponed;         /* they get their names when the old ones are gone */
};

typedef struct Reload {
        Server *server;
        DeclSet *set;
        Plan *plan;
        ReloadWork *works; /* by step */
        ReloadDynamics dynamics;
        bool plan_only;
        char *sentence;
        size_t size;
} Reload;

static int reload_fail(Reload *work, int code, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

static int reload_fail(Reload *work, int code, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(work->sentence, work->size, format, arguments);
        va_end(arguments);
        return code;
}

static Region *reload_region(Reload *work, const PlanStep *step) {
        const Decl *decl = step->old ? step->old : step->new;

        return decl ? registry_find(&work->server->registry, decl->name) : NULL;
}

static bool reload_is_made_at_once(const Decl *decl) {
        return decl->lifetime != SHMB_LIFETIME_ON_DEMAND;
}

/* A name of its own choice that another region has until the commit. */
static bool reload_name_is_given_up(const Reload *work, const char *posix_name) {
        const PlanStep *step;
        size_t i;

        for (i = 0; posix_name && i < work->plan->n_steps; i++) {
                step = &work->plan->steps[i];
                if ((step->action == PLAN_REMOVE || step->action == PLAN_RESHAPE) &&
                    step->old->posix_name && strcmp(step->old->posix_name, posix_name) == 0)
                        return true;
        }
        return false;
}

static int reload_create(Reload *work, Region *region, ReloadWork *done) {
        ObjectsFault fault;
        int r;

        r = objects_prepare(work->server, region, QUOTA_UID_BROKER, &fault);
        if (r == 0) {
                done->created = region;
                done->postponed = reload_name_is_given_up(work, region->decl->posix_name);
        }
        if (r == 0 && !done->postponed)
                r = objects_commit(work->server, region, &fault);
        return r ? reload_fail(work, RELOAD_E_FAILED, "%s", fault.sentence) : 0;
}

static void reload_put_aside(Reload *work, Region *region, ReloadWork *done) {
        done->before = region->state;
        registry_depart(&work->server->registry, region, SHMB_REGION_STALE);
        done->aside = region;
}

/* What has the name so far gives it up. */
static int reload_prepare_add(Reload *work, const PlanStep *step, ReloadWork *done) {
        Region *region = reload_region(work, step);
        int r;

        if (region)
                reload_put_aside(work, region, done);
        r = registry_add(&work->server->registry, done->decl, &done->region);
        if (r)
                return reload_fail(work, RELOAD_E_FAILED, "the broker has no memory for a region");
        done->decl = NULL;
        if (!reload_is_made_at_once(done->region->decl))
                return 0;
        return reload_create(work, done->region, done);
}

/* A region that was made when needed and now shall always be there. */
static int reload_prepare_change(Reload *work, const PlanStep *step, ReloadWork *done) {
        Region *region = reload_region(work, step);

        if (region->objects || !reload_is_made_at_once(step->new))
                return 0;
        return reload_create(work, region, done);
}

static int reload_prepare_step(Reload *work, const PlanStep *step, ReloadWork *done) {
        if (step->new) {
                done->decl = decl_dup(step->new);
                if (!done->decl)
                        return reload_fail(work, RELOAD_E_FAILED,
                                           "the broker has no memory for a declaration");
        }
        switch (step->action) {
        case PLAN_ADD:
        case PLAN_RESHAPE:
                return reload_prepare_add(work, step, done);
        case PLAN_CHANGE_META:
                return reload_prepare_change(work, step, done);
        case PLAN_CHANGE_LIMITS:
        case PLAN_REMOVE:
        case PLAN_CHANGE_ACCESS:
        case PLAN_REMOVE_TEMPLATE:
        case PLAN_ADD_TEMPLATE:
        case PLAN_CHANGE_TEMPLATE:
        case PLAN_KEEP:
        case _PLAN_ACTION_N:
                break;
        }
        return 0;
}

static void reload_undo_step(Reload *work, ReloadWork *done) {
        Server *server = work->server;

        /* Where its birth was told, so is its end. */
        if (done->created)
                objects_remove(server, done->created,
                               done->created->state == SHMB_REGION_LIVE
                                               ? "the new configuration was not put in force"
                                               : NULL);
        if (done->region)
                registry_remove(&server->registry, done->region);
        if (done->aside)
                registry_return(&server->registry, done->aside, done->before,
                                clock_boottime_ns());
        decl_free(done->decl);
        *done = (ReloadWork){};
}

static uint64_t reload_bytes_going(Reload *work) {
        const PlanStep *step;
        uint64_t n_bytes = reload_dynamics_bytes_going(&work->dynamics);
        Region *region;
        size_t i;

        for (i = 0; i < work->plan->n_steps; i++) {
                step = &work->plan->steps[i];
                region = reload_region(work, step);
                /* What is drained is there beside its successor for a while. */
                if (region && (step->action == PLAN_REMOVE ||
                               (step->action == PLAN_RESHAPE && region->n_leases == 0)))
                        n_bytes += region_size_bytes(region);
        }
        return n_bytes;
}

static int reload_prepare(Reload *work) {
        DeclLimits limits = work->set->limits;
        size_t i;
        int r = 0;

        if (__builtin_add_overflow(limits.bytes_total, reload_bytes_going(work),
                                   &limits.bytes_total))
                limits.bytes_total = UINT64_MAX;
        quota_set_limits(&work->server->quota, &limits);
        for (i = 0; r == 0 && i < work->plan->n_steps; i++)
                r = reload_prepare_step(work, &work->plan->steps[i], &work->works[i]);
        if (r == 0)
                return 0;

        while (i-- > 0)
                reload_undo_step(work, &work->works[i]);
        quota_set_limits(&work->server->quota, &work->server->decls->limits);
        return r;
}

static void reload_commit_step(Reload *work, const PlanStep *step, ReloadWork *done) {
        static const char reshaped[] = "it is declared with another shape";
        Server *server = work->server;

        switch (step->action) {
        case PLAN_REMOVE:
                lapse_let_go(server, reload_region(work, step), SHMB_REGION_REMOVED,
                              "it is no longer declared");
                break;
        case PLAN_RESHAPE:
                lapse_let_go(server, done->aside, SHMB_REGION_STALE, reshaped);
                watch_region(server, done->region, SHMB_EVENT_CHANGED, reshaped);
                break;
        case PLAN_CHANGE_META:
        case PLAN_CHANGE_ACCESS:
        case PLAN_KEEP:
                region_redeclare(reload_region(work, step), done->decl, clock_boottime_ns());
                done->decl = NULL;
                if (step->action != PLAN_KEEP)
                        watch_region(server, reload_region(work, step), SHMB_EVENT_CHANGED,
                                     "its declaration changed");
                break;
        case PLAN_ADD:
                if (done->aside)
                        lapse_let_go(server, done->aside, SHMB_REGION_STALE, "it is declared now");
                watch_region(server, done->region, SHMB_EVENT_DECLARED, NULL);
                break;
        case PLAN_CHANGE_LIMITS:
        case PLAN_REMOVE_TEMPLATE:
        case PLAN_ADD_TEMPLATE:
        case PLAN_CHANGE_TEMPLATE:
        case _PLAN_ACTION_N:
                break;
        }
        decl_free(done->decl);
        done->decl = NULL;
}

/* Its pages are there; if somebody was quicker with the name, the next attach tries again. */
static void reload_commit_postponed(Reload *work) {
        ObjectsFault fault;
        size_t i;

        for (i = 0; i < work->plan->n_steps; i++)
                if (work->works[i].postponed &&
                    objects_commit(work->server, work->works[i].created, &fault))
                        log_plain(LOG_ERR, "%s.", fault.sentence);
}

static void reload_commit(Reload *work) {
        Server *server = work->server;
        size_t i;

        reload_dynamics_commit(server, &work->dynamics);
        for (i = 0; i < work->plan->n_steps; i++)
                reload_commit_step(work, &work->plan->steps[i], &work->works[i]);
        reload_commit_postponed(work);
        quota_set_limits(&server->quota, &work->set->limits);
        decl_set_free(server->decls);
        server->decls = work->set;
        work->set = NULL;
}

/* Whether the new rules would not give it again. Nobody knows the groups of who is away. */
static bool reload_would_refuse(const Lease *lease, const Decl *decl) {
        Conn *conn = conn_of_client(lease->client);
        PolicyIdentity identity;

        if (!conn)
                return false;
        identity = conn_identity(conn, policy_needs_unit(decl));
        return policy_check(decl, lease->role, &identity, NULL) != 0;
}

/* A lease is kept whatever the rules become: who has one that he would not get now is named. */
static void reload_say_strangers(Reload *work, const Region *region, const Decl *decl,
                                 ReloadSay say, void *userdata) {
        const Lease *lease;
        char line[512];

        for (lease = region && decl ? region->leases : NULL; lease; lease = lease->next_in_region) {
                if (!reload_would_refuse(lease, decl))
                        continue;
                snprintf(line, sizeof(line),
                         "holds what it would not get now: lease %llu of %s (%s), process %u (%s) "
                         "of uid %u; `shmbrokerctl kick %llu` ends it",
                         (unsigned long long)lease->id, region->decl->name,
                         shmb_role_to_string(lease->role), lease->client->pid,
                         lease->client->command, lease->client->uid,
                         (unsigned long long)lease->id);
                if (say)
                        say(userdata, line);
                if (!work->plan_only)
                        log_plain(LOG_NOTICE, "Somebody %s.", line);
        }
}

/* They keep what they have, and hear of it. */
static void reload_say_drained(const PlanStep *step, const Region *region, ReloadSay say,
                               void *userdata) {
        char line[PLAN_LINE_MAX + 1];

        if (step->action != PLAN_RESHAPE || !region || region->n_leases == 0 || !say)
                return;
        snprintf(line, sizeof(line), "drain %s: %zu lease%s of what it was", region->decl->name,
                 region->n_leases, region->n_leases == 1 ? "" : "s");
        say(userdata, line);
}

/* What is in it goes with its last holder: who attaches from then on gets the new one, or none. */
static void reload_say_lost(Reload *work, const PlanStep *step, Region *region, ReloadSay say,
                            void *userdata) {
        char line[PLAN_LINE_MAX + 1];
        Depth depth;

        if ((step->action != PLAN_RESHAPE && step->action != PLAN_REMOVE) || !region ||
            region->n_roles[SHMB_ROLE_CONSUME] > 0)
                return;
        depth_read(work->server, region, &depth);
        if (depth.left == 0)
                return;
        snprintf(line, sizeof(line), "lose %llu item%s of %s: nobody consumes it",
                 (unsigned long long)depth.left, depth.left == 1 ? "" : "s", region->decl->name);
        if (say)
                say(userdata, line);
        if (!work->plan_only)
                log_plain(LOG_NOTICE, "This will %s.", line);
}

static void reload_say_plan(Reload *work, ReloadSay say, void *userdata) {
        const Plan *plan = work->plan;
        const ReloadDynamic *entry;
        char line[PLAN_LINE_MAX + 1];
        Region *region;
        size_t i;

        for (i = 0; i < plan->n_steps; i++) {
                if (plan->steps[i].action == PLAN_KEEP)
                        continue;
                plan_step_format(plan, &plan->steps[i], line, sizeof(line));
                if (say)
                        say(userdata, line);
                region = work->works[i].aside ? work->works[i].aside
                                              : reload_region(work, &plan->steps[i]);
                reload_say_drained(&plan->steps[i], region, say, userdata);
                reload_say_lost(work, &plan->steps[i], region, say, userdata);
                if (region && !region->decl->template)
                        reload_say_strangers(work, region, plan->steps[i].new, say, userdata);
        }
        for (i = 0; i < work->dynamics.n_entries; i++) {
                entry = &work->dynamics.entries[i];
                if (!entry->changed)
                        continue;
                reload_dynamic_format(entry, line, sizeof(line));
                if (say)
                        say(userdata, line);
                reload_say_strangers(work, entry->region, entry->decl, say, userdata);
        }
}

static void reload_say_done(Server *server, const Plan *plan) {
        size_t n_added = plan->n_actions[PLAN_ADD] + plan->n_actions[PLAN_ADD_TEMPLATE];
        size_t n_removed = plan->n_actions[PLAN_REMOVE] + plan->n_actions[PLAN_REMOVE_TEMPLATE];
        size_t n_changed = plan->n_actions[PLAN_RESHAPE] + plan->n_actions[PLAN_CHANGE_META] +
                           plan->n_actions[PLAN_CHANGE_ACCESS] +
                           plan->n_actions[PLAN_CHANGE_TEMPLATE] +
                           plan->n_actions[PLAN_CHANGE_LIMITS];
        char outcome[128];

        snprintf(outcome, sizeof(outcome), "applied: %zu added, %zu removed, %zu changed", n_added,
                 n_removed, n_changed);
        free(server->reload_outcome);
        server->reload_outcome = strdup(outcome);
        log_event(&(LogEvent){
                          .priority = LOG_INFO,
                          .message_id = SHMB_MESSAGE_CONFIG_RELOADED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "N_ADDED", NULL, n_added },
                                  { "N_REMOVED", NULL, n_removed },
                                  { "N_CHANGED", NULL, n_changed },
                          },
                  },
                  "New configuration %s.", outcome);
}

static int reload_apply(Reload *work, ReloadSay say, void *userdata) {
        Server *server = work->server;
        int r;

        r = reload_read(server->params.config, &work->set, work->sentence, work->size);
        if (r < 0)
                return reload_fail(work, RELOAD_E_FAILED, "cannot read %s: %s",
                                   server->params.config->main, strerror(-r));
        if (r)
                return RELOAD_E_CONFIG;
        r = plan_new(server->decls, work->set, &work->plan);
        if (r == 0) {
                work->works = calloc(work->plan->n_steps + 1, sizeof(*work->works));
                r = work->works ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = reload_dynamics_init(&work->dynamics, server, work->set);
        if (r < 0)
                return reload_fail(work, RELOAD_E_FAILED, "the broker has no memory for a plan");

        r = work->plan_only ? 0 : reload_prepare(work);
        if (r)
                return r;
        /* The plan borrows from the old declarations: said before they go. */
        reload_say_plan(work, say, userdata);
        if (work->plan_only)
                return 0;
        reload_say_done(server, work->plan);
        reload_commit(work);
        return 0;
}

static void reload_say_refused(Server *server, int code, const char *sentence) {
        LogEvent event = {
                .priority = LOG_ERR,
                .message_id = SHMB_MESSAGE_CONFIG_REJECTED_STR,
                .uid = LOG_UID_NONE,
                .fields = { { "CONFIG_FILE", server->params.config->main } },
        };
        char *outcome = NULL;

        /* What is wrong in the files has entries of its own by now. */
        if (code == RELOAD_E_CONFIG)
                log_plain(LOG_ERR, "Nothing was changed: the last configuration stays in force.");
        else
                log_event(&event, "The new configuration is refused and nothing was changed: %s.",
                          sentence);
        if (asprintf(&outcome, "refused: %s", sentence) < 0)
                outcome = NULL;
        free(server->reload_outcome);
        server->reload_outcome = outcome;
}

int reload(Server *server, bool plan_only, ReloadSay say, void *userdata, char *sentence,
           size_t size) {
        Reload work = {
                .server = server,
                .plan_only = plan_only,
                .sentence = sentence,
                .size = size,
        };
        int r;

        if (!plan_only)
                (void)notify_reloading(clock_monotonic_ns());
        r = reload_apply(&work, say, userdata);
        if (r && !plan_only)
                reload_say_refused(server, r, sentence);
        reload_dynamics_deinit(&work.dynamics);
        plan_free(work.plan);
        decl_set_free(work.set);
        free(work.works);
        if (!plan_only)
                server_ready(server);
        return r;
}

/* A region that was taken over is there already. */
static int reload_start_region(Server *server, const Decl *decl, ObjectsFault *fault) {
        Region *region = registry_find(&server->registry, decl->name);
        Decl *copy;

        if (!region) {
                copy = decl_dup(decl);
                if (!copy || registry_add(&server->registry, copy, &region)) {
                        decl_free(copy);
                        fault->status = SHMB_STATUS_NO_MEMORY;
                        snprintf(fault->sentence, sizeof(fault->sentence),
                                 "region \"%s\": the broker has no memory for it", decl->name);
                        return OBJECTS_E_FAILED;
                }
        }
        if (region->state == SHMB_REGION_LOST && region->n_leases == 0)
                objects_remove(server, region, "it was lost, and is made anew");
        if (region->objects || !reload_is_made_at_once(decl))
                return 0;
        return objects_create(server, region, QUOTA_UID_BROKER, fault);
}

int reload_start(Server *server, const DeclSet *decls) {
        ObjectsFault fault;
        size_t i;

        for (i = 0; i < decls->n_decls; i++) {
                if (reload_start_region(server, decls->decls[i], &fault) == 0)
                        continue;
                log_plain(LOG_ERR, "Cannot start: %s.", fault.sentence);
                return RELOAD_E_FAILED;
        }
        return 0;
}
