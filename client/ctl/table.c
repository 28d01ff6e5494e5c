/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables on libsmartcols.
 *
 * A row is turned into text at once and copied into libsmartcols, so that it may point into a
 * packet that the next request overwrites. Absent values are "-" in a table, because a blank
 * would shift the columns for awk, and empty for JSON, where libsmartcols makes null of it.
 */

#include <ctype.h>
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/ctl/format.h"
#include "client/ctl/table.h"

struct Table {
        const Shape *shape;
        Style style;
        size_t chosen[TABLE_COLUMNS_MAX]; /* indices into shape->columns, in order */
        size_t n_chosen;
        struct libscols_table *scols;
};

void cell_set_number(Cell *cell, uint64_t number) {
        *cell = (Cell){ .present = true, .number = number };
}

void cell_set_text(Cell *cell, const char *text) {
        *cell = (Cell){ .present = text && *text, .text = text };
}

/* Index of the column whose name is the @n bytes at @name in any case, or n_columns. */
static size_t column_find(const Shape *shape, const char *name, size_t n) {
        size_t i;

        for (i = 0; i < shape->n_columns; i++)
                if (strlen(shape->columns[i].name) == n &&
                    strncasecmp(shape->columns[i].name, name, n) == 0)
                        break;
        return i;
}

static void choose(Table *table, size_t column) {
        /* Twice the same column would be twice the same key in one JSON object. */
        for (size_t i = 0; i < table->n_chosen; i++)
                if (table->chosen[i] == column)
                        return;
        table->chosen[table->n_chosen++] = column;
}

static int choose_columns(Table *table, const char **reterr_name, size_t *reterr_n) {
        const char *output = table->style.all ? NULL : table->style.output;
        bool from_default = !output || *output == '+';

        for (size_t i = 0; from_default && i < table->shape->n_columns; i++)
                if (table->style.all || table->shape->columns[i].by_default)
                        choose(table, i);

        if (!output)
                return 0;
        if (*output == '+')
                output++;

        for (;;) {
                size_t n = strcspn(output, ",");
                size_t column = column_find(table->shape, output, n);

                if (column == table->shape->n_columns) {
                        *reterr_name = output;
                        *reterr_n = n;
                        return -ENOENT;
                }
                choose(table, column);
                if (!output[n])
                        return 0;
                output += n + 1;
        }
}

static int scols_new_like(const Table *table, struct libscols_table **ret_scols) {
        struct libscols_table *scols = scols_new_table();

        if (!scols)
                return -ENOMEM;

        if (scols_table_enable_json(scols, table->style.json) < 0 ||
            scols_table_enable_noheadings(scols, table->style.no_headings) < 0 ||
            scols_table_set_name(scols, table->shape->name) < 0) {
                scols_unref_table(scols);
                return -ENOMEM;
        }

        for (size_t i = 0; i < table->n_chosen; i++) {
                static const int json_types[_CELL_TYPE_N] = {
                        [CELL_TEXT] = SCOLS_JSON_STRING,
                        [CELL_NUMBER] = SCOLS_JSON_NUMBER,
                        [CELL_SIZE] = SCOLS_JSON_NUMBER,
                        [CELL_DURATION] = SCOLS_JSON_NUMBER,
                        [CELL_FLAG] = SCOLS_JSON_BOOLEAN,
                };
                const Column *column = &table->shape->columns[table->chosen[i]];
                bool right = column->type != CELL_TEXT && column->type != CELL_FLAG;
                struct libscols_column *added = scols_table_new_column(
                        scols, column->name, 0, right ? SCOLS_FL_RIGHT : 0);

                if (!added || scols_column_set_json_type(added, json_types[column->type]) < 0) {
                        scols_unref_table(scols);
                        return -ENOMEM;
                }
        }

        *ret_scols = scols;
        return 0;
}

int table_new(const Shape *shape, const Style *style, Table **ret_table,
              const char **reterr_name, size_t *reterr_n) {
        Table *table;
        int r;

        if (shape->n_columns > TABLE_COLUMNS_MAX)
                return -EINVAL;

        table = calloc(1, sizeof(*table));
        if (!table)
                return -ENOMEM;
        table->shape = shape;
        table->style = *style;

        r = choose_columns(table, reterr_name, reterr_n);
        if (r == 0)
                r = scols_new_like(table, &table->scols);
        if (r < 0) {
                table_free(table);
                return r;
        }

        *ret_table = table;
        return 0;
}

Table *table_free(Table *table) {
        if (table)
                scols_unref_table(table->scols);
        free(table);
        return NULL;
}

/* The text of a number in this style; @buffer holds FORMAT_NUMBER_MAX bytes. */
static void number_to_text(char *buffer, const Style *style, CellType type, uint64_t number) {
        if (type == CELL_SIZE && !style->bytes && !style->json)
                format_size(buffer, FORMAT_NUMBER_MAX, number);
        else if (type == CELL_DURATION && !style->json)
                format_duration(buffer, FORMAT_NUMBER_MAX, number);
        else if (type == CELL_FLAG && !style->json)
                strcpy(buffer, number ? "yes" : "no");
        else
                snprintf(buffer, FORMAT_NUMBER_MAX, "%llu", (unsigned long long)number);
}

