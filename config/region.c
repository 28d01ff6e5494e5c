/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Regions
 *
 * From a checked draft to a Decl: numbers to a sealed geometry, lists of text to rules. A Decl is
 * made even if parts of it were refused, so that its name and its users are checked too; it is
 * never used then, because the whole set is refused with it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/scalar.h"
#include "config/template.h"

static const struct {
        ConfigKey key;
        unsigned right;
} rights[] = {
        {CONFIG_KEY_PRODUCE, SHMB_ROLE_PRODUCE},
        {CONFIG_KEY_CONSUME, SHMB_ROLE_CONSUME},
        {CONFIG_KEY_OBSERVE, SHMB_ROLE_OBSERVE},
        {CONFIG_KEY_READ, SHMB_ROLE_READ},
        {CONFIG_KEY_WRITE, SHMB_ROLE_WRITE},
        {CONFIG_KEY_CREATE, DECL_RIGHT_CREATE},
        {CONFIG_KEY_REMOVE, DECL_RIGHT_REMOVE},
};

static uint32_t natural_align(uint64_t size) {
        uint32_t align = 1;

        while (align < CONFIG_ALIGN_NATURAL_MAX && size % (2 * align) == 0)
                align *= 2;

        return align;
}

/* Which of the regions of a template; of a region both are the same. */
typedef enum Extent {
        EXTENT_LEAST,
        EXTENT_MOST,
} Extent;

/* The size @key of the least or the largest region that is meant. */
static uint64_t extent_of(const ConfigDraft *draft, ConfigKey key, Extent extent) {
        ConfigKey min, max;

        if (config_draft_bounds(key, &min, &max) && config_draft_has(draft, max))
                key = extent == EXTENT_LEAST ? min : max;
        return config_draft_number(draft, key, 0);
}

/* As many items as fit: indices are masked, so their number is a power of two. */
static uint64_t queue_capacity(uint64_t max_bytes, const ShmbGeometry *geometry) {
        uint64_t align = geometry->item_align > 0 ? geometry->item_align : 1;
        uint64_t stride = (geometry->item_size + align - 1) / align * align;
        uint64_t n = max_bytes / (stride ? stride : 1);

        if (n > SHMB_CAPACITY_MAX)
                return SHMB_CAPACITY_MAX;
        return n > 0 ? UINT64_C(1) << (63 - __builtin_clzll(n)) : 0;
}

static void draft_items(const ConfigDraft *draft, ShmbGeometry *geometry) {
        uint64_t size = config_draft_number(draft, CONFIG_KEY_ITEM_SIZE, 0);

        geometry->item_size = (uint32_t)size;
        geometry->item_align = (uint32_t)config_draft_number(draft, CONFIG_KEY_ITEM_ALIGN,
                                                             natural_align(size));
}

static void draft_kind(const ConfigDraft *draft, Extent extent, ShmbGeometry *geometry) {
        uint64_t least_bytes = extent_of(draft, CONFIG_KEY_MAX_BYTES, EXTENT_LEAST);

        switch (geometry->kind) {
        case SHMB_KIND_RAW:
                geometry->region_size = extent_of(draft, CONFIG_KEY_SIZE, extent);
                break;
        case SHMB_KIND_STREAM:
                geometry->item_size = geometry->item_align = 1;
                geometry->max_message = (uint32_t)config_draft_number(draft, CONFIG_KEY_MAX_MESSAGE,
                                                                      0);
                break;
        case SHMB_KIND_BROADCAST:
                geometry->delivery = (ShmbDelivery)config_draft_number(draft, CONFIG_KEY_DELIVERY,
                                                                       SHMB_DELIVERY_LOSSY);
                break;
        case SHMB_KIND_LATEST:
                geometry->capacity = config_draft_number(draft, CONFIG_KEY_SLOTS,
                                                         CONFIG_SLOTS_DEFAULT);
                geometry->n_seats = (uint32_t)config_draft_number(draft, CONFIG_KEY_CONSUMERS,
                                                                  CONFIG_READERS_DEFAULT);
                break;
        case SHMB_KIND_QUEUE:
                geometry->capacity = queue_capacity(extent_of(draft, CONFIG_KEY_MAX_BYTES, extent),
                                                    geometry);
                geometry->segment = config_draft_number(draft, CONFIG_KEY_SEGMENT,
                                                        least_bytes < CONFIG_SEGMENT_DEFAULT
                                                                        ? SHMB_PAGE
                                                                        : CONFIG_SEGMENT_DEFAULT);
                break;
        case SHMB_KIND_NONE:
        case SHMB_KIND_RING:
        case _SHMB_KIND_N:
                break;
        }
}

