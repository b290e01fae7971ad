/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered set, intrusive: an AA tree (Andersson, "Balanced search trees made simple", 1993) that
 * counts.  Inserting and removing allocate nothing and so cannot fail; every operation is O(log n)
 * whatever the order in which strangers choose their keys.
 *
 * base/heap.h keeps equal deadlines in the order in which they were set.  Here peers that are due
 * together have to leave in the order of their keys, and the same structure iterates by key.
 */
#ifndef PLN_PEER_TREE_H
#define PLN_PEER_TREE_H

#include <stddef.h>
#include <stdint.h>

typedef struct pln_tree_node {
    struct pln_tree_node *left;
    struct pln_tree_node *right;
    size_t size; /* Of the subtree, itself included. */
    unsigned level;
} pln_tree_node;

/* Negative, 0 or positive; a total order in which no two members of one tree are equal. */
typedef int (*pln_tree_compare)(const pln_tree_node *a, const pln_tree_node *b);

typedef struct pln_tree {
    pln_tree_node *root;
    pln_tree_compare compare;
    uint64_t visited; /* Nodes looked at since init: what tests measure work by. */
} pln_tree;

void pln_tree_init(pln_tree *tree, pln_tree_compare compare);
void pln_tree_insert(pln_tree *tree, pln_tree_node *node);

/* The node is a member, and compares as it did when it was inserted. */
void pln_tree_remove(pln_tree *tree, pln_tree_node *node);

/* The member equal to the probe, which need not be one; NULL when there is none. */
pln_tree_node *pln_tree_find(const pln_tree *tree, const pln_tree_node *probe);

pln_tree_node *pln_tree_first(const pln_tree *tree); /* NULL when empty. */

/* The index-th member in order; NULL past the end. */
pln_tree_node *pln_tree_at(const pln_tree *tree, size_t index);

static inline size_t pln_tree_count(const pln_tree *tree) {
    return tree->root == NULL ? 0 : tree->root->size;
}

/* The struct that embeds the node. */
#define PLN_TREE_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
