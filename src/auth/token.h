/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join tokens (a membership certificate and where to go with it) and invite tokens (the right of
 * one key to be issued one).  Decode and verify into locals, commit to state last.
 */
#ifndef PLN_AUTH_TOKEN_H
#define PLN_AUTH_TOKEN_H

#include "auth/cert.h"

/* A token issued by a longer-lived invite than this is no token of ours; it bounds the ledger
 * (D-21). */
#define PLN_INVITE_TTL_MAX_SECONDS (30ll * 86400)

typedef struct pln_invite_terms {
    const pln_bootstraps *bootstrap; /* At least one peer. */
    const pollen_key *subject;       /* NULL: whoever comes first. */
    int64_t ttl_seconds;             /* Of the token itself. */
    int64_t membership_ttl_seconds;  /* 0: the redeemer's default. */
    bool non_renewable;
} pln_invite_terms;

/* Errors: POLLEN_EINVAL  no bootstrap peer, ttl out of range; POLLEN_EKEY; POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_invite_issue(const pln_signer *signer, const pln_invite_terms *terms,
                                            const pln_rng *rng, pln_wall now,
                                            pln_invite_token *ret);

/*
 * What a holder can check: the token is consistent in itself, which proves nothing about whose it
 * is.
 *
 * Errors: POLLEN_ECERT       the embedded trust or issuer does not hold
 *         POLLEN_ESIGNATURE  of the token or its issuer
 *         POLLEN_EEXPIRED    the token or its issuer is outside its window
 *         POLLEN_ESUBJECT    bound to another key than subject (when not NULL)
 */
POLLEN_MUST_USE pollen_err pln_invite_verify(const pln_invite_token *token,
                                             const pollen_key *subject, pln_wall now);

/*
 * What the redeeming node checks: all of pln_invite_verify(), and that the token is this cluster's
 * (D-1), that it has not expired even within the skew, and that its lifetime is sane.
 *
 * Errors: as above, and POLLEN_ECLUSTER  the embedded trust is not the local one
 */
POLLEN_MUST_USE pollen_err pln_invite_verify_local(const pln_invite_token *token,
                                                   const pln_trust *trust,
                                                   const pollen_key *subject, pln_wall now);

/* The answer to an invite: min(5 min, what is left of the invite) to use it.
 * Errors: POLLEN_EEXPIRED, POLLEN_EKEY, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_invite_redeem(const pln_signer *signer,
                                             const pln_invite_token *invite,
                                             const pollen_key *subject, int64_t default_ttl_seconds,
                                             const pln_rng *rng, pln_wall now, pln_join_token *ret);

typedef struct pln_join_terms {
    const pln_bootstraps *bootstrap; /* May be empty. */
    int64_t ttl_seconds;
    pln_member_terms membership;
} pln_join_terms;

POLLEN_MUST_USE pollen_err pln_join_issue(const pln_signer *signer, const pollen_key *subject,
                                          const pln_join_terms *terms, const pln_rng *rng,
                                          pln_wall now, pln_join_token *ret);

/*
 * Errors: as pln_invite_verify(), those of pln_member_cert_verify() for the certificate inside, and
 *         POLLEN_ECLUSTER  trust (when not NULL) is not the embedded one (D-2)
 */
POLLEN_MUST_USE pollen_err pln_join_verify(const pln_join_token *token, const pln_trust *trust,
                                           const pollen_key *subject, pln_wall now);

#endif
