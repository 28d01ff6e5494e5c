/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Dynamic Regions
 *
 * What clients create of templates (config/template.h), and remove. A dynamic region is a Region
 * like any other, whose decl has a `template`; what is special is how it comes and goes:
 *
 * - with a ttl it lingers when nobody holds it, as an on_demand region does;
 * - without one it is its creator's: it lingers for no time when nobody holds it and the client
 *   that created it is gone;
 * - at max_age it is removed, whoever holds it.
 *
 * When it has no objects any more it is gone: nothing else declares it. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/template.h"
#include "daemon/core/lease.h"
#include "daemon/core/policy.h"
#include "daemon/core/registry.h"

typedef struct DynamicWant DynamicWant;

enum {
        _DYNAMIC_E_SUCCESS,

        DYNAMIC_E_THERE,       /* create: it is, and is what is wanted */
        DYNAMIC_E_EXISTS,      /* create: it is, and was to be new */
        DYNAMIC_E_NO_TEMPLATE, /* create: no template is for this name */
        DYNAMIC_E_NO_REGION,   /* remove: there is none */
        DYNAMIC_E_DENIED,      /* no rule grants it */
        DYNAMIC_E_DECLARED,    /* remove: it stands in the configuration */
        DYNAMIC_E_MISMATCH,    /* create: it is there, or would be, and is not what is wanted */
        DYNAMIC_E_SIZE,        /* create: out of bounds, or none was chosen */
        DYNAMIC_E_FULL,        /* create: there are as many regions as there may be */
};

/* What a client asks for. Zero is no choice, and no expectation. */
struct DynamicWant {
        const char *name; /* valid */
        bool exclusive;
        uint32_t kind;    /* any number */
        uint64_t region_size, capacity;
};

/**
 * dynamic_judge_create() - whether a client gets the region that it wants
 * @set:        what is declared
 * @registry:   what there is
 * @want:       what is wanted
 * @identity:   who asks; its unit counts where dynamic_needs_unit() says so
 * @ret_decl:   declaration of the region that is to be made; owned by the caller
 * @sentence:   gets why not and what to do
 * @size:       bytes of @sentence; SHMB_SENTENCE_MAX + 1 fits an error reply
 *
 * A region that is LOST is not there any more: who creates it anew takes its name.
 *
 * Return: 0; DYNAMIC_E_THERE, and no sentence; DYNAMIC_E_*; -ENOMEM.
 */
int dynamic_judge_create(const DeclSet *set, Registry *registry, const DynamicWant *want,
                         const PolicyIdentity *identity, Decl **ret_decl, char *sentence,
                         size_t size);

/**
 * dynamic_judge_remove() - whether a client may remove a region
 * @region:     it, or NULL
 * @name:       as it was asked for
 * @identity:   who asks
 * @sentence:   gets why not and what to do
 * @size:       bytes of @sentence
 *
 * Return: 0; DYNAMIC_E_NO_REGION, DYNAMIC_E_DECLARED, DYNAMIC_E_DENIED.
 */
int dynamic_judge_remove(const Region *region, const char *name, const PolicyIdentity *identity,
                         char *sentence, size_t size);

/** dynamic_needs_unit() - whether who may create @name depends on the peer's unit */
bool dynamic_needs_unit(const DeclSet *set, const char *name);

/**
 * dynamic_begin() - write down who created a new region, and put it on his account
 * @region:     DECLARED region of a template
 * @creation:   copied
 * @ret_charged: QUOTA_E_* where it is beyond a limit of his; NULL: it was created before, and stays
 *
 * Return: 0 or -ENOMEM (of the account).
 */
int dynamic_begin(Region *region, const RegionCreation *creation, int *ret_charged);

/** dynamic_set_creator() - who it is now, or NULL: gone */
void dynamic_set_creator(Region *region, LeaseClient *client, uint64_t now_ns);

/** dynamic_move() - a client that came back on another connection: what was its own still is */
void dynamic_move(LeaseClient *from, LeaseClient *to);

/** dynamic_is_owned() - whether it stays though nobody holds it, for the sake of its creator */
bool dynamic_is_owned(const Region *region);

/** dynamic_age_ns() - when its max_age is over, DEADLINE_NEVER if it has none */
uint64_t dynamic_age_ns(const Region *region);

/** dynamic_was_created_by() - whether a create of this client and id is what made it */
bool dynamic_was_created_by(const Region *region, const LeaseClient *client, uint64_t request);

/**
 * dynamic_succeed() - what becomes of a dynamic region when the configuration is another one
 * @set:        what is declared now
 * @decl:       of the region, or of one as a record names it: name, kind and sizes count
 * @ret_decl:   its declaration by the template that is there now, owned; NULL: it has to go
 *
 * Return: 0 or -ENOMEM.
 */
int dynamic_succeed(const DeclSet *set, const Decl *decl, Decl **ret_decl);
