/* SPDX-License-Identifier: Apache-2.0 */
/* Everybody this node knows: the peers it keeps, and the members it only heard of. */
#ifndef PLN_CMD_KNOWN_H
#define PLN_CMD_KNOWN_H

#include <stdbool.h>

#include <pollen/cluster.h>

/* At least one of the two is there. */
typedef struct pln_known_peer {
    pollen_key key;
    const pollen_peer *peer;     /* NULL: only heard of. */
    const pollen_member *member; /* NULL: nothing was heard of it. */
} pln_known_peer;

typedef struct pln_known {
    pln_known_peer *items; /* In the order of the keys, without this node. */
    size_t count;
    pollen_peer *peers;
    pollen_member *members;
} pln_known;

/*
 * Owner:  pln_known_fini() frees what ret holds.
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_known_take(pollen_mesh *mesh, pln_known *ret);
void pln_known_fini(pln_known *known);

bool pln_known_is_revoked(const pln_known_peer *peer);

/* Where it was or may be reached; NULL when no address is known. */
const pollen_addr *pln_known_addr(const pln_known_peer *peer);

#endif
