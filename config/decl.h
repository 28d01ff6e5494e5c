/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Declarations
 *
 * What the YAML says, as values: one Decl a region, one DeclSet a whole configuration. Names of
 * users and groups are still text here as written and become numbers by decl_set_resolve(), whose
 * look-up is an argument, so that this module stays pure (no file, no NSS, no clock). A DeclSet
 * that passed decl_set_validate() is complete and consistent: later layers do not check again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/geometry.h"
#include "protocol/bits.h"

typedef struct Decl Decl;
typedef struct DeclRule DeclRule;
typedef struct DeclSet DeclSet;

/* Where something was written; `file` is owned by the DeclSet and lives as long as it. */
typedef struct DeclOrigin {
        const char *file;
        uint32_t line, column; /* from 1; 0 = unknown */
} DeclOrigin;

typedef enum DeclRuleType {
        DECL_RULE_ANY,
        DECL_RULE_USER,  /* user:NAME, resolved to uid_first == uid_last */
        DECL_RULE_GROUP, /* group:NAME, resolved to gid */
        DECL_RULE_UID,   /* uid:N or uid:N-M */
        DECL_RULE_UNIT,  /* unit:NAME.service, a system unit */
        _DECL_RULE_N,
} DeclRuleType;

struct DeclRule {
        DeclRuleType type;
        char *text;  /* as written, "group:analytics"; for messages and for DECL_RULE_UNIT */
        uint32_t uid_first, uid_last;
        uint32_t gid;
        DeclOrigin origin;
};

/* The rules of one role; empty = nobody (default deny). */
typedef struct DeclAccess {
        DeclRule *rules;
        size_t n_rules;
} DeclAccess;

struct Decl {
        char *name;
        char *description; /* or NULL */
        char *type;        /* item.type, or NULL */
        ShmbGeometry geometry; /* sealed */
        ShmbBacking backing;
        ShmbOverflow overflow;
        ShmbLifetime lifetime;
        uint64_t linger_ns;
        char *posix_name;  /* raw only, without the leading '/', or NULL */
        DeclAccess access[_SHMB_ROLE_N]; /* by ShmbRole */
        DeclOrigin origin;
};

typedef struct DeclLimits {
        uint32_t connections_per_uid;
        uint32_t leases_per_uid;
        uint64_t bytes_per_uid; /* of regions created on this uid's behalf */
        uint64_t bytes_total;
} DeclLimits;

struct DeclSet {
        DeclLimits limits;
        Decl **decls; /* in order of name (strcmp), names unique */
        size_t n_decls;
        char **files; /* every file read, in order; origins point here */
        size_t n_files;
};

DeclSet *decl_set_free(DeclSet *set);
/* NULL if there is none. */
const Decl *decl_set_find(const DeclSet *set, const char *name);
/* Bytes of all objects of one region; 0 never. */
uint64_t decl_size_bytes(const Decl *decl);
/* An owned deep copy whose origin strings are owned by it too, or NULL for want of memory. */
Decl *decl_dup(const Decl *decl);
Decl *decl_free(Decl *decl);
/* True if the two can live on the same objects: kind, geometry, backing, posix_name, type. */
bool decl_same_shape(const Decl *a, const Decl *b);
/* True if nothing differs but where it was written. */
bool decl_equal(const Decl *a, const Decl *b);
