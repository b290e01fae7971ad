/* SPDX-License-Identifier: Apache-2.0 */
#include "node/send.h"

#include <string.h>

#include "wire/envelope.h"

bool pln_node_send(pln_mesh *mesh, const pollen_key *peer, const pln_bytes *envelope, pln_now now) {
    pln_chunk *chunk = pln_chunk_create(envelope->size);
    if (chunk == NULL) {
        return false;
    }
    memcpy(chunk->data, envelope->data, envelope->size);
    chunk->end = envelope->size;
    if (pln_mesh_send(mesh, peer, chunk, now) != POLLEN_OK) {
        pln_chunk_destroy(chunk);
        return false;
    }
    return true;
}

void pln_node_tell_observed(pln_mesh *mesh, const pollen_key *peer, const pollen_addr *addr,
                            pln_now now) {
    pln_bytes envelope = {0};
    if (pln_observed_address_encode(addr, &envelope) == POLLEN_OK) {
        (void)pln_node_send(mesh, peer, &envelope, now); /* It may be lost anyway. */
    }
    pln_bytes_fini(&envelope);
}
