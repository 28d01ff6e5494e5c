/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Server
 *
 * The broker as one value: what is declared, what exists, who is connected, and the event loop that
 * everything happens on. One thread; a handler runs to its end before the next one begins, so no
 * decision is ever made on a state that is half changed.
 *
 *     server.c            start, listeners, timer, signals, end
 *     conn*.c             one client: receive, judge the sender, answer
 *     conn-keep.c         which connections outlive the broker
 *     request*.c          one function a request
 *     objects.c           the objects of a region: make, open, prove, replace, remove
 *     lapse.c             leases that are over, regions that nobody uses any more
 *     ledger.c            what is written down for the next broker
 *     takeover*.c         what the last broker left
 *     await.c             what only its clients have
 *     reload*.c           from one configuration to the next
 *     watch.c             what happens, told to who asked
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "config/decl.h"
#include "config/load.h"
#include "daemon/core/deadline.h"
#include "daemon/core/lease.h"
#include "daemon/core/quota.h"
#include "daemon/core/registry.h"
#include "daemon/ratelimit.h"
#include "daemon/record.h"
#include "daemon/sys/backing.h"
#include "daemon/sys/fdpass.h"
#include "daemon/sys/store.h"
#include "protocol/limits.h"

typedef struct Absent Absent;
typedef struct Conn Conn;
typedef struct Listener Listener;
typedef struct Offer Offer;
typedef struct Server Server;
typedef struct ServerParams ServerParams;
typedef struct Watch Watch;

enum {
        SERVER_LISTENERS = 2,
        /* Held back for the day that all others are in use: accept(2) must take a connection to
         * refuse it, and an administrator must get in (socket, pidfd, one to open something). */
        SERVER_RESERVE_FDS = 3,
};

/* Of every source alike: served in turns. And the highest that there is: sd-event waits a
 * second time, without blocking, for anything of a higher priority than what it has got. */
#define SERVER_PRIORITY INT64_MIN

#define SERVER_SOCKET_NAME "broker.sock"
#define SERVER_ADMIN_NAME "admin.sock"
#define SERVER_LOCK_NAME "lock"
#define SERVER_ADMIN_GROUP "shmbroker-admin"

/* What the command line says; borrowed, must outlive the server. */
struct ServerParams {
        const ConfigPaths *config;
        const char *runtime_path; /* runtime directory */
        const char *admin_group;  /* whose admin.sock is, where we bind it; NULL: as the process */
};

struct Listener {
        Server *server;
        int fd; /* owned; -1 */
        bool admin;
        bool inherited; /* from systemd: its socket file is not ours to remove */
        sd_event_source *source;
};

/* A client of a predecessor that lives but has not come back yet. */
struct Absent {
        Server *server;
        LeaseClient client;
        int pidfd; /* owned */
        sd_event_source *death;
        Absent *next, *previous;
};

struct Server {
        ServerParams params;
        sd_event *event;
        sd_event_source *timer;
        uint64_t timer_ns; /* what the timer is set to, DEADLINE_NEVER if it is off */
        uint64_t started_ns;
        uint8_t uuid[SHMB_UUID_SIZE];
        uint32_t uid;
        /* No more than memory is given back: what peers and a successor see stays as it is */
        bool silent;
        bool handing_over; /* the end is for a successor: everything stays in place */
        bool started;      /* READY=1 was said once */

        DeclSet *decls; /* in force */
        DeadlineQueue deadlines;
        Quota quota;
        Registry registry;

        int runtime_fd, lock_fd;
        int reserve_fds[SERVER_RESERVE_FDS];
        BackingDir shm;
        Record record;
        RecordRemoval removal; /* the last request to remove a region; tag 0: there was none */
        uint8_t boot_id[RECORD_BOOT_ID_SIZE];
        Store store; /* what was inherited */
        struct {
                size_t n_kept;
                bool complained, complained_conns, behind;
                bool none; /* there is nobody to keep anything */
                Ratelimit conns; /* what connections may cost PID 1 */
                char **unsaid; /* names that PID 1 is still to let go of; owned */
                size_t n_unsaid, n_unsaid_allocated;
                Deadline again; /* to say them */
                uint64_t again_ns; /* how long was waited for it last */
        } vault;
        FdpassGuard guard;
        Listener listeners[SERVER_LISTENERS];

        Conn *conns; /* newest first */
        size_t n_conns;
        Absent *absents;
        struct {
                Watch *first;
                uint64_t sequence; /* of the last event */
                bool due;          /* somebody may wait for what is there now */
        } watches;
        Offer *offers; /* of clients, being received */
        bool recalls;  /* it sees what its clients have mapped */
        const char *pidfd_source; /* how the death of clients is seen; static */

        uint64_t n_refused;
        char *reload_outcome; /* of the last reload, or NULL */

        /* One packet comes in, one goes out, before anything else happens. */
        uint8_t packet_in[SHMB_MESSAGE_MAX];
        uint8_t packet_out[SHMB_MESSAGE_MAX];
};

enum {
        _SERVER_E_SUCCESS,

        SERVER_E_CONFIG, /* the configuration is wrong; nothing was created or removed */
        SERVER_E_FAILED, /* anything else that was said in the journal */
};

/**
 * server_new() - load the configuration, take over or create what it declares, listen
 * @params:             copied
 * @ret_server:         ready to run, for server_free()
 *
 * What fails is said in the journal, and everything that was created is removed again.
 *
 * Return: 0, SERVER_E_CONFIG, or SERVER_E_FAILED.
 */
int server_new(const ServerParams *params, Server **ret_server);

/** server_run() - serve until a signal ends it; returns 0 or SERVER_E_FAILED */
int server_run(Server *server);

/**
 * server_free() - end every connection, remove what is not persistent; accepts NULL, returns NULL
 */
Server *server_free(Server *server);

/** server_reserve_fds() - take the reserve (back); what is missing stays missing until next time */
void server_reserve_fds(Server *server);

/** server_release_fds() - let go of @n of the reserve */
void server_release_fds(Server *server, size_t n);

/** server_arm() - at the end of every handler: set the timer to the earliest deadline, tell who
 * waits for events */
void server_arm(Server *server);

/** server_ready() - READY=1 with what there is to say; at start and at the end of every reload */
void server_ready(Server *server);
