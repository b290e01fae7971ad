/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state.h"

#include <string.h>

#include "base/mem.h"
#include "state/internal.h"

static pollen_err add_self(pln_state *state, const pollen_key *local) {
    pollen_err err = pln_authors_admit(state, local, NULL, &state->self);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_gossip_event event = {.kind = PLN_CHANGE_IDENTITY,
                              .identity = {.has_key = true, .key = *local}};
    return pln_own_put(state, &event, NULL, true);
}

pollen_err pln_state_create(const pln_state_config *config, pln_state **ret) {
    pln_state *state = pln_calloc(1, sizeof(*state));
    if (state == NULL) {
        return POLLEN_ENOMEM;
    }
    state->rng = config->rng;
    state->log = config->log;
    pln_revocations_init(&state->revocations);
    pollen_err err = add_self(state, &config->local);
    if (err == POLLEN_OK && config->trust != NULL) {
        err = pln_state_set_trust(state, config->trust);
    }
    if (err != POLLEN_OK) {
        pln_state_destroy(state);
        return err;
    }
    state->urgency = PLN_STATE_SAVED;
    *ret = state;
    return POLLEN_OK;
}

void pln_state_destroy(pln_state *state) {
    if (state == NULL) {
        return;
    }
    pln_authors_free(state);
    pln_revocations_fini(&state->revocations);
    pln_trust_fini(&state->trust);
    pln_free(state->queue);
    pln_free(state->connections);
    pln_free(state);
}

pollen_err pln_state_set_trust(pln_state *state, const pln_trust *trust) {
    pln_trust copy = {0};
    pollen_err err = pln_trust_copy(&copy, trust);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_trust_fini(&state->trust);
    state->trust = copy;
    state->has_trust = true;
    return POLLEN_OK;
}

void pln_state_get_stats(const pln_state *state, pln_state_stats *ret) {
    *ret = state->stats;
    ret->members = state->count;
    ret->hearsay = state->hearsay;
    ret->bytes = state->bytes;
}
