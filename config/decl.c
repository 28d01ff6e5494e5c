/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Declarations
 *
 * The value type: made, copied, compared, shown. What is allowed in it is decided where it is read
 * (config/draft.c); here stands only what follows from it.
 */

#include "config/decl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/rule.h"
#include "config/template.h"

int decl_new(const char *name, Decl **ret_decl) {
        __attribute__((cleanup(decl_freep))) Decl *decl = NULL;

        decl = calloc(1, sizeof(*decl));
        if (!decl)
                return -ENOMEM;

        decl->name = strdup(name);
        if (!decl->name)
                return -ENOMEM;

        *ret_decl = decl;
        decl = NULL;
        return 0;
}

static void access_deinit(DeclAccess *access) {
        for (size_t i = 0; i < access->n_rules; i++)
                decl_rule_deinit(&access->rules[i]);
        free(access->rules);
}

Decl *decl_free(Decl *decl) {
        if (!decl)
                return NULL;

        for (size_t right = 0; right < _DECL_RIGHT_N; right++)
                access_deinit(&decl->access[right]);
        decl_template_free(decl->template);
        free(decl->origin.file);
        free(decl->posix_name);
        free(decl->type);
        free(decl->description);
        free(decl->name);
        free(decl);

        return NULL;
}

void decl_freep(Decl **decl) {
        *decl = decl_free(*decl);
}

static int copy_text(const char *text, char **ret_copy) {
        char *copy = NULL;

        if (text && !(copy = strdup(text)))
                return -ENOMEM;

        *ret_copy = copy;
        return 0;
}

static int copy_access(const DeclAccess *access, DeclAccess *ret_copy) {
        if (access->n_rules == 0)
                return 0;

        ret_copy->rules = calloc(access->n_rules, sizeof(*ret_copy->rules));
        if (!ret_copy->rules)
                return -ENOMEM;

        for (size_t i = 0; i < access->n_rules; i++) {
                int r = decl_rule_copy(&access->rules[i], &ret_copy->rules[i]);

                if (r < 0)
                        return r;
                ret_copy->n_rules++;
        }

        return 0;
}

Decl *decl_dup(const Decl *decl) {
        __attribute__((cleanup(decl_freep))) Decl *copy = NULL;
        Decl *ret;

        copy = calloc(1, sizeof(*copy));
        if (!copy)
                return NULL;

        copy->geometry = decl->geometry;
        copy->backing = decl->backing;
        copy->overflow = decl->overflow;
        copy->lifetime = decl->lifetime;
        copy->linger_ns = decl->linger_ns;
        copy->origin.line = decl->origin.line;
        copy->origin.column = decl->origin.column;

        if (copy_text(decl->name, &copy->name) < 0 ||
            copy_text(decl->description, &copy->description) < 0 ||
            copy_text(decl->type, &copy->type) < 0 ||
            copy_text(decl->posix_name, &copy->posix_name) < 0 ||
            copy_text(decl->origin.file, &copy->origin.file) < 0)
                return NULL;

        for (size_t right = 0; right < _DECL_RIGHT_N; right++)
                if (copy_access(&decl->access[right], &copy->access[right]) < 0)
                        return NULL;

        if (decl->template && !(copy->template = decl_template_dup(decl->template)))
                return NULL;

        ret = copy;
        copy = NULL;
        return ret;
}

int decl_allow(Decl *decl, unsigned right, const char *text, const DeclOrigin *origin,
               const char **ret_fault) {
        DeclAccess *access = &decl->access[right];
        DeclRule rule, *grown;
        int r;

        assert(right > SHMB_ROLE_NONE && right < _DECL_RIGHT_N);

        if (access->n_rules >= DECL_RULES_MAX)
                return -E2BIG;

        r = decl_rule_init(&rule, text, origin, ret_fault);
        if (r)
                return r;

        grown = realloc(access->rules, (access->n_rules + 1) * sizeof(*grown));
        if (!grown) {
                decl_rule_deinit(&rule);
                return -ENOMEM;
        }

        access->rules = grown;
        access->rules[access->n_rules++] = rule;
        return 0;
}