/* The text of one value, owned by the caller; NULL for want of memory. */
static char *cell_to_text(const Column *column, const Style *style, const void *row,
                          bool *ret_present) {
        char buffer[FORMAT_NUMBER_MAX];
        Cell cell = {};

        column->get(row, &cell);
        *ret_present = cell.present;

        if (!cell.present)
                return strdup(style->json ? "" : "-");
        if (column->type == CELL_TEXT)
                return style->json ? format_utf8(cell.text) : strdup(cell.text);

        number_to_text(buffer, style, column->type, cell.number);
        return strdup(buffer);
}

int table_add(Table *table, const void *row) {
        struct libscols_line *line = scols_table_new_line(table->scols, NULL);

        if (!line)
                return -ENOMEM;

        for (size_t i = 0; i < table->n_chosen; i++) {
                bool present;
                char *text = cell_to_text(&table->shape->columns[table->chosen[i]], &table->style,
                                          row, &present);

                if (!text)
                        return -ENOMEM;
                /* Takes the text over if it succeeds. */
                if (scols_line_refer_data(line, i, text) < 0) {
                        free(text);
                        return -ENOMEM;
                }
        }
        return 0;
}

bool table_is_empty(const Table *table) {
        return scols_table_is_empty(table->scols);
}

int table_print(Table *table, FILE *out) {
        int r;

        r = scols_table_set_stream(table->scols, out);
        if (r < 0)
                return r;
        return scols_print_table(table->scols);
}

int table_print_document(Table *const *tables, size_t n_tables, FILE *out) {
        for (size_t i = 0; i < n_tables; i++) {
                char *text = NULL, *from, *to;
                int r;

                r = scols_print_table_to_string(tables[i]->scols, &text);
                if (r < 0)
                        return r;
                if (!text)
                        return -ENOMEM;

                /* libsmartcols prints whole documents: ours is the sum of their members. */
                from = strchr(text, '{');
                to = strrchr(text, '}');
                if (!from || !to) {
                        free(text);
                        return -EINVAL;
                }
                while (to > from && isspace((unsigned char)to[-1]))
                        to--;
                *to = '\0';
                fprintf(out, "%s%s", i == 0 ? "{" : ",", from + 1);
                free(text);
        }
        fputs("\n}\n", out);
        return 0;
}

static int section_add(struct libscols_table *scols, const Column *column, const char *value) {
        struct libscols_line *line = scols_table_new_line(scols, NULL);
        char key[64];
        size_t n = 0;

        if (!line)
                return -ENOMEM;

        /* The key is that of the JSON document. */
        key[n++] = ' ';
        key[n++] = ' ';
        for (const char *c = column->name; *c && n < sizeof(key) - 1; c++)
                key[n++] = (char)tolower((unsigned char)*c);
        key[n] = '\0';

        if (scols_line_set_data(line, 0, key) < 0 || scols_line_set_data(line, 1, value) < 0)
                return -ENOMEM;
        return 0;
}

/* All present values of one section; *ret_n is how many there are. */
static int section_fill(struct libscols_table *scols, const Shape *shape, const Style *style,
                        const char *section, const void *row, size_t *ret_n) {
        size_t n = 0;

        for (size_t i = 0; i < shape->n_columns; i++) {
                const Column *column = &shape->columns[i];
                bool present;
                char *text;
                int r = 0;

                if (!column->section || strcmp(column->section, section) != 0)
                        continue;
                text = cell_to_text(column, style, row, &present);
                if (!text)
                        return -ENOMEM;
                if (present) {
                        r = section_add(scols, column, text);
                        n++;
                }
                free(text);
                if (r < 0)
                        return r;
        }

        *ret_n = n;
        return 0;
}

static int section_print(const Shape *shape, const Style *style, const char *section,
                         const void *row, bool *first, FILE *out) {
        struct libscols_table *scols = scols_new_table();
        struct libscols_column *key;
        size_t n = 0;
        int r = -ENOMEM;

        if (!scols)
                return -ENOMEM;

        /* All sections have their values below each other: the longest key is known. */
        key = scols_table_new_column(scols, "KEY", 16, SCOLS_FL_STRICTWIDTH);
        if (key && scols_table_new_column(scols, "VALUE", 0, SCOLS_FL_NOEXTREMES) &&
            scols_table_enable_noheadings(scols, true) == 0 &&
            scols_table_set_stream(scols, out) == 0)
                r = section_fill(scols, shape, style, section, row, &n);

        if (r == 0 && n > 0) {
                fprintf(out, "%s%s\n", *first ? "" : "\n", section);
                *first = false;
                r = scols_print_table(scols);
        }
        scols_unref_table(scols);
        return r;
}

int table_print_sections(const Shape *shape, const Style *style, const void *row, FILE *out) {
        bool first = true;
        int r;

        for (size_t i = 0; shape->sections && shape->sections[i]; i++) {
                r = section_print(shape, style, shape->sections[i], row, &first, out);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void line_get(const void *row, Cell *cell) {
        cell_set_text(cell, row);
}

static const Column line_columns[] = {
        { "LINE", "what is done or would be done", CELL_TEXT, true, NULL, line_get },
};

const Shape shape_line = { "lines", line_columns, 1, NULL };
