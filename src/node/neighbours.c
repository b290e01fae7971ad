/* SPDX-License-Identifier: Apache-2.0 */
#include "node/neighbours.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/send.h"

void pln_neighbours_init(pln_neighbours *neighbours, pln_mesh *mesh, const pln_rng *rng) {
    *neighbours = (pln_neighbours){.mesh = mesh};
    pln_rng_fill(rng, neighbours->hash_key.bytes, sizeof neighbours->hash_key.bytes);
}

void pln_neighbours_fini(pln_neighbours *neighbours) {
    while (neighbours->map != NULL) {
        pln_neighbours_remove(neighbours, neighbours->map);
    }
    pln_bytes_fini(&neighbours->told);
}

pln_neighbour *pln_neighbours_find(const pln_neighbours *neighbours, const pollen_key *peer) {
    pln_neighbour *found;
    PLN_MAP_FIND(&neighbours->hash_key, neighbours->map, peer->bytes, POLLEN_KEY_BYTES, found);
    return found;
}

pln_neighbour *pln_neighbours_obtain(pln_neighbours *neighbours, const pollen_key *peer) {
    pln_neighbour *neighbour = pln_neighbours_find(neighbours, peer);
    if (neighbour != NULL) {
        return neighbour;
    }
    neighbour = pln_calloc(1, sizeof *neighbour);
    if (neighbour == NULL) {
        return NULL;
    }
    neighbour->key = *peer;
    neighbour->introduced_at = PLN_TS_NEVER;
    PLN_MAP_ADD(&neighbours->hash_key, neighbours->map, key, POLLEN_KEY_BYTES, neighbour);
    if (!PLN_MAP_ADDED(neighbour)) {
        pln_free(neighbour);
        return NULL;
    }
    return neighbour;
}

void pln_neighbours_remove(pln_neighbours *neighbours, pln_neighbour *neighbour) {
    PLN_ASSERT(neighbour != NULL);
    HASH_DEL(neighbours->map, neighbour);
    pln_free(neighbour);
}

void pln_neighbours_tell(const pln_neighbours *neighbours, const pln_neighbour *neighbour,
                         pln_now now) {
    if (neighbour != NULL && neighbour->speaks_2 && neighbours->told.size > 0) {
        (void)pln_node_send(neighbours->mesh, &neighbour->key, &neighbours->told, now);
    }
}

void pln_neighbours_tell_all(pln_neighbours *neighbours, const pln_whereabouts *ours, pln_now now) {
    pln_bytes envelope = {0};
    if (pln_whereabouts_encode(ours, &envelope) != POLLEN_OK) {
        return;
    }
    if (pln_bytes_equal(&envelope, &neighbours->told)) {
        pln_bytes_fini(&envelope);
        return;
    }
    pln_bytes_fini(&neighbours->told);
    neighbours->told = envelope;
    const pln_neighbour *neighbour, *next;
    HASH_ITER(hh, neighbours->map, neighbour, next) {
        pln_neighbours_tell(neighbours, neighbour, now);
    }
}
