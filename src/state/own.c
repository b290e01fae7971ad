/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we tell of ourselves.
 *
 * Our counters begin anew at every start, and others still hold what we told before.  Events of
 * ours that come back with higher counters, with another content, or about what we do not have
 * are such leftovers, or forgeries, which makes no difference: our word is set above them, and
 * what we do not have is withdrawn.  A batch is judged as a whole, so that many such events cost
 * one broadcast.
 */
#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"
#include "wire/utf8.h"

/* Counters taken over from others leave so many for ourselves. */
#define ADOPTED_MAX (PLN_STATE_COUNTER_MAX - PLN_STATE_COUNTER_LEAP)

#define SETTLE_INTERVAL PLN_S(1)

/* ---- Setting --------------------------------------------------------------------------------- */

/* What we told of long ago and withdrew is forgotten by us and by everybody, so that there is
 * room.  What stands is told anew instead, before it becomes the oldest. */
static pollen_err make_room(pln_state *state, pln_change_kind kind) {
    pln_author *self = state->self;
    size_t limit = pln_attr_limit(kind);
    for (size_t tries = 0; pln_attr_count(self, kind) >= limit; tries++) {
        pln_attr *oldest = pln_attr_oldest(self, kind);
        if (oldest == NULL || tries > limit || self->max >= PLN_STATE_COUNTER_MAX) {
            return POLLEN_ELIMIT;
        }
        if (oldest->deleted) {
            pln_author_remove(state, self, oldest);
        } else {
            pln_author_renumber(state, self, oldest, self->max + 1);
        }
    }
    return POLLEN_OK;
}

