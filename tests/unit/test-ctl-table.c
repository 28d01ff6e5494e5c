/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables, JSON documents and sections from one array of columns.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/ctl/table.h"

typedef struct Row {
        const char *name;
        uint64_t size;
        bool has_size;
} Row;

static void get_name(const void *data, Cell *cell) {
        cell_set_text(cell, ((const Row *)data)->name);
}

static void get_size(const void *data, Cell *cell) {
        const Row *row = data;

        if (row->has_size)
                cell_set_number(cell, row->size);
}

static void get_flag(const void *data, Cell *cell) {
        cell_set_number(cell, ((const Row *)data)->has_size);
}

static const Column columns[] = {
        { "NAME", "name", CELL_TEXT, true, "one", get_name },
        { "SIZE", "size", CELL_SIZE, true, "two", get_size },
        { "SIZED", "whether", CELL_FLAG, false, "two", get_flag },
        { "AGE", "age", CELL_DURATION, false, NULL, get_size },
};

static const char *const sections[] = { "two", "one", NULL };

static const Shape shape = { "things", columns, 4, sections };

static const Row rows[] = {
        { "first", 2048, true },
        { "second/longer", 0, false },
};

/* Print @rows in @style; the caller frees the text. */
static char *print(const Style *style, const Row *from, size_t n) {
        const char *wrong;
        char *text = NULL;
        size_t n_text = 0;
        FILE *out = open_memstream(&text, &n_text);
        Table *table;

        assert_non_null(out);
        assert_int_equal(table_new(&shape, style, &table, &wrong, &n_text), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(table_add(table, &from[i]), 0);
        assert_int_equal(table_print(table, out), 0);
        table_free(table);
        assert_int_equal(fclose(out), 0);
        return text;
}

static void assert_prints(const Style *style, const char *expected) {
        char *text = print(style, rows, 2);

        assert_string_equal(text, expected);
        free(text);
}

static void test_table_aligns_and_marks_what_is_absent(void **state) {
        assert_prints(&(Style){},
                      "NAME          SIZE\n"
                      "first           2K\n"
                      "second/longer    -\n");
}

static void test_table_without_headings(void **state) {
        assert_prints(&(Style){ .no_headings = true },
                      "first           2K\n"
                      "second/longer    -\n");
}

static void test_bytes_are_exact(void **state) {
        assert_prints(&(Style){ .bytes = true, .output = "size" }, "SIZE\n2048\n   -\n");
}

static void test_output_chooses_and_orders(void **state) {
        assert_prints(&(Style){ .output = "sized,Name" },
                      "SIZED NAME\n"
                      "yes   first\n"
                      "no    second/longer\n");
}

static void test_output_with_plus_adds_each_column_once(void **state) {
        assert_prints(&(Style){ .output = "+SIZED,NAME,SIZED" },
                      "NAME          SIZE SIZED\n"
                      "first           2K yes\n"
                      "second/longer    - no\n");
}

static void test_all_columns(void **state) {
        assert_prints(&(Style){ .all = true, .output = "NAME" },
                      "NAME          SIZE SIZED AGE\n"
                      "first           2K yes   2us\n"
                      "second/longer    - no      -\n");
}

static void test_unknown_column_is_named(void **state) {
        static const char *const wrong[] = { "NAME,SIZ,AGE", "SIZ", "+NAME,SIZ" };
        Table *table = NULL;

        for (size_t i = 0; i < 3; i++) {
                const char *name = NULL;
                size_t n = 0;

                assert_int_equal(table_new(&shape, &(Style){ .output = wrong[i] }, &table, &name,
                                           &n), -ENOENT);
                assert_int_equal(n, 3);
                assert_memory_equal(name, "SIZ", 3);
                assert_null(table);
        }
}

static void test_empty_column_is_unknown(void **state) {
        static const char *const wrong[] = { "", "+", "NAME,", ",NAME" };
        Table *table = NULL;

        for (size_t i = 0; i < 4; i++) {
                const char *name = NULL;
                size_t n = 1;

                assert_int_equal(table_new(&shape, &(Style){ .output = wrong[i] }, &table, &name,
                                           &n), -ENOENT);
                assert_int_equal(n, 0);
        }
}

static void test_json_has_numbers_null_and_lower_case_keys(void **state) {
        assert_prints(&(Style){ .json = true, .all = true },
                      "{\n"
                      "   \"things\": [\n"
                      "      {\n"
                      "         \"name\": \"first\",\n"
                      "         \"size\": 2048,\n"
                      "         \"sized\": true,\n"
                      "         \"age\": 2048\n"
                      "      },{\n"
                      "         \"name\": \"second/longer\",\n"
                      "         \"size\": null,\n"
                      "         \"sized\": false,\n"
                      "         \"age\": null\n"
                      "      }\n"
                      "   ]\n"
                      "}\n");
}

static void test_hostile_text_stays_in_its_cell(void **state) {
        static const Row hostile = { "a\x1b[2J\"\\\n,\xff", 1, true };
        char *text;

        text = print(&(Style){ .output = "NAME" }, &hostile, 1);
        assert_string_equal(text, "NAME\na\\x1b[2J\"\\\\x0a,\\xff\n");
        free(text);

        text = print(&(Style){ .output = "NAME", .json = true }, &hostile, 1);
        assert_non_null(strstr(text, "\"a\\u001b[2J\\\"\\\\\\n,\xef\xbf\xbd\""));
        free(text);
}

static void test_no_rows(void **state) {
        char *text;

        text = print(&(Style){}, NULL, 0);
        assert_string_equal(text, "");
        free(text);

        text = print(&(Style){ .json = true }, NULL, 0);
        assert_string_equal(text, "{\n   \"things\": [\n\n   ]\n}\n");
        free(text);
}

static void test_document_holds_every_table(void **state) {
        const char *wrong;
        Table *tables[2];
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(table_new(&shape, &(Style){ .json = true, .output = "NAME" },
                                           &tables[i], &wrong, &n), 0);
                assert_int_equal(table_add(tables[i], &rows[i]), 0);
        }
        assert_int_equal(table_print_document(tables, 2, out), 0);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text,
                            "{\n   \"things\": [\n      {\n         \"name\": \"first\"\n"
                            "      }\n   ],\n   \"things\": [\n      {\n"
                            "         \"name\": \"second/longer\"\n      }\n   ]\n}\n");
        free(text);
        table_free(tables[0]);
        table_free(tables[1]);
}

