/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/services.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/key.h"

bool pln_key_has_prefix(const pollen_key *key, const char *prefix) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pollen_key_hex(key, hex);
    for (size_t i = 0; prefix[i] != '\0'; i++) {
        if (pln_hex_value(prefix[i]) < 0 || pln_hex_value(prefix[i]) != pln_hex_value(hex[i])) {
            return false;
        }
    }
    return true;
}

static bool is_own(const pollen_service *service, const pln_services_query *query) {
    return pln_key_equal(&service->provider, query->own);
}

static bool is_connected(const pollen_service *service, const pln_services_query *query) {
    return query->is_connected(query->ctx, &service->provider);
}

static bool is_other(const pollen_service *service, const pln_services_query *query) {
    return !is_own(service, query);
}

static bool is_asked_for(const pollen_service *service, const pln_services_query *query) {
    return pln_key_has_prefix(&service->provider, query->provider) &&
           (pln_service_has_name(service, query->text) ||
            pln_service_has_port(service, query->text));
}

static bool is_named(const pollen_service *service, const pln_services_query *query) {
    return pln_service_has_name(service, query->text);
}

typedef bool (*filter)(const pollen_service *service, const pln_services_query *query);

/* Keeps those that pass. */
static void keep(pln_matches *matches, filter passes, const pln_services_query *query) {
    size_t kept = 0;
    for (size_t i = 0; i < matches->count; i++) {
        if (passes(&matches->items[i], query)) {
            matches->items[kept++] = matches->items[i];
        }
    }
    matches->count = kept;
}

/* The same, unless that leaves nothing. */
static void prefer(pln_matches *matches, filter passes, const pln_services_query *query) {
    for (size_t i = 0; i < matches->count; i++) {
        if (passes(&matches->items[i], query)) {
            keep(matches, passes, query);
            return;
        }
    }
}

static bool is_same(const pollen_service *a, const pollen_service *b) {
    return a->port == b->port && pln_key_equal(&a->provider, &b->provider);
}

static void drop_doubles(pln_matches *matches) {
    size_t kept = 0;
    for (size_t i = 0; i < matches->count; i++) {
        size_t at = 0;
        while (at < kept && !is_same(&matches->items[at], &matches->items[i])) {
            at++;
        }
        if (at == kept) {
            matches->items[kept++] = matches->items[i];
        }
    }
    matches->count = kept;
}

void pln_services_choose(pln_matches *matches, const pln_services_query *query) {
    keep(matches, is_asked_for, query);
    const bool any = matches->count > 0;
    keep(matches, is_other, query);
    matches->of_this_node = any && matches->count == 0;
    prefer(matches, is_named, query);
    prefer(matches, is_connected, query);
    drop_doubles(matches);
}

static bool has_session(void *ctx, const pollen_key *provider) {
    pollen_session_info info;
    return pollen_mesh_session_info(ctx, provider, &info) == POLLEN_OK;
}

pollen_err pln_services_find(pollen_mesh *mesh, const char *text, const char *provider,
                             pln_matches *ret) {
    const pollen_key own = pollen_mesh_key(mesh);
    const pln_services_query query = {
        .text = text, .provider = provider, .own = &own, .is_connected = has_session, .ctx = mesh};
    const size_t cap = pollen_mesh_services(mesh, NULL, 0) + 1;
    pln_matches matches = {.items = calloc(cap, sizeof *matches.items)};
    if (matches.items == NULL) {
        return POLLEN_ENOMEM;
    }
    matches.count = pollen_mesh_services(mesh, matches.items, cap);
    matches.count = matches.count < cap ? matches.count : cap;
    pln_services_choose(&matches, &query);
    *ret = matches;
    return POLLEN_OK;
}

void pln_matches_fini(pln_matches *matches) {
    free(matches->items);
    *matches = (pln_matches){0};
}
