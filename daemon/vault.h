/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Vault
 *
 * Objects that have no name are nobody's once the broker is killed. Under systemd PID 1 holds a
 * descriptor of each, from before anybody is given one to after it is gone, and gives them to the
 * next broker by the name that the record has (daemon/sys/store.h). Without systemd the next broker
 * may find them in whoever still holds them (daemon/takeover-recall.h); else they are made anew.
 *
 * A store is a datagram to PID 1 with the descriptor in it. PID 1 reads what its services said
 * before it reaps them (its source for notifications has a priority above that for SIGCHLD), so
 * what was sent before a SIGKILL is kept, and nothing waits for an answer: the barrier of
 * sd_notify_barrier(3) would hold each client up for a turn of PID 1's loop. What is left is a
 * broker that dies within the microseconds between PID 1's look at its socket and a waitpid(2) that
 * it does for somebody else's sake: a connection is made anew by its client then.
 *
 * A full store is not told to who stores: we count.
 *
 * Connections are in it as well (daemon/conn-keep.h), under names of their own.
 */

#include "daemon/core/registry.h"
#include "daemon/server.h"
#include "daemon/sys/backing.h"

/** vault_begin() - put in order what a predecessor stored, and count it */
void vault_begin(Server *server);

/**
 * vault_keep() - have PID 1 keep an object without a name
 * @name: its name in the record
 * @fd:   it, open for reading: of a writable one nobody could prove that nobody writes
 *
 * Return: whether it is kept. What is in the way is said once; that there is no PID 1 to ask, not.
 */
bool vault_keep(Server *server, const Region *region, const char *name, int fd);

/**
 * vault_keep_conn() - have PID 1 keep a connection
 * @uid:        whose it is
 * @number:     nobody else's; part of its name
 * @fd:         the connection
 *
 * Not dropped by PID 1 when the peer hangs up: what he said before is for the next broker to read.
 *
 * Each costs PID 1 a look at all that it keeps: so a uid that comes and goes without end has only
 * some of them kept. That, or a store that is full, is said once. Never waits.
 *
 * Return: whether it is kept.
 */
bool vault_keep_conn(Server *server, uint32_t uid, uint64_t number, int fd);

/** vault_forget_conn() - vault_forget() of a connection */
void vault_forget_conn(Server *server, uint64_t number);

/**
 * vault_take_conn() - what a predecessor stored of a connection, for good; the caller's
 * @fits:       whether it is the very one: names are not for PID 1 to keep apart
 *
 * Return: a descriptor; -1.
 */
int vault_take_conn(Server *server, uint64_t number, bool (*fits)(int fd, uint64_t number));

/**
 * vault_forget() - have PID 1 let go of what it keeps as @name; harmless if there is nothing
 *
 * Never waits. What PID 1 is too busy to hear is said again, by vault_on_deadline() and before
 * the next one that is let go of or connection that is kept.
 */
void vault_forget(Server *server, const char *name);

/**
 * vault_find() - what a predecessor stored of a recorded object, if it is the very one
 *
 * Return: a descriptor, still the vault's; -1.
 */
int vault_find(const Server *server, const BackingObject *object);

/** vault_take() - the same, for good; the caller's */
int vault_take(Server *server, const BackingObject *object);

/** vault_has() - whether there is anything of this name */
bool vault_has(const Server *server, const char *name);

/**
 * vault_add_consume_fd() - put in what was found elsewhere; vault_sort() behind the last one
 *
 * Return: 0, or -ENOMEM (@fd is still the caller's).
 */
int vault_add_consume_fd(Server *server, const char *name, int fd);

/** vault_sort() - have what was added found */
void vault_sort(Server *server);

/** vault_keep_found() - vault_keep() of what was taken and is not PID 1's; true for what is */
bool vault_keep_found(Server *server, const Region *region, const char *name, int fd);

/** vault_discard() - let go of what a predecessor stored under this name, taken or not */
void vault_discard(Server *server, const char *name);

/** vault_on_deadline() - say what PID 1 was too busy to hear */
void vault_on_deadline(Server *server);

/** vault_end() - say the rest, and free what it needed; waits for a moment */
void vault_end(Server *server);

/** vault_sweep() - let go of all that a predecessor stored, and nobody took */
void vault_sweep(Server *server);
