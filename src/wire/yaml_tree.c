/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml_tree.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

/* A list or map that is open, and where its next child goes. */
typedef struct level {
    pln_yaml_node *node;
    pln_yaml_node **tail;
    size_t children;
} level;

typedef struct builder {
    yaml_parser_t parser;
    pln_yaml_node *root;
    level levels[PLN_YAML_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    char *why;
} builder;

static pollen_err fail(char *why, size_t line, const char *text) {
    if (why != NULL) {
        (void)snprintf(why, PLN_YAML_WHY_BYTES, "line %zu: %s", line, text);
    }
    return POLLEN_EPROTO;
}

pollen_err pln_yaml_fail(const pln_yaml_node *node, const char *text,
                         char why[PLN_YAML_WHY_BYTES]) {
    return fail(why, node != NULL ? node->line : 1, text);
}

static size_t line_of(const yaml_event_t *event) {
    return event->start_mark.line + 1;
}

/* A new node in its place; NULL when there is no memory. */
static pln_yaml_node *add_node(builder *b, pln_yaml_kind kind, const yaml_event_t *event) {
    pln_yaml_node *node = pln_calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->line = (uint32_t)line_of(event);
    b->nodes += 1;
    if (b->depth == 0) {
        PLN_ASSERT(b->root == NULL);
        b->root = node;
        return node;
    }
    level *top = &b->levels[b->depth - 1];
    *top->tail = node;
    top->tail = &node->next;
    top->children += 1;
    return node;
}

/* Whether the node that comes next is a key of a map. */
static bool is_at_key(const builder *b) {
    if (b->depth == 0) {
        return false;
    }
    const level *top = &b->levels[b->depth - 1];
    return top->node->kind == PLN_YAML_MAP && top->children % 2 == 0;
}

/* What holds for every scalar, list and map before it is added. */
static pollen_err check_node(builder *b, const yaml_event_t *event, const yaml_char_t *tag) {
    if (tag != NULL) {
        return fail(b->why, line_of(event), "explicit tags are not supported");
    }
    if (b->nodes == PLN_YAML_NODES_MAX) {
        return fail(b->why, line_of(event), "too large");
    }
    return POLLEN_OK;
}

static pollen_err open_level(builder *b, const yaml_event_t *event, pln_yaml_kind kind,
                             const yaml_char_t *tag) {
    pollen_err err = check_node(b, event, tag);
    if (err != POLLEN_OK) {
        return err;
    }
    if (b->depth == PLN_YAML_DEPTH_MAX) {
        return fail(b->why, line_of(event), "too deep");
    }
    if (is_at_key(b)) {
        return fail(b->why, line_of(event), "a key must be a scalar");
    }
    pln_yaml_node *node = add_node(b, kind, event);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    b->levels[b->depth++] = (level){.node = node, .tail = &node->child};
    return POLLEN_OK;
}

static bool has_key(const pln_yaml_node *map, const char *key) {
    for (const pln_yaml_node *node = map->child; node != NULL && node->next != NULL;
         node = node->next->next) {
        if (strcmp(node->text, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Before a key is added all keys in the map have their values, so that it does not find itself. */
static pollen_err check_key(const builder *b, const yaml_event_t *event) {
    const level *top = &b->levels[b->depth - 1];
    if (top->children / 2 == PLN_YAML_KEYS_MAX) {
        return fail(b->why, line_of(event), "too many keys");
    }
    if (has_key(top->node, (const char *)event->data.scalar.value)) {
        return fail(b->why, line_of(event), "a key is there twice");
    }
    return POLLEN_OK;
}

static pollen_err add_scalar(builder *b, const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    pollen_err err = check_node(b, event, event->data.scalar.tag);
    if (err == POLLEN_OK && memchr(value, '\0', size) != NULL) {
        err = fail(b->why, line_of(event), "a NUL in a text");
    }
    if (err == POLLEN_OK && is_at_key(b)) {
        err = check_key(b, event);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    pln_yaml_node *node = add_node(b, PLN_YAML_SCALAR, event);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = pln_memdup(value, size + 1);
    return node->text != NULL ? POLLEN_OK : POLLEN_ENOMEM;
}

static pollen_err handle_event(builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(b, event, PLN_YAML_LIST, event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_level(b, event, PLN_YAML_MAP, event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        PLN_ASSERT(b->depth > 0);
        b->depth -= 1;
        return POLLEN_OK;
    case YAML_ALIAS_EVENT:
        return fail(b->why, line_of(event), "aliases are not supported");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return POLLEN_OK;
    }
    return POLLEN_OK;
}

static pollen_err next_event(builder *b, yaml_event_t *event) {
    if (yaml_parser_parse(&b->parser, event) != 0) {
        return POLLEN_OK;
    }
    if (b->parser.error == YAML_MEMORY_ERROR) {
        return POLLEN_ENOMEM;
    }
    const char *problem = b->parser.problem;
    return fail(b->why, b->parser.problem_mark.line + 1, problem != NULL ? problem : "malformed");
}

/* Only the first document counts, as for the reference. */
static pollen_err build(builder *b) {
    for (;;) {
        yaml_event_t event;
        pollen_err err = next_event(b, &event);
        if (err != POLLEN_OK) {
            return err;
        }
        bool last = event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_STREAM_END_EVENT;
        err = handle_event(b, &event);
        yaml_event_delete(&event);
        if (last || err != POLLEN_OK) {
            return err;
        }
    }
}

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] != ' ' && !(text[i] >= '\t' && text[i] <= '\r')) {
            return false;
        }
    }
    return true;
}

pollen_err pln_yaml_parse(const char *text, size_t size, pln_yaml_node **ret_root,
                          char why[PLN_YAML_WHY_BYTES]) {
    if (is_blank(text, size)) {
        *ret_root = NULL;
        return POLLEN_OK;
    }
    builder b = {.why = why};
    if (yaml_parser_initialize(&b.parser) == 0) {
        return POLLEN_ENOMEM;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    pollen_err err = build(&b);
    yaml_parser_delete(&b.parser);
    if (err != POLLEN_OK) {
        pln_yaml_free(b.root);
        return err;
    }
    *ret_root = b.root;
    return POLLEN_OK;
}

/* Puts the children of each node before what follows it, so that one pass frees all without
 * recursion. The tail is found by walking; each node is walked over once as a child. */
void pln_yaml_free(pln_yaml_node *root) {
    while (root != NULL) {
        pln_yaml_node *node = root;
        root = node->next;
        if (node->child != NULL) {
            pln_yaml_node *tail = node->child;
            while (tail->next != NULL) {
                tail = tail->next;
            }
            tail->next = root;
            root = node->child;
        }
        pln_free(node->text);
        pln_free(node);
    }
}

bool pln_yaml_is_null(const pln_yaml_node *node) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != PLN_YAML_SCALAR || !node->plain) {
        return false;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(node->text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

const pln_yaml_node *pln_yaml_get(const pln_yaml_node *map, const char *key) {
    if (map == NULL) {
        return NULL;
    }
    PLN_ASSERT(map->kind == PLN_YAML_MAP);
    for (const pln_yaml_node *node = map->child; node != NULL; node = node->next->next) {
        if (strcmp(node->text, key) == 0) {
            return pln_yaml_is_null(node->next) ? NULL : node->next;
        }
    }
    return NULL;
}
