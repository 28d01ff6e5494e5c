/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Declarations
 *
 * What the YAML says, as values: one Decl a region, one DeclSet a whole configuration. Names of
 * users and groups are still text here as written and become numbers by decl_set_resolve(), whose
 * look-up is an argument, so that this module stays pure (no file, no NSS, no clock). A DeclSet
 * that came from decl_reader_seal() (config/yaml.h) or config_load() (config/load.h) is complete
 * and consistent: later layers do not check again.
 *
 * Ownership: a value owns all that its pointers lead to, the texts of its origins included, so a
 * Decl outlives the set that it was copied from.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/errors.h"
#include "memory/geometry.h"
#include "protocol/bits.h"

typedef struct Decl Decl;
typedef struct DeclAccess DeclAccess;
typedef struct DeclLimits DeclLimits;
typedef struct DeclLookup DeclLookup;
typedef struct DeclMachine DeclMachine;
typedef struct DeclRule DeclRule;
typedef struct DeclSet DeclSet;
typedef struct DeclTemplate DeclTemplate;

enum {
        _DECL_E_SUCCESS,

        DECL_E_INVALID, /* it says something wrong; what stands in the DeclErrors */
        DECL_E_EXISTS,  /* the set has a region of this name, nothing changed */
        DECL_E_UNKNOWN, /* no user or group of this name */
};

enum {
        /* Defaults of `limits:`. dbus-daemon gives a uid 256 connections, of which half is plenty
         * for processes that keep one each; 1024 leases is eight a connection. */
        DECL_CONNECTIONS_PER_UID = 128,
        DECL_LEASES_PER_UID = 1024,
        DECL_CREATED_PER_UID = 256,
        /* 10,000 regions is what `list` is measured with (FEATURES A21); the next power of two. */
        DECL_REGIONS_MAX = 16384,
        DECL_TEMPLATES_MAX = 1024,
        /* Rules of one role: each is looked at in every attach, and all are shown in one line. */
        DECL_RULES_MAX = 64,
        /* "unit:" and the longest name of a unit, UNIT_NAME_MAX of systemd (255). */
        DECL_RULE_TEXT_MAX = 260,
        /* What decl_access_to_string() needs at most, for a buffer on the stack; longer is cut. */
        DECL_ACCESS_TEXT_MAX = 2048,
};

typedef enum DeclRuleType {
        DECL_RULE_NONE,
        DECL_RULE_ANY,
        DECL_RULE_USER,  /* user:NAME, resolved to uid_first == uid_last */
        DECL_RULE_GROUP, /* group:NAME, resolved to gid */
        DECL_RULE_UID,   /* uid:N or uid:N-M */
        DECL_RULE_UNIT,  /* unit:NAME.service, a system unit */
        _DECL_RULE_N,
} DeclRuleType;

/* What rules may grant besides the roles of protocol/bits.h; of templates and what is of them. */
typedef enum DeclRight {
        DECL_RIGHT_CREATE = _SHMB_ROLE_N,
        DECL_RIGHT_REMOVE,
        _DECL_RIGHT_N,
} DeclRight;

/* Default of limits.per_uid.bytes: one large region, or a thousand of 1 MiB. */
#define DECL_BYTES_PER_UID (UINT64_C(1) << 30)

/* Numbers of USER and GROUP are DECL_ID_NONE until resolved. */
#define DECL_ID_NONE UINT32_MAX

struct DeclRule {
        DeclRuleType type;
        char *text; /* as written, "group:analytics" */
        uint32_t uid_first, uid_last;
        uint32_t gid;
        DeclOrigin origin;
};

/* The rules of one role; empty = nobody (default deny). */
struct DeclAccess {
        DeclRule *rules;
        size_t n_rules;
};

struct Decl {
        char *name;
        char *description;     /* or NULL */
        char *type;            /* item.type, or NULL */
        ShmbGeometry geometry; /* sealed */
        ShmbBacking backing;
        ShmbOverflow overflow; /* NONE where the kind has none (raw) */
        ShmbLifetime lifetime;
        uint64_t linger_ns;    /* ON_DEMAND only, else 0 */
        char *posix_name;      /* raw on posix only, without the leading '/', or NULL */
        DeclAccess access[_DECL_RIGHT_N]; /* by ShmbRole or DeclRight */
        DeclTemplate *template; /* config/template.h; NULL where a region was declared */
        DeclOrigin origin;
};

struct DeclLimits {
        uint32_t connections_per_uid;
        uint32_t leases_per_uid;
        uint32_t regions_per_uid; /* created of templates */
        uint64_t bytes_per_uid; /* of regions created on this uid's behalf */
        uint64_t bytes_total;   /* of the objects of all regions */
};

struct DeclSet {
        DeclLimits limits;
        Decl **decls; /* in order of name (strcmp), names unique */
        size_t n_decls, n_allocated;
        Decl **templates; /* likewise; their names are patterns */
        size_t n_templates;
        char **files; /* every file read, in the order in which they were read */
        size_t n_files;
};

