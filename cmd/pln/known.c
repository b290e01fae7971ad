/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/known.h"

#include <stdlib.h>

#include "base/key.h"

typedef struct counts {
    size_t peers, members;
} counts;

/* Room for one more than there were: somebody may come in between, and calloc(0) may give NULL. */
static pollen_err read_lists(pollen_mesh *mesh, pln_known *known, counts *ret) {
    const size_t peer_cap = pollen_mesh_peers(mesh, NULL, 0) + 1;
    const size_t member_cap = pollen_mesh_members(mesh, NULL, 0) + 1;
    known->peers = calloc(peer_cap, sizeof *known->peers);
    known->members = calloc(member_cap, sizeof *known->members);
    known->items = calloc(peer_cap + member_cap, sizeof *known->items);
    if (known->peers == NULL || known->members == NULL || known->items == NULL) {
        return POLLEN_ENOMEM;
    }
    const size_t peers = pollen_mesh_peers(mesh, known->peers, peer_cap);
    const size_t members = pollen_mesh_members(mesh, known->members, member_cap);
    *ret =
        (counts){peers < peer_cap ? peers : peer_cap, members < member_cap ? members : member_cap};
    return POLLEN_OK;
}

static void add(pln_known *known, const pollen_key *own, const pollen_peer *peer,
                const pollen_member *member) {
    const pollen_key *key = peer != NULL ? &peer->key : &member->key;
    if (!pln_key_equal(key, own)) {
        known->items[known->count++] = (pln_known_peer){*key, peer, member};
    }
}

/* Both lists are in the order of the keys. */
static void merge(pln_known *known, const pollen_key *own, const counts *n) {
    size_t p = 0;
    size_t m = 0;
    while (p < n->peers || m < n->members) {
        const pollen_peer *peer = p < n->peers ? &known->peers[p] : NULL;
        const pollen_member *member = m < n->members ? &known->members[m] : NULL;
        const int order = peer == NULL     ? 1
                          : member == NULL ? -1
                                           : pln_key_compare(&peer->key, &member->key);
        add(known, own, order <= 0 ? peer : NULL, order >= 0 ? member : NULL);
        p += order <= 0 ? 1 : 0;
        m += order >= 0 ? 1 : 0;
    }
}

pollen_err pln_known_take(pollen_mesh *mesh, pln_known *ret) {
    pln_known known = {0};
    counts n;
    const pollen_err err = read_lists(mesh, &known, &n);
    if (err != POLLEN_OK) {
        pln_known_fini(&known);
        return err;
    }
    const pollen_key own = pollen_mesh_key(mesh);
    merge(&known, &own, &n);
    *ret = known;
    return POLLEN_OK;
}

void pln_known_fini(pln_known *known) {
    free(known->peers);
    free(known->members);
    free(known->items);
    *known = (pln_known){0};
}

bool pln_known_is_revoked(const pln_known_peer *peer) {
    return peer->member != NULL && peer->member->revoked;
}

static const pollen_addr *first_dialable(const pollen_addr *addrs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (addrs[i].port != 0) {
            return &addrs[i];
        }
    }
    return NULL;
}

const pollen_addr *pln_known_addr(const pln_known_peer *peer) {
    const pollen_addr *addr = NULL;
    if (peer->peer != NULL && peer->peer->last_addr.port != 0) {
        return &peer->peer->last_addr;
    }
    if (peer->member != NULL && peer->member->last_addr.port != 0) {
        return &peer->member->last_addr;
    }
    if (peer->peer != NULL) {
        addr = first_dialable(peer->peer->addrs, peer->peer->addr_count);
    }
    if (addr == NULL && peer->member != NULL) {
        addr = first_dialable(peer->member->addrs, peer->member->addr_count);
    }
    return addr;
}
