/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Loader
 *
 * Reads files and feeds them to the reader, main file first. What is wrong with a file itself joins
 * what is wrong inside the others, so one run says everything.
 */

#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "config/dropins.h"
#include "config/file.h"
#include "config/users.h"
#include "config/yaml.h"

#define TMPFS_TYPE 0x01021994 /* TMPFS_MAGIC, statfs(2) */

static int path_join(const char *a, const char *b, char **ret_path) {
        return asprintf(ret_path, "%s%s", a, b) < 0 ? -ENOMEM : 0;
}

static int paths_add_folder(ConfigPaths *paths, const char *folder, const char *rest) {
        int r;

        r = path_join(folder, rest, &paths->folders[paths->n_folders]);
        if (r < 0)
                return r;

        paths->n_folders++;
        return 0;
}

void config_paths_deinit(ConfigPaths *paths) {
        free(paths->main);
        for (size_t i = 0; i < paths->n_folders; i++)
                free(paths->folders[i]);
        *paths = CONFIG_PATHS_NULL;
}

/* The folder of a path, with its '/': "" for a name alone. */
static size_t folder_length(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? (size_t)(slash - path) + 1 : 0;
}

int config_paths_init_file(ConfigPaths *paths, const char *file) {
        char *folder = NULL;
        int r = -ENOMEM;

        *paths = (ConfigPaths){.required = true};

        paths->main = strdup(file);
        folder = strndup(file, folder_length(file));
        if (paths->main && folder)
                r = paths_add_folder(paths, folder, "regions.d");

        free(folder);
        if (r < 0)
                config_paths_deinit(paths);
        return r;
}

int config_paths_init_system(ConfigPaths *paths) {
        static const char *const folders[] = {CONFIG_ETC, "/run", CONFIG_LIB};
        int r;

        *paths = CONFIG_PATHS_NULL;

        r = path_join(CONFIG_ETC, "/shmbroker/shmbrokerd.yaml", &paths->main);
        for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(*folders); i++)
                r = paths_add_folder(paths, folders[i], "/shmbroker/regions.d");

        if (r < 0)
                config_paths_deinit(paths);
        return r;
}

int config_paths_init_user(ConfigPaths *paths, const char *config_home, const char *runtime_dir) {
        int r;

        *paths = CONFIG_PATHS_NULL;

        r = path_join(config_home, "/shmbroker/shmbrokerd.yaml", &paths->main);
        if (r == 0)
                r = paths_add_folder(paths, config_home, "/shmbroker/regions.d");
        if (r == 0 && runtime_dir)
                r = paths_add_folder(paths, runtime_dir, "/shmbroker/regions.d");

        if (r < 0)
                config_paths_deinit(paths);
        return r;
}

static int feed(DeclReader *reader, int folder_fd, const char *name, const char *path,
                bool drop_in) {
        char *data = NULL;
        size_t n_bytes = 0;
        int r;

        r = config_file_read_at(folder_fd, name, path, decl_reader_errors(reader), &data,
                                &n_bytes);
        if (r)
                return r;

        r = decl_reader_feed(reader, path, data, n_bytes, drop_in);
        free(data);
        return r;
}

static int feed_main(DeclReader *reader, const ConfigPaths *paths) {
        DeclOrigin origin = {paths->main, 0, 0};
        size_t n = folder_length(paths->main);
        char *folder;
        int fd = -1, r;

        folder = n > 0 ? strndup(paths->main, n) : strdup(".");
        if (!folder)
                return -ENOMEM;

        r = config_folder_open(folder, decl_reader_errors(reader), &fd);
        free(folder);
        if (r == 0) {
                r = feed(reader, fd, paths->main + n, paths->main, false);
                close(fd);
        }

        if (r == CONFIG_FILE_E_MISSING && paths->required)
                decl_errors_add(decl_reader_errors(reader), &origin, NULL,
                                "there is no such file; create it, or correct the path");

        return r < 0 ? r : 0;
}

static int feed_drop_in(DeclReader *reader, const ConfigPaths *paths, const ConfigDropIns *drop_ins,
                        const ConfigDropIn *file) {
        char *path;
        int r;

        if (file->masked)
                return 0;

        if (asprintf(&path, "%s/%s", paths->folders[file->folder], file->name) < 0)
                return -ENOMEM;

        /* Removed since the folder was listed: as if it had never been. */
        r = feed(reader, drop_ins->fds[file->folder], file->name, path, true);
        free(path);
        return r < 0 ? r : 0;
}

static int feed_drop_ins(DeclReader *reader, const ConfigPaths *paths) {
        ConfigDropIns drop_ins;
        int r;

        r = config_drop_ins_init(&drop_ins, paths, decl_reader_errors(reader));
        if (r < 0)
                return r;

        for (size_t i = 0; r == 0 && i < drop_ins.n_files; i++)
                r = feed_drop_in(reader, paths, &drop_ins, &drop_ins.files[i]);

        config_drop_ins_deinit(&drop_ins);
        return r;
}

/* What is not known is 0, and not checked against. */
static void examine_machine(DeclMachine *ret_machine) {
        DeclMachine machine = {};
        struct sysinfo memory;
        struct statfs shm;

        if (sysinfo(&memory) == 0)
                machine.memory_bytes = (uint64_t)memory.totalram * memory.mem_unit;
        if (statfs("/dev/shm", &shm) == 0 && shm.f_type == TMPFS_TYPE)
                machine.shm_bytes = (uint64_t)shm.f_blocks * (uint64_t)shm.f_bsize;

        *ret_machine = machine;
}

int config_load(const ConfigPaths *paths, DeclSet **ret_set, DeclErrors *ret_errors) {
        __attribute__((cleanup(decl_reader_freep))) DeclReader *reader = NULL;
        DeclMachine machine;
        ConfigUsers users;
        DeclLookup lookup;
        int r;

        examine_machine(&machine);
        r = decl_reader_new(&machine, &reader);
        if (r < 0)
                return r;

        r = feed_main(reader, paths);
        if (r < 0)
                return r;
        r = feed_drop_ins(reader, paths);
        if (r < 0)
                return r;

        lookup = config_users_init(&users);
        r = decl_reader_seal(reader, &lookup, ret_set, ret_errors);
        config_users_deinit(&users);
        return r;
}
