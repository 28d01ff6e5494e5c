/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading a Configuration
 *
 * All errors are said, one entry each, with the place as fields; who asked for the reload gets the
 * first of them and their number.
 */

#include <errno.h>
#include <stdio.h>

#include "config/check.h"
#include "daemon/log.h"
#include "daemon/reload.h"

static void reload_say_error(const DeclError *error) {
        char line[DECL_ERROR_LINE_MAX];

        decl_error_format(error, line, sizeof(line));
        log_event(&(LogEvent){
                          .priority = LOG_ERR,
                          .message_id = SHMB_MESSAGE_CONFIG_REJECTED_STR,
                          .uid = LOG_UID_NONE,
                          .fields = {
                                  { "CONFIG_FILE", error->origin.file ? error->origin.file : "" },
                                  { "CONFIG_LINE", NULL, error->origin.line },
                                  { "CONFIG_COLUMN", NULL, error->origin.column },
                          },
                  },
                  "%s", line);
}

static void reload_summarize(const DeclErrors *errors, char *sentence, size_t size) {
        size_t n_errors = errors->n_errors + errors->n_dropped;
        char line[DECL_ERROR_LINE_MAX] = "";

        if (errors->n_errors > 0)
                decl_error_format(&errors->errors[0], line, sizeof(line));
        if (n_errors > 1)
                snprintf(sentence, size, "%s (and %zu more errors; the journal has them all)",
                         line, n_errors - 1);
        else
                snprintf(sentence, size, "%s", line);
}

int reload_read(const ConfigPaths *config, DeclSet **ret_set, char *sentence, size_t size) {
        DeclErrors errors = DECL_ERRORS_NULL;
        size_t i;
        int r;

        r = config_load(config, ret_set, &errors);
        if (r == DECL_E_INVALID) {
                for (i = 0; i < errors.n_errors; i++)
                        reload_say_error(&errors.errors[i]);
                reload_summarize(&errors, sentence, size);
        }
        decl_errors_deinit(&errors);
        if (r < 0)
                log_plain(LOG_ERR, "No memory to read the configuration.");
        return r > 0 ? RELOAD_E_CONFIG : r;
}

int reload_check(const ConfigPaths *config) {
        int r;

        r = config_check(config, stdout, stderr);
        if (r < 0)
                fputs("shmbrokerd: no memory to read the configuration\n", stderr);
        return r > 0 ? RELOAD_E_CONFIG : r;
}
