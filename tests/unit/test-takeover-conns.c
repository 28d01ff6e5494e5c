/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which connections a record says are kept, and whose leases are theirs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/takeover-conns.h"

static RecordEntry connection(uint64_t number, uint32_t pid) {
        return (RecordEntry){
                .type = RECORD_CONNECTION,
                .connection = { .connection = number, .pid = pid, .uid = 7, .client = "client" },
        };
}

static RecordEntry ended(uint64_t number) {
        return (RecordEntry){
                .type = RECORD_CONNECTION_ENDED,
                .connection_ended = { .connection = number },
        };
}

#define FOLD(_entries, _conns) \
        assert_int_equal(takeover_conns_fold(_entries, sizeof(_entries) / sizeof(*(_entries)), \
                                             _conns), 0)

static void test_fold_keeps_connections_that_did_not_end(void **state) {
        RecordEntry entries[] = {
                connection(9, 1), connection(3, 2), { .type = RECORD_LEASE }, connection(5, 3),
                ended(3),         connection(9, 4), ended(77),
        };
        TakeoverConns conns;

        FOLD(entries, &conns);
        assert_int_equal(conns.n_conns, 2);
        assert_int_equal(conns.conns[0].record->connection, 5);
        assert_int_equal(conns.conns[1].record->connection, 9);
        assert_int_equal(conns.conns[1].record->pid, 4);
        assert_null(conns.conns[0].conn);
        takeover_conns_deinit(&conns);
        takeover_conns_deinit(&conns);
        assert_int_equal(takeover_conns_fold(NULL, 0, &conns), 0);
        assert_int_equal(conns.n_conns, 0);
        takeover_conns_deinit(&conns);
}

static void test_lease_is_of_the_connection_that_it_names_and_of_its_client(void **state) {
        RecordEntry entries[] = { connection(5, 1), connection(9, 2) };
        RecordLease lease = { .connection = 9, .uid = 7, .client = "client", .command = "one",
                              .unit = "one.service" };
        TakeoverConns conns;
        Conn conn = {};

        conn.client.uid = 7;
        memcpy(conn.client.uuid, lease.client, sizeof(conn.client.uuid));
        FOLD(entries, &conns);
        conns.conns[1].conn = &conn;
        assert_ptr_equal(takeover_conns_client(&conns, &lease), &conn.client);
        assert_string_equal(conn.client.command, "one");
        assert_string_equal(conn.client.unit, "one.service");

        lease.uid = 8;
        assert_null(takeover_conns_client(&conns, &lease));
        lease.uid = 7;
        lease.client[0] ^= 1;
        assert_null(takeover_conns_client(&conns, &lease));
        lease.client[0] ^= 1;
        lease.connection = 5; /* not there any more */
        assert_null(takeover_conns_client(&conns, &lease));
        lease.connection = 0;
        assert_null(takeover_conns_client(&conns, &lease));
        takeover_conns_deinit(&conns);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fold_keeps_connections_that_did_not_end),
                cmocka_unit_test(test_lease_is_of_the_connection_that_it_names_and_of_its_client),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
