/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fuzz Target: YAML
 *
 * Any bytes as a main file, and the same bytes as a drop-in of a small one. What comes out is a set
 * that keeps what decl.h promises, or errors that each fit a line of a terminal.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/cost.h"
#include "config/yaml.h"
#include "protocol/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char main_file[] = "version: 1\ndefaults: {kind: raw, size: 4K, backing: memfd}\n";

/* Everybody whose name begins with a small letter is there. */
static int look_up(void *data, const char *name, uint32_t *ret_id) {
        if (*name < 'a' || *name > 'z')
                return DECL_E_UNKNOWN;

        *ret_id = (uint32_t)*name;
        return 0;
}

static void check_decl(const DeclSet *set, size_t i) {
        const Decl *decl = set->decls[i];
        char text[DECL_ACCESS_TEXT_MAX];
        ShmbGeometry geometry = decl->geometry;
        Decl *copy;

        assert(shmb_name_check(decl->name, strlen(decl->name), NULL) == SHMB_NAME_FINE);
        assert(i == 0 || strcmp(set->decls[i - 1]->name, decl->name) < 0);
        assert(shmb_geometry_seal(&geometry) == 0 && geometry.stride == decl->geometry.stride);
        assert(decl_size_bytes(decl) > 0 && decl_n_objects(decl) > 0);
        assert(decl->lifetime == SHMB_LIFETIME_ON_DEMAND || decl->linger_ns == 0);
        assert(!decl->posix_name || decl->backing == SHMB_BACKING_POSIX);
        assert(decl_set_find(set, decl->name) == decl);

        for (ShmbRole role = SHMB_ROLE_NONE; role < _SHMB_ROLE_N; role++)
                assert(decl->access[role].n_rules == 0 || decl_has_role(geometry.kind, role));

        decl_access_to_string(decl, text, sizeof(text));
        assert(strlen(text) > 0);

        copy = decl_dup(decl);
        assert(copy && decl_equal(decl, copy) && decl_same_shape(decl, copy));
        decl_free(copy);
}

static void check_errors(const DeclErrors *errors) {
        char line[DECL_ERROR_LINE_MAX];

        assert(errors->n_errors > 0 && errors->n_errors <= DECL_ERRORS_MAX);
        for (size_t i = 0; i < errors->n_errors; i++) {
                decl_error_format(&errors->errors[i], line, sizeof(line));
                assert(strncmp(line, "fuzz", 4) == 0);
                for (const char *at = line; *at; at++)
                        assert((unsigned char)*at >= ' ' && (unsigned char)*at < 0x7f);
        }
}

static void read_as(const uint8_t *data, size_t size, bool drop_in) {
        const DeclMachine machine = {UINT64_C(1) << 34, UINT64_C(1) << 33};
        const DeclLookup lookup = {look_up, look_up, NULL};
        DeclErrors errors = DECL_ERRORS_NULL;
        DeclReader *reader = NULL;
        DeclSet *set = NULL;
        int r;

        assert(decl_reader_new(&machine, &reader) == 0);
        if (drop_in)
                assert(decl_reader_feed(reader, "fuzz.yaml", main_file, sizeof(main_file) - 1,
                                        false) == 0);
        assert(decl_reader_feed(reader, "fuzz", data, size, drop_in) == 0);

        r = decl_reader_seal(reader, &lookup, &set, &errors);
        if (r == 0) {
                DeclCost cost = decl_cost_of(set);

                assert(cost.n_regions == set->n_decls);
                for (size_t i = 0; i < set->n_decls; i++)
                        check_decl(set, i);
        } else {
                assert(r == DECL_E_INVALID && !set);
                check_errors(&errors);
        }

        decl_errors_deinit(&errors);
        decl_set_free(set);
        decl_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        read_as(data, size, false);
        read_as(data, size, true);
        return 0;
}
