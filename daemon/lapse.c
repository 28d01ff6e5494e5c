/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lapse
 *
 * Proof comes behind the end of a lease and may fail: the process is dead but its memory is not yet
 * taken down, or a child of it still maps the object. Nothing is polled then. It is tried again
 * when somebody wants the lane or seat, and what is still not proven then is replaced.
 */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/await.h"
#include "daemon/bells.h"
#include "daemon/conn-keep.h"
#include "daemon/core/dynamic.h"
#include "daemon/lapse.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"

enum {
        LAPSE_PROOFS_MAX = 11,
};

#define LAPSE_PROOF_NS UINT64_C(1000000)

bool lapse_party(Server *server, Region *region, RegionParty *party) {
        if (party->occupancy != SHMB_PARTY_UNPROVEN || region->state == SHMB_REGION_LOST ||
            region->departed || !objects_prove(server, region, party))
                return false;
        region_party_set_proven(region, party);
        objects_publish(region, party);
        return true;
}

/* In 1 ms, 2 ms ... 1 s; what is not proven by then is looked at when somebody wants the seat. */
static void lapse_prove_later(Server *server, Region *region) {
        RegionProof *proof = &region->body->proof;

        if (proof->n_tries >= LAPSE_PROOFS_MAX)
                return;
        proof->region = region;
        if (!proof->deadline.queue &&
            deadline_join(&server->deadlines, &proof->deadline, DEADLINE_PROOF) < 0)
                return;
        deadline_set(&proof->deadline, clock_boottime_ns() + (LAPSE_PROOF_NS << proof->n_tries));
        proof->n_tries++;
}

void lapse_on_proof(Server *server, Region *region) {
        bool left = false;
        size_t i;

        for (i = 0; i < region->n_parties; i++)
                left |= region->parties[i].occupancy == SHMB_PARTY_UNPROVEN &&
                        !lapse_party(server, region, &region->parties[i]);
        if (left && region->body)
                lapse_prove_later(server, region);
}

static void lapse_say(const Lease *lease, const char *reason) {
        const LeaseClient *client = lease->client;

        log_event(&(LogEvent){
                          .priority = LOG_NOTICE,
                          .message_id = SHMB_MESSAGE_LEASE_DIED_STR,
                          .uid = client->uid,
                          .fields = {
                                  { "REGION", lease->region->decl->name },
                                  { "ROLE", shmb_role_to_string(lease->role) },
                                  { "CLIENT_UID", NULL, client->uid },
                                  { "CLIENT_PID", NULL, client->pid },
                                  { "REASON", reason },
                          },
                  },
                  "Process %u (%s) of uid %u held region \"%s\" (%s) and %s.", client->pid,
                  client->command, client->uid, lease->region->decl->name,
                  shmb_role_to_string(lease->role), reason);
}

/* The last lease of a region is over: what stood in nobody's way but its holders' goes. */
static void lapse_idle(Server *server, Region *region) {
        ObjectsFault fault;

        char reason[256];

        if (region->departed) {
                snprintf(reason, sizeof(reason), "%s, and nobody holds it any more",
                         region->reason ? region->reason : "it is no longer declared");
                objects_remove(server, region, reason);
                registry_remove(&server->registry, region);
                return;
        }
        if (region->state != SHMB_REGION_LOST && !region->body->awaited)
                return;
        if (region->decl->template) {
                lapse_let_go(server, region, SHMB_REGION_REMOVED,
                             "it was lost, and nobody holds it any more");
                return;
        }
        objects_remove(server, region, "it was lost, and nobody holds it any more");
        if (region->decl->lifetime == SHMB_LIFETIME_ON_DEMAND)
                return;
        if (objects_create(server, region, QUOTA_UID_BROKER, &fault))
                log_plain(LOG_ERR, "%s.", fault.sentence);
}

static void lapse_end(Server *server, Lease *lease, LeaseEnd how) {
        uint64_t id = lease->id;
        LeaseEffects effects;

        lease_end(&server->registry, lease, how, clock_boottime_ns(), &effects);
        if (server->silent)
                return;
        if (effects.party)
                bells_take(server, effects.region, effects.party);
        /* Proven at once is the rule: peers hear one word then, not two. */
        if (!effects.prove || !lapse_party(server, effects.region, effects.party)) {
                objects_publish(effects.region, effects.party);
                if (effects.prove && effects.region->body &&
                    shmb_geometry_competes(&effects.region->decl->geometry)) {
                        effects.region->body->proof.n_tries = 0;
                        lapse_prove_later(server, effects.region);
                }
        }
        ledger_lease_ended(server, id, how);
        objects_sweep(effects.region);
        if (effects.region->state == SHMB_REGION_DRAINING && region_drain(effects.region)) {
                objects_publish_state(effects.region);
                objects_unlink(server, effects.region);
        }
        if (effects.idle)
                lapse_idle(server, effects.region);
        else
                await_check(server, effects.region);
}

void lapse_lease(Server *server, Lease *lease, LeaseEnd how) {
        const char *reason = how == LEASE_END_DEATH ? "ended without detaching" : NULL;

        if (reason && !server->silent)
                lapse_say(lease, reason);
        if (how != LEASE_END_ROLLBACK)
                watch_lease(server, lease, SHMB_EVENT_DETACHED, reason);
        lapse_end(server, lease, how);
}

void lapse_evict(Server *server, Lease *lease, const char *reason) {
        lapse_say(lease, reason);
        watch_lease(server, lease, SHMB_EVENT_DETACHED, reason);
        lapse_end(server, lease, LEASE_END_DEATH);
}

