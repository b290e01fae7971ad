/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations: the root's statement that a key is out, and the set of them that a node holds.
 *
 * Thread: the set belongs to the loop.
 */
#ifndef PLN_AUTH_REVOCATION_H
#define PLN_AUTH_REVOCATION_H

#include "auth/signer.h"

/* Only the root can add one, so the bound guards against mistakes: 64 Ki keys thrown out are 12 MiB
 * and more than most clusters have members. */
enum { PLN_REVOCATIONS_MAX = 64 * 1024 };

/*
 * Owner:  ret is the caller's (pln_revocation_fini), filled only on success.
 * Errors: POLLEN_ENOTADMIN  the signer is not the root
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_revocation_issue(const pln_signer *root, const pollen_key *subject,
                                                pln_wall now, pln_revocation *ret);

/* Errors: POLLEN_ECLUSTER    names another cluster
 *         POLLEN_ESIGNATURE  not signed by the root, or names another issuer */
POLLEN_MUST_USE pollen_err pln_revocation_verify(const pln_revocation *revocation,
                                                 const pln_trust *trust);

/* Sorted by subject, one each.  Deny by key, never by signature or bytes: a second signature of the
 * same entry changes nothing. */
typedef struct pln_revocations {
    pln_revocation *items;
    size_t count;
    size_t cap;
} pln_revocations;

void pln_revocations_init(pln_revocations *set);
void pln_revocations_fini(pln_revocations *set);

/*
 * Verifies and adds; a copy is kept.  *ret_added tells whether the subject is new; one of a known
 * subject is not verified, because it changes nothing.
 *
 * Errors: those of pln_revocation_verify(), POLLEN_ELIMIT, POLLEN_ENOMEM; the set is unchanged then
 */
POLLEN_MUST_USE pollen_err pln_revocations_add(pln_revocations *set,
                                               const pln_revocation *revocation,
                                               const pln_trust *trust, bool *ret_added);
bool pln_revocations_has(const pln_revocations *set, const pollen_key *key);

/* In the order of their subjects; NULL past the end.  Borrowed until the set changes. */
const pln_revocation *pln_revocations_at(const pln_revocations *set, size_t index);

#endif
