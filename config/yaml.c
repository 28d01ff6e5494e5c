/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reader
 *
 * Walks the tree of a file with the table of keys in hand. What the reader keeps between files is
 * the set that grows, the errors, and the tree of the main file, because its defaults are under the
 * regions of all others. Regions go into the set even if parts of them were refused: so a second
 * one of the same name and a user that does not exist are found in the same run. A set with errors
 * is never given away.
 */

#include "config/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/group.h"
#include "config/scalar.h"
#include "config/template.h"
#include "config/tree.h"
#include "config/value.h"

struct DeclReader {
        DeclMachine machine;
        DeclSet *set;
        DeclErrors errors;
        ConfigTree *main;
        ConfigDraft *defaults; /* of the main file, NULL if it has none; borrows from `main` */
};

/* One file while it is read. */
typedef struct File {
        DeclReader *reader;
        const char *name;
        bool drop_in;
        const ConfigDraft *defaults; /* of this file if it is a drop-in, or NULL */
} File;

/* The keys at the top of a file, by what stands behind them. */
typedef struct Top {
        const ConfigNode *version, *limits, *defaults, *regions, *templates;
} Top;

int decl_reader_new(const DeclMachine *machine, DeclReader **ret_reader) {
        __attribute__((cleanup(decl_reader_freep))) DeclReader *reader = NULL;
        int r;

        reader = calloc(1, sizeof(*reader));
        if (!reader)
                return -ENOMEM;

        reader->machine = *machine;
        r = decl_set_new(machine->memory_bytes, &reader->set);
        if (r < 0)
                return r;

        *ret_reader = reader;
        reader = NULL;
        return 0;
}

DeclReader *decl_reader_free(DeclReader *reader) {
        if (!reader)
                return NULL;

        free(reader->defaults);
        config_tree_free(reader->main);
        decl_errors_deinit(&reader->errors);
        decl_set_free(reader->set);
        free(reader);

        return NULL;
}

void decl_reader_freep(DeclReader **reader) {
        *reader = decl_reader_free(*reader);
}

DeclErrors *decl_reader_errors(DeclReader *reader) {
        return &reader->errors;
}

