/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tables
 *
 * One array of columns says everything about a kind of row: heading, JSON key (the heading in lower
 * case), meaning, type, and how to get the value. From it come the table, the JSON document, the
 * sections of `show` and `status`, and the list of columns in --help, so that they cannot disagree.
 * libsmartcols prints: aligned like lsblk(8), and nothing that a name contains reaches a terminal
 * unescaped.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct Cell Cell;
typedef struct Column Column;
typedef struct Shape Shape;
typedef struct Style Style;
typedef struct Table Table;

enum {
        TABLE_COLUMNS_MAX = 64,
};

typedef enum CellType {
        CELL_TEXT,
        CELL_NUMBER,
        CELL_SIZE,     /* bytes; human unless Style.bytes */
        CELL_DURATION, /* nanoseconds; human unless JSON */
        CELL_FLAG,     /* "yes" or "no"; true or false in JSON */
        _CELL_TYPE_N,
} CellType;

/* What a getter says. Left as it was: the row has no such value ("-", or null in JSON). */
struct Cell {
        bool present;
        uint64_t number;
        const char *text; /* borrowed until the cell is added */
};

struct Column {
        const char *name;    /* heading, upper case */
        const char *meaning; /* half a sentence for --help */
        CellType type;
        bool by_default;     /* shown without --output */
        const char *section; /* one of the shape's, or NULL */
        void (*get)(const void *row, Cell *cell);
};

/* All columns of one kind of row. */
struct Shape {
        const char *name; /* key of the JSON document: "regions" */
        const Column *columns;
        size_t n_columns;
        const char *const *sections; /* in the order of `show`, with a NULL at the end; or NULL */
};

struct Style {
        bool json;
        bool no_headings;
        bool bytes;
        bool all;           /* every column, whatever `output` says */
        const char *output; /* "NAME,SIZE", "+TAG", or NULL */
};

void cell_set_number(Cell *cell, uint64_t number);
/* NULL and "" are absent. */
void cell_set_text(Cell *cell, const char *text);

/**
 * table_new() - an empty table
 * @shape:      what its rows are; outlives it
 * @style:      how to print them; copied, but for `output`, which is not needed afterwards
 * @ret_table:  the table, owned by the caller
 * @reterr_name: on -ENOENT: @style's output from the name on that is no column
 * @reterr_n:   on -ENOENT: how long that name is
 *
 * Return: 0; -ENOENT; -EINVAL (more than TABLE_COLUMNS_MAX columns); -ENOMEM.
 */
int table_new(const Shape *shape, const Style *style, Table **ret_table,
              const char **reterr_name, size_t *reterr_n);
Table *table_free(Table *table);

/**
 * table_add() - append one row
 * @table:      where to
 * @row:        what the shape's getters take; all that they point to is copied
 *
 * Return: 0 or -ENOMEM.
 */
int table_add(Table *table, const void *row);

/* Whether it has no rows. */
bool table_is_empty(const Table *table);

/**
 * table_print() - print it in its style
 * @table:      what
 * @out:        where to
 *
 * Return: 0 or a negative errno. Whether @out took it is for its owner to ask (ferror(3)).
 */
int table_print(Table *table, FILE *out);

/**
 * table_print_document() - several JSON tables as one document, one member each
 * @tables:     tables whose style is JSON
 * @n_tables:   how many
 * @out:        where to
 *
 * Return: as table_print().
 */
int table_print_document(Table *const *tables, size_t n_tables, FILE *out);

/**
 * table_print_sections() - one row as `key value` lines under the headings of its sections
 * @shape:      what the row is
 * @style:      how sizes are written
 * @row:        the row
 * @out:        where to
 *
 * What is not present is left out, and so is a section of which nothing is present.
 *
 * Return: as table_print().
 */
int table_print_sections(const Shape *shape, const Style *style, const void *row, FILE *out);

/* One row that is one line of text, for the reports of `reload` and `gc`. */
extern const Shape shape_line;