static void test_sections_leave_out_what_is_absent(void **state) {
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        assert_int_equal(table_print_sections(&shape, &(Style){}, &rows[0], out), 0);
        assert_int_equal(table_print_sections(&shape, &(Style){}, &rows[1], out), 0);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text,
                            "two\n"
                            "  size           2K\n"
                            "  sized          yes\n"
                            "\n"
                            "one\n"
                            "  name           first\n"
                            "two\n"
                            "  sized          no\n"
                            "\n"
                            "one\n"
                            "  name           second/longer\n");
        free(text);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_aligns_and_marks_what_is_absent),
                cmocka_unit_test(test_table_without_headings),
                cmocka_unit_test(test_bytes_are_exact),
                cmocka_unit_test(test_output_chooses_and_orders),
                cmocka_unit_test(test_output_with_plus_adds_each_column_once),
                cmocka_unit_test(test_all_columns),
                cmocka_unit_test(test_unknown_column_is_named),
                cmocka_unit_test(test_empty_column_is_unknown),
                cmocka_unit_test(test_json_has_numbers_null_and_lower_case_keys),
                cmocka_unit_test(test_hostile_text_stays_in_its_cell),
                cmocka_unit_test(test_no_rows),
                cmocka_unit_test(test_document_holds_every_table),
                cmocka_unit_test(test_sections_leave_out_what_is_absent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
