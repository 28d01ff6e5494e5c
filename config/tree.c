/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trees
 *
 * libyaml's events to nodes. The parser is asked for one event at a time and dropped as soon as a
 * bound is passed, so nothing it holds grows beyond the bounds either. The stack of open nodes is
 * an array: the depth of the input is never that of our own stack.
 */

#include "config/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct Builder {
        ConfigTree *tree;
        DeclErrors *errors;
        ConfigNode *open[CONFIG_DEPTH_MAX];  /* collections that have begun and not ended */
        ConfigNode **tail[CONFIG_DEPTH_MAX]; /* where the next child of each is linked in */
        size_t n_children[CONFIG_DEPTH_MAX];
        size_t depth;
        bool document; /* one has begun */
        bool stop;     /* a bound is passed, or the end is reached */
        bool failed;   /* the tree is worth nothing */
} Builder;

ConfigTree *config_tree_free(ConfigTree *tree) {
        if (!tree)
                return NULL;

        for (ConfigNode *node = tree->newest, *older; node; node = older) {
                older = node->older;
                free(node->text);
                free(node);
        }
        free(tree->file);
        free(tree);

        return NULL;
}

void config_tree_freep(ConfigTree **tree) {
        *tree = config_tree_free(*tree);
}

static int tree_new(const char *file, ConfigTree **ret_tree) {
        __attribute__((cleanup(config_tree_freep))) ConfigTree *tree = NULL;

        tree = calloc(1, sizeof(*tree));
        if (!tree)
                return -ENOMEM;

        tree->file = strdup(file);
        if (!tree->file)
                return -ENOMEM;

        *ret_tree = tree;
        tree = NULL;
        return 0;
}

static DeclOrigin origin_at(const Builder *builder, const yaml_mark_t *mark) {
        return (DeclOrigin){
                .file = builder->tree->file,
                .line = (uint32_t)mark->line + 1,
                .column = (uint32_t)mark->column + 1,
        };
}

static void complain(Builder *builder, const yaml_mark_t *mark, const char *sentence) {
        DeclOrigin origin = origin_at(builder, mark);

        decl_errors_add(builder->errors, &origin, NULL, "%s", sentence);
}

/* As complain(), and nothing of the file is looked at any more. */
static void give_up(Builder *builder, const yaml_mark_t *mark, const char *sentence) {
        complain(builder, mark, sentence);
        builder->stop = true;
        builder->failed = true;
}

static bool at_key(const Builder *builder) {
        return builder->depth > 0 &&
               builder->open[builder->depth - 1]->type == CONFIG_NODE_MAPPING &&
               builder->n_children[builder->depth - 1] % 2 == 0;
}

/* Hang a new node below the innermost open one. *ret_node stays as it is if a bound is passed. */
static int node_new(Builder *builder, ConfigNodeType type, const yaml_event_t *event,
                    ConfigNode **ret_node) {
        ConfigTree *tree = builder->tree;
        ConfigNode *node;

        if (tree->n_nodes >= CONFIG_NODES_MAX) {
                give_up(builder, &event->start_mark,
                        "the file has more than 10000 nodes (keys, values, lists); spread regions "
                        "over files in regions.d");
                return 0;
        }

        node = calloc(1, sizeof(*node));
        if (!node)
                return -ENOMEM;

        node->type = type;
        node->origin = origin_at(builder, &event->start_mark);
        node->older = tree->newest;
        tree->newest = node;
        tree->n_nodes++;

        if (builder->depth > 0) {
                *builder->tail[builder->depth - 1] = node;
                builder->tail[builder->depth - 1] = &node->next;
                builder->n_children[builder->depth - 1]++;
        } else {
                tree->root = node;
        }

        *ret_node = node;
        return 0;
}

static void check_properties(Builder *builder, const yaml_event_t *event, const void *anchor,
                             const void *tag) {
        if (anchor)
                complain(builder, &event->start_mark,
                         "there is an anchor ('&'); anchors and aliases are not allowed, write the "
                         "value out, or use defaults");
        if (tag)
                complain(builder, &event->start_mark,
                         "there is a tag ('!'); tags are not allowed, a key has one type");
}

static int on_alias(Builder *builder, const yaml_event_t *event) {
        ConfigNode *node = NULL;

        complain(builder, &event->start_mark,
                 "there is an alias ('*'); anchors and aliases are not allowed, write the value "
                 "out, or use defaults");
        return node_new(builder, CONFIG_NODE_BAD, event, &node);
}