void lapse_client(Server *server, LeaseClient *client, LeaseEnd how) {
        Region *region;

        while (client->leases)
                lapse_lease(server, client->leases, how);
        while ((region = client->created)) {
                dynamic_set_creator(region, NULL, clock_boottime_ns());
                if (!server->silent && !region->departed)
                        ledger_creator_gone(server, region);
        }
}

/* NULL where it is a connection's: whoever holds a lease is one or the other. */
static Absent *lapse_absent_of_client(LeaseClient *client) {
        void *absent = (char *)client - offsetof(Absent, client);

        return client->connected ? NULL : absent;
}

void lapse_absent_free(Absent *absent) {
        sd_event_source_disable_unref(absent->death);
        if (absent->pidfd >= 0)
                close(absent->pidfd);
        if (absent->previous)
                absent->previous->next = absent->next;
        else
                absent->server->absents = absent->next;
        if (absent->next)
                absent->next->previous = absent->previous;
        free(absent);
}

static void lapse_absent(LeaseClient *client) {
        Absent *absent = lapse_absent_of_client(client);

        if (absent && !absent->client.leases && !absent->client.created)
                lapse_absent_free(absent);
}

void lapse_adopt(Server *server, Lease *lease, LeaseClient *client) {
        LeaseClient *before = lease->client;
        Conn *conn = conn_of_client(client);
        int r;

        lease_move(lease, client);
        if (conn)
                conn_keep(conn);
        r = ledger_lease(server, lease);
        if (r < 0)
                log_plain(LOG_WARNING, "Cannot write down that lease %llu was resumed: %s.",
                          (unsigned long long)lease->id, strerror(-r));
        lapse_absent(before);
}

void lapse_return(Server *server, LeaseClient *client) {
        Absent *absent;

        for (absent = server->absents; absent; absent = absent->next)
                if (absent->client.created && lease_client_is(&absent->client, client))
                        break;
        if (!absent)
                return;
        dynamic_move(&absent->client, client);
        lapse_absent(&absent->client);
}

void lapse_let_go(Server *server, Region *region, ShmbRegionState state, const char *reason) {
        if (region->n_leases == 0) {
                objects_remove(server, region, region->objects ? reason : NULL);
                if (state != SHMB_REGION_STALE)
                        watch_region(server, region, SHMB_EVENT_REMOVED, reason);
                registry_remove(&server->registry, region);
                return;
        }
        log_event(&(LogEvent){ .priority = LOG_INFO, .uid = objects_log_uid(region) },
                  "Region \"%s\" is given up: %s; %zu leases still hold its memory.",
                  region->decl->name, reason, region->n_leases);
        if (!region->departed)
                registry_depart(&server->registry, region, state);
        region_set_reason(region, reason);
        if (state == SHMB_REGION_STALE)
                (void)region_drain(region);
        else
                watch_region(server, region, SHMB_EVENT_REMOVED, reason);
        objects_unlink(server, region);
        objects_publish_state(region);
}

static void lapse_dynamic(Server *server, Region *region) {
        const DeclTemplate *template = region->decl->template;
        char reason[SHMB_NAME_MAX + 128];

        if (template->ttl_ns > 0)
                snprintf(reason, sizeof(reason), "created of %s, and unused for %llu ms",
                         template->name, (unsigned long long)(template->ttl_ns / 1000000));
        else
                snprintf(reason, sizeof(reason),
                         "created of %s, its creator is gone, and nobody holds it",
                         template->name);
        lapse_let_go(server, region, SHMB_REGION_REMOVED, reason);
}

void lapse_on_age(Server *server, Region *region) {
        const DeclTemplate *template = region->decl->template;
        char reason[SHMB_NAME_MAX + 128];

        snprintf(reason, sizeof(reason), "created of %s, it is older than %llu ms", template->name,
                 (unsigned long long)(template->max_age_ns / 1000000));
        lapse_let_go(server, region, SHMB_REGION_REMOVED, reason);
}

void lapse_on_linger(Server *server, Region *region) {
        char reason[128];

        if (region->decl->template) {
                lapse_dynamic(server, region);
                return;
        }
        snprintf(reason, sizeof(reason), "on_demand, and unused for %llu ms",
                 (unsigned long long)(region->decl->linger_ns / 1000000));
        objects_remove(server, region, reason);
}

static bool lapse_is_garbage(const Region *region) {
        if (region->n_leases > 0 || !region->objects)
                return false;
        return region->state != SHMB_REGION_LIVE ||
               (region->decl->lifetime == SHMB_LIFETIME_ON_DEMAND && !dynamic_is_owned(region));
}

static void lapse_collect(Server *server, Region *region) {
        static const char reason[] = "collected by an administrator";

        if (region->decl->template)
                lapse_let_go(server, region, SHMB_REGION_REMOVED, reason);
        else
                objects_remove(server, region, reason);
}

void lapse_gc(Server *server, bool dry_run, void (*say)(void *userdata, const char *line),
              void *userdata) {
        Registry *registry = &server->registry;
        size_t i, j, n_regions;
        char line[512];
        Region *region;

        for (i = 0; i < registry->n_regions; i += registry->n_regions == n_regions) {
                n_regions = registry->n_regions;
                region = registry->regions[i];
                for (j = 0; j < region->n_parties && !dry_run; j++)
                        (void)lapse_party(server, region, &region->parties[j]);
                objects_sweep(region);
                if (!lapse_is_garbage(region))
                        continue;
                snprintf(line, sizeof(line), "remove %s: %s, and nobody holds it",
                         region->decl->name, region->state != SHMB_REGION_LIVE ? "lost" :
                         region->decl->template ? "created by a client" : "on_demand");
                if (!dry_run)
                        lapse_collect(server, region);
                say(userdata, line);
        }
}
