/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Attach
 *
 * The way of an attach: name, right, expectation, objects, lease, proof, fd store, ledger, answer.
 * Each step can refuse with a sentence, and what the steps before it did is taken back: a lease
 * that was not answered for is rolled back, and objects that were made for it go when nobody holds
 * them (an on_demand region lingers as if its only holder had just left).
 *
 * Peers hear of a lane or seat by control before its new holder gets the answer, and behind the
 * record. Descriptors are opened anew for each answer, in the order of the objects, and closed when
 * it is sent.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/template.h"
#include "daemon/conn-keep.h"
#include "daemon/await.h"
#include "daemon/core/policy.h"
#include "daemon/lapse.h"
#include "daemon/ledger.h"
#include "daemon/objects.h"
#include "daemon/request.h"
#include "daemon/sys/clock.h"
#include "daemon/watch.h"

/* Descriptors of one answer. */
typedef struct AttachFds {
        int fds[SHMB_OBJECTS_MAX];
        size_t n_fds;
} AttachFds;

static void attach_close(AttachFds *fds) {
        while (fds->n_fds > 0)
                close(fds->fds[--fds->n_fds]);
}

/* The region that is asked for, if it may be had in that role; else refused. */
static Region *attach_find(Conn *conn, uint64_t id, const WireAttach *attach) {
        Server *server = conn->server;
        const char *name = attach->name ? attach->name : "";
        PolicyIdentity identity;
        Region *region;

        if (!request_has_name(conn, id, name))
                return NULL;
        if (attach->role == SHMB_ROLE_NONE || attach->role >= _SHMB_ROLE_N) {
                conn_refuse(conn, id, SHMB_STATUS_INVALID,
                            "region \"%s\": there is no role of number %u", name, attach->role);
                return NULL;
        }
        region = registry_find(&server->registry, name);
        if (!region) {
                server->n_refused++;
                conn_refuse(conn, id, SHMB_STATUS_NO_REGION,
                            "no region \"%s\" is declared%s; `shmbrokerctl list` shows those that "
                            "are", name,
                            decl_set_template_of(server->decls, name) ? ", nor created by anybody"
                                                                      : "");
                return NULL;
        }
        if (!decl_has_role(region->decl->geometry.kind, attach->role)) {
                conn_refuse(conn, id, SHMB_STATUS_INVALID,
                            "region \"%s\" is of kind %s: its roles are %s, not %s", name,
                            shmb_kind_to_string(region->decl->geometry.kind),
                            region->decl->geometry.kind == SHMB_KIND_RAW
                                            ? "read and write"
                                            : "produce, consume and observe",
                            shmb_role_to_string(attach->role));
                return NULL;
        }
        identity = conn_identity(conn, policy_needs_unit(region->decl));
        if (policy_check(region->decl, attach->role, &identity, NULL)) {
                request_deny(conn, id, region, region->decl, attach->role, &identity);
                return NULL;
        }
        return region;
}

static bool attach_mismatch(Conn *conn, uint64_t id, const Region *region, const char *what,
                            const char *declared, const char *expected) {
        conn_refuse(conn, id, SHMB_STATUS_MISMATCH,
                    "region \"%s\": %s is %s here (%s:%u), the client expects %s",
                    region->decl->name, what, declared, region->decl->origin.file,
                    region->decl->origin.line, expected);
        return false;
}

static bool attach_number(Conn *conn, uint64_t id, const Region *region, const char *what,
                          uint64_t declared, uint64_t expected) {
        char here[24], there[24];

        if (expected == 0 || declared == expected)
                return true;
        snprintf(here, sizeof(here), "%llu", (unsigned long long)declared);
        snprintf(there, sizeof(there), "%llu", (unsigned long long)expected);
        return attach_mismatch(conn, id, region, what, here, there);
}

