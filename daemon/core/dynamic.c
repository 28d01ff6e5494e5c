/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dynamic Regions
 *
 * Create, in this order: a template for the name, a rule for the client, and only then what is
 * there, so that nobody learns from a refusal which regions exist whom no rule lets ask. The bounds
 * of a template are for what is to be made; what is there is held against what is wanted.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/core/dynamic.h"
#include "daemon/core/text.h"

static int dynamic_refuse_mismatch(const Decl *decl, const char *what, uint64_t here,
                                   uint64_t wanted, Text *text) {
        text_add(text, "region \"%s\": %s is %" PRIu64 " here (%s:%" PRIu32 "), the client wants %"
                 PRIu64, decl->name, what, here, decl->origin.file ? decl->origin.file : "",
                 decl->origin.line, wanted);
        return DYNAMIC_E_MISMATCH;
}

static int dynamic_check_kind(const Decl *decl, const DynamicWant *want, Text *text) {
        ShmbKind kind = decl->geometry.kind;

        if (want->kind == SHMB_KIND_NONE || want->kind == kind)
                return 0;
        text_add(text, "region \"%s\": kind is %s here (%s:%" PRIu32 "), the client wants %s",
                 want->name, shmb_kind_to_string(kind), decl->origin.file ? decl->origin.file : "",
                 decl->origin.line,
                 want->kind < _SHMB_KIND_N ? shmb_kind_to_string((ShmbKind)want->kind)
                                           : "a kind of a newer version");
        return DYNAMIC_E_MISMATCH;
}

/* It is there, or what is wanted has the name of one that is declared. */
static int dynamic_open(const Decl *decl, const DynamicWant *want, Text *text) {
        const ShmbGeometry *geometry = &decl->geometry;
        int r;

        if (want->exclusive) {
                text_add(text, "region \"%s\" is there already: attach to it, or remove it first",
                         want->name);
                return DYNAMIC_E_EXISTS;
        }
        r = dynamic_check_kind(decl, want, text);
        if (r)
                return r;
        if (want->region_size > 0 && want->region_size != geometry->region_size)
                return dynamic_refuse_mismatch(decl, "size", geometry->region_size,
                                               want->region_size, text);
        if (want->capacity > 0 && want->capacity != geometry->capacity)
                return dynamic_refuse_mismatch(decl, "capacity", geometry->capacity,
                                               want->capacity, text);
        return DYNAMIC_E_THERE;
}

static int dynamic_refuse_size(const Decl *template, const DynamicWant *want, uint64_t extent,
                               Text *text) {
        bool raw = template->geometry.kind == SHMB_KIND_RAW;
        uint64_t least = decl_extent(&template->template->least);
        uint64_t most = decl_extent(&template->geometry);

        text_add(text, "region \"%s\": ", want->name);
        if (extent == 0)
                text_add(text, "say its %s; ", raw ? "size" : "capacity");
        else
                text_add(text, "%s %" PRIu64 " is not what %s permits (%s:%" PRIu32 "); ",
                         raw ? "size" : "capacity", extent, template->name,
                         template->origin.file ? template->origin.file : "",
                         template->origin.line);
        if (least == most)
                text_add(text, "expected %" PRIu64, most);
        else
                text_add(text, "expected %s%" PRIu64 " to %" PRIu64,
                         raw ? "" : "a power of two from ", least, most);
        return DYNAMIC_E_SIZE;
}

/* The declaration of a region that is not there. */
static int dynamic_make(const Decl *template, const DynamicWant *want, Decl **ret_decl,
                        Text *text) {
        bool raw = template->geometry.kind == SHMB_KIND_RAW;
        uint64_t extent = raw ? want->region_size : want->capacity;
        int r;

        r = dynamic_check_kind(template, want, text);
        if (r)
                return r;
        if (raw ? want->capacity > 0 : want->region_size > 0) {
                text_add(text, "region \"%s\": a region of kind %s has no %s", want->name,
                         shmb_kind_to_string(template->geometry.kind),
                         raw ? "capacity" : "size to choose, but a capacity");
                return DYNAMIC_E_MISMATCH;
        }
        /* Where there is no choice none need be made. */
        if (extent == 0 &&
            decl_extent(&template->template->least) == decl_extent(&template->geometry))
                extent = decl_extent(&template->geometry);
        if (!decl_template_admits(template, extent))
                return dynamic_refuse_size(template, want, extent, text);
        r = decl_from_template(template, want->name, extent, ret_decl);
        return r > 0 ? dynamic_refuse_size(template, want, extent, text) : r;
}

