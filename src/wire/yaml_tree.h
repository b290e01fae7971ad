/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML read into a tree, for the reference's two files.  Aliases are refused, because they let a
 * short text stand for an endless one, and so are explicit tags; keys are scalars, each once in its
 * map.
 */
#ifndef PLN_WIRE_YAML_TREE_H
#define PLN_WIRE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

enum { PLN_YAML_WHY_BYTES = 128 };

typedef enum pln_yaml_kind {
    PLN_YAML_SCALAR,
    PLN_YAML_LIST,
    PLN_YAML_MAP,
} pln_yaml_kind;

typedef struct pln_yaml_node pln_yaml_node;
struct pln_yaml_node {
    pln_yaml_kind kind;
    bool plain; /* A scalar without quotes, which YAML may take for something else than text. */
    uint32_t line;
    char *text;           /* Of a scalar; ends with a NUL and has none inside. */
    pln_yaml_node *child; /* Of a list the elements, of a map keys and values in turn. */
    pln_yaml_node *next;
};

/*
 * Owner:  ret_root is the caller's (pln_yaml_free); NULL for an empty text.
 * Errors: POLLEN_EPROTO  malformed or over the limits; why (may be NULL) says what and where
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_yaml_parse(const char *text, size_t size, pln_yaml_node **ret_root,
                                          char why[PLN_YAML_WHY_BYTES]);
void pln_yaml_free(pln_yaml_node *root);

/* The value of a key; NULL when the map has no such key, when its value is null, or for a NULL
 * map. */
const pln_yaml_node *pln_yaml_get(const pln_yaml_node *map, const char *key);

/* ~, null or nothing at all. */
bool pln_yaml_is_null(const pln_yaml_node *node);

/* Writes "line <n>: <text>" into why; returns POLLEN_EPROTO. */
pollen_err pln_yaml_fail(const pln_yaml_node *node, const char *text, char why[PLN_YAML_WHY_BYTES]);

#endif
