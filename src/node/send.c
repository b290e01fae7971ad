/* SPDX-License-Identifier: Apache-2.0 */
#include "node/send.h"

#include <string.h>

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