/* What the client was compiled for, held against what is declared. */
static bool attach_fits(Conn *conn, uint64_t id, const Region *region, const WireAttach *attach) {
        const ShmbGeometry *geometry = &region->decl->geometry;
        const char *type = region->decl->type ? region->decl->type : "";
        char here[SHMB_TYPE_MAX + 3], there[SHMB_TYPE_MAX + 3];
        const char *kind;

        if (attach->kind != SHMB_KIND_NONE && attach->kind != geometry->kind) {
                kind = attach->kind < _SHMB_KIND_N ? shmb_kind_to_string(attach->kind)
                                                   : "a kind of a newer version";
                return attach_mismatch(conn, id, region, "kind",
                                       shmb_kind_to_string(geometry->kind), kind);
        }
        if (attach->type && attach->type[0] && strcmp(attach->type, type) != 0) {
                snprintf(here, sizeof(here), "\"%s\"", type);
                snprintf(there, sizeof(there), "\"%.*s\"", SHMB_TYPE_MAX, attach->type);
                return attach_mismatch(conn, id, region, "item.type", here, there);
        }
        return attach_number(conn, id, region, "item.size", geometry->item_size,
                             attach->item_size) &&
               attach_number(conn, id, region, "item.align", geometry->item_align,
                             attach->item_align) &&
               attach_number(conn, id, region, "size", geometry->region_size,
                             attach->region_size);
}

static void attach_refuse_fault(Conn *conn, uint64_t id, const ObjectsFault *fault) {
        conn->server->n_refused++;
        conn_refuse(conn, id, fault->status, "%s", fault->sentence);
}

/* Objects are there behind this, or the request is refused. */
static bool attach_ensure_live(Conn *conn, uint64_t id, Region *region) {
        ObjectsFault fault;
        uint32_t uid;

        if (region->state == SHMB_REGION_LIVE && !region->body->awaited)
                return true;
        if (region->state == SHMB_REGION_LIVE) {
                await_explain(region, &fault);
                attach_refuse_fault(conn, id, &fault);
                return false;
        }
        if (region->state == SHMB_REGION_LOST && region->n_leases > 0) {
                conn_refuse(conn, id, SHMB_STATUS_LOST,
                            "region \"%s\" is lost (%s); it is made anew when the %zu clients "
                            "that still hold it let go: `shmbrokerctl who %s` names them",
                            region->decl->name, region->reason ? region->reason : "no reason",
                            region->n_leases, region->decl->name);
                return false;
        }
        if (region->decl->template) {
                conn_refuse(conn, id, SHMB_STATUS_NO_REGION,
                            "region \"%s\" was lost (%s): create it anew", region->decl->name,
                            region->reason ? region->reason : "no reason");
                lapse_let_go(conn->server, region, SHMB_REGION_REMOVED, "it was lost");
                return false;
        }
        if (region->state == SHMB_REGION_LOST)
                objects_remove(conn->server, region, "it was lost, and is made anew");

        uid = region->decl->lifetime == SHMB_LIFETIME_ON_DEMAND ? conn->peer.uid
                                                                : QUOTA_UID_BROKER;
        if (objects_create(conn->server, region, uid, &fault)) {
                attach_refuse_fault(conn, id, &fault);
                return false;
        }
        return true;
}

static void attach_refuse_busy(Conn *conn, uint64_t id, const Region *region, ShmbRole role) {
        const LeaseClient *holder = NULL;
        const Lease *lease;

        for (lease = region->leases; lease && !holder; lease = lease->next_in_region)
                if (lease->role == role)
                        holder = lease->client;
        conn_refuse(conn, id, SHMB_STATUS_BUSY,
                    "region \"%s\": all %zu %s are held, the newest by process %u (%s) of uid %u; "
                    "wait for one to detach, or declare more",
                    region->decl->name, region->n_roles[role],
                    role == SHMB_ROLE_PRODUCE ? "lanes" : "seats", holder ? holder->pid : 0,
                    holder ? holder->command : "", holder ? holder->uid : 0);
}

static void attach_refuse_lease(Conn *conn, uint64_t id, const Region *region, ShmbRole role,
                                int code) {
        char sentence[SHMB_SENTENCE_MAX + 1];

        conn->server->n_refused++;
        switch (code) {
        case LEASE_E_BUSY:
                attach_refuse_busy(conn, id, region, role);
                return;
        case LEASE_E_QUOTA:
                quota_format_refusal(&conn->server->quota, QUOTA_E_UID, conn->peer.uid,
                                     QUOTA_LEASES, 1, sentence, sizeof(sentence));
                conn_refuse(conn, id, SHMB_STATUS_QUOTA, "%s", sentence);
                return;
        }
        conn_refuse(conn, id, SHMB_STATUS_NO_MEMORY,
                    "region \"%s\": the broker has no memory for a lease", region->decl->name);
}

static void attach_add_object(WireAttached *attached, const RegionObject *object, bool writable) {
        attached->objects[attached->n_objects++] = (WireObject){
                .kind = object->kind,
                .index = object->index,
                .epoch = object->epoch,
                .writable = writable,
                .size_bytes = object->size_bytes,
        };
}

