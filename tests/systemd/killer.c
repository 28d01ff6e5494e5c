/* SPDX-License-Identifier: Apache-2.0 */

/*
 * killer N REGION: N times connect, attach, and kill the broker with nothing in between; then see
 * by the inode of the socket whether the next broker has the connection. Says how often it had.
 *
 * The broker had stored the connection before it answered, and nobody had waited for the service
 * manager to hear of it.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <shmbroker.h>

#define PROCS "/sys/fs/cgroup/system.slice/shmbrokerd.service/cgroup.procs"

static pid_t broker_pid(void) {
        FILE *file = fopen(PROCS, "re");
        int pid = 0;

        if (file && fscanf(file, "%d", &pid) != 1)
                pid = 0;
        if (file)
                fclose(file);
        return pid;
}

static pid_t await_other_than(pid_t pid) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        pid_t now;

        while ((now = broker_pid()) == 0 || now == pid)
                nanosleep(&pause, NULL);
        return now;
}

/* Of the one socket that this process has. */
static ino_t socket_inode(void) {
        struct stat st;
        int fd;

        for (fd = 3; fd < 64; fd++)
                if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
                        return st.st_ino;
        return 0;
}

static bool attach(struct shmb *c, const char *name, struct shmb_region **ret) {
        struct shmb_attach want = SHMB_ATTACH_INIT;

        want.timeout_ns = INT64_C(20000000000);
        if (shmb_attach(c, name, SHMB_READ, &want, ret) == 0)
                return true;
        fprintf(stderr, "%s\n", shmb_error(c));
        return false;
}

int main(int argc, char **argv) {
        int i, n = argc == 3 ? atoi(argv[1]) : 0, n_kept = 0;
        struct shmb_region *first, *second;
        struct shmb *c;
        ino_t before;
        pid_t pid;

        pid = await_other_than(0);
        for (i = 0; i < n; i++) {
                if (shmb_connect(NULL, &c) < 0) {
                        fprintf(stderr, "%s\n", shmb_error(NULL));
                        return 1;
                }
                before = socket_inode();
                if (!attach(c, argv[2], &first))
                        return 1;
                kill(pid, SIGKILL);
                if (!attach(c, argv[2], &second))
                        return 1;
                n_kept += socket_inode() == before;
                shmb_detach(second);
                shmb_detach(first);
                shmb_close(c);
                pid = await_other_than(pid);
        }
        printf("%d\n", n_kept);
        return 0;
}
