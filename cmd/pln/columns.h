/* SPDX-License-Identifier: Apache-2.0 */
/* A table on stdout whose columns are as wide as what is in them. */
#ifndef PLN_CMD_COLUMNS_H
#define PLN_CMD_COLUMNS_H

#include <stddef.h>

enum { PLN_COLUMNS_MAX = 16 };

typedef struct pln_columns {
    size_t count;
    char **cells; /* Row by row. */
    const char **colors;
    size_t used, cap;
} pln_columns;

/* The titles, in upper case by custom, ended by NULL. */
void pln_columns_init(pln_columns *columns, const char *const *titles);

/* The next cell: text is copied; color is an escape sequence that lives as long as the table, or
 * NULL.  Without memory the table ends here. */
void pln_columns_add(pln_columns *columns, const char *text, const char *color);
__attribute__((format(printf, 2, 3))) void pln_columns_addf(pln_columns *columns,
                                                            const char *format, ...);

/* Prints it and frees everything. */
void pln_columns_end(pln_columns *columns);

#endif
