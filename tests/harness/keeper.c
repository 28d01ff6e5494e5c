/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a Service Manager Keeps
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/keeper.h"

enum {
        KEEPER_FIRST = 3,  /* SD_LISTEN_FDS_START */
        KEEPER_ABOVE = 512, /* out of the way of those */
};

void keeper_put(Keeper *keeper, const char *name, int fd) {
        size_t i = keeper->n_entries++;

        assert_true(i < KEEPER_MAX);
        keeper->entries[i].fd = fd;
        snprintf(keeper->entries[i].name, sizeof(keeper->entries[i].name), "%s", name);
}

static void keeper_remove(Keeper *keeper, const char *name) {
        size_t i, n = 0;

        for (i = 0; i < keeper->n_entries; i++) {
                if (strcmp(keeper->entries[i].name, name) == 0)
                        close(keeper->entries[i].fd);
                else
                        keeper->entries[n++] = keeper->entries[i];
        }
        keeper->n_entries = n;
}

bool keeper_hear(Keeper *keeper, const char *message, int fd) {
        const char *name = strstr(message, "FDNAME=");
        char copy[KEEPER_NAME_MAX + 1] = "";

        if (name)
                snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(name + 7, "\n"), name + 7);
        if (strncmp(message, "FDSTORE=1\n", 10) == 0 && fd >= 0) {
                keeper_put(keeper, copy, fd);
                return true;
        }
        if (fd >= 0)
                close(fd);
        if (strncmp(message, "FDSTOREREMOVE=1\n", 16) != 0)
                return false;
        keeper_remove(keeper, copy);
        return true;
}

size_t keeper_count(const Keeper *keeper, const char *prefix) {
        size_t i, n = 0;

        for (i = 0; i < keeper->n_entries; i++)
                n += strncmp(keeper->entries[i].name, prefix, strlen(prefix)) == 0;
        return n;
}

void keeper_pass(const Keeper *keeper) {
        char names[KEEPER_MAX * (KEEPER_NAME_MAX + 1)] = "", number[16];
        size_t i, n = keeper->n_entries;
        int fds[KEEPER_MAX];

        for (i = 0; i < n; i++) {
                fds[i] = fcntl(keeper->entries[n - 1 - i].fd, F_DUPFD_CLOEXEC, KEEPER_ABOVE);
                strcat(strcat(names, i > 0 ? ":" : ""), keeper->entries[n - 1 - i].name);
        }
        for (i = 0; i < n; i++)
                dup2(fds[i], KEEPER_FIRST + (int)i);
        if (n == 0)
                return;
        setenv("LISTEN_FDNAMES", names, 1);
        snprintf(number, sizeof(number), "%zu", n);
        setenv("LISTEN_FDS", number, 1);
        snprintf(number, sizeof(number), "%d", (int)getpid());
        setenv("LISTEN_PID", number, 1);
}

void keeper_clear(Keeper *keeper) {
        while (keeper->n_entries > 0)
                close(keeper->entries[--keeper->n_entries].fd);
}
