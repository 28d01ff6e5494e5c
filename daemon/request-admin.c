/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests of an Administrator
 *
 * Each answers with a report: one line for each thing that was, or would be, done.
 */

#include <stdio.h>

#include "daemon/lapse.h"
#include "daemon/reload.h"
#include "daemon/request.h"
#include "protocol/wire.h"

typedef struct AdminPage AdminPage;

struct AdminPage {
        uint8_t bytes[WIRE_PAGE_MAX];
        size_t n_bytes;
        WireReport report;
};

static void admin_say(void *userdata, const char *line) {
        AdminPage *page = userdata;

        if (page->report.truncated ||
            wire_line_append(page->bytes, sizeof(page->bytes), &page->n_bytes, line) < 0) {
                page->report.truncated = true;
                return;
        }
        page->report.n_lines++;
}

static void admin_report(Conn *conn, uint64_t id, AdminPage *page, bool applied) {
        WireMessage reply = { .type = WIRE_REPORT, .id = id };

        page->report.applied = applied;
        page->report.lines = page->bytes;
        page->report.n_bytes_lines = page->n_bytes;
        reply.report = page->report;
        conn_reply(conn, &reply, NULL, 0);
}

static void admin_reload(Conn *conn, const WireMessage *message) {
        char sentence[SHMB_SENTENCE_MAX + 1];
        AdminPage page = {};
        int r;

        r = reload(conn->server, message->reload.plan_only, admin_say, &page, sentence,
                   sizeof(sentence));
        if (r == 0) {
                admin_report(conn, message->id, &page, !message->reload.plan_only);
                return;
        }
        conn_refuse(conn, message->id,
                    r == RELOAD_E_CONFIG ? SHMB_STATUS_CONFIG : SHMB_STATUS_INTERNAL, "%s",
                    sentence);
}

static void admin_gc(Conn *conn, const WireMessage *message) {
        AdminPage page = {};

        lapse_gc(conn->server, message->gc.dry_run, admin_say, &page);
        admin_report(conn, message->id, &page, !message->gc.dry_run);
}

static void admin_kick(Conn *conn, const WireMessage *message) {
        uint64_t id = message->kick.lease;
        Lease *lease = lease_find(&conn->server->registry, id);
        AdminPage page = {};
        char line[512], reason[64];

        if (!lease && id < conn->server->registry.next_lease && id > 0) {
                snprintf(line, sizeof(line), "lease %llu is over already", (unsigned long long)id);
                admin_say(&page, line);
                admin_report(conn, message->id, &page, true);
                return;
        }
        if (!lease) {
                conn_refuse(conn, message->id, SHMB_STATUS_NO_LEASE,
                            "there is no lease %llu: see `shmbrokerctl who`",
                            (unsigned long long)id);
                return;
        }
        snprintf(line, sizeof(line), "ended lease %llu: %s (%s), process %u (%s) of uid %u",
                 (unsigned long long)id, lease->region->decl->name,
                 shmb_role_to_string(lease->role), lease->client->pid, lease->client->command,
                 lease->client->uid);
        snprintf(reason, sizeof(reason), "was kicked by an administrator (uid %u)",
                 conn->client.uid);
        admin_say(&page, line);
        lapse_evict(conn->server, lease, reason);
        admin_report(conn, message->id, &page, true);
}

void request_admin(Conn *conn, const WireMessage *message) {
        if (message->type == WIRE_RELOAD)
                admin_reload(conn, message);
        else if (message->type == WIRE_GC)
                admin_gc(conn, message);
        else
                admin_kick(conn, message);
}
