/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases of a Connection
 *
 * A client speaks of its own leases only: a number that is not its own is answered as one that does
 * not exist. What a predecessor gave is taken up again with the uuid that it was given to, from the
 * same uid, once.
 */

#include <string.h>

#include "daemon/await.h"
#include "daemon/lapse.h"
#include "daemon/ledger.h"
#include "daemon/request.h"

Lease *request_lease(Conn *conn, uint64_t id, uint64_t lease_id) {
        Lease *lease = lease_find(&conn->server->registry, lease_id);

        if (lease && lease->client == &conn->client)
                return lease;
        conn_refuse(conn, id, SHMB_STATUS_NO_LEASE, "this client holds no lease %llu",
                    (unsigned long long)lease_id);
        return NULL;
}

bool request_was_served(const Conn *conn, uint64_t lease_id) {
        Registry *registry = &conn->server->registry;

        return conn->repeats && lease_id < registry->next_lease &&
               !lease_find(registry, lease_id);
}

/* Whose first word behind a restart is that he lets go has not resumed it. */
static void detach_resume(Conn *conn, uint64_t number) {
        Lease *lease = lease_find(&conn->server->registry, number);

        if (lease && !lease->client->connected && lease_client_is(lease->client, &conn->client))
                lapse_adopt(conn->server, lease, &conn->client);
}

void request_detach(Conn *conn, const WireMessage *message) {
        Lease *lease;

        detach_resume(conn, message->detach.lease);
        if (request_was_served(conn, message->detach.lease)) {
                conn_reply_ok(conn, message->id);
                return;
        }
        lease = request_lease(conn, message->id, message->detach.lease);
        if (!lease)
                return;
        lapse_lease(conn->server, lease, LEASE_END_DETACH);
        conn_reply_ok(conn, message->id);
}

static WireVerdict resume_judge(Conn *conn, const WireResume *resume, Lease **ret_lease) {
        Lease *lease = lease_find(&conn->server->registry, resume->lease);
        const RegionObject *object;

        if (!lease || !lease_client_is(lease->client, &conn->client))
                return WIRE_VERDICT_FENCED;
        if (lease->client != &conn->client && lease->client->connected)
                return WIRE_VERDICT_FENCED;
        if (lease->region->generation != resume->generation)
                return WIRE_VERDICT_REPLACED;
        if (lease->party) {
                object = region_party_object(lease->region, lease->party);
                if (object->epoch != resume->epoch)
                        return WIRE_VERDICT_FENCED;
        }
        *ret_lease = lease;
        return WIRE_VERDICT_SAME;
}

/* What this client was given before, and did not take up again. */
static void resume_no_more(Conn *conn) {
        Absent *absent, *next;

        for (absent = conn->server->absents; absent; absent = next) {
                next = absent->next;
                if (!lease_client_is(&absent->client, &conn->client))
                        continue;
                lapse_client(conn->server, &absent->client, LEASE_END_DETACH);
                lapse_absent_free(absent);
        }
}

void request_resume(Conn *conn, const WireMessage *message) {
        WireMessage reply = { .type = WIRE_RESUMED, .id = message->id };
        Lease *lease = NULL;

        if (message->resume.lease == 0)
                resume_no_more(conn);
        reply.resumed.verdict = resume_judge(conn, &message->resume, &lease);
        if (lease && lease->client != &conn->client)
                lapse_adopt(conn->server, lease, &conn->client);
        if (lease)
                lease->keeps = message->resume.keeps;
        reply.resumed.wanted = lease && await_wants(lease);
        conn_reply(conn, &reply, NULL, 0);
        if (lease && !lease->keeps)
                await_nothing(conn->server, lease);
}
