/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Journal: an entry is one datagram with a line for each field; a journald that does not read, or
 * is not there, holds nobody up.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/sys/journal.h"
#include "tests/harness/scratch.h"

enum {
        ENTRIES_MAX = 100000, /* more than any queue holds */
};

static char directory[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 16];
static int journald;

static const struct iovec entry[] = {
        { (void *)"MESSAGE=said", 12 },
        { (void *)"PRIORITY=6", 10 },
};

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (scratch_make(directory) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/socket", directory);
        strcpy(address.sun_path, path);
        journald = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return bind(journald, (struct sockaddr *)&address, sizeof(address));
}

static int teardown(void **state) {
        close(journald);
        scratch_remove(directory);
        return 0;
}

static void test_entry_is_a_datagram_of_lines(void **state) {
        char packet[64];

        assert_int_equal(journal_send(path, entry, 2), 0);
        assert_int_equal(recv(journald, packet, sizeof(packet), 0), 24);
        assert_memory_equal(packet, "MESSAGE=said\nPRIORITY=6\n", 24);
}

static void test_journald_that_does_not_read_holds_nobody_up(void **state) {
        char packet[64];
        unsigned i;
        int r = 0;

        for (i = 0; r == 0 && i < ENTRIES_MAX; i++)
                r = journal_send(path, entry, 2);
        assert_int_equal(r, -EAGAIN);
        /* and when it reads again there is room */
        assert_int_equal(recv(journald, packet, sizeof(packet), 0), 24);
        assert_int_equal(journal_send(path, entry, 2), 0);
}

static void test_journald_that_is_not_there_is_an_error(void **state) {
        assert_int_equal(journal_send("/nowhere/socket", entry, 2), -ENOENT);
        close(journald);
        journald = -1;
        assert_int_equal(journal_send(path, entry, 2), -ECONNREFUSED);
}

static void test_entry_that_is_too_much_is_refused(void **state) {
        static const struct iovec many[JOURNAL_FIELDS_MAX + 1];
        char longest[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

        memset(longest, 'x', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        assert_int_equal(journal_send(path, many, JOURNAL_FIELDS_MAX + 1), -E2BIG);
        assert_int_equal(journal_send(longest, entry, 2), -E2BIG);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_entry_is_a_datagram_of_lines, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_journald_that_does_not_read_holds_nobody_up,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_journald_that_is_not_there_is_an_error,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_entry_that_is_too_much_is_refused, setup,
                                                teardown),
        };

        return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
