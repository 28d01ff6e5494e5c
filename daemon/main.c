/* SPDX-License-Identifier: Apache-2.0 */

/*
 * shmbrokerd
 *
 * The command line, and what a process must be before it opens anything: descriptors 0 to 2 taken,
 * umask closed, signals that would kill it for what clients or the file system do ignored.
 *
 * Whose broker it is follows from who runs it: root, or a service user that systemd gave a runtime
 * directory, serves the system; an ordinary user in a session serves himself.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/load.h"
#include "daemon/reload.h"
#include "daemon/server.h"

#define MAIN_SYSTEM_RUNTIME "/run/shmbroker"

static const char *arg_config;
static const char *arg_runtime_dir;
static bool arg_check;

static int usage(FILE *stream, int status) {
        fputs("Usage: shmbrokerd [OPTION]...\n"
              "Create shared memory regions as declared, and hand them out to clients.\n"
              "\n"
              "  -c, --config=FILE      read FILE, and only the regions.d beside it\n"
              "  -r, --runtime-dir=DIR  put sockets and record into DIR\n"
              "      --check            judge the configuration, touch nothing, and exit\n"
              "  -h, --help             show this and exit\n"
              "  -V, --version          show the version and exit\n"
              "\n"
              "Exit status: 0 ended on request, 1 failed, 2 wrong usage, 78 wrong configuration.\n"
              "See shmbrokerd(8) and shmbrokerd.yaml(5).\n",
              stream);
        return status;
}

enum {
        OPTION_CHECK = 256,
};

/* Return: -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv) {
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "runtime-dir", required_argument, NULL, 'r' },
                { "check", no_argument, NULL, OPTION_CHECK },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        int option;

        while ((option = getopt_long(argc, argv, "c:r:hV", options, NULL)) >= 0) {
                switch (option) {
                case 'c':
                        arg_config = optarg;
                        break;
                case 'r':
                        arg_runtime_dir = optarg;
                        break;
                case OPTION_CHECK:
                        arg_check = true;
                        break;
                case 'h':
                        return usage(stdout, EXIT_SUCCESS);
                case 'V':
                        puts("shmbrokerd " PACKAGE_VERSION);
                        return EXIT_SUCCESS;
                default:
                        return usage(stderr, 2);
                }
        }
        if (optind < argc) {
                fprintf(stderr, "shmbrokerd: unexpected argument \"%s\"\n", argv[optind]);
                return usage(stderr, 2);
        }
        return -1;
}

/* An accept(2) or open(2) that returned 2 would make an error message a message to a client. */
static int fill_stdio(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);
        close(fd);
        return 0;
}

static void set_up_process(void) {
        /* What a client or a full file system can do to us is an error of a call. */
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        /* Nobody waits for the processes that receive offers. */
        signal(SIGCHLD, SIG_IGN);
        umask(0077);
}

static bool is_user_session(void) {
        const char *runtime = getenv("XDG_RUNTIME_DIR");

        return geteuid() != 0 && runtime && runtime[0] == '/';
}

static int choose_config(ConfigPaths *paths) {
        const char *home = getenv("HOME"), *config_home = getenv("XDG_CONFIG_HOME");
        char buffer[PATH_MAX];

        if (arg_config)
                return config_paths_init_file(paths, arg_config);
        if (!is_user_session())
                return config_paths_init_system(paths);
        if (config_home && config_home[0] == '/')
                return config_paths_init_user(paths, config_home, getenv("XDG_RUNTIME_DIR"));
        snprintf(buffer, sizeof(buffer), "%s/.config", home ? home : "");
        return config_paths_init_user(paths, buffer, getenv("XDG_RUNTIME_DIR"));
}

/* Absolute: clients are told where the sockets are. */
static int choose_runtime(char *buffer, size_t size) {
        const char *given = getenv("RUNTIME_DIRECTORY");
        char here[PATH_MAX] = "";
        int n;

        if (arg_runtime_dir && arg_runtime_dir[0] != '/' && !getcwd(here, sizeof(here)))
                return -errno;
        if (arg_runtime_dir)
                n = snprintf(buffer, size, "%s%s%s", here, here[0] ? "/" : "", arg_runtime_dir);
        else if (given && given[0] == '/')
                /* Several are separated by colons; a unit of ours has one. */
                n = snprintf(buffer, size, "%.*s", (int)strcspn(given, ":"), given);
        else if (is_user_session())
                n = snprintf(buffer, size, "%s/shmbroker", getenv("XDG_RUNTIME_DIR"));
        else
                n = snprintf(buffer, size, "%s", MAIN_SYSTEM_RUNTIME);
        return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int run(const ServerParams *params) {
        Server *server = NULL;
        int r;

        if (arg_check)
                return reload_check(params->config) == 0 ? EXIT_SUCCESS : EX_CONFIG;
        r = server_new(params, &server);
        if (r == SERVER_E_CONFIG)
                return EX_CONFIG;
        if (r)
                return EXIT_FAILURE;
        r = server_run(server);
        server_free(server);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        ConfigPaths paths = CONFIG_PATHS_NULL;
        ServerParams params = { .config = &paths };
        char runtime[PATH_MAX];
        int r;

        if (fill_stdio() < 0)
                return EXIT_FAILURE;
        r = parse_arguments(argc, argv);
        if (r >= 0)
                return r;
        if (choose_runtime(runtime, sizeof(runtime)) < 0) {
                fputs("shmbrokerd: the runtime directory is longer than a path may be\n", stderr);
                return EXIT_FAILURE;
        }
        if (choose_config(&paths) < 0) {
                fputs("shmbrokerd: no memory for the paths of the configuration\n", stderr);
                return EXIT_FAILURE;
        }

        set_up_process();
        params.runtime_path = runtime;
        params.admin_group = is_user_session() ? NULL : SERVER_ADMIN_GROUP;
        r = run(&params);
        config_paths_deinit(&paths);
        return r;
}
