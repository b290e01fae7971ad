/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several states and a bad network between them: envelopes are lost, doubled and overtake each
 * other.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_state_net) in CMake.
 */
#ifndef TESTS_SUPPORT_STATE_NET_H
#define TESTS_SUPPORT_STATE_NET_H

#include "state/state.h"

enum { STATE_NET_MAX = 8 };

typedef struct state_message {
    size_t from;
    size_t to;
    pln_bytes envelope;
} state_message;

typedef struct state_net {
    size_t count;
    pollen_key keys[STATE_NET_MAX];
    pln_state *states[STATE_NET_MAX];
    bool reference[STATE_NET_MAX]; /* Does what the reference does, and no more. */
    bool linked[STATE_NET_MAX][STATE_NET_MAX];
    pln_gossip_peer peers[STATE_NET_MAX][STATE_NET_MAX]; /* [who][with whom] */
    const pln_trust *trust;
    pln_rng *rng;
    unsigned loss_percent;
    unsigned double_percent;
    size_t envelope_max;
    pln_ts now;
    state_message *queue;
    size_t queued;
    size_t cap;
    size_t delivered; /* Envelopes that arrived, */
    size_t bytes;     /* and what they held. */
    size_t largest;
} state_net;

/* All linked to each other; the first `references` of them are the reference's.  Owner:
 * state_net_fini(); rng and trust are borrowed. */
void state_net_init(state_net *net, size_t count, size_t references, pln_rng *rng,
                    const pln_trust *trust);
void state_net_fini(state_net *net);

void state_net_link(state_net *net, size_t a, size_t b, bool on);

/* Saves, forgets everything else, and loads. */
void state_net_restart(state_net *net, size_t index);

/* Takes what is to be broadcast, and sends it. */
void state_net_broadcast(state_net *net);

/* Ten seconds pass, everybody has a round with everybody, and what follows of it arrives. */
void state_net_round(state_net *net);

/* Delivers what is under way, and what follows of it, in any order. */
void state_net_run(state_net *net);

/* Whether all know the same, counters included. */
bool state_net_agrees(const state_net *net);

/* Rounds until all agree, max + 1 when they did not. */
unsigned state_net_settle(state_net *net, unsigned max);

#endif
