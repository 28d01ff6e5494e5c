/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Check
 *
 * Prints what the loader says. Errors are lines that editors know how to jump to; the cost is for a
 * person who is about to put this into force.
 */

#include "config/check.h"

#include <errno.h>

#include "config/cost.h"
#include "config/scalar.h"

void config_print_errors(const DeclErrors *errors, FILE *err) {
        size_t n = errors->n_errors + errors->n_dropped;
        char line[DECL_ERROR_LINE_MAX];

        for (size_t i = 0; i < errors->n_errors; i++) {
                decl_error_format(&errors->errors[i], line, sizeof(line));
                fprintf(err, "%s\n", line);
        }

        if (errors->n_dropped > 0)
                fprintf(err, "%zu errors, of which the first %zu are shown\n", n,
                        errors->n_errors);
        else
                fprintf(err, "%zu error%s\n", n, n == 1 ? "" : "s");
}

static const char *plural(uint64_t n) {
        return n == 1 ? "" : "s";
}

static void print_cost(const ConfigPaths *paths, const DeclSet *set, FILE *out) {
        DeclCost cost = decl_cost_of(set);
        char size[CONFIG_SIZE_TEXT_MAX], limit[CONFIG_SIZE_TEXT_MAX];

        fprintf(out, "%s: %zu region%s in %zu file%s, nothing is wrong\n", paths->main,
                cost.n_regions, plural(cost.n_regions), set->n_files, plural(set->n_files));

        fprintf(out, "  memory      %s from the start",
                config_format_size(size, cost.n_bytes_permanent));
        fprintf(out, ", %s if all regions exist, of %s (limits.total.bytes)\n",
                config_format_size(size, cost.n_bytes),
                config_format_size(limit, set->limits.bytes_total));

        for (ShmbBacking backing = SHMB_BACKING_NONE + 1; backing < _SHMB_BACKING_N; backing++)
                if (cost.n_regions_by_backing[backing] > 0)
                        fprintf(out, "  %-11s %zu region%s, %s\n", shmb_backing_to_string(backing),
                                cost.n_regions_by_backing[backing],
                                plural(cost.n_regions_by_backing[backing]),
                                config_format_size(size, cost.n_bytes_by_backing[backing]));

        if (cost.n_templates > 0)
                fprintf(out, "  templates   %zu, of which clients may create regions: %s for one "
                        "user at most (limits.per_uid.bytes)\n",
                        cost.n_templates, config_format_size(size, set->limits.bytes_per_uid));
        fprintf(out, "  objects     %llu\n", (unsigned long long)cost.n_objects);
        fprintf(out, "  descriptors %llu in the broker, at most %u to a client in one attach\n",
                (unsigned long long)cost.n_fds, cost.n_fds_attach);
}

int config_check(const ConfigPaths *paths, FILE *out, FILE *err) {
        __attribute__((cleanup(decl_set_freep))) DeclSet *set = NULL;
        DeclErrors errors = DECL_ERRORS_NULL;
        int r;

        r = config_load(paths, &set, &errors);
        if (r == 0)
                print_cost(paths, set, out);
        else if (r > 0)
                config_print_errors(&errors, err);

        decl_errors_deinit(&errors);
        return r;
}

int config_check_files(const char *const *files, size_t n_files, FILE *out, FILE *err) {
        int r, verdict = 0;

        for (size_t i = 0; i < n_files; i++) {
                ConfigPaths paths;

                r = config_paths_init_file(&paths, files[i]);
                if (r < 0)
                        return r;

                r = config_check(&paths, out, err);
                config_paths_deinit(&paths);
                if (r < 0)
                        return r;
                if (r > 0)
                        verdict = r;
        }

        return verdict;
}