static void draft_geometry(const ConfigDraft *draft, Extent extent, ShmbGeometry *ret_geometry) {
        ShmbGeometry geometry = {.kind = config_draft_kind(draft)};

        if (geometry.kind != SHMB_KIND_RAW) {
                draft_items(draft, &geometry);
                geometry.capacity = extent_of(draft, CONFIG_KEY_CAPACITY, extent);
                geometry.n_lanes = (uint32_t)config_draft_number(draft, CONFIG_KEY_PRODUCERS, 1);
                geometry.n_seats = (uint32_t)config_draft_number(draft, CONFIG_KEY_CONSUMERS, 1);
        }
        draft_kind(draft, extent, &geometry);
        *ret_geometry = geometry;
}

/* Is all there that the memory is laid out by, and good in itself? */
static bool geometry_is_known(const ConfigDraft *draft) {
        static const ConfigKey keys[] = {
                CONFIG_KEY_SIZE,     CONFIG_KEY_ITEM_SIZE,   CONFIG_KEY_ITEM_ALIGN,
                CONFIG_KEY_CAPACITY, CONFIG_KEY_PRODUCERS,   CONFIG_KEY_CONSUMERS,
                CONFIG_KEY_SLOTS,    CONFIG_KEY_MAX_MESSAGE, CONFIG_KEY_MAX_BYTES,
                CONFIG_KEY_SEGMENT,  CONFIG_KEY_DELIVERY,
        };
        ShmbKind kind = config_draft_kind(draft);
        ConfigKey min, max;

        for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
                bool required = config_key_info(keys[i])->required & CONFIG_KIND_BIT(kind);
                ConfigValueState state = draft->values[keys[i]].state;

                if (config_draft_bounds(keys[i], &min, &max)) {
                        if (draft->values[min].state == CONFIG_VALUE_BAD ||
                            draft->values[max].state == CONFIG_VALUE_BAD)
                                return false;
                        required &= !config_draft_has(draft, max);
                }
                if (state == CONFIG_VALUE_BAD || (required && state == CONFIG_VALUE_ABSENT))
                        return false;
        }

        return kind != SHMB_KIND_NONE;
}

/* Each number was bounded by itself before; what is left is that a product is too large. */
static void seal_geometry(const ConfigDraft *draft, Decl *decl, DeclErrors *errors) {
        ConfigKey capacity = config_draft_has(draft, CONFIG_KEY_CAPACITY_MAX)
                                             ? CONFIG_KEY_CAPACITY_MAX
                                             : CONFIG_KEY_CAPACITY;
        char most[CONFIG_SIZE_TEXT_MAX];
        int r;

        draft_geometry(draft, EXTENT_MOST, &decl->geometry);
        if (decl->template)
                draft_geometry(draft, EXTENT_LEAST, &decl->template->least);
        if (!geometry_is_known(draft))
                return;

        r = shmb_geometry_seal(&decl->geometry);
        if (r == 0 && decl->template)
                r = shmb_geometry_seal(&decl->template->least);
        if (r == -EFBIG)
                decl_errors_add(errors, &draft->values[capacity].origin,
                                config_key_info(capacity)->path,
                                "makes an object of more than %s with this item.size; expected "
                                "fewer or smaller items",
                                config_format_size(most, SHMB_OBJECT_SIZE_MAX));
        else if (r < 0)
                decl_errors_add(errors, &draft->origin, "kind",
                                "no memory can be laid out for this region; expected other sizes");
}

static int draft_text(const ConfigDraft *draft, ConfigKey key, char **ret_text) {
        char *text;

        if (!config_draft_has(draft, key))
                return 0;

        text = strdup(draft->values[key].node->text);
        if (!text)
                return -ENOMEM;

        *ret_text = text;
        return 0;
}