uint64_t decl_size_bytes(const Decl *decl) {
        uint64_t n_bytes = 0;

        /* No overflow: at most SHMB_OBJECTS_MAX objects of SHMB_OBJECT_SIZE_MAX. */
        for (ShmbObjectKind kind = SHMB_OBJECT_NONE + 1; kind < _SHMB_OBJECT_N; kind++)
                n_bytes += shmb_geometry_object_count(&decl->geometry, kind) *
                           shmb_geometry_object_size(&decl->geometry, kind);

        return n_bytes;
}

uint32_t decl_n_objects(const Decl *decl) {
        uint32_t n = 0;

        for (ShmbObjectKind kind = SHMB_OBJECT_NONE + 1; kind < _SHMB_OBJECT_N; kind++)
                n += shmb_geometry_object_count(&decl->geometry, kind);

        return n;
}

bool decl_has_role(ShmbKind kind, ShmbRole role) {
        switch (role) {
        case SHMB_ROLE_READ:
        case SHMB_ROLE_WRITE:
                return kind == SHMB_KIND_RAW;
        case SHMB_ROLE_PRODUCE:
        case SHMB_ROLE_CONSUME:
        case SHMB_ROLE_OBSERVE:
                return kind > SHMB_KIND_RAW && kind < _SHMB_KIND_N;
        case SHMB_ROLE_NONE:
        case _SHMB_ROLE_N:
                break;
        }

        return false;
}

const char *decl_right_to_string(unsigned right) {
        if (right == DECL_RIGHT_CREATE)
                return "create";
        if (right == DECL_RIGHT_REMOVE)
                return "remove";

        return shmb_role_to_string((ShmbRole)right);
}

static bool text_equal(const char *a, const char *b) {
        return a == b || (a && b && strcmp(a, b) == 0);
}

static bool geometry_equal(const ShmbGeometry *a, const ShmbGeometry *b) {
        return a->kind == b->kind && a->n_lanes == b->n_lanes && a->n_seats == b->n_seats &&
               a->item_size == b->item_size && a->item_align == b->item_align &&
               a->stride == b->stride && a->capacity == b->capacity &&
               a->region_size == b->region_size && a->segment == b->segment &&
               a->max_message == b->max_message && a->delivery == b->delivery;
}

bool decl_same_shape(const Decl *a, const Decl *b) {
        return strcmp(a->name, b->name) == 0 && geometry_equal(&a->geometry, &b->geometry) &&
               a->backing == b->backing && text_equal(a->posix_name, b->posix_name) &&
               text_equal(a->type, b->type);
}

static bool access_equal(const DeclAccess *a, const DeclAccess *b) {
        if (a->n_rules != b->n_rules)
                return false;

        for (size_t i = 0; i < a->n_rules; i++)
                if (!decl_rule_equal(&a->rules[i], &b->rules[i]))
                        return false;

        return true;
}

bool decl_equal(const Decl *a, const Decl *b) {
        for (size_t right = 0; right < _DECL_RIGHT_N; right++)
                if (!access_equal(&a->access[right], &b->access[right]))
                        return false;

        return decl_same_shape(a, b) && a->overflow == b->overflow &&
               a->lifetime == b->lifetime && a->linger_ns == b->linger_ns &&
               text_equal(a->description, b->description) &&
               decl_template_equal(a->template, b->template);
}

/* Append @lead and @text if both and a later "..." fit. */
static bool append_rule(char *buffer, size_t size, size_t *at, const char *lead,
                        const char *text) {
        size_t n = strlen(lead) + strlen(text);

        if (n + sizeof(", ...") > size - *at)
                return false;

        snprintf(buffer + *at, size - *at, "%s%s", lead, text);
        *at += n;
        return true;
}

void decl_access_to_string(const Decl *decl, char *buffer, size_t size) {
        size_t at = 0;

        buffer[0] = '\0';

        for (unsigned right = SHMB_ROLE_NONE + 1; right < _DECL_RIGHT_N; right++) {
                const DeclAccess *access = &decl->access[right];
                char lead[32];

                for (size_t i = 0; i < access->n_rules; i++) {
                        if (i > 0)
                                snprintf(lead, sizeof(lead), ", ");
                        else
                                snprintf(lead, sizeof(lead), "%s%s: ", at > 0 ? "; " : "",
                                         decl_right_to_string(right));

                        if (append_rule(buffer, size, &at, lead, access->rules[i].text))
                                continue;

                        snprintf(buffer + at, size - at, "%s...", at > 0 ? ", " : "");
                        return;
                }
        }

        if (at == 0)
                snprintf(buffer, size, "nobody");
}
