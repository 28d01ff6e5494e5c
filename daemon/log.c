/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Log
 *
 * A sentence is formatted first and escaped as a whole, so that it does not matter which of its
 * arguments came from a client.
 *
 * stderr may be a pipe that nobody reads, and journald may hang: an entry is written only if there
 * is room for it at once, else it is lost, for the broker waits for nobody. What the journal did
 * not take is counted, and the number is the next entry that it takes.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "daemon/log.h"
#include "daemon/ratelimit.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/journal.h"

#define LOG_IDENTIFIER "shmbrokerd"

enum {
        LOG_KEY_MAX = 64, /* of the journal: longer keys are dropped with their entry */
        LOG_NUMBER_MAX = 20,
        /* "<7>", the identifier, the word for the priority, the newline */
        LOG_DECORATION_MAX = 32,
        /* MESSAGE, PRIORITY, MESSAGE_ID, SYSLOG_IDENTIFIER */
        LOG_FIXED_FIELDS = 4,
};

/* A pipe takes this much at once or says that it is not writable, pipe(7). */
_Static_assert(LOG_TEXT_MAX + LOG_DECORATION_MAX <= PIPE_BUF, "a line is written whole");

static struct {
        LogTarget target;
        int priority_max;
        Ratelimit limit;
        uint64_t n_lost; /* entries that the journal did not take */
} log_state = { .target = LOG_TARGET_AUTO, .priority_max = LOG_INFO };

/* Whether stderr is what $JOURNAL_STREAM ("DEVICE:INODE") says that systemd made of it. */
static bool log_stderr_is_journal(const char *stream) {
        uintmax_t dev, ino;
        struct stat st;

        return stream && sscanf(stream, "%ju:%ju", &dev, &ino) == 2 &&
               fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == dev && st.st_ino == ino;
}

static LogTarget log_choose(void) {
        const char *stream = getenv("JOURNAL_STREAM");

        if (log_stderr_is_journal(stream))
                return LOG_TARGET_JOURNAL;
        if (!stream && getenv("INVOCATION_ID") && !isatty(STDERR_FILENO))
                return LOG_TARGET_STDERR_PREFIX;
        return LOG_TARGET_STDERR;
}

void log_init(LogTarget target) {
        log_state.target = target == LOG_TARGET_AUTO ? log_choose() : target;
}

void log_set_priority_max(int priority) {
        log_state.priority_max = priority;
}

/* Bytes of the UTF-8 sequence at @at if it is one that may be shown, else 0. */
static size_t log_utf8_length(const unsigned char *at) {
        uint32_t point, least;
        size_t n, i;

        if (at[0] >= 0xc2 && at[0] <= 0xdf) {
                n = 2;
                least = 0xa0; /* not the C1 control characters */
        } else if ((at[0] & 0xf0) == 0xe0) {
                n = 3;
                least = 0x800;
        } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
                n = 4;
                least = 0x10000;
        } else {
                return 0;
        }

        point = at[0] & (0xffU >> (n + 1));
        for (i = 1; i < n; i++) {
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
                point = point << 6 | (at[i] & 0x3f);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
                return 0;
        /* What turns the direction of the rest of the line, or ends it. */
        if ((point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069))
                return 0;
        return n;
}

void log_escape(char *buffer, size_t size, const char *text) {
        const unsigned char *at = (const unsigned char *)(text ? text : "");
        char piece[8];
        size_t n = 0, n_piece, n_read;

        while (*at) {
                n_read = 1;
                if (*at == '\n' || *at == '\t' || *at == '\\') {
                        snprintf(piece, sizeof(piece), "\\%c",
                                 *at == '\n' ? 'n' : *at == '\t' ? 't' : '\\');
                } else if (*at >= ' ' && *at <= '~') {
                        snprintf(piece, sizeof(piece), "%c", *at);
                } else if ((n_read = log_utf8_length(at)) > 0) {
                        snprintf(piece, sizeof(piece), "%.*s", (int)n_read, (const char *)at);
                } else {
                        n_read = 1;
                        snprintf(piece, sizeof(piece), "\\x%02x", *at);
                }

                n_piece = strlen(piece);
                if (n_piece >= size - n)
                        break;
                memcpy(buffer + n, piece, n_piece);
                n += n_piece;
                at += n_read;
        }
        buffer[n] = '\0';
}

static const char *log_priority_to_string(int priority) {
        switch (priority) {
        case LOG_EMERG:
        case LOG_ALERT:
        case LOG_CRIT:
        case LOG_ERR:
                return "error: ";
        case LOG_WARNING:
                return "warning: ";
        case LOG_DEBUG:
                return "debug: ";
        default:
                return "";
        }
}

static void log_to_stderr(int priority, const char *text, bool prefix) {
        char line[LOG_TEXT_MAX + LOG_DECORATION_MAX + 1];
        struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
        int n;

        if (prefix)
                n = snprintf(line, sizeof(line), "<%d>%s\n", priority & LOG_PRIMASK, text);
        else
                n = snprintf(line, sizeof(line), LOG_IDENTIFIER ": %s%s\n",
                             log_priority_to_string(priority), text);

        if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT))
                /* Where would one say that it failed? */
                if (write(STDERR_FILENO, line, (size_t)n) < 0)
                        return;
}

