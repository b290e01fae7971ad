/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of members, and what goes between them, for tests.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_state_rig) in CMake.  Whatever fails that a test does
 * not look at fails the running test.
 */
#ifndef TESTS_SUPPORT_STATE_RIG_H
#define TESTS_SUPPORT_STATE_RIG_H

#include "state/state.h"
#include "wire/envelope.h"
#include "wire/state.h"

/* Thirty-two times the same byte; such keys are no keys to sign with, which nobody needs here. */
pollen_key rig_key(uint8_t byte);

/* A key of its own for every number. */
pollen_key rig_key_of(uint32_t number);

/* Randomness is the same in every run.  Owner: the caller (pln_state_destroy). */
pln_state *rig_state(const pollen_key *local, const pln_trust *trust);

/* ---- Envelopes ------------------------------------------------------------------------------- */

/* Appends the events of an envelope to batch, which the caller ends with pln_gossip_batch_fini();
 * one of another kind fails the test. */
void rig_read_events(const pln_bytes *envelope, pln_gossip_batch *batch);

/* What is in an envelope, which must be of that kind.  Owner: borrowed from it */
const uint8_t *rig_body(const pln_bytes *envelope, pollen_envelope_kind kind, size_t *ret_size);
pln_gossip_clock rig_clock(const pln_bytes *envelope);

/* All that is to be broadcast.  Owner: the caller (pln_gossip_batch_fini). */
pln_gossip_batch rig_broadcast(pln_state *state);

/* All events of the list, which is emptied; envelopes of other kinds are left out. */
pln_gossip_batch rig_take_events(pln_envelopes *list);

/* What the state would answer the reference to that clock. */
pln_gossip_batch rig_missing_for(pln_state *state, const pln_gossip_clock *clock);

/* ---- Input ----------------------------------------------------------------------------------- */

/* A peer of the reference's kind with nothing on its account yet. */
pln_gossip_peer rig_peer(const pollen_key *key);

/* Has peer hand over the events, or that one event.  An event is finished by it. */
pollen_err rig_apply(pln_state *state, const pollen_key *peer, const pln_gossip_batch *batch);
void rig_apply_one(pln_state *state, const pollen_key *peer, pln_gossip_event *event);

pln_gossip_event rig_network(const pollen_key *author, uint64_t counter, const char *ip,
                             uint32_t port);
pln_gossip_event rig_external_port(const pollen_key *author, uint64_t counter, uint32_t port);
pln_gossip_event rig_service(const pollen_key *author, uint64_t counter, const char *name,
                             uint32_t port);
pln_gossip_event rig_reachability(const pollen_key *author, uint64_t counter,
                                  const pollen_key *peer);
pln_gossip_event rig_public(const pollen_key *author, uint64_t counter);
pln_gossip_event rig_identity(const pollen_key *author, uint64_t counter, int64_t expiry);
pln_gossip_event rig_revocation(const pollen_key *author, uint64_t counter,
                                const pln_revocation *revocation);
pln_gossip_event rig_deleted(pln_gossip_event event);

/* ---- Looking at it --------------------------------------------------------------------------- */

/* All that members told, as text, counters included; not what only stands in a file.  Owner: the
 * caller (pln_bytes_fini); ends with a NUL. */
pln_bytes rig_dump(const pln_state *state);
void rig_assert_equal(const pln_state *a, const pln_state *b);
void rig_assert_same_author(const pln_state *a, const pln_state *b, const pollen_key *author);

pln_member_info rig_member(const pln_state *state, const pollen_key *key); /* Fails when unknown. */
bool rig_knows(const pln_state *state, const pollen_key *key);

/* The port of the service, 0 when it is not served. */
uint32_t rig_service_port(const pln_state *state, const pollen_key *provider, const char *name);

/* How many REVOKED events wait; takes all events. */
size_t rig_take_revoked(pln_state *state);

/* Whether an event of that kind for the key waits; takes all events. */
bool rig_take_event(pln_state *state, pln_state_event_kind kind, const pollen_key *key);

#endif
