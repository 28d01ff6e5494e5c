/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Trees
 *
 * The nodes of one YAML file, with the place of each. YAML is cut down to what a configuration
 * needs: one document of mappings, lists and scalars. Aliases, anchors, merge keys, tags and
 * further documents are errors, so that what stands in a file is what it says, once, and its tree
 * is no larger than it. Pure: bytes in, no file is opened.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/errors.h"

typedef struct ConfigNode ConfigNode;
typedef struct ConfigTree ConfigTree;

enum {
        /* FAULTS J1. A configuration of 10,000 short regions is about 400 KiB. */
        CONFIG_FILE_SIZE_MAX = 1 << 20,
        /* regions > region > access > list is 4. */
        CONFIG_DEPTH_MAX = 16,
        CONFIG_NODES_MAX = 10000,
        CONFIG_SCALAR_MAX = 4096,
};

typedef enum ConfigNodeType {
        CONFIG_NODE_BAD, /* what stood here was an error and has been said */
        CONFIG_NODE_SCALAR,
        CONFIG_NODE_SEQUENCE,
        CONFIG_NODE_MAPPING,
        _CONFIG_NODE_N,
} ConfigNodeType;

struct ConfigNode {
        ConfigNodeType type;
        bool plain;        /* scalar: not in quotes, not a block */
        DeclOrigin origin; /* file: that of the tree */
        char *text;        /* scalar: without embedded NULs */
        ConfigNode *first; /* sequence: entries; mapping: key, value, key, value, ... */
        ConfigNode *next;  /* sibling */
        ConfigNode *older; /* made before this one, for freeing */
};

struct ConfigTree {
        char *file;
        ConfigNode *root;   /* NULL: nothing but comments */
        ConfigNode *newest; /* every node, linked by `older` */
        size_t n_nodes;
};

/**
 * config_bytes_check() - is this text that YAML, an editor and a person read alike?
 * @file:               name for errors
 * @data:               bytes, any
 * @n:                  how many
 * @errors:             each class of offence once, at its first place
 *
 * Refused: more than CONFIG_FILE_SIZE_MAX, byte order marks, other encodings than UTF-8, control
 * characters, CR, the line breaks of Unicode (which YAML obeys and editors do not show), tabs that
 * indent.
 *
 * Return: true if nothing was found.
 */
bool config_bytes_check(const char *file, const void *data, size_t n, DeclErrors *errors);

/**
 * config_tree_parse() - bytes to nodes
 * @file:               name for errors and origins; copied
 * @data:               bytes, any
 * @n:                  how many
 * @errors:             what is wrong
 * @ret_tree:           the tree; also where something was wrong that can be left out, so that what
 *                      stands around it is checked too. NULL if it is no YAML at all.
 *
 * Return: 0, whatever was added to @errors; or -ENOMEM.
 */
int config_tree_parse(const char *file, const void *data, size_t n, DeclErrors *errors,
                      ConfigTree **ret_tree);

/** config_tree_free() - NULL is fine. Return: NULL */
ConfigTree *config_tree_free(ConfigTree *tree);

/* For __attribute__((cleanup)). */
void config_tree_freep(ConfigTree **tree);
