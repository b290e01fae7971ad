/* SPDX-License-Identifier: Apache-2.0 */
/* To the file and from it.  Counters are not in it: what was loaded stands until its author says
 * anything. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"

/* ---- Connections ----------------------------------------------------------------------------- */

static bool same_connection(const pln_saved_connection *a, const pln_saved_connection *b) {
    return pln_key_equal(&a->peer, &b->peer) && a->remote_port == b->remote_port &&
           a->local_port == b->local_port;
}

static size_t connection_place(const pln_state *state, const pln_saved_connection *connection) {
    size_t place = 0;
    while (place < state->connection_count &&
           !same_connection(&state->connections[place], connection)) {
        place += 1;
    }
    return place;
}

static pollen_err add_connection(pln_state *state, const pln_saved_connection *connection) {
    if (state->connection_count >= PLN_STATE_CONNECTIONS_MAX) {
        return POLLEN_ELIMIT;
    }
    pln_saved_connection *grown =
        pln_realloc(state->connections, (state->connection_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return POLLEN_ENOMEM;
    }
    state->connections = grown;
    state->connections[state->connection_count++] = *connection;
    return POLLEN_OK;
}

pollen_err pln_state_set_connection(pln_state *state, const pln_saved_connection *connection,
                                    bool on) {
    size_t place = connection_place(state, connection);
    const bool known = place < state->connection_count;
    if (known && on && strcmp(state->connections[place].bind, connection->bind) == 0) {
        return POLLEN_OK;
    }
    if (!known && !on) {
        return POLLEN_OK;
    }
    pollen_err err = POLLEN_OK;
    if (known && on) {
        state->connections[place] = *connection;
    } else if (on) {
        err = add_connection(state, connection);
    } else {
        PLN_ASSERT(place < state->connection_count);
        state->connection_count -= 1;
        memmove(state->connections + place, state->connections + place + 1,
                (state->connection_count - place) * sizeof(*state->connections));
    }
    if (err == POLLEN_OK) {
        pln_state_dirty(state, PLN_STATE_SAVE_SOON);
    }
    return err;
}

pollen_err pln_state_connection_at(const pln_state *state, size_t index,
                                   pln_saved_connection *ret) {
    if (index >= state->connection_count) {
        return POLLEN_ENOENT;
    }
    *ret = state->connections[index];
    return POLLEN_OK;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* Sets an attribute that no event stands behind. */
static pollen_err put_loaded(pln_state *state, pln_author *author, pln_gossip_event *event,
                             pln_state_loaded *ret) {
    pln_attr *attr;
    if (pln_attr_count(author, event->kind) >= pln_attr_limit(event->kind) ||
        !pln_authors_make_room(state, author, PLN_SERVICE_NAME_MAX + sizeof(pln_attr))) {
        ret->dropped += 1;
        return POLLEN_OK;
    }
    pollen_err err = pln_author_put(state, author, event, NULL, &attr);
    if (err == POLLEN_OK) {
        PLN_ASSERT(attr->counter == 0); /* No event stands behind it. */
        attr->loaded = true;
    }
    return err;
}

static pollen_err copy_ips(const pln_saved_peer *saved, pln_network_change *ret) {
    ret->local_port = saved->port;
    ret->ips = pln_calloc(saved->addr_count > 0 ? saved->addr_count : 1, sizeof(char *));
    if (ret->ips == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; i < saved->addr_count; i++) {
        if (strlen(saved->addrs[i]) > PLN_ADDR_TEXT_MAX) {
            continue;
        }
        char *ip = pln_strdup(saved->addrs[i]);
        if (ip == NULL) {
            return POLLEN_ENOMEM;
        }
        ret->ips[ret->ip_count++] = ip;
    }
    return POLLEN_OK;
}

static pollen_err load_attrs(pln_state *state, pln_author *author, const pln_saved_peer *saved,
                             pln_state_loaded *ret) {
    pollen_err err = POLLEN_OK;
    if (saved->addr_count > 0 || saved->port != 0) {
        pln_gossip_event event = {.kind = PLN_CHANGE_NETWORK};
        err = copy_ips(saved, &event.network);
        if (err == POLLEN_OK) {
            err = put_loaded(state, author, &event, ret);
        }
        pln_gossip_event_fini(&event);
    }
    if (err == POLLEN_OK && saved->external_port != 0) {
        pln_gossip_event event = {.kind = PLN_CHANGE_EXTERNAL_PORT,
                                  .external_port = saved->external_port};
        err = put_loaded(state, author, &event, ret);
    }
    return err;
}

/* Only who had a session has a last address: it was proved to be a member then. */
static pollen_err load_peer(pln_state *state, const pln_saved_peer *saved, pln_state_loaded *ret) {
    pln_author *author;
    pollen_addr last_addr;
    if (pln_key_equal(&saved->key, &state->self->key)) {
        return POLLEN_OK;
    }
    bool had_session =
        saved->last_addr != NULL && pollen_addr_parse(saved->last_addr, &last_addr) == POLLEN_OK;
    pollen_err err =
        pln_authors_admit(state, &saved->key, had_session ? NULL : state->self, &author);
    if (err == POLLEN_ELIMIT) {
        ret->dropped += 1;
        return POLLEN_OK;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    if (had_session) {
        author->last_addr = last_addr;
    }
    ret->members += 1;
    pln_state_events_changed(state, author, PLN_CHANGE_NETWORK);
    return load_attrs(state, author, saved, ret);
}

static pollen_err load_foreign_service(pln_state *state, const pln_saved_service *saved,
                                       pln_gossip_event *event, pln_state_loaded *ret) {
    pln_author *author;
    pollen_err err = pln_authors_admit(state, &saved->provider, state->self, &author);
    if (err == POLLEN_ELIMIT) {
        ret->dropped += 1;
        return POLLEN_OK;
    }
    if (err == POLLEN_OK) {
        err = put_loaded(state, author, event, ret);
    }
    if (err == POLLEN_OK) {
        pln_state_events_changed(state, author, PLN_CHANGE_SERVICE);
    }
    return err;
}

/* What the reference would not let anybody serve is not served again. */
static pollen_err load_own_service(pln_state *state, const pln_saved_service *saved,
                                   pln_gossip_event *event, pln_state_loaded *ret) {
    pollen_err err = saved->port >= 1 && saved->port <= UINT16_MAX
                         ? pln_own_put(state, event, NULL, true)
                         : POLLEN_ELIMIT;
    if (err == POLLEN_ELIMIT) {
        ret->dropped += 1;
        return POLLEN_OK;
    }
    return err;
}

static pollen_err load_service(pln_state *state, const pln_saved_service *saved,
                               pln_state_loaded *ret) {
    if (strlen(saved->name) > PLN_SERVICE_NAME_MAX) {
        ret->dropped += 1;
        return POLLEN_OK;
    }
    pln_gossip_event event = {.kind = PLN_CHANGE_SERVICE,
                              .service = {.name = pln_strdup(saved->name), .port = saved->port}};
    if (event.service.name == NULL) {
        return POLLEN_ENOMEM;
    }
    bool own = pln_key_equal(&saved->provider, &state->self->key);
    size_t dropped = ret->dropped;
    pollen_err err = own ? load_own_service(state, saved, &event, ret)
                         : load_foreign_service(state, saved, &event, ret);
    pln_gossip_event_fini(&event);
    ret->services += err == POLLEN_OK && ret->dropped == dropped ? 1 : 0;
    return err;
}

static pollen_err load_revocation(pln_state *state, const pln_revocation *saved,
                                  pln_state_loaded *ret) {
    bool added = false;
    pollen_err err =
        state->has_trust ? pln_revocation_learn(state, saved, &added) : POLLEN_ECLUSTER;
    if (err == POLLEN_OK && added) {
        pln_gossip_event event = {.kind = PLN_CHANGE_REVOCATION};
        err = pln_own_put(state, &event, &saved->subject_pub, true);
        ret->revocations += err == POLLEN_OK ? 1 : 0;
    }
    if (err == POLLEN_ENOMEM) {
        return err;
    }
    ret->refused_revocations += err == POLLEN_ECLUSTER || err == POLLEN_ESIGNATURE ? 1 : 0;
    ret->dropped += err == POLLEN_ELIMIT ? 1 : 0;
    return POLLEN_OK;
}

pollen_err pln_state_load(pln_state *state, const pln_saved_state *saved, pln_state_loaded *ret) {
    pollen_err err = POLLEN_OK;
    *ret = (pln_state_loaded){0};
    for (size_t i = 0; err == POLLEN_OK && i < saved->revocation_count; i++) {
        err = load_revocation(state, &saved->revocations[i], ret);
    }
    for (size_t i = 0; err == POLLEN_OK && i < saved->peer_count; i++) {
        err = load_peer(state, &saved->peers[i], ret);
    }
    for (size_t i = 0; err == POLLEN_OK && i < saved->service_count; i++) {
        err = load_service(state, &saved->services[i], ret);
    }
    for (size_t i = 0; err == POLLEN_OK && i < saved->connection_count; i++) {
        err = pln_state_set_connection(state, &saved->connections[i], true);
        if (err == POLLEN_ELIMIT) {
            ret->dropped += 1;
            err = POLLEN_OK;
        }
    }
    state->urgency = PLN_STATE_SAVED;
    return err;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static pollen_err save_peer(const pln_state *state, const pln_author *author,
                            pln_saved_peer *saved) {
    pln_member_info info;
    char text[POLLEN_ADDR_TEXT_BYTES];
    pollen_err err = pln_state_member(state, &author->key, &info);
    saved->key = author->key;
    saved->port = info.local_port;
    saved->external_port = info.external_port;
    if (info.last_addr.port != 0) {
        saved->last_addr = pln_strdup(pollen_addr_format(&info.last_addr, text));
        err = saved->last_addr != NULL ? err : POLLEN_ENOMEM;
    }
    saved->addrs = pln_calloc(info.ip_count > 0 ? info.ip_count : 1, sizeof(char *));
    if (saved->addrs == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; err == POLLEN_OK && i < info.ip_count; i++) {
        saved->addrs[i] = pln_strdup(info.ips[i]);
        err = saved->addrs[i] != NULL ? POLLEN_OK : POLLEN_ENOMEM;
        saved->addr_count += err == POLLEN_OK ? 1 : 0;
    }
    return err;
}

/* Not one of whom there is nothing but events that were refused. */
static bool is_worth_saving(const pln_state *state, const pln_author *author) {
    return author != state->self && (author->vouched || author->count > 0 || author->seen == 0);
}

static pollen_err save_peers(const pln_state *state, pln_saved_state *saved) {
    pollen_err err = POLLEN_OK;
    saved->peers = pln_calloc(state->count, sizeof(*saved->peers));
    if (saved->peers == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; err == POLLEN_OK && i < state->count; i++) {
        if (is_worth_saving(state, state->authors[i])) {
            PLN_ASSERT(saved->peer_count < state->count);
            err = save_peer(state, state->authors[i], &saved->peers[saved->peer_count++]);
        }
    }
    return err;
}

static size_t count_services(const pln_state *state) {
    size_t count = 0;
    for (size_t i = 0; i < state->count; i++) {
        count += state->authors[i]->services;
    }
    return count;
}

static pollen_err save_services_of(const pln_author *author, pln_saved_state *saved) {
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        if (attr->kind != PLN_CHANGE_SERVICE || attr->deleted) {
            continue;
        }
        pln_saved_service *service = &saved->services[saved->service_count];
        *service = (pln_saved_service){.name = pln_strdup(attr->service.name),
                                       .provider = author->key,
                                       .port = attr->service.port};
        if (service->name == NULL) {
            return POLLEN_ENOMEM;
        }
        saved->service_count += 1;
    }
    return POLLEN_OK;
}

static int compare_services(const void *a, const void *b) {
    const pln_saved_service *x = a;
    const pln_saved_service *y = b;
    int order = strcmp(x->name, y->name);
    order = order != 0 ? order : pln_key_compare(&x->provider, &y->provider);
    return order != 0 ? order : (x->port > y->port) - (x->port < y->port);
}

static pollen_err save_services(const pln_state *state, pln_saved_state *saved) {
    pollen_err err = POLLEN_OK;
    saved->services = pln_calloc(count_services(state) + 1, sizeof(*saved->services));
    if (saved->services == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; err == POLLEN_OK && i < state->count; i++) {
        err = save_services_of(state->authors[i], saved);
    }
    qsort(saved->services, saved->service_count, sizeof(*saved->services), compare_services);
    return err;
}

static int compare_connections(const void *a, const void *b) {
    const pln_saved_connection *x = a;
    const pln_saved_connection *y = b;
    int order = pln_key_compare(&x->peer, &y->peer);
    if (order != 0) {
        return order;
    }
    order = (x->remote_port > y->remote_port) - (x->remote_port < y->remote_port);
    return order != 0 ? order : (x->local_port > y->local_port) - (x->local_port < y->local_port);
}

static pollen_err save_connections(const pln_state *state, pln_saved_state *saved) {
    size_t count = state->connection_count;
    saved->connections = pln_calloc(count + 1, sizeof(*saved->connections));
    if (saved->connections == NULL) {
        return POLLEN_ENOMEM;
    }
    if (count > 0) {
        memcpy(saved->connections, state->connections, count * sizeof(*saved->connections));
    }
    saved->connection_count = count;
    qsort(saved->connections, count, sizeof(*saved->connections), compare_connections);
    return POLLEN_OK;
}

static pollen_err save_revocations(const pln_state *state, pln_saved_state *saved) {
    pollen_err err = POLLEN_OK;
    saved->revocations = pln_calloc(state->revocations.count + 1, sizeof(*saved->revocations));
    if (saved->revocations == NULL) {
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; err == POLLEN_OK && i < state->revocations.count; i++) {
        const pln_bytes *wire = &pln_revocations_at(&state->revocations, i)->wire;
        err = pln_revocation_decode(wire->data, wire->size, &saved->revocations[i]);
        saved->revocation_count += err == POLLEN_OK ? 1 : 0;
    }
    return err;
}

pollen_err pln_state_save(const pln_state *state, pln_saved_state *ret) {
    pln_saved_state saved = {.has_local = true, .local = state->self->key};
    pollen_err err = save_peers(state, &saved);
    if (err == POLLEN_OK) {
        err = save_services(state, &saved);
    }
    if (err == POLLEN_OK) {
        err = save_connections(state, &saved);
    }
    if (err == POLLEN_OK) {
        err = save_revocations(state, &saved);
    }
    if (err != POLLEN_OK) {
        pln_saved_state_fini(&saved);
        return err;
    }
    *ret = saved;
    return POLLEN_OK;
}

pln_state_urgency pln_state_save_urgency(const pln_state *state) {
    return state->urgency;
}

void pln_state_note_saved(pln_state *state) {
    state->urgency = PLN_STATE_SAVED;
}

void pln_state_note_save_failed(pln_state *state, pln_state_urgency urgency) {
    pln_state_dirty(state, urgency);
}
