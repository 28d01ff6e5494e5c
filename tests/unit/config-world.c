/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The World of a Configuration
 *
 * Fixed users and a fixed machine, so that what tests pin does not depend on where they run.
 */

#include "tests/unit/config-world.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

const DeclMachine world_machine = {
        .memory_bytes = UINT64_C(16) << 30,
        .shm_bytes = UINT64_C(8) << 30,
};

static int look_up(const char *const *names, uint32_t first_id, const char *name,
                   uint32_t *ret_id) {
        if (strcmp(name, "broken") == 0)
                return -EIO;
        if (strcmp(name, "nobody") == 0 || strcmp(name, "nogroup") == 0) {
                *ret_id = 65534;
                return 0;
        }

        for (uint32_t i = 0; names[i]; i++)
                if (strcmp(names[i], name) == 0) {
                        *ret_id = first_id + i;
                        return 0;
                }

        return DECL_E_UNKNOWN;
}

static int look_up_user(void *data, const char *name, uint32_t *ret_uid) {
        static const char *const users[] = {"sensors", "alice", NULL};

        return look_up(users, 1000, name, ret_uid);
}

static int look_up_group(void *data, const char *name, uint32_t *ret_gid) {
        static const char *const groups[] = {"analytics", "ops", "shmbroker-admin", NULL};

        return look_up(groups, 1002, name, ret_gid);
}

DeclLookup world_lookup(void) {
        return (DeclLookup){look_up_user, look_up_group, NULL};
}

int world_read(const WorldFile *files, size_t n_files, DeclSet **ret_set, DeclErrors *ret_errors) {
        __attribute__((cleanup(decl_reader_freep))) DeclReader *reader = NULL;
        DeclLookup lookup = world_lookup();
        int r;

        r = decl_reader_new(&world_machine, &reader);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_files; i++) {
                size_t n = files[i].n_bytes ? files[i].n_bytes : strlen(files[i].text);

                r = decl_reader_feed(reader, files[i].name, files[i].text, n, files[i].drop_in);
                if (r < 0)
                        return r;
        }

        return decl_reader_seal(reader, &lookup, ret_set, ret_errors);
}

int world_read_text(const char *text, DeclSet **ret_set, DeclErrors *ret_errors) {
        return world_read(&(WorldFile){.name = "main.yaml", .text = text}, 1, ret_set, ret_errors);
}

char *world_errors_to_string(const DeclErrors *errors) {
        char *text = NULL, line[DECL_ERROR_LINE_MAX];
        size_t n = 0;
        FILE *stream;

        stream = open_memstream(&text, &n);
        assert(stream);

        for (size_t i = 0; i < errors->n_errors; i++) {
                decl_error_format(&errors->errors[i], line, sizeof(line));
                fprintf(stream, "%s\n", line);
        }
        if (errors->n_dropped > 0)
                fprintf(stream, "and %zu more\n", errors->n_dropped);

        fclose(stream);
        return text;
}

static void data_path(const char *folder, const char *name, char *path, size_t size) {
        const char *data = getenv("TEST_DATA");

        if (!data) {
                fprintf(stderr, "TEST_DATA must name tests/unit/data; meson test does that\n");
                abort();
        }

        assert((size_t)snprintf(path, size, "%s/%s%s%s", data, folder, *name ? "/" : "", name) <
               size);
}

char *world_load(const char *folder, const char *name, size_t *ret_n_bytes) {
        char path[4096], *text;
        size_t n = CONFIG_FILE_SIZE_MAX + 2;
        FILE *file;

        data_path(folder, name, path, sizeof(path));
        file = fopen(path, "re");
        text = malloc(n);
        if (!file || !text) {
                perror(path);
                abort();
        }

        n = fread(text, 1, n - 1, file);
        assert(!ferror(file));
        text[n] = '\0';
        fclose(file);

        *ret_n_bytes = n;
        return text;
}

size_t world_list(const char *folder, const char *suffix, char ***ret_names) {
        struct dirent **entries;
        char path[4096], **names;
        size_t n = 0;
        int n_entries;

        data_path(folder, "", path, sizeof(path));
        n_entries = scandir(path, &entries, NULL, alphasort);
        assert(n_entries >= 0);
        names = calloc((size_t)n_entries + 1, sizeof(*names));
        assert(names);

        for (int i = 0; i < n_entries; i++) {
                size_t length = strlen(entries[i]->d_name), n_suffix = strlen(suffix);

                if (length > n_suffix &&
                    strcmp(entries[i]->d_name + length - n_suffix, suffix) == 0)
                        names[n++] = strdup(entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);

        *ret_names = names;
        return n;
}
