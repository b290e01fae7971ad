/* SPDX-License-Identifier: Apache-2.0 */
/* BootstrapPeer lists: 1 peer_pub, 2 addrs. */
#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "wire/admission_parts.h"
#include "wire/utf8.h"

static const pln_proto_schema peer_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_REPEATED},
};

static void bootstrap_fini(pln_bootstrap *peer) {
    for (size_t i = 0; i < peer->addr_count; i++) {
        pln_free(peer->addrs[i]);
    }
    pln_free(peer->addrs);
    *peer = (pln_bootstrap){0};
}

void pln_bootstraps_fini(pln_bootstraps *list) {
    for (size_t i = 0; i < list->count; i++) {
        bootstrap_fini(&list->items[i]);
    }
    pln_free(list->items);
    *list = (pln_bootstraps){0};
}

/* Takes addr, also when it fails. */
static bool push_addr(pln_bootstrap *peer, char *addr) {
    if (addr == NULL) {
        return false;
    }
    char **grown = pln_realloc(peer->addrs, (peer->addr_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        pln_free(addr);
        return false;
    }
    peer->addrs = grown;
    peer->addrs[peer->addr_count++] = addr;
    return true;
}

/* Takes what peer holds on success. */
static bool push_peer(pln_bootstraps *list, pln_bootstrap *peer) {
    pln_bootstrap *grown = pln_realloc(list->items, (list->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    list->items = grown;
    list->items[list->count++] = *peer;
    return true;
}

/* ---- Building -------------------------------------------------------------------------------- */

static bool has_addr(const pln_bootstrap *peer, const char *addr) {
    for (size_t i = 0; i < peer->addr_count; i++) {
        if (strcmp(peer->addrs[i], addr) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_addrs(pln_bootstrap *peer, const char *const *addrs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!has_addr(peer, addrs[i]) && !push_addr(peer, pln_strdup(addrs[i]))) {
            return false;
        }
    }
    return true;
}

pollen_err pln_bootstraps_add(pln_bootstraps *list, const pollen_key *peer,
                              const char *const *addrs, size_t addr_count) {
    for (size_t i = 0; i < list->count; i++) {
        pln_bootstrap *item = &list->items[i];
        if (pln_key_equal(&item->peer_pub, peer)) {
            return add_addrs(item, addrs, addr_count) ? POLLEN_OK : POLLEN_ENOMEM;
        }
    }
    pln_bootstrap added = {.peer_pub = *peer};
    if (!add_addrs(&added, addrs, addr_count) || !push_peer(list, &added)) {
        bootstrap_fini(&added);
        return POLLEN_ENOMEM;
    }
    return POLLEN_OK;
}

static bool copy_peer(pln_bootstraps *dst, const pln_bootstrap *src) {
    pln_bootstrap copy = {.peer_pub = src->peer_pub};
    for (size_t i = 0; i < src->addr_count; i++) {
        if (!push_addr(&copy, pln_strdup(src->addrs[i]))) {
            bootstrap_fini(&copy);
            return false;
        }
    }
    if (!push_peer(dst, &copy)) {
        bootstrap_fini(&copy);
        return false;
    }
    return true;
}

pollen_err pln_bootstraps_copy(pln_bootstraps *dst, const pln_bootstraps *src) {
    PLN_ASSERT(dst != src);
    pln_bootstraps copy = {0};
    for (size_t i = 0; i < src->count; i++) {
        if (!copy_peer(&copy, &src->items[i])) {
            pln_bootstraps_fini(&copy);
            *dst = (pln_bootstraps){0};
            return POLLEN_ENOMEM;
        }
    }
    *dst = copy;
    return POLLEN_OK;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static pollen_err read_addr(const pln_proto_field *field, pln_bootstrap *peer) {
    if (field->size == 0 || field->size > PLN_ADDR_TEXT_MAX || peer->addr_count == PLN_ADDRS_MAX ||
        !pln_utf8_is_text(field->data, field->size)) {
        return POLLEN_EPROTO;
    }
    char *addr = pln_malloc(field->size + 1);
    if (addr == NULL) {
        return POLLEN_ENOMEM;
    }
    memcpy(addr, field->data, field->size);
    addr[field->size] = '\0';
    return push_addr(peer, addr) ? POLLEN_OK : POLLEN_ENOMEM;
}

static pollen_err read_addrs(const pln_proto_message *msg, pln_bootstrap *peer) {
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (pln_proto_next_of(&scan, 2, &field)) {
        pollen_err err = read_addr(&field, peer);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    PLN_ASSERT(peer->addr_count <= PLN_ADDRS_MAX);
    return peer->addr_count > 0 ? POLLEN_OK : POLLEN_EPROTO;
}

static void write_peer(pln_out *out, uint32_t number, const pln_bootstrap *peer,
                       const pln_proto_message *decoded) {
    pln_out inner = {0};
    pln_proto_put_bytes(&inner, 1, peer->peer_pub.bytes, POLLEN_KEY_BYTES);
    for (size_t i = 0; i < peer->addr_count; i++) {
        pln_proto_put_present(&inner, 2, peer->addrs[i], strlen(peer->addrs[i]));
    }
    pln_proto_put_unknown(&inner, decoded);
    pln_proto_put_message(out, number, &inner);
}

static pollen_err read_peer(const pln_proto_field *field, pln_bootstraps *list, pln_out *out) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&peer_schema, field->data, field->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_bootstrap peer = {0};
    err =
        pln_admission_key(&msg.slots[1], &peer.peer_pub) ? read_addrs(&msg, &peer) : POLLEN_EPROTO;
    if (err == POLLEN_OK) {
        write_peer(out, field->number, &peer, &msg);
        err = push_peer(list, &peer) ? POLLEN_OK : POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        bootstrap_fini(&peer);
    }
    pln_proto_message_fini(&msg);
    return err;
}

pollen_err pln_bootstraps_read(const pln_proto_message *claims, uint32_t number,
                               pln_bootstraps *list, pln_out *out) {
    if (claims->slots[number].count > PLN_BOOTSTRAP_MAX) {
        return POLLEN_EPROTO;
    }
    pln_proto_scan scan = pln_proto_scan_of(claims->bytes, claims->size);
    pln_proto_field field;
    while (pln_proto_next_of(&scan, number, &field)) {
        pollen_err err = read_peer(&field, list, out);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static bool is_encodable(const pln_bootstrap *peer) {
    if (peer->addr_count == 0 || peer->addr_count > PLN_ADDRS_MAX) {
        return false;
    }
    for (size_t i = 0; i < peer->addr_count; i++) {
        size_t size = strlen(peer->addrs[i]);
        if (size == 0 || size > PLN_ADDR_TEXT_MAX ||
            !pln_utf8_is_text((const uint8_t *)peer->addrs[i], size)) {
            return false;
        }
    }
    return true;
}

pollen_err pln_bootstraps_write(const pln_bootstraps *list, uint32_t number, pln_out *out) {
    if (list->count > PLN_BOOTSTRAP_MAX) {
        return POLLEN_EINVAL;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!is_encodable(&list->items[i])) {
            return POLLEN_EINVAL;
        }
        write_peer(out, number, &list->items[i], NULL);
    }
    return POLLEN_OK;
}
