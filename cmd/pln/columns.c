/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/columns.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/utf8.h"

enum { CELL_BYTES = 512 };

static bool grow(pln_columns *columns) {
    if (columns->used < columns->cap) {
        return true;
    }
    const size_t cap = columns->cap == 0 ? 64 : columns->cap * 2;
    char **cells = realloc(columns->cells, cap * sizeof *cells);
    columns->cells = cells != NULL ? cells : columns->cells;
    const char **colors = cells == NULL ? NULL : realloc(columns->colors, cap * sizeof *colors);
    columns->colors = colors != NULL ? colors : columns->colors;
    columns->cap = colors != NULL ? cap : columns->cap;
    return colors != NULL;
}

void pln_columns_init(pln_columns *columns, const char *const *titles) {
    *columns = (pln_columns){0};
    while (titles[columns->count] != NULL) {
        columns->count++;
    }
    PLN_ASSERT(columns->count > 0 && columns->count <= PLN_COLUMNS_MAX);
    for (size_t i = 0; i < columns->count; i++) {
        pln_columns_add(columns, titles[i], NULL);
    }
}

/* Controls, and what turns the direction of writing, breaks lines, or takes no place: with these a
 * name looks like another one. */
static bool is_misleading(uint32_t c) {
    return c < ' ' || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c >= 0xe0000;
}

/* Names come from other members: what would drive a terminal, or deceive who reads it, becomes
 * "?". */
static void defuse(char *text) {
    uint8_t *at = (uint8_t *)text;
    for (size_t left = strlen(text); left > 0;) {
        uint32_t code;
        const size_t size = pln_utf8_next(at, left, &code);
        const size_t step = size == 0 ? 1 : size; /* A byte of no character. */
        if (size == 0 || is_misleading(code)) {
            memset(at, '?', step);
        }
        at += step;
        left -= step;
    }
}

/* In characters, as far as each takes one place. */
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

void pln_columns_add(pln_columns *columns, const char *text, const char *color) {
    char *copy = strdup(text);
    if (copy != NULL) {
        defuse(copy);
    }
    if (copy == NULL || !grow(columns)) {
        free(copy);
        return;
    }
    columns->cells[columns->used] = copy;
    columns->colors[columns->used] = color;
    columns->used++;
}

void pln_columns_addf(pln_columns *columns, const char *format, ...) {
    char text[CELL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pln_columns_add(columns, text, NULL);
}

/* Nothing is padded up to an empty end of a line. */
static bool is_last_shown(const pln_columns *columns, size_t i) {
    for (i++; i % columns->count != 0 && i < columns->used; i++) {
        if (columns->cells[i][0] != '\0') {
            return false;
        }
    }
    return true;
}

static void print_cell(const pln_columns *columns, size_t i, size_t width) {
    const char *color = columns->colors[i];
    printf("%s%s%s", color != NULL ? color : "", columns->cells[i],
           color != NULL && color[0] != '\0' ? "\033[0m" : "");
    if (!is_last_shown(columns, i)) {
        printf("%*s", (int)(width - width_of(columns->cells[i]) + 2), "");
    }
    if ((i + 1) % columns->count == 0 || i + 1 == columns->used) {
        putchar('\n');
    }
}

void pln_columns_end(pln_columns *columns) {
    size_t widths[PLN_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < columns->used; i++) {
        const size_t length = width_of(columns->cells[i]);
        size_t *width = &widths[i % columns->count];
        *width = length > *width ? length : *width;
    }
    for (size_t i = 0; i < columns->used; i++) {
        print_cell(columns, i, widths[i % columns->count]);
    }
    for (size_t i = 0; i < columns->used; i++) {
        free(columns->cells[i]);
    }
    free(columns->cells);
    free(columns->colors);
    *columns = (pln_columns){0};
}
