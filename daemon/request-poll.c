/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Poll
 *
 * FIFOs are given at request, not with a grant: most clients never poll, and each would pay for
 * descriptors of all its peers. Peers hear by `polls` in control that there is one to be had.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bells.h"
#include "daemon/request.h"

static void poll_refuse(Conn *conn, const WireMessage *message, const Lease *lease, int r) {
        const WireFetch *poll = &message->fetch;

        if (r == -ENOENT)
                conn_refuse(conn, message->id, SHMB_STATUS_INVALID,
                            "region \"%s\": nobody polls %s %u", lease->region->decl->name,
                            shmb_object_kind_to_string((ShmbObjectKind)poll->kind), poll->index);
        else
                conn_refuse(conn, message->id, SHMB_STATUS_NO_MEMORY,
                            "region \"%s\": no FIFO to poll in %s/%s: %s",
                            lease->region->decl->name, conn->server->params.runtime_path,
                            BELLS_DIRECTORY, strerror(-r));
}

/* The holder's own. */
static void poll_give(Conn *conn, const WireMessage *message, const Lease *lease) {
        bool news = !bells_has(lease->region, lease->party);
        int fds[2], r;

        r = bells_give(conn->server, lease->region, lease->party, fds);
        if (r < 0) {
                poll_refuse(conn, message, lease, r);
                return;
        }
        /* Before the answer: whoever may have to wake its holder knows by then. */
        if (news)
                objects_publish(lease->region, lease->party);
        conn_reply(conn, &(WireMessage){ .type = WIRE_OK, .id = message->id }, fds, 2);
        close(fds[0]);
        close(fds[1]);
}

/* Who may wake whom: consumers and producers each other, and consumers who compete. */
static bool poll_is_peer(const Lease *lease, const RegionParty *party) {
        if (party->role != lease->role)
                return true;
        return party != lease->party && party->role == SHMB_ROLE_CONSUME &&
               shmb_geometry_competes(&lease->region->decl->geometry);
}

static void poll_lend(Conn *conn, const WireMessage *message, const Lease *lease) {
        const WireFetch *poll = &message->fetch;
        const RegionParty *party = NULL;
        int fd, r = -ENOENT;

        if (poll->kind == SHMB_OBJECT_LANE)
                party = region_party(lease->region, SHMB_ROLE_PRODUCE, poll->index);
        else if (poll->kind == SHMB_OBJECT_SEAT)
                party = region_party(lease->region, SHMB_ROLE_CONSUME, poll->index);
        if (party && poll_is_peer(lease, party))
                r = bells_lend(lease->region, party, &fd);
        if (r < 0) {
                poll_refuse(conn, message, lease, r);
                return;
        }
        conn_reply(conn, &(WireMessage){ .type = WIRE_OK, .id = message->id }, &fd, 1);
        close(fd);
}

void request_poll(Conn *conn, const WireMessage *message) {
        const Lease *lease = request_lease(conn, message->id, message->fetch.lease);

        if (!lease)
                return;
        if (!lease->party)
                conn_refuse(conn, message->id, SHMB_STATUS_INVALID,
                            "region \"%s\": only producers and consumers wait for each other",
                            lease->region->decl->name);
        else if (message->fetch.kind == SHMB_OBJECT_NONE)
                poll_give(conn, message, lease);
        else
                poll_lend(conn, message, lease);
}
