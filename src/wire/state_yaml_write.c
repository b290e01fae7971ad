/* SPDX-License-Identifier: Apache-2.0 */
/* Writing state.yaml: block style, indented by four, sorted.  As the reference does, what a peer
 * lacks is left out and the ports of services and connections are always there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "wire/base64.h"
#include "wire/state_yaml.h"
#include "wire/yaml_text.h"

/* ---- Order ----------------------------------------------------------------------------------- */

static int compare_u32(uint32_t a, uint32_t b) {
    return (a > b) - (a < b);
}

static int compare_peers(const void *a, const void *b) {
    const pln_saved_peer *left = *(const pln_saved_peer *const *)a;
    const pln_saved_peer *right = *(const pln_saved_peer *const *)b;
    return pln_key_compare(&left->key, &right->key);
}

static int compare_services(const void *a, const void *b) {
    const pln_saved_service *left = *(const pln_saved_service *const *)a;
    const pln_saved_service *right = *(const pln_saved_service *const *)b;
    int order = strcmp(left->name, right->name);
    if (order == 0) {
        order = pln_key_compare(&left->provider, &right->provider);
    }
    return order != 0 ? order : compare_u32(left->port, right->port);
}

static int compare_connections(const void *a, const void *b) {
    const pln_saved_connection *left = *(const pln_saved_connection *const *)a;
    const pln_saved_connection *right = *(const pln_saved_connection *const *)b;
    int order = pln_key_compare(&left->peer, &right->peer);
    if (order == 0) {
        order = compare_u32(left->remote_port, right->remote_port);
    }
    return order != 0 ? order : compare_u32(left->local_port, right->local_port);
}

static int compare_revocations(const void *a, const void *b) {
    const pln_revocation *left = *(const pln_revocation *const *)a;
    const pln_revocation *right = *(const pln_revocation *const *)b;
    return pln_key_compare(&left->subject_pub, &right->subject_pub);
}

/* ---- Entries --------------------------------------------------------------------------------- */

static void put_key(pln_out *out, const char *before, const pollen_key *key) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pln_out_text(out, before);
    pln_yaml_put_scalar(out, pollen_key_hex(key, hex));
    pln_out_text(out, "\n");
}

static void put_text(pln_out *out, const char *before, const char *text) {
    pln_out_text(out, before);
    pln_yaml_put_scalar(out, text);
    pln_out_text(out, "\n");
}

static void put_u32(pln_out *out, const char *name, uint32_t value) {
    pln_out_printf(out, "      %s: %" PRIu32 "\n", name, value);
}

static void put_u32_unless_zero(pln_out *out, const char *name, uint32_t value) {
    if (value != 0) {
        put_u32(out, name, value);
    }
}

static void put_peer(pln_out *out, const void *item) {
    const pln_saved_peer *peer = item;
    put_key(out, "    - identityPublic: ", &peer->key);
    if (peer->last_addr != NULL && peer->last_addr[0] != '\0') {
        put_text(out, "      lastAddr: ", peer->last_addr);
    }
    if (peer->addr_count > 0) {
        pln_out_text(out, "      addresses:\n");
    }
    for (size_t i = 0; i < peer->addr_count; i++) {
        put_text(out, "        - ", peer->addrs[i]);
    }
    put_u32_unless_zero(out, "port", peer->port);
    put_u32_unless_zero(out, "externalPort", peer->external_port);
}

static void put_service(pln_out *out, const void *item) {
    const pln_saved_service *service = item;
    put_text(out, "    - name: ", service->name);
    put_key(out, "      provider: ", &service->provider);
    put_u32(out, "port", service->port);
}

static void put_connection(pln_out *out, const void *item) {
    const pln_saved_connection *connection = item;
    put_key(out, "    - peer: ", &connection->peer);
    put_u32(out, "remotePort", connection->remote_port);
    put_u32(out, "localPort", connection->local_port);
    if (connection->bind[0] != '\0') {
        put_text(out, "      bind: ", connection->bind);
    }
}

static void put_revocation(pln_out *out, const void *item) {
    const pln_revocation *revocation = item;
    char *data = pln_malloc(PLN_BASE64_TEXT(revocation->wire.size) + 1);
    if (data == NULL) {
        out->failed = true;
        return;
    }
    (void)pln_base64_encode(revocation->wire.data, revocation->wire.size,
                            data); /* Ends with a NUL. */
    put_key(out, "    - subjectPub: ", &revocation->subject_pub);
    put_text(out, "      data: ", data);
    pln_free(data);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

typedef struct list {
    const char *name;
    const void *items;
    size_t count;
    size_t size; /* Of one item. */
    int (*compare)(const void *a, const void *b);
    void (*put)(pln_out *out, const void *item);
} list;

static void put_list(pln_out *out, const list *l) {
    if (l->count == 0 || out->failed) {
        return;
    }
    const void **order = pln_calloc(l->count, sizeof(*order));
    if (order == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        order[i] = (const uint8_t *)l->items + i * l->size;
    }
    qsort(order, l->count, sizeof(*order), l->compare);
    pln_out_text(out, l->name);
    pln_out_text(out, ":\n");
    for (size_t i = 0; i < l->count; i++) {
        l->put(out, order[i]);
    }
    pln_free(order);
}

static void put_local(pln_out *out, const pln_saved_state *state) {
    pln_out_text(out, "local:\n");
    if (state->has_local) {
        put_key(out, "    identityPublic: ", &state->local);
    } else {
        pln_out_text(out, "    identityPublic: \"\"\n");
    }
}

pollen_err pln_saved_state_encode(const pln_saved_state *state, pln_bytes *ret_text) {
    const list lists[] = {
        {"peers", state->peers, state->peer_count, sizeof(pln_saved_peer), compare_peers, put_peer},
        {"services", state->services, state->service_count, sizeof(pln_saved_service),
         compare_services, put_service},
        {"connections", state->connections, state->connection_count, sizeof(pln_saved_connection),
         compare_connections, put_connection},
        {"revocations", state->revocations, state->revocation_count, sizeof(pln_revocation),
         compare_revocations, put_revocation},
    };
    for (size_t i = 0; i < state->revocation_count; i++) {
        if (state->revocations[i].wire.size == 0) {
            return POLLEN_EINVAL;
        }
    }
    pln_out out = {0};
    pln_bytes text = {0};
    put_local(&out, state);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        put_list(&out, &lists[i]);
    }
    pollen_err err = pln_out_finish(&out, &text);
    if (err == POLLEN_OK) {
        *ret_text = text;
    }
    return err;
}
