/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sets of Declarations
 *
 * In order of name at all times, so that a look-up is a binary search and two regions of one name
 * cannot be. What a region alone can have wrong was found when it was read; here is what only all
 * of them together can: one fixed name twice, and more memory than there is.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/decl.h"
#include "config/rule.h"
#include "config/scalar.h"
#include "config/template.h"

int decl_set_new(uint64_t memory_bytes, DeclSet **ret_set) {
        DeclSet *set;

        set = calloc(1, sizeof(*set));
        if (!set)
                return -ENOMEM;

        set->limits = (DeclLimits){
                .connections_per_uid = DECL_CONNECTIONS_PER_UID,
                .leases_per_uid = DECL_LEASES_PER_UID,
                .regions_per_uid = DECL_CREATED_PER_UID,
                .bytes_per_uid = DECL_BYTES_PER_UID,
                .bytes_total = memory_bytes ? memory_bytes / 2 : UINT64_MAX,
        };

        *ret_set = set;
        return 0;
}

DeclSet *decl_set_free(DeclSet *set) {
        if (!set)
                return NULL;

        for (size_t i = 0; i < set->n_decls; i++)
                decl_free(set->decls[i]);
        free(set->decls);
        for (size_t i = 0; i < set->n_templates; i++)
                decl_free(set->templates[i]);
        free(set->templates);
        for (size_t i = 0; i < set->n_files; i++)
                free(set->files[i]);
        free(set->files);
        free(set);

        return NULL;
}

void decl_set_freep(DeclSet **set) {
        *set = decl_set_free(*set);
}

/* Where @name stands, or would. */
static size_t set_search(const DeclSet *set, const char *name, bool *ret_found) {
        return decl_search(set->decls, set->n_decls, name, strlen(name), "", ret_found);
}

static int set_reserve(DeclSet *set) {
        size_t n = set->n_allocated ? 2 * set->n_allocated : 16;
        Decl **grown;

        if (set->n_decls < set->n_allocated)
                return 0;

        grown = realloc(set->decls, n * sizeof(*grown));
        if (!grown)
                return -ENOMEM;

        set->decls = grown;
        set->n_allocated = n;
        return 0;
}

int decl_set_add(DeclSet *set, Decl *decl) {
        bool found;
        size_t at = set_search(set, decl->name, &found);
        int r;

        if (found)
                return DECL_E_EXISTS;
        if (set->n_decls >= DECL_REGIONS_MAX)
                return -E2BIG;

        r = set_reserve(set);
        if (r < 0)
                return r;

        memmove(set->decls + at + 1, set->decls + at,
                (set->n_decls - at) * sizeof(*set->decls));
        set->decls[at] = decl;
        set->n_decls++;
        return 0;
}

const Decl *decl_set_find(const DeclSet *set, const char *name) {
        bool found;
        size_t at = set_search(set, name, &found);

        return found ? set->decls[at] : NULL;
}

static void resolve(Decl *decl, const DeclLookup *lookup, DeclErrors *errors) {
        for (unsigned right = SHMB_ROLE_NONE + 1; right < _DECL_RIGHT_N; right++) {
                DeclAccess *access = &decl->access[right];
                char key[32];

                snprintf(key, sizeof(key), "access.%s", decl_right_to_string(right));
                for (size_t i = 0; i < access->n_rules; i++)
                        decl_rule_resolve(&access->rules[i], lookup, key, errors);
        }
}

int decl_set_resolve(DeclSet *set, const DeclLookup *lookup, DeclErrors *errors) {
        for (size_t i = 0; i < set->n_decls; i++)
                resolve(set->decls[i], lookup, errors);
        for (size_t i = 0; i < set->n_templates; i++)
                resolve(set->templates[i], lookup, errors);

        return decl_errors_status(errors);
}

static int compare_posix_names(const void *a, const void *b) {
        const Decl *const *x = a, *const *y = b;

        return strcmp((*x)->posix_name, (*y)->posix_name);
}

/* The kernel has one namespace of fixed names: two regions of one name would be one file. */
static int check_posix_names(const DeclSet *set, DeclErrors *errors) {
        const Decl **named;
        size_t n = 0;

        named = calloc(set->n_decls + 1, sizeof(*named));
        if (!named)
                return -ENOMEM;

        for (size_t i = 0; i < set->n_decls; i++)
                if (set->decls[i]->posix_name)
                        named[n++] = set->decls[i];

        qsort(named, n, sizeof(*named), compare_posix_names);

        for (size_t i = 1; i < n; i++) {
                const Decl *a = named[i - 1], *b = named[i];
                char quote[DECL_QUOTE_MAX];

                if (strcmp(a->posix_name, b->posix_name) != 0)
                        continue;

                decl_errors_add(errors, &b->origin, "posix_name",
                                "%s is also that of region %s at %s:%u; give each its own",
                                decl_quote(quote, b->posix_name, strlen(b->posix_name)), a->name,
                                a->origin.file ?: "-", a->origin.line);
        }

        free(named);
        return 0;
}

