/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node knows of the members: addresses, external ports, services, who reaches whom, who
 * is revoked.  Each member tells of itself by events; an event sets or withdraws one attribute of
 * its author under a counter that grows, and of two events for one attribute the higher counter
 * counts.  Whatever order, loss or duplication there is, nodes that keep on exchanging what they
 * miss come to know the same.
 *
 * Calling order: any number of commands and pln_state_handle_*(); then pln_state_poll_broadcast()
 * and pln_state_poll_event() until false.  Envelopes in a pln_envelopes go to the peer of the
 * call, those of poll_broadcast to every session.  A session that begins is told by
 * pln_state_greet(), and every session is given a pln_state_round() each ten seconds or so.
 *
 * To a node of pollen/2 a round sends a hash of everything; where it differs the two narrow the
 * difference down and send each other what is missing.  The reference understands clocks alone:
 * it answers one with all events above it, and takes an author that the clock does not name for
 * unknown.  So it gets one clock that names everybody as long as that fits a datagram.  When it
 * does not, the clock names those who have most to tell, and is sent the more seldom the more the
 * reference would send again. Since a clock cannot tell of a batch that was lost, now and then
 * one leaves out an author, and a few events are sent to the reference unasked.
 *
 * Nobody can prove who made an event that somebody passes on.  Therefore all is bounded: in
 * number, in size, in how far counters leap, in rate; members that no session ever proved are few
 * and give way first; and an author that learns of events it did not make, its own from an
 * earlier life mostly, overrides them.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_STATE_STATE_H
#define PLN_STATE_STATE_H

#include <pollen/addr.h>

#include "auth/revocation.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/rng.h"
#include "wire/state_yaml.h"

typedef struct pln_state pln_state;

typedef struct pln_state_config {
    pollen_key local;
    pln_rng rng;
    const pln_trust *trust; /* Copied; NULL while not enrolled: revocations are refused then. */
    const pln_log *log;     /* Borrowed; may be NULL. */
} pln_state_config;

/* Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_state_create(const pln_state_config *config, pln_state **ret);
void pln_state_destroy(pln_state *state); /* Accepts NULL. */

/* Errors: POLLEN_ENOMEM, then the old one stays. */
POLLEN_MUST_USE pollen_err pln_state_set_trust(pln_state *state, const pln_trust *trust);

/* ---- What we tell of ourselves --------------------------------------------------------------- */
/* Each is POLLEN_OK also when nothing changes; what does is broadcast.  Errors of all:
 * POLLEN_ENOMEM */

/* Texts of IP addresses, the best first; further ones than PLN_STATE_OWN_IPS_MAX are dropped.
 * Errors: POLLEN_EADDR  a text is longer than any address */
POLLEN_MUST_USE pollen_err pln_state_set_network(pln_state *state, const char *const *ips,
                                                 size_t ip_count, uint16_t port);
POLLEN_MUST_USE pollen_err pln_state_set_external_port(pln_state *state, uint16_t port);
POLLEN_MUST_USE pollen_err pln_state_set_public(pln_state *state, bool is_public);
POLLEN_MUST_USE pollen_err pln_state_set_cert_expiry(pln_state *state, int64_t unix_seconds);

/* A session with the peer stands, or no longer.  Errors: POLLEN_ELIMIT  we tell of too many
 * already */
POLLEN_MUST_USE pollen_err pln_state_set_reachable(pln_state *state, const pollen_key *peer,
                                                   bool on);

/* Errors: POLLEN_EINVAL  port 0, a name that is empty, too long or not UTF-8
 *         POLLEN_ELIMIT */
POLLEN_MUST_USE pollen_err pln_state_set_service(pln_state *state, const char *name, uint16_t port);
POLLEN_MUST_USE pollen_err pln_state_remove_service(pln_state *state, const char *name);

/* Also gives the event REVOKED, as one that was received.  Errors: those of pln_revocations_add()
 */
POLLEN_MUST_USE pollen_err pln_state_publish_revocation(pln_state *state,
                                                        const pln_revocation *revocation);

/* ---- Sessions -------------------------------------------------------------------------------- */

