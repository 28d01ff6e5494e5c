/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A File whose Server never Answers
 *
 * The least of the protocol of /dev/fuse. Attributes are valid for no time at all, so that whoever
 * wants them asks.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/system/stuck.h"

enum {
        STUCK_ROOT = 1, /* nodes */
        STUCK_FILE,
        STUCK_BUFFER = 1 << 17,
        STUCK_MINOR = 31,
};

typedef struct StuckServer {
        int fd; /* /dev/fuse */
        pid_t friend;
        _Atomic unsigned *n_stuck;
} StuckServer;

static void stuck_answer(const StuckServer *server, const struct fuse_in_header *in, int error,
                         const void *body, size_t n_body) {
        static char bytes[4096];
        struct fuse_out_header out = {
                .len = (uint32_t)(sizeof(out) + n_body), .error = -error, .unique = in->unique,
        };

        memcpy(bytes, &out, sizeof(out));
        if (n_body > 0)
                memcpy(bytes + sizeof(out), body, n_body);
        /* Whoever asked may be gone. */
        (void)!write(server->fd, bytes, out.len);
}

static struct fuse_attr stuck_attributes(uint64_t node) {
        return (struct fuse_attr){
                .ino = node,
                .size = node == STUCK_FILE ? 4096 : 0,
                .mode = node == STUCK_FILE ? S_IFREG | 0666 : S_IFDIR | 0777,
                .nlink = 1,
                .blksize = 4096,
        };
}

static void stuck_serve_one(const StuckServer *server, const struct fuse_in_header *in) {
        const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = STUCK_MINOR,
                                            .max_write = 4096 };
        const struct fuse_attr_out attributes = { .attr = stuck_attributes(in->nodeid) };
        const struct fuse_entry_out entry = { .nodeid = STUCK_FILE,
                                              .attr = stuck_attributes(STUCK_FILE) };
        const struct fuse_open_out opened = {};

        if ((in->opcode == FUSE_GETATTR || in->opcode == FUSE_FLUSH) &&
            in->pid != (uint32_t)server->friend) {
                atomic_fetch_add(server->n_stuck, 1);
                return;
        }
        switch (in->opcode) {
        case FUSE_INIT:
                stuck_answer(server, in, 0, &init, sizeof(init));
                return;
        case FUSE_GETATTR:
                stuck_answer(server, in, 0, &attributes, sizeof(attributes));
                return;
        case FUSE_LOOKUP:
                stuck_answer(server, in, 0, &entry, sizeof(entry));
                return;
        case FUSE_OPEN:
                stuck_answer(server, in, 0, &opened, sizeof(opened));
                return;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
                stuck_answer(server, in, 0, NULL, 0);
                return;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                return;
        default:
                stuck_answer(server, in, ENOSYS, NULL, 0);
        }
}

static void stuck_serve(void *data) {
        static _Alignas(struct fuse_in_header) char request[STUCK_BUFFER];
        const StuckServer *server = data;
        ssize_t n;

        child_say("serving");
        while ((n = read(server->fd, request, sizeof(request))) > 0 ||
               (n < 0 && (errno == EINTR || errno == ENOENT)))
                if (n >= (ssize_t)sizeof(struct fuse_in_header))
                        stuck_serve_one(server, (const void *)request);
}

bool stuck_make(Stuck *stuck, const char *parent) {
        static const ChildIdentity root = {};
        char options[128], path[sizeof(stuck->directory) + 8];
        StuckServer server = { .friend = getpid() };

        memset(stuck, 0, sizeof(*stuck));
        stuck->fd = -1;
        server.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (server.fd < 0)
                return false;
        snprintf(stuck->directory, sizeof(stuck->directory), "%s/stuck", parent);
        assert_int_equal(mkdir(stuck->directory, 0755), 0);
        snprintf(options, sizeof(options),
                 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", server.fd);
        if (mount("stuck", stuck->directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
                close(server.fd);
                rmdir(stuck->directory);
                stuck->directory[0] = '\0';
                return false;
        }
        server.n_stuck = stuck->n_stuck = child_share(sizeof(*stuck->n_stuck));
        child_spawn(&stuck->server, &root, stuck_serve, &server);
        close(server.fd);
        child_expect(&stuck->server, "serving");
        snprintf(path, sizeof(path), "%s/file", stuck->directory);
        stuck->fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(stuck->fd >= 0);
        return true;
}

void stuck_remove(Stuck *stuck) {
        if (!stuck->n_stuck)
                return;
        /* With its server gone everything about it is an error at once. */
        child_kill(&stuck->server);
        if (stuck->fd >= 0)
                close(stuck->fd);
        stuck->fd = -1;
        umount2(stuck->directory, MNT_DETACH);
        rmdir(stuck->directory);
        child_unshare(stuck->n_stuck, sizeof(*stuck->n_stuck));
        stuck->n_stuck = NULL;
}