/* True if regions of this lifetime hold memory from the start until they are removed. */
static bool is_permanent(const Decl *decl) {
        return decl->lifetime != SHMB_LIFETIME_ON_DEMAND;
}

/* One thing that regions must fit. */
typedef struct Room {
        uint64_t n_bytes;
        ShmbBacking backing; /* only regions of this backing use it; NONE = all do */
        const char *what;    /* "limits.total.bytes is" */
        const char *key;
} Room;

static uint64_t add_saturated(uint64_t a, uint64_t b) {
        return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool uses(const Decl *decl, const Room *room) {
        return room->backing == SHMB_BACKING_NONE || decl->backing == room->backing;
}

/* Bytes of what exists from the start, and the largest of it. */
static uint64_t sum_permanent(const DeclSet *set, const Room *room, const Decl **ret_largest) {
        uint64_t sum = 0, most = 0;

        for (size_t i = 0; i < set->n_decls; i++) {
                const Decl *decl = set->decls[i];
                uint64_t n_bytes = decl_size_bytes(decl);

                if (!is_permanent(decl) || !uses(decl, room))
                        continue;

                sum = add_saturated(sum, n_bytes);
                if (n_bytes > most) {
                        most = n_bytes;
                        *ret_largest = decl;
                }
        }

        return sum;
}

/*
 * Pages are reserved when a region is made, so what exists from the start must fit together, and
 * any other region must fit beside it once. That all of those are wanted at one time is a guess,
 * which the broker answers when it happens (quota), not here.
 */
static void check_room(const DeclSet *set, const Room *room, DeclErrors *errors) {
        char need[CONFIG_SIZE_TEXT_MAX], have[CONFIG_SIZE_TEXT_MAX], own[CONFIG_SIZE_TEXT_MAX];
        const Decl *largest = NULL;
        uint64_t permanent;

        config_format_size(have, room->n_bytes);
        permanent = sum_permanent(set, room, &largest);
        config_format_size(need, permanent);

        if (permanent > room->n_bytes) {
                decl_errors_add(errors, &largest->origin, room->key,
                                "static and persistent regions need %s together, and %s %s; the "
                                "largest is %s with %s",
                                need, room->what, have, largest->name,
                                config_format_size(own, decl_size_bytes(largest)));
                return;
        }

        for (size_t i = 0; i < set->n_decls; i++) {
                const Decl *decl = set->decls[i];

                if (is_permanent(decl) || !uses(decl, room) ||
                    decl_size_bytes(decl) <= room->n_bytes - permanent)
                        continue;

                decl_errors_add(errors, &decl->origin, room->key,
                                "region %s needs %s and could never be attached: %s %s, and static "
                                "and persistent regions take %s of it",
                                decl->name, config_format_size(own, decl_size_bytes(decl)),
                                room->what, have, need);
        }
}

static void check_rooms(const DeclSet *set, const DeclMachine *machine, DeclErrors *errors) {
        Room total = {set->limits.bytes_total, SHMB_BACKING_NONE, "limits.total.bytes is",
                      "limits.total.bytes"};
        Room memory = {machine->memory_bytes, SHMB_BACKING_NONE, "the memory of this machine is",
                       "limits.total.bytes"};
        Room shm = {machine->shm_bytes, SHMB_BACKING_POSIX, "the size of /dev/shm is", "backing"};

        /* The smaller one says it all. */
        if (machine->memory_bytes > 0 && machine->memory_bytes < set->limits.bytes_total)
                check_room(set, &memory, errors);
        else
                check_room(set, &total, errors);

        if (machine->shm_bytes > 0 && decl_errors_status(errors) == 0)
                check_room(set, &shm, errors);
}

/* A region of a template is on the account of whoever creates it. */
static void check_templates(const DeclSet *set, DeclErrors *errors) {
        char need[CONFIG_SIZE_TEXT_MAX], have[CONFIG_SIZE_TEXT_MAX];

        for (size_t i = 0; i < set->n_templates; i++) {
                const Decl *template = set->templates[i];
                const Decl least = {.geometry = template->template->least};

                if (decl_size_bytes(&least) <= set->limits.bytes_per_uid)
                        continue;

                decl_errors_add(errors, &template->origin, "limits.per_uid.bytes",
                                "the smallest region of %s needs %s and could never be created: "
                                "limits.per_uid.bytes is %s",
                                template->name, config_format_size(need, decl_size_bytes(&least)),
                                config_format_size(have, set->limits.bytes_per_uid));
        }
}

int decl_set_validate(const DeclSet *set, const DeclMachine *machine, DeclErrors *errors) {
        int r;

        r = check_posix_names(set, errors);
        if (r < 0)
                return r;

        /* The sizes of a region that was refused mean nothing. */
        if (decl_errors_status(errors) == 0)
                check_rooms(set, machine, errors);
        if (decl_errors_status(errors) == 0)
                check_templates(set, errors);

        return decl_errors_status(errors);
}