/*
 * A session proved that the key is a member: it no longer counts as hearsay.
 *
 * Errors: POLLEN_ELIMIT, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_state_vouch(pln_state *state, const pollen_key *peer, pln_ts now);

/* Where the member was reached last; an unknown one is not made known by it. */
void pln_state_set_last_addr(pln_state *state, const pollen_key *peer, const pollen_addr *addr);

/* What is remembered of the exchange with the peer of one session. */
typedef struct pln_gossip_peer {
    pollen_key key;
    bool speaks_2;
    size_t envelope_max; /* Of an encoded envelope; to be kept current by the owner. */
    uint64_t round;
    uint64_t rounds_heard; /* Of the peer's: hashes of everything that came from it. */
    pollen_key cursor;     /* The event that was sent last without being asked for by itself. */
    uint64_t cursor_counter;
    size_t owed;           /* Authors that are still to be sent because an answer was cut. */
    uint64_t answer_bytes; /* That may be sent now. */
    uint64_t events;       /* That may be taken now. */
    pln_ts refilled_at;
} pln_gossip_peer;

void pln_gossip_peer_init(pln_gossip_peer *peer, const pollen_key *key, bool speaks_2,
                          size_t envelope_max, pln_ts now);

/* Encoded envelopes, in the order in which they are to be sent.  A lack of memory leaves out what
 * it hits, as the network might. */
typedef struct pln_envelopes {
    pln_bytes *items;
    size_t count;
    size_t cap;
} pln_envelopes;

void pln_envelopes_fini(pln_envelopes *list); /* Empties it; accepts a zeroed one. */

void pln_state_greet(pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret);
void pln_state_round(pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret);

/*
 * Bodies of envelopes that came from the peer.  Answers are appended to ret, and are few when the
 * peer has asked for too much lately.
 *
 * Errors: POLLEN_EPROTO  malformed; nothing was changed
 *         POLLEN_ELIMIT  more events than may come so fast; the others will be asked for again
 *         POLLEN_ENOMEM  the same
 */
POLLEN_MUST_USE pollen_err pln_state_handle_events(pln_state *state, pln_gossip_peer *peer,
                                                   const uint8_t *body, size_t size, pln_ts now);
POLLEN_MUST_USE pollen_err pln_state_handle_clock(pln_state *state, pln_gossip_peer *peer,
                                                  const uint8_t *body, size_t size, pln_ts now,
                                                  pln_envelopes *ret);
POLLEN_MUST_USE pollen_err pln_state_handle_digest(pln_state *state, pln_gossip_peer *peer,
                                                   const uint8_t *body, size_t size, pln_ts now,
                                                   pln_envelopes *ret);

/* The next envelope for everybody, of at most PLN_ENVELOPE_BYTES_TARGET bytes.  Changes that come
 * close together share one, and of several of one attribute only the last is told.  Owner: the
 * caller's. */
bool pln_state_poll_broadcast(pln_state *state, pln_bytes *ret);

/* ---- What is known --------------------------------------------------------------------------- */

/* Borrowed until the state changes.  Numbers and texts are as the author told them, not judged. */
typedef struct pln_member_info {
    pollen_key key;
    const char *const *ips;
    size_t ip_count;
    uint32_t local_port;
    uint32_t external_port; /* 0: not known. */
    bool is_public;         /* Reachable from anywhere, it says. */
    int64_t cert_expiry;    /* 0: not known. */
    pollen_addr last_addr;  /* Port 0: none. */
    bool vouched;
    bool revoked;
    uint64_t counter;
    pln_ts
        heard_at; /* When it, or something new of it, was heard last; 0: only read from the file. */
} pln_member_info;

size_t pln_state_member_count(const pln_state *state); /* This node included. */
/* In the order of the keys.  Errors: POLLEN_ENOENT past the end */
POLLEN_MUST_USE pollen_err pln_state_member_at(const pln_state *state, size_t index,
                                               pln_member_info *ret);
/* Errors: POLLEN_ENOENT */
POLLEN_MUST_USE pollen_err pln_state_member(const pln_state *state, const pollen_key *key,
                                            pln_member_info *ret);

/*
 * Where to dial the member: each IP it tells of, with its local port, or with the external one
 * when that is known and the IP is not private, loopback or link-local.  What is no numeric
 * address is left out. Returns how many; none for this node, for a revoked and for an unknown
 * one.
 */