static int on_scalar(Builder *builder, const yaml_event_t *event) {
        const char *text = (const char *)event->data.scalar.value;
        size_t n = event->data.scalar.length;
        bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, key = at_key(builder);
        ConfigNode *node = NULL;
        int r;

        check_properties(builder, event, event->data.scalar.anchor, event->data.scalar.tag);

        r = node_new(builder, CONFIG_NODE_SCALAR, event, &node);
        if (r < 0 || !node)
                return r;

        node->plain = plain;

        if (n > CONFIG_SCALAR_MAX) {
                complain(builder, &event->start_mark, "a value is longer than 4096 bytes");
                node->type = CONFIG_NODE_BAD;
        } else if (memchr(text, '\0', n)) {
                complain(builder, &event->start_mark, "a value holds a NUL character (\\0)");
                node->type = CONFIG_NODE_BAD;
        } else if (key && plain && strcmp(text, "<<") == 0) {
                complain(builder, &event->start_mark,
                         "there is a merge key ('<<'); it is not allowed, use defaults");
                node->type = CONFIG_NODE_BAD;
        } else {
                node->text = strdup(text);
                if (!node->text)
                        return -ENOMEM;
        }

        return 0;
}

static int on_begin(Builder *builder, const yaml_event_t *event, ConfigNodeType type,
                    const void *anchor, const void *tag) {
        ConfigNode *node = NULL;
        int r;

        check_properties(builder, event, anchor, tag);

        if (builder->depth >= CONFIG_DEPTH_MAX) {
                give_up(builder, &event->start_mark,
                        "lists and mappings are nested more than 16 deep");
                return 0;
        }
        if (at_key(builder)) {
                give_up(builder, &event->start_mark,
                        "a list or a mapping stands where a key is expected; quote a key that "
                        "begins with '[' or '{'");
                return 0;
        }

        r = node_new(builder, type, event, &node);
        if (r < 0 || !node)
                return r;

        builder->open[builder->depth] = node;
        builder->tail[builder->depth] = &node->first;
        builder->n_children[builder->depth] = 0;
        builder->depth++;
        return 0;
}

static void on_document(Builder *builder, const yaml_event_t *event) {
        if (builder->document)
                give_up(builder, &event->start_mark,
                        "a second document begins; a file holds one, remove the line '---'");
        else if (event->data.document_start.tag_directives.start !=
                 event->data.document_start.tag_directives.end)
                complain(builder, &event->start_mark,
                         "there is a %TAG directive; tags are not allowed");

        builder->document = true;
}

static int on_event(Builder *builder, const yaml_event_t *event) {
        switch (event->type) {
        case YAML_STREAM_END_EVENT:
                builder->stop = true;
                return 0;
        case YAML_DOCUMENT_START_EVENT:
                on_document(builder, event);
                return 0;
        case YAML_ALIAS_EVENT:
                return on_alias(builder, event);
        case YAML_SCALAR_EVENT:
                return on_scalar(builder, event);
        case YAML_SEQUENCE_START_EVENT:
                return on_begin(builder, event, CONFIG_NODE_SEQUENCE,
                                event->data.sequence_start.anchor, event->data.sequence_start.tag);
        case YAML_MAPPING_START_EVENT:
                return on_begin(builder, event, CONFIG_NODE_MAPPING,
                                event->data.mapping_start.anchor, event->data.mapping_start.tag);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                builder->depth--;
                return 0;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
                break;
        }

        return 0;
}

/* What libyaml says, with the line where the thing began in which it got stuck. */
static void on_syntax_error(Builder *builder, const yaml_parser_t *parser) {
        DeclOrigin origin = origin_at(builder, &parser->problem_mark);

        if (parser->context && parser->context_mark.line < parser->problem_mark.line)
                decl_errors_add(builder->errors, &origin, NULL, "not YAML: %s (%s from line %zu)",
                                parser->problem, parser->context,
                                parser->context_mark.line + 1);
        else if (parser->context)
                decl_errors_add(builder->errors, &origin, NULL, "not YAML: %s (%s)",
                                parser->problem, parser->context);
        else
                decl_errors_add(builder->errors, &origin, NULL, "not YAML: %s",
                                parser->problem ?: "it cannot be read");

        builder->failed = true;
}

static int build(Builder *builder, yaml_parser_t *parser) {
        while (!builder->stop) {
                yaml_event_t event;
                int r;

                if (!yaml_parser_parse(parser, &event)) {
                        if (parser->error == YAML_MEMORY_ERROR)
                                return -ENOMEM;

                        on_syntax_error(builder, parser);
                        break;
                }

                r = on_event(builder, &event);
                yaml_event_delete(&event);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_tree_parse(const char *file, const void *data, size_t n, DeclErrors *errors,
                      ConfigTree **ret_tree) {
        __attribute__((cleanup(config_tree_freep))) ConfigTree *tree = NULL;
        Builder builder = {.errors = errors};
        yaml_parser_t parser;
        int r;

        if (!config_bytes_check(file, data, n, errors)) {
                *ret_tree = NULL;
                return 0;
        }

        r = tree_new(file, &tree);
        if (r < 0)
                return r;
        builder.tree = tree;

        if (!yaml_parser_initialize(&parser))
                return -ENOMEM;
        yaml_parser_set_input_string(&parser, data, n);
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        r = build(&builder, &parser);
        yaml_parser_delete(&parser);
        if (r < 0)
                return r;

        *ret_tree = builder.failed ? NULL : tree;
        if (!builder.failed)
                tree = NULL;
        return 0;
}
