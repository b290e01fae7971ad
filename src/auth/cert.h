/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of trust: trust bundle (root key) -> admin certificate (signed by the root) ->
 * membership certificate (signed by the admin, carries its admin certificate).
 *
 * Thread: functions of their arguments; only a pln_verdicts that is passed in changes.
 */
#ifndef PLN_AUTH_CERT_H
#define PLN_AUTH_CERT_H

#include "auth/verdicts.h"
#include "base/time.h"
#include "wire/admission.h"

/*
 * Fills and encodes the bundle of a root key.
 *
 * Owner:  ret is the caller's (pln_trust_fini), filled only on success.
 * Errors: POLLEN_EKEY, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_trust_create(const pollen_key *root_pub, pln_trust *ret);

/* Same cluster and same root, byte by byte. */
bool pln_trust_equal(const pln_trust *a, const pln_trust *b);

/* Errors: POLLEN_ECERT  cluster_id is not SHA-256(root_pub), or the root key is unusable */
POLLEN_MUST_USE pollen_err pln_trust_verify(const pln_trust *trust);

/* now is inside [not_before - skew, not_after + skew], ends included, without overflow. */
bool pln_window_contains(int64_t not_before, int64_t not_after, pln_wall now);

/*
 * The cluster that the claims name is not looked at, as in the reference: what the root signed
 * belongs to the root's cluster.
 *
 * Errors: POLLEN_ESIGNATURE  not signed by the trust's root
 *         POLLEN_EKEY        the admin key is unusable
 *         POLLEN_EEXPIRED    outside its window, PLN_SKEW_SECONDS allowed on both ends
 */
POLLEN_MUST_USE pollen_err pln_admin_cert_verify(const pln_admin_cert *cert, const pln_trust *trust,
                                                 pln_wall now);

/*
 * subject is the key that must be the certificate's; NULL never matches, so that a forgotten
 * subject refuses instead of admitting everybody.
 *
 * Errors: POLLEN_ECLUSTER    names another cluster than trust
 *         POLLEN_ECERT       the attached admin certificate is not the issuer named
 *         POLLEN_ESIGNATURE  of the certificate or of its issuer
 *         POLLEN_EEXPIRED    it, or its issuer, is outside its window
 *         POLLEN_ESUBJECT    subject is another key
 *         POLLEN_EKEY        subject or issuer key is unusable
 */
POLLEN_MUST_USE pollen_err pln_member_cert_verify(const pln_member_cert *cert,
                                                  const pln_trust *trust, const pollen_key *subject,
                                                  pln_wall now);

/* The same two, with signatures looked up in, and added to, verdicts (NULL: not remembered). */
POLLEN_MUST_USE pollen_err pln_admin_cert_verify_cached(const pln_admin_cert *cert,
                                                        const pln_trust *trust, pln_wall now,
                                                        pln_verdicts *verdicts);
POLLEN_MUST_USE pollen_err pln_member_cert_verify_cached(const pln_member_cert *cert,
                                                         const pln_trust *trust,
                                                         const pollen_key *subject, pln_wall now,
                                                         pln_verdicts *verdicts);

/* Past not_after and the allowed skew. */
bool pln_member_cert_is_expired(const pln_member_cert *cert, pln_wall now);

#endif
