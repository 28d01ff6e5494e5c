/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Service Manager
 *
 * A status line may name regions and clients; it is escaped, because a newline in it would begin
 * another assignment to PID 1.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include "daemon/log.h"
#include "daemon/notify.h"

enum {
        NOTIFY_STATUS_MAX = 511,
};

static void notify_format(char status[static NOTIFY_STATUS_MAX + 1], const char *format,
                          va_list arguments) __attribute__((format(printf, 2, 0)));

static void notify_format(char status[static NOTIFY_STATUS_MAX + 1], const char *format,
                          va_list arguments) {
        char raw[NOTIFY_STATUS_MAX + 1];

        if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
                raw[0] = '\0';
        log_escape(status, NOTIFY_STATUS_MAX + 1, raw);
}

/* Positive "was sent" and zero "nobody listens" are the same to the broker. */
static int notify_result(int r) {
        return r < 0 ? r : 0;
}

int notify_ready(const char *format, ...) {
        char status[NOTIFY_STATUS_MAX + 1];
        va_list arguments;

        va_start(arguments, format);
        notify_format(status, format, arguments);
        va_end(arguments);
        return notify_result(sd_notifyf(0, "READY=1\nSTATUS=%s", status));
}

int notify_status(const char *format, ...) {
        char status[NOTIFY_STATUS_MAX + 1];
        va_list arguments;

        va_start(arguments, format);
        notify_format(status, format, arguments);
        va_end(arguments);
        return notify_result(sd_notifyf(0, "STATUS=%s", status));
}

int notify_reloading(uint64_t monotonic_ns) {
        return notify_result(sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                                        monotonic_ns / 1000));
}

int notify_stopping(const char *format, ...) {
        char status[NOTIFY_STATUS_MAX + 1];
        va_list arguments;

        va_start(arguments, format);
        notify_format(status, format, arguments);
        va_end(arguments);
        return notify_result(sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status));
}

int notify_alive(void) {
        return notify_result(sd_notify(0, "WATCHDOG=1"));
}

uint64_t notify_watchdog_ns(void) {
        uint64_t period_usec;

        if (sd_watchdog_enabled(0, &period_usec) <= 0)
                return 0;
        return period_usec > UINT64_MAX / 1000 ? UINT64_MAX : period_usec * 1000;
}