static void attach_fill(const Lease *lease, WireAttached *attached) {
        const Region *region = lease->region;

        attached->lease = lease->id;
        attached->generation = region->generation;
        attached->tag = region->tag;
        attached->role = lease->role;
        attached->index = lease->index;
        attached->type = region->decl->type ? region->decl->type : "";
        request_fill_geometry(region->decl, &attached->geometry);
}

/*
 * A lane or seat was cut short, which nobody can do but who may write it. He loses it, and it is
 * made anew; everything else of the region is as it was.
 */
static int attach_mend(Conn *conn, const Lease *lease, RegionObject *object,
                       ObjectsFault *fault) {
        bool lane = object->kind == SHMB_OBJECT_LANE;
        Region *region = lease->region;
        RegionParty *party;
        int r;

        party = region_party(region, lane ? SHMB_ROLE_PRODUCE : SHMB_ROLE_CONSUME, object->index);
        if (party->lease && party->lease != lease)
                lapse_evict(conn->server, party->lease,
                            lane ? "cut its lane short" : "cut its seat short");
        r = objects_replace(conn->server, region, party, false, "somebody cut the old one short",
                            fault);
        if (r == 0)
                lapse_party(conn->server, region, party);
        return r;
}

/* Open @object for the holder of @lease, as the next one of the answer. */
static int attach_open(Conn *conn, const Lease *lease, RegionObject *object,
                       WireAttached *attached, AttachFds *fds, ObjectsFault *fault) {
        bool writable = lease_object_is_writable(lease, object);
        int r;

        r = objects_open(conn->server, lease->region, object, writable, &fds->fds[fds->n_fds],
                         fault);
        if (r == OBJECTS_E_CUT) {
                r = attach_mend(conn, lease, object, fault);
                if (r == 0)
                        r = objects_open(conn->server, lease->region, object, writable,
                                         &fds->fds[fds->n_fds], fault);
        }
        if (r)
                return r;
        fds->n_fds++;
        attach_add_object(attached, object, writable);
        return 0;
}

/* What the client may write, to read: it will be asked for it. */
static int attach_open_twins(Conn *conn, const Lease *lease, const RegionObject *single,
                             WireAttached *attached, AttachFds *fds, ObjectsFault *fault) {
        Region *region = lease->region;
        RegionObject *object;
        size_t i;
        int r = 0;

        attached->keep = lease->keeps && region->body->mortal && !conn->server->recalls;
        for (i = 0; r == 0 && attached->keep && i < region->n_objects; i++) {
                object = &region->objects[i];
                if (!lease_object_is_writable(lease, object) || (single && single != object) ||
                    fds->n_fds == SHMB_OBJECTS_MAX)
                        continue;
                r = objects_open(conn->server, region, object, false, &fds->fds[fds->n_fds],
                                 fault);
                if (r == 0) {
                        fds->n_fds++;
                        attach_add_object(attached, object, false);
                }
        }
        return r;
}

/* The whole answer: every object that the lease grants, or only @single. */
static int attach_answer(Conn *conn, uint64_t id, const Lease *lease, RegionObject *single,
                         bool *ret_sent, ObjectsFault *fault) {
        WireMessage reply = { .type = WIRE_ATTACHED, .id = id };
        Region *region = lease->region;
        AttachFds fds = {};
        size_t i;
        int r = 0;

        attach_fill(lease, &reply.attached);
        for (i = 0; r == 0 && i < region->n_objects; i++)
                if (single ? single == &region->objects[i]
                           : lease_object_is_granted(lease, &region->objects[i]))
                        r = attach_open(conn, lease, &region->objects[i], &reply.attached, &fds,
                                        fault);
        if (r == 0)
                r = attach_open_twins(conn, lease, single, &reply.attached, &fds, fault);
        if (r == 0)
                *ret_sent = conn_reply(conn, &reply, fds.fds, fds.n_fds);
        attach_close(&fds);
        return r;
}

/* Who may still write the old seat may as well write the group. */
static int attach_replace_party(Server *server, Region *region, RegionParty *party,
                                ObjectsFault *fault) {
        bool seat = party->role == SHMB_ROLE_CONSUME;
        RegionParty *group = region_party(region, SHMB_ROLE_NONE, 0);
        int r = 0;

        /* First, while peers take what he holds for his: they find it again in the new one. */
        if (seat && group)
                r = objects_replace(server, region, group, true,
                                    "somebody who left may still write the old one", fault);
        if (r == 0)
                r = objects_replace(server, region, party, seat,
                                    "somebody may still write the old one", fault);
        return r;
}

