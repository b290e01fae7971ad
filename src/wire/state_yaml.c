/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/state_yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "wire/base64.h"
#include "wire/yaml_tree.h"

static void peer_fini(pln_saved_peer *peer) {
    for (size_t i = 0; i < peer->addr_count; i++) {
        pln_free(peer->addrs[i]);
    }
    pln_free(peer->addrs);
    pln_free(peer->last_addr);
    *peer = (pln_saved_peer){0};
}

void pln_saved_state_fini(pln_saved_state *state) {
    for (size_t i = 0; i < state->peer_count; i++) {
        peer_fini(&state->peers[i]);
    }
    for (size_t i = 0; i < state->service_count; i++) {
        pln_free(state->services[i].name);
    }
    for (size_t i = 0; i < state->revocation_count; i++) {
        pln_revocation_fini(&state->revocations[i]);
    }
    pln_free(state->peers);
    pln_free(state->services);
    pln_free(state->connections);
    pln_free(state->revocations);
    *state = (pln_saved_state){0};
}

void pln_saved_state_shrink(pln_saved_state *state) {
    size_t peers = 0;
    for (size_t i = 0; i < state->peer_count; i++) {
        if (state->peers[i].last_addr != NULL) {
            state->peers[peers++] = state->peers[i];
        } else {
            peer_fini(&state->peers[i]);
        }
    }
    size_t services = 0;
    for (size_t i = 0; i < state->service_count; i++) {
        if (state->has_local && pln_key_equal(&state->services[i].provider, &state->local)) {
            state->services[services++] = state->services[i];
        } else {
            pln_free(state->services[i].name);
        }
    }
    state->peer_count = peers;
    state->service_count = services;
}

/* Room for one more item: the items, moved perhaps, or NULL when there is no memory.  Capacity is
 * the power of two that is not below count. */
static void *grow(void *items, size_t count, size_t size) {
    if (count > 0 && (count & (count - 1)) != 0) {
        return items;
    }
    return pln_realloc(items, (count > 0 ? count * 2 : 1) * size);
}

/* ---- Fields ---------------------------------------------------------------------------------- */

/* The text of a scalar; NULL when absent. */
static pollen_err read_text(const pln_yaml_node *map, const char *key, const char **ret,
                            char *why) {
    const pln_yaml_node *node = pln_yaml_get(map, key);
    if (node != NULL && node->kind != PLN_YAML_SCALAR) {
        return pln_yaml_fail(node, "a text is needed", why);
    }
    *ret = node != NULL ? node->text : NULL;
    return POLLEN_OK;
}

