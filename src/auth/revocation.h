/* SPDX-License-Identifier: Apache-2.0 */
/* Revocations: the root's statement that a key is out, and the set of them that a node holds. */
#ifndef PLN_AUTH_REVOCATION_H
#define PLN_AUTH_REVOCATION_H

#include "auth/cert.h"
#include "base/hash.h"

/* Errors: POLLEN_ENOTADMIN  the signer is not the root; POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_revocation_issue(const pln_signer *root, const pollen_key *subject,
                                                pln_wall now, pln_revocation *ret);

/* Errors: POLLEN_ECLUSTER    names another cluster
 *         POLLEN_ESIGNATURE  not signed by the root, or names another issuer */
POLLEN_MUST_USE pollen_err pln_revocation_verify(const pln_revocation *revocation,
                                                 const pln_trust *trust);

typedef struct pln_revocation_entry pln_revocation_entry;

/* Deny by key, never by signature or bytes: a second signature of the same entry changes nothing.
 * */
typedef struct pln_revocations {
    pln_revocation_entry *head;
    pln_hash_key hash_key;
    size_t count;
} pln_revocations;

void pln_revocations_init(pln_revocations *set, const pln_rng *rng);
void pln_revocations_fini(pln_revocations *set);

/* Verifies and adds; a copy is kept.  *ret_added tells whether the subject is new.
 * Errors: those of pln_revocation_verify(), POLLEN_ELIMIT, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_revocations_add(pln_revocations *set,
                                               const pln_revocation *revocation,
                                               const pln_trust *trust, bool *ret_added);
bool pln_revocations_has(const pln_revocations *set, const pollen_key *key);

/* In the order of their subjects; NULL past the end.  Borrowed until the set changes. */
const pln_revocation *pln_revocations_at(const pln_revocations *set, size_t index);

#endif
