/* SPDX-License-Identifier: Apache-2.0 */

/*
 * File Descriptor Store
 *
 * systemd gives descriptors back with close-on-exec cleared, in an order that is its own, and says
 * nothing when its store is full: who puts something in counts for himself (FACTS of systemd 252).
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include "daemon/sys/store.h"

static bool store_exists(void) {
        return getenv("NOTIFY_SOCKET") != NULL;
}

int store_init(Store *ret_store) {
        StoreEntry *entries;
        char **names = NULL;
        int n, i;

        /* Sets close-on-exec on each. */
        n = sd_listen_fds_with_names(true, &names);
        if (n < 0)
                return n;
        if (n == 0) {
                *ret_store = (Store){};
                return 0;
        }

        entries = calloc((size_t)n, sizeof(*entries));
        if (!entries) {
                for (i = 0; i < n; i++)
                        free(names[i]);
                free(names);
                return -ENOMEM;
        }

        for (i = 0; i < n; i++)
                entries[i] = (StoreEntry){ .fd = SD_LISTEN_FDS_START + i, .name = names[i] };
        free(names);
        *ret_store = (Store){ .entries = entries, .n_entries = (size_t)n };
        return 0;
}

void store_deinit(Store *store) {
        size_t i;

        for (i = 0; i < store->n_entries; i++) {
                if (store->entries[i].fd >= 0)
                        close(store->entries[i].fd);
                free(store->entries[i].name);
        }
        free(store->entries);
        *store = (Store){};
}

int store_take(Store *store, const char *name) {
        size_t i;
        int fd;

        for (i = 0; i < store->n_entries; i++) {
                fd = store->entries[i].fd;
                if (fd < 0 || strcmp(store->entries[i].name, name) != 0)
                        continue;
                store->entries[i].fd = -1;
                return fd;
        }
        return -1;
}

/* As systemd judges it, fdname_is_valid(). */
static bool store_name_is_valid(const char *name) {
        size_t n;

        for (n = 0; name[n]; n++)
                if (name[n] <= ' ' || name[n] > '~' || name[n] == ':')
                        return false;
        return n > 0 && n <= STORE_NAME_MAX;
}

static int store_connect(int *ret_fd) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = path ? strlen(path) : 0;
        int fd, r = 0;

        if (n == 0 || (*path != '/' && *path != '@'))
                return STORE_E_NONE;
        if (n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, n);
        if (*path == '@')
                address.sun_path[0] = '\0';

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        n += offsetof(struct sockaddr_un, sun_path) + (*path == '/');
        if (connect(fd, (struct sockaddr *)&address, (socklen_t)n) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/* sd_pid_notify_with_fds(3) waits for as long as PID 1 does not read. */
static int store_send(const char *message, const int *fd, int timeout_ms) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr header;
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                                  .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS } };
        struct iovec vector = { (void *)message, strlen(message) };
        struct msghdr packet = { .msg_iov = &vector, .msg_iovlen = 1 };
        struct pollfd room = { .events = POLLOUT };
        int r;

        if (fd) {
                memcpy(CMSG_DATA(&control.header), fd, sizeof(*fd));
                packet.msg_control = &control;
                packet.msg_controllen = sizeof(control);
        }
        r = store_connect(&room.fd);
        if (r)
                return r;
        r = sendmsg(room.fd, &packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
        if (r == -EAGAIN && poll(&room, 1, timeout_ms) == 1)
                r = sendmsg(room.fd, &packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
        close(room.fd);
        return r;
}

int store_put(int fd, const char *name, bool poll, int timeout_ms) {
        char message[STORE_NAME_MAX + 64];

        if (!store_name_is_valid(name))
                return -EINVAL;

        snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s%s", name,
                 poll ? "" : "\nFDPOLL=0");
        return store_send(message, &fd, timeout_ms);
}

int store_drop(const char *name, int timeout_ms) {
        char message[STORE_NAME_MAX + 64];

        if (!store_name_is_valid(name))
                return -EINVAL;

        snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        return store_send(message, NULL, timeout_ms);
}

int store_barrier(unsigned long long timeout_usec) {
        int r;

        if (!store_exists())
                return STORE_E_NONE;

        r = sd_notify_barrier(0, timeout_usec);
        return r < 0 ? r : 0;
}
