/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Journal
 *
 * A socket for each entry: entries are few, and a descriptor that is kept would be one more thing
 * to lose when journald is started anew.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/sys/journal.h"

int journal_send(const char *path, const struct iovec *fields, size_t n_fields) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct iovec lines[2 * JOURNAL_FIELDS_MAX];
        struct msghdr packet = { .msg_name = &address,
                                 .msg_namelen = sizeof(address),
                                 .msg_iov = lines };
        size_t i;
        int fd, r;

        if (n_fields > JOURNAL_FIELDS_MAX || strlen(path) >= sizeof(address.sun_path))
                return -E2BIG;
        strcpy(address.sun_path, path);
        for (i = 0; i < n_fields; i++) {
                lines[packet.msg_iovlen++] = fields[i];
                lines[packet.msg_iovlen++] = (struct iovec){ (void *)"\n", 1 };
        }

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        r = sendmsg(fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
        close(fd);
        return r;
}
