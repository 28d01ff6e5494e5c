/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files of the Configuration
 *
 * A folder is opened once and files are opened in it, so that what was checked is what is read.
 * Every check is on the open file, never on a name.
 */

#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/tree.h"

enum {
        /* Editors replace a file in one step; one that is never at rest is no configuration. */
        TRIES_MAX = 3,
};

ssize_t (*config_file_read)(int fd, void *buffer, size_t n_bytes) = read;

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static void complain(DeclErrors *errors, const char *path, const char *sentence) {
        DeclOrigin origin = {(char *)path, 0, 0};

        decl_errors_add(errors, &origin, NULL, "%s", sentence);
}

static int complain_errno(DeclErrors *errors, const char *path, const char *what, int error) {
        DeclOrigin origin = {(char *)path, 0, 0};

        if (error == ENOENT)
                return CONFIG_FILE_E_MISSING;
        if (error == ENOMEM)
                return -ENOMEM;

        if (error == ELOOP)
                complain(errors, path, "is a symbolic link; put the file itself here");
        else if (error == ENOTDIR)
                complain(errors, path, "cannot be opened: a part of its path is no folder");
        else
                decl_errors_add(errors, &origin, NULL, "cannot be %s: %s", what, strerror(error));

        return CONFIG_FILE_E_REFUSED;
}

/* Could somebody have written this who must not? Sticky folders keep others from our files. */
static bool check_owner(const struct stat *status, const char *path, DeclErrors *errors) {
        DeclOrigin origin = {(char *)path, 0, 0};
        bool folder = S_ISDIR(status->st_mode);

        if (status->st_uid != 0 && status->st_uid != geteuid()) {
                decl_errors_add(errors, &origin, NULL,
                                "%s belongs to uid %u, who is neither root nor uid %u that reads "
                                "it; change its owner",
                                folder ? "the folder" : "the file", (unsigned)status->st_uid,
                                (unsigned)geteuid());
                return false;
        }
        if ((status->st_mode & (S_IWGRP | S_IWOTH)) && !(folder && (status->st_mode & S_ISVTX))) {
                decl_errors_add(errors, &origin, NULL,
                                "%s can be written by %s than its owner (mode %04o); run chmod "
                                "go-w on it",
                                folder ? "the folder" : "the file",
                                status->st_mode & S_IWOTH ? "anybody else" : "others",
                                (unsigned)(status->st_mode & 07777));
                return false;
        }

        return true;
}

int config_folder_open(const char *path, DeclErrors *errors, int *ret_fd) {
        __attribute__((cleanup(close_fd))) int fd = -1;
        struct stat status;

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return complain_errno(errors, path, "opened", errno);
        if (fstat(fd, &status) < 0)
                return complain_errno(errors, path, "examined", errno);
        if (!check_owner(&status, path, errors))
                return CONFIG_FILE_E_REFUSED;

        *ret_fd = fd;
        fd = -1;
        return 0;
}

/* Up to @size bytes. Return: how many, or -errno. */
static ssize_t read_all(int fd, char *data, size_t size) {
        size_t n = 0;

        while (n < size) {
                ssize_t r = config_file_read(fd, data + n, size - n);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -errno;
                if (r == 0)
                        break;
                n += (size_t)r;
        }

        return (ssize_t)n;
}

static bool same_file(const struct stat *a, const struct stat *b) {
        return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
               a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
               a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Return: 1 if read, 0 if it changed meanwhile, -errno. */
static int read_once(int fd, const struct stat *before, char *data, size_t *ret_n_bytes) {
        struct stat after;
        ssize_t n;

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;

        n = read_all(fd, data, CONFIG_FILE_SIZE_MAX + 1);
        if (n < 0)
                return (int)n;
        if (fstat(fd, &after) < 0)
                return -errno;
        if (!same_file(before, &after))
                return 0;

        *ret_n_bytes = (size_t)n;
        return 1;
}

/* One more byte than is allowed: who reads it finds the file too long. */
static int read_stable(int fd, const char *path, DeclErrors *errors, char *data,
                       size_t *ret_n_bytes) {
        struct stat status;
        int r;

        for (unsigned i = 0; i < TRIES_MAX; i++) {
                if (fstat(fd, &status) < 0)
                        return complain_errno(errors, path, "examined", errno);

                r = read_once(fd, &status, data, ret_n_bytes);
                if (r < 0)
                        return complain_errno(errors, path, "read", -r);
                if (r > 0)
                        return 0;
        }

        complain(errors, path, "changes while it is read; try again when it is written");
        return CONFIG_FILE_E_REFUSED;
}

static int file_open(int folder_fd, const char *name, const char *path, DeclErrors *errors,
                     int *ret_fd) {
        __attribute__((cleanup(close_fd))) int fd = -1;
        struct stat status;

        /* O_NONBLOCK: a FIFO without a writer would hold us here for ever. */
        fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        /* A socket cannot be opened at all. */
        if (fd < 0 && errno != ENXIO)
                return complain_errno(errors, path, "opened", errno);
        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
                complain(errors, path, "is no regular file; expected a text file");
                return CONFIG_FILE_E_REFUSED;
        }
        if (!check_owner(&status, path, errors))
                return CONFIG_FILE_E_REFUSED;

        *ret_fd = fd;
        fd = -1;
        return 0;
}

int config_file_read_at(int folder_fd, const char *name, const char *path, DeclErrors *errors,
                        char **ret_data, size_t *ret_n_bytes) {
        __attribute__((cleanup(close_fd))) int fd = -1;
        char *data;
        int r;

        r = file_open(folder_fd, name, path, errors, &fd);
        if (r)
                return r;

        data = malloc(CONFIG_FILE_SIZE_MAX + 1);
        if (!data)
                return -ENOMEM;

        r = read_stable(fd, path, errors, data, ret_n_bytes);
        if (r) {
                free(data);
                return r;
        }

        *ret_data = data;
        return 0;
}
