/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the state.
 *
 * Design notes.  An author is what we know of a member: its attributes, sorted by kind and name,
 * each with the counter of the event that set it.  We are an author as well.  Revocations are
 * attributes too, but for their bytes, which are kept once, in the set of the verified ones.
 *
 * An attribute has a hash of its event; an author has the sum of them and the highest counter,
 * which two nodes compare (digest.c).  Only attributes that an event above counter 0 set take
 * part: others cannot be asked for.  Apart from that an author has `seen`, the highest counter
 * that it was heard to use, also in events that were refused: that is what clocks tell, because
 * the reference would send those again.
 *
 * Authors that no session vouched for are hearsay, each on the account of the member that told of
 * it first; a teller with the largest account gives way first.
 */
#ifndef PLN_STATE_INTERNAL_H
#define PLN_STATE_INTERNAL_H

#include "state/state.h"
#include "wire/outbuf.h"
#include "wire/state.h"

typedef struct pln_attr {
    uint64_t counter;
    uint64_t content; /* Hash of the event without author and counter. */
    uint8_t kind;     /* pln_change_kind, never NONE or UNKNOWN. */
    bool deleted;
    bool loaded;   /* From the file: no event stands behind it, any replaces it. */
    bool pending;  /* Ours: to be broadcast. */
    bool renew;    /* Ours: needs a counter above what others hold. */
    uint32_t size; /* Of the encoded event without counter. */
    union {
        pln_network_change network;
        uint32_t external_port;
        pln_identity_change identity;
        pln_service_change service;
        pollen_key key; /* REACHABILITY: the peer.  REVOCATION: the subject. */
    };
} pln_attr;

typedef struct pln_author {
    pollen_key key;
    pln_attr *attrs;
    size_t count, cap;
    size_t services, reachable; /* Attributes of these kinds, deleted ones included. */
    uint64_t max, seen;
    uint64_t hash;
    uint64_t mix;      /* Of key, max and hash; 0 without any event. */
    size_t bytes;      /* Memory. */
    size_t wire_bytes; /* Of all its events. */
    pollen_addr last_addr;
    pln_ts heard_at;
    bool vouched;
    bool changed, services_changed; /* Then it is in the list of the changed. */
    struct pln_author *changed_prev, *changed_next;
    struct pln_author *teller; /* Of hearsay. */
    struct pln_author *told_prev, *told_next;
    struct pln_author *told; /* Hearsay on its account, oldest first. */
    size_t told_count, told_bytes;
    struct pln_author *tellers_prev, *tellers_next;
} pln_author;

struct pln_state {
    pln_rng rng;
    const pln_log *log;
    pln_trust trust;
    bool has_trust;
    pln_author **authors; /* By key. */
    size_t count, cap;
    pln_author *self;
    pln_author *changed;
    pln_author *tellers; /* Those with hearsay on their account. */
    size_t hearsay, hearsay_bytes, bytes;
    size_t pending;
    bool conflict;        /* Others hold what we have to override; */
    uint64_t conflict_to; /* the highest counter of it, 0 when ours are higher. */
    bool settled;         /* That was done, */
    pln_ts settled_at;    /* the last time then. */
    pln_revocations revocations;
    pln_state_event *queue; /* MEMBER_GONE and REVOKED. */
    size_t queue_begin, queue_end, queue_cap;
    pln_saved_connection *connections;
    size_t connection_count;
    pln_state_urgency urgency;
    pln_state_stats stats;
};

/* ---- attrs.c --------------------------------------------------------------------------------- */

/* The attribute that the event, of a known kind, is about; NULL when there is none.  For a
 * revocation the subject has to be given, else NULL. */
pln_attr *pln_attr_find(const pln_author *author, const pln_gossip_event *event,
                        const pollen_key *subject);

/* The event's name among its kind fits: services have one, reachability a peer. */
bool pln_attr_is_named(const pln_gossip_event *event);

pln_attr *pln_attr_reachability(const pln_author *author, const pollen_key *peer);
pln_attr *pln_attr_revocation(const pln_author *author, const pollen_key *subject);
pln_attr *pln_attr_single(const pln_author *author, pln_change_kind kind);
pln_attr *pln_attr_service(const pln_author *author, const char *name);

/* Of the event as it will be kept: without what a withdrawn attribute does not need. */
POLLEN_MUST_USE pollen_err pln_attr_digest(const pln_gossip_event *event, const pollen_key *subject,
                                           uint64_t *ret_content, uint32_t *ret_size);

/*
 * Sets the attribute that the event is about, whatever was there.  Takes the event's change on
 * success.
 *
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_author_put(pln_state *state, pln_author *author,
                                          pln_gossip_event *event, const pollen_key *subject,
                                          pln_attr **ret);
void pln_author_remove(pln_state *state, pln_author *author, pln_attr *attr);
void pln_author_renumber(pln_state *state, pln_author *author, pln_attr *attr, uint64_t counter);

/* After attributes were removed because of their counters. */
void pln_author_recount(pln_author *author);