static void log_set_field(struct iovec *field, char *buffer, size_t size, const char *key,
                          const char *text) {
        int n = snprintf(buffer, size, "%s=%s", key, text);

        *field = (struct iovec){
                .iov_base = buffer,
                .iov_len = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1,
        };
}

/* Numbers and escaped texts in turn, each into a buffer of its own. */
static size_t log_set_fields(const LogEvent *event, struct iovec *fields,
                             char (*buffers)[LOG_TEXT_MAX + 1]) {
        char text[LOG_TEXT_MAX - LOG_KEY_MAX];
        const LogField *field;
        size_t n;

        for (n = 0; n < LOG_FIELDS_MAX && event->fields[n].key; n++) {
                field = &event->fields[n];
                if (field->text)
                        log_escape(text, sizeof(text), field->text);
                else
                        snprintf(text, sizeof(text), "%" PRIu64, field->number);
                log_set_field(&fields[n], buffers[n], sizeof(buffers[n]), field->key, text);
        }
        return n;
}

static int log_to_journal(const LogEvent *event, const char *text) {
        char message[LOG_TEXT_MAX + LOG_KEY_MAX], priority[LOG_KEY_MAX], id[LOG_KEY_MAX];
        char buffers[LOG_FIELDS_MAX][LOG_TEXT_MAX + 1], digit[2] = {
                (char)('0' + (event->priority & LOG_PRIMASK))
        };
        struct iovec fields[LOG_FIXED_FIELDS + LOG_FIELDS_MAX];
        size_t n = 0;

        log_set_field(&fields[n++], message, sizeof(message), "MESSAGE", text);
        log_set_field(&fields[n++], priority, sizeof(priority), "PRIORITY", digit);
        fields[n++] = (struct iovec){
                .iov_base = (void *)"SYSLOG_IDENTIFIER=" LOG_IDENTIFIER,
                .iov_len = strlen("SYSLOG_IDENTIFIER=" LOG_IDENTIFIER),
        };
        if (event->message_id)
                log_set_field(&fields[n++], id, sizeof(id), "MESSAGE_ID", event->message_id);
        n += log_set_fields(event, fields + n, buffers);

        return journal_send(JOURNAL_SOCKET, fields, n);
}

/* Return: whether it was not lost. */
static bool log_or_lose(const LogEvent *event, const char *text) {
        int r;

        r = log_to_journal(event, text);
        /* Elsewhere there may be somebody. */
        if (r < 0 && r != -EAGAIN)
                log_to_stderr(event->priority, text, true);
        return r != -EAGAIN;
}

static void log_write_to_journal(const LogEvent *event, const char *text) {
        char lost[LOG_TEXT_MAX + 1];

        if (log_state.n_lost > 0) {
                snprintf(lost, sizeof(lost), "Lost %" PRIu64 " messages while the journal was not "
                         "read.", log_state.n_lost);
                if (log_or_lose(&(LogEvent){
                                .priority = LOG_WARNING,
                                .fields = { { "N_LOST", NULL, log_state.n_lost } },
                        }, lost))
                        log_state.n_lost = 0;
        }
        if (!log_or_lose(event, text))
                log_state.n_lost++;
}

static void log_write(const LogEvent *event, const char *text) {
        if (log_state.target == LOG_TARGET_AUTO)
                log_init(LOG_TARGET_AUTO);

        switch (log_state.target) {
        case LOG_TARGET_JOURNAL:
                log_write_to_journal(event, text);
                break;
        case LOG_TARGET_STDERR:
        case LOG_TARGET_STDERR_PREFIX:
                log_to_stderr(event->priority, text,
                              log_state.target == LOG_TARGET_STDERR_PREFIX);
                break;
        case LOG_TARGET_AUTO:
        case _LOG_TARGET_N:
                break;
        }
}

/* Whether this entry may be written; says first what was not. */
static bool log_admit(const LogEvent *event) {
        char text[LOG_TEXT_MAX + 1];
        uint64_t n_suppressed;

        if (event->priority > log_state.priority_max)
                return false;
        if (event->uid == LOG_UID_NONE)
                return true;
        if (!ratelimit_admit(&log_state.limit, event->uid, clock_monotonic_ns(), &n_suppressed))
                return false;
        if (n_suppressed == 0)
                return true;

        snprintf(text, sizeof(text), "Suppressed %" PRIu64 " messages that uid %" PRIu32 " caused.",
                 n_suppressed, event->uid);
        log_write(&(LogEvent){
                .priority = event->priority,
                .fields = { { "CLIENT_UID", NULL, event->uid },
                            { "N_SUPPRESSED", NULL, n_suppressed } },
        }, text);
        return true;
}

void log_event(const LogEvent *event, const char *format, ...) {
        char raw[LOG_TEXT_MAX + 1], text[LOG_TEXT_MAX + 1];
        int saved_errno = errno;
        va_list arguments;

        if (log_admit(event)) {
                va_start(arguments, format);
                if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
                        raw[0] = '\0';
                va_end(arguments);
                log_escape(text, sizeof(text), raw);
                log_write(event, text);
        }
        errno = saved_errno;
}
