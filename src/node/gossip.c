/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gossip.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/send.h"

/* As the reference: ten seconds, a tenth more or less, drawn anew each time, so that nodes started
 * together do not speak together for ever. */
#define ROUND_LEAST PLN_S(9)
#define ROUND_SPREAD PLN_S(2)

/* Between two nodes of pollen/2, where the round of one saves the other its own: one packet and its
 * acknowledgement every twelve seconds, and in less than PLN_KEEP_ALIVE. */
#define ROUND_2_LEAST PLN_S(12)
#define ROUND_2_SPREAD PLN_MS(800)

/* A hurried round: late enough that news which comes together is told together.  The more partners
 * there are the wider the rounds are spread: whoever has a hundred hears from most authors
 * themselves, and rounds with all at each piece of news would drown the news. */
#define HURRY_LEAST PLN_MS(50)
#define HURRY_SPREAD PLN_MS(200)
#define HURRY_SPREAD_EACH PLN_MS(100) /* For each partner beyond PLN_GOSSIP_FEW_SESSIONS. */

/* Changes that come faster are told together. */
enum { BROADCASTS_PER_S = 20, BROADCASTS_BURST = 8 };

/* A disk that works takes a hundredth of it. */
#define SAVE_PATIENCE PLN_S(1)

/* Datagrams get lost, and with them news: the rounds after some follow each other at these
 * distances, until they are as far apart as ever. */
static const pln_dur young_rounds[] = {PLN_MS(300), PLN_MS(600), PLN_S(1), PLN_S(2), PLN_S(4)};
enum { YOUNG_ROUNDS = sizeof young_rounds / sizeof young_rounds[0], YOUNG_AFTER_NEWS = 2 };

struct pln_gossip_partner {
    pln_gossip_peer peer;
    UT_hash_handle hh;
    pln_timer round;
    unsigned young; /* The next of young_rounds; YOUNG_ROUNDS: none. */
    bool hurried;   /* The round was brought forward: more news does not do so again. */
};

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_gossip_init(pln_gossip *gossip, pln_mesh *mesh, const pln_rng *rng,
                           const pln_log *log) {
    const pln_credentials *creds = pln_mesh_credentials(mesh);
    const pln_state_config config = {.local = creds->key,
                                     .rng = *rng,
                                     .trust = creds->enrolled ? &creds->trust : NULL,
                                     .log = log};
    *gossip = (pln_gossip){.mesh = mesh, .rng = *rng, .log = log, .broadcast_at = PLN_TS_NEVER};
    pln_rng_fill(rng, gossip->hash_key.bytes, sizeof gossip->hash_key.bytes);
    pln_heap_init(&gossip->rounds);
    const pollen_err err = pln_state_create(&config, &gossip->state);
    if (err == POLLEN_OK) {
        pln_gossip_credentials_changed(gossip);
    }
    return err;
}

static void remove_partner(pln_gossip *gossip, pln_gossip_partner *partner) {
    HASH_DEL(gossip->partners, partner);
    pln_heap_cancel(&gossip->rounds, &partner->round);
    pln_free(partner);
}

void pln_gossip_fini(pln_gossip *gossip) {
    while (gossip->partners != NULL) {
        remove_partner(gossip, gossip->partners);
    }
    pln_heap_fini(&gossip->rounds);
    pln_state_destroy(gossip->state);
    gossip->state = NULL;
}