/* How many attributes of the kind an author may have; SIZE_MAX when there is no own limit. */
size_t pln_attr_limit(pln_change_kind kind);
size_t pln_attr_count(const pln_author *author, pln_change_kind kind);

/* The one with the lowest counter of the kind; NULL when there is none. */
pln_attr *pln_attr_oldest(const pln_author *author, pln_change_kind kind);

size_t pln_attr_bytes(const pln_attr *attr); /* Memory. */
bool pln_attr_is_told(const pln_attr *attr); /* Takes part in hashes, can be sent. */

/* Borrows from attr and state. */
pln_gossip_event pln_attr_event(const pln_state *state, const pln_author *author,
                                const pln_attr *attr);

/* The told attributes with counters above, lowest first; NULL when there is no memory. */
const pln_attr **pln_author_above(const pln_author *author, uint64_t above, size_t *ret_count);

/* ---- authors.c ------------------------------------------------------------------------------- */

pln_author *pln_authors_find(const pln_state *state, const pollen_key *key);

/* Index of the first author whose key is not smaller. */
size_t pln_authors_place(const pln_state *state, const pollen_key *key);

/* The author, made known when it is not; hearsay of the teller.  Errors: POLLEN_ELIMIT,
 * POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_authors_admit(pln_state *state, const pollen_key *key,
                                             pln_author *teller, pln_author **ret);

/* Whether the author may take so many bytes more; others may have given way. */
bool pln_authors_make_room(pln_state *state, pln_author *author, size_t bytes);
void pln_authors_account(pln_state *state, pln_author *author, size_t more, size_t less);
void pln_authors_free(pln_state *state);

void pln_authors_heard(const pln_state *state, const pollen_key *key, pln_ts now);

/* Who tells when the session's peer speaks: itself when it is vouched for, else we. */
pln_author *pln_authors_teller(const pln_state *state, const pollen_key *peer);

/* ---- events.c -------------------------------------------------------------------------------- */

bool pln_state_events_reserve(pln_state *state);
void pln_state_events_push(pln_state *state, pln_state_event_kind kind, const pollen_key *key);
void pln_state_events_changed(pln_state *state, pln_author *author, pln_change_kind kind);
void pln_state_events_forget(pln_state *state, pln_author *author);
void pln_state_dirty(pln_state *state, pln_state_urgency urgency);

/* ---- own.c ----------------------------------------------------------------------------------- */

/* Sets an attribute of ours to what the event says, under a new counter, to be broadcast unless
 * quiet. Takes the change on success.  Errors: POLLEN_ELIMIT, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_own_put(pln_state *state, pln_gossip_event *event,
                                       const pollen_key *subject, bool quiet);

/* An event of ours came from elsewhere.  Errors: POLLEN_EPROTO  refused, POLLEN_ELIMIT,
 * POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_own_heard(pln_state *state, pln_gossip_event *event);

/* The batch is over: overrides what others hold of us wrongly, all at once, unless it did just now;
 * then the next call does. */
void pln_own_settle(pln_state *state, pln_ts now);

/* Whether any author but `but` offers the revocation of the subject. */
bool pln_revocation_is_offered(const pln_state *state, const pollen_key *subject,
                               const pln_author *but);

/*
 * Adds a revocation to the verified ones; a new one gives an event and is urgent.
 *
 * Errors: as pln_revocations_add()
 */
POLLEN_MUST_USE pollen_err pln_revocation_learn(pln_state *state, const pln_revocation *revocation,
                                                bool *ret_added);
const pln_revocation *pln_revocation_find(const pln_state *state, const pollen_key *subject);

/* ---- batch.c --------------------------------------------------------------------------------- */

bool pln_envelopes_push(pln_envelopes *list, pln_bytes *envelope); /* Takes it in any case. */

/* Events into envelopes. */
typedef struct pln_batcher {
    pln_envelopes *list;
    pln_out body;
    size_t target; /* Of an envelope with several events, */
    size_t max;    /* and with one alone. */
    size_t room;   /* Envelopes that may be begun. */
    uint64_t bytes;
    bool open;
} pln_batcher;

pln_batcher pln_batcher_init(pln_gossip_peer *peer, pln_ts now, pln_envelopes *list);

/* False when there is no room: the event was not taken. */
bool pln_batcher_add(pln_batcher *batcher, const pln_state *state, const pln_author *author,
                     const pln_attr *attr);

/* Ends the last envelope and takes what was sent from the peer's account. */
void pln_batcher_finish(pln_batcher *batcher, pln_gossip_peer *peer);

void pln_gossip_peer_refill(pln_gossip_peer *peer, pln_ts now);

/* ---- clock.c --------------------------------------------------------------------------------- */

/* The peer itself says how far its counters go: what is beyond any leap of it was forged. */
void pln_author_drop_forged(pln_state *state, const pollen_key *peer, uint64_t counter);

/* ---- digest.c -------------------------------------------------------------------------------- */

/* All that we say of ourselves. */
void pln_digest_own(const pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret);
void pln_digest_root(const pln_state *state, bool more, pln_envelopes *ret);

#endif
