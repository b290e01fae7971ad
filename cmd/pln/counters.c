/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/counters.h"

#include "run/call.h"
#include "run/runtime.h"

static pollen_err take(pollen_mesh *mesh, void *arg) {
    pln_counters *counters = arg;
    const pln_state *state = pln_node_state(mesh->node);
    pln_mesh_get_stats(pln_node_mesh(mesh->node), &counters->mesh);
    counters->has_state = state != NULL;
    if (state != NULL) {
        pln_state_get_stats(state, &counters->state);
    }
    return POLLEN_OK;
}

pollen_err pln_counters_take(pollen_mesh *mesh, pln_counters *ret) {
    *ret = (pln_counters){.has_state = false};
    return pln_request(mesh, take, ret);
}
