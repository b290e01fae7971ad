/* SPDX-License-Identifier: Apache-2.0 */
/* The human form of what the machine contract says.  What is unknown prints as "?", never as "no".
 * */
#ifndef PLN_CMD_TABLE_H
#define PLN_CMD_TABLE_H

#include <jansson.h>
#include <stdbool.h>

typedef struct pln_table_options {
    bool peers;
    bool services;
    bool only; /* Without this node's own lines. */
    bool wide;
    bool all;
} pln_table_options;

void pln_table_status(const json_t *status, const pln_table_options *options);

/* One line, flushed; false when it could not be written. */
bool pln_table_event(const json_t *event);

#endif