static int remember_file(DeclSet *set, const char *file) {
        char **grown;

        grown = realloc(set->files, (set->n_files + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        set->files = grown;

        grown[set->n_files] = strdup(file);
        if (!grown[set->n_files])
                return -ENOMEM;
        set->n_files++;

        return 0;
}

static void complain(File *file, const ConfigNode *node, const char *key, const char *sentence) {
        decl_errors_add(&file->reader->errors, &node->origin, key, "%s", sentence);
}

static const ConfigNode **top_slot(Top *top, const char *key) {
        if (strcmp(key, "version") == 0)
                return &top->version;
        if (strcmp(key, "limits") == 0)
                return &top->limits;
        if (strcmp(key, "defaults") == 0)
                return &top->defaults;
        if (strcmp(key, "regions") == 0)
                return &top->regions;
        if (strcmp(key, "templates") == 0)
                return &top->templates;

        return NULL;
}

static void read_top(File *file, const ConfigNode *root, Top *top) {
        static const char *const known[] = {"version", "limits", "defaults", "regions", "templates",
                                            NULL};
        DeclErrors *errors = &file->reader->errors;

        for (const ConfigNode *key = root->first; key; key = key->next->next) {
                const ConfigNode **slot;
                char shown[CONFIG_SHOWN_MAX];
                const char *near;

                if (key->type == CONFIG_NODE_BAD || config_group_is_repeated(root, key, "", errors))
                        continue;

                slot = top_slot(top, key->text);
                if (slot) {
                        *slot = key->next;
                        continue;
                }

                config_group_show(shown, "", key->text);
                near = config_suggest(key->text, known);
                if (near)
                        decl_errors_add(errors, &key->origin, shown,
                                        "unknown key, did you mean %s?", near);
                else
                        decl_errors_add(errors, &key->origin, shown,
                                        "unknown key; expected version, limits, defaults, regions "
                                        "or templates");
        }
}

static const ConfigNode *find_version(const ConfigNode *root) {
        for (const ConfigNode *key = root->first; key; key = key->next->next)
                if (key->type == CONFIG_NODE_SCALAR && strcmp(key->text, "version") == 0)
                        return key->next;

        return NULL;
}

/* Return: true if the rest of the file means what this version thinks it means. */
static bool check_version(File *file, const ConfigNode *root) {
        const ConfigNode *version = find_version(root);
        char quote[DECL_QUOTE_MAX];
        uint64_t number;

        if (!version) {
                if (!file->drop_in)
                        complain(file, root, "version",
                                 "is missing; expected 'version: 1' at the top of the file");
                return true;
        }
        if (version->type == CONFIG_NODE_BAD)
                return true;
        if (version->type != CONFIG_NODE_SCALAR || !version->plain ||
            config_parse_count(version->text, &number)) {
                complain(file, version, "version", "is no number; expected 1, without quotes");
                return true;
        }
        if (number == CONFIG_VERSION)
                return true;

        decl_errors_add(&file->reader->errors, &version->origin, "version",
                        "%s is not supported by this version, which reads version %d",
                        decl_quote(quote, version->text, strlen(version->text)), CONFIG_VERSION);
        return false;
}

static void read_limits(File *file, const ConfigNode *node) {
        DeclLimits *limits = &file->reader->set->limits;
        ConfigDraft draft = {.scope = CONFIG_SCOPE_LIMITS, .origin = node->origin};

        if (file->drop_in) {
                complain(file, node, "limits",
                         "belongs to the main file; a drop-in declares regions");
                return;
        }

        config_group_read(node, &draft, &file->reader->errors);

        limits->connections_per_uid = (uint32_t)config_draft_number(
                &draft, CONFIG_KEY_LIMIT_CONNECTIONS, limits->connections_per_uid);
        limits->leases_per_uid = (uint32_t)config_draft_number(
                &draft, CONFIG_KEY_LIMIT_LEASES, limits->leases_per_uid);
        limits->regions_per_uid = (uint32_t)config_draft_number(
                &draft, CONFIG_KEY_LIMIT_REGIONS, limits->regions_per_uid);
        limits->bytes_per_uid =
                config_draft_number(&draft, CONFIG_KEY_LIMIT_BYTES, limits->bytes_per_uid);
        limits->bytes_total =
                config_draft_number(&draft, CONFIG_KEY_LIMIT_TOTAL, limits->bytes_total);
}

static int read_defaults(File *file, const ConfigNode *node, ConfigDraft **ret_defaults) {
        ConfigDraft *draft;

        draft = calloc(1, sizeof(*draft));
        if (!draft)
                return -ENOMEM;

        draft->scope = CONFIG_SCOPE_DEFAULTS;
        draft->origin = node->origin;
        config_group_read(node, draft, &file->reader->errors);
        config_later_check(draft, &file->reader->errors);

        *ret_defaults = draft;
        return 0;
}

/* Owns @decl. */
static int add_decl(File *file, Decl *decl) {
        DeclSet *set = file->reader->set;
        bool template = decl->template;
        const char *what = template ? "template" : "region";
        const Decl *first;
        int r;

        r = template ? decl_set_add_template(set, decl) : decl_set_add(set, decl);
        switch (r) {
        case DECL_E_EXISTS:
                first = template ? decl_set_find_template(set, decl->name)
                                 : decl_set_find(set, decl->name);
                decl_errors_add(&file->reader->errors, &decl->origin, "name",
                                "%s %s is declared twice; the first is at %s:%u", what, decl->name,
                                first->origin.file, first->origin.line);
                decl_free(decl);
                return 0;
        case -E2BIG:
                decl_errors_add(&file->reader->errors, &decl->origin,
                                template ? "templates" : "regions",
                                "there are more than %d %ss; expected no more",
                                template ? DECL_TEMPLATES_MAX : DECL_REGIONS_MAX, what);
                decl_free(decl);
                return 0;
        case 0:
                return 0;
        }

        decl_free(decl);
        return r;
}

static int read_region(File *file, const ConfigNode *node, ConfigScope scope) {
        DeclErrors *errors = &file->reader->errors;
        ConfigDraft draft = {.scope = scope, .origin = node->origin};
        Decl *decl = NULL;
        int r;

        config_group_read(node, &draft, errors);
        config_draft_inherit(&draft, file->defaults);
        config_draft_inherit(&draft, file->reader->defaults);
        config_draft_check(&draft, errors);

        r = config_draft_to_decl(&draft, errors, &decl);
        if (r < 0 || !decl)
                return r;

        return add_decl(file, decl);
}

static int read_regions(File *file, const ConfigNode *list, ConfigScope scope) {
        const char *key = scope == CONFIG_SCOPE_TEMPLATE ? "templates" : "regions";
        int r;

        if (list->type != CONFIG_NODE_SEQUENCE) {
                if (config_node_is_empty(list))
                        complain(file, list, key, "has no value; expected a list, [] if empty");
                else if (list->type != CONFIG_NODE_BAD)
                        complain(file, list, key, "is no list; expected '- name: ...' entries");
                return 0;
        }

        for (const ConfigNode *node = list->first; node; node = node->next) {
                if (node->type == CONFIG_NODE_BAD)
                        continue;

                if (node->type != CONFIG_NODE_MAPPING) {
                        complain(file, node, key,
                                 "an entry is no mapping; expected '- name: ...' with more keys "
                                 "below it");
                        continue;
                }

                r = read_region(file, node, scope);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int read_lists(File *file, const Top *top) {
        int r;

        if (top->regions) {
                r = read_regions(file, top->regions, CONFIG_SCOPE_REGION);
                if (r < 0)
                        return r;
        }
        if (top->templates) {
                r = read_regions(file, top->templates, CONFIG_SCOPE_TEMPLATE);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int read_root(File *file, const ConfigNode *root) {
        ConfigDraft *defaults = NULL;
        Top top = {};
        int r;

        if (root->type != CONFIG_NODE_MAPPING) {
                if (root->type != CONFIG_NODE_BAD)
                        complain(file, root, NULL,
                                 "the file is no mapping; expected keys like 'version: 1'");
                return 0;
        }

        if (!check_version(file, root))
                return 0;
        read_top(file, root, &top);

        if (top.limits)
                read_limits(file, top.limits);

        if (top.defaults) {
                r = read_defaults(file, top.defaults, &defaults);
                if (r < 0)
                        return r;
        }

        if (file->drop_in)
                file->defaults = defaults;
        else
                file->reader->defaults = defaults;

        r = read_lists(file, &top);

        if (file->drop_in)
                free(defaults);
        return r;
}

int decl_reader_feed(DeclReader *reader, const char *name, const void *data, size_t n_bytes,
                     bool drop_in) {
        __attribute__((cleanup(config_tree_freep))) ConfigTree *tree = NULL;
        File file = {.reader = reader, .name = name, .drop_in = drop_in};
        int r;

        r = remember_file(reader->set, name);
        if (r < 0)
                return r;

        r = config_tree_parse(name, data, n_bytes, &reader->errors, &tree);
        if (r < 0 || !tree)
                return r;

        if (!tree->root) {
                /* A drop-in of which all is a comment is one that is switched off. */
                DeclOrigin origin = {tree->file, 0, 0};

                if (!drop_in)
                        decl_errors_add(&reader->errors, &origin, "version",
                                        "is missing, the file says nothing; expected 'version: 1'");
                return 0;
        }

        r = read_root(&file, tree->root);
        if (r < 0)
                return r;

        if (!drop_in) {
                reader->main = tree;
                tree = NULL;
        }

        return 0;
}

int decl_reader_seal(DeclReader *reader, const DeclLookup *lookup, DeclSet **ret_set,
                     DeclErrors *ret_errors) {
        int r;

        r = decl_set_resolve(reader->set, lookup, &reader->errors);
        if (r < 0)
                return r;

        r = decl_set_validate(reader->set, &reader->machine, &reader->errors);
        if (r < 0)
                return r;

        if (r > 0) {
                decl_errors_sort(&reader->errors);
                *ret_errors = reader->errors;
                reader->errors = DECL_ERRORS_NULL;
                return r;
        }

        *ret_set = reader->set;
        reader->set = NULL;
        return 0;
}
