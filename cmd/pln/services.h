/* SPDX-License-Identifier: Apache-2.0 */
/* Which service of which member a name or number means. */
#ifndef PLN_CMD_SERVICES_H
#define PLN_CMD_SERVICES_H

#include "pln/service.h"

/* Those that were meant, each provider and port once. */
typedef struct pln_matches {
    pollen_service *items;
    size_t count;
    bool of_this_node; /* This node itself serves it, and nobody else that was asked for. */
} pln_matches;

/*
 * The services of other members that have this name or, when none has, this port, of providers
 * whose ids start so ("": all).  Where some of the providers are connected, those alone: what is
 * told of the others may be long past.
 *
 * Owner:  pln_matches_fini().
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_services_find(pollen_mesh *mesh, const char *text,
                                             const char *provider, pln_matches *ret);
void pln_matches_fini(pln_matches *matches);

/* Does this id start with this prefix, in either case? */
bool pln_key_has_prefix(const pollen_key *key, const char *prefix);

/* The choice alone, for tests: keeps those of the services that are meant, in their order.
 * is_connected tells of a provider. */
typedef struct pln_services_query {
    const char *text;
    const char *provider;
    const pollen_key *own;
    bool (*is_connected)(void *ctx, const pollen_key *provider);
    void *ctx;
} pln_services_query;
void pln_services_choose(pln_matches *matches, const pln_services_query *query);

#endif
