/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbours: the peers that have a session, with what punching needs to know of each. */
#ifndef PLN_NODE_NEIGHBOURS_H
#define PLN_NODE_NEIGHBOURS_H

#include "base/bucket.h"
#include "base/hash.h"
#include "base/rng.h"
#include "mesh/mesh.h"
#include "wire/whereabouts.h"

typedef struct pln_neighbour {
    pollen_key key;
    UT_hash_handle hh;
    bool speaks_2;
    bool has_whereabouts; /* pollen/2: it told us. */
    pln_whereabouts whereabouts;
    uint32_t via;         /* Of the session's path. */
    bool punched;         /* The path goes through a hole. */
    pln_ts introduced_at; /* To our other neighbours; PLN_TS_NEVER: not. */
    unsigned words;       /* Of it that were passed on since then. */
    pln_bucket requests;  /* Coordination it may ask of us, */
    pln_bucket triggers;  /* and punches it may ask us for. */
    pln_bucket observed;  /* How often it may say where it sees us. */
} pln_neighbour;

typedef struct pln_neighbours {
    pln_mesh *mesh; /* Borrowed. */
    pln_neighbour *map;
    pln_hash_key hash_key;
    pln_bytes told; /* The whereabouts that they have of us: an envelope. */
} pln_neighbours;

void pln_neighbours_init(pln_neighbours *neighbours, pln_mesh *mesh, const pln_rng *rng);
void pln_neighbours_fini(pln_neighbours *neighbours);

/* NULL when the peer has no session. */
pln_neighbour *pln_neighbours_find(const pln_neighbours *neighbours, const pollen_key *peer);

/* Finds or adds; NULL when there is no memory. */
pln_neighbour *pln_neighbours_obtain(pln_neighbours *neighbours, const pollen_key *peer);
void pln_neighbours_remove(pln_neighbours *neighbours, pln_neighbour *neighbour);

/* Says again what is known of us, because datagrams get lost.  Nothing to NULL, and to those who
 * would not understand it. */
void pln_neighbours_tell(const pln_neighbours *neighbours, const pln_neighbour *neighbour,
                         pln_now now);

/* Tells everybody, if that is new. */
void pln_neighbours_tell_all(pln_neighbours *neighbours, const pln_whereabouts *ours, pln_now now);

#endif
