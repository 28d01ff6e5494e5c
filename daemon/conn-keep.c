/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Kept Connections
 *
 * The number of a kept connection is the kernel's cookie of its socket: nothing that anybody puts
 * into the store under the same name can be taken for it.
 *
 * PID 1 is the one who closes the socket last, and closing it drops what was sent to it and not
 * read. That must be nothing that could hold PID 1 up, so it is dropped here before
 * (fdpass_hang_up()). Kernels that cannot refuse descriptors (before 6.16) leave a gap: what a
 * client sends while there is no broker, and there comes none any more.
 */

#include <string.h>

#include "daemon/conn-keep.h"
#include "daemon/ledger.h"
#include "daemon/sys/sockets.h"
#include "daemon/vault.h"

void conn_keep(Conn *conn) {
        uint64_t number;

        if (conn->kept || conn->watch || conn->server->vault.none ||
            sockets_cookie(conn->fd, &number) != 0)
                return;
        if (vault_keep_conn(conn->server, conn->client.uid, number, conn->fd))
                conn->kept = number;
}

RecordEntry conn_keep_entry(const Conn *conn) {
        RecordEntry entry = {
                .type = RECORD_CONNECTION,
                .connection = {
                        .connection = conn->kept,
                        .uid = conn->client.uid,
                        .pid = conn->client.pid,
                        .pid_started = conn->client.pid_started,
                        .admin = conn->admin,
                        .greeted = conn->greeted,
                        .pending = conn->pending,
                        .n_returns = conn->n_returns,
                },
        };

        memcpy(entry.connection.client, conn->client.uuid, sizeof(entry.connection.client));
        return entry;
}

static void conn_keep_forget(Conn *conn) {
        uint64_t number = conn->kept;

        conn->kept = 0;
        vault_forget_conn(conn->server, number);
        if (conn->recorded && !conn->server->silent)
                ledger_conn_ended(conn->server, number);
        conn->recorded = false;
}

void conn_keep_no_longer(Conn *conn) {
        if (conn->kept)
                conn_keep_forget(conn);
}

void conn_keep_end(Conn *conn) {
        const Server *server = conn->server;

        /* A start that failed has taken nothing over. */
        if (!conn->kept || server->handing_over || !server->started)
                return;
        fdpass_hang_up(&conn->server->guard, conn->fd);
        conn_keep_forget(conn);
}