/* What there is to share out; 0 = not known, and not checked against. */
struct DeclMachine {
        uint64_t memory_bytes; /* of the machine */
        uint64_t shm_bytes;    /* that /dev/shm may hold */
};

/* Who knows users and groups. Both return 0 with the number, DECL_E_UNKNOWN, or -errno. */
struct DeclLookup {
        int (*user)(void *data, const char *name, uint32_t *ret_uid);
        int (*group)(void *data, const char *name, uint32_t *ret_gid);
        void *data;
};

/**
 * decl_new() - a declaration with a name and nothing else
 * @name:               name of the region; copied
 * @ret_decl:           the declaration
 *
 * Return: 0, or -ENOMEM.
 */
int decl_new(const char *name, Decl **ret_decl);

/** decl_free() - NULL is fine. Return: NULL */
Decl *decl_free(Decl *decl);

/** decl_dup() - an owned deep copy. Return: the copy, or NULL for want of memory */
Decl *decl_dup(const Decl *decl);

/**
 * decl_allow() - append a rule to a role
 * @decl:               declaration
 * @right:              ShmbRole or DeclRight
 * @text:               "user:NAME", "group:NAME", "uid:N", "uid:N-M", "unit:NAME.service", "any"
 * @origin:             where it was written, or NULL; copied
 * @ret_fault:          NULL, or: half a sentence that says what is wrong with @text; static
 *
 * Return: 0; DECL_E_INVALID if @text is no rule, and *ret_fault is set; -E2BIG beyond
 * DECL_RULES_MAX; -ENOMEM.
 */
int decl_allow(Decl *decl, unsigned right, const char *text, const DeclOrigin *origin,
               const char **ret_fault);

/** decl_size_bytes() - bytes of all objects of one region of sealed geometry; never 0 */
uint64_t decl_size_bytes(const Decl *decl);

/** decl_n_objects() - objects of one region of sealed geometry: control, lanes, seats, data */
uint32_t decl_n_objects(const Decl *decl);

/** decl_has_role() - true if regions of @kind know @role */
bool decl_has_role(ShmbKind kind, ShmbRole role);

/** decl_right_to_string() - "produce", ..., "create", "remove"; @right: ShmbRole or DeclRight */
const char *decl_right_to_string(unsigned right);

/** decl_same_shape() - can both live on the same objects: kind, geometry, backing, names, type? */
bool decl_same_shape(const Decl *a, const Decl *b);

/** decl_equal() - does nothing differ but where it was written? */
bool decl_equal(const Decl *a, const Decl *b);

/**
 * decl_access_to_string() - "produce: user:sensors; consume: any", as declared
 * @decl:               declaration
 * @buffer:             where; DECL_ACCESS_TEXT_MAX is enough for any sensible list
 * @size:               bytes at @buffer; more than 0
 *
 * "nobody" where no role has a rule. Text that does not fit is cut at a rule and ends in "...".
 */
void decl_access_to_string(const Decl *decl, char *buffer, size_t size);

/**
 * decl_set_new() - a set without regions, with the default limits
 * @memory_bytes:       memory of the machine; half of it is the limit of all regions (systemd does
 *                      the same for /dev/shm). 0 = not known, no limit
 * @ret_set:            the set
 *
 * Return: 0, or -ENOMEM.
 */
int decl_set_new(uint64_t memory_bytes, DeclSet **ret_set);

/** decl_set_free() - with all its declarations; NULL is fine. Return: NULL */
DeclSet *decl_set_free(DeclSet *set);

/**
 * decl_set_add() - put a declaration in its place
 * @set:                set
 * @decl:               declaration; owned by the set on success, else still the caller's
 *
 * Return: 0; DECL_E_EXISTS; -E2BIG beyond DECL_REGIONS_MAX; -ENOMEM.
 */
int decl_set_add(DeclSet *set, Decl *decl);

/** decl_set_find() - by name. Return: the declaration, or NULL if there is none */
const Decl *decl_set_find(const DeclSet *set, const char *name);

/**
 * decl_set_resolve() - turn names of users and groups into numbers
 * @set:                set
 * @lookup:             who knows them
 * @errors:             what is not known, one error a rule
 *
 * Return: 0; DECL_E_INVALID; -ENOMEM.
 */
int decl_set_resolve(DeclSet *set, const DeclLookup *lookup, DeclErrors *errors);

/**
 * decl_set_validate() - what only all regions together can have wrong
 * @set:                set
 * @machine:            what they must fit
 * @errors:             what is wrong
 *
 * Two regions with one posix_name; and, if nothing else is wrong so far: regions that exist from
 * the start (static, persistent) which do not fit limits.total.bytes, the memory, or (backing
 * posix) /dev/shm together; any other that would not fit beside them.
 *
 * Return: 0; DECL_E_INVALID; -ENOMEM.
 */
int decl_set_validate(const DeclSet *set, const DeclMachine *machine, DeclErrors *errors);

/* For __attribute__((cleanup)). */
void decl_freep(Decl **decl);
void decl_set_freep(DeclSet **set);
