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

/*
 * Resolves the addresses of the bootstrap peers, leaving out ourselves and those that have none
 * left.
 *
 * Owner:  ret_targets is the caller's (pln_free), NULL when there are none.
 * Thread: any but the loop's: it waits for the system's resolver where there are host names.
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_targets_resolve(const pln_bootstraps *bootstrap,
                                               const pollen_key *self, pln_target **ret_targets,
                                               size_t *ret_count);

/* A call that connects; signal as in pln_call_create().
 * Errors: POLLEN_EINVAL (our own key), POLLEN_EADDR (no usable address), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_connect_create(pollen_mesh *mesh, const pollen_key *peer,
                                              const pollen_addr *addrs, size_t addr_count,
                                              pln_ts deadline, pln_call *signal, pln_call **ret);

#endif
