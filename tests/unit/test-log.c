/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Log: an entry is one line with its fields, whatever a client wrote into them; where it goes is
 * what the environment says; a reader that does not read holds nobody up.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/log.h"
#include "daemon/ratelimit.h"

enum {
        SEEN_MAX = 65536,
        ENTRIES_MAX = 64,
};

typedef struct Fixture {
        int stderr_fd; /* the real one, put back at the end */
        int pipe[2];   /* what stderr is meanwhile */
        char seen[SEEN_MAX];
} Fixture;

/* What the journal was given: one line for each field. */
static char journal[SEEN_MAX];
static unsigned n_journal_entries;
static int journal_error;

int __wrap_journal_send(const char *path, const struct iovec *fields, size_t n);
int __wrap_journal_send(const char *path, const struct iovec *fields, size_t n) {
        size_t i, at = strlen(journal);

        if (journal_error)
                return journal_error;
        for (i = 0; i < n; i++)
                at += (size_t)snprintf(journal + at, sizeof(journal) - at, "%.*s\n",
                                       (int)fields[i].iov_len, (const char *)fields[i].iov_base);
        n_journal_entries++;
        return 0;
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture || pipe2(fixture->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
                return -1;
        /* As an inherited stderr is: blocking. */
        if (fcntl(fixture->pipe[1], F_SETFL, 0) < 0)
                return -1;
        fixture->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        if (fixture->stderr_fd < 0 || dup2(fixture->pipe[1], STDERR_FILENO) < 0)
                return -1;
        unsetenv("JOURNAL_STREAM");
        unsetenv("INVOCATION_ID");
        journal[0] = '\0';
        n_journal_entries = 0;
        journal_error = 0;
        log_init(LOG_TARGET_STDERR_PREFIX);
        log_set_priority_max(LOG_INFO);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        dup2(fixture->stderr_fd, STDERR_FILENO);
        close(fixture->stderr_fd);
        close(fixture->pipe[0]);
        close(fixture->pipe[1]);
        free(fixture);
        return 0;
}

/* What was written since the last look. */
static const char *see(Fixture *fixture) {
        ssize_t n = read(fixture->pipe[0], fixture->seen, sizeof(fixture->seen) - 1);

        fixture->seen[n < 0 ? 0 : n] = '\0';
        return fixture->seen;
}

static void test_entry_on_stderr_is_one_line(void **state) {
        Fixture *fixture = *state;

        log_plain(LOG_WARNING, "region %s has %d leases", "a/b", 3);
        assert_string_equal(see(fixture), "<4>region a/b has 3 leases\n");
        log_init(LOG_TARGET_STDERR);
        log_plain(LOG_WARNING, "one");
        log_plain(LOG_ERR, "two");
        log_plain(LOG_INFO, "three");
        assert_string_equal(see(fixture), "shmbrokerd: warning: one\nshmbrokerd: error: two\n"
                                          "shmbrokerd: three\n");
}

static void test_less_urgent_entries_are_dropped(void **state) {
        Fixture *fixture = *state;

        log_plain(LOG_DEBUG, "not seen");
        assert_string_equal(see(fixture), "");
        log_set_priority_max(LOG_DEBUG);
        log_plain(LOG_DEBUG, "seen");
        assert_string_equal(see(fixture), "<7>seen\n");
}

static void test_text_of_a_client_is_escaped_into_one_line(void **state) {
        static const struct {
                const char *text, *escaped;
        } cases[] = {
                { NULL, "" },
                { "plain text ~", "plain text ~" },
                { "%n%s%99999d", "%n%s%99999d" },
                { "a\nPRIORITY=0\n", "a\\nPRIORITY=0\\n" },
                { "tab\tback\\slash", "tab\\tback\\\\slash" },
                { "\x1b[31mred\r\x07\x7f", "\\x1b[31mred\\x0d\\x07\\x7f" },
                { "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80",
                  "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80" },
                /* cut, overlong, surrogate, beyond the last, alone */
                { "\xc3", "\\xc3" },
                { "\xe2\x82", "\\xe2\\x82" },
                { "\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },
                { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
                { "\x80\xff", "\\x80\\xff" },
                /* C1 control, line separator, right-to-left override */
                { "\xc2\x9b", "\\xc2\\x9b" },
                { "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
                { "\xe2\x80\xae" "txt.exe", "\\xe2\\x80\\xaetxt.exe" },
        };
        char buffer[256];
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                log_escape(buffer, sizeof(buffer), cases[i].text);
                assert_string_equal(buffer, cases[i].escaped);
        }
}

static void test_escaping_cuts_between_sequences(void **state) {
        static const char text[] = "a\n\x01\xe2\x82\xac\\b";
        char whole[64], buffer[64];
        size_t size;

        log_escape(whole, sizeof(whole), text);
        for (size = 1; size < sizeof(buffer); size++) {
                memset(buffer, '#', sizeof(buffer));
                log_escape(buffer, size, text);
                assert_true(strlen(buffer) < size);
                assert_memory_equal(buffer, whole, strlen(buffer));
                if (size < sizeof(buffer) - 1)
                        assert_int_equal(buffer[size], '#');
                /* Never half of "\n", "\x01" or of the euro sign. */
                assert_true(strlen(buffer) == 0 || strlen(buffer) == 1 || strlen(buffer) == 3 ||
                            strlen(buffer) == 7 || strlen(buffer) >= 10);
                assert_true(strlen(buffer) != 11);
        }
}

static void test_every_byte_leaves_one_printable_line(void **state) {
        char text[3] = "", buffer[32];
        unsigned first, second;
        size_t i;

        for (first = 1; first < 256; first++)
                for (second = 1; second < 256; second++) {
                        text[0] = (char)first;
                        text[1] = (char)second;
                        log_escape(buffer, sizeof(buffer), text);
                        for (i = 0; buffer[i]; i++)
                                assert_true((unsigned char)buffer[i] >= ' ' && buffer[i] != 127);
                }
}

static void test_journal_gets_every_field_on_its_own(void **state) {
        log_init(LOG_TARGET_JOURNAL);
        log_event(&(LogEvent){
                .priority = LOG_NOTICE,
                .message_id = SHMB_MESSAGE_REGION_CREATED_STR,
                .uid = LOG_UID_NONE,
                .fields = {
                        { "REGION", "a/b" },
                        { "SIZE", NULL, 4096 },
                        { "REASON", "evil\nPRIORITY=0" },
                },
        }, "Region \"%s\" exists.\n", "a/b\x1b");
        assert_string_equal(journal, "MESSAGE=Region \"a/b\\x1b\" exists.\\n\n"
                                     "PRIORITY=5\n"
                                     "SYSLOG_IDENTIFIER=shmbrokerd\n"
                                     "MESSAGE_ID=" SHMB_MESSAGE_REGION_CREATED_STR "\n"
                                     "REGION=a/b\n"
                                     "SIZE=4096\n"
                                     "REASON=evil\\nPRIORITY=0\n");
}

static void test_all_fields_at_their_longest_are_written(void **state) {
        static const char *const keys[LOG_FIELDS_MAX] = {
                "K0", "K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K10", "K11",
        };
        LogEvent event = { .priority = LOG_INFO, .uid = LOG_UID_NONE };
        static char text[100000];
        size_t i;

        memset(text, 'x', sizeof(text) - 1);
        for (i = 0; i < LOG_FIELDS_MAX; i++)
                event.fields[i] = (LogField){ keys[i], text };
        log_init(LOG_TARGET_JOURNAL);
        log_event(&event, "%s", text);
        assert_int_equal(n_journal_entries, 1);
        assert_non_null(strstr(journal, "MESSAGE=xxx"));
        assert_non_null(strstr(journal, "\nK11=xxx"));
}

static void test_entry_that_the_journal_does_not_take_goes_to_stderr(void **state) {
        Fixture *fixture = *state;

        journal_error = -ENOENT;
        log_init(LOG_TARGET_JOURNAL);
        log_plain(LOG_ERR, "said somewhere");
        assert_string_equal(see(fixture), "<3>said somewhere\n");
}

static void test_entries_that_a_busy_journal_did_not_take_are_counted(void **state) {
        Fixture *fixture = *state;

        log_init(LOG_TARGET_JOURNAL);
        journal_error = -EAGAIN;
        log_plain(LOG_INFO, "one");
        log_plain(LOG_INFO, "two");
        assert_string_equal(see(fixture), "");
        journal_error = 0;
        log_plain(LOG_INFO, "three");
        log_plain(LOG_INFO, "four");
        assert_string_equal(journal, "MESSAGE=Lost 2 messages while the journal was not read.\n"
                                     "PRIORITY=4\nSYSLOG_IDENTIFIER=shmbrokerd\nN_LOST=2\n"
                                     "MESSAGE=three\nPRIORITY=6\nSYSLOG_IDENTIFIER=shmbrokerd\n"
                                     "MESSAGE=four\nPRIORITY=6\nSYSLOG_IDENTIFIER=shmbrokerd\n");
}

static void test_target_follows_the_environment(void **state) {
        Fixture *fixture = *state;
        char stream[64];
        struct stat st;

        /* From a shell or a script. */
        log_init(LOG_TARGET_AUTO);
        log_plain(LOG_INFO, "m");
        assert_string_equal(see(fixture), "shmbrokerd: m\n");

        /* Started by systemd with stderr on the journal. */
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
        log_init(LOG_TARGET_AUTO);
        log_plain(LOG_INFO, "m");
        assert_string_equal(see(fixture), "");
        assert_int_equal(n_journal_entries, 1);

        /* The same, but stderr was redirected since. */
        setenv("JOURNAL_STREAM", "1:1", 1);
        log_init(LOG_TARGET_AUTO);
        log_plain(LOG_INFO, "m");
        assert_string_equal(see(fixture), "shmbrokerd: m\n");
        setenv("JOURNAL_STREAM", "nonsense", 1);
        log_init(LOG_TARGET_AUTO);
        log_plain(LOG_INFO, "m");
        assert_string_equal(see(fixture), "shmbrokerd: m\n");

        /* Started by systemd with stderr elsewhere. */
        unsetenv("JOURNAL_STREAM");
        log_init(LOG_TARGET_AUTO);
        log_plain(LOG_INFO, "m");
        assert_string_equal(see(fixture), "<6>m\n");
        assert_int_equal(n_journal_entries, 1);
}

static void test_flood_of_one_uid_is_suppressed_counted_and_hides_nobody(void **state) {
        Fixture *fixture = *state;
        LogEvent event = { .priority = LOG_INFO, .uid = 70001 };
        unsigned i, n_lines = 0;
        const char *seen;

        for (i = 0; i < 1000; i++)
                log_event(&event, "refused");
        for (seen = see(fixture); *seen; seen++)
                n_lines += *seen == '\n';
        assert_in_range(n_lines, RATELIMIT_BURST, RATELIMIT_BURST + 2);

        event.uid = 70002;
        log_event(&event, "another");
        log_plain(LOG_INFO, "nobody's");
        assert_string_equal(see(fixture), "<6>another\n<6>nobody's\n");
}

static void test_reader_that_does_not_read_holds_nobody_up(void **state) {
        Fixture *fixture = *state;
        char long_text[1500];
        unsigned i;

        memset(long_text, 'x', sizeof(long_text) - 1);
        long_text[sizeof(long_text) - 1] = '\0';
        /* Ten times what a pipe holds. */
        for (i = 0; i < 500; i++)
                log_plain(LOG_INFO, "%s", long_text);
        while (*see(fixture))
                ;
        log_plain(LOG_INFO, "room again");
        assert_string_equal(see(fixture), "<6>room again\n");
}

static void test_closed_stderr_is_harmless_and_errno_stays(void **state) {
        close(STDERR_FILENO);
        errno = EXDEV;
        log_plain(LOG_ERR, "lost");
        assert_int_equal(errno, EXDEV);
}

#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_entry_on_stderr_is_one_line),
                TEST(test_less_urgent_entries_are_dropped),
                cmocka_unit_test(test_text_of_a_client_is_escaped_into_one_line),
                cmocka_unit_test(test_escaping_cuts_between_sequences),
                cmocka_unit_test(test_every_byte_leaves_one_printable_line),
                TEST(test_journal_gets_every_field_on_its_own),
                TEST(test_all_fields_at_their_longest_are_written),
                TEST(test_entry_that_the_journal_does_not_take_goes_to_stderr),
                TEST(test_entries_that_a_busy_journal_did_not_take_are_counted),
                TEST(test_target_follows_the_environment),
                TEST(test_flood_of_one_uid_is_suppressed_counted_and_hides_nobody),
                TEST(test_reader_that_does_not_read_holds_nobody_up),
                TEST(test_closed_stderr_is_harmless_and_errno_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
