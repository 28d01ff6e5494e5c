/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Server
 *
 * Order of a start: configuration, runtime directory and its lock, what a predecessor left, what is
 * declared, listeners, ready. Until the lock is held nothing is changed anywhere; until the
 * listeners are there nobody waits for an answer that does not come.
 *
 * Order of an end: say so to peers (control), take the names away, close. A region that is
 * persistent stays, and so does everything when the end is for the sake of a successor (SIGUSR1,
 * which a unit sends in place of SIGTERM where a restart is meant: RestartKillSignal=).
 *
 * There is one timer. Every handler that may have set a deadline ends in server_arm(), which sets
 * the timer to the earliest; it is off when there is none: an idle broker does not wake up.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/await.h"
#include "daemon/bells.h"
#include "daemon/conn.h"
#include "daemon/lapse.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/objects.h"
#include "daemon/reload.h"
#include "daemon/server.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/lockfile.h"
#include "daemon/sys/random.h"
#include "daemon/sys/recall.h"
#include "daemon/sys/sockets.h"
#include "daemon/takeover.h"
#include "daemon/vault.h"
#include "daemon/watch.h"

/* A late linger hurts nobody; this lets the kernel wake up for several at once. */
#define SERVER_TIMER_ACCURACY_USEC 10000

static int server_fail(const char *what, int r) {
        log_plain(LOG_ERR, "%s: %s.", what, strerror(-r));
        return SERVER_E_FAILED;
}

void server_reserve_fds(Server *server) {
        size_t i;

        for (i = 0; i < SERVER_RESERVE_FDS; i++)
                if (server->reserve_fds[i] < 0)
                        server->reserve_fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void server_release_fds(Server *server, size_t n) {
        size_t i;

        for (i = 0; i < SERVER_RESERVE_FDS && n > 0; i++) {
                if (server->reserve_fds[i] < 0)
                        continue;
                close(server->reserve_fds[i]);
                server->reserve_fds[i] = -1;
                n--;
        }
}

void server_ready(Server *server) {
        const Registry *registry = &server->registry;

        (void)notify_ready("%zu regions declared, %zu live; %zu leases, %zu connections",
                           registry->n_regions, registry->n_live, registry->n_leases,
                           server->n_conns);
}

static void server_on_deadline(Server *server, Deadline *deadline) {
        char *at = (char *)deadline;
        void *region = at - offsetof(Region, linger), *aged = at - offsetof(Region, age);
        void *conn = at - offsetof(Conn, deadline);
        const RegionProof *proof = (void *)(at - offsetof(RegionProof, deadline));

        switch (deadline->type) {
        case DEADLINE_REGION:
                lapse_on_linger(server, region);
                return;
        case DEADLINE_AGE:
                lapse_on_age(server, aged);
                return;
        case DEADLINE_PROOF:
                lapse_on_proof(server, proof->region);
                return;
        case DEADLINE_CONNECTION:
                conn_on_deadline(conn);
                return;
        case DEADLINE_VAULT:
                vault_on_deadline(server);
                return;
        case _DEADLINE_TYPE_N:
                return;
        }
}

static int server_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Server *server = userdata;
        Deadline *deadline;

        server->timer_ns = DEADLINE_NEVER;
        while ((deadline = deadline_queue_pop(&server->deadlines, clock_boottime_ns())))
                server_on_deadline(server, deadline);
        server_arm(server);
        return 0;
}

/* A timer that is too early is left alone: it finds nothing due, once, and is set anew. */
void server_arm(Server *server) {
        uint64_t next_ns;

        watch_flush(server);
        next_ns = deadline_queue_next(&server->deadlines);
        if (next_ns >= server->timer_ns)
                return;
        /* Both write to memory of ours only; the loop arms the descriptor before it waits. */
        (void)sd_event_source_set_time(server->timer, next_ns / 1000 + 1);
        (void)sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
        server->timer_ns = next_ns;
}

static int server_on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Listener *listener = userdata;

        conn_accept(listener);
        server_arm(listener->server);
        return 0;
}

static int server_on_end(sd_event_source *source, const struct signalfd_siginfo *info,
                         void *userdata) {
        Server *server = userdata;

        server->handing_over = info->ssi_signo == SIGUSR1;
        log_event(&(LogEvent){
                          .priority = LOG_INFO,
                          .message_id = SHMB_MESSAGE_STOPPING_STR,
                          .uid = LOG_UID_NONE,
                          .fields = { { "REASON", strsignal((int)info->ssi_signo) } },
                  },
                  "Stopping on signal %u (%s) of process %u.", info->ssi_signo,
                  strsignal((int)info->ssi_signo), info->ssi_pid);
        return sd_event_exit(server->event, 0);
}

