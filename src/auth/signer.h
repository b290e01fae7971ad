/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signers: who may sign for a cluster, which is the root key itself or a key with an admin
 * certificate, and what they issue.
 *
 * Thread: functions of their arguments.
 */
#ifndef PLN_AUTH_SIGNER_H
#define PLN_AUTH_SIGNER_H

#include "auth/cert.h"
#include "base/rng.h"

/* Validities begin this long ago, so that a node with a slower clock takes them at once. */
#define PLN_BACKDATE_SECONDS 60

/* The end of the year 9999, as late as the reference and X.509 (RFC 5280, 4.1.2.5) can say. */
#define PLN_NOT_AFTER_MAX 253402300799

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
 * Errors: POLLEN_EINVAL (ttl <= 0), POLLEN_EKEY, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_signer_create_root(const pollen_seed *root_seed,
                                                  int64_t admin_ttl_seconds, const pln_rng *rng,
                                                  pln_wall now, pln_signer *ret);

/*
 * A signer by delegation.  That the certificate is this key's is checked here, at the start, and
 * not only when something is to be signed.
 *
 * Owner:  everything is copied; ret is filled only on success (pln_signer_fini).
 * Errors: those of pln_trust_verify() and pln_admin_cert_verify()
 *         POLLEN_ECERT   the certificate names another admin key
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_signer_create_delegated(const pollen_seed *admin_seed,
                                                       const pln_trust *trust,
                                                       const pln_admin_cert *cert, pln_wall now,
                                                       pln_signer *ret);

/* dst must be zeroed or finished before, and is zeroed on lack of memory. */
POLLEN_MUST_USE pollen_err pln_signer_copy(pln_signer *dst, const pln_signer *src);

void pln_signer_fini(pln_signer *signer); /* Accepts a zeroed one. */

/*
 * Owner:  ret is the caller's (pln_*_fini), filled only on success.
 * Errors: POLLEN_ENOTADMIN  the signer is not the root
 *         POLLEN_EINVAL     ttl <= 0
 *         POLLEN_EKEY       unusable
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_admin_cert_issue(const pln_signer *root, const pollen_key *admin_pub,
                                                int64_t ttl_seconds, const pln_rng *rng,
                                                pln_wall now, pln_admin_cert *ret);

typedef struct pln_member_terms {
    int64_t ttl_seconds;
    bool non_renewable;
} pln_member_terms;

/*
 * Owner:  ret is the caller's (pln_member_cert_fini), filled only on success.
 * Errors: POLLEN_EINVAL    ttl <= 0
 *         POLLEN_EKEY      unusable subject
 *         POLLEN_EEXPIRED  the signer's own certificate is outside its window
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_member_cert_issue(const pln_signer *signer,
                                                 const pollen_key *subject,
                                                 const pln_member_terms *terms, const pln_rng *rng,
                                                 pln_wall now, pln_member_cert *ret);

/* How long a certificate with this window lasts from its issue, which the backdating is no part of:
 * counted in, each renewal for as long again would add a minute.  0 when the window is empty. */
int64_t pln_cert_life(int64_t not_before, int64_t not_after);

/* How long a renewal may last: as long as the certificate with this window did, but at most
 * default_ttl_seconds, so that an admission for an hour does not become one for a year.  0 when the
 * window is empty. */
int64_t pln_member_renewal_ttl(int64_t not_before, int64_t not_after, int64_t default_ttl_seconds);

/* now + ttl_seconds, PLN_NOT_AFTER_MAX at most. */
int64_t pln_not_after(pln_wall now, int64_t ttl_seconds);

#endif