size_t pln_state_addrs(const pln_state *state, const pollen_key *key, pollen_addr *ret, size_t max);

typedef struct pln_service_info {
    const char *name; /* Borrowed until the state changes. */
    pollen_key provider;
    uint32_t port;
} pln_service_info;

/* NULL and 0 match all. */
typedef struct pln_service_filter {
    const char *name;
    const pollen_key *provider;
    uint32_t port;
} pln_service_filter;

/* By provider, then name, without those of revoked members; fills up to max, returns how many
 * there are. */
size_t pln_state_services(const pln_state *state, const pln_service_filter *filter,
                          pln_service_info *ret, size_t max);

typedef struct pln_reacher {
    pollen_key key;
    pln_ts heard_at;
} pln_reacher;

/* Members that say they have a session with target, those heard of last first, without revoked
 * ones and without us; fills up to max, returns how many. */
size_t pln_state_reachers(const pln_state *state, const pollen_key *target, pln_reacher *ret,
                          size_t max);
bool pln_state_reaches(const pln_state *state, const pollen_key *from, const pollen_key *to);

bool pln_state_is_revoked(const pln_state *state, const pollen_key *key);

/* A member that others may have made up, as far as we know: then its addresses may be anybody's. */
bool pln_state_is_hearsay(const pln_state *state, const pollen_key *key);
const pln_revocations *pln_state_revocations(const pln_state *state); /* Borrowed. */

typedef enum pln_state_event_kind {
    PLN_STATE_MEMBER_CHANGED,  /* New, or addresses, ports, flag, expiry; not for this node. */
    PLN_STATE_SERVICE_CHANGED, /* Services of the member, this node included. */
    PLN_STATE_MEMBER_GONE,     /* Hearsay that gave way. */
    PLN_STATE_REVOKED,
} pln_state_event_kind;

typedef struct pln_state_event {
    pln_state_event_kind kind;
    pollen_key key;
} pln_state_event;

/* REVOKED comes first.  Several changes of one member are one event. */
bool pln_state_poll_event(pln_state *state, pln_state_event *ret);

typedef struct pln_state_stats {
    uint64_t events_applied, events_known, events_refused, events_dropped;
    uint64_t conflicts; /* Times that we had to override what others hold of us. */
    size_t members, hearsay, bytes;
} pln_state_stats;

void pln_state_get_stats(const pln_state *state, pln_state_stats *ret);

/* ---- On disk --------------------------------------------------------------------------------- */

/* The connections that this node's owner desires, which the file holds beside the rest.
 * Errors: POLLEN_ELIMIT, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_state_set_connection(pln_state *state,
                                                    const pln_saved_connection *connection,
                                                    bool on);
/* Errors: POLLEN_ENOENT past the end */
POLLEN_MUST_USE pollen_err pln_state_connection_at(const pln_state *state, size_t index,
                                                   pln_saved_connection *ret);

typedef struct pln_state_loaded {
    size_t members, services, revocations;
    size_t refused_revocations; /* Not signed by our root, or of another cluster. */
    size_t dropped;             /* Beyond the limits. */
} pln_state_loaded;

/*
 * Before anything else: what was saved.  Revocations are verified again, and each counts for the
 * subject that was signed; they are offered to others as ours.
 *
 * Errors: POLLEN_ENOMEM  part of it may have been taken
 */
POLLEN_MUST_USE pollen_err pln_state_load(pln_state *state, const pln_saved_state *saved,
                                          pln_state_loaded *ret);

/* Owner: ret is the caller's (pln_saved_state_fini).  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_state_save(const pln_state *state, pln_saved_state *ret);

typedef enum pln_state_urgency {
    PLN_STATE_SAVED,     /* The file would be the same. */
    PLN_STATE_SAVE_SOON, /* Within a minute or so. */
    PLN_STATE_SAVE_NOW,  /* A revocation: before anything is answered. */
} pln_state_urgency;

pln_state_urgency pln_state_save_urgency(const pln_state *state);

/* What pln_state_save() just gave is on its way to the disk; call again with failed when it did
 * not get there. */
void pln_state_note_saved(pln_state *state);
void pln_state_note_save_failed(pln_state *state, pln_state_urgency urgency);

#endif
