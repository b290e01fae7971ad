/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node looks like from outside: where its interfaces are, where peers see it, and what
 * that says of the NAT in between.
 */
#ifndef PLN_NODE_OUTSIDE_H
#define PLN_NODE_OUTSIDE_H

#include "node/prior.h"
#include "sock/verdict.h"
#include "wire/whereabouts.h"

typedef struct pln_outside {
    pln_nat_observations observations;
    pln_nat_verdict verdict; /* With what is remembered. */
    pln_nat_memory memory;
    bool memory_changed; /* Since it was taken. */
    uint16_t port;       /* Of the main socket; 0: not told yet. */
    uint64_t flows;      /* That punches of ours have begun so far. */
    /* Where a NAT that counts was last seen, and how many flows there were by then; 0: it does not
     * count. */
    uint16_t last;
    uint64_t flows_then;
    pollen_addr mapped; /* What our router forwards to us; port 0: nothing. */
} pln_outside;

/* Where the interfaces are.  True when that changed what was known of the outside. */
bool pln_outside_set_locals(pln_outside *outside, const pollen_addr *addrs, size_t count,
                            uint16_t port, pln_now now);

/* A peer tells where it sees the socket that its session is on.  True when the verdict, or the
 * address as others see it, is another now. */
bool pln_outside_observe(pln_outside *outside, const pln_nat_observation *observation, pln_now now);

/* The verdict of now, for whoever asks. */
void pln_outside_judge(const pln_outside *outside, pln_now now, pln_nat_verdict *ret);

/* What our router forwards to us, NULL for nothing.  True when that is another now. */
bool pln_outside_set_mapped(pln_outside *outside, const pollen_addr *addr);

/* The peer has no session any more. */
void pln_outside_observer_gone(pln_outside *outside, const pollen_key *observer, pln_ts now);

/* How many flows punches of ours have begun so far: each moves a NAT that counts on by one port,
 * and whoever aims at the one after the last seen would miss.  To be told before a word of a peer,
 * too. */
void pln_outside_note_flows(pln_outside *outside, uint64_t flows);

/* The peer has a session, and its word has come. */
bool pln_outside_has_word(const pln_outside *outside, const pollen_key *observer);

/* The newest word of each peer that has a session, newest first; NULL past the end.  Borrowed. */
const pln_nat_observation *pln_outside_observed_at(const pln_outside *outside, size_t index);

/* The addresses at which others may try this node: its interfaces', and the one that its router
 * forwards to it or else the one it is seen at.  Returns how many; *ret_port is the external port,
 * 0 when it says nothing (RFC 4787, 4.1: a hard NAT has another for everybody). */
size_t pln_outside_addrs(const pln_outside *outside, pollen_addr *ret, size_t max,
                         uint16_t *ret_port);

/* What peers are told: of the addresses we are seen at those that the verdict rests on, because the
 * next port of a NAT that counts is guessed from them; first of all where it is by now. */
void pln_outside_whereabouts(const pln_outside *outside, pln_whereabouts *ret);

/* What a peer told of itself. */
pln_nat_brief pln_outside_brief_of_peer(const pln_whereabouts *whereabouts);

bool pln_outside_is_local(const pln_outside *outside, const pollen_addr *addr); /* By its IP. */

#endif