static int server_on_reload(sd_event_source *source, const struct signalfd_siginfo *info,
                            void *userdata) {
        char sentence[SHMB_SENTENCE_MAX + 1];

        (void)reload(userdata, false, NULL, NULL, sentence, sizeof(sentence));
        server_arm(userdata);
        return 0;
}

static int server_add_signal(Server *server, int signal_number,
                             sd_event_signal_handler_t handler) {
        sd_event_source *source;
        int r;

        r = sd_event_add_signal(server->event, &source, signal_number | SD_EVENT_SIGNAL_PROCMASK,
                                handler, server);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(source, SERVER_PRIORITY);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
        return r;
}

static int server_init_loop(Server *server) {
        static const int ends[] = { SIGTERM, SIGINT, SIGUSR1 };
        size_t i;
        int r;

        r = sd_event_new(&server->event);
        for (i = 0; r >= 0 && i < sizeof(ends) / sizeof(ends[0]); i++)
                r = server_add_signal(server, ends[i], server_on_end);
        if (r >= 0)
                r = server_add_signal(server, SIGHUP, server_on_reload);
        if (r >= 0)
                r = sd_event_add_time(server->event, &server->timer, CLOCK_BOOTTIME, 0,
                                      SERVER_TIMER_ACCURACY_USEC, server_on_timer, server);
        if (r >= 0)
                r = sd_event_source_set_priority(server->timer, SERVER_PRIORITY);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_set_watchdog(server->event, true);
        return r < 0 ? server_fail("Cannot set up the event loop", r) : 0;
}

static int server_init_directory(Server *server) {
        const char *path = server->params.runtime_path;
        SocketsFault fault = {};
        pid_t pid;
        int r;

        r = sockets_open_directory(path, 0755, &server->runtime_fd, &fault);
        if (r == SOCKETS_E_UNSAFE) {
                log_plain(LOG_ERR, "The runtime directory %s belongs to uid %u (mode %04o): only "
                          "root and the broker may be able to write it.", path, fault.uid,
                          fault.mode & 07777);
                return SERVER_E_FAILED;
        }
        if (r == SOCKETS_E_NOT_DIR) {
                log_plain(LOG_ERR, "The runtime directory %s is no directory.", path);
                return SERVER_E_FAILED;
        }
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot open the runtime directory %s: %s.", path,
                          strerror(-r));
                return SERVER_E_FAILED;
        }

        r = lockfile_take(server->runtime_fd, SERVER_LOCK_NAME, &server->lock_fd, &pid);
        if (r == LOCKFILE_E_HELD)
                log_plain(LOG_ERR, "Another broker (process %d) runs in %s; stop it, or give this "
                          "one a --runtime-dir of its own.", (int)pid, path);
        else if (r == LOCKFILE_E_UNSAFE)
                log_plain(LOG_ERR, "%s/%s is not a file of this broker; remove it.", path,
                          SERVER_LOCK_NAME);
        else if (r < 0)
                log_plain(LOG_ERR, "Cannot lock %s/%s: %s.", path, SERVER_LOCK_NAME,
                          strerror(-r));
        return r ? SERVER_E_FAILED : 0;
}

static int server_init_system(Server *server) {
        int r;

        r = random_uuid(server->uuid);
        if (r < 0)
                return server_fail("Cannot get random numbers", r);
        r = record_boot_id(server->boot_id);
        if (r < 0)
                return server_fail("Cannot tell which boot this is", r);
        r = fdpass_guard_init(&server->guard);
        if (r < 0)
                return server_fail("Cannot guard against descriptors from clients", r);
        r = backing_dir_open(BACKING_DIRECTORY, &server->shm);
        if (r == BACKING_E_NOT_TMPFS)
                log_plain(LOG_ERR, "%s is not a tmpfs; mount one there.", BACKING_DIRECTORY);
        if (r > 0)
                return SERVER_E_FAILED;
        if (r < 0)
                return server_fail("Cannot open " BACKING_DIRECTORY, r);
        r = store_init(&server->store);
        if (r < 0)
                return server_fail("Cannot take over inherited descriptors", r);
        vault_begin(server);
        server->recalls = recall_may_look();
        return 0;
}

/* Asks the user database, which under systemd nobody needs to: its sockets have their group. */
static gid_t server_find_gid(const char *name) {
        const struct group *group = name ? getgrnam(name) : NULL;

        return group ? group->gr_gid : SOCKETS_GID_KEEP;
}