/* Nobody but the new holder can write the party's object behind this. */
static int attach_prepare_party(Conn *conn, const LeaseEffects *effects, ObjectsFault *fault) {
        Server *server = conn->server;
        Region *region = effects->region;
        int r;

        r = objects_map_control(server, region, fault);
        if (r || !effects->party)
                return r;
        if (!effects->prove || objects_prove(server, region, effects->party))
                return 0;
        if (region->state == SHMB_REGION_LOST) {
                fault->status = SHMB_STATUS_LOST;
                snprintf(fault->sentence, sizeof(fault->sentence), "%s",
                         region->reason ? region->reason : "its objects are gone");
                return OBJECTS_E_LOST;
        }
        return attach_replace_party(server, region, effects->party, fault);
}

/* Behind this a successor answers request @id in the same words. */
static int attach_write_down(Conn *conn, uint64_t id, Lease *lease, ObjectsFault *fault) {
        const Server *server = conn->server;
        int r;

        lease->request = id;
        conn_keep(conn);
        r = ledger_lease(conn->server, lease);
        if (r < 0) {
                fault->status = SHMB_STATUS_NO_MEMORY;
                snprintf(fault->sentence, sizeof(fault->sentence),
                         "region \"%s\": the lease cannot be written down in %s: %s",
                         lease->region->decl->name, server->params.runtime_path, strerror(-r));
        }
        return r;
}

/* The lease exists; from here on it is answered for or rolled back. */
static void attach_grant(Conn *conn, uint64_t id, Lease *lease, const LeaseEffects *effects) {
        Server *server = conn->server;
        ObjectsFault fault;
        bool sent = false;
        int r;

        r = attach_prepare_party(conn, effects, &fault);
        if (r == 0)
                r = attach_write_down(conn, id, lease, &fault);
        /* Behind the record: a holder that peers know and a successor does not would have died. */
        if (r == 0)
                objects_publish(effects->region, effects->party);
        if (r == 0)
                r = attach_answer(conn, id, lease, NULL, &sent, &fault);
        if (r == 0 && sent) {
                watch_lease(server, lease, SHMB_EVENT_ATTACHED, NULL);
                return;
        }

        lapse_lease(server, lease, LEASE_END_ROLLBACK);
        if (r)
                attach_refuse_fault(conn, id, &fault);
}

static Lease *attach_find_request(const LeaseClient *client, uint64_t id, const Region *region,
                                  ShmbRole role) {
        Lease *lease;

        for (lease = client->leases; lease; lease = lease->next_of_client)
                if (lease->request == id && lease->region == region && lease->role == role)
                        return lease;
        return NULL;
}

/* The client asked before and never heard, of this broker or of the one before it. Of all who hold
 * the region there may be very many; of those who are not back there are few, and soon none. */
static Lease *attach_find_repeated(Conn *conn, uint64_t id, const Region *region, ShmbRole role) {
        Lease *lease = attach_find_request(&conn->client, id, region, role);
        const Absent *absent;

        for (absent = conn->server->absents; absent && !lease; absent = absent->next)
                if (lease_client_is(&absent->client, &conn->client))
                        lease = attach_find_request(&absent->client, id, region, role);
        return lease;
}

static void attach_repeat(Conn *conn, uint64_t id, Lease *lease) {
        ObjectsFault fault;
        bool sent;

        if (lease->client != &conn->client)
                lapse_adopt(conn->server, lease, &conn->client);
        if (attach_answer(conn, id, lease, NULL, &sent, &fault))
                attach_refuse_fault(conn, id, &fault);
}

void request_attach(Conn *conn, const WireMessage *message) {
        const WireAttach *attach = &message->attach;
        Server *server = conn->server;
        LeaseEffects effects;
        Region *region;
        Lease *lease;
        int r;

        region = attach_find(conn, message->id, attach);
        if (!region || !attach_fits(conn, message->id, region, attach))
                return;
        lease = attach_find_repeated(conn, message->id, region, attach->role);
        if (lease) {
                attach_repeat(conn, message->id, lease);
                return;
        }
        if (!attach_ensure_live(conn, message->id, region))
                return;

        r = lease_grant(&server->registry, region, &conn->client, attach->role,
                        clock_boottime_ns(), &lease, &effects);
        if (r) {
                attach_refuse_lease(conn, message->id, region, attach->role, r);
                return;
        }
        lease->keeps = attach->keeps;
        attach_grant(conn, message->id, lease, &effects);
}

