/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Log
 *
 * The only place that writes to the journal or to stderr. An entry is one event with a stable id
 * (daemon/message-ids.h), a sentence for people, and fields for programs. Texts of clients come in
 * as values, never as a format, and are escaped: whatever they hold, an entry is one line and no
 * field can begin inside another.
 *
 * Where to: under systemd, when stderr is the journal ($JOURNAL_STREAM), over the journal's own
 * protocol with all fields. Else to stderr as text; with "<N>" before each line where whoever
 * started the process reads that (journald on a pipe says so by $INVOCATION_ID without
 * $JOURNAL_STREAM), without it on a terminal.
 */

#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include "daemon/message-ids.h"

typedef struct LogEvent LogEvent;
typedef struct LogField LogField;

/* Entries that no client caused are not limited. */
#define LOG_UID_NONE UINT32_MAX

enum {
        LOG_FIELDS_MAX = 12,
        LOG_TEXT_MAX = 2047, /* of the sentence, and of one field's value; longer ones are cut */
};

typedef enum LogTarget {
        LOG_TARGET_AUTO, /* decide by the environment, once */
        LOG_TARGET_JOURNAL,
        LOG_TARGET_STDERR,        /* plain lines */
        LOG_TARGET_STDERR_PREFIX, /* lines with "<N>" */
        _LOG_TARGET_N,
} LogTarget;

/* A text, or a number where `text` is NULL. */
struct LogField {
        const char *key; /* [A-Z_]: a literal of ours */
        const char *text;
        uint64_t number;
};

struct LogEvent {
        int priority;           /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */
        const char *message_id; /* SHMB_MESSAGE_*_STR, or NULL */
        uint32_t uid;           /* who caused it: its lines are limited; LOG_UID_NONE */
        LogField fields[LOG_FIELDS_MAX]; /* up to the first without key */
};

/** log_init() - choose where entries go; before it is called: AUTO */
void log_init(LogTarget target);

/** log_set_priority_max() - entries less urgent than this are dropped; LOG_INFO at first */
void log_set_priority_max(int priority);

/**
 * log_event() - write one entry
 * @event:      what kind of event, with its fields
 * @format:     a literal; the sentence: what, where, what to do
 *
 * Never fails as far as callers can tell: what cannot be written is lost.
 */
void log_event(const LogEvent *event, const char *format, ...)
                __attribute__((format(printf, 2, 3)));

/* An entry without id, fields and limit. */
#define log_plain(_priority, ...) \
        log_event(&(LogEvent){ .priority = (_priority), .uid = LOG_UID_NONE }, __VA_ARGS__)

/**
 * log_escape() - a text on one line: \n, \t, \\ and \xNN for what is not printable ASCII or UTF-8
 * @buffer:     where to; always terminated, cut before a sequence that does not fit
 * @size:       its bytes
 * @text:       any bytes; NULL reads as ""
 */
void log_escape(char *buffer, size_t size, const char *text);
