/* SPDX-License-Identifier: Apache-2.0 */
/* What is known. */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/key.h"
#include "state/internal.h"

/* The attribute when it stands. */
static const pln_attr *standing(const pln_author *author, pln_change_kind kind) {
    const pln_attr *attr = pln_attr_single(author, kind);
    return attr != NULL && !attr->deleted ? attr : NULL;
}

static pln_member_info info_of(const pln_state *state, const pln_author *author) {
    const pln_attr *network = standing(author, PLN_CHANGE_NETWORK);
    const pln_attr *external = standing(author, PLN_CHANGE_EXTERNAL_PORT);
    const pln_attr *identity = standing(author, PLN_CHANGE_IDENTITY);
    pln_member_info info = {
        .key = author->key,
        .is_public = standing(author, PLN_CHANGE_PUBLICLY_ACCESSIBLE) != NULL,
        .last_addr = author->last_addr,
        .vouched = author->vouched,
        .revoked = pln_revocations_has(&state->revocations, &author->key),
        .counter = author->max,
        .heard_at = author->heard_at,
    };
    if (network != NULL) {
        info.ips = (const char *const *)network->network.ips;
        info.ip_count = network->network.ip_count;
        info.local_port = network->network.local_port;
    }
    info.external_port = external != NULL ? external->external_port : 0;
    info.cert_expiry = identity != NULL ? identity->identity.cert_expiry : 0;
    return info;
}

size_t pln_state_member_count(const pln_state *state) {
    return state->count;
}

pollen_err pln_state_member_at(const pln_state *state, size_t index, pln_member_info *ret) {
    if (index >= state->count) {
        return POLLEN_ENOENT;
    }
    *ret = info_of(state, state->authors[index]);
    return POLLEN_OK;
}

pollen_err pln_state_member(const pln_state *state, const pollen_key *key, pln_member_info *ret) {
    const pln_author *author = pln_authors_find(state, key);
    if (author == NULL) {
        return POLLEN_ENOENT;
    }
    *ret = info_of(state, author);
    return POLLEN_OK;
}

void pln_state_set_last_addr(pln_state *state, const pollen_key *peer, const pollen_addr *addr) {
    pln_author *author = pln_authors_find(state, peer);
    if (author == NULL || author == state->self || pollen_addr_equal(&author->last_addr, addr)) {
        return;
    }
    author->last_addr = *addr;
    pln_state_dirty(state, PLN_STATE_SAVE_SOON);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static bool parse_ip(const char *ip, uint16_t port, pollen_addr *ret) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    bool is_ipv6 = strchr(ip, ':') != NULL;
    int size = snprintf(text, sizeof(text), "%s%s%s:%u", is_ipv6 ? "[" : "", ip, is_ipv6 ? "]" : "",
                        (unsigned)port);
    return size > 0 && (size_t)size < sizeof(text) && pollen_addr_parse(text, ret) == POLLEN_OK;
}

/* The port that the member is reached at under this IP. */
static uint32_t port_for(const pln_member_info *info, const pollen_addr *ip) {
    bool inside = pln_addr_is_private(ip) || pln_addr_is_loopback(ip) || pln_addr_is_link_local(ip);
    return info->external_port != 0 && !inside ? info->external_port : info->local_port;
}

size_t pln_state_addrs(const pln_state *state, const pollen_key *key, pollen_addr *ret,
                       size_t max) {
    enum { ANY_PORT = 1 };
    pln_member_info info;
    size_t count = 0;
    if (pln_state_member(state, key, &info) != POLLEN_OK || info.revoked ||
        pln_key_equal(key, &state->self->key)) {
        return 0;
    }
    for (size_t i = 0; i < info.ip_count && count < max; i++) {
        pollen_addr addr;
        if (!parse_ip(info.ips[i], ANY_PORT, &addr)) {
            continue;
        }
        uint32_t port = port_for(&info, &addr);
        addr.port = port <= UINT16_MAX ? (uint16_t)port : 0;
        if (pln_addr_is_sendable(&addr)) {
            ret[count++] = addr;
        }
    }
    return count;
}

/* ---- Services -------------------------------------------------------------------------------- */

static bool matches(const pln_attr *attr, const pln_service_filter *filter) {
    return attr->kind == PLN_CHANGE_SERVICE && !attr->deleted &&
           (filter->name == NULL || strcmp(filter->name, attr->service.name) == 0) &&
           (filter->port == 0 || filter->port == attr->service.port);
}

size_t pln_state_services(const pln_state *state, const pln_service_filter *filter,
                          pln_service_info *ret, size_t max) {
    size_t count = 0;
    for (size_t i = 0; i < state->count; i++) {
        const pln_author *author = state->authors[i];
        if ((filter->provider != NULL && !pln_key_equal(filter->provider, &author->key)) ||
            author->services == 0 || pln_revocations_has(&state->revocations, &author->key)) {
            continue;
        }
        for (size_t k = 0; k < author->count; k++) {
            const pln_attr *attr = &author->attrs[k];
            if (!matches(attr, filter)) {
                continue;
            }
            if (count < max) {
                ret[count] = (pln_service_info){.name = attr->service.name,
                                                .provider = author->key,
                                                .port = attr->service.port};
            }
            count += 1;
        }
    }
    return count;
}

/* ---- Who reaches whom ------------------------------------------------------------------------ */

static bool says_it_reaches(const pln_author *author, const pollen_key *peer) {
    const pln_attr *attr = pln_attr_reachability(author, peer);
    return attr != NULL && !attr->deleted;
}

bool pln_state_reaches(const pln_state *state, const pollen_key *from, const pollen_key *to) {
    const pln_author *author = pln_authors_find(state, from);
    return author != NULL && says_it_reaches(author, to);
}

/* Insertion by age; the last one falls out when there are more than max. */
static void rank(pln_reacher *list, size_t *count, size_t max, const pln_author *author) {
    PLN_ASSERT(*count <= max);
    size_t at = *count < max ? *count : max;
    while (at > 0 && list[at - 1].heard_at < author->heard_at) {
        at -= 1;
    }
    if (at == max) {
        return;
    }
    size_t moved = (*count < max ? *count : max - 1) - at;
    memmove(list + at + 1, list + at, moved * sizeof(*list));
    list[at] = (pln_reacher){.key = author->key, .heard_at = author->heard_at};
    *count += *count < max ? 1 : 0;
}

size_t pln_state_reachers(const pln_state *state, const pollen_key *target, pln_reacher *ret,
                          size_t max) {
    size_t count = 0;
    for (size_t i = 0; i < state->count; i++) {
        const pln_author *author = state->authors[i];
        if (author != state->self && author->reachable > 0 && says_it_reaches(author, target) &&
            !pln_revocations_has(&state->revocations, &author->key)) {
            rank(ret, &count, max, author);
        }
    }
    return count;
}

bool pln_state_is_revoked(const pln_state *state, const pollen_key *key) {
    return pln_revocations_has(&state->revocations, key);
}

bool pln_state_is_hearsay(const pln_state *state, const pollen_key *key) {
    const pln_author *author = pln_authors_find(state, key);
    return author != NULL && !author->vouched;
}

const pln_revocations *pln_state_revocations(const pln_state *state) {
    return &state->revocations;
}