static bool parse_u32(const char *text, uint32_t *ret) {
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

/* Left as it is when absent. */
static pollen_err read_u32(const pln_yaml_node *map, const char *key, uint32_t *ret, char *why) {
    const pln_yaml_node *node = pln_yaml_get(map, key);
    if (node == NULL) {
        return POLLEN_OK;
    }
    if (node->kind != PLN_YAML_SCALAR || !node->plain || !parse_u32(node->text, ret)) {
        return pln_yaml_fail(node, "a number from 0 to 4294967295 is needed", why);
    }
    return POLLEN_OK;
}

/* *ret_valid tells whether there is a key of 64 hex digits. */
static pollen_err read_key(const pln_yaml_node *map, const char *name, pollen_key *ret,
                           bool *ret_valid, char *why) {
    const char *text = NULL;
    pollen_err err = read_text(map, name, &text, why);
    if (err == POLLEN_OK) {
        *ret_valid = text != NULL && pollen_key_parse(text, ret) == POLLEN_OK;
    }
    return err;
}

/* ---- Entries --------------------------------------------------------------------------------- */

typedef pollen_err (*read_entry)(const pln_yaml_node *entry, pln_saved_state *state, char *why);

static pollen_err push_addr(pln_saved_peer *peer, const char *text) {
    char **grown = grow(peer->addrs, peer->addr_count, sizeof(*grown));
    if (grown == NULL) {
        return POLLEN_ENOMEM;
    }
    peer->addrs = grown;
    char *addr = pln_strdup(text);
    if (addr == NULL) {
        return POLLEN_ENOMEM;
    }
    peer->addrs[peer->addr_count++] = addr;
    return POLLEN_OK;
}

/* More addresses than a node may tell of itself are left out. */
static pollen_err read_addrs(const pln_yaml_node *entry, pln_saved_peer *peer, char *why) {
    const pln_yaml_node *list = pln_yaml_get(entry, "addresses");
    if (list == NULL) {
        return POLLEN_OK;
    }
    if (list->kind != PLN_YAML_LIST) {
        return pln_yaml_fail(list, "a list of addresses is needed", why);
    }
    for (const pln_yaml_node *node = list->child; node != NULL; node = node->next) {
        if (node->kind != PLN_YAML_SCALAR) {
            return pln_yaml_fail(node, "an address must be a text", why);
        }
        if (peer->addr_count == PLN_GOSSIP_IPS_MAX) {
            continue;
        }
        pollen_err err = push_addr(peer, node->text);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

static pollen_err fill_peer(const pln_yaml_node *entry, pln_saved_peer *peer, char *why) {
    const char *last_addr = NULL;
    pollen_err err = read_text(entry, "lastAddr", &last_addr, why);
    if (err == POLLEN_OK && last_addr != NULL && last_addr[0] != '\0') {
        peer->last_addr = pln_strdup(last_addr);
        err = peer->last_addr != NULL ? POLLEN_OK : POLLEN_ENOMEM;
    }
    if (err == POLLEN_OK) {
        err = read_addrs(entry, peer, why);
    }
    if (err == POLLEN_OK) {
        err = read_u32(entry, "port", &peer->port, why);
    }
    if (err == POLLEN_OK) {
        err = read_u32(entry, "externalPort", &peer->external_port, why);
    }
    return err;
}

/* Takes what peer holds on success. */
static pollen_err push_peer(pln_saved_state *state, const pln_saved_peer *peer) {
    pln_saved_peer *grown = grow(state->peers, state->peer_count, sizeof(*grown));
    if (grown == NULL) {
        return POLLEN_ENOMEM;
    }
    state->peers = grown;
    state->peers[state->peer_count++] = *peer;
    return POLLEN_OK;
}

static pollen_err read_peer(const pln_yaml_node *entry, pln_saved_state *state, char *why) {
    pln_saved_peer peer = {0};
    bool valid = false;
    pollen_err err = read_key(entry, "identityPublic", &peer.key, &valid, why);
    if (err == POLLEN_OK) {
        err = fill_peer(entry, &peer, why);
    }
    if (err == POLLEN_OK && valid) {
        err = push_peer(state, &peer);
    }
    if (err != POLLEN_OK || !valid) {
        peer_fini(&peer);
    }
    return err;
}

static pollen_err read_service(const pln_yaml_node *entry, pln_saved_state *state, char *why) {
    pln_saved_service service = {0};
    const char *name = NULL;
    bool valid = false;
    pollen_err err = read_text(entry, "name", &name, why);
    if (err == POLLEN_OK) {
        err = read_key(entry, "provider", &service.provider, &valid, why);
    }
    if (err == POLLEN_OK) {
        err = read_u32(entry, "port", &service.port, why);
    }
    if (err != POLLEN_OK || !valid || name == NULL || name[0] == '\0') {
        return err;
    }
    pln_saved_service *grown = grow(state->services, state->service_count, sizeof(*grown));
    if (grown == NULL) {
        return POLLEN_ENOMEM;
    }
    state->services = grown;
    service.name = pln_strdup(name);
    if (service.name == NULL) {
        return POLLEN_ENOMEM;
    }
    state->services[state->service_count++] = service;
    return POLLEN_OK;
}

/* One that is no address is left out: then it is loopback, which harms nobody. */
static pollen_err read_bind(const pln_yaml_node *entry, char *ret, char *why) {
    const char *text = NULL;
    const pollen_err err = read_text(entry, "bind", &text, why);
    if (err == POLLEN_OK && text != NULL && strlen(text) < PLN_SAVED_BIND_BYTES) {
        memcpy(ret, text, strlen(text) + 1);
    }
    return err;
}

static pollen_err read_connection(const pln_yaml_node *entry, pln_saved_state *state, char *why) {
    pln_saved_connection connection = {0};
    bool valid = false;
    pollen_err err = read_key(entry, "peer", &connection.peer, &valid, why);
    if (err == POLLEN_OK) {
        err = read_u32(entry, "remotePort", &connection.remote_port, why);
    }
    if (err == POLLEN_OK) {
        err = read_u32(entry, "localPort", &connection.local_port, why);
    }
    if (err == POLLEN_OK) {
        err = read_bind(entry, connection.bind, why);
    }
    if (err != POLLEN_OK || !valid) {
        return err;
    }
    pln_saved_connection *grown = grow(state->connections, state->connection_count, sizeof(*grown));
    if (grown == NULL) {
        return POLLEN_ENOMEM;
    }
    state->connections = grown;
    state->connections[state->connection_count++] = connection;
    return POLLEN_OK;
}

/* POLLEN_EPROTO when it is no revocation. */
static pollen_err decode_revocation(const char *text, pln_revocation *ret) {
    uint8_t bytes[PLN_CERT_BYTES_MAX];
    size_t count;
    pollen_err err = pln_base64_decode(text, strlen(text), bytes, sizeof(bytes), &count);
    return err == POLLEN_OK ? pln_revocation_decode(bytes, count, ret) : err;
}

pollen_err pln_saved_state_add_revocation(pln_saved_state *state, const char *data) {
    pln_revocation revocation;
    const pollen_err err = decode_revocation(data, &revocation);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_revocation *grown = grow(state->revocations, state->revocation_count, sizeof(*grown));
    if (grown == NULL) {
        pln_revocation_fini(&revocation);
        return POLLEN_ENOMEM;
    }
    state->revocations = grown;
    state->revocations[state->revocation_count++] = revocation;
    return POLLEN_OK;
}

static pollen_err read_revocation(const pln_yaml_node *entry, pln_saved_state *state, char *why) {
    const char *data = NULL;
    pollen_key subject;
    bool named = false;
    pollen_err err = read_text(entry, "data", &data, why);
    if (err == POLLEN_OK) {
        err = read_key(entry, "subjectPub", &subject, &named, why);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    err = data != NULL ? pln_saved_state_add_revocation(state, data) : POLLEN_EPROTO;
    if (err == POLLEN_EPROTO) {
        state->bad_revocations += 1; /* One bad line must not make the node forget the others. */
        return POLLEN_OK;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    const pln_revocation *added = &state->revocations[state->revocation_count - 1];
    if (!named || !pln_key_equal(&subject, &added->subject_pub)) {
        state->mismatched_revocations += 1;
    }
    return POLLEN_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

static pollen_err read_list(const pln_yaml_node *root, const char *key, read_entry read,
                            pln_saved_state *state, char *why) {
    const pln_yaml_node *list = pln_yaml_get(root, key);
    if (list == NULL) {
        return POLLEN_OK;
    }
    if (list->kind != PLN_YAML_LIST) {
        return pln_yaml_fail(list, "a list is needed", why);
    }
    for (const pln_yaml_node *entry = list->child; entry != NULL; entry = entry->next) {
        if (entry->kind != PLN_YAML_MAP) {
            return pln_yaml_fail(entry, "a map is needed", why);
        }
        pollen_err err = read(entry, state, why);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

static pollen_err read_local(const pln_yaml_node *root, pln_saved_state *state, char *why) {
    const pln_yaml_node *local = pln_yaml_get(root, "local");
    if (local == NULL) {
        return POLLEN_OK;
    }
    if (local->kind != PLN_YAML_MAP) {
        return pln_yaml_fail(local, "a map is needed", why);
    }
    return read_key(local, "identityPublic", &state->local, &state->has_local, why);
}

static pollen_err read_root(const pln_yaml_node *root, pln_saved_state *state, char *why) {
    static const struct {
        const char *key;
        read_entry read;
    } lists[] = {
        {"peers", read_peer},
        {"services", read_service},
        {"connections", read_connection},
        {"revocations", read_revocation},
    };
    if (root == NULL || pln_yaml_is_null(root)) {
        return POLLEN_OK;
    }
    if (root->kind != PLN_YAML_MAP) {
        return pln_yaml_fail(root, "a map is needed", why);
    }
    pollen_err err = read_local(root, state, why);
    for (size_t i = 0; err == POLLEN_OK && i < sizeof(lists) / sizeof(lists[0]); i++) {
        err = read_list(root, lists[i].key, lists[i].read, state, why);
    }
    return err;
}

/* By key, then by place in the file, which is the order of the addresses. */
static int compare_peers(const void *a, const void *b) {
    const pln_saved_peer *left = *(pln_saved_peer *const *)a;
    const pln_saved_peer *right = *(pln_saved_peer *const *)b;
    int order = pln_key_compare(&left->key, &right->key);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Sorts the peers by key and keeps the last entry of each. */
static pollen_err settle_peers(pln_saved_state *state) {
    size_t count = state->peer_count;
    if (count < 2) {
        return POLLEN_OK;
    }
    pln_saved_peer **order = pln_calloc(count, sizeof(*order));
    pln_saved_peer *sorted = pln_calloc(count, sizeof(*sorted));
    if (order == NULL || sorted == NULL) {
        pln_free(order);
        pln_free(sorted);
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = &state->peers[i];
    }
    qsort(order, count, sizeof(*order), compare_peers);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && pln_key_equal(&order[i]->key, &order[i + 1]->key)) {
            peer_fini(order[i]);
        } else {
            sorted[kept++] = *order[i];
        }
    }
    pln_free(order);
    pln_free(state->peers);
    state->peers = sorted;
    state->peer_count = kept;
    return POLLEN_OK;
}

pollen_err pln_saved_state_decode(const char *text, size_t size, pln_saved_state *ret, char *why) {
    pln_yaml_node *root;
    if (size > PLN_STATE_TEXT_MAX) {
        (void)pln_yaml_fail(NULL, "too large", why);
        return POLLEN_ESTATE;
    }
    pollen_err err = pln_yaml_parse(text, size, &root, why);
    if (err == POLLEN_OK) {
        pln_saved_state state = {0};
        err = read_root(root, &state, why);
        pln_yaml_free(root);
        if (err == POLLEN_OK) {
            err = settle_peers(&state);
        }
        if (err == POLLEN_OK) {
            *ret = state;
        } else {
            pln_saved_state_fini(&state);
        }
    }
    return err == POLLEN_EPROTO ? POLLEN_ESTATE : err;
}
