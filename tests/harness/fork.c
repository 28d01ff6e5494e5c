/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Forks
 */

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/harness/fork.h"

pid_t fork_start(int (*run)(void *userdata), void *userdata) {
        pid_t pid;

        fflush(NULL);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(run(userdata));
        return pid;
}

int fork_wait(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int fork_run(int (*run)(void *userdata), void *userdata) {
        pid_t pid;

        pid = fork_start(run, userdata);
        return pid < 0 ? (int)pid : fork_wait(pid);
}

int fork_become(uid_t uid, gid_t gid, const gid_t *gids, size_t n_gids) {
        if (setgroups(n_gids, gids) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(uid, uid, uid) < 0)
                return -errno;
        return 0;
}

int fork_can_become(void) {
        return geteuid() == 0;
}
