/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Templates
 *
 * Few, and in order of name: a region finds its own by the part of its name before the last '/'.
 */

#include "config/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DeclTemplate *decl_template_new(const char *name) {
        DeclTemplate *template = calloc(1, sizeof(*template));

        if (!template)
                return NULL;
        template->name = strdup(name);
        return template->name ? template : decl_template_free(template);
}

DeclTemplate *decl_template_free(DeclTemplate *template) {
        if (template)
                free(template->name);
        free(template);
        return NULL;
}

DeclTemplate *decl_template_dup(const DeclTemplate *template) {
        DeclTemplate *copy = decl_template_new(template->name);

        if (!copy)
                return NULL;
        copy->least = template->least;
        copy->ttl_ns = template->ttl_ns;
        copy->max_age_ns = template->max_age_ns;
        return copy;
}

bool decl_template_equal(const DeclTemplate *a, const DeclTemplate *b) {
        if (!a || !b)
                return a == b;

        return strcmp(a->name, b->name) == 0 && a->ttl_ns == b->ttl_ns &&
               a->max_age_ns == b->max_age_ns && decl_extent(&a->least) == decl_extent(&b->least);
}

uint64_t decl_extent(const ShmbGeometry *geometry) {
        return geometry->kind == SHMB_KIND_RAW ? geometry->region_size : geometry->capacity;
}

bool decl_template_admits(const Decl *template, uint64_t extent) {
        return extent >= decl_extent(&template->template->least) &&
               extent <= decl_extent(&template->geometry);
}

int decl_from_template(const Decl *template, const char *name, uint64_t extent, Decl **ret_decl) {
        __attribute__((cleanup(decl_freep))) Decl *decl = decl_dup(template);

        if (!decl)
                return -ENOMEM;

        free(decl->name);
        decl->name = strdup(name);
        if (!decl->name)
                return -ENOMEM;

        if (decl->geometry.kind == SHMB_KIND_RAW)
                decl->geometry.region_size = extent;
        else
                decl->geometry.capacity = extent;
        if (shmb_geometry_seal(&decl->geometry) < 0)
                return DECL_E_INVALID;
        decl->lifetime = SHMB_LIFETIME_ON_DEMAND;
        decl->linger_ns = decl->template->ttl_ns;

        *ret_decl = decl;
        decl = NULL;
        return 0;
}

size_t decl_search(Decl *const *decls, size_t n_decls, const char *name, size_t n,
                   const char *tail, bool *ret_found) {
        size_t low = 0, high = n_decls;
        int r;

        *ret_found = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const char *at = decls[middle]->name;

                r = strncmp(at, name, n);
                if (r == 0)
                        r = strcmp(at + n, tail);
                if (r == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (r < 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        return low;
}

static size_t search(const DeclSet *set, const char *name, size_t n, const char *tail,
                     bool *ret_found) {
        return decl_search(set->templates, set->n_templates, name, n, tail, ret_found);
}

int decl_set_add_template(DeclSet *set, Decl *template) {
        Decl **grown;
        bool found;
        size_t at = search(set, template->name, strlen(template->name), "", &found);

        if (found)
                return DECL_E_EXISTS;
        if (set->n_templates >= DECL_TEMPLATES_MAX)
                return -E2BIG;

        grown = realloc(set->templates, (set->n_templates + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;

        memmove(grown + at + 1, grown + at, (set->n_templates - at) * sizeof(*grown));
        grown[at] = template;
        set->templates = grown;
        set->n_templates++;
        return 0;
}

const Decl *decl_set_find_template(const DeclSet *set, const char *pattern) {
        bool found;
        size_t at = search(set, pattern, strlen(pattern), "", &found);

        return found ? set->templates[at] : NULL;
}

const Decl *decl_set_template_of(const DeclSet *set, const char *name) {
        const char *slash = strrchr(name, '/');
        bool found;
        size_t at;

        /* A name has no empty part, so what is behind the last '/' is one. */
        if (!slash)
                return NULL;

        at = search(set, name, (size_t)(slash - name), "/*", &found);
        return found ? set->templates[at] : NULL;
}