/* Bind it, unless systemd did. */
static int server_open_listener(Server *server, Listener *listener, const char *fd_name,
                                const char *name, mode_t mode, const char *group) {
        SocketsFault fault = {};
        int r;

        listener->fd = store_take(&server->store, fd_name);
        if (listener->fd >= 0) {
                listener->inherited = true;
                r = sockets_adopt(listener->fd);
        } else {
                r = sockets_listen(server->runtime_fd, server->params.runtime_path, name, mode,
                                   server_find_gid(group), &listener->fd, &fault);
        }
        switch (r) {
        case 0:
                break;
        case SOCKETS_E_FOREIGN:
                log_plain(LOG_ERR, "%s/%s is taken by what is not a socket of this broker "
                          "(uid %u); remove it.", server->params.runtime_path, name, fault.uid);
                return SERVER_E_FAILED;
        case SOCKETS_E_TOO_LONG:
                log_plain(LOG_ERR, "%s/%s is too long for the name of a socket (107 bytes).",
                          server->params.runtime_path, name);
                return SERVER_E_FAILED;
        case SOCKETS_E_WRONG:
                log_plain(LOG_ERR, "The inherited descriptor \"%s\" is not a listening socket of "
                          "type SOCK_SEQPACKET.", fd_name);
                return SERVER_E_FAILED;
        default:
                return server_fail("Cannot listen", r);
        }

        r = sd_event_add_io(server->event, &listener->source, listener->fd, EPOLLIN,
                            server_on_accept, listener);
        if (r >= 0)
                r = sd_event_source_set_priority(listener->source, SERVER_PRIORITY);
        return r < 0 ? server_fail("Cannot watch a listener", r) : 0;
}

static int server_open_listeners(Server *server) {
        size_t i;
        int r;

        for (i = 0; i < SERVER_LISTENERS; i++)
                server->listeners[i].server = server;
        server->listeners[1].admin = true;

        r = server_open_listener(server, &server->listeners[0], "broker", SERVER_SOCKET_NAME,
                                 0666, NULL);
        if (r == 0)
                r = server_open_listener(server, &server->listeners[1], "admin",
                                         SERVER_ADMIN_NAME, 0660, server->params.admin_group);
        vault_sweep(server);
        for (i = 0; i < server->store.n_entries; i++)
                if (server->store.entries[i].fd >= 0)
                        log_plain(LOG_NOTICE, "Closed the inherited descriptor \"%s\": it is of "
                                  "no use here.", server->store.entries[i].name);
        store_deinit(&server->store);
        return r;
}

static Server *server_alloc(const ServerParams *params) {
        Server *server = calloc(1, sizeof(*server));
        size_t i;

        if (!server)
                return NULL;
        server->params = *params;
        server->uid = geteuid();
        server->started_ns = clock_boottime_ns();
        server->timer_ns = DEADLINE_NEVER;
        server->runtime_fd = server->lock_fd = -1;
        server->shm = (BackingDir)BACKING_DIR_NULL(server->shm);
        server->record = (Record)RECORD_NULL(server->record);
        for (i = 0; i < SERVER_LISTENERS; i++)
                server->listeners[i].fd = -1;
        for (i = 0; i < SERVER_RESERVE_FDS; i++)
                server->reserve_fds[i] = -1;
        deadline_queue_init(&server->deadlines);
        watch_begin(server);
        return server;
}

static void server_say_started(const Server *server) {
        log_event(&(LogEvent){
                          .priority = LOG_INFO,
                          .message_id = SHMB_MESSAGE_STARTED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "N_REGIONS", NULL, server->registry.n_regions },
                                  { "CONFIG_FILE", server->params.config->main },
                          },
                  },
                  "Ready: %zu regions of %s, %zu of them live; listening in %s.",
                  server->registry.n_regions, server->params.config->main,
                  server->registry.n_live, server->params.runtime_path);
}

static int server_start(Server *server, DeclSet *decls) {
        int r;

        r = server_init_system(server);
        if (r == 0)
                r = server_init_directory(server);
        if (r == 0)
                r = server_init_loop(server);
        if (r)
                return r;
        server_reserve_fds(server);
        r = takeover(server, decls);
        if (r)
                return SERVER_E_FAILED;
        bells_sweep(server);
        r = reload_start(server, decls);
        if (r == 0)
                r = server_open_listeners(server);
        return r ? SERVER_E_FAILED : 0;
}