/* A lack of memory keeps the old trust, under which nothing of a new cluster is believed. */
void pln_gossip_credentials_changed(pln_gossip *gossip) {
    const pln_credentials *creds = pln_mesh_credentials(gossip->mesh);
    if (creds->enrolled && pln_state_set_trust(gossip->state, &creds->trust) == POLLEN_OK) {
        const pollen_err told =
            pln_state_set_cert_expiry(gossip->state, creds->member_cert.not_after);
        (void)told; /* Others only show it. */
    }
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Nothing while a revocation is on its way to the disk, which any answer might tell of. */
static void send_list(pln_gossip *gossip, const pollen_key *peer, pln_envelopes *list,
                      pln_now now) {
    const bool held = pln_gossip_is_held(gossip, now);
    for (size_t i = 0; i < list->count && !held; i++) {
        (void)pln_node_send(gossip->mesh, peer, &list->items[i], now);
    }
    pln_envelopes_fini(list);
}

void pln_gossip_broadcast(pln_gossip *gossip, pln_now now) {
    pln_bytes envelope = {0};
    bool told = false;
    gossip->broadcast_at = pln_bucket_ready(&gossip->broadcasts, BROADCASTS_PER_S);
    if (!pln_ts_reached(gossip->broadcast_at, now.mono)) {
        return;
    }
    gossip->broadcast_at = PLN_TS_NEVER;
    while (pln_state_poll_broadcast(gossip->state, &envelope)) {
        const pln_gossip_partner *partner, *next;
        HASH_ITER(hh, gossip->partners, partner, next) {
            (void)pln_node_send(gossip->mesh, &partner->peer.key, &envelope, now);
        }
        pln_bytes_fini(&envelope);
        told = true;
    }
    if (told) {
        (void)pln_bucket_take(&gossip->broadcasts, BROADCASTS_PER_S, BROADCASTS_BURST, now.mono);
    }
}

/* ---- Partners -------------------------------------------------------------------------------- */

static pln_gossip_partner *find(const pln_gossip *gossip, const pollen_key *peer) {
    pln_gossip_partner *found;
    PLN_MAP_FIND(&gossip->hash_key, gossip->partners, peer->bytes, POLLEN_KEY_BYTES, found);
    return found;
}

/* Within 0 to 200 ms, later among many. */
static pln_dur draw_spread(const pln_gossip *gossip) {
    const size_t partners = HASH_COUNT(gossip->partners);
    const size_t crowd =
        partners > PLN_GOSSIP_FEW_SESSIONS ? partners - PLN_GOSSIP_FEW_SESSIONS : 0;
    return pln_rng_below(&gossip->rng, HURRY_SPREAD + crowd * HURRY_SPREAD_EACH);
}

static bool plan_round(pln_gossip *gossip, pln_gossip_partner *partner, pln_now now) {
    pln_dur wait = partner->peer.speaks_2
                       ? ROUND_2_LEAST + pln_rng_below(&gossip->rng, ROUND_2_SPREAD)
                       : ROUND_LEAST + pln_rng_below(&gossip->rng, ROUND_SPREAD);
    if (partner->peer.speaks_2 && partner->young < YOUNG_ROUNDS) {
        const pln_dur early = young_rounds[partner->young++] + draw_spread(gossip);
        wait = early < wait ? early : wait;
    }
    return pln_heap_set(&gossip->rounds, &partner->round, pln_ts_add(now.mono, wait));
}

static pln_gossip_partner *add_partner(pln_gossip *gossip, const pln_session_info *info,
                                       pln_now now) {
    pln_gossip_partner *partner = pln_calloc(1, sizeof(*partner));
    if (partner == NULL) {
        return NULL;
    }
    PLN_ASSERT(find(gossip, &info->peer) == NULL);
    pln_timer_init(&partner->round);
    pln_gossip_peer_init(&partner->peer, &info->peer, info->speaks_2, info->envelope_max, now.mono);
    if (!plan_round(gossip, partner, now)) {
        pln_free(partner);
        return NULL;
    }
    PLN_MAP_ADD(&gossip->hash_key, gossip->partners, peer.key, POLLEN_KEY_BYTES, partner);
    if (!PLN_MAP_ADDED(partner)) {
        pln_heap_cancel(&gossip->rounds, &partner->round);
        pln_free(partner);
        return NULL;
    }
    return partner;
}

void pln_gossip_connected(pln_gossip *gossip, const pollen_key *peer, const pollen_addr *addr,
                          pln_now now) {
    pln_session_info info;
    if (pln_mesh_session_info(gossip->mesh, peer, &info) != POLLEN_OK) {
        return; /* Ended again already. */
    }
    /* Without room or memory the session works all the same, it is only not told of. */
    if (pln_state_vouch(gossip->state, peer, now.mono) == POLLEN_OK) {
        pln_state_set_last_addr(gossip->state, peer, addr);
        const pollen_err told = pln_state_set_reachable(gossip->state, peer, true);
        (void)told;
    }
    pln_gossip_partner *partner = find(gossip, peer);
    if (partner == NULL) {
        partner = add_partner(gossip, &info, now);
    } else {
        pln_gossip_peer_init(&partner->peer, peer, info.speaks_2, info.envelope_max, now.mono);
        partner->young = 0;
        const bool planned = plan_round(gossip, partner, now);
        PLN_ASSERT(planned); /* It has its place in the heap. */
    }
    if (partner != NULL) {
        pln_envelopes list = {0};
        pln_state_greet(gossip->state, &partner->peer, now.mono, &list);
        send_list(gossip, peer, &list, now);
    }
}

void pln_gossip_disconnected(pln_gossip *gossip, const pollen_key *peer) {
    pln_gossip_partner *partner = find(gossip, peer);
    if (partner != NULL) {
        remove_partner(gossip, partner);
    }
    const pollen_err told = pln_state_set_reachable(gossip->state, peer, false);
    (void)told;
}

/* ---- What comes in --------------------------------------------------------------------------- */

static bool is_gossip(pollen_envelope_kind kind) {
    return kind == POLLEN_ENVELOPE_CLOCK || kind == POLLEN_ENVELOPE_EVENTS ||
           kind == POLLEN_ENVELOPE_DIGEST;
}

/* A round of the partner compares all that both know, so that ours would find out nothing more: one
 * of the two a time is enough. */
static pollen_err handle_digest(pln_gossip *gossip, pln_gossip_partner *partner,
                                const uint8_t *body, size_t size, pln_now now, pln_envelopes *ret) {
    const uint64_t before = partner->peer.rounds_heard;
    const pollen_err err =
        pln_state_handle_digest(gossip->state, &partner->peer, body, size, now.mono, ret);
    if (partner->peer.rounds_heard != before && !partner->hurried) {
        const bool planned = plan_round(gossip, partner, now);
        PLN_ASSERT(planned); /* It has its place in the heap. */
    }
    return err;
}

bool pln_gossip_handle_packet(pln_gossip *gossip, const pollen_key *peer, pollen_envelope_kind kind,
                              const uint8_t *body, size_t size, pln_now now) {
    if (!is_gossip(kind)) {
        return false;
    }
    pln_gossip_partner *partner = find(gossip, peer);
    if (partner == NULL) {
        return true; /* No memory for it when it connected. */
    }
    pln_envelopes list = {0};
    pollen_err err;
    if (kind == POLLEN_ENVELOPE_EVENTS) {
        err = pln_state_handle_events(gossip->state, &partner->peer, body, size, now.mono);
    } else if (kind == POLLEN_ENVELOPE_CLOCK) {
        err = pln_state_handle_clock(gossip->state, &partner->peer, body, size, now.mono, &list);
    } else {
        err = handle_digest(gossip, partner, body, size, now, &list);
    }
    (void)err; /* What was not taken is asked for again, and what is malformed is nobody's. */
    send_list(gossip, peer, &list, now);
    return true;
}

/* ---- The disk -------------------------------------------------------------------------------- */

bool pln_gossip_is_held(pln_gossip *gossip, pln_now now) {
    if (gossip->hold == PLN_GOSSIP_FREE && gossip->saves &&
        pln_state_save_urgency(gossip->state) == PLN_STATE_SAVE_NOW) {
        gossip->hold = PLN_GOSSIP_HELD;
        gossip->hold_until = pln_ts_add(now.mono, SAVE_PATIENCE);
    }
    return gossip->hold == PLN_GOSSIP_HELD;
}

/* Another revocation that came meanwhile waits on, but not longer than the first one might have. */
void pln_gossip_saved(pln_gossip *gossip, pollen_err err) {
    if (err != POLLEN_OK) {
        gossip->hold = PLN_GOSSIP_RELEASED;
    } else if (pln_state_save_urgency(gossip->state) != PLN_STATE_SAVE_NOW) {
        gossip->hold = PLN_GOSSIP_FREE;
    }
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

/* The reference answers a clock with all that it holds above it, so that its rounds stay as they
 * are. */
void pln_gossip_hurry(pln_gossip *gossip, pln_now now) {
    pln_gossip_partner *partner, *next;
    HASH_ITER(hh, gossip->partners, partner, next) {
        if (partner->hurried) {
            continue;
        }
        const pln_ts soon = pln_ts_add(now.mono, HURRY_LEAST + draw_spread(gossip));
        partner->hurried = true;
        partner->young = partner->young < YOUNG_AFTER_NEWS ? partner->young : YOUNG_AFTER_NEWS;
        if (partner->peer.speaks_2 && soon < partner->round.at) {
            const bool planned = pln_heap_set(&gossip->rounds, &partner->round, soon);
            PLN_ASSERT(planned); /* It has its place in the heap. */
        }
    }
}

pln_ts pln_gossip_next_expiry(const pln_gossip *gossip) {
    const pln_ts held = gossip->hold == PLN_GOSSIP_HELD ? gossip->hold_until : PLN_TS_NEVER;
    const pln_ts at = pln_ts_min(held, gossip->broadcast_at);
    return pln_ts_min(pln_heap_next(&gossip->rounds), at);
}

void pln_gossip_handle_timeout(pln_gossip *gossip, pln_now now) {
    pln_timer *timer;
    if (gossip->hold == PLN_GOSSIP_HELD && pln_ts_reached(gossip->hold_until, now.mono)) {
        gossip->hold = PLN_GOSSIP_RELEASED;
        pln_logf(gossip->log, PLN_LOG_WARN, "node", "revocations take effect unsaved: slow disk");
    }
    while ((timer = pln_heap_pop(&gossip->rounds, now.mono)) != NULL) {
        pln_gossip_partner *partner = PLN_TIMER_OWNER(timer, pln_gossip_partner, round);
        partner->hurried = false;
        const bool planned = plan_round(gossip, partner, now);
        PLN_ASSERT(planned); /* Its place in the heap has just become free. */
        pln_session_info info;
        if (pln_mesh_session_info(gossip->mesh, &partner->peer.key, &info) == POLLEN_OK) {
            partner->peer.envelope_max = info.envelope_max;
        }
        pln_envelopes list = {0};
        pln_state_round(gossip->state, &partner->peer, now.mono, &list);
        send_list(gossip, &partner->peer.key, &list, now);
    }
}
