/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Service Manager
 *
 * What PID 1 is told (sd_notify(3)). Everywhere else than under systemd each call does nothing and
 * is no error. A reload is begun by notify_reloading() and ended by notify_ready() on every way
 * out, failed ones too: until then `systemctl reload` waits (Type=notify-reload).
 */

#include <stdbool.h>
#include <stdint.h>

/** notify_ready() - READY=1, with a status line for `systemctl status`; returns 0 or -errno */
int notify_ready(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** notify_status() - STATUS= alone; returns 0 or -errno */
int notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** notify_reloading() - RELOADING=1 and MONOTONIC_USEC= of @monotonic_ns; returns 0 or -errno */
int notify_reloading(uint64_t monotonic_ns);

/** notify_stopping() - STOPPING=1; returns 0 or -errno */
int notify_stopping(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** notify_alive() - WATCHDOG=1; returns 0 or -errno */
int notify_alive(void);

/**
 * notify_watchdog_ns() - how often notify_alive() is expected at least
 *
 * Return: $WATCHDOG_USEC in ns if it is meant for this process, else 0.
 */
uint64_t notify_watchdog_ns(void);