static int draft_rule(const ConfigNode *node, ConfigKey key, unsigned right, Decl *decl,
                      DeclErrors *errors) {
        int r;

        if (node->type != CONFIG_NODE_SCALAR)
                return 0;

        r = decl_allow(decl, right, node->text, &node->origin, NULL);
        if (r == -E2BIG)
                decl_errors_add(errors, &node->origin, config_key_info(key)->path,
                                "has more than %d rules; expected a group instead",
                                DECL_RULES_MAX);

        /* A text that is no rule was refused when the list was read. */
        return r < 0 && r != -E2BIG ? r : 0;
}

static int draft_access(const ConfigDraft *draft, Decl *decl, DeclErrors *errors) {
        for (size_t i = 0; i < sizeof(rights) / sizeof(*rights); i++) {
                const ConfigNode *list = draft->values[rights[i].key].node;

                if (!config_draft_has(draft, rights[i].key))
                        continue;

                for (const ConfigNode *node = list->first; node; node = node->next) {
                        int r = draft_rule(node, rights[i].key, rights[i].right, decl, errors);

                        if (r < 0)
                                return r;
                }
        }

        return 0;
}

static void draft_policies(const ConfigDraft *draft, Decl *decl) {
        decl->backing = (ShmbBacking)config_draft_number(draft, CONFIG_KEY_BACKING,
                                                         SHMB_BACKING_POSIX);
        decl->lifetime = (ShmbLifetime)config_draft_number(draft, CONFIG_KEY_LIFETIME,
                                                           SHMB_LIFETIME_STATIC);

        if (decl->lifetime == SHMB_LIFETIME_ON_DEMAND)
                decl->linger_ns = config_draft_number(draft, CONFIG_KEY_LINGER,
                                                      CONFIG_LINGER_DEFAULT_NS);
        if (config_draft_kind(draft) != SHMB_KIND_RAW)
                decl->overflow = (ShmbOverflow)config_draft_number(draft, CONFIG_KEY_OVERFLOW,
                                                                   SHMB_OVERFLOW_BLOCK);
}

static int draft_template(const ConfigDraft *draft, Decl *decl) {
        if (draft->scope != CONFIG_SCOPE_TEMPLATE)
                return 0;

        decl->template = decl_template_new(decl->name);
        if (!decl->template)
                return -ENOMEM;

        decl->template->ttl_ns = config_draft_number(draft, CONFIG_KEY_TTL, 0);
        decl->template->max_age_ns = config_draft_number(draft, CONFIG_KEY_MAX_AGE, 0);
        return 0;
}

static int draft_texts(const ConfigDraft *draft, Decl *decl) {
        int r;

        if ((draft->origin.file && !(decl->origin.file = strdup(draft->origin.file))))
                return -ENOMEM;
        decl->origin.line = draft->origin.line;
        decl->origin.column = draft->origin.column;

        r = draft_text(draft, CONFIG_KEY_DESCRIPTION, &decl->description);
        if (r < 0)
                return r;
        r = draft_text(draft, CONFIG_KEY_ITEM_TYPE, &decl->type);
        if (r < 0)
                return r;
        r = draft_text(draft, CONFIG_KEY_POSIX_NAME, &decl->posix_name);
        if (r < 0)
                return r;

        if (decl->posix_name && *decl->posix_name == '/')
                memmove(decl->posix_name, decl->posix_name + 1, strlen(decl->posix_name));

        return 0;
}

int config_draft_to_decl(const ConfigDraft *draft, DeclErrors *errors, Decl **ret_decl) {
        __attribute__((cleanup(decl_freep))) Decl *decl = NULL;
        int r;

        if (!config_draft_has(draft, CONFIG_KEY_NAME)) {
                *ret_decl = NULL;
                return 0;
        }

        r = decl_new(draft->values[CONFIG_KEY_NAME].node->text, &decl);
        if (r < 0)
                return r;

        r = draft_texts(draft, decl);
        if (r < 0)
                return r;
        r = draft_template(draft, decl);
        if (r < 0)
                return r;

        draft_policies(draft, decl);

        r = draft_access(draft, decl, errors);
        if (r < 0)
                return r;

        seal_geometry(draft, decl, errors);

        *ret_decl = decl;
        decl = NULL;
        return 0;
}