pollen_err pln_own_put(pln_state *state, pln_gossip_event *event, const pollen_key *subject,
                       bool quiet) {
    pln_author *self = state->self;
    pollen_err err = POLLEN_OK;
    PLN_ASSERT(self != NULL);
    if (pln_attr_find(self, event, subject) == NULL) {
        err = make_room(state, event->kind);
    }
    if (err == POLLEN_OK && self->max >= PLN_STATE_COUNTER_MAX) {
        err = POLLEN_ELIMIT;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    pln_attr *attr;
    pln_change_kind kind = event->kind;
    event->counter = self->max + 1;
    err = pln_author_put(state, self, event, subject, &attr);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(self->max == attr->counter); /* The newest event is the highest. */
    if (!quiet) {
        attr->pending = true;
        state->pending += 1;
    }
    pln_state_events_changed(state, self, kind);
    if (kind == PLN_CHANGE_SERVICE) {
        pln_state_dirty(state, PLN_STATE_SAVE_SOON);
    }
    return POLLEN_OK;
}

/* Puts the event unless it says what holds already; takes its content in any case. */
static pollen_err change(pln_state *state, pln_gossip_event *event) {
    const pln_attr *attr = pln_attr_find(state->self, event, NULL);
    pollen_err err = POLLEN_OK;
    uint64_t content;
    uint32_t size;
    bool needed = attr != NULL || !event->deleted;
    if (needed) {
        err = pln_attr_digest(event, NULL, &content, &size);
        needed = err == POLLEN_OK && (attr == NULL || attr->content != content);
    }
    if (needed) {
        err = pln_own_put(state, event, NULL, false);
    }
    pln_gossip_event_fini(event);
    return err;
}

pollen_err pln_state_set_network(pln_state *state, const char *const *ips, size_t ip_count,
                                 uint16_t port) {
    pln_gossip_event event = {.kind = PLN_CHANGE_NETWORK, .network = {.local_port = port}};
    size_t count = ip_count < PLN_STATE_OWN_IPS_MAX ? ip_count : PLN_STATE_OWN_IPS_MAX;
    event.network.ips = pln_calloc(count > 0 ? count : 1, sizeof(char *));
    if (event.network.ips == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        bool fits = strlen(ips[i]) < POLLEN_ADDR_TEXT_BYTES;
        char *ip = fits ? pln_strdup(ips[i]) : NULL;
        if (ip == NULL) {
            pln_gossip_event_fini(&event);
            return fits ? POLLEN_ENOMEM : POLLEN_EADDR;
        }
        event.network.ips[event.network.ip_count++] = ip;
    }
    return change(state, &event);
}

pollen_err pln_state_set_external_port(pln_state *state, uint16_t port) {
    pln_gossip_event event = {.kind = PLN_CHANGE_EXTERNAL_PORT, .external_port = port};
    bool known = pln_attr_single(state->self, PLN_CHANGE_EXTERNAL_PORT) != NULL;
    return known || port != 0 ? change(state, &event) : POLLEN_OK;
}

pollen_err pln_state_set_public(pln_state *state, bool is_public) {
    pln_gossip_event event = {.kind = PLN_CHANGE_PUBLICLY_ACCESSIBLE, .deleted = !is_public};
    return change(state, &event);
}

pollen_err pln_state_set_cert_expiry(pln_state *state, int64_t unix_seconds) {
    pln_gossip_event event = {
        .kind = PLN_CHANGE_IDENTITY,
        .identity = {.has_key = true, .key = state->self->key, .cert_expiry = unix_seconds}};
    return change(state, &event);
}

pollen_err pln_state_set_reachable(pln_state *state, const pollen_key *peer, bool on) {
    pln_gossip_event event = {.kind = PLN_CHANGE_REACHABILITY,
                              .deleted = !on,
                              .reachability = {.has_peer = true, .peer = *peer}};
    return change(state, &event);
}

static pollen_err service_event(const char *name, pln_gossip_event *event) {
    size_t size = strlen(name);
    if (size == 0 || size > PLN_SERVICE_NAME_MAX ||
        !pln_utf8_is_text((const uint8_t *)name, size)) {
        return POLLEN_EINVAL;
    }
    event->kind = PLN_CHANGE_SERVICE;
    event->service.name = pln_strdup(name);
    return event->service.name != NULL ? POLLEN_OK : POLLEN_ENOMEM;
}

pollen_err pln_state_set_service(pln_state *state, const char *name, uint16_t port) {
    pln_gossip_event event = {.deleted = false};
    pollen_err err = port != 0 ? service_event(name, &event) : POLLEN_EINVAL;
    event.service.port = port;
    return err == POLLEN_OK ? change(state, &event) : err;
}

pollen_err pln_state_remove_service(pln_state *state, const char *name) {
    pln_gossip_event event = {.deleted = true};
    pollen_err err = service_event(name, &event);
    return err == POLLEN_OK ? change(state, &event) : err;
}

/* ---- Revocations ----------------------------------------------------------------------------- */

bool pln_revocation_is_offered(const pln_state *state, const pollen_key *subject,
                               const pln_author *but) {
    if (pln_attr_revocation(state->self, subject) != NULL) {
        return true; /* The most likely one first: the others cost a walk. */
    }
    for (size_t i = 0; i < state->count; i++) {
        const pln_author *author = state->authors[i];
        if (author != but && pln_attr_revocation(author, subject) != NULL) {
            return true;
        }
    }
    return false;
}

const pln_revocation *pln_revocation_find(const pln_state *state, const pollen_key *subject) {
    size_t begin = 0;
    size_t end = state->revocations.count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        const pln_revocation *revocation = pln_revocations_at(&state->revocations, middle);
        int order = pln_key_compare(&revocation->subject_pub, subject);
        if (order == 0) {
            return revocation;
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

pollen_err pln_revocation_learn(pln_state *state, const pln_revocation *revocation,
                                bool *ret_added) {
    if (!pln_state_events_reserve(state)) {
        return POLLEN_ENOMEM;
    }
    pollen_err err = pln_revocations_add(&state->revocations, revocation, &state->trust, ret_added);
    if (err == POLLEN_OK && *ret_added) {
        char text[PLN_KEY_SHORT_BYTES];
        pln_logf(state->log, PLN_LOG_INFO, "state", "%s is revoked",
                 pln_key_short(&revocation->subject_pub, text));
        pln_state_events_push(state, PLN_STATE_REVOKED, &revocation->subject_pub);
        pln_state_dirty(state, PLN_STATE_SAVE_NOW);
    }
    return err;
}

pollen_err pln_state_publish_revocation(pln_state *state, const pln_revocation *revocation) {
    bool added;
    if (!state->has_trust) {
        return POLLEN_ECLUSTER;
    }
    pollen_err err = pln_revocation_learn(state, revocation, &added);
    if (err != POLLEN_OK || pln_revocation_is_offered(state, &revocation->subject_pub, NULL)) {
        return err;
    }
    pln_gossip_event event = {.kind = PLN_CHANGE_REVOCATION};
    return pln_own_put(state, &event, &revocation->subject_pub, false);
}

/* ---- Events of ours from elsewhere ----------------------------------------------------------- */

static void renew(pln_state *state, pln_attr *attr) {
    attr->renew = true;
    state->conflict = true;
}

/* Something of ours that we do not have, withdrawn already perhaps: others hold it either way.  It
 * gets its counter when the batch is over. */
static pollen_err withdraw(pln_state *state, pln_gossip_event *event) {
    pollen_err err = make_room(state, event->kind);
    pln_attr *attr;
    event->deleted = true;
    event->counter = 0;
    if (err == POLLEN_OK) {
        err = pln_author_put(state, state->self, event, NULL, &attr);
    }
    if (err == POLLEN_OK) {
        renew(state, attr);
    }
    return err;
}

/* A revocation that we offered in an earlier life is one as any other. */
static pollen_err offer_again(pln_state *state, const pln_gossip_event *event) {
    pln_revocation revocation;
    bool added;
    if (event->deleted || !state->has_trust ||
        pln_revocation_decode(event->revocation.data, event->revocation.size, &revocation) !=
            POLLEN_OK) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_revocation_learn(state, &revocation, &added);
    pln_attr *attr = pln_attr_revocation(state->self, &revocation.subject_pub);
    if (err == POLLEN_OK && attr == NULL) {
        pln_gossip_event own = {.kind = PLN_CHANGE_REVOCATION};
        err = pln_own_put(state, &own, &revocation.subject_pub, false);
    } else if (err == POLLEN_OK && event->counter > attr->counter) {
        renew(state, attr);
    }
    pln_revocation_fini(&revocation);
    return err;
}

static pollen_err judge(pln_state *state, pln_gossip_event *event) {
    if (event->kind == PLN_CHANGE_REVOCATION) {
        return offer_again(state, event);
    }
    pln_attr *attr = pln_attr_find(state->self, event, NULL);
    if (attr == NULL) {
        return withdraw(state, event);
    }
    if (event->counter > attr->counter) {
        renew(state, attr);
        return POLLEN_OK;
    }
    uint64_t content;
    uint32_t size;
    pollen_err err = pln_attr_digest(event, NULL, &content, &size);
    if (err == POLLEN_OK && event->counter == attr->counter && content != attr->content) {
        renew(state, attr);
    }
    return err;
}

pollen_err pln_own_heard(pln_state *state, pln_gossip_event *event) {
    const pln_author *self = state->self;
    if (event->counter > ADOPTED_MAX ||
        (event->counter > self->max && event->counter - self->max > PLN_STATE_COUNTER_LEAP)) {
        return POLLEN_EPROTO;
    }
    if (event->counter > self->max) {
        state->conflict = true;
        state->conflict_to =
            event->counter > state->conflict_to ? event->counter : state->conflict_to;
    }
    if (event->kind == PLN_CHANGE_UNKNOWN || !pln_attr_is_named(event)) {
        return POLLEN_OK;
    }
    return judge(state, event);
}

/* Forgeries, or a second node with our key, could make us tell everything again and again. */
static bool is_too_soon(const pln_state *state, pln_ts now) {
    return state->settled && !pln_ts_reached(pln_ts_add(state->settled_at, SETTLE_INTERVAL), now);
}

void pln_own_settle(pln_state *state, pln_ts now) {
    pln_author *self = state->self;
    bool all = state->conflict_to > self->max;
    uint64_t counter = all ? state->conflict_to : self->max;
    if (!state->conflict || is_too_soon(state, now)) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        pln_attr *attr = &self->attrs[i];
        if ((all || attr->renew) && counter < PLN_STATE_COUNTER_MAX) {
            counter += 1;
            pln_author_renumber(state, self, attr, counter);
        }
    }
    PLN_ASSERT(self->max <= PLN_STATE_COUNTER_MAX);
    state->conflict = false;
    state->conflict_to = 0;
    state->settled = true;
    state->settled_at = now;
    state->stats.conflicts += 1;
}
