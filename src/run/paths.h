/* SPDX-License-Identifier: Apache-2.0 */
/* Where to go: the bootstrap peers of a token with their addresses, and calls that dial. */
#ifndef PLN_RUN_PATHS_H
#define PLN_RUN_PATHS_H

#include "run/call.h"
#include "wire/admission.h"

typedef struct pln_target {
    pollen_key peer;
    pollen_addr addrs[PLN_DIAL_ADDRS_MAX];
    size_t addr_count;
} pln_target;

/* Owner: the items are the holder's (pln_free). */
typedef struct pln_targets {
    pln_target *items; /* NULL when there are none. */
    size_t count;
} pln_targets;

/*
 * The addresses of the bootstrap peers, leaving out ourselves and those that have none.  Host names
 * are looked up on a thread of its own, because the system's resolver knows no deadline; those it
 * has not answered in time are left out, unless nothing else is there.
 *
 * Thread: any but the loop's: it waits.
 * Errors: POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_targets_resolve(pollen_mesh *mesh, const pln_bootstraps *bootstrap,
                                               pln_ts deadline, pollen_cancel *cancel,
                                               pln_targets *ret);

/* A call that connects; signal as in pln_call_create().
 * Errors: POLLEN_EINVAL (our own key), POLLEN_EADDR (no usable address), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_connect_create(pollen_mesh *mesh, const pollen_key *peer,
                                              const pollen_addr *addrs, size_t addr_count,
                                              pln_ts deadline, pln_call *signal, pln_call **ret);

#endif
