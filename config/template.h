/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Templates
 *
 * What clients may create at run time. A template is a Decl whose name is a pattern and which has a
 * DeclTemplate: its geometry is that of the largest region of it, and here stands that of the
 * smallest. A region of it is a Decl again, with a name and a geometry of its own and a copy of the
 * DeclTemplate, by which it is told from one that was declared. Pure.
 *
 * A pattern is a prefix, '/' and '*', which stands for one part of a name: with prefix "session" it
 * is for "session/a", neither for "session" nor for "session/a/b". So a name belongs to one
 * template at most.
 */

#include <stdbool.h>
#include <stdint.h>

#include "config/decl.h"

struct DeclTemplate {
        char *name;           /* of the template; a region of it has a name of its own */
        ShmbGeometry least;   /* sealed */
        uint64_t ttl_ns;      /* how long one that nobody holds stays; 0 = as long as its creator */
        uint64_t max_age_ns;  /* when it goes whoever holds it; 0 = never */
};

/** decl_template_new() - with the name of a template; NULL for want of memory */
DeclTemplate *decl_template_new(const char *name);

/** decl_template_free() - NULL is fine. Return: NULL */
DeclTemplate *decl_template_free(DeclTemplate *template);

/** decl_template_dup() - an owned copy; NULL for want of memory */
DeclTemplate *decl_template_dup(const DeclTemplate *template);

/** decl_template_equal() - the same, both NULL included */
bool decl_template_equal(const DeclTemplate *a, const DeclTemplate *b);

/**
 * decl_extent() - the one number of a geometry that a creator may choose
 *
 * Of kind raw its bytes; of the others their capacity: slots of a lane, of a stream bytes.
 */
uint64_t decl_extent(const ShmbGeometry *geometry);

/** decl_template_admits() - whether a region of it may be so large; @extent as decl_extent() */
bool decl_template_admits(const Decl *template, uint64_t extent);

/**
 * decl_from_template() - the declaration of one region
 * @template:   template
 * @name:       of the region; copied
 * @extent:     as decl_extent()
 * @ret_decl:   the declaration; owned by the caller
 *
 * One that nobody holds lives for ttl, as an on_demand region does. Who calls this knows whether
 * the size is within the bounds: they are for what is created, not for what is there.
 *
 * Return: 0; DECL_E_INVALID (no memory can be laid out like that); -ENOMEM.
 */
int decl_from_template(const Decl *template, const char *name, uint64_t extent, Decl **ret_decl);

/**
 * decl_search() - where a name stands among declarations, or would
 * @decls:      in order of name, regions or templates; @n_decls of them
 * @name:       its first @n bytes count, and then @tail
 * @ret_found:  whether it is there
 *
 * Return: its place, or that of the first whose name is greater.
 */
size_t decl_search(Decl *const *decls, size_t n_decls, const char *name, size_t n,
                   const char *tail, bool *ret_found);

/**
 * decl_set_add_template() - as decl_set_add()
 *
 * Return: 0; DECL_E_EXISTS; -E2BIG beyond DECL_TEMPLATES_MAX; -ENOMEM.
 */
int decl_set_add_template(DeclSet *set, Decl *template);

/** decl_set_find_template() - by the name of the template itself; or NULL */
const Decl *decl_set_find_template(const DeclSet *set, const char *pattern);

/** decl_set_template_of() - the template that a region of this name would be of, or NULL */
const Decl *decl_set_template_of(const DeclSet *set, const char *name);