int server_new(const ServerParams *params, Server **ret_server) {
        char sentence[SHMB_SENTENCE_MAX + 1];
        DeclSet *decls = NULL;
        Server *server;
        int r;

        r = reload_read(params->config, &decls, sentence, sizeof(sentence));
        if (r)
                return r < 0 ? SERVER_E_FAILED : SERVER_E_CONFIG;
        server = server_alloc(params);
        if (!server) {
                decl_set_free(decls);
                return server_fail("Cannot start", -ENOMEM);
        }

        server->decls = decls;
        quota_init(&server->quota, &decls->limits);
        registry_init(&server->registry, &server->deadlines, &server->quota, 1, 1);
        r = server_start(server, decls);
        if (r) {
                server_free(server);
                return r;
        }

        server->started = true;
        server_arm(server);
        server_say_started(server);
        server_ready(server);
        *ret_server = server;
        return 0;
}

int server_run(Server *server) {
        int r;

        r = sd_event_loop(server->event);
        return r < 0 ? server_fail("The event loop failed", r) : 0;
}

/* Whether what exists of a region outlives this broker. */
static bool server_keeps(const Server *server, const Region *region) {
        bool memfd = region->decl->backing == SHMB_BACKING_MEMFD;

        if (memfd && !region->body)
                return false;
        if (!server->started)
                return region->body && region->body->adopted;
        if (region->departed)
                return region->state == SHMB_REGION_DRAINING && server->handing_over &&
                       !(memfd && region->body->mortal);
        /* A successor has it from those who hold it, or not at all. */
        if (memfd && region->body->mortal)
                return server->handing_over && region->body->held;
        /* What PID 1 keeps for a unit that is stopped it drops. */
        if (memfd)
                return server->handing_over;
        return server->handing_over || region->decl->lifetime == SHMB_LIFETIME_PERSISTENT;
}

/* Peers that still hold it are told to drain it and let go. */
static void server_end_region(Server *server, Region *region) {
        if (!server_keeps(server, region)) {
                region_end_drain(region);
                objects_unlink(server, region);
                if (!region->departed)
                        registry_depart(&server->registry, region, SHMB_REGION_REMOVED);
                objects_publish_state(region);
        }
        objects_forget(region);
        registry_remove(&server->registry, region);
}

static void server_end_regions(Server *server) {
        Registry *registry = &server->registry;
        Region *region;
        size_t i;

        /* Leases of what is kept are the next broker's business: nothing is said or written. */
        server->silent = true;
        for (i = 0; i < registry->n_regions; i++)
                if (registry->regions[i]->body)
                        registry->regions[i]->body->held = registry->regions[i]->n_leases > 0;
        while (server->conns)
                conn_end(server->conns, LEASE_END_DEATH);
        while (server->absents) {
                lapse_client(server, &server->absents->client, LEASE_END_DEATH);
                lapse_absent_free(server->absents);
        }
        while ((region = registry_after(registry, NULL)))
                server_end_region(server, region);
        while (registry->departed)
                server_end_region(server, registry->departed);
}

static void server_close_listeners(Server *server) {
        static const char *const names[] = { SERVER_SOCKET_NAME, SERVER_ADMIN_NAME };
        Listener *listener;
        size_t i;

        for (i = 0; i < SERVER_LISTENERS; i++) {
                listener = &server->listeners[i];
                sd_event_source_disable_unref(listener->source);
                if (listener->fd < 0)
                        continue;
                close(listener->fd);
                if (!listener->inherited)
                        sockets_unlink(server->runtime_fd, names[i]);
        }
}

Server *server_free(Server *server) {
        if (!server)
                return NULL;

        if (server->started)
                (void)notify_stopping("ending %zu leases", server->registry.n_leases);
        server_close_listeners(server);
        await_end(server);
        server_end_regions(server);
        /* One that did not start leaves its predecessor's to those who still listen. */
        if (server->started && !server->handing_over)
                bells_sweep(server);
        registry_deinit(&server->registry);
        quota_deinit(&server->quota);
        vault_end(server);
        deadline_queue_deinit(&server->deadlines);
        decl_set_free(server->decls);
        record_close(&server->record);
        store_deinit(&server->store);
        fdpass_guard_deinit(&server->guard);
        backing_dir_close(&server->shm);
        sd_event_source_disable_unref(server->timer);
        sd_event_unref(server->event);
        server_release_fds(server, SERVER_RESERVE_FDS);
        if (server->lock_fd >= 0)
                close(server->lock_fd);
        if (server->runtime_fd >= 0)
                close(server->runtime_fd);
        free(server->reload_outcome);
        free(server);
        return NULL;
}