int dynamic_judge_create(const DeclSet *set, Registry *registry, const DynamicWant *want,
                         const PolicyIdentity *identity, Decl **ret_decl, char *sentence,
                         size_t size) {
        const Decl *template = decl_set_template_of(set, want->name);
        const Region *region = registry_find(registry, want->name);
        Text text = TEXT_INIT(sentence, size);

        sentence[0] = '\0';
        if (!template) {
                text_add(&text, "no template of the configuration is for a region \"%s\"",
                         want->name);
                return DYNAMIC_E_NO_TEMPLATE;
        }
        if (policy_check_right(template, DECL_RIGHT_CREATE, identity)) {
                policy_format_denial(template, DECL_RIGHT_CREATE, identity, sentence, size);
                return DYNAMIC_E_DENIED;
        }
        if (region && !(region->decl->template && region->state == SHMB_REGION_LOST))
                return dynamic_open(region->decl, want, &text);
        if (registry->n_regions >= DECL_REGIONS_MAX) {
                text_add(&text, "there are %d regions, and there may be no more: remove some",
                         DECL_REGIONS_MAX);
                return DYNAMIC_E_FULL;
        }
        return dynamic_make(template, want, ret_decl, &text);
}

int dynamic_judge_remove(const Region *region, const char *name, const PolicyIdentity *identity,
                         char *sentence, size_t size) {
        Text text = TEXT_INIT(sentence, size);
        const Decl *decl = region ? region->decl : NULL;

        sentence[0] = '\0';
        if (!region) {
                text_add(&text, "there is no region \"%s\"", name);
                return DYNAMIC_E_NO_REGION;
        }
        if (!decl->template) {
                text_add(&text, "region \"%s\" is declared (%s:%" PRIu32 "): take it out of the "
                         "configuration and reload; only what was created can be removed", name,
                         decl->origin.file ? decl->origin.file : "", decl->origin.line);
                return DYNAMIC_E_DECLARED;
        }
        if (policy_check_right(decl, DECL_RIGHT_REMOVE, identity)) {
                policy_format_denial(decl, DECL_RIGHT_REMOVE, identity, sentence, size);
                return DYNAMIC_E_DENIED;
        }
        return 0;
}

bool dynamic_needs_unit(const DeclSet *set, const char *name) {
        const Decl *template = decl_set_template_of(set, name);

        return template && policy_needs_unit(template);
}

int dynamic_begin(Region *region, const RegionCreation *creation, int *ret_charged) {
        int r;

        assert(region->decl->template && !region->creator);

        r = quota_charge(region->registry->quota, &region->charge, creation->uid, QUOTA_REGIONS, 1);
        if (r < 0)
                return r;
        region->creation = *creation;
        if (ret_charged)
                *ret_charged = r;
        return 0;
}

static void dynamic_unlink(Region *region) {
        if (region->prev_created)
                region->prev_created->next_created = region->next_created;
        else
                region->creator->created = region->next_created;
        if (region->next_created)
                region->next_created->prev_created = region->prev_created;
        region->next_created = region->prev_created = NULL;
        region->creator = NULL;
}

void dynamic_set_creator(Region *region, LeaseClient *client, uint64_t now_ns) {
        if (region->creator == client)
                return;
        if (region->creator)
                dynamic_unlink(region);
        if (client) {
                region->creator = client;
                region->next_created = client->created;
                if (client->created)
                        client->created->prev_created = region;
                client->created = region;
        }
        /* Time counts from the end of the last lease; the creator matters where there is no ttl. */
        if (!region->decl->template->ttl_ns)
                region_update_linger(region, now_ns);
}

void dynamic_move(LeaseClient *from, LeaseClient *to) {
        assert(from != to);

        while (from->created)
                dynamic_set_creator(from->created, to, 0);
}

bool dynamic_is_owned(const Region *region) {
        const DeclTemplate *template = region->decl->template;

        return template && template->ttl_ns == 0 && (region->creator || region->creation.kept);
}

uint64_t dynamic_age_ns(const Region *region) {
        uint64_t max_age_ns = region->decl->template->max_age_ns, at_ns;

        if (max_age_ns == 0 || region->departed || !region->objects ||
            __builtin_add_overflow(region->creation.since_ns, max_age_ns, &at_ns))
                return DEADLINE_NEVER;
        return at_ns;
}

bool dynamic_was_created_by(const Region *region, const LeaseClient *client, uint64_t request) {
        return region->decl->template && region->creation.request == request &&
               region->creation.uid == client->uid &&
               memcmp(region->creation.client, client->uuid, SHMB_UUID_SIZE) == 0;
}

int dynamic_succeed(const DeclSet *set, const Decl *decl, Decl **ret_decl) {
        const Decl *template = decl_set_template_of(set, decl->name);
        Decl *next = NULL;
        int r;

        if (template && !decl_set_find(set, decl->name) &&
            template->geometry.kind == decl->geometry.kind) {
                r = decl_from_template(template, decl->name, decl_extent(&decl->geometry), &next);
                if (r < 0)
                        return r;
        }
        if (next && !decl_same_shape(next, decl))
                next = decl_free(next);
        *ret_decl = next;
        return 0;
}
