/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Corpus Replay
 *
 * Stands in for libFuzzer where the suite runs: gives every file of the folders named on the
 * command line to the fuzz target, and each also cut short and with bytes turned over, so that a
 * corpus of good inputs is one of nearly good inputs too. Always the same inputs in the same order.
 */

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        /* Mutants of one file: a replay takes seconds, finding new ways in is libFuzzer's. */
        MUTANTS_MAX = 96,
        EXIT_USAGE = 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_inputs;

/* A block of exactly this size, so that a sanitizer sees a read beyond its end. */
static void run(const uint8_t *data, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);

        assert(copy);
        if (size > 0)
                memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
        n_inputs++;
}

static void run_mutants(uint8_t *data, size_t size) {
        size_t step = size / MUTANTS_MAX + 1;

        for (size_t at = 0; at < size; at += step) {
                uint8_t byte = data[at];

                run(data, at);
                data[at] ^= (uint8_t)(1u << (at / step % 8));
                run(data, size);
                data[at] = byte;
        }
}

static void run_file(int folder_fd, const char *name) {
        struct stat status;
        uint8_t *data;
        ssize_t n;
        int fd;

        fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
        assert(fd >= 0);
        assert(fstat(fd, &status) == 0);

        if (S_ISREG(status.st_mode)) {
                data = malloc((size_t)status.st_size + 1);
                assert(data);
                n = read(fd, data, (size_t)status.st_size);
                assert(n == status.st_size);
                run(data, (size_t)n);
                run_mutants(data, (size_t)n);
                free(data);
        }

        close(fd);
}

static int not_hidden(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

static int run_folder(const char *path) {
        struct dirent **entries;
        int n;

        n = scandir(path, &entries, not_hidden, alphasort);
        if (n < 0) {
                perror(path);
                return -1;
        }

        for (int i = 0; i < n; i++) {
                int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                assert(fd >= 0);
                run_file(fd, entries[i]->d_name);
                close(fd);
                free(entries[i]);
        }
        free(entries);

        return n;
}

int main(int argc, char **argv) {
        int n_files = 0;

        for (int i = 1; i < argc; i++) {
                int n = run_folder(argv[i]);

                if (n < 0)
                        return EXIT_FAILURE;
                n_files += n;
        }

        /* A corpus that is not there must not look like one that passes. */
        if (n_files == 0) {
                fprintf(stderr, "%s: no corpus; usage: %s FOLDER...\n", argv[0], argv[0]);
                return EXIT_USAGE;
        }

        printf("%d files, %u inputs\n", n_files, n_inputs);
        return EXIT_SUCCESS;
}
