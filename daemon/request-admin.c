/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests of an Administrator
 *
 * Both answer with a report: one line for each thing that was, or would be, done.
 */

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

void request_reload(Conn *conn, const WireMessage *message) {
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

void request_gc(Conn *conn, const WireMessage *message) {
        AdminPage page = {};

        lapse_gc(conn->server, message->gc.dry_run, admin_say, &page);
        admin_report(conn, message->id, &page, !message->gc.dry_run);
}
