/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the inside of a mesh, for whoever runs it; the library's users have those of their
 * sessions. */
#ifndef PLN_CMD_COUNTERS_H
#define PLN_CMD_COUNTERS_H

#include <stdbool.h>

#include <pollen/mesh.h>

#include "mesh/mesh.h"
#include "state/state.h"

typedef struct pln_counters {
    pln_mesh_stats mesh;
    bool has_state; /* Without gossip there is none. */
    pln_state_stats state;
} pln_counters;

/* Errors: POLLEN_ECLOSED */
POLLEN_MUST_USE pollen_err pln_counters_take(pollen_mesh *mesh, pln_counters *ret);

#endif
