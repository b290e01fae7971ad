/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of trust: trust bundle (root key) -> admin certificate (signed by the root) ->
 * membership certificate (signed by the admin, carries its admin certificate).
 *
 * Thread: pure functions of their arguments.
 */
#ifndef PLN_AUTH_CERT_H
#define PLN_AUTH_CERT_H

#include "base/rng.h"
#include "base/time.h"
#include "wire/admission.h"

/* Fills and encodes the bundle of a root key; ret must be finished by the caller. */
POLLEN_MUST_USE pollen_err pln_trust_create(const pollen_key *root_pub, pln_trust *ret);

/* Same cluster and same root, byte by byte. */
bool pln_trust_equal(const pln_trust *a, const pln_trust *b);

/* Errors: POLLEN_ECERT  cluster_id is not SHA-256(root_pub), or the root key is unusable */
POLLEN_MUST_USE pollen_err pln_trust_verify(const pln_trust *trust);

/*
 * Errors: POLLEN_ESIGNATURE  not signed by the trust's root
 *         POLLEN_EEXPIRED    outside its window, PLN_SKEW_SECONDS allowed on both ends, without
 *                            overflow
 *         POLLEN_ECLUSTER    names another cluster
 *         POLLEN_EKEY        the admin key is unusable
 */
POLLEN_MUST_USE pollen_err pln_admin_cert_verify(const pln_admin_cert *cert, const pln_trust *trust,
                                                 pln_wall now);

/*
 * Errors: POLLEN_ECLUSTER    names another cluster than trust
 *         POLLEN_ECERT       the attached admin certificate is not the issuer named
 *         POLLEN_ESIGNATURE  of the certificate or of its issuer
 *         POLLEN_EEXPIRED    it, or its issuer, is outside its window
 *         POLLEN_ESUBJECT    subject (when not NULL) is another key
 *         POLLEN_EKEY        subject or issuer key is unusable
 */
POLLEN_MUST_USE pollen_err pln_member_cert_verify(const pln_member_cert *cert,
                                                  const pln_trust *trust, const pollen_key *subject,
                                                  pln_wall now);

/* Past not_after and the allowed skew. */
bool pln_member_cert_is_expired(const pln_member_cert *cert, pln_wall now);

/* now is inside [not_before - skew, not_after + skew], ends included, without overflow. */
bool pln_window_contains(int64_t not_before, int64_t not_after, pln_wall now);

/* Who may sign for a cluster: the root key itself, or a key with an admin certificate. */
typedef struct pln_signer {
    pollen_seed seed; /* Wiped by pln_signer_fini(). */
    pollen_key admin_pub;
    pln_trust trust;
    pln_admin_cert issuer;
    bool is_root;
} pln_signer;

/*
 * A root signer issues its own admin certificate for [now - 1 min, now + admin_ttl_seconds].
 *
 * Owner:  everything is copied; ret is filled only on success (pln_signer_fini).
 * Errors: POLLEN_EKEY, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_signer_create_root(const pollen_seed *root_seed,
                                                  int64_t admin_ttl_seconds, const pln_rng *rng,
                                                  pln_wall now, pln_signer *ret);

/* Errors: those of pln_admin_cert_verify(), POLLEN_ECERT when the certificate names another admin
 *         key
 * (D-85), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_signer_create_delegated(const pollen_seed *admin_seed,
                                                       const pln_trust *trust,
                                                       const pln_admin_cert *cert, pln_wall now,
                                                       pln_signer *ret);
void pln_signer_fini(pln_signer *signer);

/* Errors of the issuing functions: POLLEN_EKEY, POLLEN_EINVAL (ttl <= 0), POLLEN_ENOTADMIN (not the
 * root),
 * POLLEN_ENOMEM. */
POLLEN_MUST_USE pollen_err pln_admin_cert_issue(const pln_signer *root, const pollen_key *admin_pub,
                                                int64_t ttl_seconds, const pln_rng *rng,
                                                pln_wall now, pln_admin_cert *ret);

typedef struct pln_member_terms {
    int64_t ttl_seconds;
    bool non_renewable;
} pln_member_terms;

/* Valid from one minute ago, so that a slower clock takes it at once. */
POLLEN_MUST_USE pollen_err pln_member_cert_issue(const pln_signer *signer,
                                                 const pollen_key *subject,
                                                 const pln_member_terms *terms, const pln_rng *rng,
                                                 pln_wall now, pln_member_cert *ret);

#endif
