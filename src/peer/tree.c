/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants, by level: a leaf is at 1; a left child is one below its parent; a right child is
 * at its parent's level or one below; a right grandchild is below its grandparent.  They bound the
 * depth, and with it the recursion, by 2 log2(n + 1).
 */
#include "peer/tree.h"

#include "base/assert.h"

void pln_tree_init(pln_tree *tree, pln_tree_compare compare) {
    *tree = (pln_tree){.compare = compare};
}

static unsigned level_of(const pln_tree_node *node) {
    return node == NULL ? 0 : node->level;
}

static size_t size_of(const pln_tree_node *node) {
    return node == NULL ? 0 : node->size;
}

static void recount(pln_tree_node *node) {
    PLN_ASSERT(node != NULL);
    node->size = 1 + size_of(node->left) + size_of(node->right);
}

/* A left child at its parent's level becomes the parent. */
static pln_tree_node *skew(pln_tree_node *node) {
    PLN_ASSERT(node->level > 0);
    pln_tree_node *left = node->left;
    if (level_of(left) != node->level) {
        return node;
    }
    node->left = left->right;
    left->right = node;
    recount(node);
    recount(left);
    return left;
}

/* Of three nodes in a row to the right at one level, the middle one rises. */
static pln_tree_node *split(pln_tree_node *node) {
    PLN_ASSERT(node->level > 0);
    pln_tree_node *right = node->right;
    if (right == NULL || level_of(right->right) != node->level) {
        return node;
    }
    node->right = right->left;
    right->left = node;
    right->level++;
    recount(node);
    recount(right);
    return right;
}

static pln_tree_node *insert_below(pln_tree *tree, pln_tree_node *root, pln_tree_node *node) {
    if (root == NULL) {
        return node;
    }
    tree->visited++;
    int order = tree->compare(node, root);
    PLN_ASSERT(order != 0);
    if (order < 0) {
        root->left = insert_below(tree, root->left, node);
    } else {
        root->right = insert_below(tree, root->right, node);
    }
    recount(root);
    return split(skew(root));
}

void pln_tree_insert(pln_tree *tree, pln_tree_node *node) {
    PLN_ASSERT(tree->compare != NULL);
    *node = (pln_tree_node){.size = 1, .level = 1};
    tree->root = insert_below(tree, tree->root, node);
}

/* After one of its subtrees has lost a node. */
static pln_tree_node *rebalance(pln_tree_node *root) {
    recount(root);
    unsigned left = level_of(root->left);
    unsigned right = level_of(root->right);
    unsigned level = (left < right ? left : right) + 1;
    if (level < root->level) {
        root->level = level;
        if (right > level) {
            root->right->level = level;
        }
    }
    root = skew(root);
    if (root->right != NULL) {
        root->right = skew(root->right);
        if (root->right->right != NULL) {
            root->right->right = skew(root->right->right);
        }
    }
    root = split(root);
    if (root->right != NULL) {
        root->right = split(root->right);
    }
    return root;
}

static pln_tree_node *detach_first(pln_tree *tree, pln_tree_node *root, pln_tree_node **ret_first) {
    tree->visited++;
    if (root->left == NULL) {
        *ret_first = root;
        return root->right;
    }
    root->left = detach_first(tree, root->left, ret_first);
    return rebalance(root);
}

/* The next larger member takes the place of the one that leaves. */
static pln_tree_node *detach_root(pln_tree *tree, pln_tree_node *root) {
    if (root->right == NULL) {
        return root->left;
    }
    pln_tree_node *heir = NULL;
    pln_tree_node *right = detach_first(tree, root->right, &heir);
    heir->left = root->left;
    heir->right = right;
    heir->level = root->level;
    return rebalance(heir);
}

static pln_tree_node *remove_below(pln_tree *tree, pln_tree_node *root, pln_tree_node *node) {
    PLN_ASSERT(root != NULL);
    tree->visited++;
    if (root == node) {
        return detach_root(tree, root);
    }
    if (tree->compare(node, root) < 0) {
        root->left = remove_below(tree, root->left, node);
    } else {
        root->right = remove_below(tree, root->right, node);
    }
    return rebalance(root);
}

void pln_tree_remove(pln_tree *tree, pln_tree_node *node) {
    PLN_ASSERT(node->size > 0);
    tree->root = remove_below(tree, tree->root, node);
    *node = (pln_tree_node){.size = 0};
}

pln_tree_node *pln_tree_find(const pln_tree *tree, const pln_tree_node *probe) {
    pln_tree_node *node = tree->root;
    while (node != NULL) {
        int order = tree->compare(probe, node);
        if (order == 0) {
            break;
        }
        node = order < 0 ? node->left : node->right;
    }
    return node;
}

pln_tree_node *pln_tree_first(const pln_tree *tree) {
    pln_tree_node *node = tree->root;
    while (node != NULL && node->left != NULL) {
        node = node->left;
    }
    return node;
}

pln_tree_node *pln_tree_at(const pln_tree *tree, size_t index) {
    pln_tree_node *node = tree->root;
    while (node != NULL) {
        size_t before = size_of(node->left);
        if (index == before) {
            break;
        }
        if (index < before) {
            node = node->left;
        } else {
            index -= before + 1;
            node = node->right;
        }
    }
    return node;
}
