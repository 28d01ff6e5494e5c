/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Create and Remove
 *
 * Whether a client may is decided in core/dynamic.c. Here the region is made, on the account of who
 * asked, and it is there before it is answered for: a client that never hears of it asks again
 * under the same id, and is told that it is the one that it created. So with a removal: the record
 * names the last one.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/dynamic.h"
#include "daemon/lapse.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/objects.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"

static ShmbStatus create_status_of(int code) {
        switch (code) {
        case DYNAMIC_E_EXISTS:
                return SHMB_STATUS_EXISTS;
        case DYNAMIC_E_NO_TEMPLATE:
        case DYNAMIC_E_NO_REGION:
                return SHMB_STATUS_NO_REGION;
        case DYNAMIC_E_DENIED:
        case DYNAMIC_E_DECLARED:
                return SHMB_STATUS_DENIED;
        case DYNAMIC_E_MISMATCH:
                return SHMB_STATUS_MISMATCH;
        case DYNAMIC_E_SIZE:
                return SHMB_STATUS_INVALID;
        case DYNAMIC_E_FULL:
                return SHMB_STATUS_QUOTA;
        }
        return SHMB_STATUS_NO_MEMORY;
}

static void create_refuse(Conn *conn, uint64_t id, int code, const char *sentence) {
        conn->server->n_refused++;
        conn_refuse(conn, id, create_status_of(code), "%s",
                    code < 0 ? "the broker has no memory for a region" : sentence);
}

/* Return: whether the client will hear of it. */
static bool create_answer(Conn *conn, uint64_t id, const Region *region, bool created) {
        const DeclTemplate *template = region->decl->template;
        WireMessage reply = {
                .type = WIRE_CREATED,
                .id = id,
                .created = {
                        .created = created,
                        .owned = dynamic_is_owned(region) && !region->creation.kept,
                        .generation = region->generation,
                        .ttl_ns = template ? template->ttl_ns : 0,
                        .max_age_ns = template ? template->max_age_ns : 0,
                },
        };

        return conn_reply(conn, &reply, NULL, 0);
}

/* On the account of who asks. Return: 0, QUOTA_E_UID, -ENOMEM. */
static int create_begin(Conn *conn, uint64_t id, Region *region) {
        RegionCreation creation = {
                .uid = conn->client.uid,
                .pid = conn->client.pid,
                .pid_started = conn->client.pid_started,
                .request = id,
                .since_ns = clock_boottime_ns(),
                /* What an administrator makes is not made for the program that he uses. */
                .kept = conn->admin,
        };
        int r, charged = 0;

        memcpy(creation.client, conn->client.uuid, sizeof(creation.client));
        r = dynamic_begin(region, &creation, &charged);
        if (r < 0)
                return r;
        if (charged == 0 && !creation.kept)
                dynamic_set_creator(region, &conn->client, creation.since_ns);
        return charged;
}

static void create_refuse_quota(Conn *conn, uint64_t id, int code) {
        char sentence[SHMB_SENTENCE_MAX + 1];

        conn->server->n_refused++;
        quota_format_refusal(&conn->server->quota, code, conn->client.uid, QUOTA_REGIONS, 1,
                             sentence, sizeof(sentence));
        conn_refuse(conn, id, SHMB_STATUS_QUOTA, "%s", sentence);
}

/* Owns @decl. */
static void create_region(Conn *conn, uint64_t id, Decl *decl) {
        Registry *registry = &conn->server->registry;
        ObjectsFault fault;
        Region *region;
        int r;

        if (registry_add(registry, decl, &region)) {
                decl_free(decl);
                create_refuse(conn, id, -ENOMEM, NULL);
                return;
        }
        r = create_begin(conn, id, region);
        if (r) {
                registry_remove(registry, region);
                if (r < 0)
                        create_refuse(conn, id, r, NULL);
                else
                        create_refuse_quota(conn, id, r);
                return;
        }
        if (objects_create(conn->server, region, conn->client.uid, &fault)) {
                registry_remove(registry, region);
                conn->server->n_refused++;
                conn_refuse(conn, id, fault.status, "%s", fault.sentence);
                return;
        }
        if (!create_answer(conn, id, region, true))
                lapse_let_go(conn->server, region, SHMB_REGION_REMOVED,
                             "who created it is gone, and never heard of it");
}

void request_create(Conn *conn, const WireMessage *message) {
        const WireCreate *create = &message->create;
        Server *server = conn->server;
        const DynamicWant want = {
                .name = create->name,
                .exclusive = create->exclusive,
                .kind = create->kind,
                .region_size = create->region_size,
                .capacity = create->capacity,
        };
        char sentence[SHMB_SENTENCE_MAX + 1];
        PolicyIdentity identity;
        Region *region;
        Decl *decl;
        int r;

        if (!request_has_name(conn, message->id, create->name))
                return;
        identity = conn_identity(conn, dynamic_needs_unit(server->decls, create->name));
        region = registry_find(&server->registry, create->name);
        if (region && dynamic_was_created_by(region, &conn->client, message->id)) {
                create_answer(conn, message->id, region, true);
                return;
        }
        r = dynamic_judge_create(server->decls, &server->registry, &want, &identity, &decl,
                                 sentence, sizeof(sentence));
        if (r == DYNAMIC_E_THERE) {
                create_answer(conn, message->id, region, false);
                return;
        }
        if (r == DYNAMIC_E_DENIED) {
                request_deny(conn, message->id, region,
                             decl_set_template_of(server->decls, create->name), DECL_RIGHT_CREATE,
                             &identity);
                return;
        }
        if (r) {
                create_refuse(conn, message->id, r, sentence);
                return;
        }
        if (region)
                lapse_let_go(server, region, SHMB_REGION_STALE, "it was lost, and is created anew");
        create_region(conn, message->id, decl);
}

void request_remove(Conn *conn, const WireMessage *message) {
        const char *name = message->remove.name;
        Server *server = conn->server;
        Region *region = registry_find(&server->registry, name);
        char sentence[SHMB_SENTENCE_MAX + 1], reason[128];
        PolicyIdentity identity;
        int r;

        if (!request_has_name(conn, message->id, name))
                return;
        if (ledger_was_removed(server, &conn->client, message->id, region)) {
                conn_reply_ok(conn, message->id);
                return;
        }
        identity = conn_identity(conn, region && policy_needs_unit(region->decl));
        r = dynamic_judge_remove(region, name, &identity, sentence, sizeof(sentence));
        if (r == DYNAMIC_E_DENIED) {
                request_deny(conn, message->id, region, region->decl, DECL_RIGHT_REMOVE,
                             &identity);
                return;
        }
        if (r) {
                create_refuse(conn, message->id, r, sentence);
                return;
        }
        ledger_removal(server, &conn->client, message->id, region);
        snprintf(reason, sizeof(reason), "process %u (%s) of uid %u removed it", conn->client.pid,
                 conn->client.command, conn->client.uid);
        lapse_let_go(server, region, SHMB_REGION_REMOVED, reason);
        conn_reply_ok(conn, message->id);
}
