/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Drop-ins
 *
 * Folders are read from the strongest to the weakest; a name that is already there wins. Then all
 * are put in the order of their names, so that what a file says over another does not depend on the
 * folder that it lies in.
 */

#include "config/dropins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/file.h"

static void close_dir(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

static bool is_drop_in(const char *name) {
        static const char suffix[] = ".yaml";
        size_t n = strlen(name), n_suffix = sizeof(suffix) - 1;

        return *name != '.' && n > n_suffix && strcmp(name + n - n_suffix, suffix) == 0;
}

static bool is_known(const ConfigDropIns *drop_ins, const char *name) {
        for (size_t i = 0; i < drop_ins->n_files; i++)
                if (strcmp(drop_ins->files[i].name, name) == 0)
                        return true;

        return false;
}

static bool is_link_to_null(int fd, const char *name) {
        char target[sizeof("/dev/null")];
        ssize_t n;

        n = readlinkat(fd, name, target, sizeof(target));
        return n == sizeof("/dev/null") - 1 && memcmp(target, "/dev/null", (size_t)n) == 0;
}

static int add_file(ConfigDropIns *drop_ins, const char *name, size_t folder) {
        ConfigDropIn *grown;
        char *copy;

        grown = realloc(drop_ins->files, (drop_ins->n_files + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        drop_ins->files = grown;

        copy = strdup(name);
        if (!copy)
                return -ENOMEM;

        grown[drop_ins->n_files++] = (ConfigDropIn){
                .name = copy,
                .folder = folder,
                .masked = is_link_to_null(drop_ins->fds[folder], name),
        };
        return 0;
}

static int complain_errno(const char *path, int error, DeclErrors *errors) {
        DeclOrigin origin = {(char *)path, 0, 0};

        if (error == ENOMEM)
                return -ENOMEM;

        decl_errors_add(errors, &origin, NULL, "cannot be listed: %s", strerror(error));
        return 0;
}

/* All entries of an open folder. */
static int list_entries(ConfigDropIns *drop_ins, size_t folder, DIR *dir, const char *path,
                        DeclErrors *errors) {
        DeclOrigin origin = {(char *)path, 0, 0};
        const struct dirent *entry;
        int r;

        for (;;) {
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno ? complain_errno(path, errno, errors) : 0;

                if (!is_drop_in(entry->d_name) || is_known(drop_ins, entry->d_name))
                        continue;

                if (drop_ins->n_files >= CONFIG_DROP_INS_MAX) {
                        decl_errors_add(errors, &origin, NULL,
                                        "there are more than %d drop-ins; put several regions "
                                        "into one file",
                                        CONFIG_DROP_INS_MAX);
                        return 0;
                }

                r = add_file(drop_ins, entry->d_name, folder);
                if (r < 0)
                        return r;
        }
}

static int list_folder(ConfigDropIns *drop_ins, size_t folder, const char *path,
                       DeclErrors *errors) {
        __attribute__((cleanup(close_dir))) DIR *dir = NULL;
        int fd, r;

        r = config_folder_open(path, errors, &drop_ins->fds[folder]);
        if (r < 0)
                return r;
        if (r > 0)
                return 0;

        /* A stream closes its descriptor, and ours is still needed. */
        fd = fcntl(drop_ins->fds[folder], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return complain_errno(path, errno, errors);
        dir = fdopendir(fd);
        if (!dir) {
                r = errno;
                close(fd);
                return complain_errno(path, r, errors);
        }

        return list_entries(drop_ins, folder, dir, path, errors);
}

static int compare_files(const void *a, const void *b) {
        const ConfigDropIn *x = a, *y = b;

        return strcmp(x->name, y->name);
}

int config_drop_ins_init(ConfigDropIns *drop_ins, const ConfigPaths *paths, DeclErrors *errors) {
        int r;

        *drop_ins = (ConfigDropIns){.fds = {-1, -1, -1}};

        for (size_t i = 0; i < paths->n_folders; i++) {
                r = list_folder(drop_ins, i, paths->folders[i], errors);
                if (r < 0) {
                        config_drop_ins_deinit(drop_ins);
                        return r;
                }
        }

        if (drop_ins->n_files > 1)
                qsort(drop_ins->files, drop_ins->n_files, sizeof(*drop_ins->files), compare_files);
        return 0;
}

void config_drop_ins_deinit(ConfigDropIns *drop_ins) {
        for (size_t i = 0; i < CONFIG_FOLDERS_MAX; i++)
                if (drop_ins->fds[i] >= 0)
                        close(drop_ins->fds[i]);
        for (size_t i = 0; i < drop_ins->n_files; i++)
                free(drop_ins->files[i].name);
        free(drop_ins->files);
        *drop_ins = (ConfigDropIns){.fds = {-1, -1, -1}};
}
