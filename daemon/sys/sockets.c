/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sockets and the Runtime Directory
 *
 * A socket that bind(2) makes has the mode of its descriptor's inode, less the umask (unix(7)
 * speaks of the umask only; net/unix/af_unix.c takes both): it is born 0600 and is widened when
 * its group is right. Nobody can connect before listen(2) anyway.
 *
 * The lock of the runtime directory is held, so a socket that is found there is a dead broker's.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/sys/fdpass.h"
#include "daemon/sys/sockets.h"

static int sockets_fail(const struct stat *st, int code, SocketsFault *fault) {
        fault->uid = st->st_uid;
        fault->mode = st->st_mode;
        return code;
}

static int sockets_check_directory(int fd, SocketsFault *fault) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        /* Who can write it can put another socket in the place of ours. */
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
                return sockets_fail(&st, SOCKETS_E_UNSAFE, fault);
        return 0;
}

int sockets_open_directory(const char *path, mode_t mode, int *ret_fd, SocketsFault *fault) {
        bool is_new;
        int fd, r;

        is_new = mkdir(path, mode & 0700) >= 0;
        if (!is_new && errno != EEXIST)
                return -errno;

        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOTDIR || errno == ELOOP ? SOCKETS_E_NOT_DIR : -errno;

        /* Whatever the umask was. */
        r = is_new && fchmod(fd, mode) < 0 ? -errno : 0;
        if (r == 0)
                r = sockets_check_directory(fd, fault);
        if (r) {
                close(fd);
                return r;
        }

        *ret_fd = fd;
        return 0;
}

/* Make room for a socket of this name. */
static int sockets_clear(int dir_fd, const char *name, SocketsFault *fault) {
        struct stat st;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
                return sockets_fail(&st, SOCKETS_E_FOREIGN, fault);
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

/* Born with its mode, whatever the umask: a client that comes too early is told that nobody listens
 * yet, and tries again; who is told that it may not, does not. */
static int sockets_bind(int fd, int dir_fd, const struct sockaddr_un *address, const char *name,
                        mode_t mode, gid_t gid) {
        mode_t before = umask(0);
        int r = 0;

        if (fchmod(fd, mode) < 0 ||
            bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
                r = -errno;
        umask(before);
        if (r < 0)
                return r;
        if (gid != SOCKETS_GID_KEEP && fchownat(dir_fd, name, (uid_t)-1, gid, 0) < 0)
                return -errno;
        /* It notes our credentials, which clients check: it must be us who calls it. */
        return listen(fd, SOCKETS_BACKLOG) < 0 ? -errno : 0;
}

int sockets_listen(int dir_fd, const char *dir_path, const char *name, mode_t mode, gid_t gid,
                   int *ret_fd, SocketsFault *fault) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, n, r;

        n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir_path, name);
        if (n < 0 || (size_t)n >= sizeof(address.sun_path))
                return SOCKETS_E_TOO_LONG;

        r = sockets_clear(dir_fd, name, fault);
        if (r)
                return r;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        r = fdpass_prepare(fd);
        if (r == 0)
                r = sockets_bind(fd, dir_fd, &address, name, mode, gid);
        if (r) {
                close(fd);
                sockets_unlink(dir_fd, name);
                return r;
        }

        *ret_fd = fd;
        return 0;
}

static int sockets_get(int fd, int option, int *ret_value) {
        socklen_t size = sizeof(*ret_value);

        if (getsockopt(fd, SOL_SOCKET, option, ret_value, &size) >= 0)
                return 0;
        return errno == ENOTSOCK ? SOCKETS_E_WRONG : -errno;
}

int sockets_adopt(int fd) {
        int domain, type, listens, flags, r;

        r = sockets_get(fd, SO_DOMAIN, &domain);
        if (r == 0)
                r = sockets_get(fd, SO_TYPE, &type);
        if (r == 0)
                r = sockets_get(fd, SO_ACCEPTCONN, &listens);
        if (r)
                return r;
        if (domain != AF_UNIX || type != SOCK_SEQPACKET || !listens)
                return SOCKETS_E_WRONG;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        return fdpass_prepare(fd);
}

int sockets_cookie(int fd, uint64_t *ret_cookie) {
        socklen_t size = sizeof(*ret_cookie);
        uint64_t cookie;

        if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
                return errno == ENOTSOCK ? SOCKETS_E_WRONG : -errno;
        *ret_cookie = cookie;
        return 0;
}

void sockets_unlink(int dir_fd, const char *name) {
        SocketsFault fault;

        (void)sockets_clear(dir_fd, name, &fault);
}