static bool attach_still_there(Conn *conn, uint64_t id, const Region *region) {
        switch (region->state) {
        case SHMB_REGION_LIVE:
                return true;
        case SHMB_REGION_LOST:
                conn_refuse(conn, id, SHMB_STATUS_LOST, "region \"%s\" is lost: %s",
                            region->decl->name, region->reason ? region->reason : "");
                return false;
        case SHMB_REGION_NONE:
        case SHMB_REGION_DECLARED:
        case SHMB_REGION_STALE:
        case SHMB_REGION_DRAINING:
        case SHMB_REGION_REMOVED:
        case _SHMB_REGION_N:
                break;
        }
        conn_refuse(conn, id, SHMB_STATUS_REMOVED,
                    "region \"%s\" is no longer what it was: detach, and attach again",
                    region->decl->name);
        return false;
}

/* With id 0 the client wants no answer. */
static void attach_answer_mapped(Conn *conn, const WireMessage *message) {
        const WireMapped *mapped = &message->mapped;
        Lease *lease;

        if (message->id != 0) {
                if (mapped->status != 0 && request_was_served(conn, mapped->lease)) {
                        conn_reply_ok(conn, message->id);
                        return;
                }
                lease = request_lease(conn, message->id, mapped->lease);
        } else {
                lease = lease_find(&conn->server->registry, mapped->lease);
                if (lease && lease->client != &conn->client)
                        lease = NULL;
        }
        if (!lease)
                return;
        if (mapped->status == 0)
                lease->mapped = true;
        else
                lapse_lease(conn->server, lease, LEASE_END_DETACH);
        if (message->id != 0)
                conn_reply_ok(conn, message->id);
}

/* What is in there makes no sense to its new holder: nothing of it is kept. Once: he may have the
 * new one already, from a broker that was killed before it had consumed the request. */
static int attach_renew(Conn *conn, uint64_t id, Lease *lease, ObjectsFault *fault) {
        int r;

        if (lease->request == id)
                return 0;
        r = objects_replace(conn->server, lease->region, lease->party, false,
                            "its new holder cannot go on from what is in it", fault);
        return r ? r : attach_write_down(conn, id, lease, fault);
}

void request_mapped(Conn *conn, const WireMessage *message) {
        const WireMapped *mapped = &message->mapped;
        ObjectsFault fault;
        bool sent;
        Lease *lease;
        int r;

        if (mapped->status != EBADMSG) {
                attach_answer_mapped(conn, message);
                return;
        }
        lease = request_lease(conn, message->id, mapped->lease);
        if (!lease)
                return;
        if (!lease->party) {
                conn_refuse(conn, message->id, SHMB_STATUS_INVALID,
                            "lease %llu of region \"%s\" has no object of its own to be made anew",
                            (unsigned long long)lease->id, lease->region->decl->name);
                return;
        }
        if (!attach_still_there(conn, message->id, lease->region))
                return;

        r = attach_renew(conn, message->id, lease, &fault);
        if (r == 0)
                r = attach_answer(conn, message->id, lease,
                                  region_party_object(lease->region, lease->party), &sent, &fault);
        if (r)
                attach_refuse_fault(conn, message->id, &fault);
}

void request_fetch(Conn *conn, const WireMessage *message) {
        const WireFetch *fetch = &message->fetch;
        RegionObject *object = NULL;
        ObjectsFault fault;
        bool sent;
        Lease *lease;

        lease = request_lease(conn, message->id, fetch->lease);
        if (!lease || !attach_still_there(conn, message->id, lease->region))
                return;
        if (fetch->kind < _SHMB_OBJECT_N)
                object = region_object(lease->region, fetch->kind, fetch->index);
        if (!object || !lease_object_is_granted(lease, object)) {
                conn_refuse(conn, message->id, SHMB_STATUS_INVALID,
                            "lease %llu of region \"%s\" has no object of kind %u and index %u",
                            (unsigned long long)fetch->lease, lease->region->decl->name,
                            fetch->kind, fetch->index);
                return;
        }
        if (attach_answer(conn, message->id, lease, object, &sent, &fault))
                attach_refuse_fault(conn, message->id, &fault);
}
